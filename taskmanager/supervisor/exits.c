/* How the end of a worker is told to the jobmanager. */
#include "taskmanager/supervisor/internal.h"

#include <string.h>

#include "common/base/memory.h"

static void send_exit(Weir__ToJobManager *message_take, struct supervisor_commands *commands)
{
    command_add(commands, SUPERVISOR_SEND_JM, 0)->to_jm = message_take;
}

void report_start_failure(const struct deployment *deployment, const char *job_name, const char *reason,
                          struct supervisor_commands *commands)
{
    Weir__ToJobManager *message = worker_exited_new(deployment);
    Weir__WorkerExited *exited = message->worker_exited;
    exited->exit_code = 1;
    exited->error = xasprintf("worker of job '%s' could not be started: %s", job_name, reason);
    command_log(commands, LOG_ERROR, "%s", exited->error);
    send_exit(message, commands);
}

static bool is_expected(const struct worker *worker, const struct supervisor_event *event)
{
    if (worker->stop_requested)
        return true;
    if (event->signal != 0 || event->exit_code != 0 || worker->reported_error)
        return false;
    if (worker->cancel_requested)
        return true;
    return worker->tasks_deployed > 0 && worker->tasks_ended >= worker->tasks_deployed;
}

static char *exit_sentence(const struct worker *worker, const struct supervisor_event *event)
{
    const char *message = event->message && *event->message ? event->message : NULL;
    if (worker->reported_error)
        return xasprintf("worker of job '%s' failed: %s", worker->job_name, worker->reported_error);
    if (event->signal != 0) {
        const char *name = sigabbrev_np((int)event->signal);
        return xasprintf("worker of job '%s' was killed by signal %u (%s%s)%s%s", worker->job_name,
                         event->signal, name ? "SIG" : "", name ? name : "unknown", message ? " " : "",
                         message ? message : "");
    }
    if (event->exit_code != 0)
        return xasprintf("worker of job '%s' ended with exit code %d%s%s", worker->job_name, event->exit_code,
                         message ? ": " : "", message ? message : "");
    return xasprintf("worker of job '%s' ended before all its tasks had ended%s%s", worker->job_name,
                     message ? ": " : "", message ? message : "");
}

void report_exit(const struct worker *worker, const struct supervisor_event *event,
                 struct supervisor_commands *commands)
{
    Weir__ToJobManager *message = worker_exited_new(&worker->deployment);
    Weir__WorkerExited *exited = message->worker_exited;
    exited->exit_code = event->signal != 0 ? -1 : event->exit_code;
    exited->signal = event->signal;
    exited->expected = is_expected(worker, event);
    if (!exited->expected) {
        exited->error = exit_sentence(worker, event);
        if (worker->reported_stack)
            exited->stack = xstrdup(worker->reported_stack);
        else if (event->stack && *event->stack)
            exited->stack = xstrdup(event->stack);
        command_log(commands, LOG_ERROR, "%s%s%s", exited->error, *exited->stack ? "\n" : "", exited->stack);
    } else {
        command_log(commands, LOG_INFO, "Worker of job '%s', attempt %u, has ended.", worker->job_name,
                    worker->deployment.attempt);
    }
    send_exit(message, commands);
}
