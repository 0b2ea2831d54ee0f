/* What a job's effective configuration says about its checkpoints. Pure. */
#ifndef WEIR_CHECKPOINT_CHECKPOINT_SETTINGS_H
#define WEIR_CHECKPOINT_CHECKPOINT_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/config/config.h"

enum checkpoint_retention {
    RETAIN_ON_CANCELLATION, /* kept when the job is cancelled or fails */
    DELETE_ON_CANCELLATION, /* kept when it fails */
    RETAIN_NEVER,
};

enum { CHECKPOINT_INTERVAL_MIN_MS = 10 };

struct checkpoint_settings {
    int64_t interval_ms; /* 0: no checkpoints */
    int64_t timeout_ms;
    int64_t min_pause_ms;
    size_t retained;
    size_t history;
    enum checkpoint_retention retention;
    char *savepoint_directory; /* absolute, owned; NULL: none is set */
    char *directory;           /* "<dir>/<job id>", absolute, owned; NULL without checkpoints */
};

/* "file:///a", "file:/a" or "/a" -> "/a", without slashes at its end, malloc'ed; NULL if it is none of them.
 */
char *checkpoint_local_directory(const char *uri);
int checkpoint_settings_init(struct checkpoint_settings *settings, const struct config *config,
                             const struct weir_id *job, struct error *err) WEIR_CHECK;
void checkpoint_settings_deinit(struct checkpoint_settings *settings);

#endif
