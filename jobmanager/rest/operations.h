/* Operations that were begun over REST and go on in the background: savepoints, stops, checkpoints,
 * disposals. Remembered for those who ask what became of them, up to a limit. On the loop thread. */
#ifndef WEIR_REST_OPERATIONS_H
#define WEIR_REST_OPERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/base/vec.h"

enum { REST_OPERATIONS_MAX = 1000 };
enum rest_operation_kind { OPERATION_SAVEPOINT, OPERATION_CHECKPOINT, OPERATION_DISPOSAL };

struct rest_operation {
    uint64_t number; /* names it towards the environment */
    enum rest_operation_kind kind;
    struct weir_id trigger; /* names it towards clients */
    struct weir_id job;     /* zero: DISPOSAL */
    bool done;
    int rc;
    char *text; /* when done: path (rc 0) or message; owned; may be NULL */
    uint64_t checkpoint_id;
};

struct rest_operations {
    uint64_t last_number;
    struct vec_of(struct rest_operation) items; /* oldest first */
};

void rest_operations_deinit(struct rest_operations *operations);
/* NULL: there is none, or it was long ago. Valid until the next begin. */
struct rest_operation *rest_operations_find(struct rest_operations *operations, enum rest_operation_kind kind,
                                            const struct weir_id *job, const struct weir_id *trigger);
/* Its number. */
uint64_t rest_operations_begin(struct rest_operations *operations, enum rest_operation_kind kind,
                               const struct weir_id *job, const struct weir_id *trigger);
void rest_operations_complete(struct rest_operations *operations, uint64_t number, int rc, const char *text,
                              uint64_t checkpoint_id);

#endif
