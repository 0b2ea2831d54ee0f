/* The figures of a task: whose time it was, and what other threads may read. */
#include "taskmanager/worker/task/task_inner.h"

/* The time since the last step belongs to what that step ended with: work (busy), no input (idle), no room
 * (backpressured). */
void task_account(struct task *task, int64_t now_ms)
{
    if (task->last_step_ms != INT64_MIN && now_ms > task->last_step_ms) {
        uint64_t ms = (uint64_t)(now_ms - task->last_step_ms);
        switch (task->last_wait) {
        case WAIT_NOT:
            task->busy_ms += ms;
            break;
        case WAIT_INPUT:
            task->idle_ms += ms;
            break;
        case WAIT_OUTPUT:
            task->backpressured_ms += ms;
            break;
        }
    }
    task->last_step_ms = now_ms;
}

#define publish(field, value) atomic_store_explicit(&task->counters.field, value, memory_order_relaxed)
#define published(field)      atomic_load_explicit(&task->counters.field, memory_order_relaxed)

void task_publish(struct task *task)
{
    publish(records_in, task->records_in);
    publish(records_out, task->outputs.count ? task->outputs.records : 0);
    publish(bytes_in, task->is_source ? 0 : input_gate_bytes(&task->gate));
    publish(bytes_out, outputs_bytes(&task->outputs));
    publish(busy_ms, task->busy_ms);
    publish(idle_ms, task->idle_ms);
    publish(backpressured_ms, task->backpressured_ms);
    publish(watermark_ms, task->is_source ? task->chain.watermark_ms : task->gate.valve.combined_ms);
}

void task_read_metrics(const struct task *task, Weir__TaskMetrics *ret_metrics)
{
    weir__task_metrics__init(ret_metrics);
    ret_metrics->vertex = task->setup.vertex_index;
    ret_metrics->subtask = task->setup.subtask;
    ret_metrics->records_in = published(records_in);
    ret_metrics->records_out = published(records_out);
    ret_metrics->bytes_in = published(bytes_in);
    ret_metrics->bytes_out = published(bytes_out);
    ret_metrics->busy_ms = published(busy_ms);
    ret_metrics->idle_ms = published(idle_ms);
    ret_metrics->backpressured_ms = published(backpressured_ms);
    ret_metrics->watermark_ms = published(watermark_ms);
    for (uint32_t i = 0; i < task->chain.count; i++) {
        const struct operator_metrics *metrics = &task->chain.links[i].metrics;
        ret_metrics->late_records_dropped +=
            atomic_load_explicit(&metrics->late_records_dropped, memory_order_relaxed);
        ret_metrics->bad_records_skipped +=
            atomic_load_explicit(&metrics->bad_records_skipped, memory_order_relaxed);
    }
    for (uint32_t i = 0; i < task->setup.input_count; i++)
        for (uint32_t c = 0; c < task->setup.inputs[i].channel_count; c++)
            ret_metrics->input_queue_buffers += channel_length(task->setup.inputs[i].channels[c]);
    ret_metrics->output_queue_buffers = outputs_queued_buffers(&task->outputs);
    ret_metrics->output_pool_used_permille = outputs_pool_used_permille(&task->outputs);
}
