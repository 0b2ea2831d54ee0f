/* Savepoints, stops and checkpoints on demand: what is told to whom, in which order, and what is answered. */
#include "tests/unit/core_rig.h"

#include <stdio.h>
#include <string.h>

static const char *const every_second[] = {"execution.checkpointing.interval", "1 s", NULL};

static void start(struct rig *rig, const char *const *settings)
{
    rig_init(rig, settings);
    rig_add_tm(rig, 1);
    rig_add_tm(rig, 1);
    rig_submit(rig, rig_graph("Count", 2, 2, 128), NULL, false);
    assert_int_equal(rig->submit_rc, 0);
}

static void wish(struct rig *rig, uint64_t request, struct snapshot_wish what)
{
    rig_step(rig, &(struct core_event){
                      .kind = EVENT_TAKE_SNAPSHOT, .request = request, .job = rig->job, .wish = &what});
    rig_drain(rig);
}

static const char *told(struct rig *rig, const char *prefix)
{
    int at = rig_told(rig, prefix, 0);
    return at < 0 ? "" : rig->story.items[at];
}

static struct checkpoint_view newest(struct rig *rig)
{
    struct checkpoint_view view;
    core_view_checkpoint(rig->core, 0, 0, &view);
    return view;
}

static void send_ack(struct rig *rig, uint32_t vertex, uint32_t subtask, uint64_t checkpoint)
{
    rig_send(rig, rig_find_task(rig, vertex, subtask, NULL), rig_ack(rig, 0, vertex, subtask, checkpoint));
    rig_drain(rig);
}

static void finish_all(struct rig *rig)
{
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t vertex = i < 4 ? i / 2 : 2, subtask = i < 4 ? i % 2 : 0;
        rig_send(rig, rig_find_task(rig, vertex, subtask, NULL),
                 rig_task_state(rig, 0, vertex, subtask, WEIR__TASK_STATE__TASK_FINISHED));
    }
    rig_drain(rig);
}

static void savepoint_is_left_alone(void **state)
{
    (void)state;
    static struct rig rig;
    char id[WEIR_ID_HEX + 1], prefix[128];
    start(&rig, every_second);
    rig_pass(&rig, 1000);
    wish(&rig, 7, (struct snapshot_wish){.savepoint = true, .directory = "file:///mine/"});
    snprintf(prefix, sizeof prefix, "SNAPSHOT 7 0 /mine/savepoint-%.6s-", weir_id_format(&rig.job, id));
    const char *answer = told(&rig, prefix);
    assert_int_equal(strlen(answer), strlen(prefix) + 12);
    const char *path = answer + strlen("SNAPSHOT 7 0 ");
    const Weir__SnapshotMetadata *metadata = rig_disk(&rig, path);
    assert_non_null(metadata);
    assert_true(metadata->savepoint);
    assert_true(newest(&rig).savepoint);
    assert_string_equal(newest(&rig).path, path);
    assert_int_equal(rig_count_told(&rig, "COMPLETE 2"), 0); /* nothing is published by it */
    rig_pass(&rig, 3000);
    assert_non_null(rig_disk(&rig, path)); /* not subsumed */
    assert_false(newest(&rig).savepoint);
    rig_worker_dies(&rig, rig_find_task(&rig, 0, 0, NULL), &rig.job, 9);
    rig_pass(&rig, 3000);
    assert_int_equal(rig_state(&rig), JOB_RUNNING);
    assert_true(rig_job(&rig).restored_checkpoint_id > 2); /* of a checkpoint */
    rig_deinit(&rig);
}

static void without_checkpoints_there_are_savepoints(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL);
    wish(&rig, 1, (struct snapshot_wish){.savepoint = false});
    assert_non_null(strstr(told(&rig, "SNAPSHOT 1 -"), "execution.checkpointing.interval is not set"));
    wish(&rig, 2, (struct snapshot_wish){.savepoint = true});
    assert_non_null(strstr(told(&rig, "SNAPSHOT 2 -"), "No savepoint directory configured"));
    wish(&rig, 3, (struct snapshot_wish){.savepoint = true, .directory = "s3://bucket/x"});
    assert_non_null(strstr(told(&rig, "SNAPSHOT 3 -"), "s3://bucket/x"));
    wish(&rig, 4, (struct snapshot_wish){.savepoint = true, .directory = "/mine"});
    assert_string_not_equal(told(&rig, "SNAPSHOT 4 0 /mine/savepoint-"), "");
    rig_pass(&rig, 100000);
    assert_int_equal(rig_job(&rig).checkpoints.total, 1);
    rig_deinit(&rig);
}

static void checkpoint_on_demand_waits_for_the_one_under_way(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig.auto_ack = false;
    rig_pass(&rig, 1000);
    wish(&rig, 1, (struct snapshot_wish){.savepoint = false});
    assert_string_equal(told(&rig, "SNAPSHOT 1"), "");
    for (uint32_t i = 0; i < 5; i++) {
        rig.auto_ack = i == 4;
        send_ack(&rig, i < 4 ? i / 2 : 2, i < 4 ? i % 2 : 0, 1);
    }
    rig_pass(&rig, 1);
    assert_string_not_equal(told(&rig, "SNAPSHOT 1 0"), "");
    assert_int_equal(rig_job(&rig).checkpoints.completed, 2);
    rig_deinit(&rig);
}

