#include "taskmanager/worker/process/worker.h"

static void deliver(struct worker *worker, Weir__ToJobManager *message)
{
    if (message->body_case == WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK) {
        Weir__CheckpointAck *ack = message->checkpoint_ack;
        message->body_case = WEIR__TO_JOB_MANAGER__BODY__NOT_SET;
        snapshot_files_send(worker, ack);
    } else {
        if (message->body_case == WEIR__TO_JOB_MANAGER__BODY_TASK_STATE &&
            message->task_state->state == WEIR__TASK_STATE__TASK_FAILED)
            worker->task_failed = true;
        rpc_pair_send_to_jobmanager(worker->pair, message);
    }
    weir__to_job_manager__free_unpacked(message, NULL);
}

void outbox_flush(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    struct vec_of(Weir__ToJobManager *)
        taken = {outbox->messages.items, outbox->messages.count, outbox->messages.capacity};
    outbox->messages.items = NULL;
    outbox->messages.count = outbox->messages.capacity = 0;
    pthread_mutex_unlock(&outbox->lock);
    vec_for_each (message, &taken) {
        if (*message)
            deliver(outbox->worker, *message);
        else
            worker_task_ended(outbox->worker);
    }
    vec_free(&taken);
    worker_maybe_end(outbox->worker);
}

static void on_async(uv_async_t *async)
{
    outbox_flush(async->data);
}

int outbox_open(struct outbox *outbox, struct worker *worker, uv_loop_t *loop, struct error *err)
{
    *outbox = (struct outbox){.worker = worker, .lock = PTHREAD_MUTEX_INITIALIZER};
    int rc = uv_async_init(loop, &outbox->async, on_async);
    if (rc)
        return error_set(err, WEIR_E_IO, "async handle: %s", uv_strerror(rc));
    outbox->async.data = outbox;
    return WEIR_OK;
}

/* NULL: the thread that posts it is about to end. */
void outbox_post(struct outbox *outbox, Weir__ToJobManager *message_take)
{
    pthread_mutex_lock(&outbox->lock);
    vec_push(&outbox->messages, message_take);
    pthread_mutex_unlock(&outbox->lock);
    uv_async_send(&outbox->async);
}
