/* What the files of this room share. */
#ifndef WEIR_RPC_INTERNAL_H
#define WEIR_RPC_INTERNAL_H

#include <nng/nng.h>

#include "common/rpc/rpc.h"

enum {
    RPC_RECONNECT_MIN_MS = 20,
    RPC_RECONNECT_MAX_MS = 100,
    RPC_CONNECT_WAIT_MS = 1000,                        /* how long a request waits for a connection */
    RPC_WIRE_MAX_BYTES = RPC_MESSAGE_MAX_BYTES + 1024, /* with nng's own headers */
};

/* nng takes the first address of a name, which for "localhost" may be ::1 on one side and 127.0.0.1 on the
 * other: it is always the latter here. "tcp://host:port" and "ipc:///path" only; malloc'ed. */
int rpc_address_normalise(const char *address, char **ret_address, struct error *err) WEIR_CHECK;
/* Turns an nng error into a code. */
int rpc_code_of_nng(int nng_error);
int64_t rpc_now_ms(void); /* CLOCK_MONOTONIC */
/* The response's rc as an error of ours; WEIR_OK if it says so. */
int rpc_check_response(const Weir__Response *response, struct error *err) WEIR_CHECK;

/* A message to send. 0 or an nng error. */
int rpc_message_new(nng_msg **ret_message, size_t size);

uv_loop_t *rpc_client_loop(const struct rpc_client *client);
/* Whether a connection took the last request, so that a failure means that it broke. */
bool rpc_client_was_sent(const struct rpc_client *client);
/* As rpc_client_request, waiting at most connect_ms for a connection. */
int rpc_client_request_within(struct rpc_client *client, Weir__Request *request, int64_t timeout_ms,
                              int64_t connect_ms, rpc_response_fn *callback, void *self,
                              struct error *err) WEIR_CHECK;
/* If the request under way belongs to self, its callback is not called any more; the client stays busy until
 * nng has let go. */
void rpc_client_forget(struct rpc_client *client, const void *self);

#endif
