/* Allocation: x-functions for what the program itself sizes (they end the process when memory is out, as
 * there is nothing sensible left to do); try_alloc for what a peer, a file or a user sizes, with the limit
 * checked first. */
#ifndef WEIR_BASE_MEMORY_H
#define WEIR_BASE_MEMORY_H

#include <stddef.h>

void *xmalloc(size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *memory, size_t size_bytes) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
void *xmemdup(const void *data, size_t size_bytes) __attribute__((malloc, returns_nonnull));

/* NULL when size is above limit or memory is out. */
void *try_alloc(size_t size_bytes, size_t limit_bytes);

#endif
