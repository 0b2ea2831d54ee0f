/* Checkpoints of a task: from a trigger (sources) or aligned barriers to the acknowledgement. */
#include <inttypes.h>
#include <stdlib.h>

#include "taskmanager/worker/task/task_inner.h"

void task_decline(struct task *task, uint64_t checkpoint_id, const char *reason)
{
    Weir__CheckpointDecline *decline = xmalloc(sizeof *decline);
    weir__checkpoint_decline__init(decline);
    decline->vertex = task->setup.vertex_index;
    decline->subtask = task->setup.subtask;
    decline->checkpoint_id = checkpoint_id;
    decline->reason = xasprintf("%s: %s", task->name, reason);
    task->setup.listener.decline(task->setup.listener.self, task, decline);
}

void task_begin_checkpoint(struct task *task, const struct gate_checkpoint *checkpoint)
{
    task->checkpoint = (struct task_checkpoint){.active = true, .what = *checkpoint};
    chain_begin(&task->chain, CHAIN_PREPARE_SNAPSHOT, 0, (int64_t)checkpoint->id);
}

void task_begin_triggered(struct task *task)
{
    struct task_mail mail = task->triggers.items[0];
    vec_remove(&task->triggers, 0);
    struct gate_checkpoint checkpoint = {
        .id = mail.checkpoint_id,
        .kind = mail.snapshot_kind,
        .stop = mail.stop,
        .timestamp_ms = mail.timestamp_ms,
        .first_barrier_ms = task->now_ms,
        .aligned_ms = task->now_ms,
    };
    task_begin_checkpoint(task, &checkpoint);
}

static uint64_t state_bytes(Weir__OperatorState *const *states, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < states[i]->n_keyed; k++)
            bytes += states[i]->keyed[k]->handle->length;
        for (size_t s = 0; s < states[i]->n_splits; s++)
            bytes += states[i]->splits[s]->state.len;
    }
    return bytes;
}

static uint64_t elapsed(int64_t from_ms, int64_t to_ms)
{
    return to_ms > from_ms ? (uint64_t)(to_ms - from_ms) : 0;
}

void task_take_snapshot(struct task *task)
{
    const struct gate_checkpoint checkpoint = task->checkpoint.what;
    const struct user_environment *environment = task->setup.user_environment;
    task->checkpoint.active = false;
    int64_t begin_ms = environment->now(environment->self);
    Weir__OperatorState **states = NULL;
    size_t count = 0;
    struct error err = {0};
    int rc = chain_snapshot(&task->chain, checkpoint.id, &states, &count, &err);
    /* Also when it failed: tasks further on must not wait for a barrier that never comes. */
    outputs_barrier(&task->outputs,
                    &(struct element_barrier){
                        .checkpoint_id = checkpoint.id, .kind = checkpoint.kind, .stop = checkpoint.stop},
                    checkpoint.timestamp_ms);
    if (checkpoint.stop != WEIR__STOP_MODE__STOP_NONE) {
        task->stopping_id = checkpoint.id;
        task->stop = checkpoint.stop;
    }
    if (rc) {
        task_decline(task, checkpoint.id, err.message);
        return;
    }
    Weir__CheckpointAck *ack = xmalloc(sizeof *ack);
    weir__checkpoint_ack__init(ack);
    ack->vertex = task->setup.vertex_index;
    ack->subtask = task->setup.subtask;
    ack->checkpoint_id = checkpoint.id;
    ack->kind = (Weir__SnapshotKind)checkpoint.kind;
    ack->states = states;
    ack->n_states = count;
    ack->state_bytes = state_bytes(states, count);
    ack->alignment_ms = elapsed(checkpoint.first_barrier_ms, checkpoint.aligned_ms);
    ack->start_delay_ms = elapsed(checkpoint.timestamp_ms, checkpoint.first_barrier_ms);
    ack->sync_ms = elapsed(begin_ms, environment->now(environment->self));
    ack->processed_bytes = checkpoint.processed_bytes;
    task->setup.listener.snapshot(task->setup.listener.self, task, ack);
}

void task_stop_complete(struct task *task)
{
    task->suspended = task->stop == WEIR__STOP_MODE__STOP_SUSPEND;
    task->chain.suspended = task->suspended;
    task->gate.suspended = task->suspended;
    task->stopping_id = 0;
}

bool task_abort_checkpoint(struct task *task, uint64_t checkpoint_id)
{
    for (size_t i = task->triggers.count; i-- > 0;)
        if (task->triggers.items[i].checkpoint_id == checkpoint_id)
            vec_remove(&task->triggers, i);
    if (!task->is_source)
        input_gate_abort(&task->gate, checkpoint_id);
    if (task->checkpoint.active && task->checkpoint.what.id == checkpoint_id) {
        /* Its sinks were still waiting for what they had sent; they can be asked anew. */
        task->checkpoint.active = false;
        if (task->chain.action == CHAIN_PREPARE_SNAPSHOT)
            chain_drop_action(&task->chain);
    }
    if (task->stopping_id == checkpoint_id)
        task->stopping_id = 0;
    if (!task->drained)
        return true;
    task_end_failed(task,
                    "the stop with drain has failed after event time was brought to its end, so that the job "
                    "goes back to its last checkpoint",
                    false);
    return false;
}
