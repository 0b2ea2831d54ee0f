/* Key tables against a plain list, layouts, and window state through its bytes: whole, spread over other
 * subtasks, damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/memory.h"
#include "taskmanager/worker/state/slice_state.h"
#include "taskmanager/worker/state/state_handle.h"

enum { MAX_PARALLELISM = 128, NO_WATERMARK = 0 };

static uint32_t make_key(char *key, uint64_t number)
{
    return (uint32_t)snprintf(key, 64, "%s%llu", number % 3 ? "/page-" : "", (unsigned long long)number);
}

/* ---- key table
 * ------------------------------------------------------------------------------------------------------- */

static void table_counts_like_an_array(void **state)
{
    (void)state;
    enum { KEYS = 5000, ADDS = 40000 };
    static uint64_t expected[KEYS];
    memset(expected, 0, sizeof expected);
    struct random random;
    random_init(&random, 3);
    struct key_table table;
    key_table_init(&table, 12);
    for (int round = 0; round < 2; round++) { /* the second one after clear */
        uint32_t distinct = 0;
        for (int i = 0; i < ADDS; i++) {
            uint64_t number = random_below(&random, KEYS);
            char key[64];
            uint32_t size = make_key(key, number), hash = hash_key(key, size) % 997; /* many equal hashes */
            bool added;
            uint64_t *count = key_table_get_or_add(&table, hash, key, size, &added);
            assert_int_equal(added, expected[number] == 0);
            assert_int_equal((uintptr_t)count % 8, 0);
            assert_int_equal(*count, expected[number]);
            distinct += added;
            expected[number] = ++*count;
        }
        assert_int_equal(table.count, distinct);
        for (uint64_t number = 0; number < KEYS; number++) {
            char key[64];
            uint32_t size = make_key(key, number), hash = hash_key(key, size) % 997;
            uint64_t *count = key_table_find(&table, hash, key, size);
            assert_int_equal(count ? *count : 0, expected[number]);
        }
        assert_true(key_table_bytes(&table) > distinct * 28);
        key_table_clear(&table);
        memset(expected, 0, sizeof expected);
    }
    key_table_deinit(&table);
}

/* Keys of every length around those that are compared by words and kept in the entry: each differs from the
 * others of its length in one byte, and all have one hash. */
static void keys_of_all_lengths_are_told_apart(void **state)
{
    (void)state;
    enum { LENGTHS = 21 };
    struct key_table table;
    key_table_init(&table, 8);
    for (int round = 0; round < 2; round++)
        for (uint32_t length = 0; length < LENGTHS; length++)
            for (uint32_t changed = 0; changed <= length; changed++) { /* length: none is */
                char *key = xcalloc(1, length ? length : 1);           /* exact, for the sanitizer's eye */
                if (changed < length)
                    key[changed] = 'x';
                bool added;
                uint64_t *accumulator = key_table_get_or_add(&table, 7, key, length, &added);
                assert_int_equal(added, round == 0);
                if (added)
                    *accumulator = length * 100 + changed;
                assert_int_equal(*accumulator, length * 100 + changed);
                assert_ptr_equal(accumulator, key_table_find(&table, 7, key, length));
                const struct key_entry *entry =
                    (const struct key_entry *)(const void *)((unsigned char *)accumulator -
                                                             offsetof(struct key_entry, accumulator));
                assert_int_equal(entry->key_size, length);
                assert_memory_equal(key_table_key(&table, entry), key, length);
                free(key);
            }
    assert_int_equal(table.count, LENGTHS * (LENGTHS + 1) / 2);
    key_table_deinit(&table);
}

static void entries_are_in_order_of_insertion(void **state)
{
    (void)state;
    struct key_table table;
    key_table_init(&table, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        char key[64];
        uint32_t size = make_key(key, i * 7919 % 1000);
        bool added;
        key_table_get_or_add(&table, hash_key(key, size), key, size, &added);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        char key[64];
        uint32_t size = make_key(key, i * 7919 % 1000);
        const struct key_entry *entry = key_table_entry(&table, i);
        assert_int_equal(entry->key_size, size);
        assert_memory_equal(key_table_key(&table, entry), key, size);
    }
    bool added;
    key_table_get_or_add(&table, 0, NULL, 0, &added); /* the empty key is a key */
    assert_true(added);
    key_table_get_or_add(&table, 0, "", 0, &added);
    assert_false(added);
    key_table_deinit(&table);
}

