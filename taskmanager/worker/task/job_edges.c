#include "taskmanager/worker/task/job_edges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PARALLELISM_MAX = 32768, CHANNELS_MAX = 1 << 24 };

/* ---- where subtasks are
 * ---------------------------------------------------------------------------------------------- */

static int check_graph(const Weir__JobGraph *graph, struct error *err)
{
    for (size_t v = 0; v < graph->n_vertices; v++) {
        const Weir__Vertex *vertex = graph->vertices[v];
        if (vertex->parallelism == 0 || vertex->parallelism > PARALLELISM_MAX || vertex->n_operators == 0 ||
            vertex->max_parallelism < vertex->parallelism)
            return error_set(err, WEIR_E_INVALID,
                             "deployment: vertex '%s' with parallelism %u of %u, %zu operators", vertex->name,
                             vertex->parallelism, vertex->max_parallelism, vertex->n_operators);
    }
    for (size_t e = 0; e < graph->n_edges; e++) {
        const Weir__Edge *edge = graph->edges[e];
        if (edge->source >= edge->target || edge->target >= graph->n_vertices)
            return error_set(err, WEIR_E_INVALID, "deployment: edge %zu goes from vertex %u to %u", e,
                             edge->source, edge->target);
        if (edge->strategy == WEIR__SHIP_STRATEGY__SHIP_FORWARD &&
            graph->vertices[edge->source]->parallelism != graph->vertices[edge->target]->parallelism)
            return error_set(err, WEIR_E_INVALID,
                             "deployment: forward edge %zu between different parallelisms", e);
    }
    return 0;
}

static int find_locations(struct job_edges *edges, const Weir__DeployTasks *deployment, struct error *err)
{
    const Weir__JobGraph *graph = deployment->graph;
    edges->vertex_count = (uint32_t)graph->n_vertices;
    edges->locations = xcalloc(graph->n_vertices + 1, sizeof *edges->locations);
    for (size_t v = 0; v < graph->n_vertices; v++)
        edges->locations[v] = xcalloc(graph->vertices[v]->parallelism, sizeof **edges->locations);
    for (size_t i = 0; i < deployment->n_peers; i++) {
        const Weir__SubtaskLocation *peer = deployment->peers[i];
        if (peer->vertex >= graph->n_vertices || peer->subtask >= graph->vertices[peer->vertex]->parallelism)
            return error_set(err, WEIR_E_INVALID,
                             "deployment: peer %zu is subtask %u of vertex %u, which don't exist", i,
                             peer->subtask, peer->vertex);
        edges->locations[peer->vertex][peer->subtask] = peer;
    }
    for (size_t v = 0; v < graph->n_vertices; v++)
        for (uint32_t s = 0; s < graph->vertices[v]->parallelism; s++)
            if (!edges->locations[v][s])
                return error_set(err, WEIR_E_INVALID, "deployment: subtask %u of vertex '%s' has no place", s,
                                 graph->vertices[v]->name);
    return 0;
}

/* ---- channels
 * -------------------------------------------------------------------------------------------------------- */

/* Fields to hash by: indexes into the record that the source vertex emits, by the names in the graph. */
static int find_keys(struct job_edge *ret_edge, const Weir__JobGraph *graph, size_t index, struct error *err)
{
    const Weir__Edge *edge = graph->edges[index];
    const Weir__Vertex *source = graph->vertices[edge->source];
    const Weir__RecordDescriptor *record = source->operators[source->n_operators - 1]->output;
    if (edge->strategy != WEIR__SHIP_STRATEGY__SHIP_HASH)
        return 0;
    if (!record || edge->n_key_fields == 0 || edge->n_key_fields > KEY_FIELDS_MAX)
        return error_set(err, WEIR_E_INVALID, "deployment: hash edge %zu has %zu key fields", index,
                         edge->n_key_fields);
    for (size_t k = 0; k < edge->n_key_fields; k++) {
        size_t f = 0;
        while (f < record->n_fields && strcmp(record->fields[f]->name, edge->key_fields[k]) != 0)
            f++;
        if (f == record->n_fields)
            return error_set(err, WEIR_E_INVALID, "deployment: hash edge %zu: record '%s' has no field '%s'",
                             index, record->name, edge->key_fields[k]);
        ret_edge->key_fields[ret_edge->key_field_count++] = (uint32_t)f;
    }
    return 0;
}

static void add_remote_input(struct job_edges *edges, const struct task_config *config, struct job_edge *edge,
                             struct channel_id id, const Weir__SubtaskLocation *peer)
{
    uint32_t floating = (config->floating_buffers + edge->producers - 1) / edge->producers;
    uint32_t credit = config->buffers_per_channel + floating;
    credit = credit ? credit : 1;
    size_t at = (size_t)id.producer * edge->consumers + id.consumer;
    edge->channels[at] = channel_new(id, credit);
    edge->remote_input[at] = true;
    vec_push(&edges->remotes, (struct remote_channel){.channel = edge->channels[at],
                                                      .id = id,
                                                      .peer_worker = peer->worker,
                                                      .peer_address = peer->data_address,
                                                      .pool = buffer_pool_new(credit, NULL)});
}

