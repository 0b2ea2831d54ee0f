/* The data plane as a whole: listening, connecting, finishing, closing.
 *
 * The connections with peers are kept, closed ones included, until the network is freed: there is at most one
 * per peer and direction, and a worker lives for one attempt. Those of strangers go when they are closed. */
#include "taskmanager/worker/network/network.h"

#include <assert.h>
#include <stdio.h>

#include "common/base/memory.h"
#include "taskmanager/worker/network/internal.h"

/* ---- looking up ---- */

static bool id_equal(struct channel_id a, struct channel_id b)
{
    return a.edge == b.edge && a.producer == b.producer && a.consumer == b.consumer;
}

struct input *network_find_input(const struct network *network, const char *peer, struct channel_id id)
{
    vec_for_each (input, &network->inputs)
        if (id_equal(input->channel.id, id) && strcmp(input->channel.peer_worker, peer) == 0)
            return input;
    return NULL;
}

bool network_has_incoming(const struct network *network, const struct connection *but, const char *peer)
{
    vec_for_each (connection, &network->connections)
        if (*connection != but && !(*connection)->outgoing && (*connection)->peer &&
            strcmp((*connection)->peer, peer) == 0)
            return true;
    return false;
}

uint16_t network_port(const struct network *network)
{
    return network->port;
}

size_t network_connection_count(const struct network *network)
{
    return network->connections.count;
}

/* ---- wake-ups ---- */

/* Any thread. */
static void on_credit_wake(struct waker *waker)
{
    struct network *network = (struct network *)((char *)waker - offsetof(struct network, credit_waker));
    atomic_store_explicit(&network->credit_ready, true, memory_order_release);
    uv_async_send(&network->async);
}

static void grant_everywhere(struct network *network)
{
    waker_prepare(&network->credit_waker); /* before the look */
    for (size_t i = 0; i < network->connections.count; i++)
        connection_grant_all(network->connections.items[i]);
}

static void on_async(uv_async_t *async)
{
    struct network *network = async->data;
    if (atomic_exchange_explicit(&network->credit_ready, false, memory_order_acq_rel))
        grant_everywhere(network);
    for (size_t i = 0; i < network->connections.count; i++) {
        struct connection *connection = network->connections.items[i];
        if (atomic_exchange_explicit(&connection->ready, false, memory_order_acq_rel))
            connection_flush(connection);
    }
    network_check_finished(network);
}

/* ---- losses ---- */

static void on_loss_timer(uv_timer_t *timer)
{
    network_tell_losses(timer->data);
}

void network_tell_losses(struct network *network)
{
    uint64_t now = uv_now(network->loop), next = UINT64_MAX;
    for (size_t i = 0; i < network->connections.count && !network->closing; i++) {
        struct connection *connection = network->connections.items[i];
        if (!connection->loss)
            continue;
        if (connection->loss_due_ms > now) {
            next = connection->loss_due_ms < next ? connection->loss_due_ms : next;
            continue;
        }
        char *loss = connection->loss;
        connection->loss = NULL;
        network->callbacks.lost(network->callbacks.self, connection->peer, loss);
        free(loss);
    }
    if (next != UINT64_MAX && !network->closing)
        uv_timer_start(&network->loss_timer, on_loss_timer, next - now, 0);
}

/* ---- incoming ---- */

static void on_connection(uv_stream_t *listener, int status)
{
    struct network *network = listener->data;
    if (status != 0 || network->closing)
        return;
    struct connection *connection = connection_new(network, false);
    int rc = uv_tcp_init(network->loop, &connection->tcp);
    if (rc == 0) {
        connection->tcp_initialized = true;
        connection->tcp.data = connection;
        network->handles_open++;
        rc = uv_accept(listener, (uv_stream_t *)&connection->tcp);
    }
    if (rc != 0 || network->connections.count > CONNECTIONS_MAX)
        connection_close(connection);
    else
        connection_start_reading(connection);
}

static void drop_silent_connections(struct network *network)
{
    uint64_t now = uv_now(network->loop);
    vec_for_each (connection, &network->connections)
        if ((*connection)->state == CONNECTION_GREETING &&
            now - (*connection)->accepted_at_ms > GREETING_TIMEOUT_MS)
            connection_close(*connection);
}

