/* Buffer pools, channels, and elements through them: round trips, fragments, and buffers made by an enemy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/id.h"
#include "common/base/memory.h"
#include "taskmanager/worker/shuffle/element_reader.h"
#include "taskmanager/worker/shuffle/result_partition.h"

enum { MAX_RECORD = 200 * 1024 };

struct counting_waker {
    struct waker waker;
    int wakes;
};

static void count_wake(struct waker *waker)
{
    ((struct counting_waker *)waker)->wakes++;
}

/* ---- pool
 * ------------------------------------------------------------------------------------------------------------
 */

static void pool_is_finite_and_overdraws(void **state)
{
    (void)state;
    struct counting_waker waker = {.waker.wake = count_wake};
    struct buffer_pool *pool = buffer_pool_new(3, &waker.waker);
    struct buffer *taken[3];
    for (int i = 0; i < 3; i++) {
        assert_true(buffer_pool_has_free(pool));
        taken[i] = buffer_pool_try_take(pool);
        assert_non_null(taken[i]);
        assert_int_equal(taken[i]->size, 0);
        assert_int_equal((uintptr_t)taken[i]->data % 16, 0);
    }
    assert_false(buffer_pool_has_free(pool));
    assert_null(buffer_pool_try_take(pool));
    struct buffer *overdraft = buffer_pool_take_overdraft(pool);
    assert_true(overdraft->overdraft);
    assert_int_equal(buffer_pool_in_use(pool), 4);
    buffer_recycle(overdraft);
    assert_false(buffer_pool_has_free(pool));

    waker_prepare(&waker.waker);
    buffer_recycle(taken[0]);
    buffer_recycle(taken[1]);
    assert_int_equal(waker.wakes, 1); /* the second found one there already */
    assert_int_equal(buffer_pool_in_use(pool), 1);
    assert_non_null(taken[0] = buffer_pool_try_take(pool));
    assert_non_null(taken[1] = buffer_pool_try_take(pool));
    assert_null(buffer_pool_try_take(pool));
    for (int i = 0; i < 3; i++)
        buffer_recycle(taken[i]);
    assert_int_equal(buffer_pool_in_use(pool), 0);
    buffer_pool_free(pool);
}

static void pool_lives_until_its_last_buffer(void **state)
{
    (void)state;
    struct buffer_pool *pool = buffer_pool_new(2, NULL);
    struct buffer *a = buffer_pool_try_take(pool), *b = buffer_pool_try_take(pool);
    buffer_recycle(a);
    buffer_pool_free(pool); /* AddressSanitizer would see a use after free, or a leak */
    memset(b->data, 1, BUFFER_SIZE_BYTES);
    buffer_recycle(b);
}

/* ---- channel
 * ---------------------------------------------------------------------------------------------------------
 */

static void bounded_channel_refuses_and_tells(void **state)
{
    (void)state;
    struct counting_waker producer = {.waker.wake = count_wake}, consumer = {.waker.wake = count_wake};
    struct buffer_pool *pool = buffer_pool_new(8, NULL);
    struct channel *channel = channel_new((struct channel_id){1, 2, 3}, 4);
    channel_set_producer_waker(channel, &producer.waker);
    channel_set_consumer_waker(channel, &consumer.waker);
    assert_int_equal(channel_get_id(channel).consumer, 3);
    waker_prepare(&consumer.waker);
    struct buffer *buffers[5];
    for (int i = 0; i < 5; i++)
        buffers[i] = buffer_pool_try_take(pool);
    for (int i = 0; i < 4; i++)
        assert_true(channel_push(channel, buffers[i]));
    assert_int_equal(consumer.wakes, 1);
    assert_int_equal(channel_length(channel), 4);
    waker_prepare(&producer.waker);
    assert_false(channel_push(channel, buffers[4]));
    assert_ptr_equal(channel_pop(channel), buffers[0]);
    assert_int_equal(producer.wakes, 1);
    assert_true(channel_push(channel, buffers[4]));
    for (int i = 1; i < 5; i++)
        assert_ptr_equal(channel_pop(channel), buffers[i]);
    assert_null(channel_pop(channel));
    assert_true(channel_is_empty(channel));
    assert_int_equal(producer.wakes, 1);
    assert_true(channel_push(channel, buffers[0]));
    channel_free(channel); /* recycles it */
    for (int i = 1; i < 5; i++)
        buffer_recycle(buffers[i]);
    assert_int_equal(buffer_pool_in_use(pool), 0);
    buffer_pool_free(pool);
}

