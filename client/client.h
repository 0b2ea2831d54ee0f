/* The command line client: actions, and what they share. One thread. */
#ifndef WEIR_CLIENT_CLIENT_H
#define WEIR_CLIENT_CLIENT_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "client/options.h"
#include "common/base/id.h"
#include "common/config/config.h"

/* Each returns the exit code, having printed what there is to say. */
int action_run(const struct options *options);
int action_list(const struct options *options);
int action_cancel(const struct options *options);
int action_savepoint(const struct options *options);
int action_stop(const struct options *options);
int action_checkpoint(const struct options *options);

/* A mistake in the arguments: to stdout, with a hint at the help. Returns the exit code. */
int fail_arguments(const char *format, ...) WEIR_PRINTF(1, 2);
/* A failure: to stderr, in the frame that Flink's client has. Returns the exit code. */
int fail_with(const char *format, ...) WEIR_PRINTF(1, 2);

/* "Version: 0.1.0, Commit ID: 1234567" */
const char *client_version(void);

/* The configuration of $WEIR_CONF_DIR with -D on top; the REST address "host:port" by -m or by it
 * (malloc'ed). */
int client_config_load(const struct options *options, struct config **ret_config,
                       struct error *err) WEIR_CHECK;
int client_rest_address(const struct options *options, const struct config *config, char **ret_address,
                        struct error *err) WEIR_CHECK;

/* The blocks of `list`, from the body of /jobs/overview. */
int list_print(FILE *out, const cJSON *overview, bool running, bool scheduled, bool terminated,
               struct error *err) WEIR_CHECK;

#endif
