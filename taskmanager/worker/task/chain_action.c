/* What goes through a chain from its first operator to its last, besides records: watermarks, the preparation
 * of a snapshot, the end; and timers, which concern one operator. Each stops where an operator says
 * OPERATOR_AGAIN and goes on from there. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "taskmanager/worker/task/chain_inner.h"

void chain_begin(struct chain *chain, enum chain_action_kind kind, uint32_t link, int64_t value)
{
    assert(chain->action == CHAIN_NOTHING);
    assert(link < chain->count);
    chain->action = kind;
    chain->action_link = link;
    chain->action_value = value;
}

void chain_drop_action(struct chain *chain)
{
    chain->action = CHAIN_NOTHING;
}

static enum operator_progress call_link(struct chain *chain, struct chain_link *link)
{
    const struct operator_ops *ops = link->ops;
    switch (chain->action) {
    case CHAIN_WATERMARK:
        return ops->watermark ? ops->watermark(link->op, chain->action_value) : OPERATOR_DONE;
    case CHAIN_TIMER:
        return ops->timer ? ops->timer(link->op, chain->action_value) : OPERATOR_DONE;
    case CHAIN_PREPARE_SNAPSHOT:
        return ops->prepare_snapshot ? ops->prepare_snapshot(link->op, (uint64_t)chain->action_value)
                                     : OPERATOR_DONE;
    case CHAIN_FINISH:
        if (chain->suspended && link->node->output_type)
            return OPERATOR_DONE;
        return ops->finish ? ops->finish(link->op) : OPERATOR_DONE;
    case CHAIN_NOTHING:
        break;
    }
    return OPERATOR_DONE;
}

static enum operator_progress run_action(struct chain *chain)
{
    while (chain->action_link < chain->count) {
        struct chain_link *link = &chain->links[chain->action_link];
        /* What was emitted before goes first. */
        enum operator_progress progress = chain_drain_link(link);
        if (progress == OPERATOR_DONE)
            progress = call_link(chain, link);
        if (progress == OPERATOR_FAILED || chain->failed_link >= 0) {
            chain_fail(chain, link);
            return OPERATOR_FAILED;
        }
        if (progress == OPERATOR_AGAIN)
            return OPERATOR_AGAIN;
        chain->action_link = chain->action == CHAIN_TIMER ? chain->count : chain->action_link + 1;
    }
    if (chain->action == CHAIN_WATERMARK) {
        chain->watermark_ms = chain->action_value;
        outputs_watermark(chain->setup.outputs, chain->action_value);
    }
    chain->action = CHAIN_NOTHING;
    return OPERATOR_DONE;
}

enum operator_progress chain_continue(struct chain *chain)
{
    if (chain->action == CHAIN_NOTHING)
        return OPERATOR_DONE;
    enum operator_progress progress = run_action(chain);
    /* A source may have said a later watermark while the chain was at something else. */
    while (progress == OPERATOR_DONE && chain->source_watermark_ms > chain->watermark_ms &&
           chain_is_source(chain)) {
        chain_begin(chain, CHAIN_WATERMARK, 0, chain->source_watermark_ms);
        progress = run_action(chain);
    }
    return progress;
}

int64_t chain_next_deadline(const struct chain *chain)
{
    int64_t earliest = INT64_MAX;
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct chain_link *link = &chain->links[i];
        int64_t deadline =
            link->op && link->ops->next_deadline ? link->ops->next_deadline(link->op) : INT64_MAX;
        if (deadline < earliest)
            earliest = deadline;
    }
    return earliest;
}

int32_t chain_due_timer(const struct chain *chain, int64_t now_ms)
{
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct chain_link *link = &chain->links[i];
        if (link->ops->timer && link->ops->next_deadline && link->ops->next_deadline(link->op) <= now_ms)
            return (int32_t)i;
    }
    return -1;
}

void chain_checkpoint_complete(struct chain *chain, uint64_t checkpoint_id)
{
    for (uint32_t i = 0; i < chain->count; i++) {
        struct chain_link *link = &chain->links[i];
        if (link->op && link->ops->checkpoint_complete)
            link->ops->checkpoint_complete(link->op, checkpoint_id);
    }
}

int chain_snapshot(struct chain *chain, uint64_t checkpoint_id, Weir__OperatorState ***ret_states,
                   size_t *ret_count, struct error *err)
{
    Weir__OperatorState **states = xcalloc(chain->count, sizeof(Weir__OperatorState *));
    size_t count = 0;
    int rc = 0;
    for (uint32_t i = 0; i < chain->count && !rc; i++) {
        struct chain_link *link = &chain->links[i];
        if (!link->ops->snapshot)
            continue;
        Weir__OperatorState *state = xmalloc(sizeof *state);
        weir__operator_state__init(state);
        state->uid = xstrdup(link->descriptor->uid);
        state->subtask = chain->setup.subtask;
        state->parallelism = chain->setup.vertex->parallelism;
        state->max_parallelism = chain->setup.vertex->max_parallelism;
        states[count++] = state;
        rc = link->ops->snapshot(link->op, checkpoint_id, state, err);
        if (rc)
            error_wrap(err, "operator '%s'", link->descriptor->name);
    }
    if (rc) {
        for (size_t i = 0; i < count; i++)
            weir__operator_state__free_unpacked(states[i], NULL);
        free(states);
        return rc;
    }
    *ret_states = states;
    *ret_count = count;
    return 0;
}
