/* The connection with the jobmanager: requests to it (registration, then batches by the link) on one socket,
 * its batches on another. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/sys/process.h"
#include "taskmanager/shell/taskmanager.h"

enum { REGISTER_TIMEOUT_MS = 10000, EARLY_MAX = 64 };

static const char logger[] = "weir.runtime.taskexecutor.TaskExecutor";

/* ---- what the jobmanager sends ---- */

static void handle_batch(struct taskmanager *tm, struct rpc_call *call, const Weir__Batch *batch)
{
    struct error err;
    int rc = rpc_inbox_accept(&tm->inbox, batch, &err);
    if (rc < 0) {
        rpc_call_reply_rc(call, rc, err.message);
        return;
    }
    tm->jobmanager_pipe = rpc_call_pipe(call);
    Weir__BatchAck ack = WEIR__BATCH_ACK__INIT;
    Weir__Response response = WEIR__RESPONSE__INIT;
    ack.seq = batch->seq;
    response.body_case = WEIR__RESPONSE__BODY_BATCH_ACK;
    response.batch_ack = &ack;
    rpc_call_reply(call, &response);
    if (rc == 0) /* seen before */
        return;
    for (size_t i = 0; i < batch->n_to_taskmanager && !tm->stopping; i++)
        taskmanager_step(
            tm, &(struct supervisor_event){.kind = SUPERVISOR_JM_MESSAGE, .to_tm = batch->to_taskmanager[i]});
}

static Weir__Request *copy_request(const Weir__Request *request)
{
    size_t size = weir__request__get_packed_size(request);
    uint8_t *packed = xmalloc(size ? size : 1);
    weir__request__pack(request, packed);
    Weir__Request *copy = weir__request__unpack(NULL, size, packed);
    free(packed);
    return copy;
}

static void on_request(void *self, struct rpc_call *call, const Weir__Request *request)
{
    struct taskmanager *tm = self;
    if (request->body_case != WEIR__REQUEST__BODY_BATCH) {
        rpc_call_reply_rc(call, WEIR_E_INVALID, "a taskmanager takes batches of its jobmanager only");
        return;
    }
    bool is_early =
        tm->registering && request->batch->session != tm->inbox.session && tm->early.count < EARLY_MAX;
    if (is_early)
        vec_push(&tm->early, (struct early_batch){.call = call, .request = copy_request(request)});
    else
        handle_batch(tm, call, request->batch);
}

/* The registration was answered: now it can be said whose batches these are. */
static void handle_early(struct taskmanager *tm)
{
    struct vec_of(struct early_batch) early = {tm->early.items, tm->early.count, tm->early.capacity};
    memset(&tm->early, 0, sizeof tm->early);
    vec_for_each (item, &early) {
        if (!tm->stopping)
            handle_batch(tm, item->call, item->request->batch);
        weir__request__free_unpacked(item->request, NULL);
    }
    vec_free(&early);
}

static void on_pipe_closed(void *self, uint32_t pipe)
{
    struct taskmanager *tm = self;
    if (pipe != tm->jobmanager_pipe || tm->jobmanager_pipe == 0 || tm->stopping)
        return;
    tm->jobmanager_pipe = 0;
    taskmanager_step(tm, &(struct supervisor_event){.kind = SUPERVISOR_JM_PROBE});
}

/* ---- what is sent to the jobmanager ---- */

static void on_acknowledged(void *self)
{
    struct taskmanager *tm = self;
    if (!tm->stopping)
        taskmanager_step(tm, &(struct supervisor_event){.kind = SUPERVISOR_JM_CONTACT});
}

static void on_broken(void *self, int rc, const char *message)
{
    struct taskmanager *tm = self;
    if (tm->stopping)
        return;
    taskmanager_step(tm, &(struct supervisor_event){.kind = rc == WEIR_E_FENCED ? SUPERVISOR_REFUSED
                                                                                : SUPERVISOR_JM_DISCONNECTED,
                                                    .message = message});
}

void registration_send(struct taskmanager *tm, Weir__ToJobManager *message_take)
{
    if (tm->link)
        rpc_link_send_to_jobmanager(tm->link, message_take);
    else
        weir__to_job_manager__free_unpacked(message_take, NULL);
}

static void drop_link(struct taskmanager *tm)
{
    if (tm->link)
        rpc_link_free(tm->link);
    tm->link = NULL;
    tm->inbox = (struct rpc_inbox){0};
    tm->jobmanager_pipe = 0;
}

