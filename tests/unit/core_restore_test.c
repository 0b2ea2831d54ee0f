/* Restore: exact distribution at other parallelisms, refusal of what does not fit. */
#include "tests/unit/core_rig.h"

#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"

/* Runs a job at a parallelism until its first checkpoint and gives that back (free_unpacked). */
static Weir__SnapshotMetadata *make_snapshot(uint32_t sources, uint32_t windows, uint32_t max_parallelism)
{
    static struct rig rig;
    rig_init(&rig, (const char *const[]){"execution.checkpointing.interval", "1 s", NULL});
    rig_add_tm(&rig, 4);
    rig_submit(&rig, rig_graph("Count", sources, windows, max_parallelism), NULL, false);
    rig_pass(&rig, 1000);
    assert_int_equal(rig.disk.count, 1);
    Weir__SnapshotMetadata *snapshot = rig.disk.items[0].metadata;
    free(rig.disk.items[0].path);
    rig.disk.count = 0;
    rig_deinit(&rig);
    return snapshot;
}

/* Every key group is with its owner, once, with its bytes; every subtask of the source has all splits. */
static void check_distribution(struct rig *rig, uint32_t sources, uint32_t windows, uint32_t max,
                               uint32_t old_sources)
{
    for (uint32_t s = 0; s < windows; s++) {
        struct rig_task *task;
        uint32_t first, last, groups = 0;
        bool watermark = false;
        rig_find_task(rig, 1, s, &task);
        assert_string_equal(task->restore_base, "/snapshots/one");
        key_group_range(s, windows, max, &first, &last);
        for (size_t i = 0; i < task->restore_count; i++) {
            const Weir__OperatorState *state = task->restore[i];
            assert_string_equal(state->uid, "window");
            assert_int_equal(state->max_parallelism, max);
            for (size_t k = 0; k < state->n_keyed; k++) {
                char expected[64];
                uint32_t group = state->keyed[k]->key_group;
                assert_int_equal(key_group_owner(group, windows, max), s);
                assert_int_equal(key_group_owner(group, state->parallelism, max), state->subtask);
                snprintf(expected, sizeof expected, "kg%u@1", group);
                assert_int_equal(state->keyed[k]->handle->inline_.len, strlen(expected));
                assert_memory_equal(state->keyed[k]->handle->inline_.data, expected, strlen(expected));
                groups++;
            }
            for (size_t k = 0; k < state->n_properties; k++)
                watermark = watermark || strcmp(state->properties[k]->value, "1000") == 0;
        }
        assert_int_equal(groups, last - first + 1);
        assert_true(watermark);
    }
    for (uint32_t s = 0; s < sources; s++) {
        struct rig_task *task;
        rig_find_task(rig, 0, s, &task);
        assert_int_equal(task->restore_count, old_sources);
        for (uint32_t i = 0; i < old_sources; i++) {
            char expected[64];
            snprintf(expected, sizeof expected, "split-%u", task->restore[i]->subtask);
            assert_int_equal(task->restore[i]->n_splits, 1);
            assert_string_equal(task->restore[i]->splits[0]->split, expected);
        }
    }
}

