/* The table of workers: starting, relaying, ending.
 *
 *                 ARTIFACT_READY          WorkerReady
 *      FETCHING ------------------> STARTING --------> RUNNING
 *          |                            |                 |
 *          | StopWorker, lost session   +--- StopWorker, lost session, SHUTDOWN --> KILLED
 *          v                            |                 |  (silent with tasks, too) |
 *        (gone) <------------------ process exits --------+---------------------------+
 */
#include "taskmanager/supervisor/internal.h"

#include <assert.h>
#include <stdio.h>

#include "common/base/memory.h"

/* Which states may follow which. */
static const uint32_t worker_next[] = {
    [WORKER_FETCHING] = 1u << WORKER_STARTING,
    [WORKER_STARTING] = 1u << WORKER_RUNNING | 1u << WORKER_KILLED,
    [WORKER_RUNNING] = 1u << WORKER_KILLED,
    [WORKER_KILLED] = 0,
};

static void worker_move(struct worker *worker, enum worker_state next)
{
    if (!(worker_next[worker->state] & 1u << next))
        abort(); /* a bug; checked in release builds, too */
    worker->state = next;
}

void worker_deinit(struct worker *worker)
{
    free(worker->job_name);
    free(worker->reported_error);
    free(worker->reported_stack);
    if (worker->start)
        weir__start_worker__free_unpacked(worker->start, NULL);
}

bool worker_has_process(const struct worker *worker)
{
    return worker->state != WORKER_FETCHING;
}

static void worker_remove(struct supervisor *supervisor, struct worker *worker)
{
    worker_deinit(worker);
    vec_remove(&supervisor->workers, (size_t)(worker - supervisor->workers.items));
}

void worker_kill(struct worker *worker, struct supervisor_commands *commands)
{
    assert(worker_has_process(worker));
    if (worker->state == WORKER_KILLED)
        return;
    worker_move(worker, WORKER_KILLED);
    command_add(commands, SUPERVISOR_KILL_WORKER, worker->handle);
}

void workers_kill_all(struct supervisor *supervisor, struct supervisor_commands *commands)
{
    for (size_t i = supervisor->workers.count; i-- > 0;) {
        struct worker *worker = &supervisor->workers.items[i];
        worker->stop_requested = false;
        if (worker_has_process(worker))
            worker_kill(worker, commands);
        else
            worker_remove(supervisor, worker);
    }
}

uint32_t workers_running(const struct supervisor *supervisor)
{
    uint32_t running = 0;
    vec_for_each (worker, &supervisor->workers)
        running += worker_has_process(worker) ? 1 : 0;
    return running;
}

static bool deployment_parse(const Weir__DeploymentId *id, struct deployment *ret_deployment)
{
    if (!id || !weir_id_from_bytes(id->job_id.data, id->job_id.len, &ret_deployment->job))
        return false;
    ret_deployment->attempt = id->attempt;
    return true;
}

static bool deployment_equal(const struct deployment *a, const struct deployment *b)
{
    return a->attempt == b->attempt && weir_id_equal(&a->job, &b->job);
}

static struct worker *find_handle(struct supervisor *supervisor, uint64_t handle)
{
    vec_for_each (worker, &supervisor->workers)
        if (worker->handle == handle)
            return worker;
    return NULL;
}

static struct worker *find_deployment(struct supervisor *supervisor, const struct deployment *deployment)
{
    struct worker *found = NULL; /* the latest: one of a session that is over may still be dying */
    vec_for_each (worker, &supervisor->workers)
        if (deployment_equal(&worker->deployment, deployment))
            found = worker;
    return found;
}

/* ---- StartWorker, StopWorker ---- */

static uint32_t slots_held(const struct supervisor *supervisor)
{
    uint32_t held = 0;
    vec_for_each (worker, &supervisor->workers)
        if (worker->state != WORKER_KILLED)
            held += worker->slots;
    return held;
}

static void fetch_artifact(struct supervisor *supervisor, const struct worker *wanting,
                           struct supervisor_commands *commands)
{
    vec_for_each (worker, &supervisor->workers)
        if (worker != wanting && worker->state == WORKER_FETCHING &&
            memcmp(worker->sha256, wanting->sha256, SHA256_BYTES) == 0)
            return; /* the same answer serves both */
    command_add(commands, SUPERVISOR_FETCH_ARTIFACT, 0)->start_worker = copy_start_worker(wanting->start);
}

