/* JSON of click events and statistics.
 *
 * Happy path: jsmn cuts the text into tokens without allocating; the fields are found by name; a page without
 * escapes is used where it lies.
 *
 * Possible failure modes, each with its own reason: jsmn is lenient about separators and about what follows a
 * document, so the outermost object's structure is checked here; a page may be too long, have a lone
 * surrogate, a control character or bytes that aren't UTF-8; a number may be a fraction or too large. */
#include "examples/click_event.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

enum { TOKENS_MAX = 128 };

const char *const click_pages[CLICK_PAGE_COUNT] = {"/help", "/index", "/shop", "/jobs", "/about", "/news"};

struct json_object {
    const char *data;
    int count; /* tokens */
    jsmntok_t tokens[TOKENS_MAX];
};

/* ---- the object
 * ----------------------------------------------------------------------------------------------------- */

static int blanks_skip(const char *data, int from, int end)
{
    while (from < end &&
           (data[from] == ' ' || data[from] == '\t' || data[from] == '\n' || data[from] == '\r'))
        from++;
    return from;
}

/* Where a token's text begins and ends with its quotes. */
static int token_begin(const jsmntok_t *token)
{
    return token->start - (token->type == JSMN_STRING);
}

static int token_end(const jsmntok_t *token)
{
    return token->end + (token->type == JSMN_STRING);
}

/* The token after token `index` and all that is in it. */
static int token_next(const struct json_object *object, int index)
{
    int end = object->tokens[index].end;
    do
        index++;
    while (index < object->count && object->tokens[index].start < end);
    return index;
}

/* "key" : value , … up to the closing brace. */
static bool members_are_sound(const struct json_object *object)
{
    const char *data = object->data;
    int close = object->tokens[0].end - 1;
    int at = blanks_skip(data, object->tokens[0].start + 1, close);
    if (object->count == 1)
        return at == close;
    for (int i = 1; i < object->count; i = token_next(object, i + 1)) {
        const jsmntok_t *key = &object->tokens[i];
        if (i > 1) {
            if (data[at] != ',')
                return false;
            at = blanks_skip(data, at + 1, close);
        }
        if (key->type != JSMN_STRING || key->size != 1 || i + 1 >= object->count || at != token_begin(key))
            return false;
        at = blanks_skip(data, token_end(key), close);
        if (data[at] != ':')
            return false;
        at = blanks_skip(data, at + 1, close);
        const jsmntok_t *value = &object->tokens[i + 1];
        if (at != token_begin(value))
            return false;
        at = blanks_skip(data, token_end(value), close);
    }
    return at == close;
}

/* NULL, or what is wrong. */
static const char *object_parse(struct json_object *object, const char *data, size_t size)
{
    if (!data || size == 0)
        return "the value is empty";
    if (size > INT_MAX - 1)
        return "the value is too long";
    jsmn_parser parser;
    jsmn_init(&parser);
    object->data = data;
    object->count = jsmn_parse(&parser, data, size, object->tokens, TOKENS_MAX);
    if (object->count == JSMN_ERROR_NOMEM)
        return "the JSON has too many values";
    if (object->count == JSMN_ERROR_PART)
        return "the JSON ends too early";
    if (object->count < 0 || parser.pos != size)
        return "not JSON";
    if (object->count == 0 || object->tokens[0].type != JSMN_OBJECT)
        return "not a JSON object";
    int end = object->tokens[0].end;
    if (blanks_skip(data, end, (int)size) != (int)size)
        return "there is something behind the JSON object";
    return members_are_sound(object) ? NULL : "not JSON";
}

static const jsmntok_t *object_get(const struct json_object *object, const char *name)
{
    const jsmntok_t *found = NULL;
    size_t length = strlen(name);
    for (int i = 1; i < object->count; i = token_next(object, i + 1)) {
        const jsmntok_t *key = &object->tokens[i];
        if ((size_t)(key->end - key->start) == length && memcmp(object->data + key->start, name, length) == 0)
            found = key + 1;
    }
    return found;
}

/* ---- values
 * ---------------------------------------------------------------------------------------------------------
 */

static bool integer_parse(const char *text, int length, int64_t *ret_value)
{
    bool negative = length > 0 && text[0] == '-';
    int i = negative;
    if (i == length || (text[i] == '0' && length > i + 1))
        return false;
    int64_t value = 0;
    for (; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text[i] - '0', &value))
            return false;
    }
    *ret_value = negative ? -value : value;
    return true;
}

