/* common/base: errors, text buffers, arrays, ids, randomness, key groups, log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "common/base/vec.h"

/* ---- errors ---- */

static void error_messages(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, WEIR_E_CORRUPT, "checksum mismatch at byte %d", 4096), WEIR_E_CORRUPT);
    assert_int_equal(error_wrap(&err, "read state file %s", "a/b"), WEIR_E_CORRUPT);
    assert_int_equal(error_wrap(&err, "restore checkpoint %d", 12), WEIR_E_CORRUPT);
    assert_string_equal(err.message,
                        "restore checkpoint 12: read state file a/b: checksum mismatch at byte 4096");
    assert_int_equal(err.rc, WEIR_E_CORRUPT);
    assert_int_equal(error_set_errno(&err, WEIR_E_IO, ENOENT, "open %s", "x"), WEIR_E_IO);
    assert_string_equal(err.message, "open x: No such file or directory");
    assert_int_equal(error_set(NULL, WEIR_E_LIMIT, "nobody reads this"), WEIR_E_LIMIT);
    assert_int_equal(error_set_errno(NULL, WEIR_E_IO, EIO, "nor this"), WEIR_E_IO);
    assert_int_equal(error_wrap(NULL, "nor this"), WEIR_E_INTERNAL);
}

/* Whatever the lengths: terminated, as much as fits, the outer text first. */
static void error_wrap_truncates(void **state)
{
    (void)state;
    static const int lengths[] = {0,
                                  1,
                                  700,
                                  ERROR_MESSAGE_MAX - 4,
                                  ERROR_MESSAGE_MAX - 3,
                                  ERROR_MESSAGE_MAX - 2,
                                  ERROR_MESSAGE_MAX - 1,
                                  ERROR_MESSAGE_MAX,
                                  ERROR_MESSAGE_MAX + 1,
                                  5000};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    char outer[5001], inner[5001];
    memset(outer, 'o', sizeof outer);
    memset(inner, 'i', sizeof inner);
    for (int a = 0; a < COUNT; a++)
        for (int b = 0; b < COUNT; b++) {
            struct error err;
            memset(&err, 'x', sizeof err);
            assert_int_equal(error_set(&err, WEIR_E_IO, "%.*s", lengths[b], inner), WEIR_E_IO);
            assert_int_equal(error_wrap(&err, "%.*s", lengths[a], outer), WEIR_E_IO);
            char *expected =
                xasprintf("%.*s: %.*s", lengths[a], outer,
                          lengths[b] < ERROR_MESSAGE_MAX - 1 ? lengths[b] : ERROR_MESSAGE_MAX - 1, inner);
            size_t length = strnlen(err.message, sizeof err.message);
            assert_true(length < sizeof err.message);
            assert_true(length == strlen(expected) || length >= ERROR_MESSAGE_MAX - 3);
            assert_memory_equal(err.message, expected, length);
            free(expected);
        }
}

static void error_table(void **state)
{
    (void)state;
    for (int rc = 0; rc >= WEIR_E_INTERNAL; rc--) {
        assert_true(strlen(weir_rc_text(rc)) > 0);
        assert_true(weir_rc_http_status(rc) >= 200 && weir_rc_http_status(rc) < 600);
        assert_int_equal(weir_rc_exit_code(rc), rc == 0 ? 0 : 1);
        for (int other = 0; other > rc; other--)
            assert_string_not_equal(weir_rc_text(rc), weir_rc_text(other));
    }
    assert_string_equal(weir_rc_text(-999), weir_rc_text(WEIR_E_INTERNAL));
    assert_int_equal(weir_rc_http_status(WEIR_E_NOT_FOUND), 404);
    assert_int_equal(weir_rc_http_status(WEIR_E_LIMIT), 413);
}

/* ---- text and arrays ---- */

static void strbuf_stays_below_its_limit(void **state)
{
    (void)state;
    struct strbuf buf;
    strbuf_init(&buf, 10);
    assert_true(strbuf_adds(&buf, "01234"));
    assert_false(strbuf_adds(&buf, "56789a")); /* all of it or nothing */
    assert_string_equal(buf.data, "01234");
    assert_true(buf.overflow);
    assert_true(strbuf_addf(&buf, "%d", 56789));
    assert_int_equal(buf.size, 10);
    assert_false(strbuf_add(&buf, "x", 1));
    assert_true(strbuf_add(&buf, "", 0));
    assert_false(strbuf_add(&buf, "x", SIZE_MAX));
    assert_string_equal(buf.data, "0123456789");
    strbuf_clear(&buf);
    assert_int_equal(buf.size, 0);
    assert_false(buf.overflow);
    char *text = strbuf_take(&buf);
    assert_string_equal(text, "");
    free(text);
    text = strbuf_take(&buf); /* of an empty one, too */
    assert_string_equal(text, "");
    free(text);
    strbuf_deinit(&buf);
}

