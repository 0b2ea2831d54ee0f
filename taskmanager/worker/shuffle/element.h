/* What is in a buffer: elements, one after the other, each with a 16-byte header, padded to 8 bytes. */
#ifndef WEIR_SHUFFLE_ELEMENT_H
#define WEIR_SHUFFLE_ELEMENT_H

#include <stdint.h>
#include <string.h>

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

/* memcpy for the sizes that records mostly have, without a call. By words, as fields were just stored by words:
 * a wider load would wait for those stores to leave the core. */
static inline void element_copy(unsigned char *to, const unsigned char *from, uint32_t size)
{
    if (size - 8u > 56u) { /* below 8 or above 64 */
        if (size)
            memcpy(to, from, size);
        return;
    }
    uint64_t word;
    for (uint32_t at = 0; at + 8 < size; at += 8) {
        memcpy(&word, from + at, 8);
        memcpy(to + at, &word, 8);
    }
    memcpy(&word, from + size - 8, 8); /* may overlap the one before */
    memcpy(to + size - 8, &word, 8);
}

/* Writes an element where there is room for it (at a multiple of 8), the padding as zeros; returns its bytes.
 */
static inline uint32_t element_append(unsigned char *at, struct element_header header,
                                      const unsigned char *payload)
{
    uint32_t padded = element_padded(header.size);
    memset(at + padded - 8, 0, 8); /* first, as it may lie under the end of the payload, or of the header */
    memcpy(at, &header, sizeof header);
    element_copy(at + sizeof header, payload, header.size);
    return padded;
}

#endif
