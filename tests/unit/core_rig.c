#include "tests/unit/core_rig.h"

#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"

static void *copy(const void *message)
{
    const ProtobufCMessage *base = message;
    size_t size = protobuf_c_message_get_packed_size(base);
    uint8_t *packed = xmalloc(size);
    protobuf_c_message_pack(base, packed);
    ProtobufCMessage *made = protobuf_c_message_unpack(base->descriptor, NULL, size, packed);
    free(packed);
    assert_non_null(made);
    return made;
}

static void tell(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct rig *rig, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    vec_push(&rig->story, xstrdup(text));
}

/* ---- messages to the core
 * ------------------------------------------------------------------------------------------- */

static Weir__DeploymentId *deployment(const struct weir_id *job, uint32_t attempt)
{
    Weir__DeploymentId *id = xmalloc(sizeof *id);
    weir__deployment_id__init(id);
    id->job_id = (ProtobufCBinaryData){WEIR_ID_BYTES, xmemdup(job->bytes, WEIR_ID_BYTES)};
    id->attempt = attempt;
    return id;
}

static Weir__ToJobManager *envelope(Weir__ToJobManager__BodyCase body)
{
    Weir__ToJobManager *message = xmalloc(sizeof *message);
    weir__to_job_manager__init(message);
    message->body_case = body;
    return message;
}

static Weir__ToJobManager *task_state(const struct weir_id *job, uint32_t attempt, uint32_t vertex,
                                      uint32_t subtask, Weir__TaskState state)
{
    Weir__ToJobManager *message = envelope(WEIR__TO_JOB_MANAGER__BODY_TASK_STATE);
    Weir__TaskStateUpdate *update = xmalloc(sizeof *update);
    weir__task_state_update__init(update);
    update->deployment = deployment(job, attempt);
    update->vertex = vertex;
    update->subtask = subtask;
    update->state = state;
    message->task_state = update;
    return message;
}

static Weir__StateHandle *inline_handle(const char *text)
{
    Weir__StateHandle *handle = xmalloc(sizeof *handle);
    weir__state_handle__init(handle);
    handle->inline_ = (ProtobufCBinaryData){strlen(text), xmemdup(text, strlen(text))};
    handle->length = strlen(text);
    return handle;
}

static Weir__OperatorState *state_of(const char *uid)
{
    Weir__OperatorState *state = xmalloc(sizeof *state);
    weir__operator_state__init(state);
    state->uid = xstrdup(uid);
    return state;
}

static Weir__KeyValue *pair(const char *key, const char *value)
{
    Weir__KeyValue *made = xmalloc(sizeof *made);
    weir__key_value__init(made);
    made->key = xstrdup(key);
    made->value = xstrdup(value);
    return made;
}

/* Window: each of its key groups "kg<group>@<checkpoint>", and a watermark; source: one split
 * "split-<subtask>". */
static Weir__OperatorState *window_state(uint32_t subtask, uint32_t parallelism, uint32_t max,
                                         uint64_t checkpoint)
{
    char text[64];
    uint32_t first, last;
    Weir__OperatorState *state = state_of("window");
    key_group_range(subtask, parallelism, max, &first, &last);
    state->keyed = xcalloc(last - first + 1, sizeof(Weir__KeyGroupState *));
    for (uint32_t group = first; group <= last; group++) {
        Weir__KeyGroupState *keyed = xmalloc(sizeof *keyed);
        weir__key_group_state__init(keyed);
        keyed->key_group = group;
        snprintf(text, sizeof text, "kg%u@%llu", group, (unsigned long long)checkpoint);
        keyed->handle = inline_handle(text);
        state->keyed[state->n_keyed++] = keyed;
    }
    snprintf(text, sizeof text, "%llu", (unsigned long long)checkpoint * 1000);
    state->properties = xcalloc(1, sizeof(Weir__KeyValue *));
    state->properties[state->n_properties++] = pair("watermark", text);
    return state;
}

static Weir__OperatorState *source_state(uint32_t subtask, uint64_t checkpoint)
{
    char text[64];
    Weir__OperatorState *state = state_of("source");
    Weir__SplitState *split = xmalloc(sizeof *split);
    weir__split_state__init(split);
    snprintf(text, sizeof text, "split-%u", subtask);
    split->split = xstrdup(text);
    snprintf(text, sizeof text, "offset@%llu", (unsigned long long)checkpoint);
    split->state = (ProtobufCBinaryData){strlen(text), xmemdup(text, strlen(text))};
    state->splits = xcalloc(1, sizeof(Weir__SplitState *));
    state->splits[state->n_splits++] = split;
    return state;
}

