/* What taskmanagers and workers say about a job. They may say anything: what is not possible is dropped with
 * a line at DEBUG. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "jobmanager/scheduler/job.h"

static const char logger[] = "weir.runtime.jobmaster.JobMaster";

static void drop(struct job *job, struct step *step, const struct job_worker *worker, const char *what)
{
    char id[WEIR_ID_HEX + 1];
    step_log(step, LOG_DEBUG, logger, "Dropping a message of TaskManager %s about job %s: %s.",
             worker->task_manager, weir_id_format(&job->graph.job, id), what);
}

/* NULL: there is none, or it is not in this worker. */
static struct execution *find(const struct job *job, const struct job_worker *worker, uint32_t vertex,
                              uint32_t subtask)
{
    struct execution *execution = execution_graph_find(&job->graph, vertex, subtask);
    return execution && worker->has_tasks && job_worker_of(job, execution) == worker ? execution : NULL;
}

/* ---- workers
 * ------------------------------------------------------------------------------------------------------- */

void job_worker_ready(struct job *job, struct step *step, struct job_worker *worker,
                      const Weir__WorkerReady *ready)
{
    if (job->phase != PHASE_STARTS_WORKERS || worker->state != WORKER_STARTING) {
        drop(job, step, worker, "nobody waits for its worker");
        return;
    }
    const char *address = ready->data_address ? ready->data_address : "";
    if (!*address || strnlen(address, TASK_MANAGER_TEXT_BYTES_MAX + 1) > TASK_MANAGER_TEXT_BYTES_MAX) {
        job_fail(job, step,
                 &(struct job_failure){.name = "WorkerFailed",
                                       .message = "The worker has no usable data address.",
                                       .worker = worker});
        return;
    }
    free(worker->data_address);
    worker->data_address = xstrdup(address);
    worker->state = WORKER_READY;
    if (++job->ready_workers < job->workers.count)
        return;
    job->phase = PHASE_DEPLOYS;
    job_deploy(job, step);
}

static struct execution *first_unfinished(const struct job *job, const struct job_worker *worker)
{
    uint64_t cursor = 0;
    for (struct execution *execution; (execution = job_worker_task(job, worker, &cursor));)
        if (!task_state_is_terminal(execution->state))
            return execution;
    return NULL;
}

static char *describe_exit(const struct job_worker *worker, const Weir__WorkerExited *exited)
{
    const char *error = exited->error ? exited->error : "";
    if (*error)
        return xasprintf("%.*s", (int)FAILURE_MESSAGE_BYTES_MAX, error);
    if (exited->signal != 0) {
        const char *name = exited->signal < 65 ? strsignal((int)exited->signal) : NULL;
        return xasprintf("The worker in TaskManager %s was ended by signal %u (%s).", worker->task_manager,
                         exited->signal, name ? name : "unknown");
    }
    return xasprintf(
        "The worker in TaskManager %s ended with exit code %d while its tasks were not finished.",
        worker->task_manager, exited->exit_code);
}

void job_worker_exited(struct job *job, struct step *step, struct job_worker *worker,
                       const Weir__WorkerExited *exited)
{
    bool running = job->graph.state == JOB_RUNNING;
    struct execution *unfinished = first_unfinished(job, worker);
    job_worker_gone(job, step, worker, !running);
    if (!running) {
        job_progress(job, step);
        return;
    }
    if (exited->expected && !unfinished)
        return;
    char *message = describe_exit(worker, exited);
    job_fail(job, step,
             &(struct job_failure){
                 .name = exited->signal != 0 ? "WorkerCrashed" : "WorkerExited",
                 .message = message,
                 .stack = exited->stack,
                 .execution = unfinished,
                 .worker = worker,
             });
    free(message);
}

void job_worker_lost(struct job *job, struct step *step, struct job_worker *worker, const char *message)
{
    bool running = job->graph.state == JOB_RUNNING;
    struct execution *unfinished = first_unfinished(job, worker);
    job_worker_gone(job, step, worker, !running);
    if (running)
        job_fail(
            job, step,
            &(struct job_failure){
                .name = "TaskManagerLost", .message = message, .execution = unfinished, .worker = worker});
    else
        job_progress(job, step);
}

/* ---- tasks
 * ---------------------------------------------------------------------------------------------------------
 */

static void task_failed(struct job *job, struct step *step, struct job_worker *worker,
                        struct execution *execution, const Weir__TaskStateUpdate *update)
{
    const char *message =
        update->error && *update->error ? update->error : "The task has failed and didn't say why.";
    if (update->state == WEIR__TASK_STATE__TASK_CANCELED)
        message = "The task was cancelled in its worker, though nobody had asked for it.";
    job_fail(job, step,
             &(struct job_failure){
                 .name = "TaskFailed",
                 .message = message,
                 .stack = update->stack,
                 .execution = execution,
                 .worker = worker,
                 .fatal = update->fatal,
             });
}

static void task_moves(struct job *job, struct step *step, struct job_worker *worker,
                       struct execution *execution, const Weir__TaskStateUpdate *update)
{
    if (!task_state_may_become(execution->state, update->state)) {
        drop(job, step, worker, "its task can't come into that state");
        return;
    }
    execution_switch(&job->graph, step, execution, update->state, NULL);
    if (update->state == WEIR__TASK_STATE__TASK_FINISHED) {
        struct checkpoint_action action =
            checkpoint_coordinator_task_finished(&job->checkpoints, step, &job->graph, execution, update);
        job_do_checkpoint_action(job, step, &action);
    }
    job_progress(job, step);
}

