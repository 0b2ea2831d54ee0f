/* Between router and handlers: what a matched request carries, and the table's entries. */
#ifndef WEIR_REST_HANDLERS_H
#define WEIR_REST_HANDLERS_H

#include "jobmanager/rest/json.h"
#include "jobmanager/rest/request.h"
#include "jobmanager/rest/rest.h"

enum { REST_PARAMETERS_MAX = 4 };

struct rest_request {
    const struct rest_env *env;
    const struct rest_uri *uri;
    int64_t now_ms;
    const char *body; /* as it came; NULL or "": none */
    uint64_t token;
    /* By the pattern's parameters, resolved before the handler is called: */
    uint32_t job; /* :jobid: index in the core's view */
    struct job_view job_view;
    uint32_t vertex;          /* :vertexid: index in the job's graph */
    uint32_t subtask;         /* :subtaskindex */
    const char *task_manager; /* :taskmanagerid */
    struct weir_id job_id;    /* :anyjobid: of a job that need not be there */
    struct weir_id trigger;   /* :triggerid */
};

/* Fills response (status is 200 beforehand, body NULL). */
typedef void rest_handler(const struct rest_request *request, struct rest_response *response);

rest_handler rest_overview, rest_config;
rest_handler rest_jobs, rest_jobs_overview;
rest_handler rest_job, rest_job_status, rest_job_plan, rest_job_config;
rest_handler rest_job_checkpoints, rest_job_exceptions, rest_job_metrics;
rest_handler rest_job_cancel;
rest_handler rest_savepoint_trigger, rest_stop_trigger, rest_checkpoint_trigger, rest_disposal_trigger;
rest_handler rest_savepoint_status, rest_checkpoint_status, rest_disposal_status;
rest_handler rest_vertex, rest_vertex_metrics, rest_subtasks_metrics, rest_subtask_metrics;
rest_handler rest_task_managers, rest_task_manager;

/* ---- shared between families of endpoints ---- */

struct rest_io_metrics {
    uint64_t read_bytes, write_bytes, read_records, write_records;
    uint64_t backpressured_ms, idle_ms, busy_ms;
};
void rest_io_metrics_add(struct rest_io_metrics *sum, const Weir__TaskMetrics *metrics);
void rest_io_metrics_json(cJSON *parent, const struct rest_io_metrics *metrics); /* "metrics": {…} */
cJSON *rest_plan_json(const struct job_view *job);
/* A job's own setting; NULL: it has none. */
const char *rest_job_setting(const struct rest_request *request, const char *key);
bool rest_task_state_is_terminal(Weir__TaskState state);
/* Numbers of one subtask over all subtasks: {"p25", "min", …}. Sorts values. */
void rest_aggregate_json(cJSON *parent, const char *key, double *values, size_t count);

/* The next name of `get=a,b`: *position moves behind it; false at the end. Longer names than fit are skipped:
 * there are none. */
bool rest_next_name(const char **position, char *ret_name, size_t size);
enum { METRIC_NAME_MAX = 256, METRIC_VALUE_MAX = 1024 };

/* Bad request, could not parse parameters: … */
void rest_bad_query(struct rest_response *response, const char *name, const char *value);

#endif
