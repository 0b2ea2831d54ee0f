/* The shell around a supervisor: its commands start and end workers and carry messages. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>

#include "tests/simulation/sim.h"

enum { IPC_DELAY_US = 60, REGISTER_TIMEOUT_US = 1500000 };

static void arm_tick(struct sim *sim, struct sim_tm *tm);

static struct sim_worker *worker_by_handle(struct sim_tm *tm, uint64_t handle)
{
    vec_for_each (item, &tm->workers)
        if ((*item)->handle == handle)
            return *item;
    return NULL;
}

struct sim_worker *sim_worker_by_process(struct sim *sim, uint64_t process)
{
    for (uint32_t i = 0; i < sim->tm_count; i++)
        vec_for_each (item, &sim->tms[i].workers)
            if ((*item)->process == process)
                return *item;
    return NULL;
}

/* ---- messages between supervisor and worker ---- */

static void drop_to_worker(void *data)
{
    weir__to_task_manager__free_unpacked(data, NULL);
}

static void drop_from_worker(void *data)
{
    weir__to_job_manager__free_unpacked(data, NULL);
}

static void to_worker_arrives(struct sim *sim, struct sim_call *call)
{
    struct sim_worker *worker = sim_worker_by_process(sim, call->a);
    if (worker)
        sim_worker_receive(sim, worker, call->data);
    else
        drop_to_worker(call->data);
}

static void from_worker_arrives(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    Weir__ToJobManager *message = call->data;
    sim_tm_event(sim, tm,
                 &(struct supervisor_event){
                     .kind = SUPERVISOR_WORKER_MESSAGE, .worker = call->b, .from_worker = message});
    weir__to_job_manager__free_unpacked(message, NULL);
}

void sim_tm_worker_says(struct sim *sim, struct sim_worker *worker, Weir__ToJobManager *message_take)
{
    sim_after(sim, IPC_DELAY_US, sim->tms[worker->tm].process, from_worker_arrives,
              (struct sim_call){.a = worker->tm, .b = worker->handle, .data = message_take},
              drop_from_worker);
}

struct exit_status {
    uint64_t handle;
    int exit_code;
    uint32_t signal;
};

static void exit_arrives(struct sim *sim, struct sim_call *call)
{
    struct exit_status *status = call->data;
    sim_tm_event(sim, &sim->tms[call->a],
                 &(struct supervisor_event){.kind = SUPERVISOR_WORKER_EXITED,
                                            .worker = status->handle,
                                            .exit_code = status->exit_code,
                                            .signal = status->signal,
                                            .message = status->signal ? "killed" : "",
                                            .stack = ""});
    free(status);
}

void sim_tm_worker_exited(struct sim *sim, struct sim_tm *tm, uint64_t handle, int exit_code, uint32_t signal)
{
    struct exit_status *status = xmalloc(sizeof *status);
    *status = (struct exit_status){handle, exit_code, signal};
    /* Behind what the worker said before it ended. */
    sim_after(sim, IPC_DELAY_US + sim_between(sim, 1, 3000), tm->process, exit_arrives,
              (struct sim_call){.a = tm->index, .data = status}, free);
}

/* ---- the supervisor's commands ---- */

static void artifact_arrives(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    uint8_t hash[32] = {1};
    sim_tm_event(sim, tm,
                 &(struct supervisor_event){
                     .kind = SUPERVISOR_ARTIFACT_READY, .rc = WEIR_OK, .path = "/artifact", .sha256 = hash});
}

static void register_timeout(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    if (tm->session == 0 && tm->connection == call->b) {
        tm->connection++;
        sim_tm_event(sim, tm,
                     &(struct supervisor_event){
                         .kind = SUPERVISOR_JM_DISCONNECTED, .rc = WEIR_E_TIMEOUT, .message = "no answer"});
    }
}

static void execute(struct sim *sim, struct sim_tm *tm, struct supervisor_command *command)
{
    switch (command->kind) {
    case SUPERVISOR_REGISTER:
        tm->session = 0;
        tm->connection++;
        sim_network_register(sim, tm);
        sim_after(sim, REGISTER_TIMEOUT_US, tm->process, register_timeout,
                  (struct sim_call){.a = tm->index, .b = tm->connection}, NULL);
        break;
    case SUPERVISOR_SEND_JM:
        sim_network_to_jm(sim, tm, tm->session, command->to_jm);
        break;
    case SUPERVISOR_FETCH_ARTIFACT:
        sim_after(sim, sim_between(sim, 100, 20000), tm->process, artifact_arrives,
                  (struct sim_call){.a = tm->index}, NULL);
        break;
    case SUPERVISOR_SPAWN_WORKER: {
        sim_check_slots(sim, tm, command->start_worker->slots);
        struct sim_worker *worker = sim_worker_spawn(sim, tm, command->worker, command->start_worker);
        vec_push(&tm->workers, worker);
        break;
    }
    case SUPERVISOR_SEND_WORKER: {
        struct sim_worker *worker = worker_by_handle(tm, command->worker);
        if (worker) {
            Weir__ToTaskManager *message = command->to_worker;
            command->to_worker = NULL;
            sim_after(sim, IPC_DELAY_US, worker->process, to_worker_arrives,
                      (struct sim_call){.a = worker->process, .data = message}, drop_to_worker);
        }
        break;
    }
    case SUPERVISOR_KILL_WORKER: {
        struct sim_worker *worker = worker_by_handle(tm, command->worker);
        if (worker) {
            sim_worker_destroy(sim, worker);
            sim_tm_worker_exited(sim, tm, command->worker, -1, SIGKILL);
        }
        break;
    }
    case SUPERVISOR_EXIT:
        sim_fail(sim, "a taskmanager ended by itself, exit code %d", command->exit_code);
        break;
    case SUPERVISOR_LOG:
        sim_trace(sim, "tm %u %s", tm->index, command->text);
        break;
    }
}

