/* common/config: values, files, overrides, what is refused and how it is said; docs/configuration.md is the
 * generator's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "common/config/config.h"

static char directory[] = "/tmp/weir-config-test-XXXXXX";
static char *path; /* of config.yaml in it */

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    path = xasprintf("%s/config.yaml", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    rmdir(directory);
    free(path);
    return 0;
}

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static int load(const char *text, struct config **ret_config, struct error *err)
{
    write_file(text, strlen(text));
    *ret_config = config_new();
    return config_load_file(*ret_config, path, err);
}

/* ---- values ---- */

static void values(void **state)
{
    (void)state;
    enum { BAD = -12345 };
    static const struct {
        enum option_id id;
        const char *text;
        int64_t expected; /* BAD: refused */
    } cases[] = {
        {OPT_HEARTBEAT_TIMEOUT, "10 s", 10000},
        {OPT_HEARTBEAT_TIMEOUT, "10s", 10000},
        {OPT_HEARTBEAT_TIMEOUT, " 500ms ", 500},
        {OPT_HEARTBEAT_TIMEOUT, "5000", 5000},
        {OPT_HEARTBEAT_TIMEOUT, "1 min", 60000},
        {OPT_HEARTBEAT_TIMEOUT, "1 m", 60000},
        {OPT_HEARTBEAT_TIMEOUT, "2 H", 7200000},
        {OPT_HEARTBEAT_TIMEOUT, "1 d", 86400000},
        {OPT_HEARTBEAT_TIMEOUT, "3 days", 259200000},
        {OPT_HEARTBEAT_TIMEOUT, "10 milliseconds", 10},
        {OPT_HEARTBEAT_TIMEOUT, "9 ms", BAD}, /* at least 10 ms */
        {OPT_HEARTBEAT_TIMEOUT, "PT10S", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "s", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "-1 s", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "1.5 s", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "10 s 5 ms", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "10 fortnights", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "9223372036854775807 d", BAD},
        {OPT_HEARTBEAT_TIMEOUT, "99999999999999999999", BAD},
        {OPT_BLOB_MAX_SIZE, "1728m", INT64_C(1728) << 20},
        {OPT_BLOB_MAX_SIZE, "32kb", 32 << 10},
        {OPT_BLOB_MAX_SIZE, "1 gb", 1 << 30},
        {OPT_BLOB_MAX_SIZE, "2 TB", INT64_C(2) << 40},
        {OPT_BLOB_MAX_SIZE, "1024", 1024},
        {OPT_BLOB_MAX_SIZE, "7 bytes", 7},
        {OPT_BLOB_MAX_SIZE, "1 mib", BAD},
        {OPT_BLOB_MAX_SIZE, "-1", BAD},
        {OPT_BLOB_MAX_SIZE, "9999999999 tb", BAD},
        {OPT_MAX_RECORD_SIZE, "1kb", 1 << 10}, /* 1kb…64mb */
        {OPT_MAX_RECORD_SIZE, "64mb", 64 << 20},
        {OPT_MAX_RECORD_SIZE, "1023", BAD},
        {OPT_MAX_RECORD_SIZE, "67108865", BAD},
        {OPT_STATE_MEMORY_THRESHOLD, "1mb", 1 << 20}, /* at most 1mb */
        {OPT_STATE_MEMORY_THRESHOLD, "0", 0},
        {OPT_STATE_MEMORY_THRESHOLD, "1025kb", BAD},
        {OPT_TASKMANAGER_PROCESS_MEMORY, "64mb", 64 << 20}, /* at least 64mb */
        {OPT_TASKMANAGER_PROCESS_MEMORY, "63mb", BAD},
        {OPT_REST_PORT, "0", 0},
        {OPT_REST_PORT, "65535", 65535},
        {OPT_REST_PORT, "65536", BAD},
        {OPT_REST_PORT, "-1", BAD},
        {OPT_REST_PORT, "80x", BAD},
        {OPT_REST_PORT, "8081.0", BAD},
        {OPT_REST_PORT, "0x50", BAD},
        {OPT_REST_PORT, "8081-8090", BAD},
        {OPT_MAX_PARALLELISM, "-1", -1}, /* -1, 1…32768 */
        {OPT_MAX_PARALLELISM, "0", BAD},
        {OPT_MAX_PARALLELISM, "1", 1},
        {OPT_MAX_PARALLELISM, "32768", 32768},
        {OPT_MAX_PARALLELISM, "32769", BAD},
        {OPT_MAX_PARALLELISM, "-2", BAD},
        {OPT_WEB_SUBMIT, "TRUE", 1},
        {OPT_WEB_SUBMIT, "false", 0},
        {OPT_WEB_SUBMIT, "yes", BAD},
        {OPT_WEB_SUBMIT, "1", BAD},
    };
    static const char *const keys[OPT_COUNT] = {
#define OPTION(id, key, ...) [OPT_##id] = key,
#include "common/config/options.def"
#undef OPTION
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = config_new();
        struct error err = {0};
        enum option_id id = cases[i].id;
        int rc = config_set(config, keys[id], cases[i].text, "-D", &err);
        if (rc != (cases[i].expected == BAD ? WEIR_E_INVALID : 0))
            fail_msg("%s=%s gives %d %s", keys[id], cases[i].text, rc, err.message);
        assert_int_equal(config_is_set(config, id), rc == 0);
        if (rc == 0) {
            int64_t value = id == OPT_HEARTBEAT_TIMEOUT ? config_duration_ms(config, id)
                            : id == OPT_REST_PORT || id == OPT_MAX_PARALLELISM ? config_integer(config, id)
                            : id == OPT_WEB_SUBMIT                             ? config_boolean(config, id)
                                                   : config_memory_bytes(config, id);
            assert_int_equal(value, cases[i].expected);
        } else {
            assert_non_null(strstr(err.message, keys[id]));
            assert_non_null(strstr(err.message, "must be"));
        }
        config_free(config);
    }
}

