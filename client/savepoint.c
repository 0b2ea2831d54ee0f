/* weir savepoint, stop, checkpoint: an operation is begun by a POST and asked about until it is over. */
#include "client/client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/rest_client.h"

enum { POLL_FIRST_MS = 10, POLL_MAX_MS = 2000 };

struct operation {
    const char *post_path; /* where it is begun */
    const char *poll_path; /* where it is asked about, without the id */
    cJSON *body;           /* owned */
};

/* ---- the wire ---- */

static struct rest_client *connect_to(const struct options *options, int *ret_code)
{
    struct error err;
    struct config *config;
    char *address;
    if (client_config_load(options, &config, &err) != 0) {
        *ret_code = fail_with("%s", err.message);
        return NULL;
    }
    int rc = client_rest_address(options, config, &address, &err);
    config_free(config);
    if (rc) {
        *ret_code = fail_arguments("%s", err.message);
        return NULL;
    }
    struct rest_client *client = rest_client_new(address);
    free(address);
    return client;
}

static int begin(struct rest_client *client, const struct operation *operation, char ret_id[WEIR_ID_HEX + 1],
                 struct error *err)
{
    char *text = cJSON_PrintUnformatted(operation->body);
    cJSON *answer = NULL;
    int rc = rest_client_post(client, operation->post_path, text ? text : "{}", &answer, err);
    free(text);
    if (rc)
        return rc;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(answer, "request-id");
    struct weir_id id;
    if (cJSON_IsString(item) && weir_id_parse(item->valuestring, &id))
        weir_id_format(&id, ret_id);
    else
        rc = error_set(err, WEIR_E_IO, "The answer has no request-id.");
    cJSON_Delete(answer);
    return rc;
}

static int failure_of(const cJSON *result, struct error *err)
{
    const cJSON *cause = cJSON_GetObjectItemCaseSensitive(result, "failure-cause");
    if (!cause)
        cause = cJSON_GetObjectItemCaseSensitive(result, "failureCause");
    if (!cause)
        return WEIR_OK;
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(cause, "stack-trace");
    return error_set(err, WEIR_E_STATE, "%s", cJSON_IsString(text) ? text->valuestring : "It failed.");
}

/* *ret_result: what came of it, owned by the caller. */
static int wait_for(struct rest_client *client, const struct operation *operation, const char *id,
                    cJSON **ret_result, struct error *err)
{
    char *path = xasprintf("%s/%s", operation->poll_path, id);
    int64_t pause_ms = POLL_FIRST_MS;
    int rc;
    for (;;) {
        cJSON *answer = NULL;
        rc = rest_client_get(client, path, &answer, err);
        if (rc)
            break;
        const cJSON *status =
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(answer, "status"), "id");
        bool done = cJSON_IsString(status) && strcmp(status->valuestring, "COMPLETED") == 0;
        cJSON *result = done ? cJSON_DetachItemFromObjectCaseSensitive(answer, "operation") : NULL;
        cJSON_Delete(answer);
        if (done) {
            rc = failure_of(result, err);
            if (rc)
                cJSON_Delete(result);
            else
                *ret_result = result;
            break;
        }
        struct timespec time = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
        nanosleep(&time, NULL);
        pause_ms = pause_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : pause_ms * 2;
    }
    free(path);
    return rc;
}

/* Begins and waits. */
static int perform(const struct options *options, const struct operation *operation, cJSON **ret_result,
                   struct error *err, int *ret_code)
{
    char id[WEIR_ID_HEX + 1];
    struct rest_client *client = connect_to(options, ret_code);
    if (!client)
        return WEIR_E_INVALID;
    *ret_code = 0;
    int rc = begin(client, operation, id, err);
    if (rc == WEIR_OK && !options->detached)
        rc = wait_for(client, operation, id, ret_result, err);
    if (rc == WEIR_OK && options->detached)
        *ret_result = cJSON_CreateString(id);
    rest_client_free(client);
    return rc;
}

