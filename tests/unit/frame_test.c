/* The data plane's frames: every split of a stream decodes to the same; hostile bytes are errors, never more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/strbuf.h"
#include "taskmanager/worker/network/frame.h"

enum { STREAM_MAX = 1 << 20 };

static const struct weir_id job = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void add_data(struct strbuf *stream, uint32_t channel, uint32_t size, unsigned char first)
{
    unsigned char header[FRAME_HEADER_BYTES];
    frame_encode_header(header, FRAME_DATA, channel, size);
    strbuf_add(stream, header, sizeof header);
    for (uint32_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)(first + i);
        strbuf_add(stream, &byte, 1);
    }
}

static void add_small(struct strbuf *stream, const unsigned char *frame, size_t size)
{
    strbuf_add(stream, frame, size);
}

/* A bit of everything. */
static void make_stream(struct strbuf *stream)
{
    unsigned char f[FRAME_SMALL_MAX_BYTES];
    strbuf_init(stream, STREAM_MAX);
    add_small(stream, f, frame_encode_hello(f, &job, 7, "localhost:4711-abcdef"));
    add_small(stream, f, frame_encode_open(f, 0, (struct channel_id){3, 4, 5}));
    add_data(stream, 0, 1, 9);
    add_small(stream, f, frame_encode_credit(f, 2, 300));
    add_data(stream, 65535, 100, 1);
    add_small(stream, f, frame_encode_header(f, FRAME_BYE, 0, 0));
    add_small(stream, f, frame_encode_refuse(f, "why not"));
    add_small(stream, f, frame_encode_header(f, FRAME_BYE_ACK, 0, 0));
}

/* What was decoded, as text: data pieces joined, so that it doesn't depend on the splits. */
static void describe(struct frame_decoder *decoder, const unsigned char *data, size_t size,
                     struct strbuf *out)
{
    struct frame_event event;
    struct error err;
    do {
        size_t used = frame_decode(decoder, data, size, &event, &err);
        assert_true(used <= size);
        data += used;
        size -= used;
        if (event.kind == FRAME_EVENT_CONTROL)
            strbuf_addf(out, "[%d %u %u ", event.type, event.channel, event.size);
        else if (event.kind == FRAME_EVENT_DATA_BEGIN)
            strbuf_addf(out, "[data %u %u ", event.channel, event.size);
        else if (event.kind == FRAME_EVENT_DATA_END)
            strbuf_addf(out, "]");
        if (event.kind == FRAME_EVENT_CONTROL || event.kind == FRAME_EVENT_DATA_PIECE) {
            for (uint32_t i = 0; i < event.size; i++)
                strbuf_addf(out, "%02x", event.payload[i]);
            if (event.kind == FRAME_EVENT_CONTROL)
                strbuf_addf(out, "]");
        }
        assert_int_not_equal(event.kind, FRAME_EVENT_ERROR);
    } while (event.kind != FRAME_EVENT_MORE);
    assert_int_equal(size, 0);
}

static void decodes_the_same_at_every_split(void **state)
{
    (void)state;
    struct strbuf stream, whole, split;
    struct frame_decoder decoder;
    make_stream(&stream);
    strbuf_init(&whole, STREAM_MAX);
    strbuf_init(&split, STREAM_MAX);
    frame_decoder_init(&decoder);
    describe(&decoder, (unsigned char *)stream.data, stream.size, &whole);
    assert_non_null(strstr(whole.data, "[data 0 1 09][4 2 4 2c010000][data 65535 100 0102"));
    assert_non_null(strstr(whole.data, "][6 0 0 ][2 0 7 776879206e6f74][7 0 0 ]"));
    for (size_t first = 0; first <= stream.size; first++) {
        for (size_t second = first; second <= stream.size; second += 1 + second % 7) {
            strbuf_clear(&split);
            frame_decoder_init(&decoder);
            describe(&decoder, (unsigned char *)stream.data, first, &split);
            describe(&decoder, (unsigned char *)stream.data + first, second - first, &split);
            describe(&decoder, (unsigned char *)stream.data + second, stream.size - second, &split);
            assert_string_equal(split.data, whole.data);
        }
    }
    strbuf_clear(&split);
    frame_decoder_init(&decoder);
    for (size_t i = 0; i < stream.size; i++)
        describe(&decoder, (unsigned char *)stream.data + i, 1, &split);
    assert_string_equal(split.data, whole.data);
    strbuf_deinit(&stream);
    strbuf_deinit(&whole);
    strbuf_deinit(&split);
}

