/* Job graphs: of the real Click Event Count, loaded from its shared object, and of small ones about chaining.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/stream_graph.h"
#include "common/base/id.h"

static Weir__JobGraph *graph_of(const weir_job_descriptor *job, uint32_t parallelism, char **argv)
{
    struct stream_graph_settings settings = {.default_parallelism = parallelism,
                                             .parallelism_is_given = true};
    struct stream_graph *graph;
    Weir__JobGraph *made = NULL;
    struct error err = {0};
    int argc = 0;
    while (argv[argc])
        argc++;
    if (stream_graph_build(job, &settings, argc, argv, &graph, &err) ||
        stream_graph_to_job_graph(graph, &made, &err))
        fail_msg("%s", err.message);
    stream_graph_free(graph); /* the job graph stands on its own */
    return made;
}

static Weir__JobGraph *click_graph(uint32_t parallelism, ...)
{
    static struct job_library library;
    struct error err = {0};
    if (!library.handle && job_library_open(EXAMPLES_DIR "/click_event_count.so", &library, &err))
        fail_msg("%s", err.message);
    char *argv[16] = {"click_event_count.so"};
    va_list args;
    va_start(args, parallelism);
    for (int i = 1; i < 15 && (argv[i] = va_arg(args, char *)); i++)
        ;
    va_end(args);
    return graph_of(library.descriptor, parallelism, argv);
}

#define CLICKS(parallelism, ...) click_graph(parallelism, __VA_ARGS__ __VA_OPT__(, ) NULL)

static void free_graph(Weir__JobGraph *graph)
{
    weir__job_graph__free_unpacked(graph, NULL);
}

static void edge_is(const Weir__JobGraph *graph, size_t index, uint32_t source, uint32_t target,
                    Weir__ShipStrategy strategy, const char *key)
{
    assert_true(index < graph->n_edges);
    const Weir__Edge *edge = graph->edges[index];
    assert_int_equal(edge->source, source);
    assert_int_equal(edge->target, target);
    assert_int_equal(edge->strategy, strategy);
    assert_int_equal(edge->n_key_fields, key ? 1 : 0);
    if (key)
        assert_string_equal(edge->key_fields[0], key);
}

static void click_event_count(void **state)
{
    (void)state;
    Weir__JobGraph *graph = CLICKS(2, "--checkpointing", "--event-time");
    assert_string_equal(graph->name, "Click Event Count");
    assert_int_equal(graph->version, 1);
    assert_int_equal(graph->n_vertices, 3);
    static const char *const names[] = {"Source: ClickEvent Source", "ClickEvent Counter",
                                        "ClickEventStatistics Sink: Writer"};
    static const char *const descriptions[] = {"Source: ClickEvent Source",
                                               ("Window(TumblingEventTimeWindows(15000), EventTimeTrigger, "
                                                "CountingAggregator, ClickEventStatisticsCollector)"),
                                               "ClickEventStatistics Sink: Writer"};
    static const char *const uids[] = {"click-event-source", "click-event-counter",
                                       "click-event-statistics-sink"};
    /* Expected to stay: state and scripts refer to vertices by these. */
    static const char *const ids[] = {"c526ff248837d73bb171c5e941912188", "35ecbaec6495a8b033faf1fa4b705701",
                                      "52767c0a1be02460e3c1224323a19759"};
    for (size_t i = 0; i < 3; i++) {
        const Weir__Vertex *vertex = graph->vertices[i];
        assert_string_equal(vertex->name, names[i]);
        assert_int_equal(vertex->parallelism, 2);
        assert_int_equal(vertex->max_parallelism, 128);
        assert_int_equal(vertex->n_operators, 1);
        assert_string_equal(vertex->operators[0]->name, names[i]);
        assert_string_equal(vertex->operators[0]->description, descriptions[i]);
        assert_string_equal(vertex->operators[0]->uid, uids[i]);
        assert_int_equal(vertex->operators[0]->node, i);
        assert_int_equal(vertex->operators[0]->stateful, i < 2);
        struct weir_id id;
        char text[WEIR_ID_HEX + 1];
        assert_true(weir_id_from_bytes(vertex->id.data, vertex->id.len, &id));
        assert_string_equal(weir_id_format(&id, text), ids[i]);
    }
    assert_int_equal(graph->vertices[0]->operators[0]->kind, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE);
    assert_null(graph->vertices[0]->operators[0]->input);
    assert_string_equal(graph->vertices[0]->operators[0]->output->name, "click_event");
    assert_string_equal(graph->vertices[1]->operators[0]->input->fields[1]->name, "page");
    assert_int_equal(graph->vertices[1]->operators[0]->output->n_fields, 4);
    assert_null(graph->vertices[2]->operators[0]->output);
    assert_int_equal(graph->n_edges, 2);
    edge_is(graph, 0, 0, 1, WEIR__SHIP_STRATEGY__SHIP_HASH, "page");
    edge_is(graph, 1, 1, 2, WEIR__SHIP_STRATEGY__SHIP_FORWARD, NULL);
    assert_int_equal(graph->n_configuration, 2);
    assert_string_equal(graph->configuration[0]->key, "execution.checkpointing.interval");
    assert_string_equal(graph->configuration[0]->value, "1000 ms");
    assert_string_equal(graph->configuration[1]->key, "pipeline.operator-chaining.enabled");
    free_graph(graph);
}

