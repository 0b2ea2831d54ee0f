/* Whether anybody still wants this worker, and the reports that it sends meanwhile. */
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/sys/clock.h"
#include "common/sys/process.h"
#include "taskmanager/worker/process/worker.h"

enum { REPORT_MS_MAX = 1000, LIVENESS_EXIT_CODE = 3 };
static const char logger[] = "weir.runtime.taskexecutor.Worker";

static void report_metrics(struct worker *worker)
{
    Weir__ToJobManager *message = control_message(worker, WEIR__TO_JOB_MANAGER__BODY_METRICS);
    Weir__MetricsReport *report = xmalloc(sizeof *report);
    weir__metrics_report__init(report);
    report->deployment = control_deployment(worker);
    report->resident_bytes = resident_bytes_of_self();
    report->n_tasks = job_runtime_task_count(worker->runtime);
    report->tasks = xcalloc(report->n_tasks, sizeof(Weir__TaskMetrics *));
    for (uint32_t i = 0; i < report->n_tasks; i++) {
        report->tasks[i] = xmalloc(sizeof *report->tasks[i]);
        weir__task_metrics__init(report->tasks[i]);
        task_read_metrics(job_runtime_task(worker->runtime, i), report->tasks[i]);
    }
    message->metrics = report;
    rpc_pair_send_to_jobmanager(worker->pair, message);
    weir__to_job_manager__free_unpacked(message, NULL);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    int64_t silence_ms = boottime_ms() - worker->heard_ms;
    if (worker->config && silence_ms > config_duration_ms(worker->config, OPT_HEARTBEAT_TIMEOUT)) {
        log_error(logger, "Nothing was heard of the jobmanager for %lld ms: the worker ends itself.",
                  (long long)silence_ms);
        _exit(LIVENESS_EXIT_CODE);
    }
    if (worker->runtime)
        report_metrics(worker);
}

/* Nothing is ever written to the pipe: readable means end of file. */
static void on_liveness(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    _exit(LIVENESS_EXIT_CODE);
}

int liveness_open(struct worker *worker, struct error *err)
{
    worker->heard_ms = boottime_ms();
    int rc = uv_poll_init(worker->loop, &worker->liveness_poll, worker->options.liveness_fd);
    if (!rc)
        rc = uv_poll_start(&worker->liveness_poll, UV_READABLE | UV_DISCONNECT, on_liveness);
    if (!rc)
        rc = uv_timer_init(worker->loop, &worker->heartbeat_timer);
    worker->heartbeat_timer.data = worker;
    if (!rc)
        rc = uv_timer_start(&worker->heartbeat_timer, on_heartbeat, REPORT_MS_MAX, REPORT_MS_MAX);
    return rc ? error_set(err, WEIR_E_IO, "watch the taskmanager: %s", uv_strerror(rc)) : WEIR_OK;
}
