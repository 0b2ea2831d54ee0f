/* weir-audit: derives from the input of Click Event Count what the job must write, and compares. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deploy/auditor/options.h"
#include "deploy/auditor/reader.h"
#include "deploy/auditor/report.h"
#include "deploy/auditor/tally/tally.h"
#include "examples/click_event.h"

enum { OUT_OF_ORDERNESS_MS = 200, POLL_MS = 50, PATIENCE_MS = 30000, MARK_EVERY_MS = 100 };

/* SIGTERM, SIGINT: the first ends following, the second settling. int, as reader_open looks at it. */
static volatile int stop_count;

static void on_signal(int number)
{
    (void)number;
    stop_count = stop_count + 1;
}

struct audit {
    const struct audit_options *options;
    struct reader *reader;
    struct tally *tally;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int step(struct audit *audit, struct error *err)
{
    enum reader_topic topic;
    uint32_t partition;
    const char *data;
    size_t size;
    int rc = reader_next(audit->reader, POLL_MS, &topic, &partition, &data, &size, err);
    if (rc != 0 || data == NULL)
        return rc;
    if (topic == READER_INPUT)
        return tally_input(audit->tally, partition, data, size, err);
    if (audit->options->follow) {
        fwrite(data, 1, size, stdout);
        fputc('\n', stdout);
        fflush(stdout);
    }
    return tally_output(audit->tally, data, size, err);
}

/* Reads on until every complete window has its results, or the time is over. The end of the output is asked
 * for before that of the input: the input then holds all that this output was made from. */
static int settle(struct audit *audit, struct error *err)
{
    int64_t deadline_ms = now_ms() + audit->options->settle_ms;
    int asked_to_stop = stop_count;
    for (;;) {
        int rc = reader_mark_end(audit->reader, READER_OUTPUT, err);
        if (rc == 0)
            rc = reader_mark_end(audit->reader, READER_INPUT, err);
        int64_t next_mark_ms = now_ms() + MARK_EVERY_MS;
        while (rc == 0 && !reader_reached(audit->reader) && stop_count == asked_to_stop)
            rc = step(audit, err);
        if (rc != 0 || tally_settled(audit->tally) || now_ms() >= deadline_ms || stop_count != asked_to_stop)
            return rc;
        while (rc == 0 && now_ms() < next_mark_ms)
            rc = step(audit, err);
        if (rc != 0)
            return rc;
    }
}

static int make_ready_file(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(err, WEIR_E_IO, "can't make %s: %m", path);
    close(fd);
    return 0;
}

static int read_all(struct audit *audit, struct error *err)
{
    const struct audit_options *options = audit->options;
    int rc = options->ready_file != NULL ? make_ready_file(options->ready_file, err) : 0;
    while (rc == 0 && options->follow && stop_count == 0)
        rc = step(audit, err);
    return rc == 0 ? settle(audit, err) : rc;
}

int main(int argc, char **argv)
{
    struct audit_options options;
    int rc = audit_options_parse(argc, argv, &options);
    if (rc >= 0)
        return rc;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    struct reader_options reading = {
        .bootstrap_servers = options.bootstrap_servers,
        .topics = {[READER_INPUT] = options.input, [READER_OUTPUT] = options.output},
        .properties = options.properties,
        .require_empty = options.require_empty,
        .patience_ms = PATIENCE_MS};
    struct audit audit = {.options = &options};
    struct error err = {0};
    rc = reader_open(&reading, &stop_count, &audit.reader, &err);
    if (rc == 0) {
        audit.tally =
            tally_new(CLICK_WINDOW_MS, OUT_OF_ORDERNESS_MS, reader_partitions(audit.reader, READER_INPUT));
        rc = read_all(&audit, &err);
    }
    int exit_code;
    if (rc != 0) {
        fprintf(stderr, "weir-audit: %s\n", err.message);
        exit_code = AUDIT_EXIT_BLIND;
    } else {
        exit_code = report_verdict(audit.tally, options.min_windows, options.json);
    }
    tally_free(audit.tally);
    reader_close(audit.reader);
    return exit_code;
}
