/* The auditor's command line. */
#ifndef WEIR_DEPLOY_AUDITOR_OPTIONS_H
#define WEIR_DEPLOY_AUDITOR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AUDIT_MAX_PROPERTIES = 64 };

/* Exit codes. */
enum {
    AUDIT_EXIT_EXACT = 0,
    AUDIT_EXIT_INEXACT = 1,
    AUDIT_EXIT_USAGE = 2,
    AUDIT_EXIT_TOO_FEW = 3, /* all exact, but fewer windows than --min-windows */
    AUDIT_EXIT_BLIND = 4,   /* the topics could not be read, or not from their beginning */
};

struct audit_options {
    const char *bootstrap_servers;
    const char *input;
    const char *output;
    const char *properties[AUDIT_MAX_PROPERTIES + 1]; /* "key=value", NULL-terminated */
    size_t property_count;
    int64_t min_windows;
    int64_t settle_ms;
    const char *ready_file; /* NULL: none */
    bool follow;
    bool json;
    bool require_empty;
};

/* Returns −1 to go on, or an exit code. */
int audit_options_parse(int argc, char **argv, struct audit_options *ret_options);

#endif
