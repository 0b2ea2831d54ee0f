/* Unpacking messages of unknown origin: an allocator for protobuf-c that gives out a bounded multiple of the
 * message's size, so that a small message can't claim a large amount of memory. What it gave is freed as
 * usual, with a NULL allocator. */
#ifndef WEIR_PROTO_BOUNDED_H
#define WEIR_PROTO_BOUNDED_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdlib.h>

struct bounded_allocator {
    ProtobufCAllocator allocator; /* pass its address to …__unpack */
    size_t left_bytes;
};

static inline void *bounded_alloc(void *self, size_t size_bytes)
{
    struct bounded_allocator *bounded = self;
    if (size_bytes > bounded->left_bytes)
        return NULL;
    bounded->left_bytes -= size_bytes;
    return malloc(size_bytes ? size_bytes : 1);
}

static inline void bounded_free(void *self, void *memory)
{
    (void)self;
    free(memory);
}

/* The densest honest message (a batch of empty messages) needs about 30 bytes of memory for each of its own.
 */
static inline ProtobufCAllocator *bounded_allocator_init(struct bounded_allocator *bounded, size_t wire_bytes)
{
    enum { PER_BYTE = 64, SMALL_BYTES = 4 << 20, BASE_BYTES = 4096 };
    size_t small = wire_bytes < SMALL_BYTES ? wire_bytes : SMALL_BYTES;
    size_t rest = wire_bytes - small;
    bounded->allocator = (ProtobufCAllocator){bounded_alloc, bounded_free, bounded};
    bounded->left_bytes = BASE_BYTES + small * PER_BYTE + (rest > (size_t)1 << 40 ? 0 : rest * 8);
    return &bounded->allocator;
}

#endif