static void fractions_and_words(void **state)
{
    (void)state;
    struct config *config = config_new();
    static const char multiplier[] = "restart-strategy.exponential-delay.backoff-multiplier";
    static const char jitter[] = "restart-strategy.exponential-delay.jitter-factor";
    assert_int_equal(config_set(config, multiplier, "1", "-D", NULL), 0);
    assert_int_equal(config_set(config, multiplier, "0.99", "-D", NULL), WEIR_E_INVALID);
    assert_int_equal(config_set(config, multiplier, "inf", "-D", NULL), WEIR_E_INVALID);
    assert_int_equal(config_set(config, multiplier, "nan", "-D", NULL), WEIR_E_INVALID);
    assert_true(config_double(config, OPT_EXPONENTIAL_MULTIPLIER) == 1.0);
    assert_int_equal(config_set(config, jitter, "0.5", "-D", NULL), 0);
    assert_int_equal(config_set(config, jitter, "1.01", "-D", NULL), WEIR_E_INVALID);
    assert_true(config_double(config, OPT_EXPONENTIAL_JITTER) == 0.5);
    /* A word is kept in the table's spelling. */
    assert_int_equal(config_set(config, "execution.checkpointing.mode", "exactly-once", "-D", NULL), 0);
    assert_string_equal(config_string(config, OPT_CHECKPOINT_MODE), "EXACTLY_ONCE");
    assert_int_equal(config_set(config, "execution.checkpointing.mode", "or", "-D", NULL), WEIR_E_INVALID);
    assert_int_equal(config_set(config, "execution.checkpointing.mode", "EXACTLY", "-D", NULL),
                     WEIR_E_INVALID);
    assert_int_equal(config_set(config, "restart-strategy", "Fixed-Delay", "-D", NULL), 0);
    assert_string_equal(config_string(config, OPT_RESTART_STRATEGY), "fixed-delay");
    static const struct {
        const char *text;
        int rc;
    } directories[] = {
        {"file:///tmp/a", 0},           {"file:/tmp/a", 0},  {"/tmp/a", 0}, {"s3://bucket/a", WEIR_E_INVALID},
        {"relative/a", WEIR_E_INVALID}, {"", WEIR_E_INVALID}};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
        assert_int_equal(config_set(config, "state.checkpoints.dir", directories[i].text, "-D", NULL),
                         directories[i].rc);
    assert_string_equal(config_string(config, OPT_CHECKPOINT_DIR), "/tmp/a");
    config_free(config);
}

