/* Records: how they are built, their keys, checks of hostile bytes, descriptors, text; messages to Kafka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/key_reader.h"
#include "common/api/record.h"
#include "common/api/user_context.h"
#include "common/base/id.h"

WEIR_RECORD(event, (timestamp, at), (string, page), (int64, amount), (int32, small), (int32, other),
            (bool, flag), (bytes, blob), (float64, price));
WEIR_RECORD(tiny, (int32, a), (string, b));

enum { AT, PAGE, AMOUNT, SMALL, OTHER, FLAG, BLOB, PRICE };

/* ---- a context as the runtime has one
 * ------------------------------------------------------------------------------- */

enum { BLOCK_BYTES = 256 };

struct fixture {
    weir_context context;
    weir_collector out;
    struct user_environment environment;
    _Alignas(8) unsigned char block[BLOCK_BYTES];
    unsigned char emitted[BLOCK_BYTES];
    uint32_t emitted_size;
    int64_t emitted_timestamp;
    int emit_result;
    int64_t slept;
};

static int on_emit(struct weir_collector *self, const void *record, uint32_t size, int64_t timestamp_ms)
{
    struct fixture *f = self->self;
    memcpy(f->emitted, record, size);
    f->emitted_size = size;
    f->emitted_timestamp = timestamp_ms;
    return f->emit_result;
}
static int64_t on_now(void *self)
{
    (void)self;
    return 1234;
}
static int on_sleep(void *self, int64_t ms)
{
    ((struct fixture *)self)->slept = ms;
    return ms == 77;
}
static uint64_t on_random(void *self)
{
    (void)self;
    return 99;
}

static void fixture_init(struct fixture *f, const weir_record_type *type)
{
    *f = (struct fixture){0};
    f->environment = (struct user_environment){on_now, on_sleep, on_random, f};
    f->context = (weir_context){.environment = &f->environment,
                                .subtask = 3,
                                .parallelism = 5,
                                .record_timestamp = 42,
                                .user_data = f,
                                .operator_name = "Op"};
    f->out = (weir_collector){.emit = on_emit,
                              .self = f,
                              .context = &f->context,
                              .type = type,
                              .block = f->block,
                              .capacity = BLOCK_BYTES};
    memset(f->block, 0xaa, sizeof f->block);
}

static void contexts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &event_type);
    assert_int_equal(weir_now(&f.context), 1234);
    assert_int_equal(weir_sleep(&f.context, 5), 0);
    assert_int_equal(f.slept, 5);
    assert_int_equal(weir_sleep(&f.context, 77), 1);
    assert_int_equal(weir_sleep(&f.context, -3), 0);
    assert_int_equal(f.slept, 0);
    assert_int_equal(weir_random(&f.context), 99);
    assert_int_equal(weir_subtask_index(&f.context), 3);
    assert_int_equal(weir_parallelism(&f.context), 5);
    assert_int_equal(weir_record_timestamp(&f.context), 42);
    assert_ptr_equal(weir_user_data(&f.context), &f);
    assert_int_equal(weir_fail(&f.context, "no %s", "good"), WEIR_E_USER_CODE);
    assert_true(f.context.failed);
    assert_string_equal(f.context.error.message, "no good");
    assert_int_equal(f.context.error.rc, WEIR_E_USER_CODE);
}

static void layout(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &event_type);
    struct event *e = weir_new_record(&f.out);
    assert_ptr_equal(e, f.block);
    for (size_t i = 0; i < sizeof *e; i++)
        assert_int_equal(f.block[i], 0);
    assert_int_equal(f.block[sizeof *e], 0xaa); /* only the fixed part is cleared */
    e->amount = 7;
    weir_set_string(&f.out, &e->page, "/help", 5);
    weir_set_string(&f.out, &e->blob, "\0\1\2", 3);
    assert_int_equal(e->page.offset, (int)(sizeof *e - offsetof(struct event, page)));
    assert_int_equal(e->blob.offset, (int)(sizeof *e + 5 - offsetof(struct event, blob)));
    assert_int_equal(weir_emit(&f.out, e), 0);
    assert_int_equal(f.emitted_size, sizeof *e + 8);
    assert_int_equal(f.emitted_timestamp, 42);

    /* Anywhere else it reads the same. */
    _Alignas(8) unsigned char elsewhere[BLOCK_BYTES];
    memcpy(elsewhere, f.emitted, f.emitted_size);
    memset(f.block, 0, sizeof f.block);
    const struct event *moved = (const struct event *)(const void *)elsewhere;
    assert_int_equal(record_check(&event_type, moved, f.emitted_size), 0);
    assert_int_equal(moved->page.length, 5);
    assert_memory_equal(weir_string_data(&moved->page), "/help", 5);
    assert_memory_equal(weir_string_data(&moved->blob), "\0\1\2", 3);

    e = weir_new_record(&f.out);
    weir_set_string(&f.out, &e->page, NULL, 0);
    assert_int_equal(weir_emit_at(&f.out, e, -5), 0);
    assert_int_equal(f.emitted_timestamp, -5);
    assert_int_equal(f.emitted_size, sizeof *e);
    assert_int_equal(record_check(&event_type, f.emitted, f.emitted_size), 0);

    f.emit_result = -9;
    e = weir_new_record(&f.out);
    assert_int_equal(weir_emit(&f.out, e), -9);
}

