/* What happens when something is lost: each phase of an attempt, restart strategies, zombies. */
#include "tests/unit/core_rig.h"

#include <stdio.h>
#include <string.h>

static void start(struct rig *rig, const char *const *settings, uint32_t tms)
{
    rig_init(rig, settings);
    for (uint32_t i = 0; i < tms; i++)
        rig_add_tm(rig, 1);
    Weir__JobGraph *graph = rig_graph("Count", 2, 2, 128);
    rig_graph_set(graph, "execution.checkpointing.interval", "1 s");
    rig_submit(rig, graph, NULL, false);
    assert_int_equal(rig->submit_rc, 0);
}

static uint32_t running(struct rig *rig)
{
    return rig_job(rig).tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING];
}

static void a_lost_taskmanager_with_spare_slots(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL, 3);
    rig_pass(&rig, 2500);
    assert_int_equal(rig_job(&rig).checkpoints.completed, 2);
    uint32_t victim = rig_find_task(&rig, 1, 1, NULL);
    rig_lose_tm(&rig, victim);
    assert_int_equal(rig_state(&rig), JOB_RESTARTING); /* the other worker has to go first */
    struct subtask_view subtask;
    core_view_subtask(rig.core, 0, 0, 0, &subtask);
    assert_int_equal(subtask.state, WEIR__TASK_STATE__TASK_CANCELING);
    core_view_subtask(rig.core, 0, 0, 1, &subtask);
    assert_int_equal(subtask.state, WEIR__TASK_STATE__TASK_FAILED);
    assert_string_equal(subtask.task_manager, rig.tms[victim].id); /* still known */
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig), JOB_RUNNING); /* at once: the first restart is immediate */
    assert_int_equal(running(&rig), 5);
    assert_int_equal(rig_job(&rig).restarts, 1);
    assert_int_equal(rig_job(&rig).restored_checkpoint_id, 2);
    assert_int_equal(rig_job(&rig).checkpoints.restored, 1);
    core_view_subtask(rig.core, 0, 1, 1, &subtask);
    assert_int_equal(subtask.attempt, 1);
    assert_string_equal(strrchr(subtask.attempt_id, '_'), "_1");
    struct rig_task *task;
    rig_find_task(&rig, 1, 1, &task);
    assert_non_null(strstr(task->restore_base, "/chk-2"));
    char expected[256], id[WEIR_ID_HEX + 1];
    weir_id_format(&rig.job, id);
    snprintf(expected, sizeof expected,
             "LOG Restoring job %s from Checkpoint 2 @ %lld for %s located at file:/checkpoints/%s/chk-2.",
             id, (long long)RIG_START_MS + 2000, id, id);
    assert_true(rig_told(&rig, expected, 0) > 0);
    snprintf(expected, sizeof expected, "LOG Job Count (%s) switched from state RUNNING to RESTARTING.", id);
    assert_true(rig_told(&rig, expected, 0) > 0);
    assert_true(rig_told(&rig, "LOG 5 tasks will be restarted to recover the failed task ", 0) > 0);
    rig_check(&rig);
    rig_deinit(&rig);
}

static void a_lost_taskmanager_without_spare_slots(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL, 2);
    rig_lose_tm(&rig, 0);
    rig_drain(&rig);
    struct job_view job = rig_job(&rig);
    assert_int_equal(job.state, JOB_RUNNING);
    assert_int_equal(job.tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
    rig_pass(&rig, 600000);
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
    assert_int_equal(rig_job(&rig).checkpoints.total, 0);
    assert_true(rig_told(&rig, "LOG No checkpoint found during restore.", 0) > 0);
    rig_add_tm(&rig, 1);
    assert_int_equal(running(&rig), 5);
    rig_check(&rig);
    rig_deinit(&rig);
}

