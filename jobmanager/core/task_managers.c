#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "jobmanager/core/core_internal.h"
#include "jobmanager/slots/registration.h"

static const char logger[] = "weir.runtime.resourcemanager.ResourceManager";
static const char master_logger[] = "weir.runtime.jobmaster.JobMaster";

static uint64_t new_session(struct core *core)
{
    uint64_t session;
    do
        session = random_next(&core->random);
    while (session == 0 || slot_pool_find(&core->pool, session));
    return session;
}

void core_register(struct core *core, struct step *step, uint64_t request,
                   const Weir__RegisterTaskManager *registration)
{
    struct error err = {0};
    int rc = registration_validate(registration, &err);
    if (rc == 0) {
        struct task_manager *old = slot_pool_find_id(&core->pool, registration->task_manager_id);
        if (old) {
            char *reason = xasprintf("TaskManager with id %s has registered anew.", old->id);
            core_lose_task_manager(core, step, old->session, reason);
            free(reason);
        }
        if (core->pool.task_managers.count >= TASK_MANAGERS_MAX)
            rc = error_set(&err, WEIR_E_LIMIT, "there are %d taskmanagers already", (int)TASK_MANAGERS_MAX);
    }
    if (rc < 0) {
        step_log(step, LOG_WARN, logger, "Refusing a registration: %s", err.message);
        step_reply_register(step, request, rc, err.message, 0);
        return;
    }
    struct task_manager *task_manager = slot_pool_add(&core->pool, registration, new_session(core));
    heartbeat_monitor_add(&core->heartbeats, &task_manager->heartbeat, step->now_ms);
    step_log(step, LOG_INFO, logger, "Registering TaskManager with ResourceID %s (%s) at ResourceManager",
             task_manager->id, task_manager->rpc_address);
    step_reply_register(step, request, 0, NULL, task_manager->session);
}

void core_lose_task_manager(struct core *core, struct step *step, uint64_t session, const char *reason)
{
    struct task_manager *task_manager = slot_pool_find(&core->pool, session);
    if (!task_manager)
        return;
    step_log(step, LOG_INFO, logger, "Closing TaskExecutor connection %s because: %s", task_manager->id,
             reason);
    heartbeat_monitor_remove(&task_manager->heartbeat);
    slot_pool_remove(&core->pool, task_manager);
    step_disconnect(step, session, reason);
    dispatcher_task_manager_lost(&core->dispatcher, step, session, reason);
}

void core_task_manager_unreachable(struct core *core, struct step *step, uint64_t session)
{
    const struct task_manager *task_manager = slot_pool_find(&core->pool, session);
    if (!task_manager)
        return;
    char *reason = xasprintf("TaskManager with id %s is no longer reachable.", task_manager->id);
    step_log(step, LOG_INFO, master_logger, "%s", reason);
    core_lose_task_manager(core, step, session, reason);
    free(reason);
}

static void leaves(struct core *core, struct step *step, const struct task_manager *task_manager,
                   const Weir__TaskManagerLeaving *leaving)
{
    bool says_why = leaving->reason && *leaving->reason;
    char *reason = says_why ? xasprintf("%.*s", (int)TASK_MANAGER_TEXT_BYTES_MAX, leaving->reason)
                            : xasprintf("The TaskExecutor is shutting down.");
    core_lose_task_manager(core, step, task_manager->session, reason);
    free(reason);
}

void core_task_manager_message(struct core *core, struct step *step, uint64_t session,
                               const Weir__ToJobManager *message)
{
    struct task_manager *task_manager = slot_pool_find(&core->pool, session);
    if (!task_manager) {
        step_log(step, LOG_DEBUG, logger, "Dropping a message of a session that is over.");
        return;
    }
    heartbeat_monitor_touch(&core->heartbeats, &task_manager->heartbeat, step->now_ms);
    switch (message->body_case) {
    case WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT:
        task_manager->resident_bytes = message->heartbeat->resident_bytes;
        break;
    case WEIR__TO_JOB_MANAGER__BODY_LEAVING:
        leaves(core, step, task_manager, message->leaving);
        break;
    default:
        dispatcher_message(&core->dispatcher, step, &core->pool, task_manager, message);
    }
}

void core_expire_task_managers(struct core *core, struct step *step)
{
    struct heartbeat_target *target;
    while ((target = heartbeat_monitor_expired(&core->heartbeats, step->now_ms))) {
        struct task_manager *silent =
            (struct task_manager *)((char *)target - offsetof(struct task_manager, heartbeat));
        char *reason = xasprintf("Heartbeat of TaskManager with id %s timed out.", silent->id);
        step_log(step, LOG_INFO, master_logger, "%s", reason);
        core_lose_task_manager(core, step, silent->session, reason);
        free(reason);
    }
    uint64_t session;
    while ((session = dispatcher_overdue_task_manager(&core->dispatcher, step->now_ms)) != 0) {
        const struct task_manager *stuck = slot_pool_find(&core->pool, session);
        assert(stuck); /* the worker of one that is lost is gone */
        char *reason = xasprintf("TaskManager with id %s has not ended a worker within %d ms.", stuck->id,
                                 (int)WORKER_STOP_TIMEOUT_MS);
        core_lose_task_manager(core, step, session, reason);
        free(reason);
    }
}
