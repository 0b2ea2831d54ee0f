/* Watermarks and idleness of the Kafka source, under virtual time: a partition is idle when the broker has
 * said so, never because the reader was slow or stopped. */
#include "connectors_rig.h"

#include "common/base/id.h"

enum { IDLENESS_MS = 5000 };

static struct fake_kafka kafka;
static struct rig rig;

static void begin(int32_t partitions)
{
    fake_kafka_init(&kafka, partitions);
    rig_init(&rig, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE);
    rig.setup.kafka = &kafka.provider;
    rig.node.options.kafka_source =
        (weir_kafka_source_options){.type = &rig_event_type,
                                    .decode = fake_decode,
                                    .topic = "input",
                                    .start = WEIR_START_EARLIEST,
                                    .watermarks = {.idleness_ms = IDLENESS_MS, .timestamp_field = "time"}};
    rig_open(&rig, kafka_source_new, 0, 1, NULL, 0);
}

static void end(void)
{
    rig_deinit(&rig);
    fake_kafka_deinit(&kafka);
}

static void drained(void)
{
    assert_int_equal(rig_drain(&rig), SOURCE_NOTHING);
}

static void pass(int64_t ms)
{
    assert_int_equal(rig_pass(&rig, ms), SOURCE_NOTHING);
}

/* Records that were emitted when the watermark had passed them. */
static uint32_t late(void)
{
    uint32_t n = 0;
    vec_for_each (emitted, &rig.emitted)
        n += emitted->timestamp_ms <= emitted->watermark_before;
    return n;
}

static void the_watermark_is_the_minimum_and_follows_the_records(void **state)
{
    (void)state;
    begin(2);
    fake_append(&kafka, 0, 1000);
    drained();
    assert_int_equal(rig.watermark_ms, INT64_MIN); /* partition 1 may have older ones */
    fake_append(&kafka, 1, 400);
    drained();
    assert_int_equal(rig.watermark_ms, 399);
    fake_append(&kafka, 1, 2000);
    fake_append(&kafka, 1, 2000); /* not late: the watermark comes behind the batch */
    drained();
    assert_int_equal(rig.watermark_ms, 999);
    assert_int_equal(late(), 0);
    end();
}

static void an_empty_partition_is_idle_after_the_broker_said_so(void **state)
{
    (void)state;
    begin(2);
    drained();
    for (int i = 0; i < 49; i++) {
        fake_append(&kafka, 0, 1000 + i);
        pass(100);
    }
    assert_int_equal(rig.watermark_ms, INT64_MIN);
    assert_int_equal(kafka.end_queries, 0);
    kafka.hold_answers = true;
    pass(500);
    assert_int_equal(kafka.end_queries, 1);
    assert_int_equal(rig.watermark_ms, INT64_MIN);
    kafka.hold_answers = false;
    drained();
    assert_int_equal(rig.watermark_ms, 1047);
    assert_false(rig.idle); /* partition 0 isn't */
    pass(IDLENESS_MS + 1);
    assert_true(rig.idle);
    uint32_t queries = kafka.end_queries;
    pass(100 * IDLENESS_MS); /* idle is idle: nothing is asked, nothing is due */
    assert_int_equal(kafka.end_queries, queries);
    fake_append(&kafka, 1, 1100);
    pass(1);
    assert_false(rig.idle);
    end();
}

static void no_idleness_asked_for_is_none(void **state)
{
    (void)state;
    fake_kafka_init(&kafka, 2);
    rig_init(&rig, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE);
    rig.setup.kafka = &kafka.provider;
    rig.node.options.kafka_source = (weir_kafka_source_options){
        .type = &rig_event_type, .decode = fake_decode, .topic = "input", .start = WEIR_START_EARLIEST};
    rig_open(&rig, kafka_source_new, 0, 1, NULL, 0);
    fake_append(&kafka, 0, 1);
    pass(1000000);
    assert_int_equal(kafka.end_queries, 0);
    assert_int_equal(rig.watermark_ms, INT64_MIN);
    assert_false(rig.idle);
    end();
}

