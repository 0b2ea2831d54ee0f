/* The rep socket. Happy path: one context receives (nng thread) -> the message is posted -> on the loop it
 * becomes a call, and the next context begins to receive, so that requests keep their order while answers may
 * come later -> rpc_call_reply sends by the call's context -> the context is free again.
 *
 * Possible failure modes: a request that can't be decoded is answered here; one of a connection that is gone
 * is dropped, and so is an answer to one; a peer that doesn't read its answer keeps its context for
 * REPLY_TIMEOUT_MS; with CALLS_MAX requests unanswered nothing more is received until one is answered. */
#include <assert.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/vec.h"
#include "common/rpc/answers.h"
#include "common/rpc/internal.h"
#include "common/rpc/mailbox.h"

static const char logger[] = "weir.rpc.Server";

enum { CALLS_MAX = 1024, REPLY_TIMEOUT_MS = 10000 };
enum event { EVENT_RECEIVED, EVENT_SENT, EVENT_PIPE_ADDED, EVENT_PIPE_REMOVED };
enum phase { PHASE_IDLE, PHASE_RECEIVING, PHASE_OPEN, PHASE_SENDING };

struct rpc_call {
    struct rpc_server *server;
    nng_ctx context;
    nng_aio *aio;
    enum phase phase; /* changed on the loop, while no nng operation is under way */
    uint32_t pipe;
    struct answer *answer; /* to be remembered; NULL: not this request */
};

struct rpc_server {
    struct rpc_mailbox mailbox;
    struct rpc_server_callbacks callbacks;
    nng_socket socket;
    struct vec_of(struct rpc_call *) calls;
    struct vec_of(struct rpc_call *) idle;
    struct vec_of(uint32_t) pipes; /* open connections */
    struct answers answers;
    bool is_receiving;
};

static void on_aio(void *arg) /* nng thread */
{
    struct rpc_call *call = arg;
    int result = nng_aio_result(call->aio);
    nng_msg *message = nng_aio_get_msg(call->aio);
    nng_aio_set_msg(call->aio, NULL);
    if (call->phase == PHASE_SENDING) {
        if (result != 0 && message)
            nng_msg_free(message);
        rpc_mailbox_post(&call->server->mailbox, EVENT_SENT, call, 0, result, NULL);
        return;
    }
    if (result != 0)
        message = NULL;
    uint32_t pipe = message ? (uint32_t)nng_pipe_id(nng_msg_get_pipe(message)) : 0;
    rpc_mailbox_post(&call->server->mailbox, EVENT_RECEIVED, call, pipe, result, message);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg) /* nng thread */
{
    struct rpc_server *server = arg;
    rpc_mailbox_post(&server->mailbox, event == NNG_PIPE_EV_ADD_PRE ? EVENT_PIPE_ADDED : EVENT_PIPE_REMOVED,
                     NULL, (uint32_t)nng_pipe_id(pipe), 0, NULL);
}

static struct rpc_call *call_new(struct rpc_server *server)
{
    struct rpc_call *call = xcalloc(1, sizeof *call);
    call->server = server;
    if (nng_ctx_open(&call->context, server->socket) != 0)
        goto err_after_alloc;
    if (nng_aio_alloc(&call->aio, on_aio, call) != 0)
        goto err_after_context;
    vec_push(&server->calls, call);
    return call;
err_after_context:
    nng_ctx_close(call->context);
err_after_alloc:
    free(call);
    return NULL;
}

