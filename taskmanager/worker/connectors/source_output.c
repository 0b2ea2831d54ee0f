#include "taskmanager/worker/connectors/source_output.h"

#include <string.h>

static int64_t timestamp_of(const weir_field *field, const void *record)
{
    int64_t timestamp;
    memcpy(&timestamp, (const char *)record + field->offset, sizeof timestamp);
    return timestamp;
}

static int emit(struct weir_collector *collector, const void *record, uint32_t size_bytes,
                int64_t timestamp_ms)
{
    struct source_output *output = collector->self;
    weir_collector *next = output->setup->collector;
    if (output->timestamp_field)
        timestamp_ms = timestamp_of(output->timestamp_field, record);
    int rc = next->emit(next, record, size_bytes, timestamp_ms);
    if (rc != 0) {
        output->failed = true;
        return rc;
    }
    output->emitted++;
    split_watermarks_on_record(&output->watermarks, output->split, timestamp_ms, output->now_ms);
    return 0;
}

static int find_timestamp_field(const weir_record_type *type, const char *name, const weir_field **ret_field,
                                struct error *err)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        const weir_field *field = &type->fields[i];
        if (strcmp(field->name, name) != 0)
            continue;
        if (field->type != WEIR_TYPE_timestamp && field->type != WEIR_TYPE_int64)
            return error_set(
                err, WEIR_E_INVALID,
                "the watermark strategy's timestamp field %s.%s is neither a timestamp nor an int64",
                type->name, name);
        *ret_field = field;
        return WEIR_OK;
    }
    return error_set(err, WEIR_E_INVALID, "the watermark strategy's timestamp field \"%s\" is no field of %s",
                     name, type->name);
}

int source_output_init(struct source_output *output, const struct operator_setup *setup,
                       const weir_record_type *type, const weir_watermark_strategy *strategy,
                       struct error *err)
{
    const weir_field *field = NULL;
    if (strategy->out_of_orderness_ms < 0 || strategy->idleness_ms < 0)
        return error_set(err, WEIR_E_INVALID, "the watermark strategy has a negative time");
    if (strategy->timestamp_field) {
        int rc = find_timestamp_field(type, strategy->timestamp_field, &field, err);
        if (rc != WEIR_OK)
            return rc;
    }
    *output = (struct source_output){.setup = setup,
                                     .collector = *setup->collector,
                                     .timestamp_field = field,
                                     .now_ms = source_now(setup)};
    output->collector.emit = emit;
    output->collector.self = output;
    split_watermarks_init(&output->watermarks, strategy->out_of_orderness_ms, strategy->idleness_ms);
    return WEIR_OK;
}

void source_output_deinit(struct source_output *output)
{
    split_watermarks_deinit(&output->watermarks);
}

bool source_output_end_badly(struct source_output *output, int returned, struct error *ret_reason)
{
    weir_context *context = output->setup->context;
    bool said = context->failed;
    bool too_large = said && context->error.rc == WEIR_E_LIMIT; /* weir_emit's word */
    context->failed = false;
    if (output->failed || too_large) {
        /* Not this record's fault alone: the job fails whatever is done with bad records. */
        output->failed = true;
        if (output->setup->error->rc == WEIR_OK)
            error_set(output->setup->error, WEIR_E_USER_CODE, "%s",
                      said ? context->error.message : "a record could not be emitted");
        return false;
    }
    if (said)
        *ret_reason = context->error;
    else
        error_set(ret_reason, WEIR_E_USER_CODE, "the function returned %d without saying why", returned);
    return false;
}

void source_output_watermark(struct source_output *output)
{
    const struct operator_setup *setup = output->setup;
    struct split_watermarks_update update = split_watermarks_combine(&output->watermarks);
    if (update.idle_changed && !update.idle)
        setup->idle_out(setup->task, false);
    if (update.advanced)
        setup->watermark_out(setup->task, update.watermark_ms);
    if (update.idle_changed && update.idle)
        setup->idle_out(setup->task, true);
}
