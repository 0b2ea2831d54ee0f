/* The mistakes a job's main function can make, each with its sentence. */
#include "tests/unit/builder_parts.h"

/* A map with this record type, ended by a sink. */
static void map_to(weir_env *env, const weir_record_type *type)
{
    weir_discard(weir_map(SOURCE(), .type = type, .map = map));
}

static void window_with(weir_env *env, const weir_aggregate *aggregate)
{
    weir_discard(weir_window(weir_key_by(SOURCE(), "page"), WEIR_NAMED("W", "w"),
                             .kind = WEIR_TUMBLING_EVENT_TIME, .size_ms = 1, .aggregate = aggregate,
                             .type = &counter_type, .window = window));
}

static char long_text[5000];
static const weir_field twice[] = {{"a", WEIR_TYPE_int64, 0}, {"a", WEIR_TYPE_int64, 8}};
static const weir_field overlapping[] = {{"a", WEIR_TYPE_int64, 0}, {"b", WEIR_TYPE_string, 4}};
static const weir_field outside[] = {{"a", WEIR_TYPE_int64, 8}};
static const weir_field unaligned[] = {{"a", WEIR_TYPE_int64, 4}};
static const weir_field unknown_type[] = {{"a", (weir_field_type)77, 0}};
static const weir_field unnamed[] = {{NULL, WEIR_TYPE_int64, 0}};
#define TYPE(size_, alignment_, count_, fields_)                                                             \
    &(const weir_record_type)                                                                                \
    {                                                                                                        \
        sizeof(weir_record_type), "odd", size_, alignment_, count_, fields_                                  \
    }