static void a_backlog_that_is_not_fetched_is_not_idleness(void **state)
{
    (void)state;
    begin(2);
    fake_append(&kafka, 0, 1000);
    fake_append(&kafka, 1, 1000);
    drained();
    kafka.partitions[1].fetched = 1; /* fetching is stuck, the broker has more */
    fake_append(&kafka, 1, 1001);
    for (int i = 0; i < 100; i++) {
        fake_append(&kafka, 0, 2000 + i);
        pass(1000);
    }
    assert_int_equal(rig.watermark_ms, 999);
    kafka.partitions[1].fetched = INT64_MAX;
    pass(1);
    assert_int_equal(rig.watermark_ms, 1000);
    assert_int_equal(late(), 0);
    end();
}

static void transaction_markers_at_the_end_do_not_prevent_idleness(void **state)
{
    (void)state;
    begin(2);
    fake_append(&kafka, 1, 1000);
    fake_append_marker(&kafka, 1);
    kafka.partitions[1].fetched = 1; /* the markers come later than the answer */
    drained();
    for (int i = 0; i < 10; i++) {
        fake_append(&kafka, 0, 2000 + i);
        pass(1000);
    }
    assert_int_equal(rig.watermark_ms, 999);
    kafka.partitions[1].fetched = INT64_MAX;
    pass(1);
    assert_int_equal(rig.watermark_ms, 2008);
    end();
}

static void a_question_that_failed_is_asked_again(void **state)
{
    (void)state;
    begin(2);
    drained();
    kafka.unreachable = true;
    for (int i = 0; i < 20; i++) {
        fake_append(&kafka, 0, 1000 + i);
        pass(1000);
    }
    assert_int_equal(rig.watermark_ms, INT64_MIN);
    assert_in_range(kafka.end_queries, 10, 20);
    kafka.unreachable = false;
    pass(1001);
    assert_true(rig.watermark_ms > 1000);
    end();
}

static void a_record_takes_back_the_question(void **state)
{
    (void)state;
    begin(2);
    drained();
    kafka.hold_answers = true;
    for (int i = 0; i <= 50; i++) {
        fake_append(&kafka, 0, 1000 + i);
        pass(100);
    }
    assert_int_equal(kafka.end_queries, 1);
    fake_append(&kafka, 1, 900); /* after the question, before its answer */
    pass(1);
    kafka.hold_answers = false;
    drained();
    assert_int_equal(rig.watermark_ms, 899);
    end();
}

static void an_old_answer_is_asked_for_again(void **state)
{
    (void)state;
    begin(2);
    fake_append(&kafka, 0, 1000);
    fake_append(&kafka, 1, 1000);
    drained();
    pass(IDLENESS_MS - 1);
    kafka.hold_answers = true;
    rig.now_ms += 1;
    rig.op->ops->poll(rig.op, 10); /* asks for both; the answer is: nothing there */
    assert_int_equal(kafka.end_queries, 2);
    rig.now_ms += 8000; /* stopped */
    for (int i = 0; i < 100; i++) {
        fake_append(&kafka, 0, 2000 + i);
        fake_append(&kafka, 1, 2000 + i);
    }
    kafka.partitions[1].fetched = 1; /* its fetch comes later than that of 0 */
    kafka.hold_answers = false;
    drained();
    assert_int_equal(rig.watermark_ms, 999);
    kafka.partitions[1].fetched = INT64_MAX;
    pass(1);
    assert_int_equal(late(), 0);
    assert_int_equal(rig.watermark_ms, 2098);
    /* A broker that is always that slow is believed in the end. */
    kafka.now_ms = &rig.now_ms;
    kafka.answer_delay_ms = 10000;
    uint32_t queries = kafka.end_queries;
    for (int i = 0; i < 30 && !rig.idle; i++) {
        rig.now_ms += 10000;
        assert_int_equal(rig.op->ops->poll(rig.op, 10), SOURCE_NOTHING);
    }
    assert_true(rig.idle);
    assert_in_range(kafka.end_queries - queries, 6, 12); /* each time with twice the patience */
    end();
}

