/* Dates and JSON of the click event records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "examples/click_event.h"

#define SPLIT(text) text, sizeof(text) - 1

static void dates(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "01-01-1970 00:00:00:000"},
        {15, "01-01-1970 00:00:00:015"},
        {43200015, "01-01-1970 12:00:00:015"},
        {86399999, "01-01-1970 23:59:59:999"},
        {86400000, "02-01-1970 00:00:00:000"},
        {-1, "31-12-1969 23:59:59:999"},
        {-86400000, "31-12-1969 00:00:00:000"},
        {951782400000, "29-02-2000 00:00:00:000"},
        {951868800000, "01-03-2000 00:00:00:000"},
        {1709210096789, "29-02-2024 12:34:56:789"},
        {4107542400000, "01-03-2100 00:00:00:000"},
        {253402300799999, "31-12-9999 23:59:59:999"},
        {-62167219200000, "01-01-0000 00:00:00:000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CLICK_DATE_LENGTH + 1];
        assert_int_equal(click_date_format(cases[i].ms, text, sizeof text), CLICK_DATE_LENGTH);
        assert_string_equal(text, cases[i].text);
        int64_t ms = 42;
        assert_int_equal(click_date_parse(cases[i].text, strlen(cases[i].text), &ms), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void every_day_of_four_centuries(void **state)
{
    (void)state;
    for (int64_t day = -20000; day < 150000; day++) {
        char text[CLICK_DATE_LENGTH + 1];
        int64_t ms;
        assert_int_equal(click_date_format(day * 86400000 + 7, text, sizeof text), CLICK_DATE_LENGTH);
        assert_int_equal(click_date_parse(text, CLICK_DATE_LENGTH, &ms), 0);
        assert_int_equal(ms, day * 86400000 + 7);
    }
}

static void dates_that_are_none(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "01-01-1970",
        "01-01-1970 12:00:00",
        "1-1-1970 12:00:00:0155",
        "01/01/1970 12:00:00:015",
        "00-01-1970 12:00:00:015",
        "32-01-1970 12:00:00:015",
        "29-02-1970 12:00:00:015",
        "29-02-1900 00:00:00:000",
        "31-04-1970 12:00:00:015",
        "01-00-1970 12:00:00:015",
        "01-13-1970 12:00:00:015",
        "01-01-1970 24:00:00:000",
        "01-01-1970 12:60:00:015",
        "01-01-1970 12:00:60:015",
        "01-01-1970 12:00:00:01x",
        "01-01-1970 12:00:00:0150",
        "01-01--970 12:00:00:015",
        " 1-01-1970 12:00:00:015",
        "01-01-1970T12:00:00:015",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = 42;
        if (click_date_parse(cases[i], strlen(cases[i]), &ms) == 0)
            fail_msg("taken as a date: %s", cases[i]);
        assert_int_equal(ms, 42);
    }
    char text[CLICK_DATE_LENGTH + 1];
    assert_int_equal(click_date_format(253402300800000, text, sizeof text), 0);
    assert_int_equal(click_date_format(-62167219200001, text, sizeof text), 0);
    assert_int_equal(click_date_format(INT64_MAX, text, sizeof text), 0);
    assert_int_equal(click_date_format(INT64_MIN, text, sizeof text), 0);
    assert_int_equal(click_date_format(0, text, CLICK_DATE_LENGTH), 0);
}

struct decode_case {
    const char *json;
    size_t size;
    const char *page; /* NULL: refused */
    size_t page_length;
    int64_t ms;
    const char *reason; /* part of it */
};

#define GOOD(json, page, ms)                                                                                 \
    {                                                                                                        \
        SPLIT(json), SPLIT(page), ms, NULL                                                                   \
    }
#define BAD(json, reason)                                                                                    \
    {                                                                                                        \
        SPLIT(json), NULL, 0, 0, reason                                                                      \
    }
#define DATE "\"timestamp\":\"01-01-1970 12:00:00:015\""

