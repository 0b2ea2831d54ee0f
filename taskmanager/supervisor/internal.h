/* What the supervisor's files share: its state, and helpers that append commands. */
#ifndef WEIR_SUPERVISOR_INTERNAL_H
#define WEIR_SUPERVISOR_INTERNAL_H

#include "taskmanager/supervisor/supervisor.h"

#define LOG_TASK_EXECUTOR "weir.runtime.taskexecutor.TaskExecutor"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 1000,
    WORKER_SILENCE_MIN_MS = 3000, /* workers report once a second, however short heartbeat.timeout is */
    SHA256_BYTES = 32,
};

enum registration_state {
    REGISTRATION_BACKOFF, /* not registered, waiting to try (again) */
    REGISTRATION_TRYING,  /* SUPERVISOR_REGISTER was commanded, its answer is to come */
    REGISTRATION_DONE,    /* in a session */
    REGISTRATION_LEAVING, /* SHUTDOWN: only the exits of workers are waited for */
};

enum worker_state {
    WORKER_FETCHING, /* the artifact is on its way; there is no process yet */
    WORKER_STARTING, /* spawned */
    WORKER_RUNNING,  /* said WorkerReady */
    WORKER_KILLED,   /* SIGKILL was commanded; its exit is to come */
};

struct deployment {
    struct weir_id job;
    uint32_t attempt;
};

struct worker {
    uint64_t handle;
    uint64_t session; /* in which it was started */
    struct deployment deployment;
    enum worker_state state;
    bool stop_requested;   /* by the jobmanager, in the present session: its exit is answered as expected */
    bool cancel_requested; /* CancelTasks was relayed */
    uint32_t slots;
    int64_t heard_ms; /* when it last said something; moved on by time in which this process stood still */
    size_t tasks_deployed;
    size_t tasks_ended;
    uint8_t sha256[SHA256_BYTES];
    char *job_name;
    char *reported_error; /* what the worker itself said about its end; owned */
    char *reported_stack;
    Weir__StartWorker *start; /* until spawned; owned */
};

struct supervisor {
    char *task_manager_id;
    char *jobmanager_address;
    uint32_t slots;
    enum registration_state registration;
    int64_t retry_at_ms;
    int64_t backoff_ms;
    char *last_failure; /* why the last registration failed: the same is not logged again; owned */
    uint64_t session;
    bool ever_registered;
    struct weir_id jobmanager;
    int64_t heartbeat_interval_ms;
    int64_t heartbeat_timeout_ms;
    int64_t next_heartbeat_ms;
    int64_t last_tick_ms;
    int64_t last_heard_ms;
    bool heard_since_liveness;
    uint64_t resident_bytes;
    uint64_t last_handle;
    struct vec_of(struct worker) workers;
};

/* commands.c */
struct supervisor_command *command_add(struct supervisor_commands *commands,
                                       enum supervisor_command_kind kind, uint64_t worker);
void command_log(struct supervisor_commands *commands, enum log_level level, const char *format, ...)
    WEIR_PRINTF(3, 4);
/* Deep copies, by packing. */
Weir__ToTaskManager *copy_to_task_manager(const Weir__ToTaskManager *message);
Weir__ToJobManager *copy_to_job_manager(const Weir__ToJobManager *message);
Weir__StartWorker *copy_start_worker(const Weir__StartWorker *message);
Weir__DeploymentId *deployment_id_new(const struct deployment *deployment);
Weir__ToJobManager *worker_exited_new(const struct deployment *deployment);

/* workers.c */
void worker_deinit(struct worker *worker);
bool worker_has_process(const struct worker *worker);
void worker_kill(struct worker *worker, struct supervisor_commands *commands);
/* Kills all processes and forgets those without; nothing of them is reported unless the jobmanager asks. */
void workers_kill_all(struct supervisor *supervisor, struct supervisor_commands *commands);
uint32_t workers_running(const struct supervisor *supervisor);
void workers_on_jm_message(struct supervisor *supervisor, int64_t now_ms, const Weir__ToTaskManager *message,
                           struct supervisor_commands *commands);
void workers_on_artifact(struct supervisor *supervisor, const struct supervisor_event *event,
                         struct supervisor_commands *commands);
void workers_on_message(struct supervisor *supervisor, int64_t now_ms, uint64_t handle,
                        const Weir__ToJobManager *message, struct supervisor_commands *commands);
/* Kills the workers with tasks that have said nothing for too long. */
void workers_kill_silent(struct supervisor *supervisor, int64_t now_ms, struct supervisor_commands *commands);
/* When that is next to be looked at; INT64_MAX: no worker has tasks. */
int64_t workers_silence_deadline(const struct supervisor *supervisor);
/* So long nothing could be heard of them. */
void workers_forgive(struct supervisor *supervisor, int64_t deaf_ms);
void workers_on_exit(struct supervisor *supervisor, const struct supervisor_event *event,
                     struct supervisor_commands *commands);
void workers_send_liveness(const struct supervisor *supervisor, struct supervisor_commands *commands);

/* exits.c */
/* The answer to a StartWorker that can't be carried out. */
void report_start_failure(const struct deployment *deployment, const char *job_name, const char *reason,
                          struct supervisor_commands *commands);
/* The exit of a worker as the jobmanager is told it. */
void report_exit(const struct worker *worker, const struct supervisor_event *event,
                 struct supervisor_commands *commands);

#endif
