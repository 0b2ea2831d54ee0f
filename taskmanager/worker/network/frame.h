/* The data plane's wire format, and a decoder that takes it in pieces. Pure: no sockets, no memory of its
 * own. Fuzzed.
 *
 * A frame is a header of 12 bytes (u32 LE payload length, u8 type, 3 bytes zero, u32 LE channel number) and
 * its payload. The dialling side, which produces, sends HELLO once, OPEN for each of its channels (numbers
 * count from 0), then DATA; the listening side, which consumes, sends CREDIT. Either side says BYE when
 * nothing more comes from it and nothing more is wanted, and the other one answers with BYE_ACK: a connection
 * that ends without was lost. */
#ifndef WEIR_NETWORK_FRAME_H
#define WEIR_NETWORK_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "taskmanager/worker/shuffle/channel.h"

enum {
    FRAME_HEADER_BYTES = 12,
    FRAME_CONTROL_MAX_BYTES = 1024, /* largest payload of a frame that is not DATA */
    FRAME_VERSION = 1,
    FRAME_WORKER_ID_MAX_BYTES = 255,
    FRAME_CHANNELS_MAX = 65536, /* of one connection */
    FRAME_CREDIT_MAX = 1 << 20,
};

enum frame_type {
    FRAME_HELLO = 1,   /* magic, u32 version, job id, u32 attempt, id of the sending worker */
    FRAME_REFUSE = 2,  /* why, as text; the connection is closed after it */
    FRAME_OPEN = 3,    /* u32 edge, u32 producer, u32 consumer */
    FRAME_CREDIT = 4,  /* u32: so many more buffers may be sent */
    FRAME_DATA = 5,    /* the bytes of one buffer */
    FRAME_BYE = 6,     /* no payload */
    FRAME_BYE_ACK = 7, /* no payload */
};

struct frame_hello {
    uint32_t version;
    struct weir_id job;
    uint32_t attempt;
    char worker[FRAME_WORKER_ID_MAX_BYTES + 1];
};

enum frame_event_kind {
    FRAME_EVENT_MORE,       /* all bytes given were used up, nothing is complete */
    FRAME_EVENT_CONTROL,    /* a whole frame other than DATA: type, channel, payload, size */
    FRAME_EVENT_DATA_BEGIN, /* a buffer of size bytes begins on channel */
    FRAME_EVENT_DATA_PIECE, /* the next size bytes of it: payload */
    FRAME_EVENT_DATA_END,
    FRAME_EVENT_ERROR, /* not a frame: nothing can be decoded any more */
};

struct frame_event {
    enum frame_event_kind kind;
    enum frame_type type;
    uint32_t channel;
    uint32_t size;
    const unsigned char *payload; /* valid until the next call */
};

struct frame_decoder {
    unsigned char header[FRAME_HEADER_BYTES];
    uint32_t header_filled;
    unsigned char control[FRAME_CONTROL_MAX_BYTES];
    uint32_t filled; /* of the payload */
    uint32_t length;
    uint32_t channel;
    enum frame_type type;
    bool in_payload;
    bool failed;
};

void frame_decoder_init(struct frame_decoder *decoder);
/* Decodes up to the next event; returns the number of bytes used. Call again with the rest until MORE. err:
 * for ERROR. */
size_t frame_decode(struct frame_decoder *decoder, const unsigned char *data, size_t size,
                    struct frame_event *ret_event, struct error *err);
/* How many bytes of a buffer are still to come, when its bytes may be read to their place without passing
 * through frame_decode; else 0. */
uint32_t frame_decoder_direct(const struct frame_decoder *decoder);
/* So many of them were read; true: the buffer is complete (no DATA_END will come). */
bool frame_decoder_advance(struct frame_decoder *decoder, uint32_t size);

/* Each returns the frame's whole size. */
size_t frame_encode_header(unsigned char header[FRAME_HEADER_BYTES], enum frame_type type, uint32_t channel,
                           uint32_t length);
enum { FRAME_SMALL_MAX_BYTES = FRAME_HEADER_BYTES + FRAME_CONTROL_MAX_BYTES };
size_t frame_encode_hello(unsigned char out[FRAME_SMALL_MAX_BYTES], const struct weir_id *job,
                          uint32_t attempt, const char *worker);
size_t frame_encode_refuse(unsigned char out[FRAME_SMALL_MAX_BYTES], const char *reason);
size_t frame_encode_open(unsigned char out[FRAME_SMALL_MAX_BYTES], uint32_t number, struct channel_id id);
size_t frame_encode_credit(unsigned char out[FRAME_SMALL_MAX_BYTES], uint32_t channel, uint32_t credit);

/* Payloads of complete control frames. */
int frame_decode_hello(const struct frame_event *event, struct frame_hello *ret_hello,
                       struct error *err) WEIR_CHECK;
int frame_decode_open(const struct frame_event *event, struct channel_id *ret_id,
                      struct error *err) WEIR_CHECK;
int frame_decode_credit(const struct frame_event *event, uint32_t *ret_credit, struct error *err) WEIR_CHECK;

#endif
