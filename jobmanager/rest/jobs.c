/* /jobs and /jobs/overview: all jobs in short. */
#include "jobmanager/rest/handlers.h"

void rest_jobs(const struct rest_request *request, struct rest_response *response)
{
    const struct core *core = request->env->core;
    response->body = json_new_object();
    cJSON *jobs = json_array(response->body, "jobs");
    for (uint32_t i = 0; i < core_job_count(core); i++) {
        struct job_view view;
        core_view_job(core, i, &view);
        cJSON *job = json_object_in_array(jobs);
        json_id(job, "id", &view.id);
        json_string(job, "status", job_state_name(view.state));
    }
}

static void add_tasks(cJSON *job, const struct job_view *view)
{
    cJSON *tasks = json_object(job, "tasks");
    json_uint(tasks, "running", view->tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING]);
    json_uint(tasks, "canceling", view->tasks_by_state[WEIR__TASK_STATE__TASK_CANCELING]);
    json_uint(tasks, "canceled", view->tasks_by_state[WEIR__TASK_STATE__TASK_CANCELED]);
    json_uint(tasks, "total", view->tasks_total);
    json_uint(tasks, "created", view->tasks_by_state[WEIR__TASK_STATE__TASK_CREATED]);
    json_uint(tasks, "scheduled", view->tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED]);
    json_uint(tasks, "deploying", view->tasks_by_state[WEIR__TASK_STATE__TASK_DEPLOYING]);
    json_uint(tasks, "reconciling", 0);
    json_uint(tasks, "finished", view->tasks_by_state[WEIR__TASK_STATE__TASK_FINISHED]);
    json_uint(tasks, "initializing", view->tasks_by_state[WEIR__TASK_STATE__TASK_INITIALIZING]);
    json_uint(tasks, "failed", view->tasks_by_state[WEIR__TASK_STATE__TASK_FAILED]);
}

void rest_jobs_overview(const struct rest_request *request, struct rest_response *response)
{
    const struct core *core = request->env->core;
    response->body = json_new_object();
    cJSON *jobs = json_array(response->body, "jobs");
    for (uint32_t i = 0; i < core_job_count(core); i++) {
        struct job_view view;
        core_view_job(core, i, &view);
        cJSON *job = json_object_in_array(jobs);
        json_id(job, "jid", &view.id);
        json_string(job, "name", view.name);
        json_string(job, "jobType", "STREAMING");
        json_string(job, "schedulerType", "Default");
        json_int(job, "start-time", view.start_ms);
        json_int(job, "end-time", view.end_ms);
        json_int(job, "duration", (view.end_ms < 0 ? request->now_ms : view.end_ms) - view.start_ms);
        json_string(job, "state", job_state_name(view.state));
        json_int(job, "last-modification", view.last_modification_ms);
        add_tasks(job, &view);
        json_int(job, "pending-operators", 0);
    }
}