static void build_case(weir_env *env, int number)
{
    switch (number) {
    case 0:
        break;
    case 1:
        SOURCE();
        break;
    case 2:
        KAFKA(o.operator_ = (weir_operator_options){.name = "In"});
        break;
    case 3:
        KAFKA(o.operator_ = (weir_operator_options){.uid = "in", .name = ""});
        break;
    case 4:
        KAFKA(o.operator_ = (weir_operator_options){.uid = "in", .name = long_text});
        break;
    case 5:
        KAFKA(o.operator_ = (weir_operator_options){.uid = "i\nn", .name = "In"});
        break;
    case 6:
        KAFKA(o.operator_ = (weir_operator_options){.uid = "weir:map:3", .name = "In"});
        break;
    case 7:
        weir_discard(SOURCE());
        weir_discard(SOURCE());
        break;
    case 8:
        KAFKA(o.operator_ = (weir_operator_options){.uid = "in", .name = "In", .parallelism = 32769});
        break;
    case 9:
        KAFKA(o.operator_ = (weir_operator_options){.uid = "in", .name = "In", .reserved32_ = 1});
        break;
    case 10:
        KAFKA(o.type = NULL);
        break;
    case 11:
        KAFKA(o.decode = NULL);
        break;
    case 12:
        KAFKA(o.topic = NULL);
        break;
    case 13:
        KAFKA(o.topic = "with space");
        break;
    case 14:
        KAFKA(o.topic = "..");
        break;
    case 15:
        KAFKA(o.bootstrap_servers = NULL);
        break;
    case 16:
        KAFKA(o.group_id = NULL);
        break;
    case 17:
        KAFKA(o.start = (weir_kafka_start)9);
        break;
    case 18:
        KAFKA(o.start = WEIR_START_TIMESTAMP, o.start_timestamp_ms = -1);
        break;
    case 19:
        KAFKA(o.on_bad_record = (weir_bad_record)5);
        break;
    case 20:
        KAFKA(o.properties = (const char *const[]){"a=b", "nonsense", NULL});
        break;
    case 21:
        KAFKA(o.watermarks = (weir_watermark_strategy){.timestamp_field = "nope"});
        break;
    case 22:
        KAFKA(o.watermarks = (weir_watermark_strategy){.timestamp_field = "page"});
        break;
    case 23:
        KAFKA(o.watermarks = (weir_watermark_strategy){.out_of_orderness_ms = -1});
        break;
    case 24:
        KAFKA(o.watermarks = (weir_watermark_strategy){.idleness_ms = -1});
        break;
    case 25:
        KAFKA(o.struct_size = sizeof(weir_kafka_source_options) + 8);
        break;
    case 26:
        KAFKA(o.struct_size = 0);
        break;
    case 27:
        weir_from_kafka_with(env, NULL);
        break;
    case 28:
        weir_discard(weir_from_generator(env, WEIR_NAMED("G", "g"), .type = &event_type));
        break;
    case 29:
        weir_discard(weir_from_generator(env, WEIR_NAMED("G", "g"), .type = &event_type, .generate = generate,
                                         .count = -1));
        break;
    case 30:
        weir_discard(weir_from_generator(env, WEIR_NAMED("G", "g"), .type = &event_type, .generate = generate,
                                         .records_per_second = -1));
        break;
    case 31:
        weir_discard(weir_from_sequence(env, WEIR_NAMED("S", "s"), .from = 2, .to = 1));
        break;
    case 32:
        weir_discard(weir_from_sequence(env, WEIR_NAMED("S", "s"), .from = INT64_MIN, .to = INT64_MAX));
        break;
    case 33:
        weir_discard(weir_from_sequence(env, .from = 1, .to = 2));
        break;
    case 34:
        weir_discard(weir_map(SOURCE(), .type = &event_type));
        break;
    case 35:
        map_to(env, NULL);
        break;
    case 36:
        weir_discard(weir_filter(SOURCE(), .operator_ = {.name = "Keep"}));
        break;
    case 37:
        weir_discard(weir_map(NULL, .type = &event_type, .map = map));
        break;
    case 38:
        weir_discard(weir_key_by(SOURCE(), "nope"));
        break;
    case 39:
        weir_discard(weir_key_by(SOURCE(), "price"));
        break;
    case 40:
        weir_discard(weir_key_by(SOURCE(), "page", "page"));
        break;
    case 41:
        weir_discard(weir_key_by_with(SOURCE(), NULL));
        break;
    case 42:
        weir_discard(weir_key_by(NULL, "page"));
        break;
    case 43:
        weir_discard(weir_window(SOURCE(), WEIR_NAMED("W", "w"), .kind = WEIR_TUMBLING_EVENT_TIME,
                                 .size_ms = 1, .aggregate = &counting, .type = &counter_type,
                                 .window = window));
        break;
    case 44:
        weir_discard(weir_window(weir_key_by(SOURCE(), "page"), .operator_ = {.name = "W"},
                                 .kind = WEIR_TUMBLING_EVENT_TIME, .size_ms = 1, .aggregate = &counting,
                                 .type = &counter_type, .window = window));
        break;
    case 45:
        weir_discard(weir_window(weir_key_by(SOURCE(), "page"), WEIR_NAMED("W", "w"), .size_ms = 1,
                                 .aggregate = &counting, .type = &counter_type, .window = window));
        break;
    case 46:
        weir_discard(weir_window(weir_key_by(SOURCE(), "page"), WEIR_NAMED("W", "w"),
                                 .kind = WEIR_TUMBLING_EVENT_TIME, .aggregate = &counting,
                                 .type = &counter_type, .window = window));
        break;
    case 47:
        weir_discard(weir_window(weir_key_by(SOURCE(), "page"), WEIR_NAMED("W", "w"),
                                 .kind = WEIR_TUMBLING_EVENT_TIME, .size_ms = 5, .aggregate = &counting,
                                 .type = &counter_type));
        break;
    case 48:
        window_with(env, NULL);
        break;
    case 49:
        window_with(env, &(weir_aggregate){.accumulator = &counter_type, .add = add});
        break;
    case 50:
        window_with(env, &(weir_aggregate){
                             .struct_size = sizeof counting + 8, .accumulator = &counter_type, .add = add});
        break;
    case 51:
        window_with(env, &(weir_aggregate){.struct_size = sizeof counting, .add = add});
        break;
    case 52:
        window_with(
            env, &(weir_aggregate){.struct_size = sizeof counting, .accumulator = &event_type, .add = add});
        break;
    case 53:
        window_with(env, &(weir_aggregate){.struct_size = sizeof counting, .accumulator = &counter_type});
        break;
    case 54:
        window_with(env, &(weir_aggregate){.struct_size = sizeof counting,
                                           .accumulator = &counter_type,
                                           .add = add,
                                           .result = result});
        break;
    case 55:
        window_with(env, &(weir_aggregate){.struct_size = sizeof counting,
                                           .accumulator = &counter_type,
                                           .add = add,
                                           .result_type = &counter_type});
        break;
    case 56:
        window_with(env, &(weir_aggregate){.struct_size = sizeof counting,
                                           .accumulator = &counter_type,
                                           .add = add,
                                           .result = result,
                                           .result_type = &event_type});
        break;
    case 57:
        weir_to_kafka(SOURCE(), .topic = "o", .bootstrap_servers = "b");
        break;
    case 58:
        weir_to_kafka(SOURCE(), .operator_ = {.name = "Out"}, .encode = encode, .bootstrap_servers = "b");
        break;
    case 59:
        weir_to_kafka(SOURCE(), .operator_ = {.name = "Out"}, .encode = encode, .topic = "o");
        break;
    case 60:
        weir_to_kafka(SOURCE(), .operator_ = {.name = "Out"}, .encode = encode, .topic = "o",
                      .bootstrap_servers = "b", .delivery = (weir_delivery)7);
        break;
    case 61:
        weir_print(NULL);
        break;
    case 62:
        map_to(env, TYPE(8, 8, 0, twice));
        break;
    case 63:
        map_to(env, TYPE(16, 8, 2, twice));
        break;
    case 64:
        map_to(env, TYPE(16, 8, 2, overlapping));
        break;
    case 65:
        map_to(env, TYPE(8, 8, 1, outside));
        break;
    case 66:
        map_to(env, TYPE(16, 8, 1, unaligned));
        break;
    case 67:
        map_to(env, TYPE(8, 8, 1, unknown_type));
        break;
    case 68:
        map_to(env, TYPE(8, 8, 1, unnamed));
        break;
    case 69:
        map_to(env, TYPE(8, 8, 17, twice));
        break;
    case 70:
        map_to(env, TYPE(8, 16, 1, twice));
        break;
    case 71:
        map_to(env, TYPE(2048, 8, 1, twice));
        break;
    case 72:
        map_to(env, &(const weir_record_type){sizeof(weir_record_type) + 8, "odd", 8, 8, 1, twice});
        break;
    case 73:
        weir_set_parallelism(env, 0);
        break;
    case 74:
        weir_enable_checkpointing(env, 0);
        break;
    case 75:
        weir_set_config(env, "", "x");
        break;
    case 76:
        weir_set_config(env, "a.b", NULL);
        break;
    case 77:
        weir_set_job_name(env, "");
        break;
    case 78: /* the first mistake counts, and what is built on it says nothing */
        weir_to_kafka(weir_map(weir_key_by(weir_filter(SOURCE(), .operator_ = {.name = "First"}), "x")),
                      .operator_ = {.name = "Second"});
        break;
    case 79:
        KAFKA(o.properties = (const char *const[]){"=b", NULL});
        break;
    case 80:
        weir_discard(weir_key_by(SOURCE(), "at", "page", "amount", "small", "at2"));
        break;
    default:
        fail_msg("no case %d", number);
    }
}

