/* kafka_client.h on librdkafka, against its mock cluster: real sockets and threads. Nothing here sleeps: the
 * waker is an eventfd, and every wait has a deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h> /* needs the other first */
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "taskmanager/worker/connectors/librdkafka/librdkafka.h"
#include "taskmanager/worker/connectors/librdkafka/prefetch.h"

enum { DEADLINE_MS = 20000, EVENTS = 64 };

static rd_kafka_t *host; /* of the mock cluster */
static rd_kafka_mock_cluster_t *cluster;
static char *bootstrap;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void cluster_start(void)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "client.id", "mock-host", reason, sizeof reason);
    host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    assert_non_null(host);
    cluster = rd_kafka_mock_cluster_new(host, 1);
    assert_non_null(cluster);
    bootstrap = strdup(rd_kafka_mock_cluster_bootstraps(cluster));
}

static void cluster_stop(void)
{
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
    free(bootstrap);
}

static void create_topic(const char *topic, int partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(cluster, topic, partitions, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* ---- a task's waker ---- */

struct fd_waker {
    struct waker base;
    int fd;
};

static void write_fd(struct waker *waker)
{
    uint64_t one = 1;
    assert_int_equal(write(((struct fd_waker *)waker)->fd, &one, sizeof one), sizeof one);
}

static void waker_open(struct fd_waker *waker)
{
    *waker = (struct fd_waker){.base.wake = write_fd, .fd = eventfd(0, EFD_NONBLOCK)};
    assert_true(waker->fd >= 0);
}

/* After waker_prepare. false: the deadline passed. */
static bool waker_wait(struct fd_waker *waker, int64_t deadline)
{
    int64_t left = deadline - now_ms();
    struct pollfd fd = {.fd = waker->fd, .events = POLLIN};
    int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
    uint64_t count;
    if (n == 1)
        assert_int_equal(read(waker->fd, &count, sizeof count), sizeof count);
    waker_cancel(&waker->base);
    return n == 1;
}

/* ---- a consumer in a test ---- */

struct reader {
    struct fd_waker waker;
    struct kafka_consumer *consumer;
    struct kafka_event events[EVENTS];
    uint32_t count, next;
};

static int try_open_consumer(struct reader *reader, const weir_kafka_source_options *options,
                             struct error *error)
{
    memset(reader, 0, sizeof *reader);
    waker_open(&reader->waker);
    const struct kafka_provider *provider = librdkafka_provider();
    return provider->open_consumer(provider->self, options, "test-0", &reader->waker.base, &reader->consumer,
                                   error);
}

static void open_consumer(struct reader *reader, const char *topic, const char *group)
{
    struct error error = {0};
    weir_kafka_source_options options = {.topic = topic, .bootstrap_servers = bootstrap, .group_id = group};
    if (try_open_consumer(reader, &options, &error) != WEIR_OK)
        fail_msg("%s", error.message);
}

static void close_consumer(struct reader *reader)
{
    reader->consumer->ops->close(reader->consumer);
    close(reader->waker.fd);
}

/* The next event, sleeping on the waker as a task does; NULL: none until the deadline. */
static const struct kafka_event *next_event_until(struct reader *reader, int64_t deadline)
{
    while (reader->next == reader->count) {
        waker_prepare(&reader->waker.base);
        reader->next = 0;
        reader->count = reader->consumer->ops->poll(reader->consumer, reader->events, EVENTS);
        if (reader->count == 0) {
            if (!waker_wait(&reader->waker, deadline))
                return NULL;
        } else {
            waker_cancel(&reader->waker.base);
        }
    }
    return &reader->events[reader->next++];
}

/* The next event of this kind; others but errors that pass and ends of partitions are a failure. */
static const struct kafka_event *expect(struct reader *reader, enum kafka_event_kind kind)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    for (;;) {
        const struct kafka_event *event = next_event_until(reader, deadline);
        if (!event)
            fail_msg("no event of kind %d came", kind);
        if (event->kind == kind)
            return event;
        bool passes = (event->kind == KAFKA_EVENT_ERROR && !event->fatal) ||
                      event->kind == KAFKA_EVENT_END_OF_PARTITION;
        if (!passes)
            fail_msg("an event of kind %d came instead of %d: %s", event->kind, kind,
                     event->error ? event->error->message : "");
    }
}

static int64_t ask_start(struct reader *reader, weir_kafka_start start, int64_t timestamp_ms)
{
    int32_t partition = 0;
    assert_int_equal(
        reader->consumer->ops->resolve_start(reader->consumer, &partition, 1, start, timestamp_ms, NULL),
        WEIR_OK);
    const struct kafka_event *event = expect(reader, KAFKA_EVENT_START_OFFSET);
    if (event->error)
        fail_msg("%s", event->error->message);
    assert_int_equal(event->partition, 0);
    return event->offset;
}

static void assign(struct reader *reader, int64_t offset)
{
    struct kafka_partition_start start = {.partition = 0, .offset = offset};
    assert_int_equal(reader->consumer->ops->assign(reader->consumer, &start, 1, NULL), WEIR_OK);
}

/* ---- a producer in a test ---- */

struct writer {
    struct fd_waker waker;
    struct kafka_producer *producer;
};

static void open_producer(struct writer *writer, const char *topic, const char *const *properties)
{
    struct error error = {0};
    waker_open(&writer->waker);
    weir_kafka_sink_options options = {
        .topic = topic, .bootstrap_servers = bootstrap, .properties = properties};
    const struct kafka_provider *provider = librdkafka_provider();
    if (provider->open_producer(provider->self, &options, "test-0", &writer->waker.base, &writer->producer,
                                &error) != WEIR_OK)
        fail_msg("%s", error.message);
}

static void close_producer(struct writer *writer)
{
    writer->producer->ops->close(writer->producer);
    close(writer->waker.fd);
}

static int produce(struct writer *writer, const char *text, struct error *error)
{
    return writer->producer->ops->produce(writer->producer, 0, "key", 3, text, strlen(text), -1, error);
}

/* Sleeping on the waker until all is delivered, or an error. */
static int wait_delivered(struct writer *writer, struct error *error)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    for (;;) {
        waker_prepare(&writer->waker.base);
        writer->producer->ops->flush_soon(writer->producer);
        int rc = writer->producer->ops->poll(writer->producer, error);
        if (rc != WEIR_OK || writer->producer->ops->outstanding(writer->producer) == 0)
            return rc;
        if (!waker_wait(&writer->waker, deadline))
            fail_msg("not delivered in time, and not failed either");
    }
}