static bool timestamp_parse(const struct json_object *object, const jsmntok_t *token, int64_t *ret_ms)
{
    const char *text = object->data + token->start;
    int length = token->end - token->start;
    if (token->type == JSMN_STRING)
        return click_date_parse(text, (size_t)length, ret_ms) == 0;
    char date[CLICK_DATE_LENGTH + 1];
    int64_t ms;
    /* What can't be written as a date is refused already here. */
    if (token->type != JSMN_PRIMITIVE || !integer_parse(text, length, &ms) ||
        !click_date_format(ms, date, sizeof date))
        return false;
    *ret_ms = ms;
    return true;
}

static unsigned hex4(const char *text)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)text[i];
        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static int utf8_write(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Bytes of the UTF-8 sequence at text; 0 if it isn't one (too long forms and surrogates aren't). */
static int utf8_length(const unsigned char *text, size_t left)
{
    unsigned c = text[0];
    if (c < 0x80)
        return 1;
    int length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || left < (size_t)length)
        return 0;
    for (int i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f) || (c == 0xf0 && text[1] < 0x90) ||
        (c == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

/* One escape sequence at text (behind it *ret_taken bytes); jsmn has seen to it that \u has four hex digits
 * unless the string ends before. Returns the bytes written, 0: a lone surrogate. */
static int escape_read(const char *text, size_t left, char out[4], size_t *ret_taken)
{
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    *ret_taken = 2;
    if (left < 2)
        return 0;
    if (text[1] != 'u') {
        const char *at = strchr(plain, text[1]);
        if (!at || text[1] == 0)
            return 0;
        out[0] = meant[at - plain];
        return 1;
    }
    if (left < 6)
        return 0;
    unsigned code = hex4(text + 2);
    *ret_taken = 6;
    if (code >= 0xdc00 && code <= 0xdfff)
        return 0;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (left < 12 || text[6] != '\\' || text[7] != 'u')
            return 0;
        unsigned low = hex4(text + 8);
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *ret_taken = 12;
    }
    return utf8_write(code, out);
}

static const char *page_unescape(const char *text, size_t length, char *scratch, size_t scratch_size,
                                 size_t *ret_length)
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        char piece[4];
        int bytes;
        size_t taken;
        if (text[i] == '\\') {
            bytes = escape_read(text + i, length - i, piece, &taken);
            if (!bytes)
                return "the page has a lone surrogate";
        } else {
            if ((unsigned char)text[i] < 0x20)
                return "the page has a control character";
            bytes = utf8_length((const unsigned char *)text + i, length - i);
            if (!bytes)
                return "the page is not UTF-8";
            memcpy(piece, text + i, (size_t)bytes);
            taken = (size_t)bytes;
        }
        if (used + (size_t)bytes > scratch_size || used + (size_t)bytes > CLICK_PAGE_MAX)
            return "the page is longer than 4096 bytes";
        memcpy(scratch + used, piece, (size_t)bytes);
        used += (size_t)bytes;
        i += taken;
    }
    *ret_length = used;
    return NULL;
}
_Static_assert(CLICK_PAGE_MAX == 4096, "the reason above names it");

/* NULL, or what is wrong. */
static const char *page_read(const struct json_object *object, const jsmntok_t *token, char *scratch,
                             size_t scratch_size, const char **ret_page, size_t *ret_length)
{
    if (!token)
        return "there is no field \"page\"";
    if (token->type != JSMN_STRING)
        return "\"page\" is not a text";
    const char *text = object->data + token->start;
    size_t length = (size_t)(token->end - token->start);
    bool plain = true;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        plain &= c >= 0x20 && c < 0x80 && c != '\\';
    }
    if (!plain) {
        const char *reason = page_unescape(text, length, scratch, scratch_size, ret_length);
        *ret_page = scratch;
        return reason;
    }
    if (length > CLICK_PAGE_MAX)
        return "the page is longer than 4096 bytes";
    *ret_page = text;
    *ret_length = length;
    return NULL;
}

/* ---- decode
 * ---------------------------------------------------------------------------------------------------------
 */

static const char *event_decode(const char *data, size_t size, int64_t *ret_timestamp_ms,
                                const char **ret_page, size_t *ret_page_len, char *scratch,
                                size_t scratch_size)
{
    struct json_object object;
    const char *reason = object_parse(&object, data, size);
    if (reason)
        return reason;
    const jsmntok_t *timestamp = object_get(&object, "timestamp");
    if (!timestamp)
        return "there is no field \"timestamp\"";
    if (!timestamp_parse(&object, timestamp, ret_timestamp_ms))
        return "\"timestamp\" is neither dd-MM-yyyy HH:mm:ss:SSS nor milliseconds";
    return page_read(&object, object_get(&object, "page"), scratch, scratch_size, ret_page, ret_page_len);
}

