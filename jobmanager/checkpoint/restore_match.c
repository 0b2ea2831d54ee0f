#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/vec.h"
#include "common/graph/field_change.h"
#include "jobmanager/checkpoint/restore_plan.h"

struct operator_ref {
    const char *uid;
    const Weir__Operator *op;
    size_t vertex;
};

static int by_uid(const void *a, const void *b)
{
    return strcmp(((const struct operator_ref *)a)->uid, ((const struct operator_ref *)b)->uid);
}

/* What the snapshot says of a vertex. */
struct stored {
    uint32_t max_parallelism; /* 0: nothing */
    const char *uid;          /* who says so */
};

/* Fields are matched by name; what is new starts as zero, what is gone is dropped. */
static int match_layout(const Weir__OperatorState *state, const Weir__Operator *op, const char *path,
                        struct error *err)
{
    for (size_t i = 0; state->layout && op->state && i < op->state->n_fields; i++) {
        const Weir__FieldDescriptor *declared = op->state->fields[i];
        for (size_t k = 0; k < state->layout->n_fields; k++) {
            const Weir__FieldDescriptor *stored = state->layout->fields[k];
            if (strcmp(stored->name, declared->name) == 0 &&
                field_change_of(stored->type, declared->type) == FIELD_UNREADABLE)
                return error_set(
                    err, WEIR_E_INVALID,
                    "operator uid '%s': field '%s' of its state is %s in %.500s but %s in the job; "
                    "give the new field another name, or the operator another uid",
                    state->uid, declared->name, field_type_name(stored->type), path,
                    field_type_name(declared->type));
        }
    }
    return 0;
}

static int match_state(const Weir__OperatorState *state, const char *path,
                       const struct operator_ref *operators, size_t count, struct stored *stored,
                       bool allow_non_restored_state, struct error *err)
{
    struct operator_ref wanted = {.uid = state->uid};
    const struct operator_ref *found = bsearch(&wanted, operators, count, sizeof wanted, by_uid);
    if (!found && allow_non_restored_state)
        return 0;
    if (!found)
        return error_set(err, WEIR_E_INVALID,
                         "Failed to rollback to checkpoint/savepoint %.500s. Cannot map checkpoint/savepoint "
                         "state for operator "
                         "%s to the new program, because the operator is not available in the new program. "
                         "If you want to allow "
                         "to skip this, you can set the --allowNonRestoredState option on the CLI.",
                         path, state->uid);
    int rc = match_layout(state, found->op, path, err);
    if (rc < 0)
        return rc;
    struct stored *of = &stored[found->vertex];
    if (of->max_parallelism != 0 && of->max_parallelism != state->max_parallelism)
        return error_set(
            err, WEIR_E_INVALID,
            "the operators %s and %s are in one chain now, but their states in %.500s have the maximum "
            "parallelism %u and %u: disable chaining between them",
            of->uid, state->uid, path, of->max_parallelism, state->max_parallelism);
    *of = (struct stored){.max_parallelism = state->max_parallelism, .uid = state->uid};
    return 0;
}

static int keep_max_parallelism(Weir__Vertex *vertex, const struct stored *stored, const char *path,
                                bool given, struct error *err)
{
    if (stored->max_parallelism == 0 || stored->max_parallelism == vertex->max_parallelism)
        return 0;
    if (given)
        return error_set(err, WEIR_E_INVALID,
                         "operator %s: the maximum parallelism of its state in %.500s is %u, and "
                         "pipeline.max-parallelism is set "
                         "to another, %u: it can't be changed, leave it out",
                         stored->uid, path, stored->max_parallelism, vertex->max_parallelism);
    if (vertex->parallelism > stored->max_parallelism)
        return error_set(err, WEIR_E_INVALID,
                         "operator %s: the parallelism %u is above the maximum parallelism %u of its state "
                         "in %.500s: use a "
                         "smaller one",
                         stored->uid, vertex->parallelism, stored->max_parallelism, path);
    vertex->max_parallelism = stored->max_parallelism;
    return 0;
}

int restore_match(const Weir__SnapshotMetadata *snapshot, const char *path, Weir__JobGraph *graph,
                  bool max_parallelism_is_given, bool allow_non_restored_state, struct error *err)
{
    struct vec_of(struct operator_ref) operators = {0};
    for (size_t v = 0; v < graph->n_vertices; v++)
        for (size_t i = 0; i < graph->vertices[v]->n_operators; i++) {
            const Weir__Operator *op = graph->vertices[v]->operators[i];
            vec_push(&operators, (struct operator_ref){.uid = op->uid, .op = op, .vertex = v});
        }
    qsort(operators.items, operators.count, sizeof *operators.items, by_uid);
    struct stored *stored = xcalloc(graph->n_vertices, sizeof *stored);
    int rc = 0;
    for (size_t i = 0; i < snapshot->n_operators && rc == 0; i++)
        rc = match_state(snapshot->operators[i], path, operators.items, operators.count, stored,
                         allow_non_restored_state, err);
    for (size_t v = 0; v < graph->n_vertices && rc == 0; v++)
        rc = keep_max_parallelism(graph->vertices[v], &stored[v], path, max_parallelism_is_given, err);
    free(stored);
    vec_free(&operators);
    return rc;
}
