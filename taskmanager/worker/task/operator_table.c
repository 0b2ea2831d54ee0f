#include "taskmanager/worker/task/operator_table.h"

operator_new_fn *const operator_table[OPERATOR_KINDS] = {
    [WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE] = kafka_source_new,
    [WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE] = generator_source_new,
    [WEIR__OPERATOR_KIND__OPERATOR_GENERATOR_SOURCE] = generator_source_new,
    [WEIR__OPERATOR_KIND__OPERATOR_MAP] = map_operator_new,
    [WEIR__OPERATOR_KIND__OPERATOR_FILTER] = filter_operator_new,
    [WEIR__OPERATOR_KIND__OPERATOR_WINDOW] = window_operator_new,
    [WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SINK] = kafka_sink_new,
    [WEIR__OPERATOR_KIND__OPERATOR_PRINT_SINK] = print_sink_new,
    [WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK] = discard_sink_new,
};
