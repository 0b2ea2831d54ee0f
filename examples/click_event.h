/* The records of Click Event Count as JSON text, and their dates: shared by the job, the generator and the
 * auditor.
 *
 *     input   {"timestamp":"01-01-1970 12:00:00:015","page":"/help"}
 *     output  {"windowStart":"…","windowEnd":"…","page":"/help","count":1000}
 *
 * Dates are dd-MM-yyyy HH:mm:ss:SSS, 24 hours, UTC. Nothing here allocates; all functions may be called on
 * any thread. */
#ifndef WEIR_EXAMPLES_CLICK_EVENT_H
#define WEIR_EXAMPLES_CLICK_EVENT_H

#include <stddef.h>
#include <stdint.h>

enum {
    CLICK_PAGE_COUNT = 6,
    CLICK_EVENTS_PER_WINDOW = 1000, /* of each page */
    CLICK_WINDOW_MS = 15000,
    CLICK_EVENT_STEP_MS = CLICK_WINDOW_MS / CLICK_EVENTS_PER_WINDOW, /* between two events of one page */
    CLICK_DATE_LENGTH = 23,
    CLICK_PAGE_MAX = 4096,                     /* bytes of a page; a longer one is a bad record */
    CLICK_TEXT_MAX = 6 * CLICK_PAGE_MAX + 256, /* bytes that any encoded record fits in */
};

/* In the generator's order: event i is of page i % CLICK_PAGE_COUNT. */
extern const char *const click_pages[CLICK_PAGE_COUNT];

struct click_statistics {
    int64_t window_start_ms;
    int64_t window_end_ms;
    const char *page; /* not NUL-terminated */
    size_t page_length;
    int64_t count;
};

/* Writes CLICK_DATE_LENGTH bytes and a NUL; returns CLICK_DATE_LENGTH, or 0 when the year has not four digits
 * or the buffer is too small. */
size_t click_date_format(int64_t timestamp_ms, char *buffer, size_t capacity);
/* Exactly the pattern; 0, or -1 (not a date; *ret_timestamp_ms untouched). */
int click_date_parse(const char *text, size_t length, int64_t *ret_timestamp_ms);

/* 0, or -1 and *ret_reason (a static text that says what is wrong). The page points into data, or into
 * scratch if it has escapes or bytes beyond ASCII; a scratch of CLICK_PAGE_MAX bytes is always enough. The
 * timestamp may be a date or a number of milliseconds since 1970. Fields that aren't known are ignored; of a
 * field given twice the last counts. */
int click_event_decode(const char *data, size_t size, int64_t *ret_timestamp_ms, const char **ret_page,
                       size_t *ret_page_len, char *scratch, size_t scratch_size, const char **ret_reason);
int click_statistics_decode(const char *data, size_t size, struct click_statistics *ret_statistics,
                            char *scratch, size_t scratch_size, const char **ret_reason);

/* Return the bytes written (no NUL), or 0 when they don't fit or a date can't be written. */
size_t click_event_encode(int64_t timestamp_ms, const char *page, size_t page_len, char *buffer,
                          size_t capacity);
size_t click_statistics_encode(const struct click_statistics *statistics, char *buffer, size_t capacity);

#endif
