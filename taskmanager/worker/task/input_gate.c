/* Happy path: the current channel is read until its buffer ends, then the next one that has something. A
 * barrier blocks its channel; when all channels that have not ended are blocked, the checkpoint is aligned
 * and all are read again.
 *
 * Possible failure modes: a barrier of a newer checkpoint while an older one is aligning (the older one is
 * declined: its missing barriers will never come); a barrier of a checkpoint that was aborted or is older
 * (ignored); a channel that ends while others are awaited (counts as aligned). */
#include "taskmanager/worker/task/input_gate.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

void input_gate_init(struct input_gate *gate, const struct gate_input *inputs, uint32_t count,
                     uint32_t max_record_bytes)
{
    *gate = (struct input_gate){
        .channels = xcalloc(count ? count : 1, sizeof *gate->channels),
        .channel_count = count,
    };
    for (uint32_t i = 0; i < count; i++) {
        struct element_reader *reader = &gate->channels[i].reader;
        element_reader_init(reader, inputs[i].channel, max_record_bytes);
        reader->check = inputs[i].check;
        reader->check_self = inputs[i].check_self;
    }
    watermark_valve_init(&gate->valve, count);
}

void input_gate_deinit(struct input_gate *gate)
{
    for (uint32_t i = 0; i < gate->channel_count; i++)
        element_reader_deinit(&gate->channels[i].reader);
    free(gate->channels);
    watermark_valve_deinit(&gate->valve);
    *gate = (struct input_gate){0};
}

uint64_t input_gate_bytes(const struct input_gate *gate)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < gate->channel_count; i++)
        bytes += gate->channels[i].reader.bytes;
    return bytes;
}

uint32_t input_gate_queued_buffers(const struct input_gate *gate)
{
    uint32_t queued = 0;
    for (uint32_t i = 0; i < gate->channel_count; i++)
        queued += channel_length(gate->channels[i].reader.channel);
    return queued;
}

/* ---- alignment
 * ----------------------------------------------------------------------------------------------------- */

static void stop_aligning(struct input_gate *gate)
{
    gate->aligning = false;
    gate->blocked = 0;
    for (uint32_t i = 0; i < gate->channel_count; i++)
        gate->channels[i].blocked = false;
    if (gate->checkpoint.id > gate->newest_finished)
        gate->newest_finished = gate->checkpoint.id;
}

static void check_aligned(struct input_gate *gate, int64_t now_ms)
{
    if (!gate->aligning || gate->blocked + gate->ended < gate->channel_count)
        return;
    gate->checkpoint.aligned_ms = now_ms;
    gate->checkpoint.processed_bytes = input_gate_bytes(gate) - gate->bytes_at_first_barrier;
    stop_aligning(gate);
    gate->tell_barrier = true;
}

static bool was_aborted(const struct input_gate *gate, uint64_t checkpoint_id)
{
    for (uint32_t i = 0; i < GATE_ABORTED_REMEMBERED; i++)
        if (gate->aborted[i] == checkpoint_id)
            return true;
    return false;
}

static void on_barrier(struct input_gate *gate, struct gate_channel *channel, const struct element *element,
                       int64_t now_ms)
{
    uint64_t id = element->barrier.checkpoint_id;
    if (id <= gate->newest_finished || was_aborted(gate, id) || (gate->aligning && id < gate->checkpoint.id))
        return;
    if (gate->aligning && id > gate->checkpoint.id) {
        gate->declined = gate->checkpoint;
        gate->tell_decline = true;
        stop_aligning(gate);
    }
    if (!gate->aligning) {
        gate->aligning = true;
        gate->checkpoint = (struct gate_checkpoint){
            .id = id,
            .kind = element->barrier.kind,
            .stop = element->barrier.stop,
            .timestamp_ms = element->timestamp,
            .first_barrier_ms = now_ms,
        };
        gate->bytes_at_first_barrier = input_gate_bytes(gate);
    }
    channel->blocked = true;
    gate->blocked++;
    check_aligned(gate, now_ms);
}

void input_gate_abort(struct input_gate *gate, uint64_t checkpoint_id)
{
    if (gate->aligning && gate->checkpoint.id == checkpoint_id)
        stop_aligning(gate);
    if (gate->tell_barrier && gate->checkpoint.id == checkpoint_id)
        gate->tell_barrier = false;
    if (checkpoint_id > gate->newest_finished && !was_aborted(gate, checkpoint_id))
        gate->aborted[gate->aborted_next++ % GATE_ABORTED_REMEMBERED] = checkpoint_id;
}