static void add_channel(struct job_edges *edges, const struct job_edges_setup *setup, struct channel_id id)
{
    struct job_edge *edge = &edges->edges[id.edge];
    const Weir__Edge *descriptor = setup->deployment->graph->edges[id.edge];
    const Weir__SubtaskLocation *producer = edges->locations[descriptor->source][id.producer];
    const Weir__SubtaskLocation *consumer = edges->locations[descriptor->target][id.consumer];
    bool produced_here = strcmp(producer->worker, setup->worker) == 0;
    bool consumed_here = strcmp(consumer->worker, setup->worker) == 0;
    if (!produced_here && consumed_here)
        add_remote_input(edges, &setup->config, edge, id, producer);
    if (!produced_here)
        return;
    size_t at = (size_t)id.producer * edge->consumers + id.consumer;
    edge->channels[at] = channel_new(id, 0);
    if (!consumed_here)
        vec_push(&edges->remotes, (struct remote_channel){.channel = edge->channels[at],
                                                          .id = id,
                                                          .is_output = true,
                                                          .peer_worker = consumer->worker,
                                                          .peer_address = consumer->data_address});
}

static int make_edge(struct job_edges *edges, const struct job_edges_setup *setup, uint32_t index,
                     struct error *err)
{
    const Weir__JobGraph *graph = setup->deployment->graph;
    const Weir__Edge *descriptor = graph->edges[index];
    struct job_edge *edge = &edges->edges[index];
    edge->producers = graph->vertices[descriptor->source]->parallelism;
    edge->consumers = graph->vertices[descriptor->target]->parallelism;
    edge->max_parallelism = graph->vertices[descriptor->target]->max_parallelism;
    edge->strategy = descriptor->strategy;
    size_t pairs = (size_t)edge->producers * edge->consumers;
    if (pairs > CHANNELS_MAX)
        return error_set(err, WEIR_E_LIMIT, "deployment: edge %u would have %zu channels", index, pairs);
    edge->channels = xcalloc(pairs, sizeof *edge->channels);
    edge->remote_input = xcalloc(pairs, sizeof *edge->remote_input);
    for (uint32_t p = 0; p < edge->producers; p++)
        for (uint32_t c = 0; c < edge->consumers; c++)
            if (edge->strategy != WEIR__SHIP_STRATEGY__SHIP_FORWARD || p == c)
                add_channel(edges, setup, (struct channel_id){.edge = index, .producer = p, .consumer = c});
    return find_keys(edge, graph, index, err);
}

int job_edges_init(struct job_edges *edges, const struct job_edges_setup *setup, struct error *err)
{
    const Weir__JobGraph *graph = setup->deployment->graph;
    int rc = check_graph(graph, err);
    if (!rc)
        rc = find_locations(edges, setup->deployment, err);
    if (rc)
        return rc;
    edges->edge_count = (uint32_t)graph->n_edges;
    edges->edges = xcalloc(graph->n_edges + 1, sizeof *edges->edges);
    for (uint32_t e = 0; e < edges->edge_count && !rc; e++)
        rc = make_edge(edges, setup, e, err);
    return rc;
}

void job_edges_deinit(struct job_edges *edges)
{
    for (uint32_t e = 0; e < edges->edge_count; e++) {
        struct job_edge *edge = &edges->edges[e];
        for (size_t i = 0; i < (size_t)edge->producers * edge->consumers && edge->channels; i++)
            channel_free(edge->channels[i]);
        free(edge->channels);
        free(edge->remote_input);
    }
    free(edges->edges);
    vec_for_each (remote, &edges->remotes)
        buffer_pool_free(remote->pool);
    vec_free(&edges->remotes);
    for (uint32_t v = 0; v < edges->vertex_count; v++)
        free(edges->locations[v]);
    free(edges->locations);
    *edges = (struct job_edges){0};
}

/* ---- what a task gets
 * ------------------------------------------------------------------------------------------------ */

void job_edges_input(const struct job_edges *edges, uint32_t edge, uint32_t subtask,
                     struct task_input *ret_input)
{
    const struct job_edge *e = &edges->edges[edge];
    bool forward = e->strategy == WEIR__SHIP_STRATEGY__SHIP_FORWARD;
    uint32_t first = forward ? subtask : 0, count = forward ? 1 : e->producers;
    struct channel **channels = xcalloc(count, sizeof(struct channel *));
    bool *remote = xcalloc(count, sizeof *remote);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = (size_t)(first + i) * e->consumers + subtask;
        channels[i] = e->channels[at];
        remote[i] = e->remote_input[at];
        assert(channels[i]);
    }
    *ret_input =
        (struct task_input){.edge = edge, .channels = channels, .channel_count = count, .remote = remote};
}

void job_edges_release(struct task_input *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(inputs[i].channels);
        free((void *)inputs[i].remote);
    }
}

void job_edges_output(const struct job_edges *edges, uint32_t edge, uint32_t subtask,
                      struct task_output *ret_output)
{
    const struct job_edge *e = &edges->edges[edge];
    bool forward = e->strategy == WEIR__SHIP_STRATEGY__SHIP_FORWARD;
    *ret_output = (struct task_output){
        .edge = edge,
        .strategy = e->strategy,
        .channels = &e->channels[(size_t)subtask * e->consumers + (forward ? subtask : 0)],
        .channel_count = forward ? 1 : e->consumers,
        .max_parallelism = e->max_parallelism,
        .key_field_count = e->key_field_count,
        .key_fields = e->key_fields,
    };
}
