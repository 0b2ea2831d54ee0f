/* /jobs/:jobid/exceptions: why a job failed or was restarted, newest first. */
#include "jobmanager/rest/handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/strbuf.h"

enum { EXCEPTIONS_DEFAULT = 20, STACK_MAX_BYTES = 1 << 20 };

/* "WorkerCrashed: the sentence" and the frames below it, as Java writes a stack trace. */
static void add_stacktrace(cJSON *entry, const struct exception_view *view)
{
    struct strbuf buf;
    strbuf_init(&buf, STACK_MAX_BYTES);
    strbuf_addf(&buf, "%s: %s\n", view->name, view->message);
    for (const char *line = view->stack; line && *line;) {
        size_t length = strcspn(line, "\n");
        if (length > 0)
            strbuf_addf(&buf, "\tat %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    char *text = strbuf_take(&buf);
    json_string(entry, "stacktrace", text);
    free(text);
}

static void add_optional(cJSON *entry, const char *key, const char *value)
{
    if (value && *value)
        json_string(entry, key, value);
}

void rest_job_exceptions(const struct rest_request *request, struct rest_response *response)
{
    long limit = EXCEPTIONS_DEFAULT;
    const char *text = rest_uri_query(request->uri, "maxExceptions");
    if (text) {
        char *end;
        errno = 0;
        limit = strtol(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno) {
            rest_bad_query(response, "maxExceptions", text);
            return;
        }
    }
    uint32_t count = request->job_view.exception_count;
    response->body = json_new_object();
    cJSON *history = json_object(response->body, "exceptionHistory");
    cJSON *entries = json_array(history, "entries");
    for (uint32_t i = 0; i < count && i < limit; i++) {
        struct exception_view view;
        core_view_exception(request->env->core, request->job, i, &view);
        cJSON *entry = json_object_in_array(entries);
        json_string(entry, "exceptionName", view.name);
        add_stacktrace(entry, &view);
        json_int(entry, "timestamp", view.timestamp_ms);
        json_object(entry, "failureLabels");
        add_optional(entry, "taskName", view.task);
        add_optional(entry, "endpoint", view.endpoint);
        add_optional(entry, "taskManagerId", view.task_manager);
        json_array(entry, "concurrentExceptions");
    }
    json_bool(history, "truncated", count > limit);
}
