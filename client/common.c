#include "client/client.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int fail_arguments(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n\nUse the help option (-h or --help) to get help on the command.\n");
    return 1;
}

int fail_with(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "\n------------------------------------------------------------\n"
                    " The program finished with the following exception:\n\n");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return 1;
}

int client_config_load(const struct options *options, struct config **ret_config, struct error *err)
{
    return config_load(NULL, options->overrides.items, options->overrides.count, ret_config, err);
}

/* "host:port", "[::1]:8081" */
static bool is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || strpbrk(text, "/@ \t\n?#"))
        return false;
    bool bracketed = *text == '[' && colon[-1] == ']';
    if (!bracketed && memchr(text, ':', (size_t)(colon - text)))
        return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    return colon[1] >= '0' && colon[1] <= '9' && !*end && port > 0 && port <= 65535;
}

int client_rest_address(const struct options *options, const struct config *config, char **ret_address,
                        struct error *err)
{
    if (!options->jobmanager) {
        *ret_address = xasprintf("%s:%" PRId64, config_string(config, OPT_REST_ADDRESS),
                                 config_integer(config, OPT_REST_PORT));
        return WEIR_OK;
    }
    if (!is_address(options->jobmanager))
        return error_set(
            err, WEIR_E_INVALID,
            "Cannot parse the jobmanager's address from \"%s\". The expected format is host:port, e.g. "
            "localhost:8081.",
            options->jobmanager);
    *ret_address = xstrdup(options->jobmanager);
    return WEIR_OK;
}

const char *client_version(void)
{
    return "Version: " WEIR_VERSION ", Commit ID: " WEIR_COMMIT;
}
