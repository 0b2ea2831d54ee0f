/* What operators that call user functions share. */
#ifndef WEIR_OPERATORS_OPERATOR_COMMON_H
#define WEIR_OPERATORS_OPERATOR_COMMON_H

#include "taskmanager/worker/operators/operator.h"

/* A user function returned rc ≠ 0, or said weir_fail(): sets the operator's error. Returns OPERATOR_FAILED.
 * what: "map". */
enum operator_progress operator_user_failed(const struct operator_instance *op, const char *what, int rc);

static inline bool operator_user_is_fine(const struct operator_instance *op, int rc)
{
    return __builtin_expect(rc == 0 && !op->setup.context->failed, true);
}

#endif
