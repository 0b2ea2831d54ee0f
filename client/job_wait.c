#include "client/job_wait.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/memory.h"

enum { POLL_FIRST_MS = 10, POLL_MAX_MS = 500, SILENCE_MAX_MS = 20000 };

static int get_status(struct rest_client *rest, const char *job, char *ret_status, size_t size,
                      struct error *err)
{
    char *path = xasprintf("/jobs/%s/status", job);
    cJSON *body;
    int rc = rest_client_get(rest, path, &body, err);
    free(path);
    if (rc)
        return rc;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(body, "status");
    if (cJSON_IsString(status) && strlen(status->valuestring) < size)
        memcpy(ret_status, status->valuestring, strlen(status->valuestring) + 1);
    else
        rc = error_set(err, WEIR_E_IO, "The answer has no job status.");
    cJSON_Delete(body);
    return rc;
}

static enum job_outcome outcome_of(const char *status)
{
    if (strcmp(status, "FINISHED") == 0)
        return OUTCOME_FINISHED;
    if (strcmp(status, "FAILED") == 0)
        return OUTCOME_FAILED;
    if (strcmp(status, "CANCELED") == 0)
        return OUTCOME_CANCELED;
    return OUTCOME_STARTED;
}

/* A signal ends it early. */
static void pause_ms(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Polls, at first often, until the job has ended; or, if that suffices, is past INITIALIZING. A jobmanager
 * that can't be reached for a moment is asked again. */
static int wait_for(struct rest_client *rest, const char *job, bool started_suffices,
                    const volatile sig_atomic_t *interrupted, enum job_outcome *ret_outcome,
                    struct error *err)
{
    int64_t pause = POLL_FIRST_MS;
    int64_t silence_ms = 0;
    for (;;) {
        char status[32];
        if (interrupted && *interrupted) {
            *ret_outcome = OUTCOME_INTERRUPTED;
            return WEIR_OK;
        }
        int rc = get_status(rest, job, status, sizeof status, err);
        if (rc && (rc != WEIR_E_UNAVAILABLE || silence_ms > SILENCE_MAX_MS))
            return rc;
        silence_ms = rc ? silence_ms + pause : 0;
        enum job_outcome outcome = rc ? OUTCOME_STARTED : outcome_of(status);
        if (rc == WEIR_OK &&
            (outcome != OUTCOME_STARTED || (started_suffices && strcmp(status, "INITIALIZING") != 0))) {
            *ret_outcome = outcome;
            return WEIR_OK;
        }
        pause_ms(pause);
        pause = pause * 2 > POLL_MAX_MS ? POLL_MAX_MS : pause * 2;
    }
}

int job_wait_started(struct rest_client *rest, const char *job, enum job_outcome *ret_outcome,
                     struct error *err)
{
    return wait_for(rest, job, true, NULL, ret_outcome, err);
}

int job_wait_end(struct rest_client *rest, const char *job, const volatile sig_atomic_t *interrupted,
                 enum job_outcome *ret_outcome, struct error *err)
{
    return wait_for(rest, job, false, interrupted, ret_outcome, err);
}

int job_runtime_ms(struct rest_client *rest, const char *job, int64_t *ret_ms, struct error *err)
{
    char *path = xasprintf("/jobs/%s", job);
    cJSON *body;
    int rc = rest_client_get(rest, path, &body, err);
    free(path);
    if (rc)
        return rc;
    const cJSON *duration = cJSON_GetObjectItemCaseSensitive(body, "duration");
    if (cJSON_IsNumber(duration))
        *ret_ms = (int64_t)duration->valuedouble;
    else
        rc = error_set(err, WEIR_E_IO, "The answer has no duration.");
    cJSON_Delete(body);
    return rc;
}

char *job_root_cause(struct rest_client *rest, const char *job)
{
    char *path = xasprintf("/jobs/%s/exceptions?maxExceptions=1", job);
    struct error err;
    cJSON *body = NULL;
    char *cause = NULL;
    if (rest_client_get(rest, path, &body, &err) == 0) {
        const cJSON *history = cJSON_GetObjectItemCaseSensitive(body, "exceptionHistory");
        const cJSON *entry = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(history, "entries"), 0);
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(entry, "stacktrace");
        if (cJSON_IsString(text))
            cause = xstrdup(text->valuestring);
    }
    cJSON_Delete(body);
    free(path);
    if (!cause)
        return xstrdup("The jobmanager has recorded no cause.");
    for (size_t length = strlen(cause); length > 0 && cause[length - 1] == '\n'; length--)
        cause[length - 1] = '\0';
    return cause;
}
