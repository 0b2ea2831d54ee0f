/* The core's commands become effects. */
#include "jobmanager/shell/jobmanager.h"

#include <stdlib.h>

#include "common/base/log.h"

static void send_to_task_manager(struct jobmanager *jm, struct core_command *command)
{
    struct peer *peer = peers_find(jm, command->session);
    if (!peer || !peer->link || peer->lost)
        return; /* the core is being told that it is lost */
    peers_send(peer, command->message);
    command->message = NULL;
}

static void reply_cancel(struct jobmanager *jm, const struct core_command *command)
{
    struct pending pending;
    if (pending_take(jm, command->request, &pending))
        rest_server_complete(jm->rest, pending.rest_token, command->rc, command->text);
}

static void reply_snapshot(struct jobmanager *jm, const struct core_command *command)
{
    struct pending pending;
    if (pending_take(jm, command->request, &pending))
        rest_operations_complete(&jm->operations, pending.rest_token, command->rc, command->text,
                                 command->checkpoint_id);
}

static void execute(struct jobmanager *jm, struct core_command *command)
{
    switch (command->kind) {
    case COMMAND_SEND:
        send_to_task_manager(jm, command);
        break;
    case COMMAND_DISCONNECT:
        peers_remove(jm, command->session);
        break;
    case COMMAND_REPLY_SUBMIT:
        requests_reply_submit(jm, command);
        break;
    case COMMAND_REPLY_CANCEL:
        reply_cancel(jm, command);
        break;
    case COMMAND_REPLY_SNAPSHOT:
        reply_snapshot(jm, command);
        break;
    case COMMAND_REPLY_REGISTER:
        requests_reply_register(jm, command);
        break;
    case COMMAND_CREATE_DIRECTORY:
    case COMMAND_PERSIST_METADATA:
    case COMMAND_DELETE_DIRECTORY:
    case COMMAND_LOAD_SNAPSHOT:
    case COMMAND_DISPOSE_SAVEPOINT:
        file_lanes_add(jm->files, command);
        break;
    case COMMAND_LOG:
        log_write(command->level, command->logger, "%s", command->text);
        break;
    }
}

/* A registration is answered before anything is sent to the new session, in whatever order the core says it.
 */
void commands_execute(struct jobmanager *jm, struct core_commands *commands)
{
    vec_for_each (command, commands)
        if (command->kind == COMMAND_REPLY_REGISTER)
            execute(jm, command);
    vec_for_each (command, commands)
        if (command->kind != COMMAND_REPLY_REGISTER)
            execute(jm, command);
}
