/* click-event-generator: writes the click events that the job Click Event Count counts. It always makes the
 * same sequence: event i is of page i mod 6, its event time is (i / 6) × 15 ms, so that each page has 1000
 * events in each window of 15 s; it goes to partition i mod N; and it is due at start + i × 2.5 ms / rate
 * factor, so that event time and wall clock advance alike at factor 1.
 *
 * Possible failure modes: the broker is not there or goes away: librdkafka tries again, for as long as
 * message.timeout.ms; what could not be delivered by then is counted, and the exit code is 1. The idempotent
 * producer sees to it that a retry neither doubles nor reorders. The producer's queue is full (a slow
 * broker): the generator waits and is late, but leaves nothing out. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "examples/click_event.h"

enum {
    EXIT_USAGE = 2,
    MAX_PROPERTIES = 64,
    METADATA_TRY_MS = 1000,
    METADATA_PATIENCE_MS = 30000,
    FLUSH_TIMEOUT_MS = 30000,
    SLEEP_MAX_MS = 100, /* so that SIGTERM and delivery reports don't wait */
};
#define EVENT_INTERVAL_MS 2.5

struct options {
    const char *bootstrap_servers;
    const char *topic;
    const char *properties[MAX_PROPERTIES]; /* "key=value" */
    size_t property_count;
    int64_t offset; /* number of the first event */
    int64_t count;  /* events to send; −1: without end */
    double rate_factor;
    int64_t start_at_ms; /* wall clock; −1: so that the first event is due at once */
    bool quiet;
};

/* Written by delivery reports, which run on the main thread in rd_kafka_poll. */
struct deliveries {
    int64_t delivered;
    int64_t failed;
    bool fatal;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static const char help_text[] =
    "Usage: click-event-generator [OPTIONS]\n"
    "Writes the events that the job Click Event Count counts: {\"timestamp\":\"01-01-1970 "
    "00:00:00:015\",\"page\":\"/help\"}.\n"
    "Event i is due at start + i × 2.5 ms; its page is /help /index /shop /jobs /about /news in turn, its "
    "time\n"
    "(i / 6) × 15 ms, its partition i mod (number of partitions). The sequence is always the same.\n"
    "\n"
    "  --bootstrap.servers HOST:PORT  broker (default localhost:9092)\n"
    "  --topic NAME                   topic (default input)\n"
    "  --offset N                     begin at event N (default 0), for example where an earlier run ended\n"
    "  --count N                      end after N events (default: go on until SIGTERM or Ctrl-C)\n"
    "  --rate-factor F                F times as fast (default 1: 400 events/s)\n"
    "  --start-at EPOCH_MS            wall clock time at which event 0 is due; what is overdue is sent at "
    "once\n"
    "                                 (default: the first event is due now)\n"
    "  --property KEY=VALUE           property of the Kafka client (may be given again)\n"
    "  --quiet                        no line at the end\n"
    "  --help                         this text\n"
    "Exit code: 0 if every event was delivered, 1 if not, 2 for a mistake in the options.\n";

static int parse_integer(const char *name, const char *text, int64_t *ret_value)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0) {
        fprintf(stderr, "click-event-generator: --%s: \"%s\" is not a number (0 or more)\n", name, text);
        return -1;
    }
    *ret_value = value;
    return 0;
}

static int parse_factor(const char *text, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value < 1e-6 || value > 1e6) {
        fprintf(stderr, "click-event-generator: --rate-factor: \"%s\" is not a number (0.000001…1000000)\n",
                text);
        return -1;
    }
    *ret_value = value;
    return 0;
}

static int add_property(struct options *options, const char *text)
{
    if (strchr(text, '=') == NULL || options->property_count == MAX_PROPERTIES) {
        fprintf(stderr, "click-event-generator: --property: \"%s\" is not KEY=VALUE, or too many of them\n",
                text);
        return -1;
    }
    options->properties[options->property_count++] = text;
    return 0;
}

