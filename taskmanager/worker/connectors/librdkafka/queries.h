/* The consumer's questions to the broker (partitions, start offsets, end offsets): librdkafka only has
 * blocking calls for them, so a helper thread makes them and the answers wait here until the consumer's poll
 * takes them. */
#ifndef WEIR_CONNECTORS_LIBRDKAFKA_QUERIES_H
#define WEIR_CONNECTORS_LIBRDKAFKA_QUERIES_H

#include <librdkafka/rdkafka.h>

#include "taskmanager/worker/connectors/kafka_client.h"

/* NOTHING asks the leaders of its partitions for something and has no answer: it wakes librdkafka's threads.
 */
enum query_kind { QUERY_PARTITIONS, QUERY_START, QUERY_END, QUERY_OUT_OF_RANGE, QUERY_NOTHING };

struct query {
    enum query_kind kind;
    weir_kafka_start start; /* START */
    int64_t timestamp_ms;   /* START at a timestamp */
    int32_t partition;      /* END, OUT_OF_RANGE */
    int64_t offset;         /* OUT_OF_RANGE: the one asked for */
    uint64_t number;        /* END */
    int32_t *partitions;    /* START, NOTHING; owned */
    uint32_t partition_count;
};

struct query_answer {
    struct kafka_event event; /* event.error points to error, or is NULL */
    struct error *error;      /* owned; NULL: none */
};

struct queries;

/* Starts nothing yet: the thread starts with the first question. rk is borrowed until queries_close. */
struct queries *queries_new(rd_kafka_t *rk, const char *topic, bool has_group, struct waker *waker);
/* Takes query->partitions. */
int queries_ask(struct queries *queries, const struct query *query_take, struct error *err) WEIR_CHECK;
/* At most capacity answers, oldest first; the caller frees each one's error. */
uint32_t queries_take(struct queries *queries, struct query_answer *answers, uint32_t capacity);
/* Ends the thread and destroys rk and queries, all within a moment: when the thread is in the middle of a
 * question to a broker that doesn't answer, or librdkafka takes its time, the thread is left to finish by
 * itself. The waker isn't used after this. */
void queries_close(struct queries *queries);

#endif
