/* REST over HTTP: a server on a loop in this thread, clients as plain sockets in another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "jobmanager/rest/rest.h"
#include "tests/unit/rest_fake_core.h"

enum { TIMEOUT_MS = 10000, ANSWER_MAX = 65536 };

struct fixture {
    uv_loop_t loop;
    uv_async_t done;
    struct rest_env env;
    struct rest_server *server;
    char *address;
    struct config *config;
    void (*client)(struct fixture *fixture);
    uv_timer_t later;
    uint64_t token;
    int answer_rc; /* of a cancellation */
    enum { ANSWER_AT_ONCE, ANSWER_LATER, ANSWER_NEVER } answer_when;
    char failure[256]; /* what the client saw and didn't expect */
};

/* ---- on the loop's thread ---- */

static int64_t now_ms(void *self)
{
    (void)self;
    return FAKE_NOW_MS;
}

static void on_later(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    rest_server_complete(fixture->server, fixture->token, fixture->answer_rc, "because");
    rest_server_complete(fixture->server, fixture->token, 0, NULL); /* answered already: ignored */
}

static void cancel_job(void *self, const struct weir_id *job, uint64_t token)
{
    (void)job;
    struct fixture *fixture = self;
    fixture->token = token;
    if (fixture->answer_when == ANSWER_AT_ONCE)
        rest_server_complete(fixture->server, token, fixture->answer_rc, "because");
    else if (fixture->answer_when == ANSWER_LATER)
        uv_timer_start(&fixture->later, on_later, 20, 0);
}

static void on_done(uv_async_t *async)
{
    struct fixture *fixture = async->data;
    rest_server_close(fixture->server);
    fixture->server = NULL;
    uv_close((uv_handle_t *)&fixture->later, NULL);
    uv_close((uv_handle_t *)&fixture->done, NULL);
}

static void *client_main(void *self)
{
    struct fixture *fixture = self;
    fixture->client(fixture);
    uv_async_send(&fixture->done);
    return NULL;
}

static void run(struct fixture *fixture, const struct rest_server_options *options,
                void (*client)(struct fixture *))
{
    struct error err;
    pthread_t thread;
    fixture->config = config_new();
    fixture->client = client;
    uv_loop_init(&fixture->loop);
    uv_async_init(&fixture->loop, &fixture->done, on_done);
    uv_timer_init(&fixture->loop, &fixture->later);
    fixture->done.data = fixture->later.data = fixture;
    fixture->env = (struct rest_env){.core = fake_core(),
                                     .config = fixture->config,
                                     .rpc_address = "localhost:6123",
                                     .now_ms = now_ms,
                                     .cancel_job = cancel_job,
                                     .self = fixture};
    if (rest_server_open(&fixture->loop, &fixture->env, options, &fixture->server, &fixture->address, &err) !=
        0)
        fail_msg("%s", err.message);
    assert_int_equal(pthread_create(&thread, NULL, client_main, fixture), 0);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    free(fixture->address);
    config_free(fixture->config);
    if (fixture->failure[0])
        fail_msg("%s", fixture->failure);
}

/* ---- on the client's thread ---- */

static int dial(struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)strtoul(strrchr(fixture->address, ':') + 1, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        snprintf(fixture->failure, sizeof fixture->failure, "connect: %s", strerror(errno));
    return fd;
}

static void send_text(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
        if (sent < 0)
            return; /* the server has closed: what it answered is what counts */
        text += sent;
        size -= (size_t)sent;
    }
}

/* Until `until` has come, the connection ends, or the time is out; returns whether the connection ended. */
static bool receive(int fd, char *answer, const char *until)
{
    size_t size = 0;
    answer[0] = '\0';
    while (size < ANSWER_MAX - 1) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, TIMEOUT_MS) <= 0)
            return false;
        ssize_t got = recv(fd, answer + size, ANSWER_MAX - 1 - size, 0);
        if (got <= 0)
            return true;
        size += (size_t)got;
        answer[size] = '\0';
        if (until && strstr(answer, until))
            return false;
    }
    return false;
}

static void expect(struct fixture *fixture, const char *what, const char *answer, const char *text)
{
    if (!fixture->failure[0] && !strstr(answer, text))
        snprintf(fixture->failure, sizeof fixture->failure, "%s: \"%.120s\" lacks \"%.60s\"", what, answer,
                 text);
}

