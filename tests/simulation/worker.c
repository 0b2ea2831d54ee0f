/* The edge of a worker: builds the job's stream again, runs the real tasks when they are woken or due, and
 * carries what they say to the supervisor. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "common/storage/storage.h"
#include "tests/simulation/sim.h"

struct sim_task {
    struct waker waker;
    struct sim_worker *worker;
    uint32_t index;
    bool scheduled; /* a step is in the heap */
    bool ended;
    int64_t busy_until_us; /* user code sleeps */
    int64_t timer_us;      /* a step for the deadline is due then; INT64_MAX: none */
};

static void step(struct sim *sim, struct sim_call *call);

static void schedule(struct sim_task *task, int64_t delay_us)
{
    struct sim *sim = task->worker->sim;
    if (task->scheduled || task->ended)
        return;
    task->scheduled = true;
    if (sim->now_us + delay_us < task->busy_until_us)
        delay_us = task->busy_until_us - sim->now_us;
    sim_after(sim, delay_us, task->worker->process, step,
              (struct sim_call){.a = task->worker->process, .b = task->index}, NULL);
}

static int64_t step_delay(struct sim *sim)
{
    if (!sim->healing && sim_chance(sim, 1) && sim_chance(sim, 200)) {
        sim->stats.stalls++;
        return sim_between(sim, 1000000, 9000000); /* no processor for a long while */
    }
    return sim_between(sim, 2, 150);
}

static void wake(struct waker *waker)
{
    struct sim_task *task = (struct sim_task *)((char *)waker - offsetof(struct sim_task, waker));
    schedule(task, step_delay(task->worker->sim));
}

static void due(struct sim *sim, struct sim_call *call)
{
    struct sim_worker *worker = sim_worker_by_process(sim, call->a);
    if (!worker || !worker->tasks)
        return;
    struct sim_task *task = &worker->tasks[call->b];
    if (task->timer_us <= sim->now_us) {
        task->timer_us = INT64_MAX;
        schedule(task, 0);
    }
}

static void arm_deadline(struct sim *sim, struct sim_task *task)
{
    int64_t deadline_ms = task_deadline(job_runtime_task(task->worker->runtime, task->index));
    if (deadline_ms == INT64_MAX)
        return;
    int64_t at_us = deadline_ms > sim_now_ms(sim) ? deadline_ms * 1000 : sim->now_us + 1;
    if (task->timer_us <= at_us)
        return;
    task->timer_us = at_us;
    sim_after(sim, at_us - sim->now_us, task->worker->process, due,
              (struct sim_call){.a = task->worker->process, .b = task->index}, NULL);
}

static void all_ended(struct sim *sim, struct sim_worker *worker)
{
    for (uint32_t i = 0; i < job_runtime_task_count(worker->runtime); i++)
        if (!worker->tasks[i].ended)
            return;
    struct sim_tm *tm = &sim->tms[worker->tm];
    uint64_t handle = worker->handle;
    sim_worker_destroy(sim, worker);
    sim_tm_worker_exited(sim, tm, handle, 0, 0);
}

static void step(struct sim *sim, struct sim_call *call)
{
    struct sim_worker *worker = sim_worker_by_process(sim, call->a);
    if (!worker || !worker->runtime)
        return;
    struct sim_task *task = &worker->tasks[call->b];
    task->scheduled = false;
    switch (task_step(job_runtime_task(worker->runtime, task->index), sim_now_ms(sim))) {
    case TASK_PROGRESS:
        schedule(task, step_delay(sim));
        break;
    case TASK_WAITING:
        waker_prepare(&task->waker);
        arm_deadline(sim, task);
        break;
    case TASK_ENDED:
        task->ended = true;
        all_ended(sim, worker);
        break;
    }
}

/* ---- what tasks say ---- */

static Weir__DeploymentId *deployment_id(const struct sim_worker *worker)
{
    const Weir__DeploymentId *id = worker->start->deployment;
    Weir__DeploymentId *copy = xmalloc(sizeof *copy);
    weir__deployment_id__init(copy);
    copy->job_id.data = xmemdup(id->job_id.data, id->job_id.len);
    copy->job_id.len = id->job_id.len;
    copy->attempt = id->attempt;
    return copy;
}

static Weir__ToJobManager *message_new(Weir__ToJobManager__BodyCase kind)
{
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    weir__to_job_manager__init(message);
    message->body_case = kind;
    return message;
}

