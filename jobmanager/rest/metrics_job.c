/* /jobs/:jobid/metrics: the job scope of Flink's metrics. Values are strings, as there. */
#include "jobmanager/rest/handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool rest_next_name(const char **position, char *ret_name, size_t size)
{
    while (**position) {
        size_t length = strcspn(*position, ",");
        const char *name = *position;
        *position += length + (name[length] == ',');
        if (length > 0 && length < size) {
            memcpy(ret_name, name, length);
            ret_name[length] = '\0';
            return true;
        }
    }
    return false;
}

bool rest_task_state_is_terminal(Weir__TaskState state)
{
    return state == WEIR__TASK_STATE__TASK_FINISHED || state == WEIR__TASK_STATE__TASK_CANCELED ||
           state == WEIR__TASK_STATE__TASK_FAILED;
}

/* What the values are computed from, gathered once a request. */
struct job_facts {
    const struct rest_request *request;
    const struct job_view *job;
    bool has_completed;
    struct checkpoint_view completed; /* the newest completed checkpoint */
    bool all_running;
    int64_t all_running_since_ms;
    int64_t deploying_since_ms; /* 0: no task is being deployed */
};

static void gather_tasks(struct job_facts *facts)
{
    facts->all_running = facts->job->vertex_count > 0;
    for (uint32_t v = 0; v < facts->job->vertex_count; v++) {
        struct vertex_view vertex;
        core_view_vertex(facts->request->env->core, facts->request->job, v, &vertex);
        for (uint32_t i = 0; i < vertex.descriptor->parallelism; i++) {
            struct subtask_view task;
            core_view_subtask(facts->request->env->core, facts->request->job, v, i, &task);
            int64_t since = task.state_since_ms[task.state];
            if (task.state == WEIR__TASK_STATE__TASK_DEPLOYING &&
                (facts->deploying_since_ms == 0 || since < facts->deploying_since_ms))
                facts->deploying_since_ms = since;
            if (task.state != WEIR__TASK_STATE__TASK_RUNNING && task.state != WEIR__TASK_STATE__TASK_FINISHED)
                facts->all_running = false;
            else if (since > facts->all_running_since_ms)
                facts->all_running_since_ms = since;
        }
    }
}

static void gather(const struct rest_request *request, struct job_facts *facts)
{
    *facts = (struct job_facts){.request = request, .job = &request->job_view};
    for (uint32_t i = 0; i < facts->job->checkpoint_history_count && !facts->has_completed; i++) {
        struct checkpoint_view view;
        core_view_checkpoint(request->env->core, request->job, i, &view);
        if (view.status == CHECKPOINT_COMPLETED && !view.savepoint) {
            facts->completed = view;
            facts->has_completed = true;
        }
    }
    gather_tasks(facts);
}

static int64_t in_state_ms(const struct job_facts *facts, enum job_state state)
{
    return facts->job->state == state ? facts->request->now_ms - facts->job->state_ms[state] : 0;
}

static void value_time(const struct job_facts *facts, int64_t which, char *ret_value, size_t size)
{
    snprintf(ret_value, size, "%" PRId64, in_state_ms(facts, (enum job_state)which));
}

static void value_deploying(const struct job_facts *facts, int64_t which, char *ret_value, size_t size)
{
    (void)which;
    int64_t since = facts->deploying_since_ms;
    snprintf(ret_value, size, "%" PRId64, since ? facts->request->now_ms - since : 0);
}

static void value_all_running(const struct job_facts *facts, int64_t which, char *ret_value, size_t size)
{
    (void)which;
    snprintf(ret_value, size, "%" PRId64,
             facts->all_running ? facts->request->now_ms - facts->all_running_since_ms : 0);
}

enum { LAST_SIZE, LAST_METADATA, LAST_PROCESSED, LAST_PERSISTED, LAST_DURATION, LAST_COMPLETED_AT, LAST_ID };

/* −1 as long as there is none. */
static void value_checkpoint(const struct job_facts *facts, int64_t which, char *ret_value, size_t size)
{
    const struct checkpoint_view *view = &facts->completed;
    int64_t values[] = {(int64_t)view->state_bytes,
                        (int64_t)view->metadata_bytes,
                        (int64_t)view->processed_bytes,
                        0,
                        view->latest_ack_ms - view->trigger_ms,
                        view->completed_ms,
                        (int64_t)view->id};
    snprintf(ret_value, size, "%" PRId64, facts->has_completed ? values[which] : -1);
}

