#include "jobmanager/executiongraph/execution_graph.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "common/graph/graph_validate.h"

static const char logger[] = "weir.runtime.executiongraph.ExecutionGraph";

static void reset_execution(struct execution_graph *graph, struct execution *execution, uint32_t vertex,
                            uint32_t subtask, int64_t now_ms)
{
    char graph_id[WEIR_ID_HEX + 1], vertex_id[WEIR_ID_HEX + 1];
    struct weir_id id;
    const Weir__Vertex *descriptor = graph->vertices[vertex].descriptor;
    memcpy(id.bytes, descriptor->id.data, WEIR_ID_BYTES);
    *execution =
        (struct execution){.state = WEIR__TASK_STATE__TASK_CREATED, .vertex = vertex, .subtask = subtask};
    execution->state_since_ms[WEIR__TASK_STATE__TASK_CREATED] = now_ms;
    weir__task_metrics__init(&execution->metrics);
    execution->metrics.vertex = vertex;
    execution->metrics.subtask = subtask;
    execution->metrics.watermark_ms = INT64_MIN;
    snprintf(execution->attempt_id, sizeof execution->attempt_id, "%s_%s_%u_%u",
             weir_id_format(&graph->id, graph_id), weir_id_format(&id, vertex_id), subtask, graph->attempt);
}

static void reset(struct execution_graph *graph, int64_t now_ms)
{
    memset(graph->by_state, 0, sizeof graph->by_state);
    graph->by_state[WEIR__TASK_STATE__TASK_CREATED] = graph->count;
    graph->ended = 0;
    for (uint32_t v = 0; v < graph->vertex_count; v++) {
        struct execution_vertex *vertex = &graph->vertices[v];
        memset(vertex->by_state, 0, sizeof vertex->by_state);
        vertex->by_state[WEIR__TASK_STATE__TASK_CREATED] = vertex->descriptor->parallelism;
        vertex->ended = 0;
        vertex->start_ms = vertex->end_ms = -1;
        for (uint32_t s = 0; s < vertex->descriptor->parallelism; s++)
            reset_execution(graph, &graph->executions[vertex->first + s], v, s, now_ms);
    }
}

void execution_graph_init(struct execution_graph *graph, const struct weir_id *job,
                          Weir__JobGraph *descriptor_take, struct step *step)
{
    *graph = (struct execution_graph){
        .job = *job,
        .id = random_id(step->random),
        .descriptor = descriptor_take,
        .vertex_count = (uint32_t)descriptor_take->n_vertices,
        .vertices = xcalloc(descriptor_take->n_vertices, sizeof *graph->vertices),
        .state = JOB_INITIALIZING,
        .last_modification_ms = step->now_ms,
    };
    graph->state_ms[JOB_INITIALIZING] = step->now_ms;
    for (uint32_t v = 0; v < graph->vertex_count; v++) {
        const Weir__Vertex *descriptor = descriptor_take->vertices[v];
        graph->vertices[v].descriptor = descriptor;
        graph->vertices[v].first = graph->count;
        graph->vertices[v].is_source = vertex_is_source(descriptor);
        graph->count += descriptor->parallelism;
        if (descriptor->parallelism > graph->slots)
            graph->slots = descriptor->parallelism;
    }
    assert(graph->count > 0 && graph->count <= GRAPH_SUBTASKS_MAX);
    graph->executions = xcalloc(graph->count, sizeof *graph->executions);
    reset(graph, step->now_ms);
}

void execution_graph_deinit(struct execution_graph *graph)
{
    weir__job_graph__free_unpacked(graph->descriptor, NULL);
    free(graph->vertices);
    free(graph->executions);
    *graph = (struct execution_graph){0};
}

void execution_graph_next_attempt(struct execution_graph *graph, struct step *step)
{
    assert(graph->ended == graph->count);
    graph->attempt++;
    reset(graph, step->now_ms);
    graph->last_modification_ms = step->now_ms;
}