static int parse_option(struct options *options, int which, const char *value)
{
    switch (which) {
    case 'b':
        options->bootstrap_servers = value;
        return 0;
    case 't':
        options->topic = value;
        return 0;
    case 'o':
        return parse_integer("offset", value, &options->offset);
    case 'c':
        return parse_integer("count", value, &options->count);
    case 'r':
        return parse_factor(value, &options->rate_factor);
    case 's':
        return parse_integer("start-at", value, &options->start_at_ms);
    case 'P':
        return add_property(options, value);
    case 'q':
        options->quiet = true;
        return 0;
    default:
        fputs("Use --help for the options.\n", stderr);
        return -1;
    }
}

/* Returns −1 to go on, or an exit code. */
static int parse_arguments(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"bootstrap.servers", required_argument, NULL, 'b'},
                                          {"topic", required_argument, NULL, 't'},
                                          {"offset", required_argument, NULL, 'o'},
                                          {"count", required_argument, NULL, 'c'},
                                          {"rate-factor", required_argument, NULL, 'r'},
                                          {"start-at", required_argument, NULL, 's'},
                                          {"property", required_argument, NULL, 'P'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = (struct options){.bootstrap_servers = "localhost:9092",
                                .topic = "input",
                                .count = -1,
                                .rate_factor = 1.0,
                                .start_at_ms = -1};
    for (int c; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help_text, stdout);
            return 0;
        }
        if (parse_option(options, c, optarg) != 0)
            return EXIT_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr, "click-event-generator: unexpected argument \"%s\"; use --help for the options\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

static double now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct deliveries *deliveries = opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        deliveries->delivered++;
        return;
    }
    if (deliveries->failed++ == 0)
        fprintf(stderr, "click-event-generator: not delivered: %s\n", rd_kafka_err2str(message->err));
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct deliveries *deliveries = opaque;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[512];
        rd_kafka_fatal_error(rk, text, sizeof text);
        fprintf(stderr, "click-event-generator: %s\n", text);
        deliveries->fatal = true;
    } else {
        fprintf(stderr, "click-event-generator: %s\n", reason);
    }
}

static int set_properties(rd_kafka_conf_t *conf, const struct options *options)
{
    static const char *const own[][2] = {
        {"enable.idempotence", "true"}, {"linger.ms", "2"}, {"client.id", "click-event-generator"}};
    char reason[512];
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (rd_kafka_conf_set(conf, own[i][0], own[i][1], reason, sizeof reason) != RD_KAFKA_CONF_OK)
            goto err_bad_property;
    if (rd_kafka_conf_set(conf, "bootstrap.servers", options->bootstrap_servers, reason, sizeof reason) !=
        RD_KAFKA_CONF_OK)
        goto err_bad_property;
    for (size_t i = 0; i < options->property_count; i++) {
        const char *equals = strchr(options->properties[i], '=');
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)(equals - options->properties[i]), options->properties[i]);
        if (rd_kafka_conf_set(conf, key, equals + 1, reason, sizeof reason) != RD_KAFKA_CONF_OK)
            goto err_bad_property;
    }
    return 0;
err_bad_property:
    fprintf(stderr, "click-event-generator: %s\n", reason);
    return -1;
}

static rd_kafka_t *open_producer(const struct options *options, struct deliveries *deliveries)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (set_properties(conf, options) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, deliveries);
    char reason[512];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (rk == NULL) {
        fprintf(stderr, "click-event-generator: %s\n", reason);
        rd_kafka_conf_destroy(conf);
    }
    return rk;
}

/* Waits for the broker. Returns the topic's number of partitions, or −1. */
static int32_t partition_count(rd_kafka_t *rk, rd_kafka_topic_t *topic)
{
    double deadline = now_ms(CLOCK_MONOTONIC) + METADATA_PATIENCE_MS;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    while (!stopping && now_ms(CLOCK_MONOTONIC) < deadline) {
        const struct rd_kafka_metadata *metadata;
        err = rd_kafka_metadata(rk, 0, topic, &metadata, METADATA_TRY_MS);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            err =
                metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            int32_t count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
            rd_kafka_metadata_destroy(metadata);
            if (err == RD_KAFKA_RESP_ERR_NO_ERROR && count > 0)
                return count;
            rd_kafka_poll(rk, SLEEP_MAX_MS); /* a topic being made by this very request */
        }
    }
    fprintf(stderr, "click-event-generator: topic %s: %s\n", rd_kafka_topic_name(topic),
            stopping ? "interrupted" : rd_kafka_err2str(err));
    return -1;
}

