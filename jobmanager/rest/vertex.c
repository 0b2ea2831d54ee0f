/* /jobs/:jobid/vertices/:vertexid: a vertex with its subtasks, and their numbers aggregated. */
#include "jobmanager/rest/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

/* Flink's order of the states in an attempt's status-duration. */
static const Weir__TaskState duration_states[] = {
    WEIR__TASK_STATE__TASK_RUNNING, WEIR__TASK_STATE__TASK_SCHEDULED, WEIR__TASK_STATE__TASK_DEPLOYING,
    WEIR__TASK_STATE__TASK_INITIALIZING, WEIR__TASK_STATE__TASK_CREATED};
enum { DURATION_STATES = sizeof duration_states / sizeof duration_states[0] };

/* What is computed once per subtask, for its own entry and for the aggregate. */
struct subtask_facts {
    struct subtask_view view;
    struct rest_io_metrics metrics;
    int64_t start_ms, end_ms;            /* −1: not yet */
    int64_t durations[TASK_STATE_COUNT]; /* ms; −1: not been in it */
};

/* From entering a state to entering the next one after it. */
static int64_t state_duration(const struct subtask_view *view, Weir__TaskState state, int64_t now_ms)
{
    int64_t since = view->state_since_ms[state];
    if (since <= 0)
        return -1;
    int64_t until = now_ms;
    for (size_t i = 0; i < TASK_STATE_COUNT; i++) {
        int64_t other = view->state_since_ms[i];
        bool later = other > since || (other == since && i > (size_t)state);
        if (other > 0 && later && other < until)
            until = other;
    }
    return until > since ? until - since : 0;
}

static void gather(const struct rest_request *request, uint32_t index, struct subtask_facts *ret_facts)
{
    struct subtask_facts facts = {.start_ms = -1, .end_ms = -1};
    core_view_subtask(request->env->core, request->job, request->vertex, index, &facts.view);
    rest_io_metrics_add(&facts.metrics, &facts.view.metrics);
    if (facts.view.state_since_ms[WEIR__TASK_STATE__TASK_DEPLOYING] > 0)
        facts.start_ms = facts.view.state_since_ms[WEIR__TASK_STATE__TASK_DEPLOYING];
    if (rest_task_state_is_terminal(facts.view.state))
        facts.end_ms = facts.view.state_since_ms[facts.view.state];
    for (size_t i = 0; i < TASK_STATE_COUNT; i++)
        facts.durations[i] = state_duration(&facts.view, (Weir__TaskState)i, request->now_ms);
    *ret_facts = facts;
}

/* "host:port" of the worker's data plane, as far as it is known. */
static void add_endpoint(const struct rest_request *request, cJSON *object, const struct subtask_view *view)
{
    const char *endpoint = view->host && *view->host ? view->host : "(unassigned)";
    struct task_manager_view tm;
    for (uint32_t i = 0; i < core_task_manager_count(request->env->core); i++) {
        core_view_task_manager(request->env->core, i, &tm);
        if (view->task_manager && *view->task_manager && strcmp(tm.id, view->task_manager) == 0 &&
            *tm.data_address)
            endpoint = tm.data_address;
    }
    json_string(object, "endpoint", endpoint);
}

static void add_subtask(const struct rest_request *request, cJSON *subtasks, uint32_t index,
                        const struct subtask_facts *facts)
{
    cJSON *object = json_object_in_array(subtasks);
    json_uint(object, "subtask", index);
    json_string(object, "status", task_state_name(facts->view.state));
    json_uint(object, "attempt", facts->view.attempt);
    add_endpoint(request, object, &facts->view);
    json_int(object, "start-time", facts->start_ms);
    json_int(object, "end-time", facts->end_ms);
    json_int(object, "duration",
             facts->start_ms < 0 ? -1
                                 : (facts->end_ms < 0 ? request->now_ms : facts->end_ms) - facts->start_ms);
    rest_io_metrics_json(object, &facts->metrics);
    const char *tm = facts->view.task_manager;
    json_string(object, "taskmanager-id", tm && *tm ? tm : "(unassigned)");
    cJSON *durations = json_object(object, "status-duration");
    for (size_t i = 0; i < DURATION_STATES; i++)
        json_int(durations, task_state_name(duration_states[i]), facts->durations[duration_states[i]]);
    json_int(object, "start_time", facts->start_ms);
}

