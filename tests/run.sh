#!/bin/bash
# Installs what is missing, builds, and runs the tests. The last line is "N passed, N failed, N skipped".
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mode=full
only=
install=1
passed=0
failed=0
skipped=0
begin=$SECONDS

usage() {
    cat <<EOF
Usage: tests/run.sh [--fast | --release] [--only PATTERN] [--no-install]

  (nothing)       everything that takes under 15 minutes on 2 cores: unit tests and a part of the simulation with gcc and the
                  sanitizers, 1,000 simulated seeds and the integration tests, and a build with clang
  --fast          the two-minute gate: unit tests, a few seeds, one run of the whole thing (the build not counted)
  --release       the long runs as well
  --only PATTERN  tests whose name matches the regular expression (unit/…, simulation/…, integration/…)
  --no-install    take the Debian packages as they are
EOF
}

while [ $# -gt 0 ]; do
    case $1 in
    --fast | --release) mode=${1#--} ;;
    --only)
        [ $# -ge 2 ] || { echo "run.sh: --only needs a pattern" >&2; exit 2; }
        only=$2
        shift
        ;;
    --no-install) install= ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        echo "run.sh: unknown option $1; see --help" >&2
        exit 2
        ;;
    esac
    shift
done

cd "$root" || exit 1
# use_sigaltstack: the crash handler sets stacks of its own for signals.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_odr_violation=0:abort_on_error=0:use_sigaltstack=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export WEIR_BUILD=$root/build-test WEIR_RELEASE_BUILD=$root/build
# Several build directories of one source: without this the directory would keep the second from using what the first compiled.
export CCACHE_NOHASHDIR=true
[ "$mode" != release ] || export WEIR_LONG=1

say() {
    printf '\n== %s (%d s)\n' "$1" $((SECONDS - begin))
}

finish() {
    printf '\n%d passed, %d failed, %d skipped\n' $passed $failed $skipped
    [ $failed -eq 0 ] && [ $passed -gt 0 ]
    exit $?
}

# build DIRECTORY CMAKE-ARGUMENTS…
build() {
    local directory=$1 launcher=()
    shift
    if command -v ccache >/dev/null; then
        launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    fi
    mkdir -p "$directory"
    cmake -S . -B "$directory" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo "${launcher[@]}" "$@" >"$directory/configure.log" 2>&1 ||
        { tail -n 30 "$directory/configure.log"; return 1; }
    ninja -C "$directory" >"$directory/build.log" 2>&1 ||
        { grep -E -A12 'FAILED|error:|warning:' "$directory/build.log" | head -n 80; return 1; }
}

# run_ctest DIRECTORY PATTERN: adds to the counts.
run_ctest() {
    local directory=$1 pattern=$2 report=$1/ctest.xml
    local selection=(-R "$pattern")
    # ctest takes the last -R only; both must match.
    if [ -n "$only" ]; then
        local names
        names=$(ctest --test-dir "$directory" -N -R "$pattern" | sed -n 's/^ *Test *#[0-9]*: //p' | grep -E "$only")
        [ -n "$names" ] || return 0
        selection=(-R "^($(paste -sd'|' <<<"$names"))\$")
    fi
    rm -f "$report"
    # To the terminal as it goes, except the dots of each test.
    ctest --test-dir "$directory" -j "$(nproc)" --output-on-failure --no-tests=ignore --timeout 900 --output-junit "$report" "${selection[@]}" |
        grep -vE '^ +Start +[0-9]+:'
    local tests failures skips
    tests=$(attribute tests "$report") failures=$(attribute failures "$report")
    skips=$(($(attribute skipped "$report") + $(attribute disabled "$report")))
    passed=$((passed + tests - failures - skips))
    failed=$((failed + failures))
    skipped=$((skipped + skips))
}

# An attribute of the <testsuite> of a JUnit file; a missing file is a failed test.
attribute() {
    local value
    value=$(tr '\n\t' '  ' <"$2" 2>/dev/null | grep -oE '<testsuite [^>]*>' | grep -oE " $1=\"[0-9]+\"" | grep -oE '[0-9]+')
    if [ -z "$value" ]; then
        [ "$1" = tests ] || [ "$1" = failures ] && value=1 || value=0
    fi
    echo "$value"
}

run_integration() {
    local counts=$WEIR_BUILD/integration.counts p f s
    rm -f "$counts"
    PYTHONDONTWRITEBYTECODE=1 python3 tests/integration --counts "$counts" ${only:+--only "$only"} "$@"
    if [ -r "$counts" ] && read -r p f s <"$counts"; then
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        echo "the integration tests did not come to their end"
        failed=$((failed + 1))
    fi
}

# A build that must succeed for the rest to make sense.
require_build() {
    if ! build "$@"; then
        failed=$((failed + 1))
        finish
    fi
}

if [ -n "$install" ]; then
    groups=(build run test)
    [ "$mode" != release ] || groups+=(kafka)
    deploy/install.sh "${groups[@]}" || { failed=1; finish; }
fi

say "build: gcc, sanitizers, warnings are errors"
require_build "$WEIR_BUILD" -DCMAKE_C_COMPILER=gcc -DWEIR_SANITIZE=ON -DWEIR_WERROR=ON

if [ "$mode" = fast ]; then
    say "unit tests, a few simulated seeds"
    run_ctest "$WEIR_BUILD" '^unit/|^simulation/few_seeds'
    say "one run of the whole thing"
    run_integration --smoke
    finish
fi

say "unit tests, simulation under the sanitizers"
run_ctest "$WEIR_BUILD" .

say "build: what users get"
require_build "$WEIR_RELEASE_BUILD" -DWEIR_WERROR=ON -DWEIR_TESTS=ON

say "simulation, 1,000 seeds"
run_ctest "$WEIR_RELEASE_BUILD" '^simulation/'

say "integration tests"
run_integration

if [ -z "$only" ] || [[ build/clang =~ $only ]]; then
    say "build: clang"
    if build "$root/build-clang" -DCMAKE_C_COMPILER=clang -DWEIR_WERROR=ON; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
fi
finish
