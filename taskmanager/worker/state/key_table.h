/* Keys and their accumulators: an open addressing table of stored hashes over entries in the order of
 * insertion. Adding allocates only to grow. One task owns it. */
#ifndef WEIR_STATE_KEY_TABLE_H
#define WEIR_STATE_KEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key_entry {
    uint64_t key_offset; /* in the arena */
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
    unsigned char *arena; /* key bytes */
    uint64_t arena_used;
    uint64_t arena_capacity;
};

void key_table_init(struct key_table *table, uint32_t accumulator_bytes);
void key_table_deinit(struct key_table *table);
void key_table_clear(struct key_table *table); /* keeps the memory for the next use */

/* The accumulator of a key, zeroed when it is new. Valid until the next call that adds a key. */
void *key_table_get_or_add(struct key_table *table, uint32_t hash, const void *key, uint32_t key_size,
                           bool *ret_added);
/* NULL: not there. */
void *key_table_find(const struct key_table *table, uint32_t hash, const void *key, uint32_t key_size);

/* Entries 0 … count − 1 in the order in which they were added. */
static inline struct key_entry *key_table_entry(const struct key_table *table, uint32_t index)
{
    return (struct key_entry *)(void *)(table->entries + (size_t)index * table->stride);
}

static inline const unsigned char *key_table_key(const struct key_table *table, const struct key_entry *entry)
{
    return table->arena + entry->key_offset;
}

uint64_t key_table_bytes(const struct key_table *table); /* memory held */

#endif