static void too_large(void **state)
{
    (void)state;
    struct fixture f;
    char text[400];
    memset(text, 'x', sizeof text);
    fixture_init(&f, &event_type);
    size_t room = BLOCK_BYTES - sizeof(struct event);

    struct event *e = weir_new_record(&f.out);
    weir_set_string(&f.out, &e->page, text, room);
    assert_int_equal(weir_emit(&f.out, e), 0);
    assert_int_equal(f.emitted_size, BLOCK_BYTES);

    f.emitted_size = 0;
    e = weir_new_record(&f.out);
    weir_set_string(&f.out, &e->page, text, room - 1);
    weir_set_string(&f.out, &e->blob, text, 2);
    weir_set_string(&f.out, &e->blob, text, 10);
    assert_int_equal(weir_emit(&f.out, e), WEIR_E_LIMIT);
    assert_int_equal(f.emitted_size, 0);
    assert_true(f.context.failed);
    assert_string_equal(f.context.error.message,
                        "operator \"Op\" emitted a record \"event\" of 267 bytes; the largest "
                        "allowed is 256 (pipeline.max-record-size)");
    e = weir_new_record(&f.out);
    weir_set_string(&f.out, &e->page, text, SIZE_MAX);
    assert_int_equal(weir_emit(&f.out, e), WEIR_E_LIMIT);

    /* The next record starts anew. */
    e = weir_new_record(&f.out);
    weir_set_string(&f.out, &e->page, "ok", 2);
    assert_int_equal(weir_emit(&f.out, e), 0);
}

static void misuse(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &event_type);
    struct event other = {0};
    assert_int_equal(weir_emit(&f.out, &other), WEIR_E_USER_CODE);
    assert_non_null(
        strstr(f.context.error.message, "\"Op\" emitted something that it did not get from weir_new_record"));

    struct event *e = weir_new_record(&f.out);
    assert_int_equal(weir_emit(&f.out, e), 0);
    assert_int_equal(weir_emit(&f.out, e), WEIR_E_USER_CODE); /* twice */
    assert_int_equal(weir_emit(&f.out, NULL), WEIR_E_USER_CODE);

    e = weir_new_record(&f.out);
    weir_set_string(&f.out, &other.page, "x", 1);
    assert_int_equal(other.page.length, 0);
    assert_int_equal(weir_emit(&f.out, e), WEIR_E_USER_CODE);
    assert_non_null(strstr(f.context.error.message, "a field that is not of the record begun"));
}

/* ---- keys
 * ------------------------------------------------------------------------------------------------------------
 */

static struct event *sample(struct fixture *f)
{
    fixture_init(f, &event_type);
    struct event *e = weir_new_record(&f->out);
    e->at = 0x0102030405060708;
    e->amount = -2;
    e->small = -3;
    e->other = 4;
    e->flag = 1;
    weir_set_string(&f->out, &e->page, "/help", 5);
    weir_set_string(&f->out, &e->blob, "", 0);
    return e;
}

