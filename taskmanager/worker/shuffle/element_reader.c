/* Happy path: the header at the buffer's position is a whole record; its payload is yielded where it lies.
 * The buffer is given back when the next element is asked for, or at once when nothing yielded points into
 * it.
 *
 * Possible failure modes (all end in ELEMENT_BAD): an element that reaches beyond its buffer, an unknown
 * kind, a control element of the wrong size, fragments that are interrupted by another record or grow beyond
 * the largest record allowed. */
#include "taskmanager/worker/shuffle/element_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void element_reader_init(struct element_reader *reader, struct channel *channel, uint32_t max_record_bytes)
{
    *reader = (struct element_reader){.channel = channel, .max_record_bytes = max_record_bytes};
}

void element_reader_deinit(struct element_reader *reader)
{
    if (reader->buffer)
        buffer_recycle(reader->buffer);
    reader->buffer = NULL;
    free(reader->assembly);
    reader->assembly = NULL;
}

static void release_if_read(struct element_reader *reader)
{
    if (reader->buffer && reader->buffer->position >= reader->buffer->size) {
        buffer_recycle(reader->buffer);
        reader->buffer = NULL;
    }
}

/* Pushes a fragment into the assembly. */
static int assemble(struct element_reader *reader, const unsigned char *data, uint32_t size,
                    struct error *err)
{
    if (size > reader->max_record_bytes - reader->assembly_size)
        return error_set(err, WEIR_E_LIMIT,
                         "a record in pieces is larger than the %u bytes allowed (pipeline.max-record-size)",
                         reader->max_record_bytes);
    uint32_t want = reader->assembly_size + size;
    if (want > reader->assembly_capacity) {
        uint64_t capacity = want > 2ull * reader->assembly_capacity ? want : 2ull * reader->assembly_capacity;
        if (capacity > reader->max_record_bytes)
            capacity = reader->max_record_bytes;
        reader->assembly = xrealloc(reader->assembly, capacity);
        reader->assembly_capacity = (uint32_t)capacity;
    }
    if (size)
        memcpy(reader->assembly + reader->assembly_size, data, size);
    reader->assembly_size = want;
    return 0;
}

static int check_header(const struct element_reader *reader, const struct element_header *header,
                        uint32_t left, struct error *err)
{
    if (header->kind > ELEMENT_END_OF_INPUT)
        return error_set(err, WEIR_E_INVALID, "unknown element kind %u", header->kind);
    if (element_padded(header->size) > left)
        return error_set(err, WEIR_E_INVALID, "an element of %u bytes reaches beyond its buffer (%u left)",
                         header->size, left);
    switch ((enum element_kind)header->kind) {
    case ELEMENT_RECORD:
        if (reader->assembling)
            return error_set(err, WEIR_E_INVALID, "a record begins before the last piece of another");
        if (header->size > reader->max_record_bytes)
            return error_set(err, WEIR_E_LIMIT, "a record of %u bytes is larger than the %u allowed",
                             header->size, reader->max_record_bytes);
        return 0;
    case ELEMENT_FRAGMENT:
    case ELEMENT_LAST_FRAGMENT:
        return 0;
    default:
        break;
    }
    uint32_t expected = header->kind == ELEMENT_BARRIER ? (uint32_t)sizeof(struct element_barrier) : 0;
    if (header->size != expected)
        return error_set(err, WEIR_E_INVALID, "a control element of kind %u has %u bytes instead of %u",
                         header->kind, header->size, expected);
    if (reader->assembling)
        return error_set(err, WEIR_E_INVALID, "a control element of kind %u amid the pieces of a record",
                         header->kind);
    return 0;
}

static int take_buffer(struct element_reader *reader, struct error *err)
{
    reader->buffer = channel_pop(reader->channel);
    if (!reader->buffer)
        return 0;
    if (reader->buffer->size > BUFFER_SIZE_BYTES || reader->buffer->size % 8 ||
        reader->buffer->position > reader->buffer->size)
        return error_set(err, WEIR_E_INVALID, "a buffer of impossible size %u", reader->buffer->size);
    return 0;
}

/* Fills in a record: in place, or from the assembly after its last piece. */
static int yield_record(struct element_reader *reader, const struct element_header *header,
                        const unsigned char *payload, struct element *ret_element, struct error *err)
{
    ret_element->kind = ELEMENT_RECORD;
    ret_element->data = payload;
    ret_element->size = header->size;
    if (header->kind == ELEMENT_LAST_FRAGMENT) {
        if (assemble(reader, payload, header->size, err))
            return err ? err->rc : WEIR_E_LIMIT;
        ret_element->data = reader->assembly ? reader->assembly : payload; /* NULL: only empty pieces */
        ret_element->size = reader->assembly_size;
        reader->assembling = false;
        reader->assembly_size = 0;
        if (reader->assembly)
            release_if_read(reader);
    }
    return reader->check ? reader->check(reader->check_self, ret_element->data, ret_element->size, err) : 0;
}

static enum element_status bad(const struct element_reader *reader, struct error *err)
{
    struct channel_id id = channel_get_id(reader->channel);
    error_wrap(err, "input from subtask %u (edge %u)", id.producer, id.edge);
    return ELEMENT_BAD;
}

enum element_status element_reader_next(struct element_reader *reader, struct element *ret_element,
                                        struct error *err)
{
    for (;;) {
        release_if_read(reader);
        if (!reader->buffer && take_buffer(reader, err))
            return bad(reader, err);
        if (!reader->buffer)
            return ELEMENT_NONE;
        struct buffer *buffer = reader->buffer;
        uint32_t left = buffer->size - buffer->position;
        if (left < sizeof(struct element_header)) {
            if (left == 0)
                continue; /* an empty buffer */
            error_set(err, WEIR_E_INVALID, "%u bytes left in a buffer are too few for an element", left);
            return bad(reader, err);
        }
        struct element_header header;
        memcpy(&header, buffer->data + buffer->position, sizeof header);
        if (check_header(reader, &header, left, err))
            return bad(reader, err);
        const unsigned char *payload = buffer->data + buffer->position + sizeof header;
        buffer->position += element_padded(header.size);
        reader->bytes += element_padded(header.size);
        ret_element->key_hash = header.key_hash;
        ret_element->timestamp = header.timestamp;
        switch ((enum element_kind)header.kind) {
        case ELEMENT_FRAGMENT:
            reader->assembling = true;
            if (assemble(reader, payload, header.size, err))
                return bad(reader, err);
            continue;
        case ELEMENT_RECORD:
        case ELEMENT_LAST_FRAGMENT:
            if (yield_record(reader, &header, payload, ret_element, err))
                return bad(reader, err);
            return ELEMENT_READY;
        default:
            ret_element->kind = (enum element_kind)header.kind;
            ret_element->data = NULL;
            ret_element->size = 0;
            if (header.kind == ELEMENT_BARRIER)
                memcpy(&ret_element->barrier, payload, sizeof ret_element->barrier);
            release_if_read(reader);
            return ELEMENT_READY;
        }
    }
}
