/* Copies of records that an operator did not take yet, first in first out. */
#ifndef WEIR_TASK_PENDING_RECORDS_H
#define WEIR_TASK_PENDING_RECORDS_H

#include "taskmanager/worker/operators/operator.h"

struct pending_records {
    unsigned char *data; /* owned */
    size_t begin;
    size_t end;
    size_t capacity;
};

static inline bool pending_records_empty(const struct pending_records *pending)
{
    return pending->begin == pending->end;
}
void pending_records_deinit(struct pending_records *pending);
void pending_records_add(struct pending_records *pending, const struct record_ref *record);
/* The oldest; valid until the next add. There is one. */
struct record_ref pending_records_first(const struct pending_records *pending);
void pending_records_remove_first(struct pending_records *pending);

#endif
