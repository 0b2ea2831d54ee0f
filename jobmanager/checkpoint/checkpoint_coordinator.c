/* A checkpoint's happy path:
 *
 *   tick          the interval has passed, all tasks run      -> create the directory
 *   directory_ready                                           -> TRIGGER: barriers at the sources
 *   ack           once per subtask; the last one              -> persist the metadata
 *   persisted                                                 -> COMPLETE; the ones beyond num-retained are
 * deleted
 *
 * Possible failure modes: a file operation fails, a task declines or says nonsense, the timeout passes, the
 * attempt ends. All lead to abort(): the job is never harmed, the directory goes away. While a file operation
 * is under way its directory can't be deleted without racing with it; it is remembered in `unanswered` and
 * deleted when the answer has come. */
#include "jobmanager/checkpoint/checkpoint_coordinator.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "jobmanager/checkpoint/pending_checkpoint.h"

static const char logger[] = "weir.runtime.checkpoint.CheckpointCoordinator";
static const char failure_logger[] = "weir.runtime.checkpoint.CheckpointFailureManager";
static const struct checkpoint_action nothing = {.kind = CHECKPOINT_ACTION_NONE};
enum { REASON_BYTES_MAX = 4096 };

/* ---- ending one
 * ---------------------------------------------------------------------------------------------------- */

static void schedule_next(struct checkpoint_coordinator *coordinator, int64_t now_ms)
{
    if (coordinator->settings.interval_ms == 0) {
        coordinator->next_trigger_ms = INT64_MAX;
        return;
    }
    if (coordinator->pending.order.request != 0)
        return; /* the interval goes on as if it had not been */
    int64_t by_interval = coordinator->pending.trigger_ms + coordinator->settings.interval_ms;
    int64_t by_pause = now_ms + coordinator->settings.min_pause_ms;
    coordinator->next_trigger_ms = by_interval > by_pause ? by_interval : by_pause;
}

static struct checkpoint_action abort_pending(struct checkpoint_coordinator *coordinator, struct step *step,
                                              const char *reason)
{
    struct pending_checkpoint *pending = &coordinator->pending;
    assert(pending->id != 0);
    char id[WEIR_ID_HEX + 1];
    struct checkpoint_action action = {
        .kind =
            pending->phase == PENDING_CREATES_DIRECTORY ? CHECKPOINT_ACTION_NONE : CHECKPOINT_ACTION_ABORTED,
        .id = pending->id,
        .timestamp_ms = pending->trigger_ms,
    };
    if (pending->order.request != 0)
        step_reply_snapshot(step, pending->order.request, WEIR_E_STATE, reason, pending->id);
    coordinator->consecutive_failures++;
    step_log(step, LOG_WARN, failure_logger,
             "Failed to trigger or complete checkpoint %llu for job %s. (%u consecutive failed attempts so "
             "far). Failure "
             "reason: %.*s",
             (unsigned long long)pending->id, weir_id_format(&coordinator->job, id),
             coordinator->consecutive_failures, REASON_BYTES_MAX, reason);
    checkpoint_history_fail(&coordinator->history, pending->id, step->now_ms, reason);
    if (pending->phase == PENDING_WAITS_FOR_ACKS)
        step_delete_directory(step, &coordinator->job, pending->path);
    else
        vec_push(&coordinator->unanswered,
                 (struct unanswered){.id = pending->id, .path = xstrdup(pending->path)});
    schedule_next(coordinator, step->now_ms);
    pending_deinit(pending);
    return action;
}

static void snapshot_source_deinit(struct snapshot_source *source)
{
    free(source->path);
    free(source->packed);
    *source = (struct snapshot_source){0};
}

static void subsume(struct checkpoint_coordinator *coordinator, struct step *step)
{
    while (coordinator->completed.count > coordinator->settings.retained) {
        struct snapshot_source *oldest = &coordinator->completed.items[0];
        step_delete_directory(step, &coordinator->job, oldest->path);
        checkpoint_history_discard(&coordinator->history, oldest->id);
        snapshot_source_deinit(oldest);
        vec_remove(&coordinator->completed, 0);
    }
}

