/* State handles whose bytes are inline, and properties: the small things of a snapshot's protobuf. */
#ifndef WEIR_STATE_STATE_HANDLE_H
#define WEIR_STATE_STATE_HANDLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "proto/snapshot.pb-c.h"

/* data_take: malloc'ed; length and checksum are set. */
Weir__StateHandle *state_handle_inline(void *data_take, size_t size);
/* A malloc'ed copy of inline bytes after checking length and checksum; a handle to a file is an error. */
int state_handle_read_inline(const Weir__StateHandle *handle, void **ret_data, size_t *ret_size,
                             struct error *err) WEIR_CHECK;

/* Adds a property to an operator's state. */
void operator_state_set_int(Weir__OperatorState *state, const char *key, int64_t value);
/* WEIR_E_NOT_FOUND without an error message when it isn't there; WEIR_E_CORRUPT when it is no number. */
int operator_state_get_int(const Weir__OperatorState *state, const char *key, int64_t *ret_value,
                           struct error *err) WEIR_CHECK;

#endif
