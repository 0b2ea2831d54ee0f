#include "jobmanager/heartbeat/heartbeat_monitor.h"

#include <assert.h>
#include <stddef.h>

void heartbeat_monitor_init(struct heartbeat_monitor *monitor, int64_t timeout_ms)
{
    assert(timeout_ms > 0);
    monitor->ring.next = monitor->ring.previous = &monitor->ring;
    monitor->timeout_ms = timeout_ms;
}

static void append(struct heartbeat_monitor *monitor, struct heartbeat_target *target, int64_t now_ms)
{
    struct heartbeat_target *last = monitor->ring.previous;
    assert(last == &monitor->ring || last->last_ms <= now_ms);
    target->last_ms = now_ms;
    target->previous = last;
    target->next = &monitor->ring;
    last->next = target;
    monitor->ring.previous = target;
}

void heartbeat_monitor_add(struct heartbeat_monitor *monitor, struct heartbeat_target *target, int64_t now_ms)
{
    assert(!target->next);
    append(monitor, target, now_ms);
}

void heartbeat_monitor_touch(struct heartbeat_monitor *monitor, struct heartbeat_target *target,
                             int64_t now_ms)
{
    heartbeat_monitor_remove(target);
    append(monitor, target, now_ms);
}

void heartbeat_monitor_remove(struct heartbeat_target *target)
{
    assert(target->next && target->previous);
    target->previous->next = target->next;
    target->next->previous = target->previous;
    target->next = target->previous = NULL;
}

struct heartbeat_target *heartbeat_monitor_expired(const struct heartbeat_monitor *monitor, int64_t now_ms)
{
    return heartbeat_monitor_deadline(monitor) <= now_ms ? monitor->ring.next : NULL;
}

int64_t heartbeat_monitor_deadline(const struct heartbeat_monitor *monitor)
{
    const struct heartbeat_target *first = monitor->ring.next;
    return first == &monitor->ring ? INT64_MAX : first->last_ms + monitor->timeout_ms;
}
