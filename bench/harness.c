/* Runs a job's tasks in this one thread, without worker process, sockets or jobmanager, under a clock that
 * stands still: the hot path by itself, for counting its instructions.
 *   harness JOB.so [JOB-ARGUMENTS]   prints the records that the sources emitted and the CPU seconds */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/memory.h"
#include "taskmanager/worker/task/job_runtime.h"

enum { TASKS_MAX = 64, CLOCK_MS = 1000000 };

struct harness {
    struct waker wakers[TASKS_MAX];
    bool ended[TASKS_MAX];
    uint64_t records;
    bool failed;
};

static int64_t clock_now(void *self)
{
    (void)self;
    return CLOCK_MS;
}

static int clock_sleep(void *self, int64_t ms)
{
    (void)self;
    (void)ms;
    return 0;
}

static uint64_t no_random(void *self)
{
    (void)self;
    return 4;
}

static void wake(struct waker *waker)
{
    (void)waker; /* every task is looked at in every round */
}

static struct waker *task_waker(void *self, uint32_t index)
{
    return &((struct harness *)self)->wakers[index];
}

static void on_state(void *self, struct task *task, Weir__TaskStateUpdate *update)
{
    struct harness *harness = self;
    if (update->state == WEIR__TASK_STATE__TASK_FAILED) {
        fprintf(stderr, "harness: %s: %s\n", task_name(task), update->error);
        harness->failed = true;
    }
    weir__task_state_update__free_unpacked(update, NULL);
}

static void on_snapshot(void *self, struct task *task, Weir__CheckpointAck *ack)
{
    (void)self;
    (void)task;
    weir__checkpoint_ack__free_unpacked(ack, NULL);
}

static void on_decline(void *self, struct task *task, Weir__CheckpointDecline *decline)
{
    (void)self;
    (void)task;
    weir__checkpoint_decline__free_unpacked(decline, NULL);
}

/* All subtasks in one worker. */
static void deploy(Weir__JobGraph *graph, Weir__DeployTasks *deployment)
{
    weir__deploy_tasks__init(deployment);
    deployment->graph = graph;
    deployment->tasks = xcalloc(TASKS_MAX, sizeof *deployment->tasks);
    deployment->peers = xcalloc(TASKS_MAX, sizeof *deployment->peers);
    for (uint32_t v = 0; v < graph->n_vertices; v++)
        for (uint32_t s = 0; s < graph->vertices[v]->parallelism && deployment->n_tasks < TASKS_MAX; s++) {
            Weir__TaskDeployment *task = xmalloc(sizeof *task);
            weir__task_deployment__init(task);
            task->vertex = v;
            task->subtask = s;
            task->attempt_id = xstrdup("attempt");
            deployment->tasks[deployment->n_tasks++] = task;
            Weir__SubtaskLocation *peer = xmalloc(sizeof *peer);
            weir__subtask_location__init(peer);
            peer->vertex = v;
            peer->subtask = s;
            peer->worker = xstrdup("harness");
            deployment->peers[deployment->n_peers++] = peer;
        }
}

static void run(struct harness *harness, struct job_runtime *runtime)
{
    uint32_t count = job_runtime_task_count(runtime), left = count;
    while (left > 0)
        for (uint32_t i = 0; i < count; i++)
            if (!harness->ended[i] && task_step(job_runtime_task(runtime, i), CLOCK_MS) == TASK_ENDED) {
                harness->ended[i] = true;
                left--;
            }
    for (uint32_t i = 0; i < count; i++) {
        Weir__TaskMetrics metrics;
        task_read_metrics(job_runtime_task(runtime, i), &metrics);
        if (metrics.records_in == 0)
            harness->records += metrics.records_out;
    }
}

static int make(int argc, char **argv, struct stream_graph **ret_stream, Weir__JobGraph **ret_graph,
                struct error *err)
{
    struct job_library library;
    struct stream_graph_settings settings = {.default_parallelism = 1};
    int rc = job_library_open(argv[0], &library, err);
    if (rc == 0)
        rc = stream_graph_build(library.descriptor, &settings, argc, argv, ret_stream, err);
    return rc ? rc : stream_graph_to_job_graph(*ret_stream, ret_graph, err);
}

static int measure(struct harness *harness, struct stream_graph *stream, Weir__JobGraph *graph,
                   struct error *err)
{
    Weir__DeployTasks deployment;
    deploy(graph, &deployment);
    struct user_environment environment = {clock_now, clock_sleep, no_random, NULL};
    struct job_runtime_setup setup = {
        .stream_graph = stream,
        .deployment = &deployment,
        .worker = "harness",
        .config = {.max_record_bytes = 1 << 20,
                   .buffer_timeout_ms = 100,
                   .buffers_per_channel = 2,
                   .floating_buffers = 8},
        .user_environment = &environment,
        .listener = {.state = on_state, .snapshot = on_snapshot, .decline = on_decline, .self = harness},
        .task_waker = task_waker,
        .task_waker_self = harness,
    };
    struct job_runtime *runtime;
    int rc = job_runtime_new(&setup, &runtime, err);
    if (rc)
        return rc;
    run(harness, runtime);
    job_runtime_free(runtime);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fprintf(stderr, "usage: harness JOB.so [JOB-ARGUMENTS]\n"), 2;
    struct harness harness = {0};
    for (int i = 0; i < TASKS_MAX; i++)
        harness.wakers[i].wake = wake;
    struct error err = {0};
    struct stream_graph *stream;
    Weir__JobGraph *graph;
    if (make(argc - 1, argv + 1, &stream, &graph, &err) || measure(&harness, stream, graph, &err))
        return fprintf(stderr, "harness: %s\n", err.message), 1;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%" PRIu64 " %.6f\n", harness.records, cpu);
    return harness.failed;
}
