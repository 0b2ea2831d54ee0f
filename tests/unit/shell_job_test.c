/* A job's life through the real client and the real jobmanager, with a stand-in for the taskmanager that this
 * test plays: submission, deployment, checkpoints in files, a crashed worker and the restart from the last
 * checkpoint, cancellation. */
#include "tests/unit/shell_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/vec.h"
#include "common/rpc/rpc.h"
#include "common/storage/storage.h"

struct task {
    uint32_t vertex, subtask;
};

struct task_manager {
    uv_loop_t loop;
    uv_timer_t tick; /* so that waiting ends */
    struct rpc_server *server;
    char *address;
    struct rpc_client *client;
    struct rpc_link *link;
    struct rpc_inbox inbox;
    uint64_t session;
    uint8_t job[16];
    /* What came: */
    int started, deployed, stopped, triggered, completed, cancelled;
    uint32_t attempt;
    uint64_t checkpoint_id, completed_id, restored_id;
    char directory[256];
    struct vec_of(struct task) tasks;
};

static struct process process;

/* ---- receiving ---- */

static void on_message(struct task_manager *tm, const Weir__ToTaskManager *message)
{
    switch (message->body_case) {
    case WEIR__TO_TASK_MANAGER__BODY_START_WORKER:
        tm->started++;
        tm->attempt = message->start_worker->deployment->attempt;
        memcpy(tm->job, message->start_worker->deployment->job_id.data, sizeof tm->job);
        assert_string_equal(message->start_worker->program->file_name, "sequence_sum.so");
        assert_int_equal(message->start_worker->program->n_arguments, 2);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS:
        tm->deployed++;
        tm->restored_id = message->deploy_tasks->restored_checkpoint_id;
        vec_clear(&tm->tasks);
        for (size_t i = 0; i < message->deploy_tasks->n_tasks; i++)
            vec_push(&tm->tasks, (struct task){message->deploy_tasks->tasks[i]->vertex,
                                               message->deploy_tasks->tasks[i]->subtask});
        break;
    case WEIR__TO_TASK_MANAGER__BODY_STOP_WORKER:
        tm->stopped++;
        break;
    case WEIR__TO_TASK_MANAGER__BODY_TRIGGER_CHECKPOINT:
        tm->triggered++;
        tm->checkpoint_id = message->trigger_checkpoint->checkpoint_id;
        snprintf(tm->directory, sizeof tm->directory, "%s", message->trigger_checkpoint->directory);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE:
        tm->completed++;
        tm->completed_id = message->notify_checkpoint_complete->checkpoint_id;
        break;
    case WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS:
        tm->cancelled++;
        break;
    default:
        break;
    }
}

static void on_request(void *self, struct rpc_call *call, const Weir__Request *request)
{
    struct task_manager *tm = self;
    struct error err;
    if (request->body_case != WEIR__REQUEST__BODY_BATCH) {
        rpc_call_reply_rc(call, WEIR_E_INVALID, "only batches");
        return;
    }
    int accepted = rpc_inbox_accept(&tm->inbox, request->batch, &err);
    if (accepted < 0) {
        rpc_call_reply_rc(call, accepted, err.message);
        return;
    }
    for (size_t i = 0; accepted && i < request->batch->n_to_taskmanager; i++)
        on_message(tm, request->batch->to_taskmanager[i]);
    Weir__BatchAck ack = WEIR__BATCH_ACK__INIT;
    Weir__Response response = WEIR__RESPONSE__INIT;
    ack.seq = request->batch->seq;
    response.body_case = WEIR__RESPONSE__BODY_BATCH_ACK;
    response.batch_ack = &ack;
    rpc_call_reply(call, &response);
}

static void on_registered(void *self, int rc, const Weir__Response *response, const struct error *err)
{
    struct task_manager *tm = self;
    if (rc)
        fail_msg("registration: %s", err->message);
    tm->session = tm->inbox.session = response->task_manager_registered->session;
}

static void on_broken(void *self, int rc, const char *message)
{
    (void)self;
    fail_msg("link: %d %s", rc, message);
}