static Weir__ToJobManager *ack(struct rig *rig, const struct weir_id *job, uint32_t attempt, uint32_t vertex,
                               uint32_t subtask, uint64_t checkpoint)
{
    Weir__ToJobManager *message = envelope(WEIR__TO_JOB_MANAGER__BODY_CHECKPOINT_ACK);
    Weir__CheckpointAck *made = xmalloc(sizeof *made);
    weir__checkpoint_ack__init(made);
    made->deployment = deployment(job, attempt);
    made->vertex = vertex;
    made->subtask = subtask;
    made->checkpoint_id = checkpoint;
    made->state_bytes = 100;
    struct vertex_view view;
    int32_t index = core_find_job(rig->core, job);
    if (vertex < 2 && index >= 0) {
        core_view_vertex(rig->core, (uint32_t)index, vertex, &view);
        made->states = xcalloc(1, sizeof(Weir__OperatorState *));
        made->states[made->n_states++] = vertex == 0
                                             ? source_state(subtask, checkpoint)
                                             : window_state(subtask, view.descriptor->parallelism,
                                                            view.descriptor->max_parallelism, checkpoint);
    }
    message->checkpoint_ack = made;
    return message;
}

static Weir__ToJobManager *exited(const struct weir_id *job, uint32_t attempt, uint32_t signal, bool expected)
{
    Weir__ToJobManager *message = envelope(WEIR__TO_JOB_MANAGER__BODY_WORKER_EXITED);
    Weir__WorkerExited *made = xmalloc(sizeof *made);
    weir__worker_exited__init(made);
    made->deployment = deployment(job, attempt);
    made->signal = signal;
    made->exit_code = signal ? -1 : 0;
    made->expected = expected;
    message->worker_exited = made;
    return message;
}

static Weir__ToJobManager *ready(const struct weir_id *job, uint32_t attempt)
{
    Weir__ToJobManager *message = envelope(WEIR__TO_JOB_MANAGER__BODY_WORKER_READY);
    Weir__WorkerReady *made = xmalloc(sizeof *made);
    weir__worker_ready__init(made);
    made->deployment = deployment(job, attempt);
    made->data_address = xstrdup("127.0.0.1:4711");
    message->worker_ready = made;
    return message;
}

Weir__ToJobManager *rig_task_state(struct rig *rig, uint32_t attempt, uint32_t vertex, uint32_t subtask,
                                   Weir__TaskState state)
{
    return task_state(&rig->job, attempt, vertex, subtask, state);
}

Weir__ToJobManager *rig_ack(struct rig *rig, uint32_t attempt, uint32_t vertex, uint32_t subtask,
                            uint64_t checkpoint)
{
    return ack(rig, &rig->job, attempt, vertex, subtask, checkpoint);
}

Weir__ToJobManager *rig_exited(struct rig *rig, uint32_t attempt, uint32_t signal, bool expected)
{
    return exited(&rig->job, attempt, signal, expected);
}

Weir__ToJobManager *rig_ready(struct rig *rig, uint32_t attempt)
{
    return ready(&rig->job, attempt);
}

void rig_send(struct rig *rig, uint32_t tm, Weir__ToJobManager *message_take)
{
    vec_push(&rig->queue, (struct rig_message){rig->tms[tm].session, message_take});
}

/* ---- workers
 * ---------------------------------------------------------------------------------------------------------
 */

static void worker_free(struct rig_worker *worker)
{
    vec_for_each (task, &worker->tasks) {
        for (size_t i = 0; i < task->restore_count; i++)
            weir__operator_state__free_unpacked(task->restore[i], NULL);
        free(task->restore);
        free(task->restore_base);
    }
    vec_free(&worker->tasks);
}

static struct rig_worker *find_worker(struct rig_tm *tm, const Weir__DeploymentId *id)
{
    if (!id)
        return NULL;
    vec_for_each (worker, &tm->workers)
        if (memcmp(worker->job.bytes, id->job_id.data, WEIR_ID_BYTES) == 0 && worker->attempt == id->attempt)
            return worker;
    return NULL;
}

static void remove_worker(struct rig_tm *tm, struct rig_worker *worker)
{
    worker_free(worker);
    vec_remove(&tm->workers, (size_t)(worker - tm->workers.items));
}

static bool is_ended(Weir__TaskState state)
{
    return state == WEIR__TASK_STATE__TASK_FINISHED || state == WEIR__TASK_STATE__TASK_CANCELED ||
           state == WEIR__TASK_STATE__TASK_FAILED;
}

