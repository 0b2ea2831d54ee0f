#include "common/api/key_reader.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

static enum key_kind kind_of(weir_field_type type)
{
    if (type == WEIR_TYPE_string || type == WEIR_TYPE_bytes)
        return KEY_STRING;
    return record_field_bytes(type) == sizeof(int64_t) ? KEY_WORD : KEY_COMPOSED;
}

void key_reader_init(struct key_reader *reader, const weir_record_type *type, const uint32_t *fields,
                     uint32_t field_count)
{
    assert(field_count > 0);
    *reader =
        (struct key_reader){.kind = KEY_COMPOSED, .type = type, .fields = fields, .field_count = field_count};
    if (field_count == 1) {
        assert(fields[0] < type->field_count);
        reader->kind = kind_of(type->fields[fields[0]].type);
        reader->offset = type->fields[fields[0]].offset;
    }
    if (reader->kind == KEY_COMPOSED)
        reader->scratch = xmalloc(RECORD_KEY_MAX_BYTES);
}

void key_reader_deinit(struct key_reader *reader)
{
    free(reader->scratch);
    reader->scratch = NULL;
}