/* A savepoint belongs to whoever wanted it: it is not restored from, nor deleted; but the one of a stop is
 * where a job goes on that fails before all its tasks have ended. */
static struct checkpoint_action complete_savepoint(struct checkpoint_coordinator *coordinator,
                                                   struct step *step)
{
    struct pending_checkpoint *pending = &coordinator->pending;
    struct snapshot_order *order = &pending->order;
    struct checkpoint_action action = {.kind = CHECKPOINT_ACTION_NONE,
                                       .id = pending->id,
                                       .timestamp_ms = pending->trigger_ms,
                                       .cancel = order->cancel};
    if (order->stop == WEIR__STOP_MODE__STOP_NONE) {
        step_reply_snapshot(step, order->request, 0, pending->path, pending->id);
    } else {
        assert(coordinator->stop_order.request == 0);
        action.kind = CHECKPOINT_ACTION_COMPLETE;
        coordinator->stop_order = (struct snapshot_order){.request = order->request, .stop = order->stop};
        snapshot_source_deinit(&coordinator->stopped);
        coordinator->stopped = (struct snapshot_source){.id = pending->id,
                                                        .timestamp_ms = pending->trigger_ms,
                                                        .savepoint = true,
                                                        .path = xstrdup(pending->path),
                                                        .packed = pending->packed,
                                                        .packed_size = pending->packed_size};
        pending->packed = NULL;
    }
    free(coordinator->savepoint_path);
    action.path = coordinator->savepoint_path = pending->path;
    pending->path = NULL;
    schedule_next(coordinator, step->now_ms);
    pending_deinit(pending);
    return action;
}

static struct checkpoint_action complete_pending(struct checkpoint_coordinator *coordinator,
                                                 struct step *step, uint64_t metadata_bytes)
{
    struct pending_checkpoint *pending = &coordinator->pending;
    const struct checkpoint_view *view = checkpoint_history_find(&coordinator->history, pending->id);
    char id[WEIR_ID_HEX + 1];
    step_log(step, LOG_INFO, logger,
             "Completed checkpoint %llu for job %s (%llu bytes, checkpointDuration=%lld ms, "
             "finalizationTime=%lld ms).",
             (unsigned long long)pending->id, weir_id_format(&coordinator->job, id),
             (unsigned long long)view->state_bytes, (long long)(step->now_ms - pending->trigger_ms),
             (long long)(step->now_ms - pending->acknowledged_ms));
    checkpoint_history_complete(&coordinator->history, pending->id, step->now_ms, metadata_bytes);
    if (pending->order.savepoint)
        return complete_savepoint(coordinator, step);
    if (pending->order.request != 0)
        step_reply_snapshot(step, pending->order.request, 0, pending->path, pending->id);
    /* Only the newest is restored from: the others need not be kept in memory. */
    if (coordinator->completed.count > 0) {
        struct snapshot_source *last = &coordinator->completed.items[coordinator->completed.count - 1];
        assert(last->id < pending->id);
        free(last->packed);
        last->packed = NULL;
    }
    free(coordinator->initial.packed);
    coordinator->initial.packed = NULL;
    snapshot_source_deinit(&coordinator->stopped);
    vec_push(&coordinator->completed, (struct snapshot_source){
                                          .id = pending->id,
                                          .timestamp_ms = pending->trigger_ms,
                                          .path = xstrdup(pending->path),
                                          .packed = pending->packed,
                                          .packed_size = pending->packed_size,
                                      });
    pending->packed = NULL;
    struct checkpoint_action action = {
        .kind = CHECKPOINT_ACTION_COMPLETE, .id = pending->id, .timestamp_ms = pending->trigger_ms};
    coordinator->consecutive_failures = 0;
    schedule_next(coordinator, step->now_ms);
    pending_deinit(pending);
    subsume(coordinator, step);
    return action;
}

