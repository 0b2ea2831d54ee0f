/* What is remembered of a job's checkpoints for those who look: the last few, and counts of all. Owned by the
 * coordinator. */
#ifndef WEIR_CHECKPOINT_CHECKPOINT_HISTORY_H
#define WEIR_CHECKPOINT_CHECKPOINT_HISTORY_H

#include "common/base/vec.h"
#include "jobmanager/core/view.h"

/* view.path and view.failure are owned here, or "". */
struct checkpoint_record {
    struct checkpoint_view view;
    char *path, *failure;
};

struct checkpoint_history {
    struct vec_of(struct checkpoint_record) records; /* oldest first */
    size_t limit;
    uint64_t restored, total, in_progress, completed, failed;
};

void checkpoint_history_deinit(struct checkpoint_history *history);
/* Valid until the next begin. */
struct checkpoint_view *checkpoint_history_begin(struct checkpoint_history *history, uint64_t id,
                                                 int64_t trigger_ms, const char *path);
struct checkpoint_view *checkpoint_history_find(struct checkpoint_history *history,
                                                uint64_t id); /* NULL: forgotten */
void checkpoint_history_complete(struct checkpoint_history *history, uint64_t id, int64_t now_ms,
                                 uint64_t metadata_bytes);
void checkpoint_history_fail(struct checkpoint_history *history, uint64_t id, int64_t now_ms,
                             const char *failure);
void checkpoint_history_discard(struct checkpoint_history *history, uint64_t id);
/* 0: the newest. */
const struct checkpoint_view *checkpoint_history_get(const struct checkpoint_history *history, size_t index);

#endif
