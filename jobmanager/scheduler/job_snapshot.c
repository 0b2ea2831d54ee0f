/* Savepoints and checkpoints that somebody asks for. */
#include "common/base/memory.h"
#include "jobmanager/scheduler/job.h"

static const char logger[] = "weir.runtime.jobmaster.JobMaster";

static void log_wish(struct job *job, struct step *step, const struct snapshot_wish *wish)
{
    char id[WEIR_ID_HEX + 1];
    const char *what = !wish->savepoint                           ? "checkpoint"
                       : wish->stop != WEIR__STOP_MODE__STOP_NONE ? "stop-with-savepoint"
                       : wish->cancel                             ? "cancel-with-savepoint"
                                                                  : "savepoint";
    step_log(step, LOG_INFO, logger, "Triggering %s for job %s.", what, weir_id_format(&job->graph.job, id));
}

void job_take_snapshot(struct job *job, struct step *step, uint64_t request, const struct snapshot_wish *wish)
{
    log_wish(job, step, wish);
    checkpoint_coordinator_wish(&job->checkpoints, step, &job->graph, request, wish);
}

void job_cancel_with_savepoint(struct job *job, struct step *step, const struct checkpoint_action *action)
{
    char id[WEIR_ID_HEX + 1];
    struct error err = {0};
    weir_id_format(&job->graph.job, id);
    step_log(step, LOG_INFO, logger, "Savepoint stored in file:%s. Now cancelling %s.", action->path, id);
    if (job_cancel(job, step, &err) < 0)
        step_log(step, LOG_WARN, logger, "Job %s can't be cancelled: %s", id, err.message);
}
