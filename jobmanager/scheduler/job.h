/* One job from its submission to its end (Flink's JobMaster): execution graph, workers, checkpoints,
 * failures. Owned by the dispatcher; pure. See README.md for its phases. */
#ifndef WEIR_SCHEDULER_JOB_H
#define WEIR_SCHEDULER_JOB_H

#include "jobmanager/checkpoint/checkpoint_coordinator.h"
#include "jobmanager/core/commands/messages.h"
#include "jobmanager/executiongraph/execution_graph.h"
#include "jobmanager/failover/exception_history.h"
#include "jobmanager/failover/restart_strategy.h"
#include "jobmanager/slots/slot_pool.h"

enum {
    CANCEL_TIMEOUT_MS = 30000, /* orderly; then the workers are killed. Also for a worker to end by itself. */
    WORKER_STOP_TIMEOUT_MS = 60000, /* a taskmanager that hasn't killed a worker by then is given up */
};

/* One attempt's worker process in one taskmanager.
 *
 *   STARTING -> READY -> DEPLOYED ---.
 *       |         |         |        |   (its tasks have ended: it ends by itself)
 *       `---------+---------+-> STOPPING -> GONE
 *       `---------+---------+-------------> GONE   (it, or its taskmanager, died)
 */
enum worker_state { WORKER_STARTING, WORKER_READY, WORKER_DEPLOYED, WORKER_STOPPING, WORKER_GONE };

struct job_worker {
    enum worker_state state;
    bool has_tasks; /* has been deployed to */
    uint64_t session;
    char *task_manager, *host, *data_address; /* owned; ids and addresses outlive the registration */
    uint32_t first_slot, slot_count;          /* of the job's slots: subtask k of each vertex is in slot k */
    int64_t stop_deadline_ms;                 /* STOPPING */
};

struct worker_by_session {
    uint64_t session;
    uint32_t worker;
};

/* Where the present attempt is. Beyond it, only the job's state counts. */
enum job_phase { PHASE_NONE, PHASE_WAITS_FOR_SLOTS, PHASE_STARTS_WORKERS, PHASE_DEPLOYS, PHASE_DEPLOYED };

struct job {
    uint64_t sequence; /* ascending with submission */
    struct execution_graph graph;
    struct checkpoint_coordinator checkpoints;
    struct restart_strategy restart;
    struct exception_history exceptions;
    Weir__JobProgram *program; /* owned */
    struct config *config;     /* effective; owned; NULL when the job has ended */
    bool allow_non_restored_state;
    bool max_parallelism_is_given;
    int64_t slot_timeout_ms; /* −1: none */

    /* The present attempt: */
    enum job_phase phase;
    uint64_t ticket; /* WAITS_FOR_SLOTS: the lowest has waited longest */
    struct vec_of(struct job_worker) workers;
    struct vec_of(struct worker_by_session) by_session;
    uint32_t *slot_worker; /* per slot of the job: index of its worker */
    uint32_t *slot_index;  /* per slot of the job: index in the taskmanager */
    uint32_t live_workers, ready_workers, deployed_workers;
    struct restore_plan restore;
    const char *restore_base; /* borrowed from checkpoints; NULL: nothing to restore */
    uint64_t restore_checkpoint_id;

    /* Times; INT64_MAX: none. */
    int64_t restart_at_ms;
    int64_t slot_deadline_ms;
    int64_t deploy_at_ms; /* there is more to deploy */
    int64_t stop_at_ms;   /* workers that are still there are killed */
    int64_t stop_deadline_ms;
    uint32_t restarts;
};

struct job_setup {
    struct weir_id id;
    uint64_t sequence;
    const Weir__SubmitJob *submit; /* validated; copied */
    const struct config *config;   /* the cluster's */
};

/* ---- life (job.c) */
/* Makes the effective configuration; nothing is started. */
int job_new(const struct job_setup *setup, struct step *step, struct job **ret_job,
            struct error *err) WEIR_CHECK;