static void on_acknowledged(void *self)
{
    (void)self;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop until *count has reached expected. */
static void wait_until(struct task_manager *tm, const int *count, int expected, const char *what)
{
    int64_t deadline = monotonic_ms() + TIMEOUT_MS;
    while (*count < expected) {
        uv_run(&tm->loop, UV_RUN_ONCE);
        if (monotonic_ms() > deadline) {
            process_wait_for_text(&process, "no such line", 100);
            fail_msg("no %s: %s", what, process.log);
        }
    }
}

/* ---- sending ---- */

static Weir__ToJobManager *message_new(struct task_manager *tm, Weir__ToJobManager__BodyCase body,
                                       Weir__DeploymentId **ret_deployment)
{
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    weir__to_job_manager__init(message);
    message->body_case = body;
    Weir__DeploymentId *deployment = xmalloc(sizeof *deployment);
    weir__deployment_id__init(deployment);
    deployment->job_id = (ProtobufCBinaryData){sizeof tm->job, xmemdup(tm->job, sizeof tm->job)};
    deployment->attempt = tm->attempt;
    *ret_deployment = deployment;
    return message;
}

static void send_ready(struct task_manager *tm)
{
    Weir__DeploymentId *deployment;
    Weir__ToJobManager *message = message_new(tm, WEIR__TO_JOB_MANAGER__BODY_WORKER_READY, &deployment);
    message->worker_ready = xmalloc(sizeof *message->worker_ready);
    weir__worker_ready__init(message->worker_ready);
    message->worker_ready->deployment = deployment;
    message->worker_ready->data_address = xstrdup("localhost:7777");
    message->worker_ready->pid = 4711;
    rpc_link_send_to_jobmanager(tm->link, message);
}

static void send_states(struct task_manager *tm, Weir__TaskState state)
{
    vec_for_each (task, &tm->tasks) {
        Weir__DeploymentId *deployment;
        Weir__ToJobManager *message = message_new(tm, WEIR__TO_JOB_MANAGER__BODY_TASK_STATE, &deployment);
        message->task_state = xmalloc(sizeof *message->task_state);
        weir__task_state_update__init(message->task_state);
        message->task_state->deployment = deployment;
        message->task_state->vertex = task->vertex;
        message->task_state->subtask = task->subtask;
        message->task_state->state = state;
        rpc_link_send_to_jobmanager(tm->link, message);
    }
}

static void send_acks(struct task_manager *tm)
{
    vec_for_each (task, &tm->tasks) {
        Weir__DeploymentId *deployment;
        Weir__ToJobManager *message = message_new(tm, WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK, &deployment);
        message->checkpoint_ack = xmalloc(sizeof *message->checkpoint_ack);
        weir__checkpoint_ack__init(message->checkpoint_ack);
        message->checkpoint_ack->deployment = deployment;
        message->checkpoint_ack->vertex = task->vertex;
        message->checkpoint_ack->subtask = task->subtask;
        message->checkpoint_ack->checkpoint_id = tm->checkpoint_id;
        rpc_link_send_to_jobmanager(tm->link, message);
    }
}

static void send_exited(struct task_manager *tm, uint32_t signal, bool expected)
{
    Weir__DeploymentId *deployment;
    Weir__ToJobManager *message = message_new(tm, WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED, &deployment);
    message->worker_exited = xmalloc(sizeof *message->worker_exited);
    weir__worker_exited__init(message->worker_exited);
    message->worker_exited->deployment = deployment;
    message->worker_exited->signal = signal;
    message->worker_exited->exit_code = signal ? -1 : 0;
    message->worker_exited->expected = expected;
    message->worker_exited->error = xstrdup(signal ? "the worker was ended by SIGSEGV in operator Sum" : "");
    message->worker_exited->stack =
        xstrdup(signal ? "#0 sum_add+0x1 (sequence_sum.c:42) in sequence_sum.so" : "");
    rpc_link_send_to_jobmanager(tm->link, message);
}

/* The first of a session: without it the jobmanager sends nothing. */
static void send_heartbeat(struct task_manager *tm)
{
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    weir__to_job_manager__init(message);
    message->body_case = WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT;
    message->heartbeat = xmalloc(sizeof *message->heartbeat);
    weir__heartbeat__init(message->heartbeat);
    rpc_link_send_to_jobmanager(tm->link, message);
}

/* ---- the stand-in's life ---- */

static void tm_start(struct task_manager *tm)
{
    struct error err;
    memset(tm, 0, sizeof *tm);
    uv_loop_init(&tm->loop);
    uv_timer_init(&tm->loop, &tm->tick);
    uv_timer_start(&tm->tick, on_tick, 20, 20);
    struct rpc_server_callbacks server = {.request = on_request, .self = tm};
    struct rpc_link_callbacks link = {.acknowledged = on_acknowledged, .broken = on_broken, .self = tm};
    if (rpc_server_open(&tm->loop, "tcp://127.0.0.1:0", &server, &tm->server, &tm->address, &err) != 0 ||
        rpc_client_open(&tm->loop, process.rpc, &tm->client, &err) != 0)
        fail_msg("%s", err.message);
    Weir__RegisterTaskManager registration = WEIR__REGISTER_TASK_MANAGER__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    registration.task_manager_id = "tm:1-abcdef";
    registration.rpc_address = tm->address;
    registration.slots = 2;
    registration.host = "localhost";
    request.body_case = WEIR__REQUEST__BODY_REGISTER_TASK_MANAGER;
    request.register_task_manager = &registration;
    if (rpc_client_request(tm->client, &request, TIMEOUT_MS, on_registered, tm, &err) != 0)
        fail_msg("%s", err.message);
    while (tm->session == 0)
        uv_run(&tm->loop, UV_RUN_ONCE);
    tm->link = rpc_link_new(tm->client, tm->session, TIMEOUT_MS, 1000, &link);
}

static void tm_stop(struct task_manager *tm)
{
    rpc_link_free(tm->link);
    rpc_client_close(tm->client);
    rpc_server_close(tm->server);
    uv_close((uv_handle_t *)&tm->tick, NULL);
    uv_run(&tm->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&tm->loop), 0);
    vec_free(&tm->tasks);
    free(tm->address);
}

