/* Crash Job: a sequence through a map to nowhere, that can be told to go wrong.
 *
 *     --crash-in-main            SIGSEGV while the stream is built
 *     --exit-in-main N           main ends the process with this code
 *     --return-from-main N       main returns this without a reason
 *     --reject TEXT              main rejects its arguments with this text
 *     --crash-at N               SIGSEGV in the map at the number N
 *     --abort-at N               abort() there
 *     --fail-at N                weir_fail() there
 *     --to N                     the last number; default: 1000000000
 *     --rate N                   numbers per second; default: 1000
 *     --checkpointing            checkpoints every 100 ms */
#include <weir/weir.h>

#include <inttypes.h>
#include <stdlib.h>

/* Numbers to go wrong at; −1: never. User data of the map: set by main, then only read. */
struct plan {
    int64_t crash_at;
    int64_t abort_at;
    int64_t fail_at;
};
static struct plan plan;

/* Not static, so that its name is in the stack trace; a real SIGSEGV in builds with sanitizers, too. */
WEIR_PUBLIC int crash_here(volatile int *address);
__attribute__((no_sanitize("address", "undefined"), noinline)) int crash_here(volatile int *address)
{
    return *address;
}

static int go_wrong(weir_context *context, const void *record, weir_collector *out)
{
    const struct weir_sequence_element *element = record;
    const struct plan *p = weir_user_data(context);
    if (element->value == p->crash_at)
        return crash_here(NULL);
    if (element->value == p->abort_at)
        abort();
    if (element->value == p->fail_at)
        return weir_fail(context, "told to fail at %" PRId64, element->value);
    struct weir_sequence_element *copy = weir_new_record(out);
    copy->value = element->value;
    return weir_emit(out, copy);
}

static int64_t number(weir_env *env, const char *name, int64_t default_value)
{
    const char *text = weir_arg(env, name, NULL);
    return text ? strtoll(text, NULL, 10) : default_value;
}

static int build(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (weir_flag(env, "crash-in-main"))
        return crash_here(NULL);
    if (weir_flag(env, "exit-in-main"))
        exit((int)number(env, "exit-in-main", 0));
    if (weir_flag(env, "return-from-main"))
        return (int)number(env, "return-from-main", 0);
    if (weir_flag(env, "reject"))
        return weir_reject(env, "%s", weir_arg(env, "reject", ""));

    plan.crash_at = number(env, "crash-at", -1);
    plan.abort_at = number(env, "abort-at", -1);
    plan.fail_at = number(env, "fail-at", -1);
    if (weir_flag(env, "checkpointing"))
        weir_enable_checkpointing(env, 100);
    weir_stream *sequence = weir_from_sequence(env, WEIR_NAMED("Sequence", "sequence"), .from = 0,
                                               .to = number(env, "to", 1000000000),
                                               .records_per_second = (double)number(env, "rate", 1000));
    weir_stream *passed =
        weir_map(sequence, .operator_ = {.name = "Go Wrong", .uid = "go-wrong", .user_data = &plan},
                 .type = &weir_sequence_element_type, .map = go_wrong);
    weir_discard(passed, WEIR_NAMED("Nowhere", "nowhere"));
    return 0;
}

WEIR_JOB("Crash Job", build);