static void after_a_pause_idle_partitions_are_asked_about_again(void **state)
{
    (void)state;
    begin(2);
    fake_append(&kafka, 0, 1000);
    fake_append(&kafka, 1, 1000);
    pass(3 * IDLENESS_MS);
    assert_true(rig.idle); /* the producer had stopped */
    for (int i = 0; i < 1000; i++) {
        fake_append(&kafka, 0, 2000 + i);
        fake_append(&kafka, 1, 2000 + i);
    }
    kafka.partitions[1].fetched = 1; /* its fetch comes later than that of 0 */
    drained();
    pass(10);
    assert_int_equal(rig.watermark_ms, 999);
    kafka.partitions[1].fetched = INT64_MAX;
    pass(10);
    assert_int_equal(late(), 0);
    assert_int_equal(rig.watermark_ms, 2998);
    /* And one that is still idle holds nothing back for longer than the question takes. */
    pass(3 * IDLENESS_MS);
    fake_append(&kafka, 0, 9000);
    pass(1);
    assert_int_equal(rig.watermark_ms, 8999);
    end();
}

/* A producer writes to both partitions all the time, in order; the reader is stopped, fetching lags, answers
 * are late, there is no room downstream: nothing is ever late, nothing is ever idle. */
static void a_starved_reader_is_never_idle(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct random random;
        random_init(&random, seed);
        begin(3);
        int64_t produced_until = rig.now_ms;
        for (int step = 0; step < 300; step++) {
            int64_t stopped = random_below(&random, 10) == 0 ? (int64_t)random_below(&random, 20000) : 0;
            rig.now_ms += stopped + (int64_t)random_below(&random, 300);
            for (; produced_until < rig.now_ms; produced_until += 50)
                for (int p = 0; p < 3; p++)
                    fake_append(&kafka, p, produced_until);
            for (int p = 0; p < 3; p++) { /* how far fetching has come, which may be a long way behind */
                struct fake_partition *partition = &kafka.partitions[p];
                int64_t fetched = partition->fetched == INT64_MAX ? 0 : partition->fetched;
                partition->fetched =
                    fetched + (int64_t)random_below(&random, (uint64_t)(partition->end - fetched + 1));
            }
            kafka.hold_answers = random_below(&random, 3) == 0;
            rig.room = random_below(&random, 4) == 0 ? 0 : random_below(&random, 400);
            uint32_t polls = (uint32_t)random_below(&random, 4);
            if (rig.now_ms >= rig.op->ops->next_deadline(rig.op))
                assert_int_equal(rig.op->ops->timer(rig.op, rig.now_ms), OPERATOR_DONE);
            for (uint32_t i = 0; i < polls; i++)
                assert_true(rig.op->ops->poll(rig.op, 1 + (uint32_t)random_below(&random, 200)) <=
                            SOURCE_NOTHING);
            assert_int_equal(rig.idle_changes, 0);
        }
        if (late() != 0)
            fail_msg("seed %d: %u of %zu are late", (int)seed, late(), rig.emitted.count);
        assert_true(rig.emitted.count > 1000);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_watermark_is_the_minimum_and_follows_the_records),
        cmocka_unit_test(an_empty_partition_is_idle_after_the_broker_said_so),
        cmocka_unit_test(no_idleness_asked_for_is_none),
        cmocka_unit_test(a_backlog_that_is_not_fetched_is_not_idleness),
        cmocka_unit_test(transaction_markers_at_the_end_do_not_prevent_idleness),
        cmocka_unit_test(a_question_that_failed_is_asked_again),
        cmocka_unit_test(a_record_takes_back_the_question),
        cmocka_unit_test(an_old_answer_is_asked_for_again),
        cmocka_unit_test(after_a_pause_idle_partitions_are_asked_about_again),
        cmocka_unit_test(a_starved_reader_is_never_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
