/* What every function of the core gets along in one step: the time, where its commands go, and the core's
 * randomness. */
#ifndef WEIR_CORE_COMMANDS_STEP_H
#define WEIR_CORE_COMMANDS_STEP_H

#include <stdint.h>

#include "common/base/id.h"
#include "common/base/log.h"
#include "jobmanager/core/core.h"

struct step {
    int64_t now_ms; /* never goes back */
    struct core_commands *commands;
    struct random *random;
    bool slots_wanted; /* somebody has begun to wait for slots in this step */
};

/* One lifetime for all messages that the core makes: hand over to weir__…__free_unpacked. Packs and unpacks.
 */
void *message_copy(const void *message);

void step_log(struct step *step, enum log_level level, const char *logger, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void step_send(struct step *step, uint64_t session, Weir__ToTaskManager *message_take);
void step_disconnect(struct step *step, uint64_t session, const char *reason);
/* rc 0: message may be NULL. */
void step_reply_submit(struct step *step, uint64_t request, int rc, const char *message,
                       const struct weir_id *job);
void step_reply_cancel(struct step *step, uint64_t request, int rc, const char *message);
/* rc 0: text is the path; else the message. */
void step_reply_snapshot(struct step *step, uint64_t request, int rc, const char *text,
                         uint64_t checkpoint_id);
void step_reply_register(struct step *step, uint64_t request, int rc, const char *message, uint64_t session);
void step_create_directory(struct step *step, const struct weir_id *job, uint64_t checkpoint_id,
                           const char *path);
void step_persist_metadata(struct step *step, const struct weir_id *job, uint64_t checkpoint_id,
                           const char *path, Weir__SnapshotMetadata *metadata_take);
void step_delete_directory(struct step *step, const struct weir_id *job, const char *path);
void step_load_snapshot(struct step *step, const struct weir_id *job, const char *path);

#endif
