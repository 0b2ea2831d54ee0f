"""REST of a running cluster: shapes as Flink's, and figures that agree with what runs."""

import os
import re
import unittest

from cluster import ClusterTest

TASK_STATES = {"CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING", "FINISHED", "CANCELING", "CANCELED", "FAILED",
               "RECONCILING"}


class Rest(ClusterTest):
    def assert_keys(self, body, *keys):
        self.assertLessEqual(set(keys), set(body), body)

    def test_empty_cluster(self):
        cluster = self.new_cluster()
        cluster.start_jobmanager()
        overview = cluster.get("/overview")
        for key in ("taskmanagers", "slots-total", "slots-available", "jobs-running", "jobs-finished", "jobs-cancelled",
                    "jobs-failed"):
            self.assertEqual(overview[key], 0, key)
        self.assert_keys(overview, "flink-version", "flink-commit")
        self.assert_keys(cluster.get("/config"), "refresh-interval", "timezone-name", "timezone-offset", "flink-version",
                         "flink-revision", "features")
        self.assertEqual(cluster.get("/jobs"), {"jobs": []})
        self.assertEqual(cluster.get("/jobs/overview"), {"jobs": []})
        self.assertEqual(cluster.get("/taskmanagers"), {"taskmanagers": []})
        self.assertEqual(cluster.get("/v1/overview"), overview)

    def test_errors(self):
        cluster = self.new_cluster()
        cluster.start_jobmanager()
        nobody = "0" * 32
        for method, path, code in (("GET", "/jobs/" + nobody, 404), ("GET", "/jobs/%s/checkpoints" % nobody, 404),
                                   ("GET", "/jobs/%s/exceptions" % nobody, 404), ("GET", "/jobs/nothex", 400),
                                   ("GET", "/no-such-path", 404), ("PATCH", "/jobs/%s?mode=cancel" % nobody, 404),
                                   ("GET", "/../../etc/passwd", 400), ("GET", "/%2e%2e/%2e%2e/etc/passwd", 400)):
            with self.subTest(path):
                status, body = cluster.request(path, method)
                self.assertEqual(status, code, body)
                self.assertTrue(body["errors"] and all(isinstance(text, str) for text in body["errors"]))

    def test_running_job(self):
        cluster = self.new_cluster()
        cluster.start_all()
        taskmanager = cluster.taskmanagers[0]
        waiting = cluster.submit_count("--checkpointing", "--event-time")
        cluster.start_generator()
        cluster.wait_running(waiting)
        cluster.wait_checkpoints(waiting, 2)
        job = waiting

        overview = cluster.get("/overview")
        self.assertEqual([overview[key] for key in ("taskmanagers", "slots-total", "slots-available", "jobs-running")],
                         [1, 2, 0, 1])
        self.assertEqual(cluster.get("/jobs"), {"jobs": [{"id": job, "status": "RUNNING"}]})
        entry, = cluster.get("/jobs/overview")["jobs"]
        self.assert_keys(entry, "jid", "name", "state", "start-time", "end-time", "duration", "last-modification", "tasks")
        self.assertEqual((entry["jid"], entry["name"], entry["state"], entry["end-time"]),
                         (job, "Click Event Count", "RUNNING", -1))
        self.assertEqual(entry["tasks"]["running"], entry["tasks"]["total"])
        self.details(job)
        self.checkpoints(job)
        self.metrics(job)
        self.taskmanagers(taskmanager)
        self.cancel(job)

    def details(self, job):
        body = self.cluster.get("/jobs/" + job)
        self.assert_keys(body, "jid", "name", "isStoppable", "state", "start-time", "end-time", "duration", "maxParallelism",
                         "now", "timestamps", "vertices", "status-counts", "plan")
        names = [vertex["name"] for vertex in body["vertices"]]
        self.assertEqual(len(names), 3, names)
        self.assertEqual(names[0], "Source: ClickEvent Source")
        self.assertEqual(names[1], "ClickEvent Counter")
        self.assertIn("ClickEventStatistics Sink", names[2])
        for vertex in body["vertices"]:
            self.assertEqual(vertex["parallelism"], 2)
            self.assertEqual(vertex["status"], "RUNNING")
            self.assertEqual(set(vertex["tasks"]), TASK_STATES)
            self.assertEqual(vertex["tasks"]["RUNNING"], 2)
            self.assertRegex(vertex["id"], "^[0-9a-f]{32}$")
            self.assert_keys(vertex["metrics"], "read-records", "write-records", "read-bytes", "write-bytes")
        self.cluster.wait(lambda: self.cluster.get("/jobs/" + job)["vertices"][1]["metrics"]["read-records"] > 0, 10,
                          "records counted")
        self.assertEqual({node["id"] for node in body["plan"]["nodes"]}, {vertex["id"] for vertex in body["vertices"]})

    def checkpoints(self, job):
        body = self.cluster.get("/jobs/%s/checkpoints" % job)
        self.assert_keys(body, "counts", "summary", "latest", "history")
        self.assertEqual(set(body["counts"]), {"restored", "total", "in_progress", "completed", "failed"})
        latest = body["latest"]["completed"]
        self.assertEqual(latest["status"], "COMPLETED")
        self.assertEqual(latest["num_subtasks"], 6)
        self.assertEqual(latest["num_acknowledged_subtasks"], 6)
        path = re.match(r"^file:(?://)?(/.*)$", latest["external_path"]).group(1)
        self.assertIn("/%s/chk-%d" % (job, latest["id"]), path)
        # The newest is on disk, complete, and the one before is deleted.
        def one_is_kept():
            newest = self.cluster.get("/jobs/%s/checkpoints" % job)["latest"]["completed"]["id"]
            kept = os.listdir(os.path.dirname(path))
            complete = [name for name in kept if os.path.exists(os.path.join(os.path.dirname(path), name, "_metadata"))]
            return complete == ["chk-%d" % newest]
        self.cluster.wait(one_is_kept, 10, "exactly the newest checkpoint on disk")
        ids = [entry["id"] for entry in body["history"]]
        self.assertEqual(ids, sorted(ids, reverse=True))

    def metrics(self, job):
        names = {entry["id"] for entry in self.cluster.get("/jobs/%s/metrics" % job)}
        self.assertLessEqual({"numRestarts", "lastCheckpointSize", "lastCheckpointDuration", "numberOfCompletedCheckpoints",
                              "uptime"}, names)
        values = self.cluster.get("/jobs/%s/metrics?get=lastCheckpointSize,numRestarts" % job)
        self.assertEqual({entry["id"] for entry in values}, {"lastCheckpointSize", "numRestarts"})
        self.assertTrue(all(isinstance(entry["value"], str) for entry in values))
        size = int(next(entry["value"] for entry in values if entry["id"] == "lastCheckpointSize"))
        self.assertTrue(0 < size < 100000, size)
        self.assertEqual(self.cluster.get("/jobs/%s/metrics?get=nonesuch" % job), [])

    def taskmanagers(self, process):
        entry, = self.cluster.get("/taskmanagers")["taskmanagers"]
        self.assert_keys(entry, "id", "path", "dataPort", "timeSinceLastHeartbeat", "slotsNumber", "freeSlots", "hardware")
        self.assertEqual((entry["slotsNumber"], entry["freeSlots"]), (2, 0))
        self.assertTrue(process.alive())

    def cancel(self, job):
        status, _ = self.cluster.request("/jobs/%s?mode=cancel" % job, "PATCH")
        self.assertEqual(status, 202)
        self.cluster.wait_state(job, "CANCELED")
        self.cluster.wait(lambda: self.cluster.get("/overview")["slots-available"] == 2, 10, "free slots")
        self.assertEqual(self.cluster.get("/overview")["jobs-cancelled"], 1)
        self.assertEqual(self.cluster.workers(self.cluster.taskmanagers[0]), [])
        body = self.cluster.get("/jobs/" + job)
        self.assertGreater(body["end-time"], body["start-time"])
        self.assertEqual(body["status-counts"]["CANCELED"], 3)

    def test_job_waits_for_slots(self):
        cluster = self.new_cluster()
        cluster.start_jobmanager()
        job = cluster.submit("crash_job", parallelism=2)
        cluster.wait(lambda: cluster.job_state(job) == "RUNNING", 10, "job RUNNING")
        cluster.wait(lambda: set(cluster.task_counts(job)) == {"SCHEDULED"}, 10, "all tasks SCHEDULED")
        cluster.start_taskmanager()
        cluster.wait_running(job)
        self.assertEqual(cluster.restarts(job), 0)


if __name__ == "__main__":
    unittest.main()
