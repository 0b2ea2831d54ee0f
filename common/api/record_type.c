/* Declared record types: whether they are sound, their descriptors, the default text of a record. */
#include "common/api/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/env.h"

uint32_t record_field_bytes(weir_field_type type)
{
    switch (type) {
    case WEIR_TYPE_int32:
        return sizeof(weir_int32);
    case WEIR_TYPE_int64:
    case WEIR_TYPE_float64:
    case WEIR_TYPE_bool:
    case WEIR_TYPE_timestamp:
        return sizeof(int64_t);
    case WEIR_TYPE_string:
    case WEIR_TYPE_bytes:
        return sizeof(weir_string);
    }
    return 0;
}

static uint32_t field_alignment(weir_field_type type)
{
    return record_field_bytes(type) == sizeof(int64_t) && type != WEIR_TYPE_string && type != WEIR_TYPE_bytes
               ? 8
               : 4;
}

static const char *field_problem(const weir_record_type *type, uint32_t index)
{
    const weir_field *field = &type->fields[index];
    uint32_t bytes = record_field_bytes(field->type), alignment = field_alignment(field->type);
    const char *problem;
    if (!text_is_valid(field->name, OPERATOR_NAME_MAX, &problem))
        return "a field's name is missing, empty, too long or has a control character";
    if (!bytes)
        return "a field is of a type that this version doesn't know";
    if (field->offset % alignment || alignment > type->alignment)
        return "a field is not aligned";
    if (field->offset > type->size || type->size - field->offset < bytes)
        return "a field lies outside the record";
    for (uint32_t i = 0; i < index; i++) {
        const weir_field *other = &type->fields[i];
        if (strcmp(other->name, field->name) == 0)
            return "two fields have the same name";
        if (field->offset < other->offset + record_field_bytes(other->type) &&
            other->offset < field->offset + bytes)
            return "two fields overlap";
    }
    return NULL;
}

const char *record_type_problem(const weir_record_type *type)
{
    if (!type)
        return "is missing";
    if (type->struct_size > sizeof *type)
        return "was declared by a newer weir.h than this libweir knows";
    if (type->struct_size < sizeof *type)
        return "has no valid struct_size; declare it with WEIR_RECORD";
    const char *problem;
    if (!text_is_valid(type->name, OPERATOR_NAME_MAX, &problem))
        return "has no valid name";
    if (type->field_count < 1 || !type->fields)
        return "has no fields";
    if (type->field_count > RECORD_FIELDS_MAX)
        return "has more than 16 fields";
    if (type->alignment != 4 && type->alignment != 8)
        return "has an alignment that is neither 4 nor 8";
    if (type->size < 4 || type->size > RECORD_FIXED_MAX || type->size % type->alignment)
        return "has a size that is not 4 to 1024 bytes, or not a multiple of its alignment";
    for (uint32_t i = 0; i < type->field_count; i++) {
        problem = field_problem(type, i);
        if (problem)
            return problem;
    }
    return NULL;
}

int record_type_find(const weir_record_type *type, const char *field_name)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (strcmp(type->fields[i].name, field_name) == 0)
            return (int)i;
    }
    return -1;
}

bool record_type_has_strings(const weir_record_type *type)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].type == WEIR_TYPE_string || type->fields[i].type == WEIR_TYPE_bytes)
            return true;
    }
    return false;
}

_Static_assert((int)WEIR_TYPE_int32 == WEIR__FIELD_TYPE__FIELD_INT32 &&
                   (int)WEIR_TYPE_float64 == WEIR__FIELD_TYPE__FIELD_FLOAT64 &&
                   (int)WEIR_TYPE_timestamp == WEIR__FIELD_TYPE__FIELD_TIMESTAMP &&
                   (int)WEIR_TYPE_bytes == WEIR__FIELD_TYPE__FIELD_BYTES,
               "weir.h and graph.proto number field types alike");