static void start_worker(struct rig *rig, uint32_t index, const Weir__StartWorker *start)
{
    struct rig_tm *tm = &rig->tms[index];
    struct rig_worker worker = {.attempt = start->deployment->attempt, .slots = start->slots};
    memcpy(worker.job.bytes, start->deployment->job_id.data, WEIR_ID_BYTES);
    uint32_t used = start->slots;
    vec_for_each (other, &tm->workers) {
        used += other->slots;
        assert_false(weir_id_equal(&other->job, &worker.job)); /* one worker per job */
    }
    assert_true(used <= tm->slots);
    assert_true(start->slots > 0);
    vec_push(&tm->workers, worker);
    tell(rig, "START %s attempt %u slots %u", tm->id, worker.attempt, worker.slots);
    if (rig->auto_ready)
        rig_send(rig, index, ready(&worker.job, worker.attempt));
}

/* No other live worker of any taskmanager has this subtask of the same job; no other task in the same
 * taskmanager its slot, except the other vertices' subtasks of the same number. */
static void check_task(struct rig *rig, uint32_t index, const struct rig_worker *worker,
                       const Weir__TaskDeployment *task)
{
    for (uint32_t i = 0; i < rig->tm_count; i++) {
        struct rig_tm *tm = &rig->tms[i];
        vec_for_each (other, &tm->workers)
            vec_for_each (theirs, &other->tasks) {
                bool same_job = weir_id_equal(&other->job, &worker->job);
                if (same_job && theirs->vertex == task->vertex && theirs->subtask == task->subtask)
                    assert_true(is_ended(theirs->state));
                if (i == index && theirs->slot == task->slot && !is_ended(theirs->state))
                    assert_true(same_job && theirs->subtask == task->subtask &&
                                other->attempt == worker->attempt);
            }
    }
}

static void deploy_tasks(struct rig *rig, uint32_t index, const Weir__DeployTasks *deploy)
{
    struct rig_worker *worker = find_worker(&rig->tms[index], deploy->deployment);
    if (!worker)
        return; /* it died meanwhile */
    assert_true(worker->ready);
    assert_int_equal(worker->tasks.count, 0);
    for (size_t i = 0; i < deploy->n_tasks; i++) {
        const Weir__TaskDeployment *task = deploy->tasks[i];
        assert_true(task->slot < rig->tms[index].slots);
        if (rig->tm_count <= 16)
            check_task(rig, index, worker, task);
        struct rig_task made = {.vertex = task->vertex,
                                .subtask = task->subtask,
                                .slot = task->slot,
                                .state = WEIR__TASK_STATE__TASK_DEPLOYING,
                                .restore_count = task->n_restore,
                                .restore = xcalloc(task->n_restore, sizeof(Weir__OperatorState *)),
                                .restore_base = xstrdup(task->restore_base)};
        for (size_t k = 0; k < task->n_restore; k++)
            made.restore[k] = copy(task->restore[k]);
        vec_push(&worker->tasks, made);
        if (rig->auto_run) {
            rig_send(rig, index,
                     task_state(&worker->job, worker->attempt, task->vertex, task->subtask,
                                WEIR__TASK_STATE__TASK_INITIALIZING));
            rig_send(rig, index,
                     task_state(&worker->job, worker->attempt, task->vertex, task->subtask,
                                WEIR__TASK_STATE__TASK_RUNNING));
        }
    }
    tell(rig, "DEPLOY %s attempt %u tasks %zu peers %zu restored %llu", rig->tms[index].id, worker->attempt,
         deploy->n_tasks, deploy->n_peers, (unsigned long long)deploy->restored_checkpoint_id);
}

static void stop_worker(struct rig *rig, uint32_t index, const Weir__DeploymentId *id)
{
    struct weir_id job;
    memcpy(job.bytes, id->job_id.data, WEIR_ID_BYTES);
    tell(rig, "STOP %s attempt %u", rig->tms[index].id, id->attempt);
    if (!rig->auto_stop)
        return;
    struct rig_worker *worker = find_worker(&rig->tms[index], id);
    if (worker)
        remove_worker(&rig->tms[index], worker);
    rig_send(rig, index, exited(&job, id->attempt, 0, true));
}

static void cancel_tasks(struct rig *rig, uint32_t index, const Weir__DeploymentId *id)
{
    tell(rig, "CANCEL %s", rig->tms[index].id);
    struct rig_worker *worker = find_worker(&rig->tms[index], id);
    if (!rig->auto_cancel || !worker)
        return;
    vec_for_each (task, &worker->tasks)
        if (!is_ended(task->state))
            rig_send(rig, index,
                     task_state(&worker->job, worker->attempt, task->vertex, task->subtask,
                                WEIR__TASK_STATE__TASK_CANCELED));
    if (rig->auto_exit) {
        rig_send(rig, index, exited(&worker->job, worker->attempt, 0, true));
        remove_worker(&rig->tms[index], worker);
    }
}

