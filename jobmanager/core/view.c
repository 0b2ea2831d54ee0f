#include "jobmanager/core/view.h"

#include <assert.h>

#include "jobmanager/core/core_internal.h"

static const struct job *job_at(const struct core *core, uint32_t index)
{
    assert(index < core->dispatcher.jobs.count);
    return core->dispatcher.jobs.items[index];
}

static const struct execution_vertex *vertex_at(const struct job *job, uint32_t index)
{
    assert(index < job->graph.vertex_count);
    return &job->graph.vertices[index];
}

void core_view_overview(const struct core *core, struct overview_view *ret_view)
{
    *ret_view = (struct overview_view){
        .task_managers = (uint32_t)core->pool.task_managers.count,
        .slots_total = core->pool.slots_total,
        .slots_available = core->pool.slots_free,
    };
    vec_for_each (job, &core->dispatcher.jobs) {
        switch ((*job)->graph.state) {
        case JOB_FINISHED:
            ret_view->jobs_finished++;
            break;
        case JOB_CANCELED:
            ret_view->jobs_cancelled++;
            break;
        case JOB_FAILED:
            ret_view->jobs_failed++;
            break;
        default:
            ret_view->jobs_running++;
        }
    }
}

/* ---- taskmanagers
 * -------------------------------------------------------------------------------------------------- */

uint32_t core_task_manager_count(const struct core *core)
{
    return (uint32_t)core->pool.task_managers.count;
}

/* Deployed and not ended. */
static uint32_t count_tasks(const struct core *core, uint64_t session)
{
    uint32_t count = 0;
    vec_for_each (job, &core->dispatcher.active) {
        const struct job_worker *worker = job_find_worker(*job, session);
        uint64_t cursor = 0;
        if (worker && worker->has_tasks)
            for (const struct execution *task; (task = job_worker_task(*job, worker, &cursor));)
                count += !task_state_is_terminal(task->state);
    }
    return count;
}

void core_view_task_manager(const struct core *core, uint32_t index, struct task_manager_view *ret_view)
{
    assert(index < core->pool.task_managers.count);
    const struct task_manager *task_manager = core->pool.task_managers.items[index];
    *ret_view = (struct task_manager_view){
        .id = task_manager->id,
        .rpc_address = task_manager->rpc_address,
        .data_address = task_manager->data_address,
        .host = task_manager->host,
        .session = task_manager->session,
        .slots = task_manager->slot_count,
        .free_slots = task_manager->free_slots,
        .tasks = count_tasks(core, task_manager->session),
        .cpu_cores = task_manager->cpu_cores,
        .physical_memory_bytes = task_manager->physical_memory_bytes,
        .process_memory_bytes = task_manager->process_memory_bytes,
        .resident_bytes = task_manager->resident_bytes,
        .last_heartbeat_ms = task_manager->heartbeat.last_ms,
    };
}

/* ---- jobs
 * ----------------------------------------------------------------------------------------------------------
 */

uint32_t core_job_count(const struct core *core)
{
    return (uint32_t)core->dispatcher.jobs.count;
}

int32_t core_find_job(const struct core *core, const struct weir_id *id)
{
    return dispatcher_index(&core->dispatcher, id);
}

static uint64_t since(const struct core *core, int64_t then_ms)
{
    return core->now_ms > then_ms ? (uint64_t)(core->now_ms - then_ms) : 0;
}

static void view_checkpoints(const struct job *job, struct job_view *view)
{
    const struct checkpoint_coordinator *checkpoints = &job->checkpoints;
    const struct checkpoint_history *history = &checkpoints->history;
    view->checkpoint_interval_ms = checkpoints->settings.interval_ms;
    view->checkpoints.restored = history->restored;
    view->checkpoints.total = history->total;
    view->checkpoints.in_progress = history->in_progress;
    view->checkpoints.completed = history->completed;
    view->checkpoints.failed = history->failed;
    view->checkpoint_history_count = (uint32_t)history->records.count;
    view->restored_ms = checkpoints->restored_ms;
    view->restored_checkpoint_id = checkpoints->restored_id;
}

void core_view_job(const struct core *core, uint32_t index, struct job_view *ret_view)
{
    const struct job *job = job_at(core, index);
    const struct execution_graph *graph = &job->graph;
    *ret_view = (struct job_view){
        .id = graph->job,
        .name = graph->descriptor->name,
        .state = graph->state,
        .start_ms = graph->state_ms[JOB_INITIALIZING],
        .end_ms = job_has_ended(job) ? graph->state_ms[graph->state] : -1,
        .last_modification_ms = graph->last_modification_ms,
        .graph = graph->descriptor,
        .vertex_count = graph->vertex_count,
        .tasks_total = graph->count,
        .restarts = job->restarts,
        .uptime_ms = graph->state == JOB_RUNNING ? since(core, graph->state_ms[JOB_RUNNING]) : 0,
        .downtime_ms = graph->state == JOB_RESTARTING ? since(core, graph->state_ms[JOB_RESTARTING]) : 0,
        .exception_count = (uint32_t)job->exceptions.entries.count,
    };
    memcpy(ret_view->state_ms, graph->state_ms, sizeof ret_view->state_ms);
    memcpy(ret_view->tasks_by_state, graph->by_state, sizeof ret_view->tasks_by_state);
    view_checkpoints(job, ret_view);
}

void core_view_vertex(const struct core *core, uint32_t job, uint32_t vertex, struct vertex_view *ret_view)
{
    const struct execution_vertex *of = vertex_at(job_at(core, job), vertex);
    *ret_view = (struct vertex_view){
        .descriptor = of->descriptor,
        .status = execution_vertex_status(of),
        .start_ms = of->start_ms,
        .end_ms = of->end_ms,
    };
    memcpy(ret_view->tasks_by_state, of->by_state, sizeof ret_view->tasks_by_state);
}

void core_view_subtask(const struct core *core, uint32_t job, uint32_t vertex, uint32_t subtask,
                       struct subtask_view *ret_view)
{
    const struct job *of = job_at(core, job);
    const struct execution *execution = execution_graph_find(&of->graph, vertex, subtask);
    assert(execution);
    const struct job_worker *worker = of->slot_worker ? &of->workers.items[of->slot_worker[subtask]] : NULL;
    *ret_view = (struct subtask_view){
        .state = execution->state,
        .attempt = of->graph.attempt,
        .attempt_id = execution->attempt_id,
        .task_manager = worker ? worker->task_manager : "",
        .host = worker ? worker->host : "",
        .metrics = execution->metrics,
    };
    memcpy(ret_view->state_since_ms, execution->state_since_ms, sizeof ret_view->state_since_ms);
}

void core_view_checkpoint(const struct core *core, uint32_t job, uint32_t index,
                          struct checkpoint_view *ret_view)
{
    *ret_view = *checkpoint_history_get(&job_at(core, job)->checkpoints.history, index);
}

void core_view_exception(const struct core *core, uint32_t job, uint32_t index,
                         struct exception_view *ret_view)
{
    const struct exception_entry *entry = exception_history_get(&job_at(core, job)->exceptions, index);
    *ret_view = (struct exception_view){
        .timestamp_ms = entry->timestamp_ms,
        .name = entry->name,
        .message = entry->message,
        .stack = entry->stack,
        .task = entry->task,
        .endpoint = entry->endpoint,
        .task_manager = entry->task_manager,
    };
}
