#!/bin/bash
# Counts the instructions per record of the in-memory hot loops and compares with bench/instructions.json.
#   bench/check.sh            exit code 1 if one has risen by more than 5 %
#   bench/check.sh --record   write the counts down as the new ones
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${WEIR_BENCH_BUILD:-$root/build-bench}
command -v valgrind >/dev/null || { echo "check: valgrind is needed" >&2; exit 2; }
if [ ! -e "$build/build.ninja" ]; then
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DWEIR_TESTS=OFF >/dev/null
fi
ninja -C "$build" --quiet bench
exec python3 "$root/bench/instructions.py" --build "$build" "$@"