static void write_messages_with(const char *topic, int first, int count, const char *const *properties)
{
    struct writer writer;
    struct error error = {0};
    char text[32];
    open_producer(&writer, topic, properties);
    for (int i = first; i < first + count; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(produce(&writer, text, &error), WEIR_OK);
    }
    if (wait_delivered(&writer, &error) != WEIR_OK)
        fail_msg("%s", error.message);
    close_producer(&writer);
}

static void write_messages(const char *topic, int first, int count)
{
    write_messages_with(topic, first, count, NULL);
}

static void read_messages(struct reader *reader, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        const struct kafka_event *event = expect(reader, KAFKA_EVENT_MESSAGE);
        assert_int_equal(event->message.offset, i);
        char text[32] = {0};
        assert_in_range(event->message.value_length, 1, sizeof text - 1);
        memcpy(text, event->message.value, event->message.value_length);
        assert_int_equal(atoi(text), i);
        assert_int_equal(event->message.key_length, 3);
        assert_memory_equal(event->message.key, "key", 3);
        assert_true(event->message.timestamp_ms > 0);
    }
}

/* ---- tests ---- */

static void wrong_properties_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *property, *in_message;
    } cases[] = {
        {"no.such.property=1", "\"no.such.property\" is unknown"},
        {"fetch.min.bytes=many", "\"fetch.min.bytes\" can't be set to \"many\""},
        {"isolation.level=whatever", "\"isolation.level\""},
        {"just text", "\"just text\" is not of the form key=value"},
        {"=value", "is not of the form key=value"},
        {"group.id=g", "\"group.id\" is set by Weir: use the source's .group_id"},
        {"auto.offset.reset=latest", "\"auto.offset.reset\" is set by Weir"},
        {"enable.auto.commit=true", "\"enable.auto.commit\" is set by Weir"},
        {"security.protocol=sasl_plaintext",
         "sasl"}, /* without a mechanism's user name: by librdkafka, when it starts */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reader reader;
        struct error error = {0};
        const char *properties[] = {"client.rack=here", cases[i].property, NULL};
        weir_kafka_source_options options = {
            .topic = "t", .bootstrap_servers = bootstrap, .group_id = "g", .properties = properties};
        int rc = try_open_consumer(&reader, &options, &error);
        close(reader.waker.fd);
        if (rc != WEIR_E_INVALID || !strcasestr(error.message, cases[i].in_message))
            fail_msg("%s: %d, %s", cases[i].property, rc, error.message);
    }
    struct reader reader;
    struct error error = {0};
    assert_int_equal(try_open_consumer(&reader, &(weir_kafka_source_options){.topic = "t"}, &error),
                     WEIR_E_INVALID);
    close(reader.waker.fd);
    const char *transactional[] = {"transactional.id=x", NULL};
    struct kafka_producer *producer;
    weir_kafka_sink_options options = {
        .topic = "t", .bootstrap_servers = bootstrap, .properties = transactional};
    assert_int_equal(librdkafka_provider()->open_producer(NULL, &options, "c", NULL, &producer, &error),
                     WEIR_E_INVALID);
    assert_non_null(strstr(error.message, "transactional.id"));
}

