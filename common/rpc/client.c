/* The req socket. Happy path: encode on the loop -> send (nng thread; done when a connection took the
 * message) -> receive -> post -> decode and call back on the loop.
 *
 * Possible failure modes: no connection within the connect wait, or the connection breaks while the answer is
 * awaited (nng says ECONNRESET at once, as the resend time is infinite): WEIR_E_UNAVAILABLE; no answer in
 * time: WEIR_E_TIMEOUT, and a late answer is dropped by nng. */
#include <assert.h>
#include <limits.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/rpc/internal.h"
#include "common/rpc/mailbox.h"

enum event { EVENT_NOT_SENT, EVENT_ANSWERED };

struct rpc_client {
    struct rpc_mailbox mailbox;
    uv_loop_t *loop;
    char *address;
    nng_socket socket;
    nng_aio *aio;
    rpc_response_fn *callback; /* NULL: nobody wants the answer */
    void *self;
    int64_t timeout_ms;
    int64_t connect_ms;
    bool is_busy;
    bool was_sent; /* the last request */
    /* Set on the loop before an operation begins, then of the nng thread until it has posted: */
    bool is_sending;
    int64_t deadline_ms;
    atomic_bool is_abandoned; /* set on the loop, read by the nng thread */
};

static void on_aio(void *arg) /* nng thread */
{
    struct rpc_client *client = arg;
    int result = nng_aio_result(client->aio);
    nng_msg *message = nng_aio_get_msg(client->aio);
    nng_aio_set_msg(client->aio, NULL);
    if (!client->is_sending) {
        rpc_mailbox_post(&client->mailbox, EVENT_ANSWERED, NULL, 0, result, result == 0 ? message : NULL);
        return;
    }
    if (result != 0 || atomic_load(&client->is_abandoned)) {
        if (result != 0 && message)
            nng_msg_free(message);
        rpc_mailbox_post(&client->mailbox, EVENT_NOT_SENT, NULL, 0, result != 0 ? result : NNG_ECANCELED,
                         NULL);
        return;
    }
    client->is_sending = false;
    int64_t left = client->deadline_ms - rpc_now_ms();
    nng_aio_set_timeout(client->aio, left > 1 ? (nng_duration)left : 1);
    nng_recv_aio(client->socket, client->aio);
    if (atomic_load(&client->is_abandoned)) /* the cancelling came between the two operations */
        nng_aio_cancel(client->aio);
}

static int failure(const struct rpc_client *client, const struct mailbox_event *event, struct error *err)
{
    int rc = rpc_code_of_nng(event->result);
    if (event->kind == EVENT_NOT_SENT && rc == WEIR_E_TIMEOUT)
        return error_set(err, WEIR_E_UNAVAILABLE, "no connection to %s within %lld ms", client->address,
                         (long long)client->connect_ms);
    if (rc == WEIR_E_TIMEOUT)
        return error_set(err, rc, "no answer from %s within %lld ms", client->address,
                         (long long)client->timeout_ms);
    if (rc == WEIR_E_UNAVAILABLE)
        return error_set(err, rc, "the connection to %s broke", client->address);
    return error_set(err, rc, "the request to %s failed: %s", client->address, nng_strerror(event->result));
}

static void on_event(void *self, struct mailbox_event *event)
{
    struct rpc_client *client = self;
    Weir__Response *response = NULL;
    struct error err = {0};
    rpc_response_fn *callback = client->callback;
    client->callback = NULL;
    client->is_busy = false;
    client->was_sent = event->kind == EVENT_ANSWERED;
    if (!callback)
        return;
    int rc = event->result != 0 ? failure(client, event, &err)
                                : rpc_decode_response(nng_msg_body(event->message),
                                                      nng_msg_len(event->message), &response, &err);
    if (rc == WEIR_OK) {
        rc = rpc_check_response(response, &err);
    } else if (event->result == 0) {
        if (rc != WEIR_E_VERSION)
            rc = err.rc = WEIR_E_CORRUPT;
        error_wrap(&err, "answer of %s", client->address);
    }
    callback(client->self, rc, rc == WEIR_OK ? response : NULL, rc == WEIR_OK ? NULL : &err);
    if (response)
        weir__response__free_unpacked(response, NULL);
}

static void on_closed(void *self)
{
    struct rpc_client *client = self;
    free(client->address);
    free(client);
}

static void close_quietly(struct rpc_client *client)
{
    nng_aio_stop(client->aio);
    nng_close(client->socket);
    nng_aio_free(client->aio);
    rpc_mailbox_close(&client->mailbox, on_closed);
}

void rpc_client_close(struct rpc_client *client)
{
    rpc_response_fn *callback = client->callback;
    client->callback = NULL;
    close_quietly(client);
    if (!callback)
        return;
    struct error err;
    error_set(&err, WEIR_E_CANCELED, "the request to %s was cancelled", client->address);
    callback(client->self, WEIR_E_CANCELED, NULL, &err);
}

