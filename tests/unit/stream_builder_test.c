/* What a stream graph keeps of what main gave it: options of any size, copied strings, arguments, settings.
 */
#include "tests/unit/builder_parts.h"

/* ---- option structs of other versions
 * --------------------------------------------------------------------------------- */

static char marker[1];

static size_t options_size;

static int sized_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    /* An older weir.h ended after bootstrap_servers: what lies behind belongs to somebody else. */
    weir_kafka_source_options options = {BASE, .start = (weir_kafka_start)77};
    options.struct_size = options_size;
    weir_discard(weir_from_kafka_with(env, &options));
    return 0;
}

static void options_of_other_sizes(void **state)
{
    (void)state;
    struct stream_graph *graph;
    struct error err = {0};
    options_size = offsetof(weir_kafka_source_options, start);
    assert_int_equal(build_with(sized_main, &one, NULL, &graph, &err), 0);
    assert_int_equal(stream_graph_node(graph, 0)->options.kafka_source.start, WEIR_START_COMMITTED);
    stream_graph_free(graph);

    options_size = sizeof(weir_kafka_source_options) + 8;
    assert_int_equal(build_with(sized_main, &one, NULL, &graph, &err), WEIR_E_INVALID);
    char want[256];
    snprintf(want, sizeof want,
             "operator 0 (weir_from_kafka): its options are %zu bytes long and this libweir (API 1.0) knows "
             "%zu: the job was "
             "compiled with a newer weir.h",
             options_size, sizeof(weir_kafka_source_options));
    assert_string_equal(err.message, want);
}

/* ---- nothing is borrowed
 * ---------------------------------------------------------------------------------------------- */

static int borrowed_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    char name[] = "Name", uid[] = "uid", topic[] = "topic", servers[] = "host:1", group[] = "group",
         property[] = "a=b";
    char field[] = "at", window_name[] = "Collector", aggregate_name[] = "Adder";
    weir_aggregate aggregate = {
        .struct_size = sizeof aggregate, .name = aggregate_name, .accumulator = &counter_type, .add = add};
    const char *properties[] = {property, NULL};
    weir_stream *events = weir_from_kafka(
        env, .operator_ = {.name = name, .uid = uid, .parallelism = 3, .user_data = marker},
        .type = &event_type, .decode = decode, .topic = topic, .bootstrap_servers = servers,
        .group_id = group, .properties = properties, .watermarks = {.timestamp_field = field});
    weir_stream *kept = weir_filter(events, .filter = filter);
    weir_discard(weir_window(weir_key_by(kept, "small", "page"), WEIR_NAMED("W", "w"),
                             .kind = WEIR_TUMBLING_PROCESSING_TIME, .size_ms = 7, .aggregate = &aggregate,
                             .type = &counter_type, .window = window, .window_name = window_name));
    memset(name, 'x', sizeof name);
    memset(uid, 'x', sizeof uid);
    memset(topic, 'x', sizeof topic);
    memset(servers, 'x', sizeof servers);
    memset(group, 'x', sizeof group);
    memset(property, 'x', sizeof property);
    memset(field, 'x', sizeof field);
    memset(window_name, 'x', sizeof window_name);
    memset(aggregate_name, 'x', sizeof aggregate_name);
    memset(&aggregate, 0xff, sizeof aggregate);
    return 0;
}

