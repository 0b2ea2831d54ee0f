/* The table of endpoints, and how a request finds its handler. Parameters of a path are resolved here, once,
 * with Flink's sentences for those that don't resolve. */
#include "jobmanager/rest/rest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "jobmanager/rest/handlers.h"

static const struct endpoint {
    const char *method;
    const char *pattern;
    rest_handler *handler;
} endpoints[] = {
    {"GET", "overview", rest_overview},
    {"GET", "config", rest_config},
    {"GET", "jobs", rest_jobs},
    {"GET", "jobs/overview", rest_jobs_overview},
    {"GET", "jobs/:jobid", rest_job},
    {"PATCH", "jobs/:jobid", rest_job_cancel},
    {"GET", "jobs/:jobid/status", rest_job_status},
    {"GET", "jobs/:jobid/plan", rest_job_plan},
    {"GET", "jobs/:jobid/config", rest_job_config},
    {"GET", "jobs/:jobid/checkpoints", rest_job_checkpoints},
    {"POST", "jobs/:anyjobid/checkpoints", rest_checkpoint_trigger},
    {"GET", "jobs/:anyjobid/checkpoints/:triggerid", rest_checkpoint_status},
    {"POST", "jobs/:anyjobid/savepoints", rest_savepoint_trigger},
    {"GET", "jobs/:anyjobid/savepoints/:triggerid", rest_savepoint_status},
    {"POST", "jobs/:anyjobid/stop", rest_stop_trigger},
    {"POST", "savepoint-disposal", rest_disposal_trigger},
    {"GET", "savepoint-disposal/:triggerid", rest_disposal_status},
    {"GET", "jobs/:jobid/exceptions", rest_job_exceptions},
    {"GET", "jobs/:jobid/metrics", rest_job_metrics},
    {"GET", "jobs/:jobid/vertices/:vertexid", rest_vertex},
    {"GET", "jobs/:jobid/vertices/:vertexid/metrics", rest_vertex_metrics},
    {"GET", "jobs/:jobid/vertices/:vertexid/subtasks/metrics", rest_subtasks_metrics},
    {"GET", "jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/metrics", rest_subtask_metrics},
    {"GET", "taskmanagers", rest_task_managers},
    {"GET", "taskmanagers/:taskmanagerid", rest_task_manager},
};

void rest_response_error(struct rest_response *response, int status, const char *format, ...)
{
    char message[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    cJSON_Delete(response->body);
    response->body = json_new_object();
    cJSON *errors = json_array(response->body, "errors");
    if (!cJSON_AddItemToArray(errors, json_new_string(message)))
        abort();
    response->status = status;
    response->pending = false;
}

void rest_bad_query(struct rest_response *response, const char *name, const char *value)
{
    rest_response_error(
        response, 400,
        "Bad request, could not parse parameters: Cannot resolve query parameter (%s) from value \"%s\".",
        name, value);
}

/* The pattern's next part: its length, and *rest behind it; 0 at the end. */
static size_t next_part(const char **rest)
{
    if (**rest == '/')
        (*rest)++;
    size_t length = strcspn(*rest, "/");
    *rest += length;
    return length;
}

/* Literal parts must be equal, parameters take anything. */
static bool path_matches(const char *pattern, const struct rest_uri *uri)
{
    const char *rest = pattern;
    for (size_t i = 0;; i++) {
        size_t length = next_part(&rest);
        if (length == 0 || i == uri->segment_count)
            return length == 0 && i == uri->segment_count;
        const char *part = rest - length;
        if (*part != ':' &&
            (strlen(uri->segments[i]) != length || memcmp(part, uri->segments[i], length) != 0))
            return false;
    }
}

static void bad_parameter(struct rest_response *response, const char *name, const char *value)
{
    rest_response_error(
        response, 400,
        "Bad request, could not parse parameters: Cannot resolve path parameter (%s) from value \"%s\".",
        name, value);
}

static bool resolve_id(const char *name, const char *text, struct weir_id *ret_id,
                       struct rest_response *response)
{
    if (weir_id_parse(text, ret_id))
        return true;
    bad_parameter(response, name, text);
    return false;
}

static bool resolve_job(struct rest_request *request, const char *text, struct rest_response *response)
{
    struct weir_id id;
    if (!weir_id_parse(text, &id)) {
        bad_parameter(response, "jobid", text);
        return false;
    }
    int32_t index = core_find_job(request->env->core, &id);
    if (index < 0) {
        rest_response_error(response, 404, "Job %s not found", text);
        return false;
    }
    request->job = (uint32_t)index;
    core_view_job(request->env->core, request->job, &request->job_view);
    return true;
}

static bool resolve_vertex(struct rest_request *request, const char *text, struct rest_response *response)
{
    struct weir_id id;
    if (!weir_id_parse(text, &id)) {
        bad_parameter(response, "vertexid", text);
        return false;
    }
    for (uint32_t i = 0; i < request->job_view.vertex_count; i++) {
        struct vertex_view view;
        core_view_vertex(request->env->core, request->job, i, &view);
        struct weir_id other;
        if (weir_id_from_bytes(view.descriptor->id.data, view.descriptor->id.len, &other) &&
            weir_id_equal(&id, &other)) {
            request->vertex = i;
            return true;
        }
    }
    rest_response_error(response, 404, "JobVertex %s not found", text);
    return false;
}

static bool resolve_subtask(struct rest_request *request, const char *text, struct rest_response *response)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > UINT32_MAX) {
        bad_parameter(response, "subtaskindex", text);
        return false;
    }
    struct vertex_view view;
    core_view_vertex(request->env->core, request->job, request->vertex, &view);
    if (value >= view.descriptor->parallelism) {
        struct weir_id id = {0};
        char hex[WEIR_ID_HEX + 1];
        weir_id_from_bytes(view.descriptor->id.data, view.descriptor->id.len, &id);
        rest_response_error(response, 404, "Invalid subtask index for vertex %s", weir_id_format(&id, hex));
        return false;
    }
    request->subtask = (uint32_t)value;
    return true;
}