static void growing_channel_keeps_the_order(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct random random;
    random_init(&random, 7);
    struct buffer_pool *pool = buffer_pool_new(COUNT, NULL);
    struct channel *channel = channel_new((struct channel_id){0}, 0);
    uint32_t pushed = 0, popped = 0;
    while (popped < COUNT) {
        uint64_t burst = random_below(&random, 100);
        for (uint64_t i = 0; i < burst && pushed < COUNT; i++) {
            struct buffer *buffer = buffer_pool_try_take(pool);
            memcpy(buffer->data, &pushed, sizeof pushed);
            assert_true(channel_push(channel, buffer));
            pushed++;
        }
        burst = random_below(&random, pushed < COUNT ? 60 : 200);
        for (uint64_t i = 0; i < burst; i++) {
            struct buffer *buffer = channel_pop(channel);
            if (!buffer) {
                assert_int_equal(pushed, popped);
                break;
            }
            assert_memory_equal(buffer->data, &popped, sizeof popped);
            popped++;
            buffer_recycle(buffer);
        }
        assert_int_equal(channel_length(channel), pushed - popped);
    }
    channel_free(channel);
    buffer_pool_free(pool);
}

/* ---- elements
 * -------------------------------------------------------------------------------------------------------- */

struct sent {
    enum element_kind kind;
    uint32_t size, key_hash;
    int64_t timestamp;
    unsigned char seed;
};

static void fill(unsigned char *data, uint32_t size, unsigned char seed)
{
    for (uint32_t i = 0; i < size; i++)
        data[i] = (unsigned char)(seed + i * 31);
}

static struct sent send_random(struct random *random, struct result_partition *partition, uint32_t channel)
{
    static unsigned char data[MAX_RECORD];
    struct sent sent = {.kind = ELEMENT_RECORD,
                        .key_hash = (uint32_t)random_next(random),
                        .timestamp = (int64_t)random_below(random, 1000),
                        .seed = (unsigned char)random_next(random)};
    switch (random_below(random, 12)) {
    case 0:
        sent.size = (uint32_t)random_below(random, MAX_RECORD + 1);
        break;
    case 1: /* around the size of a buffer */
        sent.size = BUFFER_SIZE_BYTES - 40 + (uint32_t)random_below(random, 80);
        break;
    case 2:
        sent = (struct sent){.kind = ELEMENT_WATERMARK, .timestamp = sent.timestamp};
        break;
    case 3:
        sent = (struct sent){.kind = ELEMENT_BARRIER, .timestamp = sent.timestamp, .key_hash = sent.key_hash};
        break;
    default:
        sent.size = (uint32_t)random_below(random, 300);
    }
    if (sent.kind == ELEMENT_RECORD) {
        fill(data, sent.size, sent.seed);
        result_partition_write(partition, channel, sent.key_hash, sent.timestamp, data, sent.size);
    } else if (sent.kind == ELEMENT_WATERMARK) {
        result_partition_broadcast(partition, ELEMENT_WATERMARK, sent.timestamp, NULL, 0);
    } else {
        struct element_barrier barrier = {.checkpoint_id = sent.key_hash, .kind = 1};
        result_partition_broadcast(partition, ELEMENT_BARRIER, sent.timestamp, &barrier, sizeof barrier);
    }
    return sent;
}

