/* The inside of a task, shared by the files that step it. */
#ifndef WEIR_TASK_TASK_INNER_H
#define WEIR_TASK_TASK_INNER_H

#include "common/base/vec.h"
#include "taskmanager/worker/task/chain.h"
#include "taskmanager/worker/task/input_gate.h"
#include "taskmanager/worker/task/mailbox.h"
#include "taskmanager/worker/task/outputs.h"
#include "taskmanager/worker/task/task.h"

/*            first step             opened            end of input            finished
 *  CREATED ------------> OPENING ----------> RUNNING -------------> ENDING ------------> ENDED
 *     |                     |                 |                       |                    ^
 *     +---------------------+-----------------+--- canceled, failed --+--------------------+
 */
enum task_phase { PHASE_CREATED, PHASE_OPENING, PHASE_RUNNING, PHASE_ENDING, PHASE_ENDED, PHASE_COUNT };

/* What a task that waits is waiting for: whose time it counts as. */
enum task_wait { WAIT_NOT, WAIT_INPUT, WAIT_OUTPUT };

/* A checkpoint between its (last) barrier and its snapshot. */
struct task_checkpoint {
    bool active;
    struct gate_checkpoint what;
};

struct task_counters { /* published at the end of each step; read by any thread */
    _Atomic uint64_t records_in, records_out, bytes_in, bytes_out;
    _Atomic uint64_t busy_ms, idle_ms, backpressured_ms;
    _Atomic int64_t watermark_ms;
};

struct task {
    /* Immutable: */
    struct task_setup setup;
    char *name;
    /* Any thread: */
    struct mailbox mailbox;
    struct task_counters counters;
    /* Owner: */
    enum task_phase phase;
    struct outputs outputs;
    struct input_gate gate; /* not for sources */
    struct chain chain;
    bool is_source;
    bool final_watermark_sent, finishing; /* while ENDING */
    struct gate_event event;              /* what was read last */
    bool event_pending;                   /* a record that the first operator did not take yet */
    struct error error;                   /* of the input, of opening */
    struct task_checkpoint checkpoint;
    struct vec_of(struct task_mail) triggers; /* sources: not begun yet */
    uint64_t stopping_id;      /* the savepoint of a stop: the task rests behind its barrier; 0: no */
    uint32_t stop;             /* of it: Weir__StopMode */
    bool drained;              /* a source that has said the last watermark for a stop */
    bool suspended;            /* ending for a stop: windows don't fire */
    uint32_t budget;           /* records per step; see task_adapt_budget */
    int64_t flush_deadline_ms; /* INT64_MAX: nothing waits */
    uint64_t records_in;
    /* Time: */
    int64_t now_ms;       /* of this step */
    int64_t last_step_ms; /* INT64_MIN: none yet */
    enum task_wait last_wait;
    uint64_t busy_ms, idle_ms, backpressured_ms;
};

/* Moves the task on; asserts that the move is in the diagram above. */
void task_set_phase(struct task *task, enum task_phase phase);
/* Each ends the task: closes operators, gives input buffers back, reports. */
void task_end(struct task *task, Weir__TaskState state);
void task_end_finished(struct task *task); /* with what its operators have at their end */
void task_end_failed(struct task *task, const char *reason, bool fatal);
void task_end_chain_failed(struct task *task); /* says which operator failed and why */
/* Tells the listener of a new state. */
void task_report(struct task *task, Weir__TaskState state, const char *error, bool fatal);

/* task_checkpoint.c: */
/* The savepoint of a stop is complete: the task ends, a source at once, others when their input has ended. */
void task_stop_complete(struct task *task);
/* A source's next trigger, when it is at rest. */
void task_begin_triggered(struct task *task);
void task_begin_checkpoint(struct task *task, const struct gate_checkpoint *checkpoint);
/* The chain is prepared: snapshot, barrier, acknowledgement. */
void task_take_snapshot(struct task *task);
void task_decline(struct task *task, uint64_t checkpoint_id, const char *reason);
/* False: the task has failed, as what it sent for a stop can't be taken back. */
bool task_abort_checkpoint(struct task *task, uint64_t checkpoint_id);

/* task_metrics.c: */
void task_account(struct task *task, int64_t now_ms);
void task_publish(struct task *task);

#endif