#define IN "operator \"In\" (weir_from_kafka): "
static const char *const sentences[] = {
    [0] = "the job \"Mistakes\" has no operators: its main function built nothing",
    [1] = IN "nothing takes its records; end the stream with a sink, if only weir_discard",
    [2] = IN ".uid is missing: an operator with state needs one, by which its state is found again",
    [3] = "operator 0 (weir_from_kafka): .name is empty",
    [4] = "operator 0 (weir_from_kafka): .name is too long",
    [5] = IN ".uid has a control character",
    [6] = IN ".uid \"weir:map:3\": uids that begin with \"weir:\" are derived ones",
    [7] = IN ".uid \"in\" is already that of operator \"In\"",
    [8] = IN ".parallelism is 32769; it can be at most 32768",
    [9] = IN "its reserved options are not zero: they are of a newer weir.h",
    [10] = IN ".type is missing",
    [11] = IN ".decode is missing",
    [12] = IN ".topic is missing",
    [13] = IN
    ".topic \"with space\" is not a topic's name: 1 to 249 letters, digits, dots, underscores, hyphens",
    [14] = IN ".topic \"..\" is not a topic's name: 1 to 249 letters, digits, dots, underscores, hyphens",
    [15] = IN ".bootstrap_servers is missing",
    [16] = IN
    ".group_id is missing: to start from a group's committed offsets, the default of .start, needs one",
    [17] = IN ".start is 9; it must be one of weir_kafka_start",
    [18] = IN ".start_timestamp_ms is negative",
    [19] = IN ".on_bad_record is 5; it must be one of weir_bad_record",
    [20] = IN ".properties: \"nonsense\" is not of the form key=value",
    [21] = IN ".watermarks.timestamp_field: the record \"event\" has no field \"nope\"",
    [22] = IN ".watermarks.timestamp_field: the field \"page\" is neither timestamp nor int64",
    [23] = IN ".watermarks.out_of_orderness_ms is negative",
    [24] = IN ".watermarks.idleness_ms is negative",
    [25] = NULL, /* sizes: see options_of_other_sizes */
    [26] = "operator 0 (weir_from_kafka): .struct_size is not set; use the macro, not the _with function",
    [27] = "operator 0 (weir_from_kafka): its options are missing",
    [28] = "operator \"G\" (weir_from_generator): .generate is missing",
    [29] = "operator \"G\" (weir_from_generator): .count is negative",
    [30] = "operator \"G\" (weir_from_generator): .records_per_second is negative or not a number",
    [31] = "operator \"S\" (weir_from_sequence): .from is greater than .to",
    [32] = "operator \"S\" (weir_from_sequence): .from to .to has more than 2^63 - 1 values",
    [33] = "operator \"Sequence Source\" (weir_from_sequence): .uid is missing: an operator with state needs "
           "one, by "
           "which its state is found again",
    [34] = "operator \"Map\" (weir_map): .map is missing",
    [35] = "operator \"Map\" (weir_map): .type is missing",
    [36] = "operator \"Keep\" (weir_filter): .filter is missing",
    [37] = "weir_map: the input stream is NULL",
    [38] = "weir_key_by behind operator \"In\": the record \"event\" has no field \"nope\"",
    [39] = "weir_key_by behind operator \"In\": the field \"price\" is a float64, which can't be a key: "
           "equal numbers may "
           "have different bytes",
    [40] = "weir_key_by behind operator \"In\": the field \"page\" is named twice",
    [41] = "weir_key_by behind operator \"In\": no field is named",
    [42] = "weir_key_by: the input stream is NULL",
    [43] = "operator \"W\" (weir_window): the stream has no key: call weir_key_by before it",
    [44] = "operator \"W\" (weir_window): .uid is missing: an operator with state needs one, by which its "
           "state is found "
           "again",
    [45] = "operator \"W\" (weir_window): .kind is 0; it must be one of weir_window_kind",
    [46] = "operator \"W\" (weir_window): .size_ms is 0; it must be at least 1",
    [47] = "operator \"W\" (weir_window): .window is missing",
    [48] = "operator \"W\" (weir_window): .aggregate is missing",
    [49] = "operator \"W\" (weir_window): .aggregate: .struct_size is not set",
    [50] = "operator \"W\" (weir_window): .aggregate is of a newer weir.h than this libweir (API 1.0) knows",
    [51] = "operator \"W\" (weir_window): .aggregate: .accumulator is missing",
    [52] = "operator \"W\" (weir_window): .aggregate: the accumulator \"event\" has a string or bytes field, "
           "which can't "
           "grow in place",
    [53] = "operator \"W\" (weir_window): .aggregate: .add is missing",
    [54] = "operator \"W\" (weir_window): .aggregate: .result is given, but no .result_type",
    [55] = "operator \"W\" (weir_window): .aggregate: .result_type is given, but no .result",
    [56] = "operator \"W\" (weir_window): .aggregate: the result \"event\" has a string or bytes field, "
           "which can't be set",
    [57] = "operator \"Kafka Sink\" (weir_to_kafka): .encode is missing",
    [58] = "operator \"Out\" (weir_to_kafka): .topic is missing",
    [59] = "operator \"Out\" (weir_to_kafka): .bootstrap_servers is missing",
    [60] = "operator \"Out\" (weir_to_kafka): .delivery is 7; it must be one of weir_delivery",
    [61] = "weir_print: the input stream is NULL",
#define ODD "operator \"Map\" (weir_map): .type: the record type \"odd\": "
    [62] = ODD "has no fields",
    [63] = ODD "two fields have the same name",
    [64] = ODD "two fields overlap",
    [65] = ODD "a field lies outside the record",
    [66] = ODD "a field is not aligned",
    [67] = ODD "a field is of a type that this version doesn't know",
    [68] = ODD "a field's name is missing, empty, too long or has a control character",
    [69] = ODD "has more than 16 fields",
    [70] = ODD "has an alignment that is neither 4 nor 8",
    [71] = ODD "has a size that is not 4 to 1024 bytes, or not a multiple of its alignment",
    [72] = "operator \"Map\" (weir_map): .type: the record type: was declared by a newer weir.h than this "
           "libweir knows",
    [73] = "weir_set_parallelism: a parallelism of 0; it must be 1 to 32768",
    [74] = "weir_enable_checkpointing: an interval of 0 ms; it must be at least 1 ms",
    [75] = "weir_set_config: the key is empty",
    [76] = "weir_set_config: the value of a.b is missing",
    [77] = "weir_set_job_name: the name is empty",
    [78] = "operator \"First\" (weir_filter): .filter is missing",
    [79] = IN ".properties: \"=b\" is not of the form key=value",
    [80] = "weir_key_by behind operator \"In\": the record \"event\" has no field \"at2\"",
};

static int case_number;

static int mistakes_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    build_case(env, case_number);
    return 0;
}

static void mistakes(void **state)
{
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    for (case_number = 0; case_number < (int)(sizeof sentences / sizeof sentences[0]); case_number++) {
        struct stream_graph *graph = NULL;
        struct error err = {0};
        if (build_with(mistakes_main, &one, NULL, &graph, &err) == 0)
            fail_msg("case %d was accepted", case_number);
        assert_null(graph);
        assert_int_equal(err.rc, WEIR_E_INVALID);
        if (sentences[case_number] && strcmp(err.message, sentences[case_number]) != 0)
            fail_msg("case %d:\n  %s\nwhere\n  %s\nwas expected", case_number, err.message,
                     sentences[case_number]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
