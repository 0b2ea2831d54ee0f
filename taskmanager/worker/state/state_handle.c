#include "taskmanager/worker/state/state_handle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"

Weir__StateHandle *state_handle_inline(void *data_take, size_t size)
{
    Weir__StateHandle *handle = xmalloc(sizeof *handle);
    weir__state_handle__init(handle);
    handle->inline_.data = data_take;
    handle->inline_.len = size;
    handle->length = size;
    handle->checksum = hash64(data_take, size);
    return handle;
}

int state_handle_read_inline(const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                             struct error *err)
{
    if (handle->file && handle->file[0])
        return error_set(err, WEIR_E_INVALID, "state in file '%s' can't be read here", handle->file);
    if (handle->inline_.len != handle->length)
        return error_set(err, WEIR_E_CORRUPT, "inline state has %zu bytes instead of %" PRIu64,
                         handle->inline_.len, handle->length);
    if (hash64(handle->inline_.data, handle->inline_.len) != handle->checksum)
        return error_set(err, WEIR_E_CORRUPT, "checksum mismatch in %zu bytes of inline state",
                         handle->inline_.len);
    void *data = xmalloc(handle->inline_.len + 1);
    if (handle->inline_.len)
        memcpy(data, handle->inline_.data, handle->inline_.len);
    *ret_data = data;
    *ret_size = handle->inline_.len;
    return 0;
}

void operator_state_set_int(Weir__OperatorState *state, const char *key, int64_t value)
{
    Weir__KeyValue *property = xmalloc(sizeof *property);
    weir__key_value__init(property);
    property->key = xstrdup(key);
    property->value = xasprintf("%" PRId64, value);
    state->properties = xrealloc(state->properties, (state->n_properties + 1) * sizeof *state->properties);
    state->properties[state->n_properties++] = property;
}

int operator_state_get_int(const Weir__OperatorState *state, const char *key, int64_t *ret_value,
                           struct error *err)
{
    for (size_t i = 0; i < state->n_properties; i++) {
        const Weir__KeyValue *property = state->properties[i];
        if (!property->key || strcmp(property->key, key) != 0)
            continue;
        char *end = NULL;
        errno = 0;
        long long value = strtoll(property->value ? property->value : "", &end, 10);
        if (errno || !end || *end || end == property->value || !property->value)
            return error_set(err, WEIR_E_CORRUPT, "property '%s' of operator uid '%s' is '%s', not a number",
                             key, state->uid ? state->uid : "", property->value ? property->value : "");
        *ret_value = value;
        return 0;
    }
    return WEIR_E_NOT_FOUND;
}
