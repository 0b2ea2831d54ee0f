#include <string.h>

#include "common/base/memory.h"
#include "taskmanager/worker/process/worker.h"

/* One that has finished already is told of, too: the jobmanager knows which have. */
static void report_failed(struct worker *worker, uint32_t vertex, uint32_t subtask, const char *reason)
{
    Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_TASK_STATE);
    Weir__TaskStateUpdate *update = xmalloc(sizeof *update);
    weir__task_state_update__init(update);
    update->deployment = control_deployment(worker);
    update->vertex = vertex;
    update->subtask = subtask;
    update->state = WEIR__TASK_STATE__TASK_FAILED;
    update->error = xstrdup(reason);
    message->task_state = update;
    rpc_pair_send_to_jobmanager(worker->pair, message);
    weir__to_job_manager__free_unpacked(message, NULL);
}

static bool has_channel_to(const struct worker *worker, const Weir__TaskDeployment *task, const char *peer)
{
    const Weir__JobGraph *graph = worker->deploy->graph;
    for (uint32_t i = 0; i < job_runtime_remote_count(worker->runtime); i++) {
        const struct remote_channel *remote = job_runtime_remote(worker->runtime, i);
        const Weir__Edge *edge = graph->edges[remote->id.edge];
        uint32_t vertex = remote->is_output ? edge->source : edge->target;
        uint32_t subtask = remote->is_output ? remote->id.producer : remote->id.consumer;
        if (vertex == task->vertex && subtask == task->subtask && strcmp(remote->peer_worker, peer) == 0)
            return true;
    }
    return false;
}

void peer_lost(void *self, const char *peer, const char *message)
{
    struct worker *worker = self;
    if (worker->state != WORKER_RUNNING || worker->sleeper.canceled)
        return;
    worker->task_failed = true;
    for (size_t i = 0; i < worker->deploy->n_tasks; i++)
        if (has_channel_to(worker, worker->deploy->tasks[i], peer))
            report_failed(worker, worker->deploy->tasks[i]->vertex, worker->deploy->tasks[i]->subtask,
                          message);
}
