#include "jobmanager/checkpoint/pending_checkpoint.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "jobmanager/checkpoint/state_check.h"

void state_list_free(struct state_list *states)
{
    vec_for_each (state, states)
        weir__operator_state__free_unpacked(*state, NULL);
    vec_free(states);
}

static bool has_operator(const Weir__Vertex *vertex, const char *uid)
{
    for (size_t i = 0; i < vertex->n_operators; i++)
        if (strcmp(vertex->operators[i]->uid, uid) == 0)
            return true;
    return false;
}

static int check(const Weir__Vertex *vertex, uint32_t subtask, Weir__OperatorState *const *states,
                 size_t count, struct error *err)
{
    uint32_t first, last;
    key_group_range(subtask, vertex->parallelism, vertex->max_parallelism, &first, &last);
    if (count > vertex->n_operators)
        return error_set(err, WEIR_E_INVALID, "%zu states for %zu operators", count, vertex->n_operators);
    for (size_t i = 0; i < count; i++) {
        if (!states[i]->uid || !has_operator(vertex, states[i]->uid))
            return error_set(err, WEIR_E_INVALID, "state of operator %.100s, which is not in this task",
                             states[i]->uid ? states[i]->uid : "");
        for (size_t k = 0; k < i; k++)
            if (strcmp(states[k]->uid, states[i]->uid) == 0)
                return error_set(err, WEIR_E_INVALID, "two states of operator %s", states[i]->uid);
        int rc = operator_state_validate(states[i], first, last, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int state_list_add(struct state_list *states, const struct execution_graph *graph,
                   const struct execution *execution, Weir__OperatorState *const *from, size_t count,
                   struct error *err)
{
    const Weir__Vertex *vertex = graph->vertices[execution->vertex].descriptor;
    int rc = check(vertex, execution->subtask, from, count, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        Weir__OperatorState *copy = message_copy(from[i]);
        copy->subtask = execution->subtask;
        copy->parallelism = vertex->parallelism;
        copy->max_parallelism = vertex->max_parallelism;
        vec_push(states, copy);
    }
    return 0;
}

/* "<dir>/savepoint-<first 6 of the job's id>-<12 hex>" */
static char *savepoint_path(const struct checkpoint_coordinator *coordinator, struct step *step,
                            const char *directory)
{
    char job[WEIR_ID_HEX + 1], unique[WEIR_ID_HEX + 1];
    struct weir_id id = random_id(step->random);
    return xasprintf("%s/savepoint-%.6s-%.12s", strcmp(directory, "/") == 0 ? "" : directory,
                     weir_id_format(&coordinator->job, job), weir_id_format(&id, unique));
}

void pending_begin(struct pending_checkpoint *pending, struct step *step,
                   const struct checkpoint_coordinator *coordinator, uint64_t id,
                   struct snapshot_order *order_take)
{
    assert(pending->id == 0 && id != 0);
    *pending = (struct pending_checkpoint){
        .id = id,
        .phase = PENDING_CREATES_DIRECTORY,
        .trigger_ms = step->now_ms,
        .deadline_ms = step->now_ms + coordinator->settings.timeout_ms,
        .order = *order_take,
        .path = order_take->savepoint
                    ? savepoint_path(coordinator, step, order_take->directory)
                    : xasprintf("%s/chk-%llu", coordinator->settings.directory, (unsigned long long)id),
    };
    *order_take = (struct snapshot_order){0};
    step_create_directory(step, &coordinator->job, id, pending->path);
}

void pending_deinit(struct pending_checkpoint *pending)
{
    free(pending->path);
    free(pending->order.directory);
    free(pending->settled);
    free(pending->packed);
    state_list_free(&pending->states);
    *pending = (struct pending_checkpoint){0};
}

void pending_add_ended(struct pending_checkpoint *pending, const struct ended_task *ended)
{
    for (size_t i = 0; i < ended->states.count; i++)
        vec_push(&pending->states, message_copy(ended->states.items[i]));
}

bool pending_ask(struct pending_checkpoint *pending, const struct execution_graph *graph)
{
    assert(pending->phase == PENDING_CREATES_DIRECTORY && !pending->settled);
    pending->settled = xcalloc(graph->count, sizeof *pending->settled);
    bool source = false;
    for (uint32_t i = 0; i < graph->count; i++) {
        const struct execution *execution = &graph->executions[i];
        pending->settled[i] = execution->state == WEIR__TASK_STATE__TASK_FINISHED;
        if (pending->settled[i])
            continue;
        pending->subtasks++;
        source = source || graph->vertices[execution->vertex].is_source;
    }
    pending->phase = PENDING_WAITS_FOR_ACKS;
    return source;
}

char *pending_describe_missing(const struct pending_checkpoint *pending, const struct execution_graph *graph)
{
    if (pending->phase == PENDING_CREATES_DIRECTORY)
        return xasprintf("its directory %s has not been created", pending->path);
    if (pending->phase == PENDING_PERSISTS)
        return xasprintf("its metadata has not been written to %s", pending->path);
    struct strbuf text;
    strbuf_init(&text, 8192);
    strbuf_addf(&text, "%u of %u tasks have not acknowledged:", pending->subtasks - pending->acknowledged,
                pending->subtasks);
    uint32_t named = 0;
    for (uint32_t i = 0; i < graph->count && named <= 10; i++) {
        if (pending->settled[i])
            continue;
        char *name = execution_name(graph, &graph->executions[i]);
        if (named == 10)
            strbuf_adds(&text, ", …");
        else
            strbuf_addf(&text, "%s %s", named > 0 ? "," : "", name);
        named++;
        free(name);
    }
    return strbuf_take(&text);
}

void pending_persist(struct pending_checkpoint *pending, struct step *step, const struct weir_id *job,
                     const char *job_name)
{
    assert(pending->phase == PENDING_WAITS_FOR_ACKS && pending->acknowledged == pending->subtasks);
    Weir__SnapshotMetadata *metadata = xmalloc(sizeof *metadata);
    weir__snapshot_metadata__init(metadata);
    metadata->version = SNAPSHOT_VERSION;
    metadata->job_id = (ProtobufCBinaryData){WEIR_ID_BYTES, xmemdup(job->bytes, WEIR_ID_BYTES)};
    metadata->job_name = xstrdup(job_name);
    metadata->checkpoint_id = pending->id;
    metadata->timestamp_ms = pending->trigger_ms;
    metadata->savepoint = pending->order.savepoint;
    metadata->operators = pending->states.items;
    metadata->n_operators = pending->states.count;
    pending->states = (struct state_list){0};
    pending->packed_size = weir__snapshot_metadata__get_packed_size(metadata);
    pending->packed = xmalloc(pending->packed_size);
    weir__snapshot_metadata__pack(metadata, pending->packed);
    pending->phase = PENDING_PERSISTS;
    step_persist_metadata(step, job, pending->id, pending->path, metadata);
}
