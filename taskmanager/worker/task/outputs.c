#include "taskmanager/worker/task/outputs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/record.h"
#include "common/base/hash.h"
#include "common/base/memory.h"

static int edge_check(const struct task_output *output, const weir_record_type *record_type,
                      struct error *err)
{
    if (output->channel_count == 0)
        return error_set(err, WEIR_E_INVALID, "output edge %u has no channels", output->edge);
    if (!record_type)
        return error_set(err, WEIR_E_INVALID, "output edge %u of a vertex that emits nothing", output->edge);
    if (output->strategy == WEIR__SHIP_STRATEGY__SHIP_FORWARD && output->channel_count != 1)
        return error_set(err, WEIR_E_INVALID, "forward edge %u has %u channels instead of one", output->edge,
                         output->channel_count);
    if (output->strategy != WEIR__SHIP_STRATEGY__SHIP_HASH)
        return 0;
    if (output->key_field_count == 0 || output->key_field_count > KEY_FIELDS_MAX)
        return error_set(err, WEIR_E_INVALID, "hash edge %u has %u key fields", output->edge,
                         output->key_field_count);
    for (uint32_t i = 0; i < output->key_field_count; i++)
        if (output->key_fields[i] >= record_type->field_count)
            return error_set(err, WEIR_E_INVALID, "hash edge %u: record '%s' has no field %u", output->edge,
                             record_type->name, output->key_fields[i]);
    if (output->max_parallelism < output->channel_count)
        return error_set(err, WEIR_E_INVALID, "hash edge %u: parallelism %u is above the maximum of %u",
                         output->edge, output->channel_count, output->max_parallelism);
    return 0;
}

static void edge_init(struct output_edge *edge, const struct task_output *output,
                      const struct outputs_setup *setup)
{
    *edge = (struct output_edge){
        .strategy = output->strategy,
        .max_parallelism = output->max_parallelism,
        .next_channel = setup->subtask % output->channel_count,
        .record_type = setup->record_type,
    };
    if (output->strategy == WEIR__SHIP_STRATEGY__SHIP_HASH) {
        memcpy(edge->key_fields, output->key_fields, output->key_field_count * sizeof *edge->key_fields);
        key_reader_init(&edge->key, setup->record_type, edge->key_fields, output->key_field_count);
    }
    uint32_t buffers =
        setup->config->buffers_per_channel * output->channel_count + setup->config->floating_buffers;
    result_partition_init(&edge->partition, output->channels, output->channel_count, buffers ? buffers : 1,
                          setup->waker);
}

int outputs_init(struct outputs *outputs, const struct outputs_setup *setup, struct error *err)
{
    for (uint32_t i = 0; i < setup->count; i++)
        if (edge_check(&setup->outputs[i], setup->record_type, err))
            return WEIR_E_INVALID;
    *outputs = (struct outputs){
        .edges = xcalloc(setup->count ? setup->count : 1, sizeof *outputs->edges),
        .count = setup->count,
    };
    for (uint32_t i = 0; i < setup->count; i++)
        edge_init(&outputs->edges[i], &setup->outputs[i], setup);
    for (uint32_t i = 0; i < setup->count; i++)
        outputs->edges[i].partition.room_is_sure = &outputs->room_is_sure;
    return 0;
}

void outputs_deinit(struct outputs *outputs)
{
    for (uint32_t i = 0; i < outputs->count; i++) {
        result_partition_deinit(&outputs->edges[i].partition);
        key_reader_deinit(&outputs->edges[i].key);
    }
    free(outputs->edges);
    *outputs = (struct outputs){0};
}

bool outputs_find_room(struct outputs *outputs)
{
    bool all_free = true;
    for (uint32_t i = 0; i < outputs->count; i++) {
        struct result_partition *partition = &outputs->edges[i].partition;
        if (buffer_pool_has_free(partition->pool))
            continue;
        all_free = false;
        if (!result_partition_has_room(partition))
            return false;
    }
    outputs->room_is_sure = all_free;
    return true;
}

/* The channel to the owner of the key's group. A single channel leads to the owner of all. */
static inline uint32_t channel_of(const struct output_edge *edge, uint32_t key_hash)
{
    if (edge->partition.channel_count == 1)
        return 0;
    uint32_t group = key_group_of(key_hash, edge->max_parallelism);
    return key_group_owner(group, edge->partition.channel_count, edge->max_parallelism);
}

