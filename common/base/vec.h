/* A typed growing array: struct vec_of(int) numbers = {0}; vec_push(&numbers, 7); vec_free(&numbers);
 * Grows with xrealloc: for what the program itself sizes. */
#ifndef WEIR_BASE_VEC_H
#define WEIR_BASE_VEC_H

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

#define vec_of(type)                                                                                         \
    {                                                                                                        \
        type *items;                                                                                         \
        size_t count;                                                                                        \
        size_t capacity;                                                                                     \
    }

#define vec_reserve(vec, want)                                                                               \
    do {                                                                                                     \
        if ((want) > (vec)->capacity) {                                                                      \
            (vec)->capacity = (want) > 2 * (vec)->capacity ? (want) : 2 * (vec)->capacity;                   \
            (vec)->items = xrealloc((vec)->items, (vec)->capacity * sizeof *(vec)->items);                   \
        }                                                                                                    \
    } while (0)

#define vec_push(vec, ...)                                                                                   \
    do {                                                                                                     \
        vec_reserve(vec, (vec)->count + 1);                                                                  \
        (vec)->items[(vec)->count++] = (__VA_ARGS__);                                                        \
    } while (0)

/* Keeps the order. */
#define vec_remove(vec, index)                                                                               \
    do {                                                                                                     \
        size_t vec_index_ = (index);                                                                         \
        memmove(&(vec)->items[vec_index_], &(vec)->items[vec_index_ + 1],                                    \
                ((vec)->count - vec_index_ - 1) * sizeof *(vec)->items);                                     \
        (vec)->count--;                                                                                      \
    } while (0)

#define vec_clear(vec) ((vec)->count = 0)

#define vec_free(vec)                                                                                        \
    do {                                                                                                     \
        free((vec)->items);                                                                                  \
        (vec)->items = NULL;                                                                                 \
        (vec)->count = (vec)->capacity = 0;                                                                  \
    } while (0)

/* An empty vec has no memory, and nothing may be added to a null pointer. */
#define vec_for_each(item, vec)                                                                              \
    for (__typeof__((vec)->items + 0) item = (vec)->items; item && item < (vec)->items + (vec)->count; item++)

#endif
