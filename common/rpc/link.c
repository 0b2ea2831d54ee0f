/* An ordered stream as batches. States:
 *
 *     IDLE --send--> SCHEDULED --timer--> UNDER_WAY --acknowledged--> IDLE, or SCHEDULED if more came
 * meanwhile UNDER_WAY --unreachable--> RETRYING --timer--> UNDER_WAY (the same batch) any --refused, or the
 * grace is over--> BROKEN
 *
 * A batch is sent at the loop's next turn, so that what one event causes travels together. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "common/base/vec.h"
#include "common/rpc/internal.h"

enum {
    BATCH_MAX_MESSAGES = 1000,
    BATCH_MAX_BYTES = 8 << 20,
    QUEUE_MAX_BYTES = 256 << 20,
    RETRY_MIN_MS = 20,
    RETRY_MAX_MS = 100,
};
enum state { STATE_IDLE, STATE_SCHEDULED, STATE_UNDER_WAY, STATE_RETRYING, STATE_BROKEN };

struct item { /* one of the two */
    Weir__ToJobManager *to_jobmanager;
    Weir__ToTaskManager *to_taskmanager;
    size_t size_bytes;
};

struct rpc_link {
    uv_timer_t timer;
    struct rpc_client *client;
    struct rpc_link_callbacks callbacks;
    uint64_t session;
    int64_t request_timeout_ms;
    int64_t grace_ms;
    enum state state;
    bool is_closing;
    bool has_overflowed;              /* the timer breaks the link: not from within the owner's call */
    struct vec_of(struct item) queue; /* the first in_batch of them are the batch under way */
    size_t queue_bytes;
    size_t in_batch;
    uint64_t seq; /* of the batch under way, or the last acknowledged */
    int64_t attempt_started_ms;
    int64_t failing_since_ms; /* 0: not failing */
    int64_t retry_ms;
};

static void on_timer(uv_timer_t *timer);

static void item_free(struct item *item)
{
    if (item->to_jobmanager)
        weir__to_job_manager__free_unpacked(item->to_jobmanager, NULL);
    if (item->to_taskmanager)
        weir__to_task_manager__free_unpacked(item->to_taskmanager, NULL);
}

static void drop_first(struct rpc_link *link, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        link->queue_bytes -= link->queue.items[i].size_bytes;
        item_free(&link->queue.items[i]);
    }
    link->queue.count -= count;
    if (link->queue.count > 0)
        memmove(link->queue.items, link->queue.items + count, link->queue.count * sizeof *link->queue.items);
}

static void schedule(struct rpc_link *link, enum state state, int64_t delay_ms)
{
    link->state = state;
    uv_timer_start(&link->timer, on_timer, (uint64_t)delay_ms, 0);
}

static void break_link(struct rpc_link *link, int rc, const char *message)
{
    assert(link->state != STATE_BROKEN);
    link->state = STATE_BROKEN;
    uv_timer_stop(&link->timer);
    drop_first(link, link->queue.count);
    link->callbacks.broken(link->callbacks.self, rc, message);
}

static void retry_or_break(struct rpc_link *link, int rc, const char *message, int64_t since_ms)
{
    int64_t now = rpc_now_ms();
    if (link->failing_since_ms == 0) {
        link->failing_since_ms = since_ms;
        link->retry_ms = RETRY_MIN_MS;
    }
    int64_t left = link->failing_since_ms + link->grace_ms - now;
    if (left <= 0) {
        break_link(link, rc, message);
        return;
    }
    schedule(link, STATE_RETRYING, link->retry_ms < left ? link->retry_ms : left);
    link->retry_ms = link->retry_ms * 2 < RETRY_MAX_MS ? link->retry_ms * 2 : RETRY_MAX_MS;
}

static void on_acknowledged(struct rpc_link *link)
{
    drop_first(link, link->in_batch);
    link->in_batch = 0;
    link->failing_since_ms = 0;
    if (link->queue.count > 0)
        schedule(link, STATE_SCHEDULED, 0);
    else
        link->state = STATE_IDLE;
    link->callbacks.acknowledged(link->callbacks.self);
}

static void on_response(void *self, int rc, const Weir__Response *response, const struct error *err)
{
    struct rpc_link *link = self;
    if (link->is_closing || link->state == STATE_BROKEN)
        return;
    assert(link->state == STATE_UNDER_WAY);
    if (rc == WEIR_OK && response->body_case == WEIR__RESPONSE__BODY_BATCH_ACK &&
        response->batch_ack->seq == link->seq)
        on_acknowledged(link);
    else if (rc == WEIR_OK)
        break_link(link, WEIR_E_CORRUPT, "the answer to a batch is not its acknowledgement");
    else if (rc == WEIR_E_UNAVAILABLE && rpc_client_was_sent(link->client)) /* it broke just now */
        retry_or_break(link, rc, err->message, rpc_now_ms());
    else if (rc == WEIR_E_UNAVAILABLE || rc == WEIR_E_TIMEOUT)
        retry_or_break(link, rc, err->message, link->attempt_started_ms);
    else if (rc == WEIR_E_CANCELED) /* the owner closed the client */
        link->state = STATE_BROKEN;
    else
        break_link(link, rc, err->message);
}

