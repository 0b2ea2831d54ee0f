#!/bin/bash
# Builds Weir and the benchmarks, runs them and the references alternately, prints a table. See bench/README.md and --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${WEIR_BENCH_BUILD:-$root/build-bench}

if [ ! -e "$build/build.ninja" ]; then
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DWEIR_TESTS=OFF >"$build.log" 2>&1 ||
        { tail -n 20 "$build.log" >&2; exit 1; }
    rm -f "$build.log"
fi
ninja -C "$build" --quiet bench jobmanager taskmanager weir weir_worker
exec python3 "$root/bench/measure.py" --build "$build" "$@"
