/* Makes records from indexes: by the user's function (generator), or the number itself (sequence).
 *
 * Happy path: the subtask's splits take turns, one index each, until the budget is used up, there is no room,
 * or the rate says wait. With a count, a source is at its end when all its splits are; one that got no split
 * ends at once (or is idle for ever, if the indexes have no end).
 *
 * Possible failure modes: the function fails; the snapshot is of something else. */
#include <inttypes.h>
#include <stdlib.h>

#include "taskmanager/worker/connectors/generator_split.h"
#include "taskmanager/worker/connectors/rate_limit.h"
#include "taskmanager/worker/connectors/source_output.h"

struct generator_source {
    struct operator_instance base;
    struct source_output output;
    bool output_ready;
    weir_generate_fn *generate; /* NULL: a sequence */
    int64_t sequence_from;
    int64_t count; /* 0: without end */
    bool empty;    /* a sequence whose end is before its start */
    double records_per_second;
    struct generator_splits splits;
    size_t open_splits; /* not yet done */
    size_t turn;
    struct rate_limit limit;
    struct error reason; /* of the function that failed; not written while all is well */
};

static int prepare_splits(struct generator_source *s, struct error *err)
{
    const struct operator_setup *setup = &s->base.setup;
    uint32_t total = setup->parallelism;
    int rc = WEIR_OK;
    if (setup->restore_count > 0)
        rc = generator_splits_restore(&s->splits, setup->restore, setup->restore_count, setup->subtask,
                                      setup->parallelism, &total, err);
    else if (!s->empty)
        generator_splits_initial(&s->splits, s->count, setup->subtask, setup->parallelism);
    if (rc != WEIR_OK)
        return rc;
    s->open_splits = s->splits.count;
    s->limit.start_ms = s->output.now_ms;
    if (total > 0)
        s->limit.per_second = s->records_per_second * (double)s->splits.count / total;
    vec_for_each (split, &s->splits)
        split->watermark =
            split_watermarks_add(&s->output.watermarks, split->max_timestamp_ms, s->output.now_ms);
    return WEIR_OK;
}

static int generator_open(struct operator_instance *op, struct error *err)
{
    struct generator_source *s = (struct generator_source *)op;
    const struct stream_node *node = op->setup.node;
    weir_watermark_strategy strategy = node->kind == WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE
                                           ? node->options.sequence_source.watermarks
                                           : node->options.generator_source.watermarks;
    strategy.idleness_ms = 0; /* there is always a next index */
    int rc = source_output_init(&s->output, &op->setup, node->output_type, &strategy, err);
    if (rc == WEIR_OK) {
        s->output_ready = true;
        rc = prepare_splits(s, err);
    }
    if (rc != WEIR_OK)
        *op->setup.fatal = true;
    return rc;
}

static struct generator_split *next_split(struct generator_source *s)
{
    for (;;) {
        struct generator_split *split = &s->splits.items[s->turn];
        if (++s->turn == s->splits.count)
            s->turn = 0;
        if (!generator_split_is_done(split))
            return split;
    }
}

static int emit_element(struct generator_source *s, int64_t index)
{
    struct weir_sequence_element element = {.value = s->sequence_from + index};
    return s->output.collector.emit(&s->output.collector, &element, sizeof element, INT64_MIN);
}

static bool emit_next(struct generator_source *s)
{
    struct generator_split *split = next_split(s);
    source_output_begin(&s->output, split->watermark, INT64_MIN);
    int returned = s->generate ? s->generate(s->base.setup.context, split->next, &s->output.collector)
                               : emit_element(s, split->next);
    if (!source_output_end(&s->output, returned, &s->reason)) {
        if (!s->output.failed)
            error_set(s->base.setup.error, WEIR_E_USER_CODE, "generate the record of index %" PRId64 ": %s",
                      split->next, s->reason.message);
        return false;
    }
    generator_split_advance(split);
    s->limit.done++;
    if (generator_split_is_done(split)) {
        s->open_splits--;
        split_watermarks_end(&s->output.watermarks, split->watermark);
    }
    return true;
}

