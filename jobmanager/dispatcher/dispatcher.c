#include "jobmanager/dispatcher/dispatcher.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "jobmanager/dispatcher/dispatcher_jobs.h"

static const char logger[] = "weir.runtime.dispatcher.Dispatcher";

void dispatcher_init(struct dispatcher *dispatcher, const struct config *config, struct weir_id incarnation)
{
    *dispatcher = (struct dispatcher){
        .config = config,
        .incarnation = incarnation,
        .history = (size_t)config_integer(config, OPT_WEB_HISTORY),
        .next_ticket = 1,
    };
}

void dispatcher_deinit(struct dispatcher *dispatcher)
{
    vec_for_each (job, &dispatcher->jobs)
        job_free(*job);
    vec_free(&dispatcher->jobs);
    vec_free(&dispatcher->by_id);
    vec_free(&dispatcher->active);
    vec_for_each (submission, &dispatcher->submissions) {
        job_free(submission->job);
        free(submission->restore_path);
    }
    vec_free(&dispatcher->submissions);
}

void dispatcher_cancel(struct dispatcher *dispatcher, struct step *step, uint64_t request,
                       const struct weir_id *id)
{
    struct job *job = dispatcher_find(dispatcher, id);
    if (!job) {
        step_reply_cancel(step, request, WEIR_E_NOT_FOUND, "Job could not be found.");
        return;
    }
    struct error err = {0};
    int rc = job_cancel(job, step, &err);
    step_reply_cancel(step, request, rc, rc < 0 ? err.message : NULL);
}

void dispatcher_take_snapshot(struct dispatcher *dispatcher, struct step *step, uint64_t request,
                              const struct weir_id *id, const struct snapshot_wish *wish)
{
    struct job *job = dispatcher_find(dispatcher, id);
    char hex[WEIR_ID_HEX + 1];
    struct error err = {0};
    /* As in Flink, one that has ended can't be found. */
    if (!job || job_has_ended(job)) {
        error_set(&err, WEIR_E_NOT_FOUND, "Could not find Weir job (%s)", weir_id_format(id, hex));
        step_reply_snapshot(step, request, err.rc, err.message, 0);
        return;
    }
    job_take_snapshot(job, step, request, wish);
}

void dispatcher_directory_ready(struct dispatcher *dispatcher, struct step *step,
                                const struct core_event *event)
{
    struct job *job = dispatcher_find(dispatcher, &event->job);
    if (!job)
        return;
    struct checkpoint_action action = checkpoint_coordinator_directory_ready(
        &job->checkpoints, step, &job->graph, event->checkpoint_id, event->rc, event->message);
    job_do_checkpoint_action(job, step, &action);
}

void dispatcher_metadata_persisted(struct dispatcher *dispatcher, struct step *step,
                                   const struct core_event *event)
{
    struct job *job = dispatcher_find(dispatcher, &event->job);
    if (!job)
        return;
    struct checkpoint_action action = checkpoint_coordinator_persisted(
        &job->checkpoints, step, event->checkpoint_id, event->metadata_bytes, event->rc, event->message);
    job_do_checkpoint_action(job, step, &action);
    if (action.cancel)
        job_cancel_with_savepoint(job, step, &action);
}

/* ---- messages
 * ------------------------------------------------------------------------------------------------------ */

static const Weir__DeploymentId *deployment_of(const Weir__ToJobManager *message)
{
    switch (message->body_case) {
    case WEIR__TO_JOB_MANAGER__BODY_WORKER_READY:
        return message->worker_ready->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED:
        return message->worker_exited->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_TASK_STATE:
        return message->task_state->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK:
        return message->checkpoint_ack->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_DECLINE:
        return message->checkpoint_decline->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_METRICS:
        return message->metrics->deployment;
    default:
        return NULL;
    }
}

