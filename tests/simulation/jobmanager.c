/* The shell around the core: commands become messages, file operations and replies after some virtual time.
 */
#include <assert.h>
#include <string.h>

#include "tests/simulation/sim.h"

static void tick(struct sim *sim, struct sim_call *call);

static struct sim_session *find_session(struct sim *sim, uint64_t session)
{
    vec_for_each (item, &sim->sessions)
        if (item->session == session)
            return item;
    return NULL;
}

struct answer { /* to a command about a job */
    struct core_event event;
    char *path;
    char message[64];
};

static void answer_free(void *data)
{
    struct answer *answer = data;
    free(answer->path);
    free(answer);
}

static void answer_arrives(struct sim *sim, struct sim_call *call)
{
    struct answer *answer = call->data;
    if (answer->event.kind == EVENT_SNAPSHOT_LOADED && answer->event.rc == WEIR_OK) {
        Weir__SnapshotMetadata *metadata = sim_disk_read(&sim->disk, answer->path);
        if (metadata) {
            answer->event.snapshot = metadata;
            answer->event.snapshot_path = answer->path;
        } else {
            answer->event.rc = WEIR_E_NOT_FOUND;
            answer->event.message = "no such snapshot";
        }
        sim_jm_step(sim, &answer->event);
        if (metadata)
            weir__snapshot_metadata__free_unpacked(metadata, NULL);
    } else {
        sim_jm_step(sim, &answer->event);
    }
    answer_free(answer);
}

static void answer_later(struct sim *sim, struct core_event event, const char *path)
{
    struct answer *answer = xcalloc(1, sizeof *answer);
    answer->event = event;
    answer->path = path ? xstrdup(path) : NULL;
    if (event.rc != WEIR_OK)
        answer->event.message = "simulated disk failure";
    int64_t delay = sim_chance(sim, 30) ? sim_between(sim, 20000, 1500000) : sim_between(sim, 100, 4000);
    sim_after(sim, delay, sim->jm_process, answer_arrives, (struct sim_call){.data = answer}, answer_free);
}

static void deploy_seen(struct sim *sim, const Weir__ToTaskManager *message)
{
    if (message->body_case == WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS)
        sim_check_restore(sim, message->deploy_tasks);
}

static void execute(struct sim *sim, struct core_command *command)
{
    switch (command->kind) {
    case COMMAND_SEND: {
        struct sim_session *session = find_session(sim, command->session);
        assert(session);
        deploy_seen(sim, command->message);
        struct sim_tm *tm = &sim->tms[session->tm];
        if (!session->over && tm->process == session->process)
            sim_network_to_tm(sim, tm, command->session, command->message);
        break;
    }
    case COMMAND_DISCONNECT: {
        struct sim_session *session = find_session(sim, command->session);
        if (session)
            session->over = true;
        break;
    }
    case COMMAND_REPLY_SUBMIT:
        if (command->rc != WEIR_OK)
            sim_fail(sim, "submission refused: %s", command->text ? command->text : "");
        sim->job = command->job;
        sim->submitted = true;
        break;
    case COMMAND_REPLY_CANCEL:
        break;
    case COMMAND_REPLY_REGISTER: {
        struct sim_tm *tm = &sim->tms[command->request & 0xff];
        uint64_t process = command->request >> 8;
        if (command->rc == WEIR_OK)
            vec_push(&sim->sessions,
                     (struct sim_session){.session = command->session, .tm = tm->index, .process = process});
        sim_network_register_reply(sim, tm, process, command->rc, command->session);
        break;
    }
    case COMMAND_CREATE_DIRECTORY:
        sim_disk_mkdir(&sim->disk, command->text);
        answer_later(sim,
                     (struct core_event){.kind = EVENT_DIRECTORY_READY,
                                         .job = command->job,
                                         .checkpoint_id = command->checkpoint_id,
                                         .rc = sim->disk_broken ? WEIR_E_IO : WEIR_OK},
                     NULL);
        break;
    case COMMAND_PERSIST_METADATA: {
        sim_check_metadata(sim, command->metadata);
        bool ok = !sim->disk_broken;
        uint64_t size = ok ? sim_disk_write(&sim->disk, command->text, command->metadata) : 0;
        answer_later(sim,
                     (struct core_event){.kind = EVENT_METADATA_PERSISTED,
                                         .job = command->job,
                                         .checkpoint_id = command->checkpoint_id,
                                         .metadata_bytes = size,
                                         .rc = ok ? WEIR_OK : WEIR_E_IO},
                     NULL);
        break;
    }
    case COMMAND_DELETE_DIRECTORY:
        sim_disk_delete(&sim->disk, command->text);
        break;
    case COMMAND_LOAD_SNAPSHOT:
        answer_later(sim, (struct core_event){.kind = EVENT_SNAPSHOT_LOADED, .job = command->job},
                     command->text);
        break;
    case COMMAND_REPLY_SNAPSHOT:
    case COMMAND_DISPOSE_SAVEPOINT:
        break;
    case COMMAND_LOG:
        sim_trace(sim, "jm %s", command->text);
        break;
    }
}

