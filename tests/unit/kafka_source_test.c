/* The Kafka source's logic: where it starts, what it keeps, what it does with bad records and bad snapshots.
 */
#include "connectors_rig.h"

#include <stdio.h>

#include "common/base/id.h"
#include "taskmanager/worker/connectors/split_state.h"

struct fixture {
    struct fake_kafka kafka;
    struct rig rigs[4];
};

static struct fixture *fixture_new(int32_t partitions)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    fake_kafka_init(&f->kafka, partitions);
    for (int i = 0; i < 4; i++) {
        rig_init(&f->rigs[i], WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE);
        f->rigs[i].setup.kafka = &f->kafka.provider;
        f->rigs[i].node.output_type = &rig_event_type;
        f->rigs[i].node.options.kafka_source = (weir_kafka_source_options){.type = &rig_event_type,
                                                                           .decode = fake_decode,
                                                                           .topic = "input",
                                                                           .group_id = "group",
                                                                           .bootstrap_servers = "fake:1"};
    }
    return f;
}

static void fixture_free(struct fixture *f)
{
    for (int i = 0; i < 4; i++)
        rig_deinit(&f->rigs[i]);
    fake_kafka_deinit(&f->kafka);
    test_free(f);
}

static weir_kafka_source_options *options_of(struct rig *rig)
{
    return &rig->node.options.kafka_source;
}

static void start(struct rig *rig, uint32_t subtask, uint32_t parallelism)
{
    rig_open(rig, kafka_source_new, subtask, parallelism, NULL, 0);
}

/* ---- where it starts ---- */

static void starts_as_the_options_say(void **state)
{
    (void)state;
    static const struct {
        weir_kafka_start start;
        int64_t timestamp, committed, expected_first, expected_count;
    } cases[] = {
        {WEIR_START_EARLIEST, 0, 7, 3, 7},    {WEIR_START_LATEST, 0, 7, 10, 2},
        {WEIR_START_COMMITTED, 0, 7, 7, 3},   {WEIR_START_COMMITTED, 0, KAFKA_OFFSET_NONE, 3, 7},
        {WEIR_START_TIMESTAMP, 805, 7, 9, 1}, {WEIR_START_TIMESTAMP, 5000, 7, 10, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(1);
        for (int m = 0; m < 10; m++)
            fake_append(&f->kafka, 0, 100 * m);
        f->kafka.partitions[0].start = 3;
        f->kafka.partitions[0].committed = cases[i].committed;
        struct rig *rig = &f->rigs[0];
        options_of(rig)->start = cases[i].start;
        options_of(rig)->start_timestamp_ms = cases[i].timestamp;
        start(rig, 0, 1);
        assert_int_equal(rig_drain(rig), SOURCE_NOTHING);
        if (cases[i].expected_first == 10) { /* latest: what comes from now on */
            assert_int_equal(rig->emitted.count, 0);
            fake_append(&f->kafka, 0, 6000);
            fake_append(&f->kafka, 0, 6001);
            assert_int_equal(rig_drain(rig), SOURCE_NOTHING);
        }
        assert_int_equal(rig->emitted.count, cases[i].expected_count);
        assert_int_equal(rig->emitted.items[0].event.offset, cases[i].expected_first);
        fixture_free(f);
    }
}

static void partitions_belong_to_subtasks_by_their_number(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(5);
    for (int p = 0; p < 5; p++)
        fake_append(&f->kafka, p, 1);
    for (uint32_t subtask = 0; subtask < 3; subtask++)
        start(&f->rigs[subtask], subtask, 3);
    for (uint32_t subtask = 0; subtask < 3; subtask++) {
        struct rig *rig = &f->rigs[subtask];
        assert_int_equal(rig_drain(rig), SOURCE_NOTHING);
        assert_int_equal(rig->emitted.count, subtask < 2 ? 2 : 1);
        vec_for_each (emitted, &rig->emitted)
            assert_int_equal(emitted->event.partition % 3, subtask);
    }
    fixture_free(f);
}

static void a_subtask_without_partitions_is_idle_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    start(&f->rigs[0], 1, 2);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
    assert_true(f->rigs[0].idle);
    assert_int_equal(f->rigs[0].op->ops->next_deadline(f->rigs[0].op), INT64_MAX);
    fixture_free(f);
}