/* ---- layouts
 * ---------------------------------------------------------------------------------------------------------
 */

struct test_layout {
    Weir__RecordDescriptor record;
    Weir__FieldDescriptor fields[4];
    Weir__FieldDescriptor *pointers[4];
};

static Weir__RecordDescriptor *layout(struct test_layout *l, uint32_t size, size_t count, ...)
{
    weir__record_descriptor__init(&l->record);
    l->record.name = "accumulator";
    l->record.size = size;
    l->record.alignment = 8;
    l->record.n_fields = count;
    l->record.fields = l->pointers;
    va_list args;
    va_start(args, count);
    for (size_t i = 0; i < count; i++) {
        weir__field_descriptor__init(&l->fields[i]);
        l->fields[i].name = va_arg(args, char *);
        l->fields[i].type = va_arg(args, Weir__FieldType);
        l->fields[i].offset = va_arg(args, uint32_t);
        l->pointers[i] = &l->fields[i];
    }
    va_end(args);
    return &l->record;
}

#define INT32  WEIR__FIELD_TYPE__FIELD_INT32
#define INT64  WEIR__FIELD_TYPE__FIELD_INT64
#define FLOAT  WEIR__FIELD_TYPE__FIELD_FLOAT64
#define STRING WEIR__FIELD_TYPE__FIELD_STRING

static void layouts_are_widened(void **state)
{
    (void)state;
    struct test_layout a, b;
    layout(&a, 8, (size_t)2, "count", INT32, 0u, "sum", INT32, 4u);
    layout(&b, 16, (size_t)2, "sum", FLOAT, 0u, "count", INT64, 8u);
    struct layout_mapping mapping;
    struct error err = {0};
    assert_int_equal(layout_map(&a.record, &b.record, "op", &mapping, &err), 0);
    int32_t old[2] = {-5, 7};
    struct {
        double sum;
        int64_t count;
    } new = {0};
    layout_move(&mapping, old, &new);
    assert_int_equal(new.count, -5);
    assert_true(new.sum == 7.0);
    layout_mapping_deinit(&mapping);
    assert_int_equal(layout_map(&b.record, &a.record, "op", &mapping, &err), WEIR_E_INVALID);
    assert_non_null(strstr(err.message, "'count'"));
    assert_non_null(strstr(err.message, "'op'"));
}

static void layouts_move_by_name(void **state)
{
    (void)state;
    struct test_layout a, b;
    layout(&a, 24, (size_t)3, "count", INT64, 0u, "sum", FLOAT, 8u, "small", INT32, 16u);
    layout(&b, 32, (size_t)3, "small", INT32, 0u, "added", INT64, 8u, "count", INT64, 16u);
    struct layout_mapping mapping;
    struct error err = {0};
    assert_int_equal(layout_map(&a.record, &b.record, "op", &mapping, &err), 0);
    assert_false(mapping.identical);
    struct {
        int64_t count;
        double sum;
        int32_t small, pad;
    } old = {5, 1.5, 7, 0};
    struct {
        int32_t small, pad;
        int64_t added, count, rest;
    } new = {0};
    layout_move(&mapping, &old, &new);
    assert_int_equal(new.count, 5);
    assert_int_equal(new.small, 7);
    assert_int_equal(new.added, 0);
    layout_mapping_deinit(&mapping);

    assert_int_equal(layout_map(&a.record, &a.record, "op", &mapping, &err), 0);
    assert_true(mapping.identical);
    layout_mapping_deinit(&mapping);
}

