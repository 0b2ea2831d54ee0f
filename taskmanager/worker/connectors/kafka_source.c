/* The operator around the Kafka source: what the task calls.
 *
 * Happy path: poll takes events from the consumer one batch after the other until budget, room or events are
 * used up. In CONNECTING and RESOLVING they are answers (kafka_source_start.c), in RUNNING records
 * (kafka_source_read.c). At the end of each poll the watermark of all that was emitted goes out, behind the
 * records. Only a poll that found nothing left asks about idleness: a reader that was away for long reads
 * first.
 *
 * Possible failure modes
 *  - Brokers away, topic not there: it waits, and says so every 10 s.
 *  - An offset that is gone: fatal for the job when a restart would read from it again.
 *  - A record that can't be decoded: by the options fatal, or counted and skipped. */
#include "taskmanager/worker/connectors/kafka_source.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/log.h"

const char kafka_source_logger[] = "weir.worker.KafkaSource";

bool source_fail(struct kafka_source *s, bool fatal, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_vset(s->base.setup.error, WEIR_E_STATE, format, args);
    va_end(args);
    if (fatal)
        *s->base.setup.fatal = true;
    s->failed = true;
    return false;
}

bool log_limit_allows(struct log_limit *limit, int64_t now_ms)
{
    if (now_ms < limit->next_ms) {
        limit->left_out++;
        return false;
    }
    limit->next_ms = now_ms + SOURCE_LOG_EACH_MS;
    return true;
}

int64_t source_partition_position(const struct source_partition *p)
{
    int64_t position = p->delivered > p->next_offset ? p->delivered : p->next_offset;
    return position < p->end_offset ? position : p->end_offset;
}

struct source_partition *source_find_partition(struct kafka_source *s, int32_t id)
{
    uint32_t parallelism = s->base.setup.parallelism;
    if (id < 0 || (uint32_t)id % parallelism != s->base.setup.subtask)
        return NULL;
    uint32_t index = (uint32_t)id / parallelism;
    return index < s->partition_count ? &s->partitions[index] : NULL;
}

static int source_open(struct operator_instance *op, struct error *err)
{
    struct kafka_source *s = (struct kafka_source *)op;
    const struct operator_setup *setup = &op->setup;
    int rc = source_restore(s, err);
    if (rc == WEIR_OK)
        rc = source_output_init(&s->output, setup, s->options->type, &s->options->watermarks, err);
    if (rc != WEIR_OK)
        goto err;
    s->output_ready = true;
    const char *prefix =
        s->options->group_id && *s->options->group_id ? s->options->group_id : setup->node->uid;
    char *client_id = xasprintf("%s-%" PRIu32, prefix, setup->subtask);
    rc = setup->kafka->open_consumer(setup->kafka->self, s->options, client_id, setup->waker, &s->consumer,
                                     err);
    free(client_id);
    if (rc != WEIR_OK)
        goto err;
    return WEIR_OK;
err: /* the same job meets the same mistake in its options or in its snapshot again */
    if (rc == WEIR_E_INVALID || rc == WEIR_E_VERSION || rc == WEIR_E_CORRUPT)
        *setup->fatal = true;
    return rc;
}

static bool on_error(struct kafka_source *s, const struct kafka_event *event)
{
    const char *text = event->error ? event->error->message : "unknown error";
    if (event->out_of_range) {
        struct source_partition *p = source_find_partition(s, event->partition);
        /* A start that was not restored is asked for anew by a restart. If a checkpoint was completed since,
         * the restart restores an offset, and finds this out. */
        bool is_restored = p && p->restored;
        return source_fail(
            s, is_restored, "topic %s, partition %" PRId32 ": can't read on from offset %" PRId64 "%s: %s",
            s->options->topic, event->partition, event->offset, is_restored ? " (restored)" : "", text);
    }
    if (event->fatal)
        return source_fail(s, false, "topic %s: %s", s->options->topic, text);
    if (log_limit_allows(&s->error_log, s->output.now_ms))
        log_warn(kafka_source_logger, "%s: topic %s: %s; trying again", s->base.setup.node->name,
                 s->options->topic, text);
    return true;
}

static bool on_end_offset(struct kafka_source *s, const struct kafka_event *event)
{
    struct source_partition *p = source_find_partition(s, event->partition);
    if (!p || event->query == 0)
        return true;
    if (event->error && event->fatal)
        return source_fail(s, false, "topic %s: %s", s->options->topic, event->error->message);
    if (event->query == p->end_query)
        return source_on_bounded_end(s, p, event);
    if (event->query == p->idle_query)
        return source_on_idle_answer(s, p, event);
    return true; /* of a question that a record has answered meanwhile */
}

static bool on_event(struct kafka_source *s, const struct kafka_event *event)
{
    switch (event->kind) {
    case KAFKA_EVENT_MESSAGE:
        return source_on_message(s, &event->message);
    case KAFKA_EVENT_PARTITIONS:
        return source_on_partitions(s, event);
    case KAFKA_EVENT_START_OFFSET:
        return source_on_start_offset(s, event);
    case KAFKA_EVENT_END_OFFSET:
        return on_end_offset(s, event);
    case KAFKA_EVENT_END_OF_PARTITION:
        return source_on_end_of_partition(s, event);
    case KAFKA_EVENT_ERROR:
        return on_error(s, event);
    }
    return true;
}

