/* /jobs/:jobid, its status, and its cancellation. */
#include "jobmanager/rest/handlers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/hash.h"

/* Flink's order of the states in its answers. */
static const enum job_state job_states[] = {JOB_FAILING,      JOB_SUSPENDED, JOB_CREATED,    JOB_CANCELED,
                                            JOB_FINISHED,     JOB_RUNNING,   JOB_CANCELLING, JOB_RECONCILING,
                                            JOB_INITIALIZING, JOB_FAILED,    JOB_RESTARTING};

static void add_task_counts(cJSON *parent, const char *key, const uint32_t by_state[TASK_STATE_COUNT])
{
    cJSON *counts = json_object(parent, key);
    json_uint(counts, "RECONCILING", 0);
    json_uint(counts, "CANCELED", by_state[WEIR__TASK_STATE__TASK_CANCELED]);
    json_uint(counts, "FAILED", by_state[WEIR__TASK_STATE__TASK_FAILED]);
    json_uint(counts, "RUNNING", by_state[WEIR__TASK_STATE__TASK_RUNNING]);
    json_uint(counts, "CANCELING", by_state[WEIR__TASK_STATE__TASK_CANCELING]);
    json_uint(counts, "SCHEDULED", by_state[WEIR__TASK_STATE__TASK_SCHEDULED]);
    json_uint(counts, "DEPLOYING", by_state[WEIR__TASK_STATE__TASK_DEPLOYING]);
    json_uint(counts, "FINISHED", by_state[WEIR__TASK_STATE__TASK_FINISHED]);
    json_uint(counts, "INITIALIZING", by_state[WEIR__TASK_STATE__TASK_INITIALIZING]);
    json_uint(counts, "CREATED", by_state[WEIR__TASK_STATE__TASK_CREATED]);
}

void rest_io_metrics_add(struct rest_io_metrics *sum, const Weir__TaskMetrics *metrics)
{
    sum->read_bytes += metrics->bytes_in;
    sum->write_bytes += metrics->bytes_out;
    sum->read_records += metrics->records_in;
    sum->write_records += metrics->records_out;
    sum->backpressured_ms += metrics->backpressured_ms;
    sum->idle_ms += metrics->idle_ms;
    sum->busy_ms += metrics->busy_ms;
}

void rest_io_metrics_json(cJSON *parent, const struct rest_io_metrics *metrics)
{
    cJSON *object = json_object(parent, "metrics");
    json_uint(object, "read-bytes", metrics->read_bytes);
    json_bool(object, "read-bytes-complete", true);
    json_uint(object, "write-bytes", metrics->write_bytes);
    json_bool(object, "write-bytes-complete", true);
    json_uint(object, "read-records", metrics->read_records);
    json_bool(object, "read-records-complete", true);
    json_uint(object, "write-records", metrics->write_records);
    json_bool(object, "write-records-complete", true);
    json_uint(object, "accumulated-backpressured-time", metrics->backpressured_ms);
    json_uint(object, "accumulated-idle-time", metrics->idle_ms);
    json_double(object, "accumulated-busy-time", (double)metrics->busy_ms);
}

/* All vertices of a job share one slot sharing group; its id is derived from the job's. */
static struct weir_id slot_sharing_group(const struct weir_id *job)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(job->bytes, sizeof job->bytes, 1);
    struct weir_id id;
    memcpy(id.bytes, &hash.low64, sizeof hash.low64);
    memcpy(id.bytes + sizeof hash.low64, &hash.high64, sizeof hash.high64);
    return id;
}

