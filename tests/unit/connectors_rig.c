#include "connectors_rig.h"

#include <stdio.h>

/* ---- rig ---- */

static int64_t rig_now(void *self)
{
    return ((struct rig *)self)->now_ms;
}

static int rig_sleep(void *self, int64_t ms)
{
    ((struct rig *)self)->now_ms += ms;
    return 0;
}

static uint64_t rig_random(void *self)
{
    (void)self;
    return 4;
}

static int rig_emit(weir_collector *collector, const void *record, uint32_t size, int64_t timestamp_ms)
{
    struct rig *rig = collector->self;
    if (rig->emit_result != 0)
        return rig->emit_result;
    struct rig_emitted emitted = {.timestamp_ms = timestamp_ms, .watermark_before = rig->watermark_ms};
    memcpy(&emitted.event, record, size < sizeof emitted.event ? size : sizeof emitted.event);
    vec_push(&rig->emitted, emitted);
    if (rig->room > 0)
        rig->room--;
    return 0;
}

static void rig_watermark(void *task, int64_t watermark_ms)
{
    struct rig *rig = task;
    assert_true(watermark_ms > rig->watermark_ms);
    rig->watermark_ms = watermark_ms;
}

static void rig_idle(void *task, bool idle)
{
    struct rig *rig = task;
    assert_true(idle != rig->idle);
    rig->idle = idle;
    rig->idle_changes++;
}

static bool rig_has_room(void *task)
{
    return ((struct rig *)task)->room > 0;
}

static void rig_wake(struct waker *waker)
{
    struct rig *rig = (struct rig *)((char *)waker - offsetof(struct rig, waker));
    rig->wakes++;
}

void rig_init(struct rig *rig, Weir__OperatorKind kind)
{
    memset(rig, 0, sizeof *rig);
    rig->now_ms = 1000000;
    rig->watermark_ms = INT64_MIN;
    rig->room = UINT64_MAX;
    rig->environment =
        (struct user_environment){.now = rig_now, .sleep = rig_sleep, .random = rig_random, .self = rig};
    rig->context = (weir_context){.environment = &rig->environment, .operator_name = "under test"};
    rig->collector = (weir_collector){.emit = rig_emit,
                                      .self = rig,
                                      .context = &rig->context,
                                      .type = &rig_event_type,
                                      .block = rig->block,
                                      .capacity = sizeof rig->block};
    rig->waker.wake = rig_wake;
    rig->node = (struct stream_node){.kind = kind, .name = (char *)"under test", .uid = (char *)"uid"};
    rig->setup = (struct operator_setup){
        .node = &rig->node,
        .max_parallelism = 128,
        .max_record_bytes = sizeof rig->block,
        .context = &rig->context,
        .collector = &rig->collector,
        .error = &rig->error,
        .fatal = &rig->fatal,
        .waker = &rig->waker,
        .metrics = &rig->metrics,
        .watermark_out = rig_watermark,
        .idle_out = rig_idle,
        .has_room = rig_has_room,
        .task = rig,
        .checkpointing = true,
    };
}

int rig_try_open(struct rig *rig, operator_new_fn *make, uint32_t subtask, uint32_t parallelism,
                 Weir__OperatorState *const *states, size_t state_count)
{
    assert_null(rig->op);
    rig->watermark_ms = INT64_MIN;
    rig->idle = false;
    rig->setup.subtask = rig->context.subtask = subtask;
    rig->setup.parallelism = rig->context.parallelism = parallelism;
    rig->setup.restore = states;
    rig->setup.restore_count = state_count;
    int rc = make(&rig->setup, &rig->op, &rig->error);
    if (rc == WEIR_OK && rig->op->ops->open)
        rc = rig->op->ops->open(rig->op, &rig->error);
    return rc;
}

void rig_open(struct rig *rig, operator_new_fn *make, uint32_t subtask, uint32_t parallelism,
              Weir__OperatorState *const *states, size_t state_count)
{
    int rc = rig_try_open(rig, make, subtask, parallelism, states, state_count);
    if (rc != WEIR_OK)
        fail_msg("open: %s", rig->error.message);
}

void rig_close(struct rig *rig)
{
    if (rig->op)
        rig->op->ops->close(rig->op);
    rig->op = NULL;
}

void rig_deinit(struct rig *rig)
{
    rig_close(rig);
    vec_free(&rig->emitted);
}

Weir__OperatorState *rig_snapshot(struct rig *rig, uint64_t checkpoint_id)
{
    Weir__OperatorState *state = malloc(sizeof *state);
    assert_non_null(state);
    weir__operator_state__init(state);
    assert_int_equal(rig->op->ops->snapshot(rig->op, checkpoint_id, state, &rig->error), WEIR_OK);
    return state;
}