static void defaults(void **state)
{
    (void)state;
    struct config *config = config_new();
    assert_int_equal(config_integer(config, OPT_JOBMANAGER_RPC_PORT), 6123);
    assert_int_equal(config_duration_ms(config, OPT_CHECKPOINT_TIMEOUT), 600000);
    assert_int_equal(config_memory_bytes(config, OPT_TASKMANAGER_PROCESS_MEMORY), INT64_C(1728) << 20);
    assert_int_equal(config_integer(config, OPT_MAX_PARALLELISM), -1);
    assert_true(config_boolean(config, OPT_OPERATOR_CHAINING));
    assert_false(config_has(config, OPT_CHECKPOINT_INTERVAL));
    assert_null(config_string(config, OPT_CHECKPOINT_DIR));
    for (int id = 0; id < OPT_COUNT; id++)
        assert_false(config_is_set(config, (enum option_id)id));
    assert_int_equal(config_given_count(config), 0);
    config_free(config);
}

/* ---- files ---- */

static void nested_flat_and_old_names(void **state)
{
    (void)state;
    static const char text[] = "# comment\n"
                               "jobmanager:\n"
                               "  rpc:\n"
                               "    address: \"jm.example\"\n"
                               "    port: 6124\n"
                               "  bind-host: 0.0.0.0\n"
                               "taskmanager.numberOfTaskSlots: 2\n"
                               "state.checkpoints.dir: file:///first\n"
                               "execution:\n"
                               "  checkpointing.interval: 1 s\n"
                               "  checkpointing:\n"
                               "    dir: 'file:///second'\n"
                               "heartbeat: {interval: 1000, timeout: 5000}\n"
                               "rest:\n"
                               "  # port: 8082\n"
                               "my.own.key: hello\n"
                               "my.list: [a, b, c]\n"
                               "block.list:\n"
                               "  - x\n"
                               "  - y\n";
    struct config *config, *copy;
    struct error err = {0};
    if (load(text, &config, &err) != 0)
        fail_msg("%s", err.message);
    copy = config_copy(config);
    config_free(config);
    config = copy;
    assert_string_equal(config_string(config, OPT_JOBMANAGER_RPC_ADDRESS), "jm.example");
    assert_int_equal(config_integer(config, OPT_JOBMANAGER_RPC_PORT), 6124);
    assert_string_equal(config_string(config, OPT_JOBMANAGER_BIND_HOST), "0.0.0.0");
    assert_int_equal(config_integer(config, OPT_TASKMANAGER_SLOTS), 2);
    assert_string_equal(config_string(config, OPT_CHECKPOINT_DIR), "file:///second"); /* the last one wins */
    assert_int_equal(config_duration_ms(config, OPT_CHECKPOINT_INTERVAL), 1000);
    assert_int_equal(config_duration_ms(config, OPT_HEARTBEAT_TIMEOUT), 5000);
    assert_false(config_is_set(config, OPT_REST_PORT)); /* "rest:" alone leaves the default */
    static const char *const given[][2] = {
        {"jobmanager.rpc.address", "jm.example"},
        {"jobmanager.rpc.port", "6124"},
        {"jobmanager.bind-host", "0.0.0.0"},
        {"taskmanager.numberOfTaskSlots", "2"},
        {"execution.checkpointing.dir", "file:///second"},
        {"execution.checkpointing.interval", "1 s"},
        {"heartbeat.interval", "1000"},
        {"heartbeat.timeout", "5000"},
        {"my.own.key", "hello"},
        {"my.list", "a;b;c"},
        {"block.list", "x;y"},
    };
    assert_int_equal(config_given_count(config), sizeof given / sizeof given[0]);
    for (size_t i = 0; i < config_given_count(config); i++) {
        const char *key, *value;
        config_given(config, i, &key, &value);
        assert_string_equal(key, given[i][0]);
        assert_string_equal(value, given[i][1]);
    }
    config_free(config);
}

