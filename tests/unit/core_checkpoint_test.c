/* Checkpoints: order of what is observable, acknowledgements of all kinds, failures, retention, tasks that
 * have ended. */
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
    assert_int_equal(rig_job(rig).tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], 5);
}

static char *path_of(struct rig *rig, const char *below)
{
    static char path[128];
    char id[WEIR_ID_HEX + 1];
    snprintf(path, sizeof path, "/checkpoints/%s%s", weir_id_format(&rig->job, id), below);
    return path;
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

static void nothing_is_seen_before_it_is_persisted(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig_pass(&rig, 1000);
    assert_int_equal(rig_job(&rig).checkpoints.completed, 1);
    rig.auto_directory = rig.auto_persist = rig.auto_ack = false;
    size_t before = rig.story.count;
    rig_pass(&rig, 1000);
    assert_true(rig_told(&rig, "CREATE /checkpoints/", (int)before) > 0);
    assert_int_equal(rig_told(&rig, "TRIGGER", (int)before), -1); /* the directory is not there yet */
    rig_answer_due(&rig, 0);
    assert_true(rig_told(&rig, "TRIGGER 2", (int)before) > 0);
    assert_int_equal(rig_told(&rig, "PERSIST", (int)before), -1);
    for (uint32_t i = 0; i < 2; i++) {
        send_ack(&rig, 0, i, 2);
        send_ack(&rig, 1, i, 2);
    }
    assert_int_equal(newest(&rig).acknowledged, 4);
    assert_int_equal(rig_told(&rig, "PERSIST", (int)before), -1);
    send_ack(&rig, 2, 0, 2);
    assert_true(rig_told(&rig, "PERSIST 2", (int)before) > 0);
    assert_int_equal(newest(&rig).status, CHECKPOINT_IN_PROGRESS);
    assert_string_equal(newest(&rig).path, "");
    rig_pass(&rig, 5000);
    assert_int_equal(rig_told(&rig, "COMPLETE", (int)before), -1);
    assert_int_equal(rig_told(&rig, "DELETE", (int)before), -1);
    assert_int_equal(rig_told(&rig, "LOG Completed checkpoint 2", (int)before), -1);
    rig_answer_due(&rig, 0);
    assert_int_equal(newest(&rig).status, CHECKPOINT_COMPLETED);
    assert_string_equal(newest(&rig).path, path_of(&rig, "/chk-2"));
    assert_int_equal(rig_count_told(&rig, "COMPLETE 2"), 2);
    char line[256];
    snprintf(line, sizeof line, "DELETE %s", path_of(&rig, "/chk-1"));
    assert_true(rig_told(&rig, line, (int)before) > 0);
    assert_non_null(rig_disk(&rig, path_of(&rig, "/chk-2")));
    rig_deinit(&rig);
}

static void triggers_by_interval_and_pause(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, (const char *const[]){"execution.checkpointing.interval", "10 s",
                                      "execution.checkpointing.min-pause", "8 s", NULL});
    int64_t start_ms = rig.now_ms;
    rig_pass(&rig, 20000);
    assert_int_equal(newest(&rig).trigger_ms, start_ms + 20000); /* from trigger to trigger */
    rig.auto_ack = false;
    rig_pass(&rig, 15000); /* the third: triggered at 30, complete at 35 */
    assert_int_equal(newest(&rig).id, 3);
    for (uint32_t i = 0; i < 5; i++)
        send_ack(&rig, i < 4 ? i / 2 : 2, i < 4 ? i % 2 : 0, 3);
    assert_int_equal(newest(&rig).completed_ms, start_ms + 35000);
    rig_pass(&rig, 7999);
    assert_int_equal(newest(&rig).id, 3);
    rig_pass(&rig, 1);
    assert_int_equal(newest(&rig).id, 4); /* eight seconds later */
    rig_deinit(&rig);
}

