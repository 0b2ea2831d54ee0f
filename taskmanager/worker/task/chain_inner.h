/* What the files of the chain share with each other. */
#ifndef WEIR_TASK_CHAIN_INNER_H
#define WEIR_TASK_CHAIN_INNER_H

#include "taskmanager/worker/task/chain.h"

/* Remembers the link that failed first. */
void chain_fail(struct chain *chain, struct chain_link *link);
enum operator_progress chain_link_process(struct chain_link *link, const struct record_ref *record);
enum operator_progress chain_drain_link(struct chain_link *link);

#endif
