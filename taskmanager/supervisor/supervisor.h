/* The taskmanager's brain: which deployment has which worker, what the jobmanager and the workers say, when
 * to end what. Pure like the jobmanager's core: supervisor_step(supervisor, now, event) -> commands. One
 * thread owns it. It never loads user code. */
#ifndef WEIR_SUPERVISOR_SUPERVISOR_H
#define WEIR_SUPERVISOR_SUPERVISOR_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/vec.h"
#include "proto/control.pb-c.h"

struct supervisor;

enum supervisor_event_kind {
    SUPERVISOR_REGISTERED,      /* registered = the jobmanager's answer */
    SUPERVISOR_REFUSED,         /* registration or batch refused, or fenced: message says why */
    SUPERVISOR_JM_CONTACT,      /* the jobmanager acknowledged a batch: it is alive */
    SUPERVISOR_JM_DISCONNECTED, /* connection lost; the supervisor registers again */
    SUPERVISOR_JM_PROBE, /* a connection of the jobmanager's was closed: a heartbeat at once finds out why */
    SUPERVISOR_JM_MESSAGE,     /* to_tm */
    SUPERVISOR_ARTIFACT_READY, /* answer to FETCH_ARTIFACT: rc, message, path */
    SUPERVISOR_WORKER_MESSAGE, /* from worker: from_worker */
    /* exit_code, signal, stack, message: NULL, or what is known besides ("in task 'A (1/2)'" for a signal, else the
     * reason). Also when the worker could not be spawned. */
    SUPERVISOR_WORKER_EXITED,
    SUPERVISOR_TICK,
    SUPERVISOR_SHUTDOWN, /* SIGTERM: leave orderly */
};

struct supervisor_event {
    enum supervisor_event_kind kind;
    uint64_t worker; /* handle given in SPAWN_WORKER */
    int rc;
    const char *message;
    const char *stack;
    const char *path;
    int32_t exit_code;
    uint32_t signal;
    uint64_t resident_bytes; /* TICK: of this process */
    const Weir__TaskManagerRegistered *registered;
    const Weir__ToTaskManager *to_tm;
    const Weir__ToJobManager *from_worker;
    const uint8_t *sha256; /* ARTIFACT_READY: 32 bytes */
};

enum supervisor_command_kind {
    SUPERVISOR_REGISTER,       /* try to register with the jobmanager (a new session) */
    SUPERVISOR_SEND_JM,        /* to_jm, in order, within the session */
    SUPERVISOR_FETCH_ARTIFACT, /* sha256 (in start_worker): from the cache or the jobmanager */
    SUPERVISOR_SPAWN_WORKER,   /* worker, start_worker, path of the artifact */
    SUPERVISOR_SEND_WORKER,    /* worker, to_worker */
    SUPERVISOR_KILL_WORKER,    /* SIGKILL; its exit is reported as an event */
    SUPERVISOR_EXIT,           /* the process may end: exit_code */
    SUPERVISOR_LOG,
};

struct supervisor_command {
    enum supervisor_command_kind kind;
    uint64_t worker;
    int exit_code;
    enum log_level level;
    const char *logger;
    /* Owned by the command: */
    char *text; /* LOG line, or path */
    Weir__ToJobManager *to_jm;
    Weir__ToTaskManager *to_worker;
    Weir__StartWorker *start_worker;
};

struct supervisor_commands vec_of(struct supervisor_command);
void supervisor_commands_clear(struct supervisor_commands *commands);

struct supervisor_config {
    const char *task_manager_id;
    uint32_t slots;
    const char *jobmanager_address; /* for log lines; NULL: "jobmanager" */
};

struct supervisor *supervisor_new(const struct supervisor_config *config);
void supervisor_free(struct supervisor *supervisor);
/* now_ms: CLOCK_BOOTTIME, so that a suspended machine counts. */
void supervisor_step(struct supervisor *supervisor, int64_t now_ms, const struct supervisor_event *event,
                     struct supervisor_commands *commands);
int64_t supervisor_next_deadline(const struct supervisor *supervisor);

#endif