static void receive_next(struct rpc_server *server)
{
    if (server->is_receiving || server->mailbox.is_closing)
        return;
    struct rpc_call *call = NULL;
    if (server->idle.count > 0)
        call = server->idle.items[--server->idle.count];
    else if (server->calls.count < CALLS_MAX)
        call = call_new(server);
    if (!call)
        return; /* the next call that ends starts again */
    call->phase = PHASE_RECEIVING;
    call->pipe = 0;
    server->is_receiving = true;
    nng_aio_set_timeout(call->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(call->context, call->aio);
}

static void call_end(struct rpc_call *call)
{
    struct rpc_server *server = call->server;
    call->phase = PHASE_IDLE;
    call->answer = NULL;
    vec_push(&server->idle, call);
    receive_next(server);
}

static bool pipe_is_open(const struct rpc_server *server, uint32_t pipe)
{
    vec_for_each (open, &server->pipes)
        if (*open == pipe)
            return true;
    return false;
}

static void send_bytes(struct rpc_call *call, const void *data, size_t size)
{
    assert(call->phase == PHASE_OPEN);
    nng_msg *message;
    if (!pipe_is_open(call->server, call->pipe) || rpc_message_new(&message, size) != 0) {
        call_end(call);
        return;
    }
    memcpy(nng_msg_body(message), data, size);
    call->phase = PHASE_SENDING;
    nng_aio_set_msg(call->aio, message);
    nng_aio_set_timeout(call->aio, REPLY_TIMEOUT_MS);
    nng_ctx_send(call->context, call->aio);
}

void rpc_call_reply(struct rpc_call *call, Weir__Response *response)
{
    void *data;
    size_t size;
    struct error err;
    assert(call->phase == PHASE_OPEN);
    int rc = rpc_encode_response(response, &data, &size, &err);
    if (rc != WEIR_OK) {
        rpc_call_reply_rc(call, rc, err.message);
        return;
    }
    struct rpc_server *server = call->server;
    if (call->answer) {
        struct answer *answer = call->answer;
        struct vec_of(struct rpc_call *) waiting = {0};
        vec_for_each (other, &answer->waiting)
            vec_push(&waiting, *(struct rpc_call **)other);
        answer_set(answer, data, size);
        vec_for_each (other, &waiting)
            send_bytes(*other, data, size);
        vec_free(&waiting);
    }
    if (!server->mailbox.is_closing)
        send_bytes(call, data, size);
    free(data);
}

void rpc_call_reply_rc(struct rpc_call *call, int rc, const char *message)
{
    Weir__Response response = WEIR__RESPONSE__INIT;
    char *copy = xstrndup(message ? message : "", ERROR_MESSAGE_MAX);
    response.rc = rc;
    response.message = copy;
    rpc_call_reply(call, &response);
    free(copy);
}

uint32_t rpc_call_pipe(const struct rpc_call *call)
{
    return call->pipe;
}

/* A submission is carried out once, however often it is sent. true: this one was sent before and needs no
 * callback. */
static bool is_repeated(struct rpc_server *server, struct rpc_call *call, const Weir__Request *request)
{
    struct weir_id id;
    if (request->body_case != WEIR__REQUEST__BODY_SUBMIT_JOB ||
        !weir_id_from_bytes(request->id.data, request->id.len, &id))
        return false;
    struct answer *answer = answers_find(&server->answers, &id);
    if (!answer) {
        call->answer = answers_add(&server->answers, &id);
        return false;
    }
    if (answer->data)
        send_bytes(call, answer->data, answer->size);
    else
        vec_push(&answer->waiting, call);
    return true;
}

static void on_request(struct rpc_server *server, struct rpc_call *call, const nng_msg *message)
{
    struct error err;
    Weir__Request *request;
    nng_msg *body = (nng_msg *)message;
    int rc = rpc_decode_request(nng_msg_body(body), nng_msg_len(body), &request, &err);
    if (rc != WEIR_OK) {
        log_warn(logger, "Refused a request: %s", err.message);
        rpc_call_reply_rc(call, rc, err.message);
        return;
    }
    if (!is_repeated(server, call, request))
        server->callbacks.request(server->callbacks.self, call, request);
    weir__request__free_unpacked(request, NULL);
}

static void on_received(struct rpc_server *server, struct rpc_call *call, struct mailbox_event *event)
{
    server->is_receiving = false;
    call->phase = PHASE_OPEN;
    call->pipe = event->pipe;
    if (event->result != 0 || !pipe_is_open(server, event->pipe)) {
        call_end(call);
        return;
    }
    receive_next(server);
    on_request(server, call, event->message);
}

static void on_event(void *self, struct mailbox_event *event)
{
    struct rpc_server *server = self;
    switch ((enum event)event->kind) {
    case EVENT_PIPE_ADDED:
        vec_push(&server->pipes, event->pipe);
        break;
    case EVENT_PIPE_REMOVED:
        for (size_t i = 0; i < server->pipes.count; i++)
            if (server->pipes.items[i] == event->pipe) {
                vec_remove(&server->pipes, i);
                break;
            }
        if (server->callbacks.pipe_closed)
            server->callbacks.pipe_closed(server->callbacks.self, event->pipe);
        break;
    case EVENT_SENT:
        call_end(event->subject);
        break;
    case EVENT_RECEIVED:
        on_received(server, event->subject, event);
        break;
    }
}

static void on_closed(void *self)
{
    struct rpc_server *server = self;
    vec_for_each (call, &server->calls)
        free(*call);
    vec_free(&server->calls);
    vec_free(&server->idle);
    vec_free(&server->pipes);
    answers_deinit(&server->answers);
    free(server);
}

void rpc_server_close(struct rpc_server *server)
{
    vec_for_each (call, &server->calls)
        nng_aio_stop((*call)->aio);
    nng_close(server->socket); /* returns when all callbacks have */
    vec_for_each (call, &server->calls)
        nng_aio_free((*call)->aio);
    rpc_mailbox_close(&server->mailbox, on_closed);
}

static int listen_at(struct rpc_server *server, const char *address, char **ret_address, struct error *err)
{
    nng_listener listener;
    int port = 0;
    int nng_error = nng_listener_create(&listener, server->socket, address);
    if (nng_error == 0)
        nng_error = nng_listener_start(listener, 0);
    if (nng_error == 0 && strncmp(address, "tcp", 3) == 0)
        nng_error = nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port);
    if (nng_error != 0)
        return error_set(err, rpc_code_of_nng(nng_error), "can't listen at %s: %s", address,
                         nng_strerror(nng_error));
    if (ret_address)
        *ret_address = port == 0
                           ? xstrdup(address)
                           : xasprintf("%.*s:%d", (int)(strrchr(address, ':') - address), address, port);
    return WEIR_OK;
}

