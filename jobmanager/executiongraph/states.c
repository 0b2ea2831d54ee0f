#include "jobmanager/executiongraph/states.h"

#include <assert.h>
#include <stdint.h>

/* Jobs (Flink's JobStatus; SUSPENDED and RECONCILING are for high availability and not entered):
 *
 *   INITIALIZING -> CREATED -> RUNNING ------------------------> FINISHED
 *                              |  ^  \
 *                              v  |   `-> FAILING ------------> FAILED
 *                         RESTARTING ----'   |
 *                              |             v
 *               (from CREATED, RUNNING, RESTARTING, FAILING) -> CANCELLING -> CANCELED
 */
#define JOB(state) (1u << JOB_##state)
static const struct {
    const char *name;
    uint32_t next;
    bool terminal;
} job_states[JOB_STATE_COUNT] = {
    [JOB_INITIALIZING] = {"INITIALIZING", JOB(CREATED) | JOB(FAILED), false},
    [JOB_CREATED] = {"CREATED", JOB(RUNNING) | JOB(CANCELLING), false},
    [JOB_RUNNING] = {"RUNNING", JOB(FINISHED) | JOB(RESTARTING) | JOB(FAILING) | JOB(CANCELLING), false},
    [JOB_RESTARTING] = {"RESTARTING", JOB(RUNNING) | JOB(FAILING) | JOB(CANCELLING), false},
    [JOB_FAILING] = {"FAILING", JOB(FAILED) | JOB(CANCELLING), false},
    [JOB_CANCELLING] = {"CANCELLING", JOB(CANCELED), false},
    [JOB_FAILED] = {"FAILED", 0, true},
    [JOB_CANCELED] = {"CANCELED", 0, true},
    [JOB_FINISHED] = {"FINISHED", 0, true},
    [JOB_SUSPENDED] = {"SUSPENDED", 0, false},
    [JOB_RECONCILING] = {"RECONCILING", 0, false},
};

/* Executions (Flink's ExecutionState):
 *
 *   CREATED -> SCHEDULED -> DEPLOYING -> INITIALIZING -> RUNNING -> FINISHED
 *      |           |            |             |             |
 *      |           |            `-------------+-------------+--> CANCELING -> CANCELED
 *      `-----------+---------------------------------------------------------> CANCELED
 *                  `------------+-------------+-------------+--> FAILED
 *
 * A task may finish before it says RUNNING (it had nothing to do). CANCELED directly: its worker is gone. The
 * next attempt is a new execution. */
#define TASK(state) (1u << WEIR__TASK_STATE__TASK_##state)
static const struct {
    const char *name;
    uint32_t next;
} task_states[TASK_STATE_COUNT] = {
    [WEIR__TASK_STATE__TASK_CREATED] = {"CREATED", TASK(SCHEDULED) | TASK(CANCELED)},
    [WEIR__TASK_STATE__TASK_SCHEDULED] = {"SCHEDULED", TASK(DEPLOYING) | TASK(CANCELED) | TASK(FAILED)},
    [WEIR__TASK_STATE__TASK_DEPLOYING] = {"DEPLOYING", TASK(INITIALIZING) | TASK(FINISHED) | TASK(CANCELING) |
                                                           TASK(CANCELED) | TASK(FAILED)},
    [WEIR__TASK_STATE__TASK_INITIALIZING] = {"INITIALIZING", TASK(RUNNING) | TASK(FINISHED) |
                                                                 TASK(CANCELING) | TASK(CANCELED) |
                                                                 TASK(FAILED)},
    [WEIR__TASK_STATE__TASK_RUNNING] = {"RUNNING",
                                        TASK(FINISHED) | TASK(CANCELING) | TASK(CANCELED) | TASK(FAILED)},
    [WEIR__TASK_STATE__TASK_CANCELING] = {"CANCELING", TASK(CANCELED)},
    [WEIR__TASK_STATE__TASK_FINISHED] = {"FINISHED", 0},
    [WEIR__TASK_STATE__TASK_CANCELED] = {"CANCELED", 0},
    [WEIR__TASK_STATE__TASK_FAILED] = {"FAILED", 0},
};

const char *job_state_name(enum job_state state)
{
    assert((unsigned)state < JOB_STATE_COUNT);
    return job_states[state].name;
}

bool job_state_is_terminal(enum job_state state)
{
    assert((unsigned)state < JOB_STATE_COUNT);
    return job_states[state].terminal;
}

bool job_state_may_become(enum job_state from, enum job_state to)
{
    assert((unsigned)from < JOB_STATE_COUNT && (unsigned)to < JOB_STATE_COUNT);
    return job_states[from].next >> to & 1;
}

const char *task_state_name(Weir__TaskState state)
{
    return task_state_is_known(state) ? task_states[state].name : "UNKNOWN";
}

bool task_state_is_known(Weir__TaskState state)
{
    return (unsigned)state < TASK_STATE_COUNT;
}

bool task_state_is_terminal(Weir__TaskState state)
{
    assert(task_state_is_known(state));
    return task_states[state].next == 0;
}

bool task_state_may_become(Weir__TaskState from, Weir__TaskState to)
{
    assert(task_state_is_known(from) && task_state_is_known(to));
    return task_states[from].next >> to & 1;
}