static void waits_for_a_broker_and_for_a_topic(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(0);
    struct rig *rig = &f->rigs[0];
    f->kafka.unreachable = true;
    start(rig, 0, 1);
    assert_int_equal(rig_pass(rig, 20000), SOURCE_NOTHING);
    assert_in_range(f->kafka.lists, 15, 25); /* about each second */
    f->kafka.unreachable = false;
    assert_int_equal(rig_pass(rig, 20000), SOURCE_NOTHING); /* the topic doesn't exist */
    f->kafka.partition_count = 2;
    fake_append(&f->kafka, 1, 1);
    assert_int_equal(rig_pass(rig, 2000), SOURCE_NOTHING);
    assert_int_equal(rig->emitted.count, 1);
    fixture_free(f);
}

static void asks_again_for_start_offsets(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3);
    struct rig *rig = &f->rigs[0];
    fake_append(&f->kafka, 2, 1);
    start(rig, 0, 1);
    rig->op->ops->poll(rig->op, 1); /* asks for the list */
    rig->op->ops->poll(rig->op, 1); /* asks for the start offsets */
    f->kafka.unreachable = true;
    assert_int_equal(rig_pass(rig, 5000), SOURCE_NOTHING);
    f->kafka.unreachable = false;
    assert_int_equal(rig_pass(rig, 5000), SOURCE_NOTHING);
    assert_int_equal(rig->emitted.count, 1);
    fixture_free(f);
}

static void a_refused_client_is_fatal_when_it_is_the_jobs_mistake(void **state)
{
    (void)state;
    static const struct {
        int rc;
        bool fatal;
    } cases[] = {{WEIR_E_INVALID, true}, {WEIR_E_NO_MEMORY, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(1);
        f->kafka.open_result = cases[i].rc;
        assert_int_equal(rig_try_open(&f->rigs[0], kafka_source_new, 0, 1, NULL, 0), cases[i].rc);
        assert_int_equal(f->rigs[0].fatal, cases[i].fatal);
        fixture_free(f);
    }
}

/* ---- snapshots ---- */

struct generation {
    Weir__OperatorState *states[4];
    uint32_t count;
};

static void take(struct fixture *f, struct generation *generation, uint32_t parallelism, uint64_t id)
{
    struct generation taken = {.count = parallelism};
    for (uint32_t i = 0; i < parallelism; i++) {
        taken.states[i] = rig_snapshot(&f->rigs[i], id);
        rig_close(&f->rigs[i]);
    }
    for (uint32_t i = 0; i < generation->count; i++)
        rig_free_state(generation->states[i]);
    *generation = taken;
}

static void give_back(struct generation *generation)
{
    for (uint32_t i = 0; i < generation->count; i++)
        rig_free_state(generation->states[i]);
    generation->count = 0;
}

static void open_all(struct fixture *f, const struct generation *generation, uint32_t parallelism)
{
    for (uint32_t i = 0; i < parallelism; i++)
        rig_open(&f->rigs[i], kafka_source_new, i, parallelism, generation->states, generation->count);
}

static void rescaling_reads_everything_once(void **state)
{
    (void)state;
    enum { PARTITIONS = 7, MESSAGES = 200 };
    static const uint32_t parallelisms[] = {2, 3, 1, 4, 2};
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct random random;
        random_init(&random, seed);
        struct fixture *f = fixture_new(PARTITIONS);
        for (int p = 0; p < PARTITIONS; p++)
            for (int m = 0; m < MESSAGES; m++)
                fake_append(&f->kafka, p, m);
        struct generation generation = {0};
        for (size_t step = 0; step < sizeof parallelisms / sizeof *parallelisms; step++) {
            uint32_t parallelism = parallelisms[step];
            open_all(f, &generation, parallelism);
            /* Some steps end before the source even knows its partitions. */
            for (uint64_t n = random_below(&random, 40); n > 0; n--) {
                struct rig *rig = &f->rigs[random_below(&random, parallelism)];
                assert_true(rig->op->ops->poll(rig->op, 1 + (uint32_t)random_below(&random, 30)) <=
                            SOURCE_NOTHING);
            }
            take(f, &generation, parallelism, step + 1);
        }
        open_all(f, &generation, 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(rig_drain(&f->rigs[i]), SOURCE_NOTHING);
        bool seen[PARTITIONS][MESSAGES] = {0};
        for (int i = 0; i < 4; i++)
            vec_for_each (emitted, &f->rigs[i].emitted) {
                bool *once = &seen[emitted->event.partition][emitted->event.offset];
                assert_false(*once);
                *once = true;
            }
        for (int p = 0; p < PARTITIONS; p++)
            for (int m = 0; m < MESSAGES; m++)
                if (!seen[p][m])
                    fail_msg("seed %d: partition %d, offset %d was not read", (int)seed, p, m);
        give_back(&generation);
        fixture_free(f);
    }
}

static void a_new_partition_starts_at_its_earliest(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    for (int i = 0; i < 2; i++)
        options_of(&f->rigs[i])->start = WEIR_START_LATEST;
    fake_append(&f->kafka, 0, 1);
    struct generation generation = {0};
    open_all(f, &generation, 1);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
    take(f, &generation, 1, 1);
    f->kafka.partition_count = 3;
    fake_append(&f->kafka, 2, 1);
    open_all(f, &generation, 2);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING); /* has 0 and 2 */
    assert_int_equal(f->rigs[0].emitted.count, 1);
    assert_int_equal(f->rigs[0].emitted.items[0].event.partition, 2);
    give_back(&generation);
    fixture_free(f);
}