static void expect_element(struct element_reader *reader, const struct sent *sent)
{
    static unsigned char data[MAX_RECORD];
    struct element element;
    struct error err = {0};
    assert_int_equal(element_reader_next(reader, &element, &err), ELEMENT_READY);
    assert_int_equal(element.kind, sent->kind);
    assert_int_equal(element.timestamp, sent->timestamp);
    if (sent->kind == ELEMENT_RECORD) {
        assert_int_equal(element.size, sent->size);
        assert_int_equal(element.key_hash, sent->key_hash);
        assert_int_equal((uintptr_t)element.data % 8, 0);
        fill(data, sent->size, sent->seed);
        assert_memory_equal(element.data, data, sent->size);
    } else if (sent->kind == ELEMENT_BARRIER) {
        assert_int_equal(element.barrier.checkpoint_id, sent->key_hash);
        assert_int_equal(element.barrier.kind, 1);
    }
}

static void elements_come_as_they_were_sent(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        enum { COUNT = 300, CHANNELS = 3 };
        struct random random;
        random_init(&random, seed);
        struct channel *channels[CHANNELS];
        struct element_reader readers[CHANNELS];
        for (uint32_t i = 0; i < CHANNELS; i++) {
            channels[i] = channel_new((struct channel_id){.consumer = i}, 0);
            element_reader_init(&readers[i], channels[i], MAX_RECORD);
        }
        struct result_partition partition;
        result_partition_init(&partition, channels, CHANNELS, 1 + (uint32_t)random_below(&random, 6), NULL);
        static struct sent sent[CHANNELS][COUNT];
        uint32_t counts[CHANNELS] = {0}, read[CHANNELS] = {0};
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t channel = (uint32_t)random_below(&random, CHANNELS);
            struct sent one = send_random(&random, &partition, channel);
            for (uint32_t c = 0; c < CHANNELS; c++)
                if (one.kind != ELEMENT_RECORD || c == channel)
                    sent[c][counts[c]++] = one;
            if (random_below(&random, 5) == 0 || i + 1 == COUNT)
                result_partition_flush(&partition);
            if (i + 1 == COUNT || random_below(&random, 20) == 0)
                for (uint32_t c = 0; c < CHANNELS; c++) {
                    result_partition_flush(&partition);
                    while (read[c] < counts[c])
                        expect_element(&readers[c], &sent[c][read[c]++]);
                    struct element none;
                    assert_int_equal(element_reader_next(&readers[c], &none, NULL), ELEMENT_NONE);
                }
        }
        assert_int_equal(buffer_pool_in_use(partition.pool), 0);
        for (uint32_t i = 0; i < CHANNELS; i++) {
            element_reader_deinit(&readers[i]);
            channel_free(channels[i]);
        }
        result_partition_deinit(&partition);
    }
}

/* Records of all small sizes, each in memory of exactly its size: what lies in the buffer is header, record
 * and zeros, and a run of them is what the reader would have said one by one. */
static void small_records_are_copied_exactly(void **state)
{
    (void)state;
    enum { SIZES = 100 };
    struct channel *channel = channel_new((struct channel_id){0}, 0);
    struct result_partition partition;
    result_partition_init(&partition, &channel, 1, 2, NULL);
    result_partition_write(&partition, 0, 0, 0, "the first", 9);
    struct buffer *buffer = partition.current[0];
    memset(buffer->data + buffer->size, 0xff, BUFFER_SIZE_BYTES - buffer->size); /* must not shine through */
    for (uint32_t size = 0; size < SIZES; size++) {
        unsigned char *record = xmalloc(size ? size : 1);
        memset(record, 1 + (int)size, size);
        result_partition_write(&partition, 0, size, -(int64_t)size, record, size);
        free(record);
    }
    result_partition_flush(&partition);

    struct element_reader reader;
    struct element element;
    struct error err = {0};
    element_reader_init(&reader, channel, MAX_RECORD);
    assert_int_equal(element_reader_next(&reader, &element, &err), ELEMENT_READY);
    struct element_run run = element_reader_begin_run(&reader);
    for (uint32_t size = 0; size < SIZES; size++) {
        assert_true(element_run_next(&run, &element));
        assert_int_equal(element.kind, ELEMENT_RECORD);
        assert_int_equal(element.size, size);
        assert_int_equal(element.key_hash, size);
        assert_int_equal(element.timestamp, -(int64_t)size);
        const unsigned char *data = element.data;
        for (uint32_t at = 0; at < size; at++)
            assert_int_equal(data[at], 1 + size);
        for (uint32_t at = size; at % 8; at++)
            assert_int_equal(data[at], 0);
    }
    assert_false(element_run_next(&run, &element));
    element_reader_end_run(&reader, &run);
    assert_true(element_reader_at_end_of_buffer(&reader));
    assert_int_equal(reader.bytes, partition.bytes);
    assert_int_equal(element_reader_next(&reader, &element, &err), ELEMENT_NONE);
    element_reader_deinit(&reader);
    result_partition_deinit(&partition);
    channel_free(channel);
}

