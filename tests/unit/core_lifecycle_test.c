/* Jobs and taskmanagers from beginning to end: registration, slots, deployment, cancellation, history. */
#include "tests/unit/core_rig.h"

#include <stdio.h>
#include <string.h>

static void runs_checkpoints_and_cancels(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    Weir__JobGraph *graph = rig_graph("Count", 2, 2, 128);
    rig_graph_set(graph, "execution.checkpointing.interval", "1 s");
    rig_submit(&rig, graph, NULL, false);
    assert_int_equal(rig.submit_rc, 0);
    /* No slots yet: RUNNING, tasks SCHEDULED. */
    struct job_view job = rig_job(&rig);
    assert_int_equal(job.state, JOB_RUNNING);
    assert_int_equal(job.tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
    assert_int_equal(job.checkpoint_interval_ms, 1000);
    struct vertex_view vertex;
    core_view_vertex(rig.core, 0, 1, &vertex);
    assert_int_equal(vertex.status, WEIR__TASK_STATE__TASK_CREATED); /* as Flink aggregates it */
    rig_add_tm(&rig, 2);
    job = rig_job(&rig);
    assert_int_equal(job.tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], 5);
    assert_true(rig_told(&rig, "DEPLOY localhost:40000-abc attempt 0 tasks 5 peers 5 restored 0", 0) > 0);
    rig_check(&rig);
    struct overview_view overview;
    core_view_overview(rig.core, &overview);
    assert_int_equal(overview.slots_available, 0);
    assert_int_equal(overview.jobs_running, 1);
    struct task_manager_view tm;
    core_view_task_manager(rig.core, 0, &tm);
    assert_int_equal(tm.tasks, 5);
    assert_string_equal(tm.data_address, "127.0.0.1:4711");

    rig_pass(&rig, 1000);
    job = rig_job(&rig);
    assert_int_equal(job.checkpoints.completed, 1);
    struct checkpoint_view checkpoint;
    core_view_checkpoint(rig.core, 0, 0, &checkpoint);
    assert_int_equal(checkpoint.status, CHECKPOINT_COMPLETED);
    assert_int_equal(checkpoint.id, 1);
    assert_int_equal(checkpoint.subtasks, 5);
    assert_int_equal(checkpoint.acknowledged, 5);
    assert_int_equal(checkpoint.state_bytes, 500);
    assert_int_equal(checkpoint.trigger_ms, rig.now_ms);

    rig_cancel(&rig, &rig.job);
    assert_int_equal(rig.cancel_rc, 0);
    assert_int_equal(rig_state(&rig), JOB_CANCELLING);
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig), JOB_CANCELED);
    core_view_overview(rig.core, &overview);
    assert_int_equal(overview.slots_available, 2);
    assert_int_equal(overview.jobs_cancelled, 1);
    assert_true(rig_told(&rig, "LOG Job Count (", 0) > 0);
    rig_cancel(&rig, &rig.job);
    assert_int_equal(rig.cancel_rc, 0);                                 /* again */
    assert_int_equal(core_next_deadline(rig.core), rig.now_ms + 50000); /* nothing but the heartbeat */
    rig_deinit(&rig);
}

static void finishes_when_all_tasks_have(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    uint32_t tm = rig_add_tm(&rig, 1);
    rig_submit(&rig, rig_graph("Count", 1, 1, 128), NULL, false);
    for (uint32_t v = 0; v < 3; v++) {
        assert_int_equal(rig_state(&rig), JOB_RUNNING);
        rig_send(&rig, tm, rig_task_state(&rig, 0, v, 0, WEIR__TASK_STATE__TASK_FINISHED));
        rig_drain(&rig);
    }
    assert_int_equal(rig_state(&rig), JOB_FINISHED);
    struct overview_view overview;
    core_view_overview(rig.core, &overview);
    assert_int_equal(overview.slots_available, 0); /* until its worker is gone */
    rig_cancel(&rig, &rig.job);
    assert_int_equal(rig.cancel_rc, WEIR_E_STATE);
    assert_string_equal(
        rig.cancel_message,
        "Job cancellation failed because the job has already reached another terminal state (FINISHED).");
    /* A worker that doesn't end by itself is killed after a while. */
    assert_int_equal(rig_count_told(&rig, "STOP"), 0);
    rig_pass(&rig, 31000);
    assert_int_equal(rig_count_told(&rig, "STOP"), 1);
    core_view_overview(rig.core, &overview);
    assert_int_equal(overview.slots_available, 1);
    assert_int_equal(rig_state(&rig), JOB_FINISHED);
    rig_deinit(&rig);
}