static void strings_are_copied(void **state)
{
    (void)state;
    struct stream_graph *graph;
    struct error err = {0};
    assert_int_equal(build_with(borrowed_main, &one, NULL, &graph, &err), 0);
    assert_int_equal(stream_graph_node_count(graph), 4);
    const struct stream_node *source = stream_graph_node(graph, 0), *filtered = stream_graph_node(graph, 1);
    const struct stream_node *windowed = stream_graph_node(graph, 2), *sink = stream_graph_node(graph, 3);
    const weir_kafka_source_options *kafka = &source->options.kafka_source;
    assert_string_equal(source->name, "Name");
    assert_string_equal(source->uid, "uid");
    assert_string_equal(kafka->operator_.uid, "uid");
    assert_int_equal(source->parallelism, 3);
    assert_ptr_equal(source->user_data, marker);
    assert_string_equal(kafka->topic, "topic");
    assert_string_equal(kafka->bootstrap_servers, "host:1");
    assert_string_equal(kafka->group_id, "group");
    assert_string_equal(kafka->properties[0], "a=b");
    assert_null(kafka->properties[1]);
    assert_string_equal(kafka->watermarks.timestamp_field, "at");
    assert_ptr_equal(filtered->input, source);
    assert_ptr_equal(filtered->output_type, &event_type);
    assert_string_equal(filtered->uid, "weir:filter:1");
    assert_int_equal(filtered->key_field_count, 0);
    assert_int_equal(windowed->key_field_count, 2);
    assert_int_equal(windowed->key_fields[0], 4);
    assert_int_equal(windowed->key_fields[1], 1);
    assert_string_equal(windowed->options.window.aggregate->name, "Adder");
    assert_ptr_equal(windowed->options.window.aggregate->add, add);
    assert_string_equal(windowed->options.window.window_name, "Collector");
    assert_string_equal(sink->uid, "weir:discard-sink:3");
    assert_null(sink->output_type);
    stream_graph_free(graph);
}

/* ---- arguments
 * -------------------------------------------------------------------------------------------------------- */

static int arguments_main(weir_env *env, int argc, char **argv)
{
    assert_int_equal(argc, 17);
    assert_string_equal(argv[1], "--name");
    assert_null(argv[argc]);
    argv[1] = argv[2] = NULL; /* weir_arg doesn't care */
    assert_string_equal(weir_arg(env, "name", "x"), "value");
    assert_string_equal(weir_arg(env, "equals", "x"), "a=b");
    assert_string_equal(weir_arg(env, "short", "x"), "s");
    assert_string_equal(weir_arg(env, "negative", "x"), "-5.5");
    assert_string_equal(weir_arg(env, "twice", "x"), "2");
    assert_string_equal(weir_arg(env, "empty", "x"), "");
    assert_string_equal(weir_arg(env, "not-there", "x"), "x");
    assert_null(weir_arg(env, "nam", NULL));
    assert_null(weir_arg(env, "value", NULL));
    assert_true(weir_flag(env, "flag"));
    assert_true(weir_flag(env, "last"));
    assert_true(weir_flag(env, "name"));
    assert_false(weir_flag(env, "off"));
    assert_false(weir_flag(env, "not-there"));
    weir_discard(SOURCE());
    return 0;
}

static int missing_value_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    KAFKA(o.topic = weir_arg(env, "topic", "t"));
    return 0;
}

static int reject_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int rc = weir_reject(env, "--x is \"%s\"", "y");
    assert_int_not_equal(rc, 0);
    weir_reject(env, "second");
    return rc;
}

static int silent_main(weir_env *env, int argc, char **argv)
{
    (void)env;
    (void)argc;
    (void)argv;
    return 3;
}

static void arguments(void **state)
{
    (void)state;
    struct stream_graph *graph;
    struct error err = {0};
    char *good[] = {"job.so", "--name",     "value", "--equals=a=b", "-short", "s",
                    "--flag", "--negative", "-5.5",  "--twice",      "1",      "--twice",
                    "2",      "--empty=",   "--off", "false",        "--last", NULL};
    assert_int_equal(build_with(arguments_main, &one, good, &graph, &err), 0);
    stream_graph_free(graph);

    char *bad[] = {"job.so", "--topic", "--flag", NULL};
    assert_int_equal(build_with(missing_value_main, &one, bad, &graph, &err), WEIR_E_INVALID);
    assert_string_equal(err.message, "the argument --topic needs a value");
    assert_int_equal(build_with(reject_main, &one, NULL, &graph, &err), WEIR_E_INVALID);
    assert_string_equal(err.message, "--x is \"y\"");
    assert_int_equal(build_with(silent_main, &one, NULL, &graph, &err), WEIR_E_INVALID);
    assert_string_equal(
        err.message,
        "the main function of job \"Mistakes\" returned 3 without saying why (weir_reject does)");
}

/* ---- settings
 * ---------------------------------------------------------------------------------------------------------
 */

