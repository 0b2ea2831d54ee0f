/* A channel: one producer subtask, one consumer subtask, buffers in order. A single-producer/single-consumer
 * ring.
 *
 * Local exchange: the producer task and the consumer task share one channel, and the buffer is handed over.
 * Remote exchange: the producer's channel is drained by the network thread of its worker (the consumer of
 * that ring), and the network thread of the other worker fills the consumer's channel (its producer) with
 * buffers from a pool that belongs to the channel: as many as the credit it has granted. Tasks see no
 * difference. */
#ifndef WEIR_SHUFFLE_CHANNEL_H
#define WEIR_SHUFFLE_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "taskmanager/worker/shuffle/buffer.h"

/* Names a channel within one deployment; the same on both sides. */
struct channel_id {
    uint32_t edge;     /* index in the job graph */
    uint32_t producer; /* subtask */
    uint32_t consumer; /* subtask */
};

struct channel;

/* capacity: buffers; the ring never holds more, and a producer that respects its pool never finds it full.
 * Each waker may be NULL and may be set later, before the first push. */
struct channel *channel_new(struct channel_id id, uint32_t capacity);
void channel_free(struct channel *channel); /* recycles what is in it */
struct channel_id channel_get_id(const struct channel *channel);
void channel_set_consumer_waker(struct channel *channel, struct waker *waker);
void channel_set_producer_waker(
    struct channel *channel, struct waker *waker); /* told when a ring that refused a buffer has room again */

/* Producer only. false: full (grow: the ring grows when capacity was given as 0). */
bool channel_push(struct channel *channel, struct buffer *buffer);
/* Consumer only. NULL: empty. */
struct buffer *channel_pop(struct channel *channel);
bool channel_is_empty(const struct channel *channel);   /* either side */
uint32_t channel_length(const struct channel *channel); /* any thread, approximate: the metric */

#endif
