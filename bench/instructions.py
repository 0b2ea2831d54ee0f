#!/usr/bin/env python3
"""Instructions per record, by callgrind: the difference of two runs that differ in the number of records only."""
import argparse
import json
import pathlib
import re
import subprocess
import sys

RECORDED = pathlib.Path(__file__).parent / "instructions.json"
FEW, MANY = 100_000, 200_000
RISE_ALLOWED = 0.05


def instructions(build, keys, count):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", build / "bench" / "bench_harness",
               build / "bench" / "memory.so", "--keys", keys, "--count", str(count)]
    run = subprocess.run(command, capture_output=True, text=True)
    collected = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not collected:
        raise SystemExit(f"check: the harness failed: {run.stderr}")
    return int(collected.group(1))


def per_record(build, keys):
    return round((instructions(build, keys, MANY) - instructions(build, keys, FEW)) / (MANY - FEW), 1)


def main():
    parser = argparse.ArgumentParser(prog="bench/check.sh", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the counts down as the new ones")
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    now, risen = {}, False
    print(f"{'keys':10} {'recorded':>10} {'now':>10}   instructions per record")
    for keys in ("pages", "six", "million"):
        now[keys] = per_record(options.build, keys)
        before = recorded.get(keys)
        change = now[keys] / before - 1 if before else 0
        too_much = change > RISE_ALLOWED
        risen |= too_much
        print(f"{keys:10} {before or '–':>10} {now[keys]:>10}   {change:+.1%}{'  risen' if too_much else ''}", flush=True)
    if options.record:
        RECORDED.write_text(json.dumps(now, indent=1) + "\n")
        return 0
    return 1 if risen else 0


if __name__ == "__main__":
    sys.exit(main())
