/* The core's time: milliseconds since the epoch that never jump. */
#ifndef WEIR_SHELL_CLOCK_H
#define WEIR_SHELL_CLOCK_H

#include <stdint.h>

/* Runs with CLOCK_BOOTTIME (which counts while the machine is suspended) and follows the wall clock by at
 * most a hundredth: somebody who sets the clock must not make heartbeats time out. */
struct clock {
    int64_t offset_ms; /* wall clock − CLOCK_BOOTTIME */
    int64_t last_boot_ms;
};

void clock_init(struct clock *clock);
int64_t clock_now_ms(struct clock *clock);
/* The same with both readings given. */
int64_t clock_advance(struct clock *clock, int64_t boot_ms, int64_t wall_ms);

#endif