void rig_free_state(Weir__OperatorState *state)
{
    weir__operator_state__free_unpacked(state, NULL);
}

static int64_t rig_deadline(const struct rig *rig)
{
    return rig->op->ops->next_deadline(rig->op);
}

enum source_status rig_drain(struct rig *rig)
{
    for (int i = 0; i < 1000000; i++) {
        if (rig->now_ms >= rig_deadline(rig) && rig->op->ops->timer(rig->op, rig->now_ms) == OPERATOR_FAILED)
            return SOURCE_FAILED;
        waker_prepare(&rig->waker);
        enum source_status status = rig->op->ops->poll(rig->op, 64);
        bool due = rig->now_ms >= rig_deadline(rig);
        bool woken = !atomic_load(&rig->waker.sleeping);
        if (status == SOURCE_END || status == SOURCE_FAILED || (status == SOURCE_NOTHING && !due && !woken))
            return status;
    }
    fail_msg("a source that is never done: its deadline stays in the past");
    return SOURCE_FAILED;
}

enum source_status rig_pass(struct rig *rig, int64_t ms)
{
    int64_t until = rig->now_ms + ms;
    enum source_status status = rig_drain(rig);
    while (rig->now_ms < until && status == SOURCE_NOTHING) {
        int64_t deadline = rig_deadline(rig);
        rig->now_ms = deadline < until ? deadline : until;
        status = rig_drain(rig);
    }
    return status;
}

/* ---- fake Kafka: consumer ---- */

struct fake_answer {
    struct kafka_event event;
    int64_t due_ms;
};

struct fake_consumer {
    struct kafka_consumer base;
    struct fake_kafka *kafka;
    struct waker *waker;
    struct vec_of(struct fake_answer) answers;
    struct error error;
    bool started;
};

static void fake_answer(struct fake_consumer *c, struct kafka_event event)
{
    if (c->kafka->unreachable) {
        error_set(&c->error, WEIR_E_UNAVAILABLE, "broker unreachable");
        event.error = &c->error;
        event.offset = KAFKA_OFFSET_NONE;
        event.count = 0;
    }
    int64_t due_ms = c->kafka->answer_delay_ms > 0 ? *c->kafka->now_ms + c->kafka->answer_delay_ms : 0;
    vec_push(&c->answers, (struct fake_answer){.event = event, .due_ms = due_ms});
    waker_wake(c->waker);
}

static int fake_list(struct kafka_consumer *self, struct error *err)
{
    (void)err;
    struct fake_consumer *c = (struct fake_consumer *)self;
    c->kafka->lists++;
    fake_answer(c, (struct kafka_event){.kind = KAFKA_EVENT_PARTITIONS, .count = c->kafka->partition_count});
    return WEIR_OK;
}

static int64_t fake_start(const struct fake_partition *p, weir_kafka_start start, int64_t timestamp_ms)
{
    if (start == WEIR_START_LATEST)
        return p->end;
    if (start == WEIR_START_COMMITTED && p->committed >= 0)
        return p->committed;
    if (start == WEIR_START_TIMESTAMP) {
        vec_for_each (m, &p->log)
            if (m->timestamp_ms >= timestamp_ms)
                return m->offset;
        return p->end;
    }
    return p->start;
}

static int fake_resolve(struct kafka_consumer *self, const int32_t *ids, uint32_t count,
                        weir_kafka_start start, int64_t timestamp_ms, struct error *err)
{
    (void)err;
    struct fake_consumer *c = (struct fake_consumer *)self;
    for (uint32_t i = 0; i < count; i++) {
        assert_in_range(ids[i], 0, c->kafka->partition_count - 1);
        fake_answer(c, (struct kafka_event){
                           .kind = KAFKA_EVENT_START_OFFSET,
                           .partition = ids[i],
                           .offset = fake_start(&c->kafka->partitions[ids[i]], start, timestamp_ms)});
    }
    return WEIR_OK;
}

static int fake_assign(struct kafka_consumer *self, const struct kafka_partition_start *starts,
                       uint32_t count, struct error *err)
{
    (void)err;
    struct fake_consumer *c = (struct fake_consumer *)self;
    assert_false(c->started);
    c->started = true;
    for (uint32_t i = 0; i < count; i++) {
        struct fake_partition *p = &c->kafka->partitions[starts[i].partition];
        assert_null(p->owner); /* another subtask has it */
        assert_true(starts[i].offset >= 0);
        p->owner = c;
        p->position = starts[i].offset;
        p->told_end = -1;
        p->at = 0;
    }
    return WEIR_OK;
}

