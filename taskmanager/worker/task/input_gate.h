/* All input channels of a task as one: fair reading, the combined watermark, and barrier alignment. On the
 * task's thread. */
#ifndef WEIR_TASK_INPUT_GATE_H
#define WEIR_TASK_INPUT_GATE_H

#include "proto/snapshot.pb-c.h"
#include "taskmanager/worker/shuffle/element_reader.h"
#include "taskmanager/worker/watermark/watermark_valve.h"

enum gate_event_kind {
    GATE_NONE,      /* nothing to read now */
    GATE_RECORD,    /* element: valid until the next call */
    GATE_WATERMARK, /* watermark_ms: the combined one has advanced */
    GATE_IDLE,      /* idle: all channels are, or no longer */
    GATE_BARRIER,   /* aligned: snapshot now; checkpoint */
    GATE_DECLINE,   /* an alignment was given up; checkpoint.id, reason */
    GATE_END,       /* all channels have ended (said once) */
    GATE_BAD,       /* err says why */
};

struct gate_checkpoint {
    uint64_t id;
    uint32_t kind;
    uint32_t stop; /* Weir__StopMode */ /* Weir__SnapshotKind */
    int64_t timestamp_ms;               /* when it was triggered */
    int64_t first_barrier_ms;           /* when the first barrier came here */
    int64_t aligned_ms;
    uint64_t processed_bytes; /* between the two */
};

struct gate_event {
    enum gate_event_kind kind;
    struct element element;
    int64_t watermark_ms;
    bool idle;
    struct gate_checkpoint checkpoint;
    const char *reason; /* static */
};

enum { GATE_ABORTED_REMEMBERED = 8 };

struct input_gate {
    bool suspended; /* ends don't move event time: the job goes on from a savepoint */
    struct gate_channel {
        struct element_reader reader;
        bool blocked; /* its barrier has come, others are awaited */
        bool ended;
    } * channels; /* owned */
    uint32_t channel_count;
    uint32_t current;  /* being read, until its buffer ends */
    bool buffer_ended; /* the element just read was the last of its buffer: a good moment to look around */
    uint32_t ended;
    struct watermark_valve valve;
    /* Alignment: */
    bool aligning;
    struct gate_checkpoint checkpoint; /* while aligning */
    uint32_t blocked;
    uint64_t bytes_at_first_barrier;
    uint64_t newest_finished; /* id of the newest checkpoint aligned or given up: what comes of older ones is
                                 stale */
    uint64_t aborted[GATE_ABORTED_REMEMBERED]; /* told before their barriers came */
    uint32_t aborted_next;
    /* Consequences of the last element still to be told, in this order: */
    bool tell_decline;
    struct gate_checkpoint declined;
    bool tell_idle, tell_watermark, tell_barrier, tell_end;
};

struct gate_input {
    struct channel *channel;
    element_check_fn *check; /* NULL: trusted */
    const void *check_self;
};

void input_gate_init(struct input_gate *gate, const struct gate_input *inputs, uint32_t count,
                     uint32_t max_record_bytes);
void input_gate_deinit(struct input_gate *gate);
void input_gate_next(struct input_gate *gate, int64_t now_ms, struct gate_event *ret_event,
                     struct error *err);
/* After a GATE_RECORD: the records behind it in the same buffer, with nothing to be told in between (none if
 * it was the last). Between begin and end the gate itself is not used. */
static inline struct element_run input_gate_begin_run(const struct input_gate *gate)
{
    if (gate->buffer_ended)
        return (struct element_run){0};
    return element_reader_begin_run(&gate->channels[gate->current].reader);
}
static inline void input_gate_end_run(struct input_gate *gate, const struct element_run *run)
{
    struct element_reader *reader = &gate->channels[gate->current].reader;
    if (gate->buffer_ended)
        return;
    element_reader_end_run(reader, run);
    gate->buffer_ended = element_reader_at_end_of_buffer(reader);
    if (gate->buffer_ended)
        gate->current = gate->current + 1 == gate->channel_count ? 0 : gate->current + 1;
}
/* The checkpoint is no longer wanted: blocked channels are read again, barriers of it are ignored. */
void input_gate_abort(struct input_gate *gate, uint64_t checkpoint_id);
uint64_t input_gate_bytes(const struct input_gate *gate);
uint32_t input_gate_queued_buffers(const struct input_gate *gate); /* any thread, approximate */

#endif
