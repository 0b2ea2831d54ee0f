#include "deploy/auditor/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help_text[] =
    "Usage: weir-audit [OPTIONS]\n"
    "Counts what is in the input topic of Click Event Count and compares it with what the job wrote: every "
    "page of every\n"
    "complete window of 15 s must be there with the exact count. A window is complete when the watermark "
    "that follows from\n"
    "the input (largest timestamp − 200 ms − 1, the least over the partitions) has passed its end.\n"
    "\n"
    "  --bootstrap.servers HOST:PORT  broker (default localhost:9092)\n"
    "  --input NAME, --output NAME    topics (default input, output)\n"
    "  --follow                       read on, print each output record as it appears, and audit on SIGTERM "
    "or Ctrl-C;\n"
    "                                 without: audit what is there now\n"
    "  --settle SECONDS               how long to wait at the end for results that are still missing "
    "(default 10)\n"
    "  --min-windows N                least number of complete windows (default 3)\n"
    "  --json                         the summary as JSON\n"
    "  --require-empty                the topics must be empty at the start\n"
    "  --ready-file FILE              make FILE once both topics are being read\n"
    "  --property KEY=VALUE           property of the Kafka client (may be given again)\n"
    "  --help                         this text\n"
    "\n"
    "Exit code: 0 all exact; 1 not exact; 2 a mistake in the options; 3 exact, but fewer than --min-windows "
    "windows;\n"
    "4 the topics can't be read from their beginning (a broker that drops old records must be followed from "
    "the start).\n"
    "A record that repeats an earlier one with the same count is counted as a duplicate, which at-least-once "
    "delivery\n"
    "allows after a failure.\n";

static int parse_number(const char *name, const char *text, double max, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value < 0 || value > max) {
        fprintf(stderr, "weir-audit: --%s: \"%s\" is not a number (0…%.0f)\n", name, text, max);
        return -1;
    }
    *ret_value = value;
    return 0;
}

static int parse_option(struct audit_options *options, int which, const char *value)
{
    double number;
    switch (which) {
    case 'b':
        options->bootstrap_servers = value;
        return 0;
    case 'i':
        options->input = value;
        return 0;
    case 'o':
        options->output = value;
        return 0;
    case 'r':
        options->ready_file = value;
        return 0;
    case 'f':
        options->follow = true;
        return 0;
    case 'j':
        options->json = true;
        return 0;
    case 'e':
        options->require_empty = true;
        return 0;
    case 's':
        if (parse_number("settle", value, 1e6, &number) != 0)
            return -1;
        options->settle_ms = (int64_t)(number * 1e3);
        return 0;
    case 'm':
        if (parse_number("min-windows", value, 1e9, &number) != 0)
            return -1;
        options->min_windows = (int64_t)number;
        return 0;
    case 'P':
        if (strchr(value, '=') == NULL || options->property_count == AUDIT_MAX_PROPERTIES) {
            fprintf(stderr, "weir-audit: --property: \"%s\" is not KEY=VALUE, or too many of them\n", value);
            return -1;
        }
        options->properties[options->property_count++] = value;
        return 0;
    default:
        fputs("Use --help for the options.\n", stderr);
        return -1;
    }
}

int audit_options_parse(int argc, char **argv, struct audit_options *ret_options)
{
    static const struct option known[] = {{"bootstrap.servers", required_argument, NULL, 'b'},
                                          {"input", required_argument, NULL, 'i'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"follow", no_argument, NULL, 'f'},
                                          {"settle", required_argument, NULL, 's'},
                                          {"min-windows", required_argument, NULL, 'm'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"require-empty", no_argument, NULL, 'e'},
                                          {"ready-file", required_argument, NULL, 'r'},
                                          {"property", required_argument, NULL, 'P'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *ret_options = (struct audit_options){.bootstrap_servers = "localhost:9092",
                                          .input = "input",
                                          .output = "output",
                                          .min_windows = 3,
                                          .settle_ms = 10000};
    for (int c; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help_text, stdout);
            return 0;
        }
        if (parse_option(ret_options, c, optarg) != 0)
            return AUDIT_EXIT_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr, "weir-audit: unexpected argument \"%s\"; use --help for the options\n", argv[optind]);
        return AUDIT_EXIT_USAGE;
    }
    return -1;
}
