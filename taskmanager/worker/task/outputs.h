/* The output edges of a task: which channel a record goes to, and the buffers it goes into. On the task's
 * thread. */
#ifndef WEIR_TASK_OUTPUTS_H
#define WEIR_TASK_OUTPUTS_H

#include "common/api/key_reader.h"
#include "taskmanager/worker/shuffle/result_partition.h"
#include "taskmanager/worker/task/task.h"

struct output_edge {
    struct result_partition partition;
    Weir__ShipStrategy strategy;
    uint32_t max_parallelism;
    uint32_t next_channel; /* REBALANCE */
    const weir_record_type *record_type;
    uint32_t key_fields[KEY_FIELDS_MAX]; /* HASH */
    struct key_reader key;               /* HASH */
};

struct outputs {
    struct output_edge *edges; /* owned */
    uint32_t count;
    uint64_t records;  /* emitted */
    bool room_is_sure; /* every pool has had a free buffer since nothing was taken from it */
    bool idle;         /* as last told */
};

struct outputs_setup {
    const struct task_output *outputs;
    uint32_t count;
    const weir_record_type *record_type; /* NULL: a sink, which has no outputs */
    const struct task_config *config;
    uint32_t subtask;
    struct waker *waker;
};

int outputs_init(struct outputs *outputs, const struct outputs_setup *setup, struct error *err) WEIR_CHECK;
void outputs_deinit(struct outputs *outputs);
bool outputs_find_room(struct outputs *outputs);
static inline bool outputs_have_room(struct outputs *outputs)
{
    return outputs->room_is_sure || outputs_find_room(outputs);
}
/* 0, or an error (a record without its key). */
int outputs_emit(struct outputs *outputs, const void *record, uint32_t size, int64_t timestamp_ms,
                 struct error *err) WEIR_CHECK;
void outputs_watermark(struct outputs *outputs, int64_t watermark_ms);
void outputs_idle(struct outputs *outputs, bool idle);
void outputs_barrier(struct outputs *outputs, const struct element_barrier *barrier, int64_t timestamp_ms);
void outputs_end(struct outputs *outputs);
void outputs_flush(struct outputs *outputs);
bool outputs_have_unflushed(const struct outputs *outputs);
uint64_t outputs_bytes(const struct outputs *outputs);
uint32_t outputs_queued_buffers(const struct outputs *outputs);     /* any thread */
uint32_t outputs_pool_used_permille(const struct outputs *outputs); /* any thread */

#endif
