/* Start, loop, end.
 *
 * Possible failure modes at the start: a port in use, a directory that can't be made: one sentence, nothing
 * left behind. At the end (SIGTERM, SIGINT): the jobmanager is told, workers are killed and waited for, the
 * private directory is removed. A second signal ends the process at once; workers go with it. */
#include "taskmanager/shell/taskmanager.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/sys/clock.h"
#include "common/sys/process.h"

enum { TIMER_MAX_MS = 60000, LEAVE_MAX_MS = 500, LEAVE_POLL_MS = 5, SECOND_SIGNAL_EXIT_CODE = 130 };

static const char runner_logger[] = "weir.runtime.taskexecutor.TaskManagerRunner";
static const char executor_logger[] = "weir.runtime.taskexecutor.TaskExecutor";

/* ---- the supervisor and its clock ---- */

static void on_timer(uv_timer_t *timer)
{
    taskmanager_step(timer->data, &(struct supervisor_event){.kind = SUPERVISOR_TICK,
                                                             .resident_bytes = resident_bytes_of_self()});
}

static void arm_timer(struct taskmanager *tm)
{
    int64_t deadline_ms = supervisor_next_deadline(tm->supervisor);
    if (deadline_ms == INT64_MAX) {
        uv_timer_stop(&tm->timer);
        return;
    }
    int64_t now_ms = boottime_ms();
    int64_t delay_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    uv_update_time(&tm->loop);
    uv_timer_start(&tm->timer, on_timer, (uint64_t)(delay_ms < TIMER_MAX_MS ? delay_ms : TIMER_MAX_MS), 0);
}

/* ---- the end ---- */

static void on_workers_closed(void *self)
{
    ((struct taskmanager *)self)->workers = NULL;
}

static void stop(struct taskmanager *tm)
{
    if (tm->stopping)
        return;
    tm->stopping = true;
    registration_close(tm);
    if (tm->artifacts)
        artifacts_close(tm->artifacts);
    tm->artifacts = NULL;
    if (tm->workers)
        workers_close(tm->workers, on_workers_closed, tm);
    for (size_t i = 0; i < sizeof tm->signals / sizeof tm->signals[0]; i++)
        uv_close((uv_handle_t *)&tm->signals[i], NULL);
    uv_close((uv_handle_t *)&tm->timer, NULL);
    uv_close((uv_handle_t *)&tm->leave_timer, NULL);
}

/* The message that we leave should arrive, if somebody is there. */
static void on_leave_timer(uv_timer_t *timer)
{
    struct taskmanager *tm = timer->data;
    if (!tm->link || rpc_link_is_idle(tm->link) || boottime_ms() >= tm->leave_deadline_ms)
        stop(tm);
}

static void leave(struct taskmanager *tm, int exit_code)
{
    tm->leaving = true;
    tm->exit_code = exit_code;
    tm->leave_deadline_ms = boottime_ms() + LEAVE_MAX_MS;
    uv_timer_start(&tm->leave_timer, on_leave_timer, 0, LEAVE_POLL_MS);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct taskmanager *tm = handle->data;
    static bool seen; /* of the process, like the signals */
    if (seen)
        _exit(SECOND_SIGNAL_EXIT_CODE);
    seen = true;
    log_warn(runner_logger, "RECEIVED SIGNAL %d: SIG%s. Shutting down as requested.", number,
             sigabbrev_np(number));
    char *reason = xasprintf("it received SIG%s", sigabbrev_np(number));
    taskmanager_step(tm, &(struct supervisor_event){.kind = SUPERVISOR_SHUTDOWN, .message = reason});
    free(reason);
}

/* ---- commands ---- */

static void execute(struct taskmanager *tm, struct supervisor_command *command)
{
    switch (command->kind) {
    case SUPERVISOR_REGISTER:
        registration_begin(tm);
        break;
    case SUPERVISOR_SEND_JM:
        registration_send(tm, command->to_jm);
        command->to_jm = NULL;
        break;
    case SUPERVISOR_FETCH_ARTIFACT:
        artifacts_want(tm->artifacts, command->start_worker->program->artifact_sha256.data,
                       command->start_worker->program->file_name);
        break;
    case SUPERVISOR_SPAWN_WORKER:
        workers_spawn(tm->workers, command->worker, command->text);
        break;
    case SUPERVISOR_SEND_WORKER:
        workers_send(tm->workers, command->worker, command->to_worker);
        break;
    case SUPERVISOR_KILL_WORKER:
        workers_kill(tm->workers, command->worker);
        break;
    case SUPERVISOR_EXIT:
        leave(tm, command->exit_code);
        break;
    case SUPERVISOR_LOG:
        log_write(command->level, command->logger, "%s", command->text);
        break;
    }
}

void taskmanager_step(struct taskmanager *tm, const struct supervisor_event *event)
{
    if (tm->stepping)
        abort(); /* commands only have effects outside; what those bring back arrives by the loop */
    if (tm->stopping)
        return;
    struct supervisor_commands commands = {0};
    tm->stepping = true;
    supervisor_step(tm->supervisor, boottime_ms(), event, &commands);
    vec_for_each (command, &commands)
        execute(tm, command);
    tm->stepping = false;
    supervisor_commands_clear(&commands);
    vec_free(&commands);
    arm_timer(tm);
}

/* ---- events ---- */