void job_free(struct job *job);
/* INITIALIZING -> RUNNING, waiting for slots. */
void job_start(struct job *job, struct step *step, const struct weir_id *master_id);
/* Looks whether the job can go on, after anything has changed. */
void job_progress(struct job *job, struct step *step);
void job_tick(struct job *job, struct step *step);
int64_t job_deadline(const struct job *job);
/* Ended, its workers gone, no file operation under way: nothing more will happen. */
bool job_is_settled(const struct job *job);
bool job_has_ended(const struct job *job);
struct deployment job_deployment(const struct job *job);
/* Orderly. 0, or WEIR_E_STATE with Flink's text. */
int job_cancel(struct job *job, struct step *step, struct error *err) WEIR_CHECK;
/* Answered by step_reply_snapshot, in this step or later. */
void job_take_snapshot(struct job *job, struct step *step, uint64_t request,
                       const struct snapshot_wish *wish);
/* The savepoint that the job is to be cancelled with is complete. */
void job_cancel_with_savepoint(struct job *job, struct step *step, const struct checkpoint_action *action);

/* ---- failures (job_failover.c) */
struct job_failure {
    const char *name;                /* "TaskManagerLost" */
    const char *message;             /* one sentence */
    const char *stack;               /* or NULL */
    struct execution *execution;     /* or NULL */
    const struct job_worker *worker; /* or NULL */
    bool fatal;
};
/* The attempt is over: the job restarts or fails. Only while RUNNING. */
void job_fail(struct job *job, struct step *step, const struct job_failure *failure);
/* A new attempt: tasks SCHEDULED. The job is RUNNING. */
void job_start_attempt(struct job *job, struct step *step);

/* ---- slots, workers (job_workers.c) */
/* Takes slots and starts workers if there are enough; the job waits for slots. */
bool job_try_slots(struct job *job, struct step *step, struct slot_pool *pool);
struct job_worker *job_find_worker(const struct job *job, uint64_t session); /* NULL: none, or gone */
/* The live worker of an execution, or NULL. */
struct job_worker *job_worker_of(const struct job *job, const struct execution *execution);
void job_stop_workers(struct job *job, struct step *step, const char *reason);
void job_stop_worker(struct job *job, struct step *step, struct job_worker *worker, const char *reason);
/* Its process is no more: its tasks are CANCELED unless they ended before. */
void job_worker_gone(struct job *job, struct step *step, struct job_worker *worker, bool cancel_tasks);
/* The next task of a worker from *cursor (begin with 0) on, in any state, or NULL. */
struct execution *job_worker_task(const struct job *job, const struct job_worker *worker, uint64_t *cursor);
void job_clear_workers(struct job *job);
/* " on <taskmanager> @ <host> (dataPort=<port>)" without the blank; malloc'ed. */
char *job_worker_location(const struct job_worker *worker);
/* A worker that should be dead by now: its session, else 0. */
uint64_t job_overdue_worker(const struct job *job, int64_t now_ms);
void job_update_stop_deadline(struct job *job);

/* ---- deployment (job_deployment.c) */
Weir__ToTaskManager *job_start_worker_message(const struct job *job, const struct job_worker *worker);
/* As much as fits into one step; the rest when the time is deploy_at_ms. */
void job_deploy(struct job *job, struct step *step);

/* ---- what peers say (job_messages.c); worker: live */
void job_worker_ready(struct job *job, struct step *step, struct job_worker *worker,
                      const Weir__WorkerReady *ready);
void job_worker_exited(struct job *job, struct step *step, struct job_worker *worker,
                       const Weir__WorkerExited *exited);
void job_worker_lost(struct job *job, struct step *step, struct job_worker *worker, const char *message);
void job_task_state(struct job *job, struct step *step, struct job_worker *worker,
                    const Weir__TaskStateUpdate *update);
void job_checkpoint_ack(struct job *job, struct step *step, struct job_worker *worker,
                        const Weir__CheckpointAck *ack);
void job_checkpoint_decline(struct job *job, struct step *step, struct job_worker *worker,
                            const Weir__CheckpointDecline *decline);
void job_metrics(struct job *job, struct job_worker *worker, const Weir__MetricsReport *report);
/* Tells the workers what the checkpoint coordinator wants. */
void job_do_checkpoint_action(struct job *job, struct step *step, const struct checkpoint_action *action);

#endif
