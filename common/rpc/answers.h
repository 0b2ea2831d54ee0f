/* The last answers of a server by request id, so that a request sent again is answered from memory. Loop
 * thread. */
#ifndef WEIR_RPC_ANSWERS_H
#define WEIR_RPC_ANSWERS_H

#include "common/base/id.h"
#include "common/base/vec.h"

enum { ANSWERS_MAX = 256 };

struct answer {
    struct weir_id id;
    void *data; /* NULL: the request is still being carried out */
    size_t size;
    struct vec_of(void *) waiting; /* calls that want the same answer */
};

struct answers {
    struct vec_of(struct answer *) items;
};

void answers_deinit(struct answers *answers);
struct answer *answers_find(struct answers *answers, const struct weir_id *id);
/* Forgets the oldest known answer when full; NULL when all are still being carried out. */
struct answer *answers_add(struct answers *answers, const struct weir_id *id);
/* Copies data; nobody is waiting afterwards. */
void answer_set(struct answer *answer, const void *data, size_t size);

#endif
