/* The data plane of a worker: buffers between the channels of this worker and those of others, over TCP, with
 * credits.
 *
 * Everything here belongs to the loop's thread; channels, pools and their wakers are the only things shared
 * with tasks. */
#ifndef WEIR_NETWORK_NETWORK_H
#define WEIR_NETWORK_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "taskmanager/worker/shuffle/buffer.h"
#include "taskmanager/worker/shuffle/channel.h"

struct network;

struct network_callbacks {
    /* A connection with this worker is lost, or it can't be reached: what went over it is incomplete. Once
     * per worker and direction. message is a sentence that names the worker. */
    void (*lost)(void *self, const char *worker, const char *message);
    void *self;
};

struct network_options {
    const char *bind_host;
    uint16_t port; /* 0: a free one */
    struct weir_id job;
    uint32_t attempt;
    const char *worker; /* this worker's id */
    /* A loss is kept back for so long: what ended the peer is told by those who saw it, and is the better
     * reason. */
    uint32_t loss_delay_ms;
    struct network_callbacks callbacks;
};

/* This worker's side of a channel whose other side is in another worker. */
struct network_channel {
    struct channel *channel; /* output: drained; input: filled */
    struct channel_id id;
    bool is_output;
    const char *peer_worker;  /* copied */
    const char *peer_address; /* outputs: "host:port"; copied */
    struct buffer_pool *pool; /* inputs: buffers are taken from it; its size is the credit */
};

/* Listens; connections of other workers are accepted, and wait for network_connect. */
int network_open(uv_loop_t *loop, const struct network_options *options, struct network **ret_network,
                 struct error *err) WEIR_CHECK;
uint16_t network_port(const struct network *network);
/* Connections that take memory: the open ones, and those with peers for the worker's whole life. */
size_t network_connection_count(const struct network *network);
/* Once: dials the peers of the outputs, and from now on fills the inputs. Channels and pools must stay until
 * network_close has called back, and must be unused before (their wakers are set). */
int network_connect(struct network *network, const struct network_channel *channels, size_t count,
                    struct error *err) WEIR_CHECK;
/* No task runs any more. Sends what is left in the outputs (discard: drops it), says goodbye, and calls done,
 * once, when every peer has confirmed or is gone. */
void network_finish(struct network *network, bool discard, void (*done)(void *self), void *self);
/* Closes everything; closed is called from the loop when that is done. No callback comes any more. */
void network_close(struct network *network, void (*closed)(void *self), void *self);
/* After closed was called, and after the channels and pools are gone: their wakers belong to the network. */
void network_free(struct network *network);

#endif
