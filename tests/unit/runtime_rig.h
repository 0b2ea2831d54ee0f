/* A job in one thread for tests: its stream graph, one job_runtime per worker, a network that moves buffers,
 * a clock, and the coordinator's part of checkpoints. Steps are taken in a random order from a seed; a task
 * that sleeps is stepped only when it was woken or its deadline has come, so a lost wake-up shows as a job
 * that is stuck. */
#ifndef WEIR_TESTS_RUNTIME_RIG_H
#define WEIR_TESTS_RUNTIME_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/id.h"
#include "common/base/vec.h"
#include "taskmanager/worker/task/job_runtime.h"
#include "taskmanager/worker/task/operator_table.h"

enum { RIG_WORKERS_MAX = 3, RIG_TASKS_MAX = 64 };

struct rig;

struct rig_task {
    struct waker waker;
    struct rig *rig;
    uint32_t worker;
    struct task *task;
    bool runnable;
    bool ended;
    Weir__TaskState state;
    char *error; /* FAILED; owned */
    bool fatal;
    uint32_t vertex, subtask;
};

struct rig_worker {
    char name[16];
    Weir__DeployTasks *deployment; /* owned */
    struct job_runtime *runtime;
    uint32_t first_task; /* in rig->tasks */
};

struct rig_config {
    const weir_job_descriptor *job;
    const char *arguments[8]; /* NULL-terminated */
    uint32_t parallelism;
    uint32_t workers;
    uint64_t seed;
    uint64_t slow_ms; /* steps take up to this long; 0: no time */
    struct task_config task;
    operator_new_fn *operators[OPERATOR_KINDS]; /* in place of the real ones; NULL: the real one */
    const struct kafka_provider *kafka;
};

struct rig {
    struct rig_config config;
    struct random random;
    struct user_environment environment;
    int64_t now_ms;
    struct stream_graph *graph;
    Weir__JobGraph *job_graph;
    operator_new_fn *operators[OPERATOR_KINDS];
    struct rig_worker workers[RIG_WORKERS_MAX];
    struct rig_task tasks[RIG_TASKS_MAX];
    uint32_t task_count;
    struct vec_of(struct waker *) wake_later; /* of operators that wait for something outside */
    /* The checkpoint under way and the last completed one: */
    uint64_t checkpoint_id; /* 0: none under way */
    struct vec_of(Weir__CheckpointAck *) acks;
    struct vec_of(Weir__CheckpointAck *) finished; /* final states of tasks that have ended */
    uint32_t completed_by_end;                     /* acknowledgements that were such */
    uint64_t completed_id;                         /* 0: none yet */
    struct vec_of(Weir__CheckpointAck *) completed;
    uint64_t last_id;
    uint32_t declines;
    char last_decline[256];
};

/* Builds the graph and deploys; the states of the last completed checkpoint are restored. */
void rig_start(struct rig *rig, const struct rig_config *config);
/* Ends all workers as a kill would: nothing is flushed. Checkpoints stay. */
void rig_kill(struct rig *rig);
void rig_deinit(struct rig *rig);
/* One task step or one move of the network or of the clock. False: all tasks have ended. Fails the test when
 * stuck. */
bool rig_step(struct rig *rig);
/* Until all have ended; fails the test after limit steps. */
void rig_run(struct rig *rig, uint64_t limit);
/* Steps until condition; fails the test after limit steps or when all have ended. */
void rig_run_until(struct rig *rig, bool (*condition)(struct rig *rig), uint64_t limit);
void rig_trigger(struct rig *rig); /* unless one is under way */
void rig_abort_checkpoint(struct rig *rig);
void rig_post(struct rig *rig, enum task_mail_kind kind, uint64_t checkpoint_id);
struct rig_task *rig_find(struct rig *rig, uint32_t vertex, uint32_t subtask);

#endif
