/* The client: parsing of the command line, and the texts of list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "client/graph_child.h"
#include "client/submit.h"

/* ---- options ---- */

enum { WORDS_MAX = 20 };

struct words {
    char *items[WORDS_MAX + 1];
    int count;
};

static struct words split(const char *line)
{
    static char buffer[512];
    struct words words = {0};
    strncpy(buffer, line, sizeof buffer - 1);
    char *rest = buffer;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word)
            words.items[words.count++] = word;
    return words;
}

static void test_run_options(void **state)
{
    (void)state;
    struct options options;
    struct words words = split("-d -p 4 -s file:/sp -n -D a=b -Dc=d=e -m host:1 job.so -p 7 --event-time");
    assert_int_equal(options_parse(ACTION_RUN, words.count, words.items, &options, NULL), 0);
    assert_true(options.detached);
    assert_true(options.allow_non_restored_state);
    assert_int_equal(options.parallelism, 4);
    assert_string_equal(options.restore_path, "file:/sp");
    assert_string_equal(options.jobmanager, "host:1");
    assert_int_equal(options.overrides.count, 2);
    assert_string_equal(options.overrides.items[0], "a=b");
    assert_string_equal(options.overrides.items[1], "c=d=e");
    assert_int_equal(options.argument_count, 4);
    assert_string_equal(options.arguments[0], "job.so");
    assert_string_equal(options.arguments[1], "-p");
    assert_string_equal(options.arguments[3], "--event-time");
    assert_null(options.arguments[4]);
    options_free(&options);
}

static void test_long_options(void **state)
{
    (void)state;
    struct options options;
    struct words words = split(
        "--detached --parallelism=3 --fromSavepoint /sp --allowNonRestoredState -jobmanager h:2 -- job.so");
    assert_int_equal(options_parse(ACTION_RUN, words.count, words.items, &options, NULL), 0);
    assert_true(options.detached);
    assert_int_equal(options.parallelism, 3);
    assert_string_equal(options.restore_path, "/sp");
    assert_string_equal(options.jobmanager, "h:2");
    assert_string_equal(options.arguments[0], "job.so");
    options_free(&options);
}

static void test_options_behind_arguments(void **state)
{
    (void)state;
    struct options options;
    struct words words = split("0123 -m host:1 extra");
    assert_int_equal(options_parse(ACTION_CANCEL, words.count, words.items, &options, NULL), 0);
    assert_string_equal(options.jobmanager, "host:1");
    assert_int_equal(options.argument_count, 2);
    assert_string_equal(options.arguments[0], "0123");
    options_free(&options);
    words = split("-a -r -s");
    assert_int_equal(options_parse(ACTION_LIST, words.count, words.items, &options, NULL), 0);
    assert_true(options.all && options.running && options.scheduled);
    options_free(&options);
}

static void test_bad_options(void **state)
{
    (void)state;
    static const struct {
        enum action action;
        const char *line;
        const char *message;
    } cases[] = {
        {ACTION_RUN, "-x job.so", "Unrecognized option: -x"},
        {ACTION_RUN, "--detachedly job.so", "Unrecognized option: --detachedly"},
        {ACTION_RUN, "--detached=yes job.so", "Unrecognized option: --detached=yes"},
        {ACTION_RUN, "-p", "Missing argument for option: p"},
        {ACTION_RUN, "-p 0 job.so", "The parallelism must be a positive number: 0"},
        {ACTION_RUN, "-p -3 job.so", "The parallelism must be a positive number: -3"},
        {ACTION_RUN, "-p 2x job.so", "The parallelism must be a positive number: 2x"},
        {ACTION_RUN, "-p 99999999999999999999 job.so",
         "The parallelism must be a positive number: 99999999999999999999"},
        {ACTION_RUN, "-p 40000 job.so", "The parallelism must not be larger than 32768: 40000"},
        {ACTION_RUN, "-D key job.so", "The option -D needs <property=value>, not key"},
        {ACTION_RUN, "-D =v job.so", "The option -D needs <property=value>, not =v"},
        {ACTION_LIST, "-d", "Unrecognized option: -d"},
        {ACTION_CANCEL, "-a", "Unrecognized option: -a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options;
        struct error err;
        struct words words = split(cases[i].line);
        assert_int_equal(options_parse(cases[i].action, words.count, words.items, &options, &err),
                         WEIR_E_INVALID);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;    /* NULL: by configuration */
        const char *address; /* NULL: refused */
    } cases[] = {
        {NULL, "localhost:8081"},
        {"h:1", "h:1"},
        {"[::1]:80", "[::1]:80"},
        {"10.0.0.1:65535", "10.0.0.1:65535"},
        {"h", NULL},
        {":80", NULL},
        {"h:", NULL},
        {"h:0", NULL},
        {"h:65536", NULL},
        {"h:8x", NULL},
        {"::1:80", NULL},
        {"http://h:80", NULL},
        {"u@h:80", NULL},
        {"h:-1", NULL},
    };
    struct config *config = config_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options = {.jobmanager = cases[i].text};
        char *address = NULL;
        int rc = client_rest_address(&options, config, &address, NULL);
        assert_int_equal(rc, cases[i].address ? 0 : WEIR_E_INVALID);
        if (cases[i].address)
            assert_string_equal(address, cases[i].address);
        free(address);
    }
    config_free(config);
}

