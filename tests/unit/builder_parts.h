/* Record types and functions that do nothing, to build streams of in tests; a Kafka source that is complete.
 */
#ifndef WEIR_TESTS_BUILDER_PARTS_H
#define WEIR_TESTS_BUILDER_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/stream_graph.h"

#define BUILDER_PART __attribute__((unused))

WEIR_RECORD(event, (timestamp, at), (string, page), (int64, amount), (float64, price), (int32, small));
WEIR_RECORD(counter, (int64, count));

static BUILDER_PART int decode(weir_context *context, const weir_kafka_message *message, weir_collector *out)
{
    (void)context;
    (void)message;
    (void)out;
    return 0;
}
static BUILDER_PART int map(weir_context *context, const void *record, weir_collector *out)
{
    (void)context;
    (void)record;
    (void)out;
    return 0;
}
static BUILDER_PART int filter(weir_context *context, const void *record)
{
    (void)context;
    (void)record;
    return 1;
}
static BUILDER_PART int generate(weir_context *context, int64_t index, weir_collector *out)
{
    (void)context;
    (void)index;
    (void)out;
    return 0;
}
static BUILDER_PART int window(weir_context *context, const weir_key *key, const weir_window *bounds,
                               const void *result, weir_collector *out)
{
    (void)context;
    (void)key;
    (void)bounds;
    (void)result;
    (void)out;
    return 0;
}
static BUILDER_PART int encode(weir_context *context, const void *record, weir_kafka_output *out)
{
    (void)context;
    (void)record;
    (void)out;
    return 0;
}
static BUILDER_PART void add(weir_context *context, void *accumulator, const void *record)
{
    (void)context;
    (void)accumulator;
    (void)record;
}
static BUILDER_PART void result(weir_context *context, const void *accumulator, void *out)
{
    (void)context;
    (void)accumulator;
    (void)out;
}

static BUILDER_PART const weir_aggregate counting = {
    .struct_size = sizeof counting, .accumulator = &counter_type, .add = add};

#define SOURCE()                                                                                             \
    weir_from_kafka(env, WEIR_NAMED("In", "in"), .type = &event_type, .decode = decode, .topic = "t",        \
                    .bootstrap_servers = "b", .group_id = "g")

static BUILDER_PART void kafka_with(weir_env *env, const weir_kafka_source_options *options)
{
    weir_discard(weir_from_kafka_with(env, options));
}

#define BASE                                                                                                 \
    .struct_size = sizeof(weir_kafka_source_options), .operator_ = {.name = "In", .uid = "in"},              \
    .type = &event_type, .decode = decode, .topic = "t", .bootstrap_servers = "b", .group_id = "g"
#define KAFKA(...)                                                                                           \
    do {                                                                                                     \
        weir_kafka_source_options o = {BASE};                                                                \
        __VA_ARGS__;                                                                                         \
        kafka_with(env, &o);                                                                                 \
    } while (0)

static BUILDER_PART const struct stream_graph_settings one = {.default_parallelism = 1};

static BUILDER_PART int build_with(weir_main_fn *main_fn, const struct stream_graph_settings *settings,
                                   char **argv, struct stream_graph **ret_graph, struct error *err)
{
    weir_job_descriptor job = {WEIR_JOB_MAGIC, sizeof job, WEIR_API_MAJOR,
                               WEIR_API_MINOR, "Mistakes", main_fn};
    int argc = 0;
    while (argv && argv[argc])
        argc++;
    return stream_graph_build(&job, settings, argc, argv, ret_graph, err);
}

#endif