static void trigger(struct rig *rig, uint32_t index, const Weir__TriggerCheckpoint *message)
{
    tell(rig, "TRIGGER %llu %s", (unsigned long long)message->checkpoint_id, rig->tms[index].id);
    if (!rig->auto_ack || rig->acked == message->checkpoint_id)
        return;
    rig->acked = message->checkpoint_id;
    struct weir_id job;
    memcpy(job.bytes, message->deployment->job_id.data, WEIR_ID_BYTES);
    for (uint32_t i = 0; i < rig->tm_count; i++) {
        struct rig_worker *worker = find_worker(&rig->tms[i], message->deployment);
        if (!worker || rig->tms[i].session == 0)
            continue;
        vec_for_each (task, &worker->tasks)
            rig_send(rig, i,
                     ack(rig, &job, message->deployment->attempt, task->vertex, task->subtask,
                         message->checkpoint_id));
    }
}

static void to_tm(struct rig *rig, uint64_t session, const Weir__ToTaskManager *message)
{
    uint32_t index = 0;
    while (index < rig->tm_count && rig->tms[index].session != session)
        index++;
    rig->messages++;
    if (index == rig->tm_count)
        return; /* it has gone meanwhile */
    switch (message->body_case) {
    case WEIR__TO_TASK_MANAGER__BODY_START_WORKER:
        start_worker(rig, index, message->start_worker);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_DEPLOY_TASKS:
        deploy_tasks(rig, index, message->deploy_tasks);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_STOP_WORKER:
        stop_worker(rig, index, message->stop_worker->deployment);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_CANCEL_TASKS:
        cancel_tasks(rig, index, message->cancel_tasks->deployment);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_TRIGGER_CHECKPOINT:
        trigger(rig, index, message->trigger_checkpoint);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_COMPLETE:
        tell(rig, "COMPLETE %llu %s", (unsigned long long)message->notify_checkpoint_complete->checkpoint_id,
             rig->tms[index].id);
        break;
    case WEIR__TO_TASK_MANAGER__BODY_NOTIFY_CHECKPOINT_ABORTED:
        tell(rig, "ABORTED %llu %s", (unsigned long long)message->notify_checkpoint_aborted->checkpoint_id,
             rig->tms[index].id);
        break;
    default:
        fail_msg("unexpected message %d", (int)message->body_case);
    }
}

/* What a worker says of its tasks is so in the worker, too. */
static void note(struct rig *rig, const struct rig_message *item)
{
    for (uint32_t i = 0; i < rig->tm_count; i++) {
        if (rig->tms[i].session != item->session)
            continue;
        if (item->message->body_case == WEIR__TO_JOB_MANAGER__BODY_WORKER_READY) {
            struct rig_worker *worker = find_worker(&rig->tms[i], item->message->worker_ready->deployment);
            if (worker)
                worker->ready = true;
        } else if (item->message->body_case == WEIR__TO_JOB_MANAGER__BODY_TASK_STATE) {
            const Weir__TaskStateUpdate *update = item->message->task_state;
            struct rig_worker *worker = find_worker(&rig->tms[i], update->deployment);
            if (worker)
                vec_for_each (task, &worker->tasks)
                    if (task->vertex == update->vertex && task->subtask == update->subtask)
                        task->state = update->state;
        }
    }
}

/* ---- commands
 * -------------------------------------------------------------------------------------------------------- */

static void persist(struct rig *rig, const char *path, const Weir__SnapshotMetadata *metadata)
{
    vec_push(&rig->disk, (struct rig_disk_entry){xstrdup(path), copy(metadata)});
}

static void delete_below(struct rig *rig, const char *path)
{
    size_t length = strlen(path);
    for (size_t i = rig->disk.count; i-- > 0;) {
        struct rig_disk_entry *entry = &rig->disk.items[i];
        if (strncmp(entry->path, path, length) != 0 || (entry->path[length] && entry->path[length] != '/'))
            continue;
        free(entry->path);
        weir__snapshot_metadata__free_unpacked(entry->metadata, NULL);
        vec_remove(&rig->disk, i);
    }
}

static void registered(struct rig *rig, const struct core_command *command)
{
    uint32_t tm = (uint32_t)command->request;
    tell(rig, "REGISTERED %s rc %d", rig->tms[tm].id, command->rc);
    if (command->rc == 0)
        rig->tms[tm].session = command->session;
}

