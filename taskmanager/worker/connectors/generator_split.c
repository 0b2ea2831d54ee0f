#include "taskmanager/worker/connectors/generator_split.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "taskmanager/worker/connectors/split_state.h"

enum { STATE_VERSION = 1, STATE_VALUES = 5 };

void generator_splits_initial(struct generator_splits *splits, int64_t count, uint32_t subtask,
                              uint32_t parallelism)
{
    struct generator_split split = {.step = 1, .max_timestamp_ms = INT64_MIN};
    if (count > 0) {
        split.first = (int64_t)((__int128)count * subtask / parallelism);
        split.end = (int64_t)((__int128)count * (subtask + 1) / parallelism);
    } else {
        split.first = subtask;
        split.step = parallelism;
        split.end = INT64_MAX;
    }
    split.next = split.first;
    if (!generator_split_is_done(&split))
        vec_push(splits, split);
}

static int by_first(const void *a, const void *b)
{
    const struct generator_split *x = a;
    const struct generator_split *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int load(const Weir__SplitState *state, struct generator_splits *splits, struct error *err)
{
    int64_t v[STATE_VALUES];
    int rc = split_state_decode(state, STATE_VERSION, v, STATE_VALUES, err);
    if (rc != WEIR_OK)
        return rc;
    struct generator_split split = {
        .first = v[0], .next = v[1], .step = v[2], .end = v[3], .max_timestamp_ms = v[4]};
    if (split.first < 0 || split.next < split.first || split.step <= 0 || split.end < 0)
        return error_set(err, WEIR_E_CORRUPT, "the state of split %s has impossible numbers", state->split);
    vec_push(splits, split);
    return WEIR_OK;
}

int generator_splits_restore(struct generator_splits *splits, Weir__OperatorState *const *states,
                             size_t state_count, uint32_t subtask, uint32_t parallelism, uint32_t *ret_total,
                             struct error *err)
{
    struct generator_splits all = {0};
    int rc = WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < state_count; i++)
        for (size_t j = 0; rc == WEIR_OK && j < states[i]->n_splits; j++)
            rc = load(states[i]->splits[j], &all, err);
    if (rc == WEIR_OK && all.count > 0)
        qsort(all.items, all.count, sizeof *all.items, by_first);
    uint32_t total = 0;
    for (size_t i = 0; rc == WEIR_OK && i < all.count; i++) {
        const struct generator_split *split = &all.items[i];
        if (i > 0 && split->first == all.items[i - 1].first)
            rc = error_set(err, WEIR_E_CORRUPT, "the snapshot has the split from index %" PRId64 " twice",
                           split->first);
        else if (!generator_split_is_done(split) && total++ % parallelism == subtask)
            vec_push(splits, *split);
    }
    vec_free(&all);
    if (rc == WEIR_OK)
        *ret_total = total;
    return rc;
}

void generator_split_save(const struct generator_split *split, Weir__OperatorState *state)
{
    char name[80];
    if (split->end == INT64_MAX)
        snprintf(name, sizeof name, "%" PRId64 "+%" PRId64, split->first, split->step);
    else
        snprintf(name, sizeof name, "%" PRId64 "-%" PRId64, split->first, split->end - 1);
    int64_t values[STATE_VALUES] = {split->first, split->next, split->step, split->end,
                                    split->max_timestamp_ms};
    split_state_add(state, name, STATE_VERSION, values, STATE_VALUES);
}
