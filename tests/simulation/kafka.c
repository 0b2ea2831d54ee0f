/* A Kafka in memory: two topics of two partitions; records become readable after a fetch, queries are
 * answered later, and what a producer had under way when its process died has arrived or not. */
#include <assert.h>
#include <string.h>

#include "common/base/error.h"
#include "tests/simulation/sim.h"

enum { ANSWERS_MAX = 64 };

struct sim_consumer {
    struct kafka_consumer base;
    struct sim_kafka *kafka;
    struct sim_topic *topic;
    uint64_t process;
    struct waker *waker;
    bool assigned[SIM_PARTITIONS];
    int64_t position[SIM_PARTITIONS]; /* next to deliver */
    int64_t visible[SIM_PARTITIONS];  /* fetched up to here, exclusive */
    bool fetching[SIM_PARTITIONS];
    int64_t end_told[SIM_PARTITIONS];
    struct kafka_event answers[ANSWERS_MAX];
    uint32_t answer_count;
    struct error range_error;
    uint64_t id; /* names it in events, as it may be closed by then */
};

struct sim_producer {
    struct kafka_producer base;
    struct sim_kafka *kafka;
    struct sim_topic *topic;
    uint64_t process;
    struct waker *waker;
    uint32_t outstanding;
    uint32_t next_partition;
    uint64_t id;
};

static uint64_t next_client_id;

void sim_kafka_init(struct sim_kafka *kafka, struct sim *sim)
{
    *kafka = (struct sim_kafka){.sim = sim, .input.name = "input", .output.name = "output"};
    for (int p = 0; p < SIM_PARTITIONS; p++)
        kafka->committed[p] = KAFKA_OFFSET_NONE;
}

static void topic_free(struct sim_topic *topic)
{
    for (int p = 0; p < SIM_PARTITIONS; p++) {
        for (size_t i = 0; i < topic->partitions[p].count; i++)
            free(topic->partitions[p].items[i].value);
        free(topic->partitions[p].items);
    }
}

void sim_kafka_deinit(struct sim_kafka *kafka)
{
    topic_free(&kafka->input);
    topic_free(&kafka->output);
    vec_free(&kafka->consumers);
    vec_free(&kafka->producers);
}

/* ---- consumer ---- */

static struct sim_consumer *consumer_by_id(struct sim_kafka *kafka, uint64_t id)
{
    vec_for_each (item, &kafka->consumers) {
        struct sim_consumer *consumer = *item;
        if (consumer->id == id)
            return consumer;
    }
    return NULL;
}

static void fetched(struct sim *sim, struct sim_call *call)
{
    struct sim_consumer *consumer = consumer_by_id(&sim->kafka, call->a);
    if (!consumer)
        return;
    uint32_t p = (uint32_t)call->b;
    consumer->fetching[p] = false;
    consumer->visible[p] = (int64_t)consumer->topic->partitions[p].count;
    waker_wake(consumer->waker);
}

static void fetch(struct sim_consumer *consumer, uint32_t partition)
{
    if (!consumer->assigned[partition] || consumer->fetching[partition] ||
        consumer->visible[partition] >= (int64_t)consumer->topic->partitions[partition].count)
        return;
    consumer->fetching[partition] = true;
    struct sim *sim = consumer->kafka->sim;
    int64_t delay = sim_chance(sim, 10) ? sim_between(sim, 50000, 800000) : sim_between(sim, 200, 15000);
    sim_after(sim, delay, consumer->process, fetched, (struct sim_call){.a = consumer->id, .b = partition},
              NULL);
}

void sim_kafka_append(struct sim_kafka *kafka, struct sim_topic *topic, uint32_t partition,
                      int64_t timestamp_ms, const void *value, size_t size)
{
    struct sim_partition *log = &topic->partitions[partition];
    vec_push(log, (struct sim_record){timestamp_ms, (uint32_t)size, xmemdup(value, size)});
    vec_for_each (item, &kafka->consumers) {
        struct sim_consumer *consumer = *item;
        if (consumer->topic == topic)
            fetch(consumer, partition);
    }
}