static void execute(struct rig *rig, struct core_command *command)
{
    switch (command->kind) {
    case COMMAND_SEND:
        to_tm(rig, command->session, command->message);
        break;
    case COMMAND_DISCONNECT:
        tell(rig, "DISCONNECT %s", command->text);
        for (uint32_t i = 0; i < rig->tm_count; i++)
            if (rig->tms[i].session == command->session) {
                rig->tms[i].session = 0;
                vec_for_each (worker, &rig->tms[i].workers) /* fenced: it ends its workers */
                    worker_free(worker);
                vec_clear(&rig->tms[i].workers);
            }
        break;
    case COMMAND_REPLY_SUBMIT:
        rig->submit_rc = command->rc;
        snprintf(rig->submit_message, sizeof rig->submit_message, "%s", command->text ? command->text : "");
        rig->submitted = true;
        if (command->rc == 0)
            rig->job = command->job;
        tell(rig, "SUBMITTED %d", command->rc);
        break;
    case COMMAND_REPLY_CANCEL:
        rig->cancel_rc = command->rc;
        snprintf(rig->cancel_message, sizeof rig->cancel_message, "%s", command->text ? command->text : "");
        tell(rig, "CANCELLED %d", command->rc);
        break;
    case COMMAND_REPLY_SNAPSHOT:
        tell(rig, "SNAPSHOT %llu %d %s", (unsigned long long)command->request, command->rc,
             command->text ? command->text : "");
        break;
    case COMMAND_DISPOSE_SAVEPOINT:
        break; /* the shell's own */
    case COMMAND_REPLY_REGISTER:
        registered(rig, command);
        break;
    case COMMAND_CREATE_DIRECTORY:
        tell(rig, "CREATE %s", command->text);
        vec_push(&rig->due, (struct core_event){.kind = EVENT_DIRECTORY_READY,
                                                .job = command->job,
                                                .checkpoint_id = command->checkpoint_id});
        break;
    case COMMAND_PERSIST_METADATA:
        tell(rig, "PERSIST %llu", (unsigned long long)command->checkpoint_id);
        persist(rig, command->text, command->metadata);
        vec_push(&rig->due, (struct core_event){.kind = EVENT_METADATA_PERSISTED,
                                                .job = command->job,
                                                .checkpoint_id = command->checkpoint_id,
                                                .metadata_bytes = weir__snapshot_metadata__get_packed_size(
                                                    command->metadata)});
        break;
    case COMMAND_DELETE_DIRECTORY:
        tell(rig, "DELETE %s", command->text);
        delete_below(rig, command->text);
        break;
    case COMMAND_LOAD_SNAPSHOT:
        tell(rig, "LOAD %s", command->text);
        free(rig->loads);
        rig->loads = xstrdup(command->text);
        rig->load_job = command->job;
        break;
    case COMMAND_LOG:
        assert_non_null(command->text);
        assert_non_null(command->logger);
        tell(rig, "LOG %s", command->text);
        break;
    }
}

void rig_step(struct rig *rig, const struct core_event *event)
{
    struct core_commands commands = {0};
    core_step(rig->core, rig->now_ms, event, &commands);
    /* The outside acts after the step, not within it. */
    vec_for_each (command, &commands)
        execute(rig, command);
    core_commands_clear(&commands);
    if (rig->due.count > 0 &&
        (rig->due.items[0].kind == EVENT_DIRECTORY_READY ? rig->auto_directory : rig->auto_persist))
        rig_answer_due(rig, 0);
}

void rig_answer_due(struct rig *rig, int rc)
{
    assert_true(rig->due.count > 0);
    struct core_event event = rig->due.items[0];
    vec_remove(&rig->due, 0);
    event.rc = rc;
    event.message = rc ? "no space left on device" : NULL;
    rig_step(rig, &event);
}

void rig_deliver(struct rig *rig, size_t index)
{
    struct rig_message item = rig->queue.items[index];
    vec_remove(&rig->queue, index);
    note(rig, &item);
    rig_step(rig, &(struct core_event){
                      .kind = EVENT_TM_MESSAGE, .session = item.session, .from_tm = item.message});
    weir__to_job_manager__free_unpacked(item.message, NULL);
}

void rig_drain(struct rig *rig)
{
    while (rig->queue.count > 0)
        rig_deliver(rig, 0);
    /* What the core wants to do at once. */
    while (core_next_deadline(rig->core) <= rig->now_ms) {
        rig_step(rig, &(struct core_event){.kind = EVENT_TICK});
        while (rig->queue.count > 0)
            rig_deliver(rig, 0);
    }
}

static void pass(struct rig *rig, int64_t ms, bool heartbeats)
{
    int64_t end_ms = rig->now_ms + ms;
    while (rig->now_ms < end_ms) {
        int64_t next = core_next_deadline(rig->core);
        int64_t limit = rig->now_ms + 1000 < end_ms ? rig->now_ms + 1000 : end_ms;
        rig->now_ms = next < limit ? (next > rig->now_ms ? next : rig->now_ms) : limit;
        for (uint32_t i = 0; heartbeats && i < rig->tm_count; i++) {
            if (rig->tms[i].session == 0)
                continue;
            Weir__ToJobManager *beat = envelope(WEIR__TO_JOB_MANAGER__BODY_HEARTBEAT);
            beat->heartbeat = xmalloc(sizeof *beat->heartbeat);
            weir__heartbeat__init(beat->heartbeat);
            rig_send(rig, i, beat);
        }
        rig_drain(rig);
        rig_step(rig, &(struct core_event){.kind = EVENT_TICK});
        rig_drain(rig);
    }
}

