/* The producer's side of one output edge: appends elements to the current buffer of each channel, with one
 * copy, and pushes the buffers. Which channel a record goes to is the caller's choice. One task owns it, on
 * its thread. */
#ifndef WEIR_SHUFFLE_RESULT_PARTITION_H
#define WEIR_SHUFFLE_RESULT_PARTITION_H

#include "taskmanager/worker/shuffle/channel.h"
#include "taskmanager/worker/shuffle/element.h"

struct result_partition {
    struct buffer_pool *pool;  /* owned */
    struct channel **channels; /* the array is owned, the channels borrowed */
    struct buffer **current;   /* per channel; NULL: none begun */
    uint32_t channel_count;
    uint32_t begun;     /* channels with a current buffer */
    uint64_t bytes;     /* written so far, headers included */
    bool *room_is_sure; /* set to false when a buffer is taken from the pool; borrowed; may be NULL */
};

void result_partition_init(struct result_partition *partition, struct channel *const *channels,
                           uint32_t channel_count, uint32_t pool_buffers, struct waker *waker);
/* Gives back what was not pushed. */
void result_partition_deinit(struct result_partition *partition);

/* Whether one more record has room wherever it goes. Writing is always possible: it overdraws the pool. */
bool result_partition_has_room(struct result_partition *partition);
void result_partition_write_slowly(struct result_partition *partition, uint32_t channel, uint32_t key_hash,
                                   int64_t timestamp, const void *data, uint32_t size);
/* timestamp: INT64_MIN: none. A record larger than a buffer is cut into pieces. */
static inline void result_partition_write(struct result_partition *partition, uint32_t channel,
                                          uint32_t key_hash, int64_t timestamp, const void *data,
                                          uint32_t size)
{
    struct buffer *buffer = partition->current[channel];
    /* With room for a header behind it: the buffer is not full then and stays. */
    if (__builtin_expect(!buffer || size > BUFFER_SIZE_BYTES ||
                             element_padded(size) + sizeof(struct element_header) >
                                 BUFFER_SIZE_BYTES - buffer->size,
                         false)) {
        result_partition_write_slowly(partition, channel, key_hash, timestamp, data, size);
        return;
    }
    uint32_t padded = element_append(
        buffer->data + buffer->size,
        (struct element_header){
            .size = size & 0xfffffffu, .kind = ELEMENT_RECORD, .key_hash = key_hash, .timestamp = timestamp},
        data);
    buffer->size += padded;
    partition->bytes += padded;
}
/* Watermark, barrier, idle, active, end of input: to every channel. payload: at most 256 bytes, NULL with
 * size 0. */
void result_partition_broadcast(struct result_partition *partition, enum element_kind kind, int64_t timestamp,
                                const void *payload, uint32_t size);
/* Pushes all buffers begun. */
void result_partition_flush(struct result_partition *partition);
static inline bool result_partition_has_unflushed(const struct result_partition *partition)
{
    return partition->begun > 0;
}
uint32_t
result_partition_queued_buffers(const struct result_partition *partition); /* any thread, approximate */

#endif
