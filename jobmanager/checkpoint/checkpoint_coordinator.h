/* Takes one job's checkpoints: when, with whom, and what comes of it. Owned by its job; pure. It does not
 * know workers: what has to be told to them is returned as an action. See README.md for the states of a
 * checkpoint. */
#ifndef WEIR_CHECKPOINT_CHECKPOINT_COORDINATOR_H
#define WEIR_CHECKPOINT_CHECKPOINT_COORDINATOR_H

#include "jobmanager/checkpoint/checkpoint_history.h"
#include "jobmanager/checkpoint/checkpoint_settings.h"
#include "jobmanager/checkpoint/restore_plan.h"
#include "jobmanager/executiongraph/execution_graph.h"

enum checkpoint_action_kind {
    CHECKPOINT_ACTION_NONE,
    CHECKPOINT_ACTION_TRIGGER,  /* tell the workers with unfinished sources to inject the barrier */
    CHECKPOINT_ACTION_COMPLETE, /* tell all workers that it is complete */
    CHECKPOINT_ACTION_ABORTED,  /* tell all workers that it will not be */
};
struct checkpoint_action {
    enum checkpoint_action_kind kind;
    uint64_t id;
    int64_t timestamp_ms;
    const char *directory; /* TRIGGER only; valid until the next call */
    bool savepoint;        /* TRIGGER */
    Weir__StopMode stop;   /* TRIGGER */
    bool cancel;           /* the job is to be cancelled: its savepoint is complete */
    const char *path;      /* cancel: of the savepoint; valid until the next call */
};

enum pending_phase { PENDING_CREATES_DIRECTORY, PENDING_WAITS_FOR_ACKS, PENDING_PERSISTS };

struct state_list vec_of(Weir__OperatorState *); /* owned */

/* Somebody's wish for a snapshot. */
struct snapshot_order {
    uint64_t request; /* 0: nobody's, by the interval */
    bool savepoint, cancel;
    Weir__StopMode stop;
    char *directory; /* of savepoints; owned */
};

struct pending_checkpoint {
    uint64_t id; /* 0: there is none */
    struct snapshot_order order;
    enum pending_phase phase;
    int64_t trigger_ms;
    int64_t deadline_ms;
    int64_t acknowledged_ms; /* when the last one came */
    char *path;
    bool *settled; /* per execution: acknowledged, or not asked */
    uint32_t subtasks, acknowledged;
    struct state_list states;
    void *packed; /* PERSISTS: the metadata, for a later restore */
    size_t packed_size;
};

/* Something to restore from. */
struct snapshot_source {
    uint64_t id; /* checkpoint id; 0: no such thing */
    int64_t timestamp_ms;
    bool savepoint;
    char *path;   /* of its directory, owned */
    void *packed; /* SnapshotMetadata, owned; NULL when subsumed by a newer one */
    size_t packed_size;
};

struct unanswered {
    uint64_t id;
    char *path;
};

struct ended_task {
    uint32_t execution;
    struct state_list states;
};

struct checkpoint_coordinator {
    struct checkpoint_settings settings;
    struct weir_id job;
    struct checkpoint_history history;
    bool active;  /* all tasks of the attempt have been running */
    bool blocked; /* a source has ended without saying its last state: none any more in this attempt */
    uint64_t next_id;
    int64_t next_trigger_ms;
    uint32_t consecutive_failures;
    struct pending_checkpoint pending;
    struct vec_of(struct snapshot_source) completed; /* retained, oldest first */
    struct snapshot_source initial;                  /* what the job was started from */
    struct vec_of(struct ended_task) ended;          /* FINISHED tasks of this attempt with state */
    struct vec_of(struct snapshot_order) orders;     /* not begun yet, oldest first */
    struct snapshot_source stopped;              /* complete savepoint of a stop; the job is about to end */
    char *savepoint_path;                        /* of the last savepoint; owned */
    struct snapshot_order stop_order;            /* its wish, to be answered at the end; request 0: none */
    struct vec_of(struct unanswered) unanswered; /* given up while a file operation was under way */
    bool discard_all;                            /* the job has ended and keeps nothing */
    int64_t restored_ms;                         /* −1: never */
    uint64_t restored_id;
};

