#include "jobmanager/checkpoint/state_check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/graph/graph_validate.h"

static bool file_name_is_safe(const char *name)
{
    size_t length = strnlen(name, STATE_FILE_NAME_BYTES_MAX + 1);
    if (length == 0 || length > STATE_FILE_NAME_BYTES_MAX || name[0] == '/')
        return false;
    for (const char *part = name; part;) {
        const char *slash = strchr(part, '/');
        size_t part_length = slash ? (size_t)(slash - part) : strlen(part);
        if (part_length == 0 || (part_length <= 2 && memcmp(part, "..", part_length) == 0))
            return false;
        part = slash ? slash + 1 : NULL;
    }
    return true;
}

static int handle_validate(const Weir__StateHandle *handle, struct error *err)
{
    if (!handle)
        return error_set(err, WEIR_E_INVALID, "a state handle is missing");
    bool file = handle->file && *handle->file;
    if (file && !file_name_is_safe(handle->file))
        return error_set(err, WEIR_E_INVALID,
                         "the file name %.100s does not stay below the checkpoint's directory", handle->file);
    if (file && handle->inline_.len > 0)
        return error_set(err, WEIR_E_INVALID, "a state handle is both inline and in file %.100s",
                         handle->file);
    if (file && handle->offset > UINT64_MAX - handle->length)
        return error_set(err, WEIR_E_INVALID, "the range of a state in file %.100s overflows", handle->file);
    if (!file && handle->length != handle->inline_.len)
        return error_set(err, WEIR_E_INVALID, "an inline state has %zu bytes and says %llu",
                         handle->inline_.len, (unsigned long long)handle->length);
    return 0;
}

int operator_state_validate(const Weir__OperatorState *state, uint32_t first_key_group,
                            uint32_t last_key_group, struct error *err)
{
    uint64_t next = first_key_group;
    for (size_t i = 0; i < state->n_keyed; i++) {
        const Weir__KeyGroupState *keyed = state->keyed[i];
        if (keyed->key_group < next || keyed->key_group > last_key_group)
            return error_set(err, WEIR_E_INVALID,
                             "operator %.100s: key group %u is not in its subtask's range %u…%u, or "
                             "not in ascending order",
                             state->uid, keyed->key_group, first_key_group, last_key_group);
        next = (uint64_t)keyed->key_group + 1;
        int rc = handle_validate(keyed->handle, err);
        if (rc < 0)
            return error_wrap(err, "operator %.100s, key group %u", state->uid, keyed->key_group);
    }
    if (state->layout) {
        int rc = record_descriptor_validate(state->layout, "state layout", err);
        if (rc < 0)
            return error_wrap(err, "operator %.100s", state->uid);
    }
    return 0;
}

static int by_uid(const void *a, const void *b)
{
    const Weir__OperatorState *x = *(const Weir__OperatorState *const *)a,
                              *y = *(const Weir__OperatorState *const *)b;
    int order = strcmp(x->uid, y->uid);
    return order ? order : (x->subtask > y->subtask) - (x->subtask < y->subtask);
}

static int state_bounds_validate(const Weir__OperatorState *state, struct error *err)
{
    int rc = text_validate(state->uid, GRAPH_UID_BYTES_MAX, "uid of an operator", err);
    if (rc < 0)
        return rc;
    if (state->max_parallelism < 1 || state->max_parallelism > GRAPH_PARALLELISM_MAX ||
        state->parallelism < 1 || state->parallelism > state->max_parallelism ||
        state->subtask >= state->parallelism)
        return error_set(err, WEIR_E_CORRUPT,
                         "operator %s: subtask %u of parallelism %u, maximum %u, is not possible", state->uid,
                         state->subtask, state->parallelism, state->max_parallelism);
    return operator_state_validate(state, 0, state->max_parallelism - 1, err);
}

/* States sorted by uid and subtask, each sane in itself. */
static int overlaps_validate(Weir__OperatorState *const *states, size_t count, struct error *err)
{
    uint8_t *seen = xcalloc(GRAPH_PARALLELISM_MAX / 8, 1);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        const Weir__OperatorState *state = states[i], *before = i > 0 ? states[i - 1] : NULL;
        if (!before || strcmp(before->uid, state->uid) != 0)
            memset(seen, 0, GRAPH_PARALLELISM_MAX / 8);
        else if (before->subtask == state->subtask || before->parallelism != state->parallelism ||
                 before->max_parallelism != state->max_parallelism)
            rc = error_set(err, WEIR_E_CORRUPT,
                           "operator %s: the states of its subtasks contradict each other", state->uid);
        for (size_t k = 0; k < state->n_keyed && rc == 0; k++) {
            uint32_t group = state->keyed[k]->key_group;
            if (seen[group / 8] >> (group % 8) & 1)
                rc = error_set(err, WEIR_E_CORRUPT, "operator %s: key group %u occurs twice", state->uid,
                               group);
            seen[group / 8] |= (uint8_t)(1u << (group % 8));
        }
    }
    free(seen);
    return rc;
}

int snapshot_validate(const Weir__SnapshotMetadata *snapshot, struct error *err)
{
    if (snapshot->version != SNAPSHOT_VERSION)
        return error_set(err, WEIR_E_VERSION, "the snapshot is of format %u, this jobmanager knows %d",
                         snapshot->version, (int)SNAPSHOT_VERSION);
    if (snapshot->checkpoint_id == 0 || snapshot->checkpoint_id > INT64_MAX)
        return error_set(err, WEIR_E_CORRUPT, "the snapshot has the impossible checkpoint id %llu",
                         (unsigned long long)snapshot->checkpoint_id);
    for (size_t i = 0; i < snapshot->n_operators; i++) {
        int rc = state_bounds_validate(snapshot->operators[i], err);
        if (rc < 0)
            return rc;
    }
    size_t count = snapshot->n_operators;
    Weir__OperatorState **sorted = xmemdup(snapshot->operators, count * sizeof(Weir__OperatorState *));
    if (count > 0)
        qsort(sorted, count, sizeof(Weir__OperatorState *), by_uid);
    int rc = overlaps_validate(sorted, count, err);
    free(sorted);
    return rc;
}
