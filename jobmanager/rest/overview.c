/* /overview and /config: the cluster in numbers, and what a client needs to know about it. */
#include "jobmanager/rest/handlers.h"

#include <string.h>
#include <time.h>

void rest_overview(const struct rest_request *request, struct rest_response *response)
{
    struct overview_view view;
    core_view_overview(request->env->core, &view);
    cJSON *body = response->body = json_new_object();
    json_uint(body, "taskmanagers", view.task_managers);
    json_uint(body, "slots-total", view.slots_total);
    json_uint(body, "slots-available", view.slots_available);
    json_uint(body, "jobs-running", view.jobs_running);
    json_uint(body, "jobs-finished", view.jobs_finished);
    json_uint(body, "jobs-cancelled", view.jobs_cancelled);
    json_uint(body, "jobs-failed", view.jobs_failed);
    json_string(body, "flink-version", WEIR_VERSION);
    json_string(body, "flink-commit", WEIR_COMMIT);
}

void rest_config(const struct rest_request *request, struct rest_response *response)
{
    const struct config *config = request->env->config;
    time_t now = (time_t)(request->now_ms / 1000);
    struct tm local;
    localtime_r(&now, &local);
    cJSON *body = response->body = json_new_object();
    json_int(body, "refresh-interval", config_duration_ms(config, OPT_WEB_REFRESH));
    json_string(body, "timezone-name",
                strcmp(local.tm_zone, "UTC") == 0 ? "Coordinated Universal Time" : local.tm_zone);
    json_int(body, "timezone-offset", local.tm_gmtoff * 1000);
    json_string(body, "flink-version", WEIR_VERSION);
    json_string(body, "flink-revision", WEIR_COMMIT);
    cJSON *features = json_object(body, "features");
    /* Jobs are submitted by the client over RPC; there is no upload of jars whose page this would switch on.
     */
    json_bool(features, "web-submit", false);
    json_bool(features, "web-cancel", config_boolean(config, OPT_WEB_CANCEL));
    json_bool(features, "web-rescale", false);
    json_bool(features, "web-history", false);
    json_string(body, "weir-version", WEIR_VERSION);
    json_string(body, "weir-rpc-address", request->env->rpc_address);
}
