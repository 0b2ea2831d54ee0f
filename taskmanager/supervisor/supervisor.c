/* Registration, heartbeats, and what happens when the jobmanager is gone.
 *
 *               REGISTER               REGISTERED
 *      BACKOFF ----------> TRYING ----------------------> DONE
 *         ^                   |                             |
 *         +-- REFUSED, -------+                             |
 *         |   JM_DISCONNECTED                               |
 *         +-- REFUSED, JM_DISCONNECTED, silence ------------+
 *      any -- SHUTDOWN --> LEAVING
 *
 * Possible failure modes. The jobmanager's connection breaks: workers live on until heartbeat.timeout has
 * passed, or until a new registration succeeds, whichever comes first: a new session means that the
 * jobmanager has given up what ran in the old one (or is another incarnation, which knows nothing of it), so
 * that its workers are killed. A worker hangs or is stopped: it says nothing for heartbeat.timeout and is
 * killed. The machine was suspended: the clock counts that time, and the first tick
 * finds the timeout passed. */
#include "taskmanager/supervisor/internal.h"

#include <assert.h>

#include "common/base/memory.h"

static const uint32_t registration_next[] = {
    [REGISTRATION_BACKOFF] = 1u << REGISTRATION_TRYING | 1u << REGISTRATION_LEAVING,
    [REGISTRATION_TRYING] = 1u << REGISTRATION_BACKOFF | 1u << REGISTRATION_DONE | 1u << REGISTRATION_LEAVING,
    [REGISTRATION_DONE] = 1u << REGISTRATION_BACKOFF | 1u << REGISTRATION_LEAVING,
    [REGISTRATION_LEAVING] = 0,
};

static void registration_move(struct supervisor *supervisor, enum registration_state next)
{
    if (!(registration_next[supervisor->registration] & 1u << next))
        abort(); /* a bug; checked in release builds, too */
    supervisor->registration = next;
}

struct supervisor *supervisor_new(const struct supervisor_config *config)
{
    assert(config->task_manager_id && config->slots > 0);
    struct supervisor *supervisor = xcalloc(1, sizeof *supervisor);
    supervisor->task_manager_id = xstrdup(config->task_manager_id);
    supervisor->jobmanager_address =
        xstrdup(config->jobmanager_address ? config->jobmanager_address : "jobmanager");
    supervisor->slots = config->slots;
    supervisor->registration = REGISTRATION_BACKOFF;
    supervisor->retry_at_ms = INT64_MIN;
    supervisor->backoff_ms = BACKOFF_FIRST_MS;
    return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    vec_for_each (worker, &supervisor->workers)
        worker_deinit(worker);
    vec_free(&supervisor->workers);
    free(supervisor->task_manager_id);
    free(supervisor->jobmanager_address);
    free(supervisor->last_failure);
    free(supervisor);
}

static void try_to_register(struct supervisor *supervisor, struct supervisor_commands *commands)
{
    registration_move(supervisor, REGISTRATION_TRYING);
    command_add(commands, SUPERVISOR_REGISTER, 0);
}

static void back_off(struct supervisor *supervisor, int64_t now_ms)
{
    registration_move(supervisor, REGISTRATION_BACKOFF);
    supervisor->retry_at_ms = now_ms + supervisor->backoff_ms;
    supervisor->backoff_ms =
        2 * supervisor->backoff_ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : 2 * supervisor->backoff_ms;
}

static void send_heartbeat(struct supervisor *supervisor, struct supervisor_commands *commands)
{
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    weir__to_job_manager__init(message);
    message->body_case = WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT;
    message->heartbeat = xmalloc(sizeof *message->heartbeat);
    weir__heartbeat__init(message->heartbeat);
    message->heartbeat->resident_bytes = supervisor->resident_bytes;
    message->heartbeat->running_workers = workers_running(supervisor);
    command_add(commands, SUPERVISOR_SEND_JM, 0)->to_jm = message;
}

static void heard(struct supervisor *supervisor, int64_t now_ms)
{
    supervisor->last_heard_ms = now_ms;
    supervisor->heard_since_liveness = true;
}

