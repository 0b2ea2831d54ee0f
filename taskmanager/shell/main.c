/* taskmanager: the process that offers slots and supervises workers; with --worker first, a worker itself. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/log.h"
#include "taskmanager/shell/options.h"
#include "taskmanager/shell/taskmanager.h"
#include "taskmanager/shell/worker_main.h"

/* Blocks of a megabyte (artifacts) go back to the system, and threads of libraries share few arenas. */
static void tune_memory(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const struct tm_options *options, struct error *err)
{
    struct config *config;
    int rc = config_load(options->config_directory, options->overrides.items, options->overrides.count,
                         &config, err);
    if (rc)
        return rc;
    enum log_level level;
    if (log_level_parse(config_string(config, OPT_LOG_LEVEL), &level) == WEIR_OK)
        log_set_level(level);
    rc = taskmanager_run(config, err);
    config_free(config);
    return rc;
}

int main(int argc, char **argv)
{
    struct tm_options options = {0};
    struct error err;
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return worker_main(argc, argv);
    tune_memory();
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    int rc = tm_options_parse(argc, argv, &options, &err);
    if (rc == WEIR_OK && options.help)
        tm_options_print_help();
    else if (rc == WEIR_OK && options.version)
        printf("Version: %s\n", WEIR_VERSION);
    else if (rc == WEIR_OK)
        rc = run(&options, &err);
    if (rc)
        fprintf(stderr, "taskmanager: %s\n", err.message);
    tm_options_free(&options);
    return rc ? weir_rc_exit_code(rc) : 0;
}
