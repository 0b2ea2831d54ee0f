/* The edge of a worker: one process per job attempt and taskmanager. The loop's thread owns everything here
 * but the tasks, each of which runs on a thread of its own, and what is marked as shared.
 *
 *     CONNECTED --StartWorker--> READY --DeployTasks--> RUNNING --all tasks ended--> ENDING --told,
 * delivered--> exit 0 |                        |                       |
 *         +---- error: says WorkerExited, exit 1 ----------+   a task that fails is reported; the worker
 * waits to be killed
 *
 * It ends itself at once when its taskmanager is gone (control socket, liveness pipe, parent-death signal),
 * and when nothing was heard of the jobmanager for heartbeat.timeout. */
#ifndef WEIR_PROCESS_WORKER_H
#define WEIR_PROCESS_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "common/api/stream_graph.h"
#include "common/base/error.h"
#include "common/base/vec.h"
#include "common/config/config.h"
#include "common/rpc/rpc.h"
#include "taskmanager/worker/network/network.h"
#include "taskmanager/worker/task/job_runtime.h"

/* The command line, from the taskmanager:
 *   taskmanager --worker --control ipc:///path --task-manager-id ID --artifact FILE --host HOST --bind-host
 * HOST
 *               --data-port PORT --parent-pid PID --liveness-fd FD --crash-fd FD
 * liveness-fd: a pipe's read end, whose end of file means that the taskmanager is gone; crash-fd: where the
 * crash report goes. */
struct worker_options {
    const char *control;
    const char *task_manager_id;
    const char *artifact;
    const char *host; /* given to peers */
    const char *bind_host;
    uint16_t data_port;
    int parent_pid;
    int liveness_fd;
    int crash_fd;
};
int worker_options_parse(int argc, char **argv, struct worker_options *ret_options,
                         struct error *err) WEIR_CHECK;

enum worker_state { WORKER_CONNECTED, WORKER_READY, WORKER_RUNNING, WORKER_ENDING, WORKER_STATE_COUNT };

struct worker;

/* outbox.c: what task threads say, in order, to the loop's thread. */
struct outbox {
    pthread_mutex_t lock;
    struct vec_of(Weir__ToJobManager *) messages; /* shared, under the lock */
    uv_async_t async;
    struct worker *worker;
};
int outbox_open(struct outbox *outbox, struct worker *worker, uv_loop_t *loop, struct error *err) WEIR_CHECK;
void outbox_post(struct outbox *outbox, Weir__ToJobManager *message_take); /* any thread */
void outbox_flush(struct outbox *outbox);                                  /* loop */

/* task_thread.c */
struct task_thread {
    struct waker waker; /* shared */
    int event_fd;       /* shared: written by waker.wake */
    pthread_t thread;
    bool started;
    struct worker *worker;
    uint32_t index;
};
int task_threads_prepare(struct worker *worker, uint32_t count,
                         struct error *err) WEIR_CHECK; /* wakers exist */
int task_threads_start(struct worker *worker, struct error *err) WEIR_CHECK;

/* user_environment.c: what user code gets; shared, any task thread. */
struct sleeper {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool canceled; /* under the lock */
};
void sleeper_init(struct sleeper *sleeper);
void sleeper_cancel(struct sleeper *sleeper);
struct user_environment sleeper_environment(struct sleeper *sleeper);

struct worker {
    uv_loop_t *loop;
    struct worker_options options;
    enum worker_state state;
    struct rpc_pair *pair;
    Weir__StartWorker *start;
    Weir__DeploymentId *deployment; /* borrowed from start */
    struct config *config;
    struct job_library library;
    struct stream_graph *stream_graph;
    struct network *network;
    Weir__DeployTasks *deploy;
    char *checkpoint_directory; /* of the job, a local path; NULL: none */
    struct job_runtime *runtime;
    struct user_environment environment;
    struct sleeper sleeper;
    struct task_thread *threads;
    uint32_t thread_count;
    uint32_t threads_running;
    uint32_t file_writes; /* under way on the pool */
    bool task_failed; /* one has: the process waits to be killed */
    bool network_finished;
    struct outbox outbox;
    uv_timer_t heartbeat_timer;
    uv_poll_t liveness_poll;
    uv_timer_t farewell_timer;
    uint64_t farewell_until_ms; /* 0: not ending yet */
    int64_t heard_ms; /* CLOCK_BOOTTIME */
    struct {
        uint64_t checkpoint_id;
        char *path;
    } directories[4]; /* told by triggers, newest last */
    /* Of savepoints whose barrier overtook the word of their directory; owned */
    struct vec_of(Weir__CheckpointAck *) held;
};

/* worker.c */
void worker_run(const struct worker_options *options) __attribute__((noreturn));
/* Says what is wrong and ends the process. */
void worker_fail(struct worker *worker, const char *sentence) __attribute__((noreturn));
void worker_task_ended(struct worker *worker); /* loop: a task's thread has ended */
void worker_maybe_end(struct worker *worker);  /* loop: ends the process when nothing is left to do */

/* control.c */
void control_on_message(void *self, const Weir__ToTaskManager *message);
Weir__ToJobManager *control_message(const struct worker *worker, Weir__ToJobManager__BodyCase kind);
Weir__DeploymentId *
control_deployment(const struct worker *worker); /* a copy; owned by the message it goes into */

/* peer_loss.c: a connection with another worker is lost: all tasks with a channel to it have failed. */
void peer_lost(void *self, const char *peer, const char *message);

/* load.c */
int worker_load(struct worker *worker, struct error *err) WEIR_CHECK;   /* library, graph, fingerprint */
int worker_deploy(struct worker *worker, struct error *err) WEIR_CHECK; /* runtime, network, threads */

/* task_messages.c: the listener of the tasks. */
struct task_listener task_messages_listener(struct worker *worker);

/* snapshot_files.c: loop. Writes what is above the threshold to a file, then sends the acknowledgement; a
 * failure is a decline. */
void snapshot_files_send(struct worker *worker, Weir__CheckpointAck *ack_take);
/* The directory of a checkpoint is known now, or (send false) nobody wants it any more. */
void snapshot_files_release(struct worker *worker, uint64_t checkpoint_id, bool send);

/* liveness.c */
int liveness_open(struct worker *worker, struct error *err) WEIR_CHECK;

#endif
