#include <stdint.h>
#include <string.h>

#include "common/graph/graph_validate.h"

/* Length of the UTF-8 sequence at text, 0 if it is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    if (text[0] >= 0xc2 && text[0] <= 0xdf)
        return (text[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((text[0] & 0xf0) == 0xe0) {
        unsigned char low = text[0] == 0xe0 ? 0xa0 : 0x80;
        unsigned char high = text[0] == 0xed ? 0x9f : 0xbf;
        return text[1] >= low && text[1] <= high && (text[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (text[0] >= 0xf0 && text[0] <= 0xf4) {
        unsigned char low = text[0] == 0xf0 ? 0x90 : 0x80;
        unsigned char high = text[0] == 0xf4 ? 0x8f : 0xbf;
        return text[1] >= low && text[1] <= high && (text[2] & 0xc0) == 0x80 && (text[3] & 0xc0) == 0x80 ? 4
                                                                                                         : 0;
    }
    return 0;
}

int text_validate(const char *text, size_t max_bytes, const char *what, struct error *err)
{
    if (!text || !*text)
        return error_set(err, WEIR_E_INVALID, "the %s is empty", what);
    if (strnlen(text, max_bytes + 1) > max_bytes)
        return error_set(err, WEIR_E_LIMIT, "the %s is longer than %zu bytes", what, max_bytes);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t length = utf8_length(at);
        if (length == 0)
            return error_set(err, WEIR_E_INVALID, "the %s is not valid UTF-8", what);
        if (*at < 0x20 || *at == 0x7f)
            return error_set(err, WEIR_E_INVALID, "the %s contains a control character (0x%02x)", what, *at);
        at += length;
    }
    return 0;
}
