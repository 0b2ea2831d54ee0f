/* Who was heard of how long ago. All peers have the same timeout, so the one heard of longest ago is always
 * first in a list: every operation is O(1). Owned by the core; pure. */
#ifndef WEIR_HEARTBEAT_HEARTBEAT_MONITOR_H
#define WEIR_HEARTBEAT_HEARTBEAT_MONITOR_H

#include <stdint.h>

/* Embedded in what is monitored. */
struct heartbeat_target {
    struct heartbeat_target *previous, *next;
    int64_t last_ms; /* when it was last heard of, epoch */
};

struct heartbeat_monitor {
    struct heartbeat_target ring; /* ring.next: heard of longest ago */
    int64_t timeout_ms;
};

void heartbeat_monitor_init(struct heartbeat_monitor *monitor, int64_t timeout_ms);
void heartbeat_monitor_add(struct heartbeat_monitor *monitor, struct heartbeat_target *target,
                           int64_t now_ms);
/* now_ms never goes back. */
void heartbeat_monitor_touch(struct heartbeat_monitor *monitor, struct heartbeat_target *target,
                             int64_t now_ms);
void heartbeat_monitor_remove(struct heartbeat_target *target);
/* One whose time is over, or NULL. It stays in until it is removed. */
struct heartbeat_target *heartbeat_monitor_expired(const struct heartbeat_monitor *monitor, int64_t now_ms);
int64_t heartbeat_monitor_deadline(const struct heartbeat_monitor *monitor); /* INT64_MAX: none */

#endif