void execution_graph_switch(struct execution_graph *graph, struct step *step, enum job_state state)
{
    assert(job_state_may_become(graph->state, state));
    char id[WEIR_ID_HEX + 1];
    step_log(step, LOG_INFO, logger, "Job %s (%s) switched from state %s to %s.", graph->descriptor->name,
             weir_id_format(&graph->job, id), job_state_name(graph->state), job_state_name(state));
    graph->state = state;
    graph->state_ms[state] = step->now_ms;
    graph->last_modification_ms = step->now_ms;
}

void execution_switch(struct execution_graph *graph, struct step *step, struct execution *execution,
                      Weir__TaskState state, const char *detail)
{
    Weir__TaskState from = execution->state;
    assert(task_state_may_become(from, state));
    struct execution_vertex *vertex = &graph->vertices[execution->vertex];
    assert(graph->by_state[from] > 0 && vertex->by_state[from] > 0);
    step_log(step, LOG_INFO, logger, "%s (%u/%u) (%s) switched from %s to %s%s%s.", vertex->descriptor->name,
             execution->subtask + 1, vertex->descriptor->parallelism, execution->attempt_id,
             task_state_name(from), task_state_name(state), detail ? " " : "", detail ? detail : "");
    execution->state = state;
    execution->state_since_ms[state] = step->now_ms;
    graph->last_modification_ms = step->now_ms;
    graph->by_state[from]--;
    graph->by_state[state]++;
    vertex->by_state[from]--;
    vertex->by_state[state]++;
    if (state == WEIR__TASK_STATE__TASK_DEPLOYING && vertex->start_ms < 0)
        vertex->start_ms = step->now_ms;
    if (task_state_is_terminal(state)) {
        graph->ended++;
        if (++vertex->ended == vertex->descriptor->parallelism)
            vertex->end_ms = step->now_ms;
    }
}

struct execution *execution_graph_find(const struct execution_graph *graph, uint32_t vertex, uint32_t subtask)
{
    if (vertex >= graph->vertex_count || subtask >= graph->vertices[vertex].descriptor->parallelism)
        return NULL;
    return &graph->executions[graph->vertices[vertex].first + subtask];
}

uint32_t execution_index(const struct execution_graph *graph, const struct execution *execution)
{
    return (uint32_t)(execution - graph->executions);
}

char *execution_name(const struct execution_graph *graph, const struct execution *execution)
{
    const Weir__Vertex *descriptor = graph->vertices[execution->vertex].descriptor;
    return xasprintf("%s (%u/%u)", descriptor->name, execution->subtask + 1, descriptor->parallelism);
}

Weir__TaskState execution_vertex_status(const struct execution_vertex *vertex)
{
    static const Weir__TaskState by_weight[] = {
        WEIR__TASK_STATE__TASK_FAILED, WEIR__TASK_STATE__TASK_CANCELING, WEIR__TASK_STATE__TASK_CANCELED,
        WEIR__TASK_STATE__TASK_INITIALIZING, WEIR__TASK_STATE__TASK_RUNNING};
    for (size_t i = 0; i < sizeof by_weight / sizeof by_weight[0]; i++)
        if (vertex->by_state[by_weight[i]] > 0)
            return by_weight[i];
    uint32_t finished = vertex->by_state[WEIR__TASK_STATE__TASK_FINISHED];
    if (finished > 0)
        return finished == vertex->descriptor->parallelism ? WEIR__TASK_STATE__TASK_FINISHED
                                                           : WEIR__TASK_STATE__TASK_RUNNING;
    return WEIR__TASK_STATE__TASK_CREATED;
}

bool execution_graph_is_running(const struct execution_graph *graph)
{
    uint32_t running = graph->by_state[WEIR__TASK_STATE__TASK_RUNNING];
    return running > 0 && running + graph->by_state[WEIR__TASK_STATE__TASK_FINISHED] == graph->count;
}