static int fake_query_end(struct kafka_consumer *self, int32_t partition, uint64_t query, struct error *err)
{
    (void)err;
    struct fake_consumer *c = (struct fake_consumer *)self;
    c->kafka->end_queries++;
    fake_answer(c, (struct kafka_event){.kind = KAFKA_EVENT_END_OFFSET,
                                        .partition = partition,
                                        .offset = c->kafka->partitions[partition].end,
                                        .query = query});
    return WEIR_OK;
}

static bool fake_next(struct fake_consumer *c, int32_t id, struct kafka_event *ret_event)
{
    struct fake_partition *p = &c->kafka->partitions[id];
    int64_t visible = p->fetched < p->end ? p->fetched : p->end;
    if (p->position < p->start || p->position > p->end) {
        p->owner = NULL;
        error_set(&c->error, WEIR_E_NOT_FOUND, "the partition holds offsets %lld to %lld",
                  (long long)p->start, (long long)p->end - 1);
        *ret_event = (struct kafka_event){.kind = KAFKA_EVENT_ERROR,
                                          .partition = id,
                                          .offset = p->position,
                                          .fatal = true,
                                          .out_of_range = true,
                                          .error = &c->error};
        return true;
    }
    while (p->at < p->log.count && p->log.items[p->at].offset < p->position)
        p->at++;
    const struct fake_message *m = p->at < p->log.count ? &p->log.items[p->at] : NULL;
    if (m && m->offset < visible) {
        p->position = m->offset + 1;
        *ret_event = (struct kafka_event){.kind = KAFKA_EVENT_MESSAGE,
                                          .partition = id,
                                          .offset = m->offset,
                                          .message = {.topic = "input",
                                                      .partition = id,
                                                      .offset = m->offset,
                                                      .timestamp_ms = m->timestamp_ms,
                                                      .value = m->bad ? NULL : "value",
                                                      .value_length = m->bad ? 0 : 5}};
        return true;
    }
    if (visible > p->position) /* markers */
        p->position = visible;
    if (p->position == p->end && p->told_end != p->end) {
        p->told_end = p->end;
        *ret_event =
            (struct kafka_event){.kind = KAFKA_EVENT_END_OF_PARTITION, .partition = id, .offset = p->end};
        return true;
    }
    return false;
}

static uint32_t fake_poll(struct kafka_consumer *self, struct kafka_event *events, uint32_t capacity)
{
    struct fake_consumer *c = (struct fake_consumer *)self;
    uint32_t n = 0;
    while (!c->kafka->hold_answers && n < capacity && c->answers.count > 0) {
        if (c->answers.items[0].due_ms > 0 && c->answers.items[0].due_ms > *c->kafka->now_ms)
            break;
        events[n++] = c->answers.items[0].event;
        vec_remove(&c->answers, 0);
    }
    bool any = c->started;
    while (any && n < capacity) { /* one of each in turn */
        any = false;
        for (int32_t id = 0; id < c->kafka->partition_count && n < capacity; id++)
            if (c->kafka->partitions[id].owner == c && fake_next(c, id, &events[n])) {
                n++;
                any = true;
            }
    }
    return n;
}

static int fake_commit(struct kafka_consumer *self, const struct kafka_partition_start *offsets,
                       uint32_t count, struct error *err)
{
    (void)err;
    struct fake_consumer *c = (struct fake_consumer *)self;
    c->kafka->commits++;
    for (uint32_t i = 0; i < count; i++)
        c->kafka->partitions[offsets[i].partition].committed = offsets[i].offset;
    return WEIR_OK;
}

static void fake_close(struct kafka_consumer *self)
{
    struct fake_consumer *c = (struct fake_consumer *)self;
    c->kafka->open_consumers--;
    for (int i = 0; i < FAKE_PARTITIONS_MAX; i++)
        if (c->kafka->partitions[i].owner == c)
            c->kafka->partitions[i].owner = NULL;
    vec_free(&c->answers);
    free(c);
}

static const struct kafka_consumer_ops fake_consumer_ops = {.list = fake_list,
                                                            .resolve_start = fake_resolve,
                                                            .assign = fake_assign,
                                                            .query_end = fake_query_end,
                                                            .poll = fake_poll,
                                                            .commit = fake_commit,
                                                            .close = fake_close};

static int fake_open_consumer(void *self, const weir_kafka_source_options *options, const char *client_id,
                              struct waker *waker, struct kafka_consumer **ret_consumer, struct error *err)
{
    struct fake_kafka *kafka = self;
    assert_string_equal(options->topic, "input");
    assert_non_null(client_id);
    if (kafka->open_result != WEIR_OK)
        return error_set(err, kafka->open_result, "refused");
    struct fake_consumer *c = xcalloc(1, sizeof *c);
    c->base.ops = &fake_consumer_ops;
    c->kafka = kafka;
    c->waker = waker;
    kafka->open_consumers++;
    *ret_consumer = &c->base;
    return WEIR_OK;
}

