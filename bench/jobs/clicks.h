/* The click events of the in-memory scenarios, for the job and for the hand-written loop: what event i is. */
#ifndef WEIR_BENCH_CLICKS_H
#define WEIR_BENCH_CLICKS_H

#include <stdint.h>

enum { PAGES = 6, KEYS = 1000000, WINDOW_MS = 15000, OUT_OF_ORDERNESS_MS = 200 };

struct page {
    const char *name;
    uint32_t length;
};

static const struct page pages[PAGES] = {{"/help", 5}, {"/index", 6}, {"/shop", 5},
                                         {"/jobs", 5}, {"/about", 6}, {"/news", 5}};

/* Milliseconds of event time. Few keys: 400 events a second, as in the playground; a window has 6,000. */
static inline int64_t slow_time(int64_t index)
{
    return INT64_C(1700000000000) + index * 5 / 2;
}

/* Many keys: 400,000 events a second, so that a window has 6,000,000 and nearly every key. */
static inline int64_t fast_time(int64_t index)
{
    return INT64_C(1700000000000) + index / 400;
}

/* Keys in no order: a mix of the index (SplitMix64's finaliser, Stafford 2011), cut to the number of keys. */
static inline int64_t scattered_key(int64_t index)
{
    uint64_t x = (uint64_t)index;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return (int64_t)((x >> 32) * KEYS >> 32);
}

#endif
