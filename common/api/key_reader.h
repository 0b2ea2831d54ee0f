/* Gets the key out of records of one type: how is worked out once, so that a single field, the usual case,
 * takes a few instructions. One task owns it. */
#ifndef WEIR_API_KEY_READER_H
#define WEIR_API_KEY_READER_H

#include "common/api/record.h"

struct key_reader {
    enum key_kind {
        KEY_WORD,     /* a single field of 8 bytes: the key points to it */
        KEY_STRING,   /* a single string: the key is its bytes */
        KEY_COMPOSED, /* into scratch */
    } kind;
    uint32_t offset; /* of the single field */
    const weir_record_type *type;
    const uint32_t *fields; /* borrowed */
    uint32_t field_count;
    unsigned char *scratch; /* KEY_COMPOSED: owned, RECORD_KEY_MAX_BYTES */
};

/* fields: indexes of fields that the type has; at least one. */
void key_reader_init(struct key_reader *reader, const weir_record_type *type, const uint32_t *fields,
                     uint32_t field_count);
void key_reader_deinit(struct key_reader *reader);

/* As record_key: the bytes are valid until the next call, or as long as the record. WEIR_E_LIMIT: too long.
 */
static inline WEIR_CHECK int key_reader_get(const struct key_reader *reader, const void *record,
                                            const unsigned char **ret_data, uint32_t *ret_size)
{
    const unsigned char *field = (const unsigned char *)record + reader->offset;
    if (reader->kind == KEY_WORD) {
        *ret_data = field;
        *ret_size = sizeof(int64_t);
        return 0;
    }
    if (reader->kind == KEY_STRING) {
        const weir_string *string = (const weir_string *)(const void *)field;
        if (__builtin_expect(string->length > RECORD_KEY_MAX_BYTES, false))
            return WEIR_E_LIMIT;
        *ret_data = (const unsigned char *)weir_string_data(string);
        *ret_size = string->length;
        return 0;
    }
    return record_key(reader->type, reader->fields, reader->field_count, record, reader->scratch,
                      RECORD_KEY_MAX_BYTES, ret_data, ret_size);
}

#endif