/* ---- the job's life
 * ------------------------------------------------------------------------------------------------ */

void checkpoint_coordinator_init(struct checkpoint_coordinator *coordinator, const struct weir_id *job,
                                 struct checkpoint_settings *settings_take)
{
    *coordinator = (struct checkpoint_coordinator){
        .settings = *settings_take,
        .job = *job,
        .history = {.limit = settings_take->history},
        .next_id = 1,
        .restored_ms = -1,
    };
    settings_take->directory = settings_take->savepoint_directory = NULL;
}

static void forget_ended(struct checkpoint_coordinator *coordinator)
{
    vec_for_each (ended, &coordinator->ended)
        state_list_free(&ended->states);
    vec_free(&coordinator->ended);
}

void checkpoint_coordinator_deinit(struct checkpoint_coordinator *coordinator)
{
    pending_deinit(&coordinator->pending);
    vec_for_each (source, &coordinator->completed)
        snapshot_source_deinit(source);
    vec_free(&coordinator->completed);
    snapshot_source_deinit(&coordinator->initial);
    forget_ended(coordinator);
    snapshot_source_deinit(&coordinator->stopped);
    free(coordinator->savepoint_path);
    vec_for_each (order, &coordinator->orders)
        free(order->directory);
    vec_free(&coordinator->orders);
    vec_for_each (item, &coordinator->unanswered)
        free(item->path);
    vec_free(&coordinator->unanswered);
    checkpoint_history_deinit(&coordinator->history);
    checkpoint_settings_deinit(&coordinator->settings);
}

void checkpoint_coordinator_set_initial(struct checkpoint_coordinator *coordinator, struct step *step,
                                        const Weir__SnapshotMetadata *snapshot, const char *path)
{
    assert(!coordinator->initial.path);
    char id[WEIR_ID_HEX + 1];
    size_t size = weir__snapshot_metadata__get_packed_size(snapshot);
    coordinator->initial = (struct snapshot_source){
        .id = snapshot->checkpoint_id,
        .timestamp_ms = snapshot->timestamp_ms,
        .savepoint = snapshot->savepoint,
        .path = xstrdup(path),
        .packed = xmalloc(size),
        .packed_size = size,
    };
    weir__snapshot_metadata__pack(snapshot, coordinator->initial.packed);
    coordinator->next_id = snapshot->checkpoint_id + 1;
    step_log(step, LOG_INFO, logger, "Reset the checkpoint ID of job %s to %llu.",
             weir_id_format(&coordinator->job, id), (unsigned long long)coordinator->next_id);
}

void checkpoint_coordinator_restore(struct checkpoint_coordinator *coordinator, struct step *step,
                                    struct restore_plan *ret_plan, const char **ret_base,
                                    uint64_t *ret_checkpoint_id)
{
    assert(!coordinator->active && coordinator->pending.id == 0);
    char id[WEIR_ID_HEX + 1];
    weir_id_format(&coordinator->job, id);
    const struct snapshot_source *source =
        coordinator->stopped.path          ? &coordinator->stopped
        : coordinator->completed.count > 0 ? &coordinator->completed.items[coordinator->completed.count - 1]
                                           : &coordinator->initial;
    if (!source->path) {
        step_log(step, LOG_INFO, logger, "No checkpoint found during restore.");
        restore_plan_init(ret_plan, NULL);
        *ret_base = NULL;
        *ret_checkpoint_id = 0;
        return;
    }
    step_log(step, LOG_INFO, logger, "Restoring job %s from %s %llu @ %lld for %s located at file:%s.", id,
             source->savepoint ? "Savepoint" : "Checkpoint", (unsigned long long)source->id,
             (long long)source->timestamp_ms, id, source->path);
    assert(source->packed);
    Weir__SnapshotMetadata *snapshot =
        weir__snapshot_metadata__unpack(NULL, source->packed_size, source->packed);
    if (!snapshot)
        abort(); /* this process packed it */
    restore_plan_init(ret_plan, snapshot);
    *ret_base = source->path;
    *ret_checkpoint_id = source->id;
    coordinator->history.restored++;
    coordinator->restored_ms = step->now_ms;
    coordinator->restored_id = source->id;
}

