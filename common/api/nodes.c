/* Operators under construction: what all kinds have in common.
 *
 * Happy path: a builder function begins a draft from the caller's options (whose size may be that of an older
 * weir.h: what is missing is zero), checks and copies what is its own, and finishes it: the node is in the
 * graph, and a stream comes back. Possible failure modes are all the job's mistakes: the first is kept in the
 * environment; its stream, the broken one, makes everything built on it pass over in silence. */
#include "common/api/env.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/api/record.h"

static const struct {
    const char *function;
    const char *word; /* in derived uids */
    const char *default_name;
    bool source, sink, stateful;
} kinds[] = {
    [WEIR__OPERATOR_KIND__OPERATOR_UNKNOWN] = {"weir", "unknown", "Operator", false, false, false},
    [WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE] = {"weir_from_kafka", "kafka-source", "Kafka Source", true,
                                                    false, true},
    [WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE] = {"weir_from_sequence", "sequence-source",
                                                       "Sequence Source", true, false, true},
    [WEIR__OPERATOR_KIND__OPERATOR_GENERATOR_SOURCE] = {"weir_from_generator", "generator-source",
                                                        "Generator Source", true, false, true},
    [WEIR__OPERATOR_KIND__OPERATOR_MAP] = {"weir_map", "map", "Map", false, false, false},
    [WEIR__OPERATOR_KIND__OPERATOR_FILTER] = {"weir_filter", "filter", "Filter", false, false, false},
    [WEIR__OPERATOR_KIND__OPERATOR_WINDOW] = {"weir_window", "window", "Window", false, false, true},
    [WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SINK] = {"weir_to_kafka", "kafka-sink", "Kafka Sink", false, true,
                                                  false},
    [WEIR__OPERATOR_KIND__OPERATOR_PRINT_SINK] = {"weir_print", "print-sink", "Print to Std. Out", false,
                                                  true, false},
    [WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK] = {"weir_discard", "discard-sink", "Discard", false, true,
                                                    false},
};

/* The common part stands at one place in all option structs. */
#define SAME_PLACE(type)                                                                                     \
    _Static_assert(offsetof(type, struct_size) == 0 && offsetof(type, operator_) == sizeof(size_t),          \
                   "common part")
SAME_PLACE(weir_kafka_source_options);
SAME_PLACE(weir_generator_source_options);
SAME_PLACE(weir_sequence_source_options);
SAME_PLACE(weir_map_options);
SAME_PLACE(weir_filter_options);
SAME_PLACE(weir_window_options);
SAME_PLACE(weir_kafka_sink_options);
SAME_PLACE(weir_print_sink_options);
SAME_PLACE(weir_discard_sink_options);

const char *kind_function(Weir__OperatorKind kind)
{
    return kinds[kind].function;
}

bool kind_is_source(Weir__OperatorKind kind)
{
    return kinds[kind].source;
}

bool kind_is_sink(Weir__OperatorKind kind)
{
    return kinds[kind].sink;
}

bool kind_is_stateful(Weir__OperatorKind kind)
{
    return kinds[kind].stateful;
}

char *node_display_name(const struct stream_node *node)
{
    if (kind_is_source(node->kind))
        return xasprintf("Source: %s", node->name);
    if (kind_is_sink(node->kind))
        return xasprintf("%s: Writer", node->name);
    return xstrdup(node->name);
}

char *node_description(const struct stream_node *node)
{
    if (node->kind != WEIR__OPERATOR_KIND__OPERATOR_WINDOW)
        return node_display_name(node);
    const weir_window_options *window = &node->options.window;
    const char *time = window->kind == WEIR_TUMBLING_EVENT_TIME ? "Event" : "Processing";
    return xasprintf("Window(Tumbling%sTimeWindows(%" PRId64 "), %sTimeTrigger, %s, %s)", time,
                     window->size_ms, time, window->aggregate->name, window->window_name);
}

struct weir_stream *draft_mistake(const struct draft *draft, const char *format, ...)
{
    char prefix[OPERATOR_NAME_MAX + 64];
    const struct stream_node *node = draft->node;
    if (node->name)
        snprintf(prefix, sizeof prefix, "operator \"%s\" (%s)", node->name, kind_function(node->kind));
    else
        snprintf(prefix, sizeof prefix, "operator %" PRIu32 " (%s)", node->index, kind_function(node->kind));
    va_list args;
    va_start(args, format);
    env_vmistake(draft->env, prefix, format, args);
    va_end(args);
    return &draft->env->broken;
}

