#include "jobmanager/shell/options.h"

#include <stdio.h>
#include <string.h>

#include "common/config/config.h"

/* "--name VALUE", "--name=VALUE", or with a one-letter name "-DVALUE". false: another option. NULL: the value
 * is missing. */
static bool take_value(const char *name, int argc, char **argv, int *index, const char **ret_value)
{
    const char *argument = argv[*index];
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0)
        return false;
    bool is_short = name[1] != '-';
    if (argument[length] == '\0')
        *ret_value = *index + 1 < argc ? argv[++*index] : NULL;
    else if (is_short || argument[length] == '=')
        *ret_value = argument + length + !is_short;
    else
        return false;
    return true;
}

int options_parse(int argc, char **argv, struct options *ret_options, struct error *err)
{
    struct options options = {0};
    const char *value = NULL;
    int rc = WEIR_OK;
    for (int i = 1; i < argc && rc == WEIR_OK; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            options.help = true;
        } else if (strcmp(argument, "--version") == 0 || strcmp(argument, "-v") == 0) {
            options.version = true;
        } else if (take_value("--configDir", argc, argv, &i, &value)) {
            options.config_directory = value;
            if (!value)
                rc = error_set(err, WEIR_E_INVALID, "--configDir needs a directory");
        } else if (take_value("-D", argc, argv, &i, &value)) {
            if (value && strchr(value, '='))
                vec_push(&options.overrides, value);
            else
                rc = error_set(err, WEIR_E_INVALID, "-D needs key=value%s%s", value ? ", not " : "",
                               value ? value : "");
        } else {
            rc = error_set(err, WEIR_E_INVALID, "unknown option %s; --help shows those there are", argument);
        }
    }
    if (rc)
        options_free(&options);
    else
        *ret_options = options;
    return rc;
}

void options_free(struct options *options)
{
    vec_free(&options->overrides);
}

void options_print_help(void)
{
    printf("Usage: jobmanager [--configDir DIRECTORY] [-D key=value]...\n\n"
           "Accepts jobs, schedules them on taskmanagers, and takes their checkpoints.\n\n"
           "  --configDir DIRECTORY  where config.yaml is; by default $WEIR_CONF_DIR\n"
           "  -D key=value           a setting; wins over the file\n"
           "  --help, --version\n\n"
           "Settings:\n");
    config_print_help(stdout);
}
