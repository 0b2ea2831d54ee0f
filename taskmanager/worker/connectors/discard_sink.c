/* Takes records and drops them. */
#include <stdlib.h>

#include "common/base/memory.h"
#include "taskmanager/worker/operators/operator.h"

static enum operator_progress discard_process(struct operator_instance *op, const struct record_ref *record)
{
    (void)op;
    (void)record;
    return OPERATOR_DONE;
}

static void discard_close(struct operator_instance *op)
{
    free(op);
}

static const struct operator_ops discard_sink_ops = {.process = discard_process, .close = discard_close};

int discard_sink_new(const struct operator_setup *setup, struct operator_instance **ret_op, struct error *err)
{
    (void)err;
    struct operator_instance *op = xcalloc(1, sizeof *op);
    op->ops = &discard_sink_ops;
    op->setup = *setup;
    *ret_op = op;
    return WEIR_OK;
}
