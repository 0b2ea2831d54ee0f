/* Errors: a negative code for the program, a sentence for people that says what, where and what to do. */
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

/* 0 is success. One table (error.c) maps each code to a text, an HTTP status and an exit code. */
enum weir_rc {
    WEIR_OK = 0,
    WEIR_E_NO_MEMORY = -1,
    WEIR_E_INVALID = -2, /* input that can't be used: a bad value, a malformed message */
    WEIR_E_NOT_FOUND = -3,
    WEIR_E_EXISTS = -4,
    WEIR_E_IO = -5,
    WEIR_E_CORRUPT = -6, /* a checksum or an invariant of a file does not hold */
    WEIR_E_VERSION = -7, /* another format, protocol or API version */
    WEIR_E_LIMIT = -8,   /* larger than a configured or built-in maximum */
    WEIR_E_CANCELED = -9,
    WEIR_E_TIMEOUT = -10,
    WEIR_E_STATE = -11,       /* not possible in the present state (a job that has ended) */
    WEIR_E_UNAVAILABLE = -12, /* a peer can't be reached */
    WEIR_E_FENCED = -13,      /* from an old session, attempt or jobmanager */
    WEIR_E_USER_CODE = -14,   /* a job's own function failed */
    WEIR_E_INTERNAL = -15,
};

#define WEIR_CHECK                       __attribute__((warn_unused_result))
#define WEIR_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

enum { ERROR_MESSAGE_MAX = 1536 };

/* Lives on the caller's stack. Untouched on success. Every function that takes one accepts NULL. */
struct error {
    int rc;
    char message[ERROR_MESSAGE_MAX];
};

/* Sets code and message; returns rc, so that a function can end with `return error_set(err, WEIR_E_IO, "…")`.
 */
int error_set(struct error *err, int rc, const char *format, ...) WEIR_PRINTF(3, 4);
int error_vset(struct error *err, int rc, const char *format, va_list args) WEIR_PRINTF(3, 0);
/* The same with ": <strerror(errno_value)>" behind it. */
int error_set_errno(struct error *err, int rc, int errno_value, const char *format, ...) WEIR_PRINTF(4, 5);
/* Puts "<text>: " before the message that is there; returns the code that is there. */
int error_wrap(struct error *err, const char *format, ...) WEIR_PRINTF(2, 3);

const char *weir_rc_text(int rc);
int weir_rc_http_status(int rc);
int weir_rc_exit_code(int rc);

#endif