/* Handles events until budget records are emitted, there is no room, or nothing is left (*ret_drained). */
static bool read_events(struct kafka_source *s, uint32_t budget, bool *ret_drained)
{
    *ret_drained = false;
    uint32_t messages = 0;
    uint64_t emitted_before = s->output.emitted;
    while (messages < budget && s->output.emitted - emitted_before < budget) {
        if (s->event_next == s->event_count) {
            uint32_t left = budget - messages;
            s->event_next = 0;
            s->event_count = s->consumer->ops->poll(s->consumer, s->events,
                                                    left < SOURCE_EVENTS_MAX ? left : SOURCE_EVENTS_MAX);
            s->output.now_ms = source_now(&s->base.setup);
            if (s->event_count == 0) {
                *ret_drained = true;
                return true;
            }
        }
        const struct kafka_event *event = &s->events[s->event_next];
        if (event->kind == KAFKA_EVENT_MESSAGE) {
            if (!source_output_has_room(&s->output))
                return true;
            messages++;
        }
        s->event_next++;
        if (!on_event(s, event))
            return false;
    }
    return true;
}

static bool has_group(const struct kafka_source *s)
{
    return s->options->group_id && *s->options->group_id;
}

static void commit_if_due(struct kafka_source *s, int64_t now_ms)
{
    if (now_ms < s->commit_at_ms)
        return;
    s->commit_at_ms = INT64_MAX;
    source_commit_positions(s);
}

static enum source_status end_of_source(struct kafka_source *s)
{
    if (!s->base.setup.checkpointing && has_group(s))
        source_commit_positions(s);
    return SOURCE_END;
}

static enum source_status source_poll(struct operator_instance *op, uint32_t budget)
{
    struct kafka_source *s = (struct kafka_source *)op;
    if (s->failed)
        return SOURCE_FAILED;
    uint64_t emitted_before = s->output.emitted;
    bool drained = false;
    enum source_state state_before = s->state;
    s->output.now_ms = source_now(&op->setup);
    if (!read_events(s, budget, &drained) || !source_start_step(s, s->output.now_ms))
        return SOURCE_FAILED;
    if (s->state != state_before)
        return SOURCE_MORE; /* what it asked for in the new state may be there already */
    if (s->state != SOURCE_RUNNING)
        return drained ? SOURCE_NOTHING : SOURCE_MORE;
    if (drained && !source_ask_idle(s, s->output.now_ms))
        return SOURCE_FAILED;
    if (s->options->bounded && s->ended_count == s->partition_count)
        return end_of_source(s);
    source_output_watermark(&s->output);
    if (s->output.emitted != emitted_before && s->commit_at_ms == INT64_MAX && !op->setup.checkpointing &&
        has_group(s))
        s->commit_at_ms = s->output.now_ms + SOURCE_COMMIT_EACH_MS;
    commit_if_due(s, s->output.now_ms);
    return drained ? SOURCE_NOTHING : SOURCE_MORE;
}

static enum operator_progress source_timer(struct operator_instance *op, int64_t now_ms)
{
    struct kafka_source *s = (struct kafka_source *)op;
    if (s->failed || !source_start_step(s, now_ms))
        return OPERATOR_FAILED;
    if (s->state == SOURCE_RUNNING) {
        commit_if_due(s, now_ms);
        /* Asking does no harm; it is the answer against all that was read by then which decides. */
        if (!source_ask_idle(s, now_ms))
            return OPERATOR_FAILED;
    }
    return OPERATOR_DONE;
}

static int64_t source_next_deadline(const struct operator_instance *op)
{
    const struct kafka_source *s = (const struct kafka_source *)op;
    /* Without room downstream the task steps nothing, timers included: it is woken when there is some. */
    if (s->failed || !s->consumer || !source_output_has_room(&s->output))
        return INT64_MAX;
    if (s->state != SOURCE_RUNNING)
        return s->retry_ms;
    int64_t idle = source_idle_deadline(s);
    return idle < s->commit_at_ms ? idle : s->commit_at_ms;
}

static void source_close(struct operator_instance *op)
{
    struct kafka_source *s = (struct kafka_source *)op;
    if (s->consumer)
        s->consumer->ops->close(s->consumer);
    if (s->output_ready)
        source_output_deinit(&s->output);
    source_state_deinit(s);
    free(s->partitions);
    free(s);
}

static const struct operator_ops kafka_source_ops = {
    .open = source_open,
    .poll = source_poll,
    .timer = source_timer,
    .next_deadline = source_next_deadline,
    .snapshot = source_snapshot,
    .checkpoint_complete = source_checkpoint_complete,
    .close = source_close,
};

int kafka_source_new(const struct operator_setup *setup, struct operator_instance **ret_op, struct error *err)
{
    const weir_kafka_source_options *options = &setup->node->options.kafka_source;
    if (!options->decode || !options->type || !options->topic)
        return error_set(err, WEIR_E_INVALID,
                         "a Kafka source needs a topic, a record type and a decode function");
    struct kafka_source *s = xcalloc(1, sizeof *s);
    s->base.ops = &kafka_source_ops;
    s->base.setup = *setup;
    s->options = options;
    s->commit_at_ms = INT64_MAX;
    *ret_op = &s->base;
    return WEIR_OK;
}