void rest_aggregate_json(cJSON *parent, const char *key, double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    json_sort(values, count);
    cJSON *object = json_object(parent, key);
    json_int(object, "p25", (int64_t)json_percentile(values, count, 25));
    json_int(object, "min", (int64_t)values[0]);
    json_int(object, "avg", (int64_t)(sum / (double)count));
    json_int(object, "median", (int64_t)json_percentile(values, count, 50));
    json_int(object, "max", (int64_t)values[count - 1]);
    json_int(object, "sum", (int64_t)sum);
    json_int(object, "p95", (int64_t)json_percentile(values, count, 95));
    json_int(object, "p75", (int64_t)json_percentile(values, count, 75));
}

static double io_metric(const struct rest_io_metrics *metrics, size_t which)
{
    const uint64_t values[] = {metrics->write_records, metrics->backpressured_ms, metrics->idle_ms,
                               metrics->write_bytes,   metrics->read_bytes,       metrics->read_records,
                               metrics->busy_ms};
    return (double)values[which];
}

static void add_aggregated(cJSON *body, const struct subtask_facts *facts, size_t count)
{
    static const char *const keys[] = {"write-records",
                                       "accumulated-backpressured-time",
                                       "accumulated-idle-time",
                                       "write-bytes",
                                       "read-bytes",
                                       "read-records",
                                       "accumulated-busy-time"};
    static const Weir__TaskState states[] = {
        WEIR__TASK_STATE__TASK_CREATED, WEIR__TASK_STATE__TASK_RUNNING, WEIR__TASK_STATE__TASK_INITIALIZING,
        WEIR__TASK_STATE__TASK_SCHEDULED, WEIR__TASK_STATE__TASK_DEPLOYING};
    double *values = xcalloc(count, sizeof *values);
    cJSON *aggregated = json_object(body, "aggregated");
    cJSON *metrics = json_object(aggregated, "metrics");
    for (size_t key = 0; key < sizeof keys / sizeof keys[0]; key++) {
        for (size_t i = 0; i < count; i++)
            values[i] = io_metric(&facts[i].metrics, key);
        rest_aggregate_json(metrics, keys[key], values, count);
    }
    cJSON *durations = json_object(aggregated, "status-duration");
    for (size_t state = 0; state < sizeof states / sizeof states[0]; state++) {
        for (size_t i = 0; i < count; i++)
            values[i] = (double)facts[i].durations[states[state]];
        rest_aggregate_json(durations, task_state_name(states[state]), values, count);
    }
    free(values);
}

void rest_vertex(const struct rest_request *request, struct rest_response *response)
{
    struct vertex_view view;
    core_view_vertex(request->env->core, request->job, request->vertex, &view);
    struct weir_id id = {0};
    weir_id_from_bytes(view.descriptor->id.data, view.descriptor->id.len, &id);
    uint32_t count = view.descriptor->parallelism;
    struct subtask_facts *facts = xcalloc(count, sizeof *facts);
    cJSON *body = response->body = json_new_object();
    json_id(body, "id", &id);
    json_string(body, "name", view.descriptor->name);
    json_uint(body, "parallelism", count);
    json_uint(body, "maxParallelism", view.descriptor->max_parallelism);
    json_int(body, "now", request->now_ms);
    cJSON *subtasks = json_array(body, "subtasks");
    for (uint32_t i = 0; i < count; i++) {
        gather(request, i, &facts[i]);
        add_subtask(request, subtasks, i, &facts[i]);
    }
    add_aggregated(body, facts, count);
    free(facts);
}
