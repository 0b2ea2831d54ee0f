/* The supervisor: registration, fencing, workers' lives, loss of the jobmanager; one step after the other, no
 * outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "taskmanager/supervisor/supervisor.h"

enum { INTERVAL_MS = 1000, TIMEOUT_MS = 5000, SLOTS = 2 };

struct fixture {
    struct supervisor *supervisor;
    struct supervisor_commands commands;
    int64_t now;
};

static struct fixture *fixture_new(void)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->supervisor = supervisor_new(&(struct supervisor_config){.task_manager_id = "tm", .slots = SLOTS});
    f->now = 10000;
    log_set_level(LOG_OFF);
    return f;
}

static void fixture_free(struct fixture *f)
{
    supervisor_commands_clear(&f->commands);
    vec_free(&f->commands);
    supervisor_free(f->supervisor);
    free(f);
}

/* One step; what earlier steps commanded is forgotten. */
static void step(struct fixture *f, struct supervisor_event event)
{
    supervisor_commands_clear(&f->commands);
    supervisor_step(f->supervisor, f->now, &event, &f->commands);
}

static void tick(struct fixture *f)
{
    step(f, (struct supervisor_event){.kind = SUPERVISOR_TICK, .resident_bytes = 4711});
}

/* The n-th command of a kind, or NULL. */
static struct supervisor_command *nth(struct fixture *f, enum supervisor_command_kind kind, size_t n)
{
    vec_for_each (command, &f->commands)
        if (command->kind == kind && n-- == 0)
            return command;
    return NULL;
}

static size_t count_of(struct fixture *f, enum supervisor_command_kind kind)
{
    size_t count = 0;
    vec_for_each (command, &f->commands)
        count += command->kind == kind ? 1 : 0;
    return count;
}

static void answer_registration(struct fixture *f, uint64_t session, uint8_t incarnation)
{
    uint8_t id[16] = {incarnation};
    Weir__TaskManagerRegistered registered = WEIR__TASK_MANAGER_REGISTERED__INIT;
    registered.session = session;
    registered.heartbeat_interval_ms = INTERVAL_MS;
    registered.heartbeat_timeout_ms = TIMEOUT_MS;
    registered.jobmanager_id = (ProtobufCBinaryData){sizeof id, id};
    step(f, (struct supervisor_event){.kind = SUPERVISOR_REGISTERED, .registered = &registered});
}

static void do_register(struct fixture *f, uint64_t session, uint8_t incarnation)
{
    tick(f);
    assert_non_null(nth(f, SUPERVISOR_REGISTER, 0));
    answer_registration(f, session, incarnation);
}

struct target {
    uint8_t job;
    uint32_t attempt;
};

struct id_storage {
    uint8_t bytes[16];
    Weir__DeploymentId id;
};

static Weir__DeploymentId *make_id(struct id_storage *storage, struct target target)
{
    memset(storage, 0, sizeof *storage);
    storage->bytes[0] = target.job;
    weir__deployment_id__init(&storage->id);
    storage->id.job_id = (ProtobufCBinaryData){sizeof storage->bytes, storage->bytes};
    storage->id.attempt = target.attempt;
    return &storage->id;
}

static void jm_start(struct fixture *f, struct target target, uint32_t slots, uint8_t artifact)
{
    struct id_storage id;
    uint8_t sha256[32] = {artifact};
    char name[] = "Job";
    Weir__JobProgram program = WEIR__JOB_PROGRAM__INIT;
    program.artifact_sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    Weir__StartWorker start = WEIR__START_WORKER__INIT;
    start.deployment = make_id(&id, target);
    start.job_name = name;
    start.program = &program;
    start.slots = slots;
    Weir__ToTaskManager message = WEIR__TO_TASK_MANAGER__INIT;
    message.body_case = WEIR__TO_TASK_MANAGER__BODY_START_WORKER;
    message.start_worker = &start;
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_MESSAGE, .to_tm = &message});
}

static void jm_stop(struct fixture *f, struct target target)
{
    struct id_storage id;
    Weir__StopWorker stop = WEIR__STOP_WORKER__INIT;
    stop.deployment = make_id(&id, target);
    Weir__ToTaskManager message = WEIR__TO_TASK_MANAGER__INIT;
    message.body_case = WEIR__TO_TASK_MANAGER__BODY_STOP_WORKER;
    message.stop_worker = &stop;
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_MESSAGE, .to_tm = &message});
}