/* ---- fake Kafka: producer ---- */

struct fake_producer {
    struct kafka_producer base;
    struct fake_kafka *kafka;
};

static int fake_produce(struct kafka_producer *self, int32_t partition, const void *key, size_t key_length,
                        const void *value, size_t value_length, int64_t timestamp_ms, struct error *err)
{
    (void)key;
    (void)key_length;
    (void)err;
    struct fake_kafka *kafka = ((struct fake_producer *)self)->kafka;
    assert_int_equal(timestamp_ms, -1);
    assert_int_equal(partition, 3);
    if (kafka->queued >= kafka->queue_capacity)
        return WEIR_E_LIMIT;
    kafka->queued++;
    kafka->produced++;
    vec_push(&kafka->values, xstrndup(value, value_length));
    return WEIR_OK;
}

static int fake_producer_poll(struct kafka_producer *self, struct error *err)
{
    struct fake_kafka *kafka = ((struct fake_producer *)self)->kafka;
    return kafka->produce_error ? error_set(err, kafka->produce_error, "not delivered") : WEIR_OK;
}

static uint32_t fake_outstanding(struct kafka_producer *self)
{
    return ((struct fake_producer *)self)->kafka->queued;
}

static void fake_flush_soon(struct kafka_producer *self)
{
    ((struct fake_producer *)self)->kafka->flushes++;
}

static void fake_producer_close(struct kafka_producer *self)
{
    free(self);
}

static const struct kafka_producer_ops fake_producer_ops = {.produce = fake_produce,
                                                            .poll = fake_producer_poll,
                                                            .outstanding = fake_outstanding,
                                                            .flush_soon = fake_flush_soon,
                                                            .close = fake_producer_close};

static int fake_open_producer(void *self, const weir_kafka_sink_options *options, const char *client_id,
                              struct waker *waker, struct kafka_producer **ret_producer, struct error *err)
{
    (void)options;
    (void)client_id;
    struct fake_kafka *kafka = self;
    if (kafka->open_result != WEIR_OK)
        return error_set(err, kafka->open_result, "refused");
    struct fake_producer *p = xcalloc(1, sizeof *p);
    p->base.ops = &fake_producer_ops;
    p->kafka = kafka;
    kafka->producer_waker = waker;
    *ret_producer = &p->base;
    return WEIR_OK;
}

/* ---- fake Kafka: what tests do with it ---- */

void fake_kafka_init(struct fake_kafka *kafka, int32_t partitions)
{
    *kafka = (struct fake_kafka){
        .provider = {.open_consumer = fake_open_consumer, .open_producer = fake_open_producer, .self = kafka},
        .partition_count = partitions,
        .queue_capacity = 1000};
    for (int i = 0; i < FAKE_PARTITIONS_MAX; i++) {
        kafka->partitions[i].committed = KAFKA_OFFSET_NONE;
        kafka->partitions[i].fetched = INT64_MAX;
    }
}

void fake_kafka_deinit(struct fake_kafka *kafka)
{
    assert_int_equal(kafka->open_consumers, 0);
    for (int i = 0; i < FAKE_PARTITIONS_MAX; i++)
        vec_free(&kafka->partitions[i].log);
    vec_for_each (value, &kafka->values)
        free(*value);
    vec_free(&kafka->values);
}

static void append(struct fake_kafka *kafka, int32_t partition, int64_t timestamp_ms, bool bad)
{
    struct fake_partition *p = &kafka->partitions[partition];
    vec_push(&p->log, (struct fake_message){.offset = p->end++, .timestamp_ms = timestamp_ms, .bad = bad});
}

void fake_append(struct fake_kafka *kafka, int32_t partition, int64_t timestamp_ms)
{
    append(kafka, partition, timestamp_ms, false);
}

void fake_append_bad(struct fake_kafka *kafka, int32_t partition, int64_t timestamp_ms)
{
    append(kafka, partition, timestamp_ms, true);
}

void fake_append_marker(struct fake_kafka *kafka, int32_t partition)
{
    kafka->partitions[partition].end++;
}

void fake_deliver(struct fake_kafka *kafka, uint32_t count)
{
    assert_true(count <= kafka->queued);
    kafka->queued -= count;
    waker_wake(kafka->producer_waker);
}

int fake_decode(weir_context *context, const weir_kafka_message *message, weir_collector *out)
{
    if (!message->value)
        return weir_fail(context, "no value");
    struct rig_event *event = weir_new_record(out);
    event->time = message->timestamp_ms;
    event->partition = message->partition;
    event->offset = message->offset;
    return weir_emit(out, event);
}
