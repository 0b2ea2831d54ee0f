/* The window operator against a computation by brute force: records out of order, watermarks that differ
 * between subtasks, outputs without room, snapshots and restores at random moments at parallelism 1 → 3 → 2 →
 * …: every window exact, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/record.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/memory.h"
#include "taskmanager/worker/operators/operator.h"
#include "taskmanager/worker/state/state_handle.h"

WEIR_RECORD(visit, (timestamp, at), (string, page), (int64, weight));
WEIR_RECORD(visit_sum, (int64, count), (int64, total));
WEIR_RECORD(visit_sum_later, (int64, total), (int64, largest), (int64, count));
WEIR_RECORD(visit_result, (int64, total), (int64, count));
WEIR_RECORD(page_total, (timestamp, start), (timestamp, end), (string, page), (int64, count), (int64, total));

enum { SIZE_MS = 100, MAX_PARALLELISM = 128, KEYS = 20, WINDOWS = 64, PARALLELISM_LIMIT = 3 };

static void add(weir_context *context, void *accumulator, const void *record)
{
    struct visit_sum *sum = accumulator;
    (void)context;
    sum->count++;
    sum->total += ((const struct visit *)record)->weight;
}

static void add_later(weir_context *context, void *accumulator, const void *record)
{
    struct visit_sum_later *sum = accumulator;
    (void)context;
    sum->count++;
    sum->total += ((const struct visit *)record)->weight;
}

static void merge(weir_context *context, void *accumulator, const void *other)
{
    (void)context;
    ((struct visit_sum *)accumulator)->count += ((const struct visit_sum *)other)->count;
    ((struct visit_sum *)accumulator)->total += ((const struct visit_sum *)other)->total;
}

static void result(weir_context *context, const void *accumulator, void *result)
{
    (void)context;
    assert_int_equal(((struct visit_result *)result)->count, 0); /* zeroed for each key */
    ((struct visit_result *)result)->count = ((const struct visit_sum *)accumulator)->count;
    ((struct visit_result *)result)->total = ((const struct visit_sum *)accumulator)->total;
}

static void result_later(weir_context *context, const void *accumulator, void *result)
{
    (void)context;
    ((struct visit_result *)result)->count = ((const struct visit_sum_later *)accumulator)->count;
    ((struct visit_result *)result)->total = ((const struct visit_sum_later *)accumulator)->total;
}

static const weir_aggregate aggregate = {.struct_size = sizeof(weir_aggregate),
                                         .name = "visits",
                                         .accumulator = &visit_sum_type,
                                         .add = add,
                                         .merge = merge,
                                         .result_type = &visit_result_type,
                                         .result = result};
static const weir_aggregate aggregate_later = {.struct_size = sizeof(weir_aggregate),
                                               .name = "visits",
                                               .accumulator = &visit_sum_later_type,
                                               .add = add_later,
                                               .result_type = &visit_result_type,
                                               .result = result_later};

static int window_function(weir_context *context, const weir_key *key, const weir_window *window,
                           const void *value, weir_collector *out)
{
    assert_int_equal(weir_record_timestamp(context), window->end_ms - 1);
    const struct visit_result *sum = value;
    struct page_total *total = weir_new_record(out);
    uint32_t length;
    const char *page = weir_key_string(key, 0, &length);
    weir_set_string(out, &total->page, page, length);
    total->start = window->start_ms;
    total->end = window->end_ms;
    total->count = sum->count;
    total->total = sum->total;
    return weir_emit(out, total);
}

/* ---- the rig
 * ---------------------------------------------------------------------------------------------------------
 */

struct cell {
    int64_t count, total;
};

struct rig;
struct instance {
    struct rig *rig;
    struct stream_node node;
    weir_context context;
    weir_collector collector;
    unsigned char block[1024] __attribute__((aligned(8)));
    struct operator_metrics metrics;
    struct error error;
    bool fatal;
    struct operator_instance *op;
};

struct rig {
    struct random random;
    struct user_environment environment;
    Weir__Operator descriptor;
    struct instance instances[PARALLELISM_LIMIT];
    uint32_t parallelism;
    const weir_aggregate *aggregate;
    weir_window_kind kind;
    int64_t now_ms;
    uint32_t room; /* records until has_room says no; UINT32_MAX: always room */
    uint64_t late; /* of instances that are gone */
    /* What is expected and what came, by window and key: */
    struct cell open[WINDOWS][KEYS], expected[WINDOWS][KEYS], emitted[WINDOWS][KEYS];
    int64_t group_watermark[MAX_PARALLELISM];
    uint64_t expected_late;
    int64_t last_end; /* of the firing under way */
};

