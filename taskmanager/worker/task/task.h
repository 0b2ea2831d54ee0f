/* A subtask as a state machine: task_step does a bounded piece of work and says how it went. Whoever owns the
 * thread loops over it; the simulator calls it too. Everything here but task_post and task_read_metrics is
 * for that one owner. */
#ifndef WEIR_TASK_TASK_H
#define WEIR_TASK_TASK_H

#include "common/api/stream_graph.h"
#include "common/api/user_context.h"
#include "common/base/error.h"
#include "proto/control.pb-c.h"
#include "taskmanager/worker/connectors/kafka_client.h"
#include "taskmanager/worker/operators/operator.h"
#include "taskmanager/worker/shuffle/channel.h"

struct task;

enum task_progress {
    TASK_PROGRESS, /* did something: call again */
    TASK_WAITING,  /* nothing to do until the waker is woken or task_deadline passes */
    TASK_ENDED,    /* FINISHED, CANCELED or FAILED was reported; call task_free */
};

/* Told on the task's own thread (or by task_step's caller). Messages are owned by the receiver, who frees
 * them (weir__…__free_unpacked). The deployment id in them is left empty: the worker fills it in. */
struct task_listener {
    void (*state)(void *self, struct task *task, Weir__TaskStateUpdate *update_take);
    /* At the barrier, with all state inline; the receiver writes what is large to files and sends the ack. */
    void (*snapshot)(void *self, struct task *task, Weir__CheckpointAck *ack_take);
    void (*decline)(void *self, struct task *task, Weir__CheckpointDecline *decline_take);
    void *self;
};

struct task_config {
    uint32_t max_record_bytes;
    int64_t buffer_timeout_ms; /* of a busy task; −1: only full buffers; 0: after each step. Without input: at
                                  once */
    uint32_t buffers_per_channel;
    uint32_t floating_buffers;
    bool checkpointing;
};

/* One input or output edge of a task: its channels, ordered by the other side's subtask. */
struct task_input {
    uint32_t edge;
    struct channel **channels; /* borrowed */
    uint32_t channel_count;
    const bool *remote; /* per channel: filled from the network, so its records are checked; NULL: none is */
};
struct task_output {
    uint32_t edge;
    Weir__ShipStrategy strategy;
    struct channel **channels; /* borrowed; of capacity 0, as an overdraft has to fit */
    uint32_t channel_count;
    uint32_t max_parallelism;   /* SHIP_HASH: of the target */
    uint32_t key_field_count;   /* SHIP_HASH: fields of this vertex's output record */
    const uint32_t *key_fields; /* borrowed */
};

struct task_setup {
    const Weir__Vertex *vertex; /* borrowed */
    uint32_t vertex_index;
    uint32_t subtask;
    const char *attempt_id;
    const struct stream_graph *stream_graph; /* borrowed */
    const struct user_environment *user_environment;
    const struct kafka_provider *kafka;
    struct task_listener listener;
    struct task_config config;
    struct waker *waker;       /* wakes the thread that steps this task; outlives the task's output buffers,
                                  wherever they are */
    struct task_input *inputs; /* copied */
    uint32_t input_count;
    struct task_output *outputs; /* copied */
    uint32_t output_count;
    Weir__OperatorState **restore; /* borrowed until RUNNING or FAILED was reported */
    size_t restore_count;
    /* NULL: inline state only. */
    int (*read_state)(void *reader, const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                      struct error *err);
    void *reader;
    operator_new_fn *const *operators; /* by kind, OPERATOR_KINDS of them; see operator_table.h */
};

int task_new(const struct task_setup *setup, struct task **ret_task, struct error *err) WEIR_CHECK;
void task_free(struct task *task);
/* now_ms: wall clock, ms since the epoch (virtual in the simulator). The first steps open the operators
 * (INITIALIZING). */
enum task_progress task_step(struct task *task, int64_t now_ms);
int64_t task_deadline(const struct task *task);
const char *task_name(const struct task *task); /* "ClickEvent Counter (1/2)" */

enum task_mail_kind {
    TASK_MAIL_TRIGGER_CHECKPOINT,
    TASK_MAIL_CHECKPOINT_COMPLETE,
    TASK_MAIL_CHECKPOINT_ABORTED,
    TASK_MAIL_CANCEL
};
struct task_mail {
    enum task_mail_kind kind;
    uint64_t checkpoint_id;
    int64_t timestamp_ms;
    uint32_t snapshot_kind;
    uint32_t stop; /* Weir__StopMode */
};
/* Any thread. Wakes the task. */
void task_post(struct task *task, const struct task_mail *mail);
/* Any thread. */
void task_read_metrics(const struct task *task, Weir__TaskMetrics *ret_metrics);

#endif
