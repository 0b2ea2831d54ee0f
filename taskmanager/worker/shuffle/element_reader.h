/* Takes buffers from a channel and yields the elements in them; puts fragments together. What comes is
 * checked, as it may be from the network: sizes and kinds always, the inside of records by a check that the
 * task gives. Consumer's thread. */
#ifndef WEIR_SHUFFLE_ELEMENT_READER_H
#define WEIR_SHUFFLE_ELEMENT_READER_H

#include <string.h>

#include "common/base/error.h"
#include "taskmanager/worker/shuffle/channel.h"
#include "taskmanager/worker/shuffle/element.h"

struct element {
    enum element_kind kind; /* never a fragment */
    uint32_t key_hash;
    int64_t timestamp;
    const void *data; /* RECORD: aligned to 8; valid until the next call */
    uint32_t size;
    struct element_barrier barrier; /* BARRIER */
};

/* 0, or an error: what is wrong with this record. */
typedef int element_check_fn(const void *self, const void *record, uint32_t size, struct error *err);

struct element_reader {
    struct channel *channel; /* borrowed */
    uint32_t max_record_bytes;
    element_check_fn *check; /* NULL: the producer is in this process and trusted */
    const void *check_self;
    struct buffer *buffer;   /* being read */
    unsigned char *assembly; /* of fragments; owned; at most max_record_bytes */
    uint32_t assembly_size;
    uint32_t assembly_capacity;
    bool assembling;
    uint64_t bytes; /* read so far, headers included */
};

enum element_status {
    ELEMENT_READY,
    ELEMENT_NONE, /* the channel is empty: its waker tells when that changes */
    ELEMENT_BAD,  /* err says why; the reader is not to be used any more */
};

void element_reader_init(struct element_reader *reader, struct channel *channel, uint32_t max_record_bytes);
void element_reader_deinit(struct element_reader *reader);
enum element_status element_reader_next(struct element_reader *reader, struct element *ret_element,
                                        struct error *err);
/* A run of records in the buffer being read, behind the element just yielded: as long as they lie whole in it
 * and need no check. Between begin and end the reader itself is not used; the records are valid until its
 * next use. */
struct element_run {
    const unsigned char *at;
    const unsigned char *end;
};

static inline struct element_run element_reader_begin_run(const struct element_reader *reader)
{
    const struct buffer *buffer = reader->buffer;
    if (!buffer || reader->check || reader->assembling)
        return (struct element_run){0};
    return (struct element_run){buffer->data + buffer->position, buffer->data + buffer->size};
}

/* false: the run has ended; element_reader_next says what comes. */
static inline bool element_run_next(struct element_run *run, struct element *ret_element)
{
    size_t left = (size_t)(run->end - run->at);
    struct element_header header;
    if (left < sizeof header)
        return false;
    memcpy(&header, run->at, sizeof header);
    uint32_t padded = element_padded(header.size);
    if (header.kind != ELEMENT_RECORD || padded > left)
        return false;
    *ret_element = (struct element){
        .kind = ELEMENT_RECORD,
        .key_hash = header.key_hash,
        .timestamp = header.timestamp,
        .data = run->at + sizeof header,
        .size = header.size,
    };
    run->at += padded;
    return true;
}

static inline void element_reader_end_run(struct element_reader *reader, const struct element_run *run)
{
    if (!run->at)
        return;
    uint32_t position = (uint32_t)(run->at - reader->buffer->data);
    reader->bytes += position - reader->buffer->position;
    reader->buffer->position = position;
}
/* True when the last element was the last of its buffer: a good moment for a task to look around. */
static inline bool element_reader_at_end_of_buffer(const struct element_reader *reader)
{
    return !reader->buffer || reader->buffer->position >= reader->buffer->size;
}

#endif