static void answered(struct sim *sim, struct sim_call *call)
{
    struct kafka_event *event = call->data;
    struct sim_consumer *consumer = consumer_by_id(&sim->kafka, call->a);
    if (consumer) {
        assert(consumer->answer_count < ANSWERS_MAX);
        /* The broker's end is what it is when the broker answers. */
        if (event->kind == KAFKA_EVENT_END_OFFSET)
            event->offset = (int64_t)consumer->topic->partitions[event->partition].count;
        consumer->answers[consumer->answer_count++] = *event;
        waker_wake(consumer->waker);
    }
    free(event);
}

static void answer_later(struct sim_consumer *consumer, struct kafka_event event)
{
    struct sim *sim = consumer->kafka->sim;
    int64_t delay = sim_chance(sim, 20) ? sim_between(sim, 100000, 2000000) : sim_between(sim, 300, 5000);
    sim_after(sim, delay, consumer->process, answered,
              (struct sim_call){.a = consumer->id, .data = xmemdup(&event, sizeof event)}, free);
}

static int consumer_list(struct kafka_consumer *self, struct error *err)
{
    (void)err;
    answer_later((struct sim_consumer *)self,
                 (struct kafka_event){.kind = KAFKA_EVENT_PARTITIONS, .count = SIM_PARTITIONS});
    return WEIR_OK;
}

static int consumer_resolve(struct kafka_consumer *self, const int32_t *partitions, uint32_t count,
                            weir_kafka_start start, int64_t timestamp_ms, struct error *err)
{
    (void)timestamp_ms;
    (void)err;
    struct sim_consumer *consumer = (struct sim_consumer *)self;
    for (uint32_t i = 0; i < count; i++) {
        int64_t committed = consumer->kafka->committed[partitions[i]];
        int64_t offset = start == WEIR_START_COMMITTED && committed >= 0 ? committed : 0;
        if (start == WEIR_START_LATEST)
            offset = (int64_t)consumer->topic->partitions[partitions[i]].count;
        answer_later(consumer, (struct kafka_event){.kind = KAFKA_EVENT_START_OFFSET,
                                                    .partition = partitions[i],
                                                    .offset = offset});
    }
    return WEIR_OK;
}

static int consumer_assign(struct kafka_consumer *self, const struct kafka_partition_start *starts,
                           uint32_t count, struct error *err)
{
    (void)err;
    struct sim_consumer *consumer = (struct sim_consumer *)self;
    for (uint32_t i = 0; i < count; i++) {
        int32_t p = starts[i].partition;
        consumer->assigned[p] = true;
        consumer->position[p] = consumer->visible[p] = starts[i].offset;
        fetch(consumer, (uint32_t)p);
    }
    return WEIR_OK;
}

static int consumer_query_end(struct kafka_consumer *self, int32_t partition, uint64_t query,
                              struct error *err)
{
    (void)err;
    answer_later(
        (struct sim_consumer *)self,
        (struct kafka_event){.kind = KAFKA_EVENT_END_OFFSET, .partition = partition, .query = query});
    return WEIR_OK;
}

static bool deliver(struct sim_consumer *consumer, uint32_t p, struct kafka_event *ret_event)
{
    if (!consumer->assigned[p])
        return false;
    if (consumer->position[p] < consumer->visible[p]) {
        const struct sim_record *record = &consumer->topic->partitions[p].items[consumer->position[p]];
        *ret_event = (struct kafka_event){.kind = KAFKA_EVENT_MESSAGE,
                                          .partition = (int32_t)p,
                                          .offset = consumer->position[p],
                                          .message = {.topic = consumer->topic->name,
                                                      .partition = (int32_t)p,
                                                      .offset = consumer->position[p],
                                                      .timestamp_ms = record->timestamp_ms,
                                                      .value = record->value,
                                                      .value_length = record->size}};
        consumer->position[p]++;
        return true;
    }
    if (consumer->visible[p] == (int64_t)consumer->topic->partitions[p].count &&
        consumer->end_told[p] != consumer->position[p]) {
        consumer->end_told[p] = consumer->position[p];
        *ret_event = (struct kafka_event){
            .kind = KAFKA_EVENT_END_OF_PARTITION, .partition = (int32_t)p, .offset = consumer->position[p]};
        return true;
    }
    return false;
}

