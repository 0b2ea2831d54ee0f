"""A source without CPU is not an idle source: nothing may be dropped as late because the machine was slow."""

import os
import signal
import time
import unittest

from cluster import ClusterTest

STOPPED_SECONDS = 8  # longer than the job's idleness of 5 s, shorter than the heartbeat timeout of 20 s


class StarvedSource(ClusterTest):
    def starve(self, pid):
        os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        self.cluster.wait(lambda: time.monotonic() >= begin + STOPPED_SECONDS, STOPPED_SECONDS + 20, "the end of the stop")
        os.kill(pid, signal.SIGCONT)

    def test_worker_stopped_while_a_backlog_waits(self):
        cluster = self.new_cluster()
        cluster.start_all()
        job = cluster.submit_count("--checkpointing", "--event-time")
        cluster.start_generator()
        cluster.wait_running(job)
        cluster.wait_output(6)
        self.starve(cluster.worker_of(cluster.taskmanagers[0]))
        cluster.wait_output(66)  # eleven windows went by while it stood still
        self.assert_exact(cluster, cluster.audit(), min_windows=12)
        self.assertEqual(cluster.vertex_metric(job, "numLateRecordsDropped"), 0)
        self.assertEqual(cluster.restarts(job), 0)

    def test_backlog_at_the_start(self):
        """The source is stopped before it has read all of what was there at its start."""
        cluster = self.new_cluster()
        cluster.start_all()
        cluster.start_generator(rate_factor=1000, count=120000)
        self.assertEqual(cluster.generator.wait(60), 0, cluster.generator.tail())
        job = cluster.submit_count("--checkpointing", "--event-time")
        cluster.wait(lambda: cluster.workers(cluster.taskmanagers[0]), 20, "a worker")
        cluster.wait(lambda: cluster.task_counts(job).get("RUNNING"), 20, "a task RUNNING")
        self.starve(cluster.worker_of(cluster.taskmanagers[0]))
        cluster.wait_running(job)
        cluster.wait(lambda: cluster.output_count() >= 19 * 6, 60, "all results")
        self.assert_exact(cluster, cluster.audit(), min_windows=19)
        self.assertEqual(cluster.vertex_metric(job, "numLateRecordsDropped"), 0)
        self.assertEqual(cluster.restarts(job), 0)


if __name__ == "__main__":
    unittest.main()
