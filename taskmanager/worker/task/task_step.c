/* Happy path of a step: mail, then the chain is brought to rest (records and calls that stopped half-way go
 * on), then a bounded number of records is taken from the source or the input gate, then buffers that have
 * waited long enough are flushed. A task without room for output does nothing but look at its mail.
 *
 * Possible failure modes: an operator fails (the task fails and names it), an input is malformed (likewise),
 * cancellation (also amid a user function that was interrupted by it). */
#include <assert.h>

#include "taskmanager/worker/task/task_inner.h"

enum { BUDGET_MAX = 1024, EXPECT_AHEAD = 16, STEP_LONG_MS = 10, STEP_SHORT_MS = 2 };

enum work {
    WORK_AT_REST, /* nothing half-done */
    WORK_MORE,    /* call again */
    WORK_WAIT_INPUT,
    WORK_WAIT_OUTPUT, /* no room, or a sink that is full */
    WORK_ENDED,
};

static enum work failed(struct task *task)
{
    task_end_chain_failed(task);
    return WORK_ENDED;
}

static enum work after(struct task *task, enum operator_progress progress)
{
    switch (progress) {
    case OPERATOR_DONE:
        return WORK_AT_REST;
    case OPERATOR_AGAIN:
        return WORK_WAIT_OUTPUT;
    case OPERATOR_FAILED:
        break;
    }
    return failed(task);
}

/* ---- mail
 * ------------------------------------------------------------------------------------------------------------
 */

static void on_trigger(struct task *task, const struct task_mail *mail)
{
    if (!task->is_source)
        return; /* barriers come with the input */
    if (task->phase == PHASE_RUNNING)
        vec_push(&task->triggers, *mail);
    else
        task_decline(task, mail->checkpoint_id,
                     task->phase == PHASE_ENDING ? "the source has ended" : "the task is not running yet");
}

static void begin_ending(struct task *task)
{
    vec_for_each (mail, &task->triggers)
        task_decline(task, mail->checkpoint_id, "the source has ended");
    vec_clear(&task->triggers);
    task_set_phase(task, PHASE_ENDING);
}

static enum work read_mail(struct task *task)
{
    struct task_mail mail;
    while (mailbox_take(&task->mailbox, &mail)) {
        switch (mail.kind) {
        case TASK_MAIL_TRIGGER_CHECKPOINT:
            on_trigger(task, &mail);
            break;
        case TASK_MAIL_CHECKPOINT_COMPLETE:
            if (task->phase == PHASE_RUNNING || task->phase == PHASE_ENDING)
                chain_checkpoint_complete(&task->chain, mail.checkpoint_id);
            if (task->stopping_id != 0 && task->stopping_id == mail.checkpoint_id) {
                task_stop_complete(task);
                if (task->is_source)
                    begin_ending(task);
            }
            break;
        case TASK_MAIL_CHECKPOINT_ABORTED:
            if (!task_abort_checkpoint(task, mail.checkpoint_id))
                return WORK_ENDED;
            break;
        case TASK_MAIL_CANCEL:
            task_end(task, WEIR__TASK_STATE__TASK_CANCELED);
            return WORK_ENDED;
        }
    }
    return WORK_AT_REST;
}

/* ---- opening
 * ---------------------------------------------------------------------------------------------------------
 */

static enum work open_task(struct task *task)
{
    if (task->phase == PHASE_CREATED) {
        task_set_phase(task, PHASE_OPENING);
        task_report(task, WEIR__TASK_STATE__TASK_INITIALIZING, NULL, false);
        return WORK_MORE;
    }
    if (chain_open(&task->chain, &task->error))
        return failed(task);
    task_set_phase(task, PHASE_RUNNING);
    task_report(task, WEIR__TASK_STATE__TASK_RUNNING, NULL, false);
    return WORK_MORE;
}

/* ---- coming to rest
 * -------------------------------------------------------------------------------------------------- */

static inline enum operator_progress process_element(struct task *task, const struct element *element)
{
    struct record_ref record = {.data = element->data,
                                .size = element->size,
                                .key_hash = element->key_hash,
                                .timestamp = element->timestamp};
    enum operator_progress progress = chain_process(&task->chain, &record);
    task->records_in += progress == OPERATOR_DONE;
    return progress;
}

static enum work take_record(struct task *task)
{
    enum operator_progress progress = process_element(task, &task->event.element);
    task->event_pending = progress == OPERATOR_AGAIN;
    return after(task, progress);
}

/* What stopped half-way goes on, in the order in which it came: records inside the chain, the call under way,
 * the snapshot that it prepared, the record that the first operator did not take. */
