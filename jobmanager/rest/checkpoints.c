/* /jobs/:jobid/checkpoints: counts, summary, the latest of each kind, and the history (newest first). */
#include "jobmanager/rest/handlers.h"

#include <stdio.h>

#include "common/base/memory.h"
#include "common/base/vec.h"

static const char NO_PATH[] = "<checkpoint-not-externally-addressable>";

static void add_path(cJSON *object, const char *path)
{
    if (!path || !*path) {
        json_string(object, "external_path", NO_PATH);
        return;
    }
    char *uri = xasprintf("%s%s", *path == '/' ? "file:" : "", path);
    json_string(object, "external_path", uri);
    free(uri);
}

static int64_t end_to_end_ms(const struct checkpoint_view *view, int64_t now_ms)
{
    int64_t end = view->status == CHECKPOINT_FAILED      ? view->failure_ms
                  : view->status == CHECKPOINT_COMPLETED ? view->latest_ack_ms
                                                         : now_ms;
    return end > view->trigger_ms ? end - view->trigger_ms : 0;
}

static cJSON *checkpoint_json(const struct checkpoint_view *view, int64_t now_ms)
{
    static const char *const class_names[] = {"in_progress", "completed", "failed"};
    static const char *const statuses[] = {"IN_PROGRESS", "COMPLETED", "FAILED"};
    cJSON *object = json_new_object();
    json_string(object, "className", class_names[view->status]);
    json_uint(object, "id", view->id);
    json_string(object, "status", statuses[view->status]);
    json_bool(object, "is_savepoint", view->savepoint);
    if (view->savepoint)
        json_string(object, "savepointFormat", "CANONICAL");
    else
        json_null(object, "savepointFormat");
    json_int(object, "trigger_timestamp", view->trigger_ms);
    json_int(object, "latest_ack_timestamp", view->latest_ack_ms);
    json_uint(object, "checkpointed_size", view->state_bytes);
    json_uint(object, "state_size", view->state_bytes);
    json_int(object, "end_to_end_duration", end_to_end_ms(view, now_ms));
    json_int(object, "alignment_buffered", 0);
    json_uint(object, "processed_data", view->processed_bytes);
    json_int(object, "persisted_data", 0);
    json_uint(object, "num_subtasks", view->subtasks);
    json_uint(object, "num_acknowledged_subtasks", view->acknowledged);
    json_string(object, "checkpoint_type", view->savepoint ? "SAVEPOINT" : "CHECKPOINT");
    json_object(object, "tasks");
    if (view->status == CHECKPOINT_COMPLETED) {
        add_path(object, view->path);
        json_bool(object, "discarded", view->discarded);
    } else if (view->status == CHECKPOINT_FAILED) {
        json_int(object, "failure_timestamp", view->failure_ms);
        json_string(object, "failure_message", view->failure);
    }
    return object;
}

struct checkpoint_views vec_of(struct checkpoint_view);

static void add_statistics(cJSON *parent, const char *key, double *values, size_t count)
{
    static const struct {
        const char *key;
        double percent;
    } percentiles[] = {{"p50", 50}, {"p90", 90}, {"p95", 95}, {"p99", 99}, {"p999", 99.9}};
    double sum = 0;
    json_sort(values, count);
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    cJSON *object = json_object(parent, key);
    json_int(object, "min", count ? (int64_t)values[0] : 0);
    json_int(object, "max", count ? (int64_t)values[count - 1] : 0);
    json_int(object, "avg", count ? (int64_t)(sum / (double)count) : 0);
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++)
        json_double(object, percentiles[i].key,
                    count ? json_percentile(values, count, percentiles[i].percent) : 0);
}

/* Over the completed checkpoints that the history holds. */
static void add_summary(cJSON *body, const struct checkpoint_views *history, int64_t now_ms)
{
    static const char *const keys[] = {"checkpointed_size",  "state_size",     "end_to_end_duration",
                                       "alignment_buffered", "processed_data", "persisted_data"};
    cJSON *summary = json_object(body, "summary");
    double *values = xcalloc(history->count + 1, sizeof *values);
    for (size_t key = 0; key < sizeof keys / sizeof keys[0]; key++) {
        size_t count = 0;
        vec_for_each (view, history) {
            if (view->status != CHECKPOINT_COMPLETED)
                continue;
            double by_key[] = {(double)view->state_bytes,           (double)view->state_bytes,
                               (double)end_to_end_ms(view, now_ms), 0,
                               (double)view->processed_bytes,       0};
            values[count++] = by_key[key];
        }
        add_statistics(summary, keys[key], values, count);
    }
    free(values);
}

static void add_latest(cJSON *latest, const char *key, const struct checkpoint_views *history,
                       enum checkpoint_status status, bool savepoint, int64_t now_ms)
{
    vec_for_each (view, history) {
        if (view->status == status && view->savepoint == savepoint) {
            json_add(latest, key, checkpoint_json(view, now_ms));
            return;
        }
    }
    json_null(latest, key);
}

static void add_restored(cJSON *latest, const struct job_view *job, const struct checkpoint_views *history)
{
    if (job->restored_ms < 0) {
        json_null(latest, "restored");
        return;
    }
    const struct checkpoint_view *found = NULL;
    vec_for_each (view, history)
        if (view->id == job->restored_checkpoint_id && view->status == CHECKPOINT_COMPLETED)
            found = view;
    cJSON *restored = json_object(latest, "restored");
    json_uint(restored, "id", job->restored_checkpoint_id);
    json_int(restored, "restore_timestamp", job->restored_ms);
    json_bool(restored, "is_savepoint", found && found->savepoint);
    add_path(restored, found ? found->path : NULL);
}

void rest_job_checkpoints(const struct rest_request *request, struct rest_response *response)
{
    const struct job_view *job = &request->job_view;
    struct checkpoint_views history = {0};
    for (uint32_t i = 0; i < job->checkpoint_history_count; i++) {
        struct checkpoint_view view;
        core_view_checkpoint(request->env->core, request->job, i, &view);
        vec_push(&history, view);
    }
    cJSON *body = response->body = json_new_object();
    cJSON *counts = json_object(body, "counts");
    json_uint(counts, "restored", job->checkpoints.restored);
    json_uint(counts, "total", job->checkpoints.total);
    json_uint(counts, "in_progress", job->checkpoints.in_progress);
    json_uint(counts, "completed", job->checkpoints.completed);
    json_uint(counts, "failed", job->checkpoints.failed);
    add_summary(body, &history, request->now_ms);
    cJSON *latest = json_object(body, "latest");
    add_latest(latest, "completed", &history, CHECKPOINT_COMPLETED, false, request->now_ms);
    add_latest(latest, "savepoint", &history, CHECKPOINT_COMPLETED, true, request->now_ms);
    add_latest(latest, "failed", &history, CHECKPOINT_FAILED, false, request->now_ms);
    add_restored(latest, job, &history);
    cJSON *entries = json_array(body, "history");
    vec_for_each (view, &history)
        cJSON_AddItemToArray(entries, checkpoint_json(view, request->now_ms));
    vec_free(&history);
}
