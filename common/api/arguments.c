/* A job's own arguments, read as Flink's ParameterTool does: one or two dashes, the value in the next word
 * unless that is an option itself (a negative number is a value), the last of several wins. Beyond that:
 * "--name=value". */
#include "common/api/env.h"

#include <stdlib.h>
#include <string.h>

static bool is_number(const char *text)
{
    char *end;
    strtod(text, &end);
    return end != text && *end == 0;
}

/* The name without its dashes; NULL if the word isn't an option. */
static const char *option_name(const char *word)
{
    if (word[0] != '-' || is_number(word))
        return NULL;
    const char *name = word + (word[1] == '-' ? 2 : 1);
    return *name ? name : NULL;
}

/* Whether it is there; *ret_value: NULL if it has none. */
static bool argument_find(const struct stream_graph *graph, const char *name, const char **ret_value)
{
    size_t length = strlen(name);
    bool found = false;
    for (int i = 1; i < graph->argc; i++) {
        const char *option = option_name(graph->argv[i]);
        if (!option)
            continue;
        const char *next = graph->argv[i + 1];
        const char *value = strchr(option, '=');
        size_t option_length = value ? (size_t)(value - option) : strlen(option);
        if (value)
            value++;
        else if (next && (next[0] != '-' || is_number(next)))
            value = next;
        if (option_length == length && memcmp(option, name, length) == 0) {
            found = true;
            *ret_value = value;
        }
        i += value == next && value;
    }
    return found;
}

const char *weir_arg(weir_env *env, const char *name, const char *default_value)
{
    const char *value;
    if (!name || !argument_find(env->graph, name, &value))
        return default_value;
    if (!value) {
        env_mistake(env, "the argument --%s needs a value", name);
        return default_value;
    }
    return value;
}

bool weir_flag(weir_env *env, const char *name)
{
    const char *value;
    return name && argument_find(env->graph, name, &value) && !(value && strcmp(value, "false") == 0);
}