static void on_timer(uv_timer_t *timer)
{
    struct network *network = timer->data;
    drop_silent_connections(network);
    network_check_finished(network);
}

/* ---- opening ---- */

static int resolve_bind_host(uv_loop_t *loop, const char *host, uint16_t port,
                             struct sockaddr_storage *ret_address, struct error *err)
{
    char service[8];
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(service, sizeof service, "%u", port);
    int rc = uv_getaddrinfo(loop, &request, NULL, host, service, &hints);
    if (rc != 0)
        return error_set(err, WEIR_E_INVALID,
                         "data plane: the host '%s' (taskmanager.bind-host) can't be resolved: %s", host,
                         uv_strerror(rc));
    memcpy(ret_address, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return WEIR_OK;
}

static int start_listening(struct network *network, const char *host, const struct sockaddr_storage *address,
                           uint16_t port, struct error *err)
{
    struct sockaddr_storage bound;
    int length = sizeof bound;
    int rc = uv_tcp_bind(&network->listener, (const struct sockaddr *)address, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&network->listener, LISTEN_BACKLOG, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(&network->listener, (struct sockaddr *)&bound, &length);
    if (rc != 0)
        return error_set(err, rc == UV_EADDRINUSE ? WEIR_E_EXISTS : WEIR_E_IO,
                         "data plane: can't listen on %s:%u: %s", host, port, uv_strerror(rc));
    network->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                      : ((struct sockaddr_in *)&bound)->sin_port);
    return WEIR_OK;
}

static void init_handles(struct network *network)
{
    if (uv_tcp_init(network->loop, &network->listener) != 0 ||
        uv_async_init(network->loop, &network->async, on_async) != 0 ||
        uv_timer_init(network->loop, &network->timer) != 0 ||
        uv_timer_init(network->loop, &network->loss_timer) != 0)
        abort(); /* out of memory or descriptors at the very start */
    network->listener.data = network->async.data = network->timer.data = network->loss_timer.data = network;
    network->handles_open = 4;
    uv_timer_start(&network->timer, on_timer, TIMER_MS, TIMER_MS);
    uv_unref((uv_handle_t *)&network->timer);
}

/* Of one that never listened. */
static void free_self(void *self)
{
    network_free(self);
}

int network_open(uv_loop_t *loop, const struct network_options *options, struct network **ret_network,
                 struct error *err)
{
    struct sockaddr_storage address;
    size_t id_length = strlen(options->worker);
    if (id_length == 0 || id_length > FRAME_WORKER_ID_MAX_BYTES)
        return error_set(err, WEIR_E_LIMIT, "data plane: a worker's id has 1 to %d bytes",
                         FRAME_WORKER_ID_MAX_BYTES);
    int rc = resolve_bind_host(loop, options->bind_host, options->port, &address, err);
    if (rc != WEIR_OK)
        return rc;
    struct network *network = xcalloc(1, sizeof *network);
    network->loop = loop;
    network->callbacks = options->callbacks;
    network->loss_delay_ms = options->loss_delay_ms;
    network->job = options->job;
    network->attempt = options->attempt;
    network->worker = xstrdup(options->worker);
    atomic_init(&network->credit_waker.sleeping, false);
    network->credit_waker.wake = on_credit_wake;
    atomic_init(&network->credit_ready, false);
    init_handles(network);
    rc = start_listening(network, options->bind_host, &address, options->port, err);
    if (rc != WEIR_OK) {
        network_close(network, free_self, network);
        return rc;
    }
    *ret_network = network;
    return WEIR_OK;
}

/* ---- connecting ---- */

static struct connection *outgoing_to(struct network *network, const char *peer, const char *address)
{
    vec_for_each (connection, &network->connections)
        if ((*connection)->outgoing && strcmp((*connection)->peer, peer) == 0)
            return *connection;
    struct connection *connection = connection_new(network, true);
    connection->peer = xstrdup(peer);
    connection->address = xstrdup(address);
    return connection;
}

static void add_input(struct network *network, const struct network_channel *channel)
{
    struct input input = {.channel = *channel};
    assert(channel->pool);
    input.channel.peer_worker = xstrdup(channel->peer_worker);
    input.channel.peer_address = NULL;
    buffer_pool_set_waker(channel->pool, &network->credit_waker);
    vec_push(&network->inputs, input);
}

int network_connect(struct network *network, const struct network_channel *channels, size_t count,
                    struct error *err)
{
    assert(!network->connected && !network->finishing);
    for (size_t i = 0; i < count; i++) {
        if (!channels[i].is_output) {
            add_input(network, &channels[i]);
            continue;
        }
        struct connection *connection =
            outgoing_to(network, channels[i].peer_worker, channels[i].peer_address);
        if (connection->streams.count == FRAME_CHANNELS_MAX)
            return error_set(err, WEIR_E_LIMIT, "more than %d channels to worker %s", FRAME_CHANNELS_MAX,
                             connection->peer);
        vec_push(&connection->streams, (struct stream){.id = channels[i].id, .channel = channels[i].channel});
        channel_set_consumer_waker(channels[i].channel, &connection->waker);
    }
    network->connected = true;
    for (size_t i = 0; i < network->connections.count; i++) {
        struct connection *connection = network->connections.items[i];
        if (connection->outgoing)
            connection_dial(connection);
        else if (connection->state == CONNECTION_OPEN)
            connection_bind(connection, 0);
    }
    grant_everywhere(network);
    return WEIR_OK;
}

/* ---- the end ---- */

static bool is_finished(const struct network *network, const struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSED || connection->state == CONNECTION_GREETING)
        return true;
    if (network->finish_discard && connection->state == CONNECTION_DIALLING)
        return true;
    return connection->bye_acknowledged && !connection->writing && connection->control.size == 0;
}

