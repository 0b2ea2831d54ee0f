/* RPC over nng: requests to a rep socket, answered by a response; bound to a libuv loop. nng's callbacks copy
 * and post to the loop; everything here is called, and calls back, on the loop's thread. Both options that
 * hurt by default are always set: the resend time is infinite, the maximum message size finite (the size is
 * checked before sending, too). */
#ifndef WEIR_RPC_RPC_H
#define WEIR_RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "proto/control.pb-c.h"

enum { RPC_MAJOR = 1, RPC_MINOR = 0, RPC_MESSAGE_MAX_BYTES = 64 << 20, RPC_CHUNK_BYTES = 1 << 20 };

/* ---- envelopes (pure; fuzzed) ---- */
/* Sets major and minor; malloc'ed bytes. WEIR_E_LIMIT: larger than RPC_MESSAGE_MAX_BYTES. */
int rpc_encode_request(Weir__Request *request, void **ret_data, size_t *ret_size,
                       struct error *err) WEIR_CHECK;
int rpc_encode_response(Weir__Response *response, void **ret_data, size_t *ret_size,
                        struct error *err) WEIR_CHECK;
/* WEIR_E_VERSION names both versions. Free with weir__request__free_unpacked. */
int rpc_decode_request(const void *data, size_t size, Weir__Request **ret_request,
                       struct error *err) WEIR_CHECK;
int rpc_decode_response(const void *data, size_t size, Weir__Response **ret_response,
                        struct error *err) WEIR_CHECK;

/* ---- server ---- */
struct rpc_server;
struct rpc_call; /* one request waiting for its answer */

struct rpc_server_callbacks {
    /* Answer with rpc_call_reply, now or later. request is borrowed for the call. Requests arrive in the
     * order sent by each peer. */
    void (*request)(void *self, struct rpc_call *call, const Weir__Request *request);
    /* The connection that requests with this pipe number came by is gone. */
    void (*pipe_closed)(void *self, uint32_t pipe);
    void *self;
};

/* address: "tcp://host:port", port 0 allowed; ret_address (may be NULL) gets the real one. In use:
 * WEIR_E_EXISTS. */
int rpc_server_open(uv_loop_t *loop, const char *address, const struct rpc_server_callbacks *callbacks,
                    struct rpc_server **ret_server, char **ret_address, struct error *err) WEIR_CHECK;
void rpc_server_close(
    struct rpc_server *server); /* frees; calls not yet answered are dropped and become invalid */
uint32_t rpc_call_pipe(const struct rpc_call *call);
/* Takes the call; response is borrowed. */
void rpc_call_reply(struct rpc_call *call, Weir__Response *response);
/* A response without body. */
void rpc_call_reply_rc(struct rpc_call *call, int rc, const char *message);

/* ---- client: one socket to one peer, one request at a time ---- */
struct rpc_client;
/* response is borrowed and NULL when rc is not 0: WEIR_E_UNAVAILABLE (no connection, or it broke),
 * WEIR_E_TIMEOUT, WEIR_E_VERSION, WEIR_E_CORRUPT, or what the peer answered (err has its message). */
typedef void rpc_response_fn(void *self, int rc, const Weir__Response *response, const struct error *err);
int rpc_client_open(uv_loop_t *loop, const char *address, struct rpc_client **ret_client,
                    struct error *err) WEIR_CHECK;
/* A request that is under way is called back with WEIR_E_CANCELED before this returns. */
void rpc_client_close(struct rpc_client *client);
bool rpc_client_is_busy(const struct rpc_client *client);
/* Not while busy. An empty request.id is filled in. */
int rpc_client_request(struct rpc_client *client, Weir__Request *request, int64_t timeout_ms,
                       rpc_response_fn *callback, void *self, struct error *err) WEIR_CHECK;
/* The same without a loop, blocking: for the command line. Free the response with
 * weir__response__free_unpacked. */
int rpc_request_blocking(const char *address, Weir__Request *request, int64_t timeout_ms,
                         Weir__Response **ret_response, struct error *err) WEIR_CHECK;

/* ---- link: an ordered stream of messages to a registered peer, as batches over an rpc_client ---- */
struct rpc_link;
struct rpc_link_callbacks {
    void (*acknowledged)(void *self); /* the peer is alive */
    /* The stream can't go on: refused (fenced), or unreachable for longer than the grace. The link sends
     * nothing more. */
    void (*broken)(void *self, int rc, const char *message);
    void *self;
};
/* Sends by client (borrowed). After a broken connection an unacknowledged batch is sent again, with the same
 * seq, until grace_ms have passed. request_timeout_ms: how long an answer may take (the peer may be stopped).
 */
struct rpc_link *rpc_link_new(struct rpc_client *client, uint64_t session, int64_t request_timeout_ms,
                              int64_t grace_ms, const struct rpc_link_callbacks *callbacks);
void rpc_link_free(struct rpc_link *link);
/* Everything sent has been acknowledged, or the link is broken. */
bool rpc_link_is_idle(const struct rpc_link *link);
void rpc_link_send_to_jobmanager(struct rpc_link *link, Weir__ToJobManager *message_take);
void rpc_link_send_to_taskmanager(struct rpc_link *link, Weir__ToTaskManager *message_take);

/* The receiving end of a link: pure. */
struct rpc_inbox {
    uint64_t session;
    uint64_t last_seq; /* 0: none yet */
};
/* 1: new, carry out its messages and acknowledge; 0: seen before, only acknowledge; WEIR_E_FENCED: foreign
 * session or a gap. */
int rpc_inbox_accept(struct rpc_inbox *inbox, const Weir__Batch *batch, struct error *err);

/* ---- pair: taskmanager <-> worker, over a unix socket ---- */
struct rpc_pair;
struct rpc_pair_callbacks {
    void (*to_taskmanager)(void *self, const Weir__ToTaskManager *message); /* borrowed; at the worker */
    void (*to_jobmanager)(void *self, const Weir__ToJobManager *message);   /* borrowed; at the taskmanager */
    void (*closed)(void *self); /* the peer is gone, or sent rubbish */
    void *self;
};
/* address: "ipc:///path". The taskmanager listens, the worker dials. Messages are sent in order; a queue
 * without bound is not kept: above RPC_PAIR_QUEUE_MAX messages the pair is closed. */
enum { RPC_PAIR_QUEUE_MAX = 65536 };
int rpc_pair_listen(uv_loop_t *loop, const char *address, const struct rpc_pair_callbacks *callbacks,
                    struct rpc_pair **ret_pair, struct error *err) WEIR_CHECK;
int rpc_pair_dial(uv_loop_t *loop, const char *address, const struct rpc_pair_callbacks *callbacks,
                  struct rpc_pair **ret_pair, struct error *err) WEIR_CHECK;
void rpc_pair_close(struct rpc_pair *pair);
/* true when the peer has received all that was sent, or is gone: a worker may end then, not before (nng drops
 * what is unread when a peer ends). A stopped peer receives nothing: wait with a deadline. */
bool rpc_pair_is_drained(const struct rpc_pair *pair);
void rpc_pair_send_to_jobmanager(struct rpc_pair *pair, const Weir__ToJobManager *message);
void rpc_pair_send_to_taskmanager(struct rpc_pair *pair, const Weir__ToTaskManager *message);

#endif
