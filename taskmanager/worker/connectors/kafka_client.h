/* The Kafka that source and sink see: an interface without blocking, so that the same source and sink logic
 * runs on librdkafka (connectors/librdkafka*.c), on the simulator's Kafka, and in unit tests. All calls on
 * the task's thread; the waker given at open is woken from any thread when poll may have something. */
#ifndef WEIR_CONNECTORS_KAFKA_CLIENT_H
#define WEIR_CONNECTORS_KAFKA_CLIENT_H

#include <weir/weir.h>

#include "common/base/error.h"
#include "taskmanager/worker/shuffle/waker.h"

enum { KAFKA_OFFSET_NONE = -1 };

struct kafka_partition_start {
    int32_t partition;
    int64_t offset; /* numeric, the first record to deliver */
};

enum kafka_event_kind {
    KAFKA_EVENT_MESSAGE,
    KAFKA_EVENT_PARTITIONS,   /* answer to list: count = partitions of the topic (0: it doesn't exist), or
                                 error: why it isn't known */
    KAFKA_EVENT_START_OFFSET, /* answer to resolve_start for one partition: offset, or error: why not */
    KAFKA_EVENT_END_OFFSET,   /* answer to query_end for one partition: offset = its last stable offset, or
                                 error: why not */
    KAFKA_EVENT_END_OF_PARTITION, /* all up to offset (exclusive) was delivered; transaction markers are
                                     counted in it */
    KAFKA_EVENT_ERROR, /* error says what; fatal: the job must restart or fail; else it is retried by itself
                        */
};

struct kafka_event {
    enum kafka_event_kind kind;
    weir_kafka_message message; /* MESSAGE: valid until the next poll */
    int32_t partition;
    int64_t offset;
    int32_t count;
    uint64_t query;            /* END_OFFSET: the number given to query_end */
    bool fatal;                /* ERROR */
    bool out_of_range;         /* ERROR: the offset to read does not exist */
    const struct error *error; /* valid until the next poll; NULL: none */
};

struct kafka_consumer;
struct kafka_consumer_ops {
    /* Requests; their answers come from poll. */
    int (*list)(struct kafka_consumer *self, struct error *err);
    int (*resolve_start)(struct kafka_consumer *self, const int32_t *partitions, uint32_t count,
                         weir_kafka_start start, int64_t timestamp_ms, struct error *err);
    int (*assign)(struct kafka_consumer *self, const struct kafka_partition_start *starts, uint32_t count,
                  struct error *err);
    int (*query_end)(struct kafka_consumer *self, int32_t partition, uint64_t query, struct error *err);
    /* At most capacity events; 0: nothing now. Never blocks. */
    uint32_t (*poll)(struct kafka_consumer *self, struct kafka_event *events, uint32_t capacity);
    /* To the group, for people's dashboards and for starts without checkpoints. Asynchronous; failures are
     * logged. */
    int (*commit)(struct kafka_consumer *self, const struct kafka_partition_start *next_offsets,
                  uint32_t count, struct error *err);
    void (*close)(struct kafka_consumer *self);
};
struct kafka_consumer {
    const struct kafka_consumer_ops *ops;
};

struct kafka_producer;
struct kafka_producer_ops {
    /* Copies. WEIR_E_LIMIT: the queue is full, try again when woken; other errors fail the task. */
    int (*produce)(struct kafka_producer *self, int32_t partition, const void *key, size_t key_length,
                   const void *value, size_t value_length, int64_t timestamp_ms, struct error *err);
    /* Serves delivery reports. An error that a report brought is returned once, and then always. */
    int (*poll)(struct kafka_producer *self, struct error *err);
    uint32_t (*outstanding)(struct kafka_producer *self); /* messages not yet acknowledged by the broker */
    void (*flush_soon)(struct kafka_producer *self);      /* send now what lingers */
    void (*close)(struct kafka_producer *self);
};
struct kafka_producer {
    const struct kafka_producer_ops *ops;
};

/* How the runtime gets at a Kafka. */
struct kafka_provider {
    int (*open_consumer)(void *self, const weir_kafka_source_options *options, const char *client_id,
                         struct waker *waker, struct kafka_consumer **ret_consumer, struct error *err);
    int (*open_producer)(void *self, const weir_kafka_sink_options *options, const char *client_id,
                         struct waker *waker, struct kafka_producer **ret_producer, struct error *err);
    void *self;
};

#endif
