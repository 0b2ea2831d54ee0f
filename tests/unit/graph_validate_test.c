/* Validation of job graphs: a good one passes, each single spoilt field is refused with a message that names
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/graph/graph_validate.h"

/* All in static memory: source -> hash -> window -> forward -> [map, sink]; sink2 at the source. */
static struct {
    Weir__FieldDescriptor fields[8][2];
    Weir__FieldDescriptor *field_lists[8][2];
    Weir__RecordDescriptor records[8];
    Weir__Operator operators[5];
    Weir__Operator *operator_lists[4][2];
    Weir__Vertex vertices[4];
    Weir__Vertex *vertex_list[4];
    Weir__Edge edges[3];
    Weir__Edge *edge_list[3];
    char *keys[9];
    uint8_t ids[4][16];
    Weir__KeyValue setting;
    Weir__KeyValue *settings[1];
    Weir__JobGraph graph;
} g;

static Weir__RecordDescriptor *record(int i)
{
    for (int k = 0; k < 2; k++) {
        weir__field_descriptor__init(&g.fields[i][k]);
        g.fields[i][k].name = (char *)(k == 0 ? "time" : "page");
        g.fields[i][k].type = k == 0 ? WEIR__FIELD_TYPE__FIELD_TIMESTAMP : WEIR__FIELD_TYPE__FIELD_STRING;
        g.fields[i][k].offset = (uint32_t)k * 8;
        g.field_lists[i][k] = &g.fields[i][k];
    }
    weir__record_descriptor__init(&g.records[i]);
    g.records[i].name = (char *)"event";
    g.records[i].size = 16;
    g.records[i].alignment = 8;
    g.records[i].fields = g.field_lists[i];
    g.records[i].n_fields = 2;
    return &g.records[i];
}

static void op(int i, Weir__OperatorKind kind, const char *uid, int input, int output)
{
    weir__operator__init(&g.operators[i]);
    g.operators[i].kind = kind;
    g.operators[i].uid = (char *)uid;
    g.operators[i].name = (char *)uid;
    g.operators[i].description = (char *)"";
    g.operators[i].input = input >= 0 ? record(input) : NULL;
    g.operators[i].output = output >= 0 ? record(output) : NULL;
}

static void vertex(int i, const char *name, uint32_t parallelism, int first, int count)
{
    weir__vertex__init(&g.vertices[i]);
    g.ids[i][0] = (uint8_t)(i + 1);
    g.vertices[i].id = (ProtobufCBinaryData){16, g.ids[i]};
    g.vertices[i].name = (char *)name;
    g.vertices[i].parallelism = parallelism;
    g.vertices[i].max_parallelism = 128;
    for (int k = 0; k < count; k++)
        g.operator_lists[i][k] = &g.operators[first + k];
    g.vertices[i].operators = g.operator_lists[i];
    g.vertices[i].n_operators = (size_t)count;
    g.vertex_list[i] = &g.vertices[i];
}

static void edge(int i, uint32_t source, uint32_t target, Weir__ShipStrategy strategy)
{
    weir__edge__init(&g.edges[i]);
    g.edges[i].source = source;
    g.edges[i].target = target;
    g.edges[i].strategy = strategy;
    g.edge_list[i] = &g.edges[i];
}

