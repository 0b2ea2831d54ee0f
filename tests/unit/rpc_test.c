/* common/rpc over real sockets: in one loop, with a second thread, and with a second process (this program
 * again) that is killed or stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/rpc/rpc.h"

enum { DEADLINE_MS = 20000, SESSION = 77 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_wake(uv_timer_t *timer)
{
    (void)timer;
}

static void on_walk(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

struct world {
    uv_loop_t loop;
    uv_timer_t wake; /* so that conditions are looked at though nothing happens */
};

static void world_init(struct world *world)
{
    assert_int_equal(uv_loop_init(&world->loop), 0);
    uv_timer_init(&world->loop, &world->wake);
    uv_timer_start(&world->wake, on_wake, 5, 5);
}

static void world_deinit(struct world *world)
{
    uv_walk(&world->loop, on_walk, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

#define run_until(world, condition)                                                                          \
    do {                                                                                                     \
        int64_t deadline_ = now_ms() + DEADLINE_MS;                                                          \
        while (!(condition)) {                                                                               \
            if (now_ms() > deadline_)                                                                        \
                fail_msg("not reached in time: %s", #condition);                                             \
            uv_run(&(world)->loop, UV_RUN_ONCE);                                                             \
        }                                                                                                    \
    } while (0)

/* ---- a second process ---- */

struct peer {
    pid_t pid;
    FILE *output;
    char line[256];
};

extern char **environ;

static void peer_start(struct peer *peer, const char *role, const char *argument)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    char *argv[] = {self, (char *)role, (char *)argument, NULL};
    assert_int_equal(posix_spawn(&peer->pid, self, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    peer->output = fdopen(fds[0], "r");
    assert_non_null(peer->output);
}

static const char *peer_read_line(struct peer *peer)
{
    assert_non_null(fgets(peer->line, sizeof peer->line, peer->output));
    peer->line[strcspn(peer->line, "\n")] = '\0';
    return peer->line;
}

static void peer_end(struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    assert_int_equal(waitpid(peer->pid, NULL, 0), peer->pid);
    fclose(peer->output);
}

/* ---- a server that keeps an inbox ---- */

struct receiver {
    struct rpc_server *server;
    struct rpc_inbox inbox;
    char *address;
    uint64_t next; /* number that the next message should carry */
    bool is_disordered;
    unsigned seen_before;
    unsigned requests;
    unsigned closed_pipes;
    uint32_t last_pipe;
    int refuse_rc;
    bool hold; /* keep calls instead of answering */
    struct rpc_call *held[16];
    unsigned held_count;
};

static void take_batch(struct receiver *receiver, const Weir__Batch *batch)
{
    for (size_t i = 0; i < batch->n_to_jobmanager; i++) {
        const Weir__ToJobManager *message = batch->to_jobmanager[i];
        if (message->body_case != WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT ||
            message->heartbeat->resident_bytes != receiver->next++)
            receiver->is_disordered = true;
    }
}

static void on_request(void *self, struct rpc_call *call, const Weir__Request *request)
{
    struct receiver *receiver = self;
    receiver->requests++;
    receiver->last_pipe = rpc_call_pipe(call);
    if (receiver->refuse_rc != 0) {
        rpc_call_reply_rc(call, receiver->refuse_rc, "refused by the test");
        return;
    }
    if (request->body_case == WEIR__REQUEST__BODY_BATCH) {
        struct error err;
        int accepted = rpc_inbox_accept(&receiver->inbox, request->batch, &err);
        if (accepted < 0) {
            rpc_call_reply_rc(call, accepted, err.message);
            return;
        }
        if (accepted == 1)
            take_batch(receiver, request->batch);
        else
            receiver->seen_before++;
    }
    if (receiver->hold) {
        assert_true(receiver->held_count < 16);
        receiver->held[receiver->held_count++] = call;
        return;
    }
    Weir__Response response = WEIR__RESPONSE__INIT;
    Weir__BatchAck ack = WEIR__BATCH_ACK__INIT;
    if (request->body_case == WEIR__REQUEST__BODY_BATCH) {
        ack.seq = request->batch->seq;
        response.body_case = WEIR__RESPONSE__BODY_BATCH_ACK;
        response.batch_ack = &ack;
    }
    rpc_call_reply(call, &response);
}

static void on_pipe_closed(void *self, uint32_t pipe)
{
    struct receiver *receiver = self;
    if (pipe == receiver->last_pipe)
        receiver->closed_pipes++;
}

static void receiver_open(struct receiver *receiver, uv_loop_t *loop, const char *address)
{
    struct rpc_server_callbacks callbacks = {on_request, on_pipe_closed, receiver};
    struct error err = {0};
    char *real;
    receiver->inbox.session = SESSION;
    if (rpc_server_open(loop, address, &callbacks, &receiver->server, &real, &err) != 0)
        fail_msg("%s", err.message);
    free(receiver->address);
    receiver->address = real;
}

static void receiver_close(struct receiver *receiver)
{
    rpc_server_close(receiver->server);
    free(receiver->address);
    receiver->address = NULL;
}

/* Role of the second process: a receiver until it is killed. */
static int receiver_main(const char *unused)
{
    (void)unused;
    uv_loop_t loop;
    struct receiver receiver = {0};
    uv_loop_init(&loop);
    receiver_open(&receiver, &loop, "tcp://127.0.0.1:0");
    printf("%s\n", receiver.address);
    fflush(stdout);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

/* ---- answers ---- */

struct answer {
    bool is_there;
    int rc;
    bool had_response;
    uint32_t have_bytes;
    char message[ERROR_MESSAGE_MAX];
};

static void on_answer(void *self, int rc, const Weir__Response *response, const struct error *err)
{
    struct answer *answer = self;
    assert_false(answer->is_there);
    answer->is_there = true;
    answer->rc = rc;
    answer->had_response = response != NULL;
    if (response && response->body_case == WEIR__RESPONSE__BODY_ARTIFACT_STATE)
        answer->have_bytes = (uint32_t)response->artifact_state->have_bytes;
    snprintf(answer->message, sizeof answer->message, "%s", err ? err->message : "");
}

static struct answer ask(struct world *world, struct rpc_client *client, Weir__Request *request,
                         int64_t timeout_ms)
{
    struct answer answer = {0};
    struct error err = {0};
    if (rpc_client_request(client, request, timeout_ms, on_answer, &answer, &err) != 0)
        fail_msg("%s", err.message);
    run_until(world, answer.is_there);
    return answer;
}

static Weir__Request put_request(Weir__PutArtifact *put)
{
    Weir__Request request = WEIR__REQUEST__INIT;
    weir__put_artifact__init(put);
    request.body_case = WEIR__REQUEST__BODY_PUT_ARTIFACT;
    request.put_artifact = put;
    return request;
}

static struct rpc_client *client_open(struct world *world, const char *address)
{
    struct rpc_client *client;
    struct error err = {0};
    if (rpc_client_open(&world->loop, address, &client, &err) != 0)
        fail_msg("%s", err.message);
    return client;
}

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
    struct rpc_server_callbacks callbacks = {on_request, NULL, NULL};
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

/* ---- links ---- */

struct sender {
    struct rpc_client *client;
    struct rpc_link *link;
    unsigned acknowledged;
    bool is_broken;
    int broken_rc;
    char message[256];
};

static void on_acknowledged(void *self)
{
    ((struct sender *)self)->acknowledged++;
}

static void on_broken(void *self, int rc, const char *message)
{
    struct sender *sender = self;
    assert_false(sender->is_broken);
    sender->is_broken = true;
    sender->broken_rc = rc;
    snprintf(sender->message, sizeof sender->message, "%s", message);
}

static void sender_open(struct sender *sender, struct world *world, const char *address, int64_t timeout_ms,
                        int64_t grace_ms)
{
    struct rpc_link_callbacks callbacks = {on_acknowledged, on_broken, sender};
    *sender = (struct sender){.client = client_open(world, address)};
    sender->link = rpc_link_new(sender->client, SESSION, timeout_ms, grace_ms, &callbacks);
}

static void sender_close(struct sender *sender)
{
    rpc_link_free(sender->link);
    rpc_client_close(sender->client);
}

static void send_number(struct rpc_link *link, uint64_t number)
{
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    Weir__Heartbeat *heartbeat = xmalloc(sizeof *heartbeat);
    weir__to_job_manager__init(message);
    weir__heartbeat__init(heartbeat);
    heartbeat->resident_bytes = number;
    message->body_case = WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT;
    message->heartbeat = heartbeat;
    rpc_link_send_to_jobmanager(link, message);
}

static void link_keeps_order(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct world world;
    struct receiver receiver = {0};
    struct sender sender;
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    sender_open(&sender, &world, receiver.address, 10000, 1000);
    for (uint64_t i = 0; i < COUNT; i++) {
        send_number(sender.link, i);
        if (i % 37 == 0)
            uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    run_until(&world, receiver.next == COUNT);
    assert_false(receiver.is_disordered);
    assert_false(sender.is_broken);
    run_until(&world, sender.acknowledged > 0 && sender.acknowledged == receiver.inbox.last_seq);
    sender_close(&sender);
    receiver_close(&receiver);
    world_deinit(&world);
}

/* The receiver takes batches but its connections break before it answers: again and again. */
static void link_resends_and_inbox_recognises(void **state)
{
    (void)state;
    enum { ROUNDS = 10, PER_ROUND = 100 };
    struct world world;
    struct receiver receiver = {0};
    struct sender sender;
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    sender_open(&sender, &world, receiver.address, 10000, 5000);
    uint64_t sent = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        receiver.hold = true;
        for (unsigned i = 0; i < PER_ROUND; i++)
            send_number(sender.link, sent++);
        run_until(&world, receiver.next == sent && receiver.held_count == 1);
        char *address = xstrdup(receiver.address);
        rpc_server_close(receiver.server);
        receiver.held_count = 0;
        receiver.hold = false;
        receiver_open(&receiver, &world.loop, address);
        free(address);
        run_until(&world, sender.acknowledged == round + 1);
        assert_int_equal(receiver.seen_before, round + 1);
    }
    assert_int_equal(receiver.next, sent);
    assert_false(receiver.is_disordered || sender.is_broken);
    sender_close(&sender);
    receiver_close(&receiver);
    world_deinit(&world);
}

static void link_breaks_when_fenced(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {.refuse_rc = WEIR_E_FENCED};
    struct sender sender;
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    sender_open(&sender, &world, receiver.address, 10000, 60000);
    send_number(sender.link, 0);
    run_until(&world, sender.is_broken);
    assert_int_equal(sender.broken_rc, WEIR_E_FENCED);
    assert_string_equal(sender.message, "refused by the test");
    send_number(sender.link, 1); /* dropped */
    sender_close(&sender);
    receiver_close(&receiver);
    world_deinit(&world);
}

static void link_breaks_on_an_oversized_message(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {0};
    struct sender sender;
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    sender_open(&sender, &world, receiver.address, 10000, 60000);
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    Weir__TaskManagerLeaving *leaving = xmalloc(sizeof *leaving);
    weir__to_job_manager__init(message);
    weir__task_manager_leaving__init(leaving);
    leaving->reason = xmalloc(RPC_MESSAGE_MAX_BYTES + 1);
    memset(leaving->reason, 'x', RPC_MESSAGE_MAX_BYTES);
    leaving->reason[RPC_MESSAGE_MAX_BYTES] = '\0';
    message->body_case = WEIR__TO_JOB_MANAGER__BODY_LEAVING;
    message->leaving = leaving;
    rpc_link_send_to_jobmanager(sender.link, message);
    assert_false(sender.is_broken); /* not from within the call */
    run_until(&world, sender.is_broken);
    assert_int_equal(sender.broken_rc, WEIR_E_LIMIT);
    assert_int_equal(receiver.requests, 0);
    sender_close(&sender);
    receiver_close(&receiver);
    world_deinit(&world);
}

static void link_breaks_when_the_peer_is_killed(void **state)
{
    (void)state;
    struct world world;
    struct sender sender;
    struct peer peer;
    world_init(&world);
    peer_start(&peer, "receiver", "");
    sender_open(&sender, &world, peer_read_line(&peer), 60000, 200);
    for (uint64_t i = 0; i < 10000; i++) {
        send_number(sender.link, i);
        if (i % 500 == 0)
            uv_run(&world.loop, UV_RUN_NOWAIT);
        if (i == 5000) {
            run_until(&world, sender.acknowledged > 0);
            kill(peer.pid, SIGKILL);
        }
    }
    int64_t began = now_ms();
    run_until(&world, sender.is_broken);
    assert_int_equal(sender.broken_rc, WEIR_E_UNAVAILABLE);
    assert_true(now_ms() - began < 3000);
    sender_close(&sender);
    peer_end(&peer);
    world_deinit(&world);
}

static void link_breaks_when_the_peer_is_stopped(void **state)
{
    (void)state;
    struct world world;
    struct sender sender;
    struct peer peer;
    world_init(&world);
    peer_start(&peer, "receiver", "");
    sender_open(&sender, &world, peer_read_line(&peer), 300, 100);
    send_number(sender.link, 0);
    run_until(&world, sender.acknowledged == 1);
    kill(peer.pid, SIGSTOP);
    send_number(sender.link, 1);
    int64_t began = now_ms();
    run_until(&world, sender.is_broken);
    assert_int_equal(sender.broken_rc, WEIR_E_TIMEOUT);
    assert_true(now_ms() - began >= 290);
    sender_close(&sender);
    peer_end(&peer);
    world_deinit(&world);
}

/* A link that was freed with a batch under way leaves the client usable. */
static void link_freed_under_way(void **state)
{
    (void)state;
    struct world world;
    struct receiver receiver = {.hold = true};
    struct sender sender;
    world_init(&world);
    receiver_open(&receiver, &world.loop, "tcp://127.0.0.1:0");
    sender_open(&sender, &world, receiver.address, 60000, 60000);
    send_number(sender.link, 0);
    run_until(&world, receiver.held_count == 1);
    rpc_link_free(sender.link);
    run_until(&world, !rpc_client_is_busy(sender.client));
    receiver.hold = false;
    Weir__PutArtifact put;
    Weir__Request request = put_request(&put);
    assert_int_equal(ask(&world, sender.client, &request, 10000).rc, 0);
    rpc_client_close(sender.client);
    receiver_close(&receiver);
    world_deinit(&world);
}

static void inbox_table(void **state)
{
    (void)state;
    static const struct {
        uint64_t session;
        uint64_t seq;
        int expect;
        uint64_t last;
    } steps[] = {
        {SESSION, 0, WEIR_E_FENCED, 0},
        {SESSION, 2, WEIR_E_FENCED, 0},
        {SESSION, 1, 1, 1},
        {SESSION, 1, 0, 1},
        {SESSION + 1, 2, WEIR_E_FENCED, 1},
        {SESSION, 2, 1, 2},
        {SESSION, 1, 0, 2},
        {SESSION, 4, WEIR_E_FENCED, 2},
        {SESSION, UINT64_MAX, WEIR_E_FENCED, 2},
    };
    struct rpc_inbox inbox = {.session = SESSION};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        Weir__Batch batch = WEIR__BATCH__INIT;
        batch.session = steps[i].session;
        batch.seq = steps[i].seq;
        assert_int_equal(rpc_inbox_accept(&inbox, &batch, NULL), steps[i].expect);
        assert_int_equal(inbox.last_seq, steps[i].last);
    }
}

/* Role of the second process: one request, then it waits to be killed. */
static int requester_main(const char *address)
{
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

/* ---- pairs ---- */

struct end {
    struct rpc_pair *pair;
    uint64_t next;
    bool is_disordered;
    bool is_closed;
    bool came_after_close;
};

static void on_to_jobmanager(void *self, const Weir__ToJobManager *message)
{
    struct end *end = self;
    if (message->body_case != WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT ||
        message->heartbeat->resident_bytes != end->next++)
        end->is_disordered = true;
    end->came_after_close |= end->is_closed;
}

static void on_to_taskmanager(void *self, const Weir__ToTaskManager *message)
{
    struct end *end = self;
    if (message->body_case != WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE ||
        message->notify_checkpoint_complete->checkpoint_id != end->next++)
        end->is_disordered = true;
    end->came_after_close |= end->is_closed;
}

static void on_pair_closed(void *self)
{
    struct end *end = self;
    assert_false(end->is_closed);
    end->is_closed = true;
}

static void pair_open(struct end *end, uv_loop_t *loop, const char *address, bool is_worker)
{
    struct rpc_pair_callbacks callbacks = {on_to_taskmanager, on_to_jobmanager, on_pair_closed, end};
    struct error err = {0};
    int rc = is_worker ? rpc_pair_dial(loop, address, &callbacks, &end->pair, &err)
                       : rpc_pair_listen(loop, address, &callbacks, &end->pair, &err);
    if (rc != 0)
        fail_msg("%s", err.message);
}

static void pair_send_up(struct rpc_pair *pair, uint64_t number)
{
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    Weir__Heartbeat heartbeat = WEIR__HEARTBEAT__INIT;
    heartbeat.resident_bytes = number;
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    rpc_pair_send_to_jobmanager(pair, &message);
}

static void pair_send_down(struct rpc_pair *pair, uint64_t number)
{
    Weir__ToTaskManager message = WEIR__TO_TASK_MANAGER__INIT;
    Weir__NotifyCheckpointComplete complete = WEIR__NOTIFY_CHECKPOINT_COMPLETE__INIT;
    complete.checkpoint_id = number;
    message.body_case = WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE;
    message.notify_checkpoint_complete = &complete;
    rpc_pair_send_to_taskmanager(pair, &message);
}

static char *socket_address(void)
{
    return xasprintf("ipc:///tmp/weir-rpc-test-%d-%016" PRIx64 ".sock", (int)getpid(), os_random_u64());
}

static void pair_keeps_order(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct world world;
    struct end manager = {0};
    struct end worker = {0};
    struct end second = {0};
    char *address = socket_address();
    world_init(&world);
    pair_open(&manager, &world.loop, address, false);
    pair_open(&worker, &world.loop, address, true);
    for (uint64_t i = 0; i < COUNT; i++) {
        pair_send_up(worker.pair, i);
        pair_send_down(manager.pair, i);
    }
    /* A second worker is turned away; the first doesn't notice. */
    struct rpc_pair_callbacks callbacks = {on_to_taskmanager, on_to_jobmanager, on_pair_closed, &second};
    int rc = rpc_pair_dial(&world.loop, address, &callbacks, &second.pair, NULL);
    if (rc == 0) {
        run_until(&world, second.is_closed);
        rpc_pair_close(second.pair);
    }
    run_until(&world, manager.next == COUNT && worker.next == COUNT);
    run_until(&world, rpc_pair_is_drained(manager.pair) && rpc_pair_is_drained(worker.pair));
    assert_false(manager.is_disordered || worker.is_disordered || manager.is_closed || worker.is_closed);
    rpc_pair_close(worker.pair);
    run_until(&world, manager.is_closed);
    rpc_pair_close(manager.pair);
    free(address);
    world_deinit(&world);
}

enum { LAST_WORDS = 3000 };

/* Role of the second process: a worker that says much and ends the moment it is drained. */
static int worker_main(const char *address)
{
    struct world world;
    struct end worker = {0};
    world_init(&world);
    pair_open(&worker, &world.loop, address, true);
    for (uint64_t i = 0; i < LAST_WORDS; i++)
        pair_send_up(worker.pair, i);
    run_until(&world, rpc_pair_is_drained(worker.pair));
    _exit(0);
}

static void last_words_of_a_worker_arrive(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct world world;
        struct end manager = {0};
        struct peer peer;
        char *address = socket_address();
        world_init(&world);
        pair_open(&manager, &world.loop, address, false);
        peer_start(&peer, "worker", address);
        run_until(&world, manager.is_closed);
        assert_int_equal(manager.next, LAST_WORDS);
        assert_false(manager.is_disordered || manager.came_after_close);
        rpc_pair_close(manager.pair);
        peer_end(&peer);
        free(address);
        world_deinit(&world);
    }
}

static void rubbish_closes_a_pair(void **state)
{
    (void)state;
    struct world world;
    struct end manager = {0};
    struct end other = {0};
    char *address = socket_address();
    world_init(&world);
    pair_open(&manager, &world.loop, address, false);
    nng_socket socket;
    assert_int_equal(nng_pair0_open(&socket), 0);
    assert_int_equal(nng_dial(socket, address, NULL, 0), 0);
    assert_int_equal(nng_send(socket, "\xff\xff\xff\xff", 4, 0), 0);
    run_until(&world, manager.is_closed);
    assert_int_equal(manager.next, 0);
    nng_close(socket);
    rpc_pair_close(manager.pair);
    struct rpc_pair_callbacks callbacks = {on_to_taskmanager, on_to_jobmanager, on_pair_closed, &other};
    struct error err = {0};
    assert_int_equal(
        rpc_pair_dial(&world.loop, "ipc:///tmp/weir-nobody-is-here.sock", &callbacks, &other.pair, &err),
        WEIR_E_UNAVAILABLE);
    assert_non_null(strstr(err.message, "weir-nobody-is-here"));
    free(address);
    world_deinit(&world);
}

static void pair_queue_is_bounded(void **state)
{
    (void)state;
    struct world world;
    struct end manager = {0};
    char *address = socket_address();
    world_init(&world);
    pair_open(&manager, &world.loop, address, false); /* nobody dials */
    for (uint64_t i = 0; i <= RPC_PAIR_QUEUE_MAX; i++)
        pair_send_down(manager.pair, i);
    run_until(&world, manager.is_closed);
    rpc_pair_close(manager.pair);
    free(address);
    world_deinit(&world);
}

int main(int argc, char **argv)
{
    log_set_level(LOG_OFF);
    if (argc == 3 && strcmp(argv[1], "receiver") == 0)
        return receiver_main(argv[2]);
    if (argc == 3 && strcmp(argv[1], "requester") == 0)
        return requester_main(argv[2]);
    if (argc == 3 && strcmp(argv[1], "worker") == 0)
        return worker_main(argv[2]);
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
        cmocka_unit_test(link_keeps_order),
        cmocka_unit_test(link_resends_and_inbox_recognises),
        cmocka_unit_test(link_breaks_when_fenced),
        cmocka_unit_test(link_breaks_on_an_oversized_message),
        cmocka_unit_test(link_breaks_when_the_peer_is_killed),
        cmocka_unit_test(link_breaks_when_the_peer_is_stopped),
        cmocka_unit_test(link_freed_under_way),
        cmocka_unit_test(inbox_table),
        cmocka_unit_test(server_sees_a_killed_peer),
        cmocka_unit_test(pair_keeps_order),
        cmocka_unit_test(last_words_of_a_worker_arrive),
        cmocka_unit_test(rubbish_closes_a_pair),
        cmocka_unit_test(pair_queue_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
