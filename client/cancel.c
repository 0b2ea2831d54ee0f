/* weir cancel: PATCH /jobs/:id?mode=cancel. */
#include "client/client.h"

#include <stdlib.h>

#include "client/rest_client.h"

static int cancel(const char *address, const char *job, struct error *err)
{
    struct rest_client *client = rest_client_new(address);
    char *path = xasprintf("/jobs/%s?mode=cancel", job);
    int rc = rest_client_patch(client, path, err);
    free(path);
    rest_client_free(client);
    return rc;
}

int action_cancel(const struct options *options)
{
    struct error err;
    struct config *config;
    struct weir_id id;
    char *address;
    char job[WEIR_ID_HEX + 1];
    if (options->argument_count == 0)
        return fail_arguments("Missing JobID. Specify a JobID to cancel a job.");
    if (!weir_id_parse(options->arguments[0], &id))
        return fail_arguments("Cannot parse JobID from \"%s\". The expected format is [0-9a-fA-F]{32}, e.g. "
                              "fd72014d4c864993a2e5a9287b4a9c5d.",
                              options->arguments[0]);
    weir_id_format(&id, job);
    if (client_config_load(options, &config, &err) != 0)
        return fail_with("%s", err.message);
    int rc = client_rest_address(options, config, &address, &err);
    config_free(config);
    if (rc)
        return fail_arguments("%s", err.message);
    printf("Cancelling job %s.\n", job);
    fflush(stdout);
    rc = cancel(address, job, &err);
    free(address);
    if (rc)
        return fail_with("Could not cancel job %s. %s", job, err.message);
    printf("Cancelled job %s.\n", job);
    return 0;
}
