/* From nothing to reading: which partitions, from where, and if bounded to where.
 *
 * Partition p belongs to subtask p % parallelism. A partition in the snapshot starts where the snapshot says;
 * one that came into being since starts at its earliest record; without a snapshot all start as the options
 * say. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/strbuf.h"
#include "taskmanager/worker/connectors/kafka_source.h"

/* Waiting for the broker: asks again in a while. */
static void wait_and_say(struct kafka_source *s, const char *text)
{
    s->retry_ms = s->output.now_ms + SOURCE_RETRY_MS;
    if (log_limit_allows(&s->wait_log, s->output.now_ms))
        log_warn(kafka_source_logger, "%s: can't start yet: %s; trying again", s->base.setup.node->name,
                 text);
}

static bool refuse_request(struct kafka_source *s, const struct error *error)
{
    return source_fail(s, false, "topic %s: %s", s->options->topic, error->message);
}

static bool ask_partitions(struct kafka_source *s)
{
    struct error error = {0};
    s->listing = true;
    s->retry_ms = INT64_MAX;
    if (s->consumer->ops->list(s->consumer, &error) != WEIR_OK)
        return refuse_request(s, &error);
    return true;
}

static bool ask_starts(struct kafka_source *s, bool from_earliest)
{
    int32_t *ids = xmalloc((s->partition_count + 1) * sizeof *ids);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->partition_count; i++) {
        struct source_partition *p = &s->partitions[i];
        if (p->next_offset != KAFKA_OFFSET_NONE || p->start_asked || p->from_earliest != from_earliest)
            continue;
        p->start_asked = true;
        ids[count++] = p->id;
    }
    struct error error = {0};
    int rc = WEIR_OK;
    if (count > 0)
        rc = s->consumer->ops->resolve_start(s->consumer, ids, count,
                                             from_earliest ? WEIR_START_EARLIEST : s->options->start,
                                             s->options->start_timestamp_ms, &error);
    free(ids);
    return rc == WEIR_OK || refuse_request(s, &error);
}

static bool ask_bounded_ends(struct kafka_source *s)
{
    for (uint32_t i = 0; s->options->bounded && i < s->partition_count; i++) {
        struct source_partition *p = &s->partitions[i];
        if (p->end_offset != INT64_MAX || p->end_query != 0)
            continue;
        struct error error = {0};
        p->end_query = ++s->last_query;
        if (s->consumer->ops->query_end(s->consumer, p->id, p->end_query, &error) != WEIR_OK)
            return refuse_request(s, &error);
    }
    return true;
}

static bool all_resolved(const struct kafka_source *s)
{
    for (uint32_t i = 0; i < s->partition_count; i++)
        if (s->partitions[i].next_offset == KAFKA_OFFSET_NONE ||
            (s->options->bounded && s->partitions[i].end_offset == INT64_MAX))
            return false;
    return true;
}

static void log_start(const struct kafka_source *s)
{
    struct strbuf text;
    strbuf_init(&text, 1024);
    for (uint32_t i = 0; i < s->partition_count; i++) {
        const struct source_partition *p = &s->partitions[i];
        if (!strbuf_addf(&text, "%s%" PRId32 " from offset %" PRId64 "%s", i > 0 ? ", " : "", p->id,
                         p->next_offset, p->restored ? " (restored)" : ""))
            break;
    }
    log_info(kafka_source_logger, "%s (%" PRIu32 "/%" PRIu32 "): topic %s: %s%s", s->base.setup.node->name,
             s->base.setup.subtask + 1, s->base.setup.parallelism, s->options->topic,
             s->partition_count > 0 ? "reading partition " : "no partition for this subtask",
             text.size > 0 ? text.data : "");
    strbuf_deinit(&text);
}

static bool start_reading(struct kafka_source *s)
{
    struct kafka_partition_start *starts = xmalloc((s->partition_count + 1) * sizeof *starts);
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->partition_count; i++) {
        struct source_partition *p = &s->partitions[i];
        p->split = split_watermarks_add(&s->output.watermarks, p->max_timestamp_ms, s->output.now_ms);
        if (p->next_offset >= p->end_offset)
            source_end_partition(s, p);
        else
            starts[count++] = (struct kafka_partition_start){.partition = p->id, .offset = p->next_offset};
    }
    struct error error = {0};
    int rc = count > 0 ? s->consumer->ops->assign(s->consumer, starts, count, &error) : WEIR_OK;
    free(starts);
    if (rc != WEIR_OK)
        return refuse_request(s, &error);
    s->state = SOURCE_RUNNING;
    s->retry_ms = INT64_MAX;
    s->last_record_ms = s->output.now_ms;
    log_start(s);
    return true;
}

