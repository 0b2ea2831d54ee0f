#include <getopt.h>
#include <string.h>

#include "common/daemon/daemon.h"

int daemon_options_parse(int argc, char **argv, struct daemon_options *ret_options, struct error *err)
{
    enum { CONFIG_DIR = 256 };
    static const struct option table[] = {
        {"configDir", required_argument, NULL, CONFIG_DIR},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct daemon_options options = {0};
    int rc = WEIR_OK;
    opterr = 0;
    optind = 0; /* a new line of arguments: getopt forgets the one before */
    for (int c; rc == WEIR_OK && (c = getopt_long(argc, argv, ":D:hv", table, NULL)) != -1;)
        switch (c) {
        case 'h':
            options.help = true;
            break;
        case 'v':
            options.version = true;
            break;
        case CONFIG_DIR:
            options.config_directory = optarg;
            break;
        case 'D':
            if (strchr(optarg, '='))
                vec_push(&options.overrides, optarg);
            else
                rc = error_set(err, WEIR_E_INVALID, "-D needs key=value, not %s", optarg);
            break;
        case ':':
            rc = error_set(err, WEIR_E_INVALID, "%s needs a value", argv[optind - 1]);
            break;
        default:
            rc = error_set(err, WEIR_E_INVALID, "unknown option %s; --help shows those there are",
                           argv[optind - 1]);
        }
    if (rc == WEIR_OK && optind < argc)
        rc = error_set(err, WEIR_E_INVALID, "unexpected argument %s; --help shows what can be given",
                       argv[optind]);
    if (rc)
        daemon_options_deinit(&options);
    else
        *ret_options = options;
    return rc;
}

void daemon_options_deinit(struct daemon_options *options)
{
    vec_free(&options->overrides);
}
