/* From a client's request to a running job: check, make the effective configuration, read the snapshot if it
 * starts from one. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/graph/graph_validate.h"
#include "jobmanager/checkpoint/state_check.h"
#include "jobmanager/dispatcher/dispatcher_jobs.h"

static const char logger[] = "weir.runtime.dispatcher.Dispatcher";
static const char master_logger[] = "weir.runtime.jobmaster.JobMaster";

static int program_validate(const Weir__JobProgram *program, struct error *err)
{
    if (!program || program->artifact_sha256.len != 32)
        return error_set(err, WEIR_E_INVALID, "the submission does not say which artifact it belongs to");
    int rc = text_validate(program->file_name, GRAPH_NAME_BYTES_MAX, "file name of the job", err);
    if (rc < 0)
        return rc;
    if (program->n_arguments > SUBMISSION_ARGUMENTS_MAX)
        return error_set(err, WEIR_E_LIMIT, "the job has %zu arguments, more than %d", program->n_arguments,
                         (int)SUBMISSION_ARGUMENTS_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < program->n_arguments; i++)
        bytes += strnlen(program->arguments[i], SUBMISSION_TEXT_BYTES_MAX);
    if (bytes >= SUBMISSION_TEXT_BYTES_MAX)
        return error_set(err, WEIR_E_LIMIT, "the job's arguments have more than %d bytes in sum",
                         (int)SUBMISSION_TEXT_BYTES_MAX);
    return 0;
}

static int submission_validate(const struct dispatcher *dispatcher, const Weir__SubmitJob *submit,
                               struct error *err)
{
    if (!submit || !submit->graph)
        return error_set(err, WEIR_E_INVALID, "the submission has no job graph");
    if (dispatcher->active.count + dispatcher->submissions.count >= JOBS_LIVE_MAX)
        return error_set(err, WEIR_E_LIMIT, "there are %d jobs already: cancel some", (int)JOBS_LIVE_MAX);
    int rc = graph_validate(submit->graph, err);
    if (rc == 0)
        rc = program_validate(submit->program, err);
    if (rc == 0 && submit->restore_path && *submit->restore_path)
        rc = text_validate(submit->restore_path, GRAPH_NAME_BYTES_MAX, "path of the snapshot", err);
    return rc;
}

static void accept(struct dispatcher *dispatcher, struct step *step, uint64_t request, struct job *job)
{
    char id[WEIR_ID_HEX + 1];
    step_log(step, LOG_INFO, logger, "Submitting job '%s' (%s).", job->graph.descriptor->name,
             weir_id_format(&job->graph.job, id));
    dispatcher_add_job(dispatcher, job);
    job_start(job, step, &dispatcher->incarnation);
    step_reply_submit(step, request, 0, NULL, &job->graph.job);
}

static void refuse(struct step *step, uint64_t request, const struct error *err)
{
    step_log(step, LOG_WARN, logger, "Refusing a job submission: %s", err->message);
    step_reply_submit(step, request, err->rc, err->message, NULL);
}

static struct weir_id new_job_id(const struct dispatcher *dispatcher, struct step *step)
{
    struct weir_id id;
    do
        id = random_id(step->random);
    while (dispatcher_find(dispatcher, &id));
    return id;
}

void dispatcher_submit(struct dispatcher *dispatcher, struct step *step, uint64_t request,
                       const Weir__SubmitJob *submit)
{
    struct error err = {0};
    struct job *job = NULL;
    if (submission_validate(dispatcher, submit, &err) < 0) {
        refuse(step, request, &err);
        return;
    }
    char id[WEIR_ID_HEX + 1];
    struct job_setup setup = {.id = new_job_id(dispatcher, step),
                              .sequence = dispatcher->next_sequence++,
                              .submit = submit,
                              .config = dispatcher->config};
    step_log(step, LOG_INFO, logger, "Received job submission '%s' (%s).", submit->graph->name,
             weir_id_format(&setup.id, id));
    if (job_new(&setup, step, &job, &err) < 0) {
        refuse(step, request, &err);
    } else if (submit->restore_path && *submit->restore_path) {
        vec_push(&dispatcher->submissions,
                 (struct submission){
                     .request = request, .job = job, .restore_path = xstrdup(submit->restore_path)});
        step_load_snapshot(step, &setup.id, submit->restore_path);
    } else {
        accept(dispatcher, step, request, job);
    }
}

static int restore_from(struct job *job, struct step *step, const struct submission *submission,
                        const struct core_event *event, struct error *err)
{
    if (event->rc < 0)
        return error_set(err, event->rc, "can't start from %.500s: %s", submission->restore_path,
                         event->message ? event->message : weir_rc_text(event->rc));
    assert(event->snapshot && event->snapshot_path);
    int rc = snapshot_validate(event->snapshot, err);
    if (rc < 0)
        return error_wrap(err, "can't start from %.500s", submission->restore_path);
    rc = restore_match(event->snapshot, submission->restore_path, job->graph.descriptor,
                       job->max_parallelism_is_given, job->allow_non_restored_state, err);
    if (rc < 0)
        return rc;
    char id[WEIR_ID_HEX + 1];
    step_log(step, LOG_INFO, master_logger, "Starting job %s from savepoint file:%s (%s)",
             weir_id_format(&job->graph.job, id), event->snapshot_path,
             job->allow_non_restored_state ? "allowing non restored state" : "");
    checkpoint_coordinator_set_initial(&job->checkpoints, step, event->snapshot, event->snapshot_path);
    return 0;
}

void dispatcher_snapshot_loaded(struct dispatcher *dispatcher, struct step *step,
                                const struct core_event *event)
{
    size_t at = 0;
    while (at < dispatcher->submissions.count &&
           !weir_id_equal(&dispatcher->submissions.items[at].job->graph.job, &event->job))
        at++;
    if (at == dispatcher->submissions.count)
        return;
    struct submission submission = dispatcher->submissions.items[at];
    vec_remove(&dispatcher->submissions, at);
    struct error err = {0};
    if (restore_from(submission.job, step, &submission, event, &err) < 0) {
        refuse(step, submission.request, &err);
        job_free(submission.job);
    } else {
        accept(dispatcher, step, submission.request, submission.job);
    }
    free(submission.restore_path);
}