static void room_follows_the_pool(void **state)
{
    (void)state;
    struct channel *channels[2] = {channel_new((struct channel_id){0}, 0),
                                   channel_new((struct channel_id){0}, 0)};
    struct result_partition partition;
    result_partition_init(&partition, channels, 2, 2, NULL);
    char data[1000] = {0};
    assert_true(result_partition_has_room(&partition));
    result_partition_write(&partition, 0, 0, 0, data, sizeof data);
    result_partition_write(&partition, 1, 0, 0, data, sizeof data);
    assert_true(result_partition_has_room(&partition)); /* in the buffers begun */
    int written = 0;
    while (result_partition_has_room(&partition) && ++written < 1000)
        result_partition_write(&partition, 0, 0, 0, data, sizeof data);
    assert_in_range(written, 20, 40);
    result_partition_flush(&partition);
    assert_false(result_partition_has_room(&partition));
    result_partition_write(&partition, 0, 0, 0, data, sizeof data); /* an overdraft */
    assert_int_equal(buffer_pool_in_use(partition.pool), 3);
    buffer_recycle(channel_pop(channels[1]));
    assert_true(result_partition_has_room(&partition));
    result_partition_deinit(&partition);
    channel_free(channels[0]);
    channel_free(channels[1]);
}

/* ---- hostile buffers
 * --------------------------------------------------------------------------------------------------- */

struct hostile {
    const char *name;
    struct element_header headers[3];
    uint32_t header_count;
    uint32_t cut; /* bytes taken off the end */
    const char *error;
};

static int refuse_odd(const void *self, const void *record, uint32_t size, struct error *err)
{
    (void)self;
    (void)record;
    return size % 2 ? error_set(err, WEIR_E_CORRUPT, "odd record") : 0;
}

static enum element_status read_all(struct element_reader *reader, struct error *err)
{
    struct element element;
    enum element_status status;
    while ((status = element_reader_next(reader, &element, err)) == ELEMENT_READY)
        ;
    return status;
}