static void build(void)
{
    memset(&g, 0, sizeof g);
    op(0, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE, "source", -1, 0);
    op(1, WEIR__OPERATOR_KIND__OPERATOR_WINDOW, "window", 1, 2);
    op(2, WEIR__OPERATOR_KIND__OPERATOR_MAP, "map", 3, 4);
    op(3, WEIR__OPERATOR_KIND__OPERATOR_PRINT_SINK, "sink", 5, -1);
    op(4, WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK, "sink2", 6, -1);
    vertex(0, "Source", 2, 0, 1);
    vertex(1, "Window", 4, 1, 1);
    vertex(2, "Map -> Sink", 4, 2, 2);
    vertex(3, "Sink 2", 1, 4, 1);
    edge(0, 0, 1, WEIR__SHIP_STRATEGY__SHIP_HASH);
    edge(1, 1, 2, WEIR__SHIP_STRATEGY__SHIP_FORWARD);
    edge(2, 0, 3, WEIR__SHIP_STRATEGY__SHIP_REBALANCE);
    g.keys[0] = (char *)"page";
    g.edges[0].key_fields = g.keys;
    g.edges[0].n_key_fields = 1;
    weir__key_value__init(&g.setting);
    g.setting.key = (char *)"execution.checkpointing.interval";
    g.setting.value = (char *)"1 s";
    g.settings[0] = &g.setting;
    weir__job_graph__init(&g.graph);
    g.graph.version = 1;
    g.graph.name = (char *)"Click Event Count";
    g.graph.vertices = g.vertex_list;
    g.graph.n_vertices = 4;
    g.graph.edges = g.edge_list;
    g.graph.n_edges = 3;
    g.graph.configuration = g.settings;
    g.graph.n_configuration = 1;
}

static char long_text[70000];

#define SPOIL(name_, ...)                                                                                    \
    static void name_(void)                                                                                  \
    {                                                                                                        \
        __VA_ARGS__;                                                                                         \
    }
SPOIL(version, g.graph.version = 2)
SPOIL(no_name, g.graph.name = (char *)"")
SPOIL(control_character, g.graph.name = (char *)"a\nb")
SPOIL(not_utf8, g.graph.name = (char *)"a\xc3(")
SPOIL(surrogate, g.graph.name = (char *)"\xed\xa0\x80")
SPOIL(cut_utf8, g.graph.name = (char *)"\xf0\x9f\x98")
SPOIL(name_too_long, g.vertices[1].name = long_text)
SPOIL(no_vertices, g.graph.n_vertices = 0; g.graph.n_edges = 0)
SPOIL(too_many_vertices, g.graph.n_vertices = 4097)
SPOIL(short_id, g.vertices[0].id.len = 15)
SPOIL(same_id, g.ids[3][0] = 1)
SPOIL(no_parallelism, g.vertices[0].parallelism = 0)
SPOIL(above_maximum, g.vertices[0].parallelism = 129)
SPOIL(maximum_too_large, g.vertices[0].max_parallelism = 32769)
SPOIL(no_maximum, g.vertices[0].max_parallelism = 0)
SPOIL(too_many_subtasks,
      for (int i = 0; i < 4; i++) g.vertices[i].parallelism = g.vertices[i].max_parallelism = 32768)
SPOIL(no_operators, g.vertices[3].n_operators = 0)
SPOIL(unknown_kind, g.operators[2].kind = (Weir__OperatorKind)10)
SPOIL(kind_zero, g.operators[2].kind = WEIR__OPERATOR_KIND__OPERATOR_UNKNOWN)
SPOIL(negative_kind, g.operators[2].kind = (Weir__OperatorKind)-1)
SPOIL(no_uid, g.operators[2].uid = (char *)"")
SPOIL(same_uid, g.operators[4].uid = (char *)"source")
SPOIL(long_description, g.operators[0].description = long_text)
SPOIL(source_with_input, g.operators[0].input = record(7))
SPOIL(map_without_input, g.operators[2].input = NULL)
SPOIL(map_without_output, g.operators[2].output = NULL)
SPOIL(sink_with_output, g.operators[3].output = record(7))
SPOIL(chain_differs, g.fields[5][1].name = (char *)"other")
SPOIL(window_in_chain, g.operators[3].kind = WEIR__OPERATOR_KIND__OPERATOR_WINDOW;
      g.operators[3].output = record(7))
SPOIL(source_in_chain, g.operators[3].kind = WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE;
      g.operators[3].input = NULL; g.operators[3].output = record(7))
