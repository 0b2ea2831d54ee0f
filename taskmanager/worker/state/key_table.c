#include "taskmanager/worker/state/key_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

enum { FIRST_SLOTS = 16, FIRST_ARENA_BYTES = 256 };

void key_table_init(struct key_table *table, uint32_t accumulator_bytes)
{
    assert(accumulator_bytes < 1u << 30);
    *table = (struct key_table){
        .accumulator_bytes = accumulator_bytes,
        .stride = (uint32_t)sizeof(struct key_entry) + ((accumulator_bytes + 7u) & ~7u),
    };
}

void key_table_deinit(struct key_table *table)
{
    free(table->slots);
    free(table->entries);
    free(table->arena);
    *table = (struct key_table){0};
}

void key_table_clear(struct key_table *table)
{
    if (table->slots)
        memset(table->slots, 0, ((size_t)table->slot_mask + 1) * sizeof *table->slots);
    table->count = 0;
    table->arena_used = 0;
}

/* The slot of the key, or the free slot where it would go. The hash compares first, so key bytes are touched
 * once. */
static struct key_slot *probe(const struct key_table *table, uint32_t hash, const void *key,
                              uint32_t key_size)
{
    for (uint32_t at = hash & table->slot_mask;; at = (at + 1) & table->slot_mask) {
        struct key_slot *slot = &table->slots[at];
        if (slot->entry == 0)
            return slot;
        if (slot->hash != hash)
            continue;
        const struct key_entry *entry = key_table_entry(table, slot->entry - 1);
        if (key_table_is_key(table, entry, key, key_size))
            return slot;
    }
}

static void grow_slots(struct key_table *table)
{
    size_t slots = table->slots ? 2 * ((size_t)table->slot_mask + 1) : FIRST_SLOTS;
    assert(slots <= UINT32_MAX / 2);
    free(table->slots);
    table->slots = xcalloc(slots, sizeof *table->slots);
    table->slot_mask = (uint32_t)(slots - 1);
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t hash = key_table_entry(table, i)->hash;
        uint32_t at = hash & table->slot_mask;
        while (table->slots[at].entry)
            at = (at + 1) & table->slot_mask;
        table->slots[at] = (struct key_slot){.hash = hash, .entry = i + 1};
    }
}

static uint64_t arena_add(struct key_table *table, const void *key, uint32_t key_size)
{
    if (key_size > table->arena_capacity - table->arena_used) {
        uint64_t capacity = table->arena_capacity ? 2 * table->arena_capacity : FIRST_ARENA_BYTES;
        table->arena_capacity =
            capacity > table->arena_used + key_size ? capacity : table->arena_used + key_size;
        table->arena = xrealloc(table->arena, table->arena_capacity);
    }
    uint64_t offset = table->arena_used;
    memcpy(table->arena + offset, key, key_size);
    table->arena_used += key_size;
    return offset;
}

static struct key_entry *append_entry(struct key_table *table, uint32_t hash, const void *key,
                                      uint32_t key_size)
{
    if (table->count == table->entry_capacity) {
        table->entry_capacity = table->entry_capacity ? 2 * table->entry_capacity : FIRST_SLOTS / 2;
        table->entries = xrealloc(table->entries, (size_t)table->entry_capacity * table->stride);
    }
    struct key_entry *entry = key_table_entry(table, table->count++);
    *entry = (struct key_entry){.key_size = key_size, .hash = hash};
    memset(entry->accumulator, 0, table->stride - sizeof *entry);
    if (key_size > KEY_INLINE_BYTES)
        entry->key_offset = arena_add(table, key, key_size);
    else if (key_size)
        memcpy(entry->key, key, key_size);
    return entry;
}

void *key_table_search_or_add(struct key_table *table, uint32_t hash, const void *key, uint32_t key_size,
                              bool *ret_added)
{
    if (!table->slots)
        grow_slots(table);
    struct key_slot *slot = probe(table, hash, key, key_size);
    *ret_added = slot->entry == 0;
    if (slot->entry)
        return key_table_entry(table, slot->entry - 1)->accumulator;
    if ((uint64_t)(table->count + 1) * 4 > ((uint64_t)table->slot_mask + 1) * 3) {
        grow_slots(table);
        slot = probe(table, hash, key, key_size);
    }
    struct key_entry *entry = append_entry(table, hash, key, key_size);
    *slot = (struct key_slot){.hash = hash, .entry = table->count};
    return entry->accumulator;
}

void *key_table_find(const struct key_table *table, uint32_t hash, const void *key, uint32_t key_size)
{
    if (!table->slots)
        return NULL;
    const struct key_slot *slot = probe(table, hash, key, key_size);
    return slot->entry ? key_table_entry(table, slot->entry - 1)->accumulator : NULL;
}

uint64_t key_table_bytes(const struct key_table *table)
{
    return (table->slots ? ((uint64_t)table->slot_mask + 1) * sizeof *table->slots : 0) +
           (uint64_t)table->entry_capacity * table->stride + table->arena_capacity;
}
