/* A task by its parts: operators that are full amid a chain, functions that fail, cancellation, triggers at
 * the wrong time, whose time it is, flushing, malformed input. */
#include "runtime_rig.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "taskmanager/worker/shuffle/result_partition.h"

enum { NUMBERS = 500 };

static struct {
    struct rig *rig;
    int64_t fail_at;   /* the map fails at this value; −1: never */
    int64_t sleep_ms;  /* per record in the map */
    int64_t value_sum; /* at the sink */
    uint64_t taken;    /* by the sink */
    int64_t last_taken;
    uint32_t again_percent;
    int64_t sink_watermark;
    uint32_t sink_watermarks;
    bool finished;
    uint32_t prepared;
    const char *open_error;
    uint64_t completed;
} world;

WEIR_RECORD(number, (int64, value));

/* Two at once, so that the watermark passes the first while both may still be inside the chain. */
static int two_numbers(weir_context *context, int64_t index, weir_collector *out)
{
    (void)context;
    for (int i = 0; i < 2; i++) {
        struct weir_sequence_element *element = weir_new_record(out);
        element->value = 2 * index + i;
        int rc = weir_emit(out, element);
        if (rc)
            return rc;
    }
    return 0;
}

/* Each value twice, so that a full sink has more than one record waiting before it. */
static int twice(weir_context *context, const void *record, weir_collector *out)
{
    int64_t value = ((const struct weir_sequence_element *)record)->value;
    if (value == world.fail_at)
        return weir_fail(context, "value %lld is not liked", (long long)value);
    if (world.sleep_ms && weir_sleep(context, world.sleep_ms))
        return -1;
    for (int i = 0; i < 2; i++) {
        struct number *n = weir_new_record(out);
        n->value = 2 * value + i;
        int rc = weir_emit(out, n);
        if (rc)
            return rc;
    }
    return 0;
}

static int numbers_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (weir_flag(env, "no-chaining"))
        weir_disable_chaining(env);
    weir_stream *numbers = weir_from_generator(
        env, WEIR_NAMED("Numbers", "numbers"), .type = &weir_sequence_element_type, .generate = two_numbers,
        .count = weir_flag(env, "endless") ? 0 : NUMBERS / 2, .watermarks = {.timestamp_field = "value"});
    weir_stream *doubled =
        weir_map(numbers, WEIR_NAMED("Twice", "twice"), .type = &number_type, .map = twice);
    weir_discard(doubled, WEIR_NAMED("Sink", "sink"));
    return 0;
}

static const weir_job_descriptor numbers_job = {
    WEIR_JOB_MAGIC, sizeof(weir_job_descriptor), WEIR_API_MAJOR, WEIR_API_MINOR, "numbers", numbers_main};

/* ---- a sink that is often full
 * ----------------------------------------------------------------------------------------- */

static enum operator_progress maybe_again(struct operator_instance *op)
{
    if (random_below(&world.rig->random, 100) >= world.again_percent)
        return OPERATOR_DONE;
    vec_push(&world.rig->wake_later, op->setup.waker);
    return OPERATOR_AGAIN;
}

static int sink_open(struct operator_instance *op, struct error *err)
{
    if (!world.open_error)
        return 0;
    *op->setup.fatal = true;
    return error_set(err, WEIR_E_INVALID, "%s", world.open_error);
}

static enum operator_progress sink_process(struct operator_instance *op, const struct record_ref *record)
{
    if (maybe_again(op) == OPERATOR_AGAIN)
        return OPERATOR_AGAIN;
    int64_t value = ((const struct number *)record->data)->value;
    assert_int_equal(value, world.last_taken + 1); /* in order, none twice, none missing */
    assert_false(world.finished);
    world.last_taken = value;
    world.value_sum += value;
    world.taken++;
    return OPERATOR_DONE;
}

static enum operator_progress sink_watermark(struct operator_instance *op, int64_t watermark_ms)
{
    if (maybe_again(op) == OPERATOR_AGAIN)
        return OPERATOR_AGAIN;
    /* What came before the watermark was taken before it. */
    assert_true(world.last_taken >= (watermark_ms == INT64_MAX ? 2 * NUMBERS - 1 : 2 * watermark_ms + 1));
    world.sink_watermark = watermark_ms;
    world.sink_watermarks++;
    return OPERATOR_DONE;
}

static enum operator_progress sink_prepare(struct operator_instance *op, uint64_t checkpoint_id)
{
    (void)checkpoint_id;
    world.prepared++;
    return maybe_again(op);
}