static const struct decode_case decode_cases[] = {
    GOOD("{" DATE ",\"page\":\"/help\"}", "/help", 43200015),
    GOOD(" {\t" DATE " ,\n\"page\" : \"/help\" } \r\n", "/help", 43200015),
    GOOD("{\"page\":\"/help\"," DATE "}", "/help", 43200015),
    GOOD("{\"timestamp\":15,\"page\":\"/help\"}", "/help", 15),
    GOOD("{\"timestamp\":0,\"page\":\"\"}", "", 0),
    GOOD("{\"timestamp\":-15,\"page\":\"/\"}", "/", -15),
    GOOD("{\"a\":1,\"b\":[1,{\"page\":\"no\"},[]],\"c\":{\"timestamp\":7},\"d\":null,\"e\":true," DATE
         ",\"page\":\"/x\"}",
         "/x", 43200015),
    GOOD("{\"timestamp\":1,\"timestamp\":2,\"page\":\"a\",\"page\":\"b\"}", "b", 2),
    GOOD("{\"timestamp\":1,\"page\":\"q\\\"b\\\\s\\/n\\nr\\rt\\tf\\fb\\b\"}", "q\"b\\s/n\nr\rt\tf\fb\b", 1),
    GOOD("{\"timestamp\":1,\"page\":\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u0000\"}",
         "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0", 1),
    GOOD("{\"timestamp\":1,\"page\":\"/caf\xc3\xa9\"}", "/caf\xc3\xa9", 1),
    BAD("", "empty"),
    BAD("{", "ends too early"),
    BAD("}", "not JSON"),
    BAD("rubbish", "not JSON"),
    BAD("true", "ends too early"),
    BAD("\xff\xfe\xfd", "not JSON"),
    BAD("[]", "not a JSON object"),
    BAD("   ", "not a JSON object"),
    BAD("\"page\"", "not a JSON object"),
    BAD("{}", "no field \"timestamp\""),
    BAD("{\"page\":\"/x\"}", "no field \"timestamp\""),
    BAD("{" DATE "}", "no field \"page\""),
    BAD("{" DATE ",\"page\":7}", "not a text"),
    BAD("{" DATE ",\"page\":null}", "not a text"),
    BAD("{" DATE ",\"page\":{}}", "not a text"),
    BAD("{" DATE ",\"page\":\"/x\"", "ends too early"),
    BAD("{" DATE ",\"page\":\"/x", "ends too early"),
    BAD("{" DATE ",\"page\":\"/x\"}}", "not JSON"),
    BAD("{" DATE ",\"page\":\"/x\"]", "not JSON"),
    BAD("{" DATE ",\"page\":\"/x\"} {}", "behind"),
    BAD("{" DATE ",\"page\":\"/x\"},", "behind"),
    BAD("{" DATE ",\"page\":\"/x\"}\0{}", "not JSON"),
    BAD("{" DATE " \"page\":\"/x\"}", "not JSON"),
    BAD("{" DATE ",,\"page\":\"/x\"}", "not JSON"),
    BAD("{" DATE ",\"page\":\"/x\",}", "not JSON"),
    BAD("{," DATE ",\"page\":\"/x\"}", "not JSON"),
    BAD("{" DATE ",\"page\"::\"/x\"}", "not JSON"),
    BAD("{" DATE ",\"page\",\"/x\"}", "not JSON"),
    BAD("{" DATE ",\"page\":\"/x\" \"/y\"}", "not JSON"),
    BAD("{" DATE ",\"page\":}", "not JSON"),
    BAD("{:}", "not JSON"),
    BAD("{" DATE ",page:\"/x\"}", "not JSON"),
    BAD("{\"timestamp\":\"yesterday\",\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":\"\",\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":1.5,\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":1e3,\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":007,\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":-,\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":true,\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":[],\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":9223372036854775807,\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":99999999999999999999,\"page\":\"/x\"}", "neither"),
    BAD("{\"timestamp\":1,\"page\":\"\\x\"}", "not JSON"),
    BAD("{\"timestamp\":1,\"page\":\"\\u12g4\"}", "not JSON"),
    BAD("{\"timestamp\":1,\"page\":\"\\u12\"}", "not JSON"),
    BAD("{\"timestamp\":1,\"page\":\"\\ud83d\"}", "surrogate"),
    BAD("{\"timestamp\":1,\"page\":\"\\ud83d\\u0041\"}", "surrogate"),
    BAD("{\"timestamp\":1,\"page\":\"\\ude00\"}", "surrogate"),
    BAD("{\"timestamp\":1,\"page\":\"a\nb\"}", "control"),
    BAD("{\"timestamp\":1,\"page\":\"\xc3\"}", "UTF-8"),
    BAD("{\"timestamp\":1,\"page\":\"\xc0\xaf\"}", "UTF-8"),
    BAD("{\"timestamp\":1,\"page\":\"\xed\xa0\x80\"}", "UTF-8"),
    BAD("{\"timestamp\":1,\"page\":\"\xf5\x80\x80\x80\"}", "UTF-8"),
};