struct weir_stream *draft_broken(const struct draft *draft)
{
    /* For a call that has no environment at all: outside of a job's main function. */
    static struct weir_stream nowhere;
    return draft->env ? &draft->env->broken : &nowhere;
}

/* The caller's options into the node's, zero-extended. */
static bool options_take(const struct draft *draft, const void *options, size_t known_bytes)
{
    size_t size = 0;
    if (options)
        memcpy(&size, options, sizeof size);
    if (size > known_bytes)
        return draft_mistake(draft,
                             "its options are %zu bytes long and this libweir (API %d.%d) knows %zu: the job "
                             "was compiled "
                             "with a newer weir.h",
                             size, WEIR_API_MAJOR, WEIR_API_MINOR, known_bytes),
               false;
    if (size < sizeof(size_t) + sizeof(weir_operator_options))
        return draft_mistake(draft, options ? ".struct_size is not set; use the macro, not the _with function"
                                            : "its options are missing"),
               false;
    memcpy(&draft->node->options, options, size);
    return true;
}

static bool name_take(const struct draft *draft, weir_operator_options *common)
{
    const char *problem;
    if (!common->name)
        common->name = kinds[draft->node->kind].default_name;
    else if (!text_is_valid(common->name, OPERATOR_NAME_MAX, &problem))
        return draft_mistake(draft, ".name %s", problem), false;
    common->name = draft->node->name = graph_strdup(draft->env->graph, common->name);
    return true;
}

static bool uid_take(const struct draft *draft, weir_operator_options *common)
{
    struct stream_graph *graph = draft->env->graph;
    struct stream_node *node = draft->node;
    const char *problem;
    if (!common->uid) {
        if (kind_is_stateful(node->kind))
            return draft_mistake(
                       draft,
                       ".uid is missing: an operator with state needs one, by which its state is found "
                       "again"),
                   false;
        char derived[64];
        snprintf(derived, sizeof derived, "weir:%s:%" PRIu32, kinds[node->kind].word, node->index);
        common->uid = node->uid = graph_strdup(graph, derived);
        return true;
    }
    if (!text_is_valid(common->uid, OPERATOR_NAME_MAX, &problem))
        return draft_mistake(draft, ".uid %s", problem), false;
    if (strncmp(common->uid, "weir:", 5) == 0)
        return draft_mistake(draft, ".uid \"%s\": uids that begin with \"weir:\" are derived ones",
                             common->uid),
               false;
    vec_for_each (other, &graph->nodes) {
        if (strcmp((*other)->uid, common->uid) == 0)
            return draft_mistake(draft, ".uid \"%s\" is already that of operator \"%s\"", common->uid,
                                 (*other)->name),
                   false;
    }
    common->uid = node->uid = graph_strdup(graph, common->uid);
    return true;
}

static bool common_take(const struct draft *draft)
{
    /* All option structs begin alike (SAME_PLACE). */
    weir_operator_options *common = &draft->node->options.discard_sink.operator_;
    if (!name_take(draft, common))
        return false;
    for (size_t i = 0; i < sizeof common->reserved_ / sizeof common->reserved_[0]; i++) {
        if (common->reserved_[i] || common->reserved32_)
            return draft_mistake(draft, "its reserved options are not zero: they are of a newer weir.h"),
                   false;
    }
    if (!uid_take(draft, common))
        return false;
    if (common->parallelism > PARALLELISM_MAX)
        return draft_mistake(draft, ".parallelism is %" PRIu32 "; it can be at most %d", common->parallelism,
                             PARALLELISM_MAX),
               false;
    draft->node->parallelism = common->parallelism;
    draft->node->user_data = common->user_data;
    return true;
}

