/* The pair socket between a taskmanager and one worker. Happy path: send packs into a locked queue; one nng
 * send at a time takes from it (nng thread); received messages are posted in order, the next receive
 * beginning at once. What was received is acknowledged, once per turn of the loop: nng drops what is still
 * unread when a peer ends, even from the kernel's buffers, so that only an acknowledged message is safe and a
 * pair is drained when the last one is.
 *
 * On the wire: a byte that says which, then a message, or the number of messages received so far (8 bytes,
 * little endian).
 *
 * Possible failure modes: the peer ends: what was read of it is delivered, then closed(); it sends what can't
 * be decoded, or reads so slowly that the queue overflows: closed(). After closed() nothing is sent or
 * delivered. */
#include <assert.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/rpc/internal.h"
#include "common/rpc/mailbox.h"
#include "proto/bounded.h"

static const char logger[] = "weir.rpc.Pair";

enum { UNDELIVERED_MAX = 4096, READ_AHEAD_MESSAGES = 1024 };
enum frame { FRAME_MESSAGE = 'M', FRAME_ACKNOWLEDGEMENT = 'A', ACKNOWLEDGEMENT_BYTES = 9 };
enum event { EVENT_RECEIVED, EVENT_PIPE_REMOVED };

struct outgoing {
    struct outgoing *next;
    nng_msg *message;
};

struct rpc_pair {
    struct rpc_mailbox mailbox;
    struct rpc_pair_callbacks callbacks;
    nng_socket socket;
    nng_aio *send_aio;
    nng_aio *receive_aio;
    bool is_worker;
    bool is_over;           /* closed() was called */
    bool is_unacknowledged; /* something was received in this turn */
    uint64_t sent;          /* messages */
    uint64_t acknowledged;  /* of those */

    pthread_mutex_t lock; /* of what follows: loop and nng threads */
    struct outgoing *first;
    struct outgoing **last;
    size_t queued;
    bool is_sending;
    uint32_t peer_pipe; /* 0: none yet */
    uint64_t received;  /* messages */
    bool owes_acknowledgement;
    bool is_paused; /* receiving waits for the loop */
    bool is_stopping;
};

static nng_msg *acknowledgement_new(uint64_t received)
{
    nng_msg *message;
    if (rpc_message_new(&message, ACKNOWLEDGEMENT_BYTES) != 0)
        return NULL;
    uint8_t *bytes = nng_msg_body(message);
    bytes[0] = FRAME_ACKNOWLEDGEMENT;
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (uint8_t)(received >> (8 * i));
    return message;
}

/* With the lock held: takes the next message to send, or NULL. */
static nng_msg *next_to_send(struct rpc_pair *pair)
{
    nng_msg *message = NULL;
    struct outgoing *item = pair->first;
    if (pair->is_stopping)
        return NULL;
    if (pair->owes_acknowledgement && (message = acknowledgement_new(pair->received))) {
        pair->owes_acknowledgement = false;
    } else if (item) {
        pair->first = item->next;
        if (!pair->first)
            pair->last = &pair->first;
        pair->queued--;
        message = item->message;
        free(item);
    }
    pair->is_sending = message != NULL;
    return message;
}

static void begin_send(struct rpc_pair *pair, nng_msg *message)
{
    nng_aio_set_msg(pair->send_aio, message);
    nng_send_aio(pair->socket, pair->send_aio);
}

static void on_sent(void *arg) /* nng thread */
{
    struct rpc_pair *pair = arg;
    nng_msg *message = nng_aio_get_msg(pair->send_aio);
    nng_aio_set_msg(pair->send_aio, NULL);
    if (nng_aio_result(pair->send_aio) != 0) { /* being closed */
        if (message)
            nng_msg_free(message);
        return;
    }
    pthread_mutex_lock(&pair->lock);
    message = next_to_send(pair);
    pthread_mutex_unlock(&pair->lock);
    if (message)
        begin_send(pair, message);
}

