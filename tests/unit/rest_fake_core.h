/* A stand-in for the core's views in a known state, so that REST's answers can be compared to the byte. */
#ifndef WEIR_TESTS_REST_FAKE_CORE_H
#define WEIR_TESTS_REST_FAKE_CORE_H

#include "jobmanager/core/view.h"

enum { FAKE_NOW_MS = 100000, FAKE_JOBS = 3, FAKE_CHECKPOINTS = 4 };

/* Job 0 ("aa…") runs, two vertices of parallelism 2, with checkpoints of every kind and one exception; job 1
 * ("bb…") is FINISHED and has none; job 2 ("cc…") is CANCELED. One taskmanager "tm:1-abcdef" holds job 0. */
struct core {
    enum job_state states[FAKE_JOBS];
};

extern const char FAKE_JOB_RUNNING[], FAKE_JOB_FINISHED[], FAKE_JOB_CANCELED[];
extern const char FAKE_SOURCE[], FAKE_COUNTER[]; /* vertex ids */

struct core *fake_core(void); /* static; reset by each call */

#endif
