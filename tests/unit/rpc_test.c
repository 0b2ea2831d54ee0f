/* common/rpc: envelopes, server, client, over real sockets. */
#include "tests/unit/rpc_rig.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"

/* ---- envelopes ---- */

static void envelope_round_trip(void **state)
{
    (void)state;
    uint8_t id[16] = "0123456789abcde";
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    Weir__Request *back;
    void *data;
    size_t size;
    request.id = (ProtobufCBinaryData){16, id};
    put.offset = 42;
    assert_int_equal(rpc_encode_request(&request, &data, &size, NULL), 0);
    assert_int_equal(rpc_decode_request(data, size, &back, NULL), 0);
    assert_int_equal(back->major, RPC_MAJOR);
    assert_int_equal(back->put_artifact->offset, 42);
    weir__request__free_unpacked(back, NULL);
    for (size_t cut = 0; cut < size; cut++) { /* no prefix crashes; short ones are refused */
        int rc = rpc_decode_request(data, cut, &back, NULL);
        if (rc == 0)
            weir__request__free_unpacked(back, NULL);
        else
            assert_int_equal(rc, WEIR_E_INVALID);
    }
    free(data);
}

static void envelope_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        int rc;
        const char *says;
    } cases[] = {
        {"", 0, WEIR_E_INVALID, "no protocol version"},
        {"GET / HTTP/1.1\r\n", 16, WEIR_E_INVALID, "no protocol version"},
        {"\x08\x09\x10\x03", 4, WEIR_E_VERSION, "9.3"},
        {"\x08\x09\x10\x03\xff\xff\xff", 7, WEIR_E_VERSION, "1.0"},
        {"\x08\x01\x1a\x03"
         "abc",
         7, WEIR_E_INVALID, "id has 3 bytes"},
        {"\x08\x01\x5a\x7f", 4, WEIR_E_INVALID, "malformed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        Weir__Request *request;
        assert_int_equal(rpc_decode_request(cases[i].bytes, cases[i].size, &request, &err), cases[i].rc);
        if (!strstr(err.message, cases[i].says))
            fail_msg("\"%s\" doesn't say \"%s\"", err.message, cases[i].says);
    }
}

/* 1 MiB of empty messages would become 72 MiB of memory; ten times that are refused by the allocator's
 * budget, not by luck. */
static void envelope_is_bounded(void **state)
{
    (void)state;
    enum { COUNT = 40 << 20 };
    struct error err = {0};
    Weir__Request *request;
    uint8_t *data = malloc(2 * COUNT + 16);
    assert_non_null(data);
    size_t at = 0;
    data[at++] = 1 << 3;
    data[at++] = RPC_MAJOR;
    data[at++] = 11 << 3 | 2; /* batch, of COUNT/2 empty messages */
    for (uint32_t left = COUNT;; left >>= 7) {
        data[at++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        if (left <= 0x7f)
            break;
    }
    for (uint32_t i = 0; i < COUNT / 2; i++) {
        data[at++] = 3 << 3 | 2;
        data[at++] = 0;
    }
    assert_int_equal(rpc_decode_request(data, at, &request, &err), WEIR_E_INVALID);
    free(data);
}

static void oversized_request_is_refused(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {0};
    struct answer answer = {0};
    struct error err = {0};
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    struct rpc_client *client = client_open(&world, receiver.address);
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    put.data.len = RPC_MESSAGE_MAX_BYTES;
    put.data.data = calloc(1, put.data.len);
    assert_int_equal(rpc_client_request(client, &request, 1000, on_answer, &answer, &err), WEIR_E_LIMIT);
    assert_non_null(strstr(err.message, "maximum"));
    assert_false(answer.is_there);
    assert_false(rpc_client_is_busy(client));
    put.data.len = 1 << 20;
    assert_int_equal(ask(&world, client, &request, 10000).rc, 0);
    assert_int_equal(receiver.requests, 1);
    free(put.data.data);
    rpc_client_close(client);
    receiver_close(&receiver);
    world_deinit(&world);
}

/* ---- server and client ---- */

static void never_requested(void *self, struct rpc_call *call, const Weir__Request *request)
{
    (void)self;
    (void)call;
    (void)request;
    fail_msg("a request at a server that was refused");
}

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        int rc;
    } cases[] = {{"", WEIR_E_INVALID},
                 {"host:1", WEIR_E_INVALID},
                 {"http://127.0.0.1:1", WEIR_E_INVALID},
                 {"tcp://:1", WEIR_E_INVALID},
                 {"tcp://127.0.0.1", WEIR_E_INVALID},
                 {"tcp://127.0.0.1:99999", WEIR_E_INVALID}};
    struct world world;
    world_init(&world);
    struct rpc_server_callbacks callbacks = {never_requested, NULL, NULL};
    struct receiver receiver = {0};
    struct rpc_server *server;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        assert_int_equal(rpc_server_open(&world.loop, cases[i].address, &callbacks, &server, NULL, &err),
                         cases[i].rc);
        assert_int_not_equal(err.message[0], 0);
    }
    receiver_open(&receiver, &world.loop, "tcp://localhost:0");
    assert_non_null(strstr(receiver.address, "tcp://127.0.0.1:"));
    struct error err = {0};
    assert_int_equal(rpc_server_open(&world.loop, receiver.address, &callbacks, &server, NULL, &err),
                     WEIR_E_EXISTS);
    assert_non_null(strstr(err.message, receiver.address));
    receiver_close(&receiver);
    world_deinit(&world);
}

