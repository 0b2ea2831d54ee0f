/* Clocks, read at the edge only: cores and tasks get the time as a parameter. Any thread. */
#ifndef WEIR_SYS_CLOCK_H
#define WEIR_SYS_CLOCK_H

#include <stdint.h>

int64_t wall_ms(void);      /* CLOCK_REALTIME, ms since the epoch */
int64_t boottime_ms(void);  /* CLOCK_BOOTTIME: goes on while the machine is suspended; for liveness */
int64_t monotonic_ns(void); /* CLOCK_MONOTONIC, for durations */

#endif
