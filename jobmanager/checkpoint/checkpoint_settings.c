#include "jobmanager/checkpoint/checkpoint_settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"

char *checkpoint_local_directory(const char *uri)
{
    if (strncasecmp(uri, "file:", 5) == 0) {
        uri += 5;
        if (uri[0] == '/' && uri[1] == '/')
            uri += 2; /* a host other than "" leaves no slash in front */
    }
    if (uri[0] != '/')
        return NULL;
    size_t length = strlen(uri);
    while (length > 1 && uri[length - 1] == '/')
        length--;
    return xstrndup(uri, length);
}

static int directory_init(struct checkpoint_settings *settings, const struct config *config,
                          const struct weir_id *job, struct error *err)
{
    const char *configured = config_string(config, OPT_CHECKPOINT_DIR);
    if (!configured || !*configured)
        return error_set(err, WEIR_E_INVALID,
                         "execution.checkpointing.interval is set, but no directory for checkpoints: set "
                         "execution.checkpointing.dir, for example file:///var/lib/weir/checkpoints");
    char *directory = checkpoint_local_directory(configured);
    if (!directory)
        return error_set(
            err, WEIR_E_INVALID,
            "execution.checkpointing.dir: %.500s is not a directory of the form file:///directory",
            configured);
    char id[WEIR_ID_HEX + 1];
    settings->directory =
        xasprintf("%s/%s", strcmp(directory, "/") == 0 ? "" : directory, weir_id_format(job, id));
    free(directory);
    return 0;
}

static enum checkpoint_retention retention_of(const char *word)
{
    if (word && strcasecmp(word, "DELETE_ON_CANCELLATION") == 0)
        return DELETE_ON_CANCELLATION;
    if (word && strcasecmp(word, "NO_EXTERNALIZED_CHECKPOINTS") == 0)
        return RETAIN_NEVER;
    return RETAIN_ON_CANCELLATION;
}

int checkpoint_settings_init(struct checkpoint_settings *settings, const struct config *config,
                             const struct weir_id *job, struct error *err)
{
    *settings = (struct checkpoint_settings){
        .interval_ms = config_has(config, OPT_CHECKPOINT_INTERVAL)
                           ? config_duration_ms(config, OPT_CHECKPOINT_INTERVAL)
                           : 0,
        .timeout_ms = config_duration_ms(config, OPT_CHECKPOINT_TIMEOUT),
        .min_pause_ms = config_duration_ms(config, OPT_CHECKPOINT_MIN_PAUSE),
        .retained = (size_t)config_integer(config, OPT_CHECKPOINTS_RETAINED),
        .history = (size_t)config_integer(config, OPT_CHECKPOINT_HISTORY),
        .retention = retention_of(config_string(config, OPT_CHECKPOINT_RETENTION)),
    };
    const char *savepoints = config_string(config, OPT_SAVEPOINT_DIR);
    if (savepoints && *savepoints) {
        settings->savepoint_directory = checkpoint_local_directory(savepoints);
        if (!settings->savepoint_directory)
            return error_set(err, WEIR_E_INVALID,
                             "execution.checkpointing.savepoint-dir: %.500s is not a directory of the form "
                             "file:///directory",
                             savepoints);
    }
    if (!config_has(config, OPT_CHECKPOINT_INTERVAL))
        return 0;
    if (settings->interval_ms < CHECKPOINT_INTERVAL_MIN_MS)
        return error_set(err, WEIR_E_INVALID, "execution.checkpointing.interval: %lld ms is less than %d ms",
                         (long long)settings->interval_ms, (int)CHECKPOINT_INTERVAL_MIN_MS);
    if (settings->timeout_ms < CHECKPOINT_INTERVAL_MIN_MS)
        return error_set(err, WEIR_E_INVALID, "execution.checkpointing.timeout: %lld ms is less than %d ms",
                         (long long)settings->timeout_ms, (int)CHECKPOINT_INTERVAL_MIN_MS);
    return directory_init(settings, config, job, err);
}

void checkpoint_settings_deinit(struct checkpoint_settings *settings)
{
    free(settings->directory);
    free(settings->savepoint_directory);
    settings->directory = settings->savepoint_directory = NULL;
}