static void on_registered(void *self, int rc, const Weir__Response *response, const struct error *err)
{
    struct taskmanager *tm = self;
    if (tm->stopping || rc == WEIR_E_CANCELED)
        return;
    tm->registering = false;
    if (rc == WEIR_OK && response->body_case != WEIR__RESPONSE__BODY_TASK_MANAGER_REGISTERED) {
        taskmanager_step(tm,
                         &(struct supervisor_event){.kind = SUPERVISOR_REFUSED,
                                                    .message = "the answer is not that to a registration"});
    } else if (rc != WEIR_OK) {
        bool unreachable = rc == WEIR_E_UNAVAILABLE || rc == WEIR_E_TIMEOUT;
        taskmanager_step(tm, &(struct supervisor_event){.kind = unreachable ? SUPERVISOR_JM_DISCONNECTED
                                                                            : SUPERVISOR_REFUSED,
                                                        .message = err->message});
    } else {
        const Weir__TaskManagerRegistered *registered = response->task_manager_registered;
        struct rpc_link_callbacks callbacks = {
            .acknowledged = on_acknowledged, .broken = on_broken, .self = tm};
        int64_t timeout_ms = registered->heartbeat_timeout_ms ? registered->heartbeat_timeout_ms : 1;
        tm->inbox = (struct rpc_inbox){.session = registered->session};
        /* A jobmanager that has come back refuses the session at once; one that is away is waited for as long
         * as workers are. */
        tm->link = rpc_link_new(tm->client, registered->session, timeout_ms, timeout_ms, &callbacks);
        taskmanager_step(tm,
                         &(struct supervisor_event){.kind = SUPERVISOR_REGISTERED, .registered = registered});
    }
    handle_early(tm);
}

void registration_begin(struct taskmanager *tm)
{
    struct error err;
    Weir__RegisterTaskManager body = WEIR__REGISTER_TASK_MANAGER__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    drop_link(tm);
    body.task_manager_id = tm->id;
    body.rpc_address = tm->rpc_address;
    body.slots = (uint32_t)config_integer(tm->config, OPT_TASKMANAGER_SLOTS);
    body.cpu_cores = cpu_cores();
    body.physical_memory_bytes = physical_memory_bytes();
    body.process_memory_bytes = (uint64_t)config_memory_bytes(tm->config, OPT_TASKMANAGER_PROCESS_MEMORY);
    body.host = (char *)config_string(tm->config, OPT_TASKMANAGER_HOST);
    body.pid = (uint32_t)getpid();
    request.body_case = WEIR__REQUEST__BODY_REGISTER_TASK_MANAGER;
    request.register_task_manager = &body;
    tm->registering = true;
    if (rpc_client_is_busy(
            tm->client)) { /* with a batch of the old link, or a registration that wasn't answered */
        rpc_client_close(tm->client);
        tm->client = NULL;
        if (rpc_client_open(&tm->loop, tm->jobmanager_address, &tm->client, &err) != WEIR_OK) {
            log_error(logger, "Can't reach the jobmanager: %s", err.message);
            abort(); /* it could be opened before: there is no memory, or there are no descriptors */
        }
    }
    if (rpc_client_request(tm->client, &request, REGISTER_TIMEOUT_MS, on_registered, tm, &err) != WEIR_OK) {
        log_error(logger, "Can't send the registration: %s", err.message);
        abort(); /* its size and the client's state are known */
    }
}

/* ---- start and end ---- */

static int open_server(struct taskmanager *tm, struct error *err)
{
    const char *bind_host = config_string(tm->config, OPT_TASKMANAGER_BIND_HOST);
    int64_t port = config_integer(tm->config, OPT_TASKMANAGER_RPC_PORT);
    struct rpc_server_callbacks callbacks = {
        .request = on_request, .pipe_closed = on_pipe_closed, .self = tm};
    char *address = xasprintf("tcp://%s:%" PRId64, bind_host, port);
    char *bound = NULL;
    int rc = rpc_server_open(&tm->loop, address, &callbacks, &tm->server, &bound, err);
    free(address);
    if (rc == WEIR_E_EXISTS)
        return error_set(err, rc,
                         "port %" PRId64 " (taskmanager.rpc.port) on %s is in use; end what uses it, or set "
                         "taskmanager.rpc.port to another port, or to 0 for a free one",
                         port, bind_host);
    if (rc)
        return error_wrap(err, "taskmanager.rpc.port");
    const char *colon = strrchr(bound, ':');
    tm->rpc_address =
        xasprintf("tcp://%s%s", config_string(tm->config, OPT_TASKMANAGER_HOST), colon ? colon : "");
    free(bound);
    return WEIR_OK;
}

int registration_open(struct taskmanager *tm, struct error *err)
{
    tm->jobmanager_address =
        xasprintf("tcp://%s:%" PRId64, config_string(tm->config, OPT_JOBMANAGER_RPC_ADDRESS),
                  config_integer(tm->config, OPT_JOBMANAGER_RPC_PORT));
    int rc = open_server(tm, err);
    if (rc == WEIR_OK)
        rc = rpc_client_open(&tm->loop, tm->jobmanager_address, &tm->client, err);
    return rc;
}

void registration_close(struct taskmanager *tm)
{
    drop_link(tm);
    if (tm->client)
        rpc_client_close(tm->client);
    tm->client = NULL;
    if (tm->server)
        rpc_server_close(tm->server);
    tm->server = NULL;
    vec_for_each (item, &tm->early)
        weir__request__free_unpacked(item->request, NULL);
    vec_free(&tm->early);
}
