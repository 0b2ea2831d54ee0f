/* The failures of one job, newest first, the oldest forgotten. Owned by its job; pure. */
#ifndef WEIR_FAILOVER_EXCEPTION_HISTORY_H
#define WEIR_FAILOVER_EXCEPTION_HISTORY_H

#include <stdint.h>

#include "common/base/vec.h"

enum { FAILURE_MESSAGE_BYTES_MAX = 8192, FAILURE_STACK_BYTES_MAX = 65536 };

struct exception_entry {
    int64_t timestamp_ms;
    char *name, *message, *stack, *task, *endpoint, *task_manager; /* owned, never NULL */
};

struct exception_history {
    struct vec_of(struct exception_entry) entries; /* oldest first */
    size_t limit;
};

void exception_history_init(struct exception_history *history, size_t limit);
void exception_history_deinit(struct exception_history *history);
/* Copies entry's texts (NULL: ""), cut to the limits above. */
void exception_history_add(struct exception_history *history, const struct exception_entry *entry);
/* 0: the newest. */
const struct exception_entry *exception_history_get(const struct exception_history *history, size_t index);

#endif
