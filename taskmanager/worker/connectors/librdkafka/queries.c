/* Happy path: queries_ask puts a question into `waiting` and starts the thread if there is none; the thread
 * takes it, asks, puts the answers into `answers` and wakes the task; the task's poll sees `answer_count` and
 * takes them.
 *
 * Possible failure modes
 *  - The broker doesn't answer: every call has a timeout; the answer then says so, and the source asks again.
 *  - The consumer is closed meanwhile: the task doesn't wait for a dead broker. Whoever comes last, the
 * thread or queries_close, destroys the client handle. */
#include "taskmanager/worker/connectors/librdkafka/queries.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/vec.h"
#include "taskmanager/worker/connectors/librdkafka/client.h"

enum { QUERY_TIMEOUT_MS = 3000, CLOSE_WAIT_MS = 500 };

static const char logger[] = "weir.worker.KafkaClient";

struct queries {
    /* Immutable */
    rd_kafka_t *rk; /* owned from queries_close on */
    char *topic;
    bool has_group;

    /* Task's thread */
    pthread_t thread;
    bool started;

    /* Under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct vec_of(struct query) waiting;
    struct vec_of(struct query_answer) answers;
    struct waker *waker; /* NULL once closed */
    bool closing;
    bool abandoned; /* queries_close didn't wait: the thread destroys */
    bool ended;     /* the thread has destroyed rk and has nothing left to do */

    atomic_uint answer_count; /* answers.count, to be read without the lock */
};

struct queries *queries_new(rd_kafka_t *rk, const char *topic, bool has_group, struct waker *waker)
{
    struct queries *q = xcalloc(1, sizeof *q);
    q->rk = rk;
    q->topic = xstrdup(topic);
    q->has_group = has_group;
    q->waker = waker;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return q;
}

/* May take seconds: a commit that waits for its coordinator is waited for. */
static void destroy_client(struct queries *q)
{
    rd_kafka_destroy_flags(q->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void queries_free(struct queries *q)
{
    vec_for_each (query, &q->waiting)
        free(query->partitions);
    vec_free(&q->waiting);
    vec_for_each (answer, &q->answers)
        free(answer->error);
    vec_free(&q->answers);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q->topic);
    free(q);
}

static void answer(struct queries *q, const struct kafka_event *event, const struct error *error)
{
    struct query_answer a = {.event = *event, .error = error ? xmemdup(error, sizeof *error) : NULL};
    a.event.error = a.error;
    pthread_mutex_lock(&q->lock);
    vec_push(&q->answers, a);
    atomic_store_explicit(&q->answer_count, (unsigned)q->answers.count, memory_order_release);
    /* Under the lock, so that queries_close can take the waker away. */
    waker_wake(q->waker);
    pthread_mutex_unlock(&q->lock);
}

static bool is_closing(struct queries *q)
{
    pthread_mutex_lock(&q->lock);
    bool closing = q->closing;
    pthread_mutex_unlock(&q->lock);
    return closing;
}

/* ---- the questions, on the helper thread ---- */

static void ask_partitions(struct queries *q)
{
    struct kafka_event event = {.kind = KAFKA_EVENT_PARTITIONS};
    struct error error = {0};
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(q->rk, q->topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rkt ? rd_kafka_metadata(q->rk, 0, rkt, &metadata, QUERY_TIMEOUT_MS) : rd_kafka_last_error();
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        const rd_kafka_metadata_topic_t *topic = &metadata->topics[0];
        code = topic->err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            event.count = topic->partition_cnt;
    }
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        event.count = 0; /* it doesn't exist: no error, but nothing either */
    } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        event.fatal = client_error_is_fatal(code);
        error_set(&error, client_error_rc(code), "list the partitions of topic %s: %s", q->topic,
                  rd_kafka_err2str(code));
    }
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (rkt)
        rd_kafka_topic_destroy(rkt);
    answer(q, &event, error.rc ? &error : NULL);
}

static rd_kafka_resp_err_t ask_bounds(struct queries *q, int32_t partition, int64_t *ret_low,
                                      int64_t *ret_high)
{
    return rd_kafka_query_watermark_offsets(q->rk, q->topic, partition, ret_low, ret_high, QUERY_TIMEOUT_MS);
}

