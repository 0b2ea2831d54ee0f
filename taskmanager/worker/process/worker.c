/* The life of the process: connecting, failing, ending. */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "taskmanager/worker/process/worker.h"

static const char logger[] = "weir.runtime.taskexecutor.Worker";

enum { FAREWELL_MS = 2000 };

static void on_closed(void *self)
{
    (void)self;
    _exit(3); /* the taskmanager is gone, and nobody else may be told */
}

static void ignore_farewell(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop until all that was said has arrived. Within a callback of the control socket or outside of
 * the loop only: in another's, the loop that runs inside would not get at wake-ups that the outer one has
 * already taken. */
static void drain(struct worker *worker)
{
    uv_timer_t timer;
    uv_timer_init(worker->loop, &timer);
    uint64_t until = uv_now(worker->loop) + FAREWELL_MS;
    uv_timer_start(&timer, ignore_farewell, 1, 1);
    while (worker->pair && !rpc_pair_is_drained(worker->pair) && uv_now(worker->loop) < until)
        uv_run(worker->loop, UV_RUN_ONCE);
}

void worker_fail(struct worker *worker, const char *sentence)
{
    log_error(logger, "%s", sentence);
    if (worker->deployment && worker->pair) {
        Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED);
        message->worker_exited = xmalloc(sizeof *message->worker_exited);
        weir__worker_exited__init(message->worker_exited);
        message->worker_exited->deployment = control_deployment(worker);
        message->worker_exited->exit_code = 1;
        message->worker_exited->error = xstrdup(sentence);
        rpc_pair_send_to_jobmanager(worker->pair, message);
        weir__to_job_manager__free_unpacked(message, NULL);
        drain(worker);
    }
    _exit(1); /* threads may run: no destructors under them */
}

static void on_network_finished(void *self)
{
    struct worker *worker = self;
    worker->network_finished = true;
    worker_maybe_end(worker);
}

void worker_task_ended(struct worker *worker)
{
    assert(worker->threads_running > 0);
    if (--worker->threads_running > 0)
        return;
    if (worker->task_failed && !worker->sleeper.canceled)
        return; /* the jobmanager will have this process killed; an orderly end would say that all is well */
    worker->state = WORKER_ENDING;
    network_finish(worker->network, worker->sleeper.canceled, on_network_finished, worker);
}

static void on_farewell(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    if (rpc_pair_is_drained(worker->pair) || uv_now(worker->loop) >= worker->farewell_until_ms)
        _exit(0);
}

void worker_maybe_end(struct worker *worker)
{
    if (worker->state != WORKER_ENDING || !worker->network_finished || worker->file_writes > 0 ||
        worker->farewell_until_ms > 0)
        return;
    uv_update_time(worker->loop);
    worker->farewell_until_ms = uv_now(worker->loop) + FAREWELL_MS;
    uv_timer_init(worker->loop, &worker->farewell_timer);
    worker->farewell_timer.data = worker;
    uv_timer_start(&worker->farewell_timer, on_farewell, 0, 1);
}

void worker_run(const struct worker_options *options)
{
    struct worker *worker = xcalloc(1, sizeof *worker);
    struct error err = {0};
    worker->options = *options;
    worker->loop = uv_default_loop();
    struct rpc_pair_callbacks callbacks = {
        .to_taskmanager = control_on_message, .closed = on_closed, .self = worker};
    if (outbox_open(&worker->outbox, worker, worker->loop, &err) || liveness_open(worker, &err) ||
        rpc_pair_dial(worker->loop, options->control, &callbacks, &worker->pair, &err))
        worker_fail(worker, err.message);
    uv_run(worker->loop, UV_RUN_DEFAULT);
    worker_fail(worker, "the worker's loop has nothing left to wait for");
}