static void strbuf_grows(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct strbuf buf;
    strbuf_init(&buf, 100000);
    for (int i = 0; i < COUNT; i++)
        assert_true(strbuf_addf(&buf, "%05d", i));
    assert_int_equal(buf.size, 5 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        char number[6];
        snprintf(number, sizeof number, "%05d", i);
        assert_memory_equal(buf.data + 5 * (ptrdiff_t)i, number, 5);
    }
    char large[1000]; /* longer than what addf keeps on the stack */
    memset(large, 'l', sizeof large);
    assert_true(strbuf_addf(&buf, "%.*s", (int)sizeof large, large));
    assert_memory_equal(buf.data + 5 * COUNT, large, sizeof large);
    strbuf_deinit(&buf);
    strbuf_init(&buf, 500);
    assert_false(strbuf_addf(&buf, "%.*s", (int)sizeof large, large));
    assert_true(buf.overflow);
    strbuf_deinit(&buf);
}

static void vec_keeps_order(void **state)
{
    (void)state;
    struct vec_of(int) numbers = {0};
    for (int i = 0; i < 100; i++)
        vec_push(&numbers, i);
    vec_remove(&numbers, 99);
    vec_remove(&numbers, 0);
    vec_remove(&numbers, 48);
    assert_int_equal(numbers.count, 97);
    int previous = 0, sum = 0;
    vec_for_each (number, &numbers) {
        assert_true(*number > previous);
        previous = *number;
        sum += *number;
    }
    assert_int_equal(sum, 99 * 100 / 2 - 99 - 49);
    vec_free(&numbers);
    assert_null(numbers.items);
}

static void sized_by_others(void **state)
{
    (void)state;
    assert_null(try_alloc(101, 100));
    assert_null(try_alloc(SIZE_MAX, 100));
    void *memory = try_alloc(100, 100);
    assert_non_null(memory);
    free(memory);
    memory = try_alloc(0, 100);
    assert_non_null(memory);
    free(memory);
}

/* ---- ids and randomness ---- */

static void ids_as_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"fd72014d4c864993a2e5a9287b4a9c5d", true},
        {"FD72014D4C864993A2E5A9287B4A9C5D", true},
        {"", false},
        {"f", false},
        {"fd72014d4c864993a2e5a9287b4a9c5", false},
        {"fd72014d4c864993a2e5a9287b4a9c5d0", false},
        {"fd72014d4c864993a2e5a9287b4a9c5g", false},
        {"gd72014d4c864993a2e5a9287b4a9c5d", false},
        {" d72014d4c864993a2e5a9287b4a9c5d", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_id id;
        memset(&id, 0x55, sizeof id);
        struct weir_id before = id;
        char text[WEIR_ID_HEX + 1];
        char *exact = xstrdup(cases[i].text); /* reading behind it is seen */
        assert_int_equal(weir_id_parse(exact, &id), cases[i].ok);
        if (cases[i].ok)
            assert_string_equal(weir_id_format(&id, text), cases[0].text);
        else
            assert_true(weir_id_equal(&id, &before));
        free(exact);
    }
    struct weir_id id;
    assert_false(weir_id_from_bytes("0123456789abcde", 15, &id));
    assert_false(weir_id_from_bytes(NULL, 16, &id));
    assert_true(weir_id_from_bytes("0123456789abcdef", 16, &id));
    struct weir_id a = os_random_id(), b = os_random_id();
    assert_false(weir_id_equal(&a, &b));
}

static void random_repeats_by_seed(void **state)
{
    (void)state;
    struct random a, b, c;
    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&c, 43);
    unsigned same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = random_next(&a);
        assert_true(value == random_next(&b));
        same += value == random_next(&c);
    }
    assert_int_equal(same, 0);
    unsigned histogram[10] = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t value = random_below(&a, 10);
        assert_true(value < 10);
        histogram[value]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(histogram[i], 9500, 10500);
    assert_true(random_below(&a, 1) == 0);
    assert_true(random_below(&a, UINT64_MAX) < UINT64_MAX);
}

/* ---- key groups ---- */

/* Every group belongs to exactly one subtask, the one that key_group_owner names; ranges are contiguous and
 * even. */
static void key_groups_are_covered(void **state)
{
    (void)state;
    static const uint32_t maxima[] = {64, 65, 100, 127, 128, 129, 1000, 32768};
    for (size_t m = 0; m < sizeof maxima / sizeof maxima[0]; m++)
        for (uint32_t parallelism = 1; parallelism <= 64; parallelism++) {
            uint32_t next = 0;
            for (uint32_t subtask = 0; subtask < parallelism; subtask++) {
                uint32_t first, last;
                key_group_range(subtask, parallelism, maxima[m], &first, &last);
                assert_int_equal(first, next);
                assert_true(last >= first && last < maxima[m]);
                assert_in_range(last - first + 1, maxima[m] / parallelism, maxima[m] / parallelism + 1);
                assert_int_equal(key_group_owner(first, parallelism, maxima[m]), subtask);
                assert_int_equal(key_group_owner(last, parallelism, maxima[m]), subtask);
                next = last + 1;
            }
            assert_int_equal(next, maxima[m]);
        }
}

