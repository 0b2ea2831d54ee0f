/* Following a submitted job over REST. */
#ifndef WEIR_CLIENT_JOB_WAIT_H
#define WEIR_CLIENT_JOB_WAIT_H

#include <signal.h>
#include <stdint.h>

#include "client/rest_client.h"

enum job_outcome { OUTCOME_STARTED, OUTCOME_FINISHED, OUTCOME_FAILED, OUTCOME_CANCELED, OUTCOME_INTERRUPTED };

/* Until the job is past INITIALIZING. */
int job_wait_started(struct rest_client *rest, const char *job, enum job_outcome *ret_outcome,
                     struct error *err) WEIR_CHECK;
/* Until it ends, or *interrupted is set. */
int job_wait_end(struct rest_client *rest, const char *job, const volatile sig_atomic_t *interrupted,
                 enum job_outcome *ret_outcome, struct error *err) WEIR_CHECK;
/* How long an ended job ran. */
int job_runtime_ms(struct rest_client *rest, const char *job, int64_t *ret_ms, struct error *err) WEIR_CHECK;
/* The newest failure as text (malloc'ed). */
char *job_root_cause(struct rest_client *rest, const char *job);

#endif
