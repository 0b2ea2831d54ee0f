/* What a connector needs around it, for tests: a context with a virtual clock, a collector that keeps what is
 * emitted, and a Kafka in memory whose broker and whose fetching are moved by the test. */
#ifndef WEIR_TESTS_CONNECTORS_RIG_H
#define WEIR_TESTS_CONNECTORS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/vec.h"
#include "taskmanager/worker/operators/operator.h"

WEIR_RECORD(rig_event, (timestamp, time), (int64, partition), (int64, offset));

struct rig_emitted {
    struct rig_event event;
    int64_t timestamp_ms;
    int64_t watermark_before; /* the source's, when it was emitted */
};

struct rig {
    struct stream_node node;
    struct user_environment environment;
    weir_context context;
    weir_collector collector;
    unsigned char block[4096] __attribute__((aligned(8)));
    struct waker waker;
    uint32_t wakes;
    struct operator_metrics metrics;
    struct error error;
    bool fatal;
    int64_t now_ms;
    struct vec_of(struct rig_emitted) emitted;
    int64_t watermark_ms;
    bool idle;
    uint32_t idle_changes;
    uint64_t room;   /* records that still find room */
    int emit_result; /* what downstream says */
    struct operator_setup setup;
    struct operator_instance *op;
};

void rig_init(struct rig *rig, Weir__OperatorKind kind);
/* Makes and opens the operator, restoring from states (borrowed until rig_deinit). */
void rig_open(struct rig *rig, operator_new_fn *make, uint32_t subtask, uint32_t parallelism,
              Weir__OperatorState *const *states, size_t state_count);
/* The same where opening is expected to fail: returns the code, rig->error says why. */
int rig_try_open(struct rig *rig, operator_new_fn *make, uint32_t subtask, uint32_t parallelism,
                 Weir__OperatorState *const *states, size_t state_count);
void rig_close(struct rig *rig); /* the operator */
void rig_deinit(struct rig *rig);
Weir__OperatorState *rig_snapshot(struct rig *rig, uint64_t checkpoint_id);
void rig_free_state(Weir__OperatorState *state);
/* Polls, with the timer when due, until the source says something else than MORE. */
enum source_status rig_drain(struct rig *rig);
/* Lets ms pass: jumps from deadline to deadline, with timer and poll at each. */
enum source_status rig_pass(struct rig *rig, int64_t ms);

/* ---- a Kafka in memory ---- */

enum { FAKE_PARTITIONS_MAX = 8 };

struct fake_message {
    int64_t offset;
    int64_t timestamp_ms;
    bool bad;
};

struct fake_partition {
    struct vec_of(struct fake_message) log;
    int64_t start;   /* log start offset */
    int64_t end;     /* last stable offset */
    int64_t fetched; /* the consumer has seen the log up to here; INT64_MAX: always all */
    int64_t committed;

    const void *owner; /* the one consumer that has it */
    int64_t position;
    int64_t told_end;
    size_t at; /* in log; never behind position */
};

struct fake_kafka {
    struct kafka_provider provider;
    struct fake_partition partitions[FAKE_PARTITIONS_MAX];
    int32_t partition_count; /* 0: the topic doesn't exist */
    bool unreachable;        /* every answer is an error */
    int64_t answer_delay_ms; /* > 0: by now_ms */
    const int64_t *now_ms;
    bool hold_answers; /* answers come when this is cleared */
    uint32_t end_queries, lists, commits;
    uint32_t open_consumers;
    int open_result;

    /* Producer */
    uint32_t queue_capacity;
    uint32_t queued;
    uint32_t produced, flushes;
    struct vec_of(char *) values;
    int produce_error; /* of the next delivery report */
    struct waker *producer_waker;
};

void fake_kafka_init(struct fake_kafka *kafka, int32_t partitions);
void fake_kafka_deinit(struct fake_kafka *kafka);
void fake_append(struct fake_kafka *kafka, int32_t partition, int64_t timestamp_ms);
void fake_append_bad(struct fake_kafka *kafka, int32_t partition, int64_t timestamp_ms);
void fake_append_marker(struct fake_kafka *kafka, int32_t partition); /* an offset that is no message */
void fake_deliver(struct fake_kafka *kafka, uint32_t count);          /* the broker acknowledges so many */
/* Emits rig_event{time: message's, partition, offset}; fails for bad messages. */
int fake_decode(weir_context *context, const weir_kafka_message *message, weir_collector *out);

#endif
