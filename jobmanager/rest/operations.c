#include "jobmanager/rest/operations.h"

#include <stdlib.h>

#include "common/base/memory.h"

void rest_operations_deinit(struct rest_operations *operations)
{
    vec_for_each (item, &operations->items)
        free(item->text);
    vec_free(&operations->items);
}

struct rest_operation *rest_operations_find(struct rest_operations *operations, enum rest_operation_kind kind,
                                            const struct weir_id *job, const struct weir_id *trigger)
{
    vec_for_each (item, &operations->items)
        if (item->kind == kind && weir_id_equal(&item->job, job) && weir_id_equal(&item->trigger, trigger))
            return item;
    return NULL;
}

uint64_t rest_operations_begin(struct rest_operations *operations, enum rest_operation_kind kind,
                               const struct weir_id *job, const struct weir_id *trigger)
{
    if (operations->items.count == REST_OPERATIONS_MAX) {
        free(operations->items.items[0].text);
        vec_remove(&operations->items, 0);
    }
    uint64_t number = ++operations->last_number;
    vec_push(&operations->items,
             (struct rest_operation){.number = number, .kind = kind, .trigger = *trigger, .job = *job});
    return number;
}

void rest_operations_complete(struct rest_operations *operations, uint64_t number, int rc, const char *text,
                              uint64_t checkpoint_id)
{
    vec_for_each (item, &operations->items) {
        if (item->number != number || item->done)
            continue;
        item->done = true;
        item->rc = rc;
        item->text = text ? xstrdup(text) : NULL;
        item->checkpoint_id = checkpoint_id;
        return;
    }
}