static void click_event_count_chained(void **state)
{
    (void)state;
    Weir__JobGraph *graph = CLICKS(3, "--chaining");
    assert_int_equal(graph->n_vertices, 2);
    assert_string_equal(graph->vertices[0]->name, "Source: ClickEvent Source");
    assert_string_equal(graph->vertices[1]->name, "ClickEvent Counter -> ClickEventStatistics Sink: Writer");
    assert_int_equal(graph->vertices[1]->n_operators, 2);
    assert_string_equal(
        graph->vertices[1]->operators[0]->description,
        "Window(TumblingProcessingTimeWindows(15000), ProcessingTimeTrigger, CountingAggregator, "
        "ClickEventStatisticsCollector)");
    assert_int_equal(graph->n_edges, 1);
    edge_is(graph, 0, 0, 1, WEIR__SHIP_STRATEGY__SHIP_HASH, "page");
    assert_int_equal(graph->n_configuration, 0);
    free_graph(graph);
}

static void click_event_count_backpressure(void **state)
{
    (void)state;
    Weir__JobGraph *graph = CLICKS(1, "--backpressure", "--event-time");
    assert_int_equal(graph->n_vertices, 4);
    assert_string_equal(graph->vertices[1]->name, "Backpressure");
    edge_is(graph, 0, 0, 1, WEIR__SHIP_STRATEGY__SHIP_HASH, "page");
    edge_is(graph, 1, 1, 2, WEIR__SHIP_STRATEGY__SHIP_HASH, "page");
    edge_is(graph, 2, 2, 3, WEIR__SHIP_STRATEGY__SHIP_FORWARD, NULL);
    free_graph(graph);
}

