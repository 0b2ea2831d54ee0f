/* A taskmanager's connection has gone: is its process gone, too? One TCP connect to its RPC address tells at
 * once when nobody listens there. If somebody does, a batch without content and with sequence number 0 (which
 * every inbox acknowledges and nobody carries out) asks whether it is the same session; an answer, any
 * acknowledgement, or a new request of the session within the grace means that it lives and that only the
 * connection broke. */
#include "jobmanager/shell/jobmanager.h"

#include <stdlib.h>

#include "common/base/log.h"

static const char LOGGER[] = "weir.runtime.resourcemanager.ResourceManager";

enum { PROBE_CONNECT_MS = 500, PROBE_GRACE_MS = 100 };

struct probe {
    struct jobmanager *jobmanager;
    uint64_t session;
    uint32_t pipe;             /* the closed one */
    uint64_t acknowledgements; /* when it closed */
    bool decided;
    bool connected;
    int handles_open;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_connect_t connect;
    struct rpc_client *client;
};

static void on_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    if (--probe->handles_open == 0)
        free(probe);
}

/* why NULL: it lives. */
static void decide(struct probe *probe, const char *why)
{
    if (probe->decided)
        return;
    probe->decided = true;
    struct jobmanager *jm = probe->jobmanager;
    struct peer *peer = peers_find(jm, probe->session);
    if (peer && !jm->stopping) {
        peer->probing = false;
        if (why)
            peers_declare_lost(peer, why);
        else
            log_info(LOGGER, "TaskManager %s lost a connection, but lives", peer->id);
    }
    if (probe->client)
        rpc_client_close(probe->client);
    probe->client = NULL;
    if (!uv_is_closing((uv_handle_t *)&probe->tcp))
        uv_close((uv_handle_t *)&probe->tcp, on_closed);
    uv_close((uv_handle_t *)&probe->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    struct peer *peer = peers_find(probe->jobmanager, probe->session);
    bool heard = peer && (peer->pipe != probe->pipe || peer->acknowledgements != probe->acknowledgements);
    if (heard)
        decide(probe, NULL);
    else
        decide(probe, probe->connected ? "its connection closed, and it didn't come back"
                                       : "its connection closed, and its address doesn't answer");
}

static void on_answer(void *self, int rc, const Weir__Response *response, const struct error *err)
{
    (void)response;
    struct probe *probe = self;
    if (probe->decided)
        return;
    if (rc == WEIR_OK)
        decide(probe, NULL);
    else if (rc == WEIR_E_FENCED)
        decide(probe, err->message);
}

static void ask_session(struct probe *probe, const struct peer *peer)
{
    if (peer->acknowledgements == 0)
        return; /* the first batch may not have come: this one must not be taken for it */
    Weir__Batch batch = WEIR__BATCH__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    batch.session = probe->session;
    batch.seq = 1;
    request.body_case = WEIR__REQUEST__BODY_BATCH;
    request.batch = &batch;
    if (rpc_client_open(&probe->jobmanager->loop, peer->rpc_address, &probe->client, NULL) != 0)
        probe->client = NULL;
    else if (rpc_client_request(probe->client, &request, PROBE_GRACE_MS, on_answer, probe, NULL) != 0)
        return; /* the timer decides */
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct probe *probe = connect->data;
    if (probe->decided || status == UV_ECANCELED)
        return;
    struct peer *peer = peers_find(probe->jobmanager, probe->session);
    if (!peer || probe->jobmanager->stopping) {
        decide(probe, NULL);
        return;
    }
    if (status != 0) {
        char why[160];
        snprintf(why, sizeof why, "its connection closed, and its address answers: %s", uv_strerror(status));
        decide(probe, why);
        return;
    }
    probe->connected = true;
    uv_close((uv_handle_t *)&probe->tcp, on_closed);
    uv_timer_start(&probe->timer, on_timer, PROBE_GRACE_MS, 0);
    ask_session(probe, peer);
}

void probe_start(struct peer *peer)
{
    struct jobmanager *jm = peer->jobmanager;
    struct probe *probe = xcalloc(1, sizeof *probe);
    probe->jobmanager = jm;
    probe->session = peer->session;
    probe->pipe = peer->pipe;
    probe->acknowledgements = peer->acknowledgements;
    probe->handles_open = 2;
    uv_tcp_init(&jm->loop, &probe->tcp);
    uv_timer_init(&jm->loop, &probe->timer);
    probe->tcp.data = probe->timer.data = probe->connect.data = probe;
    peer->probing = true;
    uv_update_time(&jm->loop);
    uv_timer_start(&probe->timer, on_timer, PROBE_CONNECT_MS, 0);
    if (peer->address.ss_family != 0 &&
        uv_tcp_connect(&probe->connect, &probe->tcp, (const struct sockaddr *)&peer->address, on_connect) ==
            0)
        return;
    uv_timer_start(&probe->timer, on_timer, PROBE_GRACE_MS, 0);
}
