/* All subtasks of one job in one worker: makes tasks and channels from a deployment. No threads, no network:
 * the worker process runs each task on a thread and connects the remote channels over TCP; the simulator
 * steps them and moves buffers. */
#ifndef WEIR_TASK_JOB_RUNTIME_H
#define WEIR_TASK_JOB_RUNTIME_H

#include "taskmanager/worker/task/task.h"

/* One side of a channel whose other side is in another worker. */
struct remote_channel {
    struct channel *channel; /* output: drained by the network; input: filled by it */
    struct channel_id id;
    bool is_output;
    const char *peer_worker;  /* task_manager_id of the other side; borrowed from the deployment */
    const char *peer_address; /* its data plane, "host:port" */
    struct buffer_pool
        *pool; /* input only: where the network takes buffers from; its size is the credit. Set its waker, and
                * the consumer waker of an output channel, before the first task is stepped. */
};

struct job_runtime_setup {
    const struct stream_graph *stream_graph; /* borrowed */
    const Weir__DeployTasks *deployment;     /* borrowed until job_runtime_free */
    const char *worker;                      /* this worker's task_manager_id: who is local */
    struct task_config config;
    const struct user_environment *user_environment;
    const struct kafka_provider *kafka;
    struct task_listener listener;
    struct waker *(*task_waker)(void *self,
                                uint32_t task_index); /* one per task, in the order of deployment->tasks */
    void *task_waker_self;
    int (*read_state)(void *reader, const char *restore_base, const Weir__StateHandle *handle,
                      void **ret_data, size_t *ret_size,
                      struct error *err); /* malloc'ed data; verifies length and checksum */
    void *reader;
    operator_new_fn *const *operators; /* by kind; NULL: operator_table */
};

struct job_runtime;
int job_runtime_new(const struct job_runtime_setup *setup, struct job_runtime **ret_runtime,
                    struct error *err) WEIR_CHECK;
/* Frees its tasks and channels; no task may be stepped any more, and no channel be used by the network. */
void job_runtime_free(struct job_runtime *runtime);
uint32_t job_runtime_task_count(const struct job_runtime *runtime);
struct task *job_runtime_task(const struct job_runtime *runtime, uint32_t index);
uint32_t job_runtime_remote_count(const struct job_runtime *runtime);
const struct remote_channel *job_runtime_remote(const struct job_runtime *runtime, uint32_t index);
/* Posts a trigger to the source tasks, complete/aborted/cancel to all. Any thread. */
void job_runtime_post(struct job_runtime *runtime, const struct task_mail *mail);

#endif
