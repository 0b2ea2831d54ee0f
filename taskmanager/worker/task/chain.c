/* The making of a chain, and records through it; chain_action.c has what goes from link to link otherwise. */
#include "taskmanager/worker/task/chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "taskmanager/worker/task/chain_inner.h"
#include "taskmanager/worker/task/operator_table.h"

/* ---- records
 * ------------------------------------------------------------------------------------------------------- */

void chain_fail(struct chain *chain, struct chain_link *link)
{
    if (chain->failed_link < 0)
        chain->failed_link = (int32_t)link->index;
}

static void wait_for_link(struct chain_link *link, const struct record_ref *record)
{
    pending_records_add(&link->pending, record);
    link->chain->setup.outputs->room_is_sure = false;
}

/* The collector of the last link: out. */
static int emit_out(weir_collector *collector, const void *record, uint32_t size, int64_t timestamp_ms)
{
    struct chain_link *link = collector->self;
    struct chain *chain = link->chain;
    if (__builtin_expect(chain->failed_link >= 0, false))
        return WEIR_E_USER_CODE;
    int rc = outputs_emit(chain->setup.outputs, record, size, timestamp_ms, &link->error);
    if (__builtin_expect(rc != 0, false))
        chain_fail(chain, link);
    return rc;
}

/* Of every other link: to the next operator. */
static int emit_to_next(weir_collector *collector, const void *record, uint32_t size, int64_t timestamp_ms)
{
    struct chain_link *link = collector->self;
    if (__builtin_expect(link->chain->failed_link >= 0, false))
        return WEIR_E_USER_CODE;
    struct chain_link *next = link + 1;
    struct record_ref ref = {.data = record, .size = size, .timestamp = timestamp_ms};
    if (__builtin_expect(!pending_records_empty(&next->pending), false)) {
        wait_for_link(next, &ref);
        return 0;
    }
    enum operator_progress progress = chain_link_process(next, &ref);
    if (__builtin_expect(progress == OPERATOR_AGAIN, false))
        wait_for_link(next, &ref);
    return progress == OPERATOR_FAILED ? WEIR_E_USER_CODE : 0;
}

enum operator_progress chain_drain_link(struct chain_link *link)
{
    while (!pending_records_empty(&link->pending)) {
        struct record_ref record = pending_records_first(&link->pending);
        enum operator_progress progress = chain_link_process(link, &record);
        if (progress != OPERATOR_DONE)
            return progress;
        pending_records_remove_first(&link->pending);
    }
    return OPERATOR_DONE;
}

/* Downstream first, so that what an earlier link still holds finds room behind it. */
enum operator_progress chain_drain(struct chain *chain)
{
    for (uint32_t i = chain->count; i-- > 1;) {
        enum operator_progress progress = chain_drain_link(&chain->links[i]);
        if (progress != OPERATOR_DONE)
            return progress;
    }
    return OPERATOR_DONE;
}

/* ---- what operators may ask of the task
 * ------------------------------------------------------------------------------ */

static bool link_has_room(void *self)
{
    struct chain_link *link = self;
    return !chain_has_pending(link->chain) && outputs_have_room(link->chain->setup.outputs);
}

/* From a source, amid its poll. What can't go through at once goes on with the task's next steps. */
static void source_watermark(void *self, int64_t watermark_ms)
{
    struct chain *chain = ((struct chain_link *)self)->chain;
    if (watermark_ms <= chain->source_watermark_ms)
        return;
    chain->source_watermark_ms = watermark_ms;
    if (chain->action != CHAIN_NOTHING)
        return; /* said when that is through */
    chain_begin(chain, CHAIN_WATERMARK, 0, watermark_ms);
    (void)chain_continue(chain);
}

static void source_idle(void *self, bool idle)
{
    outputs_idle(((struct chain_link *)self)->chain->setup.outputs, idle);
}

/* ---- making and ending
 * ----------------------------------------------------------------------------------------------- */

static void collect_restore(struct chain_link *link, const struct chain_setup *setup)
{
    link->restore = xcalloc(setup->restore_count + 1, sizeof *link->restore);
    for (size_t i = 0; i < setup->restore_count; i++)
        if (setup->restore[i]->uid && strcmp(setup->restore[i]->uid, link->descriptor->uid) == 0)
            link->restore[link->restore_count++] = setup->restore[i];
}

static int link_init(struct chain_link *link, const struct chain_setup *setup, struct error *err)
{
    link->descriptor = setup->vertex->operators[link->index];
    if (link->descriptor->node >= stream_graph_node_count(setup->stream_graph))
        return error_set(err, WEIR_E_INVALID, "operator '%s' is not in the job's stream (node %u)",
                         link->descriptor->name, link->descriptor->node);
    link->node = stream_graph_node(setup->stream_graph, link->descriptor->node);
    if (link->node->kind != link->descriptor->kind)
        return error_set(err, WEIR_E_INVALID, "operator '%s' is of another kind in the job's stream",
                         link->descriptor->name);
    bool first = link->index == 0, last = link->index + 1 == setup->vertex->n_operators;
    if ((!first && !link->node->input_type) || (!last && !link->node->output_type))
        return error_set(err, WEIR_E_INVALID, "operator '%s' can't be at place %u of a chain",
                         link->descriptor->name, link->index);
    link->context = (weir_context){
        .environment = setup->environment,
        .subtask = setup->subtask,
        .parallelism = setup->vertex->parallelism,
        .record_timestamp = INT64_MIN,
        .user_data = link->node->user_data,
        .operator_name = link->descriptor->name,
    };
    if (link->node->output_type) {
        void *block = NULL;
        if (posix_memalign(&block, COLLECTOR_FIXED_ALIGNMENT, setup->max_record_bytes))
            return error_set(err, WEIR_E_NO_MEMORY, "no memory for a record of %u bytes",
                             setup->max_record_bytes);
        link->collector = (weir_collector){
            .emit = last ? emit_out : emit_to_next,
            .self = link,
            .context = &link->context,
            .type = link->node->output_type,
            .block = block,
            .capacity = setup->max_record_bytes,
        };
    }
    collect_restore(link, setup);
    return 0;
}

