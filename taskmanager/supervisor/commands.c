/* The commands that a step makes: appending, copying, freeing. */
#include "taskmanager/supervisor/internal.h"

#include <assert.h>
#include <stdio.h>

#include "common/base/memory.h"

struct supervisor_command *command_add(struct supervisor_commands *commands,
                                       enum supervisor_command_kind kind, uint64_t worker)
{
    vec_push(commands, (struct supervisor_command){.kind = kind, .worker = worker});
    return &commands->items[commands->count - 1];
}

void command_log(struct supervisor_commands *commands, enum log_level level, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        return;
    struct supervisor_command *command = command_add(commands, SUPERVISOR_LOG, 0);
    command->level = level;
    command->logger = LOG_TASK_EXECUTOR;
    command->text = text;
}

/* Packs and unpacks: protobuf-c has no other copy. A message that was decoded once can be decoded again. */
static void *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = xmalloc(size ? size : 1);
    protobuf_c_message_pack(message, packed);
    void *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, packed);
    free(packed);
    assert(copy);
    return copy;
}

Weir__ToTaskManager *copy_to_task_manager(const Weir__ToTaskManager *message)
{
    return copy_message(&message->base);
}

Weir__ToJobManager *copy_to_job_manager(const Weir__ToJobManager *message)
{
    return copy_message(&message->base);
}

Weir__StartWorker *copy_start_worker(const Weir__StartWorker *message)
{
    return copy_message(&message->base);
}

Weir__DeploymentId *deployment_id_new(const struct deployment *deployment)
{
    Weir__DeploymentId *id = xmalloc(sizeof *id);
    weir__deployment_id__init(id);
    id->job_id.data = xmemdup(deployment->job.bytes, WEIR_ID_BYTES);
    id->job_id.len = WEIR_ID_BYTES;
    id->attempt = deployment->attempt;
    return id;
}

Weir__ToJobManager *worker_exited_new(const struct deployment *deployment)
{
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    weir__to_job_manager__init(message);
    message->body_case = WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED;
    message->worker_exited = xmalloc(sizeof *message->worker_exited);
    weir__worker_exited__init(message->worker_exited);
    message->worker_exited->deployment = deployment_id_new(deployment);
    return message;
}

void supervisor_commands_clear(struct supervisor_commands *commands)
{
    vec_for_each (command, commands) {
        free(command->text);
        if (command->to_jm)
            weir__to_job_manager__free_unpacked(command->to_jm, NULL);
        if (command->to_worker)
            weir__to_task_manager__free_unpacked(command->to_worker, NULL);
        if (command->start_worker)
            weir__start_worker__free_unpacked(command->start_worker, NULL);
    }
    vec_clear(commands);
}
