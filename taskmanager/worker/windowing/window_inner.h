/* The inside of the window operator, shared by its files. */
#ifndef WEIR_WINDOWING_WINDOW_INNER_H
#define WEIR_WINDOWING_WINDOW_INNER_H

#include "common/api/key_reader.h"
#include "taskmanager/worker/operators/operator.h"
#include "taskmanager/worker/state/slice_state.h"

enum { EXPECTED_COUNT = 8 }; /* a power of two */

struct window_operator {
    struct operator_instance base;
    const weir_aggregate *aggregate;
    weir_window_fn *function;
    int64_t size_ms;
    bool processing_time;
    struct slice_state state;
    int64_t watermark_ms;             /* windows up to it have fired */
    uint32_t first_group, last_group; /* key groups of this subtask */
    /* After a restore: windows up to floors[group − first_group] have fired, which may be beyond watermark_ms
     * where states of several subtasks came together. NULL when watermark_ms says it all. */
    int64_t *floors;
    int64_t highest_floor;
    /* The slice of the last record, for the next one: no division, no search. Until event time moves on. */
    struct state_slice *near;
    int64_t near_last_ms;  /* the last millisecond of its window */
    uint64_t near_size_ms; /* 0: ask anew */
    /* Hashes of coming records whose slots were asked for; their entries are when they are this old. */
    uint32_t expected[EXPECTED_COUNT];
    uint32_t expected_next;
    uint32_t fire_entry;   /* of the first slice: the next to emit */
    unsigned char *result; /* owned; of result_type */
    struct key_reader key;
};

/* window_state.c */
int window_restore(struct window_operator *window, struct error *err) WEIR_CHECK;
int window_snapshot(struct operator_instance *op, uint64_t checkpoint_id, Weir__OperatorState *state,
                    struct error *err) WEIR_CHECK;
/* The watermark that counts for a key group. */
int64_t window_group_watermark(const void *self, uint32_t key_group);

#endif