static int dial(struct rpc_client *client)
{
    nng_dialer dialer;
    int nng_error = nng_req0_open(&client->socket);
    if (nng_error == 0)
        nng_error = nng_socket_set_size(client->socket, NNG_OPT_RECVMAXSZ, RPC_WIRE_MAX_BYTES);
    if (nng_error == 0)
        nng_error = nng_socket_set_ms(client->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (nng_error == 0)
        nng_error = nng_aio_alloc(&client->aio, on_aio, client);
    if (nng_error == 0)
        nng_error = nng_dialer_create(&dialer, client->socket, client->address);
    if (nng_error == 0)
        nng_error = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMINT, RPC_RECONNECT_MIN_MS);
    if (nng_error == 0)
        nng_error = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMAXT, RPC_RECONNECT_MAX_MS);
    if (nng_error == 0)
        nng_error = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
    return nng_error;
}

int rpc_client_open(uv_loop_t *loop, const char *address, struct rpc_client **ret_client, struct error *err)
{
    char *normal;
    int rc = rpc_address_normalise(address, &normal, err);
    if (rc != WEIR_OK)
        return rc;
    struct rpc_client *client = xcalloc(1, sizeof *client);
    client->loop = loop;
    client->address = normal;
    int uv_error = rpc_mailbox_open(&client->mailbox, loop, on_event, client);
    if (uv_error != 0) {
        rc = error_set(err, WEIR_E_IO, "can't watch for answers: %s", uv_strerror(uv_error));
        on_closed(client);
        return rc;
    }
    int nng_error = dial(client);
    if (nng_error != 0) {
        rc = error_set(err, rpc_code_of_nng(nng_error), "can't connect to %s: %s", address,
                       nng_strerror(nng_error));
        close_quietly(client);
        return rc;
    }
    *ret_client = client;
    return WEIR_OK;
}

bool rpc_client_is_busy(const struct rpc_client *client)
{
    return client->is_busy;
}

bool rpc_client_was_sent(const struct rpc_client *client)
{
    return client->was_sent;
}

uv_loop_t *rpc_client_loop(const struct rpc_client *client)
{
    return client->loop;
}

void rpc_client_forget(struct rpc_client *client, const void *self)
{
    if (!client->is_busy || !client->callback || client->self != self)
        return;
    client->callback = NULL;
    atomic_store(&client->is_abandoned, true);
    nng_aio_cancel(client->aio);
}

/* An empty id is filled in for the bytes only: the field stays the caller's. */
static int encode(Weir__Request *request, nng_msg **ret_message, struct error *err)
{
    struct weir_id id = os_random_id();
    bool is_anonymous = request->id.len == 0;
    void *data;
    size_t size;
    if (is_anonymous)
        request->id = (ProtobufCBinaryData){sizeof id.bytes, id.bytes};
    int rc = rpc_encode_request(request, &data, &size, err);
    if (is_anonymous)
        request->id = (ProtobufCBinaryData){0, NULL};
    if (rc != WEIR_OK)
        return rc;
    if (rpc_message_new(ret_message, size) != 0)
        rc = error_set(err, WEIR_E_NO_MEMORY, "no memory for a request of %zu bytes", size);
    else
        memcpy(nng_msg_body(*ret_message), data, size);
    free(data);
    return rc;
}

int rpc_client_request_within(struct rpc_client *client, Weir__Request *request, int64_t timeout_ms,
                              int64_t connect_ms, rpc_response_fn *callback, void *self, struct error *err)
{
    nng_msg *message;
    if (client->is_busy || client->mailbox.is_closing)
        return error_set(err, WEIR_E_STATE, "a request to %s is under way", client->address);
    if (timeout_ms <= 0 || timeout_ms > INT32_MAX)
        return error_set(err, WEIR_E_INVALID, "a timeout of %lld ms is out of range", (long long)timeout_ms);
    int rc = encode(request, &message, err);
    if (rc != WEIR_OK)
        return rc;
    client->callback = callback;
    client->self = self;
    client->timeout_ms = timeout_ms;
    client->connect_ms = connect_ms < timeout_ms ? connect_ms : timeout_ms;
    if (client->connect_ms < 1)
        client->connect_ms = 1;
    client->deadline_ms = rpc_now_ms() + timeout_ms;
    client->is_sending = true;
    client->is_busy = true;
    atomic_store(&client->is_abandoned, false);
    nng_aio_set_msg(client->aio, message);
    nng_aio_set_timeout(client->aio, (nng_duration)client->connect_ms);
    nng_send_aio(client->socket, client->aio);
    return WEIR_OK;
}

int rpc_client_request(struct rpc_client *client, Weir__Request *request, int64_t timeout_ms,
                       rpc_response_fn *callback, void *self, struct error *err)
{
    return rpc_client_request_within(client, request, timeout_ms, RPC_CONNECT_WAIT_MS, callback, self, err);
}
