#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "taskmanager/worker/process/worker.h"

static int parse_number(const char *name, const char *text, long most, int *ret_number, struct error *err)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > most)
        return error_set(err, WEIR_E_INVALID, "--%s %s: a number up to %ld was expected", name, text, most);
    *ret_number = (int)value;
    return WEIR_OK;
}

static int check(const struct worker_options *options, struct error *err)
{
    if (!options->control || !options->task_manager_id || !options->artifact || !options->host ||
        !options->bind_host || options->liveness_fd < 0 || options->crash_fd < 0 || options->parent_pid <= 0)
        return error_set(err, WEIR_E_INVALID,
                         "a worker is started by its taskmanager, which gives it its options");
    return WEIR_OK;
}

int worker_options_parse(int argc, char **argv, struct worker_options *ret_options, struct error *err)
{
    enum { WORKER, CONTROL, ID, ARTIFACT, HOST, BIND, PORT, PARENT, LIVENESS, CRASH };
    static const struct option table[] = {
        {"worker", no_argument, NULL, WORKER},
        {"control", required_argument, NULL, CONTROL},
        {"task-manager-id", required_argument, NULL, ID},
        {"artifact", required_argument, NULL, ARTIFACT},
        {"host", required_argument, NULL, HOST},
        {"bind-host", required_argument, NULL, BIND},
        {"data-port", required_argument, NULL, PORT},
        {"parent-pid", required_argument, NULL, PARENT},
        {"liveness-fd", required_argument, NULL, LIVENESS},
        {"crash-fd", required_argument, NULL, CRASH},
        {NULL, 0, NULL, 0},
    };
    struct worker_options options = {.liveness_fd = -1, .crash_fd = -1};
    int port = 0, rc = WEIR_OK;
    optind = 1;
    opterr = 0;
    for (int c; rc == WEIR_OK && (c = getopt_long(argc, argv, "", table, NULL)) != -1;)
        switch (c) {
        case WORKER:
            break;
        case CONTROL:
            options.control = optarg;
            break;
        case ID:
            options.task_manager_id = optarg;
            break;
        case ARTIFACT:
            options.artifact = optarg;
            break;
        case HOST:
            options.host = optarg;
            break;
        case BIND:
            options.bind_host = optarg;
            break;
        case PORT:
            rc = parse_number("data-port", optarg, UINT16_MAX, &port, err);
            break;
        case PARENT:
            rc = parse_number("parent-pid", optarg, INT32_MAX, &options.parent_pid, err);
            break;
        case LIVENESS:
            rc = parse_number("liveness-fd", optarg, INT32_MAX, &options.liveness_fd, err);
            break;
        case CRASH:
            rc = parse_number("crash-fd", optarg, INT32_MAX, &options.crash_fd, err);
            break;
        default:
            rc = error_set(err, WEIR_E_INVALID, "unknown option of a worker: %s", argv[optind - 1]);
        }
    if (rc == WEIR_OK)
        rc = check(&options, err);
    options.data_port = (uint16_t)port;
    if (rc == WEIR_OK)
        *ret_options = options;
    return rc;
}