static void refusal_reaches_the_client(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {.refuse_rc = WEIR_E_FENCED};
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    struct rpc_client *client = client_open(&world, receiver.address);
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    struct answer answer = ask(&world, client, &request, 5000);
    assert_int_equal(answer.rc, WEIR_E_FENCED);
    assert_string_equal(answer.message, "refused by the test");
    assert_false(answer.had_response);
    rpc_client_close(client);
    receiver_close(&receiver);
    world_deinit(&world);
}

static void nobody_listens(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    struct receiver receiver = {0};
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    char *address = xstrdup(receiver.address);
    receiver_close(&receiver);
    struct rpc_client *client = client_open(&world, address);
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    int64_t began = now_ms();
    struct answer answer = ask(&world, client, &request, 100);
    assert_int_equal(answer.rc, WEIR_E_UNAVAILABLE);
    assert_non_null(strstr(answer.message, address));
    answer = ask(&world, client, &request, 60000);
    assert_int_equal(answer.rc, WEIR_E_UNAVAILABLE);
    assert_true(now_ms() - began < 5000);
    /* It comes up: the same client reaches it. */
    receiver_open(&receiver, &world.loop, address);
    assert_int_equal(ask(&world, client, &request, 10000).rc, 0);
    rpc_client_close(client);
    receiver_close(&receiver);
    free(address);
    world_deinit(&world);
}

static void other_version_is_named(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {0};
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    nng_socket socket;
    nng_msg *message;
    struct pollfd answered = {.events = POLLIN};
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_dial(socket, receiver.address, NULL, 0), 0);
    assert_int_equal(nng_send(socket, "\x08\x02\x10\x07", 4, 0), 0);
    assert_int_equal(nng_socket_get_int(socket, NNG_OPT_RECVFD, &answered.fd), 0);
    run_until(&world, poll(&answered, 1, 0) == 1);
    assert_int_equal(nng_recvmsg(socket, &message, 0), 0);
    Weir__Response *response;
    assert_int_equal(rpc_decode_response(nng_msg_body(message), nng_msg_len(message), &response, NULL), 0);
    assert_int_equal(response->rc, WEIR_E_VERSION);
    assert_non_null(strstr(response->message, "2.7"));
    assert_non_null(strstr(response->message, "1.0"));
    weir__response__free_unpacked(response, NULL);
    nng_msg_free(message);
    nng_close(socket);
    assert_int_equal(receiver.requests, 0);
    receiver_close(&receiver);
    world_deinit(&world);
}

static void submission_is_carried_out_once(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {.hold = true};
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    struct rpc_client *clients[3];
    struct answer answers[3] = {0};
    uint8_t id[16] = {1, 2, 3};
    Weir__SubmitJob submit = WEIR__SUBMIT_JOB__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    request.id = (ProtobufCBinaryData){16, id};
    request.body_case = WEIR__REQUEST__BODY_SUBMIT_JOB;
    request.submit_job = &submit;
    for (int i = 0; i < 3; i++)
        clients[i] = client_open(&world, receiver.address);
    assert_int_equal(rpc_client_request(clients[0], &request, 10000, on_answer, &answers[0], NULL), 0);
    run_until(&world, receiver.held_count == 1);
    assert_int_equal(rpc_client_request(clients[1], &request, 10000, on_answer, &answers[1], NULL), 0);
    /* The repeated one waits for the answer of the first; another request that came behind it is answered. */
    Weir__PutArtifact put;
    Weir__Request other = put_request(&put);
    receiver.hold = false;
    struct answer passing = {0};
    assert_int_equal(rpc_client_request(clients[2], &other, 10000, on_answer, &passing, NULL), 0);
    run_until(&world, passing.is_there);
    assert_false(answers[0].is_there || answers[1].is_there);
    Weir__Response response = WEIR__RESPONSE__INIT;
    Weir__ArtifactState artifact = WEIR__ARTIFACT_STATE__INIT;
    artifact.have_bytes = 4711;
    response.body_case = WEIR__RESPONSE__BODY_ARTIFACT_STATE;
    response.artifact_state = &artifact;
    rpc_call_reply(receiver.held[0], &response);
    run_until(&world, answers[0].is_there && answers[1].is_there);
    assert_int_equal(rpc_client_request(clients[2], &request, 10000, on_answer, &answers[2], NULL), 0);
    run_until(&world, answers[2].is_there);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answers[i].have_bytes, 4711);
    assert_int_equal(receiver.requests, 2); /* one submission, one other */
    for (int i = 0; i < 3; i++)
        rpc_client_close(clients[i]);
    receiver_close(&receiver);
    world_deinit(&world);
}

