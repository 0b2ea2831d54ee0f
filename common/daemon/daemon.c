#include "common/daemon/daemon.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "common/base/log.h"

/* Blocks of a megabyte (artifacts) go back to the system, and threads of libraries share few arenas. */
static void tune_memory(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

/* Connections of clients, taskmanagers and workers: as many as the system lets this process have. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void print_help(const struct daemon *daemon)
{
    printf("Usage: %s [--configDir DIRECTORY] [-D key=value]...\n\n"
           "%s\n\n"
           "  --configDir DIRECTORY  where config.yaml is; by default $WEIR_CONF_DIR\n"
           "  -D key=value           a setting; wins over the file\n"
           "  --help, --version\n\n"
           "Settings:\n",
           daemon->name, daemon->purpose);
    config_print_help(stdout);
}

static int run(const struct daemon *daemon, const struct daemon_options *options, struct error *err)
{
    struct config *config;
    int rc = config_load(options->config_directory, options->overrides.items, options->overrides.count,
                         &config, err);
    if (rc)
        return rc;
    enum log_level level;
    if (log_level_parse(config_string(config, OPT_LOG_LEVEL), &level) == WEIR_OK)
        log_set_level(level);
    rc = daemon->run(config, err);
    config_free(config);
    return rc;
}

int daemon_main(const struct daemon *daemon, int argc, char **argv)
{
    struct daemon_options options = {0};
    struct error err = {0};
    tune_memory();
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    int rc = daemon_options_parse(argc, argv, &options, &err);
    if (rc == WEIR_OK && options.help)
        print_help(daemon);
    else if (rc == WEIR_OK && options.version)
        printf("Version: %s\n", WEIR_VERSION);
    else if (rc == WEIR_OK)
        rc = run(daemon, &options, &err);
    if (rc)
        fprintf(stderr, "%s: %s\n", daemon->name, err.message);
    daemon_options_deinit(&options);
    return rc ? weir_rc_exit_code(rc) : 0;
}