static void a_snapshot_from_before_the_start_keeps_the_start_option(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    for (int i = 0; i < 3; i++)
        options_of(&f->rigs[i])->start = WEIR_START_LATEST;
    fake_append(&f->kafka, 0, 1);
    fake_append(&f->kafka, 1, 1);
    struct generation generation = {0};
    f->kafka.unreachable = true;
    open_all(f, &generation, 2);
    rig_drain(&f->rigs[0]);
    take(f, &generation, 2, 1);
    open_all(f, &generation, 3); /* again nothing is found out; the answer must survive a second snapshot */
    rig_drain(&f->rigs[1]);
    take(f, &generation, 3, 2);
    f->kafka.unreachable = false;
    open_all(f, &generation, 1);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
    assert_int_equal(f->rigs[0].emitted.count, 0); /* latest, not earliest */
    fake_append(&f->kafka, 1, 2);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
    assert_int_equal(f->rigs[0].emitted.count, 1);
    give_back(&generation);
    fixture_free(f);
}

static void the_watermark_is_restored(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    options_of(&f->rigs[0])->watermarks.out_of_orderness_ms = 10;
    fake_append(&f->kafka, 0, 5000);
    struct generation generation = {0};
    open_all(f, &generation, 1);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
    assert_int_equal(f->rigs[0].watermark_ms, 4989);
    take(f, &generation, 1, 1);
    open_all(f, &generation, 1);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
    assert_int_equal(f->rigs[0].emitted.count, 1);
    assert_int_equal(f->rigs[0].watermark_ms, 4989);
    give_back(&generation);
    fixture_free(f);
}

static void snapshots_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *split;
        int version;
        uint32_t values;
        int64_t first;
        int times;
        const char *undecided;
        const char *message;
    } cases[] = {
        {"other-0", 1, 3, 5, 1, NULL, "no partition of topic input"},
        {"input-x", 1, 3, 5, 1, NULL, "no partition of topic input"},
        {"input-", 1, 3, 5, 1, NULL, "no partition of topic input"},
        {"input-99999999999", 1, 3, 5, 1, NULL, "no partition of topic input"},
        {"input-0", 9, 3, 5, 1, NULL, "has version 9"},
        {"input-0", 1, 2, 5, 1, NULL, "has 17 bytes instead of 25"},
        {"input-0", 1, 3, -5, 1, NULL, "offset -5"},
        {"input-0", 1, 3, 5, 2, NULL, "twice"},
        {"input-0", 1, 3, 5, 1, "2:", "can't be read"},
        {"input-0", 1, 3, 5, 1, "0:0", "can't be read"},
        {"input-0", 1, 3, 5, 1, "2:2", "can't be read"},
        {"input-0", 1, 3, 5, 1, "2:1;", "can't be read"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(1);
        Weir__OperatorState *saved = malloc(sizeof *saved);
        weir__operator_state__init(saved);
        int64_t values[3] = {cases[i].first, INT64_MIN, INT64_MAX};
        for (int n = 0; n < cases[i].times; n++)
            split_state_add(saved, cases[i].split, (uint8_t)cases[i].version, values, cases[i].values);
        if (cases[i].undecided)
            state_property_add(saved, "undecided", cases[i].undecided);
        assert_true(rig_try_open(&f->rigs[0], kafka_source_new, 0, 1, &saved, 1) < 0);
        if (!strstr(f->rigs[0].error.message, cases[i].message))
            fail_msg("case %zu: %s", i, f->rigs[0].error.message);
        assert_true(f->rigs[0].fatal);
        rig_free_state(saved);
        fixture_free(f);
    }
}