static enum operator_progress sink_finish(struct operator_instance *op)
{
    assert_true(world.sink_watermark == INT64_MAX);
    world.finished = maybe_again(op) == OPERATOR_DONE;
    return world.finished ? OPERATOR_DONE : OPERATOR_AGAIN;
}

static void sink_complete(struct operator_instance *op, uint64_t checkpoint_id)
{
    (void)op;
    world.completed = checkpoint_id;
}

static void sink_close(struct operator_instance *op)
{
    free(op);
}

static const struct operator_ops sink_ops = {.open = sink_open,
                                             .process = sink_process,
                                             .watermark = sink_watermark,
                                             .prepare_snapshot = sink_prepare,
                                             .checkpoint_complete = sink_complete,
                                             .finish = sink_finish,
                                             .close = sink_close};

static int full_sink_new(const struct operator_setup *setup, struct operator_instance **ret_op,
                         struct error *err)
{
    (void)err;
    struct operator_instance *op = xcalloc(1, sizeof *op);
    *op = (struct operator_instance){.ops = &sink_ops, .setup = *setup};
    *ret_op = op;
    return 0;
}

/* ---- the rig
 * -----------------------------------------------------------------------------------------------------------
 */

static void begin(struct rig *rig, uint64_t seed, const char *flag, const char *flag2)
{
    memset(rig, 0, sizeof *rig);
    memset(&world, 0, sizeof world);
    world.rig = rig;
    world.fail_at = -1;
    world.last_taken = -1;
    struct rig_config config = {
        .job = &numbers_job,
        .arguments = {flag, flag2},
        .parallelism = 1,
        .workers = 1,
        .seed = seed,
        .task = {.max_record_bytes = 4096,
                 .buffers_per_channel = 2,
                 .floating_buffers = 2,
                 .checkpointing = true},
    };
    config.operators[WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK] = full_sink_new;
    rig_start(rig, &config);
}

static bool is_running(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->task_count; i++)
        if (rig->tasks[i].state != WEIR__TASK_STATE__TASK_RUNNING)
            return false;
    return true;
}

static bool is_some_taken(struct rig *rig)
{
    (void)rig;
    return world.taken > 100;
}

static bool is_completed(struct rig *rig)
{
    return rig->completed_id > 0 && world.completed == rig->completed_id;
}

/* ---- tests
 * -------------------------------------------------------------------------------------------------------------
 */

static void a_full_sink_in_the_chain_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        static struct rig rig;
        begin(&rig, seed, seed % 2 ? "--no-chaining" : NULL, NULL);
        assert_int_equal(rig.job_graph->n_vertices, seed % 2 ? 3 : 1);
        world.again_percent = (uint32_t)(seed % 10) * 9;
        uint64_t completed = 0;
        while (rig_step(&rig))
            if (random_below(&rig.random, 50) == 0)
                rig_trigger(&rig);
        completed = rig.completed_id;
        assert_int_equal(world.taken, 2 * NUMBERS);
        assert_int_equal(world.value_sum, (int64_t)NUMBERS * (2 * NUMBERS - 1));
        assert_true(world.finished);
        assert_int_equal(rig.tasks[0].state, WEIR__TASK_STATE__TASK_FINISHED);
        assert_true(world.sink_watermarks > 1);
        if (completed)
            assert_true(world.prepared > 0);
        rig_deinit(&rig);
    }
}

static void failures_name_task_operator_and_reason(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 1, NULL, NULL);
    world.fail_at = 77;
    rig_run(&rig, 100000);
    assert_int_equal(rig.tasks[0].state, WEIR__TASK_STATE__TASK_FAILED);
    assert_false(rig.tasks[0].fatal);
    assert_string_equal(rig.tasks[0].error,
                        "Source: Numbers -> Twice -> Sink: Writer (1/1): operator 'Twice': value 77 is "
                        "not liked");
    assert_int_equal(world.taken, 2 * 77);
    assert_int_equal(task_step(rig.tasks[0].task, rig.now_ms), TASK_ENDED);
    rig_deinit(&rig);

    begin(&rig, 1, "--no-chaining", NULL);
    world.fail_at = 3;
    while (rig_find(&rig, 1, 0)->state != WEIR__TASK_STATE__TASK_FAILED)
        assert_true(rig_step(&rig));
    assert_string_equal(rig_find(&rig, 1, 0)->error, "Twice (1/1): value 3 is not liked");
    rig_deinit(&rig);

    begin(&rig, 1, NULL, NULL);
    world.open_error = "no such place";
    rig_run(&rig, 100);
    assert_int_equal(rig.tasks[0].state, WEIR__TASK_STATE__TASK_FAILED);
    assert_true(rig.tasks[0].fatal);
    assert_non_null(strstr(rig.tasks[0].error, "no such place"));
    rig_deinit(&rig);
}

