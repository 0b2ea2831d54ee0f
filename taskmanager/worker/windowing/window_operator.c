/* Tumbling windows with an incremental aggregate.
 *
 * Happy path: a record goes to the slice of its window (nearly always the last one looked up), one probe
 * finds its key's accumulator, the user's add counts it. When event time (or the clock) comes to the end of a
 * slice, its table is walked in the order of insertion: result, window function, emit; then the slice is
 * gone.
 *
 * Possible failure modes: a record without a timestamp (the job lacks a watermark strategy: fails), a record
 * whose window has fired (dropped and counted), no room for output amid a firing (goes on where it stopped),
 * a user function that fails. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/record.h"
#include "common/base/hash.h"
#include "common/base/memory.h"
#include "taskmanager/worker/operators/operator_common.h"
#include "taskmanager/worker/windowing/window_inner.h"

#define unlikely(condition) __builtin_expect(!!(condition), 0)

enum { EXPECT_SLOTS_MIN = 16 * 1024 }; /* with their entries about half a megabyte */

/* The exclusive end of the window that holds a timestamp; INT64_MAX near the end of time. */
static int64_t window_end(int64_t timestamp_ms, int64_t size_ms)
{
    int64_t into = timestamp_ms % size_ms;
    if (into < 0)
        into += size_ms;
    int64_t end;
    return __builtin_add_overflow(timestamp_ms, size_ms - into, &end) ? INT64_MAX : end;
}

static int64_t window_start(int64_t end_ms, int64_t size_ms)
{
    int64_t start;
    return __builtin_sub_overflow(end_ms, size_ms, &start) ? INT64_MIN : start;
}

/* ---- records
 * ---------------------------------------------------------------------------------------------------------
 */

static bool is_late(const struct window_operator *window, int64_t end_ms, uint32_t key_hash)
{
    if (window->processing_time)
        return false;
    if (end_ms - 1 <= window->watermark_ms)
        return true;
    if (!window->floors)
        return false;
    uint32_t group = key_group_of(key_hash, window->base.setup.max_parallelism);
    return end_ms - 1 <= window_group_watermark(window, group);
}

/* The slice of a record that is not in the one of the record before; NULL: the record is late. */
static struct state_slice *find_slice(struct window_operator *window, int64_t timestamp_ms, uint32_t key_hash)
{
    int64_t end_ms = window_end(timestamp_ms, window->size_ms);
    if (is_late(window, end_ms, key_hash))
        return NULL;
    struct state_slice *slice = slice_state_get(&window->state, end_ms);
    window->near = slice;
    window->near_last_ms = end_ms - 1;
    /* At the end of time the end is not where the window's length would put it; while key groups have
     * watermarks of their own, each record is asked whether it is late. */
    bool near = end_ms != INT64_MAX && !window->floors;
    window->near_size_ms = near ? (uint64_t)window->size_ms : 0;
    return slice;
}

/* Event time moved on, or slices went. */
static void forget_near(struct window_operator *window)
{
    window->near_size_ms = 0;
}

/* What the hash of a key that is new here must be: it came with the record, perhaps over a network, and
 * decides where the key's state goes. */
static int check_new_key(const struct window_operator *window, uint32_t hash, const unsigned char *key,
                         uint32_t key_size)
{
    uint32_t group = key_group_of(hash, window->base.setup.max_parallelism);
    if (hash == hash_key(key, key_size) && group >= window->first_group && group <= window->last_group)
        return 0;
    return error_set(window->base.setup.error, WEIR_E_CORRUPT,
                     "a record came with the hash of another key, or to the wrong subtask (key group %u)",
                     group);
}