static uint32_t consumer_poll(struct kafka_consumer *self, struct kafka_event *events, uint32_t capacity)
{
    struct sim_consumer *consumer = (struct sim_consumer *)self;
    uint32_t n = 0;
    while (n < capacity && consumer->answer_count > 0) {
        events[n++] = consumer->answers[0];
        consumer->answer_count--;
        memmove(consumer->answers, consumer->answers + 1,
                consumer->answer_count * sizeof consumer->answers[0]);
    }
    bool any = true;
    while (n < capacity && any) { /* a few of each partition in turn, as fetches come */
        any = false;
        uint32_t p = (uint32_t)sim_between(consumer->kafka->sim, 0, SIM_PARTITIONS - 1);
        for (uint32_t i = 0; i < SIM_PARTITIONS; i++, p = (p + 1) % SIM_PARTITIONS)
            for (int64_t burst = sim_between(consumer->kafka->sim, 1, 20); burst > 0 && n < capacity; burst--)
                if (deliver(consumer, p, &events[n])) {
                    n++;
                    any = true;
                }
    }
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++)
        fetch(consumer, p);
    return n;
}

static int consumer_commit(struct kafka_consumer *self, const struct kafka_partition_start *next,
                           uint32_t count, struct error *err)
{
    (void)err;
    struct sim_consumer *consumer = (struct sim_consumer *)self;
    for (uint32_t i = 0; i < count; i++)
        consumer->kafka->committed[next[i].partition] = next[i].offset;
    return WEIR_OK;
}

static void consumer_close(struct kafka_consumer *self)
{
    struct sim_consumer *consumer = (struct sim_consumer *)self;
    struct sim_kafka *kafka = consumer->kafka;
    for (size_t i = 0; i < kafka->consumers.count; i++)
        if (kafka->consumers.items[i] == consumer) {
            vec_remove(&kafka->consumers, i);
            break;
        }
    free(consumer);
}

static const struct kafka_consumer_ops consumer_ops = {
    .list = consumer_list,
    .resolve_start = consumer_resolve,
    .assign = consumer_assign,
    .query_end = consumer_query_end,
    .poll = consumer_poll,
    .commit = consumer_commit,
    .close = consumer_close,
};

static int open_consumer(void *self, const weir_kafka_source_options *options, const char *client_id,
                         struct waker *waker, struct kafka_consumer **ret_consumer, struct error *err)
{
    (void)client_id;
    struct sim_kafka_access *access = self;
    if (strcmp(options->topic, access->kafka->input.name) != 0)
        return error_set(err, WEIR_E_NOT_FOUND, "no such topic: %s", options->topic);
    struct sim_consumer *consumer = xcalloc(1, sizeof *consumer);
    *consumer = (struct sim_consumer){.base.ops = &consumer_ops,
                                      .kafka = access->kafka,
                                      .topic = &access->kafka->input,
                                      .process = access->process,
                                      .waker = waker,
                                      .id = ++next_client_id};
    for (int p = 0; p < SIM_PARTITIONS; p++)
        consumer->end_told[p] = KAFKA_OFFSET_NONE;
    vec_push(&access->kafka->consumers, consumer);
    *ret_consumer = &consumer->base;
    return WEIR_OK;
}

/* ---- producer ---- */

struct sent {
    struct sim_topic *topic;
    uint32_t partition;
    uint64_t process;
    uint64_t producer;
    int64_t timestamp_ms;
    size_t size;
    char value[];
};

static struct sim_producer *producer_by_id(struct sim_kafka *kafka, uint64_t id)
{
    vec_for_each (item, &kafka->producers) {
        struct sim_producer *producer = *item;
        if (producer->id == id)
            return producer;
    }
    return NULL;
}

