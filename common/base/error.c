#include "common/base/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
    int rc;
    int http_status;
    int exit_code;
    const char *text;
} table[] = {
    {WEIR_OK, 200, 0, "success"},
    {WEIR_E_NO_MEMORY, 503, 1, "out of memory"},
    {WEIR_E_INVALID, 400, 1, "invalid argument"},
    {WEIR_E_NOT_FOUND, 404, 1, "not found"},
    {WEIR_E_EXISTS, 409, 1, "exists already"},
    {WEIR_E_IO, 500, 1, "input/output error"},
    {WEIR_E_CORRUPT, 500, 1, "corrupt data"},
    {WEIR_E_VERSION, 400, 1, "incompatible version"},
    {WEIR_E_LIMIT, 413, 1, "limit exceeded"},
    {WEIR_E_CANCELED, 409, 1, "canceled"},
    {WEIR_E_TIMEOUT, 503, 1, "timed out"},
    {WEIR_E_STATE, 409, 1, "not possible in this state"},
    {WEIR_E_UNAVAILABLE, 503, 1, "unavailable"},
    {WEIR_E_FENCED, 409, 1, "fenced: from an old session or attempt"},
    {WEIR_E_USER_CODE, 500, 1, "user code failed"},
    {WEIR_E_INTERNAL, 500, 1, "internal error"},
};

int error_vset(struct error *err, int rc, const char *format, va_list args)
{
    if (err) {
        err->rc = rc;
        vsnprintf(err->message, sizeof err->message, format, args);
    }
    return rc;
}

int error_set(struct error *err, int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_vset(err, rc, format, args);
    va_end(args);
    return rc;
}

int error_set_errno(struct error *err, int rc, int errno_value, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        error_vset(err, rc, format, args);
        va_end(args);
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(errno_value));
    }
    return rc;
}

int error_wrap(struct error *err, const char *format, ...)
{
    if (!err)
        return WEIR_E_INTERNAL;
    char inner[ERROR_MESSAGE_MAX];
    memcpy(inner, err->message, sizeof inner);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->message)
        snprintf(err->message + used, sizeof err->message - (size_t)used, ": %.*s",
                 (int)(sizeof inner - (size_t)used - 3 > sizeof inner ? 0 : sizeof inner - (size_t)used - 3),
                 inner);
    return err->rc;
}

static size_t find(int rc)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].rc == rc)
            return i;
    return sizeof table / sizeof table[0] - 1;
}

const char *weir_rc_text(int rc)
{
    return table[find(rc)].text;
}

int weir_rc_http_status(int rc)
{
    return table[find(rc)].http_status;
}

int weir_rc_exit_code(int rc)
{
    return table[find(rc)].exit_code;
}