/* The worker, or its whole taskmanager, is lost in each phase. */
static void lost_in_each_phase(void **state)
{
    (void)state;
    for (int phase = 0; phase < 4; phase++)
        for (int whole = 0; whole < 2; whole++) {
            static struct rig rig;
            rig_init(&rig, NULL);
            rig.auto_ready = phase >= 1;
            rig.auto_run = phase >= 2;
            rig.auto_ack = phase < 3;
            rig_add_tm(&rig, 1);
            rig_add_tm(&rig, 1);
            Weir__JobGraph *graph = rig_graph("Count", 2, 2, 128);
            rig_graph_set(graph, "execution.checkpointing.interval", "1 s");
            rig_submit(&rig, graph, NULL, false);
            if (phase == 0) { /* one is ready, the other isn't */
                rig.tms[0].workers.items[0].ready = true;
                rig_send(&rig, 0, rig_ready(&rig, 0));
                rig_drain(&rig);
            }
            if (phase == 3)
                rig_pass(&rig, 1000);
            if (whole)
                rig_lose_tm(&rig, 1);
            else
                rig_worker_dies(&rig, 1, &rig.job, 11);
            rig.auto_ready = rig.auto_run = rig.auto_ack = true;
            rig_drain(&rig);
            if (whole) {
                assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
                rig_register(&rig, 1);
                rig_drain(&rig);
            }
            assert_int_equal(running(&rig), 5);
            assert_int_equal(rig_job(&rig).restarts, 1);
            struct exception_view exception;
            core_view_exception(rig.core, 0, 0, &exception);
            assert_string_equal(exception.name, whole ? "TaskManagerLost" : "WorkerCrashed");
            if (!whole)
                assert_non_null(strstr(exception.message, "signal 11"));
            assert_int_equal(rig_job(&rig).checkpoints.failed, phase == 3);
            assert_int_equal(rig_job(&rig).checkpoints.in_progress, 0);
            rig_pass(&rig, 1000);
            assert_int_equal(rig_job(&rig).checkpoints.completed, 1);
            rig_check(&rig);
            rig_deinit(&rig);
        }
}

static void fail_task(struct rig *rig, bool fatal)
{
    uint32_t tm = rig_find_task(rig, 1, 0, NULL);
    struct subtask_view view;
    core_view_subtask(rig->core, 0, 1, 0, &view);
    Weir__ToJobManager *message = rig_task_state(rig, view.attempt, 1, 0, WEIR__TASK_STATE__TASK_FAILED);
    message->task_state->error = strdup("Counter: division by zero");
    message->task_state->stack = strdup("count at count.c:3\nmain");
    message->task_state->fatal = fatal;
    rig_send(rig, tm, message);
    rig_drain(rig);
}

static void fixed_delay(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig,
          (const char *const[]){"restart-strategy.type", "fixed-delay",
                                "restart-strategy.fixed-delay.attempts", "3",
                                "restart-strategy.fixed-delay.delay", "4 s", NULL},
          2);
    for (int round = 1; round <= 3; round++) {
        fail_task(&rig, false);
        if (round > 1) { /* the first is immediate */
            assert_int_equal(rig_state(&rig), JOB_RESTARTING);
            rig_pass(&rig, 3999);
            assert_int_equal(rig_state(&rig), JOB_RESTARTING);
            assert_int_equal(rig_job(&rig).downtime_ms, 3999);
            rig_pass(&rig, 1);
        }
        assert_int_equal(running(&rig), 5);
        assert_int_equal(rig_job(&rig).restarts, round);
    }
    fail_task(&rig, false);
    assert_int_equal(rig_state(&rig), JOB_FAILED);
    struct exception_view exception;
    assert_int_equal(rig_job(&rig).exception_count, 4);
    core_view_exception(rig.core, 0, 0, &exception);
    assert_string_equal(exception.name, "TaskFailed");
    assert_string_equal(exception.message, "Counter: division by zero");
    assert_string_equal(exception.stack, "count at count.c:3\nmain");
    assert_string_equal(exception.task, "Counter (1/2) - execution #3");
    assert_string_equal(exception.endpoint, "127.0.0.1:4711");
    struct overview_view overview;
    core_view_overview(rig.core, &overview);
    assert_int_equal(overview.slots_available, 2);
    assert_int_equal(overview.jobs_failed, 1);
    rig_deinit(&rig);
}