static void buffers_can_be_read_to_their_place(void **state)
{
    (void)state;
    struct strbuf stream, out;
    struct frame_decoder decoder;
    struct frame_event event;
    strbuf_init(&stream, STREAM_MAX);
    strbuf_init(&out, STREAM_MAX);
    add_data(&stream, 3, 1000, 0);
    add_data(&stream, 4, 5, 0);
    frame_decoder_init(&decoder);
    assert_int_equal(frame_decoder_direct(&decoder), 0);
    describe(&decoder, (unsigned char *)stream.data, FRAME_HEADER_BYTES + 10, &out);
    assert_int_equal(frame_decoder_direct(&decoder), 990);
    assert_false(frame_decoder_advance(&decoder, 989));
    assert_int_equal(frame_decoder_direct(&decoder), 1);
    assert_true(frame_decoder_advance(&decoder, 1));
    assert_int_equal(frame_decoder_direct(&decoder), 0);
    size_t used = frame_decode(&decoder, (unsigned char *)stream.data + FRAME_HEADER_BYTES + 1000,
                               stream.size - FRAME_HEADER_BYTES - 1000, &event, NULL);
    assert_int_equal(used, FRAME_HEADER_BYTES);
    assert_int_equal(event.kind, FRAME_EVENT_DATA_BEGIN);
    assert_int_equal(event.channel, 4);
    strbuf_deinit(&stream);
    strbuf_deinit(&out);
}

struct header_case {
    const char *name;
    uint32_t length, channel;
    unsigned type;
    unsigned char reserved;
    bool good;
};

static const struct header_case header_cases[] = {
    {"data", BUFFER_SIZE_BYTES, 0, FRAME_DATA, 0, true},
    {"data too long", BUFFER_SIZE_BYTES + 1, 0, FRAME_DATA, 0, false},
    {"data of 4 GB", UINT32_MAX, 0, FRAME_DATA, 0, false},
    {"empty data", 0, 0, FRAME_DATA, 0, false},
    {"channel", 1, FRAME_CHANNELS_MAX - 1, FRAME_DATA, 0, true},
    {"channel too high", 1, FRAME_CHANNELS_MAX, FRAME_DATA, 0, false},
    {"reserved byte", 1, 0, FRAME_DATA, 1, false},
    {"type 0", 0, 0, 0, 0, false},
    {"type 8", 0, 0, 8, 0, false},
    {"type 255", 0, 0, 255, 0, false},
    {"hello too short", 32, 0, FRAME_HELLO, 0, false},
    {"hello with the shortest id", 33, 0, FRAME_HELLO, 0, true},
    {"hello with the longest id", 32 + FRAME_WORKER_ID_MAX_BYTES, 0, FRAME_HELLO, 0, true},
    {"hello too long", 33 + FRAME_WORKER_ID_MAX_BYTES, 0, FRAME_HELLO, 0, false},
    {"open", 12, 0, FRAME_OPEN, 0, true},
    {"open short", 11, 0, FRAME_OPEN, 0, false},
    {"credit", 4, 0, FRAME_CREDIT, 0, true},
    {"credit long", 5, 0, FRAME_CREDIT, 0, false},
    {"refuse", FRAME_CONTROL_MAX_BYTES, 0, FRAME_REFUSE, 0, true},
    {"refuse long", FRAME_CONTROL_MAX_BYTES + 1, 0, FRAME_REFUSE, 0, false},
    {"bye with payload", 1, 0, FRAME_BYE, 0, false},
};