static rd_kafka_resp_err_t ask_time(struct queries *q, int32_t partition, int64_t timestamp_ms,
                                    int64_t *ret_offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *entry = rd_kafka_topic_partition_list_add(list, q->topic, partition);
    entry->offset = timestamp_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(q->rk, list, QUERY_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = entry->err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *ret_offset = entry->offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static int64_t clamp_committed(struct queries *q, int32_t partition, int64_t committed, int64_t low,
                               int64_t high)
{
    if (committed < 0)
        return low;
    if (committed >= low && committed <= high)
        return committed;
    log_warn(logger,
             "topic %s, partition %d: the group's committed offset %lld does not exist any more (there are "
             "%lld to %lld); "
             "starting at the earliest",
             q->topic, partition, (long long)committed, (long long)low, (long long)high);
    return low;
}

static rd_kafka_resp_err_t start_of(struct queries *q, const struct query *query, int32_t partition,
                                    int64_t committed, int64_t *ret_offset)
{
    int64_t low, high;
    rd_kafka_resp_err_t code = ask_bounds(q, partition, &low, &high);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    switch (query->start) {
    case WEIR_START_LATEST:
        *ret_offset = high;
        return code;
    case WEIR_START_TIMESTAMP: {
        int64_t offset = -1;
        code = ask_time(q, partition, query->timestamp_ms, &offset);
        *ret_offset = offset >= 0 ? offset : high; /* negative: nothing as late as that yet */
        return code;
    }
    case WEIR_START_COMMITTED:
        *ret_offset = clamp_committed(q, partition, committed, low, high);
        return code;
    case WEIR_START_EARLIEST:
        break;
    }
    *ret_offset = low;
    return code;
}

/* The group's offsets of the query's partitions, in their order; a negative one: none. */
static rd_kafka_resp_err_t ask_committed(struct queries *q, const struct query *query, int64_t *offsets)
{
    for (uint32_t i = 0; i < query->partition_count; i++)
        offsets[i] = KAFKA_OFFSET_NONE;
    if (query->start != WEIR_START_COMMITTED || !q->has_group)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)query->partition_count);
    for (uint32_t i = 0; i < query->partition_count; i++)
        rd_kafka_topic_partition_list_add(list, q->topic, query->partitions[i]);
    rd_kafka_resp_err_t code = rd_kafka_committed(q->rk, list, QUERY_TIMEOUT_MS);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        code = list->elems[i].err;
        if (list->elems[i].offset >= 0)
            offsets[i] = list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static void ask_start(struct queries *q, const struct query *query)
{
    int64_t *committed = xcalloc(query->partition_count, sizeof *committed);
    rd_kafka_resp_err_t failed = ask_committed(q, query, committed);
    bool of_group = failed != RD_KAFKA_RESP_ERR_NO_ERROR;
    for (uint32_t i = 0; i < query->partition_count && !is_closing(q); i++) {
        struct kafka_event event = {.kind = KAFKA_EVENT_START_OFFSET, .partition = query->partitions[i]};
        struct error error = {0};
        /* After a failure the others would only wait for the same timeout. */
        rd_kafka_resp_err_t code = failed;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            code = start_of(q, query, query->partitions[i], committed[i], &event.offset);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            failed = code;
            event.offset = KAFKA_OFFSET_NONE;
            event.fatal = client_error_is_fatal(code);
            error_set(&error, client_error_rc(code), "find the start offset of topic %s, partition %d%s: %s",
                      q->topic, query->partitions[i], of_group ? ", in the consumer group" : "",
                      rd_kafka_err2str(code));
        }
        answer(q, &event, error.rc ? &error : NULL);
    }
    free(committed);
}

static void ask_end(struct queries *q, const struct query *query)
{
    struct kafka_event event = {.kind = KAFKA_EVENT_END_OFFSET,
                                .partition = query->partition,
                                .query = query->number,
                                .offset = KAFKA_OFFSET_NONE};
    struct error error = {0};
    int64_t low, high;
    rd_kafka_resp_err_t code = ask_bounds(q, query->partition, &low, &high);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        event.offset = high; /* with isolation.level read_committed this is the last stable offset */
    } else {
        event.fatal = client_error_is_fatal(code);
        error_set(&error, client_error_rc(code), "find the end of topic %s, partition %d: %s", q->topic,
                  query->partition, rd_kafka_err2str(code));
    }
    answer(q, &event, error.rc ? &error : NULL);
}

