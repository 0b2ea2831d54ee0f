#!/bin/bash
# Builds Weir and starts the playground: a broker, a jobmanager, taskmanagers, the click event generator, and the job Click Event
# Count, each a process of its own. See --help.
started_at=$EPOCHREALTIME
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
bin=$build/bin
job=$build/examples/click_event_count.so

duration=
kill_after=
taskmanagers=1
slots=2
parallelism=2
rest_port=8081
rpc_port=6123
rate_factor=1
kafka=
external_broker=
job_arguments=(--checkpointing --event-time)

restart_delay=3 # seconds until a taskmanager that is gone is started again
settle=30       # seconds that the auditor waits at the end for results

usage() {
    cat <<EOF
Usage: deploy/playground.sh [OPTIONS] [-- JOB-ARGUMENTS]
Installs what is missing, builds, and starts a broker, a jobmanager, a taskmanager, the click event generator and the job Click
Event Count; prints each result as it appears. Ctrl-C stops everything.

  --duration SECONDS                stop after so long and end with a summary
  --kill-taskmanager-after SECONDS  kill -9 the (first) taskmanager; it is started again $restart_delay s later
  --taskmanagers N                  number of taskmanagers (default $taskmanagers)
  --slots N                         slots of each (default $slots)
  --parallelism P                   of the job (default $parallelism)
  --rest-port PORT                  (default $rest_port)
  --rpc-port PORT                   (default $rpc_port)
  --rate-factor F                   events F times as fast as 400 a second (default $rate_factor)
  --kafka                           fetch and use a real Apache Kafka (needs Java and Maven, which are installed)
                                    instead of the embedded broker, which is librdkafka's mock cluster: it keeps nothing on disk,
                                    only the last 5 MiB of a partition, and enforces no transactions
  --bootstrap.servers HOST:PORT     use that broker; its topics input and output must exist and be empty
  -- JOB-ARGUMENTS                  arguments of the job instead of ${job_arguments[*]}
  --help                            this text

Exit code: 0 if at least three complete windows were audited, all exact, and, with --kill-taskmanager-after, a restart was seen;
130 after Ctrl-C.
EOF
}

fail() {
    echo "playground: $*" >&2
    exit 1
}

is_number() {
    [[ $1 =~ ^[0-9]+(\.[0-9]+)?$ ]]
}

is_count() {
    [[ $1 =~ ^[1-9][0-9]{0,4}$ ]]
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --kafka) kafka=1 ;;
        --help | -h)
            usage
            exit 0
            ;;
        --)
            shift
            job_arguments=("$@")
            break
            ;;
        --*=*)
            local name=${1%%=*} value=${1#*=}
            shift
            set -- "$name" "$value" "$@"
            continue
            ;;
        --duration | --kill-taskmanager-after | --taskmanagers | --slots | --parallelism | --rest-port | --rpc-port | \
            --rate-factor | --bootstrap.servers)
            [ $# -ge 2 ] || fail "$1 needs a value; see --help"
            set_option "$1" "$2"
            shift
            ;;
        *) fail "unknown option $1; see --help" ;;
        esac
        shift
    done
    [ -z "$kafka" ] || [ -z "$external_broker" ] || fail "--kafka and --bootstrap.servers exclude each other"
    [ "$rest_port" != "$rpc_port" ] || fail "--rest-port and --rpc-port must differ"
}

set_option() {
    case $1 in
    --duration | --kill-taskmanager-after | --rate-factor)
        is_number "$2" || fail "$1: \"$2\" is not a number"
        ;;
    --taskmanagers | --slots | --parallelism | --rest-port | --rpc-port)
        is_count "$2" || fail "$1: \"$2\" is not a whole number (1 or more)"
        ;;
    esac
    case $1 in
    --duration) duration=$2 ;;
    --kill-taskmanager-after) kill_after=$2 ;;
    --taskmanagers) taskmanagers=$2 ;;
    --slots) slots=$2 ;;
    --parallelism) parallelism=$2 ;;
    --rest-port) rest_port=$2 ;;
    --rpc-port) rpc_port=$2 ;;
    --rate-factor) rate_factor=$2 ;;
    --bootstrap.servers) external_broker=$2 ;;
    esac
}

# ---- time, waiting ------------------------------------------------------------------------------------------------------

# Microseconds since the epoch.
microseconds() {
    local now=${1:-$EPOCHREALTIME}
    echo "${now/[.,]/}"
}

