/* common/rpc: links over real sockets, with peers that are killed, stopped, or come back. */
#include "tests/unit/rpc_rig.h"

#include <signal.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"

/* Role of the second process: a receiver until it is killed. */
static int receiver_main(const char *unused)
{
    peer_follow_parent();
    (void)unused;
    uv_loop_t loop;
    struct receiver receiver = {0};
    uv_loop_init(&loop);
    receiver_open(&receiver, &loop, "tcp://127.0.0.1:0");
    printf("%s\n", receiver.address);
    fflush(stdout);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

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

int main(int argc, char **argv)
{
    log_set_level(LOG_OFF);
    if (argc == 3 && strcmp(argv[1], "receiver") == 0)
        return receiver_main(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_keeps_order),
        cmocka_unit_test(link_resends_and_inbox_recognises),
        cmocka_unit_test(link_breaks_when_fenced),
        cmocka_unit_test(link_breaks_on_an_oversized_message),
        cmocka_unit_test(link_breaks_when_the_peer_is_killed),
        cmocka_unit_test(link_breaks_when_the_peer_is_stopped),
        cmocka_unit_test(link_freed_under_way),
        cmocka_unit_test(inbox_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
