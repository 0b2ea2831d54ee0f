/* Fixed-size buffers in finite pools. One owner takes buffers from a pool; any thread gives them back. An
 * empty pool is backpressure. */
#ifndef WEIR_SHUFFLE_BUFFER_H
#define WEIR_SHUFFLE_BUFFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "taskmanager/worker/shuffle/waker.h"

enum { BUFFER_SIZE_BYTES = 32 * 1024 };

struct buffer_pool;

struct buffer {
    struct buffer_pool *pool;                          /* where buffer_recycle puts it */
    struct buffer *next;                               /* in the pool's free list */
    uint32_t size;                                     /* bytes written */
    uint32_t position;                                 /* bytes read, consumer's */
    bool overdraft;                                    /* beyond the pool's size; freed when recycled */
    unsigned char data[] __attribute__((aligned(16))); /* BUFFER_SIZE_BYTES */
};

/* waker: told when a buffer comes back to an empty pool; may be NULL; outlives the pool's last buffer.
 * Buffers are allocated at first use. */
struct buffer_pool *buffer_pool_new(uint32_t buffer_count, struct waker *waker);
/* Owner only, before the first take. */
void buffer_pool_set_waker(struct buffer_pool *pool, struct waker *waker);
/* The owner is done with it. Buffers still under way stay valid; the last one to be recycled takes the pool
 * along. */
void buffer_pool_free(struct buffer_pool *pool);
/* Owner only. NULL: none free. */
struct buffer *buffer_pool_try_take(struct buffer_pool *pool);
/* Owner only. A buffer beyond the pool's size, for the output that one input record still makes; never NULL.
 */
struct buffer *buffer_pool_take_overdraft(struct buffer_pool *pool);
bool buffer_pool_has_free(struct buffer_pool *pool);         /* owner only */
uint32_t buffer_pool_in_use(const struct buffer_pool *pool); /* any thread, approximate: the metric */
uint32_t buffer_pool_size(const struct buffer_pool *pool);
void buffer_recycle(struct buffer *buffer); /* any thread */

#endif
