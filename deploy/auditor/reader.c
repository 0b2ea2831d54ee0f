#include "deploy/auditor/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "common/base/memory.h"

enum { REQUEST_TIMEOUT_MS = 10000, TRY_TIMEOUT_MS = 1000, RETRY_PAUSE_MS = 100, MAX_PARTITIONS = 100000 };

struct partition {
    int64_t next;   /* offset of the next record; counts transaction markers only once the end was reported */
    int64_t wanted; /* reached when next is here */
};

struct topic {
    const char *name;
    struct partition *partitions; /* owned */
    uint32_t count;
};

struct reader {
    rd_kafka_t *rk;
    struct topic topics[READER_TOPICS];
    rd_kafka_message_t *current; /* what was returned last; owned */
};

static int set_properties(rd_kafka_conf_t *conf, const struct reader_options *options, struct error *err)
{
    /* The development broker does not wake a waiting fetch when a record arrives: a short wait keeps the
     * output prompt. */
    static const char *const own[][2] = {
        {"group.id", "weir-audit"},       {"client.id", "weir-audit"},
        {"enable.auto.commit", "false"},  {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},   {"fetch.wait.max.ms", "20"},
        {"fetch.error.backoff.ms", "50"}, {"isolation.level", "read_committed"}};
    char reason[512];
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (rd_kafka_conf_set(conf, own[i][0], own[i][1], reason, sizeof reason) != RD_KAFKA_CONF_OK)
            return error_set(err, WEIR_E_INTERNAL, "%s", reason);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", options->bootstrap_servers, reason, sizeof reason) !=
        RD_KAFKA_CONF_OK)
        return error_set(err, WEIR_E_INVALID, "%s", reason);
    for (const char *const *property = options->properties; *property != NULL; property++) {
        const char *equals = strchr(*property, '=');
        char *key = xstrndup(*property, (size_t)(equals - *property));
        rd_kafka_conf_res_t rc = rd_kafka_conf_set(conf, key, equals + 1, reason, sizeof reason);
        free(key);
        if (rc != RD_KAFKA_CONF_OK)
            return error_set(err, WEIR_E_INVALID, "%s", reason);
    }
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the topic exists. */
static int find_partitions(struct reader *reader, struct topic *topic, int64_t deadline_ms,
                           const volatile int *stop, struct error *err)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(reader->rk, topic->name, NULL);
    if (handle == NULL)
        return error_set(err, WEIR_E_INVALID, "topic %s: %s", topic->name,
                         rd_kafka_err2str(rd_kafka_last_error()));
    do {
        const struct rd_kafka_metadata *metadata;
        code = rd_kafka_metadata(reader->rk, 0, handle, &metadata, TRY_TIMEOUT_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        const struct rd_kafka_metadata_topic *found = metadata->topic_cnt == 1 ? &metadata->topics[0] : NULL;
        code = found != NULL ? found->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && found->partition_cnt > 0 &&
            found->partition_cnt <= MAX_PARTITIONS) {
            topic->count = (uint32_t)found->partition_cnt;
            topic->partitions = xcalloc(topic->count, sizeof *topic->partitions);
        }
        rd_kafka_metadata_destroy(metadata);
        if (topic->count == 0)
            rd_kafka_poll(reader->rk, RETRY_PAUSE_MS);
    } while (topic->count == 0 && !*stop && now_ms() < deadline_ms);
    rd_kafka_topic_destroy(handle);
    if (topic->count == 0)
        return error_set(err, WEIR_E_UNAVAILABLE, "topic %s: %s", topic->name, rd_kafka_err2str(code));
    return 0;
}