static void start_worker(struct supervisor *supervisor, const Weir__StartWorker *start,
                         struct supervisor_commands *commands)
{
    struct deployment deployment;
    char job[WEIR_ID_HEX + 1], reason[160];
    if (!deployment_parse(start->deployment, &deployment)) {
        command_log(commands, LOG_WARN, "StartWorker without a valid deployment id: dropped.");
        return;
    }
    struct worker *known = find_deployment(supervisor, &deployment);
    if (known && known->session == supervisor->session && known->state != WORKER_KILLED)
        return;                                            /* a repetition */
    for (size_t i = supervisor->workers.count; i-- > 0;) { /* an earlier attempt that nobody stopped */
        struct worker *worker = &supervisor->workers.items[i];
        if (!weir_id_equal(&worker->deployment.job, &deployment.job))
            continue;
        if (worker_has_process(worker))
            worker_kill(worker, commands);
        else
            worker_remove(supervisor, worker);
    }
    if (!start->program || start->program->artifact_sha256.len != SHA256_BYTES) {
        report_start_failure(&deployment, start->job_name, "the program has no artifact", commands);
        return;
    }
    uint32_t held = slots_held(supervisor);
    if (start->slots == 0 ||
        start->slots > supervisor->slots - (held < supervisor->slots ? held : supervisor->slots)) {
        snprintf(reason, sizeof reason,
                 "%u slots were asked for, %u of this taskmanager's %u are held by others", start->slots,
                 held, supervisor->slots);
        report_start_failure(&deployment, start->job_name, reason, commands);
        return;
    }
    command_log(commands, LOG_INFO, "Starting worker of job '%s' (%s), attempt %u, %u slot%s.",
                start->job_name, weir_id_format(&deployment.job, job), deployment.attempt, start->slots,
                start->slots == 1 ? "" : "s");
    struct worker worker = {
        .handle = ++supervisor->last_handle,
        .session = supervisor->session,
        .deployment = deployment,
        .state = WORKER_FETCHING,
        .slots = start->slots,
        .job_name = xstrdup(start->job_name),
        .start = copy_start_worker(start),
    };
    memcpy(worker.sha256, start->program->artifact_sha256.data, SHA256_BYTES);
    vec_push(&supervisor->workers, worker);
    fetch_artifact(supervisor, &supervisor->workers.items[supervisor->workers.count - 1], commands);
}

static void stop_worker(struct supervisor *supervisor, const Weir__StopWorker *stop,
                        struct supervisor_commands *commands)
{
    struct deployment deployment;
    if (!deployment_parse(stop->deployment, &deployment))
        return;
    struct worker *worker = find_deployment(supervisor, &deployment);
    if (worker && worker_has_process(worker)) {
        command_log(commands, LOG_INFO, "Stopping worker of job '%s', attempt %u: %s.", worker->job_name,
                    deployment.attempt, stop->reason && *stop->reason ? stop->reason : "no reason given");
        worker->stop_requested = true;
        worker_kill(worker, commands);
        return;
    }
    if (worker)
        worker_remove(supervisor, worker);
    Weir__ToJobManager *answer = worker_exited_new(&deployment);
    answer->worker_exited->expected = true;
    command_add(commands, SUPERVISOR_SEND_JM, 0)->to_jm = answer;
}

void workers_on_artifact(struct supervisor *supervisor, const struct supervisor_event *event,
                         struct supervisor_commands *commands)
{
    for (size_t i = supervisor->workers.count; i-- > 0;) {
        struct worker *worker = &supervisor->workers.items[i];
        if (worker->state != WORKER_FETCHING || memcmp(worker->sha256, event->sha256, SHA256_BYTES) != 0)
            continue;
        if (event->rc != WEIR_OK) {
            report_start_failure(&worker->deployment, worker->job_name,
                                 event->message ? event->message : weir_rc_text(event->rc), commands);
            worker_remove(supervisor, worker);
            continue;
        }
        worker_move(worker, WORKER_STARTING);
        Weir__ToTaskManager *message = xmalloc(sizeof *message);
        weir__to_task_manager__init(message);
        message->body_case = WEIR__TO_TASK_MANAGER__BODY_START_WORKER;
        message->start_worker = copy_start_worker(worker->start);
        struct supervisor_command *spawn = command_add(commands, SUPERVISOR_SPAWN_WORKER, worker->handle);
        spawn->text = xstrdup(event->path);
        spawn->start_worker = worker->start;
        worker->start = NULL;
        command_add(commands, SUPERVISOR_SEND_WORKER, worker->handle)->to_worker = message;
    }
}