to_microseconds() {
    local whole=${1%%.*} fraction=
    [[ $1 == *.* ]] && fraction=${1#*.}
    fraction=${fraction}000000
    echo $((10#$whole * 1000000 + 10#${fraction:0:6}))
}

as_seconds() {
    printf '%d.%02d' $(($1 / 1000000)) $(($1 % 1000000 / 10000))
}

# Sleeps without a process of its own, and is ended by a signal at once.
exec {never}<> <(:)
pause() {
    read -rt "$1" -u "$never" || true
}

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
    local deadline=$(($(microseconds) + $1 * 1000000)) what=$2
    shift 2
    until "$@"; do
        check_processes
        [ "$(microseconds)" -lt $deadline ] || fail "no sign of $what; logs are in $run/log"
        [ -z "$stopping" ] || finish_interrupted
        pause 0.01
    done
}

# ---- processes ----------------------------------------------------------------------------------------------------------

declare -A pids=()  # by name
declare -a order=() # names as they were started
run=
started=
stopping=
cleaning=

# launch NAME COMMAND…: in a session of its own, so that Ctrl-C reaches this script only and everything ends in order; killed by the
# kernel should this script be killed. Output goes to the log, of the auditor to the terminal.
launch() {
    local name=$1
    shift
    if [ "$name" = auditor ]; then
        setsid setpriv --pdeathsig KILL -- "$@" 2>>"$run/log/$name.log" </dev/null &
    else
        setsid setpriv --pdeathsig KILL -- "$@" >>"$run/log/$name.log" 2>&1 </dev/null &
    fi
    [ -n "${pids[$name]:-}" ] || order+=("$name")
    pids[$name]=$!
}

is_alive() {
    [ -n "${pids[$1]:-}" ] && kill -0 "${pids[$1]}" 2>/dev/null
}

# Ends a process with all that it started: first politely.
stop_process() {
    local pid=${pids[$1]:-} deadline
    [ -n "$pid" ] || return 0
    kill -TERM -- "-$pid" 2>/dev/null
    deadline=$(($(microseconds) + ${2:-5} * 1000000))
    while kill -0 -- "-$pid" 2>/dev/null; do
        if [ "$(microseconds)" -ge $deadline ]; then
            kill -KILL -- "-$pid" 2>/dev/null
        fi
        pause 0.02
    done
    unset "pids[$1]"
}

stop_all() {
    [ -z "$cleaning" ] || return 0
    cleaning=1
    local i pid
    # All are asked first, so that the time to wait for them is one for all.
    for pid in "${pids[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null
    done
    for ((i = ${#order[@]} - 1; i >= 0; i--)); do
        stop_process "${order[i]}"
    done
}

# A taskmanager may die once all is up, that is what the playground is for; without any of the others it can't go on.
check_processes() {
    local name
    for name in "${order[@]}"; do
        [[ $name != taskmanager-* ]] || [ -z "$started" ] || continue
        [ -n "${pids[$name]:-}" ] || continue
        if ! is_alive "$name"; then
            wait "${pids[$name]}"
            local code=$?
            unset "pids[$name]"
            tail -n 15 "$run/log/$name.log" >&2
            fail "$name has ended (exit code $code); its log is $run/log/$name.log"
        fi
    done
}

finish_interrupted() {
    echo "Stopped."
    exit 130
}

on_signal() {
    if [ -n "$stopping" ]; then
        [ -n "$cleaning" ] || exit 130 # a second Ctrl-C: no summary
    fi
    stopping=1
}

# ---- parts --------------------------------------------------------------------------------------------------------------

port_is_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

check_ports() {
    local taken=()
    port_is_taken "$rest_port" && taken+=("REST port $rest_port (--rest-port)")
    port_is_taken "$rpc_port" && taken+=("RPC port $rpc_port (--rpc-port)")
    if [ ${#taken[@]} -gt 0 ]; then
        local text
        printf -v text '%s, ' "${taken[@]}"
        fail "taken: ${text%, }. Is a playground running already? Nothing was started."
    fi
}

build_all() {
    local targets=(jobmanager taskmanager weir weir-devbroker weir-audit click-event-generator click_event_count)
    local quiet=--quiet
    if [ ! -e "$build/build.ninja" ]; then
        quiet=
        echo "Building in $build"
        cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DWEIR_TESTS=OFF >"$build.log" 2>&1 ||
            { tail -n 20 "$build.log" >&2; fail "configuring failed (all of it: $build.log)"; }
        rm -f "$build.log"
    fi
    ninja -C "$build" $quiet "${targets[@]}" > >(grep -v "no work to do") || fail "the build failed"
}

# conf/config.yaml with this playground's ports and directories.
write_configuration() {
    mkdir -p "$run/log" "$run/tmp"
    sed -e "/^jobmanager:/,/^[a-z#]*\$/ s|^\( *port:\).*|\1 $rpc_port|" \
        -e "/^rest:/,/^\$/ s|^\( *port:\).*|\1 $rest_port|" \
        -e "s|^\( *numberOfTaskSlots:\).*|\1 $slots|" \
        -e "/^ *checkpoints:/,/dir:/ s|dir:.*|dir: file://$run/checkpoints|" \
        -e "/^ *savepoints:/,/dir:/ s|dir:.*|dir: file://$run/savepoints|" \
        "$root/conf/config.yaml" >"$run/config.yaml"
    printf '\nio.tmp.dirs: %s/tmp\n' "$run" >>"$run/config.yaml"
}

start_broker() {
    if [ -n "$external_broker" ]; then
        broker=$external_broker
        return
    fi
    local port=9092
    if [ -n "$kafka" ]; then
        if port_is_taken $port; then
            port=$((20000 + RANDOM % 12000))
        fi
        launch broker "$root/tests/kafka/kafka.sh" run --port "$port" --dir "$run/kafka"
        "$root/tests/kafka/kafka.sh" topics --port "$port" --topics input:2,output:2 || fail "Kafka did not start; its log is $run/log/broker.log"
        broker=127.0.0.1:$port
        return
    fi
    port_is_taken $port && port=0
    launch broker "$bin/weir-devbroker" --port $port --topics input:2,output:2 --address-file "$run/broker.address"
    wait_for 10 "the broker" test -e "$run/broker.address"
    broker=$(<"$run/broker.address")
}

start_taskmanager() {
    launch "taskmanager-$1" "$bin/taskmanager" --configDir "$run"
    [ -z "$started" ] || disown "${pids[taskmanager-$1]}"
}

rest() {
    curl -sf --max-time 5 "http://localhost:$rest_port$1"
}

rest_is_up() {
    rest_body=$(rest /overview) && [[ $rest_body == *'"taskmanagers"'* ]]
}

a_task_runs() {
    rest_body=$(rest /jobs/overview) && [[ $rest_body =~ \"running\":\ *[1-9] ]]
}

submit() {
    local arguments=() output
    [[ " ${job_arguments[*]-} " == *" --bootstrap.servers"* ]] || arguments+=(--bootstrap.servers "$broker")
    output=$(WEIR_CONF_DIR=$run "$bin/weir" run -m "localhost:$rest_port" -d -p "$parallelism" "$job" "${arguments[@]}" \
        "${job_arguments[@]+"${job_arguments[@]}"}" 2>&1)
    if ! [[ $output =~ JobID\ ([0-9a-f]{32}) ]]; then
        echo "$output" >&2
        fail "the job was not submitted"
    fi
    job_id=${BASH_REMATCH[1]}
}

restarts_seen() {
    local body
    body=$(rest "/jobs/$job_id/metrics?get=numRestarts") && [[ $body =~ \"value\":\ *\"([0-9]+)\" ]] && echo "${BASH_REMATCH[1]}"
}

print_welcome() {
    local weir=${bin#"$PWD"/}/weir
    cat <<EOF

Click Event Count runs as job $job_id; logs and configuration are in $run
  REST       http://localhost:$rest_port    (curl -s localhost:$rest_port/jobs/overview)
  Kafka      kcat -C -q -b $broker -t output    (or -t input)
Try next, in another terminal:
  kill -9 ${pids[taskmanager-1]}                    the taskmanager: every count stays exact
  $weir list -m localhost:$rest_port
  $weir cancel -m localhost:$rest_port $job_id
Ctrl-C stops everything. The results, as they appear on topic output:
EOF
}

# ---- the course of it -----------------------------------------------------------------------------------------------------

start_all() {
    start_broker
    launch jobmanager "$bin/jobmanager" --configDir "$run"
    local i
    for ((i = 1; i <= taskmanagers; i++)); do
        start_taskmanager "$i"
    done
    launch auditor "$bin/weir-audit" --bootstrap.servers "$broker" --follow --require-empty --settle "$settle" \
        --ready-file "$run/auditor.ready"
    wait_for 40 "the auditor" test -e "$run/auditor.ready"
    launch generator "$bin/click-event-generator" --bootstrap.servers "$broker" --rate-factor "$rate_factor"
    wait_for 30 "REST on port $rest_port" rest_is_up
    submit
    wait_for 60 "a running task" a_task_runs
    local took=$(($(microseconds) - $(microseconds "$started_at"))) building=
    [ $build_took -lt 1000000 ] || building=", $(as_seconds $build_took) s of it for building"
    echo "first task RUNNING after $(as_seconds $took) s$building"
    started=1
    for ((i = 1; i <= taskmanagers; i++)); do
        disown "${pids[taskmanager-$i]}" # bash need not tell when it is killed; the playground does
    done
}

declare -A restart_at=()

# A taskmanager that is gone comes back a little later, like one that somebody starts again.
look_after_taskmanagers() {
    local i name now
    now=$(microseconds)
    for ((i = 1; i <= taskmanagers; i++)); do
        name=taskmanager-$i
        if [ -n "${restart_at[$name]:-}" ]; then
            if [ "$now" -ge "${restart_at[$name]}" ]; then
                unset "restart_at[$name]"
                start_taskmanager "$i"
                echo "playground: $name is started again (pid ${pids[$name]})"
            fi
        elif ! is_alive "$name"; then
            echo "playground: $name (pid ${pids[$name]}) is gone; it is started again in $restart_delay s"
            restart_at[$name]=$((now + restart_delay * 1000000))
        fi
    done
}

watch() {
    local begin kill_at= end_at=
    begin=$(microseconds)
    [ -z "$kill_after" ] || kill_at=$((begin + $(to_microseconds "$kill_after")))
    [ -z "$duration" ] || end_at=$((begin + $(to_microseconds "$duration")))
    while [ -z "$stopping" ]; do
        local now
        now=$(microseconds)
        check_processes
        look_after_taskmanagers
        if [ -n "$kill_at" ] && [ "$now" -ge "$kill_at" ]; then
            kill_at=
            echo "playground: kill -9 ${pids[taskmanager-1]} (taskmanager-1)"
            kill -KILL "${pids[taskmanager-1]}"
        fi
        [ -z "$end_at" ] || [ "$now" -lt "$end_at" ] || return 0
        pause 0.1
    done
}

# The generator stops first; then the auditor waits for what the job still owes.
summarise() {
    local code restarts
    echo
    stop_process generator 10
    kill -TERM "${pids[auditor]}" 2>/dev/null
    local patience=$((settle + 10))
    [ -z "$stopping" ] || patience=5
    local deadline=$(($(microseconds) + patience * 1000000))
    while is_alive auditor; do
        look_after_taskmanagers # a restart that is due still has to happen
        if [ "$(microseconds)" -ge $deadline ]; then
            kill -TERM "${pids[auditor]}" 2>/dev/null # no more waiting: say what there is
            deadline=$((deadline + 5000000))
        fi
        pause 0.05
    done
    wait "${pids[auditor]}"
    code=$?
    unset "pids[auditor]"
    [ $code -ne 4 ] || tail -n 5 "$run/log/auditor.log" >&2
    restarts=$(restarts_seen) || restarts=unknown
    echo "  restarts seen      $restarts"
    [ -z "$stopping" ] || finish_interrupted
    if [ $code -eq 0 ] && [ -n "$kill_after" ] && ! [[ $restarts =~ ^[1-9] ]]; then
        echo "playground: a taskmanager was killed, but no restart was seen" >&2
        code=1
    fi
    exit $code
}

main() {
    parse_arguments "$@"
    check_ports
    local before_build
    before_build=$(microseconds)
    "$root/deploy/install.sh" build run ${kafka:+kafka} || exit 1
    [ -z "$kafka" ] || "$root/tests/kafka/kafka.sh" fetch || exit 1
    build_all
    build_took=$(($(microseconds) - before_build))
    run=$(mktemp -d "${TMPDIR:-/tmp}/weir-playground.XXXXXX") || fail "can't make a directory in ${TMPDIR:-/tmp}"
    trap stop_all EXIT
    trap on_signal INT TERM HUP
    write_configuration
    start_all
    print_welcome
    watch
    summarise
}

main "$@"
