/* Start, loop, end.
 *
 * Possible failure modes at the start: a port in use, a directory that can't be made: one sentence, nothing
 * left behind. At the end (SIGTERM, SIGINT): no more requests, file work that was begun is finished,
 * everything is closed, the loop runs empty. Taskmanagers see their connections go and end their workers
 * after heartbeat.timeout. */
#include "jobmanager/shell/jobmanager.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

static const char LOGGER[] = "weir.runtime.entrypoint.ClusterEntrypoint";
static const char REST_LOGGER[] = "weir.runtime.dispatcher.DispatcherRestEndpoint";

enum { TIMER_MAX_MS = 60000 };

/* ---- the core and its clock ---- */

static void on_core_timer(uv_timer_t *timer)
{
    jobmanager_step(timer->data, &(struct core_event){.kind = EVENT_TICK});
}

static void arm_timer(struct jobmanager *jm)
{
    int64_t deadline_ms = core_next_deadline(jm->core);
    if (deadline_ms == INT64_MAX) {
        uv_timer_stop(&jm->core_timer);
        return;
    }
    int64_t delay_ms = deadline_ms - clock_now_ms(&jm->clock);
    delay_ms = delay_ms < 1 ? 1 : delay_ms > TIMER_MAX_MS ? TIMER_MAX_MS : delay_ms;
    uv_update_time(&jm->loop);
    uv_timer_start(&jm->core_timer, on_core_timer, (uint64_t)delay_ms, 0);
}

void jobmanager_step(struct jobmanager *jm, const struct core_event *event)
{
    if (jm->stepping)
        abort(); /* commands only have effects outside; what those bring back arrives by the loop */
    if (jm->stopping)
        return;
    struct core_commands commands = {0};
    jm->stepping = true;
    core_step(jm->core, clock_now_ms(&jm->clock), event, &commands);
    commands_execute(jm, &commands);
    jm->stepping = false;
    core_commands_clear(&commands);
    vec_free(&commands);
    arm_timer(jm);
}

static void on_disposed(struct jobmanager *jm, const struct file_result *result)
{
    char *message =
        result->rc ? xasprintf("Could not dispose savepoint %s: %s", result->path, result->message) : NULL;
    rest_operations_complete(&jm->operations, result->request, result->rc, message, 0);
    free(message);
}

static void on_file_done(void *self, const struct file_result *result)
{
    static const enum core_event_kind kinds[] = {
        [COMMAND_CREATE_DIRECTORY] = EVENT_DIRECTORY_READY,
        [COMMAND_PERSIST_METADATA] = EVENT_METADATA_PERSISTED,
        [COMMAND_LOAD_SNAPSHOT] = EVENT_SNAPSHOT_LOADED,
    };
    if (result->kind == COMMAND_DELETE_DIRECTORY) {
        if (result->rc)
            log_warn("weir.runtime.checkpoint.CheckpointStorage", "Could not delete %s: %s", result->path,
                     result->message);
        return;
    }
    if (result->kind == COMMAND_DISPOSE_SAVEPOINT) {
        on_disposed(self, result);
        return;
    }
    jobmanager_step(self, &(struct core_event){.kind = kinds[result->kind],
                                               .request = result->request,
                                               .job = result->job,
                                               .checkpoint_id = result->checkpoint_id,
                                               .metadata_bytes = result->metadata_bytes,
                                               .rc = result->rc,
                                               .message = result->message,
                                               .snapshot = result->snapshot,
                                               .snapshot_path = result->path});
}

/* ---- REST's environment ---- */

static int64_t rest_now_ms(void *self)
{
    struct jobmanager *jm = self;
    return clock_now_ms(&jm->clock);
}

static void rest_cancel_job(void *self, const struct weir_id *job, uint64_t token)
{
    struct jobmanager *jm = self;
    uint64_t request = ++jm->next_request;
    vec_push(&jm->pending, (struct pending){.request = request, .rest_token = token});
    jobmanager_step(jm, &(struct core_event){.kind = EVENT_CANCEL_JOB, .request = request, .job = *job});
}

static void rest_take_snapshot(void *self, const struct weir_id *job, const struct snapshot_wish *wish,
                               uint64_t operation)
{
    struct jobmanager *jm = self;
    uint64_t request = ++jm->next_request;
    vec_push(&jm->pending, (struct pending){.request = request, .rest_token = operation});
    jobmanager_step(
        jm, &(struct core_event){.kind = EVENT_TAKE_SNAPSHOT, .request = request, .job = *job, .wish = wish});
}

static void rest_dispose_savepoint(void *self, const char *path, uint64_t operation)
{
    struct jobmanager *jm = self;
    struct core_command command = {
        .kind = COMMAND_DISPOSE_SAVEPOINT, .request = operation, .text = xstrdup(path)};
    log_info("weir.runtime.dispatcher.Dispatcher", "Disposing savepoint %s.", path);
    file_lanes_add(jm->files, &command);
}

/* ---- start ---- */

static int port_in_use(struct error *err, int rc, const char *key, int64_t port, const char *host)
{
    if (rc != WEIR_E_EXISTS)
        return error_wrap(err, "%s", key);
    return error_set(err, rc,
                     "port %" PRId64 " (%s) on %s is in use; end what uses it, or set %s to another port",
                     port, key, host, key);
}

