/* The data plane over real TCP: two loops on two threads, tasks played by threads of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "taskmanager/worker/network/frame.h"
#include "taskmanager/worker/network/network.h"

enum { DEADLINE_S = 60, PRODUCER_POOL = 4, CHANNEL_CAPACITY = 16 };

static const struct weir_id job = {{42}};

/* ---- what stands for a task's thread ---- */

struct sleeper {
    struct waker waker;
    sem_t wakes;
};

static void sleeper_wake(struct waker *waker)
{
    sem_post(&((struct sleeper *)waker)->wakes);
}

static void sleeper_init(struct sleeper *sleeper)
{
    atomic_init(&sleeper->waker.sleeping, false);
    sleeper->waker.wake = sleeper_wake;
    sem_init(&sleeper->wakes, 0, 0);
}

static struct timespec deadline_from_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += DEADLINE_S;
    return t;
}

/* true: woken or cancelled before the deadline. Called after waker_prepare. */
static bool sleeper_sleep(struct sleeper *sleeper)
{
    struct timespec until = deadline_from_now();
    int rc;
    while ((rc = sem_timedwait(&sleeper->wakes, &until)) != 0 && errno == EINTR)
        ;
    return rc == 0;
}

/* ---- a worker's loop on a thread ---- */

struct node {
    uv_loop_t loop;
    uv_async_t command;
    pthread_t thread;
    struct network *network;
    /* set before the command is sent, read by the loop's thread */
    _Atomic int wanted; /* 1: finish, 2: finish and discard, 3: close */
    sem_t finished;
    sem_t lost;
    char lost_message[512]; /* written before lost is posted */
};

static void on_lost(void *self, const char *worker, const char *message)
{
    struct node *node = self;
    snprintf(node->lost_message, sizeof node->lost_message, "%s|%s", worker, message);
    sem_post(&node->lost);
}

static void on_finished(void *self)
{
    sem_post(&((struct node *)self)->finished);
}

static void on_command(uv_async_t *async)
{
    struct node *node = async->data;
    int wanted = atomic_exchange(&node->wanted, 0);
    if (wanted == 1 || wanted == 2)
        network_finish(node->network, wanted == 2, on_finished, node);
    if (wanted == 3) {
        network_close(node->network, NULL, NULL);
        uv_close((uv_handle_t *)async, NULL);
    }
}

