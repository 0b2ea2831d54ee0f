/* What REST (and the simulator's invariants) may see of the core: read-only snapshots by value or borrowed until the next
 * core_step. */
#ifndef WEIR_CORE_VIEW_H
#define WEIR_CORE_VIEW_H

#include "jobmanager/core/core.h"

enum job_state {
    JOB_INITIALIZING, JOB_CREATED, JOB_RUNNING, JOB_FAILING, JOB_FAILED, JOB_CANCELLING, JOB_CANCELED,
    JOB_FINISHED, JOB_RESTARTING, JOB_SUSPENDED, JOB_RECONCILING, JOB_STATE_COUNT
};
const char *job_state_name(enum job_state state);
bool job_state_is_terminal(enum job_state state);
enum { TASK_STATE_COUNT = 9 };
const char *task_state_name(Weir__TaskState state);

struct overview_view {
    uint32_t task_managers, slots_total, slots_available;
    uint32_t jobs_running, jobs_finished, jobs_cancelled, jobs_failed;
};

struct task_manager_view {
    const char *id;
    const char *rpc_address;
    const char *data_address; /* of its newest worker; "" if none */
    const char *host;
    uint64_t session;
    uint32_t slots, free_slots, tasks;
    uint32_t cpu_cores;
    uint64_t physical_memory_bytes, process_memory_bytes, resident_bytes;
    int64_t last_heartbeat_ms; /* epoch */
};

struct subtask_view {
    Weir__TaskState state;
    uint32_t attempt;
    const char *attempt_id;
    const char *task_manager; /* id; "" while unassigned */
    const char *host;
    int64_t state_since_ms[TASK_STATE_COUNT]; /* epoch; 0: not been in it in this attempt */
    Weir__TaskMetrics metrics; /* latest; zeroes if none; no owned pointers */
};

struct vertex_view {
    const Weir__Vertex *descriptor;
    Weir__TaskState status; /* aggregated as Flink's ExecutionJobVertex does */
    uint32_t tasks_by_state[TASK_STATE_COUNT];
    int64_t start_ms, end_ms; /* −1: not yet */
};

enum checkpoint_status { CHECKPOINT_IN_PROGRESS, CHECKPOINT_COMPLETED, CHECKPOINT_FAILED };
struct checkpoint_view {
    uint64_t id;
    enum checkpoint_status status;
    bool savepoint;
    int64_t trigger_ms, latest_ack_ms, completed_ms; /* −1: none */
    uint64_t state_bytes;   /* all of it; the checkpoint's size */
    uint64_t metadata_bytes;
    uint64_t processed_bytes;
    uint32_t subtasks, acknowledged;
    bool discarded;
    const char *path;       /* "" while none */
    const char *failure;    /* "" if none */
    int64_t failure_ms;
};

struct exception_view {
    int64_t timestamp_ms;
    const char *name;    /* short class of failure: "TaskManagerLost", "WorkerCrashed", "TaskFailed" */
    const char *message; /* one sentence */
    const char *stack;   /* "" if none */
    const char *task;    /* "ClickEvent Counter (1/2) - execution #0"; "" if not of one task */
    const char *endpoint;
    const char *task_manager;
};

struct job_view {
    struct weir_id id;
    const char *name;
    enum job_state state;
    int64_t start_ms, end_ms /* −1 */, last_modification_ms;
    int64_t state_ms[JOB_STATE_COUNT]; /* when it was last entered; 0: never */
    const Weir__JobGraph *graph;
    uint32_t vertex_count;
    uint32_t tasks_total;
    uint32_t tasks_by_state[TASK_STATE_COUNT];
    uint32_t restarts;
    uint64_t uptime_ms, downtime_ms;
    int64_t checkpoint_interval_ms; /* 0: no checkpoints */
    struct { uint64_t restored, total, in_progress, completed, failed; } checkpoints;
    uint32_t checkpoint_history_count; /* newest first */
    uint32_t exception_count;          /* newest first */
    int64_t restored_ms;               /* −1: never */
    uint64_t restored_checkpoint_id;
};

void core_view_overview(const struct core *core, struct overview_view *ret_view);
uint32_t core_task_manager_count(const struct core *core);
void core_view_task_manager(const struct core *core, uint32_t index, struct task_manager_view *ret_view);
uint32_t core_job_count(const struct core *core); /* ended ones included, up to a limit; oldest first */
void core_view_job(const struct core *core, uint32_t index, struct job_view *ret_view);
/* Index of a job, or −1. */
int32_t core_find_job(const struct core *core, const struct weir_id *id);
void core_view_vertex(const struct core *core, uint32_t job, uint32_t vertex, struct vertex_view *ret_view);
void core_view_subtask(const struct core *core, uint32_t job, uint32_t vertex, uint32_t subtask, struct subtask_view *ret_view);
void core_view_checkpoint(const struct core *core, uint32_t job, uint32_t index, struct checkpoint_view *ret_view);
void core_view_exception(const struct core *core, uint32_t job, uint32_t index, struct exception_view *ret_view);

#endif
