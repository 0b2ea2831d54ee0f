/* A producer of one topic.
 *
 * Happy path: produce copies the message into librdkafka's queue; its threads send it; the delivery report
 * comes into the main queue, which wakes the task; poll serves it, and outstanding goes down.
 *
 * Possible failure modes
 *  - The queue is full (a slow or absent broker): produce says so, the task waits, a delivery report wakes
 * it.
 *  - A message isn't delivered within message.timeout.ms, or refused: the error stays, and every poll returns
 * it.
 *  - The producer is closed with messages under way (a cancelled or failed task): they are dropped. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "taskmanager/worker/connectors/librdkafka/client.h"

enum { LOG_EACH_S = 10 };

static const char logger[] = "weir.worker.KafkaClient";

struct producer {
    struct kafka_producer base;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt;
    rd_kafka_queue_t *queue;
    char *topic;
    uint32_t outstanding;
    bool closing;
    time_t last_log_s;
    struct error error; /* rc 0: none; the first one stays */
};

static const struct client_property producer_defaults[] = {
    {"linger.ms", "5"},
    {"acks", "all"},
    {"message.timeout.ms", "120000"},
    {"queue.buffering.max.kbytes", "32768"},
    {"reconnect.backoff.max.ms", "1000"},
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"log.connection.close", "false"},
    {NULL, NULL},
};

static const struct client_property producer_fixed[] = {
    {"bootstrap.servers", "use the sink's .bootstrap_servers"},
    {"metadata.broker.list", "use the sink's .bootstrap_servers"},
    {"transactional.id", "a sink that delivers at least once uses no transactions"},
    {NULL, NULL},
};

/* What a user may set that librdkafka doesn't allow together with idempotence: then it is left off. */
static const char *const idempotence_conflicts[] = {
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "retries",
    "message.send.max.retries",
    "queuing.strategy",
    NULL,
};

static void fail(struct producer *p, int rc, const char *text)
{
    if (p->error.rc == WEIR_OK)
        error_set(&p->error, rc, "produce to topic %s: %s", p->topic, text);
}

/* Within poll. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct producer *p = opaque;
    assert(p->outstanding > 0);
    p->outstanding--;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR || p->closing)
        return;
    char text[256];
    if (message->partition >= 0)
        snprintf(text, sizeof text, "partition %d: %s", message->partition, rd_kafka_err2str(message->err));
    else
        snprintf(text, sizeof text, "%s", rd_kafka_err2str(message->err));
    fail(p, client_error_rc(message->err), text);
}

/* Within poll. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct producer *p = opaque;
    char text[512];
    rd_kafka_resp_err_t error = (rd_kafka_resp_err_t)code;
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_resp_err_t cause = rd_kafka_fatal_error(rk, text, sizeof text);
        bool refused = cause == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
                       cause == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
        size_t length = strlen(text);
        if (refused)
            snprintf(text + length, sizeof text - length,
                     " (if this broker doesn't allow idempotent producers, set the property "
                     "enable.idempotence=false)");
        reason = text;
    }
    if (client_error_is_fatal(error)) {
        fail(p, client_error_rc(error), reason);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (p->last_log_s != 0 && now.tv_sec - p->last_log_s < LOG_EACH_S)
        return;
    p->last_log_s = now.tv_sec;
    log_warn(logger, "%s: topic %s: %s; trying again", rd_kafka_name(rk), p->topic, reason);
}

/* From any of librdkafka's threads, under the queue's lock. */
static void on_queue(rd_kafka_t *rk, void *opaque)
{
    (void)rk;
    waker_wake(opaque);
}

static int sticky_error(const struct producer *p, struct error *err)
{
    return p->error.rc == WEIR_OK ? WEIR_OK : error_set(err, p->error.rc, "%s", p->error.message);
}

static int refused(struct producer *p, rd_kafka_resp_err_t code, int32_t partition, size_t size,
                   struct error *err)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        if (p->outstanding > 0)
            return WEIR_E_LIMIT;
        return error_set(
            err, WEIR_E_INVALID,
            "produce to topic %s: a message of %zu bytes is larger than the whole queue: raise the property "
            "queue.buffering.max.kbytes",
            p->topic, size);
    }
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return error_set(err, WEIR_E_INVALID,
                         "produce to topic %s: a message of %zu bytes is too large: raise the property "
                         "message.max.bytes, and "
                         "the broker's limit with it",
                         p->topic, size);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[512];
        rd_kafka_fatal_error(p->rk, text, sizeof text);
        fail(p, WEIR_E_IO, text);
        return sticky_error(p, err);
    }
    return error_set(err, client_error_rc(code), "produce to topic %s, partition %d: %s", p->topic, partition,
                     rd_kafka_err2str(code));
}