static void hostile_buffers_are_refused(void **state)
{
    (void)state;
    static const struct hostile cases[] = {
        {"fine", {{.size = 8}, {.kind = ELEMENT_WATERMARK}}, 2, 0, NULL},
        {"beyond the buffer", {{.size = 8}, {.size = 100000}}, 2, 0, "reaches beyond its buffer"},
        {"cut", {{.size = 64}}, 1, 8, "reaches beyond its buffer"},
        {"half a header", {{.size = 8}, {.size = 0}}, 2, 8, "too few for an element"},
        {"unknown kind", {{.kind = 9}}, 1, 0, "unknown element kind 9"},
        {"watermark with payload",
         {{.kind = ELEMENT_WATERMARK, .size = 8}},
         1,
         0,
         "has 8 bytes instead of 0"},
        {"short barrier", {{.kind = ELEMENT_BARRIER, .size = 8}}, 1, 0, "has 8 bytes instead of 16"},
        {"record amid pieces",
         {{.kind = ELEMENT_FRAGMENT, .size = 8}, {.size = 8}},
         2,
         0,
         "before the last piece"},
        {"watermark amid pieces",
         {{.kind = ELEMENT_FRAGMENT, .size = 8}, {.kind = ELEMENT_WATERMARK}},
         2,
         0,
         "amid the pieces"},
        {"too large in pieces",
         {{.kind = ELEMENT_FRAGMENT, .size = 2000}, {.kind = ELEMENT_LAST_FRAGMENT, .size = 2104}},
         2,
         0,
         "larger than the 4096 bytes allowed"},
        {"too large", {{.size = 4104}}, 1, 0, "larger than the 4096 allowed"},
        {"bad record", {{.size = 3}}, 1, 0, "odd record"},
        {"size not a multiple", {{.size = 8}}, 1, 3, "impossible size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct hostile *c = &cases[i];
        struct buffer_pool *pool = buffer_pool_new(1, NULL);
        struct channel *channel = channel_new((struct channel_id){.edge = 4, .producer = 2}, 2);
        struct buffer *buffer = buffer_pool_try_take(pool);
        memset(buffer->data, 0, BUFFER_SIZE_BYTES);
        for (uint32_t h = 0; h < c->header_count; h++) {
            memcpy(buffer->data + buffer->size, &c->headers[h], sizeof c->headers[h]);
            uint32_t left = BUFFER_SIZE_BYTES - buffer->size, padded = element_padded(c->headers[h].size);
            buffer->size += padded < left ? padded : left;
        }
        buffer->size -= c->cut;
        assert_true(channel_push(channel, buffer));
        struct element_reader reader;
        element_reader_init(&reader, channel, 4096);
        reader.check = refuse_odd;
        struct error err = {0};
        enum element_status status = read_all(&reader, &err);
        if (c->error) {
            assert_int_equal(status, ELEMENT_BAD);
            if (!strstr(err.message, c->error) || !strstr(err.message, "subtask 2 (edge 4)"))
                fail_msg("%s: '%s'", c->name, err.message);
        } else {
            assert_int_equal(status, ELEMENT_NONE);
        }
        element_reader_deinit(&reader);
        channel_free(channel);
        buffer_pool_free(pool);
    }
}

/* Any bytes at all: an error or elements, never anything else (AddressSanitizer watches). */
static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 99);
    uint32_t bad = 0;
    for (int round = 0; round < 3000; round++) {
        struct buffer_pool *pool = buffer_pool_new(4, NULL);
        struct channel *channel = channel_new((struct channel_id){0}, 4);
        for (int b = 0; b < 3; b++) {
            struct buffer *buffer = buffer_pool_try_take(pool);
            buffer->size = 8 * (uint32_t)random_below(&random, 100);
            for (uint32_t i = 0; i < buffer->size; i += 8) {
                uint64_t word = random_next(&random);
                if (random_below(&random, 2)) /* likely headers */
                    word = random_below(&random, 64) | random_below(&random, 9) << 28;
                memcpy(buffer->data + i, &word, sizeof word);
            }
            assert_true(channel_push(channel, buffer));
        }
        struct element_reader reader;
        element_reader_init(&reader, channel, 1024);
        struct error err = {0};
        bad += read_all(&reader, &err) == ELEMENT_BAD;
        element_reader_deinit(&reader);
        channel_free(channel);
        buffer_pool_free(pool);
    }
    assert_in_range(bad, 1000, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_is_finite_and_overdraws),
        cmocka_unit_test(pool_lives_until_its_last_buffer),
        cmocka_unit_test(bounded_channel_refuses_and_tells),
        cmocka_unit_test(growing_channel_keeps_the_order),
        cmocka_unit_test(elements_come_as_they_were_sent),
        cmocka_unit_test(small_records_are_copied_exactly),
        cmocka_unit_test(room_follows_the_pool),
        cmocka_unit_test(hostile_buffers_are_refused),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