static void acknowledgements_count_once(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig.auto_ack = false;
    rig_pass(&rig, 1000);
    uint32_t tm = rig_find_task(&rig, 0, 0, NULL), other = rig_find_task(&rig, 0, 1, NULL);
    for (int i = 0; i < 10; i++)
        send_ack(&rig, 0, 0, 1); /* again and again */
    assert_int_equal(newest(&rig).acknowledged, 1);
    send_ack(&rig, 1, 0, 7); /* of one that isn't */
    send_ack(&rig, 1, 0, 0);
    rig_send(&rig, tm, rig_ack(&rig, 3, 1, 0, 1));    /* another attempt */
    rig_send(&rig, other, rig_ack(&rig, 0, 1, 0, 1)); /* another worker's task */
    rig_send(&rig, tm, rig_ack(&rig, 0, 9, 0, 1));
    rig_send(&rig, tm, rig_ack(&rig, 0, 0, 4000000000u, 1));
    rig_drain(&rig);
    assert_int_equal(newest(&rig).acknowledged, 1);
    assert_int_equal(newest(&rig).state_bytes, 100);
    send_ack(&rig, 1, 0, 1);
    send_ack(&rig, 0, 1, 1);
    send_ack(&rig, 1, 1, 1);
    assert_int_equal(rig_job(&rig).checkpoints.completed, 0);
    send_ack(&rig, 2, 0, 1);
    assert_int_equal(rig_job(&rig).checkpoints.completed, 1);
    send_ack(&rig, 2, 0, 1); /* late */
    const Weir__SnapshotMetadata *metadata = rig_disk(&rig, path_of(&rig, "/chk-1"));
    assert_non_null(metadata);
    assert_int_equal(metadata->n_operators, 4);
    assert_memory_equal(metadata->job_id.data, rig.job.bytes, 16);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(metadata->operators[i]->parallelism, 2); /* filled in by the core */
        assert_int_equal(metadata->operators[i]->max_parallelism, 128);
    }
    rig_deinit(&rig);
}

static void unusable_states_abort(void **state)
{
    (void)state;
    for (int kind = 0; kind < 7; kind++) {
        static struct rig rig;
        start(&rig, every_second);
        rig.auto_ack = false;
        rig_pass(&rig, 1000);
        Weir__ToJobManager *message = rig_ack(&rig, 0, 1, 0, 1);
        Weir__OperatorState *window = message->checkpoint_ack->states[0];
        Weir__StateHandle *handle = window->keyed[0]->handle;
        switch (kind) {
        case 0:
            window->keyed[0]->key_group = 127; /* of the other subtask */
            break;
        case 1:
            window->keyed[1]->key_group = window->keyed[0]->key_group;
            break;
        case 2:
            handle->length = 99;
            break;
        case 3:
            free(window->uid);
            window->uid = strdup("unknown");
            break;
        case 4:
        case 5:
            free(handle->inline_.data);
            handle->inline_ = (ProtobufCBinaryData){0};
            handle->file = strdup(kind == 4 ? "../../etc/passwd" : "/etc/passwd");
            break;
        default:
            weir__state_handle__free_unpacked(handle, NULL);
            window->keyed[0]->handle = NULL;
        }
        rig_send(&rig, rig_find_task(&rig, 1, 0, NULL), message);
        rig_drain(&rig);
        assert_int_equal(newest(&rig).status, CHECKPOINT_FAILED);
        assert_non_null(strstr(newest(&rig).failure, "acknowledged with an unusable state"));
        assert_int_equal(rig_count_told(&rig, "ABORTED 1"), 2);
        assert_int_equal(rig_state(&rig), JOB_RUNNING);
        rig_deinit(&rig);
    }
}

