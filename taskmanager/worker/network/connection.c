/* A connection: dialling, reading, and its end. */
#include <assert.h>
#include <stdio.h>

#include "common/base/memory.h"
#include "taskmanager/worker/network/internal.h"

struct connection *connection_new(struct network *network, bool outgoing)
{
    struct connection *connection = xcalloc(1, sizeof *connection);
    connection->network = network;
    connection->outgoing = outgoing;
    connection->state = outgoing ? CONNECTION_DIALLING : CONNECTION_GREETING;
    connection->accepted_at_ms = uv_now(network->loop);
    frame_decoder_init(&connection->decoder);
    strbuf_init(&connection->control, CONTROL_MAX_BYTES);
    atomic_init(&connection->waker.sleeping, false);
    connection->waker.wake = connection_wake;
    atomic_init(&connection->ready, false);
    vec_push(&network->connections, connection);
    return connection;
}

void connection_free(struct connection *connection)
{
    connection_drop_batch(connection);
    if (connection->receiving)
        buffer_recycle(connection->receiving);
    strbuf_deinit(&connection->control);
    vec_free(&connection->streams);
    free(connection->peer);
    free(connection->address);
    free(connection->loss);
    free(connection);
}

static void on_tcp_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct network *network = connection->network;
    if (!connection->outgoing && !connection->peer)
        network_forget(connection); /* a stranger: any number of them may come in a worker's life */
    network_handle_closed(network);
}

void connection_close(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    connection->state = CONNECTION_CLOSED;
    if (connection->tcp_initialized)
        uv_close((uv_handle_t *)&connection->tcp, on_tcp_closed);
}

/* Whether the owner has to know: a channel of ours hangs on it, and the peer has not said goodbye. */
static bool is_missed(const struct connection *connection)
{
    return !connection->network->closing && connection->peer && !connection->bye_received &&
           !(connection->bye_sent && connection->bye_acknowledged) &&
           (connection->outgoing || connection->streams.count > 0);
}

void connection_fail(struct connection *connection, const char *format, ...)
{
    struct network *network = connection->network;
    char reason[1200];
    if (connection->state == CONNECTION_CLOSED)
        return;
    bool missed = is_missed(connection);
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    bool was_dialling = connection->state == CONNECTION_DIALLING;
    connection_close(connection);
    if (missed) {
        connection->loss = was_dialling
                               ? xasprintf("connection to worker %s (%s) failed: %s", connection->peer,
                                           connection->address, reason)
                               : xasprintf("connection %s worker %s lost: %s",
                                           connection->outgoing ? "to" : "from", connection->peer, reason);
        uv_update_time(network->loop);
        connection->loss_due_ms = uv_now(network->loop) + network->loss_delay_ms;
        network_tell_losses(network);
    }
    network_check_finished(network);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct connection *connection = handle->data;
    uint32_t direct = connection->receiving ? frame_decoder_direct(&connection->decoder) : 0;
    if (direct >= DIRECT_MIN_BYTES)
        *ret_buf = uv_buf_init((char *)connection->receiving->data + connection->receiving->size, direct);
    else
        *ret_buf = uv_buf_init((char *)connection->network->scratch, SCRATCH_BYTES);
}

static void on_event(struct connection *connection, const struct frame_event *event, const struct error *err)
{
    switch (event->kind) {
    case FRAME_EVENT_MORE:
        break;
    case FRAME_EVENT_CONTROL:
        connection_on_control(connection, event);
        break;
    case FRAME_EVENT_DATA_BEGIN:
        connection_begin_data(connection, event);
        break;
    case FRAME_EVENT_DATA_PIECE:
        memcpy(connection->receiving->data + connection->receiving->size, event->payload, event->size);
        connection->receiving->size += event->size;
        break;
    case FRAME_EVENT_DATA_END:
        connection_end_data(connection, event->channel);
        break;
    case FRAME_EVENT_ERROR:
        connection_fail(connection, "%s", err->message);
        break;
    }
}

static void decode(struct connection *connection, const unsigned char *data, size_t size)
{
    struct frame_event event;
    struct error err;
    do {
        size_t used = frame_decode(&connection->decoder, data, size, &event, &err);
        data += used;
        size -= used;
        on_event(connection, &event, &err);
    } while (event.kind != FRAME_EVENT_MORE && connection->state != CONNECTION_CLOSED);
}