/* ---- reading
 * ------------------------------------------------------------------------------------------------------- */

static void note_change(struct input_gate *gate, struct valve_change change)
{
    gate->tell_watermark |= change.advanced;
    gate->tell_idle ^= change.idle_changed; /* there and back again is no change */
}

static void on_end(struct input_gate *gate, uint32_t index, int64_t now_ms)
{
    struct gate_channel *channel = &gate->channels[index];
    if (channel->ended)
        return;
    channel->ended = true;
    gate->ended++;
    if (!gate->suspended) /* else event time goes on after the restart */
        note_change(gate, watermark_valve_on_end(&gate->valve, index));
    check_aligned(gate, now_ms);
    gate->tell_end = gate->ended == gate->channel_count;
}

/* One consequence that is still to be told; false if there is none. */
static bool take_consequence(struct input_gate *gate, struct gate_event *ret_event)
{
    if (gate->tell_decline) {
        gate->tell_decline = false;
        ret_event->kind = GATE_DECLINE;
        ret_event->checkpoint = gate->declined;
        ret_event->reason = "a newer checkpoint's barrier came before all of this one's";
    } else if (gate->tell_idle) {
        gate->tell_idle = false;
        ret_event->kind = GATE_IDLE;
        ret_event->idle = gate->valve.idle;
    } else if (gate->tell_watermark) {
        gate->tell_watermark = false;
        ret_event->kind = GATE_WATERMARK;
        ret_event->watermark_ms = gate->valve.combined_ms;
    } else if (gate->tell_barrier) {
        gate->tell_barrier = false;
        ret_event->kind = GATE_BARRIER;
        ret_event->checkpoint = gate->checkpoint;
    } else if (gate->tell_end) {
        gate->tell_end = false;
        ret_event->kind = GATE_END;
    } else {
        return false;
    }
    return true;
}

static void on_control(struct input_gate *gate, uint32_t index, const struct element *element, int64_t now_ms)
{
    switch (element->kind) {
    case ELEMENT_WATERMARK:
        note_change(gate, watermark_valve_on_watermark(&gate->valve, index, element->timestamp));
        break;
    case ELEMENT_IDLE:
    case ELEMENT_ACTIVE:
        note_change(gate, watermark_valve_on_idle(&gate->valve, index, element->kind == ELEMENT_IDLE));
        break;
    case ELEMENT_BARRIER:
        on_barrier(gate, &gate->channels[index], element, now_ms);
        break;
    case ELEMENT_END_OF_INPUT:
        on_end(gate, index, now_ms);
        break;
    default:
        assert(false); /* the reader yields records and control elements only */
    }
}

void input_gate_next(struct input_gate *gate, int64_t now_ms, struct gate_event *ret_event, struct error *err)
{
    uint32_t without = 0; /* channels in a row that had nothing */
    while (!take_consequence(gate, ret_event)) {
        if (without == gate->channel_count) {
            ret_event->kind = GATE_NONE;
            return;
        }
        struct gate_channel *channel = &gate->channels[gate->current];
        /* After its end a channel is still read, so that its buffers go back, but nothing should come. */
        enum element_status status =
            channel->blocked ? ELEMENT_NONE : element_reader_next(&channel->reader, &ret_event->element, err);
        if (status == ELEMENT_BAD) {
            ret_event->kind = GATE_BAD;
            return;
        }
        uint32_t index = gate->current;
        gate->buffer_ended = status == ELEMENT_READY && element_reader_at_end_of_buffer(&channel->reader);
        if (status == ELEMENT_NONE || gate->buffer_ended)
            gate->current = (gate->current + 1) % gate->channel_count;
        without = status == ELEMENT_NONE ? without + 1 : 0;
        if (status == ELEMENT_NONE)
            continue;
        if (channel->ended) {
            error_set(err, WEIR_E_INVALID, "input channel %u: something came after its end of input", index);
            ret_event->kind = GATE_BAD;
            return;
        }
        if (ret_event->element.kind == ELEMENT_RECORD) {
            ret_event->kind = GATE_RECORD;
            return;
        }
        on_control(gate, index, &ret_event->element, now_ms);
    }
}
