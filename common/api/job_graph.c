/* From stream nodes to the job graph that the jobmanager schedules.
 *
 * Chaining is Flink's: a node joins its input's vertex when nothing but a forward exchange lies between them
 * (no key-by, the same parallelism), chaining is on, and it is the only one that takes its input's records.
 * Vertices come in the order of their first nodes, which is topological, as a node can only be built on one
 * that is there. */
#include "common/api/env.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/api/record.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/strbuf.h"

enum { JOB_GRAPH_VERSION = 1, MAX_PARALLELISM_DEFAULT_LOWER = 128, VERTEX_NAME_MAX = 1 << 20 };

/* Where each node went. */
struct plan {
    const struct stream_graph *graph;
    uint32_t *vertex_of; /* by node */
    uint32_t *consumers; /* by node */
    uint32_t vertex_count;
    bool chaining;
    uint32_t max_parallelism; /* 0: derived from each vertex's parallelism */
};

static uint32_t node_parallelism(const struct plan *plan, const struct stream_node *node)
{
    return node->parallelism ? node->parallelism : plan->graph->parallelism;
}

static int chaining_read(const struct stream_graph *graph, bool *ret_chaining, struct error *err)
{
    const char *key = graph_get(graph, KEY_CHAINING) ? KEY_CHAINING : KEY_CHAINING_OLD;
    const char *text = graph_get(graph, key);
    if (!text || strcasecmp(text, "true") == 0)
        *ret_chaining = true;
    else if (strcasecmp(text, "false") == 0)
        *ret_chaining = false;
    else
        return error_set(err, WEIR_E_INVALID, "%s is \"%.100s\"; it must be true or false", key, text);
    return 0;
}

static int max_parallelism_read(const struct stream_graph *graph, uint32_t *ret_max, struct error *err)
{
    const char *text = graph_get(graph, KEY_MAX_PARALLELISM);
    *ret_max = 0;
    if (!text || strcmp(text, "-1") == 0)
        return 0;
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || value < 1 || value > PARALLELISM_MAX)
        return error_set(err, WEIR_E_INVALID, "%s is \"%.100s\"; it must be -1 or 1 to %d",
                         KEY_MAX_PARALLELISM, text, PARALLELISM_MAX);
    *ret_max = (uint32_t)value;
    return 0;
}

/* Flink's KeyGroupRangeAssignment: the next power of two of 1.5 × parallelism, 128 to 32768. */
static uint32_t max_parallelism_derive(uint32_t parallelism)
{
    uint32_t wanted = parallelism + parallelism / 2;
    uint32_t power = MAX_PARALLELISM_DEFAULT_LOWER;
    while (power < wanted && power < PARALLELISM_MAX)
        power *= 2;
    return power;
}

static int plan_make(struct plan *plan, const struct stream_graph *graph, struct error *err)
{
    *plan = (struct plan){.graph = graph};
    int rc = chaining_read(graph, &plan->chaining, err);
    if (!rc)
        rc = max_parallelism_read(graph, &plan->max_parallelism, err);
    if (rc)
        return rc;
    plan->vertex_of = xcalloc(graph->nodes.count, sizeof *plan->vertex_of);
    plan->consumers = xcalloc(graph->nodes.count, sizeof *plan->consumers);
    vec_for_each (node, &graph->nodes) {
        if ((*node)->input)
            plan->consumers[(*node)->input->index]++;
    }
    vec_for_each (at, &graph->nodes) {
        const struct stream_node *node = *at, *input = node->input;
        bool chained = plan->chaining && input && !node->key_field_count &&
                       plan->consumers[input->index] == 1 &&
                       node_parallelism(plan, node) == node_parallelism(plan, input);
        plan->vertex_of[node->index] = chained ? plan->vertex_of[input->index] : plan->vertex_count++;
    }
    return 0;
}

static void plan_deinit(struct plan *plan)
{
    free(plan->vertex_of);
    free(plan->consumers);
}

static Weir__Operator *operator_make(const struct stream_node *node)
{
    Weir__Operator *op = xmalloc(sizeof *op);
    weir__operator__init(op);
    op->node = node->index;
    op->kind = node->kind;
    op->uid = xstrdup(node->uid);
    op->name = node_display_name(node);
    op->description = node_description(node);
    op->stateful = kind_is_stateful(node->kind);
    if (node->input_type)
        op->input = record_type_to_proto(node->input_type);
    if (node->output_type)
        op->output = record_type_to_proto(node->output_type);
    if (node->kind == WEIR__OPERATOR_KIND__OPERATOR_WINDOW && node->options.window.aggregate &&
        node->options.window.aggregate->accumulator)
        op->state = record_type_to_proto(node->options.window.aggregate->accumulator);
    return op;
}

/* Stable over submissions as long as the uids in the chain are. */
static void vertex_identify(Weir__Vertex *vertex)
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < vertex->n_operators; i++)
        XXH3_128bits_update(state, vertex->operators[i]->uid, strlen(vertex->operators[i]->uid) + 1);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    _Static_assert(sizeof canonical == WEIR_ID_BYTES, "a vertex id is 16 bytes");
    vertex->id.data = xmemdup(&canonical, sizeof canonical);
    vertex->id.len = sizeof canonical;
}