static void on_received(void *arg) /* nng thread */
{
    struct rpc_pair *pair = arg;
    if (nng_aio_result(pair->receive_aio) != 0)
        return;
    nng_msg *message = nng_aio_get_msg(pair->receive_aio);
    nng_aio_set_msg(pair->receive_aio, NULL);
    size_t waiting = rpc_mailbox_post(&pair->mailbox, EVENT_RECEIVED, NULL, 0, 0, message);
    pthread_mutex_lock(&pair->lock);
    bool go_on = !pair->is_stopping && waiting < UNDELIVERED_MAX;
    pair->is_paused = !go_on;
    pthread_mutex_unlock(&pair->lock);
    if (go_on)
        nng_recv_aio(pair->socket, pair->receive_aio);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) /* nng thread */
{
    struct rpc_pair *pair = arg;
    uint32_t id = (uint32_t)nng_pipe_id(pipe);
    pthread_mutex_lock(&pair->lock);
    if (pair->peer_pipe == 0)
        pair->peer_pipe = id;
    bool is_peer = pair->peer_pipe == id;
    pthread_mutex_unlock(&pair->lock);
    if (event == NNG_PIPE_EV_ADD_PRE && !is_peer)
        nng_pipe_close(pipe); /* one peer in a lifetime */
    else if (event == NNG_PIPE_EV_REM_POST && is_peer)
        rpc_mailbox_post(&pair->mailbox, EVENT_PIPE_REMOVED, NULL, id, 0, NULL);
}

/* Waits for nng's callbacks; nothing is sent or received afterwards. */
static void stop(struct rpc_pair *pair)
{
    pthread_mutex_lock(&pair->lock);
    pair->is_stopping = true;
    pthread_mutex_unlock(&pair->lock);
    nng_aio_stop(pair->receive_aio);
    nng_aio_stop(pair->send_aio);
}

static void end(struct rpc_pair *pair)
{
    if (pair->is_over || pair->mailbox.is_closing)
        return;
    pair->is_over = true;
    pair->callbacks.closed(pair->callbacks.self);
}

static bool decode_and_call(struct rpc_pair *pair, const uint8_t *data, size_t size)
{
    struct bounded_allocator bounded;
    ProtobufCAllocator *allocator = bounded_allocator_init(&bounded, size);
    if (pair->is_worker) {
        Weir__ToTaskManager *message = weir__to_task_manager__unpack(allocator, size, data);
        if (!message)
            return false;
        pair->callbacks.to_taskmanager(pair->callbacks.self, message);
        weir__to_task_manager__free_unpacked(message, NULL);
    } else {
        Weir__ToJobManager *message = weir__to_job_manager__unpack(allocator, size, data);
        if (!message)
            return false;
        pair->callbacks.to_jobmanager(pair->callbacks.self, message);
        weir__to_job_manager__free_unpacked(message, NULL);
    }
    return true;
}

static bool take_acknowledgement(struct rpc_pair *pair, const uint8_t *data, size_t size)
{
    uint64_t received = 0;
    if (size != ACKNOWLEDGEMENT_BYTES - 1)
        return false;
    for (int i = 0; i < 8; i++)
        received |= (uint64_t)data[i] << (8 * i);
    if (received < pair->acknowledged || received > pair->sent)
        return false;
    pair->acknowledged = received;
    return true;
}

static void dispatch(struct rpc_pair *pair, nng_msg *message)
{
    size_t size = nng_msg_len(message);
    const uint8_t *data = nng_msg_body(message);
    bool ok = false;
    if (size > 0 && data[0] == FRAME_MESSAGE) {
        pthread_mutex_lock(&pair->lock);
        pair->received++;
        pthread_mutex_unlock(&pair->lock);
        pair->is_unacknowledged = true;
        ok = decode_and_call(pair, data + 1, size - 1);
    } else if (size > 0 && data[0] == FRAME_ACKNOWLEDGEMENT) {
        ok = take_acknowledgement(pair, data + 1, size - 1);
    }
    if (ok)
        return;
    log_warn(logger, "A message of %zu bytes from the %s is malformed; closing", size,
             pair->is_worker ? "taskmanager" : "worker");
    stop(pair);
    end(pair);
}