static void click_event_count_options(void **state)
{
    (void)state;
    struct job_library library;
    struct stream_graph *graph;
    struct error err = {0};
    struct stream_graph_settings settings = {.default_parallelism = 1};
    assert_int_equal(job_library_open(EXAMPLES_DIR "/click_event_count.so", &library, &err), 0);
    char *good[] = {"x",   "--input-topic",   "a",   "--output-topic=b", "--bootstrap.servers",
                    "h:1", "--on-bad-record", "skip"};
    assert_int_equal(stream_graph_build(library.descriptor, &settings, 8, good, &graph, &err), 0);
    const weir_kafka_source_options *source = &stream_graph_node(graph, 0)->options.kafka_source;
    const weir_kafka_sink_options *sink = &stream_graph_node(graph, 2)->options.kafka_sink;
    assert_string_equal(source->topic, "a");
    assert_string_equal(source->bootstrap_servers, "h:1");
    assert_string_equal(source->group_id, "click-event-count");
    assert_int_equal(source->on_bad_record, WEIR_BAD_RECORD_SKIP);
    assert_int_equal(source->watermarks.out_of_orderness_ms, 200);
    assert_int_equal(source->watermarks.idleness_ms, 5000);
    assert_string_equal(source->watermarks.timestamp_field, "timestamp");
    assert_string_equal(sink->topic, "b");
    assert_string_equal(sink->bootstrap_servers, "h:1");
    stream_graph_free(graph);

    assert_int_equal(stream_graph_build(library.descriptor, &settings, 1, good, &graph, &err), 0);
    source = &stream_graph_node(graph, 0)->options.kafka_source;
    assert_string_equal(source->topic, "input");
    assert_string_equal(source->bootstrap_servers, "localhost:9092");
    assert_int_equal(source->on_bad_record, WEIR_BAD_RECORD_FAIL);
    assert_string_equal(stream_graph_node(graph, 2)->options.kafka_sink.topic, "output");
    stream_graph_free(graph);

    char *bad[] = {"x", "--on-bad-record", "explode"};
    assert_int_equal(stream_graph_build(library.descriptor, &settings, 3, bad, &graph, &err), WEIR_E_INVALID);
    assert_string_equal(err.message, "--on-bad-record is \"explode\"; it must be fail or skip");
    free(library.path);
}

static void fingerprints(void **state)
{
    (void)state;
    Weir__JobGraph *graphs[] = {
        CLICKS(2, "--event-time"),
        CLICKS(2, "--event-time"),
        CLICKS(3, "--event-time"),
        CLICKS(2),
        CLICKS(2, "--event-time", "--chaining"),
        CLICKS(2, "--event-time", "--checkpointing"),
        CLICKS(2, "--event-time", "--backpressure"),
    };
    size_t count = sizeof graphs / sizeof graphs[0];
    assert_true(graphs[0]->fingerprint == graphs[1]->fingerprint);
    for (size_t i = 0; i < count; i++) {
        assert_true(graphs[i]->fingerprint != 0);
        for (size_t j = i + 1; j < count && i != 0; j++)
            assert_true(graphs[i]->fingerprint != graphs[j]->fingerprint);
    }
    for (size_t i = 0; i < count; i++)
        free_graph(graphs[i]);
}

static void survives_the_wire(void **state)
{
    (void)state;
    Weir__JobGraph *graph = CLICKS(2, "--checkpointing");
    size_t size = weir__job_graph__get_packed_size(graph);
    uint8_t *packed = malloc(size);
    assert_non_null(packed);
    weir__job_graph__pack(graph, packed);
    Weir__JobGraph *again = weir__job_graph__unpack(NULL, size, packed);
    assert_non_null(again);
    assert_true(again->fingerprint == graph->fingerprint);
    assert_int_equal(again->n_vertices, graph->n_vertices);
    free_graph(again);
    free_graph(graph);
    free(packed);
}

/* ---- chaining
 * ---------------------------------------------------------------------------------------------------------
 */

static int pass(weir_context *context, const void *record, weir_collector *out)
{
    (void)context;
    (void)record;
    (void)out;
    return 0;
}

#define MAP(input, name_, parallelism_)                                                                      \
    weir_map(input, .operator_ = {.name = name_, .parallelism = parallelism_},                               \
             .type = &weir_sequence_element_type, .map = pass)
#define SEQUENCE(parallelism_)                                                                               \
    weir_from_sequence(env, .operator_ = {.name = "S", .uid = "s", .parallelism = parallelism_}, .to = 9)

