/* A job with one thread per task, as in a worker: two sources, two windows, checkpoints and metrics from
 * another thread meanwhile. For ThreadSanitizer; a lost wake-up ends in the deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "taskmanager/worker/task/job_runtime.h"

enum { EVENTS = 40000, KEYS = 50, TASKS_MAX = 16, SLEEP_MS = 60000 };

WEIR_RECORD(thread_event, (timestamp, at), (int64, key));
WEIR_RECORD(thread_count, (int64, count));

static _Atomic int64_t counted;
static _Atomic uint32_t snapshots, ended, failed;

static int generate(weir_context *context, int64_t index, weir_collector *out)
{
    (void)context;
    struct thread_event *event = weir_new_record(out);
    event->at = index;
    event->key = index % KEYS;
    return weir_emit(out, event);
}

static void add(weir_context *context, void *accumulator, const void *record)
{
    (void)context;
    (void)record;
    ((struct thread_count *)accumulator)->count++;
}

static const weir_aggregate counter = {
    .struct_size = sizeof(weir_aggregate), .name = "count", .accumulator = &thread_count_type, .add = add};

static int emit_count(weir_context *context, const weir_key *key, const weir_window *window,
                      const void *result, weir_collector *out)
{
    (void)context;
    (void)key;
    (void)window;
    struct thread_count *count = weir_new_record(out);
    *count = *(const struct thread_count *)result;
    return weir_emit(out, count);
}

static int sum_counts(weir_context *context, const void *record)
{
    (void)context;
    atomic_fetch_add(&counted, ((const struct thread_count *)record)->count);
    return 0;
}

static int job_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    weir_disable_chaining(env);
    weir_stream *events =
        weir_from_generator(env, WEIR_NAMED("Events", "events"), .type = &thread_event_type,
                            .generate = generate, .count = EVENTS, .watermarks = {.timestamp_field = "at"});
    weir_stream *keyed = weir_key_by(events, "key");
    weir_stream *counts =
        weir_window(keyed, WEIR_NAMED("Counter", "counter"), .kind = WEIR_TUMBLING_EVENT_TIME, .size_ms = 100,
                    .aggregate = &counter, .type = &thread_count_type, .window = emit_count);
    weir_discard(weir_filter(counts, WEIR_NAMED("Sum", "sum"), .filter = sum_counts),
                 WEIR_NAMED("Sink", "sink"));
    return 0;
}

static const weir_job_descriptor job = {
    WEIR_JOB_MAGIC, sizeof(weir_job_descriptor), WEIR_API_MAJOR, WEIR_API_MINOR, "threads", job_main};

/* ---- threads
 * -----------------------------------------------------------------------------------------------------------
 */

struct task_thread {
    struct waker waker;
    int fd;
    struct task *task;
    pthread_t thread;
};

static struct task_thread threads[TASKS_MAX];

