#include "common/config/value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {
    {"", 1},          {"ms", 1},          {"milli", 1},
    {"millis", 1},    {"millisecond", 1}, {"milliseconds", 1},
    {"s", 1000},      {"sec", 1000},      {"secs", 1000},
    {"second", 1000}, {"seconds", 1000},  {"min", 60000},
    {"m", 60000},     {"minute", 60000},  {"minutes", 60000},
    {"h", 3600000},   {"hour", 3600000},  {"hours", 3600000},
    {"d", 86400000},  {"day", 86400000},  {"days", 86400000},
    {NULL, 0},
};

static const struct unit memories[] = {
    {"", 1},
    {"b", 1},
    {"bytes", 1},
    {"k", 1 << 10},
    {"kb", 1 << 10},
    {"kibibytes", 1 << 10},
    {"m", 1 << 20},
    {"mb", 1 << 20},
    {"mebibytes", 1 << 20},
    {"g", 1 << 30},
    {"gb", 1 << 30},
    {"gibibytes", 1 << 30},
    {"t", INT64_C(1) << 40},
    {"tb", INT64_C(1) << 40},
    {"tebibytes", INT64_C(1) << 40},
    {NULL, 0},
};

static bool parse_integer(const char *text, char **ret_end, int64_t *ret_value)
{
    errno = 0;
    long long value = strtoll(text, ret_end, 10);
    if (errno || *ret_end == text)
        return false;
    *ret_value = value;
    return true;
}

static bool parse_with_unit(const struct unit *units, const char *text, int64_t *ret_value)
{
    char *end = NULL;
    int64_t number;
    if (!isdigit((unsigned char)text[0]) || !parse_integer(text, &end, &number))
        return false;
    while (*end == ' ' || *end == '\t')
        end++;
    for (; units->name; units++)
        if (strcasecmp(units->name, end) == 0)
            return !__builtin_mul_overflow(number, units->factor, ret_value);
    return false;
}

static bool parse_boolean(const char *text, int64_t *ret_value)
{
    if (strcasecmp(text, "true") != 0 && strcasecmp(text, "false") != 0)
        return false;
    *ret_value = strcasecmp(text, "true") == 0;
    return true;
}

static bool parse_double(const char *text, double *ret_value)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(value))
        return false;
    *ret_value = value;
    return true;
}

/* The words of "A, B or C": separated by commas, blanks and "or". */
static bool is_allowed_word(const char *allowed, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = allowed; *at;) {
        size_t skip = strspn(at, ", ");
        at += skip;
        size_t word = strcspn(at, ", ");
        if (word == length && strncasecmp(at, text, word) == 0 && !(word == 2 && strncmp(at, "or", 2) == 0))
            return true;
        at += word;
    }
    return false;
}

static bool in_range(double value, const char *bounds, const char *dots, enum option_type type)
{
    static const char ellipsis[] = "…";
    char *end = NULL;
    double low, high;
    if (type == OPTION_MEMORY || type == OPTION_DURATION) {
        char first[32] = "";
        size_t length = (size_t)(dots - bounds);
        int64_t a, b;
        const struct unit *units = type == OPTION_MEMORY ? memories : durations;
        if (length >= sizeof first)
            return true;
        memcpy(first, bounds, length);
        if (!parse_with_unit(units, first, &a) || !parse_with_unit(units, dots + strlen(ellipsis), &b))
            return true;
        low = (double)a;
        high = (double)b;
    } else {
        low = strtod(bounds, &end);
        high = strtod(dots + strlen(ellipsis), &end);
    }
    return value >= low && value <= high;
}

/* Each part between commas is a range "a…b", a number, or "at least a" / "size, at most a"; prose allows
 * everything. */
static bool number_is_allowed(enum option_type type, const char *allowed, double value)
{
    static const char ellipsis[] = "…";
    if (strncmp(allowed, "at least ", 9) == 0)
        return value >= strtod(allowed + 9, NULL);
    const char *most = strstr(allowed, "at most ");
    int64_t limit;
    if (most && type == OPTION_MEMORY)
        return !parse_with_unit(memories, most + 8, &limit) || value <= (double)limit;
    bool any_rule = false;
    for (const char *part = allowed; part;) {
        while (*part == ' ')
            part++;
        const char *dots = strstr(part, ellipsis);
        const char *comma = strchr(part, ',');
        if (dots && (!comma || dots < comma)) {
            any_rule = true;
            if (in_range(value, part, dots, type))
                return true;
        } else if (*part == '-' || isdigit((unsigned char)*part)) {
            any_rule = true;
            if (value == strtod(part, NULL))
                return true;
        }
        part = comma ? comma + 1 : NULL;
    }
    return !any_rule;
}

int value_parse(enum option_type type, const char *allowed, const char *text, union option_number *ret_number,
                struct error *err)
{
    union option_number number = {0};
    char *end = NULL;
    bool ok = true, numeric = true;
    switch (type) {
    case OPTION_STRING:
        ok = *text != '\0';
        numeric = false;
        break;
    case OPTION_ENUM:
        ok = is_allowed_word(allowed, text);
        numeric = false;
        break;
    case OPTION_INTEGER:
        ok = parse_integer(text, &end, &number.integer) && *end == '\0';
        break;
    case OPTION_DOUBLE:
        ok = parse_double(text, &number.real);
        break;
    case OPTION_BOOLEAN:
        ok = parse_boolean(text, &number.integer);
        numeric = false;
        break;
    case OPTION_DURATION:
        ok = parse_with_unit(durations, text, &number.integer);
        break;
    case OPTION_MEMORY:
        ok = parse_with_unit(memories, text, &number.integer);
        break;
    }
    if (ok && numeric)
        ok = number_is_allowed(type, allowed, type == OPTION_DOUBLE ? number.real : (double)number.integer);
    if (!ok) {
        const char *form = type == OPTION_DURATION ? "a duration such as '500 ms', '10 s' or '1 min'"
                           : type == OPTION_MEMORY ? "a size such as '32kb', '512m' or '1 gb'"
                                                   : NULL;
        if (form && strcmp(allowed, "duration") != 0 && strcmp(allowed, "size") != 0)
            return error_set(err, WEIR_E_INVALID, "must be %s (%s)", form, allowed);
        return error_set(err, WEIR_E_INVALID, "must be %s", form ? form : allowed);
    }
    *ret_number = number;
    return WEIR_OK;
}