static void keys(void **state)
{
    (void)state;
#define PAGE_BYTES  "/help"
#define SMALL_BYTES "\xfd\xff\xff\xff\xff\xff\xff\xff"
#define AT_BYTES    "\x08\x07\x06\x05\x04\x03\x02\x01"
    static const struct {
        uint32_t fields[3], count;
        const char *bytes;
        uint32_t size;
        bool in_record;
    } cases[] = {
        {{PAGE}, 1, PAGE_BYTES, 5, true},
        {{BLOB}, 1, "", 0, true},
        {{AT}, 1, AT_BYTES, 8, true},
        {{AMOUNT}, 1, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8, true},
        {{FLAG}, 1, "\1\0\0\0\0\0\0\0", 8, true},
        {{SMALL}, 1, SMALL_BYTES, 8, false},
        {{OTHER}, 1, "\4\0\0\0\0\0\0\0", 8, false},
        {{PAGE, SMALL}, 2, "\5\0\0\0" PAGE_BYTES SMALL_BYTES, 17, false},
        {{AT, PAGE, BLOB}, 3, AT_BYTES "\5\0\0\0" PAGE_BYTES "\0\0\0\0", 21, false},
    };
    struct fixture f;
    struct event *e = sample(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char scratch[64];
        const unsigned char *data = NULL;
        uint32_t size = 0;
        assert_int_equal(record_key(&event_type, cases[i].fields, cases[i].count, e, scratch, sizeof scratch,
                                    &data, &size),
                         0);
        assert_int_equal(size, cases[i].size);
        assert_memory_equal(data, cases[i].bytes, size);
        assert_int_equal(data >= f.block && data <= f.block + BLOCK_BYTES, cases[i].in_record);
        assert_int_equal(record_key_check(&event_type, cases[i].fields, cases[i].count, data, size), 0);

        struct key_reader reader;
        const unsigned char *read = NULL;
        uint32_t read_size = 0;
        key_reader_init(&reader, &event_type, cases[i].fields, cases[i].count);
        assert_int_equal(key_reader_get(&reader, e, &read, &read_size), 0);
        assert_int_equal(read_size, size);
        assert_memory_equal(read, data, size);
        assert_int_equal(read >= f.block && read <= f.block + BLOCK_BYTES, cases[i].in_record);
        key_reader_deinit(&reader);

        weir_key key = {data, size, cases[i].count, &event_type, cases[i].fields};
        for (uint32_t k = 0; k < cases[i].count; k++) {
            static const int64_t integers[] = {0x0102030405060708, 0, -2, -3, 4, 1, 0, 0};
            uint32_t length = 42, field = cases[i].fields[k];
            const char *text = weir_key_string(&key, k, &length);
            assert_non_null(text);
            assert_int_equal(length, field == PAGE ? 5 : 0);
            assert_memory_equal(text, "/help", length);
            assert_true(weir_key_int(&key, k) == integers[field]);
        }
        assert_int_equal(weir_key_int(&key, cases[i].count), 0);
        assert_string_equal(weir_key_string(&key, cases[i].count, NULL), "");

        /* A scratch that is too small is told, never overrun. */
        for (uint32_t less = 0; !cases[i].in_record && less < size; less++) {
            unsigned char *small = malloc(less + !less);
            const unsigned char *untouched = scratch;
            assert_int_equal(
                record_key(&event_type, cases[i].fields, cases[i].count, e, small, less, &untouched, &size),
                WEIR_E_LIMIT);
            assert_ptr_equal(untouched, scratch);
            free(small);
        }
    }
}

static void keys_too_long(void **state)
{
    (void)state;
    static unsigned char scratch[2 * RECORD_KEY_MAX_BYTES];
    static _Alignas(8) unsigned char block[2 * RECORD_KEY_MAX_BYTES];
    static const uint32_t one[] = {1}, two[] = {1, 0};
    struct tiny *t = (struct tiny *)(void *)block;
    t->b = (weir_string){sizeof *t - offsetof(struct tiny, b), RECORD_KEY_MAX_BYTES};
    const unsigned char *data;
    uint32_t size;
    assert_int_equal(record_key(&tiny_type, one, 1, t, scratch, sizeof scratch, &data, &size), 0);
    assert_int_equal(size, RECORD_KEY_MAX_BYTES);
    assert_int_equal(record_key(&tiny_type, two, 2, t, scratch, sizeof scratch, &data, &size), WEIR_E_LIMIT);
    t->b.length = RECORD_KEY_MAX_BYTES - 12;
    assert_int_equal(record_key(&tiny_type, two, 2, t, scratch, sizeof scratch, &data, &size), 0);
    assert_int_equal(size, RECORD_KEY_MAX_BYTES);
    t->b.length = RECORD_KEY_MAX_BYTES + 1;
    assert_int_equal(record_key(&tiny_type, one, 1, t, scratch, sizeof scratch, &data, &size), WEIR_E_LIMIT);
}

