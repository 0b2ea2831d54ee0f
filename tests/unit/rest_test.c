/* REST: paths and parameters, and the answers' shapes compared key by key (names, order, JSON types) with
 * those that were recorded from Flink (rest_shapes). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "jobmanager/rest/json.h"
#include "jobmanager/rest/operations.h"
#include "jobmanager/rest/request.h"
#include "jobmanager/rest/rest.h"
#include "tests/unit/rest_fake_core.h"

static struct weir_id cancelled;
static uint64_t cancel_token;

static int64_t now_ms(void *self)
{
    (void)self;
    return FAKE_NOW_MS;
}

static void cancel_job(void *self, const struct weir_id *job, uint64_t token)
{
    (void)self;
    cancelled = *job;
    cancel_token = token;
}

static struct snapshot_wish wished;
static char wished_directory[256], disposed[256];
static uint64_t operation;
static struct rest_operations operations;

static void take_snapshot(void *self, const struct weir_id *job, const struct snapshot_wish *wish,
                          uint64_t number)
{
    (void)self;
    (void)job;
    wished = *wish;
    snprintf(wished_directory, sizeof wished_directory, "%s", wish->directory ? wish->directory : "");
    operation = number;
}

static void dispose_savepoint(void *self, const char *path, uint64_t number)
{
    (void)self;
    snprintf(disposed, sizeof disposed, "%s", path);
    operation = number;
}

static struct config *config;

static int setup(void **state)
{
    (void)state;
    config = config_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_free(config);
    return 0;
}

static struct rest_response tell(const char *method, const char *uri, const char *body)
{
    struct rest_env env = {.core = fake_core(),
                           .config = config,
                           .rpc_address = "localhost:6123",
                           .now_ms = now_ms,
                           .cancel_job = cancel_job,
                           .take_snapshot = take_snapshot,
                           .dispose_savepoint = dispose_savepoint,
                           .operations = &operations};
    struct rest_response response;
    rest_dispatch(&env, method, uri, body, 77, &response);
    return response;
}

static struct rest_response ask(const char *method, const char *uri)
{
    return tell(method, uri, NULL);
}

/* ---- shapes ---- */