static void on_state(void *self, struct task *task, Weir__TaskStateUpdate *update)
{
    (void)task;
    struct sim_worker *worker = self;
    if (update->state == WEIR__TASK_STATE__TASK_FAILED)
        sim_trace(worker->sim, "worker %llu task failed: %s", (unsigned long long)worker->process,
                  update->error);
    update->deployment = deployment_id(worker);
    Weir__ToJobManager *message = message_new(WEIR__TO_JOB_MANAGER__BODY_TASK_STATE);
    message->task_state = update;
    sim_tm_worker_says(worker->sim, worker, message);
}

static void on_snapshot(void *self, struct task *task, Weir__CheckpointAck *ack)
{
    (void)task;
    struct sim_worker *worker = self;
    ack->deployment = deployment_id(worker);
    vec_push(&worker->sim->acks, (struct sim_ack){worker->start->deployment->attempt, ack->checkpoint_id,
                                                  ack->vertex, ack->subtask});
    Weir__ToJobManager *message = message_new(WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK);
    message->checkpoint_ack = ack;
    sim_tm_worker_says(worker->sim, worker, message);
}

static void on_decline(void *self, struct task *task, Weir__CheckpointDecline *decline)
{
    (void)task;
    struct sim_worker *worker = self;
    decline->deployment = deployment_id(worker);
    Weir__ToJobManager *message = message_new(WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_DECLINE);
    message->checkpoint_decline = decline;
    sim_tm_worker_says(worker->sim, worker, message);
}

static struct waker *task_waker(void *self, uint32_t index)
{
    struct sim_worker *worker = self;
    return &worker->tasks[index].waker;
}

static int read_state(void *reader, const char *restore_base, const Weir__StateHandle *handle,
                      void **ret_data, size_t *ret_size, struct error *err)
{
    (void)reader;
    return state_handle_read(restore_base && *restore_base ? restore_base : "/", handle, ret_data, ret_size,
                             err);
}

/* ---- what user code gets ---- */

static int64_t user_now(void *self)
{
    struct sim_worker *worker = self;
    return sim_now_ms(worker->sim);
}

static int user_sleep(void *self, int64_t ms)
{
    (void)self;
    (void)ms;
    return 0;
}

static uint64_t user_random(void *self)
{
    struct sim_worker *worker = self;
    return random_next(&worker->random);
}

/* ---- life ---- */

static void loaded(struct sim *sim, struct sim_call *call)
{
    struct sim_worker *worker = sim_worker_by_process(sim, call->a);
    if (!worker)
        return;
    struct stream_graph_settings settings = {
        .default_parallelism = worker->start->program->default_parallelism, .parallelism_is_given = true};
    char *argv[] = {(char *)"job.so", (char *)"--checkpointing", (char *)"--event-time", NULL};
    struct error err = {0};
    if (stream_graph_build(sim->descriptor, &settings, 3, argv, &worker->stream_graph, &err)) {
        sim_fail(sim, "worker can't build the job: %s", err.message);
        return;
    }
    Weir__ToJobManager *message = message_new(WEIR__TO_JOB_MANAGER__BODY_WORKER_READY);
    message->worker_ready = xmalloc(sizeof *message->worker_ready);
    weir__worker_ready__init(message->worker_ready);
    message->worker_ready->deployment = deployment_id(worker);
    message->worker_ready->data_address = xasprintf("sim:%llu", (unsigned long long)worker->process);
    message->worker_ready->pid = (uint32_t)worker->process;
    sim_tm_worker_says(sim, worker, message);
}

struct sim_worker *sim_worker_spawn(struct sim *sim, struct sim_tm *tm, uint64_t handle,
                                    const Weir__StartWorker *start)
{
    struct sim_worker *worker = xcalloc(1, sizeof *worker);
    worker->sim = sim;
    worker->process = sim_process_new(sim, tm->process);
    worker->handle = handle;
    worker->tm = tm->index;
    worker->tm_id = xstrdup(tm->id);
    size_t size = weir__start_worker__get_packed_size(start);
    uint8_t *packed = xmalloc(size);
    weir__start_worker__pack(start, packed);
    worker->start = weir__start_worker__unpack(NULL, size, packed);
    free(packed);
    random_init(&worker->random, random_next(&sim->random));
    worker->environment = (struct user_environment){user_now, user_sleep, user_random, worker};
    sim_kafka_access_init(&worker->kafka, &sim->kafka, worker->process);
    sim_after(sim, sim_between(sim, 2000, 60000), worker->process, loaded,
              (struct sim_call){.a = worker->process}, NULL);
    return worker;
}

