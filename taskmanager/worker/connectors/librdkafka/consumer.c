/* A consumer of one topic with partitions assigned by hand: no group membership, so no rebalancing and no
 * waiting for one.
 *
 * Happy path: list, resolve_start and query_end go to the helper thread (queries.c); assign starts the
 * fetching; poll takes the helper's answers first, then what librdkafka has queued, and never waits:
 * librdkafka calls on_queue when something comes into the empty queue, which wakes the task. The queue is
 * shared by messages, errors and results of commits.
 *
 * Possible failure modes
 *  - Brokers away: librdkafka reconnects for ever; an event says so each time it logs.
 *  - The offset to read doesn't exist: the helper asks which do, then the event comes.
 *  - An error behind which librdkafka would go on with later offsets (a corrupt batch): fatal. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/vec.h"
#include "taskmanager/worker/connectors/librdkafka/client.h"
#include "taskmanager/worker/connectors/librdkafka/prefetch.h"
#include "taskmanager/worker/connectors/librdkafka/queries.h"

enum { BATCH_MAX = 512, ANSWERS_MAX = 64, ERRORS_MAX = 8, COMMIT_WAIT_MS = 300 };

static const char logger[] = "weir.worker.KafkaClient";

struct consumer {
    struct kafka_consumer base;
    rd_kafka_t *rk; /* destroyed by queries_close */
    rd_kafka_queue_t *queue;
    struct queries *queries;
    char *topic;
    bool has_group;
    int32_t *assigned; /* owned */
    uint32_t assigned_count;
    struct prefetch prefetch;
    uint32_t commits_under_way;
    uint32_t commits_failed; /* in a row */

    /* What the last poll gave out and the next one frees. */
    rd_kafka_message_t *messages[BATCH_MAX];
    uint32_t message_count;
    struct query_answer answers[ANSWERS_MAX];
    uint32_t answer_count;
    struct error *given_errors[ERRORS_MAX];
    uint32_t given_error_count;

    /* From error callbacks, which are called within poll; bounded, as they repeat. */
    struct {
        struct error error;
        bool fatal;
    } errors[ERRORS_MAX];
    uint32_t error_count;
};

static const struct client_property consumer_defaults[] = {
    {"isolation.level", "read_committed"},
    {"fetch.wait.max.ms", "20"}, /* how far end-of-partition lags; 500 is the library's */
    {"fetch.error.backoff.ms", "100"},
    {"queued.min.messages", "50000"}, /* prefetch.h keeps it from running dry */
    {"queued.max.messages.kbytes", "32768"},
    {"reconnect.backoff.max.ms", "1000"},
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"log.connection.close", "false"},
    /* There is no session; but a commit that waits for the group's coordinator waits, and holds up closing,
       that long. */
    {"session.timeout.ms", "2000"},
    {"heartbeat.interval.ms", "1000"},
    {"max.poll.interval.ms",
     "86400000"}, /* a task under backpressure doesn't poll, and is in no group's way */
    {NULL, NULL},
};

static const struct client_property consumer_fixed[] = {
    {"bootstrap.servers", "use the source's .bootstrap_servers"},
    {"metadata.broker.list", "use the source's .bootstrap_servers"},
    {"group.id", "use the source's .group_id"},
    {"auto.offset.reset", "use the source's .start; a restored offset is never reset"},
    {"enable.auto.commit",
     "offsets are committed when a checkpoint completes, or every 5 s without checkpoints"},
    {"auto.commit.enable",
     "offsets are committed when a checkpoint completes, or every 5 s without checkpoints"},
    {"enable.auto.offset.store", "offsets are kept in checkpoints"},
    {"enable.partition.eof", "idleness and bounded sources need it"},
    {NULL, NULL},
};

/* ---- from librdkafka ---- */

/* From any of its threads, under the queue's lock. */
static void on_queue(rd_kafka_t *rk, void *opaque)
{
    (void)rk;
    waker_wake(opaque);
}

static void remember_error(struct consumer *c, rd_kafka_resp_err_t code, const char *text)
{
    if (c->error_count == ERRORS_MAX)
        return; /* the same is going to come again */
    bool fatal = client_error_is_fatal(code);
    error_set(&c->errors[c->error_count].error, client_error_rc(code), "%s", text);
    c->errors[c->error_count].fatal = fatal;
    c->error_count++;
}

