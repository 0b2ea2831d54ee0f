#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/graph/graph_validate.h"

/* The C types that weir.h declares for each field type. */
static const struct {
    uint32_t size;
    uint32_t alignment;
} field_layout[] = {
    [WEIR__FIELD_TYPE__FIELD_INT32] = {4, 4},     [WEIR__FIELD_TYPE__FIELD_INT64] = {8, 8},
    [WEIR__FIELD_TYPE__FIELD_FLOAT64] = {8, 8},   [WEIR__FIELD_TYPE__FIELD_BOOL] = {8, 8},
    [WEIR__FIELD_TYPE__FIELD_TIMESTAMP] = {8, 8}, [WEIR__FIELD_TYPE__FIELD_STRING] = {8, 4},
    [WEIR__FIELD_TYPE__FIELD_BYTES] = {8, 4},
};
enum { FIELD_TYPES = sizeof field_layout / sizeof field_layout[0], FIELD_NAME_BYTES_MAX = 255 };

static int field_validate(const Weir__RecordDescriptor *descriptor, const Weir__FieldDescriptor *field,
                          const char *where, struct error *err)
{
    if (text_validate(field->name, FIELD_NAME_BYTES_MAX, "name of a field", err) < 0)
        return error_wrap(err, "%s", where);
    if ((unsigned)field->type >= FIELD_TYPES)
        return error_set(err, WEIR_E_INVALID, "%s: field %s has the unknown type %d", where, field->name,
                         (int)field->type);
    uint32_t size = field_layout[field->type].size;
    uint32_t alignment = field_layout[field->type].alignment;
    if (field->offset > descriptor->size || descriptor->size - field->offset < size)
        return error_set(
            err, WEIR_E_INVALID, "%s: field %s (bytes %u to %llu) lies outside the record's %u bytes", where,
            field->name, field->offset, (unsigned long long)field->offset + size, descriptor->size);
    if (field->offset % alignment != 0 || alignment > descriptor->alignment)
        return error_set(err, WEIR_E_INVALID, "%s: field %s at offset %u is not aligned to %u bytes", where,
                         field->name, field->offset, alignment);
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    uint32_t x = (*(const Weir__FieldDescriptor *const *)a)->offset;
    uint32_t y = (*(const Weir__FieldDescriptor *const *)b)->offset;
    return (x > y) - (x < y);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const Weir__FieldDescriptor *const *)a)->name,
                  (*(const Weir__FieldDescriptor *const *)b)->name);
}

/* The fields one by one are fine. */
static int fields_validate(const Weir__RecordDescriptor *descriptor, const char *where, struct error *err)
{
    size_t count = descriptor->n_fields;
    Weir__FieldDescriptor **sorted = xmemdup(descriptor->fields, count * sizeof *sorted);
    int rc = 0;
    qsort(sorted, count, sizeof *sorted, by_offset);
    for (size_t i = 1; i < count && rc == 0; i++)
        if (sorted[i - 1]->offset + field_layout[sorted[i - 1]->type].size > sorted[i]->offset)
            rc = error_set(err, WEIR_E_INVALID, "%s: fields %s and %s overlap", where, sorted[i - 1]->name,
                           sorted[i]->name);
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 1; i < count && rc == 0; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            rc = error_set(err, WEIR_E_INVALID, "%s: two fields are called %s", where, sorted[i]->name);
    free(sorted);
    return rc;
}

int record_descriptor_validate(const Weir__RecordDescriptor *descriptor, const char *where, struct error *err)
{
    uint32_t alignment = descriptor->alignment;
    if (alignment == 0 || alignment > RECORD_ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0)
        return error_set(err, WEIR_E_INVALID, "%s: the record's alignment of %u is not 1, 2, 4 or 8", where,
                         alignment);
    if (descriptor->size == 0 || descriptor->size > RECORD_SIZE_BYTES_MAX)
        return error_set(err, WEIR_E_LIMIT, "%s: the record's fixed part of %u bytes is not in 1…%d", where,
                         descriptor->size, (int)RECORD_SIZE_BYTES_MAX);
    if (descriptor->size % alignment != 0)
        return error_set(err, WEIR_E_INVALID,
                         "%s: the record's size of %u is no multiple of its alignment of %u", where,
                         descriptor->size, alignment);
    if (descriptor->n_fields == 0 || descriptor->n_fields > RECORD_FIELDS_MAX)
        return error_set(err, WEIR_E_LIMIT, "%s: the record has %zu fields, not 1…%d", where,
                         descriptor->n_fields, (int)RECORD_FIELDS_MAX);
    for (size_t i = 0; i < descriptor->n_fields; i++) {
        int rc = field_validate(descriptor, descriptor->fields[i], where, err);
        if (rc < 0)
            return rc;
    }
    return fields_validate(descriptor, where, err);
}

bool record_descriptor_equal(const Weir__RecordDescriptor *a, const Weir__RecordDescriptor *b)
{
    if (a->size != b->size || a->alignment != b->alignment || a->n_fields != b->n_fields)
        return false;
    for (size_t i = 0; i < a->n_fields; i++) {
        const Weir__FieldDescriptor *x = a->fields[i], *y = b->fields[i];
        if (x->type != y->type || x->offset != y->offset || strcmp(x->name, y->name) != 0)
            return false;
    }
    return true;
}
