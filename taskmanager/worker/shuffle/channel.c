/* Happy path: producer and consumer each have a running index on a cache line of their own and a copy of the
 * other's, which they refresh only when the ring looks full or empty. Slots are in a segment whose size is a
 * power of two.
 *
 * A channel of capacity 0 grows: a producer that finds its segment full links a larger one and never writes
 * to the old one again; the consumer moves on when it has read up to where the old one ended, and frees it.
 *
 * Possible failure modes: a wake-up lost between "full" and the producer's sleep (the producer says that it
 * found the ring full and looks again; see channel_push). */
#include "taskmanager/worker/shuffle/channel.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

enum { CACHE_LINE_BYTES = 64, FIRST_SEGMENT_BUFFERS = 16 };

struct segment {
    uint64_t base; /* index of its first slot ever used */
    uint64_t mask;
    _Atomic uint64_t
        end; /* index of the first buffer that is in the next segment; UINT64_MAX while it is the last */
    struct segment *next; /* written before end */
    struct buffer *slots[];
};

struct channel {
    struct channel_id id;
    bool grows;
    struct waker *consumer_waker;
    struct waker *producer_waker;
    atomic_bool found_full; /* the producer was refused and wants to be told */
    /* Producer: */
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t pushed;
    uint64_t popped_seen;
    struct segment *push_segment;
    /* Consumer: */
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t popped;
    uint64_t pushed_seen;
    struct segment *pop_segment;
};

static struct segment *segment_new(uint64_t base, uint64_t slots)
{
    struct segment *segment = xmalloc(sizeof *segment + slots * sizeof segment->slots[0]);
    segment->base = base;
    segment->mask = slots - 1;
    segment->next = NULL;
    atomic_init(&segment->end, UINT64_MAX);
    return segment;
}

struct channel *channel_new(struct channel_id id, uint32_t capacity)
{
    void *memory = NULL;
    if (posix_memalign(&memory, CACHE_LINE_BYTES, sizeof(struct channel)))
        abort();
    struct channel *channel = memory;
    uint64_t slots = 1;
    while (slots < (capacity ? capacity : FIRST_SEGMENT_BUFFERS))
        slots *= 2;
    *channel = (struct channel){.id = id, .grows = capacity == 0};
    channel->push_segment = channel->pop_segment = segment_new(0, slots);
    return channel;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    struct buffer *buffer;
    while ((buffer = channel_pop(channel)))
        buffer_recycle(buffer);
    /* Popping stops one segment short when the producer has grown but not pushed; it always pushes after
     * growing. */
    assert(channel->pop_segment == channel->push_segment);
    free(channel->pop_segment);
    free(channel);
}

struct channel_id channel_get_id(const struct channel *channel)
{
    return channel->id;
}

void channel_set_consumer_waker(struct channel *channel, struct waker *waker)
{
    channel->consumer_waker = waker;
}

void channel_set_producer_waker(struct channel *channel, struct waker *waker)
{
    channel->producer_waker = waker;
}

static bool segment_is_full(struct channel *channel, const struct segment *segment, uint64_t index)
{
    uint64_t oldest = channel->popped_seen > segment->base ? channel->popped_seen : segment->base;
    return index - oldest > segment->mask;
}

static struct segment *segment_grow(struct channel *channel, uint64_t index)
{
    struct segment *old = channel->push_segment;
    struct segment *grown = segment_new(index, 2 * (old->mask + 1));
    old->next = grown;
    /* The consumer sees it after the release of pushed beyond index. */
    atomic_store_explicit(&old->end, index, memory_order_release);
    channel->push_segment = grown;
    return grown;
}

bool channel_push(struct channel *channel, struct buffer *buffer)
{
    uint64_t index = atomic_load_explicit(&channel->pushed, memory_order_relaxed);
    struct segment *segment = channel->push_segment;
    if (segment_is_full(channel, segment, index)) {
        channel->popped_seen = atomic_load_explicit(&channel->popped, memory_order_acquire);
        if (segment_is_full(channel, segment, index) && channel->grows) {
            segment = segment_grow(channel, index);
        } else if (segment_is_full(channel, segment, index)) {
            (void)atomic_exchange_explicit(&channel->found_full, true, memory_order_acq_rel);
            channel->popped_seen = atomic_load_explicit(&channel->popped, memory_order_acquire);
            if (segment_is_full(channel, segment, index))
                return false;
        }
    }
    segment->slots[index & segment->mask] = buffer;
    atomic_store_explicit(&channel->pushed, index + 1, memory_order_release);
    waker_wake(channel->consumer_waker);
    return true;
}

struct buffer *channel_pop(struct channel *channel)
{
    uint64_t index = atomic_load_explicit(&channel->popped, memory_order_relaxed);
    if (index == channel->pushed_seen) {
        channel->pushed_seen = atomic_load_explicit(&channel->pushed, memory_order_acquire);
        if (index == channel->pushed_seen)
            return NULL;
    }
    struct segment *segment = channel->pop_segment;
    if (atomic_load_explicit(&segment->end, memory_order_acquire) == index) {
        channel->pop_segment = segment->next;
        free(segment);
        segment = channel->pop_segment;
    }
    struct buffer *buffer = segment->slots[index & segment->mask];
    atomic_store_explicit(&channel->popped, index + 1, memory_order_release);
    if (!channel->grows && atomic_exchange_explicit(&channel->found_full, false, memory_order_acq_rel))
        waker_wake(channel->producer_waker);
    return buffer;
}

bool channel_is_empty(const struct channel *channel)
{
    return atomic_load_explicit(&channel->pushed, memory_order_acquire) ==
           atomic_load_explicit(&channel->popped, memory_order_acquire);
}

uint32_t channel_length(const struct channel *channel)
{
    /* popped first: what is read of pushed afterwards can't be less. */
    uint64_t popped = atomic_load_explicit(&channel->popped, memory_order_acquire);
    return (uint32_t)(atomic_load_explicit(&channel->pushed, memory_order_acquire) - popped);
}
