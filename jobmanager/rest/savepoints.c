/* Savepoints, stop, checkpoints on demand, disposal: begun here, and asked about by the id that the answer
 * names. A job that isn't there is no error of the request: it is what became of the operation, as in Flink.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "jobmanager/rest/handlers.h"
#include "jobmanager/rest/operations.h"

static bool bad_body(struct rest_response *response, const char *format)
{
    rest_response_error(response, 400, "Request did not match expected format %s.", format);
    return false;
}

/* No body is an empty one. The caller deletes it. */
static bool parse_body(const struct rest_request *request, const char *format, struct rest_response *response,
                       cJSON **ret_body)
{
    const char *text = request->body && *request->body ? request->body : "{}";
    cJSON *body = cJSON_ParseWithOpts(text, NULL, true);
    if (cJSON_IsObject(body)) {
        *ret_body = body;
        return true;
    }
    cJSON_Delete(body);
    return bad_body(response, format);
}

/* null and nothing: NULL. */
static bool get_string(const cJSON *body, const char *key, const char **ret_value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, key);
    *ret_value = cJSON_IsString(item) ? item->valuestring : NULL;
    return !item || cJSON_IsNull(item) || cJSON_IsString(item);
}

static bool get_bool(const cJSON *body, const char *key, bool *ret_value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, key);
    *ret_value = cJSON_IsTrue(item);
    return !item || cJSON_IsNull(item) || cJSON_IsBool(item);
}

static bool get_trigger(const cJSON *body, struct weir_id *ret_trigger)
{
    const char *text;
    if (!get_string(body, "triggerId", &text))
        return false;
    if (text)
        return weir_id_parse(text, ret_trigger);
    *ret_trigger = os_random_id();
    return true;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; text && *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return !text;
}

/* False: it is under way, or done, already; the answer is the same. */
static bool begin(const struct rest_request *request, enum rest_operation_kind kind,
                  const struct weir_id *job, const struct weir_id *trigger, struct rest_response *response,
                  uint64_t *ret_number)
{
    struct rest_operations *operations = request->env->operations;
    response->body = json_new_object();
    json_id(response->body, "request-id", trigger);
    if (rest_operations_find(operations, kind, job, trigger))
        return false;
    *ret_number = rest_operations_begin(operations, kind, job, trigger);
    return true;
}

static void take(const struct rest_request *request, const struct weir_id *trigger,
                 const struct snapshot_wish *wish, struct rest_response *response)
{
    const struct rest_env *env = request->env;
    uint64_t number;
    response->status = 202;
    if (begin(request, wish->savepoint ? OPERATION_SAVEPOINT : OPERATION_CHECKPOINT, &request->job_id,
              trigger, response, &number))
        env->take_snapshot(env->self, &request->job_id, wish, number);
}

/* A job may set a directory of its own. */
static bool has_directory(const struct rest_request *request, const char *directory)
{
    const char *configured = config_string(request->env->config, OPT_SAVEPOINT_DIR);
    if ((directory && *directory) || (configured && *configured))
        return true;
    int32_t job = core_find_job(request->env->core, &request->job_id);
    if (job < 0)
        return true; /* that is what will be said */
    struct job_view view;
    core_view_job(request->env->core, (uint32_t)job, &view);
    for (size_t i = 0; i < view.graph->n_configuration; i++)
        if (strcmp(view.graph->configuration[i]->key, "execution.checkpointing.savepoint-dir") == 0 ||
            strcmp(view.graph->configuration[i]->key, "state.savepoints.dir") == 0)
            return true;
    return false;
}

static bool no_directory(struct rest_response *response, const char *property)
{
    rest_response_error(
        response, 400,
        "Config key [execution.checkpointing.savepoint-dir] is not set. Property [%s] must be "
        "provided.",
        property);
    return false;
}

static bool may_end_jobs(const struct rest_request *request, struct rest_response *response)
{
    if (config_boolean(request->env->config, OPT_WEB_CANCEL))
        return true;
    rest_response_error(response, 403,
                        "Cancelling jobs over REST is switched off (web.cancel.enable: false).");
    return false;
}

static const char *const formats[] = {"CANONICAL", "NATIVE", NULL};

void rest_savepoint_trigger(const struct rest_request *request, struct rest_response *response)
{
    static const char format[] = "SavepointTriggerRequestBody";
    struct snapshot_wish wish = {.savepoint = true};
    struct weir_id trigger;
    const char *kind;
    cJSON *body;
    if (!parse_body(request, format, response, &body))
        return;
    if (!get_string(body, "target-directory", &wish.directory) ||
        !get_bool(body, "cancel-job", &wish.cancel) || !get_string(body, "formatType", &kind) ||
        !is_one_of(kind, formats) || !get_trigger(body, &trigger))
        bad_body(response, format);
    else if (!has_directory(request, wish.directory))
        no_directory(response, "target-directory");
    else if (!wish.cancel || may_end_jobs(request, response))
        take(request, &trigger, &wish, response);
    cJSON_Delete(body);
}

