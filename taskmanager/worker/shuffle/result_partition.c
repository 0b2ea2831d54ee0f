#include "taskmanager/worker/shuffle/result_partition.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

/* A begun buffer with less room than this counts as full when asked for room. */
enum { ROOM_BYTES = 1024 };

void result_partition_init(struct result_partition *partition, struct channel *const *channels,
                           uint32_t channel_count, uint32_t pool_buffers, struct waker *waker)
{
    assert(channel_count > 0);
    assert(pool_buffers > 0);
    *partition = (struct result_partition){
        .pool = buffer_pool_new(pool_buffers, waker),
        .channels = xmemdup(channels, channel_count * sizeof *channels),
        .current = xcalloc(channel_count, sizeof *partition->current),
        .channel_count = channel_count,
    };
}

void result_partition_deinit(struct result_partition *partition)
{
    for (uint32_t i = 0; i < partition->channel_count; i++)
        if (partition->current[i])
            buffer_recycle(partition->current[i]);
    free(partition->current);
    free(partition->channels);
    buffer_pool_free(partition->pool);
    *partition = (struct result_partition){0};
}

bool result_partition_has_room(struct result_partition *partition)
{
    if (buffer_pool_has_free(partition->pool))
        return true;
    if (partition->begun < partition->channel_count)
        return false;
    for (uint32_t i = 0; i < partition->channel_count; i++)
        if (partition->current[i]->size + ROOM_BYTES > BUFFER_SIZE_BYTES)
            return false;
    return true;
}

static void push_current(struct result_partition *partition, uint32_t channel)
{
    struct buffer *buffer = partition->current[channel];
    partition->current[channel] = NULL;
    partition->begun--;
    bool pushed = channel_push(partition->channels[channel], buffer);
    assert(pushed); /* output channels grow: an overdraft has to fit */
    (void)pushed;
}

/* The current buffer of the channel, begun if there is none. */
static struct buffer *begin(struct result_partition *partition, uint32_t channel)
{
    struct buffer *buffer = partition->current[channel];
    if (buffer)
        return buffer;
    buffer = buffer_pool_try_take(partition->pool);
    if (!buffer)
        buffer = buffer_pool_take_overdraft(partition->pool);
    partition->current[channel] = buffer;
    partition->begun++;
    if (partition->room_is_sure)
        *partition->room_is_sure = false;
    return buffer;
}

static void append(struct result_partition *partition, uint32_t channel, struct element_header header,
                   const void *payload)
{
    struct buffer *buffer = partition->current[channel];
    uint32_t padded = element_padded(header.size);
    assert(padded <= BUFFER_SIZE_BYTES - buffer->size);
    buffer->size += element_append(buffer->data + buffer->size, header, payload);
    partition->bytes += padded;
    if (BUFFER_SIZE_BYTES - buffer->size < sizeof(struct element_header))
        push_current(partition, channel);
}

static void write_element(struct result_partition *partition, uint32_t channel, struct element_header header,
                          const void *payload)
{
    if (begin(partition, channel)->size + element_padded(header.size) > BUFFER_SIZE_BYTES) {
        push_current(partition, channel);
        begin(partition, channel);
    }
    append(partition, channel, header, payload);
}

/* Cuts a large record: every piece but the last fills its buffer. */
static void write_fragments(struct result_partition *partition, uint32_t channel,
                            struct element_header header, const unsigned char *data)
{
    uint32_t left = header.size;
    while (left > 0) {
        const struct buffer *buffer = begin(partition, channel);
        uint32_t room = BUFFER_SIZE_BYTES - buffer->size - (uint32_t)sizeof header; /* a multiple of 8 */
        if (room == 0) {
            push_current(partition, channel);
            continue;
        }
        header.size = (left <= room ? left : room) & 0xfffffffu;
        header.kind = left <= room ? ELEMENT_LAST_FRAGMENT : ELEMENT_FRAGMENT;
        append(partition, channel, header, data);
        data += header.size;
        left -= header.size;
    }
}

void result_partition_write_slowly(struct result_partition *partition, uint32_t channel, uint32_t key_hash,
                                   int64_t timestamp, const void *data, uint32_t size)
{
    assert(channel < partition->channel_count);
    struct element_header header = {
        .size = size & 0xfffffffu, .kind = ELEMENT_RECORD, .key_hash = key_hash, .timestamp = timestamp};
    assert(header.size == size);
    if (size <= BUFFER_SIZE_BYTES - sizeof header)
        write_element(partition, channel, header, data);
    else
        write_fragments(partition, channel, header, data);
}

void result_partition_broadcast(struct result_partition *partition, enum element_kind kind, int64_t timestamp,
                                const void *payload, uint32_t size)
{
    assert(size <= 256);
    struct element_header header = {.size = size & 0xfffffffu, .kind = kind & 0xfu, .timestamp = timestamp};
    for (uint32_t i = 0; i < partition->channel_count; i++)
        write_element(partition, i, header, payload);
}

void result_partition_flush(struct result_partition *partition)
{
    for (uint32_t i = 0; i < partition->channel_count && partition->begun > 0; i++)
        if (partition->current[i])
            push_current(partition, i);
}

uint32_t result_partition_queued_buffers(const struct result_partition *partition)
{
    uint32_t queued = 0;
    for (uint32_t i = 0; i < partition->channel_count; i++)
        queued += channel_length(partition->channels[i]);
    return queued;
}
