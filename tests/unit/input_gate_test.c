/* Barrier alignment and fairness of a task's input: three channels in random interleavings. A snapshot must
 * hold exactly what came before the barrier on every channel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/id.h"
#include "taskmanager/worker/shuffle/result_partition.h"
#include "taskmanager/worker/task/input_gate.h"

enum { CHANNELS = 3, CHECKPOINTS = 12, ROUNDS = 2000 };

struct payload {
    uint32_t channel;
    uint32_t sequence;
};

struct rig {
    struct random random;
    struct result_partition producers[CHANNELS]; /* one channel each */
    struct channel *channels[CHANNELS];
    struct input_gate gate;
    /* What was sent: */
    uint32_t sent[CHANNELS];
    uint64_t next_barrier[CHANNELS];
    bool barrier_sent[CHANNELS][CHECKPOINTS + 1];
    uint32_t sent_before[CHANNELS][CHECKPOINTS + 1]; /* records before barrier n */
    bool ended[CHANNELS];
    /* What came: */
    uint32_t received[CHANNELS];
    uint64_t last_aligned;
    uint32_t aligned, declined, aborted;
    bool was_aborted[CHECKPOINTS + 1], was_declined[CHECKPOINTS + 1], was_aligned[CHECKPOINTS + 1];
    bool end_seen;
    int64_t now_ms;
};

static void rig_init(struct rig *rig, uint64_t seed)
{
    memset(rig, 0, sizeof *rig);
    random_init(&rig->random, seed);
    struct gate_input inputs[CHANNELS] = {0};
    for (uint32_t i = 0; i < CHANNELS; i++) {
        rig->channels[i] = channel_new((struct channel_id){.producer = i}, 0);
        result_partition_init(&rig->producers[i], &rig->channels[i], 1, 4, NULL);
        inputs[i].channel = rig->channels[i];
        rig->next_barrier[i] = 1;
    }
    input_gate_init(&rig->gate, inputs, CHANNELS, 1024);
}

static void rig_deinit(struct rig *rig)
{
    input_gate_deinit(&rig->gate);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        result_partition_deinit(&rig->producers[i]);
        channel_free(rig->channels[i]);
    }
}

static void send_barrier(struct rig *rig, uint32_t c, bool may_skip)
{
    uint64_t id = rig->next_barrier[c];
    if (id > CHECKPOINTS)
        return;
    rig->next_barrier[c]++;
    if (may_skip && random_below(&rig->random, 6) == 0)
        return;
    rig->barrier_sent[c][id] = true;
    rig->sent_before[c][id] = rig->sent[c];
    struct element_barrier barrier = {.checkpoint_id = id};
    result_partition_broadcast(&rig->producers[c], ELEMENT_BARRIER, rig->now_ms, &barrier, sizeof barrier);
}

static void send_something(struct rig *rig, bool may_skip, bool may_end)
{
    uint32_t c = (uint32_t)random_below(&rig->random, CHANNELS);
    if (rig->ended[c])
        return;
    uint64_t what = random_below(&rig->random, 100);
    if (what < 15) {
        send_barrier(rig, c, may_skip);
    } else if (what < 17 && may_end) {
        rig->ended[c] = true;
        result_partition_broadcast(&rig->producers[c], ELEMENT_END_OF_INPUT, 0, NULL, 0);
    } else if (what < 75) {
        struct payload payload = {.channel = c, .sequence = rig->sent[c]++};
        result_partition_write(&rig->producers[c], 0, 0, 0, &payload, sizeof payload);
    }
    if (random_below(&rig->random, 4) == 0)
        result_partition_flush(&rig->producers[c]);
}

/* Every channel that sent the barrier has given exactly what it sent before it; one that did not must have
 * ended. */
static void check_aligned(struct rig *rig, const struct gate_checkpoint *checkpoint)
{
    uint64_t id = checkpoint->id;
    assert_in_range(id, rig->last_aligned + 1, CHECKPOINTS);
    assert_false(rig->was_aborted[id] || rig->was_declined[id]);
    for (uint32_t c = 0; c < CHANNELS; c++) {
        if (rig->barrier_sent[c][id])
            assert_int_equal(rig->received[c], rig->sent_before[c][id]);
        else
            assert_true(rig->ended[c] && rig->received[c] == rig->sent[c]);
    }
    assert_true(checkpoint->first_barrier_ms >= checkpoint->timestamp_ms);
    assert_int_equal(checkpoint->aligned_ms, rig->now_ms);
    rig->last_aligned = id;
    rig->was_aligned[id] = true;
    rig->aligned++;
}