static void timeouts_declines_and_disk_failures(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, (const char *const[]){"execution.checkpointing.interval", "1 s",
                                      "execution.checkpointing.timeout", "5 s", NULL});
    rig.auto_ack = false;
    rig_pass(&rig, 1000);
    send_ack(&rig, 0, 0, 1);
    send_ack(&rig, 1, 1, 1);
    rig_pass(&rig, 4999);
    assert_int_equal(newest(&rig).status, CHECKPOINT_IN_PROGRESS);
    rig.auto_ack = true;
    rig_pass(&rig, 1);
    struct checkpoint_view view;
    core_view_checkpoint(rig.core, 0, rig_job(&rig).checkpoint_history_count - 1, &view);
    assert_int_equal(view.status, CHECKPOINT_FAILED);
    assert_non_null(strstr(
        view.failure, "3 of 5 tasks have not acknowledged: Source: Events (2/2), Counter (1/2), Sink (1/1)"));
    assert_true(rig_told(&rig, "LOG Checkpoint 1 of job", 0) > 0);
    char line[256];
    snprintf(line, sizeof line, "DELETE %s", path_of(&rig, "/chk-1"));
    assert_true(rig_told(&rig, line, 0) > 0);
    rig_pass(&rig, 1000);
    assert_true(rig_job(&rig).checkpoints.completed >= 1); /* life goes on */

    rig.auto_ack = false;
    rig_pass(&rig, 1000);
    uint64_t id = newest(&rig).id;
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    Weir__CheckpointDecline decline = WEIR__CHECKPOINT_DECLINE__INIT;
    Weir__DeploymentId deployment = WEIR__DEPLOYMENT_ID__INIT;
    deployment.job_id = (ProtobufCBinaryData){16, rig.job.bytes};
    decline.deployment = &deployment;
    decline.vertex = 1;
    decline.checkpoint_id = id;
    decline.reason = (char *)"the disk is full";
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_DECLINE;
    message.checkpoint_decline = &decline;
    rig_step(&rig, &(struct core_event){.kind = EVENT_TM_MESSAGE,
                                        .session = rig.tms[rig_find_task(&rig, 1, 0, NULL)].session,
                                        .from_tm = &message});
    assert_int_equal(newest(&rig).status, CHECKPOINT_FAILED);
    assert_non_null(strstr(newest(&rig).failure, "the disk is full"));
    snprintf(line, sizeof line, "LOG Decline checkpoint %llu by task ", (unsigned long long)id);
    assert_true(rig_told(&rig, line, 0) > 0);

    uint64_t failed = rig_job(&rig).checkpoints.failed;
    rig.auto_ack = true;
    rig.auto_directory = rig.auto_persist = false;
    rig_pass(&rig, 1000);
    rig_answer_due(&rig, WEIR_E_IO); /* the directory can't be made */
    assert_int_equal(rig_job(&rig).checkpoints.failed, failed + 1);
    assert_non_null(strstr(newest(&rig).failure, "no space left on device"));
    rig_pass(&rig, 1000);
    rig_answer_due(&rig, 0);
    rig_drain(&rig);
    rig_answer_due(&rig, WEIR_E_IO); /* the metadata can't be written */
    assert_int_equal(rig_job(&rig).checkpoints.failed, failed + 2);
    assert_int_equal(rig_state(&rig), JOB_RUNNING);
    assert_int_equal(rig_job(&rig).restarts, 0);
    rig_deinit(&rig);
}

/* The attempt fails while the metadata is being written: what then comes onto the disk is not a checkpoint.
 */
static void a_failure_while_persisting(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig_pass(&rig, 1000);
    rig.auto_persist = false;
    rig_pass(&rig, 1000);
    assert_int_equal(rig.due.count, 1);
    assert_int_equal(rig.due.items[0].kind, EVENT_METADATA_PERSISTED);
    rig_worker_dies(&rig, 0, &rig.job, 9);
    rig_drain(&rig);
    assert_int_equal(rig_job(&rig).restored_checkpoint_id, 1);
    assert_int_equal(newest(&rig).status, CHECKPOINT_FAILED);
    char line[256];
    snprintf(line, sizeof line, "DELETE %s", path_of(&rig, "/chk-2"));
    assert_int_equal(rig_told(&rig, line, 0), -1); /* not while it is written */
    rig_answer_due(&rig, 0);
    assert_true(rig_told(&rig, line, 0) > 0);
    assert_null(rig_disk(&rig, path_of(&rig, "/chk-2")));
    assert_int_equal(rig_count_told(&rig, "COMPLETE 2"), 0);
    assert_int_equal(rig_job(&rig).checkpoints.completed, 1);
    rig.auto_persist = true;
    rig_pass(&rig, 1000);
    assert_int_equal(newest(&rig).id, 3);
    assert_int_equal(newest(&rig).status, CHECKPOINT_COMPLETED);
    rig_deinit(&rig);
}

static void retention(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        enum job_state end;
        bool kept;
    } cases[] = {
        {"RETAIN_ON_CANCELLATION", JOB_CANCELED, true},
        {"RETAIN_ON_CANCELLATION", JOB_FAILED, true},
        {"RETAIN_ON_CANCELLATION", JOB_FINISHED, false},
        {"DELETE_ON_CANCELLATION", JOB_CANCELED, false},
        {"DELETE_ON_CANCELLATION", JOB_FAILED, true},
        {"NO_EXTERNALIZED_CHECKPOINTS", JOB_CANCELED, false},
        {"NO_EXTERNALIZED_CHECKPOINTS", JOB_FAILED, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct rig rig;
        start(&rig, (const char *const[]){"execution.checkpointing.externalized-checkpoint-retention",
                                          cases[i].mode, "execution.checkpointing.interval", "1 s",
                                          "execution.checkpointing.num-retained", "2",
                                          "restart-strategy.type", "none", NULL});
        rig_pass(&rig, 5500);
        assert_int_equal(rig.disk.count, 2);
        if (cases[i].end == JOB_CANCELED) {
            rig_cancel(&rig, &rig.job);
        } else if (cases[i].end == JOB_FAILED) {
            rig_worker_dies(&rig, 0, &rig.job, 9);
        } else {
            for (uint32_t k = 0; k < 5; k++) {
                uint32_t vertex = k < 4 ? k / 2 : 2, subtask = k < 4 ? k % 2 : 0;
                rig_send(&rig, rig_find_task(&rig, vertex, subtask, NULL),
                         rig_task_state(&rig, 0, vertex, subtask, WEIR__TASK_STATE__TASK_FINISHED));
            }
        }
        rig_drain(&rig);
        assert_int_equal(rig_state(&rig), cases[i].end);
        if (rig.disk.count != (cases[i].kept ? 2 : 0))
            fail_msg("%s, %s: %zu", cases[i].mode, job_state_name(cases[i].end), rig.disk.count);
        assert_int_equal(newest(&rig).discarded, !cases[i].kept);
        rig_deinit(&rig);
    }
}

