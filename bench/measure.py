#!/usr/bin/env python3
"""Runs scenarios: Weir (a real cluster of jobmanager and taskmanager) and its reference, in alternation.

What counts is CPU seconds (user and system) per million records. Weir's are those of the worker process, as its
taskmanager gets them from wait4 when the worker has ended: all its threads, from start to end, checkpoints included.
The records are so many that starting up (about 50 ms of CPU) does not matter.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")

# name: (--keys of jobs/memory.c and of reference/loop.c, records)
SCENARIOS = {
    "memory-6-keys": [("pages", 60_000_000), ("six", 60_000_000)],
    "memory-1m-keys": [("million", 24_000_000)],
}


class Cluster:
    """One jobmanager and one taskmanager in a directory of their own."""

    def __init__(self, build, rest_port, rpc_port):
        self.bin = build / "bin"
        self.rest = f"http://localhost:{rest_port}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))
        (self.directory / "config.yaml").write_text(
            f"jobmanager.rpc.address: localhost\njobmanager.rpc.port: {rpc_port}\nrest.port: {rest_port}\n"
            f"taskmanager.numberOfTaskSlots: 2\nio.tmp.dirs: {self.directory}/tmp\n"
            f"state.checkpoints.dir: file://{self.directory}/checkpoints\n"
        )
        (self.directory / "tmp").mkdir()
        self.jobmanager = self._start("jobmanager")
        self.taskmanager = self._start("taskmanager")
        self._wait_for(lambda: self._get("/overview")["taskmanagers"] == 1, "the taskmanager")

    def _start(self, name):
        log = open(self.directory / f"{name}.log", "wb")
        return subprocess.Popen([self.bin / name, "--configDir", self.directory], stdout=log, stderr=log)

    def _get(self, path):
        with urllib.request.urlopen(self.rest + path, timeout=5) as answer:
            return json.load(answer)

    def _wait_for(self, condition, what, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise SystemExit(f"measure: no sign of {what} after {seconds} s; logs are in {self.directory}")

    def reaped_cpu_seconds(self):
        """User and system time of the taskmanager's children that have ended."""
        stat = pathlib.Path(f"/proc/{self.taskmanager.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / TICKS

    def _has_children(self):
        path = pathlib.Path(f"/proc/{self.taskmanager.pid}/task")
        return any((thread / "children").read_text().strip() for thread in path.iterdir())

    def run(self, job, arguments):
        """CPU seconds of the job's worker."""
        self._wait_for(lambda: not self._has_children(), "the end of the worker before")
        before = self.reaped_cpu_seconds()
        run = subprocess.run(
            [self.bin / "weir", "run", "-m", self.rest.partition("//")[2], "-p", "1", job, *arguments],
            env={**os.environ, "WEIR_CONF_DIR": str(self.directory)},
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            raise SystemExit(f"measure: weir run failed: {run.stdout}{run.stderr}(logs: {self.directory})")
        self._wait_for(lambda: not self._has_children(), "the end of the worker")
        return self.reaped_cpu_seconds() - before

    def stop(self):
        for process in (self.taskmanager, self.jobmanager):
            process.terminate()
        for process in (self.taskmanager, self.jobmanager):
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def run_loop(build, keys, count):
    out = subprocess.run([build / "bench" / "bench_loop", keys, str(count)], check=True, capture_output=True, text=True)
    return float(out.stdout.split()[1])


def summary(seconds, count):
    per_million = [s / count * 1e6 for s in seconds]
    median = statistics.median(per_million)
    return {"cpu_seconds_per_million": median, "lowest": min(per_million), "highest": max(per_million),
            "million_per_cpu_second": 1 / median}


def measure(cluster, build, keys, count, pairs):
    weir, loop = [], []
    for pair in range(pairs + 1):
        arguments = ["--keys", keys, "--count", str(count), "--checkpoints"]
        cpu = cluster.run(build / "bench" / "memory.so", arguments)
        reference = run_loop(build, keys, count)
        if pair > 0:  # the first one warms caches and the CPU's clock
            weir.append(cpu)
            loop.append(reference)
    result = {"keys": keys, "records": count, "pairs": pairs,
              "weir": summary(weir, count), "loop": summary(loop, count)}
    result["ratio"] = statistics.median(l / w for w, l in zip(weir, loop))
    return result


def print_row(name, result):
    def text(side):
        s = result[side]
        return (f"{s['million_per_cpu_second']:8.1f} ({1 / s['highest']:.1f}–{1 / s['lowest']:.1f})")

    print(f"{name:16} {result['keys']:8} {text('weir'):>24} {text('loop'):>26}   {result['ratio']:6.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--pairs", type=int, default=5, help="alternating pairs of Weir and reference (default 5)")
    parser.add_argument("--records", type=int, help="millions of records a run (default: by scenario)")
    parser.add_argument("--rest-port", type=int, default=18081)
    parser.add_argument("--rpc-port", type=int, default=16123)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.scenario if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    results = pathlib.Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    print("Million records per CPU second: median (lowest–highest); ratio: Weir's to the loop's, of pairs\n")
    print(f"{'scenario':16} {'keys':8} {'Weir':>24} {'hand-written loop':>26}   {'ratio':>6}", flush=True)
    cluster = Cluster(options.build, options.rest_port, options.rpc_port)
    try:
        for name in options.scenario or SCENARIOS:
            rows = []
            for keys, count in SCENARIOS[name]:
                count = options.records * 1_000_000 if options.records else count
                rows.append(measure(cluster, options.build, keys, count, options.pairs))
                print_row(name, rows[-1])
            report = {"scenario": name, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                      "machine": platform.machine(), "cpus": os.cpu_count(),
                      "load": os.getloadavg(), "rows": rows}
            (results / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
