/* weir-devbroker: librdkafka's mock Kafka cluster in a process of its own, for trying things out. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "common/base/memory.h"
#include "deploy/devbroker/fixed_port.h"

enum { MAX_TOPICS = 64, MAX_PARTITIONS = 1024, MAX_TOPIC_NAME = 249, DEFAULT_PORT = 9092 };
enum { EXIT_USAGE = 2 };

struct topic {
    char name[MAX_TOPIC_NAME + 1];
    int partitions;
};

struct options {
    uint16_t port;
    const char *address_file; /* NULL: none */
    struct topic topics[MAX_TOPICS];
    size_t topic_count;
};

static const char help_text[] =
    "Usage: weir-devbroker [OPTIONS]\n"
    "A Kafka broker for trying things out: librdkafka's mock cluster, one broker, on the loopback "
    "interface.\n"
    "\n"
    "  --port P             port (default 9092); 0 takes a free one\n"
    "  --topics NAME:N,…    topics to make, with their numbers of partitions (default input:2,output:2);\n"
    "                       other topics are made when they are first used, with 4 partitions\n"
    "  --address-file FILE  write HOST:PORT into FILE when the broker is ready\n"
    "  --help               this text\n"
    "SIGTERM or Ctrl-C ends it.\n"
    "\n"
    "What it can't do:\n"
    "  - Nothing is kept: all records are in memory and gone with the process.\n"
    "  - Each partition keeps only its last 5 MiB or 100,000 message sets; older ones are dropped, read or "
    "not. At the\n"
    "    playground's 400 events/s that is about five minutes.\n"
    "  - Transactions are accepted but not enforced: open and aborted records are visible to read_committed "
    "consumers,\n"
    "    offsets sent to a transaction are not stored, zombie producers are not fenced. Nothing exactly-once "
    "can be\n"
    "    shown on it; use a real Kafka for that (tests/kafka/kafka.sh).\n"
    "  - A fetch is not answered when a record arrives but when its waiting time (fetch.wait.max.ms) is "
    "over, so\n"
    "    latency can't be measured on it. The first join of a consumer group takes 3 to 5 seconds.\n"
    "  - No authentication, no encryption, no retention settings, no compaction, no administration "
    "requests.\n";

/* "name:partitions,…" */
static int parse_topics(const char *text, struct options *options)
{
    options->topic_count = 0;
    char *copy = xstrdup(text);
    char *rest = copy;
    int rc = 0;
    for (char *item; rc == 0 && (item = strsep(&rest, ",")) != NULL;) {
        char *colon = strchr(item, ':');
        char *end = NULL;
        long partitions = colon != NULL ? strtol(colon + 1, &end, 10) : 0;
        size_t length = colon != NULL ? (size_t)(colon - item) : 0;
        if (length == 0 || length > MAX_TOPIC_NAME || end == colon + 1 || *end != '\0' || partitions < 1 ||
            partitions > MAX_PARTITIONS) {
            fprintf(stderr, "weir-devbroker: --topics: \"%s\" is not NAME:PARTITIONS (1…%d)\n", item,
                    MAX_PARTITIONS);
            rc = -1;
        } else if (options->topic_count == MAX_TOPICS) {
            fprintf(stderr, "weir-devbroker: --topics: more than %d topics\n", MAX_TOPICS);
            rc = -1;
        } else {
            struct topic *topic = &options->topics[options->topic_count++];
            memcpy(topic->name, item, length);
            topic->name[length] = '\0';
            topic->partitions = (int)partitions;
        }
    }
    free(copy);
    return rc;
}

static int parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    errno = 0;
    long port = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || port < 0 || port > UINT16_MAX) {
        fprintf(stderr, "weir-devbroker: --port: \"%s\" is not a port (0…65535)\n", text);
        return -1;
    }
    *ret_port = (uint16_t)port;
    return 0;
}

