#include "taskmanager/worker/connectors/split_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void split_state_add(Weir__OperatorState *state, const char *split, uint8_t version, const int64_t *values,
                     uint32_t value_count)
{
    assert(value_count <= SPLIT_STATE_VALUES_MAX);
    Weir__SplitState *added = xmalloc(sizeof *added);
    weir__split_state__init(added);
    added->split = xstrdup(split);
    added->state.len = 1 + 8 * (size_t)value_count;
    added->state.data = xmalloc(added->state.len);
    uint8_t *p = added->state.data;
    *p++ = version;
    for (uint32_t i = 0; i < value_count; i++)
        for (int shift = 0; shift < 64; shift += 8)
            *p++ = (uint8_t)((uint64_t)values[i] >> shift);
    state->splits = xrealloc(state->splits, (state->n_splits + 1) * sizeof *state->splits);
    state->splits[state->n_splits++] = added;
}

int split_state_decode(const Weir__SplitState *state, uint8_t version, int64_t *ret_values,
                       uint32_t value_count, struct error *err)
{
    assert(value_count <= SPLIT_STATE_VALUES_MAX);
    if (state->state.len == 0)
        return error_set(err, WEIR_E_CORRUPT, "the state of split %s is empty", state->split);
    if (state->state.data[0] != version)
        return error_set(err, WEIR_E_VERSION,
                         "the state of split %s has version %u, this Weir reads version %u", state->split,
                         state->state.data[0], version);
    if (state->state.len != 1 + 8 * (size_t)value_count)
        return error_set(err, WEIR_E_CORRUPT, "the state of split %s has %zu bytes instead of %zu",
                         state->split, state->state.len, 1 + 8 * (size_t)value_count);
    const uint8_t *p = state->state.data + 1;
    for (uint32_t i = 0; i < value_count; i++) {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 8)
            value |= (uint64_t)*p++ << shift;
        ret_values[i] = (int64_t)value;
    }
    return WEIR_OK;
}

void state_property_add(Weir__OperatorState *state, const char *key, const char *value)
{
    Weir__KeyValue *added = xmalloc(sizeof *added);
    weir__key_value__init(added);
    added->key = xstrdup(key);
    added->value = xstrdup(value);
    state->properties = xrealloc(state->properties, (state->n_properties + 1) * sizeof *state->properties);
    state->properties[state->n_properties++] = added;
}

const char *state_property(const Weir__OperatorState *state, const char *key)
{
    for (size_t i = 0; i < state->n_properties; i++)
        if (strcmp(state->properties[i]->key, key) == 0)
            return state->properties[i]->value;
    return NULL;
}