static void no_restart_and_fatal_failures(void **state)
{
    (void)state;
    for (int fatal = 0; fatal < 2; fatal++) {
        static struct rig rig;
        start(&rig, (const char *const[]){"restart-strategy.type", fatal ? "fixed-delay" : "none", NULL}, 2);
        rig.auto_stop = false;
        fail_task(&rig, fatal);
        assert_int_equal(rig_state(&rig), JOB_FAILING); /* until the workers are gone */
        for (uint32_t i = 0; i < 2; i++) {
            rig_worker_dies(&rig, i, &rig.job, 9);
            rig_drain(&rig);
        }
        assert_int_equal(rig_state(&rig), JOB_FAILED);
        rig_cancel(&rig, &rig.job);
        assert_int_equal(rig.cancel_rc, WEIR_E_STATE);
        rig_deinit(&rig);
    }
}

static void cancels_while_restarting_and_failing(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig,
          (const char *const[]){"restart-strategy.type", "fixed-delay", "restart-strategy.fixed-delay.delay",
                                "1 min", NULL},
          2);
    fail_task(&rig, false);
    fail_task(&rig, false);
    assert_int_equal(rig_state(&rig), JOB_RESTARTING);
    rig_cancel(&rig, &rig.job); /* waiting for its pause: nothing to wait for */
    assert_int_equal(rig_state(&rig), JOB_CANCELED);
    rig_pass(&rig, 120000);
    assert_int_equal(rig_state(&rig), JOB_CANCELED);
    rig_deinit(&rig);

    for (int fatal = 0; fatal < 2; fatal++) {
        start(&rig, NULL, 2);
        rig.auto_stop = false;
        fail_task(&rig, fatal);
        assert_int_equal(rig_state(&rig), fatal ? JOB_FAILING : JOB_RESTARTING);
        rig_cancel(&rig, &rig.job); /* the workers are being killed */
        assert_int_equal(rig_state(&rig), JOB_CANCELLING);
        rig_worker_dies(&rig, 0, &rig.job, 9);
        rig_drain(&rig);
        assert_int_equal(rig_state(&rig), JOB_CANCELLING);
        rig_worker_dies(&rig, 1, &rig.job, 9);
        rig_drain(&rig);
        assert_int_equal(rig_state(&rig), JOB_CANCELED);
        rig_deinit(&rig);
    }
}

static void waits_for_all_workers_before_the_next_attempt(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL, 4);
    rig.auto_stop = false;
    uint32_t first = rig_find_task(&rig, 0, 0, NULL), second = rig_find_task(&rig, 0, 1, NULL);
    rig_worker_dies(&rig, first, &rig.job, 9);
    rig_drain(&rig);
    rig_pass(&rig, 20000);
    assert_int_equal(rig_state(&rig), JOB_RESTARTING);
    assert_int_equal(rig_count_told(&rig, "DEPLOY"), 2);
    struct overview_view overview;
    core_view_overview(rig.core, &overview);
    assert_int_equal(overview.slots_available, 3);
    rig_worker_dies(&rig, second, &rig.job, 9);
    rig_drain(&rig);
    assert_int_equal(rig_count_told(&rig, "DEPLOY"), 4);
    assert_int_equal(running(&rig), 5);
    rig_deinit(&rig);
}