static void tick(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    if (tm->tick_us != (int64_t)call->b)
        return;
    tm->tick_us = INT64_MAX;
    sim_tm_event(sim, tm, &(struct supervisor_event){.kind = SUPERVISOR_TICK, .resident_bytes = 1});
}

static void arm_tick(struct sim *sim, struct sim_tm *tm)
{
    int64_t deadline_ms = supervisor_next_deadline(tm->supervisor);
    if (deadline_ms == INT64_MAX)
        return;
    int64_t at_us = deadline_ms > sim_now_ms(sim) ? deadline_ms * 1000 : sim->now_us;
    if (tm->tick_us <= at_us)
        return;
    tm->tick_us = at_us;
    sim_after(sim, at_us - sim->now_us, tm->process, tick,
              (struct sim_call){.a = tm->index, .b = (uint64_t)at_us}, NULL);
}

void sim_tm_event(struct sim *sim, struct sim_tm *tm, const struct supervisor_event *event)
{
    if (!sim_process_alive(sim, tm->process))
        return;
    struct supervisor_commands commands = {0};
    supervisor_step(tm->supervisor, sim_now_ms(sim), event, &commands);
    vec_for_each (command, &commands)
        execute(sim, tm, command);
    supervisor_commands_clear(&commands);
    vec_free(&commands);
    arm_tick(sim, tm);
}

void sim_tm_receive(struct sim *sim, struct sim_tm *tm, uint64_t session, Weir__ToTaskManager *message_take)
{
    if (tm->session == session)
        sim_tm_event(sim, tm,
                     &(struct supervisor_event){.kind = SUPERVISOR_JM_MESSAGE, .to_tm = message_take});
    weir__to_task_manager__free_unpacked(message_take, NULL);
}

void sim_tm_registered(struct sim *sim, struct sim_tm *tm, int rc, uint64_t session)
{
    if (rc != WEIR_OK) {
        sim_tm_event(sim, tm,
                     &(struct supervisor_event){.kind = SUPERVISOR_REFUSED, .rc = rc, .message = "refused"});
        return;
    }
    tm->session = session;
    Weir__TaskManagerRegistered registered = WEIR__TASK_MANAGER_REGISTERED__INIT;
    registered.session = session;
    registered.heartbeat_interval_ms = (uint32_t)config_duration_ms(sim->config, OPT_HEARTBEAT_INTERVAL);
    registered.heartbeat_timeout_ms = (uint32_t)config_duration_ms(sim->config, OPT_HEARTBEAT_TIMEOUT);
    registered.jobmanager_id = (ProtobufCBinaryData){WEIR_ID_BYTES, sim->jm_id.bytes};
    sim_tm_event(sim, tm,
                 &(struct supervisor_event){.kind = SUPERVISOR_REGISTERED, .registered = &registered});
}

void sim_tm_connection_lost(struct sim *sim, struct sim_tm *tm)
{
    tm->session = 0;
    sim_tm_event(sim, tm,
                 &(struct supervisor_event){.kind = SUPERVISOR_JM_DISCONNECTED,
                                            .rc = WEIR_E_UNAVAILABLE,
                                            .message = "connection lost"});
}

/* ---- life and death ---- */

static void started(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    sim_tm_event(sim, tm, &(struct supervisor_event){.kind = SUPERVISOR_TICK, .resident_bytes = 1});
}

void sim_tm_start(struct sim *sim, struct sim_tm *tm)
{
    assert(tm->process == 0);
    tm->process = sim_process_new(sim, 0);
    tm->generation++;
    tm->session = 0;
    tm->connection++;
    tm->tick_us = INT64_MAX;
    tm->id = xasprintf("tm%u-%u", tm->index, tm->generation);
    tm->supervisor =
        supervisor_new(&(struct supervisor_config){.task_manager_id = tm->id, .slots = tm->slots});
    sim_trace(sim, "tm %u starts as %s", tm->index, tm->id);
    sim_after(sim, sim_between(sim, 500, 20000), tm->process, started, (struct sim_call){.a = tm->index},
              NULL);
}

void sim_tm_kill(struct sim *sim, struct sim_tm *tm)
{
    if (tm->process == 0)
        return;
    sim_trace(sim, "tm %u killed", tm->index);
    if (tm->session)
        sim_jm_connection_lost(sim, tm->session,
                               tm->partitioned ? SIM_GRACE_US : sim_between(sim, 300, 110000));
    while (tm->workers.count > 0)
        sim_worker_destroy(sim, tm->workers.items[tm->workers.count - 1]);
    vec_free(&tm->workers);
    sim_process_end(sim, tm->process);
    supervisor_free(tm->supervisor);
    tm->supervisor = NULL;
    tm->process = 0;
    tm->session = 0;
    tm->connection++;
    free(tm->id);
    tm->id = NULL;
}
