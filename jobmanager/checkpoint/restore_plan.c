#include "jobmanager/checkpoint/restore_plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"
#include "common/base/vec.h"
#include "jobmanager/core/commands/step.h"

static int by_uid(const void *a, const void *b)
{
    const Weir__OperatorState *x = ((const struct restore_entry *)a)->state,
                              *y = ((const struct restore_entry *)b)->state;
    int order = strcmp(x->uid, y->uid);
    return order ? order : (x->subtask > y->subtask) - (x->subtask < y->subtask);
}

static uint64_t hash_properties(const Weir__OperatorState *state)
{
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    for (size_t i = 0; i < state->n_properties; i++) {
        const Weir__KeyValue *property = state->properties[i];
        XXH3_64bits_update(&hash, property->key, strlen(property->key) + 1);
        XXH3_64bits_update(&hash, property->value, strlen(property->value) + 1);
    }
    return XXH3_64bits_digest(&hash);
}

static bool same_properties(const Weir__OperatorState *a, const Weir__OperatorState *b)
{
    if (a->n_properties != b->n_properties)
        return false;
    for (size_t i = 0; i < a->n_properties; i++)
        if (strcmp(a->properties[i]->key, b->properties[i]->key) != 0 ||
            strcmp(a->properties[i]->value, b->properties[i]->value) != 0)
            return false;
    return true;
}

static int by_properties(const void *a, const void *b)
{
    const struct restore_entry *x = *(const struct restore_entry *const *)a,
                               *y = *(const struct restore_entry *const *)b;
    if (x->properties_hash != y->properties_hash)
        return x->properties_hash < y->properties_hash ? -1 : 1;
    return (x > y) - (x < y);
}

/* The subtasks of an operator mostly have the same properties (a watermark): giving each new subtask those of
 * every old one would be quadratic. */
static void mark_distinct_properties(struct restore_entry *entries, size_t count)
{
    struct restore_entry **sorted = xcalloc(count, sizeof *sorted);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &entries[i];
        entries[i].properties_hash = hash_properties(entries[i].state);
    }
    qsort(sorted, count, sizeof *sorted, by_properties);
    for (size_t i = 0; i < count; i++)
        sorted[i]->is_given_to_all = sorted[i]->state->n_properties > 0 &&
                                     (i == 0 || !same_properties(sorted[i - 1]->state, sorted[i]->state));
    entries[0].is_given_to_all =
        true; /* so that everybody knows that there is a state, if only an empty one */
    free(sorted);
}

void restore_plan_init(struct restore_plan *plan, Weir__SnapshotMetadata *snapshot_take)
{
    *plan = (struct restore_plan){.snapshot = snapshot_take};
    if (!snapshot_take || snapshot_take->n_operators == 0)
        return;
    plan->count = snapshot_take->n_operators;
    plan->entries = xcalloc(plan->count, sizeof *plan->entries);
    for (size_t i = 0; i < plan->count; i++)
        plan->entries[i].state = snapshot_take->operators[i];
    qsort(plan->entries, plan->count, sizeof *plan->entries, by_uid);
    for (size_t first = 0, end; first < plan->count; first = end) {
        for (end = first + 1; end < plan->count &&
                              strcmp(plan->entries[first].state->uid, plan->entries[end].state->uid) == 0;)
            end++;
        mark_distinct_properties(&plan->entries[first], end - first);
    }
}

void restore_plan_deinit(struct restore_plan *plan)
{
    free(plan->entries);
    if (plan->snapshot)
        weir__snapshot_metadata__free_unpacked(plan->snapshot, NULL);
    *plan = (struct restore_plan){0};
}

/* The first entry of uid or behind it. */
static size_t lower_bound(const struct restore_plan *plan, const char *uid)
{
    size_t low = 0, high = plan->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(plan->entries[middle].state->uid, uid) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Index of the first key group that is not below key_group. */
static size_t find_key_group(const Weir__OperatorState *state, uint32_t key_group)
{
    size_t low = 0, high = state->n_keyed;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (state->keyed[middle]->key_group < key_group)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A copy of state with its key groups [from, to) only. */
static Weir__OperatorState *copy_part(const Weir__OperatorState *state, size_t from, size_t to)
{
    Weir__OperatorState part = *state;
    part.keyed = to > from ? state->keyed + from : NULL;
    part.n_keyed = to - from;
    if (part.n_keyed == 0)
        part.layout = NULL;
    return message_copy(&part);
}

/* Whether the old subtask had any of the key groups [first, last]. */
static bool had_any(const Weir__OperatorState *state, uint32_t first, uint32_t last)
{
    uint32_t old_first, old_last;
    key_group_range(state->subtask, state->parallelism, state->max_parallelism, &old_first, &old_last);
    return old_first <= last && first <= old_last;
}

/* Properties of those whose key groups the subtask takes over come with them, others' if they are not known
 * yet. */
static bool is_wanted(const struct restore_entry *entry, uint32_t first, uint32_t last)
{
    const Weir__OperatorState *state = entry->state;
    return state->n_splits > 0 || entry->is_given_to_all ||
           ((state->n_keyed > 0 || state->n_properties > 0) && had_any(state, first, last));
}

void restore_plan_assign(const struct restore_plan *plan, const Weir__Vertex *vertex,
                         Weir__TaskDeployment *task)
{
    uint32_t first, last;
    key_group_range(task->subtask, vertex->parallelism, vertex->max_parallelism, &first, &last);
    struct vec_of(Weir__OperatorState *) states = {0};
    for (size_t i = 0; i < vertex->n_operators; i++) {
        const char *uid = vertex->operators[i]->uid;
        size_t k = lower_bound(plan, uid);
        for (; k < plan->count && strcmp(plan->entries[k].state->uid, uid) == 0; k++) {
            const Weir__OperatorState *state = plan->entries[k].state;
            if (!is_wanted(&plan->entries[k], first, last))
                continue;
            vec_push(&states,
                     copy_part(state, find_key_group(state, first), find_key_group(state, last + 1)));
        }
    }
    assert(task->n_restore == 0);
    task->restore = states.items;
    task->n_restore = states.count;
}
