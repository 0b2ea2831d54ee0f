/* The environment that main gets: mistakes, settings, memory. */
#include "common/api/env.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct weir_env *current_env;

struct weir_env *env_current(void)
{
    return current_env;
}

void env_set_current(struct weir_env *env)
{
    current_env = env;
}

void *graph_alloc(struct stream_graph *graph, size_t size_bytes)
{
    void *memory = xcalloc(1, size_bytes);
    vec_push(&graph->owned, memory);
    return memory;
}

char *graph_strdup(struct stream_graph *graph, const char *text)
{
    if (!text)
        return NULL;
    char *copy = xstrdup(text);
    vec_push(&graph->owned, copy);
    return copy;
}

void env_vmistake(struct weir_env *env, const char *prefix, const char *format, va_list args)
{
    if (!env || env->failed)
        return;
    env->failed = true;
    error_vset(&env->error, WEIR_E_INVALID, format, args);
    if (prefix)
        error_wrap(&env->error, "%s", prefix);
}

void env_mistake(struct weir_env *env, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    env_vmistake(env, NULL, format, args);
    va_end(args);
}

bool text_is_valid(const char *text, size_t max_bytes, const char **ret_problem)
{
    size_t length = text ? strnlen(text, max_bytes + 1) : 0;
    *ret_problem = NULL;
    if (!text)
        *ret_problem = "is missing";
    else if (length == 0)
        *ret_problem = "is empty";
    else if (length > max_bytes)
        *ret_problem = "is too long";
    for (size_t i = 0; !*ret_problem && i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            *ret_problem = "has a control character";
    }
    return !*ret_problem;
}

void graph_set(struct stream_graph *graph, const char *key, const char *value, bool given)
{
    struct graph_setting *found = NULL;
    vec_for_each (setting, &graph->configuration) {
        if (strcmp(setting->key, key) == 0)
            found = setting;
    }
    if (!found) {
        vec_push(&graph->configuration, (struct graph_setting){.key = graph_strdup(graph, key)});
        found = &graph->configuration.items[graph->configuration.count - 1];
    } else if (found->given && !given) {
        return;
    }
    found->value = graph_strdup(graph, value);
    found->given = given;
}

const char *graph_get(const struct stream_graph *graph, const char *key)
{
    vec_for_each (setting, &graph->configuration) {
        if (strcmp(setting->key, key) == 0)
            return setting->value;
    }
    return NULL;
}

int weir_reject(weir_env *env, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    env_vmistake(env, NULL, format, args);
    va_end(args);
    return WEIR_E_INVALID;
}

void weir_set_job_name(weir_env *env, const char *name)
{
    const char *problem;
    if (!text_is_valid(name, OPERATOR_NAME_MAX, &problem))
        env_mistake(env, "weir_set_job_name: the name %s", problem);
    else
        env->graph->job_name = graph_strdup(env->graph, name);
}

void weir_enable_checkpointing(weir_env *env, int64_t interval_ms)
{
    if (interval_ms <= 0) {
        env_mistake(env, "weir_enable_checkpointing: an interval of %" PRId64 " ms; it must be at least 1 ms",
                    interval_ms);
        return;
    }
    char text[32];
    snprintf(text, sizeof text, "%" PRId64 " ms", interval_ms);
    graph_set(env->graph, KEY_CHECKPOINT_INTERVAL, text, false);
}

void weir_disable_chaining(weir_env *env)
{
    graph_set(env->graph, KEY_CHAINING, "false", false);
}

void weir_set_parallelism(weir_env *env, uint32_t parallelism)
{
    if (parallelism < 1 || parallelism > PARALLELISM_MAX)
        env_mistake(env, "weir_set_parallelism: a parallelism of %" PRIu32 "; it must be 1 to %d",
                    parallelism, PARALLELISM_MAX);
    else if (!env->parallelism_is_given)
        env->graph->parallelism = parallelism;
}

void weir_set_config(weir_env *env, const char *key, const char *value)
{
    const char *problem;
    if (!text_is_valid(key, OPERATOR_NAME_MAX, &problem))
        env_mistake(env, "weir_set_config: the key %s", problem);
    else if (!value || strlen(value) > STRING_OPTION_MAX)
        env_mistake(env, "weir_set_config: the value of %s %s", key, value ? "is too long" : "is missing");
    else
        graph_set(env->graph, key, value, false);
}
