/* What frames mean. Credits: a consumer has granted at most as many buffers as its pool has, so a producer
 * that keeps to them always finds one free; one that doesn't is cut off. */
#include <assert.h>

#include "common/base/memory.h"
#include "taskmanager/worker/network/internal.h"

/* ---- data and credits (incoming) ---- */

/* How many buffers can be granted besides those that are granted or in use already. */
static uint32_t grantable(const struct stream *stream)
{
    uint32_t size = buffer_pool_size(stream->pool);
    uint32_t taken = buffer_pool_in_use(stream->pool) + stream->credit;
    if (taken < size)
        return size - taken;
    /* A buffer may be back before in_use says so; the wake-up that it brought must not be in vain. */
    return stream->credit == 0 && buffer_pool_has_free(stream->pool) ? 1 : 0;
}

void connection_grant(struct connection *connection, uint32_t number)
{
    struct stream *stream = &connection->streams.items[number];
    unsigned char frame[FRAME_SMALL_MAX_BYTES];
    if (!stream->channel)
        return;
    uint32_t more = grantable(stream);
    if (more == 0 || (stream->credit > 0 && 2 * more < buffer_pool_size(stream->pool)))
        return; /* a few at a time are not worth a frame while the producer still has some */
    stream->credit += more;
    connection_queue(connection, frame, frame_encode_credit(frame, number, more));
}

void connection_grant_all(struct connection *connection)
{
    if (connection->outgoing || connection->state != CONNECTION_OPEN || connection->bye_received)
        return;
    for (uint32_t number = 0; number < connection->streams.count; number++)
        connection_grant(connection, number);
    connection_flush(connection);
}

bool connection_begin_data(struct connection *connection, const struct frame_event *event)
{
    struct stream *stream =
        event->channel < connection->streams.count ? &connection->streams.items[event->channel] : NULL;
    if (connection->outgoing || connection->state != CONNECTION_OPEN || !stream || stream->credit == 0 ||
        connection->bye_received) {
        connection_fail(connection, "data for channel %u without credit", event->channel);
        return false;
    }
    assert(stream->channel && !connection->receiving);
    stream->credit--;
    connection->receiving = buffer_pool_try_take(stream->pool);
    if (!connection->receiving) /* one that is on its way back */
        connection->receiving = buffer_pool_take_overdraft(stream->pool);
    return true;
}

void connection_end_data(struct connection *connection, uint32_t number)
{
    struct stream *stream = &connection->streams.items[number];
    struct buffer *buffer = connection->receiving;
    connection->receiving = NULL;
    if (!channel_push(stream->channel, buffer)) {
        buffer_recycle(buffer);
        connection_fail(connection, "channel %u is full in spite of credits", number);
        return;
    }
    connection_grant(connection, number);
}

/* ---- control frames ---- */

static void refuse(struct connection *connection, const char *reason)
{
    unsigned char frame[FRAME_SMALL_MAX_BYTES];
    char *owned = xstrdup(reason);
    size_t size = frame_encode_refuse(frame, owned);
    uv_buf_t part = uv_buf_init((char *)frame, (unsigned int)size);
    (void)uv_try_write((uv_stream_t *)&connection->tcp, &part, 1); /* a courtesy */
    connection_fail(connection, "refused: %s", owned);
    free(owned);
}

static void on_hello(struct connection *connection, const struct frame_event *event)
{
    struct network *network = connection->network;
    struct frame_hello hello;
    struct error err;
    char text[WEIR_ID_HEX + 1], reason[256];
    if (frame_decode_hello(event, &hello, &err) != WEIR_OK) {
        refuse(connection, err.message);
        return;
    }
    if (!weir_id_equal(&hello.job, &network->job) || hello.attempt != network->attempt) {
        snprintf(reason, sizeof reason, "this worker runs attempt %u of job %s", network->attempt,
                 weir_id_format(&network->job, text));
        refuse(connection, reason);
        return;
    }
    if (network_has_incoming(network, connection, hello.worker)) {
        refuse(connection, "there is a connection from this worker already");
        return;
    }
    connection->peer = xstrdup(hello.worker);
    connection->state = CONNECTION_OPEN;
}

static void on_open(struct connection *connection, const struct frame_event *event)
{
    struct channel_id id;
    struct error err;
    if (frame_decode_open(event, &id, &err) != WEIR_OK) {
        connection_fail(connection, "%s", err.message);
        return;
    }
    if (event->channel != connection->streams.count) {
        connection_fail(connection, "channel %u opened when %zu was next", event->channel,
                        connection->streams.count);
        return;
    }
    vec_push(&connection->streams, (struct stream){.id = id});
    if (connection->network->connected)
        connection_bind(connection, connection->streams.count - 1);
}

static void on_credit(struct connection *connection, const struct frame_event *event)
{
    uint32_t credit;
    struct error err;
    if (frame_decode_credit(event, &credit, &err) != WEIR_OK) {
        connection_fail(connection, "%s", err.message);
        return;
    }
    if (event->channel >= connection->streams.count) {
        connection_fail(connection, "credit for channel %u, there are %zu", event->channel,
                        connection->streams.count);
        return;
    }
    struct stream *stream = &connection->streams.items[event->channel];
    if (credit > FRAME_CREDIT_MAX - stream->credit) {
        connection_fail(connection, "too much credit for channel %u", event->channel);
        return;
    }
    stream->credit += credit;
}

static void on_bye(struct connection *connection)
{
    unsigned char frame[FRAME_HEADER_BYTES];
    connection->bye_received = true;
    connection->discard = true; /* nobody is there to take it */
    connection_queue(connection, frame, frame_encode_header(frame, FRAME_BYE_ACK, 0, 0));
}

static bool is_allowed(const struct connection *connection, enum frame_type type)
{
    if (connection->state == CONNECTION_GREETING)
        return type == FRAME_HELLO;
    if (type == FRAME_BYE)
        return !connection->bye_received;
    if (type == FRAME_BYE_ACK)
        return connection->bye_sent && !connection->bye_acknowledged;
    if (connection->outgoing)
        return type == FRAME_CREDIT || type == FRAME_REFUSE;
    return type == FRAME_OPEN && !connection->bye_received;
}

void connection_on_control(struct connection *connection, const struct frame_event *event)
{
    if (!is_allowed(connection, event->type)) {
        connection_fail(connection, "a frame of type %u is out of place", (unsigned)event->type);
        return;
    }
    switch (event->type) {
    case FRAME_HELLO:
        on_hello(connection, event);
        break;
    case FRAME_OPEN:
        on_open(connection, event);
        break;
    case FRAME_CREDIT:
        on_credit(connection, event);
        break;
    case FRAME_REFUSE:
        connection_fail(connection, "refused: %.*s", (int)event->size, (const char *)event->payload);
        break;
    case FRAME_BYE:
        on_bye(connection);
        break;
    case FRAME_BYE_ACK:
        connection->bye_acknowledged = true;
        break;
    case FRAME_DATA:
        abort(); /* not a control frame */
    }
}
