/* Takes submissions, knows all jobs, hands each message to its job, and slots to the jobs that wait for them.
 * Owned by the core; pure. */
#ifndef WEIR_DISPATCHER_DISPATCHER_H
#define WEIR_DISPATCHER_DISPATCHER_H

#include "jobmanager/scheduler/job.h"

enum { JOBS_LIVE_MAX = 10000, SUBMISSION_ARGUMENTS_MAX = 4096, SUBMISSION_TEXT_BYTES_MAX = 1 << 20 };

struct job_by_id {
    struct weir_id id;
    struct job *job;
};

/* A submission whose snapshot is being read. */
struct submission {
    uint64_t request;
    struct job *job; /* not among jobs yet; owned */
    char *restore_path;
};

struct dispatcher {
    const struct config *config; /* borrowed */
    struct weir_id incarnation;
    size_t history;                        /* ended jobs that are remembered */
    struct vec_of(struct job *) jobs;      /* by submission; owned */
    struct vec_of(struct job_by_id) by_id; /* the same, ascending */
    struct vec_of(struct job *) active;    /* those not settled yet */
    struct vec_of(struct submission) submissions;
    uint64_t next_sequence, next_ticket;
};

void dispatcher_init(struct dispatcher *dispatcher, const struct config *config, struct weir_id incarnation);
void dispatcher_deinit(struct dispatcher *dispatcher);

void dispatcher_submit(struct dispatcher *dispatcher, struct step *step, uint64_t request,
                       const Weir__SubmitJob *submit);
/* The answer to COMMAND_LOAD_SNAPSHOT. */
void dispatcher_snapshot_loaded(struct dispatcher *dispatcher, struct step *step,
                                const struct core_event *event);
void dispatcher_cancel(struct dispatcher *dispatcher, struct step *step, uint64_t request,
                       const struct weir_id *job);
void dispatcher_take_snapshot(struct dispatcher *dispatcher, struct step *step, uint64_t request,
                              const struct weir_id *job, const struct snapshot_wish *wish);
/* Answers to file operations of a job's checkpoints. */
void dispatcher_directory_ready(struct dispatcher *dispatcher, struct step *step,
                                const struct core_event *event);
void dispatcher_metadata_persisted(struct dispatcher *dispatcher, struct step *step,
                                   const struct core_event *event);
/* A message about a job; drops it when job, attempt or worker are not known. */
void dispatcher_message(struct dispatcher *dispatcher, struct step *step, struct slot_pool *pool,
                        struct task_manager *task_manager, const Weir__ToJobManager *message);
/* The taskmanager has been removed from the pool. */
void dispatcher_task_manager_lost(struct dispatcher *dispatcher, struct step *step, uint64_t session,
                                  const char *message);
void dispatcher_tick(struct dispatcher *dispatcher, struct step *step);
int64_t dispatcher_deadline(const struct dispatcher *dispatcher);
/* A taskmanager that doesn't get a worker killed: its session, else 0. */
uint64_t dispatcher_overdue_task_manager(const struct dispatcher *dispatcher, int64_t now_ms);
/* After each event: slots for those who wait, longest first; ended jobs forgotten. */
void dispatcher_settle(struct dispatcher *dispatcher, struct step *step, struct slot_pool *pool);

struct job *dispatcher_find(const struct dispatcher *dispatcher, const struct weir_id *id); /* NULL: none */
/* Index in jobs, or −1. */
int32_t dispatcher_index(const struct dispatcher *dispatcher, const struct weir_id *id);

#endif
