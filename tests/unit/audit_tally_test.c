/* The auditor's arithmetic: which windows are complete, and what it says of right and wrong results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "deploy/auditor/tally/tally.h"
#include "examples/click_event.h"

enum { WINDOW_MS = CLICK_WINDOW_MS, LATENESS_MS = 200 };

static struct tally *new_tally(uint32_t partitions)
{
    return tally_new(WINDOW_MS, LATENESS_MS, partitions);
}

static void input(struct tally *tally, uint32_t partition, int64_t timestamp_ms, const char *page)
{
    char text[CLICK_TEXT_MAX];
    size_t size = click_event_encode(timestamp_ms, page, strlen(page), text, sizeof text);
    assert_true(size > 0);
    assert_int_equal(tally_input(tally, partition, text, size, NULL), 0);
}

static void output(struct tally *tally, int64_t window_start_ms, const char *page, int64_t count)
{
    struct click_statistics record = {.window_start_ms = window_start_ms,
                                      .window_end_ms = window_start_ms + WINDOW_MS,
                                      .page = page,
                                      .page_length = strlen(page),
                                      .count = count};
    char text[CLICK_TEXT_MAX];
    size_t size = click_statistics_encode(&record, text, sizeof text);
    assert_true(size > 0);
    assert_int_equal(tally_output(tally, text, size, NULL), 0);
}

static struct tally_summary summary_of(const struct tally *tally)
{
    struct tally_summary summary;
    tally_summarise(tally, &summary);
    return summary;
}

static void a_window_is_complete_when_the_slowest_partition_has_passed_it(void **state)
{
    (void)state;
    struct tally *tally = new_tally(2);
    assert_true(tally_watermark(tally) == INT64_MIN);
    input(tally, 0, 100, "/a");
    input(tally, 0, 10 * WINDOW_MS, "/a");
    assert_true(tally_watermark(tally) == INT64_MIN); /* the other partition has nothing yet */
    assert_int_equal(summary_of(tally).windows_complete, 0);
    /* Watermark = timestamp − 200 − 1; the window's last millisecond is 14999. */
    input(tally, 1, WINDOW_MS + LATENESS_MS - 1, "/b");
    assert_int_equal(tally_watermark(tally), WINDOW_MS - 2);
    assert_int_equal(summary_of(tally).windows_complete, 0);
    assert_true(tally_settled(tally));
    input(tally, 1, WINDOW_MS + LATENESS_MS, "/b");
    assert_int_equal(tally_watermark(tally), WINDOW_MS - 1);
    assert_int_equal(summary_of(tally).windows_complete, 1);
    assert_int_equal(summary_of(tally).missing, 1);
    assert_false(tally_settled(tally));
    output(tally, 0, "/a", 1);
    assert_true(tally_settled(tally));
    assert_int_equal(summary_of(tally).exact, 1);
    tally_free(tally);
}

struct verdict_case {
    const char *name;
    int64_t counts[3]; /* records of page /a in the window, which has 4 events there; 0 ends the list */
    bool stranger;     /* a record of a page that is not in the input */
    int64_t exact, short_, over, missing, duplicates;
};

