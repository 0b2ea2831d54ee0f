/* The dispatcher's lists of jobs; only for this folder. */
#ifndef WEIR_DISPATCHER_DISPATCHER_JOBS_H
#define WEIR_DISPATCHER_DISPATCHER_JOBS_H

#include "jobmanager/dispatcher/dispatcher.h"

/* Not started yet; its id is new. */
void dispatcher_add_job(struct dispatcher *dispatcher, struct job *job_take);
/* Removes settled jobs from the active ones, and the oldest ended ones beyond the limit from all. */
void dispatcher_forget_jobs(struct dispatcher *dispatcher);

#endif
