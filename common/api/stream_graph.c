/* Runs a job's main function and keeps what it built. */
#include "common/api/env.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint32_t stream_graph_node_count(const struct stream_graph *graph)
{
    return (uint32_t)graph->nodes.count;
}

const struct stream_node *stream_graph_node(const struct stream_graph *graph, uint32_t index)
{
    assert(index < graph->nodes.count);
    return graph->nodes.items[index];
}

uint32_t stream_graph_parallelism(const struct stream_graph *graph)
{
    return graph->parallelism;
}

void stream_graph_free(struct stream_graph *graph)
{
    if (!graph)
        return;
    vec_for_each (memory, &graph->owned)
        free(*memory);
    vec_free(&graph->owned);
    vec_free(&graph->nodes);
    vec_free(&graph->configuration);
    free(graph);
}

/* A stream that nobody takes would be computed for nothing; it is a forgotten sink. */
static void graph_check(struct weir_env *env)
{
    struct stream_graph *graph = env->graph;
    if (!graph->nodes.count) {
        env_mistake(env, "the job \"%s\" has no operators: its main function built nothing", graph->job_name);
        return;
    }
    bool *consumed = xcalloc(graph->nodes.count, sizeof *consumed);
    vec_for_each (node, &graph->nodes) {
        if ((*node)->input)
            consumed[(*node)->input->index] = true;
    }
    vec_for_each (node, &graph->nodes) {
        if ((*node)->output_type && !consumed[(*node)->index])
            env_mistake(env,
                        "operator \"%s\" (%s): nothing takes its records; end the stream with a sink, if "
                        "only weir_discard",
                        (*node)->name, kind_function((*node)->kind));
    }
    free(consumed);
}

static int settings_take(struct stream_graph *graph, const struct stream_graph_settings *settings,
                         struct error *err)
{
    if (settings->default_parallelism < 1 || settings->default_parallelism > PARALLELISM_MAX)
        return error_set(err, WEIR_E_INVALID, "a parallelism of %" PRIu32 "; it must be 1 to %d",
                         settings->default_parallelism, PARALLELISM_MAX);
    graph->parallelism = settings->default_parallelism;
    for (size_t i = 0; i < settings->configuration_count; i++)
        graph_set(graph, settings->configuration[i]->key, settings->configuration[i]->value, true);
    return 0;
}

static int main_run(const weir_job_descriptor *job, struct weir_env *env, struct error *err)
{
    struct stream_graph *graph = env->graph;
    /* main may reorder its array (getopt does); weir_arg looks at the graph's own. */
    size_t bytes = ((size_t)graph->argc + 1) * sizeof(char *);
    char **argv = xmemdup(graph->argv, bytes);
    struct weir_env *outer = env_current();
    env_set_current(env);
    int rc = job->main(env, graph->argc, argv);
    env_set_current(outer);
    free(argv);
    if (!env->failed && rc)
        env_mistake(env, "the main function of job \"%s\" returned %d without saying why (weir_reject does)",
                    graph->job_name, rc);
    if (!env->failed)
        graph_check(env);
    return env->failed ? error_set(err, env->error.rc, "%s", env->error.message) : 0;
}

int stream_graph_build(const weir_job_descriptor *job, const struct stream_graph_settings *settings, int argc,
                       char **argv, struct stream_graph **ret_graph, struct error *err)
{
    assert(job && job->main && argc >= 0);
    struct stream_graph *graph = xcalloc(1, sizeof *graph);
    graph->job_name = graph_strdup(graph, job->name ? job->name : "Weir Job");
    graph->argc = argc;
    graph->argv = graph_alloc(graph, ((size_t)argc + 1) * sizeof(char *));
    for (int i = 0; i < argc; i++)
        graph->argv[i] = graph_strdup(graph, argv[i]);

    struct weir_env env = {.graph = graph, .parallelism_is_given = settings->parallelism_is_given};
    env.broken.env = &env;
    int rc = settings_take(graph, settings, err);
    if (!rc)
        rc = main_run(job, &env, err);
    if (rc)
        stream_graph_free(graph);
    else
        *ret_graph = graph;
    return rc;
}