/* ---- the client, and REST ---- */

static void weir(const char *arguments, int expected_code, char *ret_output, size_t size)
{
    char *command = xasprintf("%s %s 2>&1", WEIR_PATH, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t got = fread(ret_output, 1, size - 1, pipe);
    ret_output[got] = '\0';
    int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected_code)
        fail_msg("%s: status %x: %s", command, status, ret_output);
    free(command);
}

static void expect_in_body(const char *job, const char *path, const char *text)
{
    char *full = xasprintf("/jobs/%s%s", job, path);
    int64_t deadline = monotonic_ms() + TIMEOUT_MS;
    for (bool found = false; !found;) {
        cJSON *body = process_get(&process, full);
        char *printed = cJSON_PrintUnformatted(body);
        cJSON_Delete(body);
        found = strstr(printed, text) != NULL;
        if (!found && monotonic_ms() > deadline)
            fail_msg("%s: %s lacks %s", full, printed, text);
        free(printed);
        if (!found)
            process_wait_for_text(&process, "no such line", 10);
    }
    free(full);
}

static bool exists(const char *directory, const char *name)
{
    char *path = xasprintf("%s%s", directory, name);
    bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static void run_tasks(struct task_manager *tm, int times)
{
    wait_until(tm, &tm->started, times, "StartWorker");
    send_ready(tm);
    wait_until(tm, &tm->deployed, times, "DeployTasks");
    assert_true(tm->tasks.count >= 1);
    send_states(tm, WEIR__TASK_STATE__TASK_INITIALIZING);
    send_states(tm, WEIR__TASK_STATE__TASK_RUNNING);
}

static void complete_checkpoint(struct task_manager *tm)
{
    int before = tm->completed;
    wait_until(tm, &tm->triggered, tm->triggered + 1, "TriggerCheckpoint");
    assert_true(exists(tm->directory, ""));
    assert_false(exists(tm->directory, "/_metadata"));
    send_acks(tm);
    wait_until(tm, &tm->completed, before + 1, "NotifyCheckpointComplete");
    assert_int_equal(tm->completed_id, tm->checkpoint_id);
    assert_true(exists(tm->directory, "/_metadata"));
}

static void wait_until_gone(const char *directory)
{
    int64_t deadline = monotonic_ms() + TIMEOUT_MS;
    while (exists(directory, "")) {
        if (monotonic_ms() > deadline)
            fail_msg("%s is still there", directory);
        process_wait_for_text(&process, "no such line", 10);
    }
}

static void test_life(void **state)
{
    (void)state;
    static const char *const settings[] = {"restart-strategy.type=fixed-delay", NULL};
    static struct task_manager tm;
    char directory[] = "/tmp/shell-job-test-XXXXXX";
    char output[8192];
    char job[33];
    assert_non_null(mkdtemp(directory));
    process_start(&process, settings);
    tm_start(&tm);

    char *arguments = xasprintf("run -m %s -d -D execution.checkpointing.interval=100ms "
                                "-D execution.checkpointing.dir=file://%s %s --to 1000",
                                process.rest, directory, WEIR_JOB_PATH);
    weir(arguments, 0, output, sizeof output);
    free(arguments);
    assert_int_equal(sscanf(output, "Job has been submitted with JobID %32[0-9a-f]", job), 1);

    /* The job waits in the jobmanager: what is for this taskmanager must not come before it knows its
     * session. */
    int64_t quiet = monotonic_ms() + 100;
    while (monotonic_ms() < quiet)
        uv_run(&tm.loop, UV_RUN_ONCE);
    assert_int_equal(tm.started, 0);
    send_heartbeat(&tm);
    run_tasks(&tm, 1);
    expect_in_body(job, "", "\"RUNNING\":1"); /* a vertex's task */
    complete_checkpoint(&tm);
    char *first = xstrdup(tm.directory);
    complete_checkpoint(&tm);
    wait_until_gone(first);
    free(first);
    expect_in_body(job, "/checkpoints", "\"className\":\"completed\"");
    expect_in_body(job, "/metrics?get=lastCheckpointExternalPath", directory);

    uint64_t last = tm.completed_id;
    send_exited(&tm, 11, false);
    wait_until(&tm, &tm.started, 2, "StartWorker of the restart");
    assert_int_equal(tm.attempt, 1);
    run_tasks(&tm, 2);
    assert_true(tm.restored_id >= last);
    expect_in_body(job, "/exceptions", "ended by SIGSEGV in operator Sum");
    expect_in_body(job, "/exceptions", "\\tat #0 sum_add");
    expect_in_body(job, "/metrics?get=numRestarts", "\"1\"");
    expect_in_body(job, "/checkpoints", "\"restored\":{\"id\"");

    arguments = xasprintf("cancel -m %s %s", process.rest, job);
    weir(arguments, 0, output, sizeof output);
    free(arguments);
    char *expected = xasprintf("Cancelling job %s.\nCancelled job %s.\n", job, job);
    assert_string_equal(output, expected);
    free(expected);
    wait_until(&tm, &tm.cancelled, 1, "CancelTasks");
    send_states(&tm, WEIR__TASK_STATE__TASK_CANCELED);
    send_exited(&tm, 0, true);
    int64_t deadline = monotonic_ms() + TIMEOUT_MS;
    while (!process_wait_for_text(&process, "reached terminal state CANCELED", 10)) {
        uv_run(&tm.loop, UV_RUN_NOWAIT);
        if (monotonic_ms() > deadline)
            fail_msg("not CANCELED: %s", process.log);
    }
    expect_in_body(job, "/status", "CANCELED");
    arguments = xasprintf("list -a -m %s", process.rest);
    weir(arguments, 0, output, sizeof output);
    free(arguments);
    assert_non_null(strstr(output, "Terminated Jobs"));
    assert_non_null(strstr(output, "(CANCELED)"));

    tm_stop(&tm);
    process_stop(&process);
    assert_int_equal(storage_delete_tree(directory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
    };
    return cmocka_run_group_tests_name("shell_job", tests, NULL, NULL);
}