static void records_come_and_wake_the_reader(void **state)
{
    (void)state;
    struct reader reader;
    create_topic("wake", 2);
    open_consumer(&reader, "wake", NULL);
    assert_int_equal(reader.consumer->ops->list(reader.consumer, NULL), WEIR_OK);
    const struct kafka_event *event = expect(&reader, KAFKA_EVENT_PARTITIONS);
    assert_null(event->error);
    assert_int_equal(event->count, 2);
    assert_int_equal(ask_start(&reader, WEIR_START_EARLIEST, 0), 0);
    assign(&reader, 0);
    event = expect(&reader, KAFKA_EVENT_END_OF_PARTITION);
    assert_int_equal(event->offset, 0);
    for (int round = 0; round < 5; round++) { /* read_messages sleeps on the waker only */
        write_messages("wake", 100 * round, 100);
        read_messages(&reader, 100 * round, 100);
    }
    event = expect(&reader, KAFKA_EVENT_END_OF_PARTITION);
    while (event->offset < 500)
        event = expect(&reader, KAFKA_EVENT_END_OF_PARTITION);
    assert_int_equal(event->offset, 500);
    assert_int_equal(reader.consumer->ops->query_end(reader.consumer, 0, 77, NULL), WEIR_OK);
    event = expect(&reader, KAFKA_EVENT_END_OFFSET);
    assert_int_equal(event->query, 77);
    assert_int_equal(event->offset, 500);
    close_consumer(&reader);
}

static void start_offsets_are_found(void **state)
{
    (void)state;
    struct reader reader;
    create_topic("starts", 1);
    write_messages("starts", 0, 10);
    open_consumer(&reader, "starts", "starts-group");
    assert_int_equal(ask_start(&reader, WEIR_START_EARLIEST, 0), 0);
    assert_int_equal(ask_start(&reader, WEIR_START_LATEST, 0), 10);
    assert_int_equal(ask_start(&reader, WEIR_START_COMMITTED, 0), 0);
    close_consumer(&reader);
}

static void committed_offsets_are_found_again(void **state)
{
    (void)state;
    struct reader reader;
    create_topic("commits", 1);
    write_messages("commits", 0, 10);
    open_consumer(&reader, "commits", "commits-group");
    assert_int_equal(ask_start(&reader, WEIR_START_COMMITTED, 0),
                     0); /* and the group's coordinator is found */
    assign(&reader, 0);
    read_messages(&reader, 0, 10);
    struct kafka_partition_start next = {.partition = 0, .offset = 7};
    assert_int_equal(reader.consumer->ops->commit(reader.consumer, &next, 1, NULL), WEIR_OK);
    close_consumer(&reader); /* gives the commit a moment */
    open_consumer(&reader, "commits", "commits-group");
    assert_int_equal(ask_start(&reader, WEIR_START_COMMITTED, 0), 7);
    assign(&reader, 7);
    read_messages(&reader, 7, 3);
    next.offset = 1000; /* of a topic that was replaced */
    assert_int_equal(reader.consumer->ops->commit(reader.consumer, &next, 1, NULL), WEIR_OK);
    close_consumer(&reader);
    open_consumer(&reader, "commits", "commits-group");
    assert_int_equal(ask_start(&reader, WEIR_START_COMMITTED, 0), 0);
    close_consumer(&reader);
    open_consumer(&reader, "commits", NULL); /* without a group there is nothing to commit to */
    assert_int_equal(reader.consumer->ops->commit(reader.consumer, &next, 1, NULL), WEIR_OK);
    close_consumer(&reader);
}