void checkpoint_coordinator_start(struct checkpoint_coordinator *coordinator, struct step *step)
{
    if (coordinator->active)
        return;
    coordinator->active = true;
    coordinator->next_trigger_ms = INT64_MAX;
    if (coordinator->settings.interval_ms > 0)
        coordinator->next_trigger_ms = step->now_ms + coordinator->settings.interval_ms;
}

void checkpoint_coordinator_job_finished(struct checkpoint_coordinator *coordinator, struct step *step)
{
    if (coordinator->stop_order.request == 0)
        return;
    step_reply_snapshot(step, coordinator->stop_order.request, 0, coordinator->stopped.path,
                        coordinator->stopped.id);
    coordinator->stop_order = (struct snapshot_order){0};
}

/* The savepoint of a stop is complete, but the job has not ended by it. It goes on from there, so that
 * nothing is done twice; after a drain it can't, as event time had come to its end. */
static void fail_stop(struct checkpoint_coordinator *coordinator, struct step *step, const char *reason)
{
    if (coordinator->stop_order.request == 0)
        return;
    char *message = xasprintf("The savepoint is complete at file:%s, but the job did not end by it: %.*s",
                              coordinator->stopped.path, REASON_BYTES_MAX, reason);
    step_reply_snapshot(step, coordinator->stop_order.request, WEIR_E_STATE, message,
                        coordinator->stopped.id);
    free(message);
    if (coordinator->stop_order.stop == WEIR__STOP_MODE__STOP_DRAIN)
        snapshot_source_deinit(&coordinator->stopped);
    coordinator->stop_order = (struct snapshot_order){0};
}

void checkpoint_coordinator_stop(struct checkpoint_coordinator *coordinator, struct step *step,
                                 const char *reason)
{
    if (coordinator->pending.id != 0)
        abort_pending(coordinator, step, reason);
    vec_for_each (order, &coordinator->orders) {
        step_reply_snapshot(step, order->request, WEIR_E_STATE, reason, 0);
        free(order->directory);
    }
    vec_clear(&coordinator->orders);
    fail_stop(coordinator, step, reason);
    coordinator->active = coordinator->blocked = false;
    forget_ended(coordinator);
}

void checkpoint_coordinator_end(struct checkpoint_coordinator *coordinator, struct step *step,
                                enum job_state state)
{
    assert(job_state_is_terminal(state) && coordinator->pending.id == 0 && !coordinator->active);
    if (coordinator->settings.interval_ms > 0) {
        char id[WEIR_ID_HEX + 1];
        step_log(step, LOG_INFO, logger, "Stopping checkpoint coordinator for job %s.",
                 weir_id_format(&coordinator->job, id));
        enum checkpoint_retention retention = coordinator->settings.retention;
        coordinator->discard_all = coordinator->completed.count == 0 || state == JOB_FINISHED ||
                                   retention == RETAIN_NEVER ||
                                   (state == JOB_CANCELED && retention == DELETE_ON_CANCELLATION);
    }
    if (coordinator->discard_all) {
        vec_for_each (source, &coordinator->completed)
            checkpoint_history_discard(&coordinator->history, source->id);
        if (coordinator->unanswered.count == 0)
            step_delete_directory(step, &coordinator->job, coordinator->settings.directory);
    }
    /* Nothing is restored any more. */
    vec_for_each (source, &coordinator->completed)
        snapshot_source_deinit(source);
    vec_free(&coordinator->completed);
    snapshot_source_deinit(&coordinator->initial);
    snapshot_source_deinit(&coordinator->stopped);
}

