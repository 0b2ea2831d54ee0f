/* From the outside in: the graph's numbers, each vertex with its operators, the edges, and what must be
 * unique. Each check may rely on those before it. */
#include "common/graph/graph_validate.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

bool operator_kind_is_source(Weir__OperatorKind kind)
{
    return kind == WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE ||
           kind == WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE ||
           kind == WEIR__OPERATOR_KIND__OPERATOR_GENERATOR_SOURCE;
}

bool operator_kind_is_sink(Weir__OperatorKind kind)
{
    return kind == WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SINK ||
           kind == WEIR__OPERATOR_KIND__OPERATOR_PRINT_SINK ||
           kind == WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK;
}

bool vertex_is_source(const Weir__Vertex *vertex)
{
    return operator_kind_is_source(vertex->operators[0]->kind);
}

static const Weir__RecordDescriptor *output_of(const Weir__Vertex *vertex)
{
    return vertex->operators[vertex->n_operators - 1]->output;
}

/* ---- operators
 * ---------------------------------------------------------------------------------------------------- */

static int operator_records_validate(const Weir__Operator *op, struct error *err)
{
    char where[GRAPH_UID_BYTES_MAX + 64];
    bool source = operator_kind_is_source(op->kind), sink = operator_kind_is_sink(op->kind);
    if (!op->input != source)
        return error_set(err, WEIR_E_INVALID, "operator %s (uid %s) %s", op->name, op->uid,
                         source ? "is a source and has an input record" : "has no input record");
    if (!op->output != sink)
        return error_set(err, WEIR_E_INVALID, "operator %s (uid %s) %s", op->name, op->uid,
                         sink ? "is a sink and has an output record" : "has no output record");
    if (op->input) {
        snprintf(where, sizeof where, "input of operator %s", op->uid);
        int rc = record_descriptor_validate(op->input, where, err);
        if (rc < 0)
            return rc;
    }
    if (op->output) {
        snprintf(where, sizeof where, "output of operator %s", op->uid);
        return record_descriptor_validate(op->output, where, err);
    }
    return 0;
}

static int operator_validate(const Weir__Operator *op, size_t vertex, struct error *err)
{
    char what[96];
    snprintf(what, sizeof what, "uid of an operator in vertex %zu", vertex);
    int rc = text_validate(op->uid, GRAPH_UID_BYTES_MAX, what, err);
    if (rc < 0)
        return rc;
    snprintf(what, sizeof what, "name of an operator in vertex %zu", vertex);
    rc = text_validate(op->name, GRAPH_NAME_BYTES_MAX, what, err);
    if (rc < 0)
        return rc;
    if (op->description &&
        strnlen(op->description, GRAPH_DESCRIPTION_BYTES_MAX + 1) > GRAPH_DESCRIPTION_BYTES_MAX)
        return error_set(err, WEIR_E_LIMIT, "the description of operator %s is longer than %d bytes", op->uid,
                         (int)GRAPH_DESCRIPTION_BYTES_MAX);
    if (op->kind <= WEIR__OPERATOR_KIND__OPERATOR_UNKNOWN ||
        op->kind > WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK)
        return error_set(err, WEIR_E_INVALID, "operator %s is of the unknown kind %d: is the client newer?",
                         op->uid, (int)op->kind);
    return operator_records_validate(op, err);
}

/* ---- vertices
 * ----------------------------------------------------------------------------------------------------- */

static int chain_validate(const Weir__Vertex *vertex, struct error *err)
{
    for (size_t i = 1; i < vertex->n_operators; i++) {
        const Weir__Operator *up = vertex->operators[i - 1], *down = vertex->operators[i];
        if (operator_kind_is_source(down->kind))
            return error_set(err, WEIR_E_INVALID, "source %s is chained behind %s: a source must be first",
                             down->uid, up->uid);
        if (operator_kind_is_sink(up->kind))
            return error_set(err, WEIR_E_INVALID, "%s is chained behind sink %s: a sink must be last",
                             down->uid, up->uid);
        if (down->kind == WEIR__OPERATOR_KIND__OPERATOR_WINDOW)
            return error_set(err, WEIR_E_INVALID, "window %s is chained behind %s: it needs keyed input",
                             down->uid, up->uid);
        if (!record_descriptor_equal(up->output, down->input))
            return error_set(err, WEIR_E_INVALID, "operator %s emits other records than %s behind it takes",
                             up->uid, down->uid);
    }
    return 0;
}

