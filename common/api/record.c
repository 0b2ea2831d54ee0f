/* Keys and checks of records: the per-record part of record.h. */
#include "common/api/record.h"

#include <assert.h>
#include <string.h>

#include "common/api/user_context.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records and keys are little-endian bytes");

#define unlikely(condition) __builtin_expect(!!(condition), 0)

static inline bool is_string(weir_field_type type)
{
    return type == WEIR_TYPE_string || type == WEIR_TYPE_bytes;
}

static inline const unsigned char *field_at(const void *record, const weir_field *field)
{
    return (const unsigned char *)record + field->offset;
}

/* An integer of any width as the key's 8 bytes. */
static inline int64_t field_integer(const void *record, const weir_field *field)
{
    int64_t wide;
    int32_t narrow;
    if (field->type == WEIR_TYPE_int32) {
        memcpy(&narrow, field_at(record, field), sizeof narrow);
        return narrow;
    }
    memcpy(&wide, field_at(record, field), sizeof wide);
    return wide;
}

static int key_compose(const weir_record_type *type, const uint32_t *fields, uint32_t count,
                       const void *record, unsigned char *scratch, uint32_t scratch_size, uint32_t *ret_size)
{
    uint32_t used = 0;
    uint32_t limit = scratch_size < RECORD_KEY_MAX_BYTES ? scratch_size : RECORD_KEY_MAX_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        const weir_field *field = &type->fields[fields[i]];
        if (is_string(field->type)) {
            const weir_string *string = (const weir_string *)(const void *)field_at(record, field);
            if (limit - used < sizeof(uint32_t) || limit - used - sizeof(uint32_t) < string->length)
                return WEIR_E_LIMIT;
            memcpy(scratch + used, &string->length, sizeof string->length);
            used += (uint32_t)sizeof string->length;
            if (string->length)
                memcpy(scratch + used, weir_string_data(string), string->length);
            used += string->length;
        } else {
            int64_t value = field_integer(record, field);
            if (limit - used < sizeof value)
                return WEIR_E_LIMIT;
            memcpy(scratch + used, &value, sizeof value);
            used += (uint32_t)sizeof value;
        }
    }
    *ret_size = used;
    return 0;
}

int record_key(const weir_record_type *type, const uint32_t *fields, uint32_t count, const void *record,
               unsigned char *scratch, uint32_t scratch_size, const unsigned char **ret_data,
               uint32_t *ret_size)
{
    if (count == 1) {
        const weir_field *field = &type->fields[fields[0]];
        if (is_string(field->type)) {
            const weir_string *string = (const weir_string *)(const void *)field_at(record, field);
            if (unlikely(string->length > RECORD_KEY_MAX_BYTES))
                return WEIR_E_LIMIT;
            *ret_data = (const unsigned char *)weir_string_data(string);
            *ret_size = string->length;
            return 0;
        }
        if (field->type != WEIR_TYPE_int32) {
            *ret_data = field_at(record, field);
            *ret_size = sizeof(int64_t);
            return 0;
        }
    }
    int rc = key_compose(type, fields, count, record, scratch, scratch_size, ret_size);
    if (unlikely(rc))
        return rc;
    *ret_data = scratch;
    return 0;
}

int record_check(const weir_record_type *type, const void *record, uint32_t size_bytes)
{
    if (unlikely(size_bytes < type->size))
        return WEIR_E_CORRUPT;
    for (uint32_t i = 0; i < type->field_count; i++) {
        const weir_field *field = &type->fields[i];
        if (!is_string(field->type))
            continue;
        weir_string string;
        memcpy(&string, field_at(record, field), sizeof string);
        if (string.length == 0 && string.offset == 0)
            continue; /* never set */
        int64_t begin = (int64_t)field->offset + string.offset;
        if (unlikely(begin < type->size || begin + string.length > size_bytes))
            return WEIR_E_CORRUPT;
    }
    return 0;
}

int record_key_check(const weir_record_type *type, const uint32_t *fields, uint32_t count, const void *data,
                     uint32_t size_bytes)
{
    if (size_bytes > RECORD_KEY_MAX_BYTES)
        return WEIR_E_CORRUPT;
    if (count == 1 && is_string(type->fields[fields[0]].type))
        return 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = sizeof(int64_t);
        if (is_string(type->fields[fields[i]].type)) {
            if (size_bytes - used < sizeof length)
                return WEIR_E_CORRUPT;
            memcpy(&length, (const unsigned char *)data + used, sizeof length);
            used += (uint32_t)sizeof length;
        }
        if (size_bytes - used < length)
            return WEIR_E_CORRUPT;
        used += length;
    }
    return used == size_bytes ? 0 : WEIR_E_CORRUPT;
}

/* ---- keys, as user functions see them
 * ------------------------------------------------------------------------------- */

/* The bytes of the index-th field; NULL: no such field, or another type. */
static const unsigned char *key_field(const weir_key *key, uint32_t index, bool string, uint32_t *ret_length)
{
    if (index >= key->field_count || is_string(key->record_type->fields[key->fields[index]].type) != string)
        return NULL;
    if (key->field_count == 1 && string) {
        *ret_length = key->size;
        return key->data;
    }
    uint32_t used = 0, length = 0;
    for (uint32_t i = 0; i <= index; i++) {
        used += length;
        length = sizeof(int64_t);
        if (is_string(key->record_type->fields[key->fields[i]].type)) {
            assert(key->size - used >= sizeof length);
            memcpy(&length, key->data + used, sizeof length);
            used += (uint32_t)sizeof length;
        }
        assert(key->size - used >= length);
    }
    *ret_length = length;
    return key->data + used;
}

const char *weir_key_string(const weir_key *key, uint32_t index, uint32_t *ret_length)
{
    uint32_t length = 0;
    const unsigned char *data = key_field(key, index, true, &length);
    if (ret_length)
        *ret_length = length;
    return data ? (const char *)data : "";
}

int64_t weir_key_int(const weir_key *key, uint32_t index)
{
    uint32_t length;
    int64_t value = 0;
    const unsigned char *data = key_field(key, index, false, &length);
    if (data)
        memcpy(&value, data, sizeof value);
    return value;
}
