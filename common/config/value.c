#include "common/config/value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FORM_PART_BYTES = 128 };

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

/* As words are written in files: any case, and '-' for '_'. */
static bool is_same_word(const char *a, const char *b, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i] && toupper((unsigned char)a[i]) != toupper((unsigned char)b[i]) &&
            !(a[i] == '_' && b[i] == '-'))
            return false;
    return true;
}

const char *value_word(const char *allowed, const char *text, size_t *ret_length)
{
    size_t length = strlen(text);
    for (const char *at = allowed; *at;) {
        at += strspn(at, ", ");
        size_t word = strcspn(at, ", ");
        if (word == length && word > 0 && !(word == 2 && strncmp(at, "or", 2) == 0) &&
            is_same_word(at, text, word)) {
            *ret_length = word;
            return at;
        }
        at += word;
    }
    return NULL;
}

static bool parse_number(enum option_type type, const char *text, union option_number *ret_number)
{
    char *end = NULL;
    switch (type) {
    case OPTION_INTEGER:
        return parse_integer(text, &end, &ret_number->integer) && *end == '\0';
    case OPTION_DOUBLE:
        return parse_double(text, &ret_number->real);
    case OPTION_DURATION:
        return parse_with_unit(durations, text, &ret_number->integer);
    case OPTION_MEMORY:
        return parse_with_unit(memories, text, &ret_number->integer);
    default:
        return false;
    }
}

/* Less than 0, 0, or greater than 0. */
static int compare(enum option_type type, union option_number a, union option_number b)
{
    if (type == OPTION_DOUBLE)
        return (a.real > b.real) - (a.real < b.real);
    return (a.integer > b.integer) - (a.integer < b.integer);
}

enum verdict { SAYS_NOTHING, ALLOWS, FORBIDS };

/* One part of an allowed form: "a…b", "at least a", "at most b", a number, or words for people. */
static enum verdict judge(enum option_type type, const char *part, union option_number value)
{
    static const char ellipsis[] = "…";
    static const char at_least[] = "at least ";
    static const char at_most[] = "at most ";
    union option_number low, high;
    const char *dots = strstr(part, ellipsis);
    if (dots) {
        char first[FORM_PART_BYTES];
        memcpy(first, part, (size_t)(dots - part));
        first[dots - part] = '\0';
        bool ok = parse_number(type, first, &low) && parse_number(type, dots + strlen(ellipsis), &high);
        assert(ok && "a range in options.def is in its option's own form");
        return ok && compare(type, value, low) >= 0 && compare(type, value, high) <= 0 ? ALLOWS : FORBIDS;
    }
    if (strncmp(part, at_least, strlen(at_least)) == 0 && parse_number(type, part + strlen(at_least), &low))
        return compare(type, value, low) >= 0 ? ALLOWS : FORBIDS;
    if (strncmp(part, at_most, strlen(at_most)) == 0 && parse_number(type, part + strlen(at_most), &high))
        return compare(type, value, high) <= 0 ? ALLOWS : FORBIDS;
    if (parse_number(type, part, &low))
        return compare(type, value, low) == 0 ? ALLOWS : FORBIDS;
    return SAYS_NOTHING;
}

/* The parts stand between commas; one that allows the value is enough, and so are words only. */
static bool number_is_allowed(enum option_type type, const char *allowed, union option_number value)
{
    bool is_ruled = false;
    for (const char *at = allowed; *at;) {
        char part[FORM_PART_BYTES];
        at += strspn(at, ", ");
        size_t length = strcspn(at, ",");
        assert(length < sizeof part);
        size_t kept = length < sizeof part ? length : sizeof part - 1;
        memcpy(part, at, kept);
        part[kept] = '\0';
        enum verdict verdict = judge(type, part, value);
        if (verdict == ALLOWS)
            return true;
        is_ruled |= verdict == FORBIDS;
        at += length;
    }
    return !is_ruled;
}

/* file:///a, file:/a or /a. */
static bool is_local_directory(const char *text)
{
    return text[0] == '/' || strncmp(text, "file:/", 6) == 0;
}

static bool parse_text(const char *allowed, const char *text)
{
    if (strcmp(allowed, "file:///directory") == 0)
        return is_local_directory(text);
    return *text != '\0' && !(strcmp(allowed, "host") == 0 && strpbrk(text, " \t/"));
}

static int refuse(enum option_type type, const char *allowed, struct error *err)
{
    const char *form = type == OPTION_DURATION ? "a duration such as '500 ms', '10 s' or '1 min'"
                       : type == OPTION_MEMORY ? "a size such as '32kb', '512m' or '1 gb'"
                                               : NULL;
    if (form && strcmp(allowed, "duration") != 0 && strcmp(allowed, "size") != 0)
        return error_set(err, WEIR_E_INVALID, "must be %s (%s)", form, allowed);
    return error_set(err, WEIR_E_INVALID, "must be %s", form ? form : allowed);
}

int value_parse(enum option_type type, const char *allowed, const char *text, union option_number *ret_number,
                struct error *err)
{
    union option_number number = {0};
    size_t length;
    bool ok;
    switch (type) {
    case OPTION_STRING:
        ok = parse_text(allowed, text);
        break;
    case OPTION_ENUM:
        ok = value_word(allowed, text, &length) != NULL;
        break;
    case OPTION_BOOLEAN:
        ok = parse_boolean(text, &number.integer);
        break;
    default:
        ok = parse_number(type, text, &number) && number_is_allowed(type, allowed, number);
        break;
    }
    if (!ok)
        return refuse(type, allowed, err);
    *ret_number = number;
    return WEIR_OK;
}
