/* Time, sleep and randomness of user code in a worker. */
#include <errno.h>
#include <time.h>

#include "common/base/id.h"
#include "common/sys/clock.h"
#include "taskmanager/worker/process/worker.h"

void sleeper_init(struct sleeper *sleeper)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sleeper->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&sleeper->lock, NULL);
    sleeper->canceled = false;
}

void sleeper_cancel(struct sleeper *sleeper)
{
    pthread_mutex_lock(&sleeper->lock);
    sleeper->canceled = true;
    pthread_cond_broadcast(&sleeper->changed);
    pthread_mutex_unlock(&sleeper->lock);
}

static int64_t user_now(void *self)
{
    (void)self;
    return wall_ms();
}

static int user_sleep(void *self, int64_t ms)
{
    struct sleeper *sleeper = self;
    if (ms < 0)
        ms = 0;
    int64_t until_ns = monotonic_ns() + (ms < INT64_MAX / 2000000 ? ms : INT64_MAX / 2000000) * 1000000;
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    pthread_mutex_lock(&sleeper->lock);
    while (!sleeper->canceled &&
           pthread_cond_timedwait(&sleeper->changed, &sleeper->lock, &until) != ETIMEDOUT) {
    }
    bool canceled = sleeper->canceled;
    pthread_mutex_unlock(&sleeper->lock);
    return canceled ? WEIR_E_CANCELED : 0;
}

static uint64_t user_random(void *self)
{
    static _Thread_local struct random random; /* a task is one thread */
    static _Thread_local bool seeded;
    (void)self;
    if (!seeded) {
        random_init(&random, os_random_u64());
        seeded = true;
    }
    return random_next(&random);
}

struct user_environment sleeper_environment(struct sleeper *sleeper)
{
    return (struct user_environment){
        .now = user_now, .sleep = user_sleep, .random = user_random, .self = sleeper};
}