static int vertex_validate(const Weir__Vertex *vertex, size_t index, struct error *err)
{
    char what[64];
    snprintf(what, sizeof what, "name of vertex %zu", index);
    int rc = text_validate(vertex->name, GRAPH_NAME_BYTES_MAX, what, err);
    if (rc < 0)
        return rc;
    if (vertex->id.len != 16)
        return error_set(err, WEIR_E_INVALID, "the id of vertex %s has %zu bytes instead of 16", vertex->name,
                         vertex->id.len);
    if (vertex->max_parallelism < 1 || vertex->max_parallelism > GRAPH_PARALLELISM_MAX)
        return error_set(err, WEIR_E_LIMIT, "the maximum parallelism of %s is %u, not in 1…%d", vertex->name,
                         vertex->max_parallelism, (int)GRAPH_PARALLELISM_MAX);
    if (vertex->parallelism < 1 || vertex->parallelism > vertex->max_parallelism)
        return error_set(err, WEIR_E_LIMIT,
                         "the parallelism of %s is %u, not in 1…%u (its maximum parallelism)", vertex->name,
                         vertex->parallelism, vertex->max_parallelism);
    if (vertex->n_operators == 0)
        return error_set(err, WEIR_E_INVALID, "vertex %s has no operators", vertex->name);
    if (vertex->n_operators > GRAPH_OPERATORS_MAX)
        return error_set(err, WEIR_E_LIMIT, "vertex %s has more than %d operators", vertex->name,
                         (int)GRAPH_OPERATORS_MAX);
    for (size_t i = 0; i < vertex->n_operators; i++) {
        rc = operator_validate(vertex->operators[i], index, err);
        if (rc < 0)
            return rc;
    }
    return chain_validate(vertex, err);
}

static int vertices_validate(const Weir__JobGraph *graph, struct error *err)
{
    uint64_t subtasks = 0, operators = 0;
    for (size_t i = 0; i < graph->n_vertices; i++) {
        int rc = vertex_validate(graph->vertices[i], i, err);
        if (rc < 0)
            return rc;
        subtasks += graph->vertices[i]->parallelism;
        operators += graph->vertices[i]->n_operators;
        if (operators > GRAPH_OPERATORS_MAX)
            return error_set(err, WEIR_E_LIMIT, "the job has more than %d operators",
                             (int)GRAPH_OPERATORS_MAX);
    }
    if (subtasks > GRAPH_SUBTASKS_MAX)
        return error_set(err, WEIR_E_LIMIT,
                         "the job has %llu subtasks, more than %d: use a smaller parallelism",
                         (unsigned long long)subtasks, (int)GRAPH_SUBTASKS_MAX);
    return 0;
}

/* ---- edges
 * -------------------------------------------------------------------------------------------------------- */

static int key_fields_validate(const Weir__Edge *edge, const Weir__Vertex *source, const Weir__Vertex *target,
                               struct error *err)
{
    const Weir__RecordDescriptor *record = output_of(source);
    for (size_t i = 0; i < edge->n_key_fields; i++) {
        bool found = false;
        for (size_t k = 0; k < record->n_fields && !found; k++)
            found = strcmp(record->fields[k]->name, edge->key_fields[i]) == 0;
        if (!found)
            return error_set(err, WEIR_E_INVALID,
                             "edge %s -> %s: the key field %.255s is not in the record %.255s", source->name,
                             target->name, edge->key_fields[i], record->name);
    }
    return 0;
}

