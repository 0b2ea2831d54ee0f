/* What user functions call while records flow: no allocation but for a Kafka output's buffer, one branch a
 * call that isn't expected to be taken. */
#include "common/api/user_context.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

int64_t weir_now(weir_context *context)
{
    return context->environment->now(context->environment->self);
}

int weir_sleep(weir_context *context, int64_t ms)
{
    return context->environment->sleep(context->environment->self, ms > 0 ? ms : 0);
}

uint64_t weir_random(weir_context *context)
{
    return context->environment->random(context->environment->self);
}

uint32_t weir_subtask_index(weir_context *context)
{
    return context->subtask;
}

uint32_t weir_parallelism(weir_context *context)
{
    return context->parallelism;
}

int64_t weir_record_timestamp(weir_context *context)
{
    return context->record_timestamp;
}

void *weir_user_data(weir_context *context)
{
    return context->user_data;
}

int weir_fail(weir_context *context, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_vset(&context->error, WEIR_E_USER_CODE, format, args);
    va_end(args);
    context->failed = true;
    return WEIR_E_USER_CODE;
}

/* ---- records
 * -------------------------------------------------------------------------------------------------------- */

/* By words, the last of which may overlap the one before: most records are too small for a call of memset. */
static inline void clear(unsigned char *block, uint32_t size)
{
    if (unlikely(size < 8 || size > 64)) {
        memset(block, 0, size);
        return;
    }
    for (uint32_t at = 0; at + 8 < size; at += 8)
        memset(block + at, 0, 8);
    memset(block + size - 8, 0, 8);
}

void *weir_new_record(weir_collector *out)
{
    uint32_t size = out->type->size;
    clear(out->block, size);
    out->used = size;
    out->overflow = false;
    return out->block;
}

static __attribute__((cold, noinline)) void string_refused(weir_collector *out, weir_string *field,
                                                           size_t length)
{
    uint64_t so_far = out->overflow ? out->wanted : out->used;
    bool in_record = (uintptr_t)field - (uintptr_t)out->block < out->type->size;
    if (!out->overflow || out->wanted) /* wanted 0: misuse, which weir_emit reports */
        out->wanted = out->used && in_record ? so_far + length : 0;
    out->overflow = true;
}

void weir_set_string(weir_collector *out, weir_string *field, const char *data, size_t length)
{
    uint32_t used = out->used;
    size_t place = (uintptr_t)field - (uintptr_t)out->block;
    if (unlikely(length > out->capacity - used || place >= out->type->size || used == 0)) {
        string_refused(out, field, length);
        return;
    }
    field->offset = (int32_t)(used - (uint32_t)place);
    field->length = (uint32_t)length;
    if (likely(length))
        memcpy(out->block + used, data, length);
    out->used = used + (uint32_t)length;
}

static __attribute__((cold, noinline)) int emit_refused(weir_collector *out, const void *record)
{
    weir_context *context = out->context;
    int rc = WEIR_E_LIMIT;
    if (!record || record != out->block || !out->used)
        rc = error_set(
            &context->error, WEIR_E_USER_CODE,
            "operator \"%s\" emitted something that it did not get from weir_new_record (once per record)",
            context->operator_name);
    else if (!out->wanted)
        rc = error_set(
            &context->error, WEIR_E_USER_CODE,
            "operator \"%s\": weir_set_string was called with a field that is not of the record begun",
            context->operator_name);
    else
        error_set(&context->error, rc,
                  "operator \"%s\" emitted a record \"%s\" of %" PRIu64
                  " bytes; the largest allowed is %" PRIu32 " (pipeline.max-record-size)",
                  context->operator_name, out->type->name, out->wanted, out->capacity);
    context->failed = true;
    out->used = 0;
    out->overflow = false;
    return rc;
}

static inline int emit(weir_collector *out, void *record, int64_t timestamp_ms)
{
    uint32_t size = out->used;
    if (unlikely(out->overflow || size == 0 || record != out->block))
        return emit_refused(out, record);
    out->used = 0;
    return out->emit(out, record, size, timestamp_ms);
}

int weir_emit_at(weir_collector *out, void *record, int64_t timestamp_ms)
{
    return emit(out, record, timestamp_ms);
}

int weir_emit(weir_collector *out, void *record)
{
    return emit(out, record, out->context->record_timestamp);
}

/* ---- messages to Kafka
 * ---------------------------------------------------------------------------------------------- */

/* Room for size more bytes; what was copied before moves with the buffer. */
static __attribute__((cold, noinline)) bool output_grow(weir_kafka_output *out, size_t size)
{
    if (size > KAFKA_OUTPUT_MAX_BYTES || out->used > KAFKA_OUTPUT_MAX_BYTES - size)
        return false;
    size_t capacity = out->capacity ? out->capacity : 4096;
    while (capacity < out->used + size)
        capacity *= 2;
    size_t value_at = out->value ? (size_t)((const unsigned char *)out->value - out->buffer) : 0;
    size_t key_at = out->key ? (size_t)((const unsigned char *)out->key - out->buffer) : 0;
    unsigned char *buffer = realloc(out->buffer, capacity);
    if (!buffer)
        return false;
    out->buffer = buffer;
    out->capacity = capacity;
    if (out->value)
        out->value = buffer + value_at;
    if (out->key)
        out->key = buffer + key_at;
    return true;
}

/* A copy of data in the buffer; NULL: too large, or data is NULL. An empty copy needs an address as well. */
static const void *output_copy(weir_kafka_output *out, const void *data, size_t length)
{
    if (!data)
        return NULL;
    if (unlikely(!out->buffer || length > out->capacity - out->used) && !output_grow(out, length)) {
        out->overflow = true;
        return NULL;
    }
    unsigned char *copy = out->buffer + out->used;
    if (likely(length))
        memcpy(copy, data, length);
    out->used += length;
    return copy;
}

void weir_kafka_output_value(weir_kafka_output *out, const void *data, size_t length)
{
    out->value = output_copy(out, data, length);
    out->value_length = out->value ? length : 0;
}

void weir_kafka_output_key(weir_kafka_output *out, const void *data, size_t length)
{
    out->key = output_copy(out, data, length);
    out->key_length = out->key ? length : 0;
}

void weir_kafka_output_partition(weir_kafka_output *out, int32_t partition)
{
    out->partition = partition < 0 ? -1 : partition;
}
