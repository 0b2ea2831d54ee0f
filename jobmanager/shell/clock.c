#include "jobmanager/shell/clock.h"

#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_init(struct clock *clock)
{
    clock->last_boot_ms = read_ms(CLOCK_BOOTTIME);
    clock->offset_ms = read_ms(CLOCK_REALTIME) - clock->last_boot_ms;
}

int64_t clock_advance(struct clock *clock, int64_t boot_ms, int64_t wall_ms)
{
    int64_t step_ms = (boot_ms - clock->last_boot_ms) / 100;
    if (step_ms > 0) {
        int64_t behind_ms = wall_ms - (boot_ms + clock->offset_ms);
        clock->offset_ms += behind_ms > step_ms ? step_ms : behind_ms < -step_ms ? -step_ms : behind_ms;
        clock->last_boot_ms = boot_ms;
    }
    return boot_ms + clock->offset_ms;
}

int64_t clock_now_ms(struct clock *clock)
{
    return clock_advance(clock, read_ms(CLOCK_BOOTTIME), read_ms(CLOCK_REALTIME));
}
