/* The splits of generator and sequence: arithmetic sequences of indexes, cut at the first start and dealt out
 * anew at a restore. */
#ifndef WEIR_CONNECTORS_GENERATOR_SPLIT_H
#define WEIR_CONNECTORS_GENERATOR_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/vec.h"
#include "proto/snapshot.pb-c.h"

struct generator_split {
    int64_t first; /* names it, with step and end; the same for ever */
    int64_t next;  /* the next index to emit */
    int64_t step;
    int64_t end; /* exclusive; INT64_MAX: without end */
    int64_t max_timestamp_ms;
    uint32_t watermark; /* in source_output.watermarks */
};
struct generator_splits vec_of(struct generator_split);

/* The subtask's split at a fresh start. count: indexes 0 … count − 1, of which it gets a range; 0: without
 * end, and it gets every parallelism-th. None when there is nothing for it. */
void generator_splits_initial(struct generator_splits *splits, int64_t count, uint32_t subtask,
                              uint32_t parallelism);
/* From the states of all subtasks: those not yet done, in the order of their first index, in turn to the
 * subtasks. *ret_total: of all subtasks. */
int generator_splits_restore(struct generator_splits *splits, Weir__OperatorState *const *states,
                             size_t state_count, uint32_t subtask, uint32_t parallelism, uint32_t *ret_total,
                             struct error *err) WEIR_CHECK;
void generator_split_save(const struct generator_split *split, Weir__OperatorState *state);

static inline bool generator_split_is_done(const struct generator_split *split)
{
    return split->next >= split->end;
}

static inline void generator_split_advance(struct generator_split *split)
{
    if (__builtin_add_overflow(split->next, split->step, &split->next))
        split->next = INT64_MAX;
}

#endif
