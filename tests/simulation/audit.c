/* What must hold: slots, acknowledgements, restored state, and the counts in the output topic. */
#include <assert.h>
#include <string.h>

#include "examples/click_event.h"
#include "common/base/hash.h"
#include "tests/simulation/sim.h"

enum { ORDER_MS = 200, TICK_US = 40000 };

/* ---- the generator: the playground's sequence, thinned out ---- */

static int64_t event_time(const struct sim *sim, int64_t index)
{
    return index / CLICK_PAGE_COUNT * (CLICK_WINDOW_MS / sim->options.events_per_window);
}

static void generate(struct sim *sim, struct sim_call *call)
{
    int64_t start_us = (int64_t)call->a;
    char text[256];
    int64_t elapsed_ms = (sim->now_us - start_us) / 1000;
    while (event_time(sim, sim->produced) <= elapsed_ms) {
        int64_t index = sim->produced++;
        const char *page = click_pages[index % CLICK_PAGE_COUNT];
        size_t size = click_event_encode(event_time(sim, index), page, strlen(page), text, sizeof text);
        assert(size > 0);
        sim_kafka_append(&sim->kafka, &sim->kafka.input, (uint32_t)(index % SIM_PARTITIONS), sim_now_ms(sim),
                         text, size);
    }
    sim_after(sim, TICK_US, 0, generate, *call, NULL);
}

void sim_generator_start(struct sim *sim)
{
    sim_after(sim, 0, 0, generate, (struct sim_call){.a = (uint64_t)sim->now_us}, NULL);
}

/* ---- invariants ---- */

void sim_check_slots(struct sim *sim, struct sim_tm *tm, uint32_t new_slots)
{
    uint32_t used = new_slots;
    vec_for_each (worker, &tm->workers)
        used += (*worker)->start->slots;
    if (used > tm->slots)
        sim_fail(sim, "slots double-booked: taskmanager %u has %u, workers would hold %u", tm->index,
                 tm->slots, used);
}

static bool acked(const struct sim *sim, uint32_t attempt, uint64_t checkpoint, uint32_t vertex,
                  uint32_t subtask)
{
    vec_for_each (ack, &sim->acks)
        if (ack->attempt == attempt && ack->checkpoint == checkpoint && ack->vertex == vertex &&
            ack->subtask == subtask)
            return true;
    return false;
}

void sim_check_metadata(struct sim *sim, const Weir__SnapshotMetadata *metadata)
{
    int32_t job = core_find_job(sim->core, &sim->job);
    if (job < 0)
        return;
    struct job_view view;
    core_view_job(sim->core, (uint32_t)job, &view);
    for (uint32_t v = 0; v < view.vertex_count; v++)
        for (uint32_t s = 0; s < view.graph->vertices[v]->parallelism; s++) {
            struct subtask_view subtask;
            core_view_subtask(sim->core, (uint32_t)job, v, s, &subtask);
            if (!acked(sim, subtask.attempt, metadata->checkpoint_id, v, s))
                sim_fail(sim, "checkpoint %llu completes without the ack of vertex %u subtask %u attempt %u",
                         (unsigned long long)metadata->checkpoint_id, v, s, subtask.attempt);
        }
    for (size_t i = 0; i < metadata->n_operators; i++)
        for (size_t j = i + 1; j < metadata->n_operators; j++)
            if (metadata->operators[i]->subtask == metadata->operators[j]->subtask &&
                strcmp(metadata->operators[i]->uid, metadata->operators[j]->uid) == 0)
                sim_fail(sim, "checkpoint %llu has the state of %s subtask %u twice",
                         (unsigned long long)metadata->checkpoint_id, metadata->operators[i]->uid,
                         metadata->operators[i]->subtask);
    for (size_t i = sim->acks.count; i-- > 0;) /* keep only what can still matter */
        if (sim->acks.items[i].checkpoint + 2 < metadata->checkpoint_id)
            vec_remove(&sim->acks, i);
}

