#include "jobmanager/core/commands/step.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/memory.h"

void *message_copy(const void *message)
{
    const ProtobufCMessage *base = message;
    size_t size = protobuf_c_message_get_packed_size(base);
    uint8_t *packed = xmalloc(size);
    protobuf_c_message_pack(base, packed);
    ProtobufCMessage *copy = protobuf_c_message_unpack(base->descriptor, NULL, size, packed);
    free(packed);
    if (!copy)
        abort(); /* what was packed a moment ago can be unpacked, unless memory is out */
    return copy;
}

static struct core_command *add(struct step *step, enum core_command_kind kind)
{
    vec_push(step->commands, (struct core_command){.kind = kind});
    return &step->commands->items[step->commands->count - 1];
}

static char *copy_or_null(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

void step_log(struct step *step, enum log_level level, const char *logger, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    struct core_command *command = add(step, COMMAND_LOG);
    command->level = level;
    command->logger = logger;
    command->text = text;
}

void step_send(struct step *step, uint64_t session, Weir__ToTaskManager *message_take)
{
    assert(session != 0);
    struct core_command *command = add(step, COMMAND_SEND);
    command->session = session;
    command->message = message_take;
}

void step_disconnect(struct step *step, uint64_t session, const char *reason)
{
    struct core_command *command = add(step, COMMAND_DISCONNECT);
    command->session = session;
    command->text = xstrdup(reason);
}

void step_reply_submit(struct step *step, uint64_t request, int rc, const char *message,
                       const struct weir_id *job)
{
    struct core_command *command = add(step, COMMAND_REPLY_SUBMIT);
    command->request = request;
    command->rc = rc;
    command->text = copy_or_null(message);
    if (job)
        command->job = *job;
}

void step_reply_cancel(struct step *step, uint64_t request, int rc, const char *message)
{
    struct core_command *command = add(step, COMMAND_REPLY_CANCEL);
    command->request = request;
    command->rc = rc;
    command->text = copy_or_null(message);
}

void step_reply_snapshot(struct step *step, uint64_t request, int rc, const char *text,
                         uint64_t checkpoint_id)
{
    struct core_command *command = add(step, COMMAND_REPLY_SNAPSHOT);
    command->request = request;
    command->rc = rc;
    command->text = copy_or_null(text);
    command->checkpoint_id = checkpoint_id;
}

void step_reply_register(struct step *step, uint64_t request, int rc, const char *message, uint64_t session)
{
    struct core_command *command = add(step, COMMAND_REPLY_REGISTER);
    command->request = request;
    command->rc = rc;
    command->text = copy_or_null(message);
    command->session = session;
}

void step_create_directory(struct step *step, const struct weir_id *job, uint64_t checkpoint_id,
                           const char *path)
{
    struct core_command *command = add(step, COMMAND_CREATE_DIRECTORY);
    command->job = *job;
    command->checkpoint_id = checkpoint_id;
    command->text = xstrdup(path);
}

void step_persist_metadata(struct step *step, const struct weir_id *job, uint64_t checkpoint_id,
                           const char *path, Weir__SnapshotMetadata *metadata_take)
{
    struct core_command *command = add(step, COMMAND_PERSIST_METADATA);
    command->job = *job;
    command->checkpoint_id = checkpoint_id;
    command->text = xstrdup(path);
    command->metadata = metadata_take;
}

void step_delete_directory(struct step *step, const struct weir_id *job, const char *path)
{
    struct core_command *command = add(step, COMMAND_DELETE_DIRECTORY);
    command->job = *job;
    command->text = xstrdup(path);
}

void step_load_snapshot(struct step *step, const struct weir_id *job, const char *path)
{
    struct core_command *command = add(step, COMMAND_LOAD_SNAPSHOT);
    command->job = *job;
    command->text = xstrdup(path);
}

void core_commands_clear(struct core_commands *commands)
{
    vec_for_each (command, commands) {
        free(command->text);
        if (command->message)
            weir__to_task_manager__free_unpacked(command->message, NULL);
        if (command->metadata)
            weir__snapshot_metadata__free_unpacked(command->metadata, NULL);
    }
    vec_free(commands);
}