static void choose_batch(struct rpc_link *link)
{
    size_t bytes = 0;
    size_t count = 0;
    while (count < link->queue.count && count < BATCH_MAX_MESSAGES) {
        bytes += link->queue.items[count].size_bytes;
        if (count > 0 && bytes > BATCH_MAX_BYTES)
            break;
        count++;
    }
    link->in_batch = count;
    link->seq++;
}

static int send_batch(struct rpc_link *link, struct error *err)
{
    Weir__Batch batch = WEIR__BATCH__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    Weir__ToJobManager *to_jobmanager[BATCH_MAX_MESSAGES];
    Weir__ToTaskManager *to_taskmanager[BATCH_MAX_MESSAGES];
    batch.session = link->session;
    batch.seq = link->seq;
    batch.to_jobmanager = to_jobmanager;
    batch.to_taskmanager = to_taskmanager;
    for (size_t i = 0; i < link->in_batch; i++) {
        const struct item *item = &link->queue.items[i];
        if (item->to_jobmanager)
            to_jobmanager[batch.n_to_jobmanager++] = item->to_jobmanager;
        else
            to_taskmanager[batch.n_to_taskmanager++] = item->to_taskmanager;
    }
    request.body_case = WEIR__REQUEST__BODY_BATCH;
    request.batch = &batch;
    link->attempt_started_ms = rpc_now_ms();
    int64_t grace_left = link->grace_ms;
    if (link->failing_since_ms != 0)
        grace_left = link->failing_since_ms + link->grace_ms - link->attempt_started_ms;
    return rpc_client_request_within(link->client, &request, link->request_timeout_ms,
                                     grace_left < RPC_CONNECT_WAIT_MS ? grace_left : RPC_CONNECT_WAIT_MS,
                                     on_response, link, err);
}

static void on_timer(uv_timer_t *timer)
{
    struct rpc_link *link = timer->data;
    struct error err;
    if (link->has_overflowed) {
        if (link->state == STATE_UNDER_WAY)
            rpc_client_forget(link->client, link);
        error_set(&err, WEIR_E_LIMIT, "more than %d bytes of messages wait for the peer", QUEUE_MAX_BYTES);
        break_link(link, err.rc, err.message);
        return;
    }
    assert(link->state == STATE_SCHEDULED || link->state == STATE_RETRYING);
    if (rpc_client_is_busy(link->client)) { /* with a request of the owner */
        schedule(link, link->state, RETRY_MIN_MS);
        return;
    }
    if (link->in_batch == 0)
        choose_batch(link);
    link->state = STATE_UNDER_WAY;
    int rc = send_batch(link, &err);
    if (rc != WEIR_OK)
        break_link(link, rc, err.message);
}

struct rpc_link *rpc_link_new(struct rpc_client *client, uint64_t session, int64_t request_timeout_ms,
                              int64_t grace_ms, const struct rpc_link_callbacks *callbacks)
{
    struct rpc_link *link = xcalloc(1, sizeof *link);
    link->client = client;
    link->session = session;
    link->request_timeout_ms = request_timeout_ms;
    link->grace_ms = grace_ms;
    link->callbacks = *callbacks;
    uv_timer_init(rpc_client_loop(client), &link->timer);
    link->timer.data = link;
    return link;
}

static void on_closed(uv_handle_t *handle)
{
    struct rpc_link *link = handle->data;
    vec_free(&link->queue);
    free(link);
}

void rpc_link_free(struct rpc_link *link)
{
    assert(!link->is_closing);
    link->is_closing = true;
    if (link->state == STATE_UNDER_WAY)
        rpc_client_forget(link->client, link);
    drop_first(link, link->queue.count);
    uv_close((uv_handle_t *)&link->timer, on_closed);
}

static void enqueue(struct rpc_link *link, struct item item)
{
    if (link->state == STATE_BROKEN || link->is_closing) {
        item_free(&item);
        return;
    }
    if (link->has_overflowed || item.size_bytes > QUEUE_MAX_BYTES - link->queue_bytes) {
        link->has_overflowed = true;
        item_free(&item);
        uv_timer_start(&link->timer, on_timer, 0, 0);
        return;
    }
    vec_push(&link->queue, item);
    link->queue_bytes += item.size_bytes;
    if (link->state == STATE_IDLE)
        schedule(link, STATE_SCHEDULED, 0);
}

bool rpc_link_is_idle(const struct rpc_link *link)
{
    return link->state == STATE_IDLE || link->state == STATE_BROKEN;
}

void rpc_link_send_to_jobmanager(struct rpc_link *link, Weir__ToJobManager *message_take)
{
    enqueue(link, (struct item){.to_jobmanager = message_take,
                                .size_bytes = weir__to_job_manager__get_packed_size(message_take)});
}

void rpc_link_send_to_taskmanager(struct rpc_link *link, Weir__ToTaskManager *message_take)
{
    enqueue(link, (struct item){.to_taskmanager = message_take,
                                .size_bytes = weir__to_task_manager__get_packed_size(message_take)});
}
