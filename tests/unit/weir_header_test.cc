// A whole job in C++20: weir.h must compile there, macros included. Only compiled, never run.
#include <weir/weir.h>

WEIR_RECORD(click, (timestamp, at), (string, page), (int32, small), (bytes, blob));
WEIR_RECORD(total, (int64, count));

static int decode(weir_context *context, const weir_kafka_message *message, weir_collector *out)
{
    if (!message->value)
        return weir_fail(context, "no value at offset %lld", static_cast<long long>(message->offset));
    auto *made = static_cast<click *>(weir_new_record(out));
    weir_set_string(out, &made->page, static_cast<const char *>(message->value), message->value_length);
    return weir_emit(out, made);
}

static void add(weir_context *, void *accumulator, const void *)
{
    static_cast<total *>(accumulator)->count++;
}

static int window(weir_context *, const weir_key *key, const weir_window *bounds, const void *, weir_collector *out)
{
    uint32_t length;
    weir_key_string(key, 0, &length);
    auto *made = static_cast<total *>(weir_new_record(out));
    made->count = bounds->end_ms + length;
    return weir_emit(out, made);
}

static const weir_aggregate counting = {.struct_size = sizeof(weir_aggregate),
                                        .name = "Counting",
                                        .accumulator = &total_type,
                                        .add = add};

static int build(weir_env *env, int, char **)
{
    weir_stream *clicks =
        weir_from_kafka(env, WEIR_NAMED("In", "in"), .type = &click_type, .decode = decode,
                        .topic = weir_arg(env, "topic", "input"), .bootstrap_servers = "localhost:9092", .group_id = "g",
                        .watermarks = {.out_of_orderness_ms = 200, .timestamp_field = "at"});
    weir_stream *counts = weir_window(weir_key_by(clicks, "page", "small"), WEIR_NAMED("Count", "count"),
                                      .kind = WEIR_TUMBLING_EVENT_TIME, .size_ms = 1000, .aggregate = &counting,
                                      .type = &total_type, .window = window);
    weir_print(counts);
    weir_discard(weir_from_sequence(env, WEIR_NAMED("Sequence", "sequence"), .from = 1, .to = 2));
    return 0;
}

WEIR_JOB("In C++", build);
