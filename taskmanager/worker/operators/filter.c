/* The filter operator: keeps a record, as it is, or drops it. */
#include <stdlib.h>

#include "common/base/memory.h"
#include "taskmanager/worker/operators/operator_common.h"

static enum operator_progress filter_process(struct operator_instance *op, const struct record_ref *record)
{
    int keep = op->setup.node->options.filter.filter(op->setup.context, record->data);
    if (!operator_user_is_fine(op, keep < 0 ? keep : 0))
        return operator_user_failed(op, "filter", keep);
    if (keep == 0)
        return OPERATOR_DONE;
    weir_collector *collector = op->setup.collector;
    int rc = collector->emit(collector, record->data, record->size, record->timestamp);
    if (rc == 0)
        return OPERATOR_DONE;
    error_set(op->setup.error, rc, "what it kept could not be passed on");
    return OPERATOR_FAILED;
}

static void filter_close(struct operator_instance *op)
{
    free(op);
}

static const struct operator_ops filter_ops = {.process = filter_process, .close = filter_close};

int filter_operator_new(const struct operator_setup *setup, struct operator_instance **ret_op,
                        struct error *err)
{
    if (!setup->node->options.filter.filter)
        return error_set(err, WEIR_E_INVALID, "the filter operator '%s' has no function",
                         setup->descriptor->name);
    struct operator_instance *op = xmalloc(sizeof *op);
    *op = (struct operator_instance){.ops = &filter_ops, .setup = *setup};
    *ret_op = op;
    return 0;
}