static enum source_status generator_poll(struct operator_instance *op, uint32_t budget)
{
    struct generator_source *s = (struct generator_source *)op;
    enum source_status status = SOURCE_MORE;
    s->output.now_ms = source_now(&op->setup);
    rate_limit_sync(&s->limit, s->output.now_ms);
    for (uint32_t n = 0; n < budget && s->open_splits > 0 && source_output_has_room(&s->output); n++) {
        if (rate_limit_due(&s->limit) > s->output.now_ms) {
            status = SOURCE_NOTHING;
            break;
        }
        if (!emit_next(s))
            return SOURCE_FAILED;
    }
    bool endless = s->count == 0 && !s->empty;
    if (s->open_splits == 0 && !endless)
        return SOURCE_END;
    source_output_watermark(&s->output);
    return s->open_splits == 0 ? SOURCE_NOTHING : status;
}

static int64_t generator_next_deadline(const struct operator_instance *op)
{
    const struct generator_source *s = (const struct generator_source *)op;
    bool waits = s->limit.per_second > 0 && s->open_splits > 0 && source_output_has_room(&s->output);
    return waits ? rate_limit_due(&s->limit) : INT64_MAX;
}

static enum operator_progress generator_timer(struct operator_instance *op, int64_t now_ms)
{
    (void)op;
    (void)now_ms;
    return OPERATOR_DONE; /* poll does what is due */
}

static int generator_snapshot(struct operator_instance *op, uint64_t checkpoint_id,
                              Weir__OperatorState *state, struct error *err)
{
    (void)checkpoint_id;
    (void)err;
    struct generator_source *s = (struct generator_source *)op;
    vec_for_each (split, &s->splits) {
        split->max_timestamp_ms = split_watermarks_max_timestamp(&s->output.watermarks, split->watermark);
        generator_split_save(split, state);
    }
    return WEIR_OK;
}

static void generator_close(struct operator_instance *op)
{
    struct generator_source *s = (struct generator_source *)op;
    if (s->output_ready)
        source_output_deinit(&s->output);
    vec_free(&s->splits);
    free(s);
}

static const struct operator_ops generator_ops = {
    .open = generator_open,
    .poll = generator_poll,
    .timer = generator_timer,
    .next_deadline = generator_next_deadline,
    .snapshot = generator_snapshot,
    .close = generator_close,
};

static int take_sequence(struct generator_source *s, const weir_sequence_source_options *options,
                         struct error *err)
{
    s->sequence_from = options->from;
    s->records_per_second = options->records_per_second;
    s->empty = options->to < options->from;
    if (s->empty)
        return WEIR_OK;
    if (__builtin_sub_overflow(options->to, options->from, &s->count) || s->count == INT64_MAX)
        return error_set(err, WEIR_E_INVALID,
                         "the sequence from %" PRId64 " to %" PRId64 " has too many numbers", options->from,
                         options->to);
    s->count++;
    return WEIR_OK;
}

static int take_generator(struct generator_source *s, const weir_generator_source_options *options,
                          struct error *err)
{
    if (!options->generate || !options->type)
        return error_set(err, WEIR_E_INVALID,
                         "a generator source needs a record type and a generate function");
    if (options->count < 0)
        return error_set(err, WEIR_E_INVALID, "a generator source's count is negative");
    s->generate = options->generate;
    s->count = options->count;
    s->records_per_second = options->records_per_second;
    return WEIR_OK;
}

int generator_source_new(const struct operator_setup *setup, struct operator_instance **ret_op,
                         struct error *err)
{
    struct generator_source *s = xcalloc(1, sizeof *s);
    s->base.ops = &generator_ops;
    s->base.setup = *setup;
    int rc = setup->node->kind == WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE
                 ? take_sequence(s, &setup->node->options.sequence_source, err)
                 : take_generator(s, &setup->node->options.generator_source, err);
    if (rc == WEIR_OK && !(s->records_per_second >= 0 && s->records_per_second <= 1e12))
        rc = error_set(err, WEIR_E_INVALID, "records_per_second is no number of records");
    if (rc != WEIR_OK) {
        free(s);
        return rc;
    }
    *ret_op = &s->base;
    return WEIR_OK;
}