static void on_registered(struct supervisor *supervisor, int64_t now_ms,
                          const Weir__TaskManagerRegistered *registered, struct supervisor_commands *commands)
{
    struct weir_id jobmanager;
    if (supervisor->registration != REGISTRATION_TRYING)
        return;
    if (!weir_id_from_bytes(registered->jobmanager_id.data, registered->jobmanager_id.len, &jobmanager) ||
        registered->heartbeat_interval_ms == 0 || registered->heartbeat_timeout_ms == 0) {
        command_log(commands, LOG_ERROR, "The jobmanager's answer to the registration is malformed.");
        back_off(supervisor, now_ms);
        return;
    }
    registration_move(supervisor, REGISTRATION_DONE);
    if (supervisor->workers.count > 0) {
        bool same = supervisor->ever_registered && weir_id_equal(&jobmanager, &supervisor->jobmanager);
        command_log(commands, LOG_WARN, "%s: workers of the old session are killed.",
                    same ? "The jobmanager has given up the old session"
                         : "The jobmanager is a new incarnation");
        workers_kill_all(supervisor, commands);
    }
    supervisor->ever_registered = true;
    supervisor->jobmanager = jobmanager;
    supervisor->session = registered->session;
    supervisor->heartbeat_interval_ms = registered->heartbeat_interval_ms;
    supervisor->heartbeat_timeout_ms = registered->heartbeat_timeout_ms;
    supervisor->backoff_ms = BACKOFF_FIRST_MS;
    supervisor->next_heartbeat_ms = now_ms + supervisor->heartbeat_interval_ms;
    free(supervisor->last_failure);
    supervisor->last_failure = NULL;
    heard(supervisor, now_ms);
    command_log(commands, LOG_INFO,
                "Successful registration at resource manager %s under registration id %016llx.",
                supervisor->jobmanager_address, (unsigned long long)registered->session);
    send_heartbeat(supervisor, commands);
}

static void on_disconnected(struct supervisor *supervisor, int64_t now_ms, const char *message,
                            struct supervisor_commands *commands)
{
    const char *reason = message && *message ? message : "connection lost";
    if (supervisor->registration == REGISTRATION_TRYING) {
        if (!supervisor->last_failure || strcmp(supervisor->last_failure, reason) != 0) {
            command_log(commands, LOG_WARN, "Could not register at the jobmanager %s, trying again: %s.",
                        supervisor->jobmanager_address, reason);
            free(supervisor->last_failure);
            supervisor->last_failure = xstrdup(reason);
        }
        back_off(supervisor, now_ms);
    } else if (supervisor->registration == REGISTRATION_DONE) {
        command_log(commands, LOG_WARN, "The connection to the jobmanager %s is lost: %s. Registering again.",
                    supervisor->jobmanager_address, reason);
        back_off(supervisor, now_ms);
    }
}

static bool has_live_worker(const struct supervisor *supervisor)
{
    vec_for_each (worker, &supervisor->workers)
        if (worker->state != WORKER_KILLED)
            return true;
    return false;
}

/* When the jobmanager's silence has lasted too long; INT64_MAX: nothing depends on it. */
static int64_t silence_deadline(const struct supervisor *supervisor)
{
    if (!supervisor->ever_registered || supervisor->registration == REGISTRATION_LEAVING ||
        (supervisor->registration != REGISTRATION_DONE && !has_live_worker(supervisor)))
        return INT64_MAX;
    return supervisor->last_heard_ms + supervisor->heartbeat_timeout_ms;
}

static void on_silence(struct supervisor *supervisor, int64_t now_ms, struct supervisor_commands *commands)
{
    command_log(commands, LOG_WARN, "Nothing was heard from the jobmanager %s for %lld ms%s.",
                supervisor->jobmanager_address, (long long)(now_ms - supervisor->last_heard_ms),
                has_live_worker(supervisor) ? ": all workers are killed" : "");
    workers_kill_all(supervisor, commands);
    if (supervisor->registration == REGISTRATION_DONE)
        back_off(supervisor, now_ms);
}

/* Ticks come at least every heartbeat.interval; when one is late, this process was stopped or starved, and
 * what workers have said meanwhile is still to be read. */
static void notice_late_tick(struct supervisor *supervisor, int64_t now_ms)
{
    int64_t late_ms = now_ms - supervisor->last_tick_ms - supervisor->heartbeat_interval_ms;
    supervisor->last_tick_ms = now_ms;
    if (late_ms > 0)
        workers_forgive(supervisor, late_ms);
}