/* ---- events
 * -------------------------------------------------------------------------------------------------------- */

int64_t checkpoint_coordinator_deadline(const struct checkpoint_coordinator *coordinator)
{
    if (coordinator->pending.id != 0)
        return coordinator->pending.deadline_ms;
    if (coordinator->orders.count > 0)
        return 0; /* at once */
    return coordinator->active && !coordinator->blocked && coordinator->stop_order.request == 0
               ? coordinator->next_trigger_ms
               : INT64_MAX;
}

static bool source_is_running(const struct execution_graph *graph)
{
    for (uint32_t v = 0; v < graph->vertex_count; v++)
        if (graph->vertices[v].is_source && graph->vertices[v].by_state[WEIR__TASK_STATE__TASK_RUNNING] > 0)
            return true;
    return false;
}

static const char *describe_type(const struct snapshot_order *order)
{
    if (!order->savepoint)
        return "CheckpointType{name='Checkpoint', sharingFilesStrategy=FORWARD_BACKWARD}";
    switch (order->stop) {
    case WEIR__STOP_MODE__STOP_SUSPEND:
        return "SavepointType{name='Suspend Savepoint', postCheckpointAction=SUSPEND, formatType=CANONICAL}";
    case WEIR__STOP_MODE__STOP_DRAIN:
        return "SavepointType{name='Terminate Savepoint', postCheckpointAction=TERMINATE, "
               "formatType=CANONICAL}";
    default:
        return "SavepointType{name='Savepoint', postCheckpointAction=NONE, formatType=CANONICAL}";
    }
}

static void trigger(struct checkpoint_coordinator *coordinator, struct step *step,
                    struct snapshot_order *order_take)
{
    bool savepoint = order_take->savepoint;
    uint64_t id = coordinator->next_id++;
    char job[WEIR_ID_HEX + 1];
    step_log(step, LOG_INFO, logger, "Triggering checkpoint %llu (type=%s) @ %lld for job %s.",
             (unsigned long long)id, describe_type(order_take), (long long)step->now_ms,
             weir_id_format(&coordinator->job, job));
    pending_begin(&coordinator->pending, step, coordinator, id, order_take);
    checkpoint_history_begin(&coordinator->history, id, step->now_ms, coordinator->pending.path)->savepoint =
        savepoint;
}

static bool is_possible(const struct checkpoint_coordinator *coordinator, const struct execution_graph *graph)
{
    return graph->state == JOB_RUNNING && coordinator->active && !coordinator->blocked &&
           coordinator->stop_order.request == 0 && execution_graph_is_running(graph) &&
           source_is_running(graph);
}

static void begin_ordered(struct checkpoint_coordinator *coordinator, struct step *step,
                          const struct execution_graph *graph)
{
    struct snapshot_order order = coordinator->orders.items[0];
    vec_remove(&coordinator->orders, 0);
    if (is_possible(coordinator, graph)) {
        trigger(coordinator, step, &order);
        return;
    }
    step_reply_snapshot(step, order.request, WEIR_E_STATE,
                        coordinator->stop_order.request != 0
                            ? "The job is being stopped."
                            : "Not all required tasks are currently running.",
                        0);
    free(order.directory);
}

static int make_order(const struct checkpoint_coordinator *coordinator, const struct snapshot_wish *wish,
                      struct snapshot_order *order, struct error *err)
{
    if (!wish->savepoint && coordinator->settings.interval_ms == 0)
        return error_set(err, WEIR_E_STATE,
                         "The job has no checkpoints (execution.checkpointing.interval is not set): take a "
                         "savepoint instead.");
    if (!wish->savepoint)
        return 0;
    if (wish->directory && *wish->directory) {
        order->directory = checkpoint_local_directory(wish->directory);
        if (!order->directory)
            return error_set(err, WEIR_E_INVALID,
                             "%.500s is not a directory of the form file:///directory or /directory",
                             wish->directory);
    } else if (coordinator->settings.savepoint_directory) {
        order->directory = xstrdup(coordinator->settings.savepoint_directory);
    } else {
        return error_set(
            err, WEIR_E_INVALID,
            "No savepoint directory configured. You can either specify a directory or configure a "
            "cluster-wide default via key 'execution.checkpointing.savepoint-dir'.");
    }
    return 0;
}

