/* The Kafka source's insides, shared by the kafka_source*.c files: pure logic over the interface of
 * kafka_client.h, on the task's thread. See README.md for the states. */
#ifndef WEIR_CONNECTORS_KAFKA_SOURCE_H
#define WEIR_CONNECTORS_KAFKA_SOURCE_H

#include "common/base/vec.h"
#include "taskmanager/worker/connectors/source_output.h"

enum {
    SOURCE_EVENTS_MAX = 256,
    SOURCE_PARTITIONS_MAX = 100000,
    SOURCE_PENDING_CHECKPOINTS_MAX = 64,
    SOURCE_RETRY_MS = 1000,       /* between questions that were not answered */
    SOURCE_LOG_EACH_MS = 10000,   /* of what repeats */
    SOURCE_COMMIT_EACH_MS = 5000, /* without checkpoints */
    SOURCE_ANSWER_AGE_MS =
        1000, /* an older answer about a partition's end is asked for again, with twice the patience */
    SOURCE_ANSWER_AGE_MAX_MS = 32000,
    SOURCE_PAUSE_MS = 500, /* after this long without a record, idle partitions are asked about again */
};

enum source_state {
    SOURCE_CONNECTING, /* asks for the topic's partitions */
    SOURCE_RESOLVING,  /* asks where to start, and where to end if bounded */
    SOURCE_RUNNING,
};

struct source_partition {
    int32_t id;
    bool restored;      /* its offset is from a snapshot */
    bool from_earliest; /* new since the snapshot */
    bool start_asked;
    bool ended;          /* bounded: all read */
    int64_t next_offset; /* of the first record not emitted; KAFKA_OFFSET_NONE: not known yet */
    int64_t
        delivered; /* all before it was delivered, says the broker; it counts transaction markers as well */
    int64_t end_offset;       /* bounded: exclusive; INT64_MAX: none */
    int64_t max_timestamp_ms; /* restored */
    uint64_t end_query;       /* bounded: the question for end_offset; 0: none under way */
    uint32_t split;           /* in output.watermarks */

    /* Idleness: what runs from when the timer has run out until the broker's word or the next record. */
    uint64_t idle_query; /* 0: none under way */
    int64_t idle_asked_ms;
    int64_t idle_patience_ms; /* how old an answer may be */
    int64_t idle_retry_ms;    /* when to ask again; INT64_MAX: no */
    int64_t
        idle_end; /* the answer: idle once all before it was delivered; KAFKA_OFFSET_NONE: no answer yet */
};

struct restored_split {
    int32_t partition;
    int64_t next_offset;
    int64_t max_timestamp_ms;
    int64_t end_offset;
};

/* Partitions p with p % modulus == remainder whose start was not decided when the snapshot was taken. */
struct undecided_class {
    uint32_t modulus;
    uint32_t remainder;
};

struct pending_checkpoint {
    uint64_t id;
    struct kafka_partition_start *offsets; /* owned */
    uint32_t count;
};

struct log_limit {
    int64_t next_ms;
    uint64_t left_out;
};

struct kafka_source {
    struct operator_instance base;
    const weir_kafka_source_options *options;
    struct kafka_consumer *consumer; /* owned; NULL: not open */
    enum source_state state;
    bool output_ready; /* output is initialised */
    bool failed;
    struct source_output output;

    struct source_partition
        *partitions; /* owned; of this subtask: index i has id i × parallelism + subtask */
    uint32_t partition_count;
    uint32_t ended_count;

    /* Restore */
    bool restoring;                                /* there was a snapshot */
    struct vec_of(struct restored_split) restored; /* of this subtask */
    struct vec_of(struct undecided_class) undecided;

    /* Starting */
    bool listing;
    int64_t retry_ms;
    uint64_t last_query;

    /* Commits */
    struct vec_of(struct pending_checkpoint) pending;
    int64_t commit_at_ms; /* without checkpoints; INT64_MAX: nothing to commit */

    int64_t last_record_ms;
    struct log_limit wait_log;  /* what keeps it from starting */
    struct log_limit error_log; /* what the client says */
    struct log_limit bad_log;   /* skipped records */

    struct kafka_event events[SOURCE_EVENTS_MAX]; /* of the last poll of the consumer */
    uint32_t event_count;
    uint32_t event_next;
};

extern const char kafka_source_logger[];

/* Sets the task's error; returns false. */
bool source_fail(struct kafka_source *s, bool fatal, const char *format, ...) WEIR_PRINTF(3, 4);
bool log_limit_allows(struct log_limit *limit, int64_t now_ms);
/* Behind the last record or transaction marker that is done with. */
int64_t source_partition_position(const struct source_partition *p);
struct source_partition *source_find_partition(struct kafka_source *s, int32_t id);

/* kafka_source_state.c */
int source_restore(struct kafka_source *s, struct error *err) WEIR_CHECK;
bool source_is_undecided(const struct kafka_source *s, int32_t partition);
int source_snapshot(struct operator_instance *op, uint64_t checkpoint_id, Weir__OperatorState *state,
                    struct error *err);
void source_checkpoint_complete(struct operator_instance *op, uint64_t checkpoint_id);
void source_commit_positions(struct kafka_source *s);
void source_state_deinit(struct kafka_source *s);

/* kafka_source_start.c: CONNECTING and RESOLVING. false: failed. */
bool source_start_step(struct kafka_source *s, int64_t now_ms);
bool source_on_partitions(struct kafka_source *s, const struct kafka_event *event);
bool source_on_start_offset(struct kafka_source *s, const struct kafka_event *event);
bool source_on_bounded_end(struct kafka_source *s, struct source_partition *p,
                           const struct kafka_event *event);

/* kafka_source_read.c: RUNNING. false: failed. */
bool source_on_message(struct kafka_source *s, const weir_kafka_message *message);
bool source_on_end_of_partition(struct kafka_source *s, const struct kafka_event *event);
bool source_on_idle_answer(struct kafka_source *s, struct source_partition *p,
                           const struct kafka_event *event);
/* Asks about the partitions whose idle timer has run out. */
bool source_ask_idle(struct kafka_source *s, int64_t now_ms);
int64_t source_idle_deadline(const struct kafka_source *s);
void source_end_partition(struct kafka_source *s, struct source_partition *p);

#endif