static void jm_deploy(struct fixture *f, struct target target, size_t tasks)
{
    struct id_storage id;
    Weir__TaskDeployment task = WEIR__TASK_DEPLOYMENT__INIT;
    Weir__TaskDeployment *list[8] = {&task, &task, &task, &task, &task, &task, &task, &task};
    Weir__DeployTasks deploy = WEIR__DEPLOY_TASKS__INIT;
    deploy.deployment = make_id(&id, target);
    deploy.n_tasks = tasks;
    deploy.tasks = list;
    Weir__ToTaskManager message = WEIR__TO_TASK_MANAGER__INIT;
    message.body_case = WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS;
    message.deploy_tasks = &deploy;
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_MESSAGE, .to_tm = &message});
}

static void jm_cancel(struct fixture *f, struct target target)
{
    struct id_storage id;
    Weir__CancelTasks cancel = WEIR__CANCEL_TASKS__INIT;
    cancel.deployment = make_id(&id, target);
    Weir__ToTaskManager message = WEIR__TO_TASK_MANAGER__INIT;
    message.body_case = WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS;
    message.cancel_tasks = &cancel;
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_MESSAGE, .to_tm = &message});
}

static void jm_notify_complete(struct fixture *f, struct target target, uint64_t checkpoint)
{
    struct id_storage id;
    Weir__NotifyCheckpointComplete notify = WEIR__NOTIFY_CHECKPOINT_COMPLETE__INIT;
    notify.deployment = make_id(&id, target);
    notify.checkpoint_id = checkpoint;
    Weir__ToTaskManager message = WEIR__TO_TASK_MANAGER__INIT;
    message.body_case = WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE;
    message.notify_checkpoint_complete = &notify;
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_MESSAGE, .to_tm = &message});
}

static void worker_says(struct fixture *f, uint64_t worker, const Weir__ToJobManager *message)
{
    step(f, (struct supervisor_event){
                .kind = SUPERVISOR_WORKER_MESSAGE, .worker = worker, .from_worker = message});
}

static void worker_ready(struct fixture *f, uint64_t worker, struct target target)
{
    struct id_storage id;
    Weir__WorkerReady ready = WEIR__WORKER_READY__INIT;
    ready.deployment = make_id(&id, target);
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_WORKER_READY;
    message.worker_ready = &ready;
    worker_says(f, worker, &message);
}

static void worker_task_state(struct fixture *f, uint64_t worker, struct target target, Weir__TaskState state)
{
    struct id_storage id;
    Weir__TaskStateUpdate update = WEIR__TASK_STATE_UPDATE__INIT;
    update.deployment = make_id(&id, target);
    update.state = state;
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_TASK_STATE;
    message.task_state = &update;
    worker_says(f, worker, &message);
}

static void worker_confesses(struct fixture *f, uint64_t worker, struct target target, const char *error)
{
    struct id_storage id;
    Weir__WorkerExited exited = WEIR__WORKER_EXITED__INIT;
    exited.deployment = make_id(&id, target);
    exited.error = (char *)error;
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED;
    message.worker_exited = &exited;
    worker_says(f, worker, &message);
    assert_null(nth(f, SUPERVISOR_SEND_JM, 0)); /* told when it has really ended */
}

static void artifact_ready(struct fixture *f, uint8_t artifact, int rc, const char *message)
{
    uint8_t sha256[32] = {artifact};
    step(f, (struct supervisor_event){.kind = SUPERVISOR_ARTIFACT_READY,
                                      .rc = rc,
                                      .message = message,
                                      .path = "/cache/job.so",
                                      .sha256 = sha256});
}

static void worker_exits(struct fixture *f, uint64_t worker, int32_t exit_code, uint32_t signal)
{
    step(f, (struct supervisor_event){.kind = SUPERVISOR_WORKER_EXITED,
                                      .worker = worker,
                                      .exit_code = exit_code,
                                      .signal = signal,
                                      .message = signal ? "in task 'A (1/2)'" : NULL,
                                      .stack = "#0 f"});
}

