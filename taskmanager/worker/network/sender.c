/* The writing half of a connection. Happy path: take up to 8 buffers from the channels that have credit, try
 * to write them at once, hand what the kernel didn't take to uv_write, and go on when that is done. One write
 * is under way at a time.
 *
 * Possible failure modes: a wake-up lost between the last look and the sleep: the waker is armed before the
 * look. */
#include <assert.h>

#include "common/base/memory.h"
#include "taskmanager/worker/network/internal.h"

void connection_queue(struct connection *connection, const unsigned char *frame, size_t size)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (!strbuf_add(&connection->control, frame, size))
        connection_fail(connection, "the peer does not read");
}

/* Any thread. */
void connection_wake(struct waker *waker)
{
    struct connection *connection = (struct connection *)((char *)waker - offsetof(struct connection, waker));
    atomic_store_explicit(&connection->ready, true, memory_order_release);
    uv_async_send(&connection->network->async);
}

void connection_drop_batch(struct connection *connection)
{
    struct write_batch *batch = &connection->batch;
    for (unsigned int i = 0; i < batch->count; i++)
        buffer_recycle(batch->buffers[i]);
    batch->count = 0;
    free(batch->control);
    batch->control = NULL;
    batch->control_size = 0;
}

bool connection_outputs_are_empty(const struct connection *connection)
{
    if (!connection->outgoing)
        return true;
    vec_for_each (stream, &connection->streams)
        if (!channel_is_empty(stream->channel))
            return false;
    return true;
}

static void discard_outputs(struct connection *connection)
{
    struct buffer *buffer;
    vec_for_each (stream, &connection->streams)
        while ((buffer = channel_pop(stream->channel)))
            buffer_recycle(buffer);
}

static void add_buffers(struct connection *connection, struct write_batch *batch)
{
    size_t count = connection->streams.count;
    for (size_t tried = 0; tried < count && batch->count < BATCH_BUFFERS; tried++) {
        size_t number = connection->next_stream;
        struct stream *stream = &connection->streams.items[number];
        connection->next_stream = number + 1 == count ? 0 : number + 1;
        struct buffer *buffer;
        while (stream->credit > 0 && batch->count < BATCH_BUFFERS &&
               (buffer = channel_pop(stream->channel))) {
            if (buffer->size == 0) {
                buffer_recycle(buffer);
                continue;
            }
            assert(buffer->size <= BUFFER_SIZE_BYTES);
            frame_encode_header(batch->headers[batch->count], FRAME_DATA, (uint32_t)number, buffer->size);
            batch->buffers[batch->count++] = buffer;
            stream->credit--;
        }
    }
}

/* false: nothing to write. */
static bool fill_batch(struct connection *connection)
{
    struct write_batch *batch = &connection->batch;
    assert(batch->count == 0 && !batch->control);
    if (connection->control.size > 0) {
        batch->control_size = connection->control.size;
        batch->control = strbuf_take(&connection->control);
    }
    if (connection->outgoing && !connection->bye_sent) {
        if (connection->discard)
            discard_outputs(connection);
        else
            add_buffers(connection, batch);
    }
    return batch->control || batch->count > 0;
}

static void on_written(uv_write_t *request, int status)
{
    struct connection *connection = request->data;
    struct network *network = connection->network;
    connection->writing = false;
    connection_drop_batch(connection);
    if (connection->state == CONNECTION_OPEN && status == 0) {
        connection_flush(connection);
        network_check_finished(network);
    } else if (connection->state == CONNECTION_OPEN) {
        connection_fail(connection, "%s", uv_strerror(status));
    }
}

/* true: all of it was written. */
static bool write_batch(struct connection *connection)
{
    struct write_batch *batch = &connection->batch;
    uv_buf_t parts[1 + 2 * BATCH_BUFFERS];
    unsigned int count = 0;
    size_t total = 0;
    if (batch->control)
        parts[count++] = uv_buf_init(batch->control, (unsigned int)batch->control_size);
    for (unsigned int i = 0; i < batch->count; i++) {
        parts[count++] = uv_buf_init((char *)batch->headers[i], FRAME_HEADER_BYTES);
        parts[count++] = uv_buf_init((char *)batch->buffers[i]->data, batch->buffers[i]->size);
    }
    for (unsigned int i = 0; i < count; i++)
        total += parts[i].len;
    int written = uv_try_write((uv_stream_t *)&connection->tcp, parts, count);
    if (written < 0 && written != UV_EAGAIN) {
        connection_drop_batch(connection);
        connection_fail(connection, "%s", uv_strerror(written));
        return false;
    }
    size_t done = written < 0 ? 0 : (size_t)written;
    if (done == total) {
        connection_drop_batch(connection);
        return true;
    }
    uv_buf_t *rest = parts;
    while (done >= rest->len) {
        done -= rest->len;
        rest++;
        count--;
    }
    rest->base += done;
    rest->len -= done;
    connection->writing = true;
    batch->request.data = connection;
    int rc = uv_write(&batch->request, (uv_stream_t *)&connection->tcp, rest, count, on_written);
    if (rc == 0)
        return false;
    connection->writing = false;
    connection_drop_batch(connection);
    connection_fail(connection, "%s", uv_strerror(rc));
    return false;
}

/* Outputs are drained and this worker is about to end: say so, once. */
static void say_goodbye(struct connection *connection)
{
    unsigned char frame[FRAME_HEADER_BYTES];
    if (!connection->network->finishing || connection->bye_sent ||
        (!connection->discard && !connection_outputs_are_empty(connection)))
        return;
    connection->bye_sent = true;
    connection_queue(connection, frame, frame_encode_header(frame, FRAME_BYE, 0, 0));
}

void connection_flush(struct connection *connection)
{
    if (connection->state != CONNECTION_OPEN || connection->writing)
        return;
    if (connection->outgoing)
        waker_prepare(&connection->waker);
    for (int turn = 0; connection->state == CONNECTION_OPEN; turn++) {
        if (turn == BATCHES_PER_TURN) {
            connection_wake(&connection->waker); /* the others first */
            return;
        }
        if (!fill_batch(connection)) {
            say_goodbye(connection);
            if (connection->control.size == 0)
                return;
            continue;
        }
        if (!write_batch(connection))
            return;
    }
}