static void deliver(struct job *job, struct job_worker *worker, struct step *step, struct slot_pool *pool,
                    struct task_manager *task_manager, const Weir__ToJobManager *message)
{
    switch (message->body_case) {
    case WEIR__TO_JOB_MANAGER__BODY_WORKER_READY:
        job_worker_ready(job, step, worker, message->worker_ready);
        free(task_manager->data_address);
        task_manager->data_address = xstrdup(worker->data_address);
        break;
    case WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED:
        slot_pool_release(pool, task_manager, &job->graph.job);
        job_worker_exited(job, step, worker, message->worker_exited);
        break;
    case WEIR__TO_JOB_MANAGER__BODY_TASK_STATE:
        job_task_state(job, step, worker, message->task_state);
        break;
    case WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK:
        job_checkpoint_ack(job, step, worker, message->checkpoint_ack);
        break;
    case WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_DECLINE:
        job_checkpoint_decline(job, step, worker, message->checkpoint_decline);
        break;
    case WEIR__TO_JOB_MANAGER__BODY_METRICS:
        job_metrics(job, worker, message->metrics);
        break;
    default:
        break;
    }
}

void dispatcher_message(struct dispatcher *dispatcher, struct step *step, struct slot_pool *pool,
                        struct task_manager *task_manager, const Weir__ToJobManager *message)
{
    const Weir__DeploymentId *deployment = deployment_of(message);
    struct weir_id id;
    struct job *job = NULL;
    if (deployment && weir_id_from_bytes(deployment->job_id.data, deployment->job_id.len, &id))
        job = dispatcher_find(dispatcher, &id);
    struct job_worker *worker = NULL;
    if (job && deployment->attempt == job->graph.attempt)
        worker = job_find_worker(job, task_manager->session);
    if (worker)
        deliver(job, worker, step, pool, task_manager, message);
    else
        step_log(step, LOG_DEBUG, logger,
                 "Dropping a message of TaskManager %s: it is about a job, attempt or worker that is not "
                 "there any more.",
                 task_manager->id);
}

void dispatcher_task_manager_lost(struct dispatcher *dispatcher, struct step *step, uint64_t session,
                                  const char *message)
{
    vec_for_each (item, &dispatcher->active) {
        struct job_worker *worker = job_find_worker(*item, session);
        if (worker)
            job_worker_lost(*item, step, worker, message);
    }
}

/* ---- time, slots
 * --------------------------------------------------------------------------------------------------- */

void dispatcher_tick(struct dispatcher *dispatcher, struct step *step)
{
    vec_for_each (job, &dispatcher->active)
        if (job_deadline(*job) <= step->now_ms)
            job_tick(*job, step);
}

int64_t dispatcher_deadline(const struct dispatcher *dispatcher)
{
    int64_t deadline = INT64_MAX;
    vec_for_each (job, &dispatcher->active) {
        int64_t of_job = job_deadline(*job);
        if (of_job < deadline)
            deadline = of_job;
    }
    return deadline;
}

uint64_t dispatcher_overdue_task_manager(const struct dispatcher *dispatcher, int64_t now_ms)
{
    vec_for_each (job, &dispatcher->active) {
        uint64_t session = job_overdue_worker(*job, now_ms);
        if (session != 0)
            return session;
    }
    return 0;
}

static int by_ticket(const void *a, const void *b)
{
    const struct job *x = *(const struct job *const *)a, *y = *(const struct job *const *)b;
    return (x->ticket > y->ticket) - (x->ticket < y->ticket);
}

/* The one that has waited longest is tried first. One that fits may go before it: otherwise a job that is
 * larger than the cluster would stop all others for ever. */
static void give_slots(struct dispatcher *dispatcher, struct step *step, struct slot_pool *pool)
{
    struct vec_of(struct job *) waiting = {0};
    vec_for_each (job, &dispatcher->active) {
        if ((*job)->phase != PHASE_WAITS_FOR_SLOTS)
            continue;
        if ((*job)->ticket == 0)
            (*job)->ticket = dispatcher->next_ticket++;
        vec_push(&waiting, *job);
    }
    if (waiting.count > 0)
        qsort(waiting.items, waiting.count, sizeof *waiting.items, by_ticket);
    vec_for_each (job, &waiting)
        job_try_slots(*job, step, pool);
    vec_free(&waiting);
}

void dispatcher_settle(struct dispatcher *dispatcher, struct step *step, struct slot_pool *pool)
{
    if (step->slots_wanted || pool->grown)
        give_slots(dispatcher, step, pool);
    step->slots_wanted = pool->grown = false;
    dispatcher_forget_jobs(dispatcher);
}
