/* The entry of libweir-worker.so, called by the taskmanager's executable. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/sys/stack.h"
#include "taskmanager/worker/process/worker.h"

__attribute__((visibility("default"))) int weir_worker_main(int argc, char **argv);

int weir_worker_main(int argc, char **argv)
{
    struct worker_options options;
    struct error err = {0};
    if (worker_options_parse(argc, argv, &options, &err)) {
        fprintf(stderr, "taskmanager --worker: %s\n", err.message);
        return 2;
    }
    /* The parent may have ended before this took effect. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != options.parent_pid)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C in a terminal reaches the whole group; the taskmanager decides */
    fcntl(options.crash_fd, F_SETFD, FD_CLOEXEC);
    fcntl(options.liveness_fd, F_SETFD, FD_CLOEXEC);
    if (crash_handler_install(options.crash_fd, &err)) {
        fprintf(stderr, "taskmanager --worker: %s\n", err.message);
        return 2;
    }
    worker_run(&options);
}