static const uint32_t page_field[] = {1};

static int64_t rig_now(void *self)
{
    return ((struct rig *)self)->now_ms;
}

static bool has_room(void *task)
{
    struct rig *rig = ((struct instance *)task)->rig;
    return rig->room == UINT32_MAX || rig->room > 0;
}

static int emit(weir_collector *collector, const void *record, uint32_t size, int64_t timestamp_ms)
{
    struct rig *rig = ((struct instance *)collector->self)->rig;
    assert_int_equal(record_check(&page_total_type, record, size), 0);
    const struct page_total *total = record;
    assert_int_equal(timestamp_ms, total->end - 1);
    assert_int_equal(total->end - total->start, SIZE_MS);
    assert_int_equal(total->end % SIZE_MS, 0);
    assert_true(total->end >= rig->last_end); /* ascending */
    rig->last_end = total->end;
    int key = 0;
    for (uint32_t i = 5; i < total->page.length; i++)
        key = key * 10 + weir_string_data(&total->page)[i] - '0';
    struct cell *cell = &rig->emitted[total->start / SIZE_MS][key];
    assert_int_equal(cell->count, 0); /* once */
    *cell = (struct cell){total->count, total->total};
    assert_true(rig->room > 0);
    if (rig->room != UINT32_MAX)
        rig->room--;
    return 0;
}

static int read_state(void *reader, const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                      struct error *err)
{
    (void)reader;
    return state_handle_read_inline(handle, ret_data, ret_size, err);
}

static int try_open(struct rig *rig, uint32_t subtask, Weir__OperatorState *const *states, size_t count)
{
    struct instance *instance = &rig->instances[subtask];
    memset(instance, 0, sizeof *instance);
    instance->rig = rig;
    instance->node = (struct stream_node){.kind = WEIR__OPERATOR_KIND__OPERATOR_WINDOW,
                                          .input_type = &visit_type,
                                          .output_type = &page_total_type,
                                          .key_field_count = 1,
                                          .key_fields = {page_field[0]}};
    instance->node.options.window = (weir_window_options){
        .struct_size = sizeof(weir_window_options),
        .kind = rig->kind,
        .size_ms = SIZE_MS,
        .aggregate = rig->aggregate,
        .type = &page_total_type,
        .window = window_function,
    };
    instance->context = (weir_context){.environment = &rig->environment, .operator_name = "Counter"};
    instance->collector = (weir_collector){.emit = emit,
                                           .self = instance,
                                           .context = &instance->context,
                                           .type = &page_total_type,
                                           .block = instance->block,
                                           .capacity = sizeof instance->block};
    struct operator_setup setup = {
        .node = &instance->node,
        .descriptor = &rig->descriptor,
        .subtask = subtask,
        .parallelism = rig->parallelism,
        .max_parallelism = MAX_PARALLELISM,
        .max_record_bytes = sizeof instance->block,
        .context = &instance->context,
        .collector = &instance->collector,
        .error = &instance->error,
        .fatal = &instance->fatal,
        .metrics = &instance->metrics,
        .has_room = has_room,
        .task = instance,
        .restore = states,
        .restore_count = count,
        .read_state = read_state,
    };
    assert_int_equal(window_operator_new(&setup, &instance->op, &instance->error), 0);
    return instance->op->ops->open(instance->op, &instance->error);
}

static void rig_open(struct rig *rig, uint32_t parallelism, Weir__OperatorState *const *states, size_t count)
{
    rig->parallelism = parallelism;
    for (uint32_t i = 0; i < parallelism; i++)
        if (try_open(rig, i, states, count))
            fail_msg("%s", rig->instances[i].error.message);
}

static void rig_close(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->parallelism; i++) {
        rig->late += rig->instances[i].metrics.late_records_dropped;
        rig->instances[i].op->ops->close(rig->instances[i].op);
    }
}

