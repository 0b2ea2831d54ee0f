/* Watermarks: of a source by split, and of a task over its channels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/id.h"
#include "taskmanager/worker/watermark/split_watermarks.h"
#include "taskmanager/worker/watermark/watermark_valve.h"

static void expect(struct split_watermarks *w, bool advanced, int64_t watermark_ms, bool idle_changed)
{
    struct split_watermarks_update update = split_watermarks_combine(w);
    assert_int_equal(update.advanced, advanced);
    assert_int_equal(update.watermark_ms, watermark_ms);
    assert_int_equal(update.idle_changed, idle_changed);
}

static void minimum_over_splits(void **state)
{
    (void)state;
    struct split_watermarks w;
    split_watermarks_init(&w, 200, 5000);
    assert_true(split_watermarks_combine(&w).idle); /* no split: nothing will come */
    uint32_t a = split_watermarks_add(&w, INT64_MIN, 0), b = split_watermarks_add(&w, INT64_MIN, 0);
    split_watermarks_on_record(&w, a, 1000, 10);
    expect(&w, false, INT64_MIN, true); /* b has no record yet and holds it back */
    split_watermarks_on_record(&w, b, 700, 10);
    expect(&w, true, 499, false);
    split_watermarks_on_record(&w, b, 400, 11); /* out of order */
    expect(&w, false, 499, false);
    assert_int_equal(split_watermarks_max_timestamp(&w, b), 700);
    split_watermarks_on_record(&w, b, 3000, 12);
    expect(&w, true, 799, false);
    split_watermarks_deinit(&w);
}

static void idleness_is_asked_for_and_said(void **state)
{
    (void)state;
    struct split_watermarks w;
    split_watermarks_init(&w, 0, 5000);
    uint32_t a = split_watermarks_add(&w, INT64_MIN, 0), b = split_watermarks_add(&w, INT64_MIN, 100);
    split_watermarks_on_record(&w, a, 10, 3000);
    assert_int_equal(split_watermarks_next_deadline(&w), 5100);
    assert_int_equal(split_watermarks_take_due(&w, 5099), SPLIT_NONE);
    assert_int_equal(split_watermarks_take_due(&w, 5100), b);
    assert_int_equal(split_watermarks_take_due(&w, 5100), SPLIT_NONE); /* named once */
    expect(&w, false, INT64_MIN, false);                               /* asked is not idle */
    split_watermarks_set_idle(&w, b);
    expect(&w, true, 9, false);
    assert_int_equal(split_watermarks_next_deadline(&w), 8000);
    assert_int_equal(split_watermarks_take_due(&w, 9000), a);
    split_watermarks_restart_timer(&w, a, 9000); /* the broker had more */
    assert_int_equal(split_watermarks_next_deadline(&w), 14000);
    assert_int_equal(split_watermarks_take_due(&w, 14000), a);
    split_watermarks_set_idle(&w, a);
    expect(&w, false, 9, true);
    split_watermarks_on_record(&w, b, 5, 15000); /* behind: the watermark stays */
    expect(&w, false, 9, true);
    split_watermarks_on_record(&w, b, 50, 15000);
    expect(&w, true, 49, false);
    split_watermarks_deinit(&w);
}

static void extremes_do_not_wrap(void **state)
{
    (void)state;
    struct split_watermarks w;
    split_watermarks_init(&w, 1000, 0);
    uint32_t a = split_watermarks_add(&w, INT64_MIN + 5, 0);
    expect(&w, false, INT64_MIN, false);
    assert_int_equal(split_watermarks_next_deadline(&w), INT64_MAX); /* idleness 0: never idle */
    split_watermarks_on_record(&w, a, INT64_MAX, 0);
    expect(&w, true, INT64_MAX - 1001, false);
    split_watermarks_deinit(&w);
}

/* The valve against a recomputation from scratch, over random events. */
static void valve_equals_recomputation(void **state)
{
    (void)state;
    enum { CHANNELS = 4 };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random random;
        random_init(&random, seed);
        struct watermark_valve valve;
        watermark_valve_init(&valve, CHANNELS);
        int64_t marks[CHANNELS], best = INT64_MIN;
        bool idle[CHANNELS] = {0}, ended[CHANNELS] = {0}, was_idle = false;
        for (int i = 0; i < CHANNELS; i++)
            marks[i] = INT64_MIN;
        for (int step = 0; step < 200; step++) {
            uint32_t c = (uint32_t)random_below(&random, CHANNELS);
            struct valve_change change;
            uint64_t what = random_below(&random, 100);
            if (what < 70) {
                int64_t mark = step * 10 - (int64_t)random_below(&random, 50);
                change = watermark_valve_on_watermark(&valve, c, mark);
                marks[c] = mark > marks[c] ? mark : marks[c];
            } else if (what < 99) {
                bool to = random_below(&random, 2);
                change = watermark_valve_on_idle(&valve, c, to);
                idle[c] = to;
            } else {
                change = watermark_valve_on_end(&valve, c);
                ended[c] = true;
            }
            int64_t minimum = INT64_MAX;
            bool active = false, all_ended = true;
            for (int i = 0; i < CHANNELS; i++) {
                all_ended &= ended[i];
                if (idle[i] || ended[i])
                    continue;
                active = true;
                minimum = marks[i] < minimum ? marks[i] : minimum;
            }
            bool advances = active && minimum > best;
            best = advances ? minimum : best;
            bool is_idle = !active && !all_ended;
            assert_int_equal(change.advanced, advances);
            assert_int_equal(valve.combined_ms, best);
            assert_int_equal(change.idle_changed, is_idle != was_idle);
            assert_int_equal(valve.idle, is_idle);
            was_idle = is_idle;
        }
        watermark_valve_deinit(&valve);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minimum_over_splits),
        cmocka_unit_test(idleness_is_asked_for_and_said),
        cmocka_unit_test(extremes_do_not_wrap),
        cmocka_unit_test(valve_equals_recomputation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
