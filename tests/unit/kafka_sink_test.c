/* The sinks: Kafka's backpressure, flushing and failures over a producer in memory; what print writes. */
#include "connectors_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct fake_kafka kafka;
static struct rig rig;
static uint32_t encodes;

static int encode(weir_context *context, const void *record, weir_kafka_output *out)
{
    const struct rig_event *event = record;
    encodes++;
    if (event->partition < 0)
        return weir_fail(context, "a negative partition");
    char text[32];
    int length = snprintf(text, sizeof text, "%lld", (long long)event->offset);
    weir_kafka_output_value(out, text, (size_t)length);
    weir_kafka_output_partition(out, 3);
    return 0;
}

static void begin(weir_delivery delivery, uint32_t queue_capacity)
{
    fake_kafka_init(&kafka, 1);
    kafka.queue_capacity = queue_capacity;
    encodes = 0;
    rig_init(&rig, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SINK);
    rig.setup.kafka = &kafka.provider;
    rig.node.options.kafka_sink =
        (weir_kafka_sink_options){.encode = encode, .topic = "output", .delivery = delivery};
    rig_open(&rig, kafka_sink_new, 0, 1, NULL, 0);
}

static void end(void)
{
    rig_deinit(&rig);
    fake_kafka_deinit(&kafka);
}

static enum operator_progress process(int64_t number)
{
    struct rig_event event = {.offset = number};
    return rig.op->ops->process(rig.op,
                                &(struct record_ref){.data = &event, .size = sizeof event, .timestamp = 123});
}

static enum operator_progress prepare(void)
{
    return rig.op->ops->prepare_snapshot(rig.op, 1);
}

