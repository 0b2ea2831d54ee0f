/* State in acknowledgements: up to the threshold it stays inline, above it all of a task's keyed state goes
 * into one file
 * "<vertex id>-<subtask>-<attempt>" in the checkpoint's directory, written on libuv's pool. The attempt in
 * the name keeps a worker of the past from overwriting. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/memory.h"
#include "common/storage/storage.h"
#include "common/sys/clock.h"
#include "taskmanager/worker/process/worker.h"

struct file_write {
    uv_work_t work;
    struct worker *worker;
    Weir__CheckpointAck *ack;
    char *path; /* of the file */
    char *name; /* the last part of it */
    int64_t begun_ns;
    int rc;
    struct error err;
};

static size_t keyed_bytes(const Weir__CheckpointAck *ack)
{
    size_t total = 0;
    for (size_t s = 0; s < ack->n_states; s++)
        for (size_t k = 0; k < ack->states[s]->n_keyed; k++)
            total += ack->states[s]->keyed[k]->handle->inline_.len;
    return total;
}

static void send_ack(struct worker *worker, Weir__CheckpointAck *ack_take)
{
    Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK);
    message->checkpoint_ack = ack_take;
    rpc_pair_send_to_jobmanager(worker->pair, message);
    weir__to_job_manager__free_unpacked(message, NULL);
}

static void send_decline(struct worker *worker, const Weir__CheckpointAck *ack, const char *reason)
{
    Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_DECLINE);
    Weir__CheckpointDecline *decline = xmalloc(sizeof *decline);
    weir__checkpoint_decline__init(decline);
    decline->deployment = control_deployment(worker);
    decline->vertex = ack->vertex;
    decline->subtask = ack->subtask;
    decline->checkpoint_id = ack->checkpoint_id;
    decline->reason = xstrdup(reason);
    message->checkpoint_decline = decline;
    rpc_pair_send_to_jobmanager(worker->pair, message);
    weir__to_job_manager__free_unpacked(message, NULL);
}

/* NULL: it is a savepoint whose trigger has not come yet. */
static char *checkpoint_path(const struct worker *worker, const Weir__CheckpointAck *ack)
{
    uint64_t checkpoint_id = ack->checkpoint_id;
    for (size_t i = 0; i < sizeof worker->directories / sizeof worker->directories[0]; i++)
        if (worker->directories[i].path && worker->directories[i].checkpoint_id == checkpoint_id)
            return xstrdup(worker->directories[i].path);
    if (ack->kind == WEIR__SNAPSHOT_KIND__SNAPSHOT_SAVEPOINT || !worker->checkpoint_directory)
        return NULL;
    return xasprintf("%s/chk-%llu", worker->checkpoint_directory, (unsigned long long)checkpoint_id);
}

/* Replaces a handle's inline bytes by their place in the file. */
static void to_file(Weir__StateHandle *handle, const char *name, uint64_t offset)
{
    free(handle->inline_.data);
    handle->inline_ = (ProtobufCBinaryData){0};
    if (handle->file && handle->file != protobuf_c_empty_string)
        free(handle->file);
    handle->file = xstrdup(name);
    handle->offset = offset;
}

static int write_states(struct file_write *write)
{
    size_t total = keyed_bytes(write->ack);
    unsigned char *data = malloc(total);
    if (!data)
        return error_set(&write->err, WEIR_E_NO_MEMORY, "no memory for %zu bytes of state", total);
    size_t offset = 0;
    for (size_t s = 0; s < write->ack->n_states; s++)
        for (size_t k = 0; k < write->ack->states[s]->n_keyed; k++) {
            Weir__StateHandle *handle = write->ack->states[s]->keyed[k]->handle;
            size_t size = handle->inline_.len;
            if (size)
                memcpy(data + offset, handle->inline_.data, size);
            to_file(handle, write->name, offset);
            offset += size;
        }
    int rc = storage_write_file(write->path, data, total, &write->err);
    free(data);
    return rc;
}

static void on_pool(uv_work_t *work)
{
    struct file_write *write = work->data;
    write->rc = write_states(write);
}

static void on_written(uv_work_t *work, int status)
{
    struct file_write *write = work->data;
    struct worker *worker = write->worker;
    worker->file_writes--;
    if (status || write->rc != WEIR_OK) {
        send_decline(worker, write->ack, status ? "the worker is ending" : write->err.message);
        weir__checkpoint_ack__free_unpacked(write->ack, NULL);
    } else {
        write->ack->async_ms = (uint64_t)((monotonic_ns() - write->begun_ns) / 1000000);
        send_ack(worker, write->ack);
    }
    free(write->path);
    free(write->name);
    free(write);
    worker_maybe_end(worker);
}

void snapshot_files_send(struct worker *worker, Weir__CheckpointAck *ack_take)
{
    int64_t threshold = config_memory_bytes(worker->config, OPT_STATE_MEMORY_THRESHOLD);
    if (keyed_bytes(ack_take) <= (uint64_t)threshold) {
        send_ack(worker, ack_take);
        return;
    }
    char *directory = checkpoint_path(worker, ack_take);
    if (!directory) {
        vec_push(&worker->held, ack_take);
        return;
    }
    struct file_write *write = xcalloc(1, sizeof *write);
    char vertex[WEIR_ID_HEX + 1] = "";
    struct weir_id id = {0};
    const Weir__Vertex *descriptor = worker->deploy->graph->vertices[ack_take->vertex];
    if (weir_id_from_bytes(descriptor->id.data, descriptor->id.len, &id))
        weir_id_format(&id, vertex);
    write->work.data = write;
    write->worker = worker;
    write->ack = ack_take;
    write->name = xasprintf("%s-%u-%u", vertex, ack_take->subtask, worker->deployment->attempt);
    write->path = xasprintf("%s/%s", directory, write->name);
    free(directory);
    write->begun_ns = monotonic_ns();
    worker->file_writes++;
    if (uv_queue_work(worker->loop, &write->work, on_pool, on_written)) {
        write->rc = error_set(&write->err, WEIR_E_IO, "the thread pool takes no work");
        on_written(&write->work, 0);
    }
}

void snapshot_files_release(struct worker *worker, uint64_t checkpoint_id, bool send)
{
    for (size_t i = worker->held.count; i-- > 0;) {
        Weir__CheckpointAck *ack = worker->held.items[i];
        if (ack->checkpoint_id != checkpoint_id)
            continue;
        vec_remove(&worker->held, i);
        if (send)
            snapshot_files_send(worker, ack);
        else
            weir__checkpoint_ack__free_unpacked(ack, NULL);
    }
}
