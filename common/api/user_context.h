/* The layouts behind the opaque types of weir.h that user functions get: shared by libweir.so, which
 * implements the public functions on them, and by the worker runtime, which fills them in. Owned by one task;
 * used on its thread only. */
#ifndef WEIR_API_USER_CONTEXT_H
#define WEIR_API_USER_CONTEXT_H

#include <weir/weir.h>

#include "common/base/error.h"

/* What the outside gives to user code; the worker's threads, the simulator and tests each have one. */
struct user_environment {
    int64_t (*now)(void *self);
    int (*sleep)(void *self, int64_t ms); /* non-zero when cancelled */
    uint64_t (*random)(void *self);
    void *self;
};

struct weir_context {
    const struct user_environment *environment;
    uint32_t subtask;
    uint32_t parallelism;
    int64_t record_timestamp;
    void *user_data;
    const char *operator_name;
    bool failed;
    struct error error; /* set by weir_fail */
};

enum { COLLECTOR_FIXED_ALIGNMENT = 8, KAFKA_OUTPUT_MAX_BYTES = 64 << 20 };

/* Records are built in a block that is as large as the largest record allowed, and handed over by emit. */
struct weir_collector {
    int (*emit)(struct weir_collector *self, const void *record, uint32_t size_bytes, int64_t timestamp_ms);
    void *self;            /* of the emit function */
    weir_context *context; /* for the default timestamp and for errors */
    const weir_record_type *type;
    unsigned char *block; /* aligned to 8; capacity bytes */
    uint32_t capacity;    /* the maximum record size */
    uint32_t used;        /* of the record being built; 0: none */
    bool overflow;        /* the record being built got too large */
    uint64_t wanted;      /* its size, when overflow is set */
};

/* Key of a record in its canonical bytes: a single string or bytes field as it is; integers, booleans and
 * timestamps as 8 bytes LE; several fields one after the other, strings with a u32 LE length before them. */
struct weir_key {
    const unsigned char *data;
    uint32_t size;
    uint32_t field_count;
    const weir_record_type *record_type;
    const uint32_t *fields;
};

struct weir_kafka_output {
    const void *value;
    size_t value_length;
    const void *key;
    size_t key_length;
    int32_t partition;     /* −1: the client's choice */
    unsigned char *buffer; /* owned; copies of value and key; grows by realloc up to KAFKA_OUTPUT_MAX_BYTES */
    size_t capacity;
    size_t used;
    bool overflow; /* value and key are too large together, and not set: the encoder's record can't be sent */
};

/* Before each call of an encoder; keeps the buffer. */
static inline void kafka_output_reset(struct weir_kafka_output *out)
{
    out->value = out->key = NULL;
    out->value_length = out->key_length = out->used = 0;
    out->partition = -1;
    out->overflow = false;
}

#endif