static void bad_layouts_are_refused(void **state)
{
    (void)state;
    struct test_layout good, bad;
    layout(&good, 8, (size_t)1, "count", INT64, 0u);
    const struct {
        uint32_t size;
        const char *name;
        Weir__FieldType type;
        uint32_t offset;
        const char *error;
    } cases[] = {
        {8, "count", FLOAT, 0,
         "uid 'counter': field 'count' of the state is float64 in the snapshot but int64"},
        {8, "count", STRING, 0, "which state can't hold"},
        {8, "count", INT64, 4, "lies outside of the record"},
        {8, "count", INT64, 0xfffffff0u, "lies outside of the record"},
        {8, "", INT64, 0, "has no name"},
        {8, "count", (Weir__FieldType)99, 0, "which state can't hold"},
        {1u << 30, "count", INT64, 0, "are allowed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        layout(&bad, cases[i].size, (size_t)1, cases[i].name, cases[i].type, cases[i].offset);
        struct layout_mapping mapping;
        struct error err = {0};
        assert_int_not_equal(layout_map(&bad.record, &good.record, "counter", &mapping, &err), 0);
        if (!strstr(err.message, cases[i].error))
            fail_msg("case %zu: '%s'", i, err.message);
    }
}

/* ---- snapshots
 * ------------------------------------------------------------------------------------------------------- */

static int64_t no_watermark(const void *self, uint32_t key_group)
{
    (void)self;
    (void)key_group;
    return NO_WATERMARK;
}

static void add_counts(struct slice_state *state, uint64_t keys)
{
    for (uint64_t i = 0; i < keys; i++) {
        char key[64];
        uint32_t size = make_key(key, i);
        bool added;
        for (int64_t slice = 1; slice <= 3; slice++) {
            struct state_slice *s = slice_state_get(state, (4 - slice) * 100 - 150);
            uint64_t *count = key_table_get_or_add(&s->table, hash_key(key, size), key, size, &added);
            *count += i * 10 + (uint64_t)slice;
        }
    }
}

static uint64_t count_of(const struct slice_state *state, int64_t end_ms, uint64_t number)
{
    char key[64];
    uint32_t size = make_key(key, number);
    for (uint32_t i = 0; i < state->count; i++)
        if (state->slices[i]->end_ms == end_ms) {
            uint64_t *count = key_table_find(&state->slices[i]->table, hash_key(key, size), key, size);
            return count ? *count : 0;
        }
    return 0;
}

static void state_goes_to_other_subtasks_whole(void **state)
{
    (void)state;
    enum { KEYS = 700, SUBTASKS = 3 };
    struct slice_state one;
    slice_state_init(&one, sizeof(uint64_t));
    add_counts(&one, KEYS);
    assert_int_equal(one.count, 3);
    assert_int_equal(slice_state_first(&one)->end_ms, -50);
    Weir__OperatorState snapshot = WEIR__OPERATOR_STATE__INIT;
    slice_state_snapshot(&one, 0, MAX_PARALLELISM - 1, MAX_PARALLELISM, NO_WATERMARK, no_watermark, NULL,
                         &snapshot);
    struct layout_mapping mapping = {.identical = true, .stored_size = 8, .declared_size = 8};
    uint64_t keys = 0;
    for (uint32_t subtask = 0; subtask < SUBTASKS; subtask++) {
        struct slice_state part;
        slice_state_init(&part, sizeof(uint64_t));
        for (size_t g = 0; g < snapshot.n_keyed; g++) {
            uint32_t group = snapshot.keyed[g]->key_group;
            if (g)
                assert_true(group > snapshot.keyed[g - 1]->key_group);
            if (key_group_owner(group, SUBTASKS, MAX_PARALLELISM) != subtask)
                continue;
            void *data;
            size_t size;
            struct error err = {0};
            int64_t watermark;
            assert_int_equal(state_handle_read_inline(snapshot.keyed[g]->handle, &data, &size, &err), 0);
            struct slice_restore restore = {group, MAX_PARALLELISM, &mapping};
            if (slice_state_restore(&part, &restore, data, size, &watermark, &err))
                fail_msg("%s", err.message);
            free(data);
        }
        for (uint64_t i = 0; i < KEYS; i++)
            for (int64_t slice = 1; slice <= 3; slice++) {
                int64_t end = (4 - slice) * 100 - 150;
                char key[64];
                uint32_t size = make_key(key, i);
                uint32_t group = key_group_of(hash_key(key, size), MAX_PARALLELISM);
                bool mine = key_group_owner(group, SUBTASKS, MAX_PARALLELISM) == subtask;
                assert_int_equal(count_of(&part, end, i), mine ? count_of(&one, end, i) : 0);
                keys += mine;
            }
        slice_state_deinit(&part);
    }
    assert_int_equal(keys, 3 * KEYS);
    slice_state_deinit(&one);
    for (size_t g = 0; g < snapshot.n_keyed; g++)
        weir__key_group_state__free_unpacked(snapshot.keyed[g], NULL);
    free(snapshot.keyed);
}

static Weir__OperatorState *small_snapshot(void)
{
    struct slice_state one;
    slice_state_init(&one, sizeof(uint64_t));
    add_counts(&one, 300);
    Weir__OperatorState *snapshot = xmalloc(sizeof *snapshot);
    weir__operator_state__init(snapshot);
    slice_state_snapshot(&one, 0, MAX_PARALLELISM - 1, MAX_PARALLELISM, NO_WATERMARK, no_watermark, NULL,
                         snapshot);
    slice_state_deinit(&one);
    return snapshot;
}

static int try_restore(uint32_t group, const void *data, size_t size, struct error *err)
{
    struct slice_state part;
    slice_state_init(&part, sizeof(uint64_t));
    struct layout_mapping mapping = {.identical = true, .stored_size = 8, .declared_size = 8};
    struct slice_restore restore = {group, MAX_PARALLELISM, &mapping};
    int64_t watermark;
    int rc = slice_state_restore(&part, &restore, data, size, &watermark, err);
    slice_state_deinit(&part);
    return rc;
}

/* Cut anywhere it is an error; with a byte changed it is an error unless the byte is in an accumulator, a
 * slice's end, the watermark or padding; in no case anything worse (AddressSanitizer watches). */
static void damaged_state_is_refused(void **state)
{
    (void)state;
    Weir__OperatorState *snapshot = small_snapshot();
    const Weir__KeyGroupState *group = snapshot->keyed[0];
    size_t size = group->handle->inline_.len;
    unsigned char *data = xmalloc(size);
    struct error err = {0};
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *exact = xmemdup(group->handle->inline_.data, cut ? cut : 1);
        assert_int_not_equal(try_restore(group->key_group, exact, cut, &err), 0);
        free(exact);
    }
    assert_int_not_equal(try_restore(group->key_group + 1, group->handle->inline_.data, size, &err), 0);
    assert_non_null(strstr(err.message, "does not belong there"));
    struct random random;
    random_init(&random, 11);
    uint32_t refused = 0, rounds = 20000;
    for (uint32_t i = 0; i < rounds; i++) {
        memcpy(data, group->handle->inline_.data, size);
        for (uint64_t changes = 1 + random_below(&random, 3); changes > 0; changes--)
            data[random_below(&random, size)] = (unsigned char)random_next(&random);
        refused += try_restore(group->key_group, data, size, &err) != 0;
    }
    assert_true(refused > rounds / 4);
    free(data);
    weir__operator_state__free_unpacked(snapshot, NULL);
}

static void handles_check_what_they_hold(void **state)
{
    (void)state;
    Weir__StateHandle *handle = state_handle_inline(xstrdup("state"), 5);
    void *data;
    size_t size;
    struct error err = {0};
    assert_int_equal(state_handle_read_inline(handle, &data, &size, &err), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "state", 5);
    free(data);
    handle->inline_.data[2] ^= 1;
    assert_int_equal(state_handle_read_inline(handle, &data, &size, &err), WEIR_E_CORRUPT);
    assert_non_null(strstr(err.message, "checksum"));
    handle->inline_.len = 4;
    assert_int_equal(state_handle_read_inline(handle, &data, &size, &err), WEIR_E_CORRUPT);
    weir__state_handle__free_unpacked(handle, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_counts_like_an_array),
        cmocka_unit_test(keys_of_all_lengths_are_told_apart),
        cmocka_unit_test(entries_are_in_order_of_insertion),
        cmocka_unit_test(layouts_move_by_name),
        cmocka_unit_test(layouts_are_widened),
        cmocka_unit_test(bad_layouts_are_refused),
        cmocka_unit_test(state_goes_to_other_subtasks_whole),
        cmocka_unit_test(damaged_state_is_refused),
        cmocka_unit_test(handles_check_what_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