static void restore_one(struct fixture *f, const char *split, int64_t offset, bool checkpointing)
{
    Weir__OperatorState *saved = malloc(sizeof *saved);
    weir__operator_state__init(saved);
    if (split)
        split_state_add(saved, split, 1, (int64_t[]){offset, INT64_MIN, INT64_MAX}, 3);
    f->rigs[0].setup.checkpointing = checkpointing;
    rig_open(&f->rigs[0], kafka_source_new, 0, 1, &saved, split ? 1 : 0);
    rig_free_state(saved);
}

static void fewer_partitions_than_in_the_snapshot_is_fatal(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    restore_one(f, "input-2", 5, true);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_FAILED);
    assert_true(f->rigs[0].fatal);
    assert_non_null(strstr(f->rigs[0].error.message, "partition 2, but the topic has only 2 partitions"));
    fixture_free(f);
}

static void an_offset_out_of_range_is_never_reset(void **state)
{
    (void)state;
    static const struct {
        int64_t offset;
        bool restored, checkpointing, fatal;
    } cases[] = {{5, true, true, true},
                 {500, true, true, true},
                 {5, true, false, true},
                 {5, false, true, false},
                 {5, false, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(1);
        for (int m = 0; m < 100; m++)
            fake_append(&f->kafka, 0, m);
        f->kafka.partitions[0].start = 10;
        f->kafka.partitions[0].committed = cases[i].offset; /* gone between resolving and reading */
        restore_one(f, cases[i].restored ? "input-0" : NULL, cases[i].offset, cases[i].checkpointing);
        struct rig *rig = &f->rigs[0];
        assert_int_equal(rig_drain(rig), SOURCE_FAILED);
        assert_int_equal(rig->fatal, cases[i].fatal);
        assert_int_equal(rig->emitted.count, 0);
        char expected[64];
        snprintf(expected, sizeof expected, "topic input, partition 0: can't read on from offset %d",
                 (int)cases[i].offset);
        assert_non_null(strstr(rig->error.message, expected));
        assert_non_null(strstr(rig->error.message, "offsets 10 to 99"));
        assert_int_equal(rig->op->ops->poll(rig->op, 1), SOURCE_FAILED);
        fixture_free(f);
    }
}

/* ---- records ---- */

static void a_bad_record_fails_the_job_for_good(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    fake_append(&f->kafka, 0, 1);
    fake_append_bad(&f->kafka, 0, 2);
    start(&f->rigs[0], 0, 1);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_FAILED);
    assert_true(f->rigs[0].fatal);
    assert_string_equal(f->rigs[0].error.message, "topic input, partition 0, offset 1: no value");
    assert_int_equal(f->rigs[0].error.rc, WEIR_E_USER_CODE);
    assert_int_equal(f->rigs[0].emitted.count, 1);
    fixture_free(f);
}

static void bad_records_are_counted_and_skipped(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    options_of(&f->rigs[0])->on_bad_record = WEIR_BAD_RECORD_SKIP;
    for (int m = 0; m < 100; m++)
        (m % 3 == 0 ? fake_append_bad : fake_append)(&f->kafka, 0, m);
    start(&f->rigs[0], 0, 1);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
    assert_int_equal(atomic_load(&f->rigs[0].metrics.bad_records_skipped), 34);
    assert_int_equal(f->rigs[0].emitted.count, 66);
    assert_false(f->rigs[0].context.failed);
    fixture_free(f);
}

static int decode_too_much(weir_context *context, const weir_kafka_message *message, weir_collector *out)
{
    (void)context;
    (void)message;
    struct rig_event *event = weir_new_record(out);
    out->overflow = true; /* as weir_set_string leaves it */
    out->wanted = 123456;
    return weir_emit(out, event);
}

static void what_is_not_the_records_fault_is_not_skipped(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(1);
        options_of(&f->rigs[0])->on_bad_record = WEIR_BAD_RECORD_SKIP;
        if (i == 0)
            f->rigs[0].emit_result = WEIR_E_USER_CODE; /* a chained operator fails */
        else
            options_of(&f->rigs[0])->decode = decode_too_much;
        fake_append(&f->kafka, 0, 1);
        start(&f->rigs[0], 0, 1);
        assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_FAILED);
        assert_int_equal(atomic_load(&f->rigs[0].metrics.bad_records_skipped), 0);
        assert_true(f->rigs[0].error.message[0] != '\0');
        fixture_free(f);
    }
}