SPOIL(edge_out_of_range, g.edges[2].target = 4)
SPOIL(edge_back, g.edges[1].source = 2; g.edges[1].target = 1)
SPOIL(edge_to_itself, g.edges[1].source = 2)
SPOIL(edge_from_sink, g.edges[2].source = 2; g.edges[2].target = 3)
SPOIL(edge_records_differ, g.fields[1][1].type = WEIR__FIELD_TYPE__FIELD_BYTES)
SPOIL(forward_unequal, g.vertices[2].parallelism = 3)
SPOIL(unknown_strategy, g.edges[1].strategy = (Weir__ShipStrategy)9)
SPOIL(window_not_keyed, g.edges[0].strategy = WEIR__SHIP_STRATEGY__SHIP_REBALANCE;
      g.edges[0].n_key_fields = 0)
SPOIL(no_keys, g.edges[0].n_key_fields = 0)
SPOIL(too_many_keys, for (int i = 0; i < 9; i++) g.keys[i] = (char *)"page"; g.edges[0].n_key_fields = 9)
SPOIL(key_not_there, g.keys[0] = (char *)"user")
SPOIL(keys_without_hash, g.edges[1].key_fields = g.keys; g.edges[1].n_key_fields = 1)
SPOIL(no_input, g.graph.n_edges = 2)
SPOIL(two_inputs, g.edges[2].target = 1; g.edges[2].strategy = WEIR__SHIP_STRATEGY__SHIP_HASH;
      g.edges[2].key_fields = g.keys; g.edges[2].n_key_fields = 1)
SPOIL(no_size, g.records[0].size = 0)
SPOIL(large_size, g.records[0].size = (1 << 20) + 8)
SPOIL(alignment, g.records[0].alignment = 3)
SPOIL(alignment_16, g.records[0].alignment = 16)
SPOIL(size_not_multiple, g.records[0].size = 20)
SPOIL(no_fields, g.records[0].n_fields = 0)
SPOIL(field_outside, g.fields[0][1].offset = 12)
SPOIL(field_far_outside, g.fields[0][1].offset = UINT32_MAX - 3)
SPOIL(fields_overlap, g.fields[0][1].offset = 4)
SPOIL(field_unaligned, g.fields[0][0].offset = 4; g.fields[0][1].offset = 0)
SPOIL(field_type, g.fields[0][0].type = (Weir__FieldType)7)
SPOIL(field_name_twice, g.fields[0][1].name = (char *)"time")
SPOIL(field_without_name, g.fields[0][1].name = (char *)"")
SPOIL(setting_without_key, g.setting.key = (char *)"")
SPOIL(long_setting, g.setting.value = long_text)

