/* The bytes of one key group of sliced state, version 1, little endian, everything a multiple of 8 (README.md
 * has the table): header, then per slice its end and entry count, then its entries.
 *
 * Possible failure modes on restore: other version, sizes that don't fit, slices out of order, a key that
 * hashes to something else than what is stored or belongs to another group, a key twice, bytes left over. */
#include "taskmanager/worker/state/slice_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"
#include "taskmanager/worker/state/state_handle.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records and state are little endian in memory");

enum { SLICE_FORMAT_VERSION = 1 };

struct group_header {
    uint32_t version;
    uint32_t accumulator_bytes;
    int64_t watermark_ms;
    uint32_t slice_count;
    uint32_t reserved;
};
struct slice_header {
    int64_t end_ms;
    uint32_t entry_count;
    uint32_t reserved;
};
struct entry_header {
    uint32_t hash;
    uint32_t key_size;
};

static uint32_t padded(uint32_t size)
{
    return (size + 7u) & ~7u;
}

/* ---- snapshot
 * ------------------------------------------------------------------------------------------------------ */

struct entry_ref {
    uint32_t slice;
    uint32_t entry;
};

/* All entries ordered by key group, within it by slice and insertion: a counting sort. starts has group_count
 * + 1. */
static struct entry_ref *sort_by_group(const struct slice_state *state, uint32_t first_group,
                                       uint32_t group_count, uint32_t max_parallelism, size_t *starts)
{
    size_t total = 0;
    memset(starts, 0, (group_count + 1) * sizeof *starts);
    for (uint32_t s = 0; s < state->count; s++) {
        const struct key_table *table = &state->slices[s]->table;
        total += table->count;
        for (uint32_t e = 0; e < table->count; e++) {
            uint32_t group = key_group_of(key_table_entry(table, e)->hash, max_parallelism) - first_group;
            assert(group < group_count);
            starts[group + 1]++;
        }
    }
    for (uint32_t g = 0; g < group_count; g++)
        starts[g + 1] += starts[g];
    struct entry_ref *refs = xmalloc((total + 1) * sizeof *refs);
    size_t *next = xmemdup(starts, (group_count + 1) * sizeof *starts);
    for (uint32_t s = 0; s < state->count; s++) {
        const struct key_table *table = &state->slices[s]->table;
        for (uint32_t e = 0; e < table->count; e++) {
            uint32_t group = key_group_of(key_table_entry(table, e)->hash, max_parallelism) - first_group;
            refs[next[group]++] = (struct entry_ref){.slice = s, .entry = e};
        }
    }
    free(next);
    return refs;
}

static unsigned char *put(unsigned char *at, const void *data, uint32_t size)
{
    if (size)
        memcpy(at, data, size);
    memset(at + size, 0, padded(size) - size);
    return at + padded(size);
}

static size_t group_bytes(const struct slice_state *state, const struct entry_ref *refs, size_t count,
                          uint32_t *ret_slices)
{
    size_t size = sizeof(struct group_header);
    *ret_slices = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || refs[i].slice != refs[i - 1].slice) {
            (*ret_slices)++;
            size += sizeof(struct slice_header);
        }
        const struct key_table *table = &state->slices[refs[i].slice]->table;
        size += sizeof(struct entry_header) + padded(key_table_entry(table, refs[i].entry)->key_size) +
                padded(state->accumulator_bytes);
    }
    return size;
}

static uint32_t same_slice(const struct entry_ref *refs, size_t count, size_t from)
{
    size_t to = from;
    while (to < count && refs[to].slice == refs[from].slice)
        to++;
    return (uint32_t)(to - from);
}

static Weir__StateHandle *encode_group(const struct slice_state *state, const struct entry_ref *refs,
                                       size_t count, int64_t watermark_ms)
{
    struct group_header header = {.version = SLICE_FORMAT_VERSION,
                                  .accumulator_bytes = state->accumulator_bytes,
                                  .watermark_ms = watermark_ms};
    size_t size = group_bytes(state, refs, count, &header.slice_count);
    unsigned char *data = xmalloc(size);
    unsigned char *at = put(data, &header, sizeof header);
    for (size_t i = 0; i < count; i++) {
        const struct state_slice *slice = state->slices[refs[i].slice];
        if (i == 0 || refs[i].slice != refs[i - 1].slice) {
            struct slice_header slice_header = {.end_ms = slice->end_ms,
                                                .entry_count = same_slice(refs, count, i)};
            at = put(at, &slice_header, sizeof slice_header);
        }
        const struct key_entry *entry = key_table_entry(&slice->table, refs[i].entry);
        struct entry_header entry_header = {.hash = entry->hash, .key_size = entry->key_size};
        at = put(at, &entry_header, sizeof entry_header);
        at = put(at, key_table_key(&slice->table, entry), entry->key_size);
        at = put(at, entry->accumulator, state->accumulator_bytes);
    }
    assert(at == data + size);
    return state_handle_inline(data, size);
}

