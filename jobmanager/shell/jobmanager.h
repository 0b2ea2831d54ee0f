/* The jobmanager's shell: what is outside (RPC, REST, files, time, signals) turned into the core's events,
 * and its commands into effects. Everything here is owned by the loop thread. */
#ifndef WEIR_SHELL_JOBMANAGER_H
#define WEIR_SHELL_JOBMANAGER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/base/vec.h"
#include "common/config/config.h"
#include "common/rpc/rpc.h"
#include "jobmanager/blob/blob_store.h"
#include "jobmanager/core/core.h"
#include "jobmanager/rest/operations.h"
#include "jobmanager/rest/rest.h"
#include "jobmanager/shell/clock.h"
#include "jobmanager/shell/file_lanes.h"

struct jobmanager;

/* A registered taskmanager. */
struct peer {
    struct jobmanager *jobmanager;
    uint64_t session;
    char *id;                        /* task_manager_id */
    char *rpc_address;               /* "tcp://host:port" */
    struct sockaddr_storage address; /* of rpc_address, for the probe; family 0: not resolved yet */
    uint32_t pipe;                   /* that its latest request came by */
    uint64_t acknowledgements;       /* of batches sent to it */
    bool probing;
    bool closing;
    bool lost;      /* the core is going to be told, or was */
    char *lost_why; /* owned */
    bool heard;     /* a batch of the session has come: its process knows the session */
    struct vec_of(Weir__ToTaskManager *) held; /* until it is heard of; owned */
    struct rpc_inbox inbox;
    struct rpc_client *client; /* NULL if its address is no good */
    struct rpc_link *link;
};

/* Something that the core will answer by a command. */
struct pending {
    uint64_t request;
    struct rpc_call *call; /* NULL: a REST request */
    uint64_t rest_token;   /* of a REST request, or (operation) number of the operation */
    uint32_t pipe;         /* registration: that it came by */
    char *task_manager_id; /* registration; owned */
    char *rpc_address;     /* registration; owned */
};

struct jobmanager {
    uv_loop_t loop;
    const struct config *config; /* borrowed */
    struct clock clock;
    struct weir_id incarnation;
    struct core *core;
    struct blob_store *blobs;
    struct file_lanes *files;
    struct rpc_server *rpc;
    char *rpc_address; /* "host:port" as clients reach it */
    struct rest_env rest_env;
    struct rest_operations operations;
    struct rest_server *rest;
    uv_timer_t core_timer;
    uv_async_t lost_async; /* peers that were found lost while the core was stepping */
    uv_signal_t signals[2];
    uint64_t next_request;
    struct vec_of(struct peer *) peers;
    struct vec_of(struct pending) pending;
    bool stepping;
    bool stopping;
};

/* Runs until a signal ends it; 0 or the reason it couldn't start. config is borrowed. */
int jobmanager_run(const struct config *config, struct error *err) WEIR_CHECK;

/* ---- between the shell's files ---- */

/* One event into the core, and its commands carried out. Not from within itself. */
void jobmanager_step(struct jobmanager *jm, const struct core_event *event);
void commands_execute(struct jobmanager *jm, struct core_commands *commands);

/* Requests of taskmanagers and clients. */
void requests_on_request(void *self, struct rpc_call *call, const Weir__Request *request);
void requests_reply_submit(struct jobmanager *jm, const struct core_command *command);
void requests_reply_register(struct jobmanager *jm, const struct core_command *command);
/* Removes it from the list; false if there is none. Strings become the caller's. */
bool pending_take(struct jobmanager *jm, uint64_t request, struct pending *ret_pending);

struct peer *peers_find(struct jobmanager *jm, uint64_t session);
struct peer *peers_add(struct jobmanager *jm, uint64_t session, const struct pending *registration);
void peers_remove(struct jobmanager *jm, uint64_t session);
/* Takes the message. */
void peers_send(struct peer *peer, Weir__ToTaskManager *message);
/* A batch of the session has come. */
void peers_on_heard(struct peer *peer, uint32_t pipe);
void peers_remove_all(struct jobmanager *jm);
void peers_on_pipe_closed(void *self, uint32_t pipe);
void peers_on_lost_async(uv_async_t *async);
/* The core will be told on the loop's next turn. */
void peers_declare_lost(struct peer *peer, const char *why);

/* Asks whether the peer's process lives (one TCP connect, then a grace), and declares it lost if it doesn't.
 */
void probe_start(struct peer *peer);

#endif