/* ---- relaying ---- */

static const Weir__DeploymentId *jm_message_deployment(const Weir__ToTaskManager *message)
{
    switch (message->body_case) {
    case WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS:
        return message->deploy_tasks->deployment;
    case WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS:
        return message->cancel_tasks->deployment;
    case WEIR__TO_TASK_MANAGER__BODY_TRIGGER_CHECKPOINT:
        return message->trigger_checkpoint->deployment;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE:
        return message->notify_checkpoint_complete->deployment;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_ABORTED:
        return message->notify_checkpoint_aborted->deployment;
    default:
        return NULL;
    }
}

static void relay_to_worker(struct supervisor *supervisor, int64_t now_ms, const Weir__ToTaskManager *message,
                            struct supervisor_commands *commands)
{
    struct deployment deployment;
    if (!deployment_parse(jm_message_deployment(message), &deployment))
        return;
    struct worker *worker = find_deployment(supervisor, &deployment);
    if (!worker || worker->session != supervisor->session || worker->state == WORKER_KILLED)
        return; /* from the past of a worker that has ended */
    if (worker->state == WORKER_FETCHING) {
        if (message->body_case ==
            WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS) { /* nothing runs: already canceled */
            Weir__ToJobManager *answer = worker_exited_new(&deployment);
            answer->worker_exited->expected = true;
            command_add(commands, SUPERVISOR_SEND_JM, 0)->to_jm = answer;
            worker_remove(supervisor, worker);
        }
        return;
    }
    if (message->body_case == WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS) {
        worker->tasks_deployed += message->deploy_tasks->n_tasks;
        worker->heard_ms = now_ms; /* from now on it reports regularly */
    } else if (message->body_case == WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS)
        worker->cancel_requested = true;
    else if (message->body_case == WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE) {
        char job[WEIR_ID_HEX + 1];
        command_log(commands, LOG_INFO, "Completed checkpoint %llu for job %s.",
                    (unsigned long long)message->notify_checkpoint_complete->checkpoint_id,
                    weir_id_format(&deployment.job, job));
    }
    command_add(commands, SUPERVISOR_SEND_WORKER, worker->handle)->to_worker = copy_to_task_manager(message);
}

void workers_on_jm_message(struct supervisor *supervisor, int64_t now_ms, const Weir__ToTaskManager *message,
                           struct supervisor_commands *commands)
{
    switch (message->body_case) {
    case WEIR__TO_TASK_MANAGER__BODY_START_WORKER:
        start_worker(supervisor, message->start_worker, commands);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_STOP_WORKER:
        stop_worker(supervisor, message->stop_worker, commands);
        break;
    default:
        relay_to_worker(supervisor, now_ms, message, commands);
        break;
    }
}

void workers_send_liveness(const struct supervisor *supervisor, struct supervisor_commands *commands)
{
    vec_for_each (worker, &supervisor->workers) {
        if (worker->session != supervisor->session ||
            (worker->state != WORKER_STARTING && worker->state != WORKER_RUNNING))
            continue;
        Weir__ToTaskManager *message = xmalloc(sizeof *message);
        weir__to_task_manager__init(message);
        message->body_case = WEIR__TO_TASK_MANAGER__BODY_LIVENESS;
        message->liveness = xmalloc(sizeof *message->liveness);
        weir__liveness__init(message->liveness);
        command_add(commands, SUPERVISOR_SEND_WORKER, worker->handle)->to_worker = message;
    }
}

static const Weir__DeploymentId *worker_message_deployment(const Weir__ToJobManager *message)
{
    switch (message->body_case) {
    case WEIR__TO_JOB_MANAGER__BODY_WORKER_READY:
        return message->worker_ready->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED:
        return message->worker_exited->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_TASK_STATE:
        return message->task_state->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK:
        return message->checkpoint_ack->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_DECLINE:
        return message->checkpoint_decline->deployment;
    case WEIR__TO_JOB_MANAGER__BODY_METRICS:
        return message->metrics->deployment;
    default:
        return NULL; /* a worker doesn't say heartbeats nor that the taskmanager leaves */
    }
}