struct cancel_case {
    const char *what;
    uint32_t slots;
    bool auto_ready, auto_run;
    enum job_state expected; /* right after the cancel */
    int stops, cancels;
};

static void cancels_in_each_state(void **state)
{
    (void)state;
    static const struct cancel_case cases[] = {
        {"waiting for slots", 1, true, true, JOB_CANCELED, 0, 0},
        {"workers starting", 2, false, true, JOB_CANCELED, 1, 0},
        {"deploying", 2, true, false, JOB_CANCELLING, 0, 1},
        {"running", 2, true, true, JOB_CANCELLING, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct rig rig;
        rig_init(&rig, NULL);
        rig.auto_ready = cases[i].auto_ready;
        rig.auto_run = cases[i].auto_run;
        rig_add_tm(&rig, cases[i].slots);
        rig_submit(&rig, rig_graph("Count", 2, 2, 128), NULL, false);
        rig_cancel(&rig, &rig.job);
        if (rig_state(&rig) != cases[i].expected)
            fail_msg("%s: %s", cases[i].what, job_state_name(rig_state(&rig)));
        assert_int_equal(rig_count_told(&rig, "STOP"), cases[i].stops);
        assert_int_equal(rig_count_told(&rig, "CANCEL localhost"), cases[i].cancels);
        rig_drain(&rig);
        assert_int_equal(rig_state(&rig), JOB_CANCELED);
        struct overview_view overview;
        core_view_overview(rig.core, &overview);
        assert_int_equal(overview.slots_available, cases[i].slots);
        rig_check(&rig);
        rig_deinit(&rig);
    }
}

static void kills_workers_that_do_not_cancel(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    rig.auto_cancel = false;
    rig_add_tm(&rig, 2);
    rig_submit(&rig, rig_graph("Count", 2, 2, 128), NULL, false);
    rig_cancel(&rig, &rig.job);
    rig_pass(&rig, 29999);
    assert_int_equal(rig_state(&rig), JOB_CANCELLING);
    assert_int_equal(rig_count_told(&rig, "STOP"), 0);
    rig_pass(&rig, 1);
    assert_int_equal(rig_count_told(&rig, "STOP"), 1);
    assert_int_equal(rig_state(&rig), JOB_CANCELED);
    rig_deinit(&rig);
}

static void gives_up_a_taskmanager_that_does_not_kill(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    rig.auto_cancel = rig.auto_stop = false;
    rig_add_tm(&rig, 2);
    rig_submit(&rig, rig_graph("Count", 2, 2, 128), NULL, false);
    rig_cancel(&rig, &rig.job);
    rig_pass(&rig, 30000);
    assert_int_equal(rig_count_told(&rig, "STOP"), 1);
    assert_int_equal(rig_count_told(&rig, "DISCONNECT"), 0);
    rig_pass(&rig, 60000);
    assert_int_equal(rig_count_told(&rig, "DISCONNECT"), 1);
    assert_int_equal(rig_state(&rig), JOB_CANCELED);
    assert_int_equal(core_task_manager_count(rig.core), 0);
    assert_true(core_next_deadline(rig.core) == INT64_MAX);
    rig_deinit(&rig);
}

static void cancels_an_unknown_job(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    rig_cancel(&rig, &(struct weir_id){.bytes = {9}});
    assert_int_equal(rig.cancel_rc, WEIR_E_NOT_FOUND);
    assert_string_equal(rig.cancel_message, "Job could not be found.");
    rig_deinit(&rig);
}

static void gives_slots_to_who_waited_longest(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    rig_submit(&rig, rig_graph("Large", 4, 4, 128), NULL, false);
    struct weir_id large = rig.job;
    rig_submit(&rig, rig_graph("First", 2, 2, 128), NULL, false);
    struct weir_id first = rig.job;
    rig_submit(&rig, rig_graph("Second", 2, 2, 128), NULL, false);
    struct weir_id second = rig.job;
    uint32_t tm = rig_add_tm(&rig, 2);
    rig.job = first; /* Large does not fit, First is next */
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], 5);
    rig.job = second;
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
    rig_add_tm(&rig, 1); /* three slots, but one at a time free */
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
    rig_add_tm(&rig, 4);
    rig.job = large; /* now it fits, and goes before Second; on one taskmanager */
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], 9);
    assert_int_equal(rig_count_told(&rig, "START localhost:40002-abc attempt 0 slots 4"), 1);
    rig.job = second;
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_SCHEDULED], 5);
    rig_cancel(&rig, &first);
    rig_drain(&rig);
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], 5);
    assert_int_equal(rig_find_task(&rig, 0, 1, NULL), tm);
    rig_check(&rig);
    rig_deinit(&rig);
}