static void rig_init(struct rig *rig, uint64_t seed)
{
    memset(rig, 0, sizeof *rig);
    random_init(&rig->random, seed);
    rig->environment = (struct user_environment){.now = rig_now, .self = rig};
    weir__operator__init(&rig->descriptor);
    rig->descriptor.name = "Counter";
    rig->descriptor.uid = "counter";
    rig->aggregate = &aggregate;
    rig->kind = WEIR_TUMBLING_EVENT_TIME;
    rig->room = UINT32_MAX;
    for (int i = 0; i < MAX_PARALLELISM; i++)
        rig->group_watermark[i] = INT64_MIN;
    rig_open(rig, 1, NULL, 0);
}

struct visit_record {
    struct visit visit;
    char page[24];
};

static uint32_t make_visit(struct visit_record *record, int64_t at, int key, int64_t weight)
{
    memset(record, 0, sizeof *record);
    int length = snprintf(record->page, sizeof record->page, "page-%d", key);
    record->visit = (struct visit){.at = at, .weight = weight};
    record->visit.page.offset = (int32_t)(offsetof(struct visit_record, page) - offsetof(struct visit, page));
    record->visit.page.length = (uint32_t)length;
    return (uint32_t)(offsetof(struct visit_record, page) + (size_t)length);
}

static enum operator_progress give(struct rig *rig, int64_t timestamp_ms, int key, int64_t weight)
{
    struct visit_record record;
    uint32_t size = make_visit(&record, timestamp_ms, key, weight);
    uint32_t hash = hash_key(record.page, record.visit.page.length);
    uint32_t group = key_group_of(hash, MAX_PARALLELISM);
    struct instance *owner = &rig->instances[key_group_owner(group, rig->parallelism, MAX_PARALLELISM)];
    struct record_ref ref = {.data = &record, .size = size, .key_hash = hash, .timestamp = timestamp_ms};
    int64_t window = timestamp_ms / SIZE_MS;
    if ((window + 1) * SIZE_MS - 1 <= rig->group_watermark[group]) {
        rig->expected_late++;
    } else {
        rig->open[window][key].count++;
        rig->open[window][key].total += weight;
    }
    return owner->op->ops->process(owner->op, &ref);
}

/* What a watermark closes for the key groups of one subtask. */
static void expect_fired(struct rig *rig, uint32_t subtask, int64_t watermark_ms)
{
    for (int key = 0; key < KEYS; key++) {
        char page[24];
        int length = snprintf(page, sizeof page, "page-%d", key);
        uint32_t group = key_group_of(hash_key(page, (size_t)length), MAX_PARALLELISM);
        if (key_group_owner(group, rig->parallelism, MAX_PARALLELISM) != subtask)
            continue;
        for (int w = 0; w < WINDOWS; w++)
            if (rig->open[w][key].count && (w + 1) * SIZE_MS - 1 <= watermark_ms) {
                assert_int_equal(rig->expected[w][key].count, 0);
                rig->expected[w][key] = rig->open[w][key];
                rig->open[w][key] = (struct cell){0};
            }
    }
    for (uint32_t group = 0; group < MAX_PARALLELISM; group++)
        if (key_group_owner(group, rig->parallelism, MAX_PARALLELISM) == subtask &&
            watermark_ms > rig->group_watermark[group])
            rig->group_watermark[group] = watermark_ms;
}

static void give_watermark(struct rig *rig, uint32_t subtask, int64_t watermark_ms)
{
    struct operator_instance *op = rig->instances[subtask].op;
    expect_fired(rig, subtask, watermark_ms);
    rig->last_end = INT64_MIN;
    enum operator_progress progress;
    do {
        rig->room = random_below(&rig->random, 2) ? UINT32_MAX : (uint32_t)random_below(&rig->random, 4);
        progress = op->ops->watermark(op, watermark_ms);
        assert_int_not_equal(progress, OPERATOR_FAILED);
        if (progress == OPERATOR_AGAIN)
            assert_int_equal(rig->room, 0);
    } while (progress == OPERATOR_AGAIN);
    rig->room = UINT32_MAX;
    assert_memory_equal(rig->emitted, rig->expected, sizeof rig->expected);
}