static void deploy(struct sim *sim, struct sim_worker *worker, Weir__DeployTasks *deployment_take)
{
    if (worker->deployment) {
        sim_fail(sim, "a worker was deployed to twice");
        weir__deploy_tasks__free_unpacked(deployment_take, NULL);
        return;
    }
    worker->deployment = deployment_take;
    size_t count = deployment_take->n_tasks;
    worker->tasks = xcalloc(count, sizeof *worker->tasks);
    for (uint32_t i = 0; i < count; i++)
        worker->tasks[i] =
            (struct sim_task){.waker.wake = wake, .worker = worker, .index = i, .timer_us = INT64_MAX};
    struct job_runtime_setup setup = {
        .stream_graph = worker->stream_graph,
        .deployment = deployment_take,
        .worker = worker->tm_id,
        .config = {.max_record_bytes = 1 << 16,
                   .buffer_timeout_ms = 0,
                   .buffers_per_channel = (uint32_t)sim_between(sim, 1, 3),
                   .floating_buffers = (uint32_t)sim_between(sim, 1, 4),
                   .checkpointing = true},
        .user_environment = &worker->environment,
        .kafka = &worker->kafka.provider,
        .listener = {on_state, on_snapshot, on_decline, worker},
        .task_waker = task_waker,
        .task_waker_self = worker,
        .read_state = read_state,
    };
    struct error err = {0};
    if (job_runtime_new(&setup, &worker->runtime, &err)) {
        sim_fail(sim, "deployment failed: %s", err.message);
        return;
    }
    sim_dataplane_attach(sim, worker);
    for (uint32_t i = 0; i < count; i++)
        schedule(&worker->tasks[i], step_delay(sim));
}

/* That it is alive. */
static void report(struct sim_worker *worker)
{
    Weir__ToJobManager *message = message_new(WEIR__TO_JOB_MANAGER__BODY_METRICS);
    message->metrics = xmalloc(sizeof *message->metrics);
    weir__metrics_report__init(message->metrics);
    message->metrics->deployment = deployment_id(worker);
    sim_tm_worker_says(worker->sim, worker, message);
}

void sim_worker_receive(struct sim *sim, struct sim_worker *worker, Weir__ToTaskManager *message)
{
    struct task_mail mail = {0};
    bool post = true;
    switch (message->body_case) {
    case WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS: {
        Weir__DeployTasks *deployment = message->deploy_tasks;
        message->body_case = WEIR__TO_TASK_MANAGER__BODY__NOT_SET;
        deploy(sim, worker, deployment);
        post = false;
        break;
    }
    case WEIR__TO_TASK_MANAGER__BODY_TRIGGER_CHECKPOINT:
        mail = (struct task_mail){.kind = TASK_MAIL_TRIGGER_CHECKPOINT,
                                  .checkpoint_id = message->trigger_checkpoint->checkpoint_id,
                                  .timestamp_ms = message->trigger_checkpoint->timestamp_ms,
                                  .snapshot_kind = message->trigger_checkpoint->kind,
                                  .stop = message->trigger_checkpoint->stop};
        break;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE:
        mail = (struct task_mail){.kind = TASK_MAIL_CHECKPOINT_COMPLETE,
                                  .checkpoint_id = message->notify_checkpoint_complete->checkpoint_id};
        break;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_ABORTED:
        mail = (struct task_mail){.kind = TASK_MAIL_CHECKPOINT_ABORTED,
                                  .checkpoint_id = message->notify_checkpoint_aborted->checkpoint_id};
        break;
    case WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS:
        mail.kind = TASK_MAIL_CANCEL;
        break;
    case WEIR__TO_TASK_MANAGER__BODY_LIVENESS:
        report(worker);
        post = false;
        break;
    default:
        post = false;
        break;
    }
    if (post && worker->runtime)
        job_runtime_post(worker->runtime, &mail);
    weir__to_task_manager__free_unpacked(message, NULL);
}

void sim_worker_destroy(struct sim *sim, struct sim_worker *worker)
{
    sim_process_end(sim, worker->process);
    struct sim_tm *tm = &sim->tms[worker->tm];
    for (size_t i = 0; i < tm->workers.count; i++)
        if (tm->workers.items[i] == worker) {
            vec_remove(&tm->workers, i);
            break;
        }
    for (size_t i = 0; worker->tasks && i < worker->deployment->n_tasks; i++)
        worker->tasks[i].ended = true; /* nothing wakes them any more */
    sim_dataplane_detach(worker);
    if (worker->runtime)
        job_runtime_free(worker->runtime);
    free(worker->tasks);
    if (worker->deployment)
        weir__deploy_tasks__free_unpacked(worker->deployment, NULL);
    if (worker->stream_graph)
        stream_graph_free(worker->stream_graph);
    weir__start_worker__free_unpacked(worker->start, NULL);
    free(worker->tm_id);
    free(worker);
}
