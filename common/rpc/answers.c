#include "common/rpc/answers.h"

#include <stdlib.h>

#include "common/base/memory.h"

static void answer_free(struct answer *answer)
{
    free(answer->data);
    vec_free(&answer->waiting);
    free(answer);
}

void answers_deinit(struct answers *answers)
{
    vec_for_each (answer, &answers->items)
        answer_free(*answer);
    vec_free(&answers->items);
}

struct answer *answers_find(struct answers *answers, const struct weir_id *id)
{
    vec_for_each (answer, &answers->items)
        if (weir_id_equal(&(*answer)->id, id))
            return *answer;
    return NULL;
}

/* The items are in the order of their arrival. */
static bool forget_oldest(struct answers *answers)
{
    for (size_t i = 0; i < answers->items.count; i++)
        if (answers->items.items[i]->data) {
            answer_free(answers->items.items[i]);
            vec_remove(&answers->items, i);
            return true;
        }
    return false;
}

struct answer *answers_add(struct answers *answers, const struct weir_id *id)
{
    if (answers->items.count == ANSWERS_MAX && !forget_oldest(answers))
        return NULL;
    struct answer *answer = xcalloc(1, sizeof *answer);
    answer->id = *id;
    vec_push(&answers->items, answer);
    return answer;
}

void answer_set(struct answer *answer, const void *data, size_t size)
{
    answer->data = xmemdup(data, size);
    answer->size = size;
    vec_free(&answer->waiting);
}
