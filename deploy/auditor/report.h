/* The auditor's verdict, for people and as JSON. */
#ifndef WEIR_DEPLOY_AUDITOR_REPORT_H
#define WEIR_DEPLOY_AUDITOR_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "deploy/auditor/tally/tally.h"

/* Prints the summary to stdout; returns the exit code. */
int report_verdict(const struct tally *tally, int64_t min_windows, bool json);

#endif