/* A file operation is under way when the job ends. */
static void the_end_during_a_file_operation(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, (const char *const[]){"execution.checkpointing.interval", "1 s",
                                      "execution.checkpointing.externalized-checkpoint-retention",
                                      "NO_EXTERNALIZED_CHECKPOINTS", "web.history", "1", NULL});
    rig.auto_persist = false;
    rig_pass(&rig, 1000);
    struct weir_id first = rig.job;
    rig_cancel(&rig, &first);
    rig_drain(&rig);
    assert_int_equal(rig_state(&rig), JOB_CANCELED);
    rig.auto_directory = true;
    for (int i = 0; i < 3; i++) {
        rig_submit(&rig, rig_graph("Other", 1, 1, 128), NULL, false);
        rig_cancel(&rig, &rig.job);
        rig_drain(&rig);
    }
    assert_true(core_find_job(rig.core, &first) >=
                0); /* not forgotten while there is something to clean up */
    assert_int_equal(rig.disk.count, 1);
    rig_answer_due(&rig, 0);
    assert_int_equal(rig.disk.count, 0);
    assert_int_equal(core_find_job(rig.core, &first), -1);
    rig_deinit(&rig);
}

static void remembers_a_limited_number(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, (const char *const[]){"execution.checkpointing.interval", "1 s", "web.checkpoints.history",
                                      "3", NULL});
    rig_pass(&rig, 10000);
    struct job_view job = rig_job(&rig);
    assert_int_equal(job.checkpoints.total, 10);
    assert_int_equal(job.checkpoints.completed, 10);
    assert_int_equal(job.checkpoint_history_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct checkpoint_view view;
        core_view_checkpoint(rig.core, 0, i, &view);
        assert_int_equal(view.id, 10 - i);
        assert_int_equal(view.discarded, i > 0);
    }
    rig_deinit(&rig);
}

static void only_when_all_tasks_run(void **state)
{
    (void)state;
    static struct rig rig;
    rig_init(&rig, every_second);
    rig.auto_run = false;
    uint32_t tm = rig_add_tm(&rig, 1);
    rig_submit(&rig, rig_graph("Count", 1, 1, 128), NULL, false);
    for (uint32_t v = 0; v < 3; v++) {
        rig_pass(&rig, 10000);
        assert_int_equal(rig_job(&rig).checkpoints.total, 0);
        rig_send(&rig, tm, rig_task_state(&rig, 0, v, 0, WEIR__TASK_STATE__TASK_INITIALIZING));
        rig_drain(&rig);
        rig_pass(&rig, 10000);
        assert_int_equal(rig_job(&rig).checkpoints.total, 0);
        rig_send(&rig, tm, rig_task_state(&rig, 0, v, 0, WEIR__TASK_STATE__TASK_RUNNING));
        rig_drain(&rig);
    }
    rig_pass(&rig, 999);
    assert_int_equal(rig_job(&rig).checkpoints.total, 0);
    rig_pass(&rig, 1);
    assert_int_equal(rig_job(&rig).checkpoints.total, 1);
    rig_deinit(&rig);
}

static Weir__ToJobManager *finished(struct rig *rig, uint32_t subtask, bool with_state)
{
    Weir__ToJobManager *message = rig_task_state(rig, 0, 0, subtask, WEIR__TASK_STATE__TASK_FINISHED);
    if (with_state) { /* the same as in an acknowledgement */
        Weir__ToJobManager *ack = rig_ack(rig, 0, 0, subtask, 99);
        message->task_state->final_states = ack->checkpoint_ack->states;
        message->task_state->n_final_states = ack->checkpoint_ack->n_states;
        ack->checkpoint_ack->states = NULL;
        ack->checkpoint_ack->n_states = 0;
        weir__to_job_manager__free_unpacked(ack, NULL);
    }
    return message;
}