void network_check_finished(struct network *network)
{
    if (!network->finish_done || network->closing)
        return;
    bool overdue = network->finish_deadline_ms != 0 && uv_now(network->loop) >= network->finish_deadline_ms;
    vec_for_each (connection, &network->connections)
        if (!overdue && !is_finished(network, *connection))
            return;
    void (*done)(void *self) = network->finish_done;
    network->finish_done = NULL;
    done(network->finish_self);
}

void network_finish(struct network *network, bool discard, void (*done)(void *self), void *self)
{
    assert(!network->finishing);
    network->finishing = true;
    network->finish_discard = discard;
    network->finish_done = done;
    network->finish_self = self;
    uv_update_time(network->loop);
    uv_timer_start(&network->timer, on_timer, FINISH_TIMER_MS, FINISH_TIMER_MS);
    if (discard)
        network->finish_deadline_ms = uv_now(network->loop) + FINISH_TIMEOUT_MS;
    for (size_t i = 0; i < network->connections.count; i++) {
        struct connection *connection = network->connections.items[i];
        connection->discard = connection->discard || discard;
        connection_flush(connection);
    }
    network_check_finished(network);
}

void network_free(struct network *network)
{
    assert(network->closing && network->handles_open == 0);
    vec_for_each (connection, &network->connections)
        connection_free(*connection);
    vec_free(&network->connections);
    vec_for_each (input, &network->inputs)
        free((char *)input->channel.peer_worker);
    vec_free(&network->inputs);
    free(network->worker);
    free(network);
}

void network_forget(struct connection *connection)
{
    struct network *network = connection->network;
    for (size_t i = 0; i < network->connections.count; i++)
        if (network->connections.items[i] == connection) {
            vec_remove(&network->connections, i);
            break;
        }
    connection_free(connection);
}

void network_handle_closed(struct network *network)
{
    assert(network->handles_open > 0);
    if (--network->handles_open > 0 || !network->closing)
        return;
    if (network->closed)
        network->closed(network->closed_self);
}

static void on_own_handle_closed(uv_handle_t *handle)
{
    network_handle_closed(handle->data);
}

void network_close(struct network *network, void (*closed)(void *self), void *self)
{
    network->closing = true;
    network->closed = closed;
    network->closed_self = self;
    waker_cancel(&network->credit_waker); /* nobody listens any more */
    for (size_t i = 0; i < network->connections.count; i++) {
        waker_cancel(&network->connections.items[i]->waker);
        connection_close(network->connections.items[i]);
    }
    uv_close((uv_handle_t *)&network->listener, on_own_handle_closed);
    uv_close((uv_handle_t *)&network->async, on_own_handle_closed);
    uv_close((uv_handle_t *)&network->timer, on_own_handle_closed);
    uv_close((uv_handle_t *)&network->loss_timer, on_own_handle_closed);
}
