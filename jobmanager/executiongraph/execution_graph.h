/* A job's vertices and the present attempt of each of their subtasks, with states, timestamps, counters and
 * metrics. Owned by its job; pure. Counters are kept up by the switch functions, so that reading them costs
 * nothing. */
#ifndef WEIR_EXECUTIONGRAPH_EXECUTION_GRAPH_H
#define WEIR_EXECUTIONGRAPH_EXECUTION_GRAPH_H

#include "jobmanager/core/commands/step.h"
#include "jobmanager/executiongraph/states.h"

enum { ATTEMPT_ID_BYTES = WEIR_ID_HEX + 1 + WEIR_ID_HEX + 1 + 10 + 1 + 10 + 1 };

struct execution {
    Weir__TaskState state;
    uint32_t vertex;
    uint32_t subtask;
    char attempt_id[ATTEMPT_ID_BYTES]; /* "<graph id>_<vertex id>_<subtask>_<attempt>" */
    int64_t state_since_ms[TASK_STATE_COUNT];
    Weir__TaskMetrics metrics;
};

struct execution_vertex {
    const Weir__Vertex *descriptor;
    uint32_t first; /* index of its subtask 0 in executions */
    uint32_t by_state[TASK_STATE_COUNT];
    uint32_t ended;   /* subtasks in a terminal state */
    int64_t start_ms; /* first DEPLOYING of this attempt; −1 */
    int64_t end_ms;   /* when the last subtask ended; −1 */
    bool is_source;
};

struct execution_graph {
    struct weir_id job;
    struct weir_id id;
    Weir__JobGraph *descriptor; /* owned */
    struct execution_vertex *vertices;
    uint32_t vertex_count;
    struct execution *executions; /* vertex by vertex */
    uint32_t count;
    uint32_t by_state[TASK_STATE_COUNT];
    uint32_t ended; /* executions in a terminal state */
    uint32_t slots; /* widest vertex */
    uint32_t attempt;
    enum job_state state;
    int64_t state_ms[JOB_STATE_COUNT];
    int64_t last_modification_ms;
};

/* The descriptor has been validated. The job is INITIALIZING, executions are CREATED, attempt 0. */
void execution_graph_init(struct execution_graph *graph, const struct weir_id *job,
                          Weir__JobGraph *descriptor_take, struct step *step);
void execution_graph_deinit(struct execution_graph *graph);
/* New executions for the next attempt, all CREATED. */
void execution_graph_next_attempt(struct execution_graph *graph, struct step *step);

/* Moves the job; asserts that it may. */
void execution_graph_switch(struct execution_graph *graph, struct step *step, enum job_state state);
/* Moves an execution; asserts that it may. detail: behind the line, "on X @ host (dataPort=…)", or NULL. */
void execution_switch(struct execution_graph *graph, struct step *step, struct execution *execution,
                      Weir__TaskState state, const char *detail);

/* NULL: out of range. */
struct execution *execution_graph_find(const struct execution_graph *graph, uint32_t vertex,
                                       uint32_t subtask);
uint32_t execution_index(const struct execution_graph *graph, const struct execution *execution);
/* "ClickEvent Counter (1/2)"; malloc'ed. */
char *execution_name(const struct execution_graph *graph, const struct execution *execution);
/* As Flink's ExecutionJobVertex aggregates it. */
Weir__TaskState execution_vertex_status(const struct execution_vertex *vertex);
/* All executions are RUNNING or FINISHED, and one is RUNNING. */
bool execution_graph_is_running(const struct execution_graph *graph);

#endif
