/* Hashes: of keys (XXH3, low 32 bits), of key groups (MurmurHash3's finaliser, Appleby 2011), of files (XXH3
 * 64). */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t hash64(const void *data, size_t size_bytes)
{
    return XXH3_64bits(data, size_bytes);
}

/* Part of the format of snapshots and of the exchange: it decides the key group. */
static inline uint32_t hash_key(const void *key, size_t size_bytes)
{
    if (size_bytes == 8) /* a number: the compiler knows the size, the value is the same */
        return (uint32_t)XXH3_64bits(key, 8);
    return (uint32_t)XXH3_64bits(key, size_bytes);
}

static inline uint32_t murmur_mix(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return h;
}

static inline uint32_t key_group_of(uint32_t key_hash, uint32_t max_parallelism)
{
    return murmur_mix(key_hash) % max_parallelism;
}

/* The subtask that owns a key group, and the groups [*ret_first, *ret_last] of a subtask: Flink's
 * KeyGroupRangeAssignment. */
static inline uint32_t key_group_owner(uint32_t key_group, uint32_t parallelism, uint32_t max_parallelism)
{
    return (uint32_t)((uint64_t)key_group * parallelism / max_parallelism);
}

static inline void key_group_range(uint32_t subtask, uint32_t parallelism, uint32_t max_parallelism,
                                   uint32_t *ret_first, uint32_t *ret_last)
{
    *ret_first = (uint32_t)(((uint64_t)subtask * max_parallelism + parallelism - 1) / parallelism);
    *ret_last = (uint32_t)((((uint64_t)subtask + 1) * max_parallelism - 1) / parallelism);
}

#endif
