/* What somebody would write by hand for the job of ../jobs/memory.c: one thread, one loop, one table; the same
 * records, keys of the same type, the same windows, out-of-orderness and lateness. No checkpoints, no engine.
 *   loop pages|six|million COUNT   prints records, CPU seconds, and a sum of all results as a check */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <xxhash.h>

#include "../jobs/clicks.h"

struct slot {
    const char *page;
    int64_t key;
    int64_t count; /* 0: free */
    uint32_t length;
};

/* A window's counts; two windows may be open, as records are at most 200 ms late. */
struct table {
    struct slot *slots;
    uint64_t mask;
    int64_t end_ms;
};

enum { SLOTS_FEW = 16, SLOTS_MANY = 1 << 21 };

static struct table tables[2];
static uint64_t results, result_sum;

static void fire(struct table *table)
{
    for (uint64_t i = 0; i <= table->mask; i++)
        if (table->slots[i].count) {
            results++;
            result_sum += (uint64_t)table->slots[i].count;
        }
    memset(table->slots, 0, (table->mask + 1) * sizeof *table->slots);
    table->end_ms = 0;
}

/* The table of the window of a time; the other one is fired when the watermark has passed it. */
static struct table *window_of(int64_t at)
{
    int64_t end_ms = at - at % WINDOW_MS + WINDOW_MS;
    for (int i = 0; i < 2; i++)
        if (tables[i].end_ms == end_ms)
            return &tables[i];
    struct table *table = &tables[tables[0].end_ms > tables[1].end_ms];
    if (table->end_ms)
        fire(table);
    table->end_ms = end_ms;
    return table;
}

static inline struct table *cached_window(struct table *table, int64_t at)
{
    return at < table->end_ms && at >= table->end_ms - WINDOW_MS ? table : window_of(at);
}

static inline void count_key(struct table *table, int64_t key)
{
    uint64_t i = (uint64_t)key * UINT64_C(0x9e3779b97f4a7c15) >> 40;
    for (;; i++) {
        struct slot *slot = &table->slots[i & table->mask];
        if (slot->count && slot->key != key)
            continue;
        slot->key = key;
        slot->count++;
        return;
    }
}

static inline void count_page(struct table *table, const char *page, uint32_t length)
{
    for (uint64_t i = XXH3_64bits(page, length);; i++) {
        struct slot *slot = &table->slots[i & table->mask];
        if (slot->count && (slot->length != length || memcmp(slot->page, page, length) != 0))
            continue;
        slot->page = page;
        slot->length = length;
        slot->count++;
        return;
    }
}

static void run_pages(int64_t count)
{
    struct table *table = &tables[0];
    for (int64_t i = 0; i < count; i++) {
        const struct page *page = &pages[i % PAGES];
        table = cached_window(table, slow_time(i));
        count_page(table, page->name, page->length);
    }
}

static void run_six(int64_t count)
{
    struct table *table = &tables[0];
    for (int64_t i = 0; i < count; i++) {
        table = cached_window(table, slow_time(i));
        count_key(table, i % PAGES);
    }
}

static void run_million(int64_t count)
{
    struct table *table = &tables[0];
    for (int64_t i = 0; i < count; i++) {
        table = cached_window(table, fast_time(i));
        count_key(table, scattered_key(i));
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: loop pages|six|million COUNT\n"), 2;
    int64_t count = strtoll(argv[2], NULL, 10);
    uint64_t slots = strcmp(argv[1], "million") == 0 ? SLOTS_MANY : SLOTS_FEW;
    for (int i = 0; i < 2; i++) {
        tables[i].slots = calloc(slots, sizeof *tables[i].slots);
        tables[i].mask = slots - 1;
        if (!tables[i].slots)
            return 1;
    }
    if (strcmp(argv[1], "million") == 0)
        run_million(count);
    else if (strcmp(argv[1], "six") == 0)
        run_six(count);
    else
        run_pages(count);
    fire(&tables[0]);
    fire(&tables[1]);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%" PRId64 " %.6f %" PRIu64 " %" PRIu64 "\n", count, cpu, results, result_sum);
    return result_sum == (uint64_t)count ? 0 : 1;
}
