#include "taskmanager/worker/watermark/split_watermarks.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

void split_watermarks_init(struct split_watermarks *watermarks, int64_t out_of_orderness_ms,
                           int64_t idleness_ms)
{
    assert(out_of_orderness_ms >= 0);
    assert(idleness_ms >= 0);
    *watermarks = (struct split_watermarks){
        .out_of_orderness_ms = out_of_orderness_ms,
        .idleness_ms = idleness_ms,
        .combined_ms = INT64_MIN,
    };
}

void split_watermarks_deinit(struct split_watermarks *watermarks)
{
    free(watermarks->splits);
    watermarks->splits = NULL;
    watermarks->count = watermarks->capacity = 0;
}

uint32_t split_watermarks_add(struct split_watermarks *watermarks, int64_t max_timestamp_ms, int64_t now_ms)
{
    if (watermarks->count == watermarks->capacity) {
        watermarks->capacity = watermarks->capacity ? 2 * watermarks->capacity : 8;
        watermarks->splits = xrealloc(watermarks->splits, watermarks->capacity * sizeof *watermarks->splits);
    }
    watermarks->splits[watermarks->count] = (struct split_watermark){
        .max_timestamp_ms = max_timestamp_ms,
        .last_active_ms = now_ms,
    };
    return watermarks->count++;
}

/* Saturating: a timestamp near the ends of int64 must not wrap into a watermark that drops everything. */
static int64_t watermark_of(const struct split_watermarks *watermarks, int64_t max_timestamp_ms)
{
    if (max_timestamp_ms == INT64_MIN)
        return INT64_MIN;
    int64_t watermark;
    if (__builtin_sub_overflow(max_timestamp_ms, watermarks->out_of_orderness_ms, &watermark) ||
        __builtin_sub_overflow(watermark, (int64_t)1, &watermark))
        return INT64_MIN;
    return watermark;
}

static bool timer_is_running(const struct split_watermarks *watermarks, const struct split_watermark *split)
{
    return watermarks->idleness_ms > 0 && !split->idle && !split->asked;
}

static int64_t deadline_of(const struct split_watermarks *watermarks, const struct split_watermark *split)
{
    int64_t deadline;
    if (__builtin_add_overflow(split->last_active_ms, watermarks->idleness_ms, &deadline))
        return INT64_MAX;
    return deadline;
}

int64_t split_watermarks_next_deadline(const struct split_watermarks *watermarks)
{
    int64_t earliest = INT64_MAX;
    for (uint32_t i = 0; i < watermarks->count; i++) {
        const struct split_watermark *split = &watermarks->splits[i];
        if (timer_is_running(watermarks, split) && deadline_of(watermarks, split) < earliest)
            earliest = deadline_of(watermarks, split);
    }
    return earliest;
}

int32_t split_watermarks_take_due(struct split_watermarks *watermarks, int64_t now_ms)
{
    for (uint32_t i = 0; i < watermarks->count; i++) {
        struct split_watermark *split = &watermarks->splits[i];
        if (timer_is_running(watermarks, split) && now_ms >= deadline_of(watermarks, split)) {
            split->asked = true;
            return (int32_t)i;
        }
    }
    return SPLIT_NONE;
}

void split_watermarks_set_idle(struct split_watermarks *watermarks, uint32_t split)
{
    assert(split < watermarks->count);
    watermarks->splits[split].idle = true;
    watermarks->splits[split].asked = false;
}

void split_watermarks_restart_timer(struct split_watermarks *watermarks, uint32_t split, int64_t now_ms)
{
    assert(split < watermarks->count);
    watermarks->splits[split].last_active_ms = now_ms;
    watermarks->splits[split].asked = false;
}

void split_watermarks_end(struct split_watermarks *watermarks, uint32_t split)
{
    split_watermarks_set_idle(watermarks, split);
}

struct split_watermarks_update split_watermarks_combine(struct split_watermarks *watermarks)
{
    int64_t minimum = INT64_MAX;
    bool any_active = false;
    for (uint32_t i = 0; i < watermarks->count; i++) {
        const struct split_watermark *split = &watermarks->splits[i];
        if (split->idle)
            continue;
        any_active = true;
        int64_t watermark = watermark_of(watermarks, split->max_timestamp_ms);
        if (watermark < minimum)
            minimum = watermark;
    }
    struct split_watermarks_update update = {.idle = !any_active, .watermark_ms = watermarks->combined_ms};
    update.idle_changed = update.idle != watermarks->combined_idle;
    watermarks->combined_idle = update.idle;
    /* All idle: the watermark stays where it is, so that whichever split comes back first has lost nothing.
     */
    if (any_active && minimum > watermarks->combined_ms) {
        watermarks->combined_ms = minimum;
        update.watermark_ms = minimum;
        update.advanced = true;
    }
    return update;
}

int64_t split_watermarks_max_timestamp(const struct split_watermarks *watermarks, uint32_t split)
{
    assert(split < watermarks->count);
    return watermarks->splits[split].max_timestamp_ms;
}