static void arm_tick(struct sim *sim)
{
    int64_t deadline_ms = core_next_deadline(sim->core);
    if (deadline_ms == INT64_MAX)
        return;
    int64_t at_us = deadline_ms > sim_now_ms(sim) ? deadline_ms * 1000 : sim->now_us;
    if (sim->jm_tick_us <= at_us)
        return;
    sim->jm_tick_us = at_us;
    sim_after(sim, at_us - sim->now_us, sim->jm_process, tick, (struct sim_call){.a = (uint64_t)at_us}, NULL);
}

static void tick(struct sim *sim, struct sim_call *call)
{
    if (sim->jm_tick_us != (int64_t)call->a)
        return; /* an earlier one has been armed since */
    sim->jm_tick_us = INT64_MAX;
    sim_jm_step(sim, &(struct core_event){.kind = EVENT_TICK});
}

void sim_jm_step(struct sim *sim, const struct core_event *event)
{
    struct core_commands commands = {0};
    core_step(sim->core, sim_now_ms(sim), event, &commands);
    vec_for_each (command, &commands)
        execute(sim, command);
    core_commands_clear(&commands);
    vec_free(&commands);
    arm_tick(sim);
}

void sim_jm_start(struct sim *sim)
{
    sim->jm_process = sim_process_new(sim, 0);
    sim->jm_id = random_id(&sim->random);
    sim->jm_tick_us = INT64_MAX;
    sim->core = core_new(sim->config, random_next(&sim->random), sim->jm_id);
    arm_tick(sim);
}

void sim_jm_stop(struct sim *sim)
{
    core_free(sim->core);
    sim->core = NULL;
    vec_free(&sim->sessions);
}

void sim_jm_submit(struct sim *sim)
{
    struct stream_graph_settings settings = {.default_parallelism = sim->parallelism,
                                             .parallelism_is_given = true};
    char *argv[] = {(char *)"job.so", (char *)"--checkpointing", (char *)"--event-time", NULL};
    struct stream_graph *stream_graph = NULL;
    Weir__JobGraph *graph = NULL;
    struct error err = {0};
    if (stream_graph_build(sim->descriptor, &settings, 3, argv, &stream_graph, &err) ||
        stream_graph_to_job_graph(stream_graph, &graph, &err)) {
        sim_fail(sim, "the job can't be built: %s", err.message);
        stream_graph_free(stream_graph);
        return;
    }
    uint8_t hash[32] = {1};
    Weir__JobProgram program = WEIR__JOB_PROGRAM__INIT;
    program.artifact_sha256 = (ProtobufCBinaryData){sizeof hash, hash};
    program.file_name = (char *)"click_event_count.so";
    program.arguments = argv + 1;
    program.n_arguments = 2;
    program.default_parallelism = sim->parallelism;
    Weir__SubmitJob submit = WEIR__SUBMIT_JOB__INIT;
    submit.graph = graph;
    submit.program = &program;
    sim_jm_step(sim, &(struct core_event){.kind = EVENT_SUBMIT_JOB, .request = 1, .submit = &submit});
    weir__job_graph__free_unpacked(graph, NULL);
    stream_graph_free(stream_graph);
}

void sim_jm_receive(struct sim *sim, uint64_t session, Weir__ToJobManager *message_take)
{
    struct sim_session *known = find_session(sim, session);
    if (known && !known->over) {
        sim_jm_step(
            sim, &(struct core_event){.kind = EVENT_TM_MESSAGE, .session = session, .from_tm = message_take});
    } else {
        /* The link's answer to a batch of a session that is over. */
        for (uint32_t i = 0; i < sim->tm_count; i++)
            if (sim->tms[i].session == session && sim->tms[i].process)
                sim_tm_connection_lost(sim, &sim->tms[i]);
    }
    weir__to_job_manager__free_unpacked(message_take, NULL);
}

void sim_jm_register(struct sim *sim, struct sim_tm *tm)
{
    Weir__RegisterTaskManager registration = WEIR__REGISTER_TASK_MANAGER__INIT;
    registration.task_manager_id = tm->id;
    registration.rpc_address = (char *)"tcp://127.0.0.1:1";
    registration.slots = tm->slots;
    registration.cpu_cores = 2;
    registration.host = (char *)"localhost";
    registration.pid = (uint32_t)tm->process;
    sim_jm_step(sim, &(struct core_event){.kind = EVENT_REGISTER,
                                          .request = tm->process << 8 | tm->index,
                                          .registration = &registration});
}

static void connection_lost(struct sim *sim, struct sim_call *call)
{
    struct sim_session *session = find_session(sim, call->a);
    if (!session || session->over)
        return;
    session->over = true;
    sim_jm_step(sim, &(struct core_event){.kind = EVENT_TM_LOST,
                                          .session = call->a,
                                          .rc = WEIR_E_UNAVAILABLE,
                                          .message = "connection lost"});
}

void sim_jm_connection_lost(struct sim *sim, uint64_t session, int64_t delay_us)
{
    sim_after(sim, delay_us, sim->jm_process, connection_lost, (struct sim_call){.a = session}, NULL);
}
