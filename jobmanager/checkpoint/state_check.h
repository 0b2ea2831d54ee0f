/* Checks states that come from tasks or from a snapshot's file before anybody relies on them. Pure. */
#ifndef WEIR_CHECKPOINT_STATE_CHECK_H
#define WEIR_CHECKPOINT_STATE_CHECK_H

#include <stdint.h>

#include "common/base/error.h"
#include "proto/snapshot.pb-c.h"

enum { STATE_FILE_NAME_BYTES_MAX = 512, SNAPSHOT_VERSION = 1 };

/* One operator's state of one subtask: key groups ascending within [first, last], handles sane, file names
 * that stay below their directory, a sane layout. */
int operator_state_validate(const Weir__OperatorState *state, uint32_t first_key_group,
                            uint32_t last_key_group, struct error *err) WEIR_CHECK;
/* A whole snapshot: version, sizes, each state, no key group of an operator twice. */
int snapshot_validate(const Weir__SnapshotMetadata *snapshot, struct error *err) WEIR_CHECK;

#endif
