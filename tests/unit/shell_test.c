/* The jobmanager's shell: command line, clock, and the process itself with a stand-in for a taskmanager:
 * registration, fencing, loss by a closed connection, artifacts, submissions that are refused, ports in use,
 * orderly end. */
#include "tests/unit/shell_rig.h"

#include <arpa/inet.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/daemon/daemon.h"
#include "common/rpc/rpc.h"
#include "jobmanager/shell/clock.h"

static const char *const settings[] = {"blob.max-size=300000", "heartbeat.interval=2 s",
                                       "heartbeat.timeout=20 s", NULL};

/* ---- command line and clock ---- */

static void test_options(void **state)
{
    (void)state;
    char *good[] = {"jobmanager", "--configDir", "/etc/weir", "-D", "a=b", "-Dc=d", "--configDir=/x", NULL};
    struct daemon_options options;
    assert_int_equal(daemon_options_parse(7, good, &options, NULL), 0);
    assert_string_equal(options.config_directory, "/x");
    assert_int_equal(options.overrides.count, 2);
    assert_string_equal(options.overrides.items[1], "c=d");
    daemon_options_deinit(&options);
    static char *bad[][4] = {
        {"jobmanager", "--configDir", NULL}, {"jobmanager", "-D", "novalue", NULL},
        {"jobmanager", "-D", NULL},          {"jobmanager", "--confi", NULL},
        {"jobmanager", "extra", NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int count = 0;
        while (bad[i][count])
            count++;
        assert_int_equal(daemon_options_parse(count, bad[i], &options, NULL), WEIR_E_INVALID);
    }
}

/* Somebody sets the wall clock: time goes on without a jump, and comes nearer. */
static void test_clock(void **state)
{
    (void)state;
    struct clock clock = {.offset_ms = 1000000, .last_boot_ms = 5000};
    assert_int_equal(clock_advance(&clock, 5000, 1005000), 1005000);
    assert_int_equal(clock_advance(&clock, 5050, 1005050), 1005050);
    int64_t last = clock_advance(&clock, 6000, 5000000);
    assert_in_range(last, 1006000, 1006020);
    int64_t late = clock_advance(&clock, 106000, 5100000);
    assert_in_range(late, last + 100000, last + 101100);
    int64_t back = clock_advance(&clock, 206000, 100);
    assert_in_range(back, late + 98900, late + 100000);
}

/* ---- the process ---- */

static void test_start_and_stop(void **state)
{
    (void)state;
    static struct process process;
    process_start(&process, settings);
    assert_int_equal(process_task_manager_count(&process), 0);
    process_stop(&process);
}

static void test_port_in_use(void **state)
{
    (void)state;
    static struct process process;
    process_start(&process, settings);
    char *rest = xasprintf("rest.port=%s", strrchr(process.rest, ':') + 1);
    char *rpc = xasprintf("jobmanager.rpc.port=%s", strrchr(process.rpc, ':') + 1);
    const char *const taken[2][3] = {{"jobmanager.rpc.port=0", rest, NULL}, {"rest.port=0", rpc, NULL}};
    static const char *const texts[] = {"(rest.port)", "(jobmanager.rpc.port)"};
    for (size_t i = 0; i < 2; i++) {
        static struct process second;
        memset(&second, 0, sizeof second);
        int status;
        second.pid = process_spawn(taken[i], &second.out);
        assert_true(process_wait_for_text(&second, NULL, TIMEOUT_MS));
        waitpid(second.pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !strstr(second.log, texts[i]) ||
            !strstr(second.log, "is in use"))
            fail_msg("status %x: %s", status, second.log);
        close(second.out);
    }
    free(rest);
    free(rpc);
    process_stop(&process);
}

/* ---- artifacts and submissions ---- */

static int ask(const struct process *process, Weir__Request *request, Weir__Response **ret_response,
               struct error *err)
{
    *ret_response = NULL;
    return rpc_request_blocking(process->rpc, request, TIMEOUT_MS, ret_response, err);
}

static void test_artifacts_and_submissions(void **state)
{
    (void)state;
    enum { BYTES = 200000, HALF = 100000 };
    static struct process process;
    struct error err;
    Weir__Response *response;
    process_start(&process, settings);
    unsigned char *data = xmalloc(BYTES);
    uint8_t sha256[32];
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (unsigned char)(i * 7 + i / 300);
    mbedtls_sha256_ret(data, BYTES, sha256, 0);

    Weir__JobGraph graph = WEIR__JOB_GRAPH__INIT;
    Weir__JobProgram program = WEIR__JOB_PROGRAM__INIT;
    Weir__SubmitJob submit = WEIR__SUBMIT_JOB__INIT;
    Weir__Request submission = WEIR__REQUEST__INIT;
    graph.version = 1;
    graph.name = "nothing";
    program.artifact_sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    submit.program = &program;
    submission.body_case = WEIR__REQUEST__BODY_SUBMIT_JOB;
    submission.submit_job = &submit;
    assert_int_equal(ask(&process, &submission, &response, &err), WEIR_E_INVALID); /* no graph */
    submit.graph = &graph;
    assert_int_equal(ask(&process, &submission, &response, &err), WEIR_E_NOT_FOUND); /* no artifact */

    Weir__PutArtifact put = WEIR__PUT_ARTIFACT__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    put.sha256 = program.artifact_sha256;
    put.total_bytes = BYTES;
    request.body_case = WEIR__REQUEST__BODY_PUT_ARTIFACT;
    request.put_artifact = &put;
    for (uint64_t offset = 0; offset < BYTES; offset += HALF) {
        put.offset = offset;
        put.data = (ProtobufCBinaryData){HALF, data + offset};
        assert_int_equal(ask(&process, &request, &response, &err), 0);
        assert_int_equal(response->artifact_state->have_bytes, offset + HALF);
        assert_int_equal(response->artifact_state->complete, offset + HALF == BYTES);
        weir__response__free_unpacked(response, NULL);
        if (offset == 0)
            assert_int_equal(ask(&process, &submission, &response, &err), WEIR_E_NOT_FOUND); /* half of it */
    }
    put.total_bytes = 300001;
    assert_int_equal(ask(&process, &request, &response, &err), WEIR_E_LIMIT);

    Weir__FetchArtifact fetch = WEIR__FETCH_ARTIFACT__INIT;
    fetch.sha256 = program.artifact_sha256;
    fetch.offset = 150000;
    fetch.max_bytes = 1 << 20;
    request.body_case = WEIR__REQUEST__BODY_FETCH_ARTIFACT;
    request.fetch_artifact = &fetch;
    assert_int_equal(ask(&process, &request, &response, &err), 0);
    assert_int_equal(response->artifact_chunk->data.len, 50000);
    assert_memory_equal(response->artifact_chunk->data.data, data + 150000, 50000);
    weir__response__free_unpacked(response, NULL);

    int rc = ask(&process, &submission, &response, &err); /* a graph without vertices: the core's answer */
    if (rc != WEIR_E_INVALID)
        fail_msg("%d: %s", rc, err.message);
    process_stop(&process);
    free(data);
}

/* ---- a stand-in for a taskmanager ---- */

struct stand_in {
    uv_loop_t loop;
    struct rpc_client *client;
    bool answered;
    int rc;
    uint64_t session;
    uint64_t acknowledged;
};

static void on_response(void *self, int rc, const Weir__Response *response, const struct error *err)
{
    (void)err;
    struct stand_in *stand_in = self;
    stand_in->answered = true;
    stand_in->rc = rc;
    if (rc == 0 && response->body_case == WEIR__RESPONSE__BODY_TASK_MANAGER_REGISTERED)
        stand_in->session = response->task_manager_registered->session;
    if (rc == 0 && response->body_case == WEIR__RESPONSE__BODY_BATCH_ACK)
        stand_in->acknowledged = response->batch_ack->seq;
}

static int say(struct stand_in *stand_in, Weir__Request *request)
{
    struct error err;
    stand_in->answered = false;
    if (rpc_client_request(stand_in->client, request, TIMEOUT_MS, on_response, stand_in, &err) != 0)
        fail_msg("%s", err.message);
    while (!stand_in->answered)
        uv_run(&stand_in->loop, UV_RUN_ONCE);
    return stand_in->rc;
}

static int say_register(struct stand_in *stand_in, const char *rpc_address)
{
    Weir__RegisterTaskManager registration = WEIR__REGISTER_TASK_MANAGER__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    registration.task_manager_id = "tm:1-abcdef";
    registration.rpc_address = (char *)rpc_address;
    registration.slots = 2;
    registration.cpu_cores = 1;
    registration.host = "localhost";
    request.body_case = WEIR__REQUEST__BODY_REGISTER_TASK_MANAGER;
    request.register_task_manager = &registration;
    return say(stand_in, &request);
}

static int say_heartbeat(struct stand_in *stand_in, uint64_t session, uint64_t seq)
{
    Weir__Heartbeat heartbeat = WEIR__HEARTBEAT__INIT;
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    Weir__ToJobManager *messages[] = {&message};
    Weir__Batch batch = WEIR__BATCH__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    heartbeat.resident_bytes = 4096;
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    batch.session = session;
    batch.seq = seq;
    batch.to_jobmanager = messages;
    batch.n_to_jobmanager = 1;
    request.body_case = WEIR__REQUEST__BODY_BATCH;
    request.batch = &batch;
    return say(stand_in, &request);
}

static void connect_to(struct stand_in *stand_in, const struct process *process)
{
    struct error err;
    memset(stand_in, 0, sizeof *stand_in);
    uv_loop_init(&stand_in->loop);
    if (rpc_client_open(&stand_in->loop, process->rpc, &stand_in->client, &err) != 0)
        fail_msg("%s", err.message);
}

static void disconnect(struct stand_in *stand_in)
{
    rpc_client_close(stand_in->client);
    uv_run(&stand_in->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stand_in->loop), 0);
}

