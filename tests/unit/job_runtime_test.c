/* Whole jobs in one thread: source, filter, window, sink over one to three workers, with checkpoints, aborted
 * checkpoints, kills and restores at another parallelism, tiny pools and a sink that is full: every window
 * exact, once. */
#include "runtime_rig.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "taskmanager/worker/shuffle/element.h"

WEIR_RECORD(job_click, (timestamp, at), (string, page), (int64, index));
WEIR_RECORD(job_count, (int64, count));
WEIR_RECORD(job_result, (timestamp, start), (string, page), (int64, count));

enum { PAGES = 6, SIZE_MS = 1500, PER_WINDOW = 100, WINDOWS = 6, EVENTS = PAGES * PER_WINDOW * WINDOWS };

static const char *const pages[PAGES] = {"/help", "/index", "/shop", "/jobs", "/about", "/news"};

/* Event i of the playground's sequence, with disorder of up to 60 ms; every 13th index makes one more that is
 * filtered. */
static int generate(weir_context *context, int64_t index, weir_collector *out)
{
    (void)context;
    for (int extra = 0; extra <= (index % 13 == 0); extra++) {
        struct job_click *click = weir_new_record(out);
        const char *page = pages[index % PAGES];
        click->at = index / PAGES * 15 + index * 7919 % 5 * 15 % 15;
        click->index = extra ? -1 : index;
        weir_set_string(out, &click->page, page, strlen(page));
        int rc = weir_emit(out, click);
        if (rc)
            return rc;
    }
    return 0;
}

static int keep(weir_context *context, const void *record)
{
    (void)context;
    return ((const struct job_click *)record)->index >= 0;
}

static void add(weir_context *context, void *accumulator, const void *record)
{
    (void)context;
    (void)record;
    ((struct job_count *)accumulator)->count++;
}

static const weir_aggregate counter = {
    .struct_size = sizeof(weir_aggregate), .name = "count", .accumulator = &job_count_type, .add = add};

static int emit_window(weir_context *context, const weir_key *key, const weir_window *window,
                       const void *result, weir_collector *out)
{
    (void)context;
    struct job_result *r = weir_new_record(out);
    uint32_t length;
    const char *page = weir_key_string(key, 0, &length);
    weir_set_string(out, &r->page, page, length);
    r->start = window->start_ms;
    r->count = ((const struct job_count *)result)->count;
    return weir_emit(out, r);
}

static int job_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    weir_set_job_name(env, "counts");
    if (weir_flag(env, "no-chaining"))
        weir_disable_chaining(env);
    weir_stream *clicks = weir_from_generator(
        env, WEIR_NAMED("Clicks", "clicks"), .type = &job_click_type, .generate = generate, .count = EVENTS,
        .watermarks = {.out_of_orderness_ms = 100, .timestamp_field = "at"});
    weir_stream *kept = weir_filter(clicks, WEIR_NAMED("Real", "real"), .filter = keep);
    weir_stream *keyed = weir_key_by(kept, "page");
    weir_stream *counts = weir_window(keyed, WEIR_NAMED("Counter", "counter"),
                                      .kind = WEIR_TUMBLING_EVENT_TIME, .size_ms = SIZE_MS,
                                      .aggregate = &counter, .type = &job_result_type, .window = emit_window);
    weir_discard(counts, WEIR_NAMED("Sink", "sink"));
    return 0;
}

static const weir_job_descriptor job = {
    WEIR_JOB_MAGIC, sizeof(weir_job_descriptor), WEIR_API_MAJOR, WEIR_API_MINOR, "counts", job_main};

/* ---- a sink that takes back what came after the checkpoint that is restored
 * ------------------------------------------ */

struct output {
    int64_t start, count;
    int page;
    uint64_t after; /* the checkpoint whose barrier came last before it */
};

static struct {
    struct rig *rig;
    struct vec_of(struct output) outputs;
    uint32_t again_percent;
} world;

struct test_sink {
    struct operator_instance base;
    uint64_t last_barrier;
    bool waiting;
};

