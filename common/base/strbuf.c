#include "common/base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void strbuf_init(struct strbuf *buf, size_t limit_bytes)
{
    *buf = (struct strbuf){.limit = limit_bytes};
}

void strbuf_deinit(struct strbuf *buf)
{
    free(buf->data);
    *buf = (struct strbuf){.limit = buf->limit};
}

void strbuf_clear(struct strbuf *buf)
{
    buf->size = 0;
    buf->overflow = false;
    if (buf->data)
        buf->data[0] = '\0';
}

bool strbuf_add(struct strbuf *buf, const void *data, size_t size_bytes)
{
    if (size_bytes > buf->limit - buf->size) {
        buf->overflow = true;
        return false;
    }
    size_t need = buf->size + size_bytes + 1;
    if (need > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity * 2 : 64;
        while (capacity < need)
            capacity *= 2;
        buf->data = xrealloc(buf->data, capacity);
        buf->capacity = capacity;
    }
    if (size_bytes)
        memcpy(buf->data + buf->size, data, size_bytes);
    buf->size += size_bytes;
    buf->data[buf->size] = '\0';
    return true;
}

bool strbuf_adds(struct strbuf *buf, const char *text)
{
    return strbuf_add(buf, text, strlen(text));
}

bool strbuf_addf(struct strbuf *buf, const char *format, ...)
{
    char small[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0)
        return false;
    if ((size_t)n < sizeof small)
        return strbuf_add(buf, small, (size_t)n);
    if ((size_t)n > buf->limit - buf->size) {
        buf->overflow = true;
        return false;
    }
    char *large = xmalloc((size_t)n + 1);
    va_start(args, format);
    vsnprintf(large, (size_t)n + 1, format, args);
    va_end(args);
    bool ok = strbuf_add(buf, large, (size_t)n);
    free(large);
    return ok;
}

char *strbuf_take(struct strbuf *buf)
{
    char *text = buf->data ? buf->data : xstrdup("");
    *buf = (struct strbuf){.limit = buf->limit};
    return text;
}
