/* Builder functions for what a stream begins and ends with. */
#include "common/api/env.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* What Kafka itself allows: up to 249 of a-z A-Z 0-9 . _ -, but not "." and "..". */
static bool topic_take(const struct draft *draft, const char **topic)
{
    if (!draft_text(draft, ".topic", topic, true))
        return false;
    size_t length = strlen(*topic);
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (length > 249 || strspn(*topic, allowed) != length || strcmp(*topic, ".") == 0 ||
        strcmp(*topic, "..") == 0)
        return draft_mistake(draft,
                             ".topic \"%.100s\" is not a topic's name: 1 to 249 letters, digits, dots, "
                             "underscores, hyphens",
                             *topic),
               false;
    return true;
}

static struct weir_stream *kafka_source_check(struct draft *draft)
{
    weir_kafka_source_options *options = &draft->node->options.kafka_source;
    if (!draft_type(draft, ".type", options->type))
        return draft_broken(draft);
    draft->node->output_type = options->type;
    if (!options->decode)
        return draft_mistake(draft, ".decode is missing");
    if (!topic_take(draft, &options->topic) ||
        !draft_text(draft, ".bootstrap_servers", &options->bootstrap_servers, true) ||
        !draft_text(draft, ".group_id", &options->group_id, false) ||
        !draft_properties(draft, &options->properties) || !draft_watermarks(draft, &options->watermarks))
        return draft_broken(draft);
    if ((unsigned)options->start > WEIR_START_TIMESTAMP)
        return draft_mistake(draft, ".start is %d; it must be one of weir_kafka_start", (int)options->start);
    if (options->start == WEIR_START_COMMITTED && !options->group_id)
        return draft_mistake(
            draft, ".group_id is missing: to start from a group's committed offsets, the default of "
                   ".start, needs one");
    if (options->start == WEIR_START_TIMESTAMP && options->start_timestamp_ms < 0)
        return draft_mistake(draft, ".start_timestamp_ms is negative");
    if ((unsigned)options->on_bad_record > WEIR_BAD_RECORD_SKIP)
        return draft_mistake(draft, ".on_bad_record is %d; it must be one of weir_bad_record",
                             (int)options->on_bad_record);
    return draft_finish(draft);
}

weir_stream *weir_from_kafka_with(weir_env *env, const weir_kafka_source_options *options)
{
    struct draft draft;
    if (!draft_begin(&draft, env, NULL, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE, options, sizeof *options))
        return draft_broken(&draft);
    return kafka_source_check(&draft);
}

static bool rate_is_valid(const struct draft *draft, double records_per_second)
{
    if (isfinite(records_per_second) && records_per_second >= 0)
        return true;
    draft_mistake(draft, ".records_per_second is negative or not a number");
    return false;
}

weir_stream *weir_from_generator_with(weir_env *env, const weir_generator_source_options *options)
{
    struct draft draft;
    if (!draft_begin(&draft, env, NULL, WEIR__OPERATOR_KIND__OPERATOR_GENERATOR_SOURCE, options,
                     sizeof *options))
        return draft_broken(&draft);
    weir_generator_source_options *mine = &draft.node->options.generator_source;
    if (!draft_type(&draft, ".type", mine->type))
        return draft_broken(&draft);
    draft.node->output_type = mine->type;
    if (!mine->generate)
        return draft_mistake(&draft, ".generate is missing");
    if (mine->count < 0)
        return draft_mistake(&draft, ".count is negative");
    if (!rate_is_valid(&draft, mine->records_per_second) || !draft_watermarks(&draft, &mine->watermarks))
        return draft_broken(&draft);
    return draft_finish(&draft);
}

weir_stream *weir_from_sequence_with(weir_env *env, const weir_sequence_source_options *options)
{
    struct draft draft;
    if (!draft_begin(&draft, env, NULL, WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE, options,
                     sizeof *options))
        return draft_broken(&draft);
    weir_sequence_source_options *mine = &draft.node->options.sequence_source;
    draft.node->output_type = &weir_sequence_element_type;
    int64_t count;
    if (mine->from > mine->to)
        return draft_mistake(&draft, ".from is greater than .to");
    if (__builtin_sub_overflow(mine->to, mine->from, &count) || __builtin_add_overflow(count, 1, &count))
        return draft_mistake(&draft, ".from to .to has more than 2^63 - 1 values");
    if (!rate_is_valid(&draft, mine->records_per_second) || !draft_watermarks(&draft, &mine->watermarks))
        return draft_broken(&draft);
    return draft_finish(&draft);
}

void weir_to_kafka_with(weir_stream *input, const weir_kafka_sink_options *options)
{
    struct draft draft;
    if (!draft_begin(&draft, input ? input->env : NULL, input, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SINK,
                     options, sizeof *options))
        return;
    weir_kafka_sink_options *mine = &draft.node->options.kafka_sink;
    if (!mine->encode) {
        draft_mistake(&draft, ".encode is missing");
        return;
    }
    if (!topic_take(&draft, &mine->topic) ||
        !draft_text(&draft, ".bootstrap_servers", &mine->bootstrap_servers, true) ||
        !draft_properties(&draft, &mine->properties))
        return;
    if ((unsigned)mine->delivery > WEIR_DELIVERY_NONE) {
        draft_mistake(&draft, ".delivery is %d; it must be one of weir_delivery", (int)mine->delivery);
        return;
    }
    draft_finish(&draft);
}

void weir_print_with(weir_stream *input, const weir_print_sink_options *options)
{
    struct draft draft;
    if (draft_begin(&draft, input ? input->env : NULL, input, WEIR__OPERATOR_KIND__OPERATOR_PRINT_SINK,
                    options, sizeof *options))
        draft_finish(&draft);
}

void weir_discard_with(weir_stream *input, const weir_discard_sink_options *options)
{
    struct draft draft;
    if (draft_begin(&draft, input ? input->env : NULL, input, WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK,
                    options, sizeof *options))
        draft_finish(&draft);
}
