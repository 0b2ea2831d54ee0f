#include "common/rpc/mailbox.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

static void event_free(struct mailbox_event *event)
{
    if (event->message)
        nng_msg_free(event->message);
    free(event);
}

static void take_all(struct rpc_mailbox *mailbox)
{
    struct mailbox_event **end = &mailbox->delivering;
    while (*end)
        end = &(*end)->next;
    pthread_mutex_lock(&mailbox->lock);
    *end = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->count = 0;
    pthread_mutex_unlock(&mailbox->lock);
}

void rpc_mailbox_deliver(struct rpc_mailbox *mailbox)
{
    take_all(mailbox);
    while (mailbox->delivering) { /* empty once the owner has closed it, which any delivery may do */
        struct mailbox_event *event = mailbox->delivering;
        mailbox->delivering = event->next;
        mailbox->deliver(mailbox->self, event);
        event_free(event);
    }
}

static void on_async(uv_async_t *async)
{
    rpc_mailbox_deliver(async->data);
}

int rpc_mailbox_open(struct rpc_mailbox *mailbox, uv_loop_t *loop, rpc_mailbox_deliver_fn *deliver,
                     void *self)
{
    *mailbox = (struct rpc_mailbox){.deliver = deliver, .self = self};
    mailbox->last = &mailbox->first;
    int uv_error = uv_async_init(loop, &mailbox->async, on_async);
    if (uv_error != 0)
        return uv_error;
    mailbox->async.data = mailbox;
    pthread_mutex_init(&mailbox->lock, NULL);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct rpc_mailbox *mailbox = handle->data;
    pthread_mutex_destroy(&mailbox->lock);
    mailbox->closed(mailbox->self);
}

void rpc_mailbox_close(struct rpc_mailbox *mailbox, void (*closed)(void *self))
{
    assert(!mailbox->is_closing);
    mailbox->is_closing = true;
    mailbox->closed = closed;
    take_all(mailbox);
    while (mailbox->delivering) {
        struct mailbox_event *event = mailbox->delivering;
        mailbox->delivering = event->next;
        event_free(event);
    }
    uv_close((uv_handle_t *)&mailbox->async, on_closed);
}

size_t rpc_mailbox_post(struct rpc_mailbox *mailbox, int kind, void *subject, uint32_t pipe, int result,
                        nng_msg *message_take)
{
    struct mailbox_event *event = xmalloc(sizeof *event);
    *event = (struct mailbox_event){
        .kind = kind, .subject = subject, .pipe = pipe, .result = result, .message = message_take};
    pthread_mutex_lock(&mailbox->lock);
    *mailbox->last = event;
    mailbox->last = &event->next;
    size_t count = ++mailbox->count;
    pthread_mutex_unlock(&mailbox->lock);
    uv_async_send(&mailbox->async);
    return count;
}