static void acknowledge(struct rpc_pair *pair)
{
    pair->is_unacknowledged = false;
    pthread_mutex_lock(&pair->lock);
    pair->owes_acknowledgement = true;
    nng_msg *first = pair->is_sending ? NULL : next_to_send(pair);
    pthread_mutex_unlock(&pair->lock);
    if (first)
        begin_send(pair, first);
}

static void receive_on(struct rpc_pair *pair)
{
    pthread_mutex_lock(&pair->lock);
    bool go_on = pair->is_paused && !pair->is_stopping;
    if (go_on)
        pair->is_paused = false;
    pthread_mutex_unlock(&pair->lock);
    if (go_on)
        nng_recv_aio(pair->socket, pair->receive_aio);
}

static void on_event(void *self, struct mailbox_event *event)
{
    struct rpc_pair *pair = self;
    if (pair->is_over)
        return;
    if (event->kind == EVENT_RECEIVED) {
        dispatch(pair, event->message);
        if (pair->is_over || pair->mailbox.is_closing)
            return;
        if (pair->is_unacknowledged && !event->next) /* the last of this turn */
            acknowledge(pair);
        receive_on(pair);
        return;
    }
    /* What was read before the pipe went may be posted behind this event, or still be in nng's read-ahead
     * buffer: it is let in until nothing comes any more, then it is over. */
    nng_msg *message;
    stop(pair);
    rpc_mailbox_deliver(&pair->mailbox);
    while (!pair->is_over && !pair->mailbox.is_closing &&
           nng_recvmsg(pair->socket, &message, NNG_FLAG_NONBLOCK) == 0) {
        dispatch(pair, message);
        nng_msg_free(message);
    }
    end(pair);
}

static void on_closed(void *self)
{
    struct rpc_pair *pair = self;
    while (pair->first) {
        struct outgoing *item = pair->first;
        pair->first = item->next;
        nng_msg_free(item->message);
        free(item);
    }
    pthread_mutex_destroy(&pair->lock);
    free(pair);
}

void rpc_pair_close(struct rpc_pair *pair)
{
    stop(pair);
    nng_close(pair->socket);
    nng_aio_free(pair->receive_aio);
    nng_aio_free(pair->send_aio);
    rpc_mailbox_close(&pair->mailbox, on_closed);
}

static int open_socket(struct rpc_pair *pair)
{
    int nng_error = nng_pair0_open(&pair->socket);
    if (nng_error == 0)
        nng_error = nng_socket_set_size(pair->socket, NNG_OPT_RECVMAXSZ, RPC_WIRE_MAX_BYTES);
    if (nng_error == 0)
        nng_error = nng_socket_set_int(pair->socket, NNG_OPT_SENDBUF, 0);
    if (nng_error == 0)
        nng_error = nng_socket_set_int(pair->socket, NNG_OPT_RECVBUF, READ_AHEAD_MESSAGES);
    if (nng_error == 0)
        nng_error = nng_aio_alloc(&pair->send_aio, on_sent, pair);
    if (nng_error == 0)
        nng_error = nng_aio_alloc(&pair->receive_aio, on_received, pair);
    if (nng_error == 0)
        nng_error = nng_pipe_notify(pair->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, pair);
    if (nng_error == 0)
        nng_error = nng_pipe_notify(pair->socket, NNG_PIPE_EV_REM_POST, on_pipe, pair);
    return nng_error;
}

static int start(struct rpc_pair *pair, const char *address)
{
    nng_dialer dialer;
    nng_listener listener;
    int nng_error;
    if (pair->is_worker) {
        nng_error = nng_dialer_create(&dialer, pair->socket, address);
        return nng_error != 0 ? nng_error : nng_dialer_start(dialer, 0);
    }
    nng_error = nng_listener_create(&listener, pair->socket, address);
    if (nng_error == 0)
        nng_error = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600);
    return nng_error != 0 ? nng_error : nng_listener_start(listener, 0);
}