/* Spawned and ready; returns its handle. */
static uint64_t run_worker(struct fixture *f, struct target target, uint32_t slots)
{
    jm_start(f, target, slots, 1);
    assert_int_equal(count_of(f, SUPERVISOR_FETCH_ARTIFACT), 1);
    artifact_ready(f, 1, WEIR_OK, NULL);
    struct supervisor_command *spawn = nth(f, SUPERVISOR_SPAWN_WORKER, 0);
    assert_non_null(spawn);
    assert_string_equal(spawn->text, "/cache/job.so");
    uint64_t worker = spawn->worker;
    struct supervisor_command *send = nth(f, SUPERVISOR_SEND_WORKER, 0);
    assert_non_null(send);
    assert_int_equal(send->worker, worker);
    assert_int_equal(send->to_worker->body_case, WEIR__TO_TASK_MANAGER__BODY_START_WORKER);
    worker_ready(f, worker, target);
    assert_int_equal(nth(f, SUPERVISOR_SEND_JM, 0)->to_jm->body_case,
                     WEIR__TO_JOB_MANAGER__BODY_WORKER_READY);
    return worker;
}

static const Weir__WorkerExited *exit_told(struct fixture *f)
{
    struct supervisor_command *command = nth(f, SUPERVISOR_SEND_JM, 0);
    if (!command)
        return NULL;
    assert_int_equal(command->to_jm->body_case, WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED);
    return command->to_jm->worker_exited;
}

/* ---- registration ---- */

static void registers_with_growing_pauses(void **state)
{
    (void)state;
    static const int64_t pauses[] = {100, 200, 400, 800, 1000, 1000};
    struct fixture *f = fixture_new();
    assert_true(supervisor_next_deadline(f->supervisor) <= f->now);
    tick(f);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        assert_int_equal(count_of(f, SUPERVISOR_REGISTER), 1);
        tick(f);
        assert_int_equal(count_of(f, SUPERVISOR_REGISTER), 0); /* one at a time */
        step(f, (struct supervisor_event){.kind = i % 2 ? SUPERVISOR_REFUSED : SUPERVISOR_JM_DISCONNECTED,
                                          .message = "nobody there"});
        assert_int_equal(count_of(f, SUPERVISOR_LOG), i == 0 ? 1 : 0); /* the same reason is said once */
        assert_int_equal(supervisor_next_deadline(f->supervisor), f->now + pauses[i]);
        f->now += pauses[i] - 1;
        tick(f);
        assert_int_equal(count_of(f, SUPERVISOR_REGISTER), 0);
        f->now++;
        tick(f);
    }
    answer_registration(f, 7, 1);
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_DISCONNECTED});
    assert_int_equal(supervisor_next_deadline(f->supervisor), f->now + 100); /* success resets the pause */
    fixture_free(f);
}

static void refuses_a_malformed_registration(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    tick(f);
    Weir__TaskManagerRegistered registered = WEIR__TASK_MANAGER_REGISTERED__INIT;
    step(f, (struct supervisor_event){.kind = SUPERVISOR_REGISTERED, .registered = &registered});
    assert_int_equal(supervisor_next_deadline(f->supervisor), f->now + 100);
    answer_registration(f, 1, 1); /* nobody asked */
    assert_int_equal(f->commands.count, 0);
    fixture_free(f);
}

static void sends_heartbeats_every_interval(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    do_register(f, 7, 1);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(count_of(f, SUPERVISOR_SEND_JM), 1);
        const Weir__ToJobManager *message = nth(f, SUPERVISOR_SEND_JM, 0)->to_jm;
        assert_int_equal(message->body_case, WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT);
        if (i > 0)
            assert_int_equal(message->heartbeat->resident_bytes, 4711);
        step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_CONTACT});
        assert_int_equal(supervisor_next_deadline(f->supervisor), f->now + INTERVAL_MS);
        f->now += INTERVAL_MS;
        tick(f);
    }
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_PROBE});
    assert_int_equal(count_of(f, SUPERVISOR_SEND_JM), 1);
    fixture_free(f);
}

/* ---- workers ---- */

