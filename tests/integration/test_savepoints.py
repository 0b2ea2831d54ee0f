"""Savepoints: taken, stopped with, started from, at another parallelism; counts exact across all of it."""

import os
import re
import shutil
import unittest

from cluster import ClusterTest

EXACTLY = ("--checkpointing", "--event-time")


class Savepoints(ClusterTest):
    def path_in(self, result, prefix="Savepoint completed. Path: file:"):
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr + self.cluster.logs())
        found = re.search(r"^%s(/\S+)$" % re.escape(prefix), result.stdout, re.M)
        self.assertTrue(found, result.stdout)
        return found.group(1)

    def start(self, **config):
        cluster = self.new_cluster(**config)
        cluster.start_all()
        job = cluster.submit_count(*EXACTLY)
        cluster.start_generator()
        cluster.wait_running(job)
        cluster.wait_output(6)
        return cluster, job

    def test_stop_and_go_on_at_another_parallelism(self):
        cluster, job = self.start()
        result = cluster.client("stop", job)
        self.assertEqual(result.stdout.splitlines()[:3], [
            'Suspending job "%s" with a CANONICAL savepoint.' % job,
            "Triggering stop-with-savepoint for job %s." % job, "Waiting for response..."])
        path = self.path_in(result)
        self.assertRegex(path, r"/savepoints/savepoint-%s-[0-9a-f]{12}$" % job[:6])
        self.assertEqual(cluster.job_state(job), "FINISHED")
        self.assertEqual(cluster.task_counts(job), {"FINISHED": 6})

        # Moved, and started with more subtasks than there are slots.
        moved = os.path.join(cluster.directory, "moved")
        shutil.move(path, moved)
        cluster.wait(lambda: cluster.get("/overview")["slots-available"] == 2, 10, "the slots are free")
        job = cluster.submit_count(*EXACTLY, parallelism=3, options=("-s", moved))
        self.assertEqual(cluster.job_state(job), "RUNNING")
        self.assertEqual(cluster.task_counts(job), {"SCHEDULED": 9})
        cluster.taskmanagers.append(cluster.start_taskmanager())
        cluster.wait_running(job)
        cluster.wait_output(12)
        summary = cluster.audit()
        self.assert_exact(cluster, summary, min_windows=3)
        self.assertEqual(summary["duplicateRecords"], 0)
        self.assertEqual(cluster.restarts(job), 0)
        self.assertTrue(os.path.exists(os.path.join(moved, "_metadata")))

    def test_savepoint_checkpoint_and_disposal_of_a_running_job(self):
        cluster, job = self.start()
        target = os.path.join(cluster.directory, "mine")
        path = self.path_in(cluster.client("savepoint", job, target))
        self.assertTrue(path.startswith(target + "/savepoint-%s-" % job[:6]), path)
        self.assertEqual(cluster.job_state(job), "RUNNING")
        result = cluster.client("checkpoint", job)
        self.assertRegex(result.stdout, r"(?m)^Checkpoint \d+ for job %s completed\.$" % job)
        cluster.wait_checkpoints(job, 2)
        self.assertTrue(os.path.exists(os.path.join(path, "_metadata")))
        latest = cluster.get("/jobs/%s/checkpoints" % job)["latest"]["savepoint"]
        self.assertEqual(latest["external_path"], "file:" + path)

        result = cluster.client("savepoint", "-d", "file:" + path)
        self.assertEqual(result.stdout.splitlines()[-1], "Savepoint 'file:%s' disposed." % path)
        self.assertFalse(os.path.exists(path))
        result = cluster.client("savepoint", "-d", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn("Failed to dispose the savepoint '%s'." % path, result.stderr)

        # One that can't be written leaves the job as it was.
        result = cluster.client("stop", "-p", "/proc/nothing/here", job)
        self.assertEqual(result.returncode, 1)
        self.assertIn('Could not stop with a savepoint job "%s".' % job, result.stderr)
        cluster.wait_output(6)
        self.assertEqual(cluster.restarts(job), 0)
        self.assert_exact(cluster, cluster.audit())

    def test_drain_fires_all_windows(self):
        cluster, job = self.start()
        result = cluster.client("stop", "--drain", job)
        self.assertEqual(result.stdout.splitlines()[0], 'Draining job "%s" with a CANONICAL savepoint.' % job)
        self.path_in(result)
        self.assertEqual(cluster.job_state(job), "FINISHED")
        summary = cluster.audit()
        # What was in open windows has come out, before its time.
        self.assertGreater(summary["short"] + summary["prematureRecords"], 0, summary)

    def test_damaged_missing_and_unknown(self):
        cluster, job = self.start()
        path = self.path_in(cluster.client("stop", job))
        unknown = "0" * 32
        result = cluster.client("savepoint", unknown)
        self.assertEqual(result.returncode, 1)
        self.assertIn("Could not find Weir job (%s)" % unknown, result.stderr)
        with open(os.path.join(path, "_metadata"), "r+b") as file:
            file.seek(40)
            byte = file.read(1)[0]
            file.seek(40)
            file.write(bytes([byte ^ 1]))
        count = len(cluster.get("/jobs")["jobs"])
        for where, what in ((path, "_metadata"), (path + "-gone", "_metadata")):
            result = cluster.client("run", "-d", "-s", where, cluster.job("click_event_count"),
                                    "--bootstrap.servers", cluster.broker, *EXACTLY)
            self.assertEqual(result.returncode, 1)
            self.assertIn(what, result.stderr)
        self.assertEqual(len(cluster.get("/jobs")["jobs"]), count)
        cluster.auditor.kill9()  # there is nothing to wait for


if __name__ == "__main__":
    unittest.main()
