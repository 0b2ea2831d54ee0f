/* The map operator: any number of records for one. */
#include <stdlib.h>

#include "common/base/memory.h"
#include "taskmanager/worker/operators/operator_common.h"

static enum operator_progress map_process(struct operator_instance *op, const struct record_ref *record)
{
    int rc = op->setup.node->options.map.map(op->setup.context, record->data, op->setup.collector);
    return operator_user_is_fine(op, rc) ? OPERATOR_DONE : operator_user_failed(op, "map", rc);
}

static void map_close(struct operator_instance *op)
{
    free(op);
}

static const struct operator_ops map_ops = {.process = map_process, .close = map_close};

int map_operator_new(const struct operator_setup *setup, struct operator_instance **ret_op, struct error *err)
{
    if (!setup->node->options.map.map)
        return error_set(err, WEIR_E_INVALID, "the map operator '%s' has no function",
                         setup->descriptor->name);
    struct operator_instance *op = xmalloc(sizeof *op);
    *op = (struct operator_instance){.ops = &map_ops, .setup = *setup};
    *ret_op = op;
    return 0;
}
