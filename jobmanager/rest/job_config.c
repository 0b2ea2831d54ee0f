/* /jobs/:jobid/config: the settings that a job runs with. */
#include "jobmanager/rest/handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *rest_job_setting(const struct rest_request *request, const char *key)
{
    const Weir__JobGraph *graph = request->job_view.graph;
    for (size_t i = graph->n_configuration; i-- > 0;)
        if (strcmp(graph->configuration[i]->key, key) == 0)
            return graph->configuration[i]->value;
    return NULL;
}

/* The effective configuration: the cluster's, then the job's on top. What doesn't parse was refused at
 * submission. */
static struct config *effective_config(const struct rest_request *request)
{
    struct config *config = config_copy(request->env->config);
    const Weir__JobGraph *graph = request->job_view.graph;
    for (size_t i = 0; i < graph->n_configuration; i++)
        if (config_set(config, graph->configuration[i]->key, graph->configuration[i]->value,
                       "job configuration", NULL))
            continue;
    return config;
}

/* As java.time.Duration: PT3S, PT0.5S, PT1M30S, PT1H. */
static void format_duration(int64_t ms, char *text, size_t size)
{
    int64_t hours = ms / 3600000;
    int64_t minutes = ms / 60000 % 60;
    int64_t millis = ms % 60000;
    if (ms <= 0) {
        snprintf(text, size, "PT0S");
        return;
    }
    char parts[3][24] = {"", "", ""};
    if (hours)
        snprintf(parts[0], sizeof parts[0], "%" PRId64 "H", hours);
    if (minutes)
        snprintf(parts[1], sizeof parts[1], "%" PRId64 "M", minutes);
    if (millis % 1000 == 0 && millis)
        snprintf(parts[2], sizeof parts[2], "%" PRId64 "S", millis / 1000);
    else if (millis)
        snprintf(parts[2], sizeof parts[2], "%gS", (double)millis / 1000);
    snprintf(text, size, "PT%s%s%s", parts[0], parts[1], parts[2]);
}

static void describe_restart_strategy(const struct config *config, char *text, size_t size)
{
    const char *type = config_string(config, OPT_RESTART_STRATEGY);
    bool checkpoints = config_is_set(config, OPT_CHECKPOINT_INTERVAL);
    char first[32];
    char second[32];
    if (type &&
        (strcasecmp(type, "none") == 0 || strcasecmp(type, "off") == 0 || strcasecmp(type, "disable") == 0)) {
        snprintf(text, size, "Restart deactivated.");
    } else if (type ? strncasecmp(type, "exponential", strlen("exponential")) == 0 : checkpoints) {
        format_duration(config_duration_ms(config, OPT_EXPONENTIAL_INITIAL), first, sizeof first);
        format_duration(config_duration_ms(config, OPT_EXPONENTIAL_MAX), second, sizeof second);
        snprintf(
            text, size,
            "Restart with exponential delay: starting at %s, increasing by %g, with maximum %s. Jitter %g.",
            first, config_double(config, OPT_EXPONENTIAL_MULTIPLIER), second,
            config_double(config, OPT_EXPONENTIAL_JITTER));
    } else {
        format_duration(config_duration_ms(config, OPT_FIXED_DELAY_DELAY), first, sizeof first);
        snprintf(text, size, "Restart with fixed delay (%s). #%" PRId64 " restart attempts.", first,
                 config_integer(config, OPT_FIXED_DELAY_ATTEMPTS));
    }
}

void rest_job_config(const struct rest_request *request, struct rest_response *response)
{
    const struct job_view *view = &request->job_view;
    char strategy[256];
    struct config *config = effective_config(request);
    describe_restart_strategy(config, strategy, sizeof strategy);
    config_free(config);
    uint32_t parallelism = 0;
    for (size_t i = 0; i < view->graph->n_vertices; i++)
        if (view->graph->vertices[i]->parallelism > parallelism)
            parallelism = view->graph->vertices[i]->parallelism;
    cJSON *body = response->body = json_new_object();
    json_id(body, "jid", &view->id);
    json_string(body, "name", view->name);
    cJSON *execution = json_object(body, "execution-config");
    json_string(execution, "restart-strategy", strategy);
    json_uint(execution, "job-parallelism", parallelism);
    json_bool(execution, "object-reuse-mode", false);
    json_object(execution, "user-config");
}
