#include "deploy/auditor/tally/tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"
#include "examples/click_event.h"

enum { FIRST_CAPACITY = 256 };

/* One (page, window). */
struct result {
    int64_t window_start_ms;
    char *page; /* owned; NULL: a free place in the table */
    size_t page_length;
    int64_t expected;
    int64_t records;
    int64_t count_first, count_min, count_max;
    int64_t duplicates;
};

struct tally {
    int64_t window_ms;
    int64_t out_of_orderness_ms;
    uint32_t partitions;
    int64_t *largest_timestamp_ms; /* of each partition; INT64_MIN: no record yet */
    struct result *results;        /* open addressing, at most half full; capacity is a power of two */
    size_t capacity;
    size_t count;
    int64_t input_records, input_bad, output_records, output_bad;
};

struct tally *tally_new(int64_t window_ms, int64_t out_of_orderness_ms, uint32_t input_partitions)
{
    assert(window_ms > 0 && out_of_orderness_ms >= 0 && input_partitions > 0);
    struct tally *tally = xcalloc(1, sizeof *tally);
    tally->window_ms = window_ms;
    tally->out_of_orderness_ms = out_of_orderness_ms;
    tally->partitions = input_partitions;
    tally->largest_timestamp_ms = xcalloc(input_partitions, sizeof *tally->largest_timestamp_ms);
    for (uint32_t i = 0; i < input_partitions; i++)
        tally->largest_timestamp_ms[i] = INT64_MIN;
    tally->capacity = FIRST_CAPACITY;
    tally->results = xcalloc(tally->capacity, sizeof *tally->results);
    return tally;
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    for (size_t i = 0; i < tally->capacity; i++)
        free(tally->results[i].page);
    free(tally->results);
    free(tally->largest_timestamp_ms);
    free(tally);
}

static size_t place_of(const struct result *results, size_t capacity, int64_t window_start_ms,
                       const char *page, size_t length)
{
    size_t place = (size_t)(hash64(page, length) ^ (uint64_t)window_start_ms * UINT64_C(0x9E3779B97F4A7C15));
    for (place ^= place >> 32;; place++) {
        const struct result *result = &results[place & (capacity - 1)];
        if (result->page == NULL ||
            (result->window_start_ms == window_start_ms && result->page_length == length &&
             memcmp(result->page, page, length) == 0))
            return place & (capacity - 1);
    }
}

static void grow(struct tally *tally)
{
    size_t capacity = 2 * tally->capacity;
    struct result *results = xcalloc(capacity, sizeof *results);
    for (size_t i = 0; i < tally->capacity; i++) {
        const struct result *old = &tally->results[i];
        if (old->page != NULL)
            results[place_of(results, capacity, old->window_start_ms, old->page, old->page_length)] = *old;
    }
    free(tally->results);
    tally->results = results;
    tally->capacity = capacity;
}

/* Finds or makes it. */
static int result_of(struct tally *tally, int64_t window_start_ms, const char *page, size_t length,
                     struct result **ret_result, struct error *err)
{
    size_t place = place_of(tally->results, tally->capacity, window_start_ms, page, length);
    if (tally->results[place].page == NULL) {
        if (tally->count == TALLY_MAX_RESULTS)
            return error_set(err, WEIR_E_LIMIT, "more than %d pages and windows to audit", TALLY_MAX_RESULTS);
        if (2 * (tally->count + 1) > tally->capacity) {
            grow(tally);
            place = place_of(tally->results, tally->capacity, window_start_ms, page, length);
        }
        char *copy = xmalloc(length + 1); /* a page may be empty, and may hold NULs */
        memcpy(copy, page, length);
        tally->results[place] =
            (struct result){.window_start_ms = window_start_ms, .page = copy, .page_length = length};
        tally->count++;
    }
    *ret_result = &tally->results[place];
    return 0;
}

static int64_t window_start_of(const struct tally *tally, int64_t timestamp_ms)
{
    int64_t into = timestamp_ms % tally->window_ms;
    return timestamp_ms - (into < 0 ? into + tally->window_ms : into);
}

int tally_input(struct tally *tally, uint32_t partition, const char *data, size_t size, struct error *err)
{
    assert(partition < tally->partitions);
    char scratch[CLICK_PAGE_MAX];
    const char *page, *reason;
    size_t length;
    int64_t timestamp_ms;
    tally->input_records++;
    if (click_event_decode(data, size, &timestamp_ms, &page, &length, scratch, sizeof scratch, &reason) !=
        0) {
        tally->input_bad++;
        return 0;
    }
    if (timestamp_ms > tally->largest_timestamp_ms[partition])
        tally->largest_timestamp_ms[partition] = timestamp_ms;
    struct result *result;
    int rc = result_of(tally, window_start_of(tally, timestamp_ms), page, length, &result, err);
    if (rc != 0)
        return rc;
    result->expected++;
    return 0;
}