void rest_stop_trigger(const struct rest_request *request, struct rest_response *response)
{
    static const char format[] = "StopWithSavepointRequestBody";
    struct snapshot_wish wish = {.savepoint = true};
    struct weir_id trigger;
    const char *kind;
    bool drain;
    cJSON *body;
    if (!parse_body(request, format, response, &body))
        return;
    if (!get_string(body, "targetDirectory", &wish.directory) || !get_bool(body, "drain", &drain) ||
        !get_string(body, "formatType", &kind) || !is_one_of(kind, formats) || !get_trigger(body, &trigger)) {
        bad_body(response, format);
    } else if (!has_directory(request, wish.directory)) {
        no_directory(response, "targetDirectory");
    } else if (may_end_jobs(request, response)) {
        wish.stop = drain ? WEIR__STOP_MODE__STOP_DRAIN : WEIR__STOP_MODE__STOP_SUSPEND;
        take(request, &trigger, &wish, response);
    }
    cJSON_Delete(body);
}

void rest_checkpoint_trigger(const struct rest_request *request, struct rest_response *response)
{
    static const char format[] = "CheckpointTriggerRequestBody";
    static const char *const types[] = {"CONFIGURED", "FULL", "INCREMENTAL", NULL};
    struct weir_id trigger;
    const char *type;
    cJSON *body;
    if (!parse_body(request, format, response, &body))
        return;
    if (!get_string(body, "checkpointType", &type) || !is_one_of(type, types) || !get_trigger(body, &trigger))
        bad_body(response, format);
    else
        take(request, &trigger, &(struct snapshot_wish){.savepoint = false}, response);
    cJSON_Delete(body);
}

void rest_disposal_trigger(const struct rest_request *request, struct rest_response *response)
{
    static const char format[] = "SavepointDisposalRequest";
    const struct rest_env *env = request->env;
    const struct weir_id none = {0}, trigger = os_random_id();
    const char *path;
    uint64_t number;
    cJSON *body;
    if (!parse_body(request, format, response, &body))
        return;
    if (!get_string(body, "savepoint-path", &path) || !path || !*path)
        bad_body(response, format);
    else if (begin(request, OPERATION_DISPOSAL, &none, &trigger, response, &number))
        env->dispose_savepoint(env->self, path, number);
    cJSON_Delete(body);
}

/* ---- what became of it ---- */

static void add_cause(cJSON *parent, const char *key, const char *class_name, const char *message)
{
    cJSON *cause = json_object(parent, key);
    char *stack = xasprintf("%s: %s", class_name, message);
    json_string(cause, "class", class_name);
    json_string(cause, "stack-trace", stack);
    json_string(cause, "serialized-throwable", "");
    free(stack);
}

static void answer(const struct rest_operation *operation, struct rest_response *response)
{
    response->body = json_new_object();
    cJSON *status = json_object(response->body, "status");
    json_string(status, "id", operation->done ? "COMPLETED" : "IN_PROGRESS");
    if (!operation->done) {
        json_null(response->body, "operation");
        return;
    }
    cJSON *result = json_object(response->body, "operation");
    if (operation->rc != 0) {
        add_cause(result, operation->kind == OPERATION_CHECKPOINT ? "failureCause" : "failure-cause",
                  operation->rc == WEIR_E_NOT_FOUND && operation->kind != OPERATION_DISPOSAL
                      ? "weir.runtime.messages.JobNotFoundException"
                      : "weir.runtime.checkpoint.CheckpointException",
                  operation->text ? operation->text : weir_rc_text(operation->rc));
    } else if (operation->kind == OPERATION_SAVEPOINT) {
        char *location = xasprintf("file:%s", operation->text);
        json_string(result, "location", location);
        free(location);
    } else if (operation->kind == OPERATION_CHECKPOINT) {
        json_uint(result, "checkpointId", operation->checkpoint_id);
    }
}

static void find_and_answer(const struct rest_request *request, enum rest_operation_kind kind,
                            struct rest_response *response)
{
    char job[WEIR_ID_HEX + 1], trigger[WEIR_ID_HEX + 1];
    const struct rest_operation *operation =
        rest_operations_find(request->env->operations, kind, &request->job_id, &request->trigger);
    weir_id_format(&request->trigger, trigger);
    if (operation)
        answer(operation, response);
    else if (kind == OPERATION_DISPOSAL)
        rest_response_error(response, 404, "Operation not found under key: %s", trigger);
    else
        rest_response_error(response, 404, "There is no %s operation with triggerId=%s for job %s.",
                            kind == OPERATION_SAVEPOINT ? "savepoint" : "checkpoint", trigger,
                            weir_id_format(&request->job_id, job));
}

void rest_savepoint_status(const struct rest_request *request, struct rest_response *response)
{
    find_and_answer(request, OPERATION_SAVEPOINT, response);
}

void rest_checkpoint_status(const struct rest_request *request, struct rest_response *response)
{
    find_and_answer(request, OPERATION_CHECKPOINT, response);
}

void rest_disposal_status(const struct rest_request *request, struct rest_response *response)
{
    find_and_answer(request, OPERATION_DISPOSAL, response);
}
