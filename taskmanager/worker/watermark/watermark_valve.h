/* Event time of a task: the minimum over its input channels that are not idle and have not ended. It never
 * goes back. One input gate owns it, on its task's thread. */
#ifndef WEIR_WATERMARK_WATERMARK_VALVE_H
#define WEIR_WATERMARK_WATERMARK_VALVE_H

#include <stdbool.h>
#include <stdint.h>

enum valve_channel_state { VALVE_ACTIVE, VALVE_IDLE, VALVE_ENDED };

struct watermark_valve {
    struct valve_channel {
        int64_t watermark_ms; /* INT64_MIN: none yet */
        enum valve_channel_state state;
    } * channels; /* owned */
    uint32_t count;
    uint32_t ended;
    int64_t combined_ms; /* INT64_MIN: none yet */
    bool idle;
};

/* What changed with the last call. */
struct valve_change {
    bool advanced;     /* combined_ms is new */
    bool idle_changed; /* idle is new: all channels that have not ended are idle, or no longer */
};

void watermark_valve_init(struct watermark_valve *valve, uint32_t channel_count);
void watermark_valve_deinit(struct watermark_valve *valve);
struct valve_change watermark_valve_on_watermark(struct watermark_valve *valve, uint32_t channel,
                                                 int64_t watermark_ms);
struct valve_change watermark_valve_on_idle(struct watermark_valve *valve, uint32_t channel, bool idle);
struct valve_change watermark_valve_on_end(struct watermark_valve *valve, uint32_t channel);

#endif
