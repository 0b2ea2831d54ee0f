/* common/rpc: pairs between a taskmanager and a worker. */
#include "tests/unit/rpc_rig.h"

#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"

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
    peer_follow_parent();
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

struct farewell {
    struct world *world;
    struct rpc_pair *pair;
    bool is_said;
};

/* As a worker does that has failed: from within a callback it says so, and runs the loop until that has
 * arrived. */
static void say_farewell(void *self, const Weir__ToTaskManager *message)
{
    (void)message;
    struct farewell *farewell = self;
    if (farewell->is_said)
        return;
    farewell->is_said = true;
    pair_send_up(farewell->pair, 0);
    assert_false(rpc_pair_is_drained(farewell->pair));
    run_until(farewell->world, rpc_pair_is_drained(farewell->pair));
}

static void draining_within_a_callback(void **state)
{
    (void)state;
    struct world world;
    struct end manager = {0};
    struct farewell farewell = {.world = &world};
    struct rpc_pair_callbacks callbacks = {say_farewell, on_to_jobmanager, on_pair_closed, &farewell};
    char *address = socket_address();
    world_init(&world);
    pair_open(&manager, &world.loop, address, false);
    assert_int_equal(rpc_pair_dial(&world.loop, address, &callbacks, &farewell.pair, NULL), 0);
    assert_true(rpc_pair_is_drained(farewell.pair));
    for (uint64_t i = 0; i < 100; i++)
        pair_send_down(manager.pair, i);
    run_until(&world, farewell.is_said && rpc_pair_is_drained(manager.pair));
    assert_int_equal(manager.next, 1);
    rpc_pair_close(farewell.pair);
    rpc_pair_close(manager.pair);
    free(address);
    world_deinit(&world);
}

static void rubbish_closes_a_pair(void **state)
{
    (void)state;
    struct world world;
    struct end other = {0};
    char *address = socket_address();
    world_init(&world);
    /* No frame, a message that can't be decoded, an acknowledgement of what was never sent, one that is cut
     * off. */
    static const struct {
        const char *bytes;
        size_t size;
    } rubbish[] = {{"", 0}, {"\xff\xff", 2}, {"M\xff\xff\xff", 4}, {"A\1\0\0\0\0\0\0\0", 9}, {"A\0", 2}};
    for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++) {
        struct end manager = {0};
        nng_socket socket;
        pair_open(&manager, &world.loop, address, false);
        assert_int_equal(nng_pair0_open(&socket), 0);
        assert_int_equal(nng_dial(socket, address, NULL, 0), 0);
        assert_int_equal(nng_send(socket, (void *)rubbish[i].bytes, rubbish[i].size, 0), 0);
        run_until(&world, manager.is_closed);
        assert_int_equal(manager.next, 0);
        nng_close(socket);
        rpc_pair_close(manager.pair);
    }
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
    if (argc == 3 && strcmp(argv[1], "worker") == 0)
        return worker_main(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pair_keeps_order),           cmocka_unit_test(last_words_of_a_worker_arrive),
        cmocka_unit_test(draining_within_a_callback), cmocka_unit_test(rubbish_closes_a_pair),
        cmocka_unit_test(pair_queue_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
