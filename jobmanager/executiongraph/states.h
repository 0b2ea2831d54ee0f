/* The lifecycles of jobs and of executions (one attempt at a subtask): declared tables of what may follow
 * what. */
#ifndef WEIR_EXECUTIONGRAPH_STATES_H
#define WEIR_EXECUTIONGRAPH_STATES_H

#include <stdbool.h>

#include "jobmanager/core/view.h"

bool job_state_may_become(enum job_state from, enum job_state to);
bool task_state_may_become(Weir__TaskState from, Weir__TaskState to);
bool task_state_is_terminal(Weir__TaskState state);
bool task_state_is_known(Weir__TaskState state); /* of a message: within the enum */

#endif