Weir__RecordDescriptor *record_type_to_proto(const weir_record_type *type)
{
    Weir__RecordDescriptor *descriptor = xmalloc(sizeof *descriptor);
    weir__record_descriptor__init(descriptor);
    descriptor->name = xstrdup(type->name);
    descriptor->size = type->size;
    descriptor->alignment = type->alignment;
    descriptor->n_fields = type->field_count;
    descriptor->fields = xcalloc(type->field_count, sizeof(Weir__FieldDescriptor *));
    for (uint32_t i = 0; i < type->field_count; i++) {
        Weir__FieldDescriptor *field = xmalloc(sizeof *field);
        weir__field_descriptor__init(field);
        field->name = xstrdup(type->fields[i].name);
        field->type = (Weir__FieldType)type->fields[i].type;
        field->offset = type->fields[i].offset;
        descriptor->fields[i] = field;
    }
    return descriptor;
}

bool record_type_equal_proto(const weir_record_type *type, const Weir__RecordDescriptor *descriptor)
{
    if (!descriptor || descriptor->size != type->size || descriptor->alignment != type->alignment ||
        descriptor->n_fields != type->field_count)
        return false;
    for (uint32_t i = 0; i < type->field_count; i++) {
        const weir_field *mine = &type->fields[i];
        const Weir__FieldDescriptor *other = descriptor->fields[i];
        if (strcmp(mine->name, other->name) != 0 || (int)mine->type != (int)other->type ||
            mine->offset != other->offset)
            return false;
    }
    return true;
}

/* ---- text
 * -----------------------------------------------------------------------------------------------------------
 */

struct line {
    char *buffer;
    size_t capacity;
    size_t used;
};

static void line_add(struct line *line, const char *data, size_t size)
{
    size_t room = line->capacity - line->used;
    size_t taken = size < room ? size : room;
    if (taken)
        memcpy(line->buffer + line->used, data, taken);
    line->used += taken;
}

static void line_add_string(struct line *line, const weir_string *string, bool hex)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *data = (const unsigned char *)weir_string_data(string);
    for (uint32_t i = 0; i < string->length && line->used < line->capacity; i++) {
        unsigned char c = data[i];
        char escaped[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
        if (hex)
            line_add(line, escaped + 2, 2);
        else if (c < 0x20 || c == 0x7f || c == '\\')
            line_add(line, escaped, 4);
        else
            line_add(line, (const char *)&c, 1);
    }
}

static void line_add_field(struct line *line, const void *record, const weir_field *field)
{
    const unsigned char *at = (const unsigned char *)record + field->offset;
    char text[64];
    int length = 0;
    int32_t narrow;
    int64_t wide;
    double real;
    switch (field->type) {
    case WEIR_TYPE_int32:
        memcpy(&narrow, at, sizeof narrow);
        length = snprintf(text, sizeof text, "%" PRId32, narrow);
        break;
    case WEIR_TYPE_int64:
    case WEIR_TYPE_timestamp:
        memcpy(&wide, at, sizeof wide);
        length = snprintf(text, sizeof text, "%" PRId64, wide);
        break;
    case WEIR_TYPE_bool:
        memcpy(&wide, at, sizeof wide);
        length = snprintf(text, sizeof text, "%s", wide ? "true" : "false");
        break;
    case WEIR_TYPE_float64:
        memcpy(&real, at, sizeof real);
        length = snprintf(text, sizeof text, "%.17g", real);
        break;
    case WEIR_TYPE_string:
    case WEIR_TYPE_bytes:
        line_add_string(line, (const weir_string *)(const void *)at, field->type == WEIR_TYPE_bytes);
        break;
    }
    line_add(line, text, (size_t)length);
}

int record_format(const weir_record_type *type, const void *record, char *buffer, size_t capacity)
{
    struct line line = {.buffer = buffer, .capacity = capacity < INT32_MAX ? capacity : INT32_MAX};
    for (uint32_t i = 0; i < type->field_count; i++) {
        const weir_field *field = &type->fields[i];
        if (i)
            line_add(&line, " ", 1);
        line_add(&line, field->name, strlen(field->name));
        line_add(&line, "=", 1);
        line_add_field(&line, record, field);
    }
    return (int)line.used;
}
