#include "taskmanager/worker/task/pending_records.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

struct pending_header {
    int64_t timestamp;
    uint32_t size;
    uint32_t key_hash;
};

static size_t padded(uint32_t size)
{
    return sizeof(struct pending_header) + (((size_t)size + 7) & ~(size_t)7);
}

void pending_records_deinit(struct pending_records *pending)
{
    free(pending->data);
    *pending = (struct pending_records){0};
}

void pending_records_add(struct pending_records *pending, const struct record_ref *record)
{
    size_t want = pending->end + padded(record->size);
    if (want > pending->capacity) {
        pending->capacity = want > 2 * pending->capacity ? want : 2 * pending->capacity;
        pending->data = xrealloc(pending->data, pending->capacity);
    }
    struct pending_header header = {
        .timestamp = record->timestamp, .size = record->size, .key_hash = record->key_hash};
    memcpy(pending->data + pending->end, &header, sizeof header);
    if (record->size)
        memcpy(pending->data + pending->end + sizeof header, record->data, record->size);
    pending->end = want;
}

struct record_ref pending_records_first(const struct pending_records *pending)
{
    assert(!pending_records_empty(pending));
    struct pending_header header;
    memcpy(&header, pending->data + pending->begin, sizeof header);
    return (struct record_ref){
        .data = pending->data + pending->begin + sizeof header,
        .size = header.size,
        .key_hash = header.key_hash,
        .timestamp = header.timestamp,
    };
}

void pending_records_remove_first(struct pending_records *pending)
{
    pending->begin += padded(pending_records_first(pending).size);
    if (pending_records_empty(pending))
        pending->begin = pending->end = 0;
}
