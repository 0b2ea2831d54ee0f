#!/bin/sh
# Builds every fuzzer and runs each for SECONDS (60). What it finds stays in <build>/fuzz/; a crash makes the exit code 1.
# usage: tests/fuzz/run.sh [SECONDS] [FUZZER...]       BUILD: the build directory, by default build-fuzz
set -eu
seconds=${1:-60}
[ $# -gt 0 ] && shift
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$source/build-fuzz}

cmake -S "$source" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DWEIR_FUZZ=ON \
    -DCMAKE_C_FLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -UNDEBUG" >/dev/null
cmake --build "$build" --target fuzzers

[ $# -gt 0 ] || set -- $(cd "$build/fuzz" && ls | grep '^fuzz_[a-z_]*$')
failed=0
for fuzzer; do
    seeds=$source/tests/fuzz/corpus/${fuzzer#fuzz_}
    found=$build/fuzz/corpus/${fuzzer#fuzz_}
    mkdir -p "$found"
    echo "== $fuzzer, $seconds s"
    if ! ASAN_OPTIONS=detect_odr_violation=0 "$build/fuzz/$fuzzer" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="$build/fuzz/$fuzzer-" -print_final_stats=1 -verbosity=0 \
        "$found" "$seeds" >"$build/fuzz/$fuzzer.log" 2>&1; then
        failed=1
        echo "$fuzzer failed:"
        tail -n 60 "$build/fuzz/$fuzzer.log"
    else
        grep 'number_of_executed_units\|peak_rss' "$build/fuzz/$fuzzer.log"
    fi
done
exit $failed