static void hostile_keys(void **state)
{
    (void)state;
    static const uint32_t page[] = {PAGE}, at[] = {AT}, both[] = {PAGE, AT}, strings[] = {PAGE, BLOB};
    static const struct {
        const uint32_t *fields;
        uint32_t count;
        const char *bytes;
        uint32_t size;
        int rc;
    } cases[] = {
        {page, 1, "anything", 8, 0},
        {page, 1, "", 0, 0},
        {page, 1, "", RECORD_KEY_MAX_BYTES + 1, WEIR_E_CORRUPT},
        {at, 1, "12345678", 8, 0},
        {at, 1, "1234567", 7, WEIR_E_CORRUPT},
        {at, 1, "123456789", 9, WEIR_E_CORRUPT},
        {at, 1, "", 0, WEIR_E_CORRUPT},
        {both, 2, "\2\0\0\0ab12345678", 14, 0},
        {both, 2, "\3\0\0\0ab12345678", 14, WEIR_E_CORRUPT},
        {both, 2, "\1\0\0\0ab12345678", 14, WEIR_E_CORRUPT},
        {both, 2, "\xff\xff\xff\xff", 4, WEIR_E_CORRUPT},
        {both, 2, "\2\0", 2, WEIR_E_CORRUPT},
        {strings, 2, "\0\0\0\0\0\0\0\0", 8, 0},
        {strings, 2, "\0\0\0\0\0\0\0", 7, WEIR_E_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(
            record_key_check(&event_type, cases[i].fields, cases[i].count, cases[i].bytes, cases[i].size),
            cases[i].rc);
}

/* ---- hostile records
 * ------------------------------------------------------------------------------------------------- */

static void hostile_records(void **state)
{
    (void)state;
    static const struct {
        int32_t offset; /* from the start of the record, made relative below */
        uint32_t length, size;
        bool good;
    } cases[] = {
        {12, 0, 12, true},
        {12, 1, 13, true},
        {13, 1, 14, true},
        {12, 1, 12, false},
        {12, 2, 13, false},
        {11, 1, 13, false},
        {0, 4, 64, false},
        {4, 1, 64, false},
        {-1, 1, 64, false},
        {INT32_MIN, 1, 64, false},
        {INT32_MAX - 8, 1, 64, false},
        {12, UINT32_MAX, 64, false},
        {64, 0, 64, true},
        {65, 0, 64, false},
        {60, 5, 64, false},
        {12, 0x80000000u, UINT32_MAX / 4, false},
    };
    assert_int_equal(tiny_type.size, 12);
    assert_int_equal(tiny_type.alignment, 4);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tiny t = {
            .b = {(int32_t)((uint32_t)cases[i].offset - offsetof(struct tiny, b)), cases[i].length}};
        if (cases[i].offset == INT32_MIN)
            t.b.offset = INT32_MIN;
        int rc = record_check(&tiny_type, &t, cases[i].size);
        if (rc != (cases[i].good ? 0 : WEIR_E_CORRUPT))
            fail_msg("case %zu: %d", i, rc);
    }
    struct tiny never_set = {0};
    assert_int_equal(record_check(&tiny_type, &never_set, sizeof never_set), 0);
    for (uint32_t size = 0; size < sizeof never_set; size++)
        assert_int_equal(record_check(&tiny_type, &never_set, size), WEIR_E_CORRUPT);
}

/* What record_check lets pass can be read in full. */
static void random_records(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 7);
    size_t passed = 0;
    for (int i = 0; i < 200000; i++) {
        uint32_t size = (uint32_t)random_below(&random, 140);
        unsigned char *bytes = malloc(size + !size);
        assert_non_null(bytes);
        for (uint32_t b = 0; b < size; b++)
            bytes[b] = (unsigned char)(random_below(&random, 4) ? 0 : random_next(&random) & 63);
        if (record_check(&event_type, bytes, size) == 0) {
            static unsigned char scratch[RECORD_KEY_MAX_BYTES];
            static const uint32_t fields[] = {PAGE, BLOB, SMALL};
            const unsigned char *data;
            uint32_t key_size;
            char text[512];
            passed++;
            assert_int_equal(
                record_key(&event_type, fields, 3, bytes, scratch, sizeof scratch, &data, &key_size), 0);
            assert_int_equal(record_key_check(&event_type, fields, 3, data, key_size), 0);
            assert_true(record_format(&event_type, bytes, text, sizeof text) > 0);
        }
        free(bytes);
    }
    assert_true(passed > 100);
}

/* ---- descriptors, text
 * ------------------------------------------------------------------------------------------------ */

