/* Layouts of state: what a snapshot says its accumulators look like against what the job declares now. */
#ifndef WEIR_STATE_LAYOUT_H
#define WEIR_STATE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/graph/field_change.h"
#include "proto/graph.pb-c.h"

enum { LAYOUT_BYTES_MAX = 64 * 1024, LAYOUT_FIELDS_MAX = 1024 };

/* How to move one accumulator from the stored to the declared layout. */
struct layout_mapping {
    bool identical; /* one memcpy of size bytes */
    uint32_t stored_size;
    uint32_t declared_size;
    uint32_t move_count;
    struct layout_move {
        uint32_t from;
        uint32_t to;
        uint32_t size; /* stored */
        enum field_change change;
    } * moves; /* owned */
};

/* Fields are matched by name: a field that is new starts as zero, one that is gone is dropped, an int32 that
 * became an int64 or float64 is widened, another change of type is an error that names uid and field. stored
 * comes from a file and is checked. */
int layout_map(const Weir__RecordDescriptor *stored, const Weir__RecordDescriptor *declared, const char *uid,
               struct layout_mapping *ret_mapping, struct error *err) WEIR_CHECK;
void layout_mapping_deinit(struct layout_mapping *mapping);
/* declared: zeroed. */
void layout_move(const struct layout_mapping *mapping, const void *stored, void *declared);

/* Fixed-size fields only: what an accumulator may hold. */
int layout_check(const Weir__RecordDescriptor *layout, struct error *err) WEIR_CHECK;

#endif