static void ask_out_of_range(struct queries *q, const struct query *query)
{
    struct kafka_event event = {.kind = KAFKA_EVENT_ERROR,
                                .partition = query->partition,
                                .offset = query->offset,
                                .fatal = true,
                                .out_of_range = true};
    struct error error = {0};
    int64_t low, high;
    rd_kafka_resp_err_t code = ask_bounds(q, query->partition, &low, &high);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        error_set(&error, WEIR_E_NOT_FOUND,
                  "the offset does not exist; asking the broker which ones do failed: %s",
                  rd_kafka_err2str(code));
    else if (low == high)
        error_set(&error, WEIR_E_NOT_FOUND,
                  "the offset does not exist: the partition is empty, its next offset is %lld",
                  (long long)high);
    else
        error_set(&error, WEIR_E_NOT_FOUND,
                  "the offset does not exist: the partition holds offsets %lld to %lld", (long long)low,
                  (long long)high - 1);
    answer(q, &event, &error);
}

static void ask_nothing(struct queries *q, const struct query *query)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)query->partition_count);
    for (uint32_t i = 0; i < query->partition_count; i++)
        rd_kafka_topic_partition_list_add(list, q->topic, query->partitions[i])->offset = RD_KAFKA_OFFSET_END;
    (void)rd_kafka_offsets_for_times(q->rk, list, QUERY_TIMEOUT_MS);
    rd_kafka_topic_partition_list_destroy(list);
}

static void ask(struct queries *q, const struct query *query)
{
    switch (query->kind) {
    case QUERY_PARTITIONS:
        ask_partitions(q);
        break;
    case QUERY_START:
        ask_start(q, query);
        break;
    case QUERY_END:
        ask_end(q, query);
        break;
    case QUERY_OUT_OF_RANGE:
        ask_out_of_range(q, query);
        break;
    case QUERY_NOTHING:
        ask_nothing(q, query);
        break;
    }
}

static void *run(void *argument)
{
    struct queries *q = argument;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->waiting.count == 0 && !q->closing)
            pthread_cond_wait(&q->changed, &q->lock);
        if (q->closing)
            break;
        struct query query = q->waiting.items[0];
        vec_remove(&q->waiting, 0);
        pthread_mutex_unlock(&q->lock);
        ask(q, &query);
        free(query.partitions);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    destroy_client(q);
    pthread_mutex_lock(&q->lock);
    q->ended = true;
    bool abandoned = q->abandoned;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    if (abandoned)
        queries_free(q);
    return NULL;
}

/* ---- the task's side ---- */

int queries_ask(struct queries *q, const struct query *query_take, struct error *err)
{
    assert(!q->closing);
    pthread_mutex_lock(&q->lock);
    vec_push(&q->waiting, *query_take);
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    if (q->started)
        return WEIR_OK;
    int rc = pthread_create(&q->thread, NULL, run, q);
    if (rc != 0)
        return error_set_errno(err, WEIR_E_NO_MEMORY, rc, "start the thread for a Kafka consumer's queries");
    pthread_setname_np(q->thread, "kafka-queries");
    q->started = true;
    return WEIR_OK;
}

uint32_t queries_take(struct queries *q, struct query_answer *answers, uint32_t capacity)
{
    if (atomic_load_explicit(&q->answer_count, memory_order_acquire) == 0)
        return 0;
    pthread_mutex_lock(&q->lock);
    uint32_t n = 0;
    while (n < capacity && n < q->answers.count) {
        answers[n] = q->answers.items[n];
        n++;
    }
    memmove(q->answers.items, q->answers.items + n, (q->answers.count - n) * sizeof *q->answers.items);
    q->answers.count -= n;
    atomic_store_explicit(&q->answer_count, (unsigned)q->answers.count, memory_order_release);
    pthread_mutex_unlock(&q->lock);
    return n;
}

void queries_close(struct queries *q)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += CLOSE_WAIT_MS * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_nsec -= 1000000000L;
        deadline.tv_sec++;
    }
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    q->waker = NULL;
    pthread_cond_broadcast(&q->changed);
    while (q->started && !q->ended && pthread_cond_timedwait(&q->changed, &q->lock, &deadline) != ETIMEDOUT)
        continue;
    bool ended = !q->started || q->ended;
    pthread_t thread = q->thread;
    bool started = q->started;
    q->abandoned = !ended;
    pthread_mutex_unlock(&q->lock);
    if (!ended) {
        pthread_detach(thread); /* q may be gone from here on */
        return;
    }
    if (started)
        pthread_join(thread, NULL);
    else
        destroy_client(q);
    queries_free(q);
}