static void descriptors(void **state)
{
    (void)state;
    Weir__RecordDescriptor *d = record_type_to_proto(&event_type);
    assert_string_equal(d->name, "event");
    assert_int_equal(d->size, sizeof(struct event));
    assert_int_equal(d->alignment, 8);
    assert_int_equal(d->n_fields, 8);
    assert_string_equal(d->fields[PAGE]->name, "page");
    assert_int_equal(d->fields[PAGE]->type, WEIR__FIELD_TYPE__FIELD_STRING);
    assert_int_equal(d->fields[PAGE]->offset, offsetof(struct event, page));
    assert_true(record_type_equal_proto(&event_type, d));
    assert_false(record_type_equal_proto(&tiny_type, d));
    assert_false(record_type_equal_proto(&event_type, NULL));
    d->fields[PAGE]->type = WEIR__FIELD_TYPE__FIELD_BYTES;
    assert_false(record_type_equal_proto(&event_type, d));
    d->fields[PAGE]->type = WEIR__FIELD_TYPE__FIELD_STRING;
    d->fields[PAGE]->offset++;
    assert_false(record_type_equal_proto(&event_type, d));
    d->fields[PAGE]->offset--;
    d->fields[PAGE]->name[0] = 'P';
    assert_false(record_type_equal_proto(&event_type, d));
    d->fields[PAGE]->name[0] = 'p';
    d->size += 8;
    assert_false(record_type_equal_proto(&event_type, d));
    d->size -= 8;
    d->name[0] = 'E';
    assert_true(record_type_equal_proto(&event_type, d));
    weir__record_descriptor__free_unpacked(d, NULL);
    assert_null(record_type_problem(&event_type));
    assert_true(record_type_has_strings(&event_type));
    assert_false(record_type_has_strings(&weir_sequence_element_type));
    assert_int_equal(record_type_find(&event_type, "price"), PRICE);
    assert_int_equal(record_type_find(&event_type, "pric"), -1);
}

static void text(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &event_type);
    struct event *e = weir_new_record(&f.out);
    e->at = INT64_MIN;
    e->amount = 12;
    e->small = -7;
    e->flag = 1;
    e->price = 0.5;
    weir_set_string(&f.out, &e->page, "/a\n\\\xc3\xa9", 6);
    weir_set_string(&f.out, &e->blob, "\x00\xff", 2);
    static const char want[] =
        "at=-9223372036854775808 page=/a\\x0a\\x5c\xc3\xa9 amount=12 small=-7 other=0 flag=true "
        "blob=00ff price=0.5";
    char line[200];
    int length = record_format(&event_type, e, line, sizeof line);
    assert_int_equal(length, sizeof want - 1);
    assert_memory_equal(line, want, sizeof want - 1);
    for (size_t capacity = 0; capacity < sizeof want; capacity++) {
        char *small = malloc(capacity + !capacity);
        size_t used = (size_t)record_format(&event_type, e, small, capacity);
        assert_true(used <= capacity);
        assert_memory_equal(small, want, used);
        free(small);
    }
}

/* ---- messages to Kafka
 * ------------------------------------------------------------------------------------------------ */

static void kafka_outputs(void **state)
{
    (void)state;
    weir_kafka_output out = {0};
    char large[10000];
    memset(large, 'k', sizeof large);
    for (int round = 0; round < 3; round++) {
        kafka_output_reset(&out);
        assert_null(out.value);
        assert_int_equal(out.partition, -1);
        char value[] = "value";
        weir_kafka_output_value(&out, value, 5);
        memset(value, 'x', sizeof value);
        weir_kafka_output_key(&out, large, sizeof large); /* the buffer grows and moves */
        weir_kafka_output_partition(&out, 3);
        assert_int_equal(out.value_length, 5);
        assert_memory_equal(out.value, "value", 5);
        assert_int_equal(out.key_length, sizeof large);
        assert_memory_equal(out.key, large, sizeof large);
        assert_int_equal(out.partition, 3);
        assert_false(out.overflow);
    }
    kafka_output_reset(&out);
    weir_kafka_output_value(&out, NULL, 0);
    assert_null(out.value);
    weir_kafka_output_key(&out, "", 0);
    assert_non_null(out.key);
    assert_int_equal(out.key_length, 0);
    weir_kafka_output_value(&out, large, (size_t)KAFKA_OUTPUT_MAX_BYTES + 1);
    assert_true(out.overflow);
    assert_null(out.value);
    weir_kafka_output_value(&out, large, SIZE_MAX);
    assert_null(out.value);
    free(out.buffer);

    weir_kafka_output empty = {0};
    weir_kafka_output_value(&empty, "", 0);
    assert_non_null(empty.value);
    free(empty.buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts),       cmocka_unit_test(layout),
        cmocka_unit_test(too_large),      cmocka_unit_test(misuse),
        cmocka_unit_test(keys),           cmocka_unit_test(keys_too_long),
        cmocka_unit_test(hostile_keys),   cmocka_unit_test(hostile_records),
        cmocka_unit_test(random_records), cmocka_unit_test(descriptors),
        cmocka_unit_test(text),           cmocka_unit_test(kafka_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