/* io.tmp.dirs may be a list; the first is taken. */
static int open_blobs(struct jobmanager *jm, struct error *err)
{
    char *temporary = xstrdup(config_string(jm->config, OPT_TASKMANAGER_TMP_DIRS));
    temporary[strcspn(temporary, ",:|")] = '\0';
    int rc = blob_store_open(config_string(jm->config, OPT_BLOB_STORAGE_DIRECTORY), temporary,
                             (uint64_t)config_memory_bytes(jm->config, OPT_BLOB_MAX_SIZE), &jm->blobs, err);
    free(temporary);
    return rc;
}

static int open_rpc(struct jobmanager *jm, struct error *err)
{
    const char *host = config_string(jm->config, OPT_JOBMANAGER_BIND_HOST);
    int64_t port = config_integer(jm->config, OPT_JOBMANAGER_RPC_PORT);
    struct rpc_server_callbacks callbacks = {
        .request = requests_on_request, .pipe_closed = peers_on_pipe_closed, .self = jm};
    char *address = xasprintf("tcp://%s:%" PRId64, host, port);
    char *bound = NULL;
    int rc = rpc_server_open(&jm->loop, address, &callbacks, &jm->rpc, &bound, err);
    free(address);
    if (rc)
        return port_in_use(err, rc, "jobmanager.rpc.port", port, host);
    const char *colon = strrchr(bound, ':');
    jm->rpc_address =
        xasprintf("%s%s", config_string(jm->config, OPT_JOBMANAGER_RPC_ADDRESS), colon ? colon : "");
    log_info(LOGGER, "RPC listening at %s, reached at %s", bound, jm->rpc_address);
    free(bound);
    return WEIR_OK;
}

static int open_rest(struct jobmanager *jm, struct error *err)
{
    const char *host = config_string(jm->config, OPT_REST_BIND_ADDRESS);
    int64_t port = config_integer(jm->config, OPT_REST_PORT);
    jm->rest_env = (struct rest_env){.core = jm->core,
                                     .config = jm->config,
                                     .rpc_address = jm->rpc_address,
                                     .now_ms = rest_now_ms,
                                     .cancel_job = rest_cancel_job,
                                     .take_snapshot = rest_take_snapshot,
                                     .dispose_savepoint = rest_dispose_savepoint,
                                     .operations = &jm->operations,
                                     .self = jm};
    struct rest_server_options options = {.bind_host = host, .port = (uint16_t)port};
    char *address = NULL;
    int rc = rest_server_open(&jm->loop, &jm->rest_env, &options, &jm->rest, &address, err);
    if (rc)
        return port_in_use(err, rc, "rest.port", port, host);
    log_info(REST_LOGGER, "Rest endpoint listening at %s", address);
    log_info(REST_LOGGER, "Web frontend listening at http://%s.", address);
    free(address);
    return WEIR_OK;
}

/* ---- end ---- */

static void stop(struct jobmanager *jm)
{
    if (jm->stopping)
        return;
    jm->stopping = true;
    rest_server_close(jm->rest);
    jm->rest = NULL;
    peers_remove_all(jm);
    if (jm->rpc)
        rpc_server_close(jm->rpc);
    jm->rpc = NULL;
    for (size_t i = 0; i < sizeof jm->signals / sizeof jm->signals[0]; i++)
        uv_close((uv_handle_t *)&jm->signals[i], NULL);
    uv_close((uv_handle_t *)&jm->lost_async, NULL);
    uv_close((uv_handle_t *)&jm->core_timer, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    log_warn(LOGGER, "RECEIVED SIGNAL %d: SIG%s. Shutting down as requested.", number, sigabbrev_np(number));
    stop(handle->data);
}

static void init_handles(struct jobmanager *jm)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    uv_timer_init(&jm->loop, &jm->core_timer);
    uv_async_init(&jm->loop, &jm->lost_async, peers_on_lost_async);
    jm->core_timer.data = jm->lost_async.data = jm;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&jm->loop, &jm->signals[i]);
        jm->signals[i].data = jm;
        uv_signal_start(&jm->signals[i], on_signal, numbers[i]);
    }
}

static void deinit(struct jobmanager *jm)
{
    for (size_t i = 0; i < jm->pending.count; i++) {
        free(jm->pending.items[i].task_manager_id);
        free(jm->pending.items[i].rpc_address);
    }
    vec_free(&jm->pending);
    rest_operations_deinit(&jm->operations);
    vec_free(&jm->peers);
    file_lanes_free(jm->files);
    core_free(jm->core);
    blob_store_close(jm->blobs);
    free(jm->rpc_address);
    uv_loop_close(&jm->loop);
    free(jm);
}

int jobmanager_run(const struct config *config, struct error *err)
{
    log_info(LOGGER, " Starting jobmanager (Version: %s)", WEIR_VERSION);
    struct jobmanager *jm = xcalloc(1, sizeof *jm);
    jm->config = config;
    clock_init(&jm->clock);
    uv_loop_init(&jm->loop);
    jm->incarnation = os_random_id();
    jm->core = core_new(config, os_random_u64(), jm->incarnation);
    jm->files = file_lanes_new(&jm->loop, on_file_done, jm);
    init_handles(jm);
    int rc = open_blobs(jm, err);
    if (rc == WEIR_OK)
        rc = open_rpc(jm, err);
    if (rc == WEIR_OK)
        rc = open_rest(jm, err);
    if (rc)
        stop(jm);
    else
        arm_timer(jm);
    uv_run(&jm->loop, UV_RUN_DEFAULT);
    deinit(jm);
    return rc;
}
