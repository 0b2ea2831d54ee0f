/* The parts of the coordinator's pending checkpoint; only for this folder. */
#ifndef WEIR_CHECKPOINT_PENDING_CHECKPOINT_H
#define WEIR_CHECKPOINT_PENDING_CHECKPOINT_H

#include "jobmanager/checkpoint/checkpoint_coordinator.h"

void state_list_free(struct state_list *states);
/* Copies the states of a task's message, with the subtask and parallelisms that the core knows; checks them
 * first. */
int state_list_add(struct state_list *states, const struct execution_graph *graph,
                   const struct execution *execution, Weir__OperatorState *const *from, size_t count,
                   struct error *err) WEIR_CHECK;

/* Begins a snapshot, a checkpoint or what the order says: creates its directory. Takes the order. */
void pending_begin(struct pending_checkpoint *pending, struct step *step,
                   const struct checkpoint_coordinator *coordinator, uint64_t id,
                   struct snapshot_order *order_take);
void pending_deinit(struct pending_checkpoint *pending);
/* Adds copies of what an ended task had at its end. */
void pending_add_ended(struct pending_checkpoint *pending, const struct ended_task *ended);
/* Decides whose acknowledgement is waited for; false if no source is left that could inject a barrier. */
bool pending_ask(struct pending_checkpoint *pending, const struct execution_graph *graph);
/* "2 of 6 tasks have not acknowledged: A (1/2), B (2/2)"; malloc'ed. */
char *pending_describe_missing(const struct pending_checkpoint *pending, const struct execution_graph *graph);
/* All have acknowledged: writes the metadata. */
void pending_persist(struct pending_checkpoint *pending, struct step *step, const struct weir_id *job,
                     const char *job_name);

#endif