void slice_state_snapshot(const struct slice_state *state, uint32_t first_group, uint32_t last_group,
                          uint32_t max_parallelism, int64_t base_watermark_ms,
                          slice_watermark_fn *watermark_of, const void *watermark_self,
                          Weir__OperatorState *operator_state)
{
    assert(operator_state->n_keyed == 0);
    if (first_group > last_group)
        return;
    uint32_t group_count = last_group - first_group + 1;
    size_t *starts = xcalloc(group_count + 1, sizeof *starts);
    struct entry_ref *refs = sort_by_group(state, first_group, group_count, max_parallelism, starts);
    operator_state->keyed = xcalloc(group_count, sizeof *operator_state->keyed);
    for (uint32_t g = 0; g < group_count; g++) {
        int64_t watermark = watermark_of(watermark_self, first_group + g);
        size_t count = starts[g + 1] - starts[g];
        if (count == 0 && watermark <= base_watermark_ms)
            continue;
        Weir__KeyGroupState *group = xmalloc(sizeof *group);
        weir__key_group_state__init(group);
        group->key_group = first_group + g;
        group->handle = encode_group(state, refs + starts[g], count, watermark);
        operator_state->keyed[operator_state->n_keyed++] = group;
    }
    free(refs);
    free(starts);
}

/* ---- restore
 * ------------------------------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *at;
    size_t left;
};

/* The next size bytes (padded), NULL if there are fewer. */
static const void *get(struct reader *reader, uint32_t size)
{
    size_t want = ((size_t)size + 7) & ~(size_t)7;
    if (want > reader->left)
        return NULL;
    const void *data = reader->at;
    reader->at += want;
    reader->left -= want;
    return data;
}

static int restore_entry(const struct slice_restore *restore, struct state_slice *slice,
                         struct reader *reader, struct error *err)
{
    struct entry_header header;
    const void *bytes = get(reader, sizeof header);
    if (!bytes)
        return error_set(err, WEIR_E_CORRUPT, "the state ends amid an entry");
    memcpy(&header, bytes, sizeof header);
    const void *key = get(reader, header.key_size);
    const void *accumulator = key ? get(reader, restore->mapping->stored_size) : NULL;
    if (!accumulator)
        return error_set(err, WEIR_E_CORRUPT, "the state ends amid an entry with a key of %u bytes",
                         header.key_size);
    if (hash_key(key, header.key_size) != header.hash ||
        key_group_of(header.hash, restore->max_parallelism) != restore->key_group)
        return error_set(err, WEIR_E_CORRUPT, "a key in window slice %" PRId64 " does not belong there",
                         slice->end_ms);
    bool added;
    void *into = key_table_get_or_add(&slice->table, header.hash, key, header.key_size, &added);
    if (!added)
        return error_set(err, WEIR_E_CORRUPT, "a key is twice in window slice %" PRId64, slice->end_ms);
    layout_move(restore->mapping, accumulator, into);
    return 0;
}

static int restore_slice(struct slice_state *state, const struct slice_restore *restore,
                         struct reader *reader, int64_t *last_end, struct error *err)
{
    struct slice_header header;
    const void *bytes = get(reader, sizeof header);
    if (!bytes)
        return error_set(err, WEIR_E_CORRUPT, "the state ends amid a window slice");
    memcpy(&header, bytes, sizeof header);
    size_t smallest = sizeof(struct entry_header) + padded(restore->mapping->stored_size);
    if (header.entry_count == 0 || header.entry_count > reader->left / smallest)
        return error_set(err, WEIR_E_CORRUPT, "window slice %" PRId64 " can't have %u entries", header.end_ms,
                         header.entry_count);
    if (header.end_ms <= *last_end)
        return error_set(err, WEIR_E_CORRUPT, "window slices are out of order at %" PRId64, header.end_ms);
    *last_end = header.end_ms;
    struct state_slice *slice = slice_state_get(state, header.end_ms);
    for (uint32_t i = 0; i < header.entry_count; i++)
        if (restore_entry(restore, slice, reader, err))
            return WEIR_E_CORRUPT;
    return 0;
}

int slice_state_restore(struct slice_state *state, const struct slice_restore *restore, const void *data,
                        size_t size, int64_t *ret_watermark_ms, struct error *err)
{
    assert(restore->mapping->declared_size == state->accumulator_bytes);
    struct group_header header;
    struct reader reader = {.at = data, .left = size};
    if (size < sizeof header)
        return error_set(err, WEIR_E_CORRUPT, "key group %u: %zu bytes are too few", restore->key_group,
                         size);
    memcpy(&header, get(&reader, sizeof header), sizeof header);
    if (header.version != SLICE_FORMAT_VERSION)
        return error_set(err, WEIR_E_VERSION, "key group %u: window state of format %u, this is %d",
                         restore->key_group, header.version, SLICE_FORMAT_VERSION);
    if (header.accumulator_bytes != restore->mapping->stored_size)
        return error_set(err, WEIR_E_CORRUPT,
                         "key group %u: accumulators of %u bytes, but the layout says %u", restore->key_group,
                         header.accumulator_bytes, restore->mapping->stored_size);
    if (header.slice_count > reader.left / sizeof(struct slice_header))
        return error_set(err, WEIR_E_CORRUPT, "key group %u: it can't have %u window slices",
                         restore->key_group, header.slice_count);
    int64_t last_end = INT64_MIN;
    for (uint32_t i = 0; i < header.slice_count; i++)
        if (restore_slice(state, restore, &reader, &last_end, err)) {
            error_wrap(err, "key group %u", restore->key_group);
            return WEIR_E_CORRUPT;
        }
    if (reader.left)
        return error_set(err, WEIR_E_CORRUPT, "key group %u: %zu bytes too many", restore->key_group,
                         reader.left);
    *ret_watermark_ms = header.watermark_ms;
    return 0;
}
