/* The thread of a task: steps it, sleeps until it is woken or due. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/sys/clock.h"
#include "common/sys/stack.h"
#include "taskmanager/worker/process/worker.h"

enum { SLEEP_MS_MAX = 1000, STACK_BYTES = 1 << 20 }; /* the wall clock may be set: look again now and then */

static void wake(struct waker *waker)
{
    struct task_thread *self = (struct task_thread *)((char *)waker - offsetof(struct task_thread, waker));
    uint64_t one = 1;
    ssize_t n = write(self->event_fd, &one, sizeof one);
    (void)n; /* full means that it is awake already */
}

static void sleep_until(struct task_thread *self, int64_t deadline_ms)
{
    int64_t left_ms = SLEEP_MS_MAX;
    if (deadline_ms != INT64_MAX) {
        left_ms = deadline_ms - wall_ms();
        left_ms = left_ms < 0 ? 0 : left_ms > SLEEP_MS_MAX ? SLEEP_MS_MAX : left_ms;
    }
    struct pollfd fd = {.fd = self->event_fd, .events = POLLIN};
    if (poll(&fd, 1, (int)left_ms) > 0) {
        uint64_t count;
        ssize_t n = read(self->event_fd, &count, sizeof count);
        (void)n;
    }
    waker_cancel(&self->waker);
}

static enum task_progress look_again(struct task_thread *self, struct task *task)
{
    waker_prepare(&self->waker);
    enum task_progress progress = task_step(task, wall_ms());
    if (progress != TASK_WAITING)
        waker_cancel(&self->waker);
    return progress;
}

static void name_thread(const struct task *task)
{
    char name[16] = "";
    snprintf(name, sizeof name, "%s", task_name(task));
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

static void *run(void *argument)
{
    struct task_thread *self = argument;
    struct task *task = job_runtime_task(self->worker->runtime, self->index);
    name_thread(task);
    crash_handler_thread_init();
    for (;;) {
        enum task_progress progress = task_step(task, wall_ms());
        if (progress == TASK_WAITING)
            progress = look_again(self, task);
        if (progress == TASK_ENDED)
            break;
        if (progress == TASK_WAITING)
            sleep_until(self, task_deadline(task));
    }
    outbox_post(&self->worker->outbox, NULL);
    return NULL;
}

int task_threads_prepare(struct worker *worker, uint32_t count, struct error *err)
{
    worker->threads = xcalloc(count, sizeof *worker->threads);
    worker->thread_count = count;
    for (uint32_t i = 0; i < count; i++) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            return error_set_errno(err, WEIR_E_IO, errno, "eventfd for task %u of %u", i + 1, count);
        worker->threads[i] =
            (struct task_thread){.waker.wake = wake, .event_fd = fd, .worker = worker, .index = i};
    }
    return WEIR_OK;
}

int task_threads_start(struct worker *worker, struct error *err)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int rc = WEIR_OK;
    for (uint32_t i = 0; rc == WEIR_OK && i < worker->thread_count; i++) {
        struct task_thread *thread = &worker->threads[i];
        int failure = pthread_create(&thread->thread, &attributes, run, thread);
        if (failure)
            rc = error_set_errno(err, WEIR_E_IO, failure, "start the thread of task %u of %u", i + 1,
                                 worker->thread_count);
        else
            worker->threads_running++;
    }
    pthread_attr_destroy(&attributes);
    return rc;
}