static void acknowledged(struct sim *sim, struct sim_call *call)
{
    struct sent *sent = call->data;
    bool alive = sim_process_alive(sim, sent->process);
    /* What was under way when the process died has reached the broker or not. */
    if (alive || sim_chance(sim, 500))
        sim_kafka_append(&sim->kafka, sent->topic, sent->partition, sent->timestamp_ms, sent->value,
                         sent->size);
    if (alive) {
        struct sim_producer *producer = producer_by_id(&sim->kafka, sent->producer);
        if (producer) {
            producer->outstanding--;
            waker_wake(producer->waker);
        }
    }
    free(sent);
}

static int producer_produce(struct kafka_producer *self, int32_t partition, const void *key,
                            size_t key_length, const void *value, size_t value_length, int64_t timestamp_ms,
                            struct error *err)
{
    (void)key;
    (void)key_length;
    struct sim_producer *producer = (struct sim_producer *)self;
    struct sim *sim = producer->kafka->sim;
    if (producer->outstanding >= 16)
        return error_set(err, WEIR_E_LIMIT, "queue full");
    struct sent *sent = xmalloc(sizeof *sent + value_length);
    *sent = (struct sent){.topic = producer->topic,
                          .partition = partition >= 0 ? (uint32_t)partition
                                                      : producer->next_partition++ % SIM_PARTITIONS,
                          .process = producer->process,
                          .producer = producer->id,
                          .timestamp_ms = timestamp_ms,
                          .size = value_length};
    memcpy(sent->value, value, value_length);
    producer->outstanding++;
    int64_t delay = sim_chance(sim, 20) ? sim_between(sim, 50000, 1500000) : sim_between(sim, 200, 4000);
    sim_after(sim, delay, 0, acknowledged, (struct sim_call){.data = sent}, free);
    return WEIR_OK;
}

static int producer_poll(struct kafka_producer *self, struct error *err)
{
    (void)self;
    (void)err;
    return WEIR_OK;
}

static uint32_t producer_outstanding(struct kafka_producer *self)
{
    return ((struct sim_producer *)self)->outstanding;
}

static void producer_flush_soon(struct kafka_producer *self)
{
    (void)self;
}

static void producer_close(struct kafka_producer *self)
{
    struct sim_producer *producer = (struct sim_producer *)self;
    struct sim_kafka *kafka = producer->kafka;
    for (size_t i = 0; i < kafka->producers.count; i++)
        if (kafka->producers.items[i] == producer) {
            vec_remove(&kafka->producers, i);
            break;
        }
    free(producer);
}

static const struct kafka_producer_ops producer_ops = {
    .produce = producer_produce,
    .poll = producer_poll,
    .outstanding = producer_outstanding,
    .flush_soon = producer_flush_soon,
    .close = producer_close,
};

static int open_producer(void *self, const weir_kafka_sink_options *options, const char *client_id,
                         struct waker *waker, struct kafka_producer **ret_producer, struct error *err)
{
    (void)client_id;
    struct sim_kafka_access *access = self;
    if (strcmp(options->topic, access->kafka->output.name) != 0)
        return error_set(err, WEIR_E_NOT_FOUND, "no such topic: %s", options->topic);
    struct sim_producer *producer = xcalloc(1, sizeof *producer);
    *producer = (struct sim_producer){.base.ops = &producer_ops,
                                      .kafka = access->kafka,
                                      .topic = &access->kafka->output,
                                      .process = access->process,
                                      .waker = waker,
                                      .id = ++next_client_id};
    vec_push(&access->kafka->producers, producer);
    *ret_producer = &producer->base;
    return WEIR_OK;
}

void sim_kafka_access_init(struct sim_kafka_access *access, struct sim_kafka *kafka, uint64_t process)
{
    *access = (struct sim_kafka_access){.kafka = kafka, .process = process};
    access->provider = (struct kafka_provider){open_consumer, open_producer, access};
}