static void relays_both_ways(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct target target = {1, 0};
    do_register(f, 7, 1);
    uint64_t worker = run_worker(f, target, 1);

    jm_deploy(f, target, 2);
    assert_int_equal(nth(f, SUPERVISOR_SEND_WORKER, 0)->worker, worker);
    jm_notify_complete(f, target, 42);
    assert_int_equal(count_of(f, SUPERVISOR_SEND_WORKER), 1);
    char expected[128];
    snprintf(expected, sizeof expected, "Completed checkpoint 42 for job 01%030d.", 0);
    assert_string_equal(nth(f, SUPERVISOR_LOG, 0)->text, expected);
    assert_string_equal(nth(f, SUPERVISOR_LOG, 0)->logger, "weir.runtime.taskexecutor.TaskExecutor");
    worker_task_state(f, worker, target, WEIR__TASK_STATE__TASK_RUNNING);
    assert_int_equal(nth(f, SUPERVISOR_SEND_JM, 0)->to_jm->body_case, WEIR__TO_JOB_MANAGER__BODY_TASK_STATE);

    static const struct target unknown[] = {{1, 1}, {2, 0}};
    for (size_t i = 0; i < 2; i++) {
        jm_deploy(f, unknown[i], 1);
        assert_int_equal(f->commands.count, 0);
        jm_cancel(f, unknown[i]);
        assert_int_equal(f->commands.count, 0);
        jm_notify_complete(f, unknown[i], 1);
        assert_int_equal(f->commands.count, 0);
        worker_task_state(f, worker, unknown[i], WEIR__TASK_STATE__TASK_RUNNING); /* not its own deployment */
        assert_int_equal(count_of(f, SUPERVISOR_SEND_JM), 0);
    }
    worker_task_state(f, worker + 1, target, WEIR__TASK_STATE__TASK_RUNNING); /* no such worker */
    assert_int_equal(f->commands.count, 0);
    Weir__Heartbeat heartbeat = WEIR__HEARTBEAT__INIT; /* not a worker's to say */
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    worker_says(f, worker, &message);
    assert_int_equal(count_of(f, SUPERVISOR_SEND_JM), 0);
    fixture_free(f);
}

struct exit_case {
    const char *name;
    bool cancel, stop;
    int finished; /* of two tasks */
    const char *confession;
    int32_t exit_code;
    uint32_t signal;
    bool expected;
    const char *error;
};

static const struct exit_case exit_cases[] = {
    {"finished", false, false, 2, NULL, 0, 0, true, ""},
    {"early", false, false, 1, NULL, 0, 0, false, "worker of job 'Job' ended before all its tasks had ended"},
    {"canceled", true, false, 2, NULL, 0, 0, true, ""},
    {"stopped", false, true, 0, NULL, -1, 9, true, ""},
    {"crash", false, false, 0, NULL, -1, 11, false,
     "worker of job 'Job' was killed by signal 11 (SIGSEGV) in task 'A (1/2)'"},
    {"crash in cancel", true, false, 0, NULL, -1, 6, false,
     "worker of job 'Job' was killed by signal 6 (SIGABRT) in task 'A (1/2)'"},
    {"exit", false, false, 0, NULL, 3, 0, false, "worker of job 'Job' ended with exit code 3"},
    {"said why", false, false, 0, "the graph differs", 1, 0, false,
     "worker of job 'Job' failed: the graph differs"},
};

static void tells_how_workers_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof exit_cases / sizeof *exit_cases; i++) {
        const struct exit_case *c = &exit_cases[i];
        struct fixture *f = fixture_new();
        struct target target = {1, 0};
        do_register(f, 7, 1);
        uint64_t worker = run_worker(f, target, 2);
        jm_deploy(f, target, 2);
        for (int t = 0; t < c->finished; t++)
            worker_task_state(f, worker, target,
                              c->cancel ? WEIR__TASK_STATE__TASK_CANCELED : WEIR__TASK_STATE__TASK_FINISHED);
        if (c->cancel)
            jm_cancel(f, target);
        if (c->confession)
            worker_confesses(f, worker, target, c->confession);
        if (c->stop) {
            jm_stop(f, target);
            assert_int_equal(nth(f, SUPERVISOR_KILL_WORKER, 0)->worker, worker);
            jm_stop(f, target);
            assert_int_equal(count_of(f, SUPERVISOR_KILL_WORKER), 0); /* once */
            assert_int_equal(count_of(f, SUPERVISOR_SEND_JM), 0);     /* answered when it has ended */
            worker_task_state(f, worker, target, WEIR__TASK_STATE__TASK_RUNNING);
            assert_int_equal(f->commands.count, 0); /* what a killed worker still said */
        }
        worker_exits(f, worker, c->exit_code, c->signal);
        const Weir__WorkerExited *exited = exit_told(f);
        assert_non_null(exited);
        if (exited->expected != c->expected)
            fail_msg("%s: expected is %d", c->name, exited->expected);
        assert_string_equal(exited->error, c->error);
        assert_int_equal(exited->exit_code, c->signal ? -1 : c->exit_code);
        assert_int_equal(exited->signal, c->signal);
        assert_string_equal(exited->stack, c->expected ? "" : "#0 f");
        worker_exits(f, worker, 0, 0);
        assert_int_equal(f->commands.count, 0); /* known no more */
        fixture_free(f);
    }
}