static enum work settle(struct task *task)
{
    if (!outputs_have_room(&task->outputs))
        return WORK_WAIT_OUTPUT;
    enum work work = WORK_AT_REST;
    if (chain_has_pending(&task->chain))
        work = after(task, chain_drain(&task->chain));
    if (work == WORK_AT_REST && task->chain.action != CHAIN_NOTHING)
        work = after(task, chain_continue(&task->chain));
    if (work == WORK_AT_REST && task->checkpoint.active)
        task_take_snapshot(task);
    if (work == WORK_AT_REST && task->event_pending)
        work = take_record(task);
    if (work == WORK_AT_REST && chain_has_pending(&task->chain))
        work = WORK_WAIT_OUTPUT;
    return work;
}

static enum work run_action(struct task *task, enum chain_action_kind kind, uint32_t link, int64_t value)
{
    chain_begin(&task->chain, kind, link, value);
    return settle(task);
}

/* ---- input
 * -----------------------------------------------------------------------------------------------------------
 */

/* Watermarks at their maximum, then the operators finish, then the end goes on. Called at rest. */
static enum work go_on_ending(struct task *task)
{
    if (!task->final_watermark_sent && !task->suspended) {
        task->final_watermark_sent = true;
        task->chain.source_watermark_ms = INT64_MAX;
        if (task->chain.watermark_ms < INT64_MAX)
            return run_action(task, CHAIN_WATERMARK, 0, INT64_MAX);
        return WORK_AT_REST;
    }
    if (!task->finishing) {
        task->finishing = true;
        return run_action(task, CHAIN_FINISH, 0, 0);
    }
    outputs_end(&task->outputs);
    task_end_finished(task);
    return WORK_ENDED;
}

static enum work poll_source(struct task *task)
{
    switch (chain_poll(&task->chain, task->budget)) {
    case SOURCE_MORE:
        return WORK_MORE;
    case SOURCE_NOTHING:
        return WORK_WAIT_INPUT;
    case SOURCE_END:
        begin_ending(task);
        return WORK_MORE;
    case SOURCE_FAILED:
        break;
    }
    return failed(task);
}

static enum work on_event(struct task *task)
{
    switch (task->event.kind) {
    case GATE_RECORD:
        return take_record(task);
    case GATE_WATERMARK:
        return run_action(task, CHAIN_WATERMARK, 0, task->event.watermark_ms);
    case GATE_IDLE:
        outputs_idle(&task->outputs, task->event.idle);
        return WORK_AT_REST;
    case GATE_BARRIER:
        task_begin_checkpoint(task, &task->event.checkpoint);
        return settle(task);
    case GATE_DECLINE:
        task_decline(task, task->event.checkpoint.id, task->event.reason);
        return WORK_AT_REST;
    case GATE_END:
        begin_ending(task);
        return WORK_MORE;
    case GATE_NONE:
    case GATE_BAD:
        break;
    }
    return WORK_WAIT_INPUT;
}

/* Tells the first operator of one more record that comes; the run is empty when that is of no use (any more).
 */
static inline void expect_next(struct task *task, struct element_run *ahead)
{
    struct chain_link *link = &task->chain.links[0];
    struct element element;
    if (!element_run_next(ahead, &element) || !link->ops->expect(link->op, element.key_hash))
        *ahead = (struct element_run){0};
}

/* A second cursor into the run, EXPECT_AHEAD records before the first. */
static struct element_run begin_expecting(struct task *task, struct element_run run)
{
    if (!task->chain.links[0].ops->expect)
        return (struct element_run){0};
    for (int i = 0; i < EXPECT_AHEAD && run.at; i++)
        expect_next(task, &run);
    return run;
}

/* The records behind the one just taken, as long as nothing else has to be looked at in between; at most
 * *left of them. Most of a task's time is spent here. */
static enum work take_records(struct task *task, uint32_t *left)
{
    struct element_run run = input_gate_begin_run(&task->gate);
    struct element_run ahead = begin_expecting(task, run);
    enum operator_progress progress = OPERATOR_DONE;
    struct element element;
    for (; *left > 0; --*left) {
        if (!outputs_have_room(&task->outputs) || chain_has_pending(&task->chain) ||
            !element_run_next(&run, &element))
            break;
        if (ahead.at)
            expect_next(task, &ahead);
        progress = process_element(task, &element);
        if (__builtin_expect(progress != OPERATOR_DONE, false))
            break;
    }
    input_gate_end_run(&task->gate, &run);
    if (progress == OPERATOR_AGAIN) {
        task->event.element = element;
        task->event_pending = true;
    }
    return after(task, progress);
}

/* Up to a buffer, or as many elements as the budget has. *ret_did: whether there was any. */
static enum work read_input(struct task *task, bool *ret_did)
{
    for (uint32_t left = task->budget; left > 0;) {
        if (!outputs_have_room(&task->outputs))
            return WORK_WAIT_OUTPUT;
        input_gate_next(&task->gate, task->now_ms, &task->event, &task->error);
        if (task->event.kind == GATE_NONE)
            return WORK_WAIT_INPUT;
        if (task->event.kind == GATE_BAD) {
            task_end_failed(task, task->error.message, false);
            return WORK_ENDED;
        }
        *ret_did = true;
        left--;
        bool record = task->event.kind == GATE_RECORD;
        enum work work = on_event(task);
        if (record && work == WORK_AT_REST)
            work = take_records(task, &left);
        if (work != WORK_AT_REST)
            return work;
        if (task->gate.buffer_ended || chain_has_pending(&task->chain))
            break;
    }
    return WORK_MORE;
}

