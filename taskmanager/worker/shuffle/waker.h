/* How one side of a channel, pool or mailbox wakes the other: a flag and a function. With threads the
 * function writes to an eventfd; in the simulator and in tests it marks a task runnable. */
#ifndef WEIR_SHUFFLE_WAKER_H
#define WEIR_SHUFFLE_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>

struct waker {
    atomic_bool sleeping; /* set by the sleeper before its last look, cleared by whoever wakes it */
    void (*wake)(struct waker *self); /* any thread; called only when sleeping was set */
};

/* All accesses are read-modify-writes of one flag, so they have one order in which each sees what came before
 * the one before it: either the waker finds sleeping set, or the sleeper's last look finds the waker's work.
 * No fences: ThreadSanitizer understands it too. */
static inline void waker_wake(struct waker *waker)
{
    if (waker && atomic_exchange_explicit(&waker->sleeping, false, memory_order_acq_rel))
        waker->wake(waker);
}

/* The sleeper: waker_prepare, look once more for work, then sleep (or waker_cancel when there was some). */
static inline void waker_prepare(struct waker *waker)
{
    (void)atomic_exchange_explicit(&waker->sleeping, true, memory_order_acq_rel);
}

static inline void waker_cancel(struct waker *waker)
{
    (void)atomic_exchange_explicit(&waker->sleeping, false, memory_order_acq_rel);
}

#endif