static bool same_bytes(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

struct restore_count {
    size_t splits, groups;
};

/* How much of an operator's state a subtask must get: all splits, the key groups of its range. */
static struct restore_count expected_restore(const Weir__SnapshotMetadata *metadata, const char *uid,
                                             uint32_t first, uint32_t last)
{
    struct restore_count count = {0};
    for (size_t i = 0; i < metadata->n_operators; i++) {
        const Weir__OperatorState *state = metadata->operators[i];
        if (strcmp(state->uid, uid) != 0)
            continue;
        count.splits += state->n_splits;
        for (size_t k = 0; k < state->n_keyed; k++)
            if (state->keyed[k]->key_group >= first && state->keyed[k]->key_group <= last)
                count.groups++;
    }
    return count;
}

static bool has_split(const Weir__SnapshotMetadata *metadata, const char *uid, const Weir__SplitState *split)
{
    for (size_t i = 0; i < metadata->n_operators; i++)
        for (size_t k = 0;
             strcmp(metadata->operators[i]->uid, uid) == 0 && k < metadata->operators[i]->n_splits; k++)
            if (strcmp(metadata->operators[i]->splits[k]->split, split->split) == 0 &&
                same_bytes(metadata->operators[i]->splits[k]->state, split->state))
                return true;
    return false;
}

static bool has_group(const Weir__SnapshotMetadata *metadata, const char *uid,
                      const Weir__KeyGroupState *group)
{
    for (size_t i = 0; i < metadata->n_operators; i++)
        for (size_t k = 0;
             strcmp(metadata->operators[i]->uid, uid) == 0 && k < metadata->operators[i]->n_keyed; k++)
            if (metadata->operators[i]->keyed[k]->key_group == group->key_group &&
                same_bytes(metadata->operators[i]->keyed[k]->handle->inline_, group->handle->inline_))
                return true;
    return false;
}

static void check_task(struct sim *sim, const Weir__SnapshotMetadata *metadata, const Weir__Vertex *vertex,
                       const Weir__TaskDeployment *task)
{
    uint32_t first, last;
    key_group_range(task->subtask, vertex->parallelism, vertex->max_parallelism, &first, &last);
    for (size_t o = 0; o < vertex->n_operators; o++) {
        const char *uid = vertex->operators[o]->uid;
        struct restore_count want = expected_restore(metadata, uid, first, last), got = {0};
        for (size_t i = 0; i < task->n_restore; i++) {
            const Weir__OperatorState *state = task->restore[i];
            if (strcmp(state->uid, uid) != 0)
                continue;
            got.splits += state->n_splits;
            got.groups += state->n_keyed;
            for (size_t k = 0; k < state->n_splits; k++)
                if (!has_split(metadata, uid, state->splits[k]))
                    sim_fail(sim, "%s restores split %s with other state than the snapshot has", uid,
                             state->splits[k]->split);
            for (size_t k = 0; k < state->n_keyed; k++)
                if (!has_group(metadata, uid, state->keyed[k]) || state->keyed[k]->key_group < first ||
                    state->keyed[k]->key_group > last)
                    sim_fail(sim, "%s subtask %u restores key group %u that isn't its own or differs", uid,
                             task->subtask, state->keyed[k]->key_group);
        }
        if (got.splits != want.splits || got.groups != want.groups)
            sim_fail(sim, "%s subtask %u restores %zu splits and %zu key groups instead of %zu and %zu", uid,
                     task->subtask, got.splits, got.groups, want.splits, want.groups);
    }
}

void sim_check_restore(struct sim *sim, const Weir__DeployTasks *deployment)
{
    for (size_t i = 0; i < deployment->n_tasks; i++) {
        const Weir__TaskDeployment *task = deployment->tasks[i];
        if (deployment->restored_checkpoint_id == 0) {
            if (task->n_restore > 0)
                sim_fail(sim, "a task restores state though there is no checkpoint");
            continue;
        }
        Weir__SnapshotMetadata *metadata = sim_disk_read(&sim->disk, task->restore_base);
        if (!metadata) {
            sim_fail(sim, "checkpoint %llu is restored from %s, which is not there",
                     (unsigned long long)deployment->restored_checkpoint_id, task->restore_base);
            return;
        }
        if (metadata->checkpoint_id != deployment->restored_checkpoint_id)
            sim_fail(sim, "checkpoint %llu is restored from the files of %llu",
                     (unsigned long long)deployment->restored_checkpoint_id,
                     (unsigned long long)metadata->checkpoint_id);
        check_task(sim, metadata, deployment->graph->vertices[task->vertex], task);
        weir__snapshot_metadata__free_unpacked(metadata, NULL);
    }
}

/* ---- the output ---- */

static uint32_t page_index(const char *page, size_t length)
{
    uint32_t i = 0;
    while (i < CLICK_PAGE_COUNT &&
           (strlen(click_pages[i]) != length || memcmp(click_pages[i], page, length) != 0))
        i++;
    return i;
}

static void scan(struct sim *sim, const struct sim_record *record)
{
    char scratch[CLICK_PAGE_MAX];
    struct click_statistics statistics;
    const char *reason = "";
    if (click_statistics_decode(record->value, record->size, &statistics, scratch, sizeof scratch, &reason) !=
        0) {
        sim_fail(sim, "output record can't be read: %s", reason);
        return;
    }
    uint32_t page = page_index(statistics.page, statistics.page_length);
    int64_t window = statistics.window_start_ms / CLICK_WINDOW_MS;
    if (page == CLICK_PAGE_COUNT || window < 0 || window >= SIM_WINDOWS_MAX ||
        statistics.window_end_ms != statistics.window_start_ms + CLICK_WINDOW_MS) {
        sim_fail(sim, "output record of a page or window that was never in the input");
        return;
    }
    if (statistics.count != sim->options.events_per_window)
        sim_fail(sim, "window %lld of %s counts %lld instead of %u", (long long)window, click_pages[page],
                 (long long)statistics.count, sim->options.events_per_window);
    sim->seen[window][page] = true;
}

bool sim_audit_complete(struct sim *sim, bool final)
{
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) {
        const struct sim_partition *log = &sim->kafka.output.partitions[p];
        for (; sim->scanned[p] < log->count; sim->scanned[p]++)
            scan(sim, &log->items[sim->scanned[p]]);
    }
    if (sim->audit_until_ms == 0) { /* the windows that must come out are those complete when healing began */
        int64_t last = sim->produced - SIM_PARTITIONS;
        sim->audit_until_ms = event_time(sim, last > 0 ? last : 0) - ORDER_MS - 1;
    }
    sim->stats.windows = 0;
    for (int64_t window = 0;
         window < SIM_WINDOWS_MAX && (window + 1) * CLICK_WINDOW_MS - 1 <= sim->audit_until_ms; window++)
        for (uint32_t page = 0; page < CLICK_PAGE_COUNT; page++) {
            if (sim->seen[window][page]) {
                sim->stats.windows++;
                continue;
            }
            if (final)
                sim_fail(sim, "window %lld of %s is missing in the output", (long long)window,
                         click_pages[page]);
            return false;
        }
    return true;
}
