#include "common/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *memory)
{
    if (!memory) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *xmalloc(size_t size_bytes)
{
    return or_die(malloc(size_bytes ? size_bytes : 1));
}

void *xcalloc(size_t count, size_t size_bytes)
{
    return or_die(calloc(count ? count : 1, size_bytes ? size_bytes : 1));
}

void *xrealloc(void *memory, size_t size_bytes)
{
    return or_die(realloc(memory, size_bytes ? size_bytes : 1));
}

char *xstrdup(const char *text)
{
    return or_die(strdup(text));
}

char *xstrndup(const char *text, size_t length)
{
    return or_die(strndup(text, length));
}

char *xasprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return or_die(text);
}

void *xmemdup(const void *data, size_t size_bytes)
{
    void *copy = xmalloc(size_bytes);
    if (size_bytes)
        memcpy(copy, data, size_bytes);
    return copy;
}

void *try_alloc(size_t size_bytes, size_t limit_bytes)
{
    if (size_bytes > limit_bytes)
        return NULL;
    return malloc(size_bytes ? size_bytes : 1);
}