/* One request on a connection of its own, until the server closes. */
static void exchange(struct fixture *fixture, const char *what, const char *request, const char *status,
                     const char *body)
{
    char *answer = xmalloc(ANSWER_MAX);
    int fd = dial(fixture);
    send_text(fd, request, strlen(request));
    receive(fd, answer, NULL);
    expect(fixture, what, answer, status);
    expect(fixture, what, answer, body);
    close(fd);
    free(answer);
}

#define CLOSE "Host: x\r\nConnection: close\r\n"
#define JOB   "/jobs/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void client_basics(struct fixture *fixture)
{
    exchange(fixture, "headers", "GET /overview HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200",
             "application/json; charset=UTF-8");
    exchange(fixture, "cors", "GET /overview HTTP/1.1\r\n" CLOSE "\r\n", "ccess-", "llow-");
    exchange(fixture, "body of a GET", "GET /v1/overview HTTP/1.1\r\n" CLOSE "Content-Length: 2\r\n\r\n{}",
             " 200", "\"taskmanagers\":1");
    exchange(fixture, "method", "DELETE /overview HTTP/1.1\r\n" CLOSE "\r\n", " 405", "Allow: GET, HEAD");
    exchange(fixture, "head", "HEAD /overview HTTP/1.1\r\n" CLOSE "\r\n", " 200", "\r\n\r\n");
    exchange(fixture, "escaped", "GET /taskmanagers/tm%3A1-abcdef HTTP/1.1\r\n" CLOSE "\r\n", " 200",
             "freeSlots");
    exchange(fixture, "slash", "GET /taskmanagers/tm%2Fx HTTP/1.1\r\n" CLOSE "\r\n", " 404", "tm/x");
    exchange(fixture, "rubbish", "\x16\x03\x01\x02 rubbish\r\n\r\n", "", "");
    exchange(fixture, "alive", "GET /jobs HTTP/1.0\r\n\r\n", " 200", "\"status\":\"RUNNING\"");
}

static void client_keep_alive(struct fixture *fixture)
{
    static const char request[] = "GET /jobs/overview HTTP/1.1\r\nHost: x\r\n\r\n";
    char *answer = xmalloc(ANSWER_MAX);
    int fd = dial(fixture);
    for (int i = 0; i < 3; i++) {
        send_text(fd, request, sizeof request - 1);
        receive(fd, answer, "]}");
        expect(fixture, "keep-alive", answer, " 200");
    }
    close(fd);
    free(answer);
}

static void client_large_bodies(struct fixture *fixture)
{
    enum { TOO_LARGE = 70000, HUGE_SIZE = 4 << 20 };
    exchange(fixture, "announced", "PATCH " JOB " HTTP/1.1\r\n" CLOSE "Content-Length: 65537\r\n\r\n", " 413",
             "65536");
    static const size_t sizes[] = {TOO_LARGE, HUGE_SIZE};
    char *answer = xmalloc(ANSWER_MAX);
    for (size_t i = 0; i < 2; i++) {
        char head[160];
        char *body = xmalloc(sizes[i]);
        memset(body, 'x', sizes[i]);
        int fd = dial(fixture);
        snprintf(head, sizeof head,
                 "PATCH " JOB " HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", sizes[i]);
        send_text(fd, head, strlen(head));
        send_text(fd, body, sizes[i]);
        send_text(fd, "\r\n0\r\n\r\n", 7);
        bool closed = receive(fd, answer, NULL);
        if (i == 0)
            expect(fixture, "chunked", answer, " 413");
        if (!closed)
            expect(fixture, "huge", "still open", "closed");
        close(fd);
        free(body);
    }
    free(answer);
    exchange(fixture, "alive", "GET /jobs HTTP/1.0\r\n\r\n", " 200", "RUNNING");
}

static void client_cancel_accepted(struct fixture *fixture)
{
    exchange(fixture, "cancel", "PATCH " JOB "?mode=cancel HTTP/1.1\r\n" CLOSE "Content-Length: 2\r\n\r\n{}",
             " 202", "\r\n\r\n{}");
}

static void client_cancel_refused(struct fixture *fixture)
{
    exchange(fixture, "cancel", "PATCH " JOB " HTTP/1.1\r\n" CLOSE "\r\n", " 409",
             "{\"errors\":[\"because\"]}");
}