/* Sometimes full, as a producer's queue would be; woken later. */
static bool is_full(struct test_sink *sink)
{
    if (sink->waiting || random_below(&world.rig->random, 100) >= world.again_percent) {
        sink->waiting = false;
        return false;
    }
    sink->waiting = true;
    vec_push(&world.rig->wake_later, sink->base.setup.waker);
    return true;
}

static enum operator_progress sink_process(struct operator_instance *op, const struct record_ref *record)
{
    struct test_sink *sink = (struct test_sink *)op;
    if (is_full(sink))
        return OPERATOR_AGAIN;
    const struct job_result *r = record->data;
    assert_int_equal(record->timestamp, r->start + SIZE_MS - 1);
    int page = 0;
    while (page < PAGES && (strlen(pages[page]) != r->page.length ||
                            memcmp(pages[page], weir_string_data(&r->page), r->page.length) != 0))
        page++;
    assert_true(page < PAGES);
    vec_push(&world.outputs, (struct output){r->start, r->count, page, sink->last_barrier});
    return OPERATOR_DONE;
}

static enum operator_progress sink_prepare(struct operator_instance *op, uint64_t checkpoint_id)
{
    (void)checkpoint_id;
    return is_full((struct test_sink *)op) ? OPERATOR_AGAIN : OPERATOR_DONE;
}

static int sink_snapshot(struct operator_instance *op, uint64_t checkpoint_id, Weir__OperatorState *state,
                         struct error *err)
{
    (void)state;
    (void)err;
    ((struct test_sink *)op)->last_barrier = checkpoint_id;
    return 0;
}

static void sink_close(struct operator_instance *op)
{
    free(op);
}

static const struct operator_ops sink_ops = {.process = sink_process,
                                             .prepare_snapshot = sink_prepare,
                                             .snapshot = sink_snapshot,
                                             .close = sink_close};

static int test_sink_new(const struct operator_setup *setup, struct operator_instance **ret_op,
                         struct error *err)
{
    (void)err;
    struct test_sink *sink = xcalloc(1, sizeof *sink);
    sink->base = (struct operator_instance){.ops = &sink_ops, .setup = *setup};
    sink->last_barrier = world.rig->completed_id;
    *ret_op = &sink->base;
    return 0;
}

/* ---- running
 * -----------------------------------------------------------------------------------------------------------
 */

static struct rig_config config_of(uint64_t seed, uint32_t parallelism)
{
    struct rig_config config = {
        .job = &job,
        .parallelism = parallelism,
        .workers = 1 + (uint32_t)(seed % 3),
        .seed = seed,
        .task = {.max_record_bytes = 64 * 1024,
                 .buffer_timeout_ms = (int64_t)(seed % 4) * 5 - 1,
                 .buffers_per_channel = seed % 5 == 0 ? 1 : 2,
                 .floating_buffers = seed % 5 == 0 ? 0 : 4,
                 .checkpointing = true},
    };
    if (seed % 2)
        config.arguments[0] = "--no-chaining";
    config.operators[WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK] = test_sink_new;
    return config;
}

static void begin(struct rig *rig, uint32_t again_percent)
{
    memset(rig, 0, sizeof *rig);
    vec_clear(&world.outputs);
    world.rig = rig;
    world.again_percent = again_percent;
}

static void check_exact(const struct rig *rig)
{
    static uint32_t seen[WINDOWS][PAGES];
    memset(seen, 0, sizeof seen);
    vec_for_each (output, &world.outputs) {
        if (output->count != PER_WINDOW)
            fail_msg("seed %llu: window %lld of %s has %lld", (unsigned long long)rig->config.seed,
                     (long long)output->start, pages[output->page], (long long)output->count);
        seen[output->start / SIZE_MS][output->page]++;
    }
    for (int w = 0; w < WINDOWS; w++)
        for (int p = 0; p < PAGES; p++)
            if (seen[w][p] != 1)
                fail_msg("seed %llu: window %d of %s came %u times", (unsigned long long)rig->config.seed, w,
                         pages[p], seen[w][p]);
}