static bool resolve(const char *pattern, struct rest_request *request, struct rest_response *response)
{
    const char *rest = pattern;
    for (size_t i = 0; i < request->uri->segment_count; i++) {
        size_t length = next_part(&rest);
        const char *name = rest - length + 1;
        const char *value = request->uri->segments[i];
        if (rest[-(ptrdiff_t)length] != ':')
            continue;
        length--;
        bool resolved = true;
        if (length == strlen("jobid") && memcmp(name, "jobid", length) == 0)
            resolved = resolve_job(request, value, response);
        else if (length == strlen("vertexid") && memcmp(name, "vertexid", length) == 0)
            resolved = resolve_vertex(request, value, response);
        else if (length == strlen("subtaskindex") && memcmp(name, "subtaskindex", length) == 0)
            resolved = resolve_subtask(request, value, response);
        else if (length == strlen("anyjobid") && memcmp(name, "anyjobid", length) == 0)
            resolved = resolve_id("jobid", value, &request->job_id, response);
        else if (length == strlen("triggerid") && memcmp(name, "triggerid", length) == 0)
            resolved = resolve_id("triggerid", value, &request->trigger, response);
        else
            request->task_manager = value;
        if (!resolved)
            return false;
    }
    return true;
}

static const char *allowed_methods(const struct rest_uri *uri)
{
    bool get = false;
    bool patch = false;
    bool post = false;
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++)
        if (path_matches(endpoints[i].pattern, uri)) {
            get |= strcmp(endpoints[i].method, "GET") == 0;
            post |= strcmp(endpoints[i].method, "POST") == 0;
            patch |= strcmp(endpoints[i].method, "PATCH") == 0;
        }
    if (get && patch)
        return "GET, HEAD, PATCH";
    if (post)
        return get ? "GET, HEAD, POST" : "POST";
    return get ? "GET, HEAD" : patch ? "PATCH" : NULL;
}

static const struct endpoint *find_endpoint(const char *method, const struct rest_uri *uri)
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++)
        if (strcmp(endpoints[i].method, method) == 0 && path_matches(endpoints[i].pattern, uri))
            return &endpoints[i];
    return NULL;
}

void rest_dispatch(const struct rest_env *env, const char *method, const char *target, const char *body,
                   uint64_t token, struct rest_response *ret_response)
{
    struct rest_response response = {.status = 200};
    struct rest_uri uri;
    struct error err;
    if (rest_uri_parse(target, &uri, &err) != 0) {
        rest_response_error(&response, 400, "%s", err.message);
        *ret_response = response;
        return;
    }
    const struct endpoint *endpoint = find_endpoint(method, &uri);
    if (endpoint) {
        struct rest_request request = {
            .env = env, .uri = &uri, .now_ms = env->now_ms(env->self), .body = body, .token = token};
        if (resolve(endpoint->pattern, &request, &response))
            endpoint->handler(&request, &response);
    } else {
        const char *allow = allowed_methods(&uri);
        size_t path_length = strcspn(target, "?#");
        if (allow)
            rest_response_error(&response, 405, "The method %s is not allowed for %.*s; allowed: %s.", method,
                                (int)path_length, target, allow);
        else
            rest_response_error(&response, 404, "Unable to load requested file %.*s.", (int)path_length,
                                target);
        response.allow = allow;
    }
    rest_uri_free(&uri);
    *ret_response = response;
}
