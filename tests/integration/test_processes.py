"""What is a process of its own stays one: maps, orphans, memory."""

import os
import signal
import time
import unittest

from cluster import (RELEASE_BUILD, Cluster, ClusterTest, long_run, mapped_files, process_exists, resident_kb, wait_until)

IDLE_LIMIT_KB = 10 * 1024

release_build = unittest.skipUnless(os.path.exists(os.path.join(RELEASE_BUILD, "bin", "jobmanager")),
                                    "memory is measured in the build without sanitizers, which is not there")


class Processes(ClusterTest):
    def start_with_job(self, **config):
        cluster = self.new_cluster(**config)
        cluster.start_all()
        self.taskmanager = cluster.taskmanagers[0]
        self.job = cluster.submit_count("--checkpointing", "--event-time")
        cluster.wait_running(self.job)
        self.worker = cluster.worker_of(self.taskmanager)
        return cluster

    def test_user_code_and_librdkafka_are_in_the_worker_only(self):
        cluster = self.start_with_job()

        def mapped(pid, part):
            return [path for path in mapped_files(pid) if part in os.path.basename(path)]

        self.assertTrue(mapped(self.worker, "librdkafka"))
        with open("/proc/%d/maps" % self.worker) as file:
            self.assertIn(os.path.join(cluster.directory, "tmp"), file.read())  # the job's artifact
        for process in (self.taskmanager, cluster.jobmanager):
            for part in ("librdkafka", "click_event_count", "libweir-worker"):
                self.assertEqual(mapped(process.pid, part), [], process.name)
            artifacts = [path for path in mapped_files(process.pid) if path.startswith(cluster.directory)]
            self.assertEqual(artifacts, [], process.name)

    def test_no_worker_outlives_its_taskmanager(self):
        cluster = self.start_with_job()
        self.taskmanager.kill9()
        wait_until(lambda: not process_exists(self.worker), 3, "the worker ends with its taskmanager")
        cluster.wait(lambda: cluster.get("/overview")["taskmanagers"] == 0, 10, "the loss is noticed")

    def test_stopped_worker_does_not_outlive_its_taskmanager(self):
        self.start_with_job()
        os.kill(self.worker, signal.SIGSTOP)
        self.taskmanager.kill9()
        wait_until(lambda: not process_exists(self.worker), 3, "the stopped worker ends with its taskmanager")

    def test_orderly_end(self):
        cluster = self.start_with_job()
        self.assertEqual(self.taskmanager.terminate(), 0, self.taskmanager.tail())
        self.taskmanager.killed = True
        wait_until(lambda: not process_exists(self.worker), 3, "the worker is gone")
        cluster.wait(lambda: cluster.get("/overview")["taskmanagers"] == 0, 10, "the taskmanager is signed off")
        self.assertEqual(cluster.jobmanager.terminate(), 0, cluster.jobmanager.tail())
        cluster.jobmanager.killed = True
        self.assertIn("RECEIVED SIGNAL 15: SIGTERM", cluster.jobmanager.text())

    def test_lost_jobmanager(self):
        """Workers end, and the taskmanager registers empty with the next incarnation."""
        cluster = self.start_with_job(**{"heartbeat.interval": "200 ms", "heartbeat.timeout": "2 s"})
        cluster.jobmanager.kill9()
        wait_until(lambda: not process_exists(self.worker), 15, "workers of a lost jobmanager end")
        self.assertTrue(self.taskmanager.alive())
        cluster.start_jobmanager()
        cluster.wait(lambda: cluster.get("/overview")["slots-available"] == 2, 20, "registered again, empty")
        self.assertEqual(cluster.get("/jobs"), {"jobs": []})

    def test_silent_taskmanager_is_given_up(self):
        cluster = self.start_with_job(**{"heartbeat.interval": "200 ms", "heartbeat.timeout": "2 s"})
        self.taskmanager.signal(signal.SIGSTOP)
        cluster.wait(lambda: cluster.get("/overview")["taskmanagers"] == 0, 20, "given up")
        cluster.wait(lambda: set(cluster.task_counts(self.job)) == {"SCHEDULED"}, 10, "tasks wait for slots")
        self.taskmanager.signal(signal.SIGCONT)
        cluster.wait_running(self.job)  # it comes back as a new session
        self.assertGreaterEqual(cluster.restarts(self.job), 1)

    def test_stopped_worker_is_given_up(self):
        """Nobody continues it, and its taskmanager is alive: only its silence tells."""
        cluster = self.start_with_job(**{"heartbeat.interval": "200 ms", "heartbeat.timeout": "3 s"})
        os.kill(self.worker, signal.SIGSTOP)
        cluster.wait(lambda: cluster.restarts(self.job) == 1, 20, "a restart")
        wait_until(lambda: not process_exists(self.worker), 5, "the stopped worker is gone")
        cluster.wait_running(self.job)
        self.assertIn("nothing was heard of it", cluster.exceptions(self.job)[0]["stacktrace"])