static void goes_on_when_a_source_has_ended_with_its_state(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig_pass(&rig, 1000);
    rig_send(&rig, rig_find_task(&rig, 0, 0, NULL), finished(&rig, 0, true));
    rig_drain(&rig);
    rig_pass(&rig, 1000);
    assert_int_equal(newest(&rig).id, 2);
    assert_int_equal(newest(&rig).status, CHECKPOINT_COMPLETED);
    assert_int_equal(newest(&rig).subtasks, 4);
    const Weir__SnapshotMetadata *metadata = rig_disk(&rig, path_of(&rig, "/chk-2"));
    int sources = 0, last = 0;
    for (size_t i = 0; i < metadata->n_operators; i++) {
        const Weir__OperatorState *op = metadata->operators[i];
        if (strcmp(op->uid, "source") != 0)
            continue;
        sources++;
        last += op->subtask == 0 && memcmp(op->splits[0]->state.data, "offset@99", 9) == 0;
    }
    assert_int_equal(sources, 2);
    assert_int_equal(last, 1);

    /* The other one ends while it should take part. */
    rig.auto_ack = false;
    rig_pass(&rig, 1000);
    assert_int_equal(newest(&rig).id, 3);
    send_ack(&rig, 1, 0, 3);
    send_ack(&rig, 1, 1, 3);
    send_ack(&rig, 2, 0, 3);
    assert_int_equal(newest(&rig).status, CHECKPOINT_IN_PROGRESS);
    rig_send(&rig, rig_find_task(&rig, 0, 1, NULL), finished(&rig, 1, true));
    rig_drain(&rig);
    assert_int_equal(newest(&rig).status, CHECKPOINT_COMPLETED);
    assert_int_equal(rig_disk(&rig, path_of(&rig, "/chk-3"))->n_operators, 4);
    rig_pass(&rig, 5000); /* no source is left to send barriers */
    assert_int_equal(newest(&rig).id, 3);
    rig_deinit(&rig);
}

/* A restore would start the source again: wrong counts are worse than a long way back. */
static void stops_when_a_source_has_ended_without_its_state(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig_pass(&rig, 1000);
    rig.auto_ack = false;
    rig_pass(&rig, 1000);
    rig_send(&rig, rig_find_task(&rig, 0, 0, NULL), finished(&rig, 0, false));
    rig_drain(&rig);
    assert_int_equal(newest(&rig).status, CHECKPOINT_FAILED);
    rig.auto_ack = true;
    rig_pass(&rig, 10000);
    assert_int_equal(rig_job(&rig).checkpoints.total, 2);
    /* The next attempt has checkpoints again. */
    rig_worker_dies(&rig, 0, &rig.job, 9);
    rig_drain(&rig);
    assert_int_equal(rig_job(&rig).restored_checkpoint_id, 1);
    rig_pass(&rig, 1000);
    assert_int_equal(rig_job(&rig).checkpoints.completed, 2);
    rig_deinit(&rig);
}

/* It ends between the command to make the directory and its answer. */
static void a_source_ends_before_the_trigger(void **state)
{
    (void)state;
    static struct rig rig;
    start(&rig, every_second);
    rig.auto_directory = false;
    rig_pass(&rig, 1000);
    rig_send(&rig, rig_find_task(&rig, 0, 0, NULL), finished(&rig, 0, false));
    rig_drain(&rig);
    rig_answer_due(&rig, 0);
    assert_int_equal(rig_count_told(&rig, "TRIGGER"), 0);
    assert_int_equal(newest(&rig).status, CHECKPOINT_FAILED);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_seen_before_it_is_persisted),
        cmocka_unit_test(triggers_by_interval_and_pause),
        cmocka_unit_test(acknowledgements_count_once),
        cmocka_unit_test(unusable_states_abort),
        cmocka_unit_test(timeouts_declines_and_disk_failures),
        cmocka_unit_test(a_failure_while_persisting),
        cmocka_unit_test(retention),
        cmocka_unit_test(the_end_during_a_file_operation),
        cmocka_unit_test(remembers_a_limited_number),
        cmocka_unit_test(only_when_all_tasks_run),
        cmocka_unit_test(goes_on_when_a_source_has_ended_with_its_state),
        cmocka_unit_test(stops_when_a_source_has_ended_without_its_state),
        cmocka_unit_test(a_source_ends_before_the_trigger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
