/* An operator instance in one subtask: a small vtable over its own state. Called on the task's thread only,
 * never while the task has no room for output (but for the output that one input record still makes). */
#ifndef WEIR_OPERATORS_OPERATOR_H
#define WEIR_OPERATORS_OPERATOR_H

#include "common/api/stream_graph.h"
#include "common/api/user_context.h"
#include "common/base/error.h"
#include "proto/snapshot.pb-c.h"
#include "taskmanager/worker/connectors/kafka_client.h"

struct operator_instance;

struct record_ref {
    const void *data;
    uint32_t size;
    uint32_t key_hash; /* of the exchange before this vertex; valid for the first operator of a vertex behind
                          a hash exchange */
    int64_t timestamp;
};

/* Where an operator's output goes: to the next operator in the chain, or to the vertex's output edges.
 * Operators emit records through their collector (setup.collector), which ends here. */
enum operator_progress {
    OPERATOR_DONE,   /* finished with what it was given */
    OPERATOR_AGAIN,  /* has more to emit for the same call: call again when there is room (or when woken) */
    OPERATOR_FAILED, /* setup.error says why */
};

enum source_status {
    SOURCE_MORE,    /* there may be more at once */
    SOURCE_NOTHING, /* nothing now: the waker is woken when there is, or next_deadline passes */
    SOURCE_END,     /* bounded source, all read */
    SOURCE_FAILED,
};

struct operator_ops {
    /* Any may be NULL where it makes no sense. */

    /* Brings up the instance, with the state in setup->restore (or none). */
    int (*open)(struct operator_instance *op, struct error *err);
    /* Non-source: one record. OPERATOR_AGAIN: not taken (a full producer queue); the same record comes again
     * later. */
    enum operator_progress (*process)(struct operator_instance *op, const struct record_ref *record);
    /* A record with this key hash comes soon, after a few others: a good time to ask memory for what it
     * needs. false: not worth the call; don't call it again for a while. Changes nothing that can be
     * observed. */
    bool (*expect)(struct operator_instance *op, uint32_t key_hash);
    /* Source: emits up to budget records (and watermarks through setup.watermark_out). */
    enum source_status (*poll)(struct operator_instance *op, uint32_t budget);
    /* Event time has come to watermark_ms. OPERATOR_AGAIN: call again with the same value. Passed on to the
     * next operator by the task when done. */
    enum operator_progress (*watermark)(struct operator_instance *op, int64_t watermark_ms);
    /* Processing time: called when now ≥ next_deadline. */
    enum operator_progress (*timer)(struct operator_instance *op, int64_t now_ms);
    int64_t (*next_deadline)(const struct operator_instance *op); /* ms wall clock; INT64_MAX: none */
    /* Before the barrier goes on: sinks wait here until all is acknowledged (OPERATOR_AGAIN, woken later). */
    enum operator_progress (*prepare_snapshot)(struct operator_instance *op, uint64_t checkpoint_id);
    /* Fills in keyed, splits, properties and layout of state (allocated as protobuf-c's unpack would:
     * malloc), inline bytes in the handles. */
    int (*snapshot)(struct operator_instance *op, uint64_t checkpoint_id, Weir__OperatorState *state,
                    struct error *err);
    void (*checkpoint_complete)(struct operator_instance *op, uint64_t checkpoint_id);
    /* All input has ended: emit what is left, flush. OPERATOR_AGAIN: call again. */
    enum operator_progress (*finish)(struct operator_instance *op);
    void (*close)(struct operator_instance *op); /* frees op; not flushing */
};

struct operator_metrics { /* relaxed atomics: written by the task, read by whoever reports */
    _Atomic uint64_t late_records_dropped;
    _Atomic uint64_t bad_records_skipped;
};

struct operator_setup {
    const struct stream_node *node;
    const Weir__Operator *descriptor;
    uint32_t subtask;
    uint32_t parallelism;
    uint32_t max_parallelism;
    uint32_t max_record_bytes;
    weir_context *context;     /* owned by the task */
    weir_collector *collector; /* owned by the task; NULL for sinks */
    struct error *error;       /* set before OPERATOR_FAILED or SOURCE_FAILED */
    bool *fatal;               /* set with it when a restart can't help */
    struct waker *waker;       /* of the task */
    struct operator_metrics *metrics;
    const struct kafka_provider *kafka;
    /* Sources: a new watermark of this source (never going back), and whether it is idle. */
    void (*watermark_out)(void *task, int64_t watermark_ms);
    void (*idle_out)(void *task, bool idle);
    /* Whether there is room for the output of one more record: asked by operators that emit much for one call
     * (a firing window returns OPERATOR_AGAIN when there is none, a source ends its poll). Never NULL in a
     * task. */
    bool (*has_room)(void *task);
    void *task;               /* first argument of the three above */
    const bool *room_is_sure; /* while it is true, has_room would say yes; NULL: ask has_room */
    /* Restore: the states of this operator's uid from the deployment (several when the parallelism changed);
     * handles resolved by read_state. NULL/0: start empty. */
    Weir__OperatorState *const *restore;
    size_t restore_count;
    int (*read_state)(void *reader, const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                      struct error *err);
    void *reader;
    bool checkpointing; /* the job has checkpoints: Kafka offsets are committed when they complete, else every
                           5 s */
};

struct operator_instance {
    const struct operator_ops *ops;
    struct operator_setup setup;
};

typedef int operator_new_fn(const struct operator_setup *setup, struct operator_instance **ret_op,
                            struct error *err);

/* One per kind; each in its own file: connectors/ (sources, sinks), operators/ (map, filter), windowing/
 * (window). */
operator_new_fn kafka_source_new, kafka_sink_new;
operator_new_fn generator_source_new; /* OPERATOR_GENERATOR_SOURCE and OPERATOR_SEQUENCE_SOURCE */
operator_new_fn print_sink_new, discard_sink_new;
operator_new_fn map_operator_new, filter_operator_new;
operator_new_fn window_operator_new;

#endif