static void an_offset_out_of_range_is_told_with_what_there_is(void **state)
{
    (void)state;
    create_topic("range", 1);
    for (int round = 0; round < 2; round++) {
        struct reader reader;
        open_consumer(&reader, "range", NULL);
        assign(&reader, 1000);
        const struct kafka_event *event = NULL;
        do
            event = expect(&reader, KAFKA_EVENT_ERROR);
        while (!event->out_of_range);
        assert_true(event->fatal);
        assert_int_equal(event->partition, 0);
        assert_int_equal(event->offset, 1000);
        assert_non_null(strstr(event->error->message, round == 0
                                                          ? "the partition is empty, its next offset is 0"
                                                          : "the partition holds offsets 0 to 9"));
        close_consumer(&reader);
        write_messages("range", 0, 10);
    }
}

/* (The mock makes a topic of every name that is asked for, so one is made and told to be unknown.) */
static void an_unknown_topic_is_no_error(void **state)
{
    (void)state;
    struct reader reader;
    create_topic("later", 3);
    rd_kafka_mock_topic_set_error(cluster, "later", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    open_consumer(&reader, "later", "later-group");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reader.consumer->ops->list(reader.consumer, NULL), WEIR_OK);
        const struct kafka_event *event = expect(&reader, KAFKA_EVENT_PARTITIONS);
        if (event->error)
            fail_msg("%s", event->error->message);
        assert_int_equal(event->count, 0);
    }
    rd_kafka_mock_topic_set_error(cluster, "later", RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(reader.consumer->ops->list(reader.consumer, NULL), WEIR_OK);
    assert_int_equal(expect(&reader, KAFKA_EVENT_PARTITIONS)->count, 3);
    write_messages("later", 0, 5);
    assign(&reader, ask_start(&reader, WEIR_START_COMMITTED, 0));
    read_messages(&reader, 0, 5);
    close_consumer(&reader);
}

static void a_broker_that_comes_late_is_found(void **state)
{
    (void)state;
    struct reader reader;
    create_topic("late", 1);
    rd_kafka_mock_broker_set_down(cluster, 1);
    open_consumer(&reader, "late", NULL);
    assert_int_equal(reader.consumer->ops->list(reader.consumer, NULL), WEIR_OK);
    const struct kafka_event *event = expect(&reader, KAFKA_EVENT_PARTITIONS);
    assert_non_null(event->error);
    assert_false(event->fatal);
    rd_kafka_mock_broker_set_up(cluster, 1);
    int64_t deadline = now_ms() + DEADLINE_MS;
    do {
        assert_int_equal(reader.consumer->ops->list(reader.consumer, NULL), WEIR_OK);
        event = expect(&reader, KAFKA_EVENT_PARTITIONS);
    } while (event->error && now_ms() < deadline);
    assert_null(event->error);
    assert_int_equal(event->count, 1);
    close_consumer(&reader);
}

static void reading_goes_on_when_the_broker_comes_back(void **state)
{
    (void)state;
    struct reader reader;
    create_topic("outage", 1);
    write_messages("outage", 0, 10);
    open_consumer(&reader, "outage", NULL);
    assign(&reader, 0);
    read_messages(&reader, 0, 10);
    rd_kafka_mock_broker_set_down(cluster, 1);
    const struct kafka_event *event;
    do
        event = expect(&reader, KAFKA_EVENT_ERROR); /* it says so, and that it is not the end */
    while (event->error->rc != WEIR_E_UNAVAILABLE);
    assert_false(event->fatal);
    rd_kafka_mock_broker_set_up(cluster, 1);
    write_messages("outage", 10, 10);
    read_messages(&reader, 10, 10);
    close_consumer(&reader);
}