static void answers_stop_of_what_does_not_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    do_register(f, 7, 1);
    jm_stop(f, (struct target){1, 0});
    assert_true(exit_told(f)->expected);
    assert_int_equal(exit_told(f)->deployment->job_id.data[0], 1);

    jm_start(f, (struct target){1, 1}, 1, 1);
    jm_stop(f, (struct target){1, 1}); /* still fetching */
    assert_true(exit_told(f)->expected);
    artifact_ready(f, 1, WEIR_OK, NULL);
    assert_int_equal(f->commands.count, 0);

    jm_start(f, (struct target){1, 2}, 1, 1);
    jm_cancel(f, (struct target){1, 2});
    assert_true(exit_told(f)->expected);
    fixture_free(f);
}

static void refuses_what_it_has_no_slots_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    do_register(f, 7, 1);
    jm_start(f, (struct target){1, 0}, SLOTS + 1, 1);
    assert_string_equal(exit_told(f)->error,
                        "worker of job 'Job' could not be started: 3 slots were asked for, 0 of "
                        "this taskmanager's 2 are held by others");
    assert_false(exit_told(f)->expected);
    jm_start(f, (struct target){1, 0}, 0, 1);
    assert_non_null(exit_told(f));
    uint64_t first = run_worker(f, (struct target){1, 0}, 1);
    jm_start(f, (struct target){2, 0}, 2, 1);
    assert_non_null(exit_told(f));
    uint64_t second = run_worker(f, (struct target){2, 0}, 1);
    assert_true(first != second);
    jm_start(f, (struct target){3, 0}, 1, 1);
    assert_non_null(exit_told(f));
    jm_stop(f, (struct target){1, 0}); /* slots of a dying worker are free */
    jm_start(f, (struct target){1, 1}, 1, 1);
    assert_int_equal(count_of(f, SUPERVISOR_FETCH_ARTIFACT), 1);
    fixture_free(f);
}

static void fetches_an_artifact_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    do_register(f, 7, 1);
    jm_start(f, (struct target){1, 0}, 1, 5);
    assert_int_equal(count_of(f, SUPERVISOR_FETCH_ARTIFACT), 1);
    jm_start(f, (struct target){1, 0}, 1, 5); /* a repetition */
    assert_int_equal(f->commands.count, 0);
    jm_start(f, (struct target){2, 0}, 1, 5);
    assert_int_equal(count_of(f, SUPERVISOR_FETCH_ARTIFACT), 0);
    artifact_ready(f, 6, WEIR_OK, NULL);
    assert_int_equal(f->commands.count, 0);
    artifact_ready(f, 5, WEIR_OK, NULL);
    assert_int_equal(count_of(f, SUPERVISOR_SPAWN_WORKER), 2);

    f->now += 1;
    jm_start(f, (struct target){1, 1}, 1, 9); /* a new attempt ends the old one */
    assert_int_equal(count_of(f, SUPERVISOR_KILL_WORKER), 1);
    artifact_ready(f, 9, WEIR_E_CORRUPT, "sha256 differs");
    assert_string_equal(exit_told(f)->error, "worker of job 'Job' could not be started: sha256 differs");
    fixture_free(f);
}

/* ---- loss of the jobmanager ---- */

static void liveness_follows_contact(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    do_register(f, 7, 1);
    run_worker(f, (struct target){1, 0}, 1);
    for (int i = 0; i < 4; i++) {
        f->now += INTERVAL_MS;
        tick(f);
        assert_int_equal(count_of(f, SUPERVISOR_SEND_WORKER), i < 2 ? 1 : 0);
        if (i == 0)
            step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_CONTACT});
    }
    fixture_free(f);
}

