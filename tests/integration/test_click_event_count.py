"""Click Event Count on real processes: exact, whatever is killed."""

import os
import signal
import time
import unittest

from cluster import ClusterTest, process_exists, wait_until

EXACTLY = ("--checkpointing", "--event-time")


class ClickEventCount(ClusterTest):
    def test_exact_without_failures(self):
        cluster = self.new_cluster()
        cluster.start_all()
        job = cluster.submit_count(*EXACTLY)
        cluster.start_generator()
        cluster.wait_running(job)
        cluster.wait_output(24)
        cluster.wait_checkpoints(job, 1)
        summary = cluster.audit()
        self.assert_exact(cluster, summary, min_windows=4)
        self.assertEqual(summary["duplicateRecords"], 0)
        self.assertEqual(cluster.restarts(job), 0)
        self.assertEqual(cluster.vertex_metric(job, "numLateRecordsDropped"), 0)
        self.assertGreaterEqual(cluster.auditor.text().count('"count":1000}'), 24)

    def test_variants(self):
        for name, parallelism, arguments in (("one subtask", 1, ()), ("chained", 2, ("--chaining",)),
                                             ("one subtask, chained", 1, ("--chaining",))):
            with self.subTest(name):
                cluster = self.new_cluster()
                cluster.start_all()
                job = cluster.submit_count(*EXACTLY, *arguments, parallelism=parallelism)
                cluster.start_generator()
                cluster.wait_running(job)
                cluster.wait_output(18)
                self.assert_exact(cluster, cluster.audit())

    def test_backlog_is_read_without_dropping_anything_as_late(self):
        cluster = self.new_cluster()
        cluster.start_all()
        cluster.start_generator(rate_factor=1000, count=120000)
        self.assertEqual(cluster.generator.wait(60), 0, cluster.generator.tail())
        job = cluster.submit_count(*EXACTLY)
        cluster.wait_output(19 * 6)
        self.assert_exact(cluster, cluster.audit(), min_windows=19)
        self.assertEqual(cluster.vertex_metric(job, "numLateRecordsDropped"), 0)

    def test_worker_killed_again_and_again(self):
        cluster = self.new_cluster(**{"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "100 ms"})
        cluster.start_all()
        taskmanager = cluster.taskmanagers[0]
        job = cluster.submit_count(*EXACTLY)
        cluster.start_generator()
        # At once, before a first checkpoint; after a checkpoint; between checkpoints; right after one.
        moments = (lambda: None, lambda: cluster.wait_checkpoints(job, 1), lambda: cluster.wait_output(7),
                   lambda: cluster.wait_checkpoints(job, 2))
        for kills, moment in enumerate(moments, start=1):
            cluster.wait_running(job)
            moment()
            worker = cluster.worker_of(taskmanager)
            self.kill_worker(worker)
            cluster.wait(lambda: cluster.restarts(job) == kills, 20, "restart %d" % kills)
            self.assertTrue(taskmanager.alive())
        cluster.wait_running(job)
        self.assertNotIn(worker, cluster.workers(taskmanager))
        cluster.wait_checkpoints(job, 1)
        cluster.wait_output(12)
        self.assert_exact(cluster, cluster.audit())
        self.assertEqual(cluster.restarts(job), len(moments))
        self.assertEqual(cluster.vertex_metric(job, "numLateRecordsDropped"), 0)
        self.assertIn("SIGKILL", cluster.exceptions(job)[0]["stacktrace"])
        self.assertGreaterEqual(cluster.get("/jobs/%s/checkpoints" % job)["counts"]["restored"], 1)

    def kill_worker(self, pid):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not process_exists(pid), 5, "the worker is gone")

    def test_taskmanager_killed_and_started_again(self):
        cluster = self.new_cluster()
        cluster.start_all()
        taskmanager = cluster.taskmanagers[0]
        job = cluster.submit_count(*EXACTLY)
        cluster.start_generator()
        cluster.wait_running(job)
        cluster.wait_output(6)
        cluster.wait_checkpoints(job, 1)
        worker = cluster.worker_of(taskmanager)
        tasks = sum(vertex["parallelism"] for vertex in cluster.get("/jobs/" + job)["vertices"])

        taskmanager.kill9()
        wait_until(lambda: not process_exists(worker), 5, "the worker follows its taskmanager")
        # Until there are slots again: the job is RUNNING, its tasks are SCHEDULED. The loss is seen at once, not by a
        # heartbeat that stays away for 20 s.
        cluster.wait(lambda: cluster.job_state(job) == "RUNNING" and cluster.task_counts(job) == {"SCHEDULED": tasks}, 10,
                     "job RUNNING and all tasks SCHEDULED")
        self.assertEqual(cluster.get("/overview")["slots-total"], 0)
        cluster.start_taskmanager()
        cluster.wait_running(job)
        cluster.wait_checkpoints(job, 1)
        cluster.wait_output(12)
        self.assert_exact(cluster, cluster.audit())
        self.assertGreaterEqual(cluster.restarts(job), 1)
        self.assertEqual(cluster.vertex_metric(job, "numLateRecordsDropped"), 0)

    def test_one_of_two_taskmanagers_killed(self):
        cluster = self.new_cluster(taskmanager__numberOfTaskSlots=1)
        cluster.start_all(taskmanagers=2)
        job = cluster.submit_count(*EXACTLY)
        cluster.start_generator()
        cluster.wait_running(job)
        first, second = cluster.taskmanagers
        self.assertEqual([len(cluster.workers(first)), len(cluster.workers(second))], [1, 1])
        cluster.wait_output(6)
        cluster.wait_checkpoints(job, 1)
        first.kill9()
        cluster.wait(lambda: cluster.get("/overview")["taskmanagers"] == 1, 10, "the loss is noticed")
        cluster.start_taskmanager()
        cluster.wait(lambda: cluster.restarts(job) >= 1, 30, "a restart")
        cluster.wait_running(job)
        cluster.wait_output(12)
        self.assert_exact(cluster, cluster.audit())
        self.assertTrue(second.alive())

    def test_without_checkpointing_data_is_lost(self):
        """The same loss, without checkpoints: shows that the test above can fail."""
        cluster = self.new_cluster()
        cluster.start_all()
        job = cluster.submit_count("--event-time")
        cluster.start_generator()
        cluster.wait_running(job)
        # The job commits its offsets every 5 s and starts from there; what its open windows had counted is gone.
        running_since = time.monotonic()
        cluster.wait(lambda: time.monotonic() > running_since + 7, 20, "a commit of offsets")
        self.kill_worker(cluster.worker_of(cluster.taskmanagers[0]))
        cluster.wait(lambda: cluster.restarts(job) == 1, 20, "a restart")
        cluster.wait_running(job)
        cluster.wait_output(24)
        summary = cluster.audit()
        self.assertEqual(summary["verdict"], "inexact", summary)
        self.assertGreater(summary["short"] + summary["missing"], 0, summary)


if __name__ == "__main__":
    unittest.main()
