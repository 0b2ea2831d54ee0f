/* The jobmanager's brain: dispatcher, scheduler, slots, checkpoint coordinator, failure handling, heartbeat monitor.
 *
 *     core_step(core, now, event) -> commands
 *
 * No I/O, no threads, no clock, no randomness of its own. The shell (jobmanager/shell) turns the outside into events and
 * commands into effects; the simulator does the same with a virtual outside. One thread owns a core.
 *
 * Nothing that others can observe (notify-complete, deletion, the reply to a submission, FINISHED) is commanded before the
 * event that says that what it stands on was persisted. */
#ifndef WEIR_CORE_CORE_H
#define WEIR_CORE_CORE_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/vec.h"
#include "common/config/config.h"
#include "proto/control.pb-c.h"

struct core;

enum core_event_kind {
    EVENT_TICK,             /* time has come to core_next_deadline */
    EVENT_SUBMIT_JOB,       /* a client's submission; the artifact is complete in the store */
    EVENT_CANCEL_JOB,
    EVENT_TAKE_SNAPSHOT,    /* somebody wants a savepoint or a checkpoint now */
    EVENT_REGISTER,         /* a taskmanager */
    EVENT_TM_MESSAGE,       /* one ToJobManager of a registered taskmanager, in order */
    EVENT_TM_LOST,          /* its connection is gone and the probe said dead */
    EVENT_METADATA_PERSISTED, /* answer to COMMAND_PERSIST_METADATA */
    EVENT_SNAPSHOT_LOADED,  /* answer to COMMAND_LOAD_SNAPSHOT */
    EVENT_DIRECTORY_READY,  /* answer to COMMAND_CREATE_DIRECTORY */
};

/* What somebody wants: a savepoint, the stop or cancellation with it, or a checkpoint. */
struct snapshot_wish {
    bool savepoint;
    Weir__StopMode stop;   /* savepoints */
    bool cancel;           /* savepoints: the job is cancelled when it is complete */
    const char *directory; /* savepoints: it goes below it; NULL or "": execution.checkpointing.savepoint-dir */
};

struct core_event {
    enum core_event_kind kind;
    uint64_t request; /* SUBMIT_JOB, CANCEL_JOB, TAKE_SNAPSHOT, REGISTER: names the answer */
    struct weir_id job; /* CANCEL_JOB, TAKE_SNAPSHOT, and the answers to commands about a job */
    uint64_t session; /* TM_MESSAGE, TM_LOST */
    uint64_t checkpoint_id; /* METADATA_PERSISTED, DIRECTORY_READY */
    uint64_t metadata_bytes; /* METADATA_PERSISTED */
    int rc;                 /* answers: 0 or why not */
    const char *message;    /* answers: when rc is not 0; TM_LOST: why */
    /* Borrowed for the call: */
    const struct snapshot_wish *wish;
    const Weir__SubmitJob *submit;
    const Weir__RegisterTaskManager *registration;
    const Weir__ToJobManager *from_tm;
    const Weir__SnapshotMetadata *snapshot;
    const char *snapshot_path; /* SNAPSHOT_LOADED: the directory that handles are relative to */
};

enum core_command_kind {
    COMMAND_SEND,             /* message to the taskmanager of session, in order */
    COMMAND_DISCONNECT,       /* session is over: refuse what still comes from it, close its connection */
    COMMAND_REPLY_SUBMIT,     /* to request: rc, message, job */
    COMMAND_REPLY_CANCEL,     /* to request: rc, message */
    COMMAND_REPLY_SNAPSHOT,   /* to request: rc, message or path, checkpoint_id */
    COMMAND_REPLY_REGISTER,   /* to request: rc, message, session (the shell fills in the rest) */
    COMMAND_CREATE_DIRECTORY, /* of a checkpoint, with parents: path */
    COMMAND_PERSIST_METADATA, /* metadata into path/_metadata: temporary name, fsync, rename, fsync of the directory */
    COMMAND_DELETE_DIRECTORY, /* of a checkpoint, with all that is in it; failures are only logged */
    COMMAND_LOAD_SNAPSHOT,    /* read and verify path/_metadata */
    COMMAND_DISPOSE_SAVEPOINT, /* the shell's own: delete path if it is a savepoint */
    COMMAND_LOG,              /* a line */
};

struct core_command {
    enum core_command_kind kind;
    uint64_t session;
    uint64_t request;
    struct weir_id job;
    uint64_t checkpoint_id;
    int rc;
    enum log_level level;
    const char *logger; /* static */
    /* Owned by the command (core_commands_clear frees): */
    char *text; /* LOG line, REPLY message, DISCONNECT reason, or path */
    Weir__ToTaskManager *message;
    Weir__SnapshotMetadata *metadata;
};

struct core_commands vec_of(struct core_command);
void core_commands_clear(struct core_commands *commands);

/* config: borrowed, outlives the core. incarnation: new at each start of the jobmanager. */
struct core *core_new(const struct config *config, uint64_t seed, struct weir_id incarnation);
void core_free(struct core *core);
/* now_ms: wall clock, ms since the epoch. Appends to commands. */
void core_step(struct core *core, int64_t now_ms, const struct core_event *event, struct core_commands *commands);
int64_t core_next_deadline(const struct core *core); /* INT64_MAX: none */

#endif
