/* jobmanager: the process that accepts jobs and runs them on taskmanagers. */
#include "common/daemon/daemon.h"
#include "jobmanager/shell/jobmanager.h"

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .name = "jobmanager",
        .purpose = "Accepts jobs, schedules them on taskmanagers, and takes their checkpoints.",
        .run = jobmanager_run,
    };
    return daemon_main(&daemon, argc, argv);
}