static int settings_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    weir_set_parallelism(env, 4);
    weir_enable_checkpointing(env, 1000);
    weir_enable_checkpointing(env, 250);
    weir_disable_chaining(env);
    weir_set_config(env, "restart-strategy.type", "none");
    weir_set_job_name(env, "Named");
    weir_discard(SOURCE());
    return 0;
}

static const char *setting_of(const Weir__JobGraph *job, const char *key)
{
    const char *value = NULL;
    for (size_t i = 0; i < job->n_configuration; i++) {
        if (strcmp(job->configuration[i]->key, key) == 0) {
            assert_null(value); /* once */
            value = job->configuration[i]->value;
        }
    }
    return value;
}

static void settings(void **state)
{
    (void)state;
    struct stream_graph *graph;
    Weir__JobGraph *job;
    struct error err = {0};
    assert_int_equal(build_with(settings_main, &one, NULL, &graph, &err), 0);
    assert_int_equal(stream_graph_parallelism(graph), 4);
    assert_int_equal(stream_graph_to_job_graph(graph, &job, &err), 0);
    assert_string_equal(job->name, "Named");
    assert_int_equal(job->vertices[0]->parallelism, 4);
    assert_string_equal(setting_of(job, "execution.checkpointing.interval"), "250 ms");
    assert_string_equal(setting_of(job, "pipeline.operator-chaining.enabled"), "false");
    assert_string_equal(setting_of(job, "restart-strategy.type"), "none");
    assert_int_equal(job->n_vertices, 2);
    weir__job_graph__free_unpacked(job, NULL);
    stream_graph_free(graph);

    /* What the person gives wins. */
    Weir__KeyValue chaining = WEIR__KEY_VALUE__INIT, restart = WEIR__KEY_VALUE__INIT;
    chaining.key = "pipeline.operator-chaining.enabled";
    chaining.value = "TRUE";
    restart.key = "restart-strategy.type";
    restart.value = "fixed-delay";
    Weir__KeyValue *given[] = {&chaining, &restart};
    struct stream_graph_settings more = {2, true, given, 2};
    assert_int_equal(build_with(settings_main, &more, NULL, &graph, &err), 0);
    assert_int_equal(stream_graph_parallelism(graph), 2);
    assert_int_equal(stream_graph_to_job_graph(graph, &job, &err), 0);
    assert_string_equal(setting_of(job, "restart-strategy.type"), "fixed-delay");
    assert_int_equal(job->n_vertices, 1);
    weir__job_graph__free_unpacked(job, NULL);
    stream_graph_free(graph);

    static const struct {
        char *key, *value;
        const char *sentence;
    } bad[] = {
        {"pipeline.operator-chaining.enabled", "maybe",
         "pipeline.operator-chaining.enabled is \"maybe\"; it must be true or false"},
        {"pipeline.max-parallelism", "0", "pipeline.max-parallelism is \"0\"; it must be -1 or 1 to 32768"},
        {"pipeline.max-parallelism", "12x",
         "pipeline.max-parallelism is \"12x\"; it must be -1 or 1 to 32768"},
        {"pipeline.max-parallelism", "32769",
         "pipeline.max-parallelism is \"32769\"; it must be -1 or 1 to 32768"},
        {"pipeline.max-parallelism", "1",
         "operator \"Source: In -> Discard: Writer\": its parallelism of 2 is above the 1 of "
         "pipeline.max-parallelism"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        restart.key = bad[i].key;
        restart.value = bad[i].value;
        assert_int_equal(build_with(settings_main, &more, NULL, &graph, &err), 0);
        assert_int_equal(stream_graph_to_job_graph(graph, &job, &err), WEIR_E_INVALID);
        assert_string_equal(err.message, bad[i].sentence);
        stream_graph_free(graph);
    }
    assert_int_equal(build_with(settings_main, &(struct stream_graph_settings){.default_parallelism = 0},
                                NULL, &graph, &err),
                     WEIR_E_INVALID);
    assert_string_equal(err.message, "a parallelism of 0; it must be 1 to 32768");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_other_sizes),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(arguments),
        cmocka_unit_test(settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
