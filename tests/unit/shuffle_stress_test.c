/* Pools and channels between real threads, for ThreadSanitizer; also run without it. Two producers, each with
 * a pool of its own and a channel to each of two consumers; everybody sleeps on an eventfd when there is
 * nothing to do. Lost wake-ups end in the deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "taskmanager/worker/shuffle/element_reader.h"
#include "taskmanager/worker/shuffle/result_partition.h"

enum { PRODUCERS = 2, CONSUMERS = 2, RECORDS = 60000, SLEEP_LIMIT_MS = 20000 };

struct thread_waker {
    struct waker waker;
    int fd;
};

static void wake(struct waker *waker)
{
    uint64_t one = 1;
    if (write(((struct thread_waker *)waker)->fd, &one, sizeof one) != sizeof one)
        abort();
}

static void sleep_until_woken(struct thread_waker *waker)
{
    struct pollfd fd = {.fd = waker->fd, .events = POLLIN};
    uint64_t count;
    if (poll(&fd, 1, SLEEP_LIMIT_MS) != 1 || read(waker->fd, &count, sizeof count) != sizeof count)
        abort(); /* nobody woke us: a wake-up was lost */
}

struct producer {
    struct thread_waker waker;
    struct channel *channels[CONSUMERS];
    uint32_t index;
    uint32_t waits;
};

struct consumer {
    struct thread_waker waker;
    struct channel *channels[PRODUCERS];
    uint64_t records;
    bool in_order;
};

static void wait_for_room(struct producer *producer, struct result_partition *partition)
{
    while (!result_partition_has_room(partition)) {
        result_partition_flush(partition);
        waker_prepare(&producer->waker.waker);
        if (result_partition_has_room(partition)) {
            waker_cancel(&producer->waker.waker);
            break;
        }
        producer->waits++;
        sleep_until_woken(&producer->waker);
    }
}

static void *produce(void *arg)
{
    struct producer *producer = arg;
    struct result_partition partition;
    result_partition_init(&partition, producer->channels, CONSUMERS, 3, &producer->waker.waker);
    static const uint32_t sizes[] = {8, 24, 200, 1000, 40000};
    unsigned char *data = calloc(1, 40000);
    for (uint64_t i = 0; i < RECORDS; i++) {
        wait_for_room(producer, &partition);
        memcpy(data, &i, sizeof i);
        uint32_t size = i % 997 == 0 ? sizes[4] : sizes[i % 4];
        for (uint32_t c = 0; c < CONSUMERS; c++)
            if (i % CONSUMERS == c)
                result_partition_write(&partition, c, (uint32_t)i, (int64_t)i, data, size);
        if (i % 777 == 0)
            result_partition_flush(&partition);
    }
    result_partition_broadcast(&partition, ELEMENT_END_OF_INPUT, 0, NULL, 0);
    result_partition_flush(&partition);
    free(data);
    result_partition_deinit(&partition); /* while its buffers are still under way */
    return NULL;
}

static void *consume(void *arg)
{
    struct consumer *consumer = arg;
    struct element_reader readers[PRODUCERS];
    int64_t last[PRODUCERS];
    uint32_t ended = 0;
    consumer->in_order = true;
    for (int i = 0; i < PRODUCERS; i++) {
        element_reader_init(&readers[i], consumer->channels[i], 100000);
        last[i] = -1;
    }
    while (ended < PRODUCERS) {
        bool any = false;
        waker_prepare(&consumer->waker.waker);
        for (int i = 0; i < PRODUCERS; i++) {
            struct element element;
            enum element_status status;
            while ((status = element_reader_next(&readers[i], &element, NULL)) == ELEMENT_READY) {
                any = true;
                if (element.kind == ELEMENT_END_OF_INPUT) {
                    ended++;
                    continue;
                }
                consumer->records++;
                consumer->in_order &= element.timestamp > last[i] &&
                                      memcmp(element.data, &element.timestamp, sizeof element.timestamp) == 0;
                last[i] = element.timestamp;
            }
            if (status == ELEMENT_BAD)
                abort();
        }
        if (any || ended == PRODUCERS)
            waker_cancel(&consumer->waker.waker);
        else
            sleep_until_woken(&consumer->waker);
    }
    for (int i = 0; i < PRODUCERS; i++)
        element_reader_deinit(&readers[i]);
    return NULL;
}