static void worker_reports(struct fixture *f, uint64_t worker, struct target target)
{
    struct id_storage id;
    Weir__MetricsReport report = WEIR__METRICS_REPORT__INIT;
    report.deployment = make_id(&id, target);
    Weir__ToJobManager message = WEIR__TO_JOB_MANAGER__INIT;
    message.body_case = WEIR__TO_JOB_MANAGER__BODY_METRICS;
    message.metrics = &report;
    worker_says(f, worker, &message);
}

/* Heartbeats for so long, with the jobmanager answering; true: a worker was killed meanwhile. */
static bool ticks_kill(struct fixture *f, int64_t duration_ms)
{
    for (int64_t end = f->now + duration_ms; f->now < end;) {
        f->now += INTERVAL_MS;
        step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_CONTACT});
        tick(f);
        if (nth(f, SUPERVISOR_KILL_WORKER, 0))
            return true;
    }
    return false;
}

static void a_silent_worker_is_killed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct target target = {1, 0};
    do_register(f, 7, 1);
    uint64_t worker = run_worker(f, target, 1);
    assert_false(ticks_kill(f, 3 * TIMEOUT_MS)); /* without tasks it has nothing to say */
    jm_deploy(f, target, 1);
    assert_false(ticks_kill(f, TIMEOUT_MS - INTERVAL_MS));
    worker_reports(f, worker, target);
    assert_false(ticks_kill(f, TIMEOUT_MS - 2 * INTERVAL_MS));
    f->now += 10 * TIMEOUT_MS; /* this process was stopped, too: what the worker said is still to be read */
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_CONTACT});
    tick(f);
    assert_null(nth(f, SUPERVISOR_KILL_WORKER, 0));
    worker_reports(f, worker, target);
    assert_false(ticks_kill(f, TIMEOUT_MS - INTERVAL_MS));
    assert_true(supervisor_next_deadline(f->supervisor) <= f->now + INTERVAL_MS);
    assert_true(ticks_kill(f, INTERVAL_MS));
    worker_exits(f, worker, 0, 9);
    const Weir__WorkerExited *told = exit_told(f);
    assert_non_null(told);
    assert_false(told->expected);
    assert_non_null(strstr(told->error, "nothing was heard of it for 5000 ms"));
    fixture_free(f);
}

static void an_ended_worker_may_be_silent(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct target target = {1, 0};
    do_register(f, 7, 1);
    uint64_t worker = run_worker(f, target, 1);
    jm_deploy(f, target, 1);
    worker_task_state(f, worker, target, WEIR__TASK_STATE__TASK_FINISHED);
    assert_false(ticks_kill(f, 3 * TIMEOUT_MS));
    fixture_free(f);
}

static void silence_kills_workers(void **state)
{
    (void)state;
    for (int disconnected = 0; disconnected < 2; disconnected++) {
        struct fixture *f = fixture_new();
        do_register(f, 7, 1);
        uint64_t worker = run_worker(f, (struct target){1, 0}, 1);
        int64_t heard = f->now;
        if (disconnected)
            step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_DISCONNECTED});
        bool killed = false;
        while (f->now < heard + TIMEOUT_MS) {
            assert_false(killed);
            f->now = supervisor_next_deadline(f->supervisor);
            tick(f);
            killed = nth(f, SUPERVISOR_KILL_WORKER, 0) != NULL;
            if (nth(f, SUPERVISOR_REGISTER, 0) && !killed)
                step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_DISCONNECTED});
        }
        assert_true(killed);
        assert_int_equal(f->now, heard + TIMEOUT_MS);
        worker_exits(f, worker, -1, 9);
        assert_int_equal(count_of(f, SUPERVISOR_SEND_JM), 0); /* nobody is there to be told */
        fixture_free(f);
    }
}

