"""The client's texts and exit codes, against a real jobmanager."""

import os
import re
import subprocess
import time
import unittest

from cluster import BUILD, ClusterTest, environment, free_port

DATE = r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d"


class Client(ClusterTest):
    def setUp(self):
        self.new_cluster().start_jobmanager()

    def refused(self, *arguments):
        """Runs `weir run`; asserts that it fails and that nothing was submitted; returns what it said."""
        result = self.cluster.client("run", "-d", *arguments)
        self.assertEqual(result.returncode, 1, result)
        self.assertNotIn("JobID", result.stdout)
        self.assertEqual(self.cluster.get("/jobs"), {"jobs": []})
        return result.stdout + result.stderr

    def test_files_that_are_no_jobs(self):
        cluster = self.cluster
        text = os.path.join(cluster.directory, "text.so")
        with open(text, "w") as file:
            file.write("not a shared object\n")
        cut_off = os.path.join(cluster.directory, "cut_off.so")
        with open(cluster.job("click_event_count"), "rb") as whole, open(cut_off, "wb") as part:
            part.write(whole.read(3000))
        missing = os.path.join(cluster.directory, "missing.so")
        for path, expected in ((missing, "does not exist"), (cluster.directory, "Not a file"), (text, "text.so"),
                               (cut_off, "cut_off.so"), (cluster.job("no_descriptor"), "not a Weir job"),
                               (cluster.job("bad_magic"), "not a Weir job"), (cluster.job("no_main"), "main")):
            with self.subTest(os.path.basename(path)):
                said = self.refused(path)
                self.assertIn(expected, said)
                self.assertIn(os.path.basename(path), said)

    def test_job_for_another_api_major(self):
        said = self.refused(self.cluster.job("other_major"))
        self.assertRegex(said, r"API 7\.\d+")  # what it was compiled for
        self.assertRegex(said, r"API 1\.\d+")  # what this is

    def test_main_that_goes_wrong(self):
        job = self.cluster.job("crash_job")
        said = self.refused(job, "--crash-in-main")
        self.assertIn("SIGSEGV", said)
        self.assertIn("crash_here", said)
        self.assertIn("nothing was submitted", said)
        self.assertIn("exit code 7", self.refused(job, "--exit-in-main", "7"))
        self.assertIn("no such luck", self.refused(job, "--reject", "no such luck"))
        self.refused(job, "--return-from-main", "3")

    def test_arguments(self):
        cluster = self.cluster
        for arguments, expected in (
                (("cancel",), "Missing JobID. Specify a JobID to cancel a job."),
                (("cancel", "123"), 'Cannot parse JobID from "123". The expected format is [0-9a-fA-F]{32}, '
                                    'e.g. fd72014d4c864993a2e5a9287b4a9c5d.')):
            with self.subTest(arguments):
                result = cluster.client(*arguments)
                self.assertEqual(result.returncode, 1)
                self.assertEqual(result.stdout,
                                 expected + "\n\nUse the help option (-h or --help) to get help on the command.\n")
        weir = cluster.executable("weir")
        for arguments, code, expected in ((["--version"], 0, r"^Version: \d+\.\d+\.\d+, Commit ID: \w+\n$"),
                                          (["--help"], 0, r'Action "run" compiles and runs a program\.'),
                                          (["bogus"], 1, r'"bogus" is not a valid action\.'),
                                          ([], 1, r"Please specify an action\.")):
            with self.subTest(arguments):
                result = subprocess.run([weir] + arguments, capture_output=True, text=True, env=environment())
                self.assertEqual(result.returncode, code)
                self.assertRegex(result.stdout, expected)

    def test_list_and_cancel(self):
        cluster = self.cluster
        result = cluster.client("list")
        self.assertEqual((result.returncode, result.stdout),
                         (0, "Waiting for response...\nNo running jobs.\nNo scheduled jobs.\n"))
        cluster.start_taskmanager()
        job = cluster.submit("crash_job", parallelism=1)
        cluster.wait_running(job)
        running = ("Waiting for response...\n"
                   "------------------ Running/Restarting Jobs -------------------\n"
                   + DATE + " : " + job + r" : Crash Job \(RUNNING\)" + "\n"
                   "--------------------------------------------------------------\n")
        self.assertRegex(cluster.client("list").stdout, "^" + running + r"No scheduled jobs\.\n$")
        self.assertRegex(cluster.client("list", "-r").stdout, "^" + running + "$")
        self.assertEqual(cluster.client("list", "-s").stdout, "Waiting for response...\nNo scheduled jobs.\n")

        result = cluster.client("cancel", job)
        self.assertEqual((result.returncode, result.stdout), (0, "Cancelling job %s.\nCancelled job %s.\n" % (job, job)))
        cluster.wait_state(job, "CANCELED")
        self.assertRegex(cluster.client("list", "-a").stdout,
                         r"^Waiting for response\.\.\.\nNo running jobs\.\nNo scheduled jobs\.\n"
                         r"---------------------- Terminated Jobs -----------------------\n"
                         + DATE + " : " + job + r" : Crash Job \(CANCELED\)" + "\n-{62}\n$")

        result = cluster.client("cancel", "0" * 32)
        self.assertEqual(result.returncode, 1)
        self.assertIn("Could not cancel job %s." % ("0" * 32), result.stderr)
        self.assertIn(" The program finished with the following exception:", result.stderr)

    def test_attached_run_follows_the_job(self):
        cluster = self.cluster
        cluster.start_taskmanager()
        result = cluster.client("run", cluster.job("crash_job"), "--to", "200")
        self.assertEqual(result.returncode, 0, result)
        job = re.search(r"Job has been submitted with JobID ([0-9a-f]{32})", result.stdout).group(1)
        self.assertEqual(cluster.job_state(job), "FINISHED")
        result = cluster.client("run", "-D", "restart-strategy.type=none", cluster.job("crash_job"), "--fail-at", "5")
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("told to fail at 5", result.stderr)

    def test_nothing_listens(self):
        weir = os.path.join(BUILD, "bin", "weir")
        port = free_port()
        begin = time.monotonic()
        result = subprocess.run([weir, "list", "-m", "localhost:%d" % port], capture_output=True, text=True,
                                env=environment(), timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn("localhost:%d" % port, result.stderr)
        self.assertLess(time.monotonic() - begin, 10)

    def test_bad_setting(self):
        said = self.refused("-D", "restart-strategy.type=sometimes", self.cluster.job("crash_job"))
        self.assertIn("restart-strategy.type", said)
        self.assertIn("sometimes", said)


if __name__ == "__main__":
    unittest.main()
