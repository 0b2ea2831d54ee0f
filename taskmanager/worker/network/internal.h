/* What the data plane's files share. */
#ifndef WEIR_NETWORK_INTERNAL_H
#define WEIR_NETWORK_INTERNAL_H

#include "common/base/strbuf.h"
#include "common/base/vec.h"
#include "taskmanager/worker/network/frame.h"
#include "taskmanager/worker/network/network.h"

enum {
    BATCH_BUFFERS = 8,           /* of one write */
    BATCHES_PER_TURN = 16,       /* before other connections get their turn */
    SCRATCH_BYTES = 64 * 1024,   /* what is read at once when it isn't read into a buffer */
    DIRECT_MIN_BYTES = 8 * 1024, /* less is not worth a read of its own */
    CONTROL_MAX_BYTES = 4 << 20, /* control frames waiting to be sent */
    CONNECTIONS_MAX = 16384,
    LISTEN_BACKLOG = 1024,
    TIMER_MS = 1000,
    FINISH_TIMER_MS = 100,
    FINISH_TIMEOUT_MS = 2000,    /* how long a goodbye may take when what is left is discarded */
    GREETING_TIMEOUT_MS = 10000, /* how long a dialler may take to say HELLO */
};

enum connection_state {
    CONNECTION_DIALLING, /* outgoing: resolving, connecting */
    CONNECTION_GREETING, /* incoming: no HELLO yet */
    CONNECTION_OPEN,
    CONNECTION_CLOSED, /* its channels are not served any more; a peer's is freed with the network */
};

/* A channel that others fill. */
struct input {
    struct network_channel channel; /* its peer_worker is owned */
    bool opened;                    /* by its producer */
};

/* One channel on a connection. */
struct stream {
    struct channel_id id;
    struct channel *channel;  /* incoming: NULL until network_connect */
    struct buffer_pool *pool; /* incoming */
    uint32_t credit;          /* outgoing: buffers that may be sent; incoming: granted and not yet used */
};

struct write_batch {
    uv_write_t request;
    char *control; /* owned; written before the buffers */
    size_t control_size;
    unsigned char headers[BATCH_BUFFERS][FRAME_HEADER_BYTES];
    struct buffer *buffers[BATCH_BUFFERS];
    unsigned int count;
};

struct connection {
    struct network *network;
    bool outgoing;
    enum connection_state state;
    char *peer;    /* id of the other worker; owned */
    char *address; /* outgoing: "host:port"; owned */
    uv_tcp_t tcp;
    bool tcp_initialized;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    uint64_t accepted_at_ms;
    struct vec_of(struct stream) streams; /* by number */
    /* reading */
    struct frame_decoder decoder;
    struct buffer *receiving; /* the buffer that DATA is going into */
    /* writing */
    struct strbuf control;
    struct write_batch batch;
    bool writing; /* batch is with the kernel */
    bool discard; /* outgoing: nothing more is wanted by the peer or left to give */
    size_t next_stream;
    struct waker waker; /* outgoing: of the channels' consumer side; any thread */
    atomic_bool ready;  /* set by the waker */
    /* a loss that is to be told */
    char *loss; /* the sentence; owned; NULL: none, or told */
    uint64_t loss_due_ms;
    /* goodbyes */
    bool bye_sent, bye_acknowledged, bye_received;
};

struct network {
    uv_loop_t *loop;
    struct network_callbacks callbacks;
    struct weir_id job;
    uint32_t attempt;
    char *worker;
    uint16_t port;
    uv_tcp_t listener;
    uv_async_t async;
    uv_timer_t timer;
    unsigned int
        handles_open; /* uv handles and requests still to be closed before the network can be freed */
    struct vec_of(struct connection *) connections;
    struct vec_of(struct input) inputs;
    bool connected;            /* network_connect was called */
    struct waker credit_waker; /* of the inputs' pools; any thread */
    atomic_bool credit_ready;
    bool finishing, finish_discard;
    uint32_t loss_delay_ms;
    uv_timer_t loss_timer;
    uint64_t finish_deadline_ms; /* 0: none */
    void (*finish_done)(void *self);
    void *finish_self;
    bool closing;
    void (*closed)(void *self);
    void *closed_self;
    unsigned char scratch[SCRATCH_BYTES];
};

/* connection.c */
struct connection *connection_new(struct network *network, bool outgoing);
void connection_free(struct connection *connection);
void connection_start_reading(struct connection *connection);
void connection_close(struct connection *connection);
/* The connection is useless: says so to the owner if its channels mattered, and closes it. */
void connection_fail(struct connection *connection, const char *format, ...) WEIR_PRINTF(2, 3);
void connection_dial(struct connection *connection);
/* Looks up the channels from this number on that the peer has opened, once both sides are known. */
void connection_bind(struct connection *connection, size_t first);

/* sender.c */
void connection_queue(struct connection *connection, const unsigned char *frame, size_t size);
void connection_flush(struct connection *connection); /* control frames, and data as far as credit goes */
void connection_wake(struct waker *waker);
bool connection_outputs_are_empty(const struct connection *connection);
void connection_drop_batch(struct connection *connection);

/* receiver.c */
void connection_on_control(struct connection *connection, const struct frame_event *event);
bool connection_begin_data(struct connection *connection, const struct frame_event *event);
void connection_end_data(struct connection *connection, uint32_t number);
void connection_grant(struct connection *connection, uint32_t number);
void connection_grant_all(struct connection *connection);

/* network.c */
struct input *network_find_input(const struct network *network, const char *peer, struct channel_id id);
bool network_has_incoming(const struct network *network, const struct connection *but, const char *peer);
void network_check_finished(struct network *network);
/* Tells the losses that are due, and comes back for those that are not. */
void network_tell_losses(struct network *network);
void network_handle_closed(struct network *network);
/* Frees a closed connection that nothing depends on; not from within a walk over the connections. */
void network_forget(struct connection *connection);

#endif