static int producer_produce(struct kafka_producer *self, int32_t partition, const void *key,
                            size_t key_length, const void *value, size_t value_length, int64_t timestamp_ms,
                            struct error *err)
{
    struct producer *p = (struct producer *)self;
    if (p->error.rc != WEIR_OK)
        return sticky_error(p, err);
    /* librdkafka takes 0 for "now": a record of 1970-01-01 00:00 can't be said. */
    rd_kafka_resp_err_t code =
        rd_kafka_producev(p->rk, RD_KAFKA_V_RKT(p->rkt),
                          RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
                          RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE((void *)value, value_length),
                          RD_KAFKA_V_TIMESTAMP(timestamp_ms < 0 ? 0 : timestamp_ms),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->outstanding++;
        return WEIR_OK;
    }
    return refused(p, code, partition, key_length + value_length, err);
}

static int producer_poll(struct kafka_producer *self, struct error *err)
{
    struct producer *p = (struct producer *)self;
    rd_kafka_poll(p->rk, 0);
    return sticky_error(p, err);
}

static uint32_t producer_outstanding(struct kafka_producer *self)
{
    return ((struct producer *)self)->outstanding;
}

static void producer_flush_soon(struct kafka_producer *self)
{
    /* Ends the lingering; without time to wait it only says so to the broker threads. */
    rd_kafka_flush(((struct producer *)self)->rk, 0);
}

static void producer_close(struct kafka_producer *self)
{
    struct producer *p = (struct producer *)self;
    p->closing = true;
    rd_kafka_queue_cb_event_enable(p->queue, NULL, NULL);
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_poll(p->rk, 0);
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_topic_destroy(p->rkt);
    rd_kafka_destroy(p->rk);
    free(p->topic);
    free(p);
}

static const struct kafka_producer_ops producer_ops = {
    .produce = producer_produce,
    .poll = producer_poll,
    .outstanding = producer_outstanding,
    .flush_soon = producer_flush_soon,
    .close = producer_close,
};

static int make_conf(const weir_kafka_sink_options *options, const char *client_id,
                     rd_kafka_conf_t **ret_conf, struct error *err)
{
    rd_kafka_conf_t *conf;
    int rc = client_conf_new(&(struct client_conf_setup){.bootstrap_servers = options->bootstrap_servers,
                                                         .client_id = client_id,
                                                         .defaults = producer_defaults,
                                                         .fixed = producer_fixed,
                                                         .properties = options->properties},
                             &conf, err);
    if (rc != WEIR_OK)
        return rc;
    bool idempotent = true;
    for (const char *const *name = idempotence_conflicts; *name; name++)
        if (client_property_is_set(options->properties, *name))
            idempotent = false;
    if (idempotent)
        rc = client_conf_set(conf, "enable.idempotence", "true", err);
    if (rc != WEIR_OK) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    *ret_conf = conf;
    return WEIR_OK;
}

int producer_open(void *self, const weir_kafka_sink_options *options, const char *client_id,
                  struct waker *waker, struct kafka_producer **ret_producer, struct error *err)
{
    (void)self;
    if (!options->topic || !*options->topic)
        return error_set(err, WEIR_E_INVALID, "no Kafka topic given: set .topic");
    rd_kafka_conf_t *conf;
    int rc = make_conf(options, client_id, &conf, err);
    if (rc != WEIR_OK)
        return error_wrap(err, "open a Kafka producer for topic %s", options->topic);
    struct producer *p = xcalloc(1, sizeof *p);
    rd_kafka_conf_set_opaque(conf, p);
    char reason[512];
    p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!p->rk) {
        rd_kafka_conf_destroy(conf);
        free(p);
        return error_set(err, WEIR_E_INVALID, "open a Kafka producer for topic %s: %s", options->topic,
                         reason);
    }
    p->rkt = rd_kafka_topic_new(p->rk, options->topic, NULL);
    if (!p->rkt) {
        rc = error_set(err, WEIR_E_INVALID, "open a Kafka producer for topic %s: %s", options->topic,
                       rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_destroy(p->rk);
        free(p);
        return rc;
    }
    p->base.ops = &producer_ops;
    p->topic = xstrdup(options->topic);
    p->queue = rd_kafka_queue_get_main(p->rk);
    rd_kafka_queue_cb_event_enable(p->queue, on_queue, waker);
    *ret_producer = &p->base;
    return WEIR_OK;
}