/* Takes what the settings own. */
void checkpoint_coordinator_init(struct checkpoint_coordinator *coordinator, const struct weir_id *job,
                                 struct checkpoint_settings *settings_take);
void checkpoint_coordinator_deinit(struct checkpoint_coordinator *coordinator);
/* The job starts from a snapshot that has been matched. */
void checkpoint_coordinator_set_initial(struct checkpoint_coordinator *coordinator, struct step *step,
                                        const Weir__SnapshotMetadata *snapshot, const char *path);

/* ---- an attempt */
/* A new attempt: what it starts from, as a plan (empty: nothing), its directory (NULL) and checkpoint id (0).
 */
void checkpoint_coordinator_restore(struct checkpoint_coordinator *coordinator, struct step *step,
                                    struct restore_plan *ret_plan, const char **ret_base,
                                    uint64_t *ret_checkpoint_id);
/* All tasks run: checkpoints begin. Does nothing when they have begun. */
void checkpoint_coordinator_start(struct checkpoint_coordinator *coordinator, struct step *step);
/* All tasks have FINISHED: a stop has succeeded. Before stop. */
void checkpoint_coordinator_job_finished(struct checkpoint_coordinator *coordinator, struct step *step);
/* The attempt is over: gives up the pending checkpoint. */
void checkpoint_coordinator_stop(struct checkpoint_coordinator *coordinator, struct step *step,
                                 const char *reason);
/* The job is in a terminal state: applies the retention. After stop. */
void checkpoint_coordinator_end(struct checkpoint_coordinator *coordinator, struct step *step,
                                enum job_state state);

/* Begins it, or lets it wait for the one under way. Answered by step_reply_snapshot, also when it can't be.
 */
void checkpoint_coordinator_wish(struct checkpoint_coordinator *coordinator, struct step *step,
                                 const struct execution_graph *graph, uint64_t request,
                                 const struct snapshot_wish *wish);

/* ---- events. graph: of the job, states up to date */
int64_t checkpoint_coordinator_deadline(const struct checkpoint_coordinator *coordinator);
struct checkpoint_action checkpoint_coordinator_tick(struct checkpoint_coordinator *coordinator,
                                                     struct step *step, const struct execution_graph *graph);
struct checkpoint_action checkpoint_coordinator_directory_ready(struct checkpoint_coordinator *coordinator,
                                                                struct step *step,
                                                                const struct execution_graph *graph,
                                                                uint64_t id, int rc, const char *message);
struct checkpoint_action checkpoint_coordinator_ack(struct checkpoint_coordinator *coordinator,
                                                    struct step *step, const struct execution_graph *graph,
                                                    const struct execution *execution,
                                                    const Weir__CheckpointAck *ack);
/* where: "task manager id @ host", for the log. */
struct checkpoint_action checkpoint_coordinator_decline(struct checkpoint_coordinator *coordinator,
                                                        struct step *step, const struct execution *execution,
                                                        uint64_t id, const char *reason, const char *where);
/* A task has become FINISHED: counts as its acknowledgement, with the states it had at its end. */
struct checkpoint_action checkpoint_coordinator_task_finished(struct checkpoint_coordinator *coordinator,
                                                              struct step *step,
                                                              const struct execution_graph *graph,
                                                              const struct execution *execution,
                                                              const Weir__TaskStateUpdate *update);
struct checkpoint_action checkpoint_coordinator_persisted(struct checkpoint_coordinator *coordinator,
                                                          struct step *step, uint64_t id,
                                                          uint64_t metadata_bytes, int rc,
                                                          const char *message);

#endif