static int emit_hashed(struct output_edge *edge, const void *record, uint32_t size, int64_t timestamp_ms,
                       struct error *err)
{
    const unsigned char *key;
    uint32_t key_size;
    if (key_reader_get(&edge->key, record, &key, &key_size))
        return error_set(err, WEIR_E_LIMIT, "the key of a record '%s' is larger than %d bytes",
                         edge->record_type->name, RECORD_KEY_MAX_BYTES);
    uint32_t hash = hash_key(key, key_size);
    result_partition_write(&edge->partition, channel_of(edge, hash), hash, timestamp_ms, record, size);
    return 0;
}

int outputs_emit(struct outputs *outputs, const void *record, uint32_t size, int64_t timestamp_ms,
                 struct error *err)
{
    outputs->records++;
    for (uint32_t i = 0; i < outputs->count; i++) {
        struct output_edge *edge = &outputs->edges[i];
        switch (edge->strategy) {
        case WEIR__SHIP_STRATEGY__SHIP_HASH:
            if (emit_hashed(edge, record, size, timestamp_ms, err))
                return WEIR_E_LIMIT;
            break;
        case WEIR__SHIP_STRATEGY__SHIP_REBALANCE:
            result_partition_write(&edge->partition, edge->next_channel, 0, timestamp_ms, record, size);
            if (++edge->next_channel == edge->partition.channel_count)
                edge->next_channel = 0;
            break;
        default:
            result_partition_write(&edge->partition, 0, 0, timestamp_ms, record, size);
        }
    }
    return 0;
}

static void broadcast(struct outputs *outputs, enum element_kind kind, int64_t timestamp_ms,
                      const void *payload, uint32_t size)
{
    for (uint32_t i = 0; i < outputs->count; i++)
        result_partition_broadcast(&outputs->edges[i].partition, kind, timestamp_ms, payload, size);
}

void outputs_watermark(struct outputs *outputs, int64_t watermark_ms)
{
    broadcast(outputs, ELEMENT_WATERMARK, watermark_ms, NULL, 0);
}

/* An idle producer may sleep long: what it said last must not wait in a buffer. */
void outputs_idle(struct outputs *outputs, bool idle)
{
    if (outputs->idle == idle)
        return;
    outputs->idle = idle;
    broadcast(outputs, idle ? ELEMENT_IDLE : ELEMENT_ACTIVE, INT64_MIN, NULL, 0);
    outputs_flush(outputs);
}

void outputs_barrier(struct outputs *outputs, const struct element_barrier *barrier, int64_t timestamp_ms)
{
    broadcast(outputs, ELEMENT_BARRIER, timestamp_ms, barrier, sizeof *barrier);
    outputs_flush(outputs);
}

void outputs_end(struct outputs *outputs)
{
    broadcast(outputs, ELEMENT_END_OF_INPUT, INT64_MIN, NULL, 0);
    outputs_flush(outputs);
}

void outputs_flush(struct outputs *outputs)
{
    for (uint32_t i = 0; i < outputs->count; i++)
        result_partition_flush(&outputs->edges[i].partition);
}

bool outputs_have_unflushed(const struct outputs *outputs)
{
    for (uint32_t i = 0; i < outputs->count; i++)
        if (result_partition_has_unflushed(&outputs->edges[i].partition))
            return true;
    return false;
}

uint64_t outputs_bytes(const struct outputs *outputs)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < outputs->count; i++)
        bytes += outputs->edges[i].partition.bytes;
    return bytes;
}

uint32_t outputs_queued_buffers(const struct outputs *outputs)
{
    uint32_t queued = 0;
    for (uint32_t i = 0; i < outputs->count; i++)
        queued += result_partition_queued_buffers(&outputs->edges[i].partition);
    return queued;
}

uint32_t outputs_pool_used_permille(const struct outputs *outputs)
{
    uint64_t used = 0, size = 0;
    for (uint32_t i = 0; i < outputs->count; i++) {
        used += buffer_pool_in_use(outputs->edges[i].partition.pool);
        size += buffer_pool_size(outputs->edges[i].partition.pool);
    }
    if (size == 0)
        return 0;
    return used >= size ? 1000 : (uint32_t)(used * 1000 / size);
}