static void value_path(const struct job_facts *facts, int64_t which, char *ret_value, size_t size)
{
    (void)which;
    const char *path = facts->has_completed && facts->completed.path ? facts->completed.path : "";
    snprintf(ret_value, size, "%s%s", *path == '/' ? "file:" : "", *path ? path : "n/a");
}

enum { RESTARTS, COMPLETED, FAILED, IN_PROGRESS, TOTAL, RESTORED_AT, UPTIME, DOWNTIME, RESCALES };

static void value_count(const struct job_facts *facts, int64_t which, char *ret_value, size_t size)
{
    const struct job_view *job = facts->job;
    bool ended = job_state_is_terminal(job->state);
    int64_t values[] = {job->restarts,
                        (int64_t)job->checkpoints.completed,
                        (int64_t)job->checkpoints.failed,
                        (int64_t)job->checkpoints.in_progress,
                        (int64_t)job->checkpoints.total,
                        job->restored_ms,
                        ended ? -1 : (int64_t)job->uptime_ms,
                        ended ? -1 : (int64_t)job->downtime_ms,
                        0};
    snprintf(ret_value, size, "%" PRId64, values[which]);
}

static const struct {
    const char *name;
    void (*value)(const struct job_facts *facts, int64_t which, char *ret_value, size_t size);
    int64_t which;
} metrics[] = {
    {"lastCheckpointSize", value_checkpoint, LAST_SIZE},
    {"lastCheckpointExternalPath", value_path, 0},
    {"failingTime", value_time, JOB_FAILING},
    {"numRescales", value_count, RESCALES},
    {"restartingTime", value_time, JOB_RESTARTING},
    {"numberOfInProgressCheckpoints", value_count, IN_PROGRESS},
    {"lastCheckpointMetadataSize", value_checkpoint, LAST_METADATA},
    {"lastCheckpointProcessedData", value_checkpoint, LAST_PROCESSED},
    {"numberOfCompletedCheckpoints", value_count, COMPLETED},
    {"numRestarts", value_count, RESTARTS},
    {"deployingTime", value_deploying, 0},
    {"createdTime", value_time, JOB_CREATED},
    {"lastCheckpointDuration", value_checkpoint, LAST_DURATION},
    {"numberOfFailedCheckpoints", value_count, FAILED},
    {"lastCheckpointCompletedTimestamp", value_checkpoint, LAST_COMPLETED_AT},
    {"cancellingTime", value_time, JOB_CANCELLING},
    {"totalNumberOfCheckpoints", value_count, TOTAL},
    {"lastCompletedCheckpointId", value_checkpoint, LAST_ID},
    {"lastCheckpointRestoreTimestamp", value_count, RESTORED_AT},
    {"runningTime", value_time, JOB_RUNNING},
    {"uptime", value_count, UPTIME},
    {"initializingTime", value_time, JOB_INITIALIZING},
    {"allSubTasksRunningOrFinishedTime", value_all_running, 0},
    {"downtime", value_count, DOWNTIME},
    {"lastCheckpointFullSize", value_checkpoint, LAST_SIZE},
    {"lastCheckpointPersistedData", value_checkpoint, LAST_PERSISTED},
};
enum { METRIC_COUNT = sizeof metrics / sizeof metrics[0] };

void rest_job_metrics(const struct rest_request *request, struct rest_response *response)
{
    const char *get = rest_uri_query(request->uri, "get");
    cJSON *body = response->body = json_new_array();
    if (!get) {
        for (size_t i = 0; i < METRIC_COUNT; i++)
            json_string(json_object_in_array(body), "id", metrics[i].name);
        return;
    }
    struct job_facts facts;
    gather(request, &facts);
    char name[METRIC_NAME_MAX];
    char value[METRIC_VALUE_MAX];
    while (rest_next_name(&get, name, sizeof name)) {
        for (size_t i = 0; i < METRIC_COUNT; i++) {
            if (strcmp(metrics[i].name, name) != 0)
                continue;
            metrics[i].value(&facts, metrics[i].which, value, sizeof value);
            cJSON *object = json_object_in_array(body);
            json_string(object, "id", name);
            json_string(object, "value", value);
        }
    }
}