static void add_vertex(const struct rest_request *request, cJSON *vertices, uint32_t index,
                       uint32_t *status_counts)
{
    const struct core *core = request->env->core;
    struct vertex_view view;
    core_view_vertex(core, request->job, index, &view);
    struct rest_io_metrics metrics = {0};
    for (uint32_t i = 0; i < view.descriptor->parallelism; i++) {
        struct subtask_view subtask;
        core_view_subtask(core, request->job, index, i, &subtask);
        rest_io_metrics_add(&metrics, &subtask.metrics);
    }
    struct weir_id id = {0};
    weir_id_from_bytes(view.descriptor->id.data, view.descriptor->id.len, &id);
    struct weir_id group = slot_sharing_group(&request->job_view.id);
    cJSON *vertex = json_object_in_array(vertices);
    json_id(vertex, "id", &id);
    json_id(vertex, "slotSharingGroupId", &group);
    json_string(vertex, "name", view.descriptor->name);
    json_uint(vertex, "maxParallelism", view.descriptor->max_parallelism);
    json_uint(vertex, "parallelism", view.descriptor->parallelism);
    json_string(vertex, "status", task_state_name(view.status));
    json_int(vertex, "start-time", view.start_ms);
    json_int(vertex, "end-time", view.end_ms);
    json_int(vertex, "duration",
             view.start_ms < 0 ? -1 : (view.end_ms < 0 ? request->now_ms : view.end_ms) - view.start_ms);
    add_task_counts(vertex, "tasks", view.tasks_by_state);
    rest_io_metrics_json(vertex, &metrics);
    status_counts[view.status]++;
}

void rest_job(const struct rest_request *request, struct rest_response *response)
{
    const struct job_view *view = &request->job_view;
    cJSON *body = response->body = json_new_object();
    json_id(body, "jid", &view->id);
    json_id(body, "application-id", &view->id);
    json_string(body, "name", view->name);
    json_bool(body, "isStoppable", false);
    json_string(body, "state", job_state_name(view->state));
    json_string(body, "job-type", "STREAMING");
    json_string(body, "schedulerType", "Default");
    json_int(body, "start-time", view->start_ms);
    json_int(body, "end-time", view->end_ms);
    json_int(body, "duration", (view->end_ms < 0 ? request->now_ms : view->end_ms) - view->start_ms);
    const char *max_parallelism = rest_job_setting(request, "pipeline.max-parallelism");
    json_int(body, "maxParallelism",
             max_parallelism ? strtoll(max_parallelism, NULL, 10)
                             : config_integer(request->env->config, OPT_MAX_PARALLELISM));
    json_int(body, "now", request->now_ms);
    cJSON *timestamps = json_object(body, "timestamps");
    for (size_t i = 0; i < sizeof job_states / sizeof job_states[0]; i++)
        json_int(timestamps, job_state_name(job_states[i]), view->state_ms[job_states[i]]);
    cJSON *vertices = json_array(body, "vertices");
    uint32_t status_counts[TASK_STATE_COUNT] = {0};
    for (uint32_t i = 0; i < view->vertex_count; i++)
        add_vertex(request, vertices, i, status_counts);
    add_task_counts(body, "status-counts", status_counts);
    json_add(body, "plan", rest_plan_json(view));
    json_int(body, "pending-operators", 0);
}

void rest_job_status(const struct rest_request *request, struct rest_response *response)
{
    response->body = json_new_object();
    json_string(response->body, "status", job_state_name(request->job_view.state));
}

void rest_job_cancel(const struct rest_request *request, struct rest_response *response)
{
    const struct rest_env *env = request->env;
    const char *mode = rest_uri_query(request->uri, "mode");
    if (mode && strcasecmp(mode, "cancel") != 0) {
        rest_bad_query(response, "mode", mode);
        return;
    }
    if (!config_boolean(env->config, OPT_WEB_CANCEL)) {
        rest_response_error(response, 403,
                            "Cancelling jobs over REST is switched off (web.cancel.enable: false).");
        return;
    }
    enum job_state state = request->job_view.state;
    if (state == JOB_CANCELED) {
        response->status = 202;
        response->body = json_new_object();
        return;
    }
    if (job_state_is_terminal(state)) {
        rest_response_error(
            response, 409,
            "Job cancellation failed because the job has already reached another terminal state (%s).",
            job_state_name(state));
        return;
    }
    response->pending = true;
    env->cancel_job(env->self, &request->job_view.id, request->token);
}
