/* The taskmanager's command line. */
#ifndef WEIR_TASKMANAGER_OPTIONS_H
#define WEIR_TASKMANAGER_OPTIONS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/vec.h"

struct tm_options {
    const char *config_directory;          /* NULL: not given */
    struct vec_of(const char *) overrides; /* "key=value" */
    bool help;
    bool version;
};

/* Strings are borrowed from argv. */
int tm_options_parse(int argc, char **argv, struct tm_options *ret_options, struct error *err) WEIR_CHECK;
void tm_options_free(struct tm_options *options);
void tm_options_print_help(void);

#endif
