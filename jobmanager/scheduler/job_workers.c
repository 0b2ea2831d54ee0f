#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "jobmanager/scheduler/job.h"

static const char slot_logger[] = "weir.runtime.resourcemanager.slotmanager.SlotManager";

void job_clear_workers(struct job *job)
{
    vec_for_each (worker, &job->workers) {
        free(worker->task_manager);
        free(worker->host);
        free(worker->data_address);
    }
    vec_clear(&job->workers);
    vec_clear(&job->by_session);
    free(job->slot_worker);
    free(job->slot_index);
    job->slot_worker = job->slot_index = NULL;
    job->live_workers = job->ready_workers = job->deployed_workers = 0;
}

static int by_session(const void *a, const void *b)
{
    const struct worker_by_session *x = a, *y = b;
    return (x->session > y->session) - (x->session < y->session);
}

static void add_workers(struct job *job, const struct slot_grant *grants)
{
    uint32_t count = job->graph.slots;
    job->slot_worker = xcalloc(count, sizeof *job->slot_worker);
    job->slot_index = xcalloc(count, sizeof *job->slot_index);
    for (uint32_t i = 0; i < count; i++) {
        const struct task_manager *task_manager = grants[i].task_manager;
        if (i == 0 || grants[i - 1].task_manager != task_manager) {
            vec_push(&job->workers, (struct job_worker){
                                        .state = WORKER_STARTING,
                                        .session = task_manager->session,
                                        .task_manager = xstrdup(task_manager->id),
                                        .host = xstrdup(task_manager->host),
                                        .data_address = xstrdup(""),
                                        .first_slot = i,
                                        .stop_deadline_ms = INT64_MAX,
                                    });
            vec_push(&job->by_session,
                     (struct worker_by_session){task_manager->session, (uint32_t)job->workers.count - 1});
        }
        job->workers.items[job->workers.count - 1].slot_count++;
        job->slot_worker[i] = (uint32_t)job->workers.count - 1;
        job->slot_index[i] = grants[i].slot;
    }
    qsort(job->by_session.items, job->by_session.count, sizeof *job->by_session.items, by_session);
    job->live_workers = (uint32_t)job->workers.count;
}

bool job_try_slots(struct job *job, struct step *step, struct slot_pool *pool)
{
    assert(job->phase == PHASE_WAITS_FOR_SLOTS && job->workers.count == 0);
    uint32_t count = job->graph.slots;
    struct slot_grant *grants = xcalloc(count, sizeof *grants);
    bool enough = slot_pool_allocate(pool, &job->graph.job, count, grants);
    if (enough) {
        char id[WEIR_ID_HEX + 1];
        add_workers(job, grants);
        step_log(step, LOG_INFO, slot_logger, "Assigned %u slots on %zu taskmanagers to job %s.", count,
                 job->workers.count, weir_id_format(&job->graph.job, id));
        job->phase = PHASE_STARTS_WORKERS;
        job->slot_deadline_ms = INT64_MAX;
        vec_for_each (worker, &job->workers)
            step_send(step, worker->session, job_start_worker_message(job, worker));
    }
    free(grants);
    return enough;
}

struct job_worker *job_find_worker(const struct job *job, uint64_t session)
{
    struct worker_by_session wanted = {.session = session};
    if (job->by_session.count == 0)
        return NULL;
    const struct worker_by_session *found =
        bsearch(&wanted, job->by_session.items, job->by_session.count, sizeof wanted, by_session);
    if (!found || job->workers.items[found->worker].state == WORKER_GONE)
        return NULL;
    return &job->workers.items[found->worker];
}

struct job_worker *job_worker_of(const struct job *job, const struct execution *execution)
{
    if (!job->slot_worker)
        return NULL;
    struct job_worker *worker = &job->workers.items[job->slot_worker[execution->subtask]];
    return worker->state == WORKER_GONE ? NULL : worker;
}

struct execution *job_worker_task(const struct job *job, const struct job_worker *worker, uint64_t *cursor)
{
    /* cursor: vertex × slots of the worker + slot */
    for (; *cursor < (uint64_t)job->graph.vertex_count * worker->slot_count; ++*cursor) {
        uint32_t vertex = (uint32_t)(*cursor / worker->slot_count);
        uint32_t subtask = worker->first_slot + (uint32_t)(*cursor % worker->slot_count);
        struct execution *execution = execution_graph_find(&job->graph, vertex, subtask);
        if (execution) {
            ++*cursor;
            return execution;
        }
    }
    return NULL;
}

void job_stop_worker(struct job *job, struct step *step, struct job_worker *worker, const char *reason)
{
    assert(worker->state != WORKER_GONE);
    if (worker->state == WORKER_STOPPING)
        return;
    struct deployment deployment = job_deployment(job);
    worker->state = WORKER_STOPPING;
    worker->stop_deadline_ms = step->now_ms + WORKER_STOP_TIMEOUT_MS;
    if (worker->stop_deadline_ms < job->stop_deadline_ms)
        job->stop_deadline_ms = worker->stop_deadline_ms;
    step_send(step, worker->session, message_stop_worker(&deployment, reason));
}

void job_stop_workers(struct job *job, struct step *step, const char *reason)
{
    vec_for_each (worker, &job->workers)
        if (worker->state != WORKER_GONE)
            job_stop_worker(job, step, worker, reason);
}

void job_worker_gone(struct job *job, struct step *step, struct job_worker *worker, bool cancel_tasks)
{
    assert(worker->state != WORKER_GONE && job->live_workers > 0);
    worker->state = WORKER_GONE;
    worker->stop_deadline_ms = INT64_MAX;
    if (--job->live_workers == 0)
        job->stop_at_ms = job->stop_deadline_ms = INT64_MAX;
    if (!cancel_tasks)
        return;
    uint64_t cursor = 0;
    for (struct execution *execution; (execution = job_worker_task(job, worker, &cursor));)
        if (!task_state_is_terminal(execution->state))
            execution_switch(&job->graph, step, execution, WEIR__TASK_STATE__TASK_CANCELED, NULL);
}

char *job_worker_location(const struct job_worker *worker)
{
    const char *colon = strrchr(worker->data_address, ':');
    return xasprintf("on %s @ %s (dataPort=%s)", worker->task_manager, worker->host,
                     colon ? colon + 1 : "-1");
}

uint64_t job_overdue_worker(const struct job *job, int64_t now_ms)
{
    if (now_ms < job->stop_deadline_ms)
        return 0;
    vec_for_each (worker, &job->workers)
        if (worker->state == WORKER_STOPPING && now_ms >= worker->stop_deadline_ms)
            return worker->session;
    return 0;
}

void job_update_stop_deadline(struct job *job)
{
    job->stop_deadline_ms = INT64_MAX;
    vec_for_each (worker, &job->workers)
        if (worker->state == WORKER_STOPPING && worker->stop_deadline_ms < job->stop_deadline_ms)
            job->stop_deadline_ms = worker->stop_deadline_ms;
}