static int query_offsets(struct reader *reader, const struct topic *topic, uint32_t partition,
                         int64_t *ret_low, int64_t *ret_end, struct error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(reader->rk, topic->name, (int32_t)partition,
                                                                ret_low, ret_end, REQUEST_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(err, WEIR_E_UNAVAILABLE, "topic %s, partition %u: can't ask for its end: %s",
                         topic->name, partition, rd_kafka_err2str(code));
    return 0;
}

static int assign_from_beginning(struct reader *reader, bool require_empty, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    int rc = 0;
    for (int t = 0; rc == 0 && t < READER_TOPICS; t++) {
        const struct topic *topic = &reader->topics[t];
        for (uint32_t p = 0; rc == 0 && p < topic->count; p++) {
            int64_t low, end;
            rc = query_offsets(reader, topic, p, &low, &end, err);
            if (rc == 0 && low > 0)
                rc = error_set(err, WEIR_E_STATE,
                               "topic %s, partition %u begins at offset %" PRId64
                               ": its beginning is gone, nothing can be audited; follow it from the start",
                               topic->name, p, low);
            else if (rc == 0 && require_empty && end > 0)
                rc = error_set(err, WEIR_E_STATE,
                               "topic %s, partition %u holds %" PRId64
                               " records already; delete the topic and make it anew",
                               topic->name, p, end);
            else if (rc == 0)
                rd_kafka_topic_partition_list_add(list, topic->name, (int32_t)p)->offset = 0;
        }
    }
    if (rc == 0) {
        rd_kafka_resp_err_t code = rd_kafka_assign(reader->rk, list);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            rc = error_set(err, WEIR_E_INTERNAL, "assign partitions: %s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}

int reader_open(const struct reader_options *options, const volatile int *stop, struct reader **ret_reader,
                struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = set_properties(conf, options, err);
    if (rc != 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    char reason[512];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, WEIR_E_INVALID, "%s", reason);
    }
    rd_kafka_poll_set_consumer(rk);
    struct reader *reader = xcalloc(1, sizeof *reader);
    reader->rk = rk;
    int64_t deadline_ms = now_ms() + options->patience_ms;
    for (int t = 0; rc == 0 && t < READER_TOPICS; t++) {
        reader->topics[t].name = options->topics[t];
        rc = find_partitions(reader, &reader->topics[t], deadline_ms, stop, err);
    }
    if (rc == 0)
        rc = assign_from_beginning(reader, options->require_empty, err);
    if (rc != 0) {
        reader_close(reader);
        return rc;
    }
    *ret_reader = reader;
    return 0;
}

void reader_close(struct reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->current != NULL)
        rd_kafka_message_destroy(reader->current);
    rd_kafka_consumer_close(reader->rk);
    rd_kafka_destroy(reader->rk);
    for (int t = 0; t < READER_TOPICS; t++)
        free(reader->topics[t].partitions);
    free(reader);
}

uint32_t reader_partitions(const struct reader *reader, enum reader_topic topic)
{
    return reader->topics[topic].count;
}

static int topic_of(const struct reader *reader, const rd_kafka_message_t *message)
{
    const char *name = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "";
    for (int t = 0; t < READER_TOPICS; t++)
        if (strcmp(name, reader->topics[t].name) == 0 && message->partition >= 0 &&
            (uint32_t)message->partition < reader->topics[t].count)
            return t;
    return -1;
}

/* What came instead of a record: an end of partition, something that librdkafka tries again by itself, or the
 * end of it. */
static int take_event(struct reader *reader, const rd_kafka_message_t *message, struct error *err)
{
    int t = topic_of(reader, message);
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        if (t >= 0 && message->offset > reader->topics[t].partitions[message->partition].next)
            reader->topics[t].partitions[message->partition].next = message->offset;
        return 0;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return error_set(err, WEIR_E_STATE,
                         "topic %s, partition %d: the broker dropped records before they could be read (%s); "
                         "nothing can be audited",
                         t >= 0 ? reader->topics[t].name : "?", message->partition,
                         rd_kafka_message_errstr(message));
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return error_set(err, WEIR_E_IO, "%s", rd_kafka_message_errstr(message));
    default:
        return 0;
    }
}

int reader_next(struct reader *reader, int timeout_ms, enum reader_topic *ret_topic, uint32_t *ret_partition,
                const char **ret_data, size_t *ret_size, struct error *err)
{
    if (reader->current != NULL)
        rd_kafka_message_destroy(reader->current);
    *ret_data = NULL;
    rd_kafka_message_t *message = reader->current = rd_kafka_consumer_poll(reader->rk, timeout_ms);
    if (message == NULL)
        return 0;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return take_event(reader, message, err);
    int t = topic_of(reader, message);
    if (t < 0)
        return 0;
    reader->topics[t].partitions[message->partition].next = message->offset + 1;
    *ret_topic = (enum reader_topic)t;
    *ret_partition = (uint32_t)message->partition;
    *ret_data = message->payload != NULL ? message->payload : "";
    *ret_size = message->payload != NULL ? message->len : 0;
    return 0;
}

int reader_mark_end(struct reader *reader, enum reader_topic topic, struct error *err)
{
    for (uint32_t p = 0; p < reader->topics[topic].count; p++) {
        int64_t low, end;
        int rc = query_offsets(reader, &reader->topics[topic], p, &low, &end, err);
        if (rc != 0)
            return rc;
        reader->topics[topic].partitions[p].wanted = end;
    }
    return 0;
}

bool reader_reached(const struct reader *reader)
{
    for (int t = 0; t < READER_TOPICS; t++)
        for (uint32_t p = 0; p < reader->topics[t].count; p++)
            if (reader->topics[t].partitions[p].next < reader->topics[t].partitions[p].wanted)
                return false;
    return true;
}