static void rescales(void **state)
{
    (void)state;
    static const struct {
        uint32_t from, to, max;
    } cases[] = {{2, 3, 128}, {3, 1, 128}, {1, 4, 128}, {2, 2, 128}, {3, 4, 7}, {4, 3, 4}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t from = cases[i].from, to = cases[i].to, max = cases[i].max;
        Weir__SnapshotMetadata *snapshot = make_snapshot(from, from, max);
        static struct rig rig;
        rig_init(&rig, (const char *const[]){"execution.checkpointing.interval", "1 s", NULL});
        rig_add_tm(&rig, 3);
        rig_add_tm(&rig, 2);
        rig_submit(&rig, rig_graph("Count", to, to, max), "file:///snapshots/one", false);
        assert_false(rig.submitted); /* not before it has been read */
        assert_int_equal(core_job_count(rig.core), 0);
        assert_string_equal(rig.loads, "file:///snapshots/one");
        free(rig.loads);
        rig.loads = xstrdup("/snapshots/one");
        rig_load_snapshot(&rig, snapshot, 0);
        assert_true(rig.submitted);
        assert_int_equal(rig.submit_rc, 0);
        check_distribution(&rig, to, to, max, from);
        assert_int_equal(rig_job(&rig).restored_checkpoint_id, 1);
        assert_true(rig_told(&rig, "LOG Reset the checkpoint ID of job", 0) > 0);

        /* It fails before its first checkpoint: the same again. */
        rig_worker_dies(&rig, rig_find_task(&rig, 0, 0, NULL), &rig.job, 9);
        rig_drain(&rig);
        assert_int_equal(rig_job(&rig).checkpoints.restored, 2);
        check_distribution(&rig, to, to, max, from);
        rig_pass(&rig, 1000);
        struct checkpoint_view view;
        core_view_checkpoint(rig.core, 0, 0, &view);
        assert_int_equal(view.id, 2); /* counts on */
        assert_int_equal(view.status, CHECKPOINT_COMPLETED);
        char other[64], id[WEIR_ID_HEX + 1];
        rig_worker_dies(&rig, rig_find_task(&rig, 0, 0, NULL), &rig.job, 9);
        rig_drain(&rig);
        rig_pass(&rig, 2000);
        struct rig_task *task;
        rig_find_task(&rig, 1, 0, &task);
        snprintf(other, sizeof other, "/checkpoints/%s/chk-2", weir_id_format(&rig.job, id));
        assert_string_equal(task->restore_base, other);
        assert_int_equal(rig_count_told(&rig, "DELETE /snapshots"), 0); /* it is not ours */
        rig_deinit(&rig);
        weir__snapshot_metadata__free_unpacked(snapshot, NULL);
    }
}

struct refusal {
    const char *what, *message;
    uint32_t windows, max;
    const char *key, *value;
    void (*change)(Weir__SnapshotMetadata *);
    int rc;
    bool allow;
};

static void foreign_uid(Weir__SnapshotMetadata *snapshot)
{
    for (size_t i = 0; i < snapshot->n_operators; i++)
        if (strcmp(snapshot->operators[i]->uid, "window") == 0)
            memcpy(snapshot->operators[i]->uid, "bindow", 6);
}
static void other_version(Weir__SnapshotMetadata *snapshot)
{
    snapshot->version = 9;
}
static void no_id(Weir__SnapshotMetadata *snapshot)
{
    snapshot->checkpoint_id = 0;
}
static void twice(Weir__SnapshotMetadata *snapshot)
{
    for (size_t i = 0; i < snapshot->n_operators; i++)
        snapshot->operators[i]->subtask = 0;
}
static void group_out_of_range(Weir__SnapshotMetadata *snapshot)
{
    for (size_t i = 0; i < snapshot->n_operators; i++)
        if (snapshot->operators[i]->n_keyed > 0)
            snapshot->operators[i]->keyed[snapshot->operators[i]->n_keyed - 1]->key_group = 128;
}
static void impossible_parallelism(Weir__SnapshotMetadata *snapshot)
{
    snapshot->operators[0]->max_parallelism = 40000;
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"unreadable", "checksum mismatch", 2, 128, NULL, NULL, NULL, WEIR_E_CORRUPT, false},
        {"unknown operator", "Cannot map checkpoint/savepoint state for operator bindow", 2, 128, NULL, NULL,
         foreign_uid, 0, false},
        {"version", "format 9", 2, 128, NULL, NULL, other_version, 0, false},
        {"id", "impossible checkpoint id", 2, 128, NULL, NULL, no_id, 0, false},
        {"twice", "contradict each other", 2, 128, NULL, NULL, twice, 0, false},
        {"group", "key group 128", 2, 128, NULL, NULL, group_out_of_range, 0, false},
        {"parallelisms", "not possible", 2, 128, NULL, NULL, impossible_parallelism, 0, false},
        {"parallelism above", "operator window: the parallelism 200 is above the maximum parallelism 128",
         200, 256, NULL, NULL, NULL, 0, false},
        {"explicit maximum", "pipeline.max-parallelism", 2, 256, "pipeline.max-parallelism", "256", NULL, 0,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Weir__SnapshotMetadata *snapshot = make_snapshot(2, 2, 128);
        static struct rig rig;
        rig_init(&rig, NULL);
        Weir__JobGraph *graph = rig_graph("Count", 2, cases[i].windows, cases[i].max);
        if (cases[i].key)
            rig_graph_set(graph, cases[i].key, cases[i].value);
        if (cases[i].change)
            cases[i].change(snapshot);
        rig_submit(&rig, graph, "/snapshots/one", cases[i].allow);
        rig_load_snapshot(&rig, snapshot, cases[i].rc);
        assert_true(rig.submitted);
        assert_true(rig.submit_rc < 0);
        if (!strstr(rig.submit_message, cases[i].message))
            fail_msg("%s: %s", cases[i].what, rig.submit_message);
        assert_non_null(strstr(rig.submit_message, "/snapshots/one"));
        assert_int_equal(core_job_count(rig.core), 0);
        rig_deinit(&rig);
        weir__snapshot_metadata__free_unpacked(snapshot, NULL);
    }
}

