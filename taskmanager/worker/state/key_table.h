/* Keys and their accumulators: an open addressing table of stored hashes over entries in the order of
 * insertion. Adding allocates only to grow. One task owns it. */
#ifndef WEIR_STATE_KEY_TABLE_H
#define WEIR_STATE_KEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    KEY_INLINE_BYTES = 8
}; /* keys up to this size are in their entry: no other memory is touched for them */

struct key_entry {
    union {
        uint64_t key_offset; /* in the arena */
        unsigned char key[KEY_INLINE_BYTES];
    };
    uint32_t key_size;
    uint32_t hash;
    unsigned char accumulator[]; /* aligned to 8 */
};

struct key_slot {
    uint32_t hash;
    uint32_t entry; /* index + 1; 0: free */
};

struct key_table {
    struct key_slot *slots; /* a power of two of them, at most 3/4 used */
    uint32_t slot_mask;
    uint32_t count;
    uint32_t stride; /* bytes of an entry */
    uint32_t accumulator_bytes;
    unsigned char *entries; /* stride apart; moves when it grows */
    uint32_t entry_capacity;
    unsigned char *arena; /* bytes of the longer keys */
    uint64_t arena_used;
    uint64_t arena_capacity;
};

void key_table_init(struct key_table *table, uint32_t accumulator_bytes);
void key_table_deinit(struct key_table *table);
void key_table_clear(struct key_table *table); /* keeps the memory for the next use */

/* NULL: not there. */
void *key_table_find(const struct key_table *table, uint32_t hash, const void *key, uint32_t key_size);

/* Entries 0 … count − 1 in the order in which they were added. */
static inline struct key_entry *key_table_entry(const struct key_table *table, uint32_t index)
{
    return (struct key_entry *)(void *)(table->entries + (size_t)index * table->stride);
}

static inline const unsigned char *key_table_key(const struct key_table *table, const struct key_entry *entry)
{
    return entry->key_size <= KEY_INLINE_BYTES ? entry->key : table->arena + entry->key_offset;
}

/* memcmp(…) == 0, for the sizes that keys mostly have without a call: two words that overlap. */
static inline bool key_bytes_equal(const unsigned char *a, const unsigned char *b, uint32_t size)
{
    if (size - 4u > 12u) /* below 4 or above 16 */
        return size == 0 || memcmp(a, b, size) == 0;
    if (size < 8) {
        uint32_t words[4];
        memcpy(&words[0], a, 4);
        memcpy(&words[1], b, 4);
        memcpy(&words[2], a + size - 4, 4);
        memcpy(&words[3], b + size - 4, 4);
        return ((words[0] ^ words[1]) | (words[2] ^ words[3])) == 0;
    }
    uint64_t words[4];
    memcpy(&words[0], a, 8);
    memcpy(&words[1], b, 8);
    memcpy(&words[2], a + size - 8, 8);
    memcpy(&words[3], b + size - 8, 8);
    return ((words[0] ^ words[1]) | (words[2] ^ words[3])) == 0;
}

static inline bool key_table_is_key(const struct key_table *table, const struct key_entry *entry,
                                    const void *key, uint32_t key_size)
{
    return entry->key_size == key_size && key_bytes_equal(key_table_key(table, entry), key, key_size);
}

/* key_table_get_or_add without its first look. */
void *key_table_search_or_add(struct key_table *table, uint32_t hash, const void *key, uint32_t key_size,
                              bool *ret_added);
/* The accumulator of a key, zeroed when it is new. Valid until the next call that adds a key. */
static inline void *key_table_get_or_add(struct key_table *table, uint32_t hash, const void *key,
                                         uint32_t key_size, bool *ret_added)
{
    if (table->slots) {
        const struct key_slot *slot = &table->slots[hash & table->slot_mask];
        if (slot->entry && slot->hash == hash) {
            struct key_entry *entry = key_table_entry(table, slot->entry - 1);
            if (key_table_is_key(table, entry, key, key_size)) {
                *ret_added = false;
                return entry->accumulator;
            }
        }
    }
    return key_table_search_or_add(table, hash, key, key_size, ret_added);
}

/* Two hints for a key that is looked up a little later, so that the processor needn't wait for its memory:
 * first its slot, then, when that has come, its entry. */
static inline void key_table_expect_slot(const struct key_table *table, uint32_t hash)
{
    __builtin_prefetch(&table->slots[hash & table->slot_mask], 1);
}
static inline void key_table_expect_entry(const struct key_table *table, uint32_t hash)
{
    const struct key_slot *slot = &table->slots[hash & table->slot_mask];
    if (slot->entry)
        __builtin_prefetch(key_table_entry(table, slot->entry - 1), 1);
}

uint64_t key_table_bytes(const struct key_table *table); /* memory held */

#endif
