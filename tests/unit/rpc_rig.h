/* What the tests of common/rpc share: a loop that is run until something holds, a second process (the test
 * program again, in a role), a server that keeps an inbox, answers. */
#ifndef WEIR_TESTS_RPC_RIG_H
#define WEIR_TESTS_RPC_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <uv.h>

#include "common/rpc/rpc.h"

enum { DEADLINE_MS = 20000, SESSION = 77 };

struct world {
    uv_loop_t loop;
    uv_timer_t wake; /* so that conditions are looked at though nothing happens */
};

int64_t now_ms(void);
void world_init(struct world *world);
void world_deinit(struct world *world); /* closes what is still open */

#define run_until(world, condition)                                                                          \
    do {                                                                                                     \
        int64_t deadline_ = now_ms() + DEADLINE_MS;                                                          \
        while (!(condition)) {                                                                               \
            if (now_ms() > deadline_)                                                                        \
                fail_msg("not reached in time: %s", #condition);                                             \
            uv_run(&(world)->loop, UV_RUN_ONCE);                                                             \
        }                                                                                                    \
    } while (0)

struct peer {
    pid_t pid;
    FILE *output;
    char line[256];
};

/* This program again as "<self> role argument", its output readable here. It ends with the test at the
 * latest. */
void peer_start(struct peer *peer, const char *role, const char *argument);
const char *peer_read_line(struct peer *peer);
void peer_end(struct peer *peer);
/* To be called first in a role: the process does not outlive the test. */
void peer_follow_parent(void);

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

void receiver_open(struct receiver *receiver, uv_loop_t *loop, const char *address);
void receiver_close(struct receiver *receiver);

struct answer {
    bool is_there;
    int rc;
    bool had_response;
    uint32_t have_bytes;
    char message[ERROR_MESSAGE_MAX];
};

rpc_response_fn on_answer; /* self: struct answer */
struct answer ask(struct world *world, struct rpc_client *client, Weir__Request *request, int64_t timeout_ms);
Weir__Request put_request(Weir__PutArtifact *put);
struct rpc_client *client_open(struct world *world, const char *address);

#endif
