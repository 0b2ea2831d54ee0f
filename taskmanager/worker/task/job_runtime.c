/* Happy path: every subtask's place comes from the deployment's peers; for each edge and each pair of
 * subtasks of which one is here there is a channel: shared when both are, else one side of a remote one. Then
 * the tasks are made on them.
 *
 * Possible failure modes (nothing is started then): a deployment that doesn't fit its graph: a task or edge
 * to nowhere, subtasks without a place, edges against the order of the vertices. */
#include "taskmanager/worker/task/job_runtime.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/vec.h"
#include "taskmanager/worker/task/job_edges.h"
#include "taskmanager/worker/task/operator_table.h"

/* What a task's state reader needs besides the worker's: where its files are relative to. */
struct state_reader {
    const struct job_runtime_setup *setup;
    const char *restore_base;
};

struct job_runtime {
    struct job_runtime_setup setup;
    struct job_edges edges;
    struct state_reader *readers; /* one per task; owned */
    struct task **tasks;          /* owned */
    uint32_t task_count;
};

static int read_state(void *self, const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                      struct error *err)
{
    const struct state_reader *reader = self;
    return reader->setup->read_state(reader->setup->reader, reader->restore_base, handle, ret_data, ret_size,
                                     err);
}

/* The edges of a task, from those of the job. */
struct task_edges {
    struct task_input *inputs;
    struct task_output *outputs;
    uint32_t input_count, output_count;
};

static void collect_edges(struct job_runtime *runtime, const Weir__TaskDeployment *task,
                          struct task_edges *ret)
{
    const Weir__JobGraph *graph = runtime->setup.deployment->graph;
    *ret = (struct task_edges){
        .inputs = xcalloc(graph->n_edges + 1, sizeof *ret->inputs),
        .outputs = xcalloc(graph->n_edges + 1, sizeof *ret->outputs),
    };
    for (uint32_t e = 0; e < graph->n_edges; e++) {
        const Weir__Edge *edge = graph->edges[e];
        if (edge->target == task->vertex)
            job_edges_input(&runtime->edges, e, task->subtask, &ret->inputs[ret->input_count++]);
        if (edge->source == task->vertex)
            job_edges_output(&runtime->edges, e, task->subtask, &ret->outputs[ret->output_count++]);
    }
}

static int make_task(struct job_runtime *runtime, uint32_t index, struct error *err)
{
    const struct job_runtime_setup *setup = &runtime->setup;
    const Weir__TaskDeployment *deployed = setup->deployment->tasks[index];
    runtime->readers[index] = (struct state_reader){.setup = setup, .restore_base = deployed->restore_base};
    struct task_edges edges;
    collect_edges(runtime, deployed, &edges);
    struct task_setup task = {
        .vertex = setup->deployment->graph->vertices[deployed->vertex],
        .vertex_index = deployed->vertex,
        .subtask = deployed->subtask,
        .attempt_id = deployed->attempt_id,
        .stream_graph = setup->stream_graph,
        .user_environment = setup->user_environment,
        .kafka = setup->kafka,
        .listener = setup->listener,
        .config = setup->config,
        .waker = setup->task_waker ? setup->task_waker(setup->task_waker_self, index) : NULL,
        .inputs = edges.inputs,
        .input_count = edges.input_count,
        .outputs = edges.outputs,
        .output_count = edges.output_count,
        .restore = deployed->restore,
        .restore_count = deployed->n_restore,
        .read_state = setup->read_state ? read_state : NULL,
        .reader = &runtime->readers[index],
        .operators = setup->operators ? setup->operators : operator_table,
    };
    int rc = task_new(&task, &runtime->tasks[index], err);
    job_edges_release(edges.inputs, edges.input_count);
    free(edges.inputs);
    free(edges.outputs);
    return rc;
}

