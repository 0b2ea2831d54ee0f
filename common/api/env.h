/* The inside of an environment while main runs, and of the graph it leaves behind: for the files of this
 * folder only. */
#ifndef WEIR_API_ENV_H
#define WEIR_API_ENV_H

#include "common/api/stream_graph.h"
#include "common/base/vec.h"

enum {
    OPERATOR_NAME_MAX = 256, /* bytes; of names and uids */
    PARALLELISM_MAX = 32768, /* key groups: Flink's limit */
    RECORD_FIXED_MAX = 1024, /* bytes; pipeline.max-record-size is never less */
    RECORD_FIELDS_MAX = 16,
    STRING_OPTION_MAX = 4096,
    PROPERTIES_MAX = 256,
};

#define KEY_CHECKPOINT_INTERVAL "execution.checkpointing.interval"
#define KEY_CHAINING            "pipeline.operator-chaining.enabled"
#define KEY_CHAINING_OLD        "pipeline.operator-chaining"
#define KEY_MAX_PARALLELISM     "pipeline.max-parallelism"

struct graph_setting {
    const char *key;
    const char *value;
    bool given; /* by the person (-D): main can't change it */
};

struct stream_graph {
    const char *job_name;
    uint32_t parallelism;
    struct vec_of(struct stream_node *) nodes;
    struct vec_of(struct graph_setting) configuration;
    int argc;
    char **argv;                 /* copies; NULL-terminated */
    struct vec_of(void *) owned; /* all memory of the graph but the vectors */
};

/* A point of the stream to go on from. */
struct weir_stream {
    struct weir_env *env;
    struct stream_node *node; /* NULL: what came of a mistake; what is built on it is passed over */
    uint32_t key_field_count;
    uint32_t key_fields[KEY_FIELDS_MAX];
};

struct weir_env {
    struct stream_graph *graph;
    bool parallelism_is_given;
    bool failed;
    struct error error; /* the first mistake */
    struct weir_stream broken;
};

/* Memory that lives as long as the graph. */
void *graph_alloc(struct stream_graph *graph, size_t size_bytes);
char *graph_strdup(struct stream_graph *graph, const char *text); /* NULL stays NULL */

void env_mistake(struct weir_env *env, const char *format, ...) WEIR_PRINTF(2, 3);
void env_vmistake(struct weir_env *env, const char *prefix, const char *format, va_list args)
    WEIR_PRINTF(3, 0);
/* The environment whose main function runs on this thread; for calls that have none (a NULL stream). */
struct weir_env *env_current(void);
void env_set_current(struct weir_env *env);

/* false: *ret_problem says what is wrong ("is longer than 256 bytes"). NULL isn't valid. */
bool text_is_valid(const char *text, size_t max_bytes, const char **ret_problem);

void graph_set(struct stream_graph *graph, const char *key, const char *value, bool given);
const char *graph_get(const struct stream_graph *graph, const char *key); /* NULL: not set */

/* ---- nodes under construction (nodes.c)
 * --------------------------------------------------------------------------- */

struct draft {
    struct weir_env *env;
    struct stream_node *node;
};

/* Takes options over into a new node that isn't in the graph yet: size checked, strings of the common part
 * copied. false: a mistake was recorded, or there was one before. input: NULL for sources. */
bool draft_begin(struct draft *draft, struct weir_env *env, struct weir_stream *input,
                 Weir__OperatorKind kind, const void *options, size_t known_bytes);
/* Records a mistake that names the operator and the function; returns the stream to return. */
struct weir_stream *draft_mistake(const struct draft *draft, const char *format, ...) WEIR_PRINTF(2, 3);
/* What to return after a mistake that a helper recorded. */
struct weir_stream *draft_broken(const struct draft *draft);
struct weir_stream *draft_finish(struct draft *draft);
/* Copies a text option into the graph; false: a mistake was recorded. */
bool draft_text(const struct draft *draft, const char *option, const char **text, bool required);
/* "key=value" properties, NULL-terminated. */
bool draft_properties(const struct draft *draft, const char *const **properties);
bool draft_type(const struct draft *draft, const char *option, const weir_record_type *type);
bool draft_watermarks(const struct draft *draft, weir_watermark_strategy *watermarks);

const char *kind_function(Weir__OperatorKind kind); /* "weir_map" */
bool kind_is_source(Weir__OperatorKind kind);
bool kind_is_sink(Weir__OperatorKind kind);
bool kind_is_stateful(Weir__OperatorKind kind);
/* As Flink shows it: "Source: X", "X: Writer", "X"; caller frees. */
char *node_display_name(const struct stream_node *node);
char *node_description(const struct stream_node *node); /* caller frees */

#endif
