/* Making, ending and reporting of a task; task_step.c steps it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/record.h"
#include "taskmanager/worker/state/state_handle.h"
#include "taskmanager/worker/task/task_inner.h"

enum { FIRST_BUDGET = 32 };

/* ---- phases
 * ----------------------------------------------------------------------------------------------------------
 */

static const uint8_t allowed[PHASE_COUNT] = {
    [PHASE_CREATED] = 1 << PHASE_OPENING | 1 << PHASE_ENDED,
    [PHASE_OPENING] = 1 << PHASE_RUNNING | 1 << PHASE_ENDED,
    [PHASE_RUNNING] = 1 << PHASE_ENDING | 1 << PHASE_ENDED,
    [PHASE_ENDING] = 1 << PHASE_ENDED,
};

void task_set_phase(struct task *task, enum task_phase phase)
{
    bool is_allowed = allowed[task->phase] & 1 << phase;
    assert(is_allowed);
    (void)is_allowed;
    task->phase = phase;
}

static Weir__TaskStateUpdate *update_new(const struct task *task, Weir__TaskState state)
{
    Weir__TaskStateUpdate *update = xmalloc(sizeof *update);
    weir__task_state_update__init(update);
    update->vertex = task->setup.vertex_index;
    update->subtask = task->setup.subtask;
    update->state = state;
    return update;
}

void task_report(struct task *task, Weir__TaskState state, const char *error, bool fatal)
{
    Weir__TaskStateUpdate *update = update_new(task, state);
    update->fatal = fatal;
    if (error)
        update->error = xstrdup(error);
    task->setup.listener.state(task->setup.listener.self, task, update);
}

static void wind_up(struct task *task)
{
    task_publish(task);
    chain_close(&task->chain);
    if (!task->is_source)
        input_gate_deinit(&task->gate);
    task_set_phase(task, PHASE_ENDED);
}

void task_end(struct task *task, Weir__TaskState state)
{
    wind_up(task);
    task_report(task, state, NULL, false);
}

/* Later checkpoints need to know what an ended task had; without it the jobmanager takes none. */
void task_end_finished(struct task *task)
{
    Weir__TaskStateUpdate *update = update_new(task, WEIR__TASK_STATE__TASK_FINISHED);
    struct error err;
    if (task->setup.config.checkpointing &&
        chain_snapshot(&task->chain, 0, &update->final_states, &update->n_final_states, &err))
        update->n_final_states = 0;
    wind_up(task);
    task->setup.listener.state(task->setup.listener.self, task, update);
}

/* A user function that was interrupted by a cancellation fails, but the task is canceled. */
static bool is_canceled(struct task *task)
{
    struct task_mail mail;
    while (mailbox_take(&task->mailbox, &mail))
        if (mail.kind == TASK_MAIL_CANCEL)
            return true;
    return false;
}

void task_end_failed(struct task *task, const char *reason, bool fatal)
{
    if (is_canceled(task)) {
        task_end(task, WEIR__TASK_STATE__TASK_CANCELED);
        return;
    }
    char *sentence = xasprintf("%s: %s", task->name, reason);
    wind_up(task);
    task_report(task, WEIR__TASK_STATE__TASK_FAILED, sentence, fatal);
    free(sentence);
}

void task_end_chain_failed(struct task *task)
{
    const struct chain_link *link = chain_failure(&task->chain);
    assert(link);
    const char *message = link->error.message;
    if (!message[0])
        message = link->context.failed ? link->context.error.message : "a function failed without saying why";
    if (task->chain.count == 1) {
        task_end_failed(task, message, link->fatal);
        return;
    }
    char *reason = xasprintf("operator '%s': %s", link->descriptor->name, message);
    task_end_failed(task, reason, link->fatal);
    free(reason);
}

/* ---- making
 * ----------------------------------------------------------------------------------------------------------
 */

static int check_record(const void *self, const void *record, uint32_t size, struct error *err)
{
    const weir_record_type *type = self;
    if (record_check(type, record, size))
        return error_set(err, WEIR_E_CORRUPT, "a record '%s' of %u bytes is malformed", type->name, size);
    return 0;
}

static void make_gate(struct task *task, const weir_record_type *type)
{
    const struct task_setup *setup = &task->setup;
    uint32_t count = 0;
    for (uint32_t i = 0; i < setup->input_count; i++)
        count += setup->inputs[i].channel_count;
    struct gate_input *inputs = xcalloc(count + 1, sizeof *inputs);
    uint32_t at = 0;
    for (uint32_t i = 0; i < setup->input_count; i++)
        for (uint32_t c = 0; c < setup->inputs[i].channel_count; c++) {
            const struct task_input *input = &setup->inputs[i];
            bool remote = input->remote && input->remote[c];
            inputs[at++] = (struct gate_input){
                .channel = input->channels[c],
                .check = remote ? check_record : NULL,
                .check_self = type,
            };
            channel_set_consumer_waker(input->channels[c], setup->waker);
        }
    input_gate_init(&task->gate, inputs, count, setup->config.max_record_bytes);
    free(inputs);
}

