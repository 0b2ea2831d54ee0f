#include "runtime_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"

static int64_t rig_now(void *self)
{
    return ((struct rig *)self)->now_ms;
}

static int rig_sleep(void *self, int64_t ms)
{
    ((struct rig *)self)->now_ms += ms;
    return 0;
}

static uint64_t rig_random(void *self)
{
    return random_next(&((struct rig *)self)->random);
}

static void rig_wake(struct waker *waker)
{
    ((struct rig_task *)waker)->runnable = true;
}

/* ---- what tasks say
 * ---------------------------------------------------------------------------------------------------- */

static struct rig_task *find_task(struct rig *rig, uint32_t vertex, uint32_t subtask)
{
    for (uint32_t i = 0; i < rig->task_count; i++)
        if (rig->tasks[i].vertex == vertex && rig->tasks[i].subtask == subtask)
            return &rig->tasks[i];
    return NULL;
}

struct rig_task *rig_find(struct rig *rig, uint32_t vertex, uint32_t subtask)
{
    struct rig_task *task = find_task(rig, vertex, subtask);
    assert_non_null(task);
    return task;
}

static void check_complete(struct rig *rig);

/* What a finished task had counts as its acknowledgement, now and later. */
static void keep_final_states(struct rig *rig, Weir__TaskStateUpdate *update)
{
    Weir__CheckpointAck *ack = xmalloc(sizeof *ack);
    weir__checkpoint_ack__init(ack);
    ack->vertex = update->vertex;
    ack->subtask = update->subtask;
    ack->states = update->final_states;
    ack->n_states = update->n_final_states;
    update->final_states = NULL;
    update->n_final_states = 0;
    vec_push(&rig->finished, ack);
    check_complete(rig);
}

static void on_state(void *self, struct task *task, Weir__TaskStateUpdate *update)
{
    static const uint32_t allowed[] = {
        [WEIR__TASK_STATE__TASK_DEPLOYING] =
            1 << WEIR__TASK_STATE__TASK_INITIALIZING | 1 << WEIR__TASK_STATE__TASK_CANCELED,
        [WEIR__TASK_STATE__TASK_INITIALIZING] = 1 << WEIR__TASK_STATE__TASK_RUNNING |
                                                1 << WEIR__TASK_STATE__TASK_CANCELED |
                                                1 << WEIR__TASK_STATE__TASK_FAILED,
        [WEIR__TASK_STATE__TASK_RUNNING] = 1 << WEIR__TASK_STATE__TASK_FINISHED |
                                           1 << WEIR__TASK_STATE__TASK_CANCELED |
                                           1 << WEIR__TASK_STATE__TASK_FAILED,
        [WEIR__TASK_STATE__TASK_FAILED] = 0,
    };
    struct rig_task *t = rig_find(self, update->vertex, update->subtask);
    assert_ptr_equal(t->task, task);
    assert_true(t->state <= WEIR__TASK_STATE__TASK_RUNNING);
    assert_true(allowed[t->state] & 1u << update->state);
    t->state = update->state;
    t->fatal = update->fatal;
    if (update->state == WEIR__TASK_STATE__TASK_FINISHED)
        keep_final_states(self, update);
    if (update->state == WEIR__TASK_STATE__TASK_FAILED)
        t->error = xstrdup(update->error);
    weir__task_state_update__free_unpacked(update, NULL);
}

static void free_acks(struct rig *rig, bool completed)
{
    if (completed) {
        vec_for_each (ack, &rig->completed)
            weir__checkpoint_ack__free_unpacked(*ack, NULL);
        vec_clear(&rig->completed);
    } else {
        vec_for_each (ack, &rig->acks)
            weir__checkpoint_ack__free_unpacked(*ack, NULL);
        vec_clear(&rig->acks);
    }
}

static bool has_acked(const struct rig *rig, const Weir__CheckpointAck *of)
{
    vec_for_each (ack, &rig->acks)
        if ((*ack)->vertex == of->vertex && (*ack)->subtask == of->subtask)
            return true;
    return false;
}

