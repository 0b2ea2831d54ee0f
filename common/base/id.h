/* 128-bit ids (jobs, vertices, requests), written as 32 hex digits; and a small deterministic random
 * generator. */
#ifndef WEIR_BASE_ID_H
#define WEIR_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WEIR_ID_BYTES = 16, WEIR_ID_HEX = 32 };

struct weir_id {
    uint8_t bytes[WEIR_ID_BYTES];
};

static inline bool weir_id_equal(const struct weir_id *a, const struct weir_id *b)
{
    return memcmp(a->bytes, b->bytes, WEIR_ID_BYTES) == 0;
}

/* Writes 32 hex digits and a NUL; returns text. */
char *weir_id_format(const struct weir_id *id, char text[WEIR_ID_HEX + 1]);
/* Exactly 32 hex digits, either case; false otherwise and *ret_id untouched. */
bool weir_id_parse(const char *text, struct weir_id *ret_id);
/* From a protobuf bytes field; false if it isn't 16 bytes long. */
bool weir_id_from_bytes(const void *data, size_t length, struct weir_id *ret_id);

/* xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. The core and the simulator take all randomness
 * from one. */
struct random {
    uint64_t state[4];
};
void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);
struct weir_id random_id(struct random *random);

/* From the operating system (getrandom); for seeds and process-unique names. */
uint64_t os_random_u64(void);
struct weir_id os_random_id(void);

#endif