void rig_pass(struct rig *rig, int64_t ms)
{
    pass(rig, ms, true);
}

void rig_pass_silent(struct rig *rig, int64_t ms)
{
    pass(rig, ms, false);
}

/* ---- the outside
 * ----------------------------------------------------------------------------------------------------- */

void rig_init(struct rig *rig, const char *const *settings)
{
    *rig = (struct rig){.now_ms = RIG_START_MS,
                        .auto_ready = true,
                        .auto_run = true,
                        .auto_ack = true,
                        .auto_cancel = true,
                        .auto_stop = true,
                        .auto_exit = true,
                        .auto_directory = true,
                        .auto_persist = true};
    struct error err = {0};
    rig->config = config_new();
    bool no_directory = settings && settings[0] && strcmp(settings[0], "no directory") == 0;
    if (no_directory)
        settings = NULL;
    else
        assert_int_equal(
            config_set(rig->config, "execution.checkpointing.dir", "file:///checkpoints", "test", &err), 0);
    for (; settings && settings[0]; settings += 2)
        if (config_set(rig->config, settings[0], settings[1], "test", &err) < 0)
            fail_msg("%s", err.message);
    rig->core = core_new(rig->config, 42, (struct weir_id){.bytes = {1}});
}

void rig_deinit(struct rig *rig)
{
    core_free(rig->core);
    config_free(rig->config);
    for (uint32_t i = 0; i < rig->tm_count; i++) {
        vec_for_each (worker, &rig->tms[i].workers)
            worker_free(worker);
        vec_free(&rig->tms[i].workers);
    }
    vec_for_each (item, &rig->queue)
        weir__to_job_manager__free_unpacked(item->message, NULL);
    vec_free(&rig->queue);
    vec_for_each (line, &rig->story)
        free(*line);
    vec_free(&rig->story);
    vec_free(&rig->due);
    vec_for_each (entry, &rig->disk) {
        free(entry->path);
        weir__snapshot_metadata__free_unpacked(entry->metadata, NULL);
    }
    vec_free(&rig->disk);
    free(rig->loads);
}

void rig_register(struct rig *rig, uint32_t tm)
{
    Weir__RegisterTaskManager registration = WEIR__REGISTER_TASK_MANAGER__INIT;
    registration.task_manager_id = rig->tms[tm].id;
    registration.rpc_address = (char *)"tcp://127.0.0.1:9000";
    registration.host = (char *)"localhost";
    registration.slots = rig->tms[tm].slots;
    registration.cpu_cores = 2;
    rig_step(rig, &(struct core_event){.kind = EVENT_REGISTER, .request = tm, .registration = &registration});
}

uint32_t rig_add_tm(struct rig *rig, uint32_t slots)
{
    assert_true(rig->tm_count < RIG_TMS_MAX);
    uint32_t tm = rig->tm_count++;
    snprintf(rig->tms[tm].id, sizeof rig->tms[tm].id, "localhost:%u-abc", 40000 + tm);
    rig->tms[tm].slots = slots;
    rig_register(rig, tm);
    rig_drain(rig);
    return tm;
}

void rig_lose_tm(struct rig *rig, uint32_t tm)
{
    uint64_t session = rig->tms[tm].session;
    assert_true(session != 0);
    for (size_t i = rig->queue.count; i-- > 0;)
        if (rig->queue.items[i].session == session) {
            weir__to_job_manager__free_unpacked(rig->queue.items[i].message, NULL);
            vec_remove(&rig->queue, i);
        }
    vec_for_each (worker, &rig->tms[tm].workers)
        worker_free(worker);
    vec_clear(&rig->tms[tm].workers);
    rig_step(rig,
             &(struct core_event){
                 .kind = EVENT_TM_LOST, .session = session, .rc = WEIR_E_UNAVAILABLE, .message = "refused"});
    rig->tms[tm].session = 0;
}

/* ---- jobs
 * ------------------------------------------------------------------------------------------------------------
 */

