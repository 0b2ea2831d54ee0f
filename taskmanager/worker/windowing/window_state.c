/* Snapshots of a window operator and their restoration, also at another parallelism.
 *
 * A snapshot has one handle per key group, the watermark of the subtask as a property, and the accumulator's
 * layout. States of several subtasks may come together: their watermarks may differ, so each key group keeps
 * the watermark of the subtask that it was with, until event time has passed them all. Otherwise a late
 * record could open a window anew that has fired, or one in time would be dropped. */
#include <assert.h>
#include <stdlib.h>

#include "common/api/record.h"
#include "common/base/hash.h"
#include "common/base/memory.h"
#include "taskmanager/worker/state/state_handle.h"
#include "taskmanager/worker/windowing/window_inner.h"

static const char WATERMARK_PROPERTY[] = "watermark";

int64_t window_group_watermark(const void *self, uint32_t key_group)
{
    const struct window_operator *window = self;
    int64_t floor_ms = INT64_MIN;
    if (window->floors && key_group >= window->first_group && key_group <= window->last_group)
        floor_ms = window->floors[key_group - window->first_group];
    return floor_ms > window->watermark_ms ? floor_ms : window->watermark_ms;
}

int window_snapshot(struct operator_instance *op, uint64_t checkpoint_id, Weir__OperatorState *state,
                    struct error *err)
{
    (void)checkpoint_id;
    (void)err;
    struct window_operator *window = (struct window_operator *)op;
    state->layout = record_type_to_proto(window->aggregate->accumulator);
    slice_state_snapshot(&window->state, window->first_group, window->last_group, op->setup.max_parallelism,
                         window->watermark_ms, window_group_watermark, window, state);
    operator_state_set_int(state, WATERMARK_PROPERTY, window->watermark_ms);
    return 0;
}

static void raise_floor(struct window_operator *window, uint32_t key_group, int64_t watermark_ms)
{
    int64_t *floor_ms = &window->floors[key_group - window->first_group];
    if (watermark_ms > *floor_ms)
        *floor_ms = watermark_ms;
}

static bool is_mine(const struct window_operator *window, uint32_t key_group)
{
    return key_group >= window->first_group && key_group <= window->last_group;
}

/* The watermark of the subtask that the state is of counts for all key groups that it had, those without
 * state too. */
static int restore_watermark(struct window_operator *window, const Weir__OperatorState *state,
                             int64_t *lowest_ms, struct error *err)
{
    int64_t watermark_ms = INT64_MIN;
    int rc = operator_state_get_int(state, WATERMARK_PROPERTY, &watermark_ms, err);
    if (rc && rc != WEIR_E_NOT_FOUND)
        return rc;
    if (state->parallelism == 0 || state->subtask >= state->parallelism)
        return error_set(err, WEIR_E_CORRUPT, "state of subtask %u of %u", state->subtask,
                         state->parallelism);
    uint32_t first, last;
    key_group_range(state->subtask, state->parallelism, state->max_parallelism, &first, &last);
    first = first > window->first_group ? first : window->first_group;
    last = last < window->last_group ? last : window->last_group;
    for (uint32_t group = first; group <= last && first <= last; group++)
        raise_floor(window, group, watermark_ms);
    if (watermark_ms < *lowest_ms)
        *lowest_ms = watermark_ms;
    return 0;
}

static int restore_group(struct window_operator *window, const Weir__KeyGroupState *group,
                         const struct layout_mapping *mapping, struct error *err)
{
    const struct operator_setup *setup = &window->base.setup;
    if (!group->handle)
        return error_set(err, WEIR_E_CORRUPT, "key group %u has no state handle", group->key_group);
    void *data;
    size_t size;
    int rc = setup->read_state(setup->reader, group->handle, &data, &size, err);
    if (rc)
        return error_wrap(err, "key group %u", group->key_group);
    struct slice_restore restore = {
        .key_group = group->key_group, .max_parallelism = setup->max_parallelism, .mapping = mapping};
    int64_t watermark_ms;
    rc = slice_state_restore(&window->state, &restore, data, size, &watermark_ms, err);
    free(data);
    if (rc == 0)
        raise_floor(window, group->key_group, watermark_ms);
    return rc;
}

static int restore_state(struct window_operator *window, const Weir__OperatorState *state,
                         const Weir__RecordDescriptor *declared, int64_t *lowest_ms, struct error *err)
{
    const struct operator_setup *setup = &window->base.setup;
    if (state->max_parallelism != setup->max_parallelism)
        return error_set(
            err, WEIR_E_INVALID,
            "the state was made with a maximum parallelism of %u, the job has %u; they must be equal",
            state->max_parallelism, setup->max_parallelism);
    int rc = restore_watermark(window, state, lowest_ms, err);
    if (rc || state->n_keyed == 0)
        return rc;
    if (!state->layout)
        return error_set(err, WEIR_E_CORRUPT, "keyed state without a layout");
    struct layout_mapping mapping;
    rc = layout_map(state->layout, declared, setup->descriptor->uid, &mapping, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < state->n_keyed && !rc; i++)
        if (is_mine(window, state->keyed[i]->key_group))
            rc = restore_group(window, state->keyed[i], &mapping, err);
    layout_mapping_deinit(&mapping);
    return rc;
}

/* What all key groups have is the watermark; the floors stay only if some have more. */
static void settle_floors(struct window_operator *window)
{
    uint32_t count = window->last_group - window->first_group + 1;
    int64_t lowest = window->floors[0];
    window->highest_floor = window->floors[0];
    for (uint32_t i = 1; i < count; i++) {
        if (window->floors[i] < lowest)
            lowest = window->floors[i];
        if (window->floors[i] > window->highest_floor)
            window->highest_floor = window->floors[i];
    }
    window->watermark_ms = lowest;
    if (lowest == window->highest_floor) {
        free(window->floors);
        window->floors = NULL;
    }
}

int window_restore(struct window_operator *window, struct error *err)
{
    const struct operator_setup *setup = &window->base.setup;
    if (setup->restore_count == 0 || window->first_group > window->last_group)
        return 0;
    uint32_t count = window->last_group - window->first_group + 1;
    window->floors = xmalloc(count * sizeof *window->floors);
    for (uint32_t i = 0; i < count; i++)
        window->floors[i] = INT64_MIN;
    Weir__RecordDescriptor *declared = record_type_to_proto(window->aggregate->accumulator);
    int64_t lowest_ms = INT64_MAX;
    int rc = 0;
    for (size_t i = 0; i < setup->restore_count && !rc; i++)
        rc = restore_state(window, setup->restore[i], declared, &lowest_ms, err);
    weir__record_descriptor__free_unpacked(declared, NULL);
    if (rc)
        return error_wrap(err, "restore state of operator uid '%s'", setup->descriptor->uid);
    /* Of subtasks that had nothing here, the jobmanager sends each distinct watermark once: the others have
     * none lower. */
    for (uint32_t i = 0; i < count; i++)
        if (window->floors[i] == INT64_MIN)
            window->floors[i] = lowest_ms;
    settle_floors(window);
    return 0;
}
