#include "tests/unit/rpc_rig.h"

#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
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

void world_init(struct world *world)
{
    assert_int_equal(uv_loop_init(&world->loop), 0);
    uv_timer_init(&world->loop, &world->wake);
    uv_timer_start(&world->wake, on_wake, 5, 5);
}

void world_deinit(struct world *world)
{
    uv_walk(&world->loop, on_walk, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

extern char **environ;

void peer_start(struct peer *peer, const char *role, const char *argument)
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

const char *peer_read_line(struct peer *peer)
{
    assert_non_null(fgets(peer->line, sizeof peer->line, peer->output));
    peer->line[strcspn(peer->line, "\n")] = '\0';
    return peer->line;
}

void peer_end(struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    assert_int_equal(waitpid(peer->pid, NULL, 0), peer->pid);
    fclose(peer->output);
}

void peer_follow_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

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

void receiver_open(struct receiver *receiver, uv_loop_t *loop, const char *address)
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

void receiver_close(struct receiver *receiver)
{
    rpc_server_close(receiver->server);
    free(receiver->address);
    receiver->address = NULL;
}

void on_answer(void *self, int rc, const Weir__Response *response, const struct error *err)
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

struct answer ask(struct world *world, struct rpc_client *client, Weir__Request *request, int64_t timeout_ms)
{
    struct answer answer = {0};
    struct error err = {0};
    if (rpc_client_request(client, request, timeout_ms, on_answer, &answer, &err) != 0)
        fail_msg("%s", err.message);
    run_until(world, answer.is_there);
    return answer;
}

Weir__Request put_request(Weir__PutArtifact *put)
{
    Weir__Request request = WEIR__REQUEST__INIT;
    weir__put_artifact__init(put);
    request.body_case = WEIR__REQUEST__BODY_PUT_ARTIFACT;
    request.put_artifact = put;
    return request;
}

struct rpc_client *client_open(struct world *world, const char *address)
{
    struct rpc_client *client;
    struct error err = {0};
    if (rpc_client_open(&world->loop, address, &client, &err) != 0)
        fail_msg("%s", err.message);
    return client;
}