static int pair_open(uv_loop_t *loop, const char *address, bool is_worker,
                     const struct rpc_pair_callbacks *callbacks, struct rpc_pair **ret_pair,
                     struct error *err)
{
    if (strncmp(address, "ipc:///", 7) != 0)
        return error_set(err, WEIR_E_INVALID, "\"%.200s\" is not an address of the form ipc:///path",
                         address);
    struct rpc_pair *pair = xcalloc(1, sizeof *pair);
    pair->is_worker = is_worker;
    pair->callbacks = *callbacks;
    pair->last = &pair->first;
    int uv_error = rpc_mailbox_open(&pair->mailbox, loop, on_event, pair);
    if (uv_error != 0) {
        free(pair);
        return error_set(err, WEIR_E_IO, "can't watch %s: %s", address, uv_strerror(uv_error));
    }
    pthread_mutex_init(&pair->lock, NULL);
    int nng_error = open_socket(pair);
    if (nng_error == 0)
        nng_error = start(pair, address);
    if (nng_error != 0) {
        rpc_pair_close(pair);
        return error_set(err, nng_error == NNG_ENOENT ? WEIR_E_UNAVAILABLE : rpc_code_of_nng(nng_error),
                         "can't %s %s: %s", is_worker ? "connect to" : "listen at", address,
                         nng_strerror(nng_error));
    }
    nng_recv_aio(pair->socket, pair->receive_aio);
    *ret_pair = pair;
    return WEIR_OK;
}

int rpc_pair_listen(uv_loop_t *loop, const char *address, const struct rpc_pair_callbacks *callbacks,
                    struct rpc_pair **ret_pair, struct error *err)
{
    return pair_open(loop, address, false, callbacks, ret_pair, err);
}

int rpc_pair_dial(uv_loop_t *loop, const char *address, const struct rpc_pair_callbacks *callbacks,
                  struct rpc_pair **ret_pair, struct error *err)
{
    return pair_open(loop, address, true, callbacks, ret_pair, err);
}

bool rpc_pair_is_drained(const struct rpc_pair *pair)
{
    return pair->is_over || pair->acknowledged == pair->sent;
}

static void enqueue(struct rpc_pair *pair, const ProtobufCMessage *decoded)
{
    size_t size = protobuf_c_message_get_packed_size(decoded);
    nng_msg *message;
    if (pair->is_over || pair->mailbox.is_closing)
        return;
    if (size > RPC_MESSAGE_MAX_BYTES || rpc_message_new(&message, 1 + size) != 0) {
        log_error(logger, "A message of %zu bytes can't be sent (maximum %d); closing", size,
                  RPC_MESSAGE_MAX_BYTES);
        rpc_mailbox_post(&pair->mailbox, EVENT_PIPE_REMOVED, NULL, 0, 0, NULL);
        return;
    }
    uint8_t *frame = nng_msg_body(message);
    frame[0] = FRAME_MESSAGE;
    protobuf_c_message_pack(decoded, frame + 1);
    pair->sent++;
    struct outgoing *item = xmalloc(sizeof *item);
    *item = (struct outgoing){.message = message};
    pthread_mutex_lock(&pair->lock);
    *pair->last = item;
    pair->last = &item->next;
    bool is_full = ++pair->queued == RPC_PAIR_QUEUE_MAX;
    nng_msg *first = pair->is_sending ? NULL : next_to_send(pair);
    pthread_mutex_unlock(&pair->lock);
    if (first)
        begin_send(pair, first);
    if (is_full) {
        log_error(logger, "%d messages wait for a peer that doesn't read; closing", RPC_PAIR_QUEUE_MAX);
        rpc_mailbox_post(&pair->mailbox, EVENT_PIPE_REMOVED, NULL, 0, 0, NULL);
    }
}

void rpc_pair_send_to_jobmanager(struct rpc_pair *pair, const Weir__ToJobManager *message)
{
    assert(pair->is_worker);
    enqueue(pair, &message->base);
}

void rpc_pair_send_to_taskmanager(struct rpc_pair *pair, const Weir__ToTaskManager *message)
{
    assert(!pair->is_worker);
    enqueue(pair, &message->base);
}
