#include "jobmanager/dispatcher/dispatcher_jobs.h"

#include <assert.h>

/* Where id is in by_id, or would be. */
static size_t position(const struct dispatcher *dispatcher, const struct weir_id *id)
{
    size_t low = 0, high = dispatcher->by_id.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(dispatcher->by_id.items[middle].id.bytes, id->bytes, WEIR_ID_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct job *dispatcher_find(const struct dispatcher *dispatcher, const struct weir_id *id)
{
    size_t at = position(dispatcher, id);
    if (at == dispatcher->by_id.count || !weir_id_equal(&dispatcher->by_id.items[at].id, id))
        return NULL;
    return dispatcher->by_id.items[at].job;
}

int32_t dispatcher_index(const struct dispatcher *dispatcher, const struct weir_id *id)
{
    const struct job *job = dispatcher_find(dispatcher, id);
    if (!job)
        return -1;
    size_t low = 0, high = dispatcher->jobs.count;
    while (low < high) { /* jobs are in the order of their sequence */
        size_t middle = low + (high - low) / 2;
        if (dispatcher->jobs.items[middle]->sequence < job->sequence)
            low = middle + 1;
        else
            high = middle;
    }
    assert(low < dispatcher->jobs.count && dispatcher->jobs.items[low] == job);
    return (int32_t)low;
}

void dispatcher_add_job(struct dispatcher *dispatcher, struct job *job_take)
{
    const struct weir_id *id = &job_take->graph.job;
    assert(!dispatcher_find(dispatcher, id));
    size_t at = position(dispatcher, id);
    vec_push(&dispatcher->by_id, (struct job_by_id){0});
    memmove(&dispatcher->by_id.items[at + 1], &dispatcher->by_id.items[at],
            (dispatcher->by_id.count - 1 - at) * sizeof *dispatcher->by_id.items);
    dispatcher->by_id.items[at] = (struct job_by_id){.id = *id, .job = job_take};
    /* One that had to wait for its snapshot comes behind those that came later meanwhile. */
    job_take->sequence = dispatcher->next_sequence++;
    vec_push(&dispatcher->jobs, job_take);
    vec_push(&dispatcher->active, job_take);
}

static void forget(struct dispatcher *dispatcher, size_t index)
{
    struct job *job = dispatcher->jobs.items[index];
    size_t at = position(dispatcher, &job->graph.job);
    assert(dispatcher->by_id.items[at].job == job);
    vec_remove(&dispatcher->by_id, at);
    vec_remove(&dispatcher->jobs, index);
    job_free(job);
}

void dispatcher_forget_jobs(struct dispatcher *dispatcher)
{
    size_t kept = 0;
    for (size_t i = 0; i < dispatcher->active.count; i++) {
        struct job *job = dispatcher->active.items[i];
        if (!job_is_settled(job))
            dispatcher->active.items[kept++] = job;
    }
    if (kept == dispatcher->active.count)
        return;
    dispatcher->active.count = kept;
    size_t settled = dispatcher->jobs.count - kept;
    for (size_t i = 0; i < dispatcher->jobs.count && settled > dispatcher->history;) {
        if (job_is_settled(dispatcher->jobs.items[i])) {
            forget(dispatcher, i);
            settled--;
        } else {
            i++;
        }
    }
}
