/* Which fields of stored records can be read as which fields of declared ones. */
#ifndef WEIR_GRAPH_FIELD_CHANGE_H
#define WEIR_GRAPH_FIELD_CHANGE_H

#include "proto/graph.pb-c.h"

enum field_change { FIELD_SAME, FIELD_INT32_TO_INT64, FIELD_INT32_TO_FLOAT64, FIELD_UNREADABLE };

static inline enum field_change field_change_of(Weir__FieldType stored, Weir__FieldType declared)
{
    if (stored == declared)
        return FIELD_SAME;
    if (stored == WEIR__FIELD_TYPE__FIELD_INT32 && declared == WEIR__FIELD_TYPE__FIELD_INT64)
        return FIELD_INT32_TO_INT64;
    if (stored == WEIR__FIELD_TYPE__FIELD_INT32 && declared == WEIR__FIELD_TYPE__FIELD_FLOAT64)
        return FIELD_INT32_TO_FLOAT64;
    return FIELD_UNREADABLE;
}

static inline const char *field_type_name(Weir__FieldType type)
{
    static const char *const names[] = {"int32", "int64", "float64", "bool", "timestamp", "string", "bytes"};
    return (unsigned)type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

#endif