static struct thread_waker waker_new(void)
{
    /* A semaphore: a wake that comes after a cancel is only a sleep that ends early. */
    return (struct thread_waker){.waker.wake = wake, .fd = eventfd(0, EFD_SEMAPHORE)};
}

static void threads_pass_all_records_in_order(void **state)
{
    (void)state;
    struct producer producers[PRODUCERS] = {0};
    struct consumer consumers[CONSUMERS] = {0};
    struct channel *channels[PRODUCERS][CONSUMERS];
    for (uint32_t c = 0; c < CONSUMERS; c++)
        consumers[c].waker = waker_new();
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        producers[p].waker = waker_new();
        for (uint32_t c = 0; c < CONSUMERS; c++) {
            channels[p][c] = channel_new((struct channel_id){.producer = p, .consumer = c}, 0);
            channel_set_consumer_waker(channels[p][c], &consumers[c].waker.waker);
            producers[p].channels[c] = consumers[c].channels[p] = channels[p][c];
        }
    }
    pthread_t threads[PRODUCERS + CONSUMERS];
    for (uint32_t p = 0; p < PRODUCERS; p++)
        assert_int_equal(pthread_create(&threads[p], NULL, produce, &producers[p]), 0);
    for (uint32_t c = 0; c < CONSUMERS; c++)
        assert_int_equal(pthread_create(&threads[PRODUCERS + c], NULL, consume, &consumers[c]), 0);
    for (uint32_t t = 0; t < PRODUCERS + CONSUMERS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    uint64_t records = 0;
    for (uint32_t c = 0; c < CONSUMERS; c++) {
        assert_true(consumers[c].in_order);
        records += consumers[c].records;
        close(consumers[c].waker.fd);
    }
    assert_int_equal(records, (uint64_t)PRODUCERS * RECORDS);
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        close(producers[p].waker.fd);
        for (uint32_t c = 0; c < CONSUMERS; c++)
            channel_free(channels[p][c]);
    }
}

/* The network's way: a bounded ring whose producer is refused, sleeps and is told. */
struct ring {
    struct channel *channel;
    struct thread_waker producer, consumer;
    struct buffer_pool *pool;
};

static void *fill_ring(void *arg)
{
    struct ring *ring = arg;
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct buffer *buffer = buffer_pool_take_overdraft(ring->pool);
        buffer->size = i;
        while (!channel_push(ring->channel, buffer)) {
            waker_prepare(&ring->producer.waker);
            if (channel_push(ring->channel, buffer)) {
                waker_cancel(&ring->producer.waker);
                break;
            }
            sleep_until_woken(&ring->producer);
        }
    }
    return NULL;
}

static void full_ring_wakes_its_producer(void **state)
{
    (void)state;
    struct ring ring = {.channel = channel_new((struct channel_id){0}, 4),
                        .producer = waker_new(),
                        .consumer = waker_new(),
                        .pool = buffer_pool_new(1, NULL)};
    channel_set_producer_waker(ring.channel, &ring.producer.waker);
    channel_set_consumer_waker(ring.channel, &ring.consumer.waker);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fill_ring, &ring), 0);
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct buffer *buffer = channel_pop(ring.channel);
        while (!buffer) {
            waker_prepare(&ring.consumer.waker);
            if ((buffer = channel_pop(ring.channel)))
                waker_cancel(&ring.consumer.waker);
            else
                sleep_until_woken(&ring.consumer);
        }
        assert_int_equal(buffer->size, i);
        buffer_recycle(buffer);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(ring.producer.fd);
    close(ring.consumer.fd);
    channel_free(ring.channel);
    assert_int_equal(buffer_pool_in_use(ring.pool), 0);
    buffer_pool_free(ring.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_pass_all_records_in_order),
        cmocka_unit_test(full_ring_wakes_its_producer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