static enum operator_progress window_process(struct operator_instance *op, const struct record_ref *record)
{
    struct window_operator *window = (struct window_operator *)op;
    int64_t timestamp_ms = record->timestamp;
    if (window->processing_time)
        timestamp_ms = op->setup.context->environment->now(op->setup.context->environment->self);
    if (unlikely(timestamp_ms == INT64_MIN)) {
        *op->setup.fatal = true;
        error_set(op->setup.error, WEIR_E_INVALID,
                  "a record has no timestamp: event time windows need a source with a watermark strategy");
        return OPERATOR_FAILED;
    }
    struct state_slice *slice = window->near;
    if (unlikely((uint64_t)window->near_last_ms - (uint64_t)timestamp_ms >= window->near_size_ms))
        slice = find_slice(window, timestamp_ms, record->key_hash);
    if (unlikely(!slice)) {
        atomic_fetch_add_explicit(&op->setup.metrics->late_records_dropped, 1, memory_order_relaxed);
        return OPERATOR_DONE;
    }
    const unsigned char *key;
    uint32_t key_size;
    if (unlikely(key_reader_get(&window->key, record->data, &key, &key_size))) {
        error_set(op->setup.error, WEIR_E_LIMIT, "a key is larger than %d bytes", RECORD_KEY_MAX_BYTES);
        return OPERATOR_FAILED;
    }
    bool added;
    void *accumulator = key_table_get_or_add(&slice->table, record->key_hash, key, key_size, &added);
    if (unlikely(added) && check_new_key(window, record->key_hash, key, key_size))
        return OPERATOR_FAILED;
    window->aggregate->add(op->setup.context, accumulator, record->data);
    return operator_user_is_fine(op, 0) ? OPERATOR_DONE : operator_user_failed(op, "add", 0);
}

/* In a table that the processor's caches don't hold. */
static bool window_expect(struct operator_instance *op, uint32_t key_hash)
{
    struct window_operator *window = (struct window_operator *)op;
    if (window->near_size_ms == 0 || window->near->table.slot_mask < EXPECT_SLOTS_MIN)
        return false;
    const struct key_table *table = &window->near->table;
    key_table_expect_slot(table, key_hash);
    uint32_t *place = &window->expected[window->expected_next++ % EXPECTED_COUNT];
    key_table_expect_entry(table, *place);
    *place = key_hash;
    return true;
}

/* ---- firing
 * ----------------------------------------------------------------------------------------------------------
 */

static int fire_entry(struct window_operator *window, const struct state_slice *slice,
                      const struct key_entry *entry)
{
    const struct operator_setup *setup = &window->base.setup;
    const struct stream_node *node = setup->node;
    const void *result = entry->accumulator;
    if (window->aggregate->result_type) {
        memset(window->result, 0, window->aggregate->result_type->size);
        window->aggregate->result(setup->context, entry->accumulator, window->result);
        result = window->result;
    }
    struct weir_key key = {
        .data = key_table_key(&slice->table, entry),
        .size = entry->key_size,
        .field_count = node->key_field_count,
        .record_type = node->input_type,
        .fields = node->key_fields,
    };
    weir_window bounds = {.start_ms = window_start(slice->end_ms, window->size_ms), .end_ms = slice->end_ms};
    return window->function(setup->context, &key, &bounds, result, setup->collector);
}

/* All slices that end at or before until_ms (exclusive ends), from where the last call stopped. */
static enum operator_progress fire(struct window_operator *window, int64_t until_ms)
{
    forget_near(window);
    struct operator_setup *setup = &window->base.setup;
    struct state_slice *slice;
    while ((slice = slice_state_first(&window->state)) && slice->end_ms <= until_ms) {
        setup->context->record_timestamp = slice->end_ms - 1;
        while (window->fire_entry < slice->table.count) {
            if (!setup->has_room(setup->task))
                return OPERATOR_AGAIN;
            int rc = fire_entry(window, slice, key_table_entry(&slice->table, window->fire_entry));
            if (!operator_user_is_fine(&window->base, rc))
                return operator_user_failed(&window->base, "window", rc);
            window->fire_entry++;
        }
        slice_state_remove_first(&window->state);
        window->fire_entry = 0;
    }
    return OPERATOR_DONE;
}