static void on_tick(struct supervisor *supervisor, int64_t now_ms, struct supervisor_commands *commands)
{
    notice_late_tick(supervisor, now_ms);
    workers_kill_silent(supervisor, now_ms, commands);
    if (now_ms >= silence_deadline(supervisor))
        on_silence(supervisor, now_ms, commands);
    if (supervisor->registration == REGISTRATION_BACKOFF && now_ms >= supervisor->retry_at_ms)
        try_to_register(supervisor, commands);
    if (supervisor->registration == REGISTRATION_DONE && now_ms >= supervisor->next_heartbeat_ms) {
        send_heartbeat(supervisor, commands);
        if (supervisor->heard_since_liveness)
            workers_send_liveness(supervisor, commands);
        supervisor->heard_since_liveness = false;
        supervisor->next_heartbeat_ms = now_ms + supervisor->heartbeat_interval_ms;
    }
}

static void on_shutdown(struct supervisor *supervisor, const char *reason,
                        struct supervisor_commands *commands)
{
    if (supervisor->registration == REGISTRATION_LEAVING)
        return;
    if (supervisor->registration == REGISTRATION_DONE) {
        Weir__ToJobManager *message = xmalloc(sizeof *message);
        weir__to_job_manager__init(message);
        message->body_case = WEIR__TO_JOB_MANAGER__BODY_LEAVING;
        message->leaving = xmalloc(sizeof *message->leaving);
        weir__task_manager_leaving__init(message->leaving);
        message->leaving->reason = xstrdup(reason && *reason ? reason : "shut down");
        command_add(commands, SUPERVISOR_SEND_JM, 0)->to_jm = message;
    }
    registration_move(supervisor, REGISTRATION_LEAVING);
    workers_kill_all(supervisor, commands);
    if (supervisor->workers.count == 0)
        command_add(commands, SUPERVISOR_EXIT, 0);
}

void supervisor_step(struct supervisor *supervisor, int64_t now_ms, const struct supervisor_event *event,
                     struct supervisor_commands *commands)
{
    switch (event->kind) {
    case SUPERVISOR_REGISTERED:
        on_registered(supervisor, now_ms, event->registered, commands);
        break;
    case SUPERVISOR_REFUSED:
    case SUPERVISOR_JM_DISCONNECTED:
        on_disconnected(supervisor, now_ms, event->message, commands);
        break;
    case SUPERVISOR_JM_CONTACT:
        if (supervisor->registration == REGISTRATION_DONE)
            heard(supervisor, now_ms);
        break;
    case SUPERVISOR_JM_PROBE:
        if (supervisor->registration == REGISTRATION_DONE)
            send_heartbeat(supervisor, commands);
        break;
    case SUPERVISOR_JM_MESSAGE:
        if (supervisor->registration != REGISTRATION_DONE)
            break;
        heard(supervisor, now_ms);
        workers_on_jm_message(supervisor, now_ms, event->to_tm, commands);
        break;
    case SUPERVISOR_ARTIFACT_READY:
        workers_on_artifact(supervisor, event, commands);
        break;
    case SUPERVISOR_WORKER_MESSAGE:
        workers_on_message(supervisor, now_ms, event->worker, event->from_worker, commands);
        break;
    case SUPERVISOR_WORKER_EXITED:
        workers_on_exit(supervisor, event, commands);
        if (supervisor->registration == REGISTRATION_LEAVING && supervisor->workers.count == 0)
            command_add(commands, SUPERVISOR_EXIT, 0);
        break;
    case SUPERVISOR_TICK:
        supervisor->resident_bytes = event->resident_bytes;
        on_tick(supervisor, now_ms, commands);
        break;
    case SUPERVISOR_SHUTDOWN:
        on_shutdown(supervisor, event->message, commands);
        break;
    }
}

int64_t supervisor_next_deadline(const struct supervisor *supervisor)
{
    int64_t deadline = silence_deadline(supervisor);
    int64_t workers = workers_silence_deadline(supervisor);
    int64_t next = INT64_MAX;
    if (supervisor->registration == REGISTRATION_BACKOFF)
        next = supervisor->retry_at_ms;
    else if (supervisor->registration == REGISTRATION_DONE)
        next = supervisor->next_heartbeat_ms;
    deadline = workers < deadline ? workers : deadline;
    return next < deadline ? next : deadline;
}