static void read_shape(const char *name, cJSON **ret_shape)
{
    char *path = xasprintf("%s/%s.json", REST_SHAPES_DIR, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("no shape file %s", path);
    char text[16384];
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    *ret_shape = cJSON_Parse(text);
    if (!*ret_shape)
        fail_msg("%s is not JSON", path);
    free(path);
}

static const char *scalar_type(const cJSON *item)
{
    if (cJSON_IsRaw(item))
        return strpbrk(item->valuestring, ".eE") ? "double" : "int";
    if (cJSON_IsBool(item))
        return "bool";
    if (cJSON_IsString(item))
        return "string";
    return cJSON_IsNull(item) ? "null" : "other";
}

/* Writes where and how it differs. An array's shape lists the shapes that its elements may have; empty: no
 * elements. */
static bool matches(const cJSON *shape, const cJSON *actual, char *where, size_t size)
{
    char inner[256] = "";
    if (cJSON_IsString(shape)) {
        if (strcmp(shape->valuestring, scalar_type(actual)) == 0)
            return true;
        snprintf(where, size, ": expected %s, got %s", shape->valuestring, scalar_type(actual));
        return false;
    }
    if (cJSON_IsArray(shape)) {
        if (!cJSON_IsArray(actual) || (cJSON_GetArraySize(shape) == 0) != (cJSON_GetArraySize(actual) == 0)) {
            snprintf(where, size, ": arrays differ in being empty");
            return false;
        }
        const cJSON *element;
        cJSON_ArrayForEach(element, actual)
        {
            const cJSON *candidate;
            bool found = false;
            cJSON_ArrayForEach(candidate, shape) found |= matches(candidate, element, inner, sizeof inner);
            if (!found) {
                snprintf(where, size, "[]%s", inner);
                return false;
            }
        }
        return true;
    }
    if (!cJSON_IsObject(actual)) {
        snprintf(where, size, ": expected an object");
        return false;
    }
    const cJSON *expected = shape->child;
    const cJSON *member = actual->child;
    for (; expected && member; expected = expected->next, member = member->next) {
        if (strcmp(expected->string, member->string) != 0) {
            snprintf(where, size, ": expected key %s, got %s", expected->string, member->string);
            return false;
        }
        if (!matches(expected, member, inner, sizeof inner)) {
            snprintf(where, size, ".%.60s%.190s", member->string, inner);
            return false;
        }
    }
    if (expected || member) {
        snprintf(where, size, ": %s key %s", expected ? "lacks" : "extra",
                 expected ? expected->string : member->string);
        return false;
    }
    return true;
}

static void check_shape(const char *method, const char *uri, int status, const char *shape_name)
{
    char where[512] = "";
    cJSON *shape;
    read_shape(shape_name, &shape);
    struct rest_response response = ask(method, uri);
    if (response.status != status)
        fail_msg("%s %s: status %d, expected %d", method, uri, response.status, status);
    if (!matches(shape, response.body, where, sizeof where))
        fail_msg("%s %s differs from %s%s", method, uri, shape_name, where);
    char *text = cJSON_PrintUnformatted(response.body);
    cJSON *parsed = cJSON_Parse(text);
    assert_non_null(parsed);
    cJSON_Delete(parsed);
    free(text);
    cJSON_Delete(response.body);
    cJSON_Delete(shape);
}

#define A    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C    "cccccccccccccccccccccccccccccccc"
#define V    "22222222222222222222222222222222"
#define ZERO "00000000000000000000000000000000"

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        const char *shape;
    } cases[] = {
        {"/overview", "overview"},
        {"/v1/overview", "overview"},
        {"/config", "config"},
        {"/jobs", "jobs"},
        {"/jobs/", "jobs"},
        {"/v1/jobs/overview", "jobs_overview"},
        {"/jobs/" A, "job"},
        {"/jobs/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "job"},
        {"/jobs/" A "/plan", "job_plan"},
        {"/jobs/" A "/config", "job_config"},
        {"/jobs/" A "/status", "job_status"},
        {"/jobs/" A "/checkpoints", "job_checkpoints"},
        {"/jobs/" B "/checkpoints", "job_checkpoints_none"},
        {"/jobs/" A "/exceptions", "job_exceptions"},
        {"/jobs/" A "/exceptions?maxExceptions=1", "job_exceptions"},
        {"/jobs/" B "/exceptions", "job_exceptions_none"},
        {"/jobs/" A "/metrics", "job_metrics"},
        {"/jobs/" A "/metrics?get=numRestarts,lastCheckpointSize", "job_metrics_get"},
        {"/jobs/" A "/vertices/" V, "vertex"},
        {"/jobs/" A "/vertices/" V "/metrics", "vertex_metrics"},
        {"/jobs/" A "/vertices/" V "/metrics?get=0.numRecordsIn", "job_metrics_get"},
        {"/jobs/" A "/vertices/" V "/subtasks/metrics", "vertex_metrics"},
        {"/jobs/" A "/vertices/" V "/subtasks/metrics?get=numRecordsIn", "subtasks_metrics_get"},
        {"/jobs/" A "/vertices/" V "/subtasks/metrics?get=numRecordsIn&agg=max,min", "subtasks_metrics_agg"},
        {"/jobs/" A "/vertices/" V "/subtasks/1/metrics", "vertex_metrics"},
        {"/jobs/" A "/vertices/" V "/subtasks/0/metrics?get=numRecordsIn,numRecordsOut",
         "subtask_metrics_get"},
        {"/taskmanagers", "taskmanagers"},
        {"/taskmanagers/tm:1-abcdef", "taskmanager"},
        {"/taskmanagers/tm%3A1-abcdef", "taskmanager"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_shape("GET", cases[i].uri, 200, cases[i].shape);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *uri;
        int status;
        const char *text; /* in the error */
    } cases[] = {
        {"GET", "/jobs/nothex", 400, "Cannot resolve path parameter (jobid) from value \"nothex\"."},
        {"GET", "/jobs/" ZERO, 404, "Job " ZERO " not found"},
        {"GET", "/jobs/" ZERO "/status", 404, "not found"},
        {"GET", "/jobs/" A "/vertices/zz", 400, "(vertexid)"},
        {"GET", "/jobs/" A "/vertices/" ZERO, 404, "JobVertex " ZERO " not found"},
        {"GET", "/jobs/" A "/vertices/" V "/subtasks/x/metrics", 400, "(subtaskindex)"},
        {"GET", "/jobs/" A "/vertices/" V "/subtasks/-1/metrics", 400, "(subtaskindex)"},
        {"GET", "/jobs/" A "/vertices/" V "/subtasks/2/metrics", 404, "Invalid subtask index for vertex " V},
        {"GET", "/jobs/" A "/vertices/" V "/subtasks/99999999999999999999/metrics", 400, "(subtaskindex)"},
        {"GET", "/jobs/" A "/vertices/" V "/subtasks/metrics?get=x&agg=bogus", 400,
         "(agg) from value \"bogus\""},
        {"GET", "/jobs/" A "/exceptions?maxExceptions=-1", 400, "(maxExceptions)"},
        {"GET", "/jobs/" A "/exceptions?maxExceptions=many", 400, "(maxExceptions)"},
        {"GET", "/taskmanagers/none", 404, "none"},
        {"GET", "/no-such-path", 404, "Unable to load requested file /no-such-path."},
        {"GET", "/", 404, "/"},
        {"GET", "/v1", 404, "/v1"},
        {"GET", "/v9/jobs", 404, "/v9/jobs"},
        {"GET", "/jobs/" A "/nothing", 404, "nothing"},
        {"GET", "/jobs/../jobs", 400, "path"},
        {"GET", "/jobs/%2e%2e/x", 400, "path"},
        {"GET", "/jobs/%00", 400, "path"},
        {"GET", "/jobs/%zz", 400, "path"},
        {"GET", "/jobs/%", 400, "path"},
        {"GET", "/jobs?a=%z", 400, "query"},
        {"GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r", 400, "parts"},
        {"POST", "/jobs", 405, "allowed: GET, HEAD."},
        {"DELETE", "/jobs/" A, 405, "allowed: GET, HEAD, PATCH."},
        {"PATCH", "/overview", 405, "PATCH"},
        {"PATCH", "/jobs/" A "?mode=bogus", 400, "(mode) from value \"bogus\""},
        {"PATCH", "/jobs/" ZERO "?mode=cancel", 404, ZERO},
        {"PATCH", "/jobs/" B "?mode=cancel", 409, "another terminal state (FINISHED)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_shape(cases[i].method, cases[i].uri, cases[i].status, "errors");
        struct rest_response response = ask(cases[i].method, cases[i].uri);
        const cJSON *text = cJSON_GetArrayItem(cJSON_GetObjectItem(response.body, "errors"), 0);
        if (!strstr(text->valuestring, cases[i].text))
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].uri, text->valuestring, cases[i].text);
        assert_true((response.allow != NULL) == (cases[i].status == 405));
        cJSON_Delete(response.body);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    static const char *const uris[] = {"/jobs/" A, "/v1/jobs/" A "?mode=cancel"};
    for (size_t i = 0; i < 2; i++) {
        cancel_token = 0;
        struct rest_response response = ask("PATCH", uris[i]);
        assert_true(response.pending);
        assert_null(response.body);
        assert_int_equal(cancel_token, 77);
        assert_int_equal(cancelled.bytes[0], 0xaa);
    }
    cancel_token = 0;
    struct rest_response response = ask("PATCH", "/jobs/" C "?mode=cancel"); /* again */
    assert_int_equal(response.status, 202);
    assert_false(response.pending);
    assert_int_equal(cancel_token, 0);
    cJSON_Delete(response.body);
    struct error err;
    assert_int_equal(config_set(config, "web.cancel.enable", "false", "test", &err), 0);
    response = ask("PATCH", "/jobs/" A "?mode=cancel");
    assert_int_equal(response.status, 403);
    assert_int_equal(cancel_token, 0);
    cJSON_Delete(response.body);
}

static void check_text(const char *uri, const char *expected)
{
    struct rest_response response = ask("GET", uri);
    char *text = cJSON_PrintUnformatted(response.body);
    if (!strstr(text, expected))
        fail_msg("%s: %s lacks %s", uri, text, expected);
    free(text);
    cJSON_Delete(response.body);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *uri;
        const char *text;
    } cases[] = {
        {"/jobs/" A, "\"duration\":30000,\"maxParallelism\":-1,\"now\":100000"},
        {"/jobs/" A, "\"RUNNING\":71000"},
        {"/jobs/" A, "\"read-records\":15095"},
        {"/jobs/" B, "\"end-time\":90000,\"duration\":20000"},
        {"/jobs/" A "/plan",
         "\"description\":\"Source: Clicks<br/>+- Map&lt;a &amp; &quot;b&quot;&gt;<br/>\""},
        {"/jobs/" A "/plan", "\"inputs\":[{\"id\":\"11111111111111111111111111111111\",\"num\":0,"
                             "\"exchange\":\"pipelined_bounded\","
                             "\"ship_strategy\":\"HASH\"}]"},
        {"/jobs/" A "/config",
         "\"Restart with fixed delay (PT3S). #100 restart attempts.\",\"job-parallelism\":2"},
        {"/jobs/" A "/checkpoints",
         "\"restored\":{\"id\":1,\"restore_timestamp\":72000,\"is_savepoint\":false,"
         "\"external_path\":\"file:/checkpoints/aa/chk-1\"}"},
        {"/jobs/" A "/checkpoints", "\"end_to_end_duration\":24"},
        {"/jobs/" A "/exceptions", "\"stacktrace\":\"WorkerCrashed: signal 11 (SIGSEGV) in map\\n\\tat "
                                   "frame_a (a.c:1)\\n\\tat frame_b (b.c:2)\\n\""},
        {"/jobs/" A "/exceptions", "\"truncated\":false"},
        {"/jobs/" A "/exceptions?maxExceptions=1", "\"truncated\":true"},
        {"/jobs/" A "/metrics?get=lastCheckpointSize,nonesuch,numberOfCompletedCheckpoints,",
         "[{\"id\":\"lastCheckpointSize\",\"value\":\"7054\"},{\"id\":\"numberOfCompletedCheckpoints\","
         "\"value\":\"2\"}]"},
        {"/jobs/" A "/metrics?get=nonesuch", "[]"},
        {"/jobs/" A "/metrics?get=runningTime,restartingTime",
         "[{\"id\":\"runningTime\",\"value\":\"29000\"},{\"id\":\"restartingTime\",\"value\":\"0\"}]"},
        {"/jobs/" A "/metrics?get=allSubTasksRunningOrFinishedTime", "\"28990\""},
        {"/jobs/" A "/metrics?get=lastCheckpointExternalPath", "\"file:/checkpoints/aa/chk-1\""},
        {"/jobs/" B "/metrics?get=lastCheckpointExternalPath", "\"n/a\""},
        {"/jobs/" B "/metrics?get=lastCheckpointSize", "\"-1\""},
        {"/jobs/" A "/vertices/" V,
         "\"status-duration\":{\"RUNNING\":29000,\"SCHEDULED\":100,\"DEPLOYING\":100,"
         "\"INITIALIZING\":200,\"CREATED\":100},\"start_time\":70700"},
        {"/jobs/" A "/vertices/" V, "\"endpoint\":\"tm:7777\""},
        {"/jobs/" A "/vertices/" V, "\"read-records\":{\"p25\":7017,\"min\":7017,\"avg\":7547,\"median\":"
                                    "7547,\"max\":8078,\"sum\":15095,"
                                    "\"p95\":8078,\"p75\":8078}"},
        {"/jobs/" A "/vertices/" V "/metrics?get=1.numRecordsIn,2.numRecordsIn,x.y",
         "[{\"id\":\"1.numRecordsIn\",\"value\":\"8078\"}]"},
        {"/jobs/" A "/vertices/" V "/subtasks/metrics?get=numRecordsIn",
         "[{\"id\":\"numRecordsIn\",\"min\":7017.0,\"max\":8078.0,\"avg\":7547.5,\"sum\":15095.0,\"skew\":7."
         "02881748"},
        {"/jobs/" A "/vertices/" V "/subtasks/0/metrics?get=currentInputWatermark",
         "\"-9223372036854775808\""},
        {"/jobs/" A "/vertices/" V "/subtasks/0/metrics?get=Shuffle.Netty.Output.Buffers.outPoolUsage",
         "\"0.5\""},
        {"/jobs/" A "/vertices/" V "/subtasks/0/metrics", "\"Counter.numLateRecordsDropped\""},
        {"/jobs/" A "/vertices/11111111111111111111111111111111/subtasks/0/metrics",
         "\"Source__Clicks.numRecordsIn\""},
        {"/jobs/" A "/vertices/11111111111111111111111111111111/subtasks/0/metrics?get=currentInputWatermark",
         "[]"},
        {"/taskmanagers/tm:1-abcdef", "\"dataPort\":7777"},
        {"/taskmanagers/tm:1-abcdef", "\"assignedTasks\":2},{"},
        {"/config", "\"weir-rpc-address\":\"localhost:6123\""},
        {"/jobs/overview", "\"running\":4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_text(cases[i].uri, cases[i].text);
}

static void test_json_text(void **state)
{
    (void)state;
    cJSON *object = json_new_object();
    json_int(object, "a", INT64_MIN);
    json_uint(object, "b", UINT64_MAX);
    json_double(object, "c", 103.39999999999998);
    json_double(object, "d", 1e15 - 1);
    json_double(object, "e", (double)INT64_MAX * 0 / 0.0);
    json_string(object, "f", "a\xff\xc3\xa4\xc3");
    char *text = cJSON_PrintUnformatted(object);
    assert_string_equal(text,
                        "{\"a\":-9223372036854775808,\"b\":18446744073709551615,\"c\":103.39999999999998,"
                        "\"d\":999999999999999.0,\"e\":\"NaN\",\"f\":\"a?\xc3\xa4?\"}");
    free(text);
    cJSON_Delete(object);
}

static void test_long_uri(void **state)
{
    (void)state;
    size_t size = 100000;
    char *uri = xmalloc(size + 1);
    memset(uri, 'a', size);
    uri[0] = '/';
    uri[size] = '\0';
    struct rest_response response = ask("GET", uri);
    assert_int_equal(response.status, 400);
    cJSON_Delete(response.body);
    free(uri);
}

/* ---- operations ---- */

#define JOB     "00000000000000000000000000000001"
#define TRIGGER "ca1cfaf882630ed3574f2679480ff1a1"

static void expect(struct rest_response response, int status, const char *body)
{
    char *text = cJSON_PrintUnformatted(response.body);
    assert_int_equal(response.status, status);
    if (!strstr(text, body))
        fail_msg("%s is not in %s", body, text);
    free(text);
    cJSON_Delete(response.body);
}

static void test_operations(void **state)
{
    (void)state;
    const char *savepoints = "/v1/jobs/" JOB "/savepoints", *mine = "/v1/jobs/" JOB "/savepoints/" TRIGGER;
    const char *checkpoint = "/v1/jobs/" JOB "/checkpoints/" TRIGGER;
    /* A job that isn't there is said by what becomes of it. */
    expect(tell("POST", savepoints,
                "{\"target-directory\":\"file:///x\",\"cancel-job\":true,\"formatType\":\"CANONICAL\","
                "\"triggerId\":\"" TRIGGER "\"}"),
           202, "{\"request-id\":\"" TRIGGER "\"}");
    assert_true(wished.savepoint && wished.cancel && wished.stop == WEIR__STOP_MODE__STOP_NONE);
    assert_string_equal(wished_directory, "file:///x");
    expect(ask("GET", mine), 200, "{\"status\":{\"id\":\"IN_PROGRESS\"},\"operation\":null}");
    uint64_t first = operation;
    expect(tell("POST", savepoints, "{\"target-directory\":\"/x\",\"triggerId\":\"" TRIGGER "\"}"), 202,
           TRIGGER);
    assert_int_equal(operation, first); /* once */
    rest_operations_complete(&operations, first, 0, "/x/savepoint-1", 3);
    expect(ask("GET", mine), 200,
           "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{\"location\":\"file:/x/savepoint-1\"}}");

    expect(
        tell("POST", "/jobs/" JOB "/stop",
             "{\"targetDirectory\":\"/y\",\"drain\":true,\"formatType\":\"CANONICAL\",\"triggerId\":null}"),
        202, "request-id");
    assert_int_equal(wished.stop, WEIR__STOP_MODE__STOP_DRAIN);
    assert_string_equal(wished_directory, "/y");
    expect(tell("POST", "/jobs/" JOB "/stop", "{\"targetDirectory\":\"/y\"}"), 202, "request-id");
    assert_int_equal(wished.stop, WEIR__STOP_MODE__STOP_SUSPEND);

    expect(tell("POST", "/jobs/" JOB "/checkpoints",
                "{\"checkpointType\":\"FULL\",\"triggerId\":\"" TRIGGER "\"}"),
           202, TRIGGER);
    assert_false(wished.savepoint);
    rest_operations_complete(&operations, operation, 0, "/c/chk-33", 33);
    expect(ask("GET", checkpoint), 200, "\"operation\":{\"checkpointId\":33}");
    /* Another key than that of savepoints. */
    rest_operations_begin(&operations, OPERATION_CHECKPOINT, &(struct weir_id){.bytes = {1}},
                          &(struct weir_id){.bytes = {2}});
    rest_operations_complete(&operations, operations.last_number, WEIR_E_STATE, "no", 0);
    expect(ask("GET", "/jobs/01000000000000000000000000000000/checkpoints/02000000000000000000000000000000"),
           200, "{\"failureCause\":{\"class\":");

    expect(tell("POST", "/savepoint-disposal", "{\"savepoint-path\":\"/z\"}"), 200, "request-id");
    assert_string_equal(disposed, "/z");
    rest_operations_deinit(&operations);
}

static void test_bad_operations(void **state)
{
    (void)state;
    static const struct {
        const char *method, *uri, *body;
        int status;
        const char *message;
    } cases[] = {
        {"POST", "/jobs/" JOB "/savepoints", "{", 400,
         "did not match expected format SavepointTriggerRequestBody."},
        {"POST", "/jobs/" JOB "/savepoints", "[]", 400, "SavepointTriggerRequestBody"},
        {"POST", "/jobs/" JOB "/savepoints", "{\"target-directory\":7}", 400, "SavepointTriggerRequestBody"},
        {"POST", "/jobs/" JOB "/savepoints", "{\"triggerId\":\"zz\"}", 400, "SavepointTriggerRequestBody"},
        {"POST", "/jobs/" JOB "/stop", "{\"drain\":\"yes\"}", 400, "StopWithSavepointRequestBody"},
        {"POST", "/jobs/" JOB "/stop", "{\"formatType\":\"X\"}", 400, "StopWithSavepointRequestBody"},
        {"POST", "/jobs/" JOB "/checkpoints", "{\"checkpointType\":\"X\"}", 400,
         "CheckpointTriggerRequestBody"},
        {"POST", "/savepoint-disposal", "{}", 400, "SavepointDisposalRequest"},
        {"POST", "/jobs/zz/savepoints", "{}", 400, "path parameter (jobid)"},
        {"GET", "/jobs/" JOB "/savepoints/zz", NULL, 400, "path parameter (triggerid)"},
        {"GET", "/jobs/" JOB "/savepoints/" TRIGGER, NULL, 404,
         "There is no savepoint operation with triggerId=" TRIGGER " for job " JOB "."},
        {"GET", "/jobs/" JOB "/checkpoints/" TRIGGER, NULL, 404, "There is no checkpoint operation"},
        {"GET", "/savepoint-disposal/" TRIGGER, NULL, 404, "Operation not found under key"},
        {"GET", "/jobs/" JOB "/stop", NULL, 405, "allowed: POST"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect(tell(cases[i].method, cases[i].uri, cases[i].body), cases[i].status, cases[i].message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shapes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_operations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_uri, setup, teardown),
        cmocka_unit_test(test_json_text),
    };
    return cmocka_run_group_tests_name("rest", tests, NULL, NULL);
}