int chain_init(struct chain *chain, const struct chain_setup *setup, struct error *err)
{
    if (setup->vertex->n_operators == 0 || setup->vertex->n_operators > STREAM_NODE_MAX)
        return error_set(err, WEIR_E_INVALID, "a vertex with %zu operators", setup->vertex->n_operators);
    *chain = (struct chain){
        .setup = *setup,
        .links = xcalloc(setup->vertex->n_operators, sizeof *chain->links),
        .count = (uint32_t)setup->vertex->n_operators,
        .failed_link = -1,
        .watermark_ms = INT64_MIN,
        .source_watermark_ms = INT64_MIN,
    };
    for (uint32_t i = 0; i < chain->count; i++) {
        chain->links[i].chain = chain;
        chain->links[i].index = i;
        if (link_init(&chain->links[i], setup, err)) {
            chain_deinit(chain);
            return err ? err->rc : WEIR_E_INVALID;
        }
    }
    return 0;
}

void chain_deinit(struct chain *chain)
{
    chain_close(chain);
    for (uint32_t i = 0; i < chain->count; i++) {
        free(chain->links[i].collector.block);
        free(chain->links[i].restore);
        pending_records_deinit(&chain->links[i].pending);
    }
    free(chain->links);
    chain->links = NULL;
    chain->count = 0;
}

void chain_close(struct chain *chain)
{
    for (uint32_t i = 0; i < chain->count; i++) {
        struct chain_link *link = &chain->links[i];
        if (link->op && link->ops->close)
            link->ops->close(link->op);
        link->op = NULL;
    }
}

static void fill_setup(struct chain_link *link, struct operator_setup *ret_setup)
{
    const struct chain_setup *setup = &link->chain->setup;
    *ret_setup = (struct operator_setup){
        .node = link->node,
        .descriptor = link->descriptor,
        .subtask = setup->subtask,
        .parallelism = setup->vertex->parallelism,
        .max_parallelism = setup->vertex->max_parallelism,
        .max_record_bytes = setup->max_record_bytes,
        .context = &link->context,
        .collector = link->node->output_type ? &link->collector : NULL,
        .error = &link->error,
        .fatal = &link->fatal,
        .waker = setup->waker,
        .metrics = &link->metrics,
        .kafka = setup->kafka,
        .watermark_out = source_watermark,
        .idle_out = source_idle,
        .has_room = link_has_room,
        .room_is_sure = &setup->outputs->room_is_sure,
        .task = link,
        .restore = link->restore,
        .restore_count = link->restore_count,
        .read_state = setup->read_state,
        .reader = setup->reader,
        .checkpointing = setup->checkpointing,
    };
}

/* What the task calls without asking. */
static bool has_needed_ops(const struct chain_link *link)
{
    const struct operator_ops *ops = link->ops;
    return ops && (link->node->input_type ? ops->process != NULL : ops->poll != NULL);
}

static int link_open(struct chain_link *link, struct error *err)
{
    Weir__OperatorKind kind = link->descriptor->kind;
    operator_new_fn *make = (unsigned)kind < OPERATOR_KINDS ? link->chain->setup.operators[kind] : NULL;
    if (!make)
        return error_set(err, WEIR_E_INVALID, "operators of kind %d are not known to this worker", (int)kind);
    struct operator_setup setup;
    fill_setup(link, &setup);
    if (make(&setup, &link->op, err))
        return WEIR_E_INVALID;
    link->ops = link->op->ops;
    if (!has_needed_ops(link))
        return error_set(err, WEIR_E_INTERNAL, "an operator of kind %d that neither polls nor processes",
                         (int)kind);
    return link->ops->open ? link->ops->open(link->op, err) : 0;
}

int chain_open(struct chain *chain, struct error *err)
{
    for (uint32_t i = chain->count; i-- > 0;) {
        struct chain_link *link = &chain->links[i];
        if (link_open(link, &link->error)) {
            chain_fail(chain, link);
            return error_set(err, link->error.rc, "%s", link->error.message);
        }
        free(link->restore); /* borrowed by the operator until now */
        link->restore = NULL;
        link->restore_count = 0;
        link->op->setup.restore = NULL;
        link->op->setup.restore_count = 0;
    }
    return 0;
}

bool chain_is_source(const struct chain *chain)
{
    return chain->links[0].node->input_type == NULL;
}

enum source_status chain_poll(struct chain *chain, uint32_t budget)
{
    struct chain_link *link = &chain->links[0];
    enum source_status status = link->ops->poll(link->op, budget);
    if (status == SOURCE_FAILED || chain->failed_link >= 0) {
        chain_fail(chain, link);
        return SOURCE_FAILED;
    }
    return status;
}

const struct chain_link *chain_failure(const struct chain *chain)
{
    return chain->failed_link < 0 ? NULL : &chain->links[chain->failed_link];
}
