/* From nng's threads to a loop: a locked queue of small events and a uv_async. The only thing that nng
 * callbacks touch. */
#ifndef WEIR_RPC_MAILBOX_H
#define WEIR_RPC_MAILBOX_H

#include <nng/nng.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct mailbox_event {
    struct mailbox_event *next;
    int kind; /* the owner's */
    int result;
    uint32_t pipe;
    void *subject;
    nng_msg *message; /* owned; deliver may take it and set it to NULL */
};

typedef void rpc_mailbox_deliver_fn(void *self, struct mailbox_event *event);

struct rpc_mailbox {
    uv_async_t async;
    rpc_mailbox_deliver_fn *deliver;
    void (*closed)(void *self);
    void *self;
    bool is_closing;
    struct mailbox_event *delivering; /* taken from the queue; a loop run by a delivery goes on with them */

    pthread_mutex_t lock; /* of what follows */
    struct mailbox_event *first;
    struct mailbox_event **last;
    size_t count;
};

/* Loop thread. deliver is called there, once per event, in the order posted. 0 or a libuv error. */
int rpc_mailbox_open(struct rpc_mailbox *mailbox, uv_loop_t *loop, rpc_mailbox_deliver_fn *deliver,
                     void *self);
/* Loop thread; nobody may post any more. What was not delivered is dropped. closed: the memory may go. */
void rpc_mailbox_close(struct rpc_mailbox *mailbox, void (*closed)(void *self));
/* Any thread. message is taken. Returns the number of events that now wait. */
size_t rpc_mailbox_post(struct rpc_mailbox *mailbox, int kind, void *subject, uint32_t pipe, int result,
                        nng_msg *message_take);
/* Loop thread: delivers what is there now. A delivery may run the loop itself. */
void rpc_mailbox_deliver(struct rpc_mailbox *mailbox);

#endif