static void restore_at(struct rig *rig, uint32_t parallelism, const weir_aggregate *later)
{
    Weir__OperatorState *states[PARALLELISM_LIMIT];
    uint32_t count = rig->parallelism;
    for (uint32_t i = 0; i < count; i++) {
        struct operator_instance *op = rig->instances[i].op;
        states[i] = xmalloc(sizeof *states[i]);
        weir__operator_state__init(states[i]);
        states[i]->uid = xstrdup("counter");
        states[i]->subtask = i;
        states[i]->parallelism = rig->parallelism;
        states[i]->max_parallelism = MAX_PARALLELISM;
        struct error err = {0};
        assert_int_equal(op->ops->snapshot(op, 1, states[i], &err), 0);
        /* Through the wire format. */
        uint8_t *packed = xmalloc(weir__operator_state__get_packed_size(states[i]) + 1);
        size_t size = weir__operator_state__pack(states[i], packed);
        weir__operator_state__free_unpacked(states[i], NULL);
        states[i] = weir__operator_state__unpack(NULL, size, packed);
        assert_non_null(states[i]);
        free(packed);
    }
    rig_close(rig);
    rig->aggregate = later;
    rig_open(rig, parallelism, states, count);
    for (uint32_t i = 0; i < count; i++)
        weir__operator_state__free_unpacked(states[i], NULL);
}

/* ---- tests
 * -----------------------------------------------------------------------------------------------------------
 */

static void run_random(uint64_t seed, uint64_t *late)
{
    static const uint32_t parallelisms[] = {1, 3, 2, 1, 2, 3};
    static struct rig rig;
    rig_init(&rig, seed);
    int64_t time = 0, watermarks[PARALLELISM_LIMIT];
    uint32_t restores = 0;
    for (int i = 0; i < PARALLELISM_LIMIT; i++)
        watermarks[i] = INT64_MIN;
    for (int step = 0; step < 3000 && time < (WINDOWS - 4) * SIZE_MS; step++) {
        time += (int64_t)random_below(&rig.random, 4);
        uint64_t what = random_below(&rig.random, 1000);
        if (what < 950) {
            int64_t at = time + 100 - (int64_t)random_below(&rig.random, 300);
            assert_int_equal(give(&rig, at < 0 ? 0 : at, (int)random_below(&rig.random, KEYS),
                                  (int64_t)random_below(&rig.random, 100)),
                             OPERATOR_DONE);
        } else if (what < 990) {
            uint32_t subtask = (uint32_t)random_below(&rig.random, rig.parallelism);
            int64_t watermark = time - (int64_t)random_below(&rig.random, 150);
            if (watermark > watermarks[subtask])
                give_watermark(&rig, subtask, watermarks[subtask] = watermark);
        } else {
            restores++;
            restore_at(&rig, parallelisms[restores % 6], restores > 3 ? &aggregate_later : &aggregate);
            for (int i = 0; i < PARALLELISM_LIMIT; i++)
                watermarks[i] = INT64_MIN; /* a new attempt begins without */
        }
    }
    for (uint32_t i = 0; i < rig.parallelism; i++)
        give_watermark(&rig, i, INT64_MAX);
    static const struct cell none[WINDOWS][KEYS];
    assert_memory_equal(rig.open, none, sizeof none);
    rig_close(&rig);
    assert_int_equal(rig.late, rig.expected_late);
    *late += rig.late;
}

static void windows_equal_brute_force(void **state)
{
    (void)state;
    uint64_t late = 0;
    for (uint64_t seed = 1; seed <= 150; seed++)
        run_random(seed, &late);
    assert_true(late > 1000); /* late ones were really tried */
}

static void rising_watermark_fires_each_window_once(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, 1);
    for (int w = 5; w >= 0; w--)
        for (int key = KEYS - 1; key >= 0; key--)
            assert_int_equal(give(&rig, w * SIZE_MS, key, w), OPERATOR_DONE);
    give_watermark(&rig, 0, SIZE_MS - 2);
    assert_int_equal(rig.emitted[0][0].count, 0);
    give_watermark(&rig, 0, SIZE_MS - 1);
    assert_int_equal(rig.emitted[0][0].count, 1);
    assert_int_equal(give(&rig, 10, 0, 1), OPERATOR_DONE);
    assert_int_equal(rig.instances[0].metrics.late_records_dropped, 1);
    rig.last_end = INT64_MIN;
    for (int w = 0; w < WINDOWS; w++) /* the end of input fires the rest */
        for (int key = 0; key < KEYS; key++)
            if (rig.open[w][key].count)
                rig.expected[w][key] = rig.open[w][key];
    assert_int_equal(rig.instances[0].op->ops->finish(rig.instances[0].op), OPERATOR_DONE);
    assert_memory_equal(rig.emitted, rig.expected, sizeof rig.expected);
    rig_close(&rig);
}