static void closing_does_not_wait_for_a_dead_broker(void **state)
{
    (void)state;
    struct reader reader;
    int threads = rd_kafka_thread_cnt();
    create_topic("dead", 1);
    open_consumer(&reader, "dead", "dead-group");
    assert_int_equal(ask_start(&reader, WEIR_START_EARLIEST, 0), 0);
    assign(&reader, 0);
    rd_kafka_mock_broker_set_down(cluster, 1);
    const char *properties[] = {"linger.ms=0", NULL};
    struct writer writer;
    open_producer(&writer, "dead", properties);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(produce(&writer, "lost", NULL), WEIR_OK);
    struct kafka_partition_start next = {.partition = 0, .offset = 0};
    assert_int_equal(reader.consumer->ops->query_end(reader.consumer, 0, 1, NULL), WEIR_OK);
    assert_int_equal(reader.consumer->ops->commit(reader.consumer, &next, 1, NULL), WEIR_OK);
    int64_t before = now_ms();
    close_consumer(&reader);
    close_producer(&writer);
    assert_in_range(now_ms() - before, 0, 2000);
    rd_kafka_mock_broker_set_up(cluster, 1);
    int64_t deadline = now_ms() + DEADLINE_MS; /* what was left to clean up by itself does so */
    while (rd_kafka_thread_cnt() > threads && now_ms() < deadline)
        poll(NULL, 0, 10);
    assert_int_equal(rd_kafka_thread_cnt(), threads);
}

static void a_full_queue_says_so_and_wakes_when_there_is_room(void **state)
{
    (void)state;
    create_topic("full", 1);
    const char *properties[] = {"queue.buffering.max.messages=10", NULL};
    struct writer writer;
    struct error error = {0};
    open_producer(&writer, "full", properties);
    int64_t deadline = now_ms() + DEADLINE_MS;
    int produced = 0, refused = 0;
    while (produced < 500) {
        waker_prepare(&writer.waker.base);
        assert_int_equal(writer.producer->ops->poll(writer.producer, &error), WEIR_OK);
        int rc = produce(&writer, "x", &error);
        if (rc == WEIR_OK) {
            produced++;
            continue;
        }
        assert_int_equal(rc, WEIR_E_LIMIT);
        refused++;
        assert_true(writer.producer->ops->outstanding(writer.producer) > 0);
        if (!waker_wait(&writer.waker, deadline))
            fail_msg("nobody said that there is room");
    }
    assert_true(refused > 0);
    assert_int_equal(wait_delivered(&writer, &error), WEIR_OK);
    close_producer(&writer);
}

static void a_message_too_large_is_refused(void **state)
{
    (void)state;
    struct writer writer;
    create_topic("large", 1);
    const char *properties[] = {"message.max.bytes=2000", NULL};
    open_producer(&writer, "large", properties);
    char text[3000];
    memset(text, 'x', sizeof text);
    struct error error = {0};
    assert_int_equal(
        writer.producer->ops->produce(writer.producer, -1, NULL, 0, text, sizeof text, -1, &error),
        WEIR_E_INVALID);
    assert_non_null(strstr(error.message, "a message of 3000 bytes is too large"));
    close_producer(&writer);
}

static void what_is_not_delivered_in_time_is_an_error_for_good(void **state)
{
    (void)state;
    struct writer writer;
    struct error error = {0};
    create_topic("lost", 1);
    const char *properties[] = {"message.timeout.ms=500", NULL};
    rd_kafka_mock_broker_set_down(cluster, 1);
    open_producer(&writer, "lost", properties);
    assert_int_equal(produce(&writer, "x", &error), WEIR_OK);
    assert_int_equal(wait_delivered(&writer, &error), WEIR_E_TIMEOUT);
    assert_non_null(strstr(error.message, "produce to topic lost"));
    rd_kafka_mock_broker_set_up(cluster, 1);
    assert_int_equal(writer.producer->ops->poll(writer.producer, &error), WEIR_E_TIMEOUT);
    assert_int_equal(produce(&writer, "y", &error), WEIR_E_TIMEOUT);
    close_producer(&writer);
}

static void producing_goes_on_when_the_broker_comes_back(void **state)
{
    (void)state;
    struct writer writer;
    struct error error = {0};
    char text[32];
    create_topic("producer-outage", 1);
    open_producer(&writer, "producer-outage", NULL);
    for (int i = 0; i < 20; i++) {
        if (i == 10) {
            assert_int_equal(wait_delivered(&writer, &error), WEIR_OK);
            rd_kafka_mock_broker_set_down(cluster, 1);
        }
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(produce(&writer, text, &error), WEIR_OK);
    }
    assert_int_equal(writer.producer->ops->poll(writer.producer, &error), WEIR_OK);
    assert_true(writer.producer->ops->outstanding(writer.producer) > 0);
    rd_kafka_mock_broker_set_up(cluster, 1);
    assert_int_equal(wait_delivered(&writer, &error), WEIR_OK);
    close_producer(&writer);
    struct reader reader;
    open_consumer(&reader, "producer-outage", NULL);
    assign(&reader, 0);
    read_messages(&reader, 0, 20);
    close_consumer(&reader);
}