static void a_full_queue_is_backpressure_and_the_encoder_is_called_once(void **state)
{
    (void)state;
    begin(WEIR_AT_LEAST_ONCE, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(process(i), OPERATOR_DONE);
    for (int i = 0; i < 5; i++)
        assert_int_equal(process(10), OPERATOR_AGAIN);
    assert_int_equal(encodes, 11);
    waker_prepare(&rig.waker);
    fake_deliver(&kafka, 4);
    assert_int_equal(rig.wakes, 1);
    for (int i = 10; i < 14; i++)
        assert_int_equal(process(i), OPERATOR_DONE);
    assert_int_equal(process(14), OPERATOR_AGAIN);
    fake_deliver(&kafka, 10);
    assert_int_equal(process(14), OPERATOR_DONE);
    assert_int_equal(encodes, 15);
    assert_int_equal(kafka.values.count, 15);
    for (int i = 0; i < 15; i++)
        assert_int_equal(atol(kafka.values.items[i]), i);
    end();
}

static void the_barrier_waits_for_delivery(void **state)
{
    (void)state;
    begin(WEIR_AT_LEAST_ONCE, 10);
    assert_int_equal(prepare(), OPERATOR_DONE);
    assert_int_equal(kafka.flushes, 0);
    assert_int_equal(process(1), OPERATOR_DONE);
    assert_int_equal(process(2), OPERATOR_DONE);
    assert_int_equal(prepare(), OPERATOR_AGAIN);
    assert_true(kafka.flushes > 0);
    fake_deliver(&kafka, 1);
    assert_int_equal(prepare(), OPERATOR_AGAIN);
    fake_deliver(&kafka, 1);
    assert_int_equal(prepare(), OPERATOR_DONE);
    end();
}

static void without_delivery_guarantee_only_the_end_waits(void **state)
{
    (void)state;
    begin(WEIR_DELIVERY_NONE, 10);
    assert_int_equal(process(1), OPERATOR_DONE);
    assert_int_equal(prepare(), OPERATOR_DONE);
    assert_int_equal(rig.op->ops->finish(rig.op), OPERATOR_AGAIN);
    fake_deliver(&kafka, 1);
    assert_int_equal(rig.op->ops->finish(rig.op), OPERATOR_DONE);
    end();
}

static void an_error_of_delivery_fails_the_task_wherever_it_is(void **state)
{
    (void)state;
    for (int where = 0; where < 4; where++) {
        begin(WEIR_AT_LEAST_ONCE, 10);
        assert_int_equal(process(1), OPERATOR_DONE);
        kafka.produce_error = WEIR_E_TIMEOUT;
        enum operator_progress progress = OPERATOR_DONE;
        if (where == 0) {
            for (int i = 0; i < 100 && progress == OPERATOR_DONE; i++) {
                kafka.queued = 0;
                progress = process(i);
            }
        } else if (where == 1) {
            progress = prepare();
        } else if (where == 2) {
            progress = rig.op->ops->finish(rig.op);
        } else { /* nothing else happens */
            assert_true(rig.op->ops->next_deadline(rig.op) <= rig.now_ms + 100);
            rig.now_ms += 100;
            progress = rig.op->ops->timer(rig.op, rig.now_ms);
        }
        assert_int_equal(progress, OPERATOR_FAILED);
        assert_string_equal(rig.error.message, "not delivered");
        assert_false(rig.fatal);
        end();
    }
}

static void a_quiet_sink_has_no_timer(void **state)
{
    (void)state;
    begin(WEIR_AT_LEAST_ONCE, 10);
    assert_int_equal(rig.op->ops->next_deadline(rig.op), INT64_MAX);
    process(1);
    rig.now_ms += 100;
    assert_int_equal(rig.op->ops->next_deadline(rig.op), rig.now_ms);
    assert_int_equal(rig.op->ops->timer(rig.op, rig.now_ms), OPERATOR_DONE);
    assert_int_equal(rig.op->ops->next_deadline(rig.op), rig.now_ms + 100);
    rig.now_ms += 100;
    assert_int_equal(prepare(), OPERATOR_AGAIN); /* who waits here isn't overdue for the timer */
    assert_int_equal(rig.op->ops->next_deadline(rig.op), rig.now_ms + 100);
    fake_deliver(&kafka, 1);
    rig.now_ms += 100;
    assert_int_equal(rig.op->ops->timer(rig.op, rig.now_ms), OPERATOR_DONE);
    assert_int_equal(rig.op->ops->next_deadline(rig.op), INT64_MAX);
    end();
}

static void an_encoder_that_fails_fails_the_task(void **state)
{
    (void)state;
    begin(WEIR_AT_LEAST_ONCE, 10);
    struct rig_event event = {.partition = -1};
    assert_int_equal(rig.op->ops->process(rig.op, &(struct record_ref){.data = &event, .size = sizeof event}),
                     OPERATOR_FAILED);
    assert_string_equal(rig.error.message, "encode a record for topic output: a negative partition");
    assert_int_equal(kafka.produced, 0);
    end();
}

static void a_wrong_property_is_fatal(void **state)
{
    (void)state;
    fake_kafka_init(&kafka, 1);
    kafka.open_result = WEIR_E_INVALID;
    rig_init(&rig, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SINK);
    rig.setup.kafka = &kafka.provider;
    rig.node.options.kafka_sink = (weir_kafka_sink_options){.encode = encode, .topic = "output"};
    assert_int_equal(rig_try_open(&rig, kafka_sink_new, 0, 1, NULL, 0), WEIR_E_INVALID);
    assert_true(rig.fatal);
    end();
}

/* ---- print ---- */

WEIR_RECORD(everything, (int32, small), (int64, large), (float64, real), (bool, yes), (timestamp, time),
            (string, text), (bytes, raw));

static int format(weir_context *context, const void *record, char *buffer, size_t capacity)
{
    const struct everything *e = record;
    if (e->small < 0)
        return weir_fail(context, "negative");
    return snprintf(buffer, capacity, "number %lld", (long long)e->large);
}

static int format_long(weir_context *context, const void *record, char *buffer, size_t capacity)
{
    (void)context;
    (void)record;
    memset(buffer, 'x', capacity);
    return 1 << 30; /* what it would have liked */
}

static void print_one(const struct everything *e, char *line, size_t capacity,
                      enum operator_progress expected)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    enum operator_progress progress =
        rig.op->ops->process(rig.op, &(struct record_ref){.data = e, .size = sizeof *e});
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(ends[1]);
    size_t size = 0;
    ssize_t n;
    while ((n = read(ends[0], line + size, capacity - 1 - size)) > 0)
        size += (size_t)n;
    line[size] = '\0';
    close(ends[0]);
    assert_int_equal(progress, expected);
}

