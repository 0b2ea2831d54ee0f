/* An attempt fails as a whole (all exchanges are pipelined): its workers are killed, and when all are known
 * to be gone and the pause is over, the next one begins. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "jobmanager/scheduler/job.h"

static const char logger[] = "weir.runtime.jobmaster.JobMaster";

void job_start_attempt(struct job *job, struct step *step)
{
    assert(job->graph.state == JOB_RUNNING && job->live_workers == 0);
    job_clear_workers(job);
    restore_plan_deinit(&job->restore);
    checkpoint_coordinator_restore(&job->checkpoints, step, &job->restore, &job->restore_base,
                                   &job->restore_checkpoint_id);
    for (uint32_t i = 0; i < job->graph.count; i++)
        execution_switch(&job->graph, step, &job->graph.executions[i], WEIR__TASK_STATE__TASK_SCHEDULED,
                         NULL);
    job->phase = PHASE_WAITS_FOR_SLOTS;
    job->ticket = 0; /* the dispatcher gives it one */
    job->slot_deadline_ms = job->slot_timeout_ms >= 0 ? step->now_ms + job->slot_timeout_ms : INT64_MAX;
    step->slots_wanted = true;
}

static void remember(struct job *job, struct step *step, const struct job_failure *failure)
{
    char *task = NULL;
    if (failure->execution) {
        char *name = execution_name(&job->graph, failure->execution);
        task = xasprintf("%s - execution #%u", name, job->graph.attempt);
        free(name);
    }
    exception_history_add(&job->exceptions,
                          &(struct exception_entry){
                              .timestamp_ms = step->now_ms,
                              .name = (char *)failure->name,
                              .message = (char *)failure->message,
                              .stack = (char *)failure->stack,
                              .task = task,
                              .endpoint = failure->worker ? failure->worker->data_address : NULL,
                              .task_manager = failure->worker ? failure->worker->task_manager : NULL,
                          });
    free(task);
}

static void log_failure(struct job *job, struct step *step)
{
    char id[WEIR_ID_HEX + 1];
    const struct exception_entry *entry = exception_history_get(&job->exceptions, 0);
    step_log(step, LOG_WARN, logger, "Job %s (%s) failed: %s: %s%s%s%s%s", job->graph.descriptor->name,
             weir_id_format(&job->graph.job, id), entry->name, *entry->task ? entry->task : "",
             *entry->task ? ": " : "", entry->message, *entry->stack ? "\n" : "", entry->stack);
}

static void decide(struct job *job, struct step *step, const struct job_failure *failure)
{
    int64_t delay_ms = 0;
    char id[WEIR_ID_HEX + 1];
    if (!failure->fatal &&
        restart_strategy_on_failure(&job->restart, step->now_ms, step->random, &delay_ms)) {
        job->restarts++;
        job->restart_at_ms = step->now_ms + delay_ms;
        step_log(step, LOG_INFO, logger, "%u tasks will be restarted to recover the failed task %s.",
                 job->graph.count,
                 failure->execution ? failure->execution->attempt_id : weir_id_format(&job->graph.job, id));
        execution_graph_switch(&job->graph, step, JOB_RESTARTING);
    } else {
        step_log(step, LOG_WARN, logger, "Recovery of job %s is suppressed: %s.",
                 weir_id_format(&job->graph.job, id),
                 failure->fatal ? "a restart can't help" : "the restart strategy allows no further restart");
        execution_graph_switch(&job->graph, step, JOB_FAILING);
    }
}

static void cancel_tasks(struct job *job, struct step *step)
{
    for (uint32_t i = 0; i < job->graph.count; i++) {
        struct execution *execution = &job->graph.executions[i];
        if (task_state_is_terminal(execution->state))
            continue;
        const struct job_worker *worker = job_worker_of(job, execution);
        bool lives = worker && worker->has_tasks;
        execution_switch(&job->graph, step, execution,
                         lives ? WEIR__TASK_STATE__TASK_CANCELING : WEIR__TASK_STATE__TASK_CANCELED, NULL);
    }
}

void job_fail(struct job *job, struct step *step, const struct job_failure *failure)
{
    assert(job->graph.state == JOB_RUNNING);
    if (failure->execution &&
        task_state_may_become(failure->execution->state, WEIR__TASK_STATE__TASK_FAILED)) {
        char *where = failure->worker ? job_worker_location(failure->worker) : NULL;
        execution_switch(&job->graph, step, failure->execution, WEIR__TASK_STATE__TASK_FAILED, where);
        free(where);
    }
    remember(job, step, failure);
    log_failure(job, step);
    checkpoint_coordinator_stop(&job->checkpoints, step, "The attempt has failed.");
    job->phase = PHASE_NONE;
    job->slot_deadline_ms = job->deploy_at_ms = INT64_MAX;
    decide(job, step, failure);
    cancel_tasks(job, step);
    job_stop_workers(job, step, failure->message);
    job_progress(job, step);
}