/* All that was emitted after the barrier of the checkpoint that is restored comes again. */
static void take_back(const struct rig *rig)
{
    size_t kept = 0;
    vec_for_each (output, &world.outputs)
        if (output->after < rig->completed_id)
            world.outputs.items[kept++] = *output;
    world.outputs.count = kept;
}

static void runs_to_its_end(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        static struct rig rig;
        begin(&rig, 0);
        struct rig_config config = config_of(seed, 1 + (uint32_t)(seed % 4));
        rig_start(&rig, &config);
        rig_run(&rig, 10000000);
        for (uint32_t i = 0; i < rig.task_count; i++)
            assert_int_equal(rig.tasks[i].state, WEIR__TASK_STATE__TASK_FINISHED);
        check_exact(&rig);
        rig_deinit(&rig);
    }
}

static void backpressure_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        static struct rig rig;
        begin(&rig, 60);
        struct rig_config config = config_of(seed, 1 + (uint32_t)(seed % 3));
        config.task.buffers_per_channel = 1;
        config.task.floating_buffers = 0;
        rig_start(&rig, &config);
        rig_run(&rig, 10000000);
        check_exact(&rig);
        rig_deinit(&rig);
    }
}

static void kills_and_restores_change_nothing(void **state)
{
    (void)state;
    uint32_t restored = 0, aborted = 0, after_end = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        static const uint32_t parallelisms[] = {1, 3, 2, 4, 2};
        static struct rig rig;
        begin(&rig, seed % 3 ? 20 : 0);
        struct rig_config config = config_of(seed, 1);
        config.slow_ms = 40;
        rig_start(&rig, &config);
        uint32_t kills = 0;
        for (uint64_t step = 0; rig_step(&rig); step++) {
            assert_true(step < 10000000);
            uint64_t what = random_below(&rig.random, 3000);
            if (what < 30)
                rig_trigger(&rig);
            if (what == 40 && rig.checkpoint_id) {
                rig_abort_checkpoint(&rig);
                aborted++;
            }
            if (what == 50 && kills < 4) {
                take_back(&rig);
                restored += rig.completed_id > 0;
                rig_kill(&rig);
                config.parallelism = parallelisms[++kills];
                config.workers = 1 + (uint32_t)random_below(&rig.random, 3);
                rig_start(&rig, &config);
            }
        }
        check_exact(&rig);
        after_end += rig.completed_by_end;
        rig_deinit(&rig);
    }
    print_message("%u restores, %u checkpoints aborted, %u acknowledgements of ended tasks\n", restored,
                  aborted, after_end);
    assert_true(after_end > 20);
    assert_true(restored > 60);
    assert_true(aborted > 30);
}

/* ---- metrics, cancellation, failure
 * -------------------------------------------------------------------------------------- */

static void metrics_count_records(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 0);
    struct rig_config config = config_of(1, 2); /* not chained, two workers */
    rig_start(&rig, &config);
    rig_run(&rig, 10000000);
    uint64_t in[4] = {0}, out[4] = {0}, bytes_out[4] = {0}, bytes_in[4] = {0};
    assert_int_equal(rig.job_graph->n_vertices, 4);
    for (uint32_t i = 0; i < rig.task_count; i++) {
        Weir__TaskMetrics metrics;
        task_read_metrics(rig.tasks[i].task, &metrics);
        in[metrics.vertex] += metrics.records_in;
        out[metrics.vertex] += metrics.records_out;
        bytes_in[metrics.vertex] += metrics.bytes_in;
        bytes_out[metrics.vertex] += metrics.bytes_out;
        assert_int_equal(metrics.late_records_dropped, 0);
        assert_true(metrics.watermark_ms == INT64_MAX);
        assert_int_equal(metrics.input_queue_buffers, 0);
    }
    uint64_t extras = (EVENTS + 12) / 13;
    assert_int_equal(in[0], 0);
    assert_int_equal(out[0], EVENTS + extras);
    assert_int_equal(in[1], EVENTS + extras);
    assert_int_equal(out[1], EVENTS);
    assert_int_equal(in[2], EVENTS);
    assert_int_equal(out[2], PAGES * WINDOWS);
    assert_int_equal(in[3], PAGES * WINDOWS);
    assert_int_equal(out[3], 0);
    for (int v = 1; v < 4; v++)
        assert_int_equal(bytes_in[v], bytes_out[v - 1]);
    rig_deinit(&rig);
}

