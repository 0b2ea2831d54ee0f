/* Spreads events evenly over time: so many a second, in whole milliseconds of the caller's clock. */
#ifndef WEIR_CONNECTORS_RATE_LIMIT_H
#define WEIR_CONNECTORS_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_LIMIT_BEHIND_MAX_MS = 1000 };

struct rate_limit {
    double per_second; /* 0: no limit */
    int64_t start_ms;
    double done; /* since start_ms */
};

/* When the next one is due. */
static inline int64_t rate_limit_due(const struct rate_limit *limit)
{
    if (limit->per_second <= 0)
        return INT64_MIN;
    double wait_ms = limit->done * 1000.0 / limit->per_second;
    if (!(wait_ms < 9e15))
        return INT64_MAX;
    int64_t whole_ms = (int64_t)wait_ms;
    return limit->start_ms + whole_ms + ((double)whole_ms < wait_ms);
}

/* Call before asking for what is due: someone who was held up for long doesn't make up for all of it, and a
 * clock that was set back doesn't stop anything. */
static inline void rate_limit_sync(struct rate_limit *limit, int64_t now_ms)
{
    if (limit->per_second <= 0)
        return;
    int64_t due = rate_limit_due(limit);
    bool behind = due < now_ms - RATE_LIMIT_BEHIND_MAX_MS;
    bool before = now_ms < limit->start_ms;
    if (behind || before) {
        limit->start_ms = now_ms;
        limit->done = 0;
    }
}

#endif