static void the_budget_and_the_room_are_respected(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct rig *rig = &f->rigs[0];
    start(rig, 0, 1);
    rig_drain(rig);
    for (int m = 0; m < 1000; m++)
        fake_append(&f->kafka, m % 2, m);
    assert_int_equal(rig->op->ops->poll(rig->op, 10), SOURCE_MORE);
    assert_int_equal(rig->emitted.count, 10);
    rig->room = 3;
    assert_int_equal(rig->op->ops->poll(rig->op, 10), SOURCE_MORE);
    assert_int_equal(rig->emitted.count, 13);
    assert_int_equal(rig->op->ops->poll(rig->op, 10), SOURCE_MORE);
    assert_int_equal(rig->emitted.count, 13);
    Weir__OperatorState *saved = rig_snapshot(rig, 1); /* what waits inside isn't counted as read */
    int64_t read = 0, values[3];
    for (size_t i = 0; i < saved->n_splits; i++) {
        assert_int_equal(split_state_decode(saved->splits[i], 1, values, 3, NULL), WEIR_OK);
        read += values[0];
    }
    assert_int_equal(read, 13);
    rig_free_state(saved);
    rig->room = UINT64_MAX;
    assert_int_equal(rig_drain(rig), SOURCE_NOTHING);
    assert_int_equal(rig->emitted.count, 1000);
    fixture_free(f);
}

static int decode_shifted(weir_context *context, const weir_kafka_message *message, weir_collector *out)
{
    assert_int_equal(weir_record_timestamp(context),
                     message->timestamp_ms < 0 ? INT64_MIN : message->timestamp_ms);
    struct rig_event *event = weir_new_record(out);
    event->time = message->timestamp_ms + 7;
    return weir_emit(out, event);
}

static void the_timestamp_is_the_fields_or_kafkas(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        int64_t kafka, expected, watermark;
    } cases[] = {
        {NULL, 500, 500, 499}, {"time", 500, 507, 506}, {NULL, -1, INT64_MIN, INT64_MIN}, {"time", -1, 6, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(1);
        options_of(&f->rigs[0])->decode = decode_shifted;
        options_of(&f->rigs[0])->watermarks.timestamp_field = cases[i].field;
        fake_append(&f->kafka, 0, cases[i].kafka);
        start(&f->rigs[0], 0, 1);
        assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_NOTHING);
        assert_int_equal(f->rigs[0].emitted.items[0].timestamp_ms, cases[i].expected);
        assert_int_equal(f->rigs[0].watermark_ms, cases[i].watermark);
        fixture_free(f);
    }
    struct fixture *f = fixture_new(1);
    options_of(&f->rigs[0])->watermarks.timestamp_field = "nothing";
    assert_int_equal(rig_try_open(&f->rigs[0], kafka_source_new, 0, 1, NULL, 0), WEIR_E_INVALID);
    fixture_free(f);
}

/* ---- bounded ---- */

static void a_bounded_source_ends_where_the_ends_were(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(3); /* 0: messages; 1: empty; 2: ends with markers */
    for (int m = 0; m < 20; m++)
        fake_append(&f->kafka, 0, m);
    fake_append(&f->kafka, 2, 1);
    fake_append_marker(&f->kafka, 2);
    fake_append_marker(&f->kafka, 2);
    struct rig *rig = &f->rigs[0];
    options_of(rig)->bounded = true;
    start(rig, 0, 1);
    for (int i = 0; i < 20 && rig->emitted.count == 0; i++)
        rig->op->ops->poll(rig->op, 1);
    assert_int_equal(rig->emitted.count, 1);
    for (int m = 0; m < 20; m++) /* after the start: not for this run */
        fake_append(&f->kafka, m % 3, 100 + m);
    Weir__OperatorState *saved = rig_snapshot(rig, 1);
    assert_int_equal(rig_drain(rig), SOURCE_END);
    assert_int_equal(rig->emitted.count, 21);
    rig_close(rig);
    /* A restore ends at the same place. */
    rig->emitted.count = 0;
    rig_open(rig, kafka_source_new, 0, 1, &saved, 1);
    assert_int_equal(rig_drain(rig), SOURCE_END);
    assert_int_equal(rig->emitted.count, 20);
    rig_free_state(saved);
    fixture_free(f);
}

static void a_bounded_source_without_partitions_ends(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    options_of(&f->rigs[0])->bounded = true;
    start(&f->rigs[0], 1, 2);
    assert_int_equal(rig_drain(&f->rigs[0]), SOURCE_END);
    fixture_free(f);
}