static void a_window_is_in_the_class_of_its_worst_page(void **state)
{
    (void)state;
    static const struct verdict_case cases[] = {
        {"exact", {4}, false, 1, 0, 0, 0, 0},
        {"repeated", {4, 4, 4}, false, 1, 0, 0, 0, 2},
        {"short", {3}, false, 0, 1, 0, 0, 0},
        {"over", {5}, false, 0, 0, 1, 0, 0},
        {"disagreeing, then right", {3, 4}, false, 0, 1, 0, 0, 0},
        {"right, then over", {4, 5}, false, 0, 0, 1, 0, 0},
        {"short and over", {3, 5}, false, 0, 1, 0, 0, 0},
        {"missing", {0}, false, 0, 0, 0, 1, 0},
        {"a page that isn't there", {4}, true, 0, 0, 1, 0, 0},
        {"missing is worse than over", {0}, true, 0, 0, 0, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct verdict_case *c = &cases[i];
        struct tally *tally = new_tally(1);
        for (int n = 0; n < 4; n++)
            input(tally, 0, n, "/a");
        input(tally, 0, 2, "/b");
        input(tally, 0, WINDOW_MS + LATENESS_MS, "/a");
        output(tally, 0, "/b", 1);
        for (size_t n = 0; n < 3 && c->counts[n] != 0; n++)
            output(tally, 0, "/a", c->counts[n]);
        if (c->stranger)
            output(tally, 0, "/stranger", 1);
        struct tally_summary s = summary_of(tally);
        if (s.windows_complete != 1 || s.exact != c->exact || s.short_ != c->short_ || s.over != c->over ||
            s.missing != c->missing || s.duplicates != c->duplicates)
            fail_msg("%s: exact %d short %d over %d missing %d duplicates %d", c->name, (int)s.exact,
                     (int)s.short_, (int)s.over, (int)s.missing, (int)s.duplicates);
        assert_int_equal(s.premature, 0);
        tally_free(tally);
    }
}

static void records_of_incomplete_windows_are_premature(void **state)
{
    (void)state;
    struct tally *tally = new_tally(1);
    input(tally, 0, 5, "/a");
    output(tally, 0, "/a", 1);
    assert_int_equal(summary_of(tally).premature, 1);
    input(tally, 0, 2 * WINDOW_MS, "/a"); /* now it is complete */
    assert_int_equal(summary_of(tally).premature, 0);
    assert_int_equal(summary_of(tally).exact, 1);
    tally_free(tally);
}

static void bad_records_are_counted(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "x", "{}", "[1]", "{\"windowStart\":\"01-01-1970 00:00:00:000\"}",
        /* a window of another size, one that is not aligned */
        "{\"windowStart\":\"01-01-1970 00:00:00:000\",\"windowEnd\":\"01-01-1970 00:00:30:000\","
        "\"page\":\"/a\",\"count\":1}",
        "{\"windowStart\":\"01-01-1970 00:00:01:000\",\"windowEnd\":\"01-01-1970 00:00:16:000\","
        "\"page\":\"/a\",\"count\":1}"};
    struct tally *tally = new_tally(1);
    int64_t count = (int64_t)(sizeof bad / sizeof bad[0]);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(tally_input(tally, 0, bad[i], strlen(bad[i]), NULL), 0);
        assert_int_equal(tally_output(tally, bad[i], strlen(bad[i]), NULL), 0);
    }
    assert_int_equal(summary_of(tally).input_bad, count);
    assert_int_equal(summary_of(tally).output_bad, count);
    assert_int_equal(summary_of(tally).windows_complete, 0);
    tally_free(tally);
}

static void collect_fault(void *self, const struct tally_fault *fault)
{
    char *text = self;
    size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%d %.*s %d/%d;", (int)(fault->window_start_ms / WINDOW_MS),
             (int)fault->page_length, fault->page, (int)(fault->records > 0 ? fault->count_min : -1),
             (int)fault->expected);
}

static void faults_come_in_order_up_to_the_limit(void **state)
{
    (void)state;
    struct tally *tally = new_tally(1);
    static const char *const pages[] = {"/a", "/b", "/c"};
    for (int window = -1; window < 2; window++)
        for (int p = 0; p < 3; p++)
            input(tally, 0, (int64_t)window * WINDOW_MS + p, pages[p]);
    input(tally, 0, 3 * WINDOW_MS, "/a");
    output(tally, 0, "/a", 1);
    output(tally, 0, "/b", 2);
    output(tally, WINDOW_MS, "/b", 1);
    output(tally, WINDOW_MS, "/c", 1);
    output(tally, -WINDOW_MS, "/a", 1); /* before 1970 */
    output(tally, -WINDOW_MS, "/b", 1);
    output(tally, -WINDOW_MS, "/c", 1);
    char text[256] = "";
    tally_faults(tally, 10, collect_fault, text);
    assert_string_equal(text, "0 /b 2/1;0 /c -1/1;1 /a -1/1;");
    text[0] = '\0';
    tally_faults(tally, 2, collect_fault, text);
    assert_string_equal(text, "0 /b 2/1;0 /c -1/1;");
    assert_int_equal(summary_of(tally).windows_complete, 3);
    assert_int_equal(summary_of(tally).exact, 1);
    tally_free(tally);
}

static void many_windows_and_pages_fit(void **state)
{
    (void)state;
    struct tally *tally = new_tally(1);
    for (int i = 0; i < 5000; i++) {
        char page[32];
        snprintf(page, sizeof page, "/page-%d", i % 50);
        input(tally, 0, (int64_t)(i / 50) * WINDOW_MS, page);
        output(tally, (int64_t)(i / 50) * WINDOW_MS, page, 1);
    }
    struct tally_summary s = summary_of(tally);
    assert_int_equal(s.windows_complete, 98); /* of 100: the last is open, and the one before by 200 ms */
    assert_int_equal(s.exact, 98);
    assert_int_equal(s.premature, 100);
    tally_free(tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_is_complete_when_the_slowest_partition_has_passed_it),
        cmocka_unit_test(a_window_is_in_the_class_of_its_worst_page),
        cmocka_unit_test(records_of_incomplete_windows_are_premature),
        cmocka_unit_test(bad_records_are_counted),
        cmocka_unit_test(faults_come_in_order_up_to_the_limit),
        cmocka_unit_test(many_windows_and_pages_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
