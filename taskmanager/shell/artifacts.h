/* The cache of job artifacts: fetched from the jobmanager in pieces, checked against their hash, kept in the
 * private directory. On the loop's thread. */
#ifndef WEIR_TASKMANAGER_ARTIFACTS_H
#define WEIR_TASKMANAGER_ARTIFACTS_H

#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"

enum { ARTIFACT_HASH_BYTES = 32, ARTIFACTS_MAX = 32 /* kept; the least recently wanted goes first */ };

struct artifacts;

struct artifacts_options {
    const char *directory;          /* exists; copied */
    const char *jobmanager_address; /* "tcp://host:port"; copied */
    uint64_t max_bytes;             /* of one */
    /* Never from within artifacts_want. path: of the complete file; borrowed, like message. */
    void (*ready)(void *self, const uint8_t *sha256, int rc, const char *message, const char *path);
    void *self;
};

struct artifacts *artifacts_new(uv_loop_t *loop, const struct artifacts_options *options);
/* Closes; memory is freed by the loop. */
void artifacts_close(struct artifacts *artifacts);
/* The answer comes by ready. file_name: what the file is called (its last part, if it is harmless). */
void artifacts_want(struct artifacts *artifacts, const uint8_t sha256[ARTIFACT_HASH_BYTES],
                    const char *file_name);

#endif