static void zombies_are_not_heard(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL, 3);
    uint32_t tm = rig_find_task(&rig, 0, 0, NULL), other = rig_find_task(&rig, 0, 1, NULL);
    rig_worker_dies(&rig, tm, &rig.job, 9);
    rig_drain(&rig);
    assert_int_equal(rig_job(&rig).restarts, 1);
    size_t before = rig.story.count;
    uint32_t holder = rig_find_task(&rig, 1, 0, NULL);
    /* Of the attempt before; of the next; from a taskmanager without worker; about a task of another worker;
     * nonsense. */
    rig_send(&rig, holder, rig_task_state(&rig, 0, 1, 0, WEIR__TASK_STATE__TASK_FAILED));
    rig_send(&rig, holder, rig_task_state(&rig, 2, 1, 0, WEIR__TASK_STATE__TASK_FAILED));
    rig_send(&rig, holder, rig_exited(&rig, 0, 9, false));
    rig_send(&rig, holder, rig_task_state(&rig, 1, 1, 1, WEIR__TASK_STATE__TASK_FAILED));
    rig_send(&rig, holder, rig_task_state(&rig, 1, 7, 0, WEIR__TASK_STATE__TASK_FAILED));
    rig_send(&rig, holder, rig_task_state(&rig, 1, 1, 4000000000u, WEIR__TASK_STATE__TASK_FAILED));
    rig_send(&rig, holder, rig_task_state(&rig, 1, 1, 0, (Weir__TaskState)77));
    rig_send(&rig, holder, rig_task_state(&rig, 1, 1, 0, WEIR__TASK_STATE__TASK_CREATED));
    rig_send(&rig, holder, rig_task_state(&rig, 1, 1, 0, WEIR__TASK_STATE__TASK_INITIALIZING)); /* it runs */
    rig_send(&rig, holder, rig_ready(&rig, 1));
    Weir__ToJobManager *nameless = rig_task_state(&rig, 1, 1, 0, WEIR__TASK_STATE__TASK_FAILED);
    weir__deployment_id__free_unpacked(nameless->task_state->deployment, NULL);
    nameless->task_state->deployment = NULL;
    rig_send(&rig, holder, nameless);
    for (uint32_t i = 0; i < 3; i++)
        if (i != holder && i != rig_find_task(&rig, 0, 1, NULL))
            rig_send(&rig, i, rig_exited(&rig, 1, 9, false));
    /* What was noted as the workers' own state is not so. */
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig), JOB_RUNNING);
    assert_int_equal(running(&rig), 5);
    assert_int_equal(rig_job(&rig).restarts, 1);
    for (size_t i = before; i < rig.story.count; i++)
        assert_int_equal(strncmp(rig.story.items[i], "LOG Dropping", 12), 0);
    assert_true(rig.story.count > before + 9 && other != tm);
    rig_deinit(&rig);
}

static void a_task_cancelled_without_being_asked_is_a_failure(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL, 2);
    rig_send(&rig, rig_find_task(&rig, 0, 0, NULL),
             rig_task_state(&rig, 0, 0, 0, WEIR__TASK_STATE__TASK_CANCELED));
    rig_drain(&rig);
    assert_int_equal(rig_job(&rig).restarts, 1);
    assert_int_equal(running(&rig), 5);
    rig_deinit(&rig);
}

static void a_worker_whose_tasks_are_finished_may_go(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL, 2);
    uint32_t tm = rig_find_task(&rig, 0, 1, NULL);
    rig_send(&rig, tm, rig_task_state(&rig, 0, 0, 1, WEIR__TASK_STATE__TASK_FINISHED));
    rig_send(&rig, tm, rig_task_state(&rig, 0, 1, 1, WEIR__TASK_STATE__TASK_FINISHED));
    rig_worker_ends(&rig, tm, &rig.job);
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig), JOB_RUNNING);
    assert_int_equal(rig_job(&rig).restarts, 0);
    struct overview_view overview;
    core_view_overview(rig.core, &overview);
    assert_int_equal(overview.slots_available, 1);
    /* The rest fails: all of it starts again. */
    rig_worker_dies(&rig, 1 - tm, &rig.job, 6);
    rig_drain(&rig);
    assert_int_equal(running(&rig), 5);
    rig_deinit(&rig);
}