static void idempotence_gives_way_to_the_users_properties(void **state)
{
    (void)state;
    static const char *const cases[] = {"acks=1",    "max.in.flight=10",        "enable.idempotence=false",
                                        "retries=0", "request.required.acks=0", "queuing.strategy=lifo"};
    create_topic("acks", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *properties[] = {cases[i], NULL};
        struct writer writer;
        struct error error = {0};
        open_producer(&writer, "acks", properties);
        assert_int_equal(produce(&writer, "x", &error), WEIR_OK);
        if (wait_delivered(&writer, &error) != WEIR_OK)
            fail_msg("%s: %s", cases[i], error.message);
        close_producer(&writer);
    }
}

static void fetching_is_woken_once_when_a_full_queue_has_half_drained(void **state)
{
    (void)state;
    static const struct {
        uint64_t limit_messages, limit_bytes, message_bytes, full, half;
    } cases[] = {{1000, 1000000, 100, 800, 500}, {1000, 10000, 100, 80, 50}, {1000, 1000000, 0, 800, 500}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefetch p = {.limit_messages = cases[i].limit_messages, .limit_bytes = cases[i].limit_bytes};
        uint64_t bytes = 10 * cases[i].message_bytes;
        for (int round = 0; round < 3; round++) {
            assert_false(prefetch_should_wake(&p, 10, bytes, 0)); /* it wasn't full */
            assert_false(prefetch_should_wake(&p, 10, bytes, cases[i].full));
            assert_false(prefetch_should_wake(&p, 10, bytes, cases[i].half + 1));
            assert_false(prefetch_should_wake(&p, 0, 0, 0)); /* nothing was read */
            assert_true(prefetch_should_wake(&p, 10, bytes, cases[i].half));
            assert_true(
                prefetch_should_wake(&p, 10 * cases[i].full, bytes * cases[i].full, 0)); /* all at once */
        }
    }
}

/* A backlog of 100 batches through a queue of one: at up to a second for each time that the queue was full
 * this would take a minute. */
static void a_small_queue_does_not_slow_a_backlog_down(void **state)
{
    (void)state;
    create_topic("backlog", 1);
    static const char *const small_batches[] = {"batch.num.messages=100", NULL};
    write_messages_with("backlog", 0, 10000, small_batches);
    struct reader reader;
    struct error error = {0};
    static const char *const small_queue[] = {"queued.min.messages=100", NULL};
    weir_kafka_source_options options = {
        .topic = "backlog", .bootstrap_servers = bootstrap, .properties = small_queue};
    assert_int_equal(try_open_consumer(&reader, &options, &error), WEIR_OK);
    assign(&reader, 0);
    int64_t before = now_ms();
    read_messages(&reader, 0, 10000);
    assert_in_range(now_ms() - before, 0, DEADLINE_MS);
    close_consumer(&reader);
}

static int start_cluster(void **state)
{
    (void)state;
    cluster_start();
    return 0;
}

static int stop_cluster(void **state)
{
    (void)state;
    cluster_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_properties_are_named),
        cmocka_unit_test(records_come_and_wake_the_reader),
        cmocka_unit_test(start_offsets_are_found),
        cmocka_unit_test(committed_offsets_are_found_again),
        cmocka_unit_test(an_offset_out_of_range_is_told_with_what_there_is),
        cmocka_unit_test(an_unknown_topic_is_no_error),
        cmocka_unit_test(a_broker_that_comes_late_is_found),
        cmocka_unit_test(reading_goes_on_when_the_broker_comes_back),
        cmocka_unit_test(closing_does_not_wait_for_a_dead_broker),
        cmocka_unit_test(a_full_queue_says_so_and_wakes_when_there_is_room),
        cmocka_unit_test(a_message_too_large_is_refused),
        cmocka_unit_test(what_is_not_delivered_in_time_is_an_error_for_good),
        cmocka_unit_test(producing_goes_on_when_the_broker_comes_back),
        cmocka_unit_test(idempotence_gives_way_to_the_users_properties),
        cmocka_unit_test(fetching_is_woken_once_when_a_full_queue_has_half_drained),
        cmocka_unit_test(a_small_queue_does_not_slow_a_backlog_down),
    };
    return cmocka_run_group_tests(tests, start_cluster, stop_cluster);
}