/* The text is put at the end of a block of its size, so that a read beyond it is seen. */
static int decode_exact(const char *json, size_t size, int64_t *ret_ms, const char **ret_page,
                        size_t *ret_length, char *scratch, const char **ret_reason, char **ret_copy)
{
    *ret_copy = malloc(size + !size);
    assert_non_null(*ret_copy);
    memcpy(*ret_copy, json, size);
    return click_event_decode(*ret_copy, size, ret_ms, ret_page, ret_length, scratch, CLICK_PAGE_MAX,
                              ret_reason);
}

static void events_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decode_cases / sizeof decode_cases[0]; i++) {
        const struct decode_case *c = &decode_cases[i];
        char scratch[CLICK_PAGE_MAX], *copy;
        int64_t ms = 42;
        const char *page = NULL, *reason = NULL;
        size_t length = 0;
        int rc = decode_exact(c->json, c->size, &ms, &page, &length, scratch, &reason, &copy);
        if ((rc == 0) != (c->page != NULL))
            fail_msg("%s: returned %d (%s)", c->json, rc, reason ? reason : "no reason");
        if (c->page) {
            assert_int_equal(ms, c->ms);
            assert_int_equal(length, c->page_length);
            assert_memory_equal(page, c->page, length);
        } else {
            if (!strstr(reason, c->reason))
                fail_msg("%s: \"%s\" where \"%s\" was expected", c->json, reason, c->reason);
            assert_int_equal(ms, 42);
            assert_null(page);
        }
        free(copy);
    }
}

/* Every prefix and every single-byte change of a good record: an answer, never a read out of bounds. */
static void events_mutated(void **state)
{
    (void)state;
    static const char good[] = "{\"x\":[1,{\"y\":\"\\u00e9\"}]," DATE ",\"page\":\"/\\ud83d\\ude00\"}";
    char scratch[CLICK_PAGE_MAX], *copy, text[sizeof good];
    int64_t ms;
    const char *page, *reason;
    size_t length, taken = 0;
    for (size_t size = 0; size < sizeof good - 1; size++) {
        assert_int_equal(decode_exact(good, size, &ms, &page, &length, scratch, &reason, &copy), -1);
        free(copy);
    }
    for (size_t i = 0; i < sizeof good - 1; i++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, good, sizeof good);
            text[i] = (char)byte;
            if (decode_exact(text, sizeof good - 1, &ms, &page, &length, scratch, &reason, &copy) == 0) {
                taken++;
                assert_true(length <= CLICK_PAGE_MAX);
            }
            free(copy);
        }
    }
    assert_true(taken > 0);
}

