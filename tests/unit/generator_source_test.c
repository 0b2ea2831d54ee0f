/* Generator and sequence: every index once at any parallelism and over restores, the rate, the end. */
#include "connectors_rig.h"

#include <limits.h>
#include <stdio.h>

#include "common/base/id.h"
#include "taskmanager/worker/connectors/split_state.h"

static struct rig rigs[5];

static int generate(weir_context *context, int64_t index, weir_collector *out)
{
    if (index == 666666)
        return weir_fail(context, "no such record");
    struct rig_event *event = weir_new_record(out);
    event->offset = index;
    event->time = 10 * index;
    return weir_emit(out, event);
}

static void begin(int64_t count, double rate)
{
    for (int i = 0; i < 5; i++) {
        rig_init(&rigs[i], WEIR__OPERATOR_KIND__OPERATOR_GENERATOR_SOURCE);
        rigs[i].node.output_type = &rig_event_type;
        rigs[i].node.options.generator_source =
            (weir_generator_source_options){.type = &rig_event_type,
                                            .generate = generate,
                                            .count = count,
                                            .records_per_second = rate,
                                            .watermarks = {.timestamp_field = "time"}};
    }
}

static void begin_sequence(int64_t from, int64_t to)
{
    begin(0, 0);
    for (int i = 0; i < 5; i++) {
        rigs[i].node.kind = WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE;
        rigs[i].node.output_type = &weir_sequence_element_type;
        rigs[i].node.options.sequence_source = (weir_sequence_source_options){.from = from, .to = to};
    }
}

static void end(void)
{
    for (int i = 0; i < 5; i++)
        rig_deinit(&rigs[i]);
}

struct states {
    Weir__OperatorState *items[5];
    uint32_t count;
};

static void open_all(const struct states *states, uint32_t parallelism)
{
    for (uint32_t i = 0; i < parallelism; i++)
        rig_open(&rigs[i], generator_source_new, i, parallelism, states->items, states->count);
}

static void save(struct states *states, uint32_t parallelism)
{
    struct states taken = {.count = parallelism};
    for (uint32_t i = 0; i < parallelism; i++) {
        taken.items[i] = rig_snapshot(&rigs[i], 1);
        rig_close(&rigs[i]);
    }
    for (uint32_t i = 0; i < states->count; i++)
        rig_free_state(states->items[i]);
    *states = taken;
}

static void drop(struct states *states)
{
    for (uint32_t i = 0; i < states->count; i++)
        rig_free_state(states->items[i]);
    states->count = 0;
}

static void every_index_comes_once_over_restores(void **state)
{
    (void)state;
    enum { COUNT = 1003 };
    static const uint32_t parallelisms[] = {2, 3, 1, 5, 4, 2};
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct random random;
        random_init(&random, seed);
        begin(COUNT, 0);
        struct states states = {0};
        for (size_t step = 0; step < sizeof parallelisms / sizeof *parallelisms; step++) {
            open_all(&states, parallelisms[step]);
            for (uint32_t i = 0; i < parallelisms[step]; i++)
                rigs[i].op->ops->poll(rigs[i].op, (uint32_t)random_below(&random, 120));
            save(&states, parallelisms[step]);
        }
        open_all(&states, 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(rig_drain(&rigs[i]), SOURCE_END);
        save(&states, 3);
        open_all(&states, 2); /* and a snapshot of the end is at the end */
        for (int i = 0; i < 2; i++)
            assert_int_equal(rig_drain(&rigs[i]), SOURCE_END);
        uint32_t seen[COUNT] = {0};
        for (int i = 0; i < 5; i++)
            vec_for_each (emitted, &rigs[i].emitted)
                seen[emitted->event.offset]++;
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(seen[i], 1);
        drop(&states);
        end();
    }
}

static void indexes_without_end_are_dealt_out_and_rescaled(void **state)
{
    (void)state;
    begin(0, 0);
    struct states states = {0};
    open_all(&states, 3);
    for (int i = 0; i < 3; i++)
        rigs[i].op->ops->poll(rigs[i].op, 100);
    save(&states, 3);
    open_all(&states, 2);
    for (int i = 0; i < 2; i++) /* subtask 0 has two of the splits, 1 has one */
        rigs[i].op->ops->poll(rigs[i].op, i == 0 ? 200 : 100);
    save(&states, 2);
    open_all(&states, 5);
    assert_int_equal(rigs[4].op->ops->poll(rigs[4].op, 100), SOURCE_NOTHING); /* three splits for five */
    assert_true(rigs[4].idle);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rigs[i].op->ops->poll(rigs[i].op, 100), SOURCE_MORE);
    uint32_t seen[900] = {0};
    for (int i = 0; i < 5; i++)
        vec_for_each (emitted, &rigs[i].emitted)
            seen[emitted->event.offset]++;
    for (int i = 0; i < 900; i++)
        assert_int_equal(seen[i], 1);
    drop(&states);
    end();
}