/* A listening socket that nobody serves: connections are accepted by the system, requests never answered. */
static int listen_deaf(char *ret_address, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    getsockname(fd, (struct sockaddr *)&address, &length);
    snprintf(ret_address, size, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void test_sessions(void **state)
{
    (void)state;
    static struct process process;
    struct stand_in tm;
    char address[64];
    int deaf = listen_deaf(address, sizeof address);
    process_start(&process, settings);
    connect_to(&tm, &process);
    static const char *const rubbish[] = {"", "tcp://nowhere", "ipc:///tmp/x", "tcp://"};
    for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++)
        assert_int_equal(say_register(&tm, rubbish[i]), WEIR_E_INVALID);
    assert_int_equal(say_heartbeat(&tm, 1, 1), WEIR_E_FENCED); /* nobody's session */
    assert_int_equal(say_register(&tm, address), 0);
    assert_int_not_equal(tm.session, 0);
    process_wait_for_task_managers(&process, 1);
    assert_int_equal(say_heartbeat(&tm, tm.session, 1), 0);
    assert_int_equal(tm.acknowledged, 1);
    assert_int_equal(say_heartbeat(&tm, tm.session, 1), 0); /* repeated */
    assert_int_equal(say_heartbeat(&tm, tm.session, 2), 0);
    assert_int_equal(say_heartbeat(&tm, tm.session, 4), WEIR_E_FENCED); /* a gap */
    assert_int_equal(say_heartbeat(&tm, tm.session + 1, 3), WEIR_E_FENCED);
    uint64_t first = tm.session;
    assert_int_equal(say_register(&tm, address), 0); /* the same process, a new session */
    assert_int_not_equal(tm.session, first);
    assert_int_equal(say_heartbeat(&tm, first, 3), WEIR_E_FENCED);
    assert_int_equal(say_heartbeat(&tm, tm.session, 1), 0);
    assert_int_equal(process_task_manager_count(&process), 1);
    disconnect(&tm);
    close(deaf);
    process_stop(&process);
}

/* Its connection goes; nobody listens at its address: lost at once. */
static void test_loss_when_refused(void **state)
{
    (void)state;
    static struct process process;
    struct stand_in tm;
    char address[64];
    int deaf = listen_deaf(address, sizeof address);
    process_start(&process, settings);
    connect_to(&tm, &process);
    assert_int_equal(say_register(&tm, address), 0);
    process_wait_for_task_managers(&process, 1);
    close(deaf);
    disconnect(&tm);
    process_wait_for_task_managers(&process, 0);
    assert_true(process_wait_for_text(
        &process, "is lost: its connection closed, and its address answers: connection refused", TIMEOUT_MS));
    process_stop(&process);
}

/* Somebody listens, but the session isn't heard of again. */
static void test_loss_after_grace(void **state)
{
    (void)state;
    static struct process process;
    struct stand_in tm;
    char address[64];
    int deaf = listen_deaf(address, sizeof address);
    process_start(&process, settings);
    connect_to(&tm, &process);
    assert_int_equal(say_register(&tm, address), 0);
    process_wait_for_task_managers(&process, 1);
    disconnect(&tm);
    process_wait_for_task_managers(&process, 0);
    assert_true(process_wait_for_text(&process, "and it didn't come back", TIMEOUT_MS));
    close(deaf);
    process_stop(&process);
}

/* What comes by another connection is the same session; the first one's end means nothing then. */
static void test_other_connection(void **state)
{
    (void)state;
    static struct process process;
    struct stand_in tm, again;
    char address[64];
    int deaf = listen_deaf(address, sizeof address);
    process_start(&process, settings);
    connect_to(&tm, &process);
    connect_to(&again, &process);
    assert_int_equal(say_register(&tm, address), 0);
    assert_int_equal(say_heartbeat(&again, tm.session, 1), 0);
    disconnect(&tm);
    assert_int_equal(say_heartbeat(&again, tm.session, 2), 0);
    assert_int_equal(process_task_manager_count(&process), 1);
    disconnect(&again);
    process_wait_for_task_managers(&process, 0);
    close(deaf);
    process_stop(&process);
}

/* A mere reset: the session is heard of within the grace of 100 ms. A busy machine may make this process miss
 * that: then the taskmanager is lost, rightly, and it is tried again. */
static void test_reconnect(void **state)
{
    (void)state;
    static struct process process;
    struct stand_in tm, again;
    char address[64];
    bool lived = false;
    int deaf = listen_deaf(address, sizeof address);
    process_start(&process, settings);
    for (int attempt = 0; attempt < 10 && !lived; attempt++) {
        connect_to(&tm, &process);
        connect_to(&again, &process); /* before, so that the grace isn't spent on connecting */
        assert_int_equal(say_register(&tm, address), 0);
        assert_int_equal(say_heartbeat(&again, 1, 1), WEIR_E_FENCED);
        disconnect(&tm);
        process_wait_for_text(&process, "no such line", 20);
        lived = say_heartbeat(&again, tm.session, 1) == 0 &&
                process_wait_for_text(&process, "lost a connection, but lives", 2000);
        if (lived)
            assert_int_equal(process_task_manager_count(&process), 1);
        disconnect(&again);
        process_wait_for_task_managers(&process, 0);
    }
    assert_true(lived);
    close(deaf);
    process_stop(&process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_start_and_stop),
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_artifacts_and_submissions),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_loss_when_refused),
        cmocka_unit_test(test_loss_after_grace),
        cmocka_unit_test(test_other_connection),
        cmocka_unit_test(test_reconnect),
    };
    return cmocka_run_group_tests_name("shell", tests, NULL, NULL);
}
