/* Builder functions for what happens between source and sink. */
#include "common/api/env.h"

#include <inttypes.h>
#include <string.h>

#include "common/api/record.h"

weir_stream *weir_map_with(weir_stream *input, const weir_map_options *options)
{
    struct draft draft;
    if (!draft_begin(&draft, input ? input->env : NULL, input, WEIR__OPERATOR_KIND__OPERATOR_MAP, options,
                     sizeof *options))
        return draft_broken(&draft);
    weir_map_options *mine = &draft.node->options.map;
    if (!draft_type(&draft, ".type", mine->type))
        return draft_broken(&draft);
    draft.node->output_type = mine->type;
    if (!mine->map)
        return draft_mistake(&draft, ".map is missing");
    return draft_finish(&draft);
}

weir_stream *weir_filter_with(weir_stream *input, const weir_filter_options *options)
{
    struct draft draft;
    if (!draft_begin(&draft, input ? input->env : NULL, input, WEIR__OPERATOR_KIND__OPERATOR_FILTER, options,
                     sizeof *options))
        return draft_broken(&draft);
    draft.node->output_type = draft.node->input_type;
    if (!draft.node->options.filter.filter)
        return draft_mistake(&draft, ".filter is missing");
    return draft_finish(&draft);
}

/* The index of a field to key by; −1: a mistake was recorded. */
static int key_field_find(const struct weir_stream *input, const struct weir_stream *keyed, const char *name)
{
    struct weir_env *env = input->env;
    const weir_record_type *type = input->node->output_type;
    int index = record_type_find(type, name);
    if (index < 0) {
        env_mistake(env, "weir_key_by behind operator \"%s\": the record \"%s\" has no field \"%.100s\"",
                    input->node->name, type->name, name);
        return -1;
    }
    if (type->fields[index].type == WEIR_TYPE_float64) {
        env_mistake(env,
                    "weir_key_by behind operator \"%s\": the field \"%s\" is a float64, which can't be a "
                    "key: equal numbers "
                    "may have different bytes",
                    input->node->name, name);
        return -1;
    }
    for (uint32_t i = 0; i < keyed->key_field_count; i++) {
        if (keyed->key_fields[i] == (uint32_t)index) {
            env_mistake(env, "weir_key_by behind operator \"%s\": the field \"%s\" is named twice",
                        input->node->name, name);
            return -1;
        }
    }
    return index;
}

weir_stream *weir_key_by_with(weir_stream *input, const char *const *fields)
{
    struct weir_env *env = input ? input->env : env_current();
    if (!env)
        return draft_broken(&(struct draft){0});
    if (!input)
        env_mistake(env, "weir_key_by: the input stream is NULL");
    if (env->failed)
        return &env->broken;
    if (!fields || !fields[0]) {
        env_mistake(env, "weir_key_by behind operator \"%s\": no field is named", input->node->name);
        return &env->broken;
    }
    struct weir_stream *keyed = graph_alloc(env->graph, sizeof *keyed);
    keyed->env = env;
    keyed->node = input->node;
    for (const char *const *name = fields; *name; name++) {
        if (keyed->key_field_count == KEY_FIELDS_MAX) {
            env_mistake(env, "weir_key_by behind operator \"%s\": more than %d fields", input->node->name,
                        KEY_FIELDS_MAX);
            return &env->broken;
        }
        int index = key_field_find(input, keyed, *name);
        if (index < 0)
            return &env->broken;
        keyed->key_fields[keyed->key_field_count++] = (uint32_t)index;
    }
    return keyed;
}

/* Checks the aggregate and replaces it by a full-size copy with owned strings. */
static bool aggregate_take(const struct draft *draft, const weir_aggregate **aggregate)
{
    const weir_aggregate *theirs = *aggregate;
    if (!theirs)
        return draft_mistake(draft, ".aggregate is missing"), false;
    if (theirs->struct_size > sizeof *theirs)
        return draft_mistake(draft, ".aggregate is of a newer weir.h than this libweir (API %d.%d) knows",
                             WEIR_API_MAJOR, WEIR_API_MINOR),
               false;
    if (theirs->struct_size < offsetof(weir_aggregate, merge))
        return draft_mistake(draft, ".aggregate: .struct_size is not set"), false;
    weir_aggregate *mine = graph_alloc(draft->env->graph, sizeof *mine);
    memcpy(mine, theirs, theirs->struct_size);
    if (!mine->name)
        mine->name = "AggregateFunction";
    if (!draft_text(draft, ".aggregate: .name", &mine->name, true) ||
        !draft_type(draft, ".aggregate: .accumulator", mine->accumulator))
        return false;
    if (record_type_has_strings(mine->accumulator))
        return draft_mistake(draft,
                             ".aggregate: the accumulator \"%s\" has a string or bytes field, which can't "
                             "grow in place",
                             mine->accumulator->name),
               false;
    if (!mine->add)
        return draft_mistake(draft, ".aggregate: .add is missing"), false;
    if (!mine->result_type != !mine->result)
        return draft_mistake(draft, mine->result ? ".aggregate: .result is given, but no .result_type"
                                                 : ".aggregate: .result_type is given, but no .result"),
               false;
    if (mine->result_type) {
        if (!draft_type(draft, ".aggregate: .result_type", mine->result_type))
            return false;
        if (record_type_has_strings(mine->result_type))
            return draft_mistake(
                       draft, ".aggregate: the result \"%s\" has a string or bytes field, which can't be set",
                       mine->result_type->name),
                   false;
    }
    *aggregate = mine;
    return true;
}

weir_stream *weir_window_with(weir_stream *keyed, const weir_window_options *options)
{
    struct draft draft;
    if (!draft_begin(&draft, keyed ? keyed->env : NULL, keyed, WEIR__OPERATOR_KIND__OPERATOR_WINDOW, options,
                     sizeof *options))
        return draft_broken(&draft);
    weir_window_options *mine = &draft.node->options.window;
    if (!draft.node->key_field_count)
        return draft_mistake(&draft, "the stream has no key: call weir_key_by before it");
    if (mine->kind != WEIR_TUMBLING_EVENT_TIME && mine->kind != WEIR_TUMBLING_PROCESSING_TIME)
        return draft_mistake(&draft, ".kind is %d; it must be one of weir_window_kind", (int)mine->kind);
    if (mine->size_ms <= 0)
        return draft_mistake(&draft, ".size_ms is %" PRId64 "; it must be at least 1", mine->size_ms);
    if (!aggregate_take(&draft, &mine->aggregate) || !draft_type(&draft, ".type", mine->type))
        return draft_broken(&draft);
    draft.node->output_type = mine->type;
    if (!mine->window)
        return draft_mistake(&draft, ".window is missing");
    if (!mine->window_name)
        mine->window_name = "WindowFunction";
    if (!draft_text(&draft, ".window_name", &mine->window_name, true))
        return draft_broken(&draft);
    return draft_finish(&draft);
}