static void on_read(uv_stream_t *handle, ssize_t size, const uv_buf_t *buf)
{
    struct connection *connection = handle->data;
    struct network *network = connection->network;
    if (connection->state == CONNECTION_CLOSED || size == 0)
        return;
    if (size < 0) {
        connection_fail(connection, "%s", size == UV_EOF ? "closed by the peer" : uv_strerror((int)size));
        return;
    }
    if (buf->base == (char *)network->scratch) {
        decode(connection, (const unsigned char *)buf->base, (size_t)size);
    } else {
        uint32_t number = connection->decoder.channel;
        connection->receiving->size += (uint32_t)size;
        if (frame_decoder_advance(&connection->decoder, (uint32_t)size))
            connection_end_data(connection, number);
    }
    connection_flush(connection); /* credits, acknowledgements, or data that has credit now */
    network_check_finished(network);
}

void connection_start_reading(struct connection *connection)
{
    uv_tcp_nodelay(&connection->tcp, 1);
    int rc = uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);
    if (rc != 0)
        connection_fail(connection, "%s", uv_strerror(rc));
}

void connection_bind(struct connection *connection, size_t first)
{
    for (size_t number = first; number < connection->streams.count; number++) {
        struct stream *stream = &connection->streams.items[number];
        struct input *input = network_find_input(connection->network, connection->peer, stream->id);
        if (!input || input->opened) {
            connection_fail(connection, "the channel of edge %u from subtask %u to subtask %u %s",
                            stream->id.edge, stream->id.producer, stream->id.consumer,
                            input ? "was opened twice" : "does not end here");
            return;
        }
        input->opened = true;
        stream->channel = input->channel.channel;
        stream->pool = input->channel.pool;
        connection_grant(connection, (uint32_t)number);
    }
    connection_flush(connection);
}

/* ---- dialling ---- */

static void greet(struct connection *connection)
{
    struct network *network = connection->network;
    unsigned char frame[FRAME_SMALL_MAX_BYTES];
    connection->state = CONNECTION_OPEN;
    connection_queue(connection, frame,
                     frame_encode_hello(frame, &network->job, network->attempt, network->worker));
    for (uint32_t number = 0; number < connection->streams.count; number++)
        connection_queue(connection, frame,
                         frame_encode_open(frame, number, connection->streams.items[number].id));
    connection_start_reading(connection);
    connection_flush(connection);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct connection *connection = request->data;
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (status != 0)
        connection_fail(connection, "%s", uv_strerror(status));
    else
        greet(connection);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct connection *connection = request->data;
    struct network *network = connection->network;
    if (connection->state == CONNECTION_CLOSED) {
        uv_freeaddrinfo(addresses);
        network_handle_closed(network);
        return;
    }
    int rc = status;
    if (rc == 0)
        rc = uv_tcp_init(network->loop, &connection->tcp);
    if (rc == 0) {
        connection->tcp_initialized = true;
        connection->tcp.data = connection;
        network->handles_open++;
        connection->connect.data = connection;
        rc = uv_tcp_connect(&connection->connect, &connection->tcp, addresses->ai_addr, on_connected);
    }
    uv_freeaddrinfo(addresses);
    if (rc != 0)
        connection_fail(connection, "%s", uv_strerror(rc));
    network_handle_closed(network);
}

void connection_dial(struct connection *connection)
{
    struct network *network = connection->network;
    const char *colon = strrchr(connection->address, ':');
    if (!colon || colon == connection->address) {
        connection_fail(connection, "not an address of the form host:port");
        return;
    }
    bool bracketed = connection->address[0] == '[' && colon[-1] == ']';
    char *host = xstrndup(connection->address + (bracketed ? 1 : 0),
                          (size_t)(colon - connection->address) - (bracketed ? 2 : 0));
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    connection->resolve.data = connection;
    int rc = uv_getaddrinfo(network->loop, &connection->resolve, on_resolved, host, colon + 1, &hints);
    free(host);
    if (rc != 0)
        connection_fail(connection, "%s", uv_strerror(rc));
    else
        network->handles_open++; /* the request: it must come back before the network is freed */
}