static int64_t now(void *self)
{
    (void)self;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void wake(struct waker *waker)
{
    uint64_t one = 1;
    if (write(((struct task_thread *)waker)->fd, &one, sizeof one) != sizeof one)
        abort();
}

static void *run(void *arg)
{
    struct task_thread *self = arg;
    for (;;) {
        enum task_progress progress = task_step(self->task, now(NULL));
        if (progress == TASK_WAITING) {
            waker_prepare(&self->waker);
            progress = task_step(self->task, now(NULL));
            if (progress != TASK_WAITING)
                waker_cancel(&self->waker);
        }
        if (progress == TASK_ENDED)
            return NULL;
        if (progress != TASK_WAITING)
            continue;
        int64_t wait_ms = task_deadline(self->task) - now(NULL);
        struct pollfd fd = {.fd = self->fd, .events = POLLIN};
        int ready = poll(&fd, 1, wait_ms < 0 ? 0 : wait_ms > SLEEP_MS ? SLEEP_MS : (int)wait_ms);
        uint64_t count;
        if (ready == 1 && read(self->fd, &count, sizeof count) != sizeof count)
            abort();
        if (ready == 0 && wait_ms >= SLEEP_MS)
            abort(); /* nobody woke us */
        waker_cancel(&self->waker);
    }
}

static void on_state(void *self, struct task *task, Weir__TaskStateUpdate *update)
{
    (void)self;
    (void)task;
    if (update->state == WEIR__TASK_STATE__TASK_FINISHED)
        atomic_fetch_add(&ended, 1);
    if (update->state == WEIR__TASK_STATE__TASK_FAILED)
        atomic_fetch_add(&failed, 1);
    weir__task_state_update__free_unpacked(update, NULL);
}

static void on_snapshot(void *self, struct task *task, Weir__CheckpointAck *ack)
{
    (void)self;
    (void)task;
    atomic_fetch_add(&snapshots, 1);
    weir__checkpoint_ack__free_unpacked(ack, NULL);
}

static void on_decline(void *self, struct task *task, Weir__CheckpointDecline *decline)
{
    (void)self;
    (void)task;
    weir__checkpoint_decline__free_unpacked(decline, NULL);
}

static struct waker *task_waker(void *self, uint32_t index)
{
    (void)self;
    return &threads[index].waker;
}

static Weir__DeployTasks *deploy(Weir__JobGraph *graph)
{
    Weir__DeployTasks *deployment = xmalloc(sizeof *deployment);
    weir__deploy_tasks__init(deployment);
    deployment->graph = graph;
    deployment->tasks = xcalloc(TASKS_MAX, sizeof *deployment->tasks);
    deployment->peers = xcalloc(TASKS_MAX, sizeof *deployment->peers);
    for (uint32_t v = 0; v < graph->n_vertices; v++)
        for (uint32_t s = 0; s < graph->vertices[v]->parallelism; s++) {
            assert_true(deployment->n_tasks < TASKS_MAX);
            Weir__TaskDeployment *task = xmalloc(sizeof *task);
            weir__task_deployment__init(task);
            task->vertex = v;
            task->subtask = s;
            deployment->tasks[deployment->n_tasks++] = task;
            Weir__SubtaskLocation *peer = xmalloc(sizeof *peer);
            weir__subtask_location__init(peer);
            peer->vertex = v;
            peer->subtask = s;
            peer->worker = xstrdup("here");
            deployment->peers[deployment->n_peers++] = peer;
        }
    return deployment;
}

/* Triggers a checkpoint now and then and reads figures all the time, until all tasks have ended. */
static void coordinate(struct job_runtime *runtime)
{
    uint32_t count = job_runtime_task_count(runtime);
    uint64_t id = 0, records_before = 0;
    int64_t begin_ms = now(NULL);
    while (atomic_load(&ended) + atomic_load(&failed) < count) {
        uint64_t records = 0;
        for (uint32_t i = 0; i < count; i++) {
            Weir__TaskMetrics metrics;
            task_read_metrics(job_runtime_task(runtime, i), &metrics);
            records += metrics.records_in;
        }
        assert_true(records >= records_before);
        if (records > records_before + 2000 || id == 0) {
            records_before = records;
            struct task_mail mail = {.kind = TASK_MAIL_TRIGGER_CHECKPOINT, .checkpoint_id = ++id};
            job_runtime_post(runtime, &mail);
            mail.kind = id % 3 ? TASK_MAIL_CHECKPOINT_COMPLETE : TASK_MAIL_CHECKPOINT_ABORTED;
            job_runtime_post(runtime, &mail);
        }
        assert_true(now(NULL) - begin_ms < SLEEP_MS);
    }
}

static void threads_count_everything(void **state)
{
    (void)state;
    struct stream_graph *graph;
    Weir__JobGraph *job_graph;
    struct error err = {0};
    struct stream_graph_settings settings = {.default_parallelism = 2};
    char *argv[] = {(char *)"job", NULL};
    assert_int_equal(stream_graph_build(&job, &settings, 1, argv, &graph, &err), 0);
    assert_int_equal(stream_graph_to_job_graph(graph, &job_graph, &err), 0);
    Weir__DeployTasks *deployment = deploy(job_graph);
    struct user_environment environment = {.now = now};
    struct job_runtime_setup setup = {
        .stream_graph = graph,
        .deployment = deployment,
        .worker = "here",
        .config = {.max_record_bytes = 4096,
                   .buffers_per_channel = 1,
                   .floating_buffers = 1,
                   .checkpointing = true},
        .user_environment = &environment,
        .listener = {.state = on_state, .snapshot = on_snapshot, .decline = on_decline},
        .task_waker = task_waker,
    };
    struct job_runtime *runtime;
    if (job_runtime_new(&setup, &runtime, &err))
        fail_msg("%s", err.message);
    uint32_t count = job_runtime_task_count(runtime);
    for (uint32_t i = 0; i < count; i++) {
        threads[i] = (struct task_thread){
            .waker.wake = wake, .fd = eventfd(0, 0), .task = job_runtime_task(runtime, i)};
        assert_true(threads[i].fd >= 0);
    }
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i].thread, NULL, run, &threads[i]), 0);
    coordinate(runtime);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
        close(threads[i].fd);
    }
    assert_int_equal(failed, 0);
    assert_int_equal(counted, EVENTS);
    assert_true(snapshots > 0);
    job_runtime_free(runtime);
    weir__deploy_tasks__free_unpacked(deployment, NULL);
    stream_graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_count_everything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