/* Leaves: the server must not touch the connection when the answer comes. */
static void client_cancel_leave(struct fixture *fixture)
{
    static const char request[] = "PATCH " JOB " HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(fixture);
    send_text(fd, request, sizeof request - 1);
    close(fd);
    exchange(fixture, "alive", "GET /jobs HTTP/1.0\r\n\r\n", " 200", "RUNNING");
}

static int pending_fd;

static void client_cancel_pending(struct fixture *fixture)
{
    static const char request[] = "PATCH " JOB " HTTP/1.1\r\nHost: x\r\n\r\n";
    pending_fd = dial(fixture);
    send_text(pending_fd, request, sizeof request - 1);
    exchange(fixture, "alive", "GET /jobs HTTP/1.0\r\n\r\n", " 200", "RUNNING");
}

/* A byte now and then: never idle, never done. */
static void client_slow(struct fixture *fixture)
{
    static const char request[] = "GET /overview HTTP/1.1\r\nX-Slow: ";
    char byte = 'a';
    int fd = dial(fixture);
    send_text(fd, request, sizeof request - 1);
    for (int i = 0; i < 400; i++) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, 25) > 0 || send(fd, &byte, 1, MSG_NOSIGNAL) < 0) {
            close(fd);
            return;
        }
    }
    expect(fixture, "slow", "still open", "closed");
    close(fd);
}

static void client_idle(struct fixture *fixture)
{
    char *answer = xmalloc(ANSWER_MAX);
    int fd = dial(fixture);
    if (!receive(fd, answer, NULL))
        expect(fixture, "idle", "still open", "closed");
    close(fd);
    free(answer);
}

/* ---- tests ---- */

static const struct rest_server_options defaults = {.bind_host = "localhost"};

static void test_clients(void **state)
{
    (void)state;
    static const struct {
        void (*client)(struct fixture *);
        int answer_when;
        int answer_rc;
        int64_t idle_ms;
        int64_t deadline_ms;
    } cases[] = {
        {client_basics, 0, 0, 0, 0},
        {client_keep_alive, 0, 0, 0, 0},
        {client_large_bodies, 0, 0, 0, 0},
        {client_cancel_accepted, ANSWER_AT_ONCE, 0, 0, 0},
        {client_cancel_accepted, ANSWER_LATER, 0, 0, 0},
        {client_cancel_refused, ANSWER_AT_ONCE, WEIR_E_STATE, 0, 0},
        {client_cancel_refused, ANSWER_LATER, WEIR_E_STATE, 0, 0},
        {client_cancel_leave, ANSWER_LATER, 0, 0, 0},
        {client_slow, 0, 0, 0, 200},
        {client_idle, 0, 0, 1000, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture = {.answer_rc = cases[i].answer_rc};
        fixture.answer_when = cases[i].answer_when;
        struct rest_server_options options = defaults;
        options.idle_timeout_ms = cases[i].idle_ms;
        options.request_deadline_ms = cases[i].deadline_ms;
        run(&fixture, &options, cases[i].client);
    }
}

static void test_stop_answers_pending(void **state)
{
    (void)state;
    struct fixture fixture = {.answer_when = ANSWER_NEVER};
    char *answer = xmalloc(ANSWER_MAX);
    run(&fixture, &defaults, client_cancel_pending);
    assert_true(receive(pending_fd, answer, NULL));
    assert_non_null(strstr(answer, " 503"));
    close(pending_fd);
    free(answer);
}

static void test_port_in_use(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rest_env env = {0};
    struct rest_server *first, *second;
    char *address, *other;
    struct error err;
    uv_loop_init(&loop);
    assert_int_equal(rest_server_open(&loop, &env, &defaults, &first, &address, NULL), 0);
    struct rest_server_options options = defaults;
    options.port = (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
    assert_int_equal(rest_server_open(&loop, &env, &options, &second, &other, &err), WEIR_E_EXISTS);
    options.bind_host = "no.such.host.invalid";
    assert_int_equal(rest_server_open(&loop, &env, &options, &second, &other, &err), WEIR_E_INVALID);
    rest_server_close(first);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    free(address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_stop_answers_pending),
        cmocka_unit_test(test_port_in_use),
    };
    return cmocka_run_group_tests_name("rest_server", tests, NULL, NULL);
}
