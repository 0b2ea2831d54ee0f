#include "taskmanager/shell/options.h"

#include <getopt.h>
#include <stdio.h>

#include "common/config/config.h"

int tm_options_parse(int argc, char **argv, struct tm_options *ret_options, struct error *err)
{
    enum { CONFIG_DIR = 256 };
    static const struct option table[] = {
        {"configDir", required_argument, NULL, CONFIG_DIR},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct tm_options options = {0};
    int rc = WEIR_OK;
    opterr = 0;
    optind = 1;
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
        tm_options_free(&options);
    else
        *ret_options = options;
    return rc;
}

void tm_options_free(struct tm_options *options)
{
    vec_free(&options->overrides);
}

void tm_options_print_help(void)
{
    printf("Usage: taskmanager [--configDir DIRECTORY] [-D key=value]...\n\n"
           "Offers slots to a jobmanager and runs the tasks of its jobs in worker processes.\n\n"
           "  --configDir DIRECTORY  where config.yaml is; by default $WEIR_CONF_DIR\n"
           "  -D key=value           a setting; wins over the file\n"
           "  --help, --version\n\n"
           "Settings:\n");
    config_print_help(stdout);
}
