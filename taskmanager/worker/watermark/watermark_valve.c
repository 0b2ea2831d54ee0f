#include "taskmanager/worker/watermark/watermark_valve.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

void watermark_valve_init(struct watermark_valve *valve, uint32_t channel_count)
{
    *valve = (struct watermark_valve){
        .channels = xcalloc(channel_count ? channel_count : 1, sizeof *valve->channels),
        .count = channel_count,
        .combined_ms = INT64_MIN,
    };
    for (uint32_t i = 0; i < channel_count; i++)
        valve->channels[i].watermark_ms = INT64_MIN;
}

void watermark_valve_deinit(struct watermark_valve *valve)
{
    free(valve->channels);
    *valve = (struct watermark_valve){0};
}

static struct valve_change recombine(struct watermark_valve *valve)
{
    int64_t minimum = INT64_MAX;
    bool any_active = false;
    for (uint32_t i = 0; i < valve->count; i++) {
        const struct valve_channel *channel = &valve->channels[i];
        if (channel->state != VALVE_ACTIVE)
            continue;
        any_active = true;
        if (channel->watermark_ms < minimum)
            minimum = channel->watermark_ms;
    }
    /* All ended is not idle: the end of input follows, and until then nothing changes. */
    bool idle = !any_active && valve->ended < valve->count;
    struct valve_change change = {.idle_changed = idle != valve->idle};
    valve->idle = idle;
    if (any_active && minimum > valve->combined_ms) {
        valve->combined_ms = minimum;
        change.advanced = true;
    }
    return change;
}

struct valve_change watermark_valve_on_watermark(struct watermark_valve *valve, uint32_t channel,
                                                 int64_t watermark_ms)
{
    assert(channel < valve->count);
    struct valve_channel *c = &valve->channels[channel];
    if (watermark_ms <= c->watermark_ms)
        return (struct valve_change){0};
    int64_t before = c->watermark_ms;
    c->watermark_ms = watermark_ms;
    /* Only the channel that held the minimum back can move it. */
    if (c->state != VALVE_ACTIVE || before > valve->combined_ms)
        return (struct valve_change){0};
    return recombine(valve);
}

struct valve_change watermark_valve_on_idle(struct watermark_valve *valve, uint32_t channel, bool idle)
{
    assert(channel < valve->count);
    struct valve_channel *c = &valve->channels[channel];
    enum valve_channel_state state = idle ? VALVE_IDLE : VALVE_ACTIVE;
    if (c->state == VALVE_ENDED || c->state == state)
        return (struct valve_change){0};
    c->state = state;
    return recombine(valve);
}

struct valve_change watermark_valve_on_end(struct watermark_valve *valve, uint32_t channel)
{
    assert(channel < valve->count);
    struct valve_channel *c = &valve->channels[channel];
    if (c->state == VALVE_ENDED)
        return (struct valve_change){0};
    c->state = VALVE_ENDED;
    valve->ended++;
    return recombine(valve);
}