static void forgets_the_oldest_jobs(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, (const char *const[]){"web.history", "3", NULL});
    rig_add_tm(&rig, 4);
    rig_submit(&rig, rig_graph("Keeps running", 1, 1, 128), NULL, false);
    struct weir_id running = rig.job, ended[5];
    for (size_t i = 0; i < 5; i++) {
        rig_submit(&rig, rig_graph("Ends", 2, 2, 128), NULL, false);
        ended[i] = rig.job;
        rig_cancel(&rig, &rig.job);
        rig_drain(&rig);
    }
    assert_int_equal(core_job_count(rig.core), 4);
    assert_int_equal(core_find_job(rig.core, &running), 0);
    assert_int_equal(core_find_job(rig.core, &ended[0]), -1);
    assert_int_equal(core_find_job(rig.core, &ended[1]), -1);
    for (size_t i = 2; i < 5; i++)
        assert_int_equal(core_find_job(rig.core, &ended[i]), i - 1);
    rig_deinit(&rig);
}

static void a_new_registration_supersedes_the_old(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    uint32_t tm = rig_add_tm(&rig, 2);
    uint64_t old = rig.tms[tm].session;
    rig_submit(&rig, rig_graph("Count", 2, 2, 128), NULL, false);
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], 5);
    rig_register(&rig, tm);
    assert_true(rig.tms[tm].session != old);
    assert_int_equal(core_task_manager_count(rig.core), 1);
    int disconnected = rig_told(&rig, "DISCONNECT", 0);
    assert_true(disconnected > 0 && rig_told(&rig, "REGISTERED", disconnected) > disconnected);
    /* The old session is not heard any more. */
    vec_push(&rig.queue, (struct rig_message){old, rig_exited(&rig, 1, 9, false)});
    rig_drain(&rig);
    assert_int_equal(rig_job(&rig).restarts, 1);
    assert_int_equal(rig_job(&rig).tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], 5);
    rig_deinit(&rig);
}

static void refuses_unusable_registrations(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    rig.tm_count = 1;
    snprintf(rig.tms[0].id, sizeof rig.tms[0].id, "tm");
    static const uint32_t slots[] = {0, 1025, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        rig.tms[0].slots = slots[i];
        rig_register(&rig, 0);
        assert_int_equal(rig.tms[0].session, 0);
    }
    rig.tms[0].slots = 1;
    snprintf(rig.tms[0].id, sizeof rig.tms[0].id, "a\nb");
    rig_register(&rig, 0);
    rig.tms[0].id[0] = '\0';
    rig_register(&rig, 0);
    assert_int_equal(core_task_manager_count(rig.core), 0);
    assert_int_equal(rig_count_told(&rig, "REGISTERED"), 5);
    rig_deinit(&rig);
}

static void silence_is_loss(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, (const char *const[]){"heartbeat.timeout", "5 s", NULL});
    rig_add_tm(&rig, 2);
    rig_submit(&rig, rig_graph("Count", 2, 2, 128), NULL, false);
    rig_pass(&rig, 60000); /* heard of all the time */
    assert_int_equal(core_task_manager_count(rig.core), 1);
    rig_pass_silent(&rig, 4999);
    assert_int_equal(core_task_manager_count(rig.core), 1);
    rig_pass_silent(&rig, 1);
    assert_int_equal(core_task_manager_count(rig.core), 0);
    assert_true(
        rig_told(&rig, "DISCONNECT Heartbeat of TaskManager with id localhost:40000-abc timed out.", 0) > 0);
    struct exception_view exception;
    core_view_exception(rig.core, 0, 0, &exception);
    assert_string_equal(exception.name, "TaskManagerLost");
    assert_string_equal(exception.message, "Heartbeat of TaskManager with id localhost:40000-abc timed out.");
    assert_string_equal(exception.task, "Source: Events (1/2) - execution #0");
    assert_string_equal(exception.task_manager, "localhost:40000-abc");
    rig_deinit(&rig);
}

static void refuses_bad_submissions(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"execution.checkpointing.interval", "5 ms",
         "execution.checkpointing.interval: 5 ms is less than 10 ms"},
        {"execution.checkpointing.dir", "s3://bucket", "file:///directory"},
        {"restart-strategy.exponential-delay.max-backoff", "1 ms", "max-backoff"},
        {"restart-strategy.type", "sometimes", "restart-strategy"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct rig rig;
        rig_init(&rig, NULL);
        Weir__JobGraph *graph = rig_graph("Count", 1, 1, 128);
        rig_graph_set(graph, "execution.checkpointing.interval", "1 s");
        rig_graph_set(graph, cases[i].key, cases[i].value);
        rig_submit(&rig, graph, NULL, false);
        assert_true(rig.submit_rc < 0);
        if (!strstr(rig.submit_message, cases[i].message))
            fail_msg("%s=%s: %s", cases[i].key, cases[i].value, rig.submit_message);
        assert_int_equal(core_job_count(rig.core), 0);
        rig_deinit(&rig);
    }
}