bool draft_begin(struct draft *draft, struct weir_env *env, struct weir_stream *input,
                 Weir__OperatorKind kind, const void *options, size_t known_bytes)
{
    draft->env = env ? env : env_current();
    if (!draft->env || draft->env->failed)
        return false;
    if (!input && !kind_is_source(kind)) {
        env_mistake(draft->env, "%s: the input stream is NULL", kind_function(kind));
        return false;
    }
    struct stream_graph *graph = draft->env->graph;
    if (graph->nodes.count >= STREAM_NODE_MAX) {
        env_mistake(draft->env, "%s: the job has more than %d operators", kind_function(kind),
                    STREAM_NODE_MAX);
        return false;
    }
    struct stream_node *node = graph_alloc(graph, sizeof *node);
    draft->node = node;
    node->kind = kind;
    node->index = (uint32_t)graph->nodes.count;
    if (input) {
        node->input = input->node;
        node->input_type = input->node->output_type;
        node->key_field_count = input->key_field_count;
        memcpy(node->key_fields, input->key_fields, sizeof node->key_fields);
    }
    return options_take(draft, options, known_bytes) && common_take(draft);
}

struct weir_stream *draft_finish(struct draft *draft)
{
    struct weir_stream *stream = graph_alloc(draft->env->graph, sizeof *stream);
    stream->env = draft->env;
    stream->node = draft->node;
    vec_push(&draft->env->graph->nodes, draft->node);
    return stream;
}

bool draft_text(const struct draft *draft, const char *option, const char **text, bool required)
{
    const char *problem;
    if (!*text && !required)
        return true;
    if (!text_is_valid(*text, STRING_OPTION_MAX, &problem))
        return draft_mistake(draft, "%s %s", option, problem), false;
    *text = graph_strdup(draft->env->graph, *text);
    return true;
}

bool draft_properties(const struct draft *draft, const char *const **properties)
{
    size_t count = 0;
    if (!*properties)
        return true;
    while ((*properties)[count]) {
        const char *property = (*properties)[count], *problem;
        const char *equals = strchr(property, '=');
        if (!equals || equals == property)
            return draft_mistake(draft, ".properties: \"%.100s\" is not of the form key=value", property),
                   false;
        if (!text_is_valid(property, STRING_OPTION_MAX, &problem))
            return draft_mistake(draft, ".properties: the entry \"%.*s=…\" %s",
                                 (int)(equals - property < 100 ? equals - property : 100), property, problem),
                   false;
        if (++count > PROPERTIES_MAX)
            return draft_mistake(draft, ".properties has more than %d entries", PROPERTIES_MAX), false;
    }
    const char **copy = graph_alloc(draft->env->graph, (count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = graph_strdup(draft->env->graph, (*properties)[i]);
    *properties = copy;
    return true;
}

bool draft_type(const struct draft *draft, const char *option, const weir_record_type *type)
{
    const char *problem = record_type_problem(type);
    if (!problem)
        return true;
    if (!type)
        draft_mistake(draft, "%s is missing", option);
    else if (type->struct_size == sizeof *type && type->name && *type->name)
        draft_mistake(draft, "%s: the record type \"%.100s\": %s", option, type->name, problem);
    else
        draft_mistake(draft, "%s: the record type: %s", option, problem);
    return false;
}

bool draft_watermarks(const struct draft *draft, weir_watermark_strategy *watermarks)
{
    const weir_record_type *type = draft->node->output_type;
    for (size_t i = 0; i < sizeof watermarks->reserved_ / sizeof watermarks->reserved_[0]; i++) {
        if (watermarks->reserved_[i])
            return draft_mistake(draft, "its reserved options are not zero: they are of a newer weir.h"),
                   false;
    }
    if (watermarks->out_of_orderness_ms < 0)
        return draft_mistake(draft, ".watermarks.out_of_orderness_ms is negative"), false;
    if (watermarks->idleness_ms < 0)
        return draft_mistake(draft, ".watermarks.idleness_ms is negative"), false;
    if (!draft_text(draft, ".watermarks.timestamp_field", &watermarks->timestamp_field, false))
        return false;
    if (!watermarks->timestamp_field)
        return true;
    int index = record_type_find(type, watermarks->timestamp_field);
    if (index < 0)
        return draft_mistake(draft, ".watermarks.timestamp_field: the record \"%s\" has no field \"%.100s\"",
                             type->name, watermarks->timestamp_field),
               false;
    weir_field_type field_type = type->fields[index].type;
    if (field_type != WEIR_TYPE_timestamp && field_type != WEIR_TYPE_int64)
        return draft_mistake(draft,
                             ".watermarks.timestamp_field: the field \"%s\" is neither timestamp nor int64",
                             watermarks->timestamp_field),
               false;
    return true;
}