/* Within poll. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    char text[512];
    rd_kafka_resp_err_t error = (rd_kafka_resp_err_t)code;
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(rk, text, sizeof text);
        reason = text;
    }
    remember_error(opaque, error, reason);
}

/* Within poll, or never when the consumer is closed before. */
static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *offsets,
                      void *opaque)
{
    (void)rk;
    struct consumer *c = opaque;
    assert(c->commits_under_way > 0);
    c->commits_under_way--;
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && offsets && i < offsets->cnt; i++)
        code = offsets->elems[i].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET) {
        c->commits_failed = 0;
        return;
    }
    uint32_t failed = ++c->commits_failed;
    if ((failed & (failed - 1)) == 0) /* 1, 2, 4, 8, … */
        log_warn(logger,
                 "%s: offsets of topic %s could not be committed to the group (%u times in a row): %s",
                 rd_kafka_name(c->rk), c->topic, failed, rd_kafka_err2str(code));
}

/* ---- requests ---- */

static int consumer_list(struct kafka_consumer *self, struct error *err)
{
    struct consumer *c = (struct consumer *)self;
    return queries_ask(c->queries, &(struct query){.kind = QUERY_PARTITIONS}, err);
}

static int consumer_resolve_start(struct kafka_consumer *self, const int32_t *partitions, uint32_t count,
                                  weir_kafka_start start, int64_t timestamp_ms, struct error *err)
{
    struct consumer *c = (struct consumer *)self;
    if (count == 0)
        return WEIR_OK;
    return queries_ask(c->queries,
                       &(struct query){.kind = QUERY_START,
                                       .start = start,
                                       .timestamp_ms = timestamp_ms,
                                       .partitions = xmemdup(partitions, count * sizeof *partitions),
                                       .partition_count = count},
                       err);
}

static int consumer_query_end(struct kafka_consumer *self, int32_t partition, uint64_t number,
                              struct error *err)
{
    struct consumer *c = (struct consumer *)self;
    return queries_ask(c->queries,
                       &(struct query){.kind = QUERY_END, .partition = partition, .number = number}, err);
}

static rd_kafka_topic_partition_list_t *to_list(const struct consumer *c,
                                                const struct kafka_partition_start *offsets, uint32_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t i = 0; i < count; i++) {
        assert(offsets[i].offset >= 0);
        rd_kafka_topic_partition_list_add(list, c->topic, offsets[i].partition)->offset = offsets[i].offset;
    }
    return list;
}

static int consumer_assign(struct kafka_consumer *self, const struct kafka_partition_start *starts,
                           uint32_t count, struct error *err)
{
    struct consumer *c = (struct consumer *)self;
    rd_kafka_topic_partition_list_t *list = to_list(c, starts, count);
    rd_kafka_resp_err_t code = rd_kafka_assign(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(err, client_error_rc(code), "assign %u partitions of topic %s: %s", count, c->topic,
                         rd_kafka_err2str(code));
    free(c->assigned);
    c->assigned = xmalloc((count + 1) * sizeof *c->assigned);
    for (uint32_t i = 0; i < count; i++)
        c->assigned[i] = starts[i].partition;
    c->assigned_count = count;
    return WEIR_OK;
}

static int consumer_commit(struct kafka_consumer *self, const struct kafka_partition_start *next_offsets,
                           uint32_t count, struct error *err)
{
    struct consumer *c = (struct consumer *)self;
    if (!c->has_group || count == 0)
        return WEIR_OK;
    rd_kafka_topic_partition_list_t *list = to_list(c, next_offsets, count);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(c->rk, list, c->queue, on_commit, c);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(err, client_error_rc(code), "commit offsets of topic %s: %s", c->topic,
                         rd_kafka_err2str(code));
    c->commits_under_way++;
    return WEIR_OK;
}

/* ---- poll ---- */

static void release_given(struct consumer *c)
{
    for (uint32_t i = 0; i < c->message_count; i++)
        rd_kafka_message_destroy(c->messages[i]);
    for (uint32_t i = 0; i < c->answer_count; i++)
        free(c->answers[i].error);
    for (uint32_t i = 0; i < c->given_error_count; i++)
        free(c->given_errors[i]);
    c->message_count = c->answer_count = c->given_error_count = 0;
}

static struct kafka_event message_event(const struct consumer *c, const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(m, &type);
    return (struct kafka_event){
        .kind = KAFKA_EVENT_MESSAGE,
        .partition = m->partition,
        .offset = m->offset,
        .message = {.topic = c->topic,
                    .partition = m->partition,
                    .offset = m->offset,
                    .timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp,
                    .key = m->key,
                    .key_length = m->key_len,
                    .value = m->payload,
                    .value_length = m->len},
    };
}

/* A message that is an error. false: it makes no event (yet). */
static bool error_event(struct consumer *c, const rd_kafka_message_t *m, struct kafka_event *ret_event)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        *ret_event = (struct kafka_event){
            .kind = KAFKA_EVENT_END_OF_PARTITION, .partition = m->partition, .offset = m->offset};
        return true;
    }
    char text[512];
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        struct error error = {0};
        if (queries_ask(
                c->queries,
                &(struct query){.kind = QUERY_OUT_OF_RANGE, .partition = m->partition, .offset = m->offset},
                &error) != WEIR_OK)
            remember_error(c, RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, error.message);
        return false;
    }
    snprintf(text, sizeof text, "topic %s, partition %d, offset %lld: %s", c->topic, m->partition,
             (long long)m->offset, rd_kafka_message_errstr(m));
    remember_error(c, m->err, text);
    return false;
}

