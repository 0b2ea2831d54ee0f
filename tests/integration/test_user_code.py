"""User code that goes wrong: its own job says why, nobody else notices."""

import unittest

from cluster import ClusterTest

NO_RESTART = ("restart-strategy.type=none",)


class UserCode(ClusterTest):
    def start(self):
        cluster = self.new_cluster()
        cluster.start_jobmanager()
        self.taskmanager = cluster.start_taskmanager()
        return cluster

    def start_neighbour(self):
        """Another job on the same taskmanager; returns its id and its worker."""
        cluster = self.cluster
        neighbour = cluster.submit("crash_job", "--checkpointing", parallelism=1)
        cluster.wait_running(neighbour)
        return neighbour, cluster.worker_of(self.taskmanager)

    def assert_unharmed(self, neighbour):
        job, worker = neighbour
        cluster = self.cluster
        self.assertEqual(cluster.job_state(job), "RUNNING")
        self.assertEqual(cluster.restarts(job), 0)
        self.assertEqual(cluster.workers(self.taskmanager), [worker])
        self.assertEqual(cluster.exceptions(job), [])
        cluster.wait_checkpoints(job, 2)  # it goes on
        self.assertTrue(self.taskmanager.alive())

    def failed_job(self, *arguments, settings=NO_RESTART):
        job = self.cluster.submit("crash_job", *arguments, parallelism=1, settings=settings)
        self.cluster.wait_state(job, "FAILED", 40)
        return job

    def test_crash_is_told_with_signal_and_stack(self):
        cluster = self.start()
        neighbour = self.start_neighbour()
        job = self.failed_job("--crash-at", "300")
        entries = cluster.exceptions(job)
        self.assertEqual(len(entries), 1)
        stack = entries[0]["stacktrace"]
        self.assertIn("SIGSEGV", stack)
        self.assertIn("crash_here", stack)
        self.assertIn("crash_job.c:", stack)  # symbolised
        self.assertIn("Go Wrong", stack + entries[0].get("taskName", ""))
        self.assert_unharmed(neighbour)
        # Its slot is free again.
        cluster.wait(lambda: cluster.get("/overview")["slots-available"] == 1, 10, "the slot is free")

    def test_abort_is_told(self):
        cluster = self.start()
        job = self.failed_job("--abort-at", "100")
        self.assertIn("SIGABRT", cluster.exceptions(job)[0]["stacktrace"])

    def test_failure_of_a_function_is_told(self):
        cluster = self.start()
        neighbour = self.start_neighbour()
        job = self.failed_job("--fail-at", "100")
        self.assertIn("told to fail at 100", cluster.exceptions(job)[0]["stacktrace"])
        self.assert_unharmed(neighbour)

    def test_restarts_before_it_fails(self):
        cluster = self.start()
        job = self.failed_job("--crash-at", "50", settings=(
            "restart-strategy.type=fixed-delay", "restart-strategy.fixed-delay.attempts=2",
            "restart-strategy.fixed-delay.delay=100 ms"))
        self.assertEqual(cluster.restarts(job), 2)
        self.assertEqual(len(cluster.exceptions(job)), 3)


class BadRecords(ClusterTest):
    BAD = '{"timestamp":"not a date","page":"/help"}'

    def start(self):
        cluster = self.new_cluster()
        cluster.start_all()
        return cluster

    def test_bad_record_fails_the_job(self):
        cluster = self.start()
        cluster.start_generator(count=3000)
        self.assertEqual(cluster.generator.wait(30), 0)
        job = cluster.submit_count("--event-time", settings=NO_RESTART)
        cluster.wait_running(job)
        offset = cluster.end_offset("input", 1)
        cluster.produce("input", 1, self.BAD)
        cluster.wait_state(job, "FAILED")
        text = cluster.exceptions(job)[-1]["stacktrace"]
        self.assertRegex(text, r"input\b")
        self.assertRegex(text, r"partition 1\b")
        self.assertRegex(text, r"offset %d\b" % offset)
        self.assertIn("timestamp", text)  # the reason

    def test_bad_records_are_skipped_and_counted_if_so_wanted(self):
        cluster = self.start()
        job = cluster.submit_count("--checkpointing", "--event-time", "--on-bad-record", "skip")
        cluster.wait_running(job)
        for partition in (0, 1, 1):
            cluster.produce("input", partition, self.BAD)
        cluster.start_generator()
        cluster.wait_output(18)
        summary = cluster.audit()
        self.assert_exact(cluster, summary)
        self.assertEqual(summary["inputBad"], 3)
        self.assertEqual(cluster.restarts(job), 0)
        cluster.wait(lambda: cluster.source_metric(job, "Source: ClickEvent Source", "numRecordsInErrors") == 3, 10,
                     "three bad records counted")


if __name__ == "__main__":
    unittest.main()
