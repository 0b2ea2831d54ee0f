#include "jobmanager/scheduler/job.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

static const char master_logger[] = "weir.runtime.jobmaster.JobMaster";
static const char dispatcher_logger[] = "weir.runtime.dispatcher.Dispatcher";

/* ---- beginning
 * ----------------------------------------------------------------------------------------------------- */

static int effective_config(struct job *job, const struct job_setup *setup, struct error *err)
{
    job->config = config_copy(setup->config);
    const Weir__JobGraph *graph = setup->submit->graph;
    for (size_t i = 0; i < graph->n_configuration; i++) {
        const Weir__KeyValue *setting = graph->configuration[i];
        int rc = config_set(job->config, setting->key, setting->value ? setting->value : "",
                            "job configuration", err);
        if (rc < 0)
            return rc;
    }
    job->max_parallelism_is_given = config_is_set(job->config, OPT_MAX_PARALLELISM) &&
                                    config_integer(job->config, OPT_MAX_PARALLELISM) > 0;
    job->slot_timeout_ms = config_has(job->config, OPT_SLOT_REQUEST_TIMEOUT)
                               ? config_duration_ms(job->config, OPT_SLOT_REQUEST_TIMEOUT)
                               : -1;
    return 0;
}

static struct job *job_alloc(const struct job_setup *setup)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->sequence = setup->sequence;
    job->allow_non_restored_state = setup->submit->allow_non_restored_state;
    job->phase = PHASE_NONE;
    job->restart_at_ms = job->slot_deadline_ms = job->deploy_at_ms = job->stop_at_ms = job->stop_deadline_ms =
        INT64_MAX;
    return job;
}

int job_new(const struct job_setup *setup, struct step *step, struct job **ret_job, struct error *err)
{
    struct job *job = job_alloc(setup);
    struct checkpoint_settings settings = {0};
    int rc = effective_config(job, setup, err);
    if (rc == 0)
        rc = checkpoint_settings_init(&settings, job->config, &setup->id, err);
    if (rc == 0)
        rc = restart_strategy_init(&job->restart, job->config, settings.interval_ms > 0, err);
    if (rc < 0) {
        checkpoint_settings_deinit(&settings);
        config_free(job->config);
        free(job);
        return rc;
    }
    exception_history_init(&job->exceptions, (size_t)config_integer(job->config, OPT_EXCEPTION_HISTORY));
    checkpoint_coordinator_init(&job->checkpoints, &setup->id, &settings);
    job->program = message_copy(setup->submit->program);
    execution_graph_init(&job->graph, &setup->id, message_copy(setup->submit->graph), step);
    *ret_job = job;
    return 0;
}

void job_free(struct job *job)
{
    restore_plan_deinit(&job->restore);
    job_clear_workers(job);
    vec_free(&job->workers);
    vec_free(&job->by_session);
    exception_history_deinit(&job->exceptions);
    checkpoint_coordinator_deinit(&job->checkpoints);
    execution_graph_deinit(&job->graph);
    weir__job_program__free_unpacked(job->program, NULL);
    if (job->config)
        config_free(job->config);
    free(job);
}

struct deployment job_deployment(const struct job *job)
{
    return (struct deployment){.job = job->graph.job, .attempt = job->graph.attempt};
}

void job_start(struct job *job, struct step *step, const struct weir_id *master_id)
{
    char id[WEIR_ID_HEX + 1], master[WEIR_ID_HEX + 1], strategy[512];
    weir_id_format(&job->graph.job, id);
    const char *name = job->graph.descriptor->name;
    step_log(step, LOG_INFO, master_logger, "Initializing job '%s' (%s).", name, id);
    step_log(step, LOG_INFO, master_logger, "Using restart back off time strategy %s for %s (%s).",
             restart_strategy_describe(&job->restart, strategy, sizeof strategy), name, id);
    execution_graph_switch(&job->graph, step, JOB_CREATED);
    step_log(step, LOG_INFO, master_logger, "Starting execution of job '%s' (%s) under job master id %s.",
             name, id, weir_id_format(master_id, master));
    step_log(step, LOG_INFO, master_logger,
             "Starting scheduling with scheduling strategy [PipelinedRegionSchedulingStrategy]");
    execution_graph_switch(&job->graph, step, JOB_RUNNING);
    job_start_attempt(job, step);
}

/* ---- end
 * -----------------------------------------------------------------------------------------------------------
 */

bool job_has_ended(const struct job *job)
{
    return job_state_is_terminal(job->graph.state);
}

bool job_is_settled(const struct job *job)
{
    return job_has_ended(job) && job->live_workers == 0 && job->checkpoints.unanswered.count == 0;
}