/* Channel arrays are copied: they are read for as long as the task's metrics are. */
static void copy_edges(struct task *task, const struct task_setup *setup)
{
    struct task_input *inputs = xcalloc(setup->input_count + 1, sizeof *inputs);
    for (uint32_t i = 0; i < setup->input_count; i++) {
        inputs[i] = setup->inputs[i];
        inputs[i].channels =
            xmemdup(inputs[i].channels, inputs[i].channel_count * sizeof *inputs[i].channels);
    }
    task->setup.inputs = inputs;
    task->setup.outputs = NULL; /* in task->outputs */
}

static int make_chain(struct task *task, struct error *err)
{
    const struct task_setup *setup = &task->setup;
    struct chain_setup chain = {
        .vertex = setup->vertex,
        .stream_graph = setup->stream_graph,
        .environment = setup->user_environment,
        .kafka = setup->kafka,
        .waker = setup->waker,
        .outputs = &task->outputs,
        .subtask = setup->subtask,
        .max_record_bytes = setup->config.max_record_bytes,
        .checkpointing = setup->config.checkpointing,
        .restore = setup->restore,
        .restore_count = setup->restore_count,
        .read_state = setup->read_state,
        .reader = setup->reader,
        .operators = setup->operators,
    };
    return chain_init(&task->chain, &chain, err);
}

static int read_inline(void *reader, const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                       struct error *err)
{
    (void)reader;
    return state_handle_read_inline(handle, ret_data, ret_size, err);
}

int task_new(const struct task_setup *setup, struct task **ret_task, struct error *err)
{
    assert(setup->operators && setup->listener.state && setup->listener.snapshot && setup->listener.decline);
    if (setup->config.max_record_bytes < 1024 || setup->config.max_record_bytes > 1u << 27)
        return error_set(err, WEIR_E_INVALID,
                         "the largest record (pipeline.max-record-size) can't be %u bytes",
                         setup->config.max_record_bytes);
    struct task *task = xcalloc(1, sizeof *task);
    task->setup = *setup;
    if (!setup->read_state)
        task->setup.read_state = read_inline;
    task->name = xasprintf("%s (%u/%u)", setup->vertex->name, setup->subtask + 1, setup->vertex->parallelism);
    task->budget = FIRST_BUDGET;
    task->flush_deadline_ms = INT64_MAX;
    task->last_step_ms = INT64_MIN;
    atomic_init(&task->counters.watermark_ms, INT64_MIN);
    mailbox_init(&task->mailbox);
    copy_edges(task, setup);
    if (make_chain(task, err))
        goto err_after_edges;
    task->is_source = chain_is_source(&task->chain);
    const struct stream_node *last = task->chain.links[task->chain.count - 1].node;
    struct outputs_setup outputs = {
        .outputs = setup->outputs,
        .count = setup->output_count,
        .record_type = last->output_type,
        .config = &task->setup.config,
        .subtask = setup->subtask,
        .waker = setup->waker,
    };
    if (outputs_init(&task->outputs, &outputs, err))
        goto err_after_chain;
    if (!task->is_source)
        make_gate(task, task->chain.links[0].node->input_type);
    *ret_task = task;
    return 0;

err_after_chain:
    chain_deinit(&task->chain);
err_after_edges:
    error_wrap(err, "%s", task->name);
    for (uint32_t i = 0; i < task->setup.input_count; i++)
        free(task->setup.inputs[i].channels);
    free(task->setup.inputs);
    free(task->name);
    free(task);
    return err ? err->rc : WEIR_E_INVALID;
}

void task_free(struct task *task)
{
    if (!task)
        return;
    chain_deinit(&task->chain);
    if (!task->is_source && task->phase != PHASE_ENDED)
        input_gate_deinit(&task->gate);
    outputs_deinit(&task->outputs);
    mailbox_deinit(&task->mailbox);
    vec_free(&task->triggers);
    for (uint32_t i = 0; i < task->setup.input_count; i++)
        free(task->setup.inputs[i].channels);
    free(task->setup.inputs);
    free(task->name);
    free(task);
}

const char *task_name(const struct task *task)
{
    return task->name;
}

void task_post(struct task *task, const struct task_mail *mail)
{
    mailbox_post(&task->mailbox, mail);
    waker_wake(task->setup.waker);
}

enum { OUTPUT_LOOK_MS = 10 };

int64_t task_deadline(const struct task *task)
{
    if (task->phase != PHASE_RUNNING && task->phase != PHASE_ENDING)
        return INT64_MAX;
    int64_t deadline = task->stopping_id != 0 ? INT64_MAX : chain_next_deadline(&task->chain);
    /* Timers don't run before there is room: an overdue one must not make the thread spin until then. */
    if (task->last_wait == WAIT_OUTPUT && deadline < task->now_ms + OUTPUT_LOOK_MS)
        deadline = task->now_ms + OUTPUT_LOOK_MS;
    return deadline < task->flush_deadline_ms ? deadline : task->flush_deadline_ms;
}