int tally_output(struct tally *tally, const char *data, size_t size, struct error *err)
{
    char scratch[CLICK_PAGE_MAX];
    const char *reason;
    struct click_statistics record;
    tally->output_records++;
    if (click_statistics_decode(data, size, &record, scratch, sizeof scratch, &reason) != 0 ||
        record.window_end_ms - record.window_start_ms != tally->window_ms ||
        window_start_of(tally, record.window_start_ms) != record.window_start_ms) {
        tally->output_bad++;
        return 0;
    }
    struct result *result;
    int rc = result_of(tally, record.window_start_ms, record.page, record.page_length, &result, err);
    if (rc != 0)
        return rc;
    if (result->records++ == 0) {
        result->count_first = result->count_min = result->count_max = record.count;
        return 0;
    }
    if (record.count == result->count_first)
        result->duplicates++;
    if (record.count < result->count_min)
        result->count_min = record.count;
    if (record.count > result->count_max)
        result->count_max = record.count;
    return 0;
}

int64_t tally_watermark(const struct tally *tally)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < tally->partitions; i++)
        if (tally->largest_timestamp_ms[i] < least)
            least = tally->largest_timestamp_ms[i];
    if (least < INT64_MIN + tally->out_of_orderness_ms + 1)
        return INT64_MIN;
    return least - tally->out_of_orderness_ms - 1;
}

static bool window_complete(const struct tally *tally, int64_t watermark_ms, int64_t window_start_ms)
{
    return watermark_ms != INT64_MIN && window_start_ms <= watermark_ms - (tally->window_ms - 1);
}

/* From best to worst. */
enum grade { GRADE_EXACT, GRADE_OVER, GRADE_SHORT, GRADE_MISSING };

static enum grade grade_of(const struct result *result)
{
    if (result->records == 0)
        return GRADE_MISSING;
    if (result->count_min < result->expected)
        return GRADE_SHORT;
    return result->count_max > result->expected ? GRADE_OVER : GRADE_EXACT;
}

static int compare_results(const void *a, const void *b)
{
    const struct result *x = *(const struct result *const *)a;
    const struct result *y = *(const struct result *const *)b;
    if (x->window_start_ms != y->window_start_ms)
        return x->window_start_ms < y->window_start_ms ? -1 : 1;
    size_t shorter = x->page_length < y->page_length ? x->page_length : y->page_length;
    int order = memcmp(x->page, y->page, shorter);
    return order != 0 ? order : (x->page_length > y->page_length) - (x->page_length < y->page_length);
}

/* The results of complete windows in order of window and page; the caller frees the array. */
static const struct result **sorted_complete(const struct tally *tally, size_t *ret_count)
{
    int64_t watermark_ms = tally_watermark(tally);
    const struct result **sorted = xcalloc(tally->count + 1, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < tally->capacity; i++)
        if (tally->results[i].page != NULL &&
            window_complete(tally, watermark_ms, tally->results[i].window_start_ms))
            sorted[count++] = &tally->results[i];
    qsort(sorted, count, sizeof *sorted, compare_results);
    *ret_count = count;
    return sorted;
}

static void count_window(struct tally_summary *summary, enum grade grade)
{
    int64_t *const counters[] = {[GRADE_EXACT] = &summary->exact,
                                 [GRADE_OVER] = &summary->over,
                                 [GRADE_SHORT] = &summary->short_,
                                 [GRADE_MISSING] = &summary->missing};
    summary->windows_complete++;
    (*counters[grade])++;
}

void tally_summarise(const struct tally *tally, struct tally_summary *ret_summary)
{
    struct tally_summary summary = {.input_records = tally->input_records,
                                    .input_bad = tally->input_bad,
                                    .output_records = tally->output_records,
                                    .output_bad = tally->output_bad};
    int64_t watermark_ms = tally_watermark(tally);
    for (size_t i = 0; i < tally->capacity; i++) {
        const struct result *result = &tally->results[i];
        if (result->page == NULL)
            continue;
        summary.duplicates += result->duplicates;
        if (!window_complete(tally, watermark_ms, result->window_start_ms))
            summary.premature += result->records;
    }
    size_t count;
    const struct result **sorted = sorted_complete(tally, &count);
    for (size_t i = 0; i < count;) {
        enum grade worst = GRADE_EXACT;
        int64_t window_start_ms = sorted[i]->window_start_ms;
        for (; i < count && sorted[i]->window_start_ms == window_start_ms; i++)
            if (grade_of(sorted[i]) > worst)
                worst = grade_of(sorted[i]);
        count_window(&summary, worst);
    }
    free(sorted);
    *ret_summary = summary;
}

bool tally_settled(const struct tally *tally)
{
    int64_t watermark_ms = tally_watermark(tally);
    for (size_t i = 0; i < tally->capacity; i++) {
        const struct result *result = &tally->results[i];
        if (result->page != NULL && result->records == 0 &&
            window_complete(tally, watermark_ms, result->window_start_ms))
            return false;
    }
    return true;
}

void tally_faults(const struct tally *tally, size_t limit,
                  void (*report)(void *self, const struct tally_fault *fault), void *self)
{
    size_t count;
    const struct result **sorted = sorted_complete(tally, &count);
    for (size_t i = 0; i < count && limit > 0; i++) {
        const struct result *result = sorted[i];
        if (grade_of(result) == GRADE_EXACT)
            continue;
        struct tally_fault fault = {.window_start_ms = result->window_start_ms,
                                    .page = result->page,
                                    .page_length = result->page_length,
                                    .expected = result->expected,
                                    .records = result->records,
                                    .count_min = result->count_min,
                                    .count_max = result->count_max};
        report(self, &fault);
        limit--;
    }
    free(sorted);
}