static void end(struct job *job, struct step *step, enum job_state state)
{
    char id[WEIR_ID_HEX + 1];
    weir_id_format(&job->graph.job, id);
    assert(job->graph.ended == job->graph.count);
    if (state == JOB_FINISHED)
        checkpoint_coordinator_job_finished(&job->checkpoints, step);
    checkpoint_coordinator_stop(&job->checkpoints, step, "The job has ended.");
    execution_graph_switch(&job->graph, step, state);
    restore_plan_deinit(&job->restore);
    job->restore_base = NULL;
    checkpoint_coordinator_end(&job->checkpoints, step, state);
    job->phase = PHASE_NONE;
    job->restart_at_ms = job->slot_deadline_ms = job->deploy_at_ms = INT64_MAX;
    /* Workers whose tasks have all ended do so themselves. */
    job->stop_at_ms = job->live_workers > 0 ? step->now_ms + CANCEL_TIMEOUT_MS : INT64_MAX;
    config_free(job->config);
    job->config = NULL;
    step_log(step, LOG_INFO, dispatcher_logger, "Job %s reached terminal state %s.", id,
             job_state_name(state));
    step_log(step, LOG_INFO, master_logger, "Stopping the JobMaster for job '%s' (%s).",
             job->graph.descriptor->name, id);
}

/* ---- going on
 * ------------------------------------------------------------------------------------------------------ */

void job_progress(struct job *job, struct step *step)
{
    struct execution_graph *graph = &job->graph;
    switch (graph->state) {
    case JOB_RUNNING:
        if (graph->by_state[WEIR__TASK_STATE__TASK_FINISHED] == graph->count)
            end(job, step, JOB_FINISHED);
        else if (job->phase == PHASE_DEPLOYED && execution_graph_is_running(graph))
            checkpoint_coordinator_start(&job->checkpoints, step);
        break;
    case JOB_RESTARTING:
        if (job->live_workers == 0 && step->now_ms >= job->restart_at_ms) {
            job->restart_at_ms = INT64_MAX;
            execution_graph_switch(graph, step, JOB_RUNNING);
            execution_graph_next_attempt(graph, step);
            job_start_attempt(job, step);
        }
        break;
    case JOB_FAILING:
        if (job->live_workers == 0)
            end(job, step, JOB_FAILED);
        break;
    case JOB_CANCELLING:
        if (graph->ended == graph->count)
            end(job, step, JOB_CANCELED);
        break;
    default:
        break;
    }
}

int64_t job_deadline(const struct job *job)
{
    int64_t deadline = checkpoint_coordinator_deadline(&job->checkpoints);
    const int64_t others[] = {job->slot_deadline_ms, job->deploy_at_ms, job->stop_at_ms,
                              job->stop_deadline_ms, job->live_workers == 0 ? job->restart_at_ms : INT64_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i] < deadline)
            deadline = others[i];
    return deadline;
}

void job_tick(struct job *job, struct step *step)
{
    if (step->now_ms >= job->slot_deadline_ms) {
        char *message = xasprintf("Could not acquire the minimum required resources: the job needs %u slots "
                                  "and has waited for them "
                                  "for %lld ms (slot.request.timeout).",
                                  job->graph.slots, (long long)job->slot_timeout_ms);
        job_fail(job, step,
                 &(struct job_failure){.name = "NoResourceAvailable", .message = message, .fatal = true});
        free(message);
    }
    if (step->now_ms >= job->deploy_at_ms)
        job_deploy(job, step);
    if (step->now_ms >= job->stop_deadline_ms)
        job_update_stop_deadline(job);
    if (step->now_ms >= job->stop_at_ms) {
        job->stop_at_ms = INT64_MAX;
        job_stop_workers(job, step, "its tasks did not end in time");
    }
    struct checkpoint_action action = checkpoint_coordinator_tick(&job->checkpoints, step, &job->graph);
    job_do_checkpoint_action(job, step, &action);
    job_progress(job, step);
}

int job_cancel(struct job *job, struct step *step, struct error *err)
{
    struct execution_graph *graph = &job->graph;
    if (graph->state == JOB_CANCELED || graph->state == JOB_CANCELLING)
        return 0;
    if (job_has_ended(job))
        return error_set(
            err, WEIR_E_STATE,
            "Job cancellation failed because the job has already reached another terminal state (%s).",
            job_state_name(graph->state));
    bool orderly = graph->state == JOB_RUNNING; /* else the workers are being killed already */
    execution_graph_switch(graph, step, JOB_CANCELLING);
    checkpoint_coordinator_stop(&job->checkpoints, step, "The job is being cancelled.");
    job->phase = PHASE_NONE;
    job->restart_at_ms = job->slot_deadline_ms = job->deploy_at_ms = INT64_MAX;
    struct deployment deployment = job_deployment(job);
    if (orderly) {
        vec_for_each (worker, &job->workers) {
            if (worker->state == WORKER_DEPLOYED)
                step_send(step, worker->session, message_cancel_tasks(&deployment));
            else if (worker->state != WORKER_GONE)
                job_stop_worker(job, step, worker, "the job is cancelled");
        }
        job->stop_at_ms = job->live_workers > 0 ? step->now_ms + CANCEL_TIMEOUT_MS : INT64_MAX;
        for (uint32_t i = 0; i < graph->count; i++) {
            struct execution *execution = &graph->executions[i];
            if (task_state_is_terminal(execution->state))
                continue;
            const struct job_worker *worker = job_worker_of(job, execution);
            execution_switch(graph, step, execution,
                             worker && worker->has_tasks ? WEIR__TASK_STATE__TASK_CANCELING
                                                         : WEIR__TASK_STATE__TASK_CANCELED,
                             NULL);
        }
    }
    job_progress(job, step);
    return 0;
}