/* One event; false: nothing to read. */
static bool receive(struct rig *rig)
{
    struct gate_event event;
    struct error err = {0};
    input_gate_next(&rig->gate, rig->now_ms, &event, &err);
    assert_false(rig->end_seen && event.kind != GATE_NONE);
    struct payload payload;
    switch (event.kind) {
    case GATE_NONE:
        return false;
    case GATE_RECORD:
        memcpy(&payload, event.element.data, sizeof payload);
        assert_int_equal(payload.sequence, rig->received[payload.channel]);
        rig->received[payload.channel]++;
        break;
    case GATE_BARRIER:
        check_aligned(rig, &event.checkpoint);
        break;
    case GATE_DECLINE:
        assert_false(rig->was_aborted[event.checkpoint.id] || rig->was_aligned[event.checkpoint.id]);
        rig->was_declined[event.checkpoint.id] = true;
        rig->declined++;
        break;
    case GATE_END:
        rig->end_seen = true;
        break;
    default:
        fail_msg("event %d: %s", event.kind, err.message);
    }
    return true;
}

static void abort_one(struct rig *rig)
{
    uint64_t id = rig->last_aligned + 1 + random_below(&rig->random, 2);
    if (id > CHECKPOINTS || rig->was_declined[id])
        return;
    rig->was_aborted[id] = true;
    rig->aborted++;
    input_gate_abort(&rig->gate, id);
}

struct totals {
    uint32_t aligned, declined, aborted, ends;
};

static struct totals run(bool may_skip, bool may_end, bool may_abort, uint32_t rounds)
{
    struct totals totals = {0};
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        static struct rig rig;
        rig_init(&rig, seed);
        for (int step = 0; step < 400; step++) {
            rig.now_ms++;
            uint64_t what = random_below(&rig.random, 100);
            if (what < 50)
                send_something(&rig, may_skip, may_end);
            else if (what == 99 && may_abort)
                abort_one(&rig);
            else
                receive(&rig);
        }
        for (uint32_t c = 0; c < CHANNELS; c++) {
            while (!may_skip && !rig.ended[c] && rig.next_barrier[c] <= CHECKPOINTS)
                send_barrier(&rig, c, false);
            if (may_end && !rig.ended[c]) {
                rig.ended[c] = true;
                result_partition_broadcast(&rig.producers[c], ELEMENT_END_OF_INPUT, 0, NULL, 0);
            }
            result_partition_flush(&rig.producers[c]);
        }
        while (receive(&rig))
            ;
        for (uint32_t c = 0; c < CHANNELS && (may_end || !may_skip); c++)
            assert_int_equal(rig.received[c], rig.sent[c]); /* nothing stays blocked */
        assert_int_equal(rig.end_seen, may_end);
        totals.aligned += rig.aligned;
        totals.declined += rig.declined;
        totals.aborted += rig.aborted;
        totals.ends += rig.end_seen;
        rig_deinit(&rig);
    }
    return totals;
}

static void every_checkpoint_aligns(void **state)
{
    (void)state;
    struct totals totals = run(false, false, false, ROUNDS);
    assert_int_equal(totals.aligned, ROUNDS * CHECKPOINTS);
    assert_int_equal(totals.declined, 0);
}

static void newer_barriers_give_up_older_ones(void **state)
{
    (void)state;
    struct totals totals = run(true, false, false, ROUNDS);
    assert_true(totals.declined > ROUNDS / 2);
    assert_true(totals.aligned > ROUNDS);
}

static void ended_channels_are_aligned(void **state)
{
    (void)state;
    struct totals totals = run(true, true, false, ROUNDS);
    assert_int_equal(totals.ends, ROUNDS);
    assert_true(totals.aligned > ROUNDS);
}

static void aborted_checkpoints_unblock(void **state)
{
    (void)state;
    struct totals totals = run(false, false, true, ROUNDS);
    assert_true(totals.aborted > ROUNDS);
    assert_true(totals.aligned > ROUNDS);
    assert_true(totals.aligned + totals.aborted >= ROUNDS * CHECKPOINTS);
}

/* A channel that is always full does not keep the others from being read. */
static void reading_is_fair(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, 5);
    char data[1000] = {0};
    for (int i = 0; i < 2000; i++) {
        struct payload payload = {.channel = 0, .sequence = rig.sent[0]++};
        memcpy(data, &payload, sizeof payload);
        result_partition_write(&rig.producers[0], 0, 0, 0, data, sizeof data);
    }
    struct payload payload = {.channel = 2, .sequence = rig.sent[2]++};
    result_partition_write(&rig.producers[2], 0, 0, 0, &payload, sizeof payload);
    result_partition_flush(&rig.producers[0]);
    result_partition_flush(&rig.producers[2]);
    for (int i = 0; i < 100; i++)
        assert_true(receive(&rig));
    assert_int_equal(rig.received[2], 1);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_checkpoint_aligns),
        cmocka_unit_test(newer_barriers_give_up_older_ones),
        cmocka_unit_test(ended_channels_are_aligned),
        cmocka_unit_test(aborted_checkpoints_unblock),
        cmocka_unit_test(reading_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
