/* The encoding of a source's split in a snapshot, and putting splits and properties into an operator's state.
 */
#ifndef WEIR_CONNECTORS_SPLIT_STATE_H
#define WEIR_CONNECTORS_SPLIT_STATE_H

#include <stdint.h>

#include "common/base/error.h"
#include "proto/snapshot.pb-c.h"

enum { SPLIT_STATE_VALUES_MAX = 8 };

/* A version byte and up to SPLIT_STATE_VALUES_MAX numbers of 8 bytes, little-endian. Appends to
 * state->splits. */
void split_state_add(Weir__OperatorState *state, const char *split, uint8_t version, const int64_t *values,
                     uint32_t value_count);
/* Exactly value_count numbers of this version; errors name the split. */
int split_state_decode(const Weir__SplitState *state, uint8_t version, int64_t *ret_values,
                       uint32_t value_count, struct error *err) WEIR_CHECK;

void state_property_add(Weir__OperatorState *state, const char *key, const char *value);
/* NULL: not there. */
const char *state_property(const Weir__OperatorState *state, const char *key);

#endif
