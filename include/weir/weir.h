/* The job API of Weir.
 *
 * A job is a shared object with one exported descriptor (WEIR_JOB). Its main function gets an environment and the job's
 * own arguments and builds a stream; it runs in the client, to make the job graph, and again in every worker, to find the
 * functions. It must therefore be deterministic: the same arguments build the same stream.
 *
 * Rules for user functions (decode, map, filter, aggregate, window, encode, generate):
 *  - They are called on the thread of one subtask; two subtasks of one operator run at the same time, so use no mutable
 *    globals. Between records of one subtask there is no concurrency.
 *  - Pointers to records, keys and accumulators are valid until the function returns. Nothing is freed by the user.
 *  - Time, sleep and randomness come from the context, so that a job runs unchanged under simulation.
 *  - They return 0, or the result of weir_fail(), which fails the job (or, in decode, makes the record a bad record).
 *  - They may block, which holds up their own subtask only; weir_sleep() is interrupted by cancellation, sleep(3) is not.
 *
 * Usable from C (GNU or C11 and later) and from C++20.
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_API_MAJOR 1
#define WEIR_API_MINOR 0
#define WEIR_PUBLIC    __attribute__((visibility("default")))
#define WEIR_UNUSED_   __attribute__((unused))

/* ---- records ------------------------------------------------------------------------------------------------------ */

typedef int32_t weir_int32;
typedef int64_t weir_int64;
typedef double weir_float64;
typedef int64_t weir_bool; /* 0 or 1; eight bytes, so that no field needs padding */
typedef int64_t weir_timestamp; /* milliseconds since 1970-01-01 UTC */
/* Bytes that lie behind the fixed part of the same record; offset counts from this field's own address. */
typedef struct weir_string {
    int32_t offset;
    uint32_t length; /* bytes, no NUL */
} weir_string;
typedef weir_string weir_bytes;

typedef enum weir_field_type {
    WEIR_TYPE_int32 = 0,
    WEIR_TYPE_int64 = 1,
    WEIR_TYPE_float64 = 2,
    WEIR_TYPE_bool = 3,
    WEIR_TYPE_timestamp = 4,
    WEIR_TYPE_string = 5,
    WEIR_TYPE_bytes = 6
} weir_field_type;

/* stdbool.h may have replaced bool by _Bool before a WEIR_RECORD sees it. */
#define weir__Bool      weir_bool
#define WEIR_TYPE__Bool WEIR_TYPE_bool

typedef struct weir_field {
    const char *name;
    weir_field_type type;
    uint32_t offset; /* bytes */
} weir_field;

typedef struct weir_record_type {
    size_t struct_size;
    const char *name;
    uint32_t size;      /* bytes of the fixed part, at most 1024 */
    uint32_t alignment; /* bytes, at most 8 */
    uint32_t field_count;
    const weir_field *fields;
} weir_record_type;

/* Declares struct NAME and its descriptor NAME_type:
 *     WEIR_RECORD(click_event, (timestamp, timestamp), (string, page));
 * makes  struct click_event { weir_timestamp timestamp; weir_string page; };  Up to 16 fields. */
