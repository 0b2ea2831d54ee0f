/* Registered taskmanagers: a socket and an ordered link to each, and what happens when a connection to one
 * goes away.
 *
 *     registered --pipe closed--> probed --refused, or silent for the grace--> lost --core told--> removed
 *         |                         |alive
 *         +--link broken--> lost    +--> registered */
#include "jobmanager/shell/jobmanager.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

static const char LOGGER[] = "weir.runtime.resourcemanager.ResourceManager";

enum { LINK_GRACE_MS = 1000 };

struct peer *peers_find(struct jobmanager *jm, uint64_t session)
{
    vec_for_each (peer, &jm->peers)
        if ((*peer)->session == session)
            return *peer;
    return NULL;
}

/* ---- the peer's address, resolved once, for the probe ---- */

struct resolution {
    uv_getaddrinfo_t request;
    struct jobmanager *jobmanager;
    uint64_t session;
};

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolution *resolution = request->data;
    struct peer *peer = peers_find(resolution->jobmanager, resolution->session);
    const struct addrinfo *chosen = status == 0 ? list : NULL;
    for (const struct addrinfo *info = chosen; info; info = info->ai_next)
        if (info->ai_family == AF_INET) {
            chosen = info;
            break;
        }
    if (peer && chosen && chosen->ai_addrlen <= sizeof peer->address)
        memcpy(&peer->address, chosen->ai_addr, chosen->ai_addrlen);
    uv_freeaddrinfo(list);
    free(resolution);
}

static void resolve(struct peer *peer)
{
    char *host = xstrdup(peer->rpc_address + strlen("tcp://"));
    char *port = strrchr(host, ':');
    *port++ = '\0';
    char *name = host;
    if (*name == '[' && port - name > 2 && port[-2] == ']') {
        port[-2] = '\0';
        name++;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct resolution *resolution = xcalloc(1, sizeof *resolution);
    resolution->request.data = resolution;
    resolution->jobmanager = peer->jobmanager;
    resolution->session = peer->session;
    if (uv_getaddrinfo(&peer->jobmanager->loop, &resolution->request, on_resolved, name, port, &hints) != 0)
        free(resolution);
    free(host);
}

/* ---- the link ---- */

static void on_acknowledged(void *self)
{
    struct peer *peer = self;
    peer->acknowledgements++;
}

static void on_broken(void *self, int rc, const char *message)
{
    struct peer *peer = self;
    if (peer->closing)
        return;
    char *why = xasprintf("no connection to it: %s", message && *message ? message : weir_rc_text(rc));
    peers_declare_lost(peer, why);
    free(why);
}

struct peer *peers_add(struct jobmanager *jm, uint64_t session, const struct pending *registration)
{
    struct error err;
    struct peer *peer = xcalloc(1, sizeof *peer);
    peer->jobmanager = jm;
    peer->session = session;
    peer->id = xstrdup(registration->task_manager_id);
    peer->rpc_address = xstrdup(registration->rpc_address);
    peer->pipe = registration->pipe;
    peer->inbox.session = session;
    vec_push(&jm->peers, peer);
    resolve(peer);
    if (rpc_client_open(&jm->loop, peer->rpc_address, &peer->client, &err) != 0) {
        peers_declare_lost(peer, err.message);
        return peer;
    }
    struct rpc_link_callbacks callbacks = {
        .acknowledged = on_acknowledged, .broken = on_broken, .self = peer};
    peer->link = rpc_link_new(peer->client, session, config_duration_ms(jm->config, OPT_HEARTBEAT_TIMEOUT),
                              LINK_GRACE_MS, &callbacks);
    return peer;
}

/* The answer to a registration and the first batch of the session travel by two connections; the batch must
 * not overtake the answer, as a taskmanager refuses what is of a session that it doesn't know. It sends a
 * heartbeat as soon as it knows. */
void peers_send(struct peer *peer, Weir__ToTaskManager *message)
{
    if (peer->heard)
        rpc_link_send_to_taskmanager(peer->link, message);
    else
        vec_push(&peer->held, message);
}

void peers_on_heard(struct peer *peer, uint32_t pipe)
{
    peer->pipe = pipe;
    peer->heard = true;
    vec_for_each (message, &peer->held)
        rpc_link_send_to_taskmanager(peer->link, *message);
    vec_clear(&peer->held);
}

static void peer_free(struct peer *peer)
{
    vec_for_each (message, &peer->held)
        weir__to_task_manager__free_unpacked(*message, NULL);
    vec_free(&peer->held);
    peer->closing = true;
    if (peer->link)
        rpc_link_free(peer->link);
    if (peer->client)
        rpc_client_close(peer->client);
    free(peer->id);
    free(peer->rpc_address);
    free(peer->lost_why);
    free(peer);
}

void peers_remove(struct jobmanager *jm, uint64_t session)
{
    for (size_t i = 0; i < jm->peers.count; i++) {
        struct peer *peer = jm->peers.items[i];
        if (peer->session != session)
            continue;
        vec_remove(&jm->peers, i);
        peer_free(peer);
        return;
    }
}

void peers_remove_all(struct jobmanager *jm)
{
    while (jm->peers.count > 0)
        peers_remove(jm, jm->peers.items[0]->session);
}

/* ---- loss ---- */

void peers_declare_lost(struct peer *peer, const char *why)
{
    if (peer->lost)
        return;
    peer->lost = true;
    peer->lost_why = xstrdup(why);
    uv_async_send(&peer->jobmanager->lost_async);
}

static struct peer *find_lost(struct jobmanager *jm)
{
    vec_for_each (peer, &jm->peers)
        if ((*peer)->lost)
            return *peer;
    return NULL;
}

void peers_on_lost_async(uv_async_t *async)
{
    struct jobmanager *jm = async->data;
    for (struct peer *peer; (peer = find_lost(jm)) != NULL;) {
        uint64_t session = peer->session;
        log_warn(LOGGER, "TaskManager %s is lost: %s", peer->id, peer->lost_why);
        char *why = xstrdup(peer->lost_why);
        jobmanager_step(jm, &(struct core_event){.kind = EVENT_TM_LOST, .session = session, .message = why});
        free(why);
        peers_remove(jm, session);
    }
}

void peers_on_pipe_closed(void *self, uint32_t pipe)
{
    struct jobmanager *jm = self;
    vec_for_each (peer, &jm->peers)
        if ((*peer)->pipe == pipe && !(*peer)->lost && !(*peer)->probing)
            probe_start(*peer);
}
