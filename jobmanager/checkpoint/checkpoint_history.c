#include "jobmanager/checkpoint/checkpoint_history.h"

#include <assert.h>

#include "common/base/memory.h"

static void record_free(struct checkpoint_record *record)
{
    free(record->path);
    free(record->failure);
}

void checkpoint_history_deinit(struct checkpoint_history *history)
{
    vec_for_each (record, &history->records)
        record_free(record);
    vec_free(&history->records);
}

struct checkpoint_view *checkpoint_history_begin(struct checkpoint_history *history, uint64_t id,
                                                 int64_t trigger_ms, const char *path)
{
    assert(history->limit > 0);
    if (history->records.count == history->limit) {
        record_free(&history->records.items[0]);
        vec_remove(&history->records, 0);
    }
    struct checkpoint_record record = {.path = xstrdup(path)};
    record.view = (struct checkpoint_view){
        .id = id,
        .status = CHECKPOINT_IN_PROGRESS,
        .trigger_ms = trigger_ms,
        .latest_ack_ms = -1,
        .completed_ms = -1,
        .failure_ms = -1,
        .path = "", /* until there is something to restore from */
        .failure = "",
    };
    vec_push(&history->records, record);
    history->total++;
    history->in_progress++;
    return &history->records.items[history->records.count - 1].view;
}

static struct checkpoint_record *find(struct checkpoint_history *history, uint64_t id)
{
    for (size_t i = history->records.count; i-- > 0;)
        if (history->records.items[i].view.id == id)
            return &history->records.items[i];
    return NULL;
}

struct checkpoint_view *checkpoint_history_find(struct checkpoint_history *history, uint64_t id)
{
    struct checkpoint_record *record = find(history, id);
    return record ? &record->view : NULL;
}

void checkpoint_history_complete(struct checkpoint_history *history, uint64_t id, int64_t now_ms,
                                 uint64_t metadata_bytes)
{
    assert(history->in_progress > 0);
    history->in_progress--;
    history->completed++;
    struct checkpoint_record *record = find(history, id);
    assert(record && record->view.status == CHECKPOINT_IN_PROGRESS);
    record->view.status = CHECKPOINT_COMPLETED;
    record->view.completed_ms = now_ms;
    record->view.metadata_bytes = metadata_bytes;
    record->view.path = record->path;
}

void checkpoint_history_fail(struct checkpoint_history *history, uint64_t id, int64_t now_ms,
                             const char *failure)
{
    assert(history->in_progress > 0);
    history->in_progress--;
    history->failed++;
    struct checkpoint_record *record = find(history, id);
    assert(record && record->view.status == CHECKPOINT_IN_PROGRESS);
    record->failure = xstrdup(failure);
    record->view.status = CHECKPOINT_FAILED;
    record->view.failure = record->failure;
    record->view.failure_ms = now_ms;
    record->view.discarded = true;
}

void checkpoint_history_discard(struct checkpoint_history *history, uint64_t id)
{
    struct checkpoint_record *record = find(history, id);
    if (record)
        record->view.discarded = true;
}

const struct checkpoint_view *checkpoint_history_get(const struct checkpoint_history *history, size_t index)
{
    assert(index < history->records.count);
    return &history->records.items[history->records.count - 1 - index].view;
}