#define WEIR_RECORD(name_, ...)                                                                              \
    struct name_ {                                                                                           \
        WEIR_FOR_EACH_(WEIR_MEMBER_, name_, __VA_ARGS__)                                                     \
    };                                                                                                       \
    static const weir_field name_##_fields_[] WEIR_UNUSED_ = {                                               \
        WEIR_FOR_EACH_(WEIR_DESCRIBE_, name_, __VA_ARGS__)};                                                 \
    static const weir_record_type name_##_type WEIR_UNUSED_ = {sizeof(weir_record_type),                     \
                                                  #name_,                                                    \
                                                  (uint32_t)sizeof(struct name_),                            \
                                                  (uint32_t)__alignof__(struct name_),                       \
                                                  (uint32_t)(sizeof name_##_fields_ / sizeof(weir_field)),   \
                                                  name_##_fields_}

#define WEIR_MEMBER_(record_, pair_)       WEIR_MEMBER2_ pair_
#define WEIR_MEMBER2_(type_, field_)       weir_##type_ field_;
#define WEIR_DESCRIBE_(record_, pair_)     WEIR_DESCRIBE2_(record_, WEIR_FIRST_ pair_, WEIR_SECOND_ pair_)
#define WEIR_DESCRIBE2_(record_, type_, field_) WEIR_DESCRIBE3_(record_, type_, field_)
#define WEIR_DESCRIBE3_(record_, type_, field_)                                                              \
    {#field_, WEIR_TYPE_##type_, (uint32_t)offsetof(struct record_, field_)},
#define WEIR_FIRST_(a_, b_)  a_
#define WEIR_SECOND_(a_, b_) b_

#define WEIR_FOR_EACH_(m_, r_, ...)                                                                          \
    WEIR_PICK_(__VA_ARGS__, WEIR_16_, WEIR_15_, WEIR_14_, WEIR_13_, WEIR_12_, WEIR_11_, WEIR_10_, WEIR_9_,   \
               WEIR_8_, WEIR_7_, WEIR_6_, WEIR_5_, WEIR_4_, WEIR_3_, WEIR_2_, WEIR_1_, 0)                    \
    (m_, r_, __VA_ARGS__)
#define WEIR_PICK_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, pick_, ...) pick_
#define WEIR_1_(m, r, a)       m(r, a)
#define WEIR_2_(m, r, a, ...)  m(r, a) WEIR_1_(m, r, __VA_ARGS__)
#define WEIR_3_(m, r, a, ...)  m(r, a) WEIR_2_(m, r, __VA_ARGS__)
#define WEIR_4_(m, r, a, ...)  m(r, a) WEIR_3_(m, r, __VA_ARGS__)
#define WEIR_5_(m, r, a, ...)  m(r, a) WEIR_4_(m, r, __VA_ARGS__)
#define WEIR_6_(m, r, a, ...)  m(r, a) WEIR_5_(m, r, __VA_ARGS__)
#define WEIR_7_(m, r, a, ...)  m(r, a) WEIR_6_(m, r, __VA_ARGS__)
#define WEIR_8_(m, r, a, ...)  m(r, a) WEIR_7_(m, r, __VA_ARGS__)
#define WEIR_9_(m, r, a, ...)  m(r, a) WEIR_8_(m, r, __VA_ARGS__)
#define WEIR_10_(m, r, a, ...) m(r, a) WEIR_9_(m, r, __VA_ARGS__)
#define WEIR_11_(m, r, a, ...) m(r, a) WEIR_10_(m, r, __VA_ARGS__)
#define WEIR_12_(m, r, a, ...) m(r, a) WEIR_11_(m, r, __VA_ARGS__)
#define WEIR_13_(m, r, a, ...) m(r, a) WEIR_12_(m, r, __VA_ARGS__)
#define WEIR_14_(m, r, a, ...) m(r, a) WEIR_13_(m, r, __VA_ARGS__)
#define WEIR_15_(m, r, a, ...) m(r, a) WEIR_14_(m, r, __VA_ARGS__)
#define WEIR_16_(m, r, a, ...) m(r, a) WEIR_15_(m, r, __VA_ARGS__)

/* The bytes of a string field of a record; not NUL-terminated. */
static inline const char *weir_string_data(const weir_string *field)
{
    return (const char *)field + field->offset;
}

/* ---- what user functions get --------------------------------------------------------------------------------------- */

typedef struct weir_context weir_context;     /* of one operator in one subtask */
typedef struct weir_collector weir_collector; /* takes the records that a function emits */
typedef struct weir_key weir_key;             /* the exact value of the current key's fields */

WEIR_PUBLIC int64_t weir_now(weir_context *context);             /* wall clock, ms since the epoch */
WEIR_PUBLIC int weir_sleep(weir_context *context, int64_t ms);   /* non-zero if cancelled: return it */
WEIR_PUBLIC uint64_t weir_random(weir_context *context);
WEIR_PUBLIC uint32_t weir_subtask_index(weir_context *context);
WEIR_PUBLIC uint32_t weir_parallelism(weir_context *context);
/* The record being worked on; INT64_MIN if it has no timestamp. */
WEIR_PUBLIC int64_t weir_record_timestamp(weir_context *context);
/* The value given as .user_data of the operator. */
WEIR_PUBLIC void *weir_user_data(weir_context *context);
/* Says why; returns a non-zero value to return from the user function. */
WEIR_PUBLIC int weir_fail(weir_context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The i-th key field, in the order given to weir_key_by. A string is not NUL-terminated. A field of another type, or an index
 * that there isn't, gives an empty string or 0. */
WEIR_PUBLIC const char *weir_key_string(const weir_key *key, uint32_t index, uint32_t *ret_length);
WEIR_PUBLIC int64_t weir_key_int(const weir_key *key, uint32_t index);

/* Emitting: begin a zeroed record of the operator's output type, set its fields, emit it. One at a time.
 *     struct click_event *e = weir_new_record(out);
 *     e->timestamp = t;
 *     weir_set_string(out, &e->page, text, length);
 *     return weir_emit(out, e);
 * The collector reserves the maximum record size, so pointers stay valid until weir_emit; a record that would be larger
 * makes weir_emit fail the job with a message naming operator and size. */
WEIR_PUBLIC void *weir_new_record(weir_collector *out);
WEIR_PUBLIC void weir_set_string(weir_collector *out, weir_string *field, const char *data, size_t length);
WEIR_PUBLIC int weir_emit(weir_collector *out, void *record);
/* Emit with another timestamp than that of the record being worked on. */
WEIR_PUBLIC int weir_emit_at(weir_collector *out, void *record, int64_t timestamp_ms);

/* ---- building a stream --------------------------------------------------------------------------------------------- */

typedef struct weir_env weir_env; /* environment, streams: until main returns */
typedef struct weir_stream weir_stream;

/* Options common to all operators. Zero means default. */
typedef struct weir_operator_options {
    const char *name;     /* at most 256 bytes */
    const char *uid;      /* state is matched by it; required where there is state (sources, windows) */
    uint32_t parallelism; /* default: the environment's */
    uint32_t reserved32_; /* zero */
    void *user_data;
    const void *reserved_[4]; /* NULL: room for options to come */
} weir_operator_options;

/* Job arguments: "--name value", "--name=value", "--flag"; one dash will do; name is given without dashes. Of an argument
 * given twice the last counts. What is returned lives as long as the process. An argument without its value is a mistake. */
WEIR_PUBLIC const char *weir_arg(weir_env *env, const char *name, const char *default_value);
/* Whether it is given (and not as "--name false" or "--name=false"). */
WEIR_PUBLIC bool weir_flag(weir_env *env, const char *name);
/* A mistake in the arguments: ends the submission with this sentence (the first one counts). Returns non-zero, to return
 * from main. */
WEIR_PUBLIC int weir_reject(weir_env *env, const char *format, ...) __attribute__((format(printf, 2, 3)));

WEIR_PUBLIC void weir_set_job_name(weir_env *env, const char *name);
WEIR_PUBLIC void weir_enable_checkpointing(weir_env *env, int64_t interval_ms);
WEIR_PUBLIC void weir_disable_chaining(weir_env *env);
WEIR_PUBLIC void weir_set_parallelism(weir_env *env, uint32_t parallelism); /* unless given to `weir run -p` */
/* Any of Flink's job-level keys, e.g. "restart-strategy.type". What is given to `weir run -D` wins. */
WEIR_PUBLIC void weir_set_config(weir_env *env, const char *key, const char *value);

/* Event time. Per source split (Kafka partition): watermark = largest timestamp − out_of_orderness_ms − 1; the source's is
 * the minimum over its splits that are not idle. A split is idle only when the broker has said that nothing is left to read
 * in it, asked after idleness_ms had passed without a record. */
typedef struct weir_watermark_strategy {
    int64_t out_of_orderness_ms;
    int64_t idleness_ms;         /* 0: a split is never idle */
    const char *timestamp_field; /* of the record; NULL: the time that the source gives (Kafka's record time) */
    const void *reserved_[3];    /* NULL: room for options to come */
} weir_watermark_strategy;

typedef struct weir_kafka_message {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* −1: none */
    const void *key;
    size_t key_length;
    const void *value; /* NULL: none (tombstone) */
    size_t value_length;
} weir_kafka_message;

typedef enum weir_kafka_start {
    WEIR_START_COMMITTED = 0, /* the group's offsets, else earliest */
    WEIR_START_EARLIEST,
    WEIR_START_LATEST,
    WEIR_START_TIMESTAMP /* the first record at or after start_timestamp_ms */
} weir_kafka_start;

typedef enum weir_bad_record { WEIR_BAD_RECORD_FAIL = 0, WEIR_BAD_RECORD_SKIP } weir_bad_record;

/* Emits any number of records for one message; weir_fail() makes it a bad record. */
typedef int weir_decode_fn(weir_context *context, const weir_kafka_message *message, weir_collector *out);

typedef struct weir_kafka_source_options {
    size_t struct_size;
    weir_operator_options operator_;
    const weir_record_type *type;
    weir_decode_fn *decode;
    const char *topic;
    const char *bootstrap_servers;
    const char *group_id; /* needed for WEIR_START_COMMITTED; NULL: no offsets are committed */
    weir_kafka_start start;
    int64_t start_timestamp_ms;
    weir_bad_record on_bad_record;
    bool bounded; /* end at the end offsets found at start */
    weir_watermark_strategy watermarks;
    const char *const *properties; /* "key=value" client properties, passed through; NULL-terminated */
} weir_kafka_source_options;

/* Emits the record(s) for index; called with ascending indexes per split. */
typedef int weir_generate_fn(weir_context *context, int64_t index, weir_collector *out);

typedef struct weir_generator_source_options {
    size_t struct_size;
    weir_operator_options operator_;
    const weir_record_type *type;
    weir_generate_fn *generate;
    int64_t count;             /* indexes 0 … count − 1, split into ranges over the subtasks; 0: without end */
    double records_per_second; /* of the whole source; 0: as fast as possible */
    weir_watermark_strategy watermarks;
} weir_generator_source_options;

WEIR_RECORD(weir_sequence_element, (int64, value));

typedef struct weir_sequence_source_options {
    size_t struct_size;
    weir_operator_options operator_;
    int64_t from; /* first value */
    int64_t to;   /* last value, inclusive */
    double records_per_second;
    weir_watermark_strategy watermarks;
} weir_sequence_source_options;

/* Emits any number of records for one. */
typedef int weir_map_fn(weir_context *context, const void *record, weir_collector *out);
/* > 0 keeps the record, 0 drops it, < 0 (weir_fail) fails the job. */
typedef int weir_filter_fn(weir_context *context, const void *record);

typedef struct weir_map_options {
    size_t struct_size;
    weir_operator_options operator_;
    const weir_record_type *type; /* of what it emits */
    weir_map_fn *map;
} weir_map_options;

typedef struct weir_filter_options {
    size_t struct_size;
    weir_operator_options operator_;
    weir_filter_fn *filter;
} weir_filter_options;

typedef enum weir_window_kind {
    WEIR_TUMBLING_EVENT_TIME = 1,
    WEIR_TUMBLING_PROCESSING_TIME = 2
} weir_window_kind;

typedef struct weir_window {
    int64_t start_ms; /* inclusive */
    int64_t end_ms;   /* exclusive */
} weir_window;

/* Incremental aggregation: one accumulator per key and window, a declared record without strings, zeroed at first. The
 * result has no strings either. */
typedef struct weir_aggregate {
    size_t struct_size;
    const char *name; /* shown in plans */
    const weir_record_type *accumulator;
    void (*add)(weir_context *context, void *accumulator, const void *record);
    /* NULL: accumulators can't be merged, so nothing is aggregated before the exchange */
    void (*merge)(weir_context *context, void *accumulator, const void *other);
    const weir_record_type *result_type; /* NULL: the accumulator is the result, and there is no result function */
    void (*result)(weir_context *context, const void *accumulator, void *result);
} weir_aggregate;

/* Called once per key when its window ends; emits any number of records. Their timestamp is window->end_ms − 1. */
typedef int weir_window_fn(weir_context *context, const weir_key *key, const weir_window *window,
                           const void *result, weir_collector *out);

typedef struct weir_window_options {
    size_t struct_size;
    weir_operator_options operator_;
    weir_window_kind kind;
    int64_t size_ms;
    const weir_aggregate *aggregate;
    const weir_record_type *type; /* of what the window function emits */
    weir_window_fn *window;
    const char *window_name; /* shown in plans */
} weir_window_options;

typedef struct weir_kafka_output weir_kafka_output;
/* Sets the message for one record. The bytes are copied. A value of NULL is a tombstone. */
WEIR_PUBLIC void weir_kafka_output_value(weir_kafka_output *out, const void *data, size_t length);
WEIR_PUBLIC void weir_kafka_output_key(weir_kafka_output *out, const void *data, size_t length);
WEIR_PUBLIC void weir_kafka_output_partition(weir_kafka_output *out, int32_t partition); /* default: the client's choice */
typedef int weir_encode_fn(weir_context *context, const void *record, weir_kafka_output *out);

typedef enum weir_delivery {
    WEIR_AT_LEAST_ONCE = 0, /* flushed at every barrier */
    WEIR_DELIVERY_NONE      /* not waited for */
} weir_delivery;

typedef struct weir_kafka_sink_options {
    size_t struct_size;
    weir_operator_options operator_;
    weir_encode_fn *encode;
    const char *topic;
    const char *bootstrap_servers;
    weir_delivery delivery;
    const char *const *properties;
} weir_kafka_sink_options;

/* Writes a line of text (no newline) for a record into buffer; returns its length, or < 0 (weir_fail). */
typedef int weir_format_fn(weir_context *context, const void *record, char *buffer, size_t capacity);
typedef struct weir_print_sink_options {
    size_t struct_size;
    weir_operator_options operator_;
    weir_format_fn *format; /* NULL: fields as name=value */
} weir_print_sink_options;

typedef struct weir_discard_sink_options {
    size_t struct_size;
    weir_operator_options operator_;
} weir_discard_sink_options;

/* The functions behind the macros below. A mistake is remembered (the first one, naming the operator) and reported when
 * main returns; they never return NULL. Strings and option structs are copied; record types, aggregates and functions must
 * be static. */
WEIR_PUBLIC weir_stream *weir_from_kafka_with(weir_env *env, const weir_kafka_source_options *options);
WEIR_PUBLIC weir_stream *weir_from_generator_with(weir_env *env, const weir_generator_source_options *options);
WEIR_PUBLIC weir_stream *weir_from_sequence_with(weir_env *env, const weir_sequence_source_options *options);
WEIR_PUBLIC weir_stream *weir_map_with(weir_stream *input, const weir_map_options *options);
WEIR_PUBLIC weir_stream *weir_filter_with(weir_stream *input, const weir_filter_options *options);
WEIR_PUBLIC weir_stream *weir_key_by_with(weir_stream *input, const char *const *fields); /* NULL-terminated */
WEIR_PUBLIC weir_stream *weir_window_with(weir_stream *keyed, const weir_window_options *options);
WEIR_PUBLIC void weir_to_kafka_with(weir_stream *input, const weir_kafka_sink_options *options);
WEIR_PUBLIC void weir_print_with(weir_stream *input, const weir_print_sink_options *options);
WEIR_PUBLIC void weir_discard_with(weir_stream *input, const weir_discard_sink_options *options);

#define WEIR_NAMED(name_, uid_) .operator_ = {.name = (name_), .uid = (uid_)}
#ifdef __cplusplus
#define WEIR_OPTIONS_(type_, ...) weir_address_of_(type_{.struct_size = sizeof(type_), __VA_ARGS__})
#else
#define WEIR_OPTIONS_(type_, ...) (&(type_){.struct_size = sizeof(type_), __VA_ARGS__})
#endif
#define weir_from_kafka(env_, ...) weir_from_kafka_with(env_, WEIR_OPTIONS_(weir_kafka_source_options, __VA_ARGS__))
#define weir_from_generator(env_, ...)                                                                       \
    weir_from_generator_with(env_, WEIR_OPTIONS_(weir_generator_source_options, __VA_ARGS__))
#define weir_from_sequence(env_, ...)                                                                        \
    weir_from_sequence_with(env_, WEIR_OPTIONS_(weir_sequence_source_options, __VA_ARGS__))
#define weir_map(in_, ...)    weir_map_with(in_, WEIR_OPTIONS_(weir_map_options, __VA_ARGS__))
#define weir_filter(in_, ...) weir_filter_with(in_, WEIR_OPTIONS_(weir_filter_options, __VA_ARGS__))
#ifndef __cplusplus /* for C++ a function template, below */
#define weir_key_by(in_, ...) weir_key_by_with(in_, (const char *const[]){__VA_ARGS__, NULL})
#endif
#define weir_window(in_, ...) weir_window_with(in_, WEIR_OPTIONS_(weir_window_options, __VA_ARGS__))
#define weir_to_kafka(in_, ...) weir_to_kafka_with(in_, WEIR_OPTIONS_(weir_kafka_sink_options, __VA_ARGS__))
#define weir_print(in_, ...)   weir_print_with(in_, WEIR_OPTIONS_(weir_print_sink_options, __VA_ARGS__))
#define weir_discard(in_, ...) weir_discard_with(in_, WEIR_OPTIONS_(weir_discard_sink_options, __VA_ARGS__))

/* ---- the job ------------------------------------------------------------------------------------------------------- */

/* Builds the stream; returns 0, or non-zero after weir_reject(). argv[0] is the job's file name. */
typedef int weir_main_fn(weir_env *env, int argc, char **argv);

typedef struct weir_job_descriptor {
    uint64_t magic; /* WEIR_JOB_MAGIC */
    size_t struct_size;
    uint32_t api_major; /* what the job was compiled against; another major than the library's is refused */
    uint32_t api_minor;
    const char *name;
    weir_main_fn *main;
} weir_job_descriptor;

#define WEIR_JOB_MAGIC  UINT64_C(0x31424f4a52494557) /* "WEIRJOB1" */
#define WEIR_JOB_SYMBOL "weir_job_descriptor_v1"
#ifdef __cplusplus
#define WEIR_EXTERN_C_ extern "C"
#else
#define WEIR_EXTERN_C_ extern
#endif
#define WEIR_JOB(name_, main_)                                                                               \
    WEIR_EXTERN_C_ WEIR_PUBLIC const weir_job_descriptor weir_job_descriptor_v1;                             \
    const weir_job_descriptor weir_job_descriptor_v1 = {                                                     \
        WEIR_JOB_MAGIC, sizeof(weir_job_descriptor), WEIR_API_MAJOR, WEIR_API_MINOR, name_, main_}

#ifdef __cplusplus
}

/* C++ has no compound literals whose address can be taken; a temporary lives until the end of the full expression, too. */
template <typename options_type> inline const options_type *weir_address_of_(const options_type &options)
{
    return &options;
}

template <typename... names_type> inline weir_stream *weir_key_by(weir_stream *input, names_type... names)
{
    const char *const fields[] = {names..., nullptr};
    return weir_key_by_with(input, fields);
}
#endif
#endif