void job_task_state(struct job *job, struct step *step, struct job_worker *worker,
                    const Weir__TaskStateUpdate *update)
{
    struct execution *execution = find(job, worker, update->vertex, update->subtask);
    if (!execution || !task_state_is_known(update->state) ||
        update->state < WEIR__TASK_STATE__TASK_INITIALIZING ||
        update->state == WEIR__TASK_STATE__TASK_CANCELING) {
        drop(job, step, worker, "it is about a task or a state that the worker doesn't have");
        return;
    }
    bool failed =
        update->state == WEIR__TASK_STATE__TASK_FAILED || update->state == WEIR__TASK_STATE__TASK_CANCELED;
    if (job->graph.state == JOB_RUNNING) {
        if (failed && !task_state_is_terminal(execution->state))
            task_failed(job, step, worker, execution, update);
        else
            task_moves(job, step, worker, execution, update);
    } else if (execution->state == WEIR__TASK_STATE__TASK_CANCELING &&
               task_state_is_terminal(update->state)) {
        /* However it ended: it was to be cancelled. */
        execution_switch(&job->graph, step, execution, WEIR__TASK_STATE__TASK_CANCELED, NULL);
        job_progress(job, step);
    } else {
        drop(job, step, worker, "the attempt is over");
    }
}

void job_metrics(struct job *job, struct job_worker *worker, const Weir__MetricsReport *report)
{
    for (size_t i = 0; i < report->n_tasks; i++) {
        struct execution *execution = find(job, worker, report->tasks[i]->vertex, report->tasks[i]->subtask);
        if (!execution)
            continue;
        ProtobufCMessage base = execution->metrics.base; /* without the sender's unknown fields */
        execution->metrics = *report->tasks[i];
        execution->metrics.base = base;
    }
}

/* ---- checkpoints
 * --------------------------------------------------------------------------------------------------- */

void job_checkpoint_ack(struct job *job, struct step *step, struct job_worker *worker,
                        const Weir__CheckpointAck *ack)
{
    struct execution *execution = find(job, worker, ack->vertex, ack->subtask);
    if (!execution || job->graph.state != JOB_RUNNING) {
        drop(job, step, worker, "its acknowledgement is not waited for");
        return;
    }
    struct checkpoint_action action =
        checkpoint_coordinator_ack(&job->checkpoints, step, &job->graph, execution, ack);
    job_do_checkpoint_action(job, step, &action);
}

void job_checkpoint_decline(struct job *job, struct step *step, struct job_worker *worker,
                            const Weir__CheckpointDecline *decline)
{
    struct execution *execution = find(job, worker, decline->vertex, decline->subtask);
    if (!execution || job->graph.state != JOB_RUNNING) {
        drop(job, step, worker, "its decline is not waited for");
        return;
    }
    char *where = job_worker_location(worker);
    struct checkpoint_action action =
        checkpoint_coordinator_decline(&job->checkpoints, step, execution, decline->checkpoint_id,
                                       decline->reason ? decline->reason : "", where + strlen("on "));
    free(where);
    job_do_checkpoint_action(job, step, &action);
}

/* Marks in is_needed the workers that hold an unfinished source. */
static void find_source_workers(const struct job *job, bool *is_needed)
{
    for (uint32_t v = 0; v < job->graph.vertex_count; v++) {
        const struct execution_vertex *vertex = &job->graph.vertices[v];
        for (uint32_t s = 0; vertex->is_source && s < vertex->descriptor->parallelism; s++)
            if (job->graph.executions[vertex->first + s].state == WEIR__TASK_STATE__TASK_RUNNING)
                is_needed[job->slot_worker[s]] = true;
    }
}

void job_do_checkpoint_action(struct job *job, struct step *step, const struct checkpoint_action *action)
{
    if (action->kind == CHECKPOINT_ACTION_NONE || !job->slot_worker)
        return;
    struct deployment deployment = job_deployment(job);
    bool *is_needed = xcalloc(job->workers.count, sizeof *is_needed);
    if (action->kind == CHECKPOINT_ACTION_TRIGGER && !action->savepoint)
        find_source_workers(job, is_needed);
    for (size_t i = 0; i < job->workers.count; i++) {
        const struct job_worker *worker = &job->workers.items[i];
        if (worker->state != WORKER_DEPLOYED)
            continue;
        if (action->kind == CHECKPOINT_ACTION_COMPLETE)
            step_send(step, worker->session,
                      message_checkpoint_complete(&deployment, action->id, action->timestamp_ms));
        else if (action->kind == CHECKPOINT_ACTION_ABORTED)
            step_send(step, worker->session, message_checkpoint_aborted(&deployment, action->id));
        else if (is_needed[i] || action->savepoint) /* whose directory all must know */
            step_send(step, worker->session,
                      message_trigger_checkpoint(&deployment, action->id, action->timestamp_ms,
                                                 action->directory,
                                                 action->savepoint ? WEIR__SNAPSHOT_KIND__SNAPSHOT_SAVEPOINT
                                                                   : WEIR__SNAPSHOT_KIND__SNAPSHOT_CHECKPOINT,
                                                 action->stop));
    }
    free(is_needed);
}
