/* Keyed state held per window slice: for each slice end a key table. One window operator of one subtask owns
 * it. */
#ifndef WEIR_STATE_SLICE_STATE_H
#define WEIR_STATE_SLICE_STATE_H

#include "common/base/error.h"
#include "proto/snapshot.pb-c.h"
#include "taskmanager/worker/state/key_table.h"
#include "taskmanager/worker/state/layout.h"

struct state_slice {
    int64_t end_ms; /* exclusive */
    struct key_table table;
};

struct slice_state {
    uint32_t accumulator_bytes;
    struct state_slice **slices; /* ascending ends; owned */
    uint32_t count;
    uint32_t capacity;
    struct state_slice *last;  /* of the last lookup */
    struct state_slice *spare; /* emptied, for the next new slice; owned */
};

void slice_state_init(struct slice_state *state, uint32_t accumulator_bytes);
void slice_state_deinit(struct slice_state *state);

struct state_slice *slice_state_find_or_add(struct slice_state *state, int64_t end_ms);
/* The slice that ends at end_ms, begun if there is none. */
static inline struct state_slice *slice_state_get(struct slice_state *state, int64_t end_ms)
{
    if (state->last && state->last->end_ms == end_ms)
        return state->last;
    return slice_state_find_or_add(state, end_ms);
}
static inline struct state_slice *slice_state_first(const struct slice_state *state)
{
    return state->count ? state->slices[0] : NULL;
}
void slice_state_remove_first(struct slice_state *state);
uint64_t slice_state_bytes(const struct slice_state *state);

/* The event time up to which a key group's windows have fired; INT64_MIN: none has. */
typedef int64_t slice_watermark_fn(const void *self, uint32_t key_group);

/* Puts the state into operator_state->keyed, one inline handle per key group that has entries or a watermark
 * above base_watermark_ms; [first, last] are the groups of this subtask. Empty before. */
void slice_state_snapshot(const struct slice_state *state, uint32_t first_group, uint32_t last_group,
                          uint32_t max_parallelism, int64_t base_watermark_ms,
                          slice_watermark_fn *watermark_of, const void *watermark_self,
                          Weir__OperatorState *operator_state);

struct slice_restore {
    uint32_t key_group;
    uint32_t max_parallelism;
    const struct layout_mapping *mapping;
};
/* Adds what the bytes of one key group hold. They come from a file: everything is checked. */
int slice_state_restore(struct slice_state *state, const struct slice_restore *restore, const void *data,
                        size_t size, int64_t *ret_watermark_ms, struct error *err) WEIR_CHECK;

#endif