static void empty_files(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      "\n\n",     "# nothing\n",
                                        "---\n", "--- {}\n", "\xef\xbb\xbf# BOM\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct config *config;
        struct error err = {0};
        if (load(texts[i], &config, &err) != 0)
            fail_msg("\"%s\": %s", texts[i], err.message);
        assert_int_equal(config_given_count(config), 0);
        config_free(config);
    }
}

static void bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *line; /* ":N: " behind the path */
        const char *says;
    } cases[] = {
        {"rest.port: 70000\n", ":1: ", "0…65535"},
        {"a: 1\nheartbeat:\n  timeout: soon\n", ":3: ", "heartbeat.timeout"},
        {"a: 1\nheartbeat:\n  timeout: soon\n", ":3: ", "a duration such as"},
        {"rest.port: [1, 2]\n", ":1: ", "1;2"},
        {"rest: {port: }\nlog.level: LOUD\n", ":2: ", "DEBUG, INFO, WARN, ERROR or OFF"},
        {"a: b: c\n", ":1: ", "mapping values"},
        {"a: 'b\n", "", "quoted scalar"},
        {"\ta: b\n", ":1: ", ""},
        {"- a\n- b\n", ":1: ", "a map of keys and values"},
        {"just text\n", ":1: ", "a map of keys and values"},
        {"a: 1\n---\nb: 2\n", ":2: ", "more than one document"},
        {"a: &x 1\n", ":1: ", "anchors"},
        {"a: &x [1]\n", ":1: ", "anchors"},
        {"a: *x\n", ":1: ", "aliases"},
        {"a: [[1]]\n", ":1: ", "not possible here"},
        {"a: [{b: 1}]\n", ":1: ", "not possible here"},
        {"? [a]\n: b\n", ":1: ", "not possible here"},
        {"'': b\n", ":1: ", "empty key"},
        {"a: \"x\\0y\"\n", ":1: ", "NUL"},
        {"a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}}}}}}}}\n",
         ":1: ", "16 levels"},
        {"a: \xff\xfe\n", ":1: ", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config;
        struct error err = {0};
        int rc = load(cases[i].text, &config, &err);
        if (rc != WEIR_E_INVALID)
            fail_msg("%s gives %d", cases[i].text, rc);
        size_t length = strlen(path);
        if (strncmp(err.message, path, length) != 0 ||
            strncmp(err.message + length, cases[i].line, strlen(cases[i].line)) != 0 ||
            !strstr(err.message, cases[i].says))
            fail_msg("%s: \"%s\" doesn't say \"%s\" at \"%s\"", cases[i].text, err.message, cases[i].says,
                     cases[i].line);
        config_free(config);
    }
}