static Weir__CheckpointAck *ack_copy(const Weir__CheckpointAck *ack)
{
    size_t size = weir__checkpoint_ack__get_packed_size(ack);
    uint8_t *packed = xmalloc(size + 1);
    weir__checkpoint_ack__pack(ack, packed);
    Weir__CheckpointAck *copy = weir__checkpoint_ack__unpack(NULL, size, packed);
    free(packed);
    assert_non_null(copy);
    return copy;
}

static void complete(struct rig *rig)
{
    free_acks(rig, true);
    vec_for_each (ack, &rig->finished)
        if (!has_acked(rig, *ack)) {
            vec_push(&rig->completed, ack_copy(*ack));
            rig->completed_by_end++;
        }
    vec_for_each (ack, &rig->acks)
        vec_push(&rig->completed, *ack);
    vec_clear(&rig->acks);
    rig->completed_id = rig->checkpoint_id;
    rig->checkpoint_id = 0;
    rig_post(rig, TASK_MAIL_CHECKPOINT_COMPLETE, rig->completed_id);
}

static void check_complete(struct rig *rig)
{
    size_t known = rig->acks.count;
    vec_for_each (ack, &rig->finished)
        known += !has_acked(rig, *ack);
    if (rig->checkpoint_id && rig->acks.count > 0 && known == rig->task_count)
        complete(rig);
}

static void on_snapshot(void *self, struct task *task, Weir__CheckpointAck *ack)
{
    struct rig *rig = self;
    (void)task;
    if (ack->checkpoint_id != rig->checkpoint_id) {
        weir__checkpoint_ack__free_unpacked(ack, NULL);
        return;
    }
    vec_for_each (other, &rig->acks)
        assert_false((*other)->vertex == ack->vertex && (*other)->subtask == ack->subtask);
    vec_push(&rig->acks, ack);
    check_complete(rig);
}

static void on_decline(void *self, struct task *task, Weir__CheckpointDecline *decline)
{
    struct rig *rig = self;
    (void)task;
    rig->declines++;
    snprintf(rig->last_decline, sizeof rig->last_decline, "%s", decline->reason);
    bool current = decline->checkpoint_id == rig->checkpoint_id;
    weir__checkpoint_decline__free_unpacked(decline, NULL);
    if (current)
        rig_abort_checkpoint(rig);
}

/* ---- deployment
 * -------------------------------------------------------------------------------------------------------- */

/* As the jobmanager gives it: keyed state of the subtask's own groups, all splits. */
static Weir__OperatorState *state_for(const Weir__OperatorState *state, uint32_t subtask,
                                      uint32_t parallelism)
{
    size_t size = weir__operator_state__get_packed_size(state);
    uint8_t *packed = xmalloc(size + 1);
    weir__operator_state__pack(state, packed);
    Weir__OperatorState *copy = weir__operator_state__unpack(NULL, size, packed);
    free(packed);
    assert_non_null(copy);
    size_t kept = 0;
    for (size_t i = 0; i < copy->n_keyed; i++) {
        if (key_group_owner(copy->keyed[i]->key_group, parallelism, state->max_parallelism) == subtask)
            copy->keyed[kept++] = copy->keyed[i];
        else
            weir__key_group_state__free_unpacked(copy->keyed[i], NULL);
    }
    copy->n_keyed = kept;
    return copy;
}

static bool has_operator(const Weir__Vertex *vertex, const char *uid)
{
    for (size_t i = 0; i < vertex->n_operators; i++)
        if (strcmp(vertex->operators[i]->uid, uid) == 0)
            return true;
    return false;
}

