/* What tasks say, on their own threads: becomes messages of this deployment, sent by the loop. */
#include "common/base/memory.h"
#include "taskmanager/worker/process/worker.h"

static void on_state(void *self, struct task *task, Weir__TaskStateUpdate *update)
{
    (void)task;
    struct worker *worker = self;
    Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_TASK_STATE);
    update->deployment = control_deployment(worker);
    message->task_state = update;
    outbox_post(&worker->outbox, message);
}

static void on_snapshot(void *self, struct task *task, Weir__CheckpointAck *ack)
{
    (void)task;
    struct worker *worker = self;
    Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK);
    ack->deployment = control_deployment(worker);
    message->checkpoint_ack = ack;
    outbox_post(&worker->outbox, message);
}

static void on_decline(void *self, struct task *task, Weir__CheckpointDecline *decline)
{
    (void)task;
    struct worker *worker = self;
    Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_DECLINE);
    decline->deployment = control_deployment(worker);
    message->checkpoint_decline = decline;
    outbox_post(&worker->outbox, message);
}

struct task_listener task_messages_listener(struct worker *worker)
{
    return (struct task_listener){
        .state = on_state, .snapshot = on_snapshot, .decline = on_decline, .self = worker};
}
