/* Worker processes: spawned, talked to, buried. On the loop's thread, which is the thread that spawns: a
 * worker asks to be killed when that thread ends. */
#ifndef WEIR_TASKMANAGER_WORKER_PROCESS_H
#define WEIR_TASKMANAGER_WORKER_PROCESS_H

#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "proto/control.pb-c.h"

/* The worker's descriptors, besides 0 to 2. */
enum { WORKER_LIVENESS_FD = 3, WORKER_CRASH_FD = 4 };
/* What comes through the crash pipe from a worker that could not even load its library. */
#define WORKER_ERROR_PREFIX "error: "

/* How a worker ended; borrowed for the call. */
struct worker_exit {
    int32_t exit_code;   /* -1: by a signal */
    uint32_t signal;     /* 0: not by one */
    const char *message; /* NULL, or what is known besides */
    const char *stack;   /* NULL, or frames, one a line */
};

struct workers_callbacks {
    void (*message)(void *self, uint64_t worker, const Weir__ToJobManager *message);
    /* The process has ended, and all it has said before has been told. Never from within workers_spawn. */
    void (*exited)(void *self, uint64_t worker, const struct worker_exit *how);
    void *self;
};

struct workers_options {
    const char *directory; /* for sockets, private; copied */
    const char *task_manager_id;
    const char *host;
    const char *bind_host;
    uint16_t data_port;
    struct workers_callbacks callbacks;
};

struct workers;
/* Strings of options are borrowed until workers_close has called back. */
int workers_new(uv_loop_t *loop, const struct workers_options *options, struct workers **ret_workers,
                struct error *err) WEIR_CHECK;
/* handle: not in use. A failure is told by exited. */
void workers_spawn(struct workers *workers, uint64_t handle, const char *artifact);
void workers_send(struct workers *workers, uint64_t handle, const Weir__ToTaskManager *message);
void workers_kill(struct workers *workers, uint64_t handle);
/* Kills what is left; closed is called from the loop when all is closed and freed. */
void workers_close(struct workers *workers, void (*closed)(void *self), void *self);

/* Pure: splits what came through a crash pipe into message and stack; changes text, which stays the caller's.
 */
void crash_report_parse(char *text, char **ret_message, const char **ret_stack);

#endif
