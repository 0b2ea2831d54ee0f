/* Happy path: the owner pops from its private free list. When that is empty it takes everything that other
 * threads have pushed in one exchange, so a buffer is never popped while another thread could push it back:
 * no ABA problem, no locks.
 *
 * Possible failure modes: a buffer recycled twice would be in the list twice (asserted by its position mark);
 * the owner frees the pool while buffers are in channels (the references keep it until the last one). */
#include "taskmanager/worker/shuffle/buffer.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"

enum { CACHE_LINE_BYTES = 64, POSITION_RECYCLED = 0xffffffff - 1 };

struct buffer_pool {
    /* Owner: */
    struct buffer *free_list;
    uint32_t allocated; /* of size; overdrafts are not counted */
    uint32_t size;
    struct waker *waker;
    /* Any thread: */
    _Alignas(CACHE_LINE_BYTES) _Atomic(struct buffer *) returned;
    /* Buffers in use, and one for the owner. Whoever takes it to 0 frees the pool. */
    _Alignas(CACHE_LINE_BYTES) atomic_uint references;
};

static void *aligned_new(size_t size_bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, CACHE_LINE_BYTES, size_bytes))
        abort();
    return memory;
}

struct buffer_pool *buffer_pool_new(uint32_t buffer_count, struct waker *waker)
{
    struct buffer_pool *pool = aligned_new(sizeof *pool);
    pool->free_list = NULL;
    pool->allocated = 0;
    pool->size = buffer_count;
    pool->waker = waker;
    atomic_init(&pool->returned, NULL);
    atomic_init(&pool->references, 1);
    return pool;
}

void buffer_pool_set_waker(struct buffer_pool *pool, struct waker *waker)
{
    assert(pool->allocated == 0);
    pool->waker = waker;
}

static void free_list(struct buffer *list)
{
    while (list) {
        struct buffer *next = list->next;
        free(list);
        list = next;
    }
}

static void pool_unref(struct buffer_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->references, 1, memory_order_acq_rel) != 1)
        return;
    free_list(pool->free_list);
    free_list(atomic_load_explicit(&pool->returned, memory_order_acquire));
    free(pool);
}

void buffer_pool_free(struct buffer_pool *pool)
{
    if (pool)
        pool_unref(pool);
}

static struct buffer *buffer_new(struct buffer_pool *pool, bool overdraft)
{
    struct buffer *buffer = aligned_new(sizeof *buffer + BUFFER_SIZE_BYTES);
    buffer->pool = pool;
    buffer->overdraft = overdraft;
    return buffer;
}

static struct buffer *buffer_hand_out(struct buffer *buffer)
{
    buffer->next = NULL;
    buffer->size = 0;
    buffer->position = 0;
    atomic_fetch_add_explicit(&buffer->pool->references, 1, memory_order_relaxed);
    return buffer;
}

struct buffer *buffer_pool_try_take(struct buffer_pool *pool)
{
    if (!pool->free_list && atomic_load_explicit(&pool->returned, memory_order_relaxed))
        pool->free_list = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    struct buffer *buffer = pool->free_list;
    if (buffer) {
        assert(buffer->position == POSITION_RECYCLED);
        pool->free_list = buffer->next;
        return buffer_hand_out(buffer);
    }
    if (pool->allocated == pool->size)
        return NULL;
    pool->allocated++;
    return buffer_hand_out(buffer_new(pool, false));
}

struct buffer *buffer_pool_take_overdraft(struct buffer_pool *pool)
{
    return buffer_hand_out(buffer_new(pool, true));
}

bool buffer_pool_has_free(struct buffer_pool *pool)
{
    return pool->free_list || pool->allocated < pool->size ||
           atomic_load_explicit(&pool->returned, memory_order_acquire);
}

uint32_t buffer_pool_in_use(const struct buffer_pool *pool)
{
    return atomic_load_explicit(&pool->references, memory_order_relaxed) - 1;
}

uint32_t buffer_pool_size(const struct buffer_pool *pool)
{
    return pool->size;
}

void buffer_recycle(struct buffer *buffer)
{
    struct buffer_pool *pool = buffer->pool;
    assert(buffer->position != POSITION_RECYCLED);
    if (buffer->overdraft) {
        free(buffer);
    } else {
        buffer->position = POSITION_RECYCLED;
        struct buffer *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);
        do {
            buffer->next = head;
        } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, buffer, memory_order_release,
                                                        memory_order_relaxed));
        /* Not the first in the list: whoever was first has woken the owner, or is about to. */
        if (!head)
            waker_wake(pool->waker);
    }
    pool_unref(pool);
}
