/* Reading: records, their decoding, and when a partition is idle.
 *
 * Idle is the broker's word. A partition's timer runs from its last record; when it has run out the broker is
 * asked for the partition's end, and the partition is idle once all before that end was delivered, with no
 * record meanwhile. What still waits in the client's queue is before that end, so a reader that got no
 * processor time is never taken for idle. Two more guards for a process that was stopped: an answer that took
 * long to be read is asked for again, and when records come after a pause, the partitions that were idle
 * before it are asked about before the watermark goes on without them. */
#include <inttypes.h>

#include "common/base/log.h"
#include "taskmanager/worker/connectors/kafka_source.h"

static struct split_watermark *split_of(struct kafka_source *s, const struct source_partition *p)
{
    return &s->output.watermarks.splits[p->split];
}

static void forget_question(struct source_partition *p)
{
    p->idle_query = 0;
    p->idle_retry_ms = INT64_MAX;
    p->idle_end = KAFKA_OFFSET_NONE;
}

void source_end_partition(struct kafka_source *s, struct source_partition *p)
{
    if (p->ended)
        return;
    p->ended = true;
    s->ended_count++;
    forget_question(p);
    split_watermarks_end(&s->output.watermarks, p->split);
}

static bool ask_end(struct kafka_source *s, struct source_partition *p)
{
    struct error error = {0};
    forget_question(p);
    p->idle_query = ++s->last_query;
    p->idle_asked_ms = s->output.now_ms;
    if (s->consumer->ops->query_end(s->consumer, p->id, p->idle_query, &error) != WEIR_OK)
        return source_fail(s, false, "topic %s: %s", s->options->topic, error.message);
    return true;
}

/* Records come again after a pause: are those that were idle before it really still idle? */
static bool ask_about_idle_ones(struct kafka_source *s, const struct source_partition *but)
{
    for (uint32_t i = 0; i < s->partition_count; i++) {
        struct source_partition *p = &s->partitions[i];
        struct split_watermark *split = split_of(s, p);
        if (p == but || p->ended || !split->idle)
            continue;
        split->idle = false;
        split->asked = true;
        if (!ask_end(s, p))
            return false;
    }
    return true;
}

static bool bad_record(struct kafka_source *s, const weir_kafka_message *m, const struct error *reason)
{
    if (s->options->on_bad_record == WEIR_BAD_RECORD_FAIL) {
        source_fail(s, true, "topic %s, partition %" PRId32 ", offset %" PRId64 ": %s", s->options->topic,
                    m->partition, m->offset, reason->message);
        s->base.setup.error->rc = WEIR_E_USER_CODE;
        return false;
    }
    atomic_fetch_add_explicit(&s->base.setup.metrics->bad_records_skipped, 1, memory_order_relaxed);
    if (log_limit_allows(&s->bad_log, s->output.now_ms)) {
        log_warn(kafka_source_logger,
                 "%s: skipped a bad record (%" PRIu64
                 " more since the last such line): topic %s, partition %" PRId32 ", offset %" PRId64 ": %s",
                 s->base.setup.node->name, s->bad_log.left_out, s->options->topic, m->partition, m->offset,
                 reason->message);
        s->bad_log.left_out = 0;
    }
    return true;
}

static bool decode(struct kafka_source *s, const struct source_partition *p, const weir_kafka_message *m)
{
    struct error reason; /* set when the function says no: too large to be cleared for each message */
    source_output_begin(&s->output, p->split, m->timestamp_ms >= 0 ? m->timestamp_ms : INT64_MIN);
    int returned = s->options->decode(s->base.setup.context, m, &s->output.collector);
    if (source_output_end(&s->output, returned, &reason))
        return true;
    if (s->output.failed) {
        s->failed = true;
        return false;
    }
    return bad_record(s, m, &reason);
}

bool source_on_message(struct kafka_source *s, const weir_kafka_message *m)
{
    struct source_partition *p = source_find_partition(s, m->partition);
    if (s->state != SOURCE_RUNNING || !p || p->ended || m->offset < p->next_offset)
        return true;
    if (m->offset >= p->end_offset) {
        source_end_partition(s, p);
        return true;
    }
    if (s->output.now_ms - s->last_record_ms >= SOURCE_PAUSE_MS && !ask_about_idle_ones(s, p))
        return false;
    s->last_record_ms = s->output.now_ms;
    forget_question(p);
    split_watermarks_on_record(&s->output.watermarks, p->split, INT64_MIN, s->output.now_ms);
    if (!decode(s, p, m))
        return false;
    p->next_offset = m->offset + 1;
    if (p->next_offset >= p->end_offset)
        source_end_partition(s, p);
    return true;
}

static void set_idle_if_done(struct kafka_source *s, struct source_partition *p)
{
    if (p->idle_end == KAFKA_OFFSET_NONE || source_partition_position(p) < p->idle_end)
        return;
    forget_question(p);
    split_watermarks_set_idle(&s->output.watermarks, p->split);
}

bool source_on_end_of_partition(struct kafka_source *s, const struct kafka_event *event)
{
    struct source_partition *p = source_find_partition(s, event->partition);
    if (s->state != SOURCE_RUNNING || !p || p->ended)
        return true;
    if (event->offset > p->delivered)
        p->delivered = event->offset;
    if (p->delivered >= p->end_offset)
        source_end_partition(s, p);
    else
        set_idle_if_done(s, p);
    return true;
}

bool source_on_idle_answer(struct kafka_source *s, struct source_partition *p,
                           const struct kafka_event *event)
{
    int64_t age_ms = s->output.now_ms - p->idle_asked_ms;
    p->idle_query = 0;
    if (event->error || event->offset < 0) {
        p->idle_retry_ms = s->output.now_ms + SOURCE_RETRY_MS;
        if (log_limit_allows(&s->error_log, s->output.now_ms))
            log_warn(kafka_source_logger, "%s: %s; trying again", s->base.setup.node->name,
                     event->error ? event->error->message : "no end offset was given");
        return true;
    }
    if (age_ms > p->idle_patience_ms && p->idle_patience_ms < SOURCE_ANSWER_AGE_MAX_MS) {
        p->idle_patience_ms *= 2; /* a broker that is always slow gets its word in the end */
        return ask_end(s, p);
    }
    p->idle_patience_ms = SOURCE_ANSWER_AGE_MS;
    p->idle_end = event->offset;
    set_idle_if_done(s, p);
    return true;
}

bool source_ask_idle(struct kafka_source *s, int64_t now_ms)
{
    s->output.now_ms = now_ms;
    int32_t split;
    while ((split = split_watermarks_take_due(&s->output.watermarks, now_ms)) != SPLIT_NONE)
        if (!s->partitions[split].ended && !ask_end(s, &s->partitions[split]))
            return false;
    for (uint32_t i = 0; i < s->partition_count; i++)
        if (now_ms >= s->partitions[i].idle_retry_ms && !ask_end(s, &s->partitions[i]))
            return false;
    return true;
}

int64_t source_idle_deadline(const struct kafka_source *s)
{
    int64_t deadline = split_watermarks_next_deadline(&s->output.watermarks);
    for (uint32_t i = 0; i < s->partition_count; i++)
        if (s->partitions[i].idle_retry_ms < deadline)
            deadline = s->partitions[i].idle_retry_ms;
    return deadline;
}
