/* What the files of the chain share with each other. */
#ifndef WEIR_TASK_CHAIN_INNER_H
#define WEIR_TASK_CHAIN_INNER_H

#include "taskmanager/worker/task/chain.h"

enum operator_progress chain_drain_link(struct chain_link *link);

#endif
