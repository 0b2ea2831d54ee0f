/* How one side of a channel, pool or mailbox wakes the other: a flag and a function. With threads the function writes to an
 * eventfd; in the simulator and in tests it marks a task runnable. */
#ifndef WEIR_SHUFFLE_WAKER_H
#define WEIR_SHUFFLE_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>

struct waker {
    atomic_bool sleeping; /* set by the sleeper before its last look, cleared by whoever wakes it */
    void (*wake)(struct waker *self); /* any thread; called only when sleeping was set */
};

static inline void waker_wake(struct waker *waker)
{
    if (!waker)
        return;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&waker->sleeping, memory_order_relaxed) &&
        atomic_exchange_explicit(&waker->sleeping, false, memory_order_seq_cst))
        waker->wake(waker);
}

/* The sleeper: waker_prepare, look once more for work, then sleep (or waker_cancel when there was some). */
static inline void waker_prepare(struct waker *waker)
{
    atomic_store_explicit(&waker->sleeping, true, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void waker_cancel(struct waker *waker)
{
    atomic_store_explicit(&waker->sleeping, false, memory_order_seq_cst);
}

#endif