static Weir__RecordDescriptor *record(void)
{
    Weir__RecordDescriptor *made = xmalloc(sizeof *made);
    weir__record_descriptor__init(made);
    made->name = xstrdup("event");
    made->size = 16;
    made->alignment = 8;
    made->fields = xcalloc(2, sizeof(Weir__FieldDescriptor *));
    for (uint32_t i = 0; i < 2; i++) {
        Weir__FieldDescriptor *field = xmalloc(sizeof *field);
        weir__field_descriptor__init(field);
        field->name = xstrdup(i == 0 ? "time" : "page");
        field->type = i == 0 ? WEIR__FIELD_TYPE__FIELD_TIMESTAMP : WEIR__FIELD_TYPE__FIELD_STRING;
        field->offset = 8 * i;
        made->fields[made->n_fields++] = field;
    }
    return made;
}

static Weir__Vertex *vertex(const char *name, const char *uid, Weir__OperatorKind kind, uint32_t parallelism,
                            uint32_t max)
{
    Weir__Vertex *made = xmalloc(sizeof *made);
    weir__vertex__init(made);
    uint64_t id[2] = {hash64(uid, strlen(uid)), 7};
    made->id = (ProtobufCBinaryData){sizeof id, xmemdup(id, sizeof id)};
    made->name = xstrdup(name);
    made->parallelism = parallelism;
    made->max_parallelism = max;
    Weir__Operator *op = xmalloc(sizeof *op);
    weir__operator__init(op);
    op->kind = kind;
    op->uid = xstrdup(uid);
    op->name = xstrdup(name);
    op->stateful = kind != WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK;
    if (kind != WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE)
        op->input = record();
    if (kind != WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK)
        op->output = record();
    made->operators = xcalloc(1, sizeof(Weir__Operator *));
    made->operators[made->n_operators++] = op;
    return made;
}

Weir__JobGraph *rig_graph(const char *name, uint32_t sources, uint32_t windows, uint32_t max_parallelism)
{
    Weir__JobGraph *graph = xmalloc(sizeof *graph);
    weir__job_graph__init(graph);
    graph->version = 1;
    graph->name = xstrdup(name);
    graph->vertices = xcalloc(3, sizeof(Weir__Vertex *));
    graph->n_vertices = 3;
    graph->vertices[0] = vertex("Source: Events", "source", WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE,
                                sources, max_parallelism);
    graph->vertices[1] =
        vertex("Counter", "window", WEIR__OPERATOR_KIND__OPERATOR_WINDOW, windows, max_parallelism);
    graph->vertices[2] =
        vertex("Sink", "sink", WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK, 1, max_parallelism);
    graph->edges = xcalloc(2, sizeof(Weir__Edge *));
    for (uint32_t i = 0; i < 2; i++) {
        Weir__Edge *edge = xmalloc(sizeof *edge);
        weir__edge__init(edge);
        edge->source = i;
        edge->target = i + 1;
        edge->strategy = i == 0 ? WEIR__SHIP_STRATEGY__SHIP_HASH : WEIR__SHIP_STRATEGY__SHIP_REBALANCE;
        if (i == 0) {
            edge->key_fields = xcalloc(1, sizeof(char *));
            edge->key_fields[edge->n_key_fields++] = xstrdup("page");
        }
        graph->edges[graph->n_edges++] = edge;
    }
    return graph;
}

void rig_graph_set(Weir__JobGraph *graph, const char *key, const char *value)
{
    graph->configuration =
        xrealloc(graph->configuration, (graph->n_configuration + 1) * sizeof(Weir__KeyValue *));
    graph->configuration[graph->n_configuration++] = pair(key, value);
}

void rig_submit(struct rig *rig, Weir__JobGraph *graph_take, const char *restore_path,
                bool allow_non_restored)
{
    uint8_t sha[32] = {7};
    Weir__JobProgram program = WEIR__JOB_PROGRAM__INIT;
    program.artifact_sha256 = (ProtobufCBinaryData){sizeof sha, sha};
    program.file_name = (char *)"job.so";
    Weir__SubmitJob submit = WEIR__SUBMIT_JOB__INIT;
    submit.graph = graph_take;
    submit.program = &program;
    submit.restore_path = (char *)(restore_path ? restore_path : "");
    submit.allow_non_restored_state = allow_non_restored;
    rig->submitted = false;
    rig_step(rig, &(struct core_event){.kind = EVENT_SUBMIT_JOB, .request = 77, .submit = &submit});
    weir__job_graph__free_unpacked(graph_take, NULL);
    rig_drain(rig);
}

void rig_load_snapshot(struct rig *rig, const Weir__SnapshotMetadata *snapshot, int rc)
{
    assert_non_null(rig->loads);
    char *path = rig->loads;
    rig->loads = NULL;
    rig_step(rig, &(struct core_event){.kind = EVENT_SNAPSHOT_LOADED,
                                       .job = rig->load_job,
                                       .rc = rc,
                                       .message = rc ? "checksum mismatch" : NULL,
                                       .snapshot = rc ? NULL : snapshot,
                                       .snapshot_path = path});
    free(path);
    rig_drain(rig);
}

