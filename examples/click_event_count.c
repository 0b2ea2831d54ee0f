/* Click Event Count: how often each page was visited in each window of 15 seconds. From Kafka to Kafka, as in
 * Flink's operations playground.
 *
 *     --checkpointing              checkpoints every second; without them a failure loses what is in open
 * windows
 *     --event-time                 windows by the events' own time; without it by the wall clock
 *     --backpressure               an operator that is slow in every other minute
 *     --chaining                   fuse neighbouring operators into one task
 *     --input-topic NAME           default: input
 *     --output-topic NAME          default: output
 *     --bootstrap.servers LIST     default: localhost:9092
 *     --on-bad-record fail|skip    what a record that isn't a click event does; default: fail */
#include <weir/weir.h>

#include <inttypes.h>
#include <string.h>

#include "examples/click_event.h"

enum { CHECKPOINT_INTERVAL_MS = 1000, OUT_OF_ORDERNESS_MS = 200, IDLENESS_MS = 5000, BACKPRESSURE_MS = 100 };

WEIR_RECORD(click_event, (timestamp, timestamp), (string, page));
WEIR_RECORD(click_count, (int64, count));
WEIR_RECORD(click_event_statistics, (timestamp, window_start), (timestamp, window_end), (string, page),
            (int64, count));

static int decode(weir_context *context, const weir_kafka_message *message, weir_collector *out)
{
    char scratch[CLICK_PAGE_MAX];
    const char *page, *reason;
    size_t page_length;
    int64_t timestamp;
    if (click_event_decode(message->value, message->value_length, &timestamp, &page, &page_length, scratch,
                           sizeof scratch, &reason))
        return weir_fail(context, "%s", reason);
    struct click_event *event = weir_new_record(out);
    event->timestamp = timestamp;
    weir_set_string(out, &event->page, page, page_length);
    return weir_emit(out, event);
}

/* Passes events on; while the minute is even, slowly. */
static int backpressure(weir_context *context, const void *record, weir_collector *out)
{
    const struct click_event *event = record;
    if (weir_now(context) / 60000 % 2 == 0) {
        int rc = weir_sleep(context, BACKPRESSURE_MS);
        if (rc)
            return rc;
    }
    struct click_event *copy = weir_new_record(out);
    copy->timestamp = event->timestamp;
    weir_set_string(out, &copy->page, weir_string_data(&event->page), event->page.length);
    return weir_emit(out, copy);
}

static void count_add(weir_context *context, void *accumulator, const void *record)
{
    (void)context;
    (void)record;
    ((struct click_count *)accumulator)->count++;
}

static void count_merge(weir_context *context, void *accumulator, const void *other)
{
    (void)context;
    ((struct click_count *)accumulator)->count += ((const struct click_count *)other)->count;
}

static const weir_aggregate counting_aggregator = {
    .struct_size = sizeof(weir_aggregate),
    .name = "CountingAggregator",
    .accumulator = &click_count_type,
    .add = count_add,
    .merge = count_merge,
};

static int statistics(weir_context *context, const weir_key *key, const weir_window *window,
                      const void *result, weir_collector *out)
{
    (void)context;
    uint32_t length;
    const char *page = weir_key_string(key, 0, &length);
    struct click_event_statistics *made = weir_new_record(out);
    made->window_start = window->start_ms;
    made->window_end = window->end_ms;
    weir_set_string(out, &made->page, page, length);
    made->count = ((const struct click_count *)result)->count;
    return weir_emit(out, made);
}

static int encode(weir_context *context, const void *record, weir_kafka_output *out)
{
    const struct click_event_statistics *made = record;
    struct click_statistics text = {
        .window_start_ms = made->window_start,
        .window_end_ms = made->window_end,
        .page = weir_string_data(&made->page),
        .page_length = made->page.length,
        .count = made->count,
    };
    char buffer[CLICK_TEXT_MAX];
    size_t size = click_statistics_encode(&text, buffer, sizeof buffer);
    if (!size)
        return weir_fail(context, "the window %" PRId64 " … %" PRId64 " ms can't be written as dates",
                         made->window_start, made->window_end);
    weir_kafka_output_value(out, buffer, size);
    return 0;
}

static int count_clicks(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const char *servers = weir_arg(env, "bootstrap.servers", "localhost:9092");
    const char *on_bad_record = weir_arg(env, "on-bad-record", "fail");
    bool skip = strcmp(on_bad_record, "skip") == 0;
    if (!skip && strcmp(on_bad_record, "fail") != 0)
        return weir_reject(env, "--on-bad-record is \"%s\"; it must be fail or skip", on_bad_record);

    weir_set_job_name(env, "Click Event Count");
    if (weir_flag(env, "checkpointing"))
        weir_enable_checkpointing(env, CHECKPOINT_INTERVAL_MS);
    if (!weir_flag(env, "chaining"))
        weir_disable_chaining(env);

    weir_stream *clicks = weir_from_kafka(
        env, WEIR_NAMED("ClickEvent Source", "click-event-source"), .type = &click_event_type,
        .decode = decode, .topic = weir_arg(env, "input-topic", "input"), .bootstrap_servers = servers,
        .group_id = "click-event-count", .start = WEIR_START_COMMITTED,
        .on_bad_record = skip ? WEIR_BAD_RECORD_SKIP : WEIR_BAD_RECORD_FAIL,
        .watermarks = {.out_of_orderness_ms = OUT_OF_ORDERNESS_MS,
                       .idleness_ms = IDLENESS_MS,
                       .timestamp_field = "timestamp"});
    if (weir_flag(env, "backpressure"))
        clicks = weir_map(weir_key_by(clicks, "page"), WEIR_NAMED("Backpressure", "backpressure"),
                          .type = &click_event_type, .map = backpressure);

    weir_stream *counts = weir_window(
        weir_key_by(clicks, "page"), WEIR_NAMED("ClickEvent Counter", "click-event-counter"),
        .kind = weir_flag(env, "event-time") ? WEIR_TUMBLING_EVENT_TIME : WEIR_TUMBLING_PROCESSING_TIME,
        .size_ms = CLICK_WINDOW_MS, .aggregate = &counting_aggregator, .type = &click_event_statistics_type,
        .window = statistics, .window_name = "ClickEventStatisticsCollector");

    weir_to_kafka(counts, WEIR_NAMED("ClickEventStatistics Sink", "click-event-statistics-sink"),
                  .encode = encode, .topic = weir_arg(env, "output-topic", "output"),
                  .bootstrap_servers = servers, .delivery = WEIR_AT_LEAST_ONCE);
    return 0;
}

WEIR_JOB("Click Event Count", count_clicks);