/* ---- the step
 * -------------------------------------------------------------------------------------------------------- */

static enum work run_timers(struct task *task)
{
    for (uint32_t i = 0; i < task->chain.count; i++) {
        int32_t link = chain_due_timer(&task->chain, task->now_ms);
        if (link < 0)
            break;
        enum work work = run_action(task, CHAIN_TIMER, (uint32_t)link, task->now_ms);
        if (work != WORK_AT_REST)
            return work;
    }
    return WORK_AT_REST;
}

/* For a stop with drain: the end of event time goes before the barrier. */
static enum work drain(struct task *task)
{
    task->drained = true;
    task->chain.source_watermark_ms = INT64_MAX;
    return task->chain.watermark_ms < INT64_MAX ? run_action(task, CHAIN_WATERMARK, 0, INT64_MAX)
                                                : WORK_AT_REST;
}

/* *ret_did: something was done, so that the step is progress even if it ends waiting. */
static enum work run(struct task *task, bool *ret_did)
{
    bool half_done = task->chain.action != CHAIN_NOTHING || task->event_pending || task->checkpoint.active ||
                     chain_has_pending(&task->chain);
    enum work work = settle(task);
    if (work != WORK_AT_REST)
        return work;
    *ret_did = half_done;
    if (task->stopping_id != 0)
        return WORK_WAIT_INPUT; /* nothing comes behind the barrier until it is known what becomes of it */
    work = run_timers(task);
    if (work != WORK_AT_REST)
        return work;
    if (task->phase == PHASE_ENDING) {
        *ret_did = true;
        return go_on_ending(task);
    }
    if (task->triggers.count) {
        *ret_did = true;
        if (task->triggers.items[0].stop == WEIR__STOP_MODE__STOP_DRAIN && !task->drained) {
            work = drain(task);
            if (work != WORK_AT_REST)
                return work;
        }
        task_begin_triggered(task);
        work = settle(task);
        if (work != WORK_AT_REST)
            return work;
    }
    return task->is_source ? poll_source(task) : read_input(task, ret_did);
}

/* A step should be short enough to look at mail and clock, however slow the user's functions are: the budget
 * follows how long the last step took, without asking a clock per record. */
static void adapt_budget(struct task *task, int64_t now_ms)
{
    if (task->last_step_ms == INT64_MIN || task->last_wait != WAIT_NOT)
        return;
    int64_t took_ms = now_ms - task->last_step_ms;
    if (took_ms > STEP_LONG_MS && task->budget > 1)
        task->budget /= 2;
    else if (took_ms <= STEP_SHORT_MS && task->budget < BUDGET_MAX)
        task->budget *= 2;
}

static void flush_if_due(struct task *task, bool busy)
{
    int64_t timeout_ms = task->setup.config.buffer_timeout_ms;
    if (!outputs_have_unflushed(&task->outputs)) {
        task->flush_deadline_ms = INT64_MAX;
        return;
    }
    if (busy && timeout_ms < 0)
        return;
    if (busy && timeout_ms > 0 && task->flush_deadline_ms == INT64_MAX)
        task->flush_deadline_ms = task->now_ms + timeout_ms;
    if (busy && timeout_ms > 0 && task->now_ms < task->flush_deadline_ms)
        return;
    outputs_flush(&task->outputs);
    task->flush_deadline_ms = INT64_MAX;
}

enum task_progress task_step(struct task *task, int64_t now_ms)
{
    if (task->phase == PHASE_ENDED)
        return TASK_ENDED;
    adapt_budget(task, now_ms);
    task_account(task, now_ms);
    task->now_ms = now_ms;
    bool did = false;
    uint64_t records = task->records_in + task->outputs.records;
    enum work work = read_mail(task);
    if (work == WORK_AT_REST)
        work = task->phase < PHASE_RUNNING ? open_task(task) : run(task, &did);
    if (work == WORK_ENDED)
        return TASK_ENDED;
    did |= task->records_in + task->outputs.records != records;
    bool waits = !did && (work == WORK_WAIT_INPUT || work == WORK_WAIT_OUTPUT);
    flush_if_due(task, work == WORK_MORE || work == WORK_AT_REST);
    task->last_wait = !waits ? WAIT_NOT : work == WORK_WAIT_INPUT ? WAIT_INPUT : WAIT_OUTPUT;
    task_publish(task);
    return waits ? TASK_WAITING : TASK_PROGRESS;
}
