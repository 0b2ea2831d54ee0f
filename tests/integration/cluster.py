"""A cluster of real processes in a directory of its own: started, asked, killed, and looked at from outside.

Nothing here sleeps for a while and hopes: wait_until() waits for a condition with a deadline. Processes are started through
setpriv --pdeathsig, so that none outlives the test run, however it ends.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build-test")))
# A build without sanitizers, for what measures memory or time; the playground makes the same one.
RELEASE_BUILD = os.path.abspath(os.environ.get("WEIR_RELEASE_BUILD", os.path.join(ROOT, "build")))
# Deadlines are for a machine that has better things to do; they are multiplied by this.
PATIENCE = float(os.environ.get("WEIR_PATIENCE", "1"))

SANITIZER_SIGNS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion ")

long_run = unittest.skipUnless(os.environ.get("WEIR_LONG"), "a long run; tests/run.sh --release has it")


def wait_until(condition, timeout, what):
    """Returns the condition's first true value."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s (last: %r)" % (timeout * PATIENCE, what, value))
        time.sleep(0.02)


_allotted = set()


def free_port():
    """One that nothing listens on, that this run has not given away yet, and that the kernel does not give to clients."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first_ephemeral = int(file.read().split()[0])
    # A different start for each run, so that two runs at a time rarely meet.
    start = 10000 + os.getpid() * 97 % (first_ephemeral - 12000)
    for port in range(start, first_ephemeral):
        if port in _allotted:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _allotted.add(port)
        return port
    raise AssertionError("no free port")


def environment(**more):
    result = dict(os.environ)
    result.setdefault("ASAN_OPTIONS", "detect_odr_violation=0:abort_on_error=0:use_sigaltstack=0")
    result.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    result.update(more)
    return result


class Process:
    """One process with its log file."""

    def __init__(self, name, command, log, env=None, cwd=None):
        self.name = name
        self.log = log
        self.command = command
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--"] + command, stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env=env or environment(), cwd=cwd, start_new_session=True)
        self.pid = self.popen.pid
        self.killed = False

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def kill9(self):
        self.killed = True
        self.popen.kill()
        self.popen.wait()

    def wait(self, timeout):
        try:
            return self.popen.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s did not end within %g s; its log:\n%s" % (self.name, timeout, self.tail()))

    def terminate(self, timeout=15):
        """Returns the exit code."""
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError("%s did not end on SIGTERM; its log:\n%s" % (self.name, self.tail()))

    def text(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def tail(self, lines=25):
        return "\n".join(self.text().splitlines()[-lines:])


def children_of(pid):
    result = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry) as file:
                    text = file.read()
            except OSError:
                continue
            fields = text[text.rindex(")") + 2:].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                result.append(int(entry))
    return sorted(result)


def process_exists(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            text = file.read()
    except OSError:
        return False
    return text[text.rindex(")") + 2] != "Z"


def processes_marked(name, value):
    """Pids of all processes that have name=value in their environment."""
    wanted = ("%s=%s" % (name, value)).encode()
    result = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open("/proc/%s/environ" % entry, "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        result.append(int(entry))
            except OSError:
                pass
    return [pid for pid in result if process_exists(pid)]


def command_line(pid):
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace").strip()


def mapped_files(pid):
    with open("/proc/%d/maps" % pid) as file:
        return sorted({line.split(None, 5)[5].strip() for line in file if len(line.split(None, 5)) == 6})


def resident_kb(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1))


class Cluster:
    """Ports and files of one jobmanager, its taskmanagers, a broker, generators and an auditor."""

    def __init__(self, build=None, **config):
        self.build = build or BUILD
        self.directory = tempfile.mkdtemp(prefix="weir-test.")
        self.processes = []
        self.broker = None
        self.rpc_port = free_port()
        self.rest_port = free_port()
        self.config = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": self.rpc_port,
            "rest.port": self.rest_port,
            "taskmanager.numberOfTaskSlots": 2,
            "heartbeat.interval": "1 s",
            "heartbeat.timeout": "%d s" % (20 * PATIENCE),
            "state.checkpoints.dir": "file://%s/checkpoints" % self.directory,
            "state.savepoints.dir": "file://%s/savepoints" % self.directory,
            "io.tmp.dirs": "%s/tmp" % self.directory,
        }
        self.config.update({key.replace("__", "."): value for key, value in config.items()})
        os.mkdir(os.path.join(self.directory, "tmp"))
        self.write_config()

    def write_config(self, **changes):
        self.config.update({key.replace("__", "."): value for key, value in changes.items()})
        with open(os.path.join(self.directory, "config.yaml"), "w") as file:
            for key, value in self.config.items():
                file.write("%s: %s\n" % (key, value))

    # ---- processes

    def executable(self, name):
        path = os.path.join(self.build, "bin", name)
        if not os.path.exists(path):
            raise AssertionError("%s is not built" % path)
        return path

    def job(self, name):
        for folder in ("examples", "tests/jobs"):
            path = os.path.join(self.build, folder, name + ".so")
            if os.path.exists(path):
                return path
        raise AssertionError("job %s is not built in %s" % (name, self.build))

    def start(self, name, command, **options):
        log = os.path.join(self.directory, "%s-%d.log" % (name, len(self.processes)))
        process = Process(name, command, log, **options)
        self.processes.append(process)
        return process

    def start_jobmanager(self):
        self.jobmanager = self.start("jobmanager", [self.executable("jobmanager"), "--configDir", self.directory])
        self.wait(lambda: self.try_get("/overview"), 20, "REST answers")
        return self.jobmanager

    def start_taskmanager(self, wait=True):
        before = self.try_get("/overview") if wait else None
        taskmanager = self.start("taskmanager", [self.executable("taskmanager"), "--configDir", self.directory])
        if wait:
            self.wait(lambda: self.get("/overview")["taskmanagers"] > before["taskmanagers"], 20, "registration")
        return taskmanager

    def start_broker(self, topics="input:2,output:2"):
        file = os.path.join(self.directory, "broker.address")
        process = self.start("broker", [self.executable("weir-devbroker"), "--port", "0", "--topics", topics,
                                        "--address-file", file])
        self.wait(lambda: os.path.exists(file), 10, "the broker is ready")
        with open(file) as text:
            self.broker = text.read().strip()
        return process

    def start_generator(self, rate_factor=20, offset=0, count=None):
        command = [self.executable("click-event-generator"), "--bootstrap.servers", self.broker,
                   "--rate-factor", str(rate_factor), "--offset", str(offset)]
        if count is not None:
            command += ["--count", str(count)]
        self.generator = self.start("generator", command)
        return self.generator

    def start_auditor(self, settle=60, min_windows=3):
        ready = os.path.join(self.directory, "auditor.ready")
        self.auditor = self.start("auditor", [
            self.executable("weir-audit"), "--bootstrap.servers", self.broker, "--follow", "--json", "--require-empty",
            "--settle", str(settle * PATIENCE), "--min-windows", str(min_windows), "--ready-file", ready])
        self.wait(lambda: os.path.exists(ready), 30, "the auditor reads")
        return self.auditor

    def start_all(self, taskmanagers=1):
        """All that Click Event Count needs, but generator and job."""
        self.start_broker()
        self.start_auditor()
        self.start_jobmanager()
        self.taskmanagers = [self.start_taskmanager() for _ in range(taskmanagers)]

    def wait(self, condition, timeout, what):
        """wait_until, with the logs if it fails, and at once if a process that nobody killed has ended."""
        def checked():
            for process in self.processes:
                if process.name in ("jobmanager", "taskmanager", "broker") and not process.alive() and not process.killed:
                    raise AssertionError("%s ended by itself (%s):\n%s" %
                                         (process.name, process.popen.returncode, process.tail()))
            return condition()
        try:
            return wait_until(checked, timeout, what)
        except AssertionError as failure:
            raise AssertionError("%s\n%s" % (failure, self.logs())) from None

    def logs(self):
        return "\n".join("---- %s (%s)\n%s" % (p.name, os.path.basename(p.log), p.tail()) for p in self.processes)

    def stop(self):
        """Ends everything and complains of what the sanitizers or the kernel said."""
        complaints = []
        for process in reversed(self.processes):
            try:
                if process.name in ("auditor", "generator") and process.alive():
                    process.kill9()  # the test ended before it was asked
                if process.alive():
                    process.signal(signal.SIGCONT)
                process.terminate()
            except AssertionError as failure:
                complaints.append(str(failure))
        for process in self.processes:
            if any(sign in process.text() for sign in SANITIZER_SIGNS):
                complaints.append("%s:\n%s" % (process.name, process.tail(60)))
        if complaints or os.environ.get("WEIR_KEEP"):
            sys.stderr.write("kept: %s\n" % self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        if complaints:
            raise AssertionError("\n".join(complaints))

    # ---- client

    def client(self, *arguments, timeout=60, **env):
        """Runs weir ACTION -m … ; returns the completed process with text."""
        action, rest = arguments[0], list(arguments[1:])
        command = [self.executable("weir"), action, "-m", "localhost:%d" % self.rest_port] + rest
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout * PATIENCE,
                              env=environment(**env), stdin=subprocess.DEVNULL)

    def submit(self, job, *arguments, parallelism=2, settings=(), options=()):
        """Submits detached; returns the job's id."""
        command = ["run", "-d", "-p", str(parallelism)] + list(options)
        for setting in settings:
            command += ["-D", setting]
        result = self.client(*command, self.job(job), *arguments)
        found = re.search(r"^Job has been submitted with JobID ([0-9a-f]{32})$", result.stdout, re.M)
        if not found or result.returncode != 0:
            raise AssertionError("not submitted: %s%s\n%s" % (result.stdout, result.stderr, self.logs()))
        return found.group(1)

    def submit_count(self, *arguments, parallelism=2, settings=(), options=()):
        return self.submit("click_event_count", "--bootstrap.servers", self.broker, *arguments,
                           parallelism=parallelism, settings=settings, options=options)

    # ---- REST

    def request(self, path, method="GET"):
        """Status and decoded body."""
        request = urllib.request.Request("http://localhost:%d%s" % (self.rest_port, path), method=method)
        try:
            with urllib.request.urlopen(request, timeout=20 * PATIENCE) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path):
        status, body = self.request(path)
        if status != 200:
            raise AssertionError("GET %s: %d %s" % (path, status, body))
        return body

    def try_get(self, path):
        try:
            return self.get(path)
        except OSError:
            return None

    def job_state(self, job):
        return self.get("/jobs/" + job)["state"]

    def job_metric(self, job, name):
        values = self.get("/jobs/%s/metrics?get=%s" % (job, name))
        return int(values[0]["value"]) if values else None

    def restarts(self, job):
        return self.job_metric(job, "numRestarts")

    def vertex_metric(self, job, name):
        """Summed over all subtasks of all vertices that have it."""
        total = 0
        for vertex in self.get("/jobs/" + job)["vertices"]:
            for sample in self.get("/jobs/%s/vertices/%s/subtasks/metrics?get=%s&agg=sum" % (job, vertex["id"], name)):
                total += int(float(sample["sum"]))
        return total

    def source_metric(self, job, operator, name):
        """An operator's metric, summed over the first vertex's subtasks."""
        vertex = self.get("/jobs/" + job)["vertices"][0]
        scoped = "%s.%s" % (re.sub(r"[^A-Za-z0-9_]", "_", operator), name)
        names = ",".join("%d.%s" % (i, scoped) for i in range(vertex["parallelism"]))
        samples = self.get("/jobs/%s/vertices/%s/metrics?get=%s" % (job, vertex["id"], names))
        return sum(int(sample["value"]) for sample in samples)

    def task_counts(self, job):
        """Subtasks of all vertices by state, without zeroes."""
        counts = {}
        for vertex in self.get("/jobs/" + job)["vertices"]:
            for state, count in vertex["tasks"].items():
                counts[state] = counts.get(state, 0) + count
        return {state: count for state, count in counts.items() if count}

    def all_tasks_run(self, job):
        vertices = self.get("/jobs/" + job)["vertices"]
        return all(vertex["tasks"]["RUNNING"] == vertex["parallelism"] for vertex in vertices)

    def wait_running(self, job, timeout=30):
        self.wait(lambda: self.all_tasks_run(job), timeout, "all tasks of the job RUNNING")

    def wait_state(self, job, state, timeout=30):
        self.wait(lambda: self.job_state(job) == state, timeout, "job " + state)

    def wait_checkpoints(self, job, count, timeout=30):
        """Until count more checkpoints are complete."""
        wanted = self.get("/jobs/%s/checkpoints" % job)["counts"]["completed"] + count
        self.wait(lambda: self.get("/jobs/%s/checkpoints" % job)["counts"]["completed"] >= wanted, timeout,
                  "%d more checkpoints" % count)

    def exceptions(self, job):
        return self.get("/jobs/%s/exceptions" % job)["exceptionHistory"]["entries"]

    # ---- what happens inside

    def workers(self, taskmanager):
        """Pids of its worker processes."""
        return [pid for pid in children_of(taskmanager.pid) if "--worker" in command_line(pid)]

    def worker_of(self, taskmanager):
        workers = self.workers(taskmanager)
        if len(workers) != 1:
            raise AssertionError("workers: %r" % workers)
        return workers[0]

    # ---- Kafka

    def output_count(self):
        """Records that the auditor has seen on output so far."""
        return self.auditor.text().count('"windowStart"')

    def wait_output(self, more, timeout=60):
        wanted = self.output_count() + more
        self.wait(lambda: self.output_count() >= wanted, timeout, "%d more output records" % more)

    def produce(self, topic, partition, value):
        subprocess.run(["kcat", "-P", "-b", self.broker, "-t", topic, "-p", str(partition)], input=value.encode(),
                       check=True, timeout=30 * PATIENCE)

    def end_offset(self, topic, partition):
        result = subprocess.run(["kcat", "-Q", "-b", self.broker, "-t", "%s:%d:-1" % (topic, partition)], check=True,
                                capture_output=True, text=True, timeout=30 * PATIENCE)
        return int(re.search(r"offset (\d+)", result.stdout).group(1))

    def audit(self):
        """Ends generator and auditor; returns the auditor's summary."""
        if self.generator.alive():
            self.generator.terminate(40)
        if self.generator.popen.returncode != 0:
            raise AssertionError("the generator failed:\n" + self.generator.tail())
        self.auditor.terminate(100)
        line = self.auditor.text().strip().splitlines()[-1]
        try:
            return json.loads(line)
        except ValueError:
            raise AssertionError("the auditor failed:\n" + self.auditor.tail()) from None


class ClusterTest(unittest.TestCase):
    """Gives each test a cluster that is stopped behind it; a failed test shows the ends of the logs."""

    def new_cluster(self, **config):
        cluster = Cluster(**config)
        self.addCleanup(cluster.stop)
        self.cluster = cluster
        return cluster

    def assert_exact(self, cluster, summary, min_windows=3):
        problem = "%s\n%s" % (summary, cluster.logs())
        self.assertGreaterEqual(summary["windowsComplete"], min_windows, problem)
        self.assertEqual(summary["exact"], summary["windowsComplete"], problem)
        self.assertEqual(summary["prematureRecords"], 0, problem)
        self.assertEqual(summary["outputBad"], 0, problem)
        self.assertEqual(summary["verdict"], "exact", problem)
