#include "deploy/auditor/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "deploy/auditor/options.h"
#include "examples/click_event.h"

enum { MAX_FAULTS_SHOWN = 24 };

static void print_fault(void *self, const struct tally_fault *fault)
{
    (void)self;
    char start[CLICK_DATE_LENGTH + 1];
    if (click_date_format(fault->window_start_ms, start, sizeof start) == 0)
        snprintf(start, sizeof start, "%" PRId64, fault->window_start_ms);
    int length = fault->page_length < 64 ? (int)fault->page_length : 64;
    if (fault->records == 0)
        printf("  window %s %.*s: expected %" PRId64 ", no record\n", start, length, fault->page,
               fault->expected);
    else if (fault->count_min == fault->count_max)
        printf("  window %s %.*s: expected %" PRId64 ", counted %" PRId64 "\n", start, length, fault->page,
               fault->expected, fault->count_min);
    else
        printf("  window %s %.*s: expected %" PRId64 ", counted %" PRId64 " to %" PRId64 " in %" PRId64
               " records\n",
               start, length, fault->page, fault->expected, fault->count_min, fault->count_max,
               fault->records);
}

static void print_text(const struct tally *tally, const struct tally_summary *s)
{
    printf("Audit of %" PRId64 " input and %" PRId64 " output records\n"
           "  windows complete   %" PRId64 "\n"
           "  exact              %" PRId64 "\n"
           "  short              %" PRId64 "\n"
           "  over               %" PRId64 "\n"
           "  missing            %" PRId64 "\n"
           "  duplicate records  %" PRId64 "\n",
           s->input_records, s->output_records, s->windows_complete, s->exact, s->short_, s->over, s->missing,
           s->duplicates);
    if (s->premature > 0)
        printf("  premature records  %" PRId64 " (of windows that aren't complete)\n", s->premature);
    if (s->input_bad > 0)
        printf("  bad input records  %" PRId64 " (not counted)\n", s->input_bad);
    if (s->output_bad > 0)
        printf("  bad output records %" PRId64 "\n", s->output_bad);
    tally_faults(tally, MAX_FAULTS_SHOWN, print_fault, NULL);
}

static void print_json(const struct tally_summary *s, const char *verdict)
{
    printf("{\"inputRecords\":%" PRId64 ",\"inputBad\":%" PRId64 ",\"outputRecords\":%" PRId64
           ",\"outputBad\":%" PRId64 ",\"windowsComplete\":%" PRId64 ",\"exact\":%" PRId64
           ",\"short\":%" PRId64 ",\"over\":%" PRId64 ",\"missing\":%" PRId64 ",\"duplicateRecords\":%" PRId64
           ",\"prematureRecords\":%" PRId64 ",\"verdict\":\"%s\"}\n",
           s->input_records, s->input_bad, s->output_records, s->output_bad, s->windows_complete, s->exact,
           s->short_, s->over, s->missing, s->duplicates, s->premature, verdict);
}

int report_verdict(const struct tally *tally, int64_t min_windows, bool json)
{
    struct tally_summary summary;
    tally_summarise(tally, &summary);
    int rc = AUDIT_EXIT_EXACT;
    if (summary.exact != summary.windows_complete || summary.premature > 0 || summary.output_bad > 0)
        rc = AUDIT_EXIT_INEXACT;
    else if (summary.windows_complete < min_windows)
        rc = AUDIT_EXIT_TOO_FEW;
    static const char *const verdicts[] = {[AUDIT_EXIT_EXACT] = "exact",
                                           [AUDIT_EXIT_INEXACT] = "inexact",
                                           [AUDIT_EXIT_TOO_FEW] = "too few windows"};
    if (json) {
        print_json(&summary, verdicts[rc]);
    } else {
        print_text(tally, &summary);
        if (rc == AUDIT_EXIT_TOO_FEW)
            printf("Verdict: too few windows (at least %" PRId64 " wanted)\n", min_windows);
        else
            printf("Verdict: %s\n", verdicts[rc]);
    }
    fflush(stdout);
    return rc;
}
