/* Which function makes an operator of which kind. In a file of its own, so that what steps tasks with
 * operators of its own (unit tests) need not link the connectors. */
#ifndef WEIR_TASK_OPERATOR_TABLE_H
#define WEIR_TASK_OPERATOR_TABLE_H

#include "taskmanager/worker/operators/operator.h"

enum { OPERATOR_KINDS = WEIR__OPERATOR_KIND__OPERATOR_DISCARD_SINK + 1 };

extern operator_new_fn *const operator_table[OPERATOR_KINDS]; /* NULL: no such kind */

#endif
