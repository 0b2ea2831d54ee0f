#include "taskmanager/worker/state/layout.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/graph/field_change.h"

static uint32_t field_bytes(Weir__FieldType type)
{
    return type == WEIR__FIELD_TYPE__FIELD_INT32 ? 4 : 8;
}

int layout_check(const Weir__RecordDescriptor *layout, struct error *err)
{
    const char *name = layout->name ? layout->name : "";
    if (layout->size > LAYOUT_BYTES_MAX || layout->n_fields > LAYOUT_FIELDS_MAX)
        return error_set(err, WEIR_E_LIMIT,
                         "record '%s' has %u bytes and %zu fields; at most %d and %d are allowed", name,
                         layout->size, layout->n_fields, LAYOUT_BYTES_MAX, LAYOUT_FIELDS_MAX);
    for (size_t i = 0; i < layout->n_fields; i++) {
        const Weir__FieldDescriptor *field = layout->fields[i];
        if (!field->name || !field->name[0])
            return error_set(err, WEIR_E_INVALID, "record '%s': field %zu has no name", name, i);
        if ((unsigned)field->type > WEIR__FIELD_TYPE__FIELD_TIMESTAMP)
            return error_set(err, WEIR_E_INVALID,
                             "record '%s': field '%s' is of type %s, which state can't hold", name,
                             field->name, field_type_name(field->type));
        if (field->offset > layout->size || field_bytes(field->type) > layout->size - field->offset)
            return error_set(err, WEIR_E_INVALID, "record '%s': field '%s' lies outside of the record", name,
                             field->name);
    }
    return 0;
}

static const Weir__FieldDescriptor *find_field(const Weir__RecordDescriptor *layout, const char *name)
{
    for (size_t i = 0; i < layout->n_fields; i++)
        if (strcmp(layout->fields[i]->name, name) == 0)
            return layout->fields[i];
    return NULL;
}

static bool is_identical(const Weir__RecordDescriptor *a, const Weir__RecordDescriptor *b)
{
    if (a->size != b->size || a->n_fields != b->n_fields)
        return false;
    for (size_t i = 0; i < a->n_fields; i++)
        if (strcmp(a->fields[i]->name, b->fields[i]->name) != 0 || a->fields[i]->type != b->fields[i]->type ||
            a->fields[i]->offset != b->fields[i]->offset)
            return false;
    return true;
}

int layout_map(const Weir__RecordDescriptor *stored, const Weir__RecordDescriptor *declared, const char *uid,
               struct layout_mapping *ret_mapping, struct error *err)
{
    if (layout_check(stored, err))
        return error_wrap(err, "operator uid '%s': layout of the stored state", uid);
    if (layout_check(declared, err))
        return error_wrap(err, "operator uid '%s': declared accumulator", uid);
    struct layout_mapping mapping = {
        .identical = is_identical(stored, declared),
        .stored_size = stored->size,
        .declared_size = declared->size,
    };
    if (!mapping.identical) {
        mapping.moves = xcalloc(declared->n_fields + 1, sizeof *mapping.moves);
        for (size_t i = 0; i < declared->n_fields; i++) {
            const Weir__FieldDescriptor *to = declared->fields[i];
            const Weir__FieldDescriptor *from = find_field(stored, to->name);
            if (!from)
                continue;
            enum field_change change = field_change_of(from->type, to->type);
            if (change == FIELD_UNREADABLE) {
                free(mapping.moves);
                return error_set(
                    err, WEIR_E_INVALID,
                    "operator uid '%s': field '%s' of the state is %s in the snapshot but %s in the "
                    "job; give the new field another name, or the operator another uid",
                    uid, to->name, field_type_name(from->type), field_type_name(to->type));
            }
            mapping.moves[mapping.move_count++] = (struct layout_move){
                .from = from->offset, .to = to->offset, .size = field_bytes(from->type), .change = change};
        }
    }
    *ret_mapping = mapping;
    return 0;
}

void layout_mapping_deinit(struct layout_mapping *mapping)
{
    free(mapping->moves);
    *mapping = (struct layout_mapping){0};
}

static void widen(enum field_change change, const unsigned char *from, unsigned char *to)
{
    int32_t value;
    memcpy(&value, from, sizeof value);
    if (change == FIELD_INT32_TO_INT64) {
        int64_t wide = value;
        memcpy(to, &wide, sizeof wide);
    } else {
        double wide = value;
        memcpy(to, &wide, sizeof wide);
    }
}

void layout_move(const struct layout_mapping *mapping, const void *stored, void *declared)
{
    if (mapping->identical) {
        memcpy(declared, stored, mapping->stored_size);
        return;
    }
    for (uint32_t i = 0; i < mapping->move_count; i++) {
        const struct layout_move *move = &mapping->moves[i];
        const unsigned char *from = (const unsigned char *)stored + move->from;
        unsigned char *to = (unsigned char *)declared + move->to;
        if (move->change == FIELD_SAME)
            memcpy(to, from, move->size);
        else
            widen(move->change, from, to);
    }
}