/* The group of a hash is Flink's, where it uses the same mixing; these are MurmurHash3's finaliser. */
static void key_groups_are_stable(void **state)
{
    (void)state;
    static const struct {
        uint32_t hash, mixed;
    } cases[] = {{0, 0}, {1, 0x514e28b7}, {0xffffffff, 0x81f16f39}, {0xdeadbeef, 0x0de5c6a9}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(murmur_mix(cases[i].hash), cases[i].mixed);
        assert_int_equal(key_group_of(cases[i].hash, 128), cases[i].mixed % 128);
    }
    unsigned groups[128] = {0};
    for (uint32_t i = 0; i < 128000; i++)
        groups[key_group_of(hash_key(&i, sizeof i), 128)]++;
    for (int i = 0; i < 128; i++)
        assert_in_range(groups[i], 800, 1200);
}

/* ---- log lines ---- */

static FILE *captured;
static int real_stdout;

static void capture_begin(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    fflush(stdout);
    real_stdout = dup(STDOUT_FILENO);
    assert_true(real_stdout >= 0 && dup2(fileno(captured), STDOUT_FILENO) >= 0);
}

static void capture_end(void)
{
    dup2(real_stdout, STDOUT_FILENO);
    close(real_stdout);
    fseek(captured, 0, SEEK_SET);
}

static void log_pattern(void **state)
{
    (void)state;
    char line[20000];
    char large[10000];
    memset(large, 'L', sizeof large);
    capture_begin();
    log_info("weir.jobmanager.CheckpointCoordinator", "Completed checkpoint %d", 7);
    log_debug("weir.Quiet", "not written");
    log_set_level(LOG_ERROR);
    log_warn("weir.Quiet", "not written");
    log_error("weir.Loud", "%.*s", (int)sizeof large, large);
    log_set_level(LOG_OFF);
    log_error("weir.Quiet", "not written");
    log_set_level(LOG_INFO);
    capture_end();
    assert_non_null(fgets(line, sizeof line, captured));
    int year, month, day, hour, minute, second, millis, consumed = 0;
    assert_int_equal(sscanf(line, "%4d-%2d-%2d %2d:%2d:%2d,%3d %n", &year, &month, &day, &hour, &minute,
                            &second, &millis, &consumed),
                     7);
    assert_int_equal(consumed, strlen("2026-11-23 03:18:06,712 "));
    char expected[200];
    snprintf(expected, sizeof expected, "INFO  %-60s [] - Completed checkpoint 7\n",
             "weir.jobmanager.CheckpointCoordinator");
    assert_string_equal(line + consumed, expected);
    assert_non_null(fgets(line, sizeof line, captured)); /* cut off, but a line */
    assert_non_null(strstr(line, "ERROR weir.Loud"));
    assert_in_range(strlen(line), 8000, 8192);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_null(fgets(line, sizeof line, captured));
    fclose(captured);
}

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info("weir.Thread", "thread %d line %d %s", *(int *)arg, i, "................................");
    return NULL;
}

static void log_lines_are_whole(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int numbers[THREADS], next[THREADS] = {0};
    char line[1000];
    capture_begin();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, write_lines, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    capture_end();
    for (int i = 0; i < THREADS * LINES; i++) {
        int thread = 0, number = 0;
        char *message = NULL;
        if (!fgets(line, sizeof line, captured) || !(message = strstr(line, " [] - ")) ||
            sscanf(message, " [] - thread %d line %d ", &thread, &number) != 2)
            fail_msg("line %d is torn: %s", i, line);
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(number, next[thread]++);
    }
    assert_null(fgets(line, sizeof line, captured));
    fclose(captured);
}

static void log_levels(void **state)
{
    (void)state;
    enum log_level level = LOG_INFO;
    assert_int_equal(log_level_parse("warn", &level), 0);
    assert_int_equal(level, LOG_WARN);
    assert_int_equal(log_level_parse("OFF", &level), 0);
    assert_int_equal(level, LOG_OFF);
    assert_int_equal(log_level_parse("loud", &level), WEIR_E_INVALID);
    assert_int_equal(log_level_parse("", &level), WEIR_E_INVALID);
    assert_int_equal(level, LOG_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_messages),
        cmocka_unit_test(error_wrap_truncates),
        cmocka_unit_test(error_table),
        cmocka_unit_test(strbuf_stays_below_its_limit),
        cmocka_unit_test(strbuf_grows),
        cmocka_unit_test(vec_keeps_order),
        cmocka_unit_test(sized_by_others),
        cmocka_unit_test(ids_as_text),
        cmocka_unit_test(random_repeats_by_seed),
        cmocka_unit_test(key_groups_are_covered),
        cmocka_unit_test(key_groups_are_stable),
        cmocka_unit_test(log_pattern),
        cmocka_unit_test(log_lines_are_whole),
        cmocka_unit_test(log_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
