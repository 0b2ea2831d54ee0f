/* What all sources share on the way out: the record's timestamp by the watermark strategy, the splits'
 * watermarks, and what is said downstream of them. Owned by one source on its task's thread. */
#ifndef WEIR_CONNECTORS_SOURCE_OUTPUT_H
#define WEIR_CONNECTORS_SOURCE_OUTPUT_H

#include <stdbool.h>
#include <string.h>

#include "taskmanager/worker/operators/operator.h"
#include "taskmanager/worker/watermark/split_watermarks.h"

struct source_output {
    const struct operator_setup *setup; /* of the source that this is a part of */
    weir_collector collector; /* what user functions emit into: sets the timestamp, then setup->collector */
    struct split_watermarks watermarks;
    const weir_field *timestamp_field; /* NULL: the source's time */
    uint32_t split;                    /* whose record is being worked on */
    uint64_t emitted;                  /* records, ever */
    int64_t now_ms;                    /* of this poll */
    bool failed;                       /* downstream took a record badly */
};

/* Errors: the timestamp field doesn't exist or has no time in it. setup must outlive output. */
int source_output_init(struct source_output *output, const struct operator_setup *setup,
                       const weir_record_type *type, const weir_watermark_strategy *strategy,
                       struct error *err) WEIR_CHECK;
void source_output_deinit(struct source_output *output);
/* Before each call of a user function that may emit: whose split, and the source's own time (INT64_MIN:
 * none). */
static inline void source_output_begin(struct source_output *output, uint32_t split, int64_t timestamp_ms)
{
    weir_context *context = output->setup->context;
    output->split = split;
    context->record_timestamp = timestamp_ms;
    context->failed = false;
}
bool source_output_end_badly(struct source_output *output, int returned, struct error *ret_reason);
/* After it. true: all is well. false: the user function said no (returned is its result),
 * setup->context->error says why, or its result when it said nothing; or output->failed, then setup->error is
 * set. The context is clean again. */
static inline bool source_output_end(struct source_output *output, int returned, struct error *ret_reason)
{
    output->collector.used = 0; /* a record begun and not emitted is dropped */
    output->collector.overflow = false;
    if (__builtin_expect(returned == 0 && !output->failed && !output->setup->context->failed, true))
        return true;
    return source_output_end_badly(output, returned, ret_reason);
}
/* After a batch of records and after a change of idleness. */
void source_output_watermark(struct source_output *output);
static inline bool source_output_has_room(const struct source_output *output)
{
    const struct operator_setup *setup = output->setup;
    if (setup->room_is_sure && *setup->room_is_sure)
        return true;
    return !setup->has_room || setup->has_room(setup->task);
}

static inline int64_t source_now(const struct operator_setup *setup)
{
    return setup->context->environment->now(setup->context->environment->self);
}

#endif
