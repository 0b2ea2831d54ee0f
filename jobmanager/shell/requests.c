/* Requests of taskmanagers and clients, by their body. Everything in them is checked before it is used; what
 * can't be used is answered with an error and has no effect. */
#include "jobmanager/shell/jobmanager.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the core answers later ---- */

bool pending_take(struct jobmanager *jm, uint64_t request, struct pending *ret_pending)
{
    for (size_t i = 0; i < jm->pending.count; i++) {
        if (jm->pending.items[i].request != request)
            continue;
        *ret_pending = jm->pending.items[i];
        vec_remove(&jm->pending, i);
        return true;
    }
    return false;
}

/* ---- registration ---- */

static void on_register(struct jobmanager *jm, struct rpc_call *call,
                        const Weir__RegisterTaskManager *registration)
{
    if (!*registration->task_manager_id || registration->slots == 0 ||
        strncmp(registration->rpc_address, "tcp://", strlen("tcp://")) != 0 ||
        !strrchr(registration->rpc_address + strlen("tcp://"), ':')) {
        rpc_call_reply_rc(call, WEIR_E_INVALID,
                          "a registration needs an id, slots, and an RPC address tcp://host:port");
        return;
    }
    uint64_t request = ++jm->next_request;
    vec_push(&jm->pending, (struct pending){.request = request,
                                            .call = call,
                                            .pipe = rpc_call_pipe(call),
                                            .task_manager_id = xstrdup(registration->task_manager_id),
                                            .rpc_address = xstrdup(registration->rpc_address)});
    jobmanager_step(
        jm, &(struct core_event){.kind = EVENT_REGISTER, .request = request, .registration = registration});
}

void requests_reply_register(struct jobmanager *jm, const struct core_command *command)
{
    struct pending pending;
    if (!pending_take(jm, command->request, &pending))
        return;
    if (command->rc) {
        rpc_call_reply_rc(pending.call, command->rc, command->text);
    } else {
        Weir__TaskManagerRegistered registered = WEIR__TASK_MANAGER_REGISTERED__INIT;
        Weir__Response response = WEIR__RESPONSE__INIT;
        registered.session = command->session;
        registered.heartbeat_interval_ms = (uint32_t)config_duration_ms(jm->config, OPT_HEARTBEAT_INTERVAL);
        registered.heartbeat_timeout_ms = (uint32_t)config_duration_ms(jm->config, OPT_HEARTBEAT_TIMEOUT);
        registered.jobmanager_id.data = jm->incarnation.bytes;
        registered.jobmanager_id.len = sizeof jm->incarnation.bytes;
        response.body_case = WEIR__RESPONSE__BODY_TASK_MANAGER_REGISTERED;
        response.task_manager_registered = &registered;
        peers_add(jm, command->session, &pending);
        rpc_call_reply(pending.call, &response);
    }
    free(pending.task_manager_id);
    free(pending.rpc_address);
}

/* ---- batches of a registered taskmanager ---- */

static void on_batch(struct jobmanager *jm, struct rpc_call *call, const Weir__Batch *batch)
{
    struct peer *peer = peers_find(jm, batch->session);
    if (!peer || peer->lost) {
        rpc_call_reply_rc(call, WEIR_E_FENCED, "this session is over: register anew");
        return;
    }
    struct error err;
    peers_on_heard(peer, rpc_call_pipe(call));
    int accepted = rpc_inbox_accept(&peer->inbox, batch, &err);
    if (accepted < 0) {
        rpc_call_reply_rc(call, accepted, err.message);
        return;
    }
    for (size_t i = 0; accepted == 1 && i < batch->n_to_jobmanager; i++) {
        jobmanager_step(jm, &(struct core_event){.kind = EVENT_TM_MESSAGE,
                                                 .session = batch->session,
                                                 .from_tm = batch->to_jobmanager[i]});
        if (!peers_find(jm, batch->session))
            break; /* it has said goodbye */
    }
    Weir__BatchAck ack = WEIR__BATCH_ACK__INIT;
    Weir__Response response = WEIR__RESPONSE__INIT;
    ack.seq = batch->seq;
    response.body_case = WEIR__RESPONSE__BODY_BATCH_ACK;
    response.batch_ack = &ack;
    rpc_call_reply(call, &response);
}

/* ---- artifacts ---- */