static void vertex_name(Weir__Vertex *vertex)
{
    struct strbuf name;
    strbuf_init(&name, VERTEX_NAME_MAX);
    for (size_t i = 0; i < vertex->n_operators; i++) {
        if (i)
            strbuf_adds(&name, " -> ");
        strbuf_adds(&name, vertex->operators[i]->name);
    }
    vertex->name = strbuf_take(&name);
}

static int vertex_make(const struct plan *plan, uint32_t index, Weir__Vertex **ret_vertex, struct error *err)
{
    Weir__Vertex *vertex = xmalloc(sizeof *vertex);
    weir__vertex__init(vertex);
    vertex->operators = xcalloc(plan->graph->nodes.count, sizeof(Weir__Operator *));
    vec_for_each (node, &plan->graph->nodes) {
        if (plan->vertex_of[(*node)->index] != index)
            continue;
        vertex->parallelism = node_parallelism(plan, *node);
        vertex->operators[vertex->n_operators++] = operator_make(*node);
    }
    assert(vertex->n_operators);
    vertex_identify(vertex);
    vertex_name(vertex);
    vertex->max_parallelism =
        plan->max_parallelism ? plan->max_parallelism : max_parallelism_derive(vertex->parallelism);
    *ret_vertex = vertex;
    if (vertex->parallelism > vertex->max_parallelism)
        return error_set(err, WEIR_E_INVALID,
                         "operator \"%.300s\": its parallelism of %" PRIu32 " is above the %" PRIu32 " of %s",
                         vertex->name, vertex->parallelism, vertex->max_parallelism, KEY_MAX_PARALLELISM);
    return 0;
}

static Weir__Edge *edge_make(const struct plan *plan, const struct stream_node *node)
{
    Weir__Edge *edge = xmalloc(sizeof *edge);
    weir__edge__init(edge);
    edge->source = plan->vertex_of[node->input->index];
    edge->target = plan->vertex_of[node->index];
    if (node->key_field_count)
        edge->strategy = WEIR__SHIP_STRATEGY__SHIP_HASH;
    else if (node_parallelism(plan, node) == node_parallelism(plan, node->input))
        edge->strategy = WEIR__SHIP_STRATEGY__SHIP_FORWARD;
    else
        edge->strategy = WEIR__SHIP_STRATEGY__SHIP_REBALANCE;
    if (node->key_field_count)
        edge->key_fields = xcalloc(node->key_field_count, sizeof(char *));
    for (uint32_t i = 0; i < node->key_field_count; i++)
        edge->key_fields[edge->n_key_fields++] = xstrdup(node->input_type->fields[node->key_fields[i]].name);
    return edge;
}

static void configuration_make(const struct stream_graph *graph, Weir__JobGraph *job)
{
    if (!graph->configuration.count)
        return;
    job->configuration = xcalloc(graph->configuration.count, sizeof(Weir__KeyValue *));
    vec_for_each (setting, &graph->configuration) {
        Weir__KeyValue *entry = xmalloc(sizeof *entry);
        weir__key_value__init(entry);
        entry->key = xstrdup(setting->key);
        entry->value = xstrdup(setting->value);
        job->configuration[job->n_configuration++] = entry;
    }
}

static uint64_t fingerprint_make(const Weir__JobGraph *job)
{
    assert(job->fingerprint == 0);
    size_t size = weir__job_graph__get_packed_size(job);
    uint8_t *packed = xmalloc(size);
    weir__job_graph__pack(job, packed);
    uint64_t fingerprint = hash64(packed, size);
    free(packed);
    return fingerprint;
}

static int job_fill(const struct plan *plan, Weir__JobGraph *job, struct error *err)
{
    const struct stream_graph *graph = plan->graph;
    job->version = JOB_GRAPH_VERSION;
    job->name = xstrdup(graph->job_name);
    configuration_make(graph, job);
    job->vertices = xcalloc(plan->vertex_count, sizeof(Weir__Vertex *));
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        int rc = vertex_make(plan, i, &job->vertices[job->n_vertices++], err);
        if (rc)
            return rc;
    }
    job->edges = xcalloc(graph->nodes.count, sizeof(Weir__Edge *));
    vec_for_each (node, &graph->nodes) {
        if ((*node)->input && plan->vertex_of[(*node)->input->index] != plan->vertex_of[(*node)->index])
            job->edges[job->n_edges++] = edge_make(plan, *node);
    }
    job->fingerprint = fingerprint_make(job);
    return 0;
}

int stream_graph_to_job_graph(const struct stream_graph *graph, Weir__JobGraph **ret_graph, struct error *err)
{
    assert(graph->nodes.count);
    struct plan plan;
    int rc = plan_make(&plan, graph, err);
    if (rc)
        return rc;
    Weir__JobGraph *job = xmalloc(sizeof *job);
    weir__job_graph__init(job);
    rc = job_fill(&plan, job, err);
    plan_deinit(&plan);
    if (rc)
        weir__job_graph__free_unpacked(job, NULL);
    else
        *ret_graph = job;
    return rc;
}