static void allows_non_restored_state_when_told(void **state)
{
    (void)state;
    Weir__SnapshotMetadata *snapshot = make_snapshot(2, 2, 128);
    foreign_uid(snapshot);
    static struct rig rig;
    rig_init(&rig, NULL);
    rig_add_tm(&rig, 2);
    rig_submit(&rig, rig_graph("Count", 2, 2, 128), "/snapshots/one", true);
    rig_load_snapshot(&rig, snapshot, 0);
    assert_int_equal(rig.submit_rc, 0);
    struct rig_task *task;
    rig_find_task(&rig, 1, 0, &task);
    assert_int_equal(task->restore_count, 0);
    rig_find_task(&rig, 0, 0, &task);
    assert_int_equal(task->restore_count, 2);
    rig_deinit(&rig);
    weir__snapshot_metadata__free_unpacked(snapshot, NULL);
}

static void keeps_the_stored_maximum_parallelism(void **state)
{
    (void)state;
    Weir__SnapshotMetadata *snapshot = make_snapshot(2, 2, 64);
    static struct rig rig;
    rig_init(&rig, NULL);
    rig_add_tm(&rig, 3);
    rig_submit(&rig, rig_graph("Count", 3, 3, 128), "/snapshots/one", false);
    free(rig.loads);
    rig.loads = xstrdup("/snapshots/one");
    rig_load_snapshot(&rig, snapshot, 0);
    assert_int_equal(rig.submit_rc, 0);
    struct vertex_view vertex;
    core_view_vertex(rig.core, 0, 1, &vertex);
    assert_int_equal(vertex.descriptor->max_parallelism, 64);
    core_view_vertex(rig.core, 0, 2, &vertex);
    assert_int_equal(vertex.descriptor->max_parallelism, 128); /* the sink has no state */
    check_distribution(&rig, 3, 3, 64, 2);
    rig_deinit(&rig);
    weir__snapshot_metadata__free_unpacked(snapshot, NULL);
}

/* All splits were done: a source must know that there was a state, else it would start from its beginning. */
static void an_empty_state_is_known_to_all(void **state)
{
    (void)state;
    Weir__SnapshotMetadata *snapshot = make_snapshot(2, 2, 128);
    for (size_t i = 0; i < snapshot->n_operators; i++) {
        Weir__OperatorState *op = snapshot->operators[i];
        for (; op->n_splits > 0; op->n_splits--)
            weir__split_state__free_unpacked(op->splits[op->n_splits - 1], NULL);
    }
    static struct rig rig;
    rig_init(&rig, NULL);
    rig_add_tm(&rig, 3);
    rig_submit(&rig, rig_graph("Count", 3, 3, 128), "/snapshots/one", false);
    rig_load_snapshot(&rig, snapshot, 0);
    for (uint32_t s = 0; s < 3; s++) {
        struct rig_task *task;
        rig_find_task(&rig, 0, s, &task);
        assert_true(task->restore_count >= 1);
        assert_string_equal(task->restore[0]->uid, "source");
    }
    rig_deinit(&rig);
    weir__snapshot_metadata__free_unpacked(snapshot, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rescales),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(allows_non_restored_state_when_told),
        cmocka_unit_test(an_empty_state_is_known_to_all),
        cmocka_unit_test(keeps_the_stored_maximum_parallelism),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