static void stop_ends_the_job(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig.auto_persist = false;
    wish(&rig, 1,
         (struct snapshot_wish){
             .savepoint = true, .stop = WEIR__STOP_MODE__STOP_SUSPEND, .directory = "/mine"});
    assert_true(rig_told(&rig, "PERSIST 1", 0) >= 0);
    assert_int_equal(rig_told(&rig, "COMPLETE 1", 0), -1); /* the tasks rest until it is persisted */
    rig_answer_due(&rig, 0);
    assert_int_equal(rig_count_told(&rig, "COMPLETE 1"), 2);
    assert_string_equal(told(&rig, "SNAPSHOT 1"), "");
    rig_pass(&rig, 3000);
    assert_int_equal(rig_job(&rig).checkpoints.total, 1); /* none meanwhile */
    wish(&rig, 2, (struct snapshot_wish){.savepoint = true, .directory = "/mine"});
    assert_non_null(strstr(told(&rig, "SNAPSHOT 2 -"), "being stopped"));
    finish_all(&rig);
    assert_int_equal(rig_state(&rig), JOB_FINISHED);
    const char *answer = told(&rig, "SNAPSHOT 1 0 /mine/savepoint-");
    assert_string_not_equal(answer, "");
    assert_non_null(rig_disk(&rig, answer + strlen("SNAPSHOT 1 0 ")));
    wish(&rig, 3, (struct snapshot_wish){.savepoint = true, .directory = "/mine"});
    assert_non_null(strstr(told(&rig, "SNAPSHOT 3 -"), "Could not find Weir job"));
    rig_deinit(&rig);
}

static void stop_that_fails_leaves_the_job(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig.auto_persist = false;
    struct snapshot_wish stop = {
        .savepoint = true, .stop = WEIR__STOP_MODE__STOP_SUSPEND, .directory = "/mine"};
    wish(&rig, 1, stop);
    rig_answer_due(&rig, WEIR_E_IO);
    assert_string_not_equal(told(&rig, "SNAPSHOT 1 -"), "");
    assert_int_equal(rig_count_told(&rig, "ABORTED 1"), 2); /* so that the tasks go on */
    assert_int_equal(rig_state(&rig), JOB_RUNNING);
    rig.auto_persist = true;
    rig_pass(&rig, 2000);
    assert_true(rig_job(&rig).checkpoints.completed > 0);
    rig_deinit(&rig);
}

static void job_that_fails_amid_its_stop_goes_on_from_the_savepoint(void **state)
{
    (void)state;
    static const Weir__StopMode modes[] = {WEIR__STOP_MODE__STOP_SUSPEND, WEIR__STOP_MODE__STOP_DRAIN};
    for (size_t i = 0; i < 2; i++) {
        static struct rig rig;
        start(&rig, every_second);
        rig_pass(&rig, 1000);
        wish(&rig, 1, (struct snapshot_wish){.savepoint = true, .stop = modes[i], .directory = "/mine"});
        assert_int_equal(rig_count_told(&rig, "COMPLETE 2"), 2);
        rig_worker_dies(&rig, rig_find_task(&rig, 0, 0, NULL), &rig.job, 9);
        rig_drain(&rig);
        assert_non_null(strstr(told(&rig, "SNAPSHOT 1 -"), "did not end by it"));
        rig_pass(&rig, 900);
        assert_int_equal(rig_state(&rig), JOB_RUNNING);
        assert_int_equal(rig_job(&rig).restored_checkpoint_id,
                         modes[i] == WEIR__STOP_MODE__STOP_SUSPEND ? 2 : 1);
        rig_deinit(&rig);
    }
}

static void cancel_comes_after_the_savepoint(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    wish(&rig, 1, (struct snapshot_wish){.savepoint = true, .cancel = true, .directory = "/mine"});
    assert_string_not_equal(told(&rig, "SNAPSHOT 1 0 /mine/savepoint-"), "");
    rig_pass(&rig, 10);
    assert_int_equal(rig_state(&rig), JOB_CANCELED);
    rig_deinit(&rig);
}

static void wishes_end_with_the_attempt(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig.auto_ack = false;
    wish(&rig, 1, (struct snapshot_wish){.savepoint = true, .directory = "/mine"});
    wish(&rig, 2, (struct snapshot_wish){.savepoint = true, .directory = "/mine"});
    rig_cancel(&rig, &rig.job);
    assert_string_not_equal(told(&rig, "SNAPSHOT 1 -"), "");
    assert_string_not_equal(told(&rig, "SNAPSHOT 2 -"), "");
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(savepoint_is_left_alone),
        cmocka_unit_test(without_checkpoints_there_are_savepoints),
        cmocka_unit_test(checkpoint_on_demand_waits_for_the_one_under_way),
        cmocka_unit_test(stop_ends_the_job),
        cmocka_unit_test(stop_that_fails_leaves_the_job),
        cmocka_unit_test(job_that_fails_amid_its_stop_goes_on_from_the_savepoint),
        cmocka_unit_test(cancel_comes_after_the_savepoint),
        cmocka_unit_test(wishes_end_with_the_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