static bool has_outputs(struct rig *rig)
{
    (void)rig;
    return world.outputs.count > 0;
}

static void cancel_ends_all_tasks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        static struct rig rig;
        begin(&rig, 50);
        struct rig_config config = config_of(seed, 2);
        rig_start(&rig, &config);
        if (seed > 2)
            rig_run_until(&rig, has_outputs, 1000000);
        rig_post(&rig, TASK_MAIL_CANCEL, 0);
        rig_run(&rig, 1000);
        for (uint32_t i = 0; i < rig.task_count; i++)
            assert_true(rig.tasks[i].state == WEIR__TASK_STATE__TASK_CANCELED ||
                        rig.tasks[i].state == WEIR__TASK_STATE__TASK_FINISHED);
        rig_deinit(&rig);
    }
}

static void deployments_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 0);
    struct rig_config config = config_of(1, 2);
    rig_start(&rig, &config);
    Weir__DeployTasks *deployment = rig.workers[0].deployment;
    struct job_runtime_setup setup = {
        .stream_graph = rig.graph, .deployment = deployment, .worker = "worker-0", .config = config.task};
    struct job_runtime *runtime;
    struct error err = {0};

    deployment->tasks[0]->vertex = 9;
    assert_int_not_equal(job_runtime_new(&setup, &runtime, &err), 0);
    assert_non_null(strstr(err.message, "vertex 9, which don't exist"));
    deployment->tasks[0]->vertex = 0;

    deployment->n_peers--;
    assert_int_not_equal(job_runtime_new(&setup, &runtime, &err), 0);
    assert_non_null(strstr(err.message, "has no place"));
    deployment->n_peers++;

    setup.worker = "worker-7";
    assert_int_not_equal(job_runtime_new(&setup, &runtime, &err), 0);
    assert_non_null(strstr(err.message, "elsewhere"));
    rig_deinit(&rig);
}

/* What comes from the network is checked: a record whose string points out of it fails the task, by name. */
static void malformed_input_fails_the_task(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 0);
    struct rig_config config = config_of(1, 2);
    config.workers = 2;
    rig_start(&rig, &config);
    const struct remote_channel *input = NULL;
    for (uint32_t i = 0; i < job_runtime_remote_count(rig.workers[0].runtime); i++)
        if (!job_runtime_remote(rig.workers[0].runtime, i)->is_output)
            input = job_runtime_remote(rig.workers[0].runtime, i);
    assert_non_null(input);
    struct buffer *buffer = buffer_pool_try_take(input->pool);
    struct job_click click = {.at = 1, .page = {.offset = 100000, .length = 3}};
    struct element_header header = {.size = sizeof click, .timestamp = 1};
    memcpy(buffer->data, &header, sizeof header);
    memcpy(buffer->data + sizeof header, &click, sizeof click);
    buffer->size = element_padded(sizeof click);
    assert_true(channel_push(input->channel, buffer));
    struct rig_task *consumer =
        rig_find(&rig, rig.job_graph->edges[input->id.edge]->target, input->id.consumer);
    for (int i = 0; i < 10 && !consumer->error; i++)
        task_step(consumer->task, rig.now_ms);
    assert_int_equal(consumer->state, WEIR__TASK_STATE__TASK_FAILED);
    assert_non_null(strstr(consumer->error, "Counter (1/2): input from subtask 1"));
    assert_non_null(strstr(consumer->error, "a record 'job_click' of 24 bytes is malformed"));
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_to_its_end),
        cmocka_unit_test(backpressure_changes_nothing),
        cmocka_unit_test(kills_and_restores_change_nothing),
        cmocka_unit_test(metrics_count_records),
        cmocka_unit_test(cancel_ends_all_tasks),
        cmocka_unit_test(malformed_input_fails_the_task),
        cmocka_unit_test(deployments_that_do_not_fit_are_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vec_free(&world.outputs);
    return failed;
}