static void checks_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof header_cases / sizeof *header_cases; i++) {
        const struct header_case *c = &header_cases[i];
        struct frame_decoder decoder;
        struct frame_event event;
        struct error err = {0};
        unsigned char header[FRAME_HEADER_BYTES];
        frame_encode_header(header, (enum frame_type)c->type, c->channel, c->length);
        header[6] = c->reserved;
        frame_decoder_init(&decoder);
        size_t used = frame_decode(&decoder, header, sizeof header, &event, &err);
        assert_int_equal(used, sizeof header);
        if ((event.kind != FRAME_EVENT_ERROR) != c->good)
            fail_msg("%s: %s", c->name, err.message);
        if (c->good)
            continue;
        assert_int_equal(err.rc, WEIR_E_CORRUPT);
        used = frame_decode(&decoder, header, sizeof header, &event, &err); /* and never again */
        assert_int_equal(event.kind, FRAME_EVENT_ERROR);
        assert_int_equal(used, 0);
    }
}

static struct frame_event control(struct frame_decoder *decoder, const unsigned char *frame, size_t size)
{
    struct frame_event event;
    struct error err;
    frame_decoder_init(decoder);
    assert_int_equal(frame_decode(decoder, frame, size, &event, &err), size);
    assert_int_equal(event.kind, FRAME_EVENT_CONTROL);
    return event;
}

static void checks_payloads(void **state)
{
    (void)state;
    unsigned char f[FRAME_SMALL_MAX_BYTES];
    struct frame_decoder decoder;
    struct frame_hello hello;
    struct error err;
    uint32_t credit;
    size_t size = frame_encode_hello(f, &job, 7, "w");
    struct frame_event event = control(&decoder, f, size);
    assert_int_equal(frame_decode_hello(&event, &hello, &err), WEIR_OK);
    assert_string_equal(hello.worker, "w");
    assert_int_equal(hello.attempt, 7);
    assert_true(weir_id_equal(&hello.job, &job));
    f[FRAME_HEADER_BYTES] ^= 1; /* magic */
    event = control(&decoder, f, size);
    assert_int_equal(frame_decode_hello(&event, &hello, &err), WEIR_E_CORRUPT);
    f[FRAME_HEADER_BYTES] ^= 1;
    f[FRAME_HEADER_BYTES + 8] = 2; /* version */
    event = control(&decoder, f, size);
    assert_int_equal(frame_decode_hello(&event, &hello, &err), WEIR_E_VERSION);
    assert_string_equal(err.message, "data plane version 2, this worker speaks 1");
    f[FRAME_HEADER_BYTES + 8] = 1;
    f[size - 1] = '\n'; /* would make a mess of log lines */
    event = control(&decoder, f, size);
    assert_int_equal(frame_decode_hello(&event, &hello, &err), WEIR_E_CORRUPT);

    static const struct {
        uint32_t credit;
        int rc;
    } credits[] = {{0, WEIR_E_CORRUPT},
                   {1, WEIR_OK},
                   {FRAME_CREDIT_MAX, WEIR_OK},
                   {FRAME_CREDIT_MAX + 1, WEIR_E_CORRUPT},
                   {UINT32_MAX, WEIR_E_CORRUPT}};
    for (size_t i = 0; i < sizeof credits / sizeof *credits; i++) {
        event = control(&decoder, f, frame_encode_credit(f, 0, credits[i].credit));
        assert_int_equal(frame_decode_credit(&event, &credit, &err), credits[i].rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_the_same_at_every_split),
        cmocka_unit_test(buffers_can_be_read_to_their_place),
        cmocka_unit_test(checks_headers),
        cmocka_unit_test(checks_payloads),
    };
    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
