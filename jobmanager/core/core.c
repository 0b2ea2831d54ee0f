#include "jobmanager/core/core.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "jobmanager/core/core_internal.h"

struct core *core_new(const struct config *config, uint64_t seed, struct weir_id incarnation)
{
    struct core *core = xcalloc(1, sizeof *core);
    core->config = config;
    random_init(&core->random, seed);
    heartbeat_monitor_init(&core->heartbeats, config_duration_ms(config, OPT_HEARTBEAT_TIMEOUT));
    dispatcher_init(&core->dispatcher, config, incarnation);
    return core;
}

void core_free(struct core *core)
{
    if (!core)
        return;
    dispatcher_deinit(&core->dispatcher);
    slot_pool_deinit(&core->pool);
    free(core);
}

static void tick(struct core *core, struct step *step)
{
    core_expire_task_managers(core, step);
    dispatcher_tick(&core->dispatcher, step);
}

void core_step(struct core *core, int64_t now_ms, const struct core_event *event,
               struct core_commands *commands)
{
    if (now_ms > core->now_ms)
        core->now_ms = now_ms;
    struct step step = {.now_ms = core->now_ms, .commands = commands, .random = &core->random};
    struct dispatcher *dispatcher = &core->dispatcher;
    switch (event->kind) {
    case EVENT_TICK:
        tick(core, &step);
        break;
    case EVENT_SUBMIT_JOB:
        dispatcher_submit(dispatcher, &step, event->request, event->submit);
        break;
    case EVENT_CANCEL_JOB:
        dispatcher_cancel(dispatcher, &step, event->request, &event->job);
        break;
    case EVENT_TAKE_SNAPSHOT:
        dispatcher_take_snapshot(dispatcher, &step, event->request, &event->job, event->wish);
        break;
    case EVENT_REGISTER:
        core_register(core, &step, event->request, event->registration);
        break;
    case EVENT_TM_MESSAGE:
        core_task_manager_message(core, &step, event->session, event->from_tm);
        break;
    case EVENT_TM_LOST:
        core_task_manager_unreachable(core, &step, event->session);
        break;
    case EVENT_METADATA_PERSISTED:
        dispatcher_metadata_persisted(dispatcher, &step, event);
        break;
    case EVENT_SNAPSHOT_LOADED:
        dispatcher_snapshot_loaded(dispatcher, &step, event);
        break;
    case EVENT_DIRECTORY_READY:
        dispatcher_directory_ready(dispatcher, &step, event);
        break;
    }
    dispatcher_settle(dispatcher, &step, &core->pool);
}

int64_t core_next_deadline(const struct core *core)
{
    int64_t heartbeats = heartbeat_monitor_deadline(&core->heartbeats);
    int64_t jobs = dispatcher_deadline(&core->dispatcher);
    return heartbeats < jobs ? heartbeats : jobs;
}
