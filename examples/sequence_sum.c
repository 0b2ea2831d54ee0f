/* Sequence Sum: sums a sequence of numbers by their remainder, in windows, and prints the sums. Needs nothing
 * but a cluster.
 *
 *     --from N, --to N         the sequence; default: 1 to 1000
 *     --rate N                 numbers per second; default: as fast as possible
 *     --keys N                 number of keys: a number's key is its remainder by this; default: 4
 *     --window-ms N            default: 1000
 *     --event-time             a number is its own event time in ms; without it windows follow the wall clock
 *     --checkpointing          take checkpoints
 *     --checkpoint-interval N  in ms; default: 1000 */
#include <weir/weir.h>

#include <inttypes.h>
#include <stdlib.h>

WEIR_RECORD(number, (int64, key), (int64, value));
WEIR_RECORD(sum, (int64, sum), (int64, count));
WEIR_RECORD(window_sum, (timestamp, window_start), (int64, key), (int64, sum), (int64, count));

/* The number of keys is the map's user data; it stays where it is for as long as the job runs. */
static int64_t key_count;

static int give_key(weir_context *context, const void *record, weir_collector *out)
{
    const struct weir_sequence_element *element = record;
    int64_t keys = *(const int64_t *)weir_user_data(context);
    struct number *number = weir_new_record(out);
    number->key = (element->value % keys + keys) % keys;
    number->value = element->value;
    return weir_emit(out, number);
}

static void sum_add(weir_context *context, void *accumulator, const void *record)
{
    (void)context;
    struct sum *total = accumulator;
    /* Wraps around, as unsigned numbers may. */
    total->sum = (int64_t)((uint64_t)total->sum + (uint64_t)((const struct number *)record)->value);
    total->count++;
}

static void sum_merge(weir_context *context, void *accumulator, const void *other)
{
    (void)context;
    struct sum *total = accumulator;
    const struct sum *more = other;
    total->sum = (int64_t)((uint64_t)total->sum + (uint64_t)more->sum);
    total->count += more->count;
}

static const weir_aggregate summing = {
    .struct_size = sizeof(weir_aggregate),
    .name = "Summing",
    .accumulator = &sum_type,
    .add = sum_add,
    .merge = sum_merge,
};

static int sum_emit(weir_context *context, const weir_key *key, const weir_window *window, const void *result,
                    weir_collector *out)
{
    (void)context;
    const struct sum *total = result;
    struct window_sum *made = weir_new_record(out);
    made->window_start = window->start_ms;
    made->key = weir_key_int(key, 0);
    made->sum = total->sum;
    made->count = total->count;
    return weir_emit(out, made);
}

static int64_t integer_argument(weir_env *env, const char *name, int64_t default_value, int64_t least)
{
    const char *text = weir_arg(env, name, NULL);
    if (!text)
        return default_value;
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < least)
        weir_reject(env, "--%s is \"%s\"; it must be an integer of at least %" PRId64, name, text, least);
    return value;
}

static int sum_sequence(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int64_t from = integer_argument(env, "from", 1, INT64_MIN),
            to = integer_argument(env, "to", 1000, INT64_MIN);
    int64_t rate = integer_argument(env, "rate", 0, 0);
    int64_t window_ms = integer_argument(env, "window-ms", 1000, 1);
    key_count = integer_argument(env, "keys", 4, 1);
    if (weir_flag(env, "checkpointing"))
        weir_enable_checkpointing(env, integer_argument(env, "checkpoint-interval", 1000, 1));
    weir_stream *sequence =
        weir_from_sequence(env, WEIR_NAMED("Sequence", "sequence"), .from = from, .to = to,
                           .records_per_second = (double)rate, .watermarks = {.timestamp_field = "value"});
    weir_stream *numbers =
        weir_map(sequence, .operator_ = {.name = "Give Key", .uid = "give-key", .user_data = &key_count},
                 .type = &number_type, .map = give_key);
    weir_stream *sums = weir_window(weir_key_by(numbers, "key"), WEIR_NAMED("Sum", "sum"),
                                    .kind = weir_flag(env, "event-time") ? WEIR_TUMBLING_EVENT_TIME
                                                                         : WEIR_TUMBLING_PROCESSING_TIME,
                                    .size_ms = window_ms, .aggregate = &summing, .type = &window_sum_type,
                                    .window = sum_emit, .window_name = "SumCollector");
    weir_print(sums, WEIR_NAMED("Print", "print"));
    return 0;
}

WEIR_JOB("Sequence Sum", sum_sequence);