void checkpoint_coordinator_wish(struct checkpoint_coordinator *coordinator, struct step *step,
                                 const struct execution_graph *graph, uint64_t request,
                                 const struct snapshot_wish *wish)
{
    assert(request != 0);
    enum { WAITING_MAX = 100 };
    struct error err = {0};
    struct snapshot_order order = {
        .request = request, .savepoint = wish->savepoint, .stop = wish->stop, .cancel = wish->cancel};
    int rc = make_order(coordinator, wish, &order, &err);
    if (rc == 0 && coordinator->orders.count >= WAITING_MAX)
        rc = error_set(&err, WEIR_E_LIMIT, "%d savepoints and checkpoints are waiting already",
                       (int)WAITING_MAX);
    if (rc < 0) {
        step_reply_snapshot(step, request, rc, err.message, 0);
        free(order.directory);
        return;
    }
    vec_push(&coordinator->orders, order);
    if (coordinator->pending.id == 0)
        begin_ordered(coordinator, step, graph);
}

struct checkpoint_action checkpoint_coordinator_tick(struct checkpoint_coordinator *coordinator,
                                                     struct step *step, const struct execution_graph *graph)
{
    if (checkpoint_coordinator_deadline(coordinator) > step->now_ms)
        return nothing;
    char id[WEIR_ID_HEX + 1];
    weir_id_format(&coordinator->job, id);
    if (coordinator->pending.id != 0) {
        char *missing = pending_describe_missing(&coordinator->pending, graph);
        char *reason = xasprintf("Checkpoint expired before completing: %s.", missing);
        step_log(step, LOG_INFO, logger, "Checkpoint %llu of job %s expired before completing.",
                 (unsigned long long)coordinator->pending.id, id);
        struct checkpoint_action action = abort_pending(coordinator, step, reason);
        free(reason);
        free(missing);
        return action;
    }
    if (coordinator->orders.count > 0) {
        begin_ordered(coordinator, step, graph);
        return nothing;
    }
    if (is_possible(coordinator, graph)) {
        trigger(coordinator, step, &(struct snapshot_order){0});
    } else {
        coordinator->next_trigger_ms = step->now_ms + coordinator->settings.interval_ms;
        step_log(step, LOG_DEBUG, failure_logger,
                 "Failed to trigger checkpoint for job %s. Failure reason: Not all required tasks are "
                 "currently running.",
                 id);
    }
    return nothing;
}

/* The answer to a file operation of a checkpoint that was given up meanwhile: now its directory can go. */
static void answer_too_late(struct checkpoint_coordinator *coordinator, struct step *step, uint64_t id)
{
    for (size_t i = 0; i < coordinator->unanswered.count; i++) {
        struct unanswered *item = &coordinator->unanswered.items[i];
        if (item->id != id)
            continue;
        step_delete_directory(step, &coordinator->job, item->path);
        free(item->path);
        vec_remove(&coordinator->unanswered, i);
        if (coordinator->discard_all && coordinator->unanswered.count == 0)
            step_delete_directory(step, &coordinator->job, coordinator->settings.directory);
        return;
    }
}

static bool is_pending(const struct checkpoint_coordinator *coordinator, uint64_t id,
                       enum pending_phase phase)
{
    return id != 0 && coordinator->pending.id == id && coordinator->pending.phase == phase;
}

static void persist_if_all_acknowledged(struct checkpoint_coordinator *coordinator, struct step *step,
                                        const struct execution_graph *graph)
{
    struct pending_checkpoint *pending = &coordinator->pending;
    if (pending->acknowledged < pending->subtasks)
        return;
    pending->acknowledged_ms = step->now_ms;
    pending_persist(pending, step, &coordinator->job, graph->descriptor->name);
}

