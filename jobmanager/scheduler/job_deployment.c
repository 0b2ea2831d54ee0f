/* Messages of a deployment. Each worker learns where all subtasks are, which is workers × subtasks in sum:
 * large jobs are deployed in several steps, so that no step takes long and not everything is in memory at
 * once. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "jobmanager/scheduler/job.h"

enum { ITEMS_PER_STEP = 100000 }; /* locations, and states and splits to restore */

static const char logger[] = "weir.runtime.executiongraph.ExecutionGraph";

Weir__ToTaskManager *job_start_worker_message(const struct job *job, const struct job_worker *worker)
{
    struct deployment deployment = job_deployment(job);
    Weir__ToTaskManager *message = message_start_worker(&deployment);
    Weir__StartWorker *start = message->start_worker;
    start->job_name = xstrdup(job->graph.descriptor->name);
    start->program = message_copy(job->program);
    start->graph_fingerprint = job->graph.descriptor->fingerprint;
    start->slots = worker->slot_count;
    start->n_configuration = config_given_count(job->config);
    start->configuration = xcalloc(start->n_configuration, sizeof(Weir__KeyValue *));
    for (size_t i = 0; i < start->n_configuration; i++) {
        const char *key, *value;
        config_given(job->config, i, &key, &value);
        start->configuration[i] = message_key_value(key, value);
    }
    return message;
}

static Weir__TaskDeployment *task_deployment(const struct job *job, const struct execution *execution)
{
    Weir__TaskDeployment *task = xmalloc(sizeof *task);
    weir__task_deployment__init(task);
    task->vertex = execution->vertex;
    task->subtask = execution->subtask;
    task->slot = job->slot_index[execution->subtask];
    task->attempt_id = xstrdup(execution->attempt_id);
    task->restore_base = xstrdup(job->restore_base ? job->restore_base : "");
    restore_plan_assign(&job->restore, job->graph.vertices[execution->vertex].descriptor, task);
    return task;
}

static Weir__SubtaskLocation *location(const struct job *job, const struct execution *execution)
{
    /* Live or not: one may have finished before the others are deployed. */
    const struct job_worker *worker = &job->workers.items[job->slot_worker[execution->subtask]];
    Weir__SubtaskLocation *where = xmalloc(sizeof *where);
    weir__subtask_location__init(where);
    where->vertex = execution->vertex;
    where->subtask = execution->subtask;
    where->worker = xstrdup(worker->task_manager);
    where->data_address = xstrdup(worker->data_address);
    return where;
}

static Weir__ToTaskManager *deploy_message(const struct job *job, const struct job_worker *worker)
{
    struct deployment deployment = job_deployment(job);
    Weir__ToTaskManager *message = message_deploy_tasks(&deployment);
    Weir__DeployTasks *deploy = message->deploy_tasks;
    deploy->graph = message_copy(job->graph.descriptor);
    deploy->checkpoint_dir =
        xstrdup(job->checkpoints.settings.directory ? job->checkpoints.settings.directory : "");
    deploy->restored_checkpoint_id = job->restore_checkpoint_id;
    deploy->tasks =
        xcalloc((size_t)worker->slot_count * job->graph.vertex_count, sizeof(Weir__TaskDeployment *));
    uint64_t cursor = 0;
    for (const struct execution *execution; (execution = job_worker_task(job, worker, &cursor));)
        deploy->tasks[deploy->n_tasks++] = task_deployment(job, execution);
    deploy->peers = xcalloc(job->graph.count, sizeof(Weir__SubtaskLocation *));
    for (uint32_t i = 0; i < job->graph.count; i++)
        deploy->peers[deploy->n_peers++] = location(job, &job->graph.executions[i]);
    return message;
}

/* How much there is in it, in ITEMS_PER_STEP. */
static uint64_t count_items(const Weir__DeployTasks *deploy)
{
    uint64_t items = deploy->n_peers;
    for (size_t i = 0; i < deploy->n_tasks; i++)
        for (size_t k = 0; k < deploy->tasks[i]->n_restore; k++)
            items += 1 + deploy->tasks[i]->restore[k]->n_splits + deploy->tasks[i]->restore[k]->n_keyed;
    return items;
}

static uint64_t deploy_worker(struct job *job, struct step *step, struct job_worker *worker)
{
    assert(worker->state == WORKER_READY);
    char *where = job_worker_location(worker);
    uint64_t cursor = 0;
    for (struct execution *execution; (execution = job_worker_task(job, worker, &cursor));) {
        char vertex[WEIR_ID_HEX + 1];
        struct weir_id id;
        const Weir__Vertex *descriptor = job->graph.vertices[execution->vertex].descriptor;
        memcpy(id.bytes, descriptor->id.data, WEIR_ID_BYTES);
        step_log(step, LOG_INFO, logger,
                 "Deploying %s (%u/%u) (attempt #%u) with attempt id %s and vertex id %s_%u to %s in slot %u",
                 descriptor->name, execution->subtask + 1, descriptor->parallelism, job->graph.attempt,
                 execution->attempt_id, weir_id_format(&id, vertex), execution->subtask,
                 where + strlen("on "), job->slot_index[execution->subtask]);
        execution_switch(&job->graph, step, execution, WEIR__TASK_STATE__TASK_DEPLOYING, NULL);
    }
    free(where);
    Weir__ToTaskManager *message = deploy_message(job, worker);
    uint64_t items = count_items(message->deploy_tasks);
    step_send(step, worker->session, message);
    worker->state = WORKER_DEPLOYED;
    worker->has_tasks = true;
    return items;
}

void job_deploy(struct job *job, struct step *step)
{
    assert(job->phase == PHASE_DEPLOYS && job->ready_workers == job->workers.count);
    uint64_t items = 0;
    while (job->deployed_workers < job->workers.count && items < ITEMS_PER_STEP)
        items += deploy_worker(job, step, &job->workers.items[job->deployed_workers++]);
    if (job->deployed_workers < job->workers.count) {
        job->deploy_at_ms = step->now_ms;
        return;
    }
    job->deploy_at_ms = INT64_MAX;
    job->phase = PHASE_DEPLOYED;
    restore_plan_deinit(&job->restore);
    job->restore_base = NULL;
}