/* Returns 0, or −1 after a fatal error. */
static int send_event(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partitions, int64_t number,
                      const struct deliveries *deliveries)
{
    const char *page = click_pages[number % CLICK_PAGE_COUNT];
    char text[CLICK_TEXT_MAX];
    size_t length = click_event_encode(number / CLICK_PAGE_COUNT * CLICK_EVENT_STEP_MS, page, strlen(page),
                                       text, sizeof text);
    if (length == 0) {
        fprintf(stderr, "click-event-generator: event %" PRId64 " lies beyond the year 9999\n", number);
        return -1;
    }
    for (;;) {
        if (rd_kafka_produce(topic, (int32_t)(number % partitions), RD_KAFKA_MSG_F_COPY, text, length, NULL,
                             0, NULL) == 0)
            return 0;
        rd_kafka_resp_err_t err = rd_kafka_last_error();
        if (deliveries->fatal || err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fprintf(stderr, "click-event-generator: event %" PRId64 ": %s\n", number, rd_kafka_err2str(err));
            return -1;
        }
        rd_kafka_poll(rk, SLEEP_MAX_MS);
    }
}

static void sleep_ms(double duration_ms)
{
    double ms = fmin(duration_ms, SLEEP_MAX_MS);
    struct timespec duration = {.tv_sec = (time_t)(ms / 1e3), .tv_nsec = (long)(fmod(ms, 1e3) * 1e6)};
    nanosleep(&duration, NULL); /* a signal may end it early */
}

/* Sends until the count is reached, the end is asked for, or a fatal error. Returns the number of the next
 * event. */
static int64_t generate(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partitions,
                        const struct options *options, struct deliveries *deliveries)
{
    const double interval_ms = EVENT_INTERVAL_MS / options->rate_factor;
    double start_ms = now_ms(CLOCK_MONOTONIC); /* when event 0 is due */
    if (options->start_at_ms >= 0)
        start_ms += (double)options->start_at_ms - now_ms(CLOCK_REALTIME);
    else
        start_ms -= (double)options->offset * interval_ms;

    int64_t next = options->offset;
    while (!stopping && !deliveries->fatal &&
           (options->count < 0 || next - options->offset < options->count)) {
        double wait_ms = start_ms + (double)next * interval_ms - now_ms(CLOCK_MONOTONIC);
        if (wait_ms > 0) {
            rd_kafka_poll(rk, 0);
            sleep_ms(wait_ms);
            continue;
        }
        if (send_event(rk, topic, partitions, next, deliveries) != 0)
            break;
        next++;
        if (next % 1024 == 0)
            rd_kafka_poll(rk, 0);
    }
    return next;
}

static int run(rd_kafka_t *rk, const struct options *options, struct deliveries *deliveries)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, options->topic, NULL);
    if (topic == NULL) {
        fprintf(stderr, "click-event-generator: topic %s: %s\n", options->topic,
                rd_kafka_err2str(rd_kafka_last_error()));
        return 1;
    }
    int rc = 1;
    int32_t partitions = partition_count(rk, topic);
    if (partitions > 0) {
        int64_t next = generate(rk, topic, partitions, options, deliveries);
        rd_kafka_flush(rk, FLUSH_TIMEOUT_MS);
        int64_t wanted = next - options->offset;
        bool complete = stopping || options->count < 0 || wanted == options->count;
        rc = deliveries->delivered == wanted && complete && !deliveries->fatal ? 0 : 1;
        if (!options->quiet)
            printf("Sent %" PRId64 " events to %s (%d partitions), %" PRId64
                   " not delivered; next: --offset %" PRId64 "\n",
                   deliveries->delivered, options->topic, partitions, wanted - deliveries->delivered, next);
    }
    rd_kafka_topic_destroy(topic);
    return rc;
}

int main(int argc, char **argv)
{
    struct options options;
    int rc = parse_arguments(argc, argv, &options);
    if (rc >= 0)
        return rc;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    struct deliveries deliveries = {0};
    rd_kafka_t *rk = open_producer(&options, &deliveries);
    if (rk == NULL)
        return EXIT_USAGE;
    rc = run(rk, &options, &deliveries);
    rd_kafka_destroy(rk);
    return rc;
}