static void limits(void **state)
{
    (void)state;
    static char text[64 * 1024], scratch[CLICK_PAGE_MAX];
    int64_t ms;
    const char *page, *reason;
    size_t length;
    for (int escaped = 0; escaped < 2; escaped++) {
        for (int over = 0; over < 2; over++) {
            size_t used = (size_t)snprintf(text, sizeof text, "{\"timestamp\":1,\"page\":\"");
            for (int i = 0; i < CLICK_PAGE_MAX + over; i++)
                used += (size_t)snprintf(text + used, sizeof text - used, "%s", escaped ? "\\u0001" : "a");
            used += (size_t)snprintf(text + used, sizeof text - used, "\"}");
            int rc = click_event_decode(text, used, &ms, &page, &length, scratch, sizeof scratch, &reason);
            assert_int_equal(rc, over ? -1 : 0);
            if (over) {
                assert_string_equal(reason, "the page is longer than 4096 bytes");
                continue;
            }
            char out[CLICK_TEXT_MAX];
            size_t size = click_event_encode(1, page, length, out, sizeof out);
            assert_true(size > CLICK_PAGE_MAX);
        }
    }
    size_t used = (size_t)snprintf(text, sizeof text, "{\"x\":[");
    for (int i = 0; i < 300; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s1", i ? "," : "");
    used += (size_t)snprintf(text + used, sizeof text - used, "]}");
    assert_int_equal(click_event_decode(text, used, &ms, &page, &length, scratch, sizeof scratch, &reason),
                     -1);
    assert_non_null(strstr(reason, "too many"));
}

static void events_encode(void **state)
{
    (void)state;
    char out[CLICK_TEXT_MAX], scratch[CLICK_PAGE_MAX];
    size_t size = click_event_encode(15, SPLIT("/help"), out, sizeof out);
    const char *want = "{\"timestamp\":\"01-01-1970 00:00:00:015\",\"page\":\"/help\"}";
    assert_int_equal(size, strlen(want));
    assert_memory_equal(out, want, size);
    assert_int_equal(click_event_encode(15, SPLIT("/help"), out, size - 1), 0);
    assert_int_equal(click_event_encode(INT64_MAX, SPLIT("/help"), out, sizeof out), 0);

    static const char odd[] = "\"\\/\n\x01\x1f\0\xc3\xa9 x";
    size = click_event_encode(15, SPLIT(odd), out, sizeof out);
    int64_t ms;
    const char *page, *reason;
    size_t length;
    assert_int_equal(click_event_decode(out, size, &ms, &page, &length, scratch, sizeof scratch, &reason), 0);
    assert_int_equal(length, sizeof odd - 1);
    assert_memory_equal(page, odd, length);
}

static void statistics(void **state)
{
    (void)state;
    char out[CLICK_TEXT_MAX], scratch[CLICK_PAGE_MAX];
    struct click_statistics made = {15000, 30000, SPLIT("/help"), 1000}, got = {0};
    size_t size = click_statistics_encode(&made, out, sizeof out);
    const char *want =
        "{\"windowStart\":\"01-01-1970 00:00:15:000\",\"windowEnd\":\"01-01-1970 00:00:30:000\","
        "\"page\":\"/help\",\"count\":1000}";
    assert_int_equal(size, strlen(want));
    assert_memory_equal(out, want, size);
    const char *reason = NULL;
    assert_int_equal(click_statistics_decode(out, size, &got, scratch, sizeof scratch, &reason), 0);
    assert_int_equal(got.window_start_ms, 15000);
    assert_int_equal(got.window_end_ms, 30000);
    assert_int_equal(got.count, 1000);
    assert_int_equal(got.page_length, 5);
    assert_memory_equal(got.page, "/help", 5);
    for (size_t capacity = 0; capacity < size; capacity++)
        assert_int_equal(click_statistics_encode(&made, out, capacity), 0);

    static const char *const bad[][2] = {
        {"{\"windowEnd\":1,\"page\":\"a\",\"count\":1}", "windowStart"},
        {"{\"windowStart\":1,\"page\":\"a\",\"count\":1}", "windowEnd"},
        {"{\"windowStart\":1,\"windowEnd\":1,\"count\":1}", "page"},
        {"{\"windowStart\":1,\"windowEnd\":1,\"page\":\"a\"}", "count"},
        {"{\"windowStart\":1,\"windowEnd\":1,\"page\":\"a\",\"count\":\"1\"}", "count"},
        {"{\"windowStart\":1,\"windowEnd\":1,\"page\":\"a\",\"count\":1.0}", "count"},
        {"1000", "ends too early"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(
            click_statistics_decode(bad[i][0], strlen(bad[i][0]), &got, scratch, sizeof scratch, &reason),
            -1);
        assert_non_null(strstr(reason, bad[i][1]));
    }
    made.count = INT64_MIN;
    size = click_statistics_encode(&made, out, sizeof out);
    out[size] = 0;
    assert_non_null(strstr(out, "\"count\":-9223372036854775808}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates),
        cmocka_unit_test(every_day_of_four_centuries),
        cmocka_unit_test(dates_that_are_none),
        cmocka_unit_test(events_decode),
        cmocka_unit_test(events_mutated),
        cmocka_unit_test(limits),
        cmocka_unit_test(events_encode),
        cmocka_unit_test(statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
