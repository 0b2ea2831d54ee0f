/* Keeps librdkafka fetching while a backlog is read: it stops when its queue is full and looks again only
 * when its broker thread next wakes up, which on a connection that is otherwise silent takes up to a second.
 * This says when the queue was full and has half drained since; asking the brokers anything then wakes their
 * threads. */
#ifndef WEIR_CONNECTORS_LIBRDKAFKA_PREFETCH_H
#define WEIR_CONNECTORS_LIBRDKAFKA_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>

struct prefetch {
    uint64_t limit_messages; /* queued.min.messages */
    uint64_t limit_bytes;    /* queued.max.messages.kbytes */
    double average_bytes;    /* of the messages read lately */
    bool was_full;
};

/* After a batch of messages was taken from the queue; queue_length: what is left in it. true: wake the
 * brokers' threads. */
static inline bool prefetch_should_wake(struct prefetch *prefetch, uint64_t messages, uint64_t bytes,
                                        uint64_t queue_length)
{
    if (messages == 0)
        return false;
    double average = (double)bytes / (double)messages;
    prefetch->average_bytes +=
        (average - prefetch->average_bytes) * (prefetch->average_bytes > 0 ? 0.1 : 1.0);
    uint64_t limit = prefetch->limit_messages;
    if (prefetch->average_bytes > 0 &&
        (double)limit * prefetch->average_bytes > (double)prefetch->limit_bytes)
        limit = (uint64_t)((double)prefetch->limit_bytes / prefetch->average_bytes);
    if (queue_length + messages >= limit - limit / 5)
        prefetch->was_full = true; /* or nearly: one question too many does no harm */
    if (prefetch->was_full && queue_length <= limit / 2) {
        prefetch->was_full = false;
        return true;
    }
    return false;
}

#endif