static void an_orderly_leave_is_a_loss_with_its_reason(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, NULL, 2);
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    Weir__TaskManagerLeaving leaving = WEIR__TASK_MANAGER_LEAVING__INIT;
    leaving.reason = (char *)"The TaskExecutor is shutting down.";
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_LEAVING;
    message.leaving = &leaving;
    rig_step(&rig, &(struct core_event){
                       .kind = EVENT_TM_MESSAGE, .session = rig.tms[0].session, .from_tm = &message});
    assert_true(rig_told(&rig,
                         "LOG Closing TaskExecutor connection localhost:40000-abc because: The TaskExecutor "
                         "is shutting down.",
                         0) > 0);
    assert_int_equal(core_task_manager_count(rig.core), 1);
    rig_drain(&rig);
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
    rig_deinit(&rig);
}

static void another_job_goes_on(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    rig_add_tm(&rig, 2);
    rig_submit(&rig, rig_graph("Quiet", 1, 1, 128), NULL, false);
    struct weir_id quiet = rig.job;
    rig_submit(&rig, rig_graph("Crashes", 1, 1, 128), NULL, false);
    for (int i = 0; i < 3; i++) {
        rig_worker_dies(&rig, 0, &rig.job, 11);
        rig_drain(&rig);
        rig_pass(&rig, 2000);
    }
    assert_int_equal(rig_job(&rig).restarts, 3);
    assert_int_equal(running(&rig), 3);
    rig.job = quiet;
    assert_int_equal(rig_job(&rig).restarts, 0);
    assert_int_equal(running(&rig), 3);
    rig_deinit(&rig);
}

static void remembers_a_limited_number_of_failures(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig,
          (const char *const[]){"web.exception-history-size", "2", "restart-strategy.type", "fixed-delay",
                                NULL},
          2);
    for (int i = 0; i < 4; i++) {
        fail_task(&rig, false);
        rig_pass(&rig, 1500);
    }
    assert_int_equal(rig_job(&rig).exception_count, 2);
    struct exception_view exception;
    core_view_exception(rig.core, 0, 0, &exception);
    assert_string_equal(exception.task, "Counter (1/2) - execution #3");
    core_view_exception(rig.core, 0, 1, &exception);
    assert_string_equal(exception.task, "Counter (1/2) - execution #2");
    rig_deinit(&rig);
}

/* Deployment is done in pieces; a loss in the middle of it. */
static void large_jobs(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    for (int i = 0; i < 400; i++)
        rig_add_tm(&rig, 2);
    Weir__JobGraph *graph = rig_graph("Large", 800, 800, 1024);
    rig_graph_set(graph, "execution.checkpointing.interval", "10 s");
    rig.auto_run = false;
    rig_submit(&rig, graph, NULL, false);
    assert_int_equal(rig_count_told(&rig, "DEPLOY"), 400);
    rig.auto_run = true;
    rig_worker_dies(&rig, 399, &rig.job, 9);
    rig_drain(&rig);
    assert_int_equal(running(&rig), 1601);
    rig_pass(&rig, 10000);
    assert_int_equal(rig_job(&rig).checkpoints.completed, 1);
    rig_lose_tm(&rig, 0);
    rig_drain(&rig);
    rig_add_tm(&rig, 2);
    rig_pass(&rig, 2000);
    assert_int_equal(running(&rig), 1601);
    rig_check(&rig);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_taskmanager_with_spare_slots),
        cmocka_unit_test(a_lost_taskmanager_without_spare_slots),
        cmocka_unit_test(lost_in_each_phase),
        cmocka_unit_test(fixed_delay),
        cmocka_unit_test(no_restart_and_fatal_failures),
        cmocka_unit_test(cancels_while_restarting_and_failing),
        cmocka_unit_test(waits_for_all_workers_before_the_next_attempt),
        cmocka_unit_test(zombies_are_not_heard),
        cmocka_unit_test(a_task_cancelled_without_being_asked_is_a_failure),
        cmocka_unit_test(a_worker_whose_tasks_are_finished_may_go),
        cmocka_unit_test(an_orderly_leave_is_a_loss_with_its_reason),
        cmocka_unit_test(another_job_goes_on),
        cmocka_unit_test(remembers_a_limited_number_of_failures),
        cmocka_unit_test(large_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
