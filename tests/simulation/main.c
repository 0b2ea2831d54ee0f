/* weir-sim: runs seeds, several processes at once, and says which failed and how. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/simulation/sim.h"

enum { WORKERS_MAX = 64 };

struct arguments {
    uint64_t first;
    uint64_t count;
    uint32_t workers;
    const char *job;
    struct sim_options options;
};

struct result {
    uint64_t seeds, failed;
    struct sim_stats stats;
};

static const char help[] = "Usage: weir-sim [--seed N | --first N --count N] [OPTIONS]\n"
                           "Runs Click Event Count on a simulated cluster, with faults, from a seed; the "
                           "same seed does the same again.\n"
                           "  --seed N              one seed\n"
                           "  --first N --count N   that many seeds from N on (1, 100)\n"
                           "  --processes N         seeds at the same time (2)\n"
                           "  --virtual-seconds N   with faults, of each seed (120)\n"
                           "  --events N            events per page and window (20)\n"
                           "  --job FILE            the job's shared object\n"
                           "  --no-faults           only the job\n"
                           "  --trace               print what happens\n"
                           "Exit code 0: all seeds passed.\n";

static uint64_t number(const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end) {
        fprintf(stderr, "weir-sim: not a number: %s\n", text);
        exit(2);
    }
    return value;
}

static void parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"first", required_argument, NULL, 'f'},
        {"count", required_argument, NULL, 'c'},
        {"processes", required_argument, NULL, 'p'},
        {"virtual-seconds", required_argument, NULL, 'v'},
        {"events", required_argument, NULL, 'e'},
        {"job", required_argument, NULL, 'j'},
        {"no-faults", no_argument, NULL, 'n'},
        {"trace", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        switch (c) {
        case 's':
            arguments->first = number(optarg);
            arguments->count = 1;
            break;
        case 'f':
            arguments->first = number(optarg);
            break;
        case 'c':
            arguments->count = number(optarg);
            break;
        case 'p':
            arguments->workers = (uint32_t)number(optarg);
            break;
        case 'v':
            arguments->options.virtual_seconds = (int64_t)number(optarg);
            break;
        case 'e':
            arguments->options.events_per_window = (uint32_t)number(optarg);
            break;
        case 'j':
            arguments->job = optarg;
            break;
        case 'n':
            arguments->options.faults = false;
            break;
        case 't':
            arguments->options.trace = true;
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        default:
            fputs(help, stderr);
            exit(2);
        }
    if (arguments->workers < 1 || arguments->workers > WORKERS_MAX)
        arguments->workers = 1;
    if (arguments->count < arguments->workers)
        arguments->workers = arguments->count > 0 ? (uint32_t)arguments->count : 1;
    uint32_t per_window = arguments->options.events_per_window;
    if (!arguments->job || per_window < 1 || 15000 % per_window != 0) {
        fputs("weir-sim: --job is needed, and 15000 must be a multiple of --events\n", stderr);
        exit(2);
    }
}

static void add(struct sim_stats *sum, const struct sim_stats *one)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)one;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void run_share(const struct arguments *arguments, uint32_t share, struct result *ret_result)
{
    struct job_library library;
    struct error err = {0};
    if (job_library_open(arguments->job, &library, &err)) {
        fprintf(stderr, "weir-sim: %s\n", err.message);
        exit(2);
    }
    for (uint64_t i = share; i < arguments->count; i += arguments->workers) {
        struct sim_options options = arguments->options;
        options.seed = arguments->first + i;
        struct sim_stats stats = {0};
        char failure[2048];
        if (sim_run(&options, library.descriptor, &stats, failure, sizeof failure)) {
            printf("seed %llu FAILED %s\n", (unsigned long long)options.seed, failure);
            ret_result->failed++;
        }
        ret_result->seeds++;
        add(&ret_result->stats, &stats);
    }
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .first = 1,
        .count = 100,
        .workers = 2,
        .options = {.virtual_seconds = 120, .faults = true, .events_per_window = 20},
    };
    parse(argc, argv, &arguments);
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_set_level(LOG_OFF);
    struct result total = {0};
    int pipes[WORKERS_MAX];
    for (uint32_t w = 0; w < arguments.workers; w++) {
        int fds[2];
        if (pipe(fds) != 0)
            return 2;
        pid_t pid = fork();
        if (pid < 0)
            return 2;
        if (pid == 0) {
            struct result result = {0};
            run_share(&arguments, w, &result);
            ssize_t n = write(fds[1], &result, sizeof result);
            exit(n == (ssize_t)sizeof result ? 0 : 2);
        }
        close(fds[1]);
        pipes[w] = fds[0];
    }
    for (uint32_t w = 0; w < arguments.workers; w++) {
        struct result result;
        if (read(pipes[w], &result, sizeof result) == (ssize_t)sizeof result) {
            total.seeds += result.seeds;
            total.failed += result.failed;
            add(&total.stats, &result.stats);
        }
    }
    bool crashed = false;
    for (int status; wait(&status) > 0;)
        crashed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    const struct sim_stats *s = &total.stats;
    printf("%llu seeds, %llu failed; faults %llu (worker killed %llu, taskmanager killed %llu, paused %llu, "
           "network cut %llu, "
           "disk broken %llu), stalls %llu; restarts %llu, checkpoints %llu, windows %llu, events %llu\n",
           (unsigned long long)total.seeds, (unsigned long long)total.failed, (unsigned long long)s->faults,
           (unsigned long long)s->worker_kills, (unsigned long long)s->tm_kills,
           (unsigned long long)s->pauses, (unsigned long long)s->partitions,
           (unsigned long long)s->disk_failures, (unsigned long long)s->stalls,
           (unsigned long long)s->restarts, (unsigned long long)s->checkpoints,
           (unsigned long long)s->windows, (unsigned long long)s->events);
    if (crashed || total.seeds != arguments.count) {
        printf("a process of the simulation crashed: run its seeds one by one\n");
        return 1;
    }
    return total.failed ? 1 : 0;
}
