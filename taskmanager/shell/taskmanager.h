/* The taskmanager's shell: what is outside (RPC, workers, artifacts, time, signals) turned into the
 * supervisor's events, and its commands into effects. Everything here is owned by the loop's thread. */
#ifndef WEIR_TASKMANAGER_TASKMANAGER_H
#define WEIR_TASKMANAGER_TASKMANAGER_H

#include <stdbool.h>
#include <uv.h>

#include "common/base/vec.h"
#include "common/config/config.h"
#include "common/rpc/rpc.h"
#include "taskmanager/shell/artifacts.h"
#include "taskmanager/shell/scratch.h"
#include "taskmanager/shell/worker_process.h"
#include "taskmanager/supervisor/supervisor.h"

/* A batch that came before the answer to the registration that it belongs to: they travel on two connections.
 */
struct early_batch {
    struct rpc_call *call;
    Weir__Request *request; /* owned */
};

struct taskmanager {
    uv_loop_t loop;
    const struct config *config; /* borrowed */
    char *id;                    /* task_manager_id */
    char *rpc_address;           /* "tcp://host:port" as the jobmanager reaches it */
    char *jobmanager_address;
    struct scratch scratch;
    struct supervisor *supervisor;
    uv_timer_t timer; /* of the supervisor's deadline */
    uv_signal_t signals[2];
    struct workers *workers;
    struct artifacts *artifacts;
    /* registration.c */
    struct rpc_server *server;
    struct rpc_client *client; /* to the jobmanager: registration, then the link's */
    struct rpc_link *link;     /* NULL: not registered */
    struct rpc_inbox inbox;
    bool registering;
    uint32_t jobmanager_pipe; /* that the present session's batches come by; 0: none yet */
    struct vec_of(struct early_batch) early;
    /* the end */
    bool stepping;
    bool leaving;  /* SUPERVISOR_EXIT came: the last messages are on their way */
    bool stopping; /* everything is being closed */
    uv_timer_t leave_timer;
    int64_t leave_deadline_ms;
    int exit_code;
};

/* Runs until a signal ends it; 0 or the reason it couldn't start. config is borrowed. */
int taskmanager_run(const struct config *config, struct error *err) WEIR_CHECK;

/* ---- between the shell's files ---- */

/* One event into the supervisor, and its commands carried out. Not from within itself. */
void taskmanager_step(struct taskmanager *tm, const struct supervisor_event *event);

/* registration.c */
int registration_open(struct taskmanager *tm, struct error *err) WEIR_CHECK;
void registration_close(struct taskmanager *tm);
void registration_begin(struct taskmanager *tm);
void registration_send(struct taskmanager *tm, Weir__ToJobManager *message_take);

#endif
