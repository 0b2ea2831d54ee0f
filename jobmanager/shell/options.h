/* The jobmanager's command line. */
#ifndef WEIR_SHELL_OPTIONS_H
#define WEIR_SHELL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/base/vec.h"

struct options {
    const char *config_directory;          /* NULL: not given */
    struct vec_of(const char *) overrides; /* "key=value" */
    bool help;
    bool version;
};

/* Strings are borrowed from argv. */
int options_parse(int argc, char **argv, struct options *ret_options, struct error *err) WEIR_CHECK;
void options_free(struct options *options);
void options_print_help(void);

#endif