static void on_worker_message(void *self, uint64_t worker, const Weir__ToJobManager *message)
{
    taskmanager_step(self, &(struct supervisor_event){
                               .kind = SUPERVISOR_WORKER_MESSAGE, .worker = worker, .from_worker = message});
}

static void on_worker_exited(void *self, uint64_t worker, const struct worker_exit *how)
{
    taskmanager_step(self, &(struct supervisor_event){.kind = SUPERVISOR_WORKER_EXITED,
                                                      .worker = worker,
                                                      .exit_code = how->exit_code,
                                                      .signal = how->signal,
                                                      .message = how->message,
                                                      .stack = how->stack});
}

static void on_artifact_ready(void *self, const uint8_t *sha256, int rc, const char *message,
                              const char *path)
{
    taskmanager_step(
        self,
        &(struct supervisor_event){
            .kind = SUPERVISOR_ARTIFACT_READY, .rc = rc, .message = message, .path = path, .sha256 = sha256});
}

/* ---- start ---- */

static void init_handles(struct taskmanager *tm)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    uv_timer_init(&tm->loop, &tm->timer);
    uv_timer_init(&tm->loop, &tm->leave_timer);
    tm->timer.data = tm->leave_timer.data = tm;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&tm->loop, &tm->signals[i]);
        tm->signals[i].data = tm;
        uv_signal_start(&tm->signals[i], on_signal, numbers[i]);
    }
}

static void make_id(struct taskmanager *tm)
{
    const char *given = config_string(tm->config, OPT_TASKMANAGER_RESOURCE_ID);
    if (given)
        tm->id = xstrdup(given);
    else
        tm->id =
            xasprintf("%s-%06x", tm->rpc_address + strlen("tcp://"), (unsigned)(os_random_u64() & 0xffffff));
}

static void log_scratch(const struct taskmanager *tm)
{
    struct statvfs fs;
    static const double gigabyte = 1e9;
    if (statvfs(tm->scratch.path, &fs) != 0 || fs.f_blocks == 0)
        return;
    double total = (double)fs.f_blocks * (double)fs.f_frsize,
           usable = (double)fs.f_bavail * (double)fs.f_frsize;
    log_info("weir.runtime.taskexecutor.TaskManagerServices",
             "Temporary file directory '%s': total %.0f GB, usable %.0f GB (%.2f%% usable)", tm->scratch.path,
             total / gigabyte, usable / gigabyte, 100 * usable / total);
}

static int open_workers(struct taskmanager *tm, struct error *err)
{
    struct workers_options options = {
        .directory = tm->scratch.socket_directory,
        .task_manager_id = tm->id,
        .host = config_string(tm->config, OPT_TASKMANAGER_HOST),
        .bind_host = config_string(tm->config, OPT_TASKMANAGER_BIND_HOST),
        .data_port = (uint16_t)config_integer(tm->config, OPT_TASKMANAGER_DATA_PORT),
        .callbacks = {.message = on_worker_message, .exited = on_worker_exited, .self = tm},
    };
    return workers_new(&tm->loop, &options, &tm->workers, err);
}

static int start(struct taskmanager *tm, struct error *err)
{
    log_info(runner_logger, "Starting TaskManager (Version: %s)", WEIR_VERSION);
    log_info(runner_logger, "Using configured hostname/address for TaskManager: %s.",
             config_string(tm->config, OPT_TASKMANAGER_HOST));
    if (registration_open(tm, err) ||
        scratch_open(config_string(tm->config, OPT_TASKMANAGER_TMP_DIRS), &tm->scratch, err))
        return err->rc;
    make_id(tm);
    log_info(runner_logger, "Starting TaskManager with ResourceID: %s", tm->id);
    log_scratch(tm);
    if (open_workers(tm, err))
        return err->rc;
    tm->artifacts = artifacts_new(
        &tm->loop,
        &(struct artifacts_options){.directory = tm->scratch.path,
                                    .jobmanager_address = tm->jobmanager_address,
                                    .max_bytes = (uint64_t)config_memory_bytes(tm->config, OPT_BLOB_MAX_SIZE),
                                    .ready = on_artifact_ready,
                                    .self = tm});
    tm->supervisor = supervisor_new(&(struct supervisor_config){
        .task_manager_id = tm->id,
        .slots = (uint32_t)config_integer(tm->config, OPT_TASKMANAGER_SLOTS),
        .jobmanager_address = tm->jobmanager_address,
    });
    log_info(executor_logger, "Connecting to ResourceManager %s.", tm->jobmanager_address);
    arm_timer(tm);
    return WEIR_OK;
}

static void deinit(struct taskmanager *tm)
{
    supervisor_free(tm->supervisor);
    scratch_close(&tm->scratch);
    free(tm->id);
    free(tm->rpc_address);
    free(tm->jobmanager_address);
}

int taskmanager_run(const struct config *config, struct error *err)
{
    struct taskmanager tm = {.config = config, .scratch.lock_fd = -1};
    int rc = uv_loop_init(&tm.loop);
    if (rc != 0)
        return error_set(err, WEIR_E_IO, "can't make an event loop: %s", uv_strerror(rc));
    init_handles(&tm);
    rc = start(&tm, err);
    if (rc != WEIR_OK)
        stop(&tm);
    uv_run(&tm.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&tm.loop) != 0)
        abort(); /* something was not closed */
    deinit(&tm);
    return rc;
}
