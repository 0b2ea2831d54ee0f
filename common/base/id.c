#include "common/base/id.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

char *weir_id_format(const struct weir_id *id, char text[WEIR_ID_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < WEIR_ID_BYTES; i++) {
        text[2 * i] = digits[id->bytes[i] >> 4];
        text[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    text[WEIR_ID_HEX] = '\0';
    return text;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool weir_id_parse(const char *text, struct weir_id *ret_id)
{
    struct weir_id id;
    for (int i = 0; i < WEIR_ID_BYTES; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
        if (low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (text[WEIR_ID_HEX] != '\0')
        return false;
    *ret_id = id;
    return true;
}

bool weir_id_from_bytes(const void *data, size_t length, struct weir_id *ret_id)
{
    if (length != WEIR_ID_BYTES || !data)
        return false;
    memcpy(ret_id->bytes, data, WEIR_ID_BYTES);
    return true;
}

void random_init(struct random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        random->state[i] = z ^ (z >> 31);
    }
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    assert(bound > 0);
    uint64_t threshold = -bound % bound;
    uint64_t value;
    do
        value = random_next(random);
    while (value < threshold);
    return value % bound;
}

struct weir_id random_id(struct random *random)
{
    struct weir_id id;
    uint64_t halves[2] = {random_next(random), random_next(random)};
    memcpy(id.bytes, halves, sizeof id.bytes);
    return id;
}

uint64_t os_random_u64(void)
{
    uint64_t value;
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        abort();
    return value;
}

struct weir_id os_random_id(void)
{
    struct weir_id id;
    if (getrandom(id.bytes, sizeof id.bytes, 0) != (ssize_t)sizeof id.bytes)
        abort();
    return id;
}
