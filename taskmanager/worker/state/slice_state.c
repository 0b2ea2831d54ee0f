#include "taskmanager/worker/state/slice_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void slice_state_init(struct slice_state *state, uint32_t accumulator_bytes)
{
    *state = (struct slice_state){.accumulator_bytes = accumulator_bytes};
}

static void slice_free(struct state_slice *slice)
{
    if (!slice)
        return;
    key_table_deinit(&slice->table);
    free(slice);
}

void slice_state_deinit(struct slice_state *state)
{
    for (uint32_t i = 0; i < state->count; i++)
        slice_free(state->slices[i]);
    slice_free(state->spare);
    free(state->slices);
    *state = (struct slice_state){0};
}

/* Index of the first slice that ends at or after end_ms. */
static uint32_t lower_bound(const struct slice_state *state, int64_t end_ms)
{
    uint32_t low = 0, high = state->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (state->slices[middle]->end_ms < end_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct state_slice *slice_state_find_or_add(struct slice_state *state, int64_t end_ms)
{
    uint32_t at = lower_bound(state, end_ms);
    if (at < state->count && state->slices[at]->end_ms == end_ms)
        return state->last = state->slices[at];
    if (state->count == state->capacity) {
        state->capacity = state->capacity ? 2 * state->capacity : 8;
        state->slices = xrealloc(state->slices, state->capacity * sizeof *state->slices);
    }
    struct state_slice *slice = state->spare;
    state->spare = NULL;
    if (!slice) {
        slice = xmalloc(sizeof *slice);
        key_table_init(&slice->table, state->accumulator_bytes);
    }
    slice->end_ms = end_ms;
    memmove(&state->slices[at + 1], &state->slices[at], (state->count - at) * sizeof *state->slices);
    state->slices[at] = slice;
    state->count++;
    return state->last = slice;
}

void slice_state_remove_first(struct slice_state *state)
{
    assert(state->count > 0);
    struct state_slice *slice = state->slices[0];
    state->count--;
    memmove(&state->slices[0], &state->slices[1], state->count * sizeof *state->slices);
    if (state->last == slice)
        state->last = NULL;
    if (state->spare) {
        slice_free(slice);
    } else {
        key_table_clear(&slice->table);
        state->spare = slice;
    }
}

uint64_t slice_state_bytes(const struct slice_state *state)
{
    uint64_t bytes = state->spare ? key_table_bytes(&state->spare->table) : 0;
    for (uint32_t i = 0; i < state->count; i++)
        bytes += sizeof *state->slices[i] + key_table_bytes(&state->slices[i]->table);
    return bytes;
}