static Weir__TaskDeployment *task_deployment(struct rig *rig, uint32_t vertex, uint32_t subtask)
{
    const Weir__Vertex *descriptor = rig->job_graph->vertices[vertex];
    Weir__TaskDeployment *task = xmalloc(sizeof *task);
    weir__task_deployment__init(task);
    task->vertex = vertex;
    task->subtask = subtask;
    task->attempt_id = xstrdup("attempt");
    size_t states = 0;
    vec_for_each (ack, &rig->completed)
        states += (*ack)->n_states;
    task->restore = xcalloc(states + 1, sizeof *task->restore);
    vec_for_each (ack, &rig->completed)
        for (size_t i = 0; i < (*ack)->n_states; i++)
            if (has_operator(descriptor, (*ack)->states[i]->uid))
                task->restore[task->n_restore++] =
                    state_for((*ack)->states[i], subtask, descriptor->parallelism);
    return task;
}

static uint32_t worker_of(const struct rig *rig, uint32_t subtask)
{
    return subtask % rig->config.workers;
}

static void deploy_worker(struct rig *rig, uint32_t index)
{
    struct rig_worker *worker = &rig->workers[index];
    Weir__DeployTasks *deployment = xmalloc(sizeof *deployment);
    weir__deploy_tasks__init(deployment);
    deployment->graph = rig->job_graph;
    deployment->tasks = xcalloc(RIG_TASKS_MAX, sizeof *deployment->tasks);
    deployment->peers = xcalloc(RIG_TASKS_MAX, sizeof *deployment->peers);
    worker->deployment = deployment;
    worker->first_task = rig->task_count;
    for (uint32_t v = 0; v < rig->job_graph->n_vertices; v++)
        for (uint32_t s = 0; s < rig->job_graph->vertices[v]->parallelism; s++) {
            Weir__SubtaskLocation *peer = xmalloc(sizeof *peer);
            weir__subtask_location__init(peer);
            peer->vertex = v;
            peer->subtask = s;
            peer->worker = xasprintf("worker-%u", worker_of(rig, s));
            assert_true(deployment->n_peers < RIG_TASKS_MAX);
            deployment->peers[deployment->n_peers++] = peer;
            if (worker_of(rig, s) != index)
                continue;
            deployment->tasks[deployment->n_tasks++] = task_deployment(rig, v, s);
            rig->tasks[rig->task_count++] = (struct rig_task){.waker.wake = rig_wake,
                                                              .rig = rig,
                                                              .worker = index,
                                                              .runnable = true,
                                                              .state = WEIR__TASK_STATE__TASK_DEPLOYING,
                                                              .vertex = v,
                                                              .subtask = s};
        }
}

struct waker_source {
    struct rig *rig;
    uint32_t first_task;
};

static struct waker *task_waker(void *self, uint32_t index)
{
    struct waker_source *source = self;
    return &source->rig->tasks[source->first_task + index].waker;
}

static void start_worker(struct rig *rig, uint32_t index)
{
    struct rig_worker *worker = &rig->workers[index];
    snprintf(worker->name, sizeof worker->name, "worker-%u", index);
    deploy_worker(rig, index);
    struct waker_source wakers = {.rig = rig, .first_task = worker->first_task};
    struct job_runtime_setup setup = {
        .stream_graph = rig->graph,
        .deployment = worker->deployment,
        .worker = worker->name,
        .config = rig->config.task,
        .user_environment = &rig->environment,
        .kafka = rig->config.kafka,
        .listener = {.state = on_state, .snapshot = on_snapshot, .decline = on_decline, .self = rig},
        .task_waker = task_waker,
        .task_waker_self = &wakers,
        .operators = rig->operators,
    };
    struct error err = {0};
    if (job_runtime_new(&setup, &worker->runtime, &err))
        fail_msg("%s", err.message);
    for (uint32_t i = 0; i < job_runtime_task_count(worker->runtime); i++)
        rig->tasks[worker->first_task + i].task = job_runtime_task(worker->runtime, i);
}

static void build_graph(struct rig *rig)
{
    char *argv[10] = {(char *)"job"};
    int argc = 1;
    while (argc < 9 && rig->config.arguments[argc - 1]) {
        argv[argc] = (char *)rig->config.arguments[argc - 1];
        argc++;
    }
    struct stream_graph_settings settings = {.default_parallelism = rig->config.parallelism};
    struct error err = {0};
    if (stream_graph_build(rig->config.job, &settings, argc, argv, &rig->graph, &err) ||
        stream_graph_to_job_graph(rig->graph, &rig->job_graph, &err))
        fail_msg("%s", err.message);
}

