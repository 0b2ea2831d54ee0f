/* Checks a taskmanager's registration before anybody relies on it. Pure. */
#ifndef WEIR_SLOTS_REGISTRATION_H
#define WEIR_SLOTS_REGISTRATION_H

#include "common/base/error.h"
#include "proto/control.pb-c.h"

int registration_validate(const Weir__RegisterTaskManager *registration, struct error *err) WEIR_CHECK;

#endif
