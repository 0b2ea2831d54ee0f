/* Counts clicks per key in windows of 15 s of event time; source and sink are in memory.
 *   --keys pages|six|million   six strings, six numbers, a million numbers
 *   --count N                  records (0: without end)
 *   --checkpoints              each 1 s */
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "clicks.h"

WEIR_RECORD(page_click, (timestamp, at), (string, page));
WEIR_RECORD(key_click, (timestamp, at), (int64, key));
WEIR_RECORD(click_count, (int64, count));

static int generate_page(weir_context *context, int64_t index, weir_collector *out)
{
    (void)context;
    struct page_click *click = weir_new_record(out);
    const struct page *page = &pages[index % PAGES];
    click->at = slow_time(index);
    weir_set_string(out, &click->page, page->name, page->length);
    return weir_emit(out, click);
}

static int generate_six(weir_context *context, int64_t index, weir_collector *out)
{
    (void)context;
    struct key_click *click = weir_new_record(out);
    click->at = slow_time(index);
    click->key = index % PAGES;
    return weir_emit(out, click);
}

static int generate_million(weir_context *context, int64_t index, weir_collector *out)
{
    (void)context;
    struct key_click *click = weir_new_record(out);
    click->at = fast_time(index);
    click->key = scattered_key(index);
    return weir_emit(out, click);
}

static void add(weir_context *context, void *accumulator, const void *record)
{
    (void)context;
    (void)record;
    ((struct click_count *)accumulator)->count++;
}

static void merge(weir_context *context, void *accumulator, const void *other)
{
    (void)context;
    ((struct click_count *)accumulator)->count += ((const struct click_count *)other)->count;
}

static const weir_aggregate counter = {.struct_size = sizeof(weir_aggregate),
                                       .name = "count",
                                       .accumulator = &click_count_type,
                                       .add = add,
                                       .merge = merge};

static int emit_count(weir_context *context, const weir_key *key, const weir_window *window,
                      const void *result, weir_collector *out)
{
    (void)context;
    (void)key;
    (void)window;
    struct click_count *count = weir_new_record(out);
    count->count = ((const struct click_count *)result)->count;
    return weir_emit(out, count);
}

struct variant {
    const char *name;
    const weir_record_type *type;
    weir_generate_fn *generate;
    const char *key;
};

static const struct variant variants[] = {
    {"pages", &page_click_type, generate_page, "page"},
    {"six", &key_click_type, generate_six, "key"},
    {"million", &key_click_type, generate_million, "key"},
};

static const struct variant *find_variant(const char *name)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (strcmp(variants[i].name, name) == 0)
            return &variants[i];
    return NULL;
}

static int job_main(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const char *keys = weir_arg(env, "keys", "pages");
    const struct variant *variant = find_variant(keys);
    if (!variant)
        return weir_reject(env, "--keys %s: pages, six or million", keys);
    if (weir_flag(env, "checkpoints"))
        weir_enable_checkpointing(env, 1000);
    weir_stream *clicks = weir_from_generator(
        env, WEIR_NAMED("Clicks", "clicks"), .type = variant->type, .generate = variant->generate,
        .count = strtoll(weir_arg(env, "count", "0"), NULL, 10),
        .watermarks = {.out_of_orderness_ms = OUT_OF_ORDERNESS_MS, .timestamp_field = "at"});
    weir_stream *counts =
        weir_window(weir_key_by(clicks, variant->key), WEIR_NAMED("Counter", "counter"),
                    .kind = WEIR_TUMBLING_EVENT_TIME, .size_ms = WINDOW_MS, .aggregate = &counter,
                    .type = &click_count_type, .window = emit_count);
    weir_discard(counts, WEIR_NAMED("Nowhere", "nowhere"));
    return 0;
}

WEIR_JOB("in-memory counts", job_main);
