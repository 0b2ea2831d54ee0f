/* Which state of a snapshot goes to which subtask: keyed state by key group to its owner, splits and
 * properties of an operator to all its subtasks. State is matched by the operators' uids. Pure. */
#ifndef WEIR_CHECKPOINT_RESTORE_PLAN_H
#define WEIR_CHECKPOINT_RESTORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/vec.h"
#include "proto/control.pb-c.h"

struct restore_entry {
    const Weir__OperatorState *state;
    uint32_t first_group, last_group; /* key groups that its subtask had */
    uint64_t properties_hash;
};

/* The states of one operator. */
struct restore_group {
    const char *uid;
    size_t first, end;             /* in entries: ascending subtasks, so ascending key groups */
    struct vec_of(size_t) for_all; /* ascending; those that every subtask gets */
};

struct restore_plan {
    Weir__SnapshotMetadata *snapshot; /* owned */
    struct restore_entry *entries;    /* by uid, then subtask */
    size_t count;
    struct vec_of(struct restore_group) groups; /* by uid */
};

/* Whether the graph can start from the snapshot, which is valid: WEIR_E_INVALID naming the operator if not.
 * Keeps the snapshot's maximum parallelism in the graph's vertices unless the job set one itself. */
int restore_match(const Weir__SnapshotMetadata *snapshot, const char *path, Weir__JobGraph *graph,
                  bool max_parallelism_is_given, bool allow_non_restored_state, struct error *err) WEIR_CHECK;

/* snapshot_take NULL: an empty plan. */
void restore_plan_init(struct restore_plan *plan, Weir__SnapshotMetadata *snapshot_take);
void restore_plan_deinit(struct restore_plan *plan);
/* Fills in task->restore. */
void restore_plan_assign(const struct restore_plan *plan, const Weir__Vertex *vertex,
                         Weir__TaskDeployment *task);

#endif
