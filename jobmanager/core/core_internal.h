/* What a core is made of; only for this folder. */
#ifndef WEIR_CORE_CORE_INTERNAL_H
#define WEIR_CORE_CORE_INTERNAL_H

#include "jobmanager/core/view.h"
#include "jobmanager/dispatcher/dispatcher.h"

struct core {
    const struct config *config; /* borrowed */
    struct random random;
    int64_t now_ms; /* of the newest step */
    struct heartbeat_monitor heartbeats;
    struct slot_pool pool;
    struct dispatcher dispatcher;
};

/* ---- taskmanagers (task_managers.c) */
void core_register(struct core *core, struct step *step, uint64_t request,
                   const Weir__RegisterTaskManager *registration);
void core_task_manager_message(struct core *core, struct step *step, uint64_t session,
                               const Weir__ToJobManager *message);
/* reason: one sentence. Does nothing for a session that is over. */
void core_lose_task_manager(struct core *core, struct step *step, uint64_t session, const char *reason);
/* The connection is gone. */
void core_task_manager_unreachable(struct core *core, struct step *step, uint64_t session);
/* Those that have been silent for too long, or don't get a worker killed. */
void core_expire_task_managers(struct core *core, struct step *step);

#endif
