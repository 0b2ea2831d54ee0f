#include "taskmanager/worker/operators/operator_common.h"

enum operator_progress operator_user_failed(const struct operator_instance *op, const char *what, int rc)
{
    const weir_context *context = op->setup.context;
    if (context->failed)
        error_set(op->setup.error, context->error.rc, "%s", context->error.message);
    else
        error_set(op->setup.error, WEIR_E_USER_CODE,
                  "the %s function returned %d without saying why (weir_fail)", what, rc);
    return OPERATOR_FAILED;
}