bool source_start_step(struct kafka_source *s, int64_t now_ms)
{
    s->output.now_ms = now_ms;
    if (s->state == SOURCE_CONNECTING)
        return s->listing || now_ms < s->retry_ms || ask_partitions(s);
    if (s->state == SOURCE_RUNNING)
        return true;
    if (all_resolved(s))
        return start_reading(s);
    if (now_ms < s->retry_ms)
        return true;
    s->retry_ms = INT64_MAX;
    return ask_starts(s, false) && ask_starts(s, true) && ask_bounded_ends(s);
}

static struct source_partition new_partition(const struct kafka_source *s, int32_t id)
{
    struct source_partition p = {
        .id = id,
        .next_offset = KAFKA_OFFSET_NONE,
        .delivered = KAFKA_OFFSET_NONE,
        .end_offset = INT64_MAX,
        .max_timestamp_ms = INT64_MIN,
        .idle_patience_ms = SOURCE_ANSWER_AGE_MS,
        .idle_retry_ms = INT64_MAX,
        .idle_end = KAFKA_OFFSET_NONE,
        .from_earliest = s->restoring && !source_is_undecided(s, id),
    };
    vec_for_each (split, &s->restored) {
        if (split->partition != id)
            continue;
        p.restored = true;
        p.next_offset = split->next_offset;
        p.max_timestamp_ms = split->max_timestamp_ms;
        if (s->options->bounded)
            p.end_offset = split->end_offset;
    }
    return p;
}

bool source_on_partitions(struct kafka_source *s, const struct kafka_event *event)
{
    if (s->state != SOURCE_CONNECTING || !s->listing)
        return true;
    s->listing = false;
    if (event->error && event->fatal)
        return source_fail(s, false, "topic %s: %s", s->options->topic, event->error->message);
    if (event->error || event->count <= 0) {
        char text[ERROR_MESSAGE_MAX];
        if (event->error)
            snprintf(text, sizeof text, "%s", event->error->message);
        else
            snprintf(text, sizeof text, "topic %s does not exist at %s (waiting until it is created)",
                     s->options->topic,
                     s->options->bootstrap_servers ? s->options->bootstrap_servers : "the broker");
        wait_and_say(s, text);
        return true;
    }
    if (event->count > SOURCE_PARTITIONS_MAX)
        return source_fail(s, true, "topic %s has %" PRId32 " partitions, at most %d can be read",
                           s->options->topic, event->count, SOURCE_PARTITIONS_MAX);
    vec_for_each (split, &s->restored)
        if (split->partition >= event->count)
            return source_fail(s, true,
                               "the snapshot has an offset of topic %s, partition %" PRId32
                               ", but the topic has only %" PRId32
                               " partitions: it was replaced by another; start without the snapshot, or from "
                               "the right broker",
                               s->options->topic, split->partition, event->count);
    uint32_t parallelism = s->base.setup.parallelism;
    uint32_t all = (uint32_t)event->count;
    uint32_t subtask = s->base.setup.subtask;
    s->partition_count = all > subtask ? (all - subtask + parallelism - 1) / parallelism : 0;
    s->partitions = xcalloc(s->partition_count + 1, sizeof *s->partitions);
    for (uint32_t i = 0; i < s->partition_count; i++)
        s->partitions[i] = new_partition(s, (int32_t)(i * parallelism + subtask));
    s->state = SOURCE_RESOLVING;
    s->retry_ms = s->output.now_ms;
    return true;
}

bool source_on_start_offset(struct kafka_source *s, const struct kafka_event *event)
{
    struct source_partition *p = source_find_partition(s, event->partition);
    if (!p || !p->start_asked)
        return true;
    p->start_asked = false;
    if (event->error && event->fatal)
        return source_fail(s, false, "topic %s: %s", s->options->topic, event->error->message);
    if (event->error || event->offset < 0) {
        wait_and_say(s, event->error ? event->error->message : "no start offset was given");
        return true;
    }
    p->next_offset = event->offset;
    return true;
}

bool source_on_bounded_end(struct kafka_source *s, struct source_partition *p,
                           const struct kafka_event *event)
{
    p->end_query = 0;
    if (event->error || event->offset < 0) {
        wait_and_say(s, event->error ? event->error->message : "no end offset was given");
        return true;
    }
    p->end_offset = event->offset;
    return true;
}