static enum operator_progress window_watermark(struct operator_instance *op, int64_t watermark_ms)
{
    struct window_operator *window = (struct window_operator *)op;
    if (watermark_ms > window->watermark_ms)
        window->watermark_ms = watermark_ms;
    if (window->floors && window->watermark_ms >= window->highest_floor) {
        free(window->floors);
        window->floors = NULL;
    }
    if (window->processing_time && watermark_ms != INT64_MAX)
        return OPERATOR_DONE;
    return fire(window, watermark_ms == INT64_MAX ? INT64_MAX : watermark_ms + 1);
}

static enum operator_progress window_timer(struct operator_instance *op, int64_t now_ms)
{
    return fire((struct window_operator *)op, now_ms);
}

static int64_t window_next_deadline(const struct operator_instance *op)
{
    const struct window_operator *window = (const struct window_operator *)op;
    const struct state_slice *slice = window->processing_time ? slice_state_first(&window->state) : NULL;
    return slice ? slice->end_ms : INT64_MAX;
}

static enum operator_progress window_finish(struct operator_instance *op)
{
    return fire((struct window_operator *)op, INT64_MAX);
}

/* ---- beginning and end
 * ----------------------------------------------------------------------------------------------- */

static int window_open(struct operator_instance *op, struct error *err)
{
    struct window_operator *window = (struct window_operator *)op;
    int rc = window_restore(window, err);
    if (rc)
        *op->setup.fatal = true; /* the same snapshot would fail again */
    return rc;
}

static void window_close(struct operator_instance *op)
{
    struct window_operator *window = (struct window_operator *)op;
    slice_state_deinit(&window->state);
    free(window->floors);
    free(window->result);
    key_reader_deinit(&window->key);
    free(window);
}

static const struct operator_ops event_time_ops = {
    .open = window_open,
    .process = window_process,
    .expect = window_expect,
    .watermark = window_watermark,
    .snapshot = window_snapshot,
    .finish = window_finish,
    .close = window_close,
};

static const struct operator_ops processing_time_ops = {
    .open = window_open,
    .process = window_process,
    .expect = window_expect,
    .watermark = window_watermark,
    .timer = window_timer,
    .next_deadline = window_next_deadline,
    .snapshot = window_snapshot,
    .finish = window_finish,
    .close = window_close,
};

static const char *problem_of(const struct operator_setup *setup)
{
    const weir_window_options *options = &setup->node->options.window;
    const weir_aggregate *aggregate = options->aggregate;
    if (!aggregate || !aggregate->accumulator || !aggregate->add)
        return "has no aggregate with accumulator and add function";
    if (aggregate->result_type && !aggregate->result)
        return "has an aggregate with a result type but no result function";
    if (record_type_has_strings(aggregate->accumulator))
        return "has an accumulator with strings or bytes, which state can't hold";
    if (!options->window)
        return "has no window function";
    if (options->size_ms <= 0)
        return "has windows that are not longer than 0 ms";
    if (setup->node->key_field_count == 0)
        return "is not behind a key_by";
    return NULL;
}

int window_operator_new(const struct operator_setup *setup, struct operator_instance **ret_op,
                        struct error *err)
{
    const char *problem = problem_of(setup);
    if (problem)
        return error_set(err, WEIR_E_INVALID, "the window operator '%s' %s", setup->descriptor->name,
                         problem);
    const weir_window_options *options = &setup->node->options.window;
    const weir_aggregate *aggregate = options->aggregate;
    struct window_operator *window = xcalloc(1, sizeof *window);
    window->processing_time = options->kind == WEIR_TUMBLING_PROCESSING_TIME;
    window->base = (struct operator_instance){
        .ops = window->processing_time ? &processing_time_ops : &event_time_ops, .setup = *setup};
    window->aggregate = aggregate;
    window->function = options->window;
    window->size_ms = options->size_ms;
    window->watermark_ms = INT64_MIN;
    key_reader_init(&window->key, setup->node->input_type, setup->node->key_fields,
                    setup->node->key_field_count);
    if (aggregate->result_type)
        window->result = xcalloc(1, aggregate->result_type->size + 1);
    slice_state_init(&window->state, aggregate->accumulator->size);
    key_group_range(setup->subtask, setup->parallelism, setup->max_parallelism, &window->first_group,
                    &window->last_group);
    *ret_op = &window->base;
    return 0;
}