static int straight(weir_env *env)
{
    weir_print(MAP(MAP(SEQUENCE(0), "A", 0), "B", 0), .operator_ = {.name = "P"});
    return 0;
}
static int other_parallelism(weir_env *env)
{
    weir_print(MAP(MAP(SEQUENCE(1), "A", 300), "B", 300), .operator_ = {.name = "P"});
    return 0;
}
static int keyed(weir_env *env)
{
    weir_print(MAP(weir_key_by(MAP(SEQUENCE(0), "A", 0), "value"), "B", 0), .operator_ = {.name = "P"});
    return 0;
}
static int fork_of_two(weir_env *env)
{
    weir_stream *a = MAP(SEQUENCE(0), "A", 0);
    weir_print(MAP(a, "B", 0), .operator_ = {.name = "P"});
    weir_print(a, .operator_ = {.name = "Q"});
    return 0;
}
static int unchained(weir_env *env)
{
    weir_disable_chaining(env);
    return straight(env);
}
static int unchained_by_old_key(weir_env *env)
{
    weir_set_config(env, "pipeline.operator-chaining", "false");
    return straight(env);
}
static int explicit_default(weir_env *env)
{
    weir_print(MAP(SEQUENCE(2), "A", 0), .operator_ = {.name = "P", .parallelism = 2});
    return 0;
}

static int (*chain_case)(weir_env *env);

static int chain_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return chain_case(env);
}

static void chaining(void **state)
{
    (void)state;
    static const struct {
        int (*build)(weir_env *env);
        const char *plan; /* vertices with parallelism/max, then edges */
    } cases[] = {
        {straight, "[Source: S -> A -> B -> P: Writer 2/128]"},
        {other_parallelism, "[Source: S 1/128][A -> B 300/512][P: Writer 2/128] 0-REBALANCE-1 1-REBALANCE-2"},
        {keyed, "[Source: S -> A 2/128][B -> P: Writer 2/128] 0-HASH-1"},
        {fork_of_two,
         "[Source: S -> A 2/128][B -> P: Writer 2/128][Q: Writer 2/128] 0-FORWARD-1 0-FORWARD-2"},
        {unchained,
         "[Source: S 2/128][A 2/128][B 2/128][P: Writer 2/128] 0-FORWARD-1 1-FORWARD-2 2-FORWARD-3"},
        {unchained_by_old_key,
         "[Source: S 2/128][A 2/128][B 2/128][P: Writer 2/128] 0-FORWARD-1 1-FORWARD-2 2-FORWARD-3"},
        {explicit_default, "[Source: S -> A -> P: Writer 2/128]"},
    };
    static const char *const strategies[] = {"FORWARD", "HASH", "REBALANCE"};
    weir_job_descriptor job = {WEIR_JOB_MAGIC, sizeof job, WEIR_API_MAJOR,
                               WEIR_API_MINOR, "Chains",   chain_main};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        chain_case = cases[i].build;
        char *argv[] = {"x", NULL}, text[512];
        Weir__JobGraph *graph = graph_of(&job, 2, argv);
        size_t used = 0;
        for (size_t v = 0; v < graph->n_vertices; v++)
            used += (size_t)snprintf(text + used, sizeof text - used, "[%s %u/%u]", graph->vertices[v]->name,
                                     graph->vertices[v]->parallelism, graph->vertices[v]->max_parallelism);
        for (size_t e = 0; e < graph->n_edges; e++)
            used += (size_t)snprintf(text + used, sizeof text - used, " %u-%s-%u", graph->edges[e]->source,
                                     strategies[graph->edges[e]->strategy], graph->edges[e]->target);
        assert_string_equal(text, cases[i].plan);
        free_graph(graph);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(click_event_count),
        cmocka_unit_test(click_event_count_chained),
        cmocka_unit_test(click_event_count_backpressure),
        cmocka_unit_test(click_event_count_options),
        cmocka_unit_test(fingerprints),
        cmocka_unit_test(survives_the_wire),
        cmocka_unit_test(chaining),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