static void prints_lines_as_flink_does(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t subtask, parallelism;
        weir_format_fn *format;
        const char *expected;
    } cases[] = {
        {"clicks", 0, 1, format, "clicks> number 7\n"},
        {"clicks", 1, 2, format, "clicks:2> number 7\n"},
        {"Print to Std. Out", 1, 2, format, "2> number 7\n"},
        {"Print to Std. Out", 0, 1, format, "number 7\n"},
        {"clicks", 0, 1, NULL, "clicks> small=-3 large=7 real=0.5 yes=true time=15 text=/help raw=00ff\n"},
    };
    struct {
        struct everything e;
        char text[5];
        unsigned char raw[2];
    } record = {.e = {.large = 7, .real = 0.5, .yes = 1, .time = 15},
                .text = {'/', 'h', 'e', 'l', 'p'},
                .raw = {0, 255}};
    record.e.text = (weir_string){(int32_t)(record.text - (char *)&record.e.text), 5};
    record.e.raw = (weir_bytes){(int32_t)((char *)record.raw - (char *)&record.e.raw), 2};
    char *line = malloc(1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_init(&rig, WEIR__OPERATOR_KIND__OPERATOR_PRINT_SINK);
        rig.node.input_type = &everything_type;
        rig.node.options.print_sink =
            (weir_print_sink_options){.operator_.name = cases[i].name, .format = cases[i].format};
        rig_open(&rig, print_sink_new, cases[i].subtask, cases[i].parallelism, NULL, 0);
        record.e.small = cases[i].format ? 3 : -3;
        for (int times = 0; times < 2; times++) {
            print_one(&record.e, line, 1 << 20, OPERATOR_DONE);
            assert_string_equal(line, cases[i].expected);
        }
        if (cases[i].format) {
            record.e.small = -1;
            print_one(&record.e, line, 1 << 20, OPERATOR_FAILED);
            assert_string_equal(rig.error.message, "format a record: negative");
            assert_string_equal(line, "");
        }
        rig_deinit(&rig);
    }
    rig_init(&rig, WEIR__OPERATOR_KIND__OPERATOR_PRINT_SINK);
    rig.node.options.print_sink = (weir_print_sink_options){.format = format_long};
    rig_open(&rig, print_sink_new, 0, 1, NULL, 0);
    print_one(&record.e, line, 1 << 20, OPERATOR_DONE);
    assert_int_equal(strlen(line), 64 * 1024);
    assert_int_equal(line[64 * 1024 - 1], '\n');
    rig_deinit(&rig);
    free(line);
}

static void discard_takes_all(void **state)
{
    (void)state;
    rig_init(&rig, WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK);
    rig_open(&rig, discard_sink_new, 0, 1, NULL, 0);
    assert_int_equal(process(1), OPERATOR_DONE);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_is_backpressure_and_the_encoder_is_called_once),
        cmocka_unit_test(the_barrier_waits_for_delivery),
        cmocka_unit_test(without_delivery_guarantee_only_the_end_waits),
        cmocka_unit_test(an_error_of_delivery_fails_the_task_wherever_it_is),
        cmocka_unit_test(a_quiet_sink_has_no_timer),
        cmocka_unit_test(an_encoder_that_fails_fails_the_task),
        cmocka_unit_test(a_wrong_property_is_fatal),
        cmocka_unit_test(prints_lines_as_flink_does),
        cmocka_unit_test(discard_takes_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