void rig_start(struct rig *rig, const struct rig_config *config)
{
    rig->config = *config;
    rig->environment = (struct user_environment){rig_now, rig_sleep, rig_random, rig};
    if (rig->now_ms == 0)
        random_init(&rig->random, config->seed);
    rig->now_ms += 1000;
    memcpy(rig->operators, operator_table, sizeof rig->operators);
    for (int i = 0; i < OPERATOR_KINDS; i++)
        if (config->operators[i])
            rig->operators[i] = config->operators[i];
    build_graph(rig);
    rig->task_count = 0;
    for (uint32_t i = 0; i < config->workers; i++)
        start_worker(rig, i);
}

void rig_kill(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->config.workers; i++) {
        struct rig_worker *worker = &rig->workers[i];
        job_runtime_free(worker->runtime);
        worker->runtime = NULL;
        worker->deployment->graph = NULL;
        weir__deploy_tasks__free_unpacked(worker->deployment, NULL);
    }
    for (uint32_t i = 0; i < rig->task_count; i++)
        free(rig->tasks[i].error);
    rig->task_count = 0;
    vec_clear(&rig->wake_later);
    free_acks(rig, false);
    vec_for_each (ack, &rig->finished)
        weir__checkpoint_ack__free_unpacked(*ack, NULL);
    vec_clear(&rig->finished);
    rig->checkpoint_id = 0;
    weir__job_graph__free_unpacked(rig->job_graph, NULL);
    stream_graph_free(rig->graph);
}

void rig_deinit(struct rig *rig)
{
    rig_kill(rig);
    free_acks(rig, true);
    vec_free(&rig->acks);
    vec_free(&rig->finished);
    vec_free(&rig->completed);
    vec_free(&rig->wake_later);
}

/* ---- running
 * -----------------------------------------------------------------------------------------------------------
 */

static const struct remote_channel *find_input(struct rig *rig, const struct remote_channel *output)
{
    for (uint32_t w = 0; w < rig->config.workers; w++)
        for (uint32_t i = 0; i < job_runtime_remote_count(rig->workers[w].runtime); i++) {
            const struct remote_channel *side = job_runtime_remote(rig->workers[w].runtime, i);
            if (!side->is_output && side->id.edge == output->id.edge &&
                side->id.producer == output->id.producer && side->id.consumer == output->id.consumer) {
                assert_string_equal(output->peer_worker, rig->workers[w].name);
                return side;
            }
        }
    fail_msg("no input for a remote output");
    return NULL;
}

/* Moves what credits allow. True: something was moved. */
static bool move_network(struct rig *rig)
{
    bool moved = false;
    for (uint32_t w = 0; w < rig->config.workers; w++)
        for (uint32_t i = 0; i < job_runtime_remote_count(rig->workers[w].runtime); i++) {
            const struct remote_channel *output = job_runtime_remote(rig->workers[w].runtime, i);
            if (!output->is_output || channel_is_empty(output->channel))
                continue;
            const struct remote_channel *input = find_input(rig, output);
            struct buffer *into;
            while (!channel_is_empty(output->channel) && (into = buffer_pool_try_take(input->pool))) {
                struct buffer *from = channel_pop(output->channel);
                memcpy(into->data, from->data, from->size);
                into->size = from->size;
                buffer_recycle(from);
                assert_true(channel_push(input->channel, into));
                moved = true;
            }
        }
    return moved;
}

static void step_task(struct rig *rig, struct rig_task *task)
{
    task->runnable = false;
    switch (task_step(task->task, rig->now_ms)) {
    case TASK_PROGRESS:
        task->runnable = true;
        break;
    case TASK_WAITING:
        waker_prepare(&task->waker);
        break;
    case TASK_ENDED:
        task->ended = true;
        break;
    }
}

