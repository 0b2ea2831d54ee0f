/* Virtual time: a heap of events ordered by time and then by the order they were made in, and the processes
 * they belong to. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/simulation/sim.h"

static bool before(const struct sim_event *x, const struct sim_event *y)
{
    return x->at_us != y->at_us ? x->at_us < y->at_us : x->seq < y->seq;
}

static void heap_push(struct sim *sim, struct sim_event event)
{
    vec_push(&sim->heap, event);
    size_t i = sim->heap.count - 1;
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!before(&sim->heap.items[i], &sim->heap.items[parent]))
            break;
        struct sim_event swap = sim->heap.items[i];
        sim->heap.items[i] = sim->heap.items[parent];
        sim->heap.items[parent] = swap;
        i = parent;
    }
}

static struct sim_event heap_pop(struct sim *sim)
{
    struct sim_event top = sim->heap.items[0];
    struct sim_event last = sim->heap.items[--sim->heap.count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= sim->heap.count)
            break;
        if (child + 1 < sim->heap.count && before(&sim->heap.items[child + 1], &sim->heap.items[child]))
            child++;
        if (!before(&sim->heap.items[child], &last))
            break;
        sim->heap.items[i] = sim->heap.items[child];
        i = child;
    }
    if (sim->heap.count > 0)
        sim->heap.items[i] = last;
    return top;
}

void sim_after(struct sim *sim, int64_t delay_us, uint64_t owner, sim_fn *fn, struct sim_call call,
               void (*drop)(void *))
{
    assert(delay_us >= 0);
    heap_push(sim, (struct sim_event){.at_us = sim->now_us + delay_us,
                                      .seq = sim->next_seq++,
                                      .owner = owner,
                                      .fn = fn,
                                      .drop = drop,
                                      .call = call});
}

static void drop_event(struct sim_event *event)
{
    if (event->drop && event->call.data)
        event->drop(event->call.data);
}

bool sim_run_one(struct sim *sim, int64_t until_us)
{
    if (sim->heap.count == 0 || sim->heap.items[0].at_us > until_us) {
        sim->now_us = until_us;
        return false;
    }
    struct sim_event event = heap_pop(sim);
    assert(event.at_us >= sim->now_us);
    sim->now_us = event.at_us;
    struct sim_process *owner = event.owner ? sim_process(sim, event.owner) : NULL;
    if (owner && !owner->alive) {
        drop_event(&event);
    } else if (owner && owner->paused_until_us > sim->now_us) {
        event.at_us = owner->paused_until_us; /* its seq keeps the order */
        heap_push(sim, event);
    } else {
        sim->stats.events++;
        event.fn(sim, &event.call);
    }
    return true;
}

void sim_events_free(struct sim *sim)
{
    vec_for_each (event, &sim->heap)
        drop_event(event);
    vec_free(&sim->heap);
    vec_free(&sim->processes);
}

int64_t sim_now_ms(const struct sim *sim)
{
    return sim->now_us / 1000;
}

int64_t sim_between(struct sim *sim, int64_t low, int64_t high)
{
    assert(low <= high);
    return low + (int64_t)random_below(&sim->random, (uint64_t)(high - low) + 1);
}

bool sim_chance(struct sim *sim, uint32_t per_mille)
{
    return random_below(&sim->random, 1000) < per_mille;
}

uint64_t sim_process_new(struct sim *sim, uint64_t parent)
{
    uint64_t id = sim->processes.count + 1;
    vec_push(&sim->processes, (struct sim_process){.id = id, .alive = true, .parent = parent});
    return id;
}

struct sim_process *sim_process(struct sim *sim, uint64_t id)
{
    return id > 0 && id <= sim->processes.count ? &sim->processes.items[id - 1] : NULL;
}

bool sim_process_alive(struct sim *sim, uint64_t id)
{
    struct sim_process *process = sim_process(sim, id);
    return process && process->alive;
}

void sim_process_end(struct sim *sim, uint64_t id)
{
    vec_for_each (process, &sim->processes)
        if (process->id == id || process->parent == id)
            process->alive = false;
}

void sim_process_pause(struct sim *sim, uint64_t id, int64_t duration_us)
{
    int64_t until = sim->now_us + duration_us;
    vec_for_each (process, &sim->processes)
        if ((process->id == id || process->parent == id) && process->paused_until_us < until)
            process->paused_until_us = until;
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim->failed)
        return;
    sim->failed = true;
    int n = snprintf(sim->failure, sizeof sim->failure, "at %.6f s: ", (double)sim->now_us / 1e6);
    va_list args;
    va_start(args, format);
    vsnprintf(sim->failure + n, sizeof sim->failure - (size_t)n, format, args);
    va_end(args);
    sim_trace(sim, "FAILED %s", sim->failure);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    if (!sim->options.trace)
        return;
    printf("%12.6f ", (double)sim->now_us / 1e6);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}
