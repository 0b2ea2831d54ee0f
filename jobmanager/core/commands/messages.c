#include "jobmanager/core/commands/messages.h"

#include "common/base/memory.h"

ProtobufCBinaryData message_bytes(const void *data, size_t size)
{
    return (ProtobufCBinaryData){.len = size, .data = xmemdup(data, size)};
}

Weir__DeploymentId *message_deployment(const struct deployment *deployment)
{
    Weir__DeploymentId *id = xmalloc(sizeof *id);
    weir__deployment_id__init(id);
    id->job_id = message_bytes(deployment->job.bytes, WEIR_ID_BYTES);
    id->attempt = deployment->attempt;
    return id;
}

Weir__KeyValue *message_key_value(const char *key, const char *value)
{
    Weir__KeyValue *pair = xmalloc(sizeof *pair);
    weir__key_value__init(pair);
    pair->key = xstrdup(key);
    pair->value = xstrdup(value);
    return pair;
}

static Weir__ToTaskManager *envelope(Weir__ToTaskManager__BodyCase body_case)
{
    Weir__ToTaskManager *message = xmalloc(sizeof *message);
    weir__to_task_manager__init(message);
    message->body_case = body_case;
    return message;
}

Weir__ToTaskManager *message_start_worker(const struct deployment *deployment)
{
    Weir__ToTaskManager *message = envelope(WEIR__TO_TASK_MANAGER__BODY_START_WORKER);
    message->start_worker = xmalloc(sizeof *message->start_worker);
    weir__start_worker__init(message->start_worker);
    message->start_worker->deployment = message_deployment(deployment);
    return message;
}

Weir__ToTaskManager *message_deploy_tasks(const struct deployment *deployment)
{
    Weir__ToTaskManager *message = envelope(WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS);
    message->deploy_tasks = xmalloc(sizeof *message->deploy_tasks);
    weir__deploy_tasks__init(message->deploy_tasks);
    message->deploy_tasks->deployment = message_deployment(deployment);
    return message;
}

Weir__ToTaskManager *message_stop_worker(const struct deployment *deployment, const char *reason)
{
    Weir__ToTaskManager *message = envelope(WEIR__TO_TASK_MANAGER__BODY_STOP_WORKER);
    message->stop_worker = xmalloc(sizeof *message->stop_worker);
    weir__stop_worker__init(message->stop_worker);
    message->stop_worker->deployment = message_deployment(deployment);
    message->stop_worker->reason = xstrdup(reason);
    return message;
}

Weir__ToTaskManager *message_cancel_tasks(const struct deployment *deployment)
{
    Weir__ToTaskManager *message = envelope(WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS);
    message->cancel_tasks = xmalloc(sizeof *message->cancel_tasks);
    weir__cancel_tasks__init(message->cancel_tasks);
    message->cancel_tasks->deployment = message_deployment(deployment);
    return message;
}

Weir__ToTaskManager *message_trigger_checkpoint(const struct deployment *deployment, uint64_t checkpoint_id,
                                                int64_t timestamp_ms, const char *directory,
                                                Weir__SnapshotKind kind, Weir__StopMode stop)
{
    Weir__ToTaskManager *message = envelope(WEIR__TO_TASK_MANAGER__BODY_TRIGGER_CHECKPOINT);
    Weir__TriggerCheckpoint *trigger = xmalloc(sizeof *trigger);
    weir__trigger_checkpoint__init(trigger);
    trigger->deployment = message_deployment(deployment);
    trigger->checkpoint_id = checkpoint_id;
    trigger->timestamp_ms = timestamp_ms;
    trigger->kind = kind;
    trigger->stop = stop;
    trigger->directory = xstrdup(directory);
    message->trigger_checkpoint = trigger;
    return message;
}

Weir__ToTaskManager *message_checkpoint_complete(const struct deployment *deployment, uint64_t checkpoint_id,
                                                 int64_t timestamp_ms)
{
    Weir__ToTaskManager *message = envelope(WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE);
    Weir__NotifyCheckpointComplete *notify = xmalloc(sizeof *notify);
    weir__notify_checkpoint_complete__init(notify);
    notify->deployment = message_deployment(deployment);
    notify->checkpoint_id = checkpoint_id;
    notify->timestamp_ms = timestamp_ms;
    message->notify_checkpoint_complete = notify;
    return message;
}

Weir__ToTaskManager *message_checkpoint_aborted(const struct deployment *deployment, uint64_t checkpoint_id)
{
    Weir__ToTaskManager *message = envelope(WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_ABORTED);
    Weir__NotifyCheckpointAborted *notify = xmalloc(sizeof *notify);
    weir__notify_checkpoint_aborted__init(notify);
    notify->deployment = message_deployment(deployment);
    notify->checkpoint_id = checkpoint_id;
    message->notify_checkpoint_aborted = notify;
    return message;
}
