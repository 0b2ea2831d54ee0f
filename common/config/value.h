/* The values of options: text to number by type, and the allowed form as a check. Pure. */
#ifndef WEIR_CONFIG_VALUE_H
#define WEIR_CONFIG_VALUE_H

#include "common/config/config.h"

union option_number {
    int64_t integer; /* OPTION_INTEGER, OPTION_BOOLEAN, OPTION_DURATION (ms), OPTION_MEMORY (bytes) */
    double real;     /* OPTION_DOUBLE */
};

/* text: without white space around it. allowed: the option's allowed form, a range ("0…65535") or words. The
 * error is "must be …" only: the caller says which key and where. */
int value_parse(enum option_type type, const char *allowed, const char *text, union option_number *ret_number,
                struct error *err) WEIR_CHECK;
/* Where text (in any case) stands among the words of "A, B or C"; NULL: it doesn't. */
const char *value_word(const char *allowed, const char *text, size_t *ret_length);

#endif