static void checkpoints_need_a_directory(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, (const char *const[]){"no directory", "", NULL});
    Weir__JobGraph *graph = rig_graph("Count", 1, 1, 128);
    rig_graph_set(graph, "execution.checkpointing.interval", "1 s");
    rig_submit(&rig, graph, NULL, false);
    assert_int_equal(rig.submit_rc, WEIR_E_INVALID);
    assert_non_null(strstr(rig.submit_message, "set execution.checkpointing.dir, for example file:///"));
    rig_submit(&rig, rig_graph("Count", 1, 1, 128), NULL, false); /* without checkpoints there is no need */
    assert_int_equal(rig.submit_rc, 0);
    rig_deinit(&rig);
}

static void fails_when_slots_do_not_come_in_time(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, (const char *const[]){"slot.request.timeout", "10 s", NULL});
    rig_submit(&rig, rig_graph("Count", 2, 2, 128), NULL, false);
    rig_pass(&rig, 9999);
    assert_int_equal(rig_state(&rig), JOB_RUNNING);
    rig_pass(&rig, 1);
    assert_int_equal(rig_state(&rig), JOB_FAILED);
    rig_deinit(&rig);
}

static void keeps_metrics_of_the_right_worker(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, NULL);
    uint32_t a = rig_add_tm(&rig, 1), b = rig_add_tm(&rig, 1);
    rig_submit(&rig, rig_graph("Count", 2, 2, 128), NULL, false);
    for (int k = 0; k < 2; k++) {
        Weir__MetricsReport report = WEIR__METRICS_REPORT__INIT;
        Weir__DeploymentId id = WEIR__DEPLOYMENT_ID__INIT;
        Weir__TaskMetrics metrics[3] = {WEIR__TASK_METRICS__INIT, WEIR__TASK_METRICS__INIT,
                                        WEIR__TASK_METRICS__INIT};
        Weir__TaskMetrics *tasks[3] = {&metrics[0], &metrics[1], &metrics[2]};
        metrics[0].records_in = 11;
        metrics[1].subtask = 1; /* of the other worker */
        metrics[1].records_in = 22;
        metrics[2].vertex = 4000000000u;
        id.job_id = (ProtobufCBinaryData){16, rig.job.bytes};
        id.attempt = (uint32_t)k;
        report.deployment = &id;
        report.tasks = tasks;
        report.n_tasks = 3;
        Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
        message.body_case = WEIR__TO_JOB_MANAGER__BODY_METRICS;
        message.metrics = &report;
        metrics[0].records_out = k == 1 ? 99 : 5; /* of an attempt that isn't */
        rig_step(&rig, &(struct core_event){
                           .kind = EVENT_TM_MESSAGE,
                           .session = rig.tms[rig_find_task(&rig, 0, 0, NULL)].session,
                           .from_tm = &message,
                       });
    }
    assert_true(a != b);
    struct subtask_view view;
    core_view_subtask(rig.core, 0, 0, 0, &view);
    assert_int_equal(view.metrics.records_in, 11);
    assert_int_equal(view.metrics.records_out, 5);
    core_view_subtask(rig.core, 0, 0, 1, &view);
    assert_int_equal(view.metrics.records_in, 0);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_checkpoints_and_cancels),
        cmocka_unit_test(finishes_when_all_tasks_have),
        cmocka_unit_test(cancels_in_each_state),
        cmocka_unit_test(kills_workers_that_do_not_cancel),
        cmocka_unit_test(gives_up_a_taskmanager_that_does_not_kill),
        cmocka_unit_test(cancels_an_unknown_job),
        cmocka_unit_test(gives_slots_to_who_waited_longest),
        cmocka_unit_test(forgets_the_oldest_jobs),
        cmocka_unit_test(a_new_registration_supersedes_the_old),
        cmocka_unit_test(refuses_unusable_registrations),
        cmocka_unit_test(silence_is_loss),
        cmocka_unit_test(refuses_bad_submissions),
        cmocka_unit_test(checkpoints_need_a_directory),
        cmocka_unit_test(fails_when_slots_do_not_come_in_time),
        cmocka_unit_test(keeps_metrics_of_the_right_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