int click_event_decode(const char *data, size_t size, int64_t *ret_timestamp_ms, const char **ret_page,
                       size_t *ret_page_len, char *scratch, size_t scratch_size, const char **ret_reason)
{
    int64_t timestamp_ms;
    const char *page;
    size_t page_len;
    const char *reason = event_decode(data, size, &timestamp_ms, &page, &page_len, scratch, scratch_size);
    if (reason) {
        *ret_reason = reason;
        return -1;
    }
    *ret_timestamp_ms = timestamp_ms;
    *ret_page = page;
    *ret_page_len = page_len;
    return 0;
}

static const char *statistics_decode(const char *data, size_t size, struct click_statistics *statistics,
                                     char *scratch, size_t scratch_size)
{
    struct json_object object;
    const char *reason = object_parse(&object, data, size);
    if (reason)
        return reason;
    const jsmntok_t *start = object_get(&object, "windowStart");
    const jsmntok_t *end = object_get(&object, "windowEnd");
    const jsmntok_t *count = object_get(&object, "count");
    if (!start || !timestamp_parse(&object, start, &statistics->window_start_ms))
        return "\"windowStart\" is missing or neither dd-MM-yyyy HH:mm:ss:SSS nor milliseconds";
    if (!end || !timestamp_parse(&object, end, &statistics->window_end_ms))
        return "\"windowEnd\" is missing or neither dd-MM-yyyy HH:mm:ss:SSS nor milliseconds";
    if (!count || count->type != JSMN_PRIMITIVE ||
        !integer_parse(data + count->start, count->end - count->start, &statistics->count))
        return "\"count\" is missing or not an integer";
    return page_read(&object, object_get(&object, "page"), scratch, scratch_size, &statistics->page,
                     &statistics->page_length);
}

int click_statistics_decode(const char *data, size_t size, struct click_statistics *ret_statistics,
                            char *scratch, size_t scratch_size, const char **ret_reason)
{
    struct click_statistics statistics;
    const char *reason = statistics_decode(data, size, &statistics, scratch, scratch_size);
    if (reason) {
        *ret_reason = reason;
        return -1;
    }
    *ret_statistics = statistics;
    return 0;
}

/* ---- encode
 * ---------------------------------------------------------------------------------------------------------
 */

struct writer {
    char *buffer;
    size_t capacity;
    size_t used;
    bool overflow;
};

static void write_bytes(struct writer *out, const char *data, size_t size)
{
    if (size > out->capacity - out->used) {
        out->overflow = true;
        return;
    }
    memcpy(out->buffer + out->used, data, size);
    out->used += size;
}

#define write_literal(out, text) write_bytes(out, text, sizeof(text) - 1)

static void write_date(struct writer *out, int64_t timestamp_ms)
{
    char date[CLICK_DATE_LENGTH + 1];
    size_t length = click_date_format(timestamp_ms, date, sizeof date);
    if (!length)
        out->overflow = true;
    write_bytes(out, date, length);
}

static void write_integer(struct writer *out, int64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        digits[--at] = '-';
    write_bytes(out, digits + at, sizeof digits - at);
}

static void write_escaped(struct writer *out, const char *text, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        write_bytes(out, text + from, i - from);
        from = i + 1;
        char escape[6] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
        if (c < 0x20)
            escape[1] = 'u';
        write_bytes(out, escape, c < 0x20 ? 6 : 2);
    }
    write_bytes(out, text + from, length - from);
}

size_t click_event_encode(int64_t timestamp_ms, const char *page, size_t page_len, char *buffer,
                          size_t capacity)
{
    struct writer out = {.buffer = buffer, .capacity = capacity};
    write_literal(&out, "{\"timestamp\":\"");
    write_date(&out, timestamp_ms);
    write_literal(&out, "\",\"page\":\"");
    write_escaped(&out, page, page_len);
    write_literal(&out, "\"}");
    return out.overflow ? 0 : out.used;
}

size_t click_statistics_encode(const struct click_statistics *statistics, char *buffer, size_t capacity)
{
    struct writer out = {.buffer = buffer, .capacity = capacity};
    write_literal(&out, "{\"windowStart\":\"");
    write_date(&out, statistics->window_start_ms);
    write_literal(&out, "\",\"windowEnd\":\"");
    write_date(&out, statistics->window_end_ms);
    write_literal(&out, "\",\"page\":\"");
    write_escaped(&out, statistics->page, statistics->page_length);
    write_literal(&out, "\",\"count\":");
    write_integer(&out, statistics->count);
    write_literal(&out, "}");
    return out.overflow ? 0 : out.used;
}