/* ---- commits ---- */

static void a_completed_checkpoint_is_committed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    struct rig *rig = &f->rigs[0];
    start(rig, 0, 1);
    for (uint64_t checkpoint = 1; checkpoint <= 3; checkpoint++) {
        fake_append(&f->kafka, 0, 1);
        assert_int_equal(rig_pass(rig, 20000), SOURCE_NOTHING);
        rig_free_state(rig_snapshot(rig, checkpoint));
    }
    assert_int_equal(f->kafka.commits, 0);
    rig->op->ops->checkpoint_complete(rig->op, 2);
    assert_int_equal(f->kafka.partitions[0].committed, 2);
    rig->op->ops->checkpoint_complete(rig->op, 1); /* late, and superseded */
    assert_int_equal(f->kafka.partitions[0].committed, 2);
    rig->op->ops->checkpoint_complete(rig->op, 3);
    assert_int_equal(f->kafka.partitions[0].committed, 3);
    assert_int_equal(f->kafka.commits, 2);
    for (uint64_t checkpoint = 4; checkpoint < 1000; checkpoint++) /* none completes: memory is bounded */
        rig_free_state(rig_snapshot(rig, checkpoint));
    rig->op->ops->checkpoint_complete(rig->op, 999);
    assert_int_equal(f->kafka.commits, 3);
    fixture_free(f);
}

static void without_checkpoints_it_commits_every_five_seconds(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    struct rig *rig = &f->rigs[0];
    rig->setup.checkpointing = false;
    start(rig, 0, 1);
    rig_drain(rig);
    for (int i = 0; i < 600; i++) { /* 60 s */
        fake_append(&f->kafka, 0, i);
        assert_int_equal(rig_pass(rig, 100), SOURCE_NOTHING);
        assert_true(f->kafka.partitions[0].committed <= (int64_t)rig->emitted.count);
    }
    assert_in_range(f->kafka.commits, 11, 12);
    assert_int_equal(rig_pass(rig, 60000), SOURCE_NOTHING);
    assert_in_range(f->kafka.commits, 12, 13); /* and nothing while nothing comes */
    assert_int_equal(f->kafka.partitions[0].committed, 600);
    fixture_free(f);
}

static void without_a_group_nothing_is_committed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    struct rig *rig = &f->rigs[0];
    options_of(rig)->group_id = NULL;
    options_of(rig)->start = WEIR_START_EARLIEST;
    rig->setup.checkpointing = false;
    start(rig, 0, 1);
    fake_append(&f->kafka, 0, 1);
    assert_int_equal(rig_pass(rig, 30000), SOURCE_NOTHING);
    rig_free_state(rig_snapshot(rig, 1));
    rig->op->ops->checkpoint_complete(rig->op, 1);
    assert_int_equal(f->kafka.commits, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_as_the_options_say),
        cmocka_unit_test(partitions_belong_to_subtasks_by_their_number),
        cmocka_unit_test(a_subtask_without_partitions_is_idle_at_once),
        cmocka_unit_test(waits_for_a_broker_and_for_a_topic),
        cmocka_unit_test(asks_again_for_start_offsets),
        cmocka_unit_test(a_refused_client_is_fatal_when_it_is_the_jobs_mistake),
        cmocka_unit_test(rescaling_reads_everything_once),
        cmocka_unit_test(a_new_partition_starts_at_its_earliest),
        cmocka_unit_test(a_snapshot_from_before_the_start_keeps_the_start_option),
        cmocka_unit_test(the_watermark_is_restored),
        cmocka_unit_test(snapshots_that_do_not_fit_are_refused),
        cmocka_unit_test(fewer_partitions_than_in_the_snapshot_is_fatal),
        cmocka_unit_test(an_offset_out_of_range_is_never_reset),
        cmocka_unit_test(a_bad_record_fails_the_job_for_good),
        cmocka_unit_test(bad_records_are_counted_and_skipped),
        cmocka_unit_test(what_is_not_the_records_fault_is_not_skipped),
        cmocka_unit_test(the_budget_and_the_room_are_respected),
        cmocka_unit_test(the_timestamp_is_the_fields_or_kafkas),
        cmocka_unit_test(a_bounded_source_ends_where_the_ends_were),
        cmocka_unit_test(a_bounded_source_without_partitions_ends),
        cmocka_unit_test(a_completed_checkpoint_is_committed),
        cmocka_unit_test(without_checkpoints_it_commits_every_five_seconds),
        cmocka_unit_test(without_a_group_nothing_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
