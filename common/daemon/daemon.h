/* The frame of a long-running executable (jobmanager, taskmanager): its command line, its configuration, its
 * limits. */
#ifndef WEIR_DAEMON_DAEMON_H
#define WEIR_DAEMON_DAEMON_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/vec.h"
#include "common/config/config.h"

struct daemon_options {
    const char *config_directory;          /* NULL: not given */
    struct vec_of(const char *) overrides; /* "key=value" */
    bool help;
    bool version;
};

/* Strings are borrowed from argv. On failure there is nothing to deinit. */
int daemon_options_parse(int argc, char **argv, struct daemon_options *ret_options,
                         struct error *err) WEIR_CHECK;
void daemon_options_deinit(struct daemon_options *options);

struct daemon {
    const char *name;    /* of the executable */
    const char *purpose; /* a sentence for --help */
    /* Runs until it is told to end; the configuration is borrowed. */
    int (*run)(const struct config *config, struct error *err);
};

/* What main returns. An error is one line on standard error. */
int daemon_main(const struct daemon *daemon, int argc, char **argv);

#endif
