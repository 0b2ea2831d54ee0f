/* taskmanager: the process that offers slots and supervises workers; with --worker first, a worker itself. */
#include <string.h>

#include "common/daemon/daemon.h"
#include "taskmanager/shell/taskmanager.h"
#include "taskmanager/shell/worker_main.h"

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "taskmanager",
        .purpose = "Offers slots to a jobmanager and runs the tasks of its jobs in worker processes.",
        .run = taskmanager_run,
    };
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return worker_main(argc, argv);
    return daemon_main(&daemon, argc, argv);
}