struct checkpoint_action checkpoint_coordinator_directory_ready(struct checkpoint_coordinator *coordinator,
                                                                struct step *step,
                                                                const struct execution_graph *graph,
                                                                uint64_t id, int rc, const char *message)
{
    struct pending_checkpoint *pending = &coordinator->pending;
    if (!is_pending(coordinator, id, PENDING_CREATES_DIRECTORY)) {
        answer_too_late(coordinator, step, id);
        return nothing;
    }
    bool possible = pending_ask(pending, graph); /* from here on the directory is ours to delete */
    if (rc < 0) {
        char *reason =
            xasprintf("create directory %s: %s", pending->path, message ? message : weir_rc_text(rc));
        abort_pending(coordinator, step, reason);
        free(reason);
        return nothing;
    }
    if (!possible || coordinator->blocked || !execution_graph_is_running(graph)) {
        abort_pending(coordinator, step, "Not all required tasks are currently running.");
        return nothing;
    }
    vec_for_each (ended, &coordinator->ended)
        pending_add_ended(pending, ended);
    checkpoint_history_find(&coordinator->history, id)->subtasks = pending->subtasks;
    return (struct checkpoint_action){.kind = CHECKPOINT_ACTION_TRIGGER,
                                      .id = id,
                                      .timestamp_ms = pending->trigger_ms,
                                      .directory = pending->path,
                                      .savepoint = pending->order.savepoint,
                                      .stop = pending->order.stop};
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void settle(struct checkpoint_coordinator *coordinator, struct step *step,
                   const struct execution_graph *graph, uint32_t execution, uint64_t state_bytes,
                   uint64_t processed_bytes)
{
    struct pending_checkpoint *pending = &coordinator->pending;
    assert(!pending->settled[execution] && pending->acknowledged < pending->subtasks);
    pending->settled[execution] = true;
    pending->acknowledged++;
    struct checkpoint_view *view = checkpoint_history_find(&coordinator->history, pending->id);
    view->acknowledged = pending->acknowledged;
    view->latest_ack_ms = step->now_ms;
    view->state_bytes = add_saturating(view->state_bytes, state_bytes);
    view->processed_bytes = add_saturating(view->processed_bytes, processed_bytes);
    persist_if_all_acknowledged(coordinator, step, graph);
}

struct checkpoint_action checkpoint_coordinator_ack(struct checkpoint_coordinator *coordinator,
                                                    struct step *step, const struct execution_graph *graph,
                                                    const struct execution *execution,
                                                    const Weir__CheckpointAck *ack)
{
    uint32_t index = execution_index(graph, execution);
    if (!is_pending(coordinator, ack->checkpoint_id, PENDING_WAITS_FOR_ACKS) ||
        coordinator->pending.settled[index]) {
        step_log(step, LOG_DEBUG, logger,
                 "Ignoring the acknowledgement of checkpoint %llu by task %s: it is not waited for.",
                 (unsigned long long)ack->checkpoint_id, execution->attempt_id);
        return nothing;
    }
    struct error err = {0};
    if (state_list_add(&coordinator->pending.states, graph, execution, ack->states, ack->n_states, &err) <
        0) {
        error_wrap(&err, "task %s acknowledged with an unusable state", execution->attempt_id);
        return abort_pending(coordinator, step, err.message);
    }
    settle(coordinator, step, graph, index, ack->state_bytes, ack->processed_bytes);
    return nothing;
}

struct checkpoint_action checkpoint_coordinator_decline(struct checkpoint_coordinator *coordinator,
                                                        struct step *step, const struct execution *execution,
                                                        uint64_t id, const char *reason, const char *where)
{
    if (!is_pending(coordinator, id, PENDING_WAITS_FOR_ACKS))
        return nothing;
    char job[WEIR_ID_HEX + 1];
    step_log(step, LOG_INFO, logger, "Decline checkpoint %llu by task %s of job %s at %s.",
             (unsigned long long)id, execution->attempt_id, weir_id_format(&coordinator->job, job), where);
    char *text = xasprintf("Task %s has declined the checkpoint: %.*s", execution->attempt_id,
                           REASON_BYTES_MAX, reason);
    struct checkpoint_action action = abort_pending(coordinator, step, text);
    free(text);
    return action;
}

/* Whether later checkpoints would know where the sources of this task have ended. */
static bool covers_sources(const Weir__Vertex *vertex, const struct state_list *states)
{
    for (size_t i = 0; i < vertex->n_operators; i++) {
        bool found = !vertex->operators[i]->stateful;
        for (size_t k = 0; k < states->count && !found; k++)
            found = strcmp(states->items[k]->uid, vertex->operators[i]->uid) == 0;
        if (!found)
            return false;
    }
    return true;
}

static bool all_inline(const Weir__TaskStateUpdate *update)
{
    for (size_t i = 0; i < update->n_final_states; i++)
        for (size_t k = 0; k < update->final_states[i]->n_keyed; k++) {
            const Weir__StateHandle *handle = update->final_states[i]->keyed[k]->handle;
            if (handle && handle->file && *handle->file)
                return false;
        }
    return true;
}

struct checkpoint_action checkpoint_coordinator_task_finished(struct checkpoint_coordinator *coordinator,
                                                              struct step *step,
                                                              const struct execution_graph *graph,
                                                              const struct execution *execution,
                                                              const Weir__TaskStateUpdate *update)
{
    assert(execution->state == WEIR__TASK_STATE__TASK_FINISHED);
    const struct execution_vertex *vertex = &graph->vertices[execution->vertex];
    struct ended_task ended = {.execution = execution_index(graph, execution)};
    struct error err = {0};
    bool usable = all_inline(update) && state_list_add(&ended.states, graph, execution, update->final_states,
                                                       update->n_final_states, &err) == 0;
    bool waited_for = coordinator->pending.id != 0 && coordinator->pending.phase == PENDING_WAITS_FOR_ACKS &&
                      !coordinator->pending.settled[ended.execution];
    if (!usable || (vertex->is_source && !covers_sources(vertex->descriptor, &ended.states))) {
        state_list_free(&ended.states);
        if (!coordinator->blocked && coordinator->settings.interval_ms > 0 &&
            coordinator->stop_order.request == 0)
            step_log(step, LOG_INFO, logger,
                     "No more checkpoints in this attempt: task %s has finished without its last state, and "
                     "a restore would start "
                     "it again.",
                     execution->attempt_id);
        coordinator->blocked = true;
        return waited_for ? abort_pending(coordinator, step, "Some tasks of the job have already finished.")
                          : nothing;
    }
    if (waited_for)
        pending_add_ended(&coordinator->pending, &ended);
    uint32_t index = ended.execution;
    vec_push(&coordinator->ended, ended);
    if (waited_for)
        settle(coordinator, step, graph, index, 0, 0);
    return nothing;
}

struct checkpoint_action checkpoint_coordinator_persisted(struct checkpoint_coordinator *coordinator,
                                                          struct step *step, uint64_t id,
                                                          uint64_t metadata_bytes, int rc,
                                                          const char *message)
{
    if (!is_pending(coordinator, id, PENDING_PERSISTS)) {
        answer_too_late(coordinator, step, id);
        return nothing;
    }
    if (rc == 0)
        return complete_pending(coordinator, step, metadata_bytes);
    char *reason =
        xasprintf("write %s/_metadata: %s", coordinator->pending.path, message ? message : weir_rc_text(rc));
    coordinator->pending.phase = PENDING_WAITS_FOR_ACKS; /* nothing is under way in the directory */
    struct checkpoint_action action = abort_pending(coordinator, step, reason);
    free(reason);
    return action;
}