static uint32_t take_answers(struct consumer *c, struct kafka_event *events, uint32_t capacity)
{
    c->answer_count = queries_take(c->queries, c->answers, capacity < ANSWERS_MAX ? capacity : ANSWERS_MAX);
    for (uint32_t i = 0; i < c->answer_count; i++)
        events[i] = c->answers[i].event;
    return c->answer_count;
}

static uint32_t take_errors(struct consumer *c, struct kafka_event *events, uint32_t capacity)
{
    uint32_t n = 0;
    while (n < capacity && n < c->error_count) {
        c->given_errors[n] = xmemdup(&c->errors[n].error, sizeof c->errors[n].error);
        events[n] = (struct kafka_event){.kind = KAFKA_EVENT_ERROR,
                                         .partition = -1,
                                         .fatal = c->errors[n].fatal,
                                         .error = c->given_errors[n]};
        n++;
    }
    memmove(c->errors, c->errors + n, (c->error_count - n) * sizeof c->errors[0]);
    c->error_count -= n;
    c->given_error_count = n;
    return n;
}

static void keep_fetching(struct consumer *c, const struct kafka_event *events, uint32_t count)
{
    uint64_t bytes = 0, messages = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (events[i].kind != KAFKA_EVENT_MESSAGE)
            continue;
        messages++;
        bytes += events[i].message.key_length + events[i].message.value_length;
    }
    if (!prefetch_should_wake(&c->prefetch, messages, bytes, rd_kafka_queue_length(c->queue)))
        return;
    struct error error = {0};
    if (queries_ask(
            c->queries,
            &(struct query){.kind = QUERY_NOTHING,
                            .partitions = xmemdup(c->assigned, c->assigned_count * sizeof *c->assigned),
                            .partition_count = c->assigned_count},
            &error) != WEIR_OK)
        log_warn(logger, "%s: %s", rd_kafka_name(c->rk), error.message);
}

/* What waits in the queue: messages, and errors that are events. */
static uint32_t take_batch(struct consumer *c, struct kafka_event *events, uint32_t capacity, bool *ret_empty)
{
    size_t room = BATCH_MAX - c->message_count;
    rd_kafka_message_t **batch = c->messages + c->message_count;
    ssize_t got = rd_kafka_consume_batch_queue(c->queue, 0, batch, capacity < room ? capacity : room);
    *ret_empty = got <= 0;
    uint32_t n = 0;
    for (ssize_t i = 0; i < got; i++) {
        c->message_count++;
        if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            events[n++] = message_event(c, batch[i]);
        else if (error_event(c, batch[i], &events[n]))
            n++;
    }
    return n;
}

static uint32_t consumer_poll(struct kafka_consumer *self, struct kafka_event *events, uint32_t capacity)
{
    struct consumer *c = (struct consumer *)self;
    release_given(c);
    uint32_t answers = take_answers(c, events, capacity);
    uint32_t n = 0;
    bool empty = false;
    /* Whoever gets 0 goes to sleep until woken, and that only happens when something comes into an empty
     * queue: so go on when all that was there made no event. */
    while (n == 0 && !empty && answers < capacity && c->message_count < BATCH_MAX)
        n = take_batch(c, events + answers, capacity - answers, &empty);
    if (n > 0)
        keep_fetching(c, events + answers, n);
    n += answers;
    return n + take_errors(c, events + n, capacity - n);
}

