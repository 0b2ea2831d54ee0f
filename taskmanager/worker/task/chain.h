/* The operators of one subtask, one behind the other: each one's collector calls the next one directly, the
 * last one's goes to the outputs. On the task's thread. */
#ifndef WEIR_TASK_CHAIN_H
#define WEIR_TASK_CHAIN_H

#include "taskmanager/worker/operators/operator.h"
#include "taskmanager/worker/task/outputs.h"
#include "taskmanager/worker/task/pending_records.h"

struct chain;

struct chain_link {
    struct chain *chain;
    uint32_t index;
    struct operator_instance *op; /* owned; NULL before chain_open */
    const struct operator_ops *ops;
    const Weir__Operator *descriptor;
    const struct stream_node *node;
    weir_context context;
    weir_collector collector;
    struct error error; /* what the operator says when it fails */
    bool fatal;
    struct operator_metrics metrics;
    struct pending_records pending; /* to be processed by this link */
    Weir__OperatorState **restore;  /* this operator's states; the array is owned */
    size_t restore_count;
};

enum chain_action_kind { CHAIN_NOTHING, CHAIN_WATERMARK, CHAIN_TIMER, CHAIN_PREPARE_SNAPSHOT, CHAIN_FINISH };

struct chain_setup {
    const Weir__Vertex *vertex;
    const struct stream_graph *stream_graph;
    const struct user_environment *environment;
    const struct kafka_provider *kafka;
    struct waker *waker;
    struct outputs *outputs; /* borrowed */
    uint32_t subtask;
    uint32_t max_record_bytes;
    bool checkpointing;
    Weir__OperatorState **restore;
    size_t restore_count;
    int (*read_state)(void *reader, const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                      struct error *err);
    void *reader;
    operator_new_fn *const *operators;
};

struct chain {
    struct chain_setup setup;
    struct chain_link *links; /* owned */
    uint32_t count;
    /* What goes through the chain from link to link, and where it stopped. */
    enum chain_action_kind action;
    uint32_t action_link;
    int64_t action_value;
    int32_t failed_link;         /* −1: none; the first that failed */
    int64_t watermark_ms;        /* that last went through all of it */
    int64_t source_watermark_ms; /* that the source said, which may still be on its way */
    bool source_idle;
    bool suspended; /* it goes on from a savepoint: at the end only sinks finish */
};

int chain_init(struct chain *chain, const struct chain_setup *setup, struct error *err) WEIR_CHECK;
void chain_deinit(struct chain *chain);
/* Makes and opens the operators, downstream first. On failure chain_failure says which. */
int chain_open(struct chain *chain, struct error *err) WEIR_CHECK;
void chain_close(struct chain *chain);
bool chain_is_source(const struct chain *chain);

/* Remembers the link that failed first. */
void chain_fail(struct chain *chain, struct chain_link *link);
static inline enum operator_progress chain_link_process(struct chain_link *link,
                                                        const struct record_ref *record)
{
    link->context.record_timestamp = record->timestamp;
    enum operator_progress progress = link->ops->process(link->op, record);
    if (__builtin_expect(progress == OPERATOR_FAILED || link->chain->failed_link >= 0, false)) {
        chain_fail(link->chain, link);
        return OPERATOR_FAILED;
    }
    return progress;
}

/* One input record. DONE, AGAIN (not taken: give it again) or FAILED. */
static inline enum operator_progress chain_process(struct chain *chain, const struct record_ref *record)
{
    return chain_link_process(&chain->links[0], record);
}
/* Records waiting inside the chain: DONE when none is left. */
enum operator_progress chain_drain(struct chain *chain);
/* Begins an action; there is none under way. value: watermark, time, or checkpoint id. link: of a timer. */
void chain_begin(struct chain *chain, enum chain_action_kind kind, uint32_t link, int64_t value);
/* Goes on with the action under way; DONE when it is through. */
enum operator_progress chain_continue(struct chain *chain);
void chain_drop_action(struct chain *chain);
static inline bool chain_has_pending(const struct chain *chain)
{
    for (uint32_t i = 1; i < chain->count; i++)
        if (!pending_records_empty(&chain->links[i].pending))
            return true;
    return false;
}

enum source_status chain_poll(struct chain *chain, uint32_t budget);
int64_t chain_next_deadline(const struct chain *chain);
/* Link of an operator whose timer is due, −1: none. */
int32_t chain_due_timer(const struct chain *chain, int64_t now_ms);
void chain_checkpoint_complete(struct chain *chain, uint64_t checkpoint_id);
/* One state per operator that has any; owned by the caller. */
int chain_snapshot(struct chain *chain, uint64_t checkpoint_id, Weir__OperatorState ***ret_states,
                   size_t *ret_count, struct error *err) WEIR_CHECK;

/* The failed link and what it said; the link is NULL when none has failed. */
const struct chain_link *chain_failure(const struct chain *chain);

#endif