static void on_put_artifact(struct jobmanager *jm, struct rpc_call *call, const Weir__PutArtifact *put)
{
    struct blob_state state;
    struct error err;
    int rc = blob_store_put(jm->blobs, put->sha256.data, put->sha256.len, put->total_bytes, put->offset,
                            put->data.data, put->data.len, &state, &err);
    if (rc) {
        rpc_call_reply_rc(call, rc, err.message);
        return;
    }
    Weir__ArtifactState body = WEIR__ARTIFACT_STATE__INIT;
    Weir__Response response = WEIR__RESPONSE__INIT;
    body.have_bytes = state.have_bytes;
    body.complete = state.complete;
    response.body_case = WEIR__RESPONSE__BODY_ARTIFACT_STATE;
    response.artifact_state = &body;
    rpc_call_reply(call, &response);
}

static void on_fetch_artifact(struct jobmanager *jm, struct rpc_call *call, const Weir__FetchArtifact *fetch)
{
    void *data;
    size_t size;
    uint64_t total_bytes;
    struct error err;
    int rc = blob_store_fetch(jm->blobs, fetch->sha256.data, fetch->sha256.len, fetch->offset,
                              fetch->max_bytes, &data, &size, &total_bytes, &err);
    if (rc) {
        rpc_call_reply_rc(call, rc, err.message);
        return;
    }
    Weir__ArtifactChunk body = WEIR__ARTIFACT_CHUNK__INIT;
    Weir__Response response = WEIR__RESPONSE__INIT;
    body.total_bytes = total_bytes;
    body.offset = fetch->offset;
    body.data.data = data;
    body.data.len = size;
    response.body_case = WEIR__RESPONSE__BODY_ARTIFACT_CHUNK;
    response.artifact_chunk = &body;
    rpc_call_reply(call, &response);
    free(data);
}

/* ---- submission ---- */

static void reply_submitted(struct rpc_call *call, const struct weir_id *job)
{
    Weir__JobSubmitted body = WEIR__JOB_SUBMITTED__INIT;
    Weir__Response response = WEIR__RESPONSE__INIT;
    struct weir_id id = *job;
    body.job_id.data = id.bytes;
    body.job_id.len = sizeof id.bytes;
    response.body_case = WEIR__RESPONSE__BODY_JOB_SUBMITTED;
    response.job_submitted = &body;
    rpc_call_reply(call, &response);
}

static void on_submit_job(struct jobmanager *jm, struct rpc_call *call, const Weir__SubmitJob *submit)
{
    if (!submit->graph || !submit->program) {
        rpc_call_reply_rc(call, WEIR_E_INVALID, "a submission needs a job graph and a program");
        return;
    }
    const ProtobufCBinaryData *sha256 = &submit->program->artifact_sha256;
    if (!blob_store_has(jm->blobs, sha256->data, sha256->len)) {
        rpc_call_reply_rc(call, WEIR_E_NOT_FOUND,
                          "the job's artifact is not in the jobmanager's store; send it first");
        return;
    }
    uint64_t number = ++jm->next_request;
    vec_push(&jm->pending, (struct pending){.request = number, .call = call});
    jobmanager_step(jm, &(struct core_event){.kind = EVENT_SUBMIT_JOB, .request = number, .submit = submit});
}

void requests_reply_submit(struct jobmanager *jm, const struct core_command *command)
{
    struct pending pending;
    if (!pending_take(jm, command->request, &pending))
        return;
    if (command->rc) {
        rpc_call_reply_rc(pending.call, command->rc, command->text);
        return;
    }
    reply_submitted(pending.call, &command->job);
}

void requests_on_request(void *self, struct rpc_call *call, const Weir__Request *request)
{
    struct jobmanager *jm = self;
    switch (request->body_case) {
    case WEIR__REQUEST__BODY_REGISTER_TASK_MANAGER:
        on_register(jm, call, request->register_task_manager);
        break;
    case WEIR__REQUEST__BODY_BATCH:
        on_batch(jm, call, request->batch);
        break;
    case WEIR__REQUEST__BODY_PUT_ARTIFACT:
        on_put_artifact(jm, call, request->put_artifact);
        break;
    case WEIR__REQUEST__BODY_FETCH_ARTIFACT:
        on_fetch_artifact(jm, call, request->fetch_artifact);
        break;
    case WEIR__REQUEST__BODY_SUBMIT_JOB:
        on_submit_job(jm, call, request->submit_job);
        break;
    default:
        rpc_call_reply_rc(call, WEIR_E_INVALID, "the jobmanager doesn't know this kind of request");
    }
}
