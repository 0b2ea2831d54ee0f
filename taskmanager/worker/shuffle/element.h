/* What is in a buffer: elements, one after the other, each with a 16-byte header, padded to 8 bytes. */
#ifndef WEIR_SHUFFLE_ELEMENT_H
#define WEIR_SHUFFLE_ELEMENT_H

#include <stdint.h>

enum element_kind {
    ELEMENT_RECORD = 0,
    ELEMENT_FRAGMENT = 1,      /* a piece of a record that is larger than a buffer; more follow */
    ELEMENT_LAST_FRAGMENT = 2, /* its timestamp and hash are the record's */
    ELEMENT_WATERMARK = 3,     /* timestamp: the watermark, ms */
    ELEMENT_BARRIER = 4,       /* payload: struct element_barrier; timestamp: when it was triggered */
    ELEMENT_IDLE = 5,          /* nothing comes for a while: leave this channel out of the watermark */
    ELEMENT_ACTIVE = 6,
    ELEMENT_END_OF_INPUT = 7,
};

struct element_header {
    uint32_t size : 28; /* payload bytes, without padding */
    uint32_t kind : 4;
    uint32_t key_hash; /* of the key that the exchange hashed by; 0 if none */
    int64_t timestamp; /* ms; INT64_MIN: none */
};
_Static_assert(sizeof(struct element_header) == 16, "the header is part of the wire format");

struct element_barrier {
    uint64_t checkpoint_id;
    uint32_t kind; /* Weir__SnapshotKind */
    uint32_t stop; /* Weir__StopMode */
};

static inline uint32_t element_padded(uint32_t payload_bytes)
{
    return (uint32_t)sizeof(struct element_header) + ((payload_bytes + 7u) & ~7u);
}

#endif
