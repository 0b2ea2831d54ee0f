/* What Click Event Count must write, derived from its input, and what it did write. No I/O, no clock, one
 * thread. */
#ifndef WEIR_DEPLOY_AUDITOR_TALLY_H
#define WEIR_DEPLOY_AUDITOR_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { TALLY_MAX_RESULTS = 4000000 }; /* (page, window) pairs; more are refused */

struct tally;

/* windows of window_ms; the job's watermark is that of bounded out-of-orderness over all partitions of the
 * input. */
struct tally *tally_new(int64_t window_ms, int64_t out_of_orderness_ms, uint32_t input_partitions);
void tally_free(struct tally *tally);

/* A record of the input topic, of the output topic. One that can't be decoded is counted as bad and otherwise
 * ignored. WEIR_E_LIMIT: more (page, window) pairs than can be kept. */
int tally_input(struct tally *tally, uint32_t partition, const char *data, size_t size,
                struct error *err) WEIR_CHECK;
int tally_output(struct tally *tally, const char *data, size_t size, struct error *err) WEIR_CHECK;

/* Largest timestamp − out_of_orderness − 1, the least over the partitions; INT64_MIN while one has no
 * records. */
int64_t tally_watermark(const struct tally *tally);

/* A window is complete when the watermark has reached its last millisecond: then the job must have written
 * it. It is in exactly one of four classes, the worst that one of its pages is in. */
struct tally_summary {
    int64_t input_records;
    int64_t input_bad;
    int64_t output_records;
    int64_t output_bad;
    int64_t windows_complete;
    int64_t exact;
    int64_t missing;    /* a page has no record */
    int64_t short_;     /* a page has a record that counts too few */
    int64_t over;       /* a page has a record that counts too many, or that should not be there */
    int64_t duplicates; /* records that repeat one that was there with the same count (at-least-once) */
    int64_t premature;  /* records of windows that aren't complete */
};
void tally_summarise(const struct tally *tally, struct tally_summary *ret_summary);
/* Whether every page of every complete window has a record. */
bool tally_settled(const struct tally *tally);

/* Calls report for each (page, complete window) that is not exact, in order of window and page; stops after
 * limit calls. count_min and count_max are of its records; records = 0: missing. */
struct tally_fault {
    int64_t window_start_ms;
    const char *page; /* not NUL-terminated */
    size_t page_length;
    int64_t expected;
    int64_t records;
    int64_t count_min;
    int64_t count_max;
};
void tally_faults(const struct tally *tally, size_t limit,
                  void (*report)(void *self, const struct tally_fault *fault), void *self);

#endif