static void processing_time_fires_by_the_clock(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, 1);
    rig_close(&rig);
    rig.kind = WEIR_TUMBLING_PROCESSING_TIME;
    rig_open(&rig, 1, NULL, 0);
    struct operator_instance *op = rig.instances[0].op;
    assert_true(op->ops->next_deadline(op) == INT64_MAX);
    rig.now_ms = 130;
    assert_int_equal(give(&rig, 0, 3, 7), OPERATOR_DONE); /* its own timestamp does not matter */
    rig.now_ms = 160;
    assert_int_equal(give(&rig, 0, 3, 8), OPERATOR_DONE);
    assert_int_equal(op->ops->next_deadline(op), 200);
    assert_int_equal(op->ops->watermark(op, 5000), OPERATOR_DONE);
    restore_at(&rig, 1, &aggregate);
    op = rig.instances[0].op;
    assert_int_equal(op->ops->next_deadline(op), 200);
    assert_int_equal(op->ops->timer(op, 199), OPERATOR_DONE);
    assert_int_equal(rig.emitted[1][3].count, 0);
    rig.room = 0;
    assert_int_equal(op->ops->timer(op, 200), OPERATOR_AGAIN);
    rig.room = UINT32_MAX;
    assert_int_equal(op->ops->timer(op, 201), OPERATOR_DONE);
    assert_int_equal(rig.emitted[1][3].count, 2);
    assert_int_equal(rig.emitted[1][3].total, 15);
    assert_true(op->ops->next_deadline(op) == INT64_MAX);
    rig_close(&rig);
}

static void bad_records_are_told_apart(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, 1);
    struct instance *instance = &rig.instances[0];
    struct visit_record record;
    uint32_t size = make_visit(&record, 5, 1, 1);
    struct record_ref ref = {.data = &record, .size = size, .key_hash = 12345, .timestamp = 5};
    assert_int_equal(instance->op->ops->process(instance->op, &ref), OPERATOR_FAILED);
    assert_non_null(strstr(instance->error.message, "hash of another key"));
    ref.key_hash = hash_key(record.page, record.visit.page.length);
    ref.timestamp = INT64_MIN;
    assert_int_equal(instance->op->ops->process(instance->op, &ref), OPERATOR_FAILED);
    assert_non_null(strstr(instance->error.message, "no timestamp"));
    assert_true(instance->fatal);
    rig_close(&rig);
}

static void snapshots_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, 1);
    give(&rig, 5, 1, 1);
    Weir__OperatorState snapshot = WEIR__OPERATOR_STATE__INIT, *states[] = {&snapshot};
    snapshot.parallelism = 1;
    snapshot.max_parallelism = 64;
    struct error err = {0};
    assert_int_equal(rig.instances[0].op->ops->snapshot(rig.instances[0].op, 1, &snapshot, &err), 0);
    rig_close(&rig);
    rig.parallelism = 1;
    assert_int_not_equal(try_open(&rig, 0, states, 1), 0);
    assert_true(rig.instances[0].fatal);
    assert_non_null(
        strstr(rig.instances[0].error.message, "uid 'counter': the state was made with a maximum"));
    rig_close(&rig);

    snapshot.max_parallelism = MAX_PARALLELISM;
    snapshot.layout->fields[0]->type = WEIR__FIELD_TYPE__FIELD_FLOAT64;
    assert_int_not_equal(try_open(&rig, 0, states, 1), 0);
    assert_non_null(strstr(rig.instances[0].error.message, "field 'count' of the state is float64"));
    rig_close(&rig);

    snapshot.layout->fields[0]->type = WEIR__FIELD_TYPE__FIELD_INT64;
    snapshot.keyed[0]->handle->inline_.data[30] ^= 1;
    assert_int_not_equal(try_open(&rig, 0, states, 1), 0);
    assert_non_null(strstr(rig.instances[0].error.message, "checksum mismatch"));
    rig_close(&rig);
    weir__record_descriptor__free_unpacked(snapshot.layout, NULL);
    weir__key_group_state__free_unpacked(snapshot.keyed[0], NULL);
    free(snapshot.keyed);
    weir__key_value__free_unpacked(snapshot.properties[0], NULL);
    free(snapshot.properties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_equal_brute_force),
        cmocka_unit_test(rising_watermark_fires_each_window_once),
        cmocka_unit_test(processing_time_fires_by_the_clock),
        cmocka_unit_test(bad_records_are_told_apart),
        cmocka_unit_test(snapshots_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
