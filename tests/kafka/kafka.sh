#!/bin/bash
# A real Apache Kafka (one node, KRaft, loopback) from Maven Central, for the playground's --kafka and for tests.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pom=$here/pom.xml
version=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' "$pom")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir/kafka-$version
port=9092
dir=
topics=
heap=256m

usage() {
    cat <<EOF
Usage: tests/kafka/kafka.sh COMMAND [OPTIONS]
A real Apache Kafka $version, one node on the loopback interface. Needs maven and openjdk-17-jre-headless; the jars are kept in
$cache.

  fetch    get the jars
  start    start a broker in the background and wait until it is ready
  run      start a broker in the foreground
  topics   wait for a broker and make topics
  status   say whether the broker of --dir runs; exit code 0 if it does
  stop     stop the broker of --dir (its data stays)

  --port P             port (default 9092); 0 takes a free one (start: it is printed)
  --dir D              data, settings and logs (default a directory of the user's in \${TMPDIR:-/tmp})
  --topics NAME:N,…    topics to make, with their numbers of partitions
  --heap SIZE          Java heap (default 256m)
EOF
}

fail() {
    echo "kafka.sh: $*" >&2
    exit 1
}

is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
    local candidate
    for _ in {1..200}; do
        candidate=$((20000 + RANDOM % 12000))
        if is_free "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no free port found"
}

java_tool() {
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$cache/*" \
        -Dlog4j.configuration="file:$here/log4j.properties" "$@"
}

# Into a directory of its own first: an interrupted download never looks like a complete one.
fetch() {
    [ -e "$cache/complete" ] && return
    command -v mvn >/dev/null || fail "maven is missing; install maven and openjdk-17-jre-headless (deploy/install.sh kafka)"
    command -v java >/dev/null || fail "java is missing; install openjdk-17-jre-headless (deploy/install.sh kafka)"
    echo "Fetching Apache Kafka $version from Maven Central into $cache" >&2
    mkdir -p "$(dirname "$cache")"
    local partial
    partial=$(mktemp -d "$cache.XXXXXX")
    if ! mvn -q -B -f "$pom" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$partial" >&2; then
        rm -rf "$partial"
        fail "maven could not fetch the jars; is Maven Central reachable?"
    fi
    touch "$partial/complete"
    rm -rf "$cache"
    mv "$partial" "$cache"
}

running_pid() {
    local pid
    [ -e "$dir/kafka.pid" ] || return 1
    pid=$(<"$dir/kafka.pid")
    # A recycled pid is somebody else.
    [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$dir/server.properties" && echo "$pid"
}

prepare() {
    fetch
    if [ "$port" = 0 ]; then
        port=$(free_port)
    elif ! is_free "$port"; then
        fail "port $port is taken"
    fi
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    local controller_port
    controller_port=$(free_port)
    cat >"$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
EOF
    if [ ! -e "$dir/data/meta.properties" ]; then
        # A cluster id is 16 bytes in URL-safe base64; it must not begin with "-".
        local id
        id=A$(head -c 32 /dev/urandom | base64 -w0 | tr -d '+/=' | head -c 20)A
        java_tool kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >"$dir/format.log" 2>&1 ||
            fail "can't format $dir/data: $(tail -n 3 "$dir/format.log")"
    fi
}

broker_command() {
    command=(java "-Xmx$heap" "-Xms$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData
        -Dlog4j.configuration="file:$here/log4j.properties" -cp "$cache/*" kafka.Kafka "$dir/server.properties")
}

wait_for_port() {
    local deadline=$((SECONDS + 60))
    while is_free "$port"; do
        if [ $# -gt 0 ] && ! kill -0 "$1" 2>/dev/null; then
            fail "the broker ended: $(tail -n 5 "$dir/kafka.log")"
        fi
        [ $SECONDS -lt $deadline ] || fail "no broker on port $port within 60 s"
        sleep 0.1
    done
}

make_topics() {
    local item pids=() pid
    for item in ${topics//,/ }; do
        [[ $item =~ ^[A-Za-z0-9._-]+:[0-9]+$ ]] || fail "--topics: \"$item\" is not NAME:PARTITIONS"
        java_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create --if-not-exists \
            --topic "${item%:*}" --partitions "${item##*:}" --replication-factor 1 >/dev/null &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "can't make the topics $topics"
    done
}

start() {
    local pid
    if pid=$(running_pid); then
        fail "a broker of $dir runs already (pid $pid)"
    fi
    prepare
    broker_command
    setsid "${command[@]}" >"$dir/kafka.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$dir/kafka.pid"
    wait_for_port "$pid"
    make_topics
    echo "127.0.0.1:$port"
}

stop() {
    local pid deadline
    if ! pid=$(running_pid); then
        rm -f "$dir/kafka.pid"
        return
    fi
    kill -TERM "$pid" 2>/dev/null || true
    deadline=$((SECONDS + 20))
    while kill -0 "$pid" 2>/dev/null; do
        if [ $SECONDS -ge $deadline ]; then
            kill -KILL "$pid" 2>/dev/null || true
        fi
        sleep 0.1
    done
    rm -f "$dir/kafka.pid"
}

action=${1:-}
[ $# -gt 0 ] && shift
while [ $# -gt 0 ]; do
    case $1 in
    --port | --dir | --topics | --heap)
        [ $# -ge 2 ] || fail "$1 needs a value"
        declare "${1#--}=$2"
        shift 2
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown option $1; see --help" ;;
    esac
done
[[ $port =~ ^[0-9]{1,5}$ ]] || fail "--port: \"$port\" is not a port"
dir=${dir:-${TMPDIR:-/tmp}/weir-kafka-$(id -u)}

case $action in
fetch) fetch ;;
start) start ;;
run)
    prepare
    broker_command
    exec "${command[@]}"
    ;;
topics)
    wait_for_port
    make_topics
    ;;
stop) stop ;;
status)
    if pid=$(running_pid); then
        echo "runs (pid $pid, $(sed -n 's|^advertised.listeners=PLAINTEXT://||p' "$dir/server.properties"))"
    else
        echo "does not run"
        exit 1
    fi
    ;;
-h | --help | help) usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
