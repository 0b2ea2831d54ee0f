/* A growing text or byte buffer, created with its maximum. */
#ifndef WEIR_BASE_STRBUF_H
#define WEIR_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf {
    char *data;  /* NUL-terminated once anything was added; owned */
    size_t size; /* bytes without the NUL */
    size_t capacity;
    size_t limit;  /* size never exceeds it */
    bool overflow; /* something didn't fit and was left out */
};

void strbuf_init(struct strbuf *buf, size_t limit_bytes);
void strbuf_deinit(struct strbuf *buf);
void strbuf_clear(struct strbuf *buf); /* keeps the memory */
/* All of it or nothing; false and overflow set if it would exceed the limit. */
bool strbuf_add(struct strbuf *buf, const void *data, size_t size_bytes);
bool strbuf_adds(struct strbuf *buf, const char *text);
bool strbuf_addf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text, caller frees; the buffer is empty afterwards. Never NULL. */
char *strbuf_take(struct strbuf *buf);

#endif