static uint32_t collect_runnable(struct rig *rig, struct rig_task **tasks, uint32_t *ret_alive)
{
    uint32_t count = 0;
    *ret_alive = 0;
    for (uint32_t i = 0; i < rig->task_count; i++) {
        struct rig_task *task = &rig->tasks[i];
        if (task->ended)
            continue;
        ++*ret_alive;
        if (task->runnable || task_deadline(task->task) <= rig->now_ms)
            tasks[count++] = task;
    }
    return count;
}

static bool wake_one(struct rig *rig)
{
    if (rig->wake_later.count == 0)
        return false;
    size_t at = random_below(&rig->random, rig->wake_later.count);
    struct waker *waker = rig->wake_later.items[at];
    vec_remove(&rig->wake_later, at);
    waker_wake(waker);
    return true;
}

static bool advance_clock(struct rig *rig)
{
    int64_t earliest = INT64_MAX;
    for (uint32_t i = 0; i < rig->task_count; i++) {
        int64_t deadline = rig->tasks[i].ended ? INT64_MAX : task_deadline(rig->tasks[i].task);
        earliest = deadline < earliest ? deadline : earliest;
    }
    if (earliest == INT64_MAX)
        return false;
    rig->now_ms = earliest > rig->now_ms ? earliest : rig->now_ms + 1;
    return true;
}

static void fail_stuck(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->task_count; i++)
        print_message("%s: state %d, ended %d\n", task_name(rig->tasks[i].task), rig->tasks[i].state,
                      rig->tasks[i].ended);
    fail_msg("seed %llu: stuck: no task is runnable", (unsigned long long)rig->config.seed);
}

bool rig_step(struct rig *rig)
{
    struct rig_task *runnable[RIG_TASKS_MAX];
    uint32_t alive, count = collect_runnable(rig, runnable, &alive);
    if (alive == 0)
        return false;
    uint64_t what = random_below(&rig->random, 20);
    if (what == 0 && wake_one(rig))
        return true;
    if (what < 4 && move_network(rig))
        return true;
    if (what == 4)
        rig->now_ms++;
    if (rig->config.slow_ms) /* what a step takes: long ones make tasks take less at a time */
        rig->now_ms += (int64_t)random_below(&rig->random, rig->config.slow_ms);
    if (count > 0)
        step_task(rig, runnable[random_below(&rig->random, count)]);
    else if (!move_network(rig) && !wake_one(rig) && !advance_clock(rig))
        fail_stuck(rig);
    return true;
}

void rig_run(struct rig *rig, uint64_t limit)
{
    while (rig_step(rig))
        if (limit-- == 0)
            fail_msg("seed %llu: not ended", (unsigned long long)rig->config.seed);
}

void rig_run_until(struct rig *rig, bool (*condition)(struct rig *rig), uint64_t limit)
{
    while (!condition(rig))
        if (!rig_step(rig) || limit-- == 0)
            fail_msg("seed %llu: what was waited for did not come", (unsigned long long)rig->config.seed);
}

void rig_post(struct rig *rig, enum task_mail_kind kind, uint64_t checkpoint_id)
{
    struct task_mail mail = {.kind = kind, .checkpoint_id = checkpoint_id, .timestamp_ms = rig->now_ms};
    for (uint32_t i = 0; i < rig->config.workers; i++)
        job_runtime_post(rig->workers[i].runtime, &mail);
}

void rig_trigger(struct rig *rig)
{
    if (rig->checkpoint_id)
        return;
    rig->checkpoint_id = ++rig->last_id;
    rig_post(rig, TASK_MAIL_TRIGGER_CHECKPOINT, rig->checkpoint_id);
}

void rig_abort_checkpoint(struct rig *rig)
{
    if (!rig->checkpoint_id)
        return;
    uint64_t id = rig->checkpoint_id;
    free_acks(rig, false);
    rig->checkpoint_id = 0;
    rig_post(rig, TASK_MAIL_CHECKPOINT_ABORTED, id);
}
