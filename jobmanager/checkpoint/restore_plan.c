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

/* Equal ones next to each other, by subtask. */
static int by_properties(const void *a, const void *b)
{
    const struct restore_entry *x = *(const struct restore_entry *const *)a,
                               *y = *(const struct restore_entry *const *)b;
    if (x->properties_hash != y->properties_hash)
        return x->properties_hash < y->properties_hash ? -1 : 1;
    return (x > y) - (x < y);
}

static int by_value(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Splits go to everybody, and each distinct set of properties: the subtasks of an operator mostly have the
 * same (a watermark), and giving each new subtask those of every old one would be quadratic. The first goes
 * to everybody in any case, so that all know that there is a state, if only an empty one. */
static void find_those_for_all(struct restore_plan *plan, struct restore_group *group)
{
    size_t count = group->end - group->first;
    struct restore_entry **sorted = xcalloc(count, sizeof *sorted);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &plan->entries[group->first + i];
        sorted[i]->properties_hash = hash_properties(sorted[i]->state);
    }
    qsort(sorted, count, sizeof *sorted, by_properties);
    for (size_t i = 0; i < count; i++) {
        const Weir__OperatorState *state = sorted[i]->state;
        size_t index = (size_t)(sorted[i] - plan->entries);
        bool distinct = state->n_properties > 0 && (i == 0 || !same_properties(sorted[i - 1]->state, state));
        if (distinct || state->n_splits > 0 || index == group->first)
            vec_push(&group->for_all, index);
    }
    qsort(group->for_all.items, group->for_all.count, sizeof *group->for_all.items, by_value);
    free(sorted);
}

void restore_plan_init(struct restore_plan *plan, Weir__SnapshotMetadata *snapshot_take)
{
    *plan = (struct restore_plan){.snapshot = snapshot_take};
    if (!snapshot_take || snapshot_take->n_operators == 0)
        return;
    plan->count = snapshot_take->n_operators;
    plan->entries = xcalloc(plan->count, sizeof *plan->entries);
    for (size_t i = 0; i < plan->count; i++) {
        const Weir__OperatorState *state = snapshot_take->operators[i];
        struct restore_entry *entry = &plan->entries[i];
        entry->state = state;
        key_group_range(state->subtask, state->parallelism, state->max_parallelism, &entry->first_group,
                        &entry->last_group);
    }
    qsort(plan->entries, plan->count, sizeof *plan->entries, by_uid);
    for (size_t first = 0, end; first < plan->count; first = end) {
        const char *uid = plan->entries[first].state->uid;
        for (end = first + 1; end < plan->count && strcmp(uid, plan->entries[end].state->uid) == 0;)
            end++;
        vec_push(&plan->groups, (struct restore_group){.uid = uid, .first = first, .end = end});
        find_those_for_all(plan, &plan->groups.items[plan->groups.count - 1]);
    }
}

void restore_plan_deinit(struct restore_plan *plan)
{
    vec_for_each (group, &plan->groups)
        vec_free(&group->for_all);
    vec_free(&plan->groups);
    free(plan->entries);
    if (plan->snapshot)
        weir__snapshot_metadata__free_unpacked(plan->snapshot, NULL);
    *plan = (struct restore_plan){0};
}

static int compare_uid(const void *uid, const void *group)
{
    return strcmp(uid, ((const struct restore_group *)group)->uid);
}

/* The first entry of the group whose subtask had key group key_group or a higher one. */
static size_t find_subtask(const struct restore_plan *plan, const struct restore_group *group,
                           uint32_t key_group)
{
    size_t low = group->first, high = group->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (plan->entries[middle].last_group < key_group)
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

struct part_list vec_of(Weir__OperatorState *);

/* What a subtask with the key groups [first, last] gets of one operator, by old subtask. */
static void assign(const struct restore_plan *plan, const struct restore_group *group, uint32_t first,
                   uint32_t last, struct part_list *parts)
{
    size_t next = find_subtask(plan, group, first), all = 0;
    for (;;) {
        bool takes_over = next < group->end && plan->entries[next].first_group <= last;
        bool more = all < group->for_all.count;
        if (!takes_over && !more)
            return;
        size_t index = !takes_over ? group->for_all.items[all] : next;
        if (more && group->for_all.items[all] < index)
            index = group->for_all.items[all];
        bool for_all = more && group->for_all.items[all] == index;
        all += for_all;
        next += takes_over && index == next;
        const Weir__OperatorState *state = plan->entries[index].state;
        if (for_all || state->n_keyed > 0 || state->n_properties > 0)
            vec_push(parts, copy_part(state, find_key_group(state, first), find_key_group(state, last + 1)));
    }
}

void restore_plan_assign(const struct restore_plan *plan, const Weir__Vertex *vertex,
                         Weir__TaskDeployment *task)
{
    assert(task->n_restore == 0);
    if (plan->count == 0)
        return;
    uint32_t first, last;
    key_group_range(task->subtask, vertex->parallelism, vertex->max_parallelism, &first, &last);
    struct part_list parts = {0};
    for (size_t i = 0; i < vertex->n_operators; i++) {
        const struct restore_group *group =
            bsearch(vertex->operators[i]->uid, plan->groups.items, plan->groups.count,
                    sizeof *plan->groups.items, compare_uid);
        if (group)
            assign(plan, group, first, last, &parts);
    }
    task->restore = parts.items;
    task->n_restore = parts.count;
}