static int strategy_validate(const Weir__Edge *edge, const Weir__Vertex *source, const Weir__Vertex *target,
                             struct error *err)
{
    bool window = target->operators[0]->kind == WEIR__OPERATOR_KIND__OPERATOR_WINDOW;
    if (window && edge->strategy != WEIR__SHIP_STRATEGY__SHIP_HASH)
        return error_set(err, WEIR_E_INVALID, "edge %s -> %s: a window needs keyed input", source->name,
                         target->name);
    switch (edge->strategy) {
    case WEIR__SHIP_STRATEGY__SHIP_FORWARD:
        if (source->parallelism != target->parallelism)
            return error_set(err, WEIR_E_INVALID, "edge %s -> %s forwards between parallelism %u and %u",
                             source->name, target->name, source->parallelism, target->parallelism);
        break;
    case WEIR__SHIP_STRATEGY__SHIP_HASH:
        if (edge->n_key_fields == 0 || edge->n_key_fields > EDGE_KEY_FIELDS_MAX)
            return error_set(err, WEIR_E_INVALID, "edge %s -> %s hashes by %zu fields, not 1…%d",
                             source->name, target->name, edge->n_key_fields, (int)EDGE_KEY_FIELDS_MAX);
        return key_fields_validate(edge, source, target, err);
    case WEIR__SHIP_STRATEGY__SHIP_REBALANCE:
        break;
    default:
        return error_set(err, WEIR_E_INVALID, "edge %s -> %s has the unknown strategy %d", source->name,
                         target->name, (int)edge->strategy);
    }
    if (edge->n_key_fields != 0)
        return error_set(err, WEIR_E_INVALID, "edge %s -> %s has key fields but does not hash", source->name,
                         target->name);
    return 0;
}

static int edge_validate(const Weir__JobGraph *graph, size_t index, struct error *err)
{
    const Weir__Edge *edge = graph->edges[index];
    if (edge->source >= graph->n_vertices || edge->target >= graph->n_vertices)
        return error_set(err, WEIR_E_INVALID, "edge %zu leads from vertex %u to %u, but there are %zu", index,
                         edge->source, edge->target, graph->n_vertices);
    if (edge->source >= edge->target)
        return error_set(err, WEIR_E_INVALID,
                         "edge %zu leads back from vertex %u to %u: vertices must be in "
                         "topological order",
                         index, edge->source, edge->target);
    const Weir__Vertex *source = graph->vertices[edge->source], *target = graph->vertices[edge->target];
    if (!output_of(source))
        return error_set(err, WEIR_E_INVALID, "edge %s -> %s: a sink has no output", source->name,
                         target->name);
    if (vertex_is_source(target))
        return error_set(err, WEIR_E_INVALID, "edge %s -> %s: a source has no input", source->name,
                         target->name);
    if (!record_descriptor_equal(output_of(source), target->operators[0]->input))
        return error_set(err, WEIR_E_INVALID, "edge %s -> %s: the records given and taken differ",
                         source->name, target->name);
    return strategy_validate(edge, source, target, err);
}

static int edges_validate(const Weir__JobGraph *graph, struct error *err)
{
    uint32_t *inputs = xcalloc(graph->n_vertices, sizeof *inputs);
    int rc = 0;
    for (size_t i = 0; i < graph->n_edges && rc == 0; i++) {
        rc = edge_validate(graph, i, err);
        if (rc == 0)
            inputs[graph->edges[i]->target]++;
    }
    for (size_t i = 0; i < graph->n_vertices && rc == 0; i++)
        if (!vertex_is_source(graph->vertices[i]) && inputs[i] != 1)
            rc = error_set(err, WEIR_E_INVALID, "vertex %s has %u inputs, it needs exactly one",
                           graph->vertices[i]->name, inputs[i]);
    free(inputs);
    return rc;
}