/* Returns −1 to go on, or an exit code. */
static int parse_arguments(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"topics", required_argument, NULL, 't'},
                                          {"address-file", required_argument, NULL, 'a'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    const char *topics = "input:2,output:2";
    *options = (struct options){.port = DEFAULT_PORT};
    for (int c; (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        switch (c) {
        case 'p':
            if (parse_port(optarg, &options->port) != 0)
                return EXIT_USAGE;
            break;
        case 't':
            topics = optarg;
            break;
        case 'a':
            options->address_file = optarg;
            break;
        case 'h':
            fputs(help_text, stdout);
            return 0;
        default:
            fputs("Use --help for the options.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "weir-devbroker: unexpected argument \"%s\"; use --help for the options\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    return parse_topics(topics, options) == 0 ? -1 : EXIT_USAGE;
}

/* Whoever waits for the file sees all of it or nothing. */
static int write_address_file(const char *path, const char *address)
{
    char *temporary = xasprintf("%s.tmp", path);
    FILE *file = fopen(temporary, "we");
    int rc = file != NULL && fprintf(file, "%s\n", address) > 0 ? 0 : -1;
    if (file != NULL && fclose(file) != 0)
        rc = -1;
    if (rc == 0 && rename(temporary, path) != 0)
        rc = -1;
    if (rc != 0)
        fprintf(stderr, "weir-devbroker: can't write %s: %s\n", path, strerror(errno));
    free(temporary);
    return rc;
}

static rd_kafka_mock_cluster_t *open_cluster(rd_kafka_t *rk, const struct options *options)
{
    int rc = fixed_port_probe(options->port);
    if (rc != 0) {
        fprintf(
            stderr,
            "weir-devbroker: can't listen on 127.0.0.1:%u: %s; choose another --port, or 0 for a free one\n",
            options->port, strerror(rc));
        return NULL;
    }
    fixed_port_want(options->port);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, 1);
    if (cluster == NULL) {
        fputs("weir-devbroker: librdkafka can't start its mock cluster\n", stderr);
        return NULL;
    }
    const char *address = rd_kafka_mock_cluster_bootstraps(cluster);
    char expected[32];
    snprintf(expected, sizeof expected, "127.0.0.1:%u", options->port);
    if (options->port != 0 && strcmp(address, expected) != 0) {
        fprintf(stderr, "weir-devbroker: librdkafka %s listens on %s instead of port %u; use --port 0\n",
                rd_kafka_version_str(), address, options->port);
        rd_kafka_mock_cluster_destroy(cluster);
        return NULL;
    }
    return cluster;
}

static int serve(rd_kafka_t *rk, const struct options *options, const sigset_t *ending)
{
    rd_kafka_mock_cluster_t *cluster = open_cluster(rk, options);
    if (cluster == NULL)
        return 1;
    int rc = 1;
    for (size_t i = 0; i < options->topic_count; i++) {
        const struct topic *topic = &options->topics[i];
        rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, topic->name, topic->partitions, 1);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "weir-devbroker: can't make topic %s: %s\n", topic->name, rd_kafka_err2str(err));
            goto err_after_cluster;
        }
    }
    const char *address = rd_kafka_mock_cluster_bootstraps(cluster);
    printf("Listening on %s (librdkafka %s mock cluster; in memory, no transactions, see --help)\n", address,
           rd_kafka_version_str());
    for (size_t i = 0; i < options->topic_count; i++)
        printf("Topic %s, %d partition%s\n", options->topics[i].name, options->topics[i].partitions,
               options->topics[i].partitions == 1 ? "" : "s");
    fflush(stdout);
    if (options->address_file != NULL && write_address_file(options->address_file, address) != 0)
        goto err_after_cluster;
    int number;
    sigwait(ending, &number);
    rc = 0;
err_after_cluster:
    rd_kafka_mock_cluster_destroy(cluster);
    return rc;
}

int main(int argc, char **argv)
{
    static struct options options;
    int rc = parse_arguments(argc, argv, &options);
    if (rc >= 0)
        return rc;

    /* Blocked before librdkafka makes its threads, so that only sigwait takes them. */
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);

    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "4", NULL,
                      0); /* not the notice that this client has no broker to go to */
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (rk == NULL) {
        fprintf(stderr, "weir-devbroker: %s\n", reason);
        return 1;
    }
    rc = serve(rk, &options, &ending);
    rd_kafka_destroy(rk);
    return rc;
}