/* ---- open and close ---- */

static void consumer_close(struct kafka_consumer *self)
{
    struct consumer *c = (struct consumer *)self;
    rd_kafka_queue_cb_event_enable(c->queue, NULL, NULL);
    release_given(c);
    /* Commits of a moment ago get a moment to arrive; what else comes is dropped. */
    for (int waited = 0; c->commits_under_way > 0 && waited < COMMIT_WAIT_MS; waited += 10) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(c->queue, 10);
        if (message)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_queue_destroy(c->queue);
    queries_close(c->queries);
    free(c->assigned);
    free(c->topic);
    free(c);
}

static const struct kafka_consumer_ops consumer_ops = {
    .list = consumer_list,
    .resolve_start = consumer_resolve_start,
    .assign = consumer_assign,
    .query_end = consumer_query_end,
    .poll = consumer_poll,
    .commit = consumer_commit,
    .close = consumer_close,
};

static uint64_t get_number(const rd_kafka_conf_t *conf, const char *name)
{
    char text[32];
    size_t size = sizeof text;
    return rd_kafka_conf_get(conf, name, text, &size) == RD_KAFKA_CONF_OK ? strtoull(text, NULL, 10) : 0;
}

static int make_conf(const weir_kafka_source_options *options, const char *client_id,
                     rd_kafka_conf_t **ret_conf, struct error *err)
{
    rd_kafka_conf_t *conf;
    int rc = client_conf_new(&(struct client_conf_setup){.bootstrap_servers = options->bootstrap_servers,
                                                         .client_id = client_id,
                                                         .defaults = consumer_defaults,
                                                         .fixed = consumer_fixed,
                                                         .properties = options->properties},
                             &conf, err);
    if (rc != WEIR_OK)
        return rc;
    /* librdkafka assigns partitions only to clients with a group; without one of the user's this name is only
     * a name. */
    const char *group = options->group_id && *options->group_id ? options->group_id : client_id;
    const struct client_property ours[] = {
        {"group.id", group},
        {"auto.offset.reset", "error"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
    };
    for (size_t i = 0; rc == WEIR_OK && i < sizeof ours / sizeof *ours; i++)
        rc = client_conf_set(conf, ours[i].name, ours[i].value, err);
    if (rc != WEIR_OK) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    rd_kafka_conf_set_error_cb(conf, on_error);
    *ret_conf = conf;
    return WEIR_OK;
}

int consumer_open(void *self, const weir_kafka_source_options *options, const char *client_id,
                  struct waker *waker, struct kafka_consumer **ret_consumer, struct error *err)
{
    (void)self;
    if (!options->topic || !*options->topic)
        return error_set(err, WEIR_E_INVALID, "no Kafka topic given: set .topic");
    rd_kafka_conf_t *conf;
    int rc = make_conf(options, client_id, &conf, err);
    if (rc != WEIR_OK)
        return error_wrap(err, "open a Kafka consumer of topic %s", options->topic);
    struct consumer *c = xcalloc(1, sizeof *c);
    rd_kafka_conf_set_opaque(conf, c);
    c->prefetch.limit_messages = get_number(conf, "queued.min.messages");
    c->prefetch.limit_bytes = get_number(conf, "queued.max.messages.kbytes") * 1000;
    char reason[512];
    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (!c->rk) {
        rd_kafka_conf_destroy(conf);
        free(c);
        return error_set(err, WEIR_E_INVALID, "open a Kafka consumer of topic %s: %s", options->topic,
                         reason);
    }
    c->base.ops = &consumer_ops;
    c->topic = xstrdup(options->topic);
    c->has_group = options->group_id && *options->group_id;
    rd_kafka_poll_set_consumer(c->rk); /* one queue for all */
    c->queue = rd_kafka_queue_get_consumer(c->rk);
    c->queries = queries_new(c->rk, c->topic, c->has_group, waker);
    rd_kafka_queue_cb_event_enable(c->queue, on_queue, waker);
    *ret_consumer = &c->base;
    return WEIR_OK;
}