/* A "billion laughs" document, keys and files beyond every limit: refused, quickly and by name. */
static void hostile_files(void **state)
{
    (void)state;
    struct config *config;
    struct error err = {0};
    assert_int_equal(load("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n", &config, &err),
                     WEIR_E_INVALID);
    config_free(config);

    char *large = xmalloc((2 << 20) + 1);
    memset(large, '#', 2 << 20);
    large[2 << 20] = '\0';
    assert_int_equal(load(large, &config, &err), WEIR_E_LIMIT);
    assert_non_null(strstr(err.message, path));
    config_free(config);

    memset(large, 'k', 1000);
    memcpy(large + 1000, ": v\n", 5);
    assert_true(load(large, &config, &err) < 0);
    config_free(config);

    memset(large, '[', 500000);
    memcpy(large, "a: ", 3);
    large[500000] = '\0';
    assert_int_equal(load(large, &config, &err), WEIR_E_INVALID);
    config_free(config);

    struct strbuf many;
    strbuf_init(&many, 1 << 20);
    log_set_level(LOG_OFF);
    for (int i = 0; i < 20000; i++)
        assert_true(strbuf_addf(&many, "key.%d: v\n", i));
    assert_int_equal(load(many.data, &config, &err), WEIR_E_LIMIT);
    assert_int_equal(config_given_count(config), 10000);
    config_free(config);
    strbuf_deinit(&many);
    free(large);

    unlink(path);
    config = config_new();
    assert_int_equal(config_load_file(config, path, &err), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(config_load_file(config, directory, &err), WEIR_E_INVALID);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(config_load_file(config, path, &err),
                     WEIR_E_INVALID); /* and does not wait for a writer */
    unlink(path);
    config_free(config);
}

static void unknown_keys_are_warned_of(void **state)
{
    (void)state;
    struct config *config;
    char line[1000] = "";
    log_set_level(LOG_INFO);
    FILE *log = tmpfile();
    fflush(stdout);
    int real_stdout = dup(STDOUT_FILENO);
    dup2(fileno(log), STDOUT_FILENO);
    int rc = load("a: b\ntaskmanager:\n  numberOfTaskSlot: 2\n", &config, NULL);
    dup2(real_stdout, STDOUT_FILENO);
    close(real_stdout);
    log_set_level(LOG_OFF);
    assert_int_equal(rc, 0);
    fseek(log, 0, SEEK_SET);
    assert_non_null(fgets(line, sizeof line, log));
    assert_non_null(fgets(line, sizeof line, log));
    char *expected = xasprintf("%s:3: unknown configuration key 'taskmanager.numberOfTaskSlot'", path);
    assert_non_null(strstr(line, " WARN "));
    assert_non_null(strstr(line, expected));
    assert_int_equal(config_given_count(config), 2); /* kept: a job may know it */
    free(expected);
    fclose(log);
    config_free(config);
}

static void overrides_win(void **state)
{
    (void)state;
    struct config *config;
    struct error err = {0};
    const char *const good[] = {"rest.port=9000", "state.checkpoints.dir=file:///a=b",
                                "taskmanager.numberOfTaskSlots=4", "taskmanager.numberOfTaskSlots=8"};
    write_file("rest.port: 1\n", strlen("rest.port: 1\n"));
    assert_int_equal(config_load(directory, good, 4, &config, &err), 0);
    assert_int_equal(config_integer(config, OPT_REST_PORT), 9000);
    assert_int_equal(config_integer(config, OPT_TASKMANAGER_SLOTS), 8);
    assert_string_equal(config_string(config, OPT_CHECKPOINT_DIR), "file:///a=b");
    config_free(config);

    static const struct {
        const char *text, *says;
    } bad[] = {{"rest.port", "key=value"},
               {"=1", "key=value"},
               {"rest.port=x", "-D: rest.port: 'x' must be 0…65535"},
               {"heartbeat.timeout=5 s", "heartbeat.interval (10000 ms) must be less than"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(config_load(directory, &bad[i].text, 1, &config, &err), WEIR_E_INVALID);
        if (!strstr(err.message, bad[i].says))
            fail_msg("\"%s\" doesn't say \"%s\"", err.message, bad[i].says);
    }
    char *huge = xmalloc(20001);
    memset(huge, 'v', 20000);
    huge[20000] = '\0';
    config = config_new();
    assert_int_equal(config_set(config, "some.key", huge, "-D", &err), WEIR_E_LIMIT);
    assert_int_equal(config_set(config, huge, "v", "-D", &err), WEIR_E_LIMIT);
    config_free(config);
    free(huge);
}

static void where_the_file_is_looked_for(void **state)
{
    (void)state;
    struct config *config;
    struct error err = {0};
    write_file("rest.port: 1234\n", strlen("rest.port: 1234\n"));
    setenv("WEIR_CONF_DIR", directory, 1);
    assert_int_equal(config_load(NULL, NULL, 0, &config, &err), 0);
    assert_int_equal(config_integer(config, OPT_REST_PORT), 1234);
    config_free(config);
    unlink(path);
    assert_int_equal(config_load(NULL, NULL, 0, &config, &err), 0); /* may be missing there */
    assert_int_equal(config_integer(config, OPT_REST_PORT), 8081);
    config_free(config);
    unsetenv("WEIR_CONF_DIR");
    assert_int_equal(config_load(directory, NULL, 0, &config, &err),
                     WEIR_E_NOT_FOUND); /* not where it was said to be */
    assert_non_null(strstr(err.message, path));
    assert_int_equal(config_load(NULL, NULL, 0, &config, &err), 0);
    config_free(config);
}

/* ---- what is generated, what is shipped ---- */

static char *read_all(FILE *file)
{
    struct strbuf text;
    char piece[4096];
    size_t n;
    strbuf_init(&text, 1 << 20);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        assert_true(strbuf_add(&text, piece, n));
    return strbuf_take(&text);
}

static void docs_are_up_to_date(void **state)
{
    (void)state;
    FILE *generated = tmpfile();
    FILE *committed = fopen(SOURCE_DIR "/docs/configuration.md", "re");
    assert_non_null(generated);
    assert_non_null(committed);
    config_print_markdown(generated);
    rewind(generated);
    char *expected = read_all(generated);
    char *actual = read_all(committed);
    if (strcmp(expected, actual) != 0)
        fail_msg(
            "docs/configuration.md is not what weir-config-docs prints: run build/bin/weir-config-docs > "
            "docs/configuration.md");
    assert_non_null(strstr(expected, "| `taskmanager.numberOfTaskSlots` | 1 |"));
    free(expected);
    free(actual);
    fclose(generated);
    fclose(committed);
}

static void help_names_every_key(void **state)
{
    (void)state;
    static const char *const keys[] = {
#define OPTION(id, key, ...) key,
#include "common/config/options.def"
#undef OPTION
    };
    FILE *out = tmpfile();
    config_print_help(out);
    rewind(out);
    char *help = read_all(out);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!strstr(help, keys[i]))
            fail_msg("--help doesn't name %s", keys[i]);
    free(help);
    fclose(out);
}

static void shipped_configuration(void **state)
{
    (void)state;
    struct config *config;
    struct error err = {0};
    if (config_load(SOURCE_DIR "/conf", NULL, 0, &config, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(config_integer(config, OPT_TASKMANAGER_SLOTS), 2);
    assert_string_equal(config_string(config, OPT_CHECKPOINT_DIR), "file:///tmp/weir-checkpoints-directory");
    assert_string_equal(config_string(config, OPT_SAVEPOINT_DIR), "file:///tmp/weir-savepoints-directory");
    assert_int_equal(config_duration_ms(config, OPT_HEARTBEAT_INTERVAL), 1000);
    assert_int_equal(config_duration_ms(config, OPT_HEARTBEAT_TIMEOUT), 5000);
    config_free(config);
}

int main(void)
{
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(fractions_and_words),
        cmocka_unit_test(defaults),
        cmocka_unit_test(nested_flat_and_old_names),
        cmocka_unit_test(empty_files),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(unknown_keys_are_warned_of),
        cmocka_unit_test(overrides_win),
        cmocka_unit_test(where_the_file_is_looked_for),
        cmocka_unit_test(docs_are_up_to_date),
        cmocka_unit_test(help_names_every_key),
        cmocka_unit_test(shipped_configuration),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
