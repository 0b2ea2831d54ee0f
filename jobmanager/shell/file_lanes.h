/* File work of the core's commands on libuv's pool: in order for each job, jobs beside each other. */
#ifndef WEIR_SHELL_FILE_LANES_H
#define WEIR_SHELL_FILE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "jobmanager/core/core.h"

struct file_lanes;

/* What became of a command; borrowed for the call. */
struct file_result {
    enum core_command_kind kind;
    struct weir_id job;
    uint64_t request;
    uint64_t checkpoint_id;
    const char *path; /* as the command had it; LOAD_SNAPSHOT: the local directory */
    int rc;
    const char *message;
    uint64_t metadata_bytes;                /* PERSIST_METADATA */
    const Weir__SnapshotMetadata *snapshot; /* LOAD_SNAPSHOT */
};

typedef void file_done_fn(void *self, const struct file_result *result); /* on the loop */

struct file_lanes *file_lanes_new(uv_loop_t *loop, file_done_fn *done, void *self);
/* Only when idle. */
void file_lanes_free(struct file_lanes *lanes);
bool file_lanes_is_idle(const struct file_lanes *lanes);
/* Takes text and metadata out of the command: CREATE_DIRECTORY, PERSIST_METADATA, DELETE_DIRECTORY,
 * LOAD_SNAPSHOT, DISPOSE_SAVEPOINT. */
void file_lanes_add(struct file_lanes *lanes, struct core_command *command);

#endif