void rig_cancel(struct rig *rig, const struct weir_id *job)
{
    rig->cancel_rc = 1;
    rig_step(rig, &(struct core_event){.kind = EVENT_CANCEL_JOB, .request = 78, .job = *job});
}

uint32_t rig_find_task(struct rig *rig, uint32_t vertex_index, uint32_t subtask, struct rig_task **ret_task)
{
    for (uint32_t i = 0; i < rig->tm_count; i++)
        vec_for_each (worker, &rig->tms[i].workers)
            vec_for_each (task, &worker->tasks)
                if (weir_id_equal(&worker->job, &rig->job) && task->vertex == vertex_index &&
                    task->subtask == subtask) {
                    if (ret_task)
                        *ret_task = task;
                    return i;
                }
    for (size_t i = rig->story.count > 30 ? rig->story.count - 30 : 0; i < rig->story.count; i++)
        print_message("%s\n", rig->story.items[i]);
    fail_msg("no worker has task %u/%u", vertex_index, subtask);
    return 0;
}

static void end_worker(struct rig *rig, uint32_t tm, const struct weir_id *job, uint32_t signal,
                       bool expected)
{
    vec_for_each (worker, &rig->tms[tm].workers)
        if (weir_id_equal(&worker->job, job)) {
            rig_send(rig, tm, exited(job, worker->attempt, signal, expected));
            remove_worker(&rig->tms[tm], worker);
            return;
        }
    fail_msg("taskmanager %u has no worker of the job", tm);
}

void rig_worker_dies(struct rig *rig, uint32_t tm, const struct weir_id *job, uint32_t signal)
{
    end_worker(rig, tm, job, signal, false);
}

void rig_worker_ends(struct rig *rig, uint32_t tm, const struct weir_id *job)
{
    end_worker(rig, tm, job, 0, true);
}

struct job_view rig_job(struct rig *rig)
{
    struct job_view view;
    int32_t index = core_find_job(rig->core, &rig->job);
    assert_true(index >= 0);
    core_view_job(rig->core, (uint32_t)index, &view);
    return view;
}

enum job_state rig_state(struct rig *rig)
{
    return rig_job(rig).state;
}

int rig_told(struct rig *rig, const char *prefix, int from)
{
    for (size_t i = (size_t)from; i < rig->story.count; i++)
        if (strncmp(rig->story.items[i], prefix, strlen(prefix)) == 0)
            return (int)i;
    return -1;
}

int rig_count_told(struct rig *rig, const char *prefix)
{
    int count = 0;
    for (int at = 0; (at = rig_told(rig, prefix, at)) >= 0; at++)
        count++;
    return count;
}

const Weir__SnapshotMetadata *rig_disk(struct rig *rig, const char *path)
{
    vec_for_each (entry, &rig->disk)
        if (strcmp(entry->path, path) == 0)
            return entry->metadata;
    return NULL;
}

void rig_check(struct rig *rig)
{
    struct overview_view overview;
    uint32_t slots = 0, free_slots = 0;
    core_view_overview(rig->core, &overview);
    for (uint32_t i = 0; i < core_task_manager_count(rig->core); i++) {
        struct task_manager_view view;
        core_view_task_manager(rig->core, i, &view);
        assert_true(view.free_slots <= view.slots);
        slots += view.slots;
        free_slots += view.free_slots;
        for (uint32_t t = 0; t < rig->tm_count; t++) {
            if (rig->tms[t].session != view.session)
                continue;
            uint32_t used = 0; /* a slot in use is never free in the core's eyes */
            vec_for_each (worker, &rig->tms[t].workers)
                used += worker->slots;
            assert_true(used <= view.slots - view.free_slots);
        }
    }
    assert_int_equal(slots, overview.slots_total);
    assert_int_equal(free_slots, overview.slots_available);
    for (uint32_t j = 0; j < core_job_count(rig->core); j++) {
        struct job_view job;
        core_view_job(rig->core, j, &job);
        uint32_t sum[TASK_STATE_COUNT] = {0}, total = 0;
        for (uint32_t v = 0; v < job.vertex_count; v++) {
            struct vertex_view view;
            core_view_vertex(rig->core, j, v, &view);
            for (uint32_t s = 0; s < view.descriptor->parallelism; s++) {
                struct subtask_view subtask;
                core_view_subtask(rig->core, j, v, s, &subtask);
                sum[subtask.state]++;
                total++;
            }
        }
        assert_int_equal(total, job.tasks_total);
        assert_memory_equal(sum, job.tasks_by_state, sizeof sum);
        assert_true(job.checkpoints.total ==
                    job.checkpoints.in_progress + job.checkpoints.completed + job.checkpoints.failed);
        assert_true(job.checkpoints.in_progress <= 1);
    }
}
