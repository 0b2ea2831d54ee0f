/* Bytes of a data plane connection: decoded at once and in pieces, which must give the same; payloads of
 * control frames. The first byte is the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "taskmanager/worker/network/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* What came out, independent of how it was cut. */
struct outcome {
    uint64_t digest;
    bool failed;
};

static void add(struct outcome *outcome, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        outcome->digest = (outcome->digest ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

static void take_control(struct outcome *outcome, const struct frame_event *event)
{
    struct frame_hello hello;
    struct channel_id id;
    uint32_t credit;
    struct error err;
    check(event->size <= FRAME_CONTROL_MAX_BYTES);
    add(outcome, &event->type, sizeof event->type);
    add(outcome, &event->channel, sizeof event->channel);
    add(outcome, event->payload, event->size);
    if (event->type == FRAME_HELLO && frame_decode_hello(event, &hello, &err) == WEIR_OK)
        check(strlen(hello.worker) > 0 && hello.version == FRAME_VERSION);
    if (event->type == FRAME_OPEN)
        check(frame_decode_open(event, &id, &err) == WEIR_OK);
    if (event->type == FRAME_CREDIT && frame_decode_credit(event, &credit, &err) == WEIR_OK)
        check(credit > 0 && credit <= FRAME_CREDIT_MAX);
}

static void feed(struct frame_decoder *decoder, const uint8_t *data, size_t size, struct outcome *outcome)
{
    struct frame_event event;
    struct error err;
    do {
        size_t used = frame_decode(decoder, data, size, &event, &err);
        check(used <= size);
        data += used;
        size -= used;
        check(frame_decoder_direct(decoder) <= BUFFER_SIZE_BYTES);
        if (event.kind == FRAME_EVENT_CONTROL)
            take_control(outcome, &event);
        else if (event.kind == FRAME_EVENT_DATA_BEGIN)
            check(event.size > 0 && event.size <= BUFFER_SIZE_BYTES && event.channel < FRAME_CHANNELS_MAX);
        if (event.kind == FRAME_EVENT_DATA_PIECE)
            add(outcome, event.payload, event.size);
        else
            add(outcome, event.kind == FRAME_EVENT_MORE ? NULL : &event.kind,
                event.kind == FRAME_EVENT_MORE ? 0 : sizeof event.kind);
        outcome->failed = event.kind == FRAME_EVENT_ERROR;
    } while (event.kind != FRAME_EVENT_MORE && event.kind != FRAME_EVENT_ERROR);
    check(outcome->failed || size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = {0}, pieces = {0};
    struct frame_decoder decoder;
    if (size == 0)
        return 0;
    size_t piece = 1 + data[0];
    data++;
    size--;
    frame_decoder_init(&decoder);
    feed(&decoder, data, size, &whole);
    frame_decoder_init(&decoder);
    for (size_t at = 0; at < size && !pieces.failed; at += piece)
        feed(&decoder, data + at, size - at < piece ? size - at : piece, &pieces);
    check(whole.failed == pieces.failed && whole.digest == pieces.digest);
    return 0;
}
