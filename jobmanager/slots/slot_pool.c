#include "jobmanager/slots/slot_pool.h"

#include <assert.h>

#include "common/base/memory.h"

static void task_manager_free(struct task_manager *task_manager)
{
    free(task_manager->id);
    free(task_manager->rpc_address);
    free(task_manager->host);
    free(task_manager->data_address);
    free(task_manager->slots);
    free(task_manager);
}

void slot_pool_deinit(struct slot_pool *pool)
{
    vec_for_each (item, &pool->task_managers)
        task_manager_free(*item);
    vec_free(&pool->task_managers);
    vec_free(&pool->by_session);
}

/* Where session is in by_session, or would be. */
static size_t position(const struct slot_pool *pool, uint64_t session)
{
    size_t low = 0, high = pool->by_session.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pool->by_session.items[middle]->session < session)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct task_manager *slot_pool_add(struct slot_pool *pool, const Weir__RegisterTaskManager *registration,
                                   uint64_t session)
{
    assert(session != 0 && !slot_pool_find(pool, session));
    assert(registration->slots > 0 && registration->slots <= TASK_MANAGER_SLOTS_MAX);
    struct task_manager *task_manager = xcalloc(1, sizeof *task_manager);
    *task_manager = (struct task_manager){
        .session = session,
        .id = xstrdup(registration->task_manager_id),
        .rpc_address = xstrdup(registration->rpc_address),
        .host = xstrdup(registration->host),
        .data_address = xstrdup(""),
        .cpu_cores = registration->cpu_cores,
        .physical_memory_bytes = registration->physical_memory_bytes,
        .process_memory_bytes = registration->process_memory_bytes,
        .slots = xcalloc(registration->slots, sizeof(struct slot)),
        .slot_count = registration->slots,
        .free_slots = registration->slots,
    };
    vec_push(&pool->task_managers, task_manager);
    size_t at = position(pool, session);
    vec_push(&pool->by_session, NULL);
    memmove(&pool->by_session.items[at + 1], &pool->by_session.items[at],
            (pool->by_session.count - 1 - at) * sizeof *pool->by_session.items);
    pool->by_session.items[at] = task_manager;
    pool->slots_total += task_manager->slot_count;
    pool->slots_free += task_manager->free_slots;
    pool->grown = true;
    return task_manager;
}

void slot_pool_remove(struct slot_pool *pool, struct task_manager *task_manager)
{
    size_t at = position(pool, task_manager->session);
    assert(at < pool->by_session.count && pool->by_session.items[at] == task_manager);
    vec_remove(&pool->by_session, at);
    size_t index = 0;
    while (pool->task_managers.items[index] != task_manager)
        index++;
    vec_remove(&pool->task_managers, index);
    assert(pool->slots_total >= task_manager->slot_count && pool->slots_free >= task_manager->free_slots);
    pool->slots_total -= task_manager->slot_count;
    pool->slots_free -= task_manager->free_slots;
    task_manager_free(task_manager);
}

struct task_manager *slot_pool_find(const struct slot_pool *pool, uint64_t session)
{
    size_t at = position(pool, session);
    if (at == pool->by_session.count || pool->by_session.items[at]->session != session)
        return NULL;
    return pool->by_session.items[at];
}

struct task_manager *slot_pool_find_id(const struct slot_pool *pool, const char *id)
{
    vec_for_each (item, &pool->task_managers)
        if (strcmp((*item)->id, id) == 0)
            return *item;
    return NULL;
}

/* Puts count free slots of one taskmanager into grants. */
static void take(struct slot_pool *pool, struct task_manager *task_manager, const struct weir_id *job,
                 uint32_t count, struct slot_grant *grants)
{
    assert(count <= task_manager->free_slots);
    for (uint32_t i = 0, given = 0; given < count; i++) {
        assert(i < task_manager->slot_count);
        struct slot *slot = &task_manager->slots[i];
        if (slot->taken) {
            assert(!weir_id_equal(&slot->job, job));
            continue;
        }
        *slot = (struct slot){.taken = true, .job = *job};
        grants[given++] = (struct slot_grant){.task_manager = task_manager, .slot = i};
    }
    task_manager->free_slots -= count;
    pool->slots_free -= count;
}

struct candidate {
    struct task_manager *task_manager;
    size_t registered;
};

/* Most free slots first, then the one registered first. */
static int by_free_slots(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->task_manager->free_slots != y->task_manager->free_slots)
        return x->task_manager->free_slots < y->task_manager->free_slots ? 1 : -1;
    return (x->registered > y->registered) - (x->registered < y->registered);
}

/* From the sorted candidates, of which that at from has enough: the smallest that has, so that large ones
 * stay whole; of equals the one registered first. */
static size_t best_fit(const struct candidate *candidates, size_t from, size_t count, uint32_t missing)
{
    size_t chosen = from;
    for (size_t i = from + 1; i < count && candidates[i].task_manager->free_slots >= missing; i++)
        if (candidates[i].task_manager->free_slots < candidates[chosen].task_manager->free_slots)
            chosen = i;
    return chosen;
}

bool slot_pool_allocate(struct slot_pool *pool, const struct weir_id *job, uint32_t count,
                        struct slot_grant *ret_grants)
{
    assert(count > 0);
    if (pool->slots_free < count)
        return false;
    struct vec_of(struct candidate) candidates = {0};
    for (size_t i = 0; i < pool->task_managers.count; i++)
        if (pool->task_managers.items[i]->free_slots > 0)
            vec_push(&candidates, (struct candidate){pool->task_managers.items[i], i});
    qsort(candidates.items, candidates.count, sizeof *candidates.items, by_free_slots);
    uint32_t given = 0;
    for (size_t i = 0; given < count; i++) {
        assert(i < candidates.count);
        uint32_t missing = count - given;
        if (candidates.items[i].task_manager->free_slots >= missing)
            i = best_fit(candidates.items, i, candidates.count, missing);
        struct task_manager *chosen = candidates.items[i].task_manager;
        uint32_t part = chosen->free_slots < missing ? chosen->free_slots : missing;
        take(pool, chosen, job, part, &ret_grants[given]);
        given += part;
    }
    vec_free(&candidates);
    return true;
}

void slot_pool_release(struct slot_pool *pool, struct task_manager *task_manager, const struct weir_id *job)
{
    for (uint32_t i = 0; i < task_manager->slot_count; i++) {
        struct slot *slot = &task_manager->slots[i];
        if (!slot->taken || !weir_id_equal(&slot->job, job))
            continue;
        *slot = (struct slot){0};
        task_manager->free_slots++;
        pool->slots_free++;
        pool->grown = true;
    }
    assert(task_manager->free_slots <= task_manager->slot_count && pool->slots_free <= pool->slots_total);
}
