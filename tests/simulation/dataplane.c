/* Remote channels: buffers leave the producer's ring when the consumer has credit, and arrive later, in
 * order. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "tests/simulation/sim.h"

enum { RETRY_US = 700 };

struct sim_remote {
    struct waker waker;
    struct sim_worker *worker;
    const struct remote_channel *remote;
    uint32_t index;
    bool scheduled;
    uint32_t in_flight;
    int64_t last_arrival_us;
};

struct sim_dataplane {
    uint32_t count;
    struct sim_remote *remotes;
};

static void drain(struct sim *sim, struct sim_call *call);

static void schedule(struct sim_remote *remote, int64_t delay_us)
{
    if (remote->scheduled)
        return;
    remote->scheduled = true;
    sim_after(remote->worker->sim, delay_us, remote->worker->process, drain,
              (struct sim_call){.a = remote->worker->process, .b = remote->index}, NULL);
}

static void wake(struct waker *waker)
{
    struct sim_remote *remote = (struct sim_remote *)((char *)waker - offsetof(struct sim_remote, waker));
    schedule(remote, sim_between(remote->worker->sim, 5, 100));
}

/* The worker of the same attempt that holds the other side, and that side; NULL while it isn't deployed or
 * when it is gone. */
static const struct remote_channel *other_side(struct sim *sim, const struct sim_remote *remote,
                                               struct sim_worker **ret_worker)
{
    for (uint32_t t = 0; t < sim->tm_count; t++)
        vec_for_each (item, &sim->tms[t].workers) {
            struct sim_worker *worker = *item;
            if (strcmp(worker->tm_id, remote->remote->peer_worker) != 0 || !worker->runtime ||
                worker->start->deployment->attempt != remote->worker->start->deployment->attempt)
                continue;
            for (uint32_t i = 0; i < job_runtime_remote_count(worker->runtime); i++) {
                const struct remote_channel *side = job_runtime_remote(worker->runtime, i);
                if (!side->is_output && side->id.edge == remote->remote->id.edge &&
                    side->id.producer == remote->remote->id.producer &&
                    side->id.consumer == remote->remote->id.consumer) {
                    *ret_worker = worker;
                    return side;
                }
            }
        }
    return NULL;
}

struct frame {
    uint64_t producer; /* process */
    uint32_t index;
    uint32_t size;
    unsigned char data[];
};

static void arrive(struct sim *sim, struct sim_call *call)
{
    struct frame *frame = call->data;
    struct sim_worker *producer = sim_worker_by_process(sim, frame->producer);
    if (producer && producer->dataplane) {
        struct sim_remote *remote = &producer->dataplane->remotes[frame->index];
        struct sim_worker *consumer = NULL;
        const struct remote_channel *side = other_side(sim, remote, &consumer);
        remote->in_flight--;
        if (side && consumer->process == call->a) {
            struct buffer *buffer = buffer_pool_try_take(side->pool);
            if (!buffer) {
                sim_fail(sim, "a buffer arrived without credit");
            } else {
                memcpy(buffer->data, frame->data, frame->size);
                buffer->size = frame->size;
                buffer->position = 0;
                if (!channel_push(side->channel, buffer))
                    sim_fail(sim, "the ring of a remote input is full");
            }
        }
    }
    free(frame);
}

static void drain(struct sim *sim, struct sim_call *call)
{
    struct sim_worker *worker = sim_worker_by_process(sim, call->a);
    if (!worker || !worker->dataplane)
        return;
    struct sim_remote *remote = &worker->dataplane->remotes[call->b];
    remote->scheduled = false;
    while (!channel_is_empty(remote->remote->channel)) {
        struct sim_worker *consumer = NULL;
        const struct remote_channel *side = other_side(sim, remote, &consumer);
        if (!side || remote->in_flight + buffer_pool_in_use(side->pool) >= buffer_pool_size(side->pool)) {
            schedule(remote, RETRY_US);
            return;
        }
        struct buffer *buffer = channel_pop(remote->remote->channel);
        struct frame *frame = xmalloc(sizeof *frame + buffer->size);
        *frame = (struct frame){.producer = worker->process, .index = remote->index, .size = buffer->size};
        memcpy(frame->data, buffer->data, buffer->size);
        buffer_recycle(buffer);
        remote->in_flight++;
        int64_t delay = sim_chance(sim, 5) ? sim_between(sim, 5000, 200000) : sim_between(sim, 30, 800);
        int64_t at = sim->now_us + delay;
        if (at < remote->last_arrival_us)
            at = remote->last_arrival_us;
        remote->last_arrival_us = at;
        sim_after(sim, at - sim->now_us, consumer->process, arrive,
                  (struct sim_call){.a = consumer->process, .data = frame}, free);
    }
    waker_prepare(&remote->waker);
}

void sim_dataplane_attach(struct sim *sim, struct sim_worker *worker)
{
    (void)sim;
    struct sim_dataplane *plane = xcalloc(1, sizeof *plane);
    plane->count = job_runtime_remote_count(worker->runtime);
    plane->remotes = xcalloc(plane->count, sizeof *plane->remotes);
    worker->dataplane = plane;
    for (uint32_t i = 0; i < plane->count; i++) {
        struct sim_remote *remote = &plane->remotes[i];
        *remote = (struct sim_remote){.waker.wake = wake,
                                      .worker = worker,
                                      .remote = job_runtime_remote(worker->runtime, i),
                                      .index = i};
        if (remote->remote->is_output) {
            channel_set_consumer_waker(remote->remote->channel, &remote->waker);
            waker_prepare(&remote->waker);
        }
    }
}

void sim_dataplane_detach(struct sim_worker *worker)
{
    if (!worker->dataplane)
        return;
    free(worker->dataplane->remotes);
    free(worker->dataplane);
    worker->dataplane = NULL;
}
