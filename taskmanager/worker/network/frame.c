/* Happy path: header bytes are collected; a control frame's payload is collected too and handed over whole; a
 * DATA payload is passed on in the pieces in which it comes. Lengths are checked as soon as the header is
 * complete, before anything is made of them. */
#include "taskmanager/worker/network/frame.h"

#include <assert.h>
#include <string.h>

static const unsigned char magic[8] = {'W', 'E', 'I', 'R', 'D', 'A', 'T', 'A'};

enum { HELLO_FIXED_BYTES = 8 + 4 + WEIR_ID_BYTES + 4, OPEN_BYTES = 12, CREDIT_BYTES = 4 };

static void put_u32(unsigned char *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t get_u32(const unsigned char *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* ---- decoding ---- */

void frame_decoder_init(struct frame_decoder *decoder)
{
    memset(decoder, 0, sizeof *decoder);
}

static int check_length(enum frame_type type, uint32_t length, struct error *err)
{
    uint32_t least = 0, most = 0;
    switch (type) {
    case FRAME_HELLO:
        least = HELLO_FIXED_BYTES + 1;
        most = HELLO_FIXED_BYTES + FRAME_WORKER_ID_MAX_BYTES;
        break;
    case FRAME_REFUSE:
        most = FRAME_CONTROL_MAX_BYTES;
        break;
    case FRAME_OPEN:
        least = most = OPEN_BYTES;
        break;
    case FRAME_CREDIT:
        least = most = CREDIT_BYTES;
        break;
    case FRAME_DATA:
        least = 1;
        most = BUFFER_SIZE_BYTES;
        break;
    case FRAME_BYE:
    case FRAME_BYE_ACK:
        break;
    default:
        return error_set(err, WEIR_E_CORRUPT, "frame of unknown type %u", (unsigned)type);
    }
    if (length < least || length > most)
        return error_set(err, WEIR_E_CORRUPT, "frame of type %u with %u bytes, %u to %u are allowed",
                         (unsigned)type, length, least, most);
    return WEIR_OK;
}

static int parse_header(struct frame_decoder *decoder, struct error *err)
{
    const unsigned char *h = decoder->header;
    decoder->length = get_u32(h);
    decoder->type = (enum frame_type)h[4];
    decoder->channel = get_u32(h + 8);
    decoder->filled = 0;
    if (h[5] || h[6] || h[7])
        return error_set(err, WEIR_E_CORRUPT, "frame header with bytes set that must be 0");
    if (decoder->channel >= FRAME_CHANNELS_MAX)
        return error_set(err, WEIR_E_CORRUPT, "frame for channel %u, more than %d channels", decoder->channel,
                         FRAME_CHANNELS_MAX);
    return check_length(decoder->type, decoder->length, err);
}

static void end_frame(struct frame_decoder *decoder)
{
    decoder->in_payload = false;
    decoder->header_filled = 0;
}

static size_t decode_header(struct frame_decoder *decoder, const unsigned char *data, size_t size,
                            struct frame_event *event, struct error *err)
{
    size_t want = FRAME_HEADER_BYTES - decoder->header_filled;
    size_t take = want < size ? want : size;
    memcpy(decoder->header + decoder->header_filled, data, take);
    decoder->header_filled += (uint32_t)take;
    if (decoder->header_filled < FRAME_HEADER_BYTES)
        return take;
    if (parse_header(decoder, err) != WEIR_OK) {
        decoder->failed = true;
        event->kind = FRAME_EVENT_ERROR;
        return take;
    }
    decoder->in_payload = true;
    if (decoder->type == FRAME_DATA)
        event->kind = FRAME_EVENT_DATA_BEGIN;
    return take;
}

static size_t decode_payload(struct frame_decoder *decoder, const unsigned char *data, size_t size,
                             struct frame_event *event)
{
    size_t want = decoder->length - decoder->filled;
    size_t take = want < size ? want : size;
    if (decoder->type == FRAME_DATA) {
        if (want == 0) {
            event->kind = FRAME_EVENT_DATA_END;
            end_frame(decoder);
        } else if (take > 0) {
            event->kind = FRAME_EVENT_DATA_PIECE;
            event->payload = data;
            event->size = (uint32_t)take;
            decoder->filled += (uint32_t)take;
        }
        return take;
    }
    memcpy(decoder->control + decoder->filled, data, take);
    decoder->filled += (uint32_t)take;
    if (decoder->filled == decoder->length) {
        event->kind = FRAME_EVENT_CONTROL;
        event->payload = decoder->control;
        end_frame(decoder);
    }
    return take;
}

size_t frame_decode(struct frame_decoder *decoder, const unsigned char *data, size_t size,
                    struct frame_event *ret_event, struct error *err)
{
    size_t used = 0;
    struct frame_event event = {.kind = FRAME_EVENT_MORE};
    if (decoder->failed) {
        error_set(err, WEIR_E_CORRUPT, "a frame before this one could not be decoded");
        event.kind = FRAME_EVENT_ERROR;
    }
    while (event.kind == FRAME_EVENT_MORE) {
        event.size = 0;
        if (!decoder->in_payload && used < size)
            used += decode_header(decoder, data + used, size - used, &event, err);
        if (event.kind == FRAME_EVENT_MORE && decoder->in_payload) {
            event.size = decoder->length;
            used += decode_payload(decoder, data + used, size - used, &event);
        } else if (event.kind == FRAME_EVENT_DATA_BEGIN) {
            event.size = decoder->length;
        }
        if (used == size)
            break;
    }
    event.type = decoder->type;
    event.channel = decoder->channel;
    *ret_event = event;
    return used;
}

uint32_t frame_decoder_direct(const struct frame_decoder *decoder)
{
    return decoder->in_payload && decoder->type == FRAME_DATA ? decoder->length - decoder->filled : 0;
}

bool frame_decoder_advance(struct frame_decoder *decoder, uint32_t size)
{
    assert(size <= frame_decoder_direct(decoder));
    decoder->filled += size;
    if (decoder->filled < decoder->length)
        return false;
    end_frame(decoder);
    return true;
}

int frame_decode_hello(const struct frame_event *event, struct frame_hello *ret_hello, struct error *err)
{
    const unsigned char *p = event->payload;
    assert(event->type == FRAME_HELLO && event->size > HELLO_FIXED_BYTES);
    uint32_t length = event->size - HELLO_FIXED_BYTES;
    if (memcmp(p, magic, sizeof magic) != 0)
        return error_set(err, WEIR_E_CORRUPT, "not a worker's data plane: the magic differs");
    struct frame_hello hello = {.version = get_u32(p + 8), .attempt = get_u32(p + 12 + WEIR_ID_BYTES)};
    if (hello.version != FRAME_VERSION)
        return error_set(err, WEIR_E_VERSION, "data plane version %u, this worker speaks %d", hello.version,
                         FRAME_VERSION);
    memcpy(hello.job.bytes, p + 12, WEIR_ID_BYTES);
    memcpy(hello.worker, p + HELLO_FIXED_BYTES, length);
    for (uint32_t i = 0; i < length; i++)
        if ((unsigned char)hello.worker[i] <= ' ' || (unsigned char)hello.worker[i] >= 127)
            return error_set(err, WEIR_E_CORRUPT, "the sending worker's id is not printable text");
    *ret_hello = hello;
    return WEIR_OK;
}

int frame_decode_open(const struct frame_event *event, struct channel_id *ret_id, struct error *err)
{
    if (event->type != FRAME_OPEN || event->size != OPEN_BYTES)
        return error_set(err, WEIR_E_CORRUPT, "not an OPEN frame");
    *ret_id = (struct channel_id){get_u32(event->payload), get_u32(event->payload + 4),
                                  get_u32(event->payload + 8)};
    return WEIR_OK;
}

int frame_decode_credit(const struct frame_event *event, uint32_t *ret_credit, struct error *err)
{
    if (event->type != FRAME_CREDIT || event->size != CREDIT_BYTES)
        return error_set(err, WEIR_E_CORRUPT, "not a CREDIT frame");
    uint32_t credit = get_u32(event->payload);
    if (credit == 0 || credit > FRAME_CREDIT_MAX)
        return error_set(err, WEIR_E_CORRUPT, "a credit of %u buffers", credit);
    *ret_credit = credit;
    return WEIR_OK;
}

/* ---- encoding ---- */

size_t frame_encode_header(unsigned char header[FRAME_HEADER_BYTES], enum frame_type type, uint32_t channel,
                           uint32_t length)
{
    put_u32(header, length);
    put_u32(header + 4, (uint32_t)type);
    put_u32(header + 8, channel);
    return FRAME_HEADER_BYTES + (size_t)length;
}

size_t frame_encode_hello(unsigned char out[FRAME_SMALL_MAX_BYTES], const struct weir_id *job,
                          uint32_t attempt, const char *worker)
{
    size_t length = strlen(worker);
    assert(length > 0 && length <= FRAME_WORKER_ID_MAX_BYTES);
    unsigned char *p = out + FRAME_HEADER_BYTES;
    memcpy(p, magic, sizeof magic);
    put_u32(p + 8, FRAME_VERSION);
    memcpy(p + 12, job->bytes, WEIR_ID_BYTES);
    put_u32(p + 12 + WEIR_ID_BYTES, attempt);
    memcpy(p + HELLO_FIXED_BYTES, worker, length);
    return frame_encode_header(out, FRAME_HELLO, 0, (uint32_t)(HELLO_FIXED_BYTES + length));
}

size_t frame_encode_refuse(unsigned char out[FRAME_SMALL_MAX_BYTES], const char *reason)
{
    size_t length = strnlen(reason, FRAME_CONTROL_MAX_BYTES);
    memcpy(out + FRAME_HEADER_BYTES, reason, length);
    return frame_encode_header(out, FRAME_REFUSE, 0, (uint32_t)length);
}

size_t frame_encode_open(unsigned char out[FRAME_SMALL_MAX_BYTES], uint32_t number, struct channel_id id)
{
    put_u32(out + FRAME_HEADER_BYTES, id.edge);
    put_u32(out + FRAME_HEADER_BYTES + 4, id.producer);
    put_u32(out + FRAME_HEADER_BYTES + 8, id.consumer);
    return frame_encode_header(out, FRAME_OPEN, number, OPEN_BYTES);
}

size_t frame_encode_credit(unsigned char out[FRAME_SMALL_MAX_BYTES], uint32_t channel, uint32_t credit)
{
    put_u32(out + FRAME_HEADER_BYTES, credit);
    return frame_encode_header(out, FRAME_CREDIT, channel, CREDIT_BYTES);
}
