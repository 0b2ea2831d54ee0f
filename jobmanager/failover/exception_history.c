#include "jobmanager/failover/exception_history.h"

#include <assert.h>
#include <string.h>

#include "common/base/memory.h"

void exception_history_init(struct exception_history *history, size_t limit)
{
    assert(limit > 0);
    *history = (struct exception_history){.limit = limit};
}

static void entry_free(struct exception_entry *entry)
{
    free(entry->name);
    free(entry->message);
    free(entry->stack);
    free(entry->task);
    free(entry->endpoint);
    free(entry->task_manager);
}

void exception_history_deinit(struct exception_history *history)
{
    vec_for_each (entry, &history->entries)
        entry_free(entry);
    vec_free(&history->entries);
}

/* At most max bytes, not ending inside a UTF-8 sequence. */
static char *cut(const char *text, size_t max)
{
    size_t length = text ? strnlen(text, max + 1) : 0;
    if (length > max)
        for (length = max; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    return xstrndup(text ? text : "", length);
}

void exception_history_add(struct exception_history *history, const struct exception_entry *entry)
{
    if (history->entries.count == history->limit) {
        entry_free(&history->entries.items[0]);
        vec_remove(&history->entries, 0);
    }
    vec_push(&history->entries, (struct exception_entry){
                                    .timestamp_ms = entry->timestamp_ms,
                                    .name = cut(entry->name, FAILURE_MESSAGE_BYTES_MAX),
                                    .message = cut(entry->message, FAILURE_MESSAGE_BYTES_MAX),
                                    .stack = cut(entry->stack, FAILURE_STACK_BYTES_MAX),
                                    .task = cut(entry->task, FAILURE_MESSAGE_BYTES_MAX * 2),
                                    .endpoint = cut(entry->endpoint, FAILURE_MESSAGE_BYTES_MAX),
                                    .task_manager = cut(entry->task_manager, FAILURE_MESSAGE_BYTES_MAX),
                                });
    assert(history->entries.count <= history->limit);
}

const struct exception_entry *exception_history_get(const struct exception_history *history, size_t index)
{
    assert(index < history->entries.count);
    return &history->entries.items[history->entries.count - 1 - index];
}
