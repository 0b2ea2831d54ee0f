/* A core with an outside that a test directs: taskmanagers whose workers answer as told, a disk, a client, a
 * clock. */
#ifndef TESTS_UNIT_CORE_RIG_H
#define TESTS_UNIT_CORE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "jobmanager/core/view.h"

enum { RIG_TMS_MAX = 1024, RIG_START_MS = 1700000000000 / 1000 };

struct rig_task {
    uint32_t vertex, subtask, slot;
    Weir__TaskState state;
    Weir__OperatorState **restore;
    size_t restore_count;
    char *restore_base;
};

struct rig_worker {
    struct weir_id job;
    uint32_t attempt, slots;
    bool ready;
    struct vec_of(struct rig_task) tasks;
};

struct rig_tm {
    char id[32];
    uint32_t slots;
    uint64_t session; /* 0: not registered */
    struct vec_of(struct rig_worker) workers;
};

struct rig_message {
    uint64_t session;
    Weir__ToJobManager *message;
};

struct rig {
    struct config *config;
    struct core *core;
    int64_t now_ms;
    struct rig_tm tms[RIG_TMS_MAX];
    uint32_t tm_count;
    /* What happens by itself: */
    bool auto_ready, auto_run, auto_ack, auto_cancel, auto_stop, auto_exit, auto_directory, auto_persist;
    struct vec_of(struct rig_message) queue; /* on the way to the core */
    /* What happened, "TRIGGER 1", "PERSIST 1", "COMPLETE 1", "ABORTED 1", "DELETE <path>", "DISCONNECT …",
     * "SUBMITTED", "LOG …" */
    struct vec_of(char *) story;
    uint64_t acked; /* the checkpoint that the tasks acknowledged last */
    /* Answers that are due when they aren't given by themselves: */
    struct vec_of(struct core_event) due; /* message: NULL */
    int submit_rc, cancel_rc;
    char submit_message[2048], cancel_message[2048];
    struct weir_id job; /* of the last submission */
    bool submitted;
    struct vec_of(struct rig_disk_entry {
        char *path;
        Weir__SnapshotMetadata *metadata;
    }) disk;
    char *loads; /* path of a snapshot to be loaded; NULL: none */
    struct weir_id load_job;
    uint64_t messages; /* sent to taskmanagers */
};

/* settings: NULL-terminated "key", "value", …; may be NULL. "no directory": none for checkpoints. */
void rig_init(struct rig *rig, const char *const *settings);
void rig_deinit(struct rig *rig);
uint32_t rig_add_tm(struct rig *rig, uint32_t slots); /* registers */
void rig_register(struct rig *rig, uint32_t tm);
void rig_lose_tm(struct rig *rig, uint32_t tm); /* killed, and noticed */
void rig_step(struct rig *rig, const struct core_event *event);
/* Delivers one message of the queue, or all there are and come. */
void rig_deliver(struct rig *rig, size_t index);
void rig_drain(struct rig *rig);
/* Lets time pass, with ticks when the core wants them and heartbeats of all taskmanagers. */
void rig_pass(struct rig *rig, int64_t ms);
void rig_pass_silent(struct rig *rig, int64_t ms);                             /* without heartbeats */
void rig_send(struct rig *rig, uint32_t tm, Weir__ToJobManager *message_take); /* into the queue */
void rig_answer_due(struct rig *rig, int rc);                                  /* the oldest file operation */

/* source(parallelism) -> hash -> window(parallelism) -> rebalance -> sink(1). Free with free_unpacked. */
Weir__JobGraph *rig_graph(const char *name, uint32_t sources, uint32_t windows, uint32_t max_parallelism);
void rig_graph_set(Weir__JobGraph *graph, const char *key, const char *value);
/* Takes the graph; drains. */
void rig_submit(struct rig *rig, Weir__JobGraph *graph_take, const char *restore_path,
                bool allow_non_restored);
void rig_load_snapshot(struct rig *rig, const Weir__SnapshotMetadata *snapshot,
                       int rc); /* answers rig->loads */
void rig_cancel(struct rig *rig, const struct weir_id *job);

/* Messages of workers about the last job. */
Weir__ToJobManager *rig_task_state(struct rig *rig, uint32_t attempt, uint32_t vertex, uint32_t subtask,
                                   Weir__TaskState state);
Weir__ToJobManager *rig_ack(struct rig *rig, uint32_t attempt, uint32_t vertex, uint32_t subtask,
                            uint64_t checkpoint);
Weir__ToJobManager *rig_exited(struct rig *rig, uint32_t attempt, uint32_t signal, bool expected);
Weir__ToJobManager *rig_ready(struct rig *rig, uint32_t attempt);
/* The taskmanager that has the task of the last job, with its entry. */
uint32_t rig_find_task(struct rig *rig, uint32_t vertex, uint32_t subtask, struct rig_task **ret_task);
void rig_worker_dies(struct rig *rig, uint32_t tm, const struct weir_id *job,
                     uint32_t signal); /* and is seen */

void rig_worker_ends(struct rig *rig, uint32_t tm, const struct weir_id *job); /* as it should */

struct job_view rig_job(struct rig *rig);
enum job_state rig_state(struct rig *rig);
/* Positions in the story; −1: not there. From: where to look from. */
int rig_told(struct rig *rig, const char *prefix, int from);
int rig_count_told(struct rig *rig, const char *prefix);
const Weir__SnapshotMetadata *rig_disk(struct rig *rig, const char *path); /* NULL: not there */
/* No slot is used twice, no subtask runs twice, the core's counts add up. */
void rig_check(struct rig *rig);

#endif