/* ---- list ---- */

static const char overview[] = "{\"jobs\":["
                               "{\"jid\":\"ef5253fe7cb1d7344a77908dfd5246ac\",\"name\":\"Click Event "
                               "Count\",\"start-time\":1795403067000,"
                               "\"state\":\"RUNNING\"},"
                               "{\"jid\":\"00000000000000000000000000000002\",\"name\":\"Two\",\"start-"
                               "time\":1795403066000,\"state\":\"CANCELED\"},"
                               "{\"jid\":\"00000000000000000000000000000003\",\"name\":\"Three\",\"start-"
                               "time\":1795403065000,\"state\":\"FINISHED\"},"
                               "{\"jid\":\"00000000000000000000000000000004\",\"name\":\"Four\",\"start-"
                               "time\":1795403068000,\"state\":\"CREATED\"},"
                               "{\"jid\":\"00000000000000000000000000000005\",\"name\":\"Five\",\"start-"
                               "time\":1795403066000,\"state\":\"RESTARTING\"}"
                               "]}";

static void check_list(const char *json, bool running, bool scheduled, bool terminated, const char *expected)
{
    char *text;
    size_t size;
    struct error err;
    cJSON *body = cJSON_Parse(json);
    FILE *out = open_memstream(&text, &size);
    if (list_print(out, body, running, scheduled, terminated, &err) != 0)
        fail_msg("%s", err.message);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    cJSON_Delete(body);
}

static void test_list(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    check_list("{\"jobs\":[]}", true, true, true, "No running jobs.\nNo scheduled jobs.\n");
    check_list(overview, true, true, true,
               "------------------ Running/Restarting Jobs -------------------\n"
               "23.11.2026 03:04:26 : 00000000000000000000000000000005 : Five (RESTARTING)\n"
               "23.11.2026 03:04:27 : ef5253fe7cb1d7344a77908dfd5246ac : Click Event Count (RUNNING)\n"
               "--------------------------------------------------------------\n"
               "----------------------- Scheduled Jobs -----------------------\n"
               "23.11.2026 03:04:28 : 00000000000000000000000000000004 : Four (CREATED)\n"
               "--------------------------------------------------------------\n"
               "---------------------- Terminated Jobs -----------------------\n"
               "23.11.2026 03:04:25 : 00000000000000000000000000000003 : Three (FINISHED)\n"
               "23.11.2026 03:04:26 : 00000000000000000000000000000002 : Two (CANCELED)\n"
               "--------------------------------------------------------------\n");
    check_list(overview, false, true, false,
               "----------------------- Scheduled Jobs -----------------------\n"
               "23.11.2026 03:04:28 : 00000000000000000000000000000004 : Four (CREATED)\n"
               "--------------------------------------------------------------\n");
}

static void test_list_rubbish(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{}", "[]", "{\"jobs\":{}}", "{\"jobs\":[1]}",
        "{\"jobs\":[{\"jid\":1,\"name\":\"\",\"state\":\"\",\"start-time\":1}]}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        cJSON *body = cJSON_Parse(bodies[i]);
        struct error err;
        assert_int_not_equal(list_print(stdout, body, true, true, true, &err), 0);
        cJSON_Delete(body);
    }
}

/* ---- the child ---- */

static void check_not_a_job(const char *path, const char *in_message)
{
    struct graph_result result;
    struct error err = {0};
    struct graph_request request = {.job_file = path, .default_parallelism = 1};
    assert_int_not_equal(graph_child_build(&request, &result, &err), 0);
    if (!strstr(err.message, in_message))
        fail_msg("%s: %s", path, err.message);
}

static void test_not_a_job(void **state)
{
    (void)state;
    check_not_a_job("/no/such/job.so", "/no/such/job.so");
    check_not_a_job("/etc/passwd", "/etc/passwd");
}

static void test_hash(void **state)
{
    (void)state;
    uint8_t sha256[SHA256_BYTES];
    uint64_t bytes;
    char path[] = "/tmp/client-test-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    assert_int_equal(submit_hash_file(path, sha256, &bytes, NULL), 0);
    assert_int_equal(bytes, 3);
    static const uint8_t expected[4] = {0xba, 0x78, 0x16, 0xbf};
    assert_memory_equal(sha256, expected, sizeof expected);
    unlink(path);
    assert_int_equal(submit_hash_file(path, sha256, &bytes, NULL), WEIR_E_NOT_FOUND);
    assert_int_equal(submit_hash_file("/tmp", sha256, &bytes, NULL), WEIR_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_options),
        cmocka_unit_test(test_long_options),
        cmocka_unit_test(test_options_behind_arguments),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_rubbish),
        cmocka_unit_test(test_not_a_job),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