static int canceled_sleep(void *self, int64_t ms)
{
    (void)ms;
    rig_post(self, TASK_MAIL_CANCEL, 0);
    return 1;
}

static void an_interrupted_function_is_a_cancellation(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 1, NULL, NULL);
    world.sleep_ms = 10;
    rig.environment.sleep = canceled_sleep;
    rig_run(&rig, 1000);
    assert_int_equal(rig.tasks[0].state, WEIR__TASK_STATE__TASK_CANCELED);
    rig_deinit(&rig);
}

static void triggers_at_the_wrong_time_are_declined(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 1, "--no-chaining", NULL);
    rig_trigger(&rig);
    assert_int_equal(task_step(rig_find(&rig, 0, 0)->task, rig.now_ms), TASK_PROGRESS);
    assert_int_equal(rig.declines, 1);
    assert_non_null(strstr(rig.last_decline, "Numbers (1/1): the task is not running yet"));
    rig_run(&rig, 100000);
    rig_deinit(&rig);

    begin(&rig, 1, NULL, NULL);
    world.again_percent = 95; /* it ends slowly */
    while (world.sink_watermark != INT64_MAX)
        assert_true(rig_step(&rig));
    rig_trigger(&rig);
    rig_run(&rig, 100000);
    assert_true(rig.declines == 1 || world.finished);
    rig_deinit(&rig);
}

static void completion_reaches_operators(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 1, "--no-chaining", "--endless");
    rig_run_until(&rig, is_some_taken, 100000);
    rig_trigger(&rig);
    rig_run_until(&rig, is_completed, 100000);
    rig_post(&rig, TASK_MAIL_CANCEL, 0);
    rig_run(&rig, 1000);
    rig_deinit(&rig);
}

/* An aborted checkpoint whose sinks still wait does not hold the next one up. */
static void an_aborted_checkpoint_is_dropped(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 1, NULL, "--endless");
    rig_run_until(&rig, is_some_taken, 100000);
    world.again_percent = 100;
    rig_trigger(&rig);
    for (int i = 0; i < 50; i++)
        rig_step(&rig);
    assert_int_equal(rig.completed_id, 0);
    rig_abort_checkpoint(&rig);
    rig_step(&rig);
    world.again_percent = 0;
    rig_trigger(&rig);
    rig_run_until(&rig, is_completed, 100000);
    assert_int_equal(rig.completed_id, 2);
    rig_deinit(&rig);
}

/* The sink is full for 300 ms: the task behind it waits for room, the sink's own waits as well; then nothing
 * comes. */
static void time_is_accounted_to_its_cause(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 1, "--no-chaining", "--endless");
    rig_run_until(&rig, is_some_taken, 100000);
    world.again_percent = 100;
    struct task *source = rig_find(&rig, 0, 0)->task, *map = rig_find(&rig, 1, 0)->task,
                *sink = rig_find(&rig, 2, 0)->task;
    for (int i = 0; i < 100; i++) { /* until all buffers are full */
        task_step(source, rig.now_ms);
        task_step(map, rig.now_ms);
        task_step(sink, rig.now_ms);
    }
    Weir__TaskMetrics before, after;
    task_read_metrics(source, &before);
    assert_int_equal(before.output_pool_used_permille, 1000);
    assert_true(before.output_queue_buffers > 0);
    assert_int_equal(task_step(source, rig.now_ms), TASK_WAITING);
    rig.now_ms += 300;
    assert_int_equal(task_step(source, rig.now_ms), TASK_WAITING);
    task_read_metrics(source, &after);
    assert_int_equal(after.backpressured_ms, before.backpressured_ms + 300);
    assert_int_equal(after.idle_ms, before.idle_ms);
    assert_int_equal(after.records_out, before.records_out);

    world.again_percent = 0;
    for (int i = 0; i < 1000; i++) { /* without the source everything is worked off */
        task_step(sink, rig.now_ms);
        task_step(map, rig.now_ms);
    }
    task_read_metrics(sink, &before);
    assert_int_equal(task_step(sink, rig.now_ms), TASK_WAITING);
    rig.now_ms += 200;
    assert_int_equal(task_step(sink, rig.now_ms), TASK_WAITING);
    task_read_metrics(sink, &after);
    assert_int_equal(after.idle_ms, before.idle_ms + 200);
    assert_int_equal(after.input_queue_buffers, 0);

    task_read_metrics(source, &before);
    assert_int_equal(task_step(source, rig.now_ms), TASK_PROGRESS);
    rig.now_ms += 50;
    assert_int_equal(task_step(source, rig.now_ms), TASK_PROGRESS);
    task_read_metrics(source, &after);
    assert_int_equal(after.busy_ms, before.busy_ms + 50);
    rig_deinit(&rig);
}