static int check_tasks(const struct job_runtime *runtime, struct error *err)
{
    const Weir__DeployTasks *deployment = runtime->setup.deployment;
    for (size_t i = 0; i < deployment->n_tasks; i++) {
        const Weir__TaskDeployment *task = deployment->tasks[i];
        if (task->vertex >= deployment->graph->n_vertices ||
            task->subtask >= deployment->graph->vertices[task->vertex]->parallelism)
            return error_set(err, WEIR_E_INVALID,
                             "deployment: task %zu is subtask %u of vertex %u, which don't exist", i,
                             task->subtask, task->vertex);
        if (strcmp(runtime->edges.locations[task->vertex][task->subtask]->worker, runtime->setup.worker) != 0)
            return error_set(err, WEIR_E_INVALID,
                             "deployment: subtask %u of vertex %u is said to be elsewhere", task->subtask,
                             task->vertex);
        for (size_t k = 0; k < i; k++)
            if (deployment->tasks[k]->vertex == task->vertex &&
                deployment->tasks[k]->subtask == task->subtask)
                return error_set(err, WEIR_E_INVALID, "deployment: subtask %u of vertex %u is there twice",
                                 task->subtask, task->vertex);
    }
    return 0;
}

int job_runtime_new(const struct job_runtime_setup *setup, struct job_runtime **ret_runtime,
                    struct error *err)
{
    const Weir__DeployTasks *deployment = setup->deployment;
    if (!deployment->graph)
        return error_set(err, WEIR_E_INVALID, "deployment without a graph");
    struct job_runtime *runtime = xcalloc(1, sizeof *runtime);
    runtime->setup = *setup;
    struct job_edges_setup edges = {
        .deployment = deployment, .worker = setup->worker, .config = setup->config};
    int rc = job_edges_init(&runtime->edges, &edges, err);
    if (!rc)
        rc = check_tasks(runtime, err);
    if (rc) {
        job_runtime_free(runtime);
        return rc;
    }
    runtime->readers = xcalloc(deployment->n_tasks + 1, sizeof *runtime->readers);
    runtime->tasks = xcalloc(deployment->n_tasks + 1, sizeof *runtime->tasks);
    for (uint32_t i = 0; i < deployment->n_tasks; i++) {
        rc = make_task(runtime, i, err);
        if (rc) {
            job_runtime_free(runtime);
            return rc;
        }
        runtime->task_count++;
    }
    *ret_runtime = runtime;
    return 0;
}

void job_runtime_free(struct job_runtime *runtime)
{
    if (!runtime)
        return;
    for (uint32_t i = 0; i < runtime->task_count; i++)
        task_free(runtime->tasks[i]);
    job_edges_deinit(&runtime->edges);
    free(runtime->tasks);
    free(runtime->readers);
    free(runtime);
}

uint32_t job_runtime_task_count(const struct job_runtime *runtime)
{
    return runtime->task_count;
}

struct task *job_runtime_task(const struct job_runtime *runtime, uint32_t index)
{
    assert(index < runtime->task_count);
    return runtime->tasks[index];
}

uint32_t job_runtime_remote_count(const struct job_runtime *runtime)
{
    return (uint32_t)runtime->edges.remotes.count;
}

const struct remote_channel *job_runtime_remote(const struct job_runtime *runtime, uint32_t index)
{
    assert(index < runtime->edges.remotes.count);
    return &runtime->edges.remotes.items[index];
}

static bool is_source_task(const struct job_runtime *runtime, uint32_t index)
{
    const Weir__DeployTasks *deployment = runtime->setup.deployment;
    return !deployment->graph->vertices[deployment->tasks[index]->vertex]->operators[0]->input;
}

void job_runtime_post(struct job_runtime *runtime, const struct task_mail *mail)
{
    for (uint32_t i = 0; i < runtime->task_count; i++)
        if (mail->kind != TASK_MAIL_TRIGGER_CHECKPOINT || is_source_task(runtime, i))
            task_post(runtime->tasks[i], mail);
}
