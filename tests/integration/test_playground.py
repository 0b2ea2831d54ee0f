"""deploy/playground.sh as a person uses it. It builds in build/, without sanitizers."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import uuid

from cluster import PATIENCE, ROOT, free_port, long_run, process_exists, processes_marked, wait_until

SCRIPT = os.path.join(ROOT, "deploy", "playground.sh")
FIRST_BUILD_SECONDS = 600


class Playground(unittest.TestCase):
    def start(self, *arguments, ports=None):
        """From a directory that is not the repository. Everything that descends from it carries a mark."""
        self.mark = uuid.uuid4().hex
        self.directory = tempfile.mkdtemp(prefix="weir-playground-test.")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.rest_port, self.rpc_port = ports or (free_port(), free_port())
        log = open(os.path.join(self.directory, "out"), "w+")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [SCRIPT, "--rest-port", str(self.rest_port), "--rpc-port", str(self.rpc_port)] + list(arguments), stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.directory, start_new_session=True,
            env=dict(os.environ, WEIR_TEST_MARK=self.mark, TMPDIR=self.directory))
        process.mark = self.mark
        process.out = os.path.join(self.directory, "out")
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        for pid in processes_marked("WEIR_TEST_MARK", process.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()

    def text(self, process):
        with open(process.out) as file:
            return file.read()

    def finish(self, process, timeout):
        try:
            return process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail("the playground did not end within %g s:\n%s" % (timeout, self.text(process)))

    def wait_started(self, process):
        def started():
            self.assertIsNone(process.poll(), self.text(process))
            return "Ctrl-C stops everything" in self.text(process)
        wait_until(started, FIRST_BUILD_SECONDS, "the playground is up")

    def assert_nothing_left(self, mark):
        wait_until(lambda: not processes_marked("WEIR_TEST_MARK", mark), 5, "no process is left")

    def figures(self, text):
        return {name: int(value) for name, value in
                re.findall(r"^  ([a-z ]+?) +(\d+)$", text[text.rindex("\nAudit of "):], re.M)}

    def test_killed_taskmanager(self):
        process = self.start("--rate-factor", "15", "--duration", "14", "--kill-taskmanager-after", "5")
        code = self.finish(process, FIRST_BUILD_SECONDS + 90)
        text = self.text(process)
        self.assertEqual(code, 0, text)
        self.assert_nothing_left(process.mark)
        figures = self.figures(text)
        self.assertGreaterEqual(figures["windows complete"], 3, text)
        self.assertEqual(figures["exact"], figures["windows complete"], text)
        self.assertEqual([figures[name] for name in ("short", "over", "missing")], [0, 0, 0], text)
        self.assertGreaterEqual(figures["restarts seen"], 1, text)
        # What it prints for people: results as they appear, addresses, commands to paste.
        self.assertIn('{"windowStart":"01-01-1970 00:00:00:000","windowEnd":"01-01-1970 00:00:15:000","page":"/help","count":1000}',
                      text)
        self.assertIn("http://localhost:%d" % self.rest_port, text)
        for pattern in (r"kcat -C .*-b \S+:\d+ -t output", r"kill -9 \d+", r"weir list -m", r"weir cancel -m \S+ [0-9a-f]{32}"):
            self.assertRegex(text, pattern)
        self.assertRegex(text, r"first task RUNNING after \d+\.\d\d s")

    def test_ctrl_c_and_second_start(self):
        process = self.start()
        self.wait_started(process)
        first_mark = process.mark
        taskmanager = int(re.search(r"kill -9 (\d+)", self.text(process)).group(1))
        self.assertTrue(process_exists(taskmanager))
        for ports in ((self.rest_port, self.rpc_port), (self.rest_port, free_port()), (free_port(), self.rpc_port)):
            second = self.start(ports=ports)
            self.assertEqual(self.finish(second, 30), 1)
            self.assertIn("taken", self.text(second))
            self.assertEqual(os.listdir(self.directory), ["out"])  # did nothing
            self.assert_nothing_left(second.mark)
        self.assertTrue(process_exists(taskmanager))
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(self.finish(process, 30), 130, self.text(process))
        self.assert_nothing_left(first_mark)

    def test_killed_script_leaves_nothing(self):
        process = self.start()
        self.wait_started(process)
        process.kill()
        self.assert_nothing_left(process.mark)

    def test_too_short_is_not_a_success(self):
        process = self.start("--duration", "2")
        self.assertNotEqual(self.finish(process, FIRST_BUILD_SECONDS), 0)
        self.assertIn("too few windows", self.text(process))
        self.assert_nothing_left(process.mark)

    def test_lossy_job_is_not_a_success(self):
        """Without --checkpointing the same kill loses data, and the playground says so."""
        process = self.start("--rate-factor", "15", "--duration", "16", "--kill-taskmanager-after", "8", "--", "--event-time")
        self.assertEqual(self.finish(process, FIRST_BUILD_SECONDS), 1, self.text(process))
        self.assertIn("inexact", self.text(process))

    def test_bad_options(self):
        for arguments, expected in ((["--bogus"], "unknown option"), (["--slots", "x"], "--slots"), (["--duration"], "value"),
                                    (["--kafka", "--bootstrap.servers", "a:1"], "exclude")):
            with self.subTest(arguments):
                process = self.start(*arguments)
                self.assertEqual(self.finish(process, 20), 1)
                self.assertIn(expected, self.text(process))

    @long_run
    def test_with_a_real_kafka(self):
        process = self.start("--kafka", "--rate-factor", "5", "--duration", "30", "--kill-taskmanager-after", "10")
        code = self.finish(process, FIRST_BUILD_SECONDS + 200)
        text = self.text(process)
        self.assertEqual(code, 0, text)
        self.assert_nothing_left(process.mark)
        self.assertGreaterEqual(self.figures(text)["restarts seen"], 1)

    @long_run
    def test_at_the_ordinary_rate(self):
        process = self.start("--duration", "80", "--kill-taskmanager-after", "20", "--taskmanagers", "2", "--slots", "1")
        self.assertEqual(self.finish(process, FIRST_BUILD_SECONDS + 200), 0, self.text(process))


if __name__ == "__main__":
    unittest.main()