static void sequences_include_both_ends(void **state)
{
    (void)state;
    static const struct {
        int64_t from, to;
        size_t count;
    } cases[] = {{1, 10, 10},
                 {5, 5, 1},
                 {5, 4, 0},
                 {-3, 3, 7},
                 {INT64_MAX - 2, INT64_MAX, 3},
                 {INT64_MIN, INT64_MIN + 1, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint32_t parallelism = 1; parallelism <= 4; parallelism += 3) {
            begin_sequence(cases[i].from, cases[i].to);
            open_all(&(struct states){0}, parallelism);
            size_t count = 0;
            uint64_t sum = 0, expected = 0;
            for (uint32_t s = 0; s < parallelism; s++) {
                assert_int_equal(rig_drain(&rigs[s]), SOURCE_END);
                count += rigs[s].emitted.count;
                vec_for_each (emitted, &rigs[s].emitted) {
                    struct weir_sequence_element element;
                    memcpy(&element, &emitted->event, sizeof element);
                    sum += (uint64_t)element.value;
                    assert_int_equal(emitted->timestamp_ms, INT64_MIN);
                }
            }
            assert_int_equal(count, cases[i].count);
            for (uint64_t n = 0; n < cases[i].count; n++)
                expected += (uint64_t)cases[i].from + n;
            assert_int_equal(sum, expected);
            end();
        }
    begin_sequence(INT64_MIN, INT64_MAX);
    assert_int_equal(rig_try_open(&rigs[0], generator_source_new, 0, 1, NULL, 0), WEIR_E_INVALID);
    end();
}

static void the_rate_is_that_of_the_whole_source(void **state)
{
    (void)state;
    static const double rates[] = {2, 400, 3333, 1000000};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        begin(0, rates[i]);
        open_all(&(struct states){0}, 2);
        int64_t duration = rates[i] > 100000 ? 200 : 10000;
        size_t count = 0;
        for (int s = 0; s < 2; s++) {
            assert_int_equal(rig_pass(&rigs[s], duration), SOURCE_NOTHING);
            count += rigs[s].emitted.count;
        }
        double expected = rates[i] * (double)duration / 1000;
        assert_in_range(count, (uint64_t)(expected * 0.99), (uint64_t)(expected * 1.01 + 2 + rates[i] / 500));
        end();
    }
}

static void who_was_held_up_does_not_make_up_for_all_of_it(void **state)
{
    (void)state;
    begin(0, 1000);
    open_all(&(struct states){0}, 1);
    rig_drain(&rigs[0]);
    rigs[0].now_ms += 3600 * 1000;
    rig_drain(&rigs[0]);
    assert_in_range(rigs[0].emitted.count, 1, 1100);
    size_t before = rigs[0].emitted.count;
    rigs[0].now_ms -= 1000 * 1000; /* a clock set back stops nothing */
    assert_int_equal(rig_pass(&rigs[0], 1000), SOURCE_NOTHING);
    assert_true(rigs[0].emitted.count > before + 900);
    end();
}

static void watermarks_follow_the_slowest_split(void **state)
{
    (void)state;
    begin(100, 0);
    struct states states = {0};
    open_all(&states, 2);
    for (int i = 0; i < 2; i++)
        rigs[i].op->ops->poll(rigs[i].op, 10);
    assert_int_equal(rigs[0].watermark_ms, 89);
    assert_int_equal(rigs[1].watermark_ms, 589);
    save(&states, 2);
    open_all(&states, 1);
    rigs[0].op->ops->poll(rigs[0].op, 2); /* one of each */
    assert_int_equal(rigs[0].watermark_ms, 99);
    drop(&states);
    end();
}

static void failures_say_the_index(void **state)
{
    (void)state;
    begin(1000000, 0);
    open_all(&(struct states){0}, 1);
    assert_int_equal(rig_drain(&rigs[0]), SOURCE_FAILED);
    assert_string_equal(rigs[0].error.message, "generate the record of index 666666: no such record");
    end();
}

static void impossible_snapshots_are_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t values[5];
        uint8_t version;
        int times;
    } cases[] = {
        {{0, 5, 0, 10, 0}, 1, 1},  {{5, 4, 1, 10, 0}, 1, 1}, {{-1, 5, 1, 10, 0}, 1, 1},
        {{0, 5, 1, -10, 0}, 1, 1}, {{0, 5, 1, 10, 0}, 2, 1}, {{0, 5, 1, 10, 0}, 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(100, 0);
        Weir__OperatorState *saved = malloc(sizeof *saved);
        weir__operator_state__init(saved);
        for (int n = 0; n < cases[i].times; n++)
            split_state_add(saved, "0-9", cases[i].version, cases[i].values, 5);
        assert_true(rig_try_open(&rigs[0], generator_source_new, 0, 1, &saved, 1) < 0);
        assert_true(rigs[0].fatal);
        rig_free_state(saved);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_comes_once_over_restores),
        cmocka_unit_test(indexes_without_end_are_dealt_out_and_rescaled),
        cmocka_unit_test(sequences_include_both_ends),
        cmocka_unit_test(the_rate_is_that_of_the_whole_source),
        cmocka_unit_test(who_was_held_up_does_not_make_up_for_all_of_it),
        cmocka_unit_test(watermarks_follow_the_slowest_split),
        cmocka_unit_test(failures_say_the_index),
        cmocka_unit_test(impossible_snapshots_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