static const struct {
    void (*spoil)(void);
    int rc;
    const char *message;
} cases[] = {
    {version, WEIR_E_VERSION, "format 2"},
    {no_name, WEIR_E_INVALID, "name of the job is empty"},
    {control_character, WEIR_E_INVALID, "control character"},
    {not_utf8, WEIR_E_INVALID, "UTF-8"},
    {surrogate, WEIR_E_INVALID, "UTF-8"},
    {cut_utf8, WEIR_E_INVALID, "UTF-8"},
    {name_too_long, WEIR_E_LIMIT, "name of vertex 1"},
    {no_vertices, WEIR_E_INVALID, "no operators"},
    {too_many_vertices, WEIR_E_LIMIT, "4097"},
    {short_id, WEIR_E_INVALID, "15 bytes"},
    {same_id, WEIR_E_INVALID, "same id"},
    {no_parallelism, WEIR_E_LIMIT, "parallelism of Source is 0"},
    {above_maximum, WEIR_E_LIMIT, "1…128"},
    {maximum_too_large, WEIR_E_LIMIT, "32769"},
    {no_maximum, WEIR_E_LIMIT, "maximum parallelism of Source is 0"},
    {too_many_subtasks, WEIR_E_LIMIT, "131072 subtasks"},
    {no_operators, WEIR_E_INVALID, "Sink 2 has no operators"},
    {unknown_kind, WEIR_E_INVALID, "unknown kind 10"},
    {kind_zero, WEIR_E_INVALID, "unknown kind 0"},
    {negative_kind, WEIR_E_INVALID, "unknown kind"},
    {no_uid, WEIR_E_INVALID, "uid of an operator in vertex 2 is empty"},
    {same_uid, WEIR_E_INVALID, "two operators have the uid source"},
    {long_description, WEIR_E_LIMIT, "description of operator source"},
    {source_with_input, WEIR_E_INVALID, "is a source and has an input"},
    {map_without_input, WEIR_E_INVALID, "has no input record"},
    {map_without_output, WEIR_E_INVALID, "has no output record"},
    {sink_with_output, WEIR_E_INVALID, "is a sink and has an output"},
    {chain_differs, WEIR_E_INVALID, "map emits other records than sink"},
    {window_in_chain, WEIR_E_INVALID, "needs keyed input"},
    {source_in_chain, WEIR_E_INVALID, "a source must be first"},
    {edge_out_of_range, WEIR_E_INVALID, "but there are 4"},
    {edge_back, WEIR_E_INVALID, "topological order"},
    {edge_to_itself, WEIR_E_INVALID, "topological order"},
    {edge_from_sink, WEIR_E_INVALID, "a sink has no output"},
    {edge_records_differ, WEIR_E_INVALID, "records given and taken differ"},
    {forward_unequal, WEIR_E_INVALID, "forwards between parallelism 4 and 3"},
    {unknown_strategy, WEIR_E_INVALID, "unknown strategy 9"},
    {window_not_keyed, WEIR_E_INVALID, "needs keyed input"},
    {no_keys, WEIR_E_INVALID, "hashes by 0 fields"},
    {too_many_keys, WEIR_E_INVALID, "hashes by 9 fields"},
    {key_not_there, WEIR_E_INVALID, "key field user"},
    {keys_without_hash, WEIR_E_INVALID, "does not hash"},
    {no_input, WEIR_E_INVALID, "Sink 2 has 0 inputs"},
    {two_inputs, WEIR_E_INVALID, "Window has 2 inputs"},
    {no_size, WEIR_E_LIMIT, "output of operator source"},
    {large_size, WEIR_E_LIMIT, "1048584"},
    {alignment, WEIR_E_INVALID, "alignment of 3"},
    {alignment_16, WEIR_E_INVALID, "alignment of 16"},
    {size_not_multiple, WEIR_E_INVALID, "no multiple"},
    {no_fields, WEIR_E_LIMIT, "0 fields"},
    {field_outside, WEIR_E_INVALID, "outside the record"},
    {field_far_outside, WEIR_E_INVALID, "outside the record"},
    {fields_overlap, WEIR_E_INVALID, "overlap"},
    {field_unaligned, WEIR_E_INVALID, "not aligned"},
    {field_type, WEIR_E_INVALID, "unknown type 7"},
    {field_name_twice, WEIR_E_INVALID, "two fields are called time"},
    {field_without_name, WEIR_E_INVALID, "name of a field is empty"},
    {setting_without_key, WEIR_E_INVALID, "key of one of the job's settings"},
    {long_setting, WEIR_E_LIMIT, "execution.checkpointing.interval"},
};

static void a_good_graph_passes(void **state)
{
    (void)state;
    struct error err = {0};
    build();
    int rc = graph_validate(&g.graph, &err);
    if (rc != 0)
        fail_msg("%s", err.message);
    g.graph.name = (char *)"Zählung 点击 😀";
    assert_int_equal(graph_validate(&g.graph, &err), 0);
    g.graph.n_vertices = 1; /* a source alone */
    g.graph.n_edges = 0;
    assert_int_equal(graph_validate(&g.graph, NULL), 0);
}

static void each_spoilt_field_is_named(void **state)
{
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        build();
        cases[i].spoil();
        int rc = graph_validate(&g.graph, &err);
        if (rc != cases[i].rc || err.rc != rc || !strstr(err.message, cases[i].message))
            fail_msg("\"%s\": %d, %s", cases[i].message, rc, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_graph_passes),
        cmocka_unit_test(each_spoilt_field_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
