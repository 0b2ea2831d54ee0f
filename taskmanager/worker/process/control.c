/* What the taskmanager says: starts, deploys, triggers, notifies, cancels. On the loop's thread. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/storage/storage.h"
#include "common/sys/clock.h"
#include "taskmanager/worker/process/worker.h"

/* A crash of a peer is reported, with its reason, by its own taskmanager. */
enum { LOSS_DELAY_MS = 500 };

Weir__ToJobManager *control_message(const struct worker *worker, Weir__ToJobManager__BodyCase kind)
{
    (void)worker;
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    weir__to_job_manager__init(message);
    message->body_case = kind;
    return message;
}

Weir__DeploymentId *control_deployment(const struct worker *worker)
{
    Weir__DeploymentId *copy = xmalloc(sizeof *copy);
    weir__deployment_id__init(copy);
    copy->job_id.len = worker->deployment->job_id.len;
    copy->job_id.data = xmemdup(worker->deployment->job_id.data, copy->job_id.len);
    copy->attempt = worker->deployment->attempt;
    return copy;
}

/* The messages are borrowed: what stays is copied over the wire format. */
static void *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = xmalloc(size);
    protobuf_c_message_pack(message, packed);
    void *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, packed);
    free(packed);
    return copy;
}

static void open_network(struct worker *worker)
{
    struct network_options options = {
        .bind_host = worker->options.bind_host,
        .port = worker->options.data_port,
        .attempt = worker->deployment->attempt,
        .worker = worker->options.task_manager_id,
        .loss_delay_ms = LOSS_DELAY_MS,
        .callbacks = {.lost = peer_lost, .self = worker},
    };
    struct error err = {0};
    if (!weir_id_from_bytes(worker->deployment->job_id.data, worker->deployment->job_id.len, &options.job))
        worker_fail(worker, "the job id has not 16 bytes");
    if (network_open(worker->loop, &options, &worker->network, &err))
        worker_fail(worker, err.message);
}

static void start(struct worker *worker, const Weir__StartWorker *message)
{
    if (worker->state != WORKER_CONNECTED)
        return; /* a repetition */
    struct error err = {0};
    worker->start = copy_message(&message->base);
    worker->deployment = worker->start ? worker->start->deployment : NULL;
    if (!worker->deployment)
        exit(1); /* nothing can be said without a deployment to say it for */
    if (worker_load(worker, &err))
        worker_fail(worker, err.message);
    open_network(worker);
    Weir__ToJobManager *answer = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_WORKER_READY);
    answer->worker_ready = xmalloc(sizeof *answer->worker_ready);
    weir__worker_ready__init(answer->worker_ready);
    answer->worker_ready->deployment = control_deployment(worker);
    answer->worker_ready->data_address =
        xasprintf("%s:%u", worker->options.host, network_port(worker->network));
    answer->worker_ready->pid = (uint32_t)getpid();
    rpc_pair_send_to_jobmanager(worker->pair, answer);
    weir__to_job_manager__free_unpacked(answer, NULL);
    worker->state = WORKER_READY;
}

static void deploy(struct worker *worker, const Weir__DeployTasks *message)
{
    if (worker->state != WORKER_READY)
        return; /* once a worker */
    struct error err = {0};
    worker->deploy = copy_message(&message->base);
    if (!worker->deploy || worker->deploy->n_tasks == 0 || !worker->deploy->graph)
        worker_fail(worker, "the deployment has no tasks or no graph");
    worker->state = WORKER_RUNNING;
    if (worker_deploy(worker, &err))
        worker_fail(worker, err.message);
}

static void remember_directory(struct worker *worker, const Weir__TriggerCheckpoint *trigger)
{
    enum { COUNT = sizeof worker->directories / sizeof worker->directories[0] };
    char *path = NULL;
    if (!trigger->directory || !*trigger->directory || storage_local_path(trigger->directory, &path, NULL))
        return;
    free(worker->directories[0].path);
    memmove(worker->directories, worker->directories + 1,
            sizeof worker->directories - sizeof worker->directories[0]);
    worker->directories[COUNT - 1].checkpoint_id = trigger->checkpoint_id;
    worker->directories[COUNT - 1].path = path;
}

static void post(struct worker *worker, struct task_mail mail)
{
    if (worker->runtime)
        job_runtime_post(worker->runtime, &mail);
}

static void cancel(struct worker *worker)
{
    if (worker->runtime) {
        sleeper_cancel(&worker->sleeper);
        post(worker, (struct task_mail){.kind = TASK_MAIL_CANCEL});
    } else {
        exit(0); /* no tasks yet: there is nothing to close */
    }
}

void control_on_message(void *self, const Weir__ToTaskManager *message)
{
    struct worker *worker = self;
    worker->heard_ms = boottime_ms();
    switch (message->body_case) {
    case WEIR__TO_TASK_MANAGER__BODY_START_WORKER:
        start(worker, message->start_worker);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS:
        deploy(worker, message->deploy_tasks);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS:
        cancel(worker);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_TRIGGER_CHECKPOINT:
        remember_directory(worker, message->trigger_checkpoint);
        post(worker, (struct task_mail){.kind = TASK_MAIL_TRIGGER_CHECKPOINT,
                                        .checkpoint_id = message->trigger_checkpoint->checkpoint_id,
                                        .timestamp_ms = message->trigger_checkpoint->timestamp_ms,
                                        .snapshot_kind = message->trigger_checkpoint->kind,
                                        .stop = message->trigger_checkpoint->stop});
        snapshot_files_release(worker, message->trigger_checkpoint->checkpoint_id, true);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE:
        post(worker, (struct task_mail){.kind = TASK_MAIL_CHECKPOINT_COMPLETE,
                                        .checkpoint_id = message->notify_checkpoint_complete->checkpoint_id});
        break;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_ABORTED:
        snapshot_files_release(worker, message->notify_checkpoint_aborted->checkpoint_id, false);
        post(worker, (struct task_mail){.kind = TASK_MAIL_CHECKPOINT_ABORTED,
                                        .checkpoint_id = message->notify_checkpoint_aborted->checkpoint_id});
        break;
    default:
        break; /* Liveness: that it came is its meaning */
    }
}