/* ---- what must be unique
 * ------------------------------------------------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
    return memcmp((*(const Weir__Vertex *const *)a)->id.data, (*(const Weir__Vertex *const *)b)->id.data, 16);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int unique_ids_validate(const Weir__JobGraph *graph, struct error *err)
{
    size_t count = graph->n_vertices;
    Weir__Vertex **sorted = xmemdup(graph->vertices, count * sizeof(Weir__Vertex *));
    qsort(sorted, count, sizeof(Weir__Vertex *), by_id);
    int rc = 0;
    for (size_t i = 1; i < count && rc == 0; i++)
        if (memcmp(sorted[i - 1]->id.data, sorted[i]->id.data, 16) == 0)
            rc = error_set(err, WEIR_E_INVALID, "the vertices %s and %s have the same id",
                           sorted[i - 1]->name, sorted[i]->name);
    free(sorted);
    return rc;
}

static int unique_uids_validate(const Weir__JobGraph *graph, struct error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->n_vertices; i++)
        count += graph->vertices[i]->n_operators;
    const char **uids = xcalloc(count, sizeof(char *));
    size_t at = 0;
    for (size_t i = 0; i < graph->n_vertices; i++)
        for (size_t k = 0; k < graph->vertices[i]->n_operators; k++)
            uids[at++] = graph->vertices[i]->operators[k]->uid;
    qsort(uids, count, sizeof(char *), by_text);
    int rc = 0;
    for (size_t i = 1; i < count && rc == 0; i++)
        if (strcmp(uids[i - 1], uids[i]) == 0)
            rc = error_set(err, WEIR_E_INVALID,
                           "two operators have the uid %s: state is matched by it, give each "
                           "its own",
                           uids[i]);
    free(uids);
    return rc;
}

static int configuration_validate(const Weir__JobGraph *graph, struct error *err)
{
    if (graph->n_configuration > GRAPH_CONFIGURATION_MAX)
        return error_set(err, WEIR_E_LIMIT, "the job has %zu settings, more than %d", graph->n_configuration,
                         (int)GRAPH_CONFIGURATION_MAX);
    for (size_t i = 0; i < graph->n_configuration; i++) {
        const Weir__KeyValue *setting = graph->configuration[i];
        int rc = text_validate(setting->key, GRAPH_CONFIGURATION_BYTES_MAX,
                               "key of one of the job's settings", err);
        if (rc < 0)
            return rc;
        if (setting->value &&
            strnlen(setting->value, GRAPH_CONFIGURATION_BYTES_MAX + 1) > GRAPH_CONFIGURATION_BYTES_MAX)
            return error_set(err, WEIR_E_LIMIT,
                             "the value of the job's setting %.255s is longer than %d bytes", setting->key,
                             (int)GRAPH_CONFIGURATION_BYTES_MAX);
    }
    return 0;
}

int graph_validate(const Weir__JobGraph *graph, struct error *err)
{
    if (graph->version != GRAPH_VERSION)
        return error_set(err, WEIR_E_VERSION,
                         "the job graph is of format %u, this jobmanager knows %d: use a client of "
                         "the same version",
                         graph->version, (int)GRAPH_VERSION);
    int rc = text_validate(graph->name, GRAPH_NAME_BYTES_MAX, "name of the job", err);
    if (rc < 0)
        return rc;
    if (graph->n_vertices == 0)
        return error_set(err, WEIR_E_INVALID, "the job %s has no operators", graph->name);
    if (graph->n_vertices > GRAPH_VERTICES_MAX)
        return error_set(err, WEIR_E_LIMIT, "the job has %zu vertices, more than %d", graph->n_vertices,
                         (int)GRAPH_VERTICES_MAX);
    if ((rc = configuration_validate(graph, err)) < 0 || (rc = vertices_validate(graph, err)) < 0 ||
        (rc = edges_validate(graph, err)) < 0 || (rc = unique_ids_validate(graph, err)) < 0)
        return rc;
    return unique_uids_validate(graph, err);
}