static const char *text_of(const cJSON *result, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(result, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static void add_nullable(cJSON *body, const char *key, const char *value)
{
    if (value)
        cJSON_AddStringToObject(body, key, value);
    else
        cJSON_AddNullToObject(body, key);
}

/* false: it was said what is wrong with it. */
static bool parse_job(const struct options *options, const char *missing, char ret_job[WEIR_ID_HEX + 1],
                      int *ret_code)
{
    struct weir_id id;
    if (options->argument_count == 0)
        *ret_code = fail_arguments("%s", missing);
    else if (!weir_id_parse(options->arguments[0], &id))
        *ret_code =
            fail_arguments("Cannot parse JobID from \"%s\". The expected format is [0-9a-fA-F]{32}, e.g. "
                           "fd72014d4c864993a2e5a9287b4a9c5d.",
                           options->arguments[0]);
    else {
        weir_id_format(&id, ret_job);
        return true;
    }
    return false;
}

/* ---- savepoint ---- */

static int dispose(const struct options *options)
{
    struct error err = {0};
    struct operation operation = {.post_path = "/savepoint-disposal", .poll_path = "/savepoint-disposal"};
    struct options waiting = *options;
    cJSON *result = NULL;
    int code;
    waiting.detached = false;
    printf("Disposing savepoint '%s'.\nWaiting for response...\n", options->dispose_path);
    fflush(stdout);
    operation.body = cJSON_CreateObject();
    cJSON_AddStringToObject(operation.body, "savepoint-path", options->dispose_path);
    int rc = perform(&waiting, &operation, &result, &err, &code);
    cJSON_Delete(operation.body);
    cJSON_Delete(result);
    if (code)
        return code;
    if (rc)
        return fail_with("Failed to dispose the savepoint '%s'.\nCaused by: %s", options->dispose_path,
                         err.message);
    printf("Savepoint '%s' disposed.\n", options->dispose_path);
    return 0;
}

static int take_savepoint(const struct options *options, const char *job)
{
    struct error err = {0};
    cJSON *result = NULL;
    int code;
    char *path = xasprintf("/jobs/%s/savepoints", job);
    struct operation operation = {.post_path = path, .poll_path = path, .body = cJSON_CreateObject()};
    add_nullable(operation.body, "target-directory",
                 options->argument_count > 1 ? options->arguments[1] : NULL);
    cJSON_AddBoolToObject(operation.body, "cancel-job", false);
    cJSON_AddStringToObject(operation.body, "formatType", options->format ? options->format : "CANONICAL");
    cJSON_AddNullToObject(operation.body, "triggerId");
    int rc = perform(options, &operation, &result, &err, &code);
    if (code == 0 && rc)
        code = fail_with("Failed to trigger a savepoint for the job %s.\nCaused by: %s", job, err.message);
    else if (code == 0 && options->detached)
        printf("Successfully trigger manual savepoint, triggerId: %s\n", result->valuestring);
    else if (code == 0)
        printf("Savepoint completed. Path: %s\n"
               "You can resume your program from this savepoint with the run command.\n",
               text_of(result, "location"));
    cJSON_Delete(result);
    cJSON_Delete(operation.body);
    free(path);
    return code;
}

int action_savepoint(const struct options *options)
{
    char job[WEIR_ID_HEX + 1];
    int code;
    if (options->dispose_path)
        return dispose(options);
    if (!parse_job(options, "Missing JobID. Specify a Job ID to trigger a savepoint.", job, &code))
        return code;
    if (options->detached)
        printf("Triggering savepoint in detached mode for job %s.\n", job);
    else
        printf("Triggering savepoint for job %s.\nWaiting for response...\n", job);
    fflush(stdout);
    return take_savepoint(options, job);
}

/* ---- stop ---- */

int action_stop(const struct options *options)
{
    struct error err = {0};
    char job[WEIR_ID_HEX + 1];
    cJSON *result = NULL;
    int code;
    if (!parse_job(options, "Missing JobId", job, &code))
        return code;
    printf("%s job \"%s\" with a %s savepoint.\n", options->drain ? "Draining" : "Suspending", job,
           options->format ? options->format : "CANONICAL");
    if (options->detached)
        printf("Triggering stop-with-savepoint in detached mode for job %s.\n", job);
    else
        printf("Triggering stop-with-savepoint for job %s.\nWaiting for response...\n", job);
    fflush(stdout);
    char *post_path = xasprintf("/jobs/%s/stop", job), *poll_path = xasprintf("/jobs/%s/savepoints", job);
    struct operation operation = {
        .post_path = post_path, .poll_path = poll_path, .body = cJSON_CreateObject()};
    add_nullable(operation.body, "targetDirectory", options->savepoint_path);
    cJSON_AddBoolToObject(operation.body, "drain", options->drain);
    cJSON_AddStringToObject(operation.body, "formatType", options->format ? options->format : "CANONICAL");
    cJSON_AddNullToObject(operation.body, "triggerId");
    int rc = perform(options, &operation, &result, &err, &code);
    if (code == 0 && rc)
        code = fail_with("Could not stop with a savepoint job \"%s\".\nCaused by: %s", job, err.message);
    else if (code == 0 && options->detached)
        printf("Successfully trigger stop-with-savepoint in detached mode, triggerId: %s\n",
               result->valuestring);
    else if (code == 0)
        printf("Savepoint completed. Path: %s\n", text_of(result, "location"));
    cJSON_Delete(result);
    cJSON_Delete(operation.body);
    free(post_path);
    free(poll_path);
    return code;
}

/* ---- checkpoint ---- */

int action_checkpoint(const struct options *options)
{
    struct error err = {0};
    char job[WEIR_ID_HEX + 1];
    cJSON *result = NULL;
    int code;
    if (!parse_job(options, "Missing JobID. Specify a Job ID to manipulate a checkpoint.", job, &code))
        return code;
    printf("Triggering checkpoint for job %s.\nWaiting for response...\n", job);
    fflush(stdout);
    char *path = xasprintf("/jobs/%s/checkpoints", job);
    struct operation operation = {.post_path = path, .poll_path = path, .body = cJSON_CreateObject()};
    cJSON_AddStringToObject(operation.body, "checkpointType", options->full ? "FULL" : "CONFIGURED");
    cJSON_AddNullToObject(operation.body, "triggerId");
    int rc = perform(options, &operation, &result, &err, &code);
    if (code == 0 && rc) {
        code = fail_with("Failed to trigger a checkpoint for the job %s.\nCaused by: %s", job, err.message);
    } else if (code == 0) {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(result, "checkpointId");
        printf("Checkpoint%s %" PRId64 " for job %s completed.\n"
               "You can resume your program from this checkpoint with the run command.\n",
               options->full ? "(FULL)" : "", cJSON_IsNumber(id) ? (int64_t)id->valuedouble : 0, job);
    }
    cJSON_Delete(result);
    cJSON_Delete(operation.body);
    free(path);
    return code;
}
