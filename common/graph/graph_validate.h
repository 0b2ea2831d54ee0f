/* Checks a job graph that came from a client, so that everything behind it can rely on its shape.
 * Pure; any thread. */
#ifndef WEIR_GRAPH_GRAPH_VALIDATE_H
#define WEIR_GRAPH_GRAPH_VALIDATE_H

#include <stdbool.h>

#include "common/base/error.h"
#include "proto/graph.pb-c.h"

enum {
    GRAPH_VERSION = 1,
    GRAPH_VERTICES_MAX = 4096,
    GRAPH_PARALLELISM_MAX = 32768,
    GRAPH_SUBTASKS_MAX = 100000, /* of the whole job */
    GRAPH_OPERATORS_MAX = 8192,  /* of the whole job */
    GRAPH_NAME_BYTES_MAX = 8192, /* chained names are long */
    GRAPH_UID_BYTES_MAX = 512,
    GRAPH_DESCRIPTION_BYTES_MAX = 65536,
    GRAPH_CONFIGURATION_MAX = 1024,
    GRAPH_CONFIGURATION_BYTES_MAX = 65536, /* of one key or value */
    RECORD_FIELDS_MAX = 1024,
    RECORD_SIZE_BYTES_MAX = 1 << 20, /* of the fixed part */
    RECORD_ALIGNMENT_MAX = 8,
    EDGE_KEY_FIELDS_MAX = 8,
};

/* 0, WEIR_E_VERSION, WEIR_E_LIMIT or WEIR_E_INVALID; the message names the vertex, operator or edge and what
 * is wrong. */
int graph_validate(const Weir__JobGraph *graph, struct error *err) WEIR_CHECK;

bool operator_kind_is_source(Weir__OperatorKind kind);
bool operator_kind_is_sink(Weir__OperatorKind kind);
/* The head of its chain is a source. */
bool vertex_is_source(const Weir__Vertex *vertex);

/* The pieces, also used for descriptors that come with snapshots. where: "input of operator X", for the
 * message. */
int record_descriptor_validate(const Weir__RecordDescriptor *descriptor, const char *where,
                               struct error *err) WEIR_CHECK;
bool record_descriptor_equal(const Weir__RecordDescriptor *a, const Weir__RecordDescriptor *b);
/* Not empty, not longer than max_bytes, UTF-8, no control characters. what: "name of vertex 3", for the
 * message. */
int text_validate(const char *text, size_t max_bytes, const char *what, struct error *err) WEIR_CHECK;

#endif