@release_build
class Memory(ClusterTest):
    def new_release_cluster(self):
        cluster = Cluster(build=RELEASE_BUILD)
        self.addCleanup(cluster.stop)
        cluster.start_jobmanager()
        return cluster, cluster.start_taskmanager()

    def test_idle(self):
        cluster, taskmanager = self.new_release_cluster()
        begin = time.monotonic()
        seconds = 60 if os.environ.get("WEIR_LONG") else 15

        def polled_long_enough():
            for path in ("/overview", "/jobs/overview", "/taskmanagers"):
                cluster.get(path)
            return time.monotonic() - begin >= seconds
        wait_until(polled_long_enough, seconds + 60, "polling")
        for process in (cluster.jobmanager, taskmanager):
            self.assertLess(resident_kb(process.pid), IDLE_LIMIT_KB, process.name)

    def test_after_a_hundred_jobs(self):
        cluster, taskmanager = self.new_release_cluster()

        def run_jobs(count):
            for _ in range(count):
                job = cluster.submit("sequence_sum", parallelism=1)
                cluster.wait(lambda: cluster.job_state(job) in ("FINISHED", "FAILED"), 30, "the job's end")
                self.assertEqual(cluster.job_state(job), "FINISHED", cluster.logs())
            cluster.wait(lambda: not cluster.workers(taskmanager), 10, "no worker is left")
        # The first ones fill caches and the list of ended jobs; web.history keeps a hundred of them.
        run_jobs(20)
        before = {process.name: resident_kb(process.pid) for process in (cluster.jobmanager, taskmanager)}
        descriptors = {process.name: len(os.listdir("/proc/%d/fd" % process.pid))
                       for process in (cluster.jobmanager, taskmanager)}
        run_jobs(100)
        for process in (cluster.jobmanager, taskmanager):
            self.assertLess(resident_kb(process.pid), IDLE_LIMIT_KB + 2048, process.name)
            self.assertLess(resident_kb(process.pid) - before[process.name], 2048, process.name)
            self.assertLessEqual(len(os.listdir("/proc/%d/fd" % process.pid)), descriptors[process.name] + 2, process.name)
        overview = cluster.get("/overview")
        self.assertEqual(overview["slots-available"], overview["slots-total"])

    @long_run
    def test_worker_does_not_grow_in_ten_minutes(self):
        cluster, taskmanager = self.new_release_cluster()
        cluster.start_broker()
        cluster.start_auditor()
        job = cluster.submit_count("--checkpointing", "--event-time")
        cluster.start_generator(rate_factor=20)
        cluster.wait_running(job)
        worker = cluster.worker_of(taskmanager)
        begin = time.monotonic()
        samples = []

        def sample():
            elapsed = time.monotonic() - begin
            if not samples or elapsed - samples[-1][0] >= 10:
                samples.append((elapsed, resident_kb(worker)))
            return elapsed >= 600
        cluster.wait(sample, 700, "ten minutes")
        settled = [kb for elapsed, kb in samples if 60 <= elapsed < 180]
        final = [kb for elapsed, kb in samples if elapsed >= 480]
        self.assertLess(max(final), max(settled) + 1024, samples)
        self.assert_exact(cluster, cluster.audit(), min_windows=100)


if __name__ == "__main__":
    unittest.main()