static void remember_exit(struct worker *worker, const Weir__WorkerExited *exited)
{
    free(worker->reported_error);
    free(worker->reported_stack);
    worker->reported_error = xstrdup(exited->error && *exited->error ? exited->error : "no reason given");
    worker->reported_stack = exited->stack && *exited->stack ? xstrdup(exited->stack) : NULL;
}

void workers_on_message(struct supervisor *supervisor, int64_t now_ms, uint64_t handle,
                        const Weir__ToJobManager *message, struct supervisor_commands *commands)
{
    struct deployment deployment;
    struct worker *worker = find_handle(supervisor, handle);
    if (!worker || !worker_has_process(worker))
        return;
    worker->heard_ms = now_ms;
    if (!deployment_parse(worker_message_deployment(message), &deployment) ||
        !deployment_equal(&deployment, &worker->deployment)) {
        command_log(commands, LOG_WARN,
                    "A message of the worker of job '%s' is not about its deployment: dropped.",
                    worker->job_name);
        return;
    }
    if (message->body_case == WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED) {
        remember_exit(worker, message->worker_exited); /* what it says before it exits by itself */
        return;
    }
    if (worker->state == WORKER_KILLED || supervisor->registration != REGISTRATION_DONE ||
        worker->session != supervisor->session)
        return;
    if (message->body_case == WEIR__TO_JOB_MANAGER__BODY_WORKER_READY && worker->state == WORKER_STARTING)
        worker_move(worker, WORKER_RUNNING);
    if (message->body_case == WEIR__TO_JOB_MANAGER__BODY_TASK_STATE &&
        (message->task_state->state == WEIR__TASK_STATE__TASK_FINISHED ||
         message->task_state->state == WEIR__TASK_STATE__TASK_CANCELED))
        worker->tasks_ended++;
    command_add(commands, SUPERVISOR_SEND_JM, 0)->to_jm = copy_to_job_manager(message);
}

/* INT64_MAX: it need not say anything: it has no tasks yet, or all have ended. */
static int64_t worker_silence_deadline(const struct supervisor *supervisor, const struct worker *worker)
{
    int64_t limit_ms = supervisor->heartbeat_timeout_ms > WORKER_SILENCE_MIN_MS
                           ? supervisor->heartbeat_timeout_ms
                           : WORKER_SILENCE_MIN_MS;
    if (worker->state != WORKER_RUNNING || worker->tasks_ended >= worker->tasks_deployed)
        return INT64_MAX;
    return worker->heard_ms + limit_ms;
}

int64_t workers_silence_deadline(const struct supervisor *supervisor)
{
    int64_t earliest = INT64_MAX;
    vec_for_each (worker, &supervisor->workers) {
        int64_t deadline = worker_silence_deadline(supervisor, worker);
        earliest = deadline < earliest ? deadline : earliest;
    }
    return earliest;
}

void workers_kill_silent(struct supervisor *supervisor, int64_t now_ms, struct supervisor_commands *commands)
{
    vec_for_each (worker, &supervisor->workers) {
        if (now_ms < worker_silence_deadline(supervisor, worker))
            continue;
        free(worker->reported_error);
        worker->reported_error =
            xasprintf("nothing was heard of it for %lld ms (heartbeat.timeout): it hung, was "
                      "stopped, or had no processor; it was killed",
                      (long long)(now_ms - worker->heard_ms));
        worker_kill(worker, commands);
    }
}

void workers_forgive(struct supervisor *supervisor, int64_t deaf_ms)
{
    vec_for_each (worker, &supervisor->workers)
        worker->heard_ms += deaf_ms;
}

void workers_on_exit(struct supervisor *supervisor, const struct supervisor_event *event,
                     struct supervisor_commands *commands)
{
    struct worker *worker = find_handle(supervisor, event->worker);
    if (!worker)
        return;
    assert(worker_has_process(worker));
    bool concerns_jobmanager = supervisor->registration == REGISTRATION_DONE &&
                               (worker->session == supervisor->session || worker->stop_requested);
    if (concerns_jobmanager)
        report_exit(worker, event, commands);
    worker_remove(supervisor, worker);
}