static void a_new_session_ends_the_old_one(void **state)
{
    (void)state;
    for (uint8_t incarnation = 1; incarnation <= 2; incarnation++) {
        struct fixture *f = fixture_new();
        struct target old = {1, 0}, fetching = {2, 0}, again = {1, 0};
        do_register(f, 7, 1);
        uint64_t worker = run_worker(f, old, 1);
        jm_start(f, fetching, 1, 9);
        step(f, (struct supervisor_event){.kind = SUPERVISOR_REFUSED, .message = "fenced"});
        jm_deploy(f, old, 1); /* of a session that is over */
        assert_int_equal(f->commands.count, 0);
        worker_task_state(f, worker, old, WEIR__TASK_STATE__TASK_RUNNING);
        assert_int_equal(f->commands.count, 0);
        f->now += 100;
        do_register(f, 8, incarnation);
        assert_int_equal(nth(f, SUPERVISOR_KILL_WORKER, 0)->worker, worker);
        artifact_ready(f, 9, WEIR_OK, NULL);
        assert_int_equal(f->commands.count, 0);
        jm_deploy(f, old, 1);
        assert_int_equal(f->commands.count, 0);

        uint64_t second =
            run_worker(f, again, 2); /* the same deployment id, while the old process is still dying */
        worker_exits(f, worker, -1, 9);
        assert_int_equal(f->commands.count, 0); /* not the new one's end */
        jm_deploy(f, again, 1);
        assert_int_equal(nth(f, SUPERVISOR_SEND_WORKER, 0)->worker, second);
        fixture_free(f);
    }
}

static void stop_reaches_a_dying_worker_of_the_old_session(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct target target = {1, 0};
    do_register(f, 7, 1);
    uint64_t worker = run_worker(f, target, 1);
    step(f, (struct supervisor_event){.kind = SUPERVISOR_REFUSED});
    f->now += 100;
    do_register(f, 8, 1);
    jm_stop(f, target);
    assert_int_equal(f->commands.count > 0 ? count_of(f, SUPERVISOR_SEND_JM) : 0, 0);
    worker_exits(f, worker, -1, 9);
    assert_true(exit_told(f)->expected);
    fixture_free(f);
}

static void shuts_down_after_its_workers(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    do_register(f, 7, 1);
    uint64_t worker = run_worker(f, (struct target){1, 0}, 1);
    jm_start(f, (struct target){2, 0}, 1, 9);
    step(f, (struct supervisor_event){.kind = SUPERVISOR_SHUTDOWN});
    assert_int_equal(nth(f, SUPERVISOR_SEND_JM, 0)->to_jm->body_case, WEIR__TO_JOB_MANAGER__BODY_LEAVING);
    assert_int_equal(nth(f, SUPERVISOR_KILL_WORKER, 0)->worker, worker);
    assert_null(nth(f, SUPERVISOR_EXIT, 0));
    assert_int_equal(supervisor_next_deadline(f->supervisor), INT64_MAX);
    step(f, (struct supervisor_event){.kind = SUPERVISOR_SHUTDOWN});
    step(f, (struct supervisor_event){.kind = SUPERVISOR_JM_DISCONNECTED});
    jm_start(f, (struct target){3, 0}, 1, 9);
    tick(f);
    assert_int_equal(f->commands.count, 0);
    worker_exits(f, worker, -1, 9);
    assert_int_equal(count_of(f, SUPERVISOR_EXIT), 1);
    fixture_free(f);

    f = fixture_new(); /* never registered, no workers */
    step(f, (struct supervisor_event){.kind = SUPERVISOR_SHUTDOWN});
    assert_int_equal(count_of(f, SUPERVISOR_EXIT), 1);
    assert_int_equal(count_of(f, SUPERVISOR_SEND_JM), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_with_growing_pauses),
        cmocka_unit_test(refuses_a_malformed_registration),
        cmocka_unit_test(sends_heartbeats_every_interval),
        cmocka_unit_test(relays_both_ways),
        cmocka_unit_test(tells_how_workers_end),
        cmocka_unit_test(answers_stop_of_what_does_not_run),
        cmocka_unit_test(refuses_what_it_has_no_slots_for),
        cmocka_unit_test(fetches_an_artifact_once),
        cmocka_unit_test(liveness_follows_contact),
        cmocka_unit_test(silence_kills_workers),
        cmocka_unit_test(a_silent_worker_is_killed),
        cmocka_unit_test(an_ended_worker_may_be_silent),
        cmocka_unit_test(a_new_session_ends_the_old_one),
        cmocka_unit_test(stop_reaches_a_dying_worker_of_the_old_session),
        cmocka_unit_test(shuts_down_after_its_workers),
    };
    return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
