/* What a job's main function built: the nodes with their functions, as the client (to make the job graph) and
 * a worker (to run it) see them. Made and read on one thread; immutable once built, then shared by all task
 * threads. */
#ifndef WEIR_API_STREAM_GRAPH_H
#define WEIR_API_STREAM_GRAPH_H

#include <weir/weir.h>

#include "common/base/error.h"
#include "proto/graph.pb-c.h"

enum { STREAM_NODE_MAX = 4096, KEY_FIELDS_MAX = 8 };

struct stream_node {
    uint32_t index;
    Weir__OperatorKind kind;
    char *name;
    char *uid;            /* given, or derived from kind and position ("weir:map:2"); never NULL */
    uint32_t parallelism; /* 0: the default, stream_graph_parallelism() */
    void *user_data;
    const weir_record_type *input_type;  /* NULL for sources */
    const weir_record_type *output_type; /* NULL for sinks */
    struct stream_node *input;           /* NULL for sources */
    uint32_t key_field_count; /* > 0: the exchange before this node hashes by these fields of the input */
    uint32_t key_fields[KEY_FIELDS_MAX]; /* indexes into input_type->fields */
    union {                              /* by kind; strings and property lists are owned copies */
        weir_kafka_source_options kafka_source;
        weir_generator_source_options generator_source;
        weir_sequence_source_options sequence_source;
        weir_map_options map;
        weir_filter_options filter;
        weir_window_options window;
        weir_kafka_sink_options kafka_sink;
        weir_print_sink_options print_sink;
        weir_discard_sink_options discard_sink;
    } options;
};

struct stream_graph; /* opaque; owns its nodes */

/* A job's shared object, loaded. Closing it is the end of the process (nothing needs dlclose). */
struct job_library {
    void *handle;
    const weir_job_descriptor *descriptor;
    char *path;
};

/* dlopen + descriptor checks: missing file, not a shared object, no descriptor, wrong magic, another API
 * major (both versions named). Loading runs the object's constructors: in the client, do it in a child
 * process. */
int job_library_open(const char *path, struct job_library *ret_library, struct error *err) WEIR_CHECK;

struct stream_graph_settings {
    uint32_t default_parallelism; /* ≥ 1; what operators without one of their own get */
    bool parallelism_is_given;    /* by the person (-p): weir_set_parallelism has no effect */
    /* Given by the person (-D key=value): win over what main sets, and are part of the graph's configuration.
     * Borrowed for the call. NULL, 0: none. */
    Weir__KeyValue *const *configuration;
    size_t configuration_count;
};

/* Runs main; on success the caller owns *ret_graph (stream_graph_free), which must outlive the use of its
 * functions: user data may point to arguments, of which it keeps a copy. The first mistake is the error,
 * naming the operator. A worker that builds the graph again gives the parallelism that
 * stream_graph_parallelism() said in the client, as given. */
int stream_graph_build(const weir_job_descriptor *job, const struct stream_graph_settings *settings, int argc,
                       char **argv, struct stream_graph **ret_graph, struct error *err) WEIR_CHECK;
void stream_graph_free(struct stream_graph *graph);
uint32_t stream_graph_node_count(const struct stream_graph *graph);
const struct stream_node *stream_graph_node(const struct stream_graph *graph, uint32_t index);
/* What operators without a parallelism of their own get, after weir_set_parallelism: for
 * JobProgram.default_parallelism. */
uint32_t stream_graph_parallelism(const struct stream_graph *graph);

/* Chains operators into vertices and makes the job graph; free with weir__job_graph__free_unpacked(graph,
 * NULL). The fingerprint is that of the graph as it is made here; whoever adds settings to it afterwards
 * leaves it as it is. */
int stream_graph_to_job_graph(const struct stream_graph *graph, Weir__JobGraph **ret_graph,
                              struct error *err) WEIR_CHECK;

#endif