static void closing_under_way(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {.hold = true};
    struct answer answer = {0};
    struct answer second = {0};
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    struct rpc_client *client = client_open(&world, receiver.address);
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    assert_int_equal(rpc_client_request(client, &request, 10000, on_answer, &answer, NULL), 0);
    assert_int_equal(rpc_client_request(client, &request, 10000, on_answer, &second, NULL), WEIR_E_STATE);
    run_until(&world, receiver.held_count == 1);
    rpc_client_close(client);
    assert_true(answer.is_there);
    assert_int_equal(answer.rc, WEIR_E_CANCELED);
    run_until(&world, receiver.closed_pipes == 1);
    rpc_call_reply_rc(receiver.held[0], 0, NULL); /* to nobody */
    receiver.held_count = 0;
    client = client_open(&world, receiver.address);
    answer.is_there = false;
    assert_int_equal(rpc_client_request(client, &request, 10000, on_answer, &answer, NULL), 0);
    run_until(&world, receiver.held_count == 1);
    int64_t began = now_ms();
    receiver_close(&receiver); /* with a call that was not answered */
    run_until(&world, answer.is_there);
    assert_int_equal(answer.rc, WEIR_E_UNAVAILABLE);
    assert_true(now_ms() - began < 3000);
    rpc_client_close(client);
    world_deinit(&world);
}

struct blocking {
    const char *address;
    int rc;
    int64_t took_ms;
    struct error err;
    bool is_done;
};

static void ask_blocking(void *arg)
{
    struct blocking *blocking = arg;
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    Weir__Response *response = NULL;
    int64_t began = now_ms();
    blocking->rc = rpc_request_blocking(blocking->address, &request, 5000, &response, &blocking->err);
    blocking->took_ms = now_ms() - began;
    if (response)
        weir__response__free_unpacked(response, NULL);
    __atomic_store_n(&blocking->is_done, true, __ATOMIC_RELEASE);
}

static void blocking_request(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {0};
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    struct blocking blocking = {.address = receiver.address};
    uv_thread_t thread;
    assert_int_equal(uv_thread_create(&thread, ask_blocking, &blocking), 0);
    run_until(&world, __atomic_load_n(&blocking.is_done, __ATOMIC_ACQUIRE));
    uv_thread_join(&thread);
    assert_int_equal(blocking.rc, 0);
    assert_int_equal(receiver.requests, 1);
    char *address = xstrdup(receiver.address);
    receiver_close(&receiver);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    struct blocking refused = {.address = address};
    ask_blocking(&refused);
    assert_int_equal(refused.rc, WEIR_E_UNAVAILABLE);
    assert_non_null(strstr(refused.err.message, "refused"));
    assert_true(refused.took_ms < 1000);
    free(address);
    world_deinit(&world);
}

/* Role of the second process: one request, then it waits to be killed. */
static int requester_main(const char *address)
{
    peer_follow_parent();
    struct world world;
    world_init(&world);
    struct rpc_client *client = client_open(&world, address);
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    struct answer answer = ask(&world, client, &request, 10000);
    printf("%d\n", answer.rc);
    fflush(stdout);
    return uv_run(&world.loop, UV_RUN_DEFAULT);
}

static void server_sees_a_killed_peer(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {0};
    struct peer peer;
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    peer_start(&peer, "requester", receiver.address);
    run_until(&world, receiver.requests == 1);
    assert_string_equal(peer_read_line(&peer), "0");
    assert_int_equal(receiver.closed_pipes, 0);
    kill(peer.pid, SIGKILL);
    int64_t began = now_ms();
    run_until(&world, receiver.closed_pipes == 1);
    assert_true(now_ms() - began < 2000);
    peer_end(&peer);
    receiver_close(&receiver);
    world_deinit(&world);
}

int main(int argc, char **argv)
{
    log_set_level(LOG_OFF);
    if (argc == 3 && strcmp(argv[1], "requester") == 0)
        return requester_main(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelope_round_trip),
        cmocka_unit_test(envelope_refusals),
        cmocka_unit_test(envelope_is_bounded),
        cmocka_unit_test(oversized_request_is_refused),
        cmocka_unit_test(addresses),
        cmocka_unit_test(refusal_reaches_the_client),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(other_version_is_named),
        cmocka_unit_test(submission_is_carried_out_once),
        cmocka_unit_test(closing_under_way),
        cmocka_unit_test(blocking_request),
        cmocka_unit_test(server_sees_a_killed_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