/* A step of a slow function becomes short: few records a step, so that mail is read soon. */
static void steps_of_slow_functions_are_short(void **state)
{
    (void)state;
    static struct rig rig;
    begin(&rig, 1, "--no-chaining", "--endless");
    world.sleep_ms = 100;
    struct task *map = rig_find(&rig, 1, 0)->task;
    rig_run_until(&rig, is_running, 1000);
    for (int i = 0; i < 10; i++)
        task_step(rig_find(&rig, 0, 0)->task, rig.now_ms);
    for (int i = 0; i < 20; i++) {
        task_step(rig_find(&rig, 0, 0)->task, rig.now_ms);
        task_step(map, rig.now_ms);
        while (task_step(rig_find(&rig, 2, 0)->task, rig.now_ms) == TASK_PROGRESS)
            ;
    }
    int64_t from_ms = rig.now_ms;
    assert_int_equal(task_step(map, rig.now_ms), TASK_PROGRESS);
    assert_int_equal(rig.now_ms - from_ms, 100); /* one record */
    rig_deinit(&rig);
}

static void start_with_timeout(struct rig *rig, int64_t buffer_timeout_ms)
{
    begin(rig, 1, "--no-chaining", "--endless");
    struct rig_config config = rig->config;
    rig_kill(rig);
    config.task.buffer_timeout_ms = buffer_timeout_ms;
    config.task.floating_buffers = 100;
    rig_start(rig, &config);
    struct task *source = rig_find(rig, 0, 0)->task; /* alone: nobody reads */
    for (int i = 0; i < 2; i++)
        assert_int_equal(task_step(source, rig->now_ms), TASK_PROGRESS);
    assert_int_equal(rig_find(rig, 0, 0)->state, WEIR__TASK_STATE__TASK_RUNNING);
}

/* Buffers pushed by the source's next step. */
static uint32_t pushed_by_step(struct rig *rig)
{
    struct task *source = rig_find(rig, 0, 0)->task;
    Weir__TaskMetrics before, after;
    task_read_metrics(source, &before);
    assert_int_equal(task_step(source, rig->now_ms), TASK_PROGRESS);
    task_read_metrics(source, &after);
    assert_true(after.records_out > before.records_out);
    return after.output_queue_buffers - before.output_queue_buffers;
}

static void buffers_are_flushed_in_time(void **state)
{
    (void)state;
    static struct rig rig;
    start_with_timeout(&rig, 50);
    assert_int_equal(pushed_by_step(&rig), 0); /* it is busy */
    assert_int_equal(task_deadline(rig_find(&rig, 0, 0)->task), rig.now_ms + 50);
    rig.now_ms += 49;
    assert_int_equal(pushed_by_step(&rig), 0);
    rig.now_ms += 1;
    assert_int_equal(pushed_by_step(&rig), 1);
    rig_deinit(&rig);

    start_with_timeout(&rig, 0);
    for (int i = 0; i < 5; i++)
        assert_true(pushed_by_step(&rig) >= 1);
    rig_deinit(&rig);

    start_with_timeout(&rig, -1);
    for (int i = 0; i < 5; i++) {
        rig.now_ms += 100; /* small steps: a buffer is not full soon */
        assert_int_equal(pushed_by_step(&rig), 0);
    }
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_sink_in_the_chain_loses_nothing),
        cmocka_unit_test(failures_name_task_operator_and_reason),
        cmocka_unit_test(an_interrupted_function_is_a_cancellation),
        cmocka_unit_test(triggers_at_the_wrong_time_are_declined),
        cmocka_unit_test(completion_reaches_operators),
        cmocka_unit_test(an_aborted_checkpoint_is_dropped),
        cmocka_unit_test(time_is_accounted_to_its_cause),
        cmocka_unit_test(steps_of_slow_functions_are_short),
        cmocka_unit_test(buffers_are_flushed_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