int rpc_server_open(uv_loop_t *loop, const char *address, const struct rpc_server_callbacks *callbacks,
                    struct rpc_server **ret_server, char **ret_address, struct error *err)
{
    char *normal;
    int rc = rpc_address_normalise(address, &normal, err);
    if (rc != WEIR_OK)
        return rc;
    struct rpc_server *server = xcalloc(1, sizeof *server);
    server->callbacks = *callbacks;
    int uv_error = rpc_mailbox_open(&server->mailbox, loop, on_event, server);
    if (uv_error != 0) {
        rc = error_set(err, WEIR_E_IO, "can't watch for requests: %s", uv_strerror(uv_error));
        free(server);
        goto out;
    }
    int nng_error = nng_rep0_open(&server->socket);
    if (nng_error == 0)
        nng_error = nng_socket_set_size(server->socket, NNG_OPT_RECVMAXSZ, RPC_WIRE_MAX_BYTES);
    if (nng_error == 0)
        nng_error = nng_pipe_notify(server->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, server);
    if (nng_error == 0)
        nng_error = nng_pipe_notify(server->socket, NNG_PIPE_EV_REM_POST, on_pipe, server);
    rc = nng_error != 0
             ? error_set(err, rpc_code_of_nng(nng_error), "can't open a socket: %s", nng_strerror(nng_error))
             : listen_at(server, normal, ret_address, err);
    if (rc != WEIR_OK) {
        rpc_server_close(server);
        goto out;
    }
    receive_next(server);
    *ret_server = server;
out:
    free(normal);
    return rc;
}
