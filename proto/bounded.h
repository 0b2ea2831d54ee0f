/* Unpacking messages of unknown origin: an allocator for protobuf-c that gives out a bounded multiple of the
 * message's size, so that a small message can't claim a large amount of memory. What it gave is freed as
 * usual, with a NULL allocator. */
#ifndef WEIR_PROTO_BOUNDED_H
#define WEIR_PROTO_BOUNDED_H

#include <malloc.h>
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
    void *memory = malloc(size_bytes ? size_bytes : 1);
    size_t got = malloc_usable_size(memory);
    bounded->left_bytes -= got < bounded->left_bytes ? got : bounded->left_bytes;
    return memory;
}

static inline void bounded_free(void *self, void *memory)
{
    struct bounded_allocator *bounded = self;
    bounded->left_bytes += malloc_usable_size(memory);
    free(memory);
}

/* The densest honest messages (empty ones, repeated) take up to 40 bytes of memory for each of their own,
 * half of it while they are being read; large messages are mostly payload. */
static inline ProtobufCAllocator *bounded_allocator_init(struct bounded_allocator *bounded, size_t wire_bytes)
{
    enum { PER_SMALL_BYTE = 64, PER_BYTE = 16, SMALL_BYTES = 1 << 20, BASE_BYTES = 4096 };
    size_t small = wire_bytes < SMALL_BYTES ? wire_bytes : SMALL_BYTES;
    size_t rest = wire_bytes - small < (size_t)1 << 40 ? wire_bytes - small : (size_t)1 << 40;
    bounded->allocator = (ProtobufCAllocator){bounded_alloc, bounded_free, bounded};
    bounded->left_bytes = BASE_BYTES + small * PER_SMALL_BYTE + rest * PER_BYTE;
    return &bounded->allocator;
}

#endif
