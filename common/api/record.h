/* Records as bytes, for the runtime: their keys, checks of bytes from outside, descriptors, a default text.
 * No allocation but for descriptors; any thread. A record lies at an address that is a multiple of 8. */
#ifndef WEIR_API_RECORD_H
#define WEIR_API_RECORD_H

#include <weir/weir.h>

#include "common/base/error.h"
#include "proto/graph.pb-c.h"

enum { RECORD_KEY_MAX_BYTES = 64 * 1024 };

/* Bytes of a field in the fixed part; 0: no such type. */
uint32_t record_field_bytes(weir_field_type type);

/* The canonical key (see struct weir_key) of these fields. A single string, or a single field of 8 bytes, is
 * not copied: *ret_data points into the record; else into scratch. WEIR_E_LIMIT: longer than
 * RECORD_KEY_MAX_BYTES, or than scratch (one of RECORD_KEY_MAX_BYTES is always enough); outputs untouched. */
int record_key(const weir_record_type *type, const uint32_t *fields, uint32_t count, const void *record,
               unsigned char *scratch, uint32_t scratch_size, const unsigned char **ret_data,
               uint32_t *ret_size) WEIR_CHECK;

/* For bytes from a network or a file, before anything else looks at them: 0, or WEIR_E_CORRUPT. */
/* Whether the fixed part is there and all strings lie behind it, within size bytes. */
int record_check(const weir_record_type *type, const void *record, uint32_t size_bytes) WEIR_CHECK;
/* Whether these are the canonical bytes of a key of these fields. */
int record_key_check(const weir_record_type *type, const uint32_t *fields, uint32_t count, const void *data,
                     uint32_t size_bytes) WEIR_CHECK;

/* NULL, or what is wrong with a declared type (a static text): sizes, alignment, fields. */
const char *record_type_problem(const weir_record_type *type);
/* The index of a field; −1: there is none of that name. */
int record_type_find(const weir_record_type *type, const char *field_name);
bool record_type_has_strings(const weir_record_type *type);

/* Caller frees with weir__record_descriptor__free_unpacked(…, NULL). */
Weir__RecordDescriptor *record_type_to_proto(const weir_record_type *type);
/* The same layout: sizes, and names, types and places of all fields. The record's own name may differ. */
bool record_type_equal_proto(const weir_record_type *type, const Weir__RecordDescriptor *descriptor);

/* "page=/help count=1000", without newline: control characters in strings as \xNN, bytes in hex, timestamps
 * in milliseconds. Writes at most capacity bytes (no NUL) and returns how many; what doesn't fit is left out.
 */
int record_format(const weir_record_type *type, const void *record, char *buffer, size_t capacity);

#endif
