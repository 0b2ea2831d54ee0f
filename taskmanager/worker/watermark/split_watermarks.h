/* Event time of a source: one watermark per split (Kafka partition), the source's is the minimum over those
 * not idle.
 *
 * A split's watermark is max_timestamp − out_of_orderness − 1; a split without a record yet holds the source
 * at INT64_MIN until it is idle. Idleness is asked for, not assumed: when a split's timer has run out,
 * split_watermarks_take_due names it once; the source asks the broker and then says split_watermarks_set_idle
 * (nothing left to read) or split_watermarks_restart_timer (there is). Owned by one source on its task's
 * thread. */
#ifndef WEIR_WATERMARK_SPLIT_WATERMARKS_H
#define WEIR_WATERMARK_SPLIT_WATERMARKS_H

#include <stdbool.h>
#include <stdint.h>

enum { SPLIT_NONE = -1 };

struct split_watermark {
    int64_t max_timestamp_ms; /* INT64_MIN: no record with a timestamp yet */
    int64_t last_active_ms;   /* wall clock of the last record, or of when the timer was started */
    bool idle;
    bool asked; /* its timer has run out and the source was told */
};

struct split_watermarks {
    int64_t out_of_orderness_ms;
    int64_t idleness_ms;            /* 0: a split is never idle */
    struct split_watermark *splits; /* owned */
    uint32_t count;
    uint32_t capacity;
    int64_t combined_ms; /* what was last given out; INT64_MIN: nothing yet */
    bool combined_idle;
};

void split_watermarks_init(struct split_watermarks *watermarks, int64_t out_of_orderness_ms,
                           int64_t idleness_ms);
void split_watermarks_deinit(struct split_watermarks *watermarks);

/* Adds a split and returns its index (0, 1, …). max_timestamp_ms: restored from a snapshot; INT64_MIN: none.
 * Its idle timer starts at now_ms. */
uint32_t split_watermarks_add(struct split_watermarks *watermarks, int64_t max_timestamp_ms, int64_t now_ms);

/* A record of the split was emitted: it is active and its timer starts anew. timestamp_ms INT64_MIN: the
 * record has none. Per record: no loop, no allocation. */
static inline void split_watermarks_on_record(struct split_watermarks *watermarks, uint32_t split,
                                              int64_t timestamp_ms, int64_t now_ms)
{
    struct split_watermark *s = &watermarks->splits[split];
    if (timestamp_ms > s->max_timestamp_ms)
        s->max_timestamp_ms = timestamp_ms;
    s->last_active_ms = now_ms;
    s->idle = false;
    s->asked = false;
}

/* Earliest wall clock at which a timer runs out; INT64_MAX: none. */
int64_t split_watermarks_next_deadline(const struct split_watermarks *watermarks);
/* A split whose timer has run out at now_ms and that was not named since; SPLIT_NONE: none. Call until none.
 */
int32_t split_watermarks_take_due(struct split_watermarks *watermarks, int64_t now_ms);
/* The broker has said that nothing is left to read: leave the split out until its next record. */
void split_watermarks_set_idle(struct split_watermarks *watermarks, uint32_t split);
/* There is something to read, or a bounded split is not to be left out: ask again after another idleness
 * time. */
void split_watermarks_restart_timer(struct split_watermarks *watermarks, uint32_t split, int64_t now_ms);
/* The split has ended (bounded source): it no longer holds anything back. */
void split_watermarks_end(struct split_watermarks *watermarks, uint32_t split);

/* What to say downstream since the last call: call after each batch of records and after set_idle. */
struct split_watermarks_update {
    bool idle_changed; /* then idle holds the new state; tell it before an advanced watermark when it became
                          active */
    bool idle;         /* all splits are idle (or there is none) */
    bool advanced;     /* watermark_ms is larger than any before */
    int64_t watermark_ms;
};
struct split_watermarks_update split_watermarks_combine(struct split_watermarks *watermarks);

/* For the snapshot. */
int64_t split_watermarks_max_timestamp(const struct split_watermarks *watermarks, uint32_t split);

#endif