static void *run_loop(void *self)
{
    uv_run(&((struct node *)self)->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void node_init(struct node *node, const char *name, uint32_t attempt)
{
    struct error err;
    struct network_options options = {.bind_host = "127.0.0.1",
                                      .job = job,
                                      .attempt = attempt,
                                      .loss_delay_ms = 20,
                                      .worker = name,
                                      .callbacks = {on_lost, node}};
    memset(node, 0, sizeof *node);
    sem_init(&node->finished, 0, 0);
    sem_init(&node->lost, 0, 0);
    assert_int_equal(uv_loop_init(&node->loop), 0);
    assert_int_equal(uv_async_init(&node->loop, &node->command, on_command), 0);
    node->command.data = node;
    assert_int_equal(network_open(&node->loop, &options, &node->network, &err), WEIR_OK);
    assert_true(network_port(node->network) > 0);
}

static void node_start(struct node *node)
{
    assert_int_equal(pthread_create(&node->thread, NULL, run_loop, node), 0);
}

static void node_command(struct node *node, int wanted)
{
    atomic_store(&node->wanted, wanted);
    uv_async_send(&node->command);
}

/* Closes all it has and ends its thread. */
static void node_stop(struct node *node)
{
    node_command(node, 3);
    pthread_join(node->thread, NULL);
    assert_int_equal(uv_loop_close(&node->loop), 0);
}

static bool wait_for(sem_t *semaphore)
{
    struct timespec until = deadline_from_now();
    return sem_timedwait(semaphore, &until) == 0;
}

/* ---- a channel with its two tasks ---- */

struct stream {
    struct channel_id id;
    uint64_t count;
    struct buffer_pool *producer_pool, *consumer_pool;
    struct channel *out, *in;
    struct sleeper producer, consumer;
    pthread_t producer_thread, consumer_thread;
    atomic_bool stop;
    _Atomic uint64_t received;
    const char *failure;
};

static uint32_t size_of(uint64_t sequence)
{
    return sequence % 997 == 0 ? BUFFER_SIZE_BYTES : (uint32_t)(8 + sequence * 37 % 200);
}

static unsigned char byte_of(uint64_t sequence, uint32_t position)
{
    return (unsigned char)(sequence * 31 + position * 7);
}

static void *produce(void *self)
{
    struct stream *stream = self;
    for (uint64_t sequence = 0; sequence < stream->count && !stream->stop; sequence++) {
        struct buffer *buffer;
        while (!(buffer = buffer_pool_try_take(stream->producer_pool)) && !stream->stop) {
            waker_prepare(&stream->producer.waker);
            if (buffer_pool_has_free(stream->producer_pool) || stream->stop)
                waker_cancel(&stream->producer.waker);
            else if (!sleeper_sleep(&stream->producer)) {
                stream->failure = "the producer was never woken";
                return NULL;
            }
        }
        if (!buffer)
            return NULL;
        buffer->size = size_of(sequence);
        memcpy(buffer->data, &sequence, sizeof sequence);
        for (uint32_t i = sizeof sequence; i < buffer->size; i++)
            buffer->data[i] = byte_of(sequence, i);
        if (!channel_push(stream->out, buffer)) {
            stream->failure = "the producer's ring is full";
            buffer_recycle(buffer);
            return NULL;
        }
    }
    return NULL;
}

static const char *check(const struct buffer *buffer, uint64_t sequence)
{
    uint64_t got;
    memcpy(&got, buffer->data, sizeof got);
    if (got != sequence)
        return "out of order";
    if (buffer->size != size_of(sequence))
        return "another size";
    for (uint32_t i = sizeof sequence; i < buffer->size; i++)
        if (buffer->data[i] != byte_of(sequence, i))
            return "other bytes";
    return NULL;
}

static void *consume(void *self)
{
    struct stream *stream = self;
    while (stream->received < stream->count && !stream->stop && !stream->failure) {
        struct buffer *buffer = channel_pop(stream->in);
        if (buffer) {
            const char *wrong = check(buffer, stream->received);
            if (wrong)
                stream->failure = wrong;
            buffer_recycle(buffer);
            stream->received++;
            continue;
        }
        waker_prepare(&stream->consumer.waker);
        if (!channel_is_empty(stream->in) || stream->stop)
            waker_cancel(&stream->consumer.waker);
        else if (!sleeper_sleep(&stream->consumer))
            stream->failure = "the consumer was never woken";
    }
    return NULL;
}

static void stream_init(struct stream *stream, uint32_t number, uint64_t count, uint32_t credit)
{
    memset(stream, 0, sizeof *stream);
    stream->id = (struct channel_id){1, number, 10 + number};
    stream->count = count;
    sleeper_init(&stream->producer);
    sleeper_init(&stream->consumer);
    stream->producer_pool = buffer_pool_new(PRODUCER_POOL, &stream->producer.waker);
    stream->consumer_pool = buffer_pool_new(credit, NULL);
    stream->out = channel_new(stream->id, CHANNEL_CAPACITY);
    stream->in = channel_new(stream->id, CHANNEL_CAPACITY);
    channel_set_consumer_waker(stream->in, &stream->consumer.waker);
}

static void stream_start(struct stream *stream)
{
    assert_int_equal(pthread_create(&stream->producer_thread, NULL, produce, stream), 0);
    assert_int_equal(pthread_create(&stream->consumer_thread, NULL, consume, stream), 0);
}

static void stream_join(struct stream *stream)
{
    pthread_join(stream->producer_thread, NULL);
    pthread_join(stream->consumer_thread, NULL);
}

/* After the networks are closed, before they are freed: the wakers are theirs. */
static void stream_deinit(struct stream *stream)
{
    channel_free(stream->out);
    channel_free(stream->in);
    buffer_pool_free(stream->producer_pool);
    buffer_pool_free(stream->consumer_pool);
}

static struct network_channel output_of(struct stream *stream, const char *peer, const char *address)
{
    return (struct network_channel){stream->out, stream->id, true, peer, address, NULL};
}

static struct network_channel input_of(struct stream *stream, const char *peer)
{
    return (struct network_channel){stream->in, stream->id, false, peer, "", stream->consumer_pool};
}

static void address_of(const struct node *node, char text[32])
{
    snprintf(text, 32, "127.0.0.1:%u", network_port(node->network));
}

/* ---- tests ---- */

static void carries_buffers_in_order(void **state)
{
    (void)state;
    enum { STREAMS = 3, EACH = 50000 };
    static struct node a, b;
    static struct stream streams[STREAMS]; /* two from a to b, one back */
    static const uint32_t credits[STREAMS] = {1, 2, 8};
    struct error err;
    char address_a[32], address_b[32];
    node_init(&a, "worker-a", 3);
    node_init(&b, "worker-b", 3);
    address_of(&a, address_a);
    address_of(&b, address_b);
    for (uint32_t i = 0; i < STREAMS; i++)
        stream_init(&streams[i], i, EACH, credits[i]);
    struct network_channel of_a[] = {output_of(&streams[0], "worker-b", address_b),
                                     output_of(&streams[1], "worker-b", address_b),
                                     input_of(&streams[2], "worker-b")};
    struct network_channel of_b[] = {input_of(&streams[0], "worker-a"), input_of(&streams[1], "worker-a"),
                                     output_of(&streams[2], "worker-a", address_a)};
    assert_int_equal(network_connect(a.network, of_a, 3, &err), WEIR_OK);
    node_start(&a); /* dials b, which does not yet know what it is to get */
    assert_int_equal(network_connect(b.network, of_b, 3, &err), WEIR_OK);
    node_start(&b);
    for (uint32_t i = 0; i < STREAMS; i++)
        stream_start(&streams[i]);
    for (uint32_t i = 0; i < STREAMS; i++)
        pthread_join(streams[i].producer_thread, NULL);
    pthread_join(streams[2].consumer_thread, NULL);
    node_command(&a, 1); /* its tasks have ended; the last buffers are under way */
    assert_true(wait_for(&a.finished));
    for (uint32_t i = 0; i < STREAMS; i++) {
        if (i != 2)
            pthread_join(streams[i].consumer_thread, NULL);
        if (streams[i].failure)
            fail_msg("stream %u, buffer %llu: %s", i, (unsigned long long)streams[i].received,
                     streams[i].failure);
        assert_int_equal(streams[i].received, EACH);
    }
    node_command(&b, 1);
    assert_true(wait_for(&b.finished));
    node_stop(&a);
    node_stop(&b);
    for (uint32_t i = 0; i < STREAMS; i++)
        stream_deinit(&streams[i]);
    network_free(a.network);
    network_free(b.network);
    assert_string_equal(a.lost_message, ""); /* orderly ends are no losses */
    assert_string_equal(b.lost_message, "");
}

static void a_cut_connection_is_reported_on_both_sides(void **state)
{
    (void)state;
    for (int cut = 0; cut < 2; cut++) { /* the producer's side, the consumer's */
        static struct node a, b;
        static struct stream stream;
        struct error err;
        char address[32];
        node_init(&a, "worker-a", 0);
        node_init(&b, "worker-b", 0);
        address_of(&b, address);
        stream_init(&stream, 0, UINT64_MAX, 2);
        struct network_channel out = output_of(&stream, "worker-b", address),
                               in = input_of(&stream, "worker-a");
        assert_int_equal(network_connect(b.network, &in, 1, &err), WEIR_OK);
        assert_int_equal(network_connect(a.network, &out, 1, &err), WEIR_OK);
        node_start(&a);
        node_start(&b);
        stream_start(&stream);
        struct timespec until = deadline_from_now(), now;
        do {
            sched_yield();
            clock_gettime(CLOCK_REALTIME, &now);
        } while (stream.received < 100 && now.tv_sec < until.tv_sec);
        assert_true(stream.received >= 100);
        struct node *dying = cut ? &b : &a, *surviving = cut ? &a : &b;
        stream.stop = true;
        sem_post(&stream.producer.wakes);
        sem_post(&stream.consumer.wakes);
        stream_join(&stream);
        assert_null(stream.failure);
        node_stop(dying);
        assert_true(wait_for(&surviving->lost));
        const char *expected = cut ? "worker-b|connection to worker worker-b lost: "
                                   : "worker-a|connection from worker worker-a lost: ";
        assert_memory_equal(surviving->lost_message, expected, strlen(expected));
        assert_string_equal(dying->lost_message, "");
        node_stop(surviving);
        stream_deinit(&stream);
        network_free(a.network);
        network_free(b.network);
    }
}

struct refusal {
    const char *name;
    uint32_t attempt; /* of the listener; the dialler has 0 */
    bool other_channel, dead;
    const char *expected;
};

static const struct refusal refusals[] = {
    {"attempt", 5, false, false,
     "worker-b|connection to worker worker-b lost: refused: this worker runs attempt 5 of job "
     "2a000000000000000000000000000000"},
    {"channel", 0, true, false, "worker-b|connection to worker worker-b lost: "},
    {"dead", 0, false, true,
     "worker-b|connection to worker worker-b (127.0.0.1:1) failed: connection refused"},
};

static void refused_connections_are_reported(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        static struct node a, b;
        static struct stream stream, other;
        struct error err;
        char address[32];
        node_init(&a, "worker-a", 0);
        node_init(&b, "worker-b", refusals[i].attempt);
        address_of(&b, address);
        stream_init(&stream, 0, 1, 2);
        stream_init(&other, 1, 1, 2);
        struct network_channel out =
            output_of(&stream, "worker-b", refusals[i].dead ? "127.0.0.1:1" : address);
        struct network_channel in = input_of(refusals[i].other_channel ? &other : &stream, "worker-a");
        assert_int_equal(network_connect(b.network, &in, 1, &err), WEIR_OK);
        assert_int_equal(network_connect(a.network, &out, 1, &err), WEIR_OK);
        node_start(&b);
        node_start(&a);
        assert_true(wait_for(&a.lost));
        if (strncmp(a.lost_message, refusals[i].expected, strlen(refusals[i].expected)) != 0)
            fail_msg("%s: %s", refusals[i].name, a.lost_message);
        node_stop(&a);
        node_stop(&b);
        stream_deinit(&stream);
        stream_deinit(&other);
        network_free(a.network);
        network_free(b.network);
    }
}

static int dial_raw(const struct node *node)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(network_port(node->network)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval timeout = {.tv_sec = DEADLINE_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Reads until the other side has closed. */
static void expect_closed(int fd)
{
    char bytes[256];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    assert_true(got == 0 || errno == ECONNRESET);
    close(fd);
}

static void strangers_are_cut_off(void **state)
{
    (void)state;
    static struct node b;
    static struct stream stream;
    struct error err;
    unsigned char f[FRAME_SMALL_MAX_BYTES];
    node_init(&b, "worker-b", 0);
    stream_init(&stream, 0, 1, 2);
    struct network_channel in = input_of(&stream, "worker-a");
    assert_int_equal(network_connect(b.network, &in, 1, &err), WEIR_OK);
    node_start(&b);

    int fd = dial_raw(&b);
    assert_true(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
    expect_closed(fd);
    fd = dial_raw(&b); /* not a word before HELLO */
    size_t size = frame_encode_open(f, 0, stream.id);
    assert_true(send(fd, f, size, MSG_NOSIGNAL) == (ssize_t)size);
    expect_closed(fd);
    assert_string_equal(b.lost_message, ""); /* nothing of ours was lost */

    fd = dial_raw(&b); /* a peer that doesn't keep to its credit of 2 */
    size = frame_encode_hello(f, &job, 0, "worker-a");
    assert_true(send(fd, f, size, MSG_NOSIGNAL) == (ssize_t)size);
    size = frame_encode_open(f, 0, stream.id);
    assert_true(send(fd, f, size, MSG_NOSIGNAL) == (ssize_t)size);
    size_t got = 0;
    while (got < FRAME_HEADER_BYTES + 4) {
        ssize_t n = recv(fd, f, FRAME_HEADER_BYTES + 4 - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    for (int i = 0; i < 3; i++) {
        memset(f, 0, sizeof f);
        size = frame_encode_header(f, FRAME_DATA, 0, 5);
        assert_true(send(fd, f, size, MSG_NOSIGNAL) == (ssize_t)size);
    }
    expect_closed(fd);
    assert_true(wait_for(&b.lost));
    assert_string_equal(b.lost_message,
                        "worker-a|connection from worker worker-a lost: data for channel 0 without credit");
    node_stop(&b);
    assert_int_equal(network_connection_count(b.network), 1); /* of strangers nothing is kept */
    stream_deinit(&stream);
    network_free(b.network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_buffers_in_order),
        cmocka_unit_test(a_cut_connection_is_reported_on_both_sides),
        cmocka_unit_test(refused_connections_are_reported),
        cmocka_unit_test(strangers_are_cut_off),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
