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

static struct mailbox_event *take_all(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mailbox_event *first = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->count = 0;
    pthread_mutex_unlock(&mailbox->lock);
    return first;
}

void mailbox_deliver(struct mailbox *mailbox)
{
    struct mailbox_event *event = take_all(mailbox);
    while (event) {
        struct mailbox_event *next = event->next;
        if (!mailbox->is_closing) /* the owner may close itself in any delivery */
            mailbox->deliver(mailbox->self, event);
        event_free(event);
        event = next;
    }
}

static void on_async(uv_async_t *async)
{
    mailbox_deliver(async->data);
}

int mailbox_open(struct mailbox *mailbox, uv_loop_t *loop, mailbox_deliver_fn *deliver, void *self)
{
    *mailbox = (struct mailbox){.deliver = deliver, .self = self};
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
    struct mailbox *mailbox = handle->data;
    pthread_mutex_destroy(&mailbox->lock);
    mailbox->closed(mailbox->self);
}

void mailbox_close(struct mailbox *mailbox, void (*closed)(void *self))
{
    assert(!mailbox->is_closing);
    mailbox->is_closing = true;
    mailbox->closed = closed;
    struct mailbox_event *event = take_all(mailbox);
    while (event) {
        struct mailbox_event *next = event->next;
        event_free(event);
        event = next;
    }
    uv_close((uv_handle_t *)&mailbox->async, on_closed);
}

size_t mailbox_post(struct mailbox *mailbox, int kind, void *subject, uint32_t pipe, int result,
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
