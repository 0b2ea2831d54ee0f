/* REST over HTTP: libmicrohttpd without threads of its own, its epoll descriptor in the loop.
 *
 * The happy path: the request line arrives (exchange made) -> headers -> the body is read ->
 * rest_dispatch -> the response is queued. A handler that leaves its answer pending suspends the connection;
 * rest_server_complete resumes it, the handler is called again and queues what was answered.
 *
 * Possible failure modes:
 *   a body above the limit     413; announced by Content-Length it is refused before it is read
 *   a client that stalls       libmicrohttpd closes the connection after the idle timeout
 *   a client that dribbles     no request completed within the deadline: shutdown(2) of its socket
 *   too many connections       libmicrohttpd doesn't accept more than the limit
 *   stopping with suspended connections aborts the process: they are resumed and answered first */
#include "jobmanager/rest/rest.h"

#include <malloc.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "jobmanager/rest/listen.h"

enum {
    IDLE_TIMEOUT_MS = 30000,
    REQUEST_DEADLINE_MS = 60000,
    BODY_DISCARD_MAX_BYTES =
        1 << 20, /* of a chunked body that is too large, so that its sender reads the 413 */
    CONNECTION_MEMORY_BYTES = 16 << 10,
    CONNECTIONS_WORTH_TRIMMING = 64,
};

struct connection {
    struct connection *next, **link;
    int fd;
    int64_t since_ms; /* loop time of opening, or of the last completed request */
};

struct exchange { /* one request */
    struct rest_server *server;
    struct MHD_Connection *connection;
    char *uri;
    bool started;
    size_t body_bytes;
    struct strbuf body;
    uint64_t token; /* 0: not dispatched yet */
    bool suspended;
    bool pending;   /* in the server's list */
    bool completed; /* rest_server_complete was called: rc and message are valid */
    int rc;
    char *message;
    struct exchange *next, **link;
};

struct rest_server {
    uv_loop_t *loop;
    const struct rest_env *env;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t pump_timer;
    uv_timer_t sweep_timer;
    int handles_open;
    int64_t request_deadline_ms;
    uint64_t next_token;
    struct connection *connections;
    size_t connection_count;
    size_t connection_peak; /* since memory was given back */
    struct exchange *pending;
};

static void pump(struct rest_server *server);

/* ---- answering ---- */

static enum MHD_Result queue_text(struct exchange *exchange, int status, char *text_take, const char *allow)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text_take), text_take, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text_take);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json; charset=UTF-8");
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    if (allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    enum MHD_Result result = MHD_queue_response(exchange->connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result queue_response(struct exchange *exchange, struct rest_response *response)
{
    char *text = response->body ? cJSON_PrintUnformatted(response->body) : xstrdup("{}");
    cJSON_Delete(response->body);
    return text ? queue_text(exchange, response->status, text, response->allow) : MHD_NO;
}

static enum MHD_Result queue_completion(struct exchange *exchange)
{
    struct rest_response response = {.status = 202};
    if (exchange->rc)
        rest_response_error(&response, weir_rc_http_status(exchange->rc), "%s",
                            exchange->message && *exchange->message ? exchange->message
                                                                    : weir_rc_text(exchange->rc));
    return queue_response(exchange, &response);
}

static enum MHD_Result queue_too_large(struct exchange *exchange)
{
    struct rest_response response = {0};
    rest_response_error(&response, 413, "The request's body has more than %d bytes.", REST_BODY_MAX_BYTES);
    return queue_response(exchange, &response);
}

/* ---- pending exchanges ---- */

static void pending_add(struct exchange *exchange)
{
    struct rest_server *server = exchange->server;
    exchange->pending = true;
    exchange->next = server->pending;
    exchange->link = &server->pending;
    if (exchange->next)
        exchange->next->link = &exchange->next;
    server->pending = exchange;
}

static void pending_remove(struct exchange *exchange)
{
    if (!exchange->pending)
        return;
    *exchange->link = exchange->next;
    if (exchange->next)
        exchange->next->link = exchange->link;
    exchange->pending = false;
}

static void on_pump_timer(uv_timer_t *timer)
{
    pump(timer->data);
}

static void complete(struct exchange *exchange, int rc, const char *message)
{
    pending_remove(exchange);
    exchange->completed = true;
    exchange->rc = rc;
    exchange->message = message ? xstrdup(message) : NULL;
    if (exchange->suspended) {
        exchange->suspended = false;
        MHD_resume_connection(exchange->connection);
        uv_timer_start(&exchange->server->pump_timer, on_pump_timer, 0, 0);
    }
}

void rest_server_complete(struct rest_server *server, uint64_t token, int rc, const char *message)
{
    for (struct exchange *exchange = server->pending; exchange; exchange = exchange->next)
        if (exchange->token == token) {
            complete(exchange, rc, message);
            return;
        }
}

/* ---- libmicrohttpd's callbacks; all on the loop thread, within pump ---- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct exchange *exchange = xcalloc(1, sizeof *exchange);
    exchange->server = cls;
    exchange->connection = connection;
    exchange->uri = xstrdup(uri);
    strbuf_init(&exchange->body, REST_BODY_MAX_BYTES + 1);
    return exchange;
}

static enum MHD_Result dispatch(struct exchange *exchange, const char *method)
{
    struct rest_response response;
    exchange->token = ++exchange->server->next_token;
    pending_add(exchange);
    rest_dispatch(exchange->server->env, method, exchange->uri, exchange->body.data, exchange->token,
                  &response);
    if (!response.pending) {
        pending_remove(exchange);
        return queue_response(exchange, &response);
    }
    if (exchange->completed)
        return queue_completion(exchange);
    exchange->suspended = true;
    MHD_suspend_connection(exchange->connection);
    return MHD_YES;
}

static bool announces_too_much(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length && strtoull(length, NULL, 10) > REST_BODY_MAX_BYTES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **con_cls)
{
    (void)cls, (void)url, (void)version;
    struct exchange *exchange = *con_cls;
    if (!exchange->started) {
        exchange->started = true;
        return announces_too_much(connection) ? queue_too_large(exchange) : MHD_YES;
    }
    if (*upload_data_size > 0) {
        exchange->body_bytes += *upload_data_size;
        if (exchange->body_bytes <= REST_BODY_MAX_BYTES)
            (void)strbuf_add(&exchange->body, upload_data, *upload_data_size);
        *upload_data_size = 0;
        return exchange->body_bytes > BODY_DISCARD_MAX_BYTES ? MHD_NO : MHD_YES;
    }
    if (exchange->body_bytes > REST_BODY_MAX_BYTES)
        return queue_too_large(exchange);
    if (exchange->completed)
        return queue_completion(exchange);
    return dispatch(exchange, method);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct rest_server *server = cls;
    struct exchange *exchange = *con_cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info && info->socket_context)
        ((struct connection *)info->socket_context)->since_ms = (int64_t)uv_now(server->loop);
    if (!exchange)
        return;
    pending_remove(exchange);
    free(exchange->uri);
    strbuf_deinit(&exchange->body);
    free(exchange->message);
    free(exchange);
    *con_cls = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *mhd_connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct rest_server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct connection *connection = xcalloc(1, sizeof *connection);
        connection->fd =
            MHD_get_connection_info(mhd_connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        connection->since_ms = (int64_t)uv_now(server->loop);
        connection->next = server->connections;
        connection->link = &server->connections;
        if (connection->next)
            connection->next->link = &connection->next;
        server->connections = connection;
        if (++server->connection_count > server->connection_peak)
            server->connection_peak = server->connection_count;
        *socket_context = connection;
    } else if (*socket_context) {
        struct connection *connection = *socket_context;
        *connection->link = connection->next;
        if (connection->next)
            connection->next->link = connection->link;
        free(connection);
        server->connection_count--;
        *socket_context = NULL;
    }
}

/* ---- on the loop ---- */

static void pump(struct rest_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES)
        uv_timer_start(&server->pump_timer, on_pump_timer, timeout_ms, 0);
    else
        uv_timer_stop(&server->pump_timer);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    pump(poll->data);
}

/* Closing is libmicrohttpd's: it sees the end of the stream. */
static void on_sweep_timer(uv_timer_t *timer)
{
    struct rest_server *server = timer->data;
    int64_t now_ms = (int64_t)uv_now(server->loop);
    for (struct connection *connection = server->connections; connection; connection = connection->next)
        if (now_ms - connection->since_ms > server->request_deadline_ms)
            shutdown(connection->fd, SHUT_RDWR);
    if (server->connection_peak > CONNECTIONS_WORTH_TRIMMING &&
        server->connection_count < server->connection_peak / 4) {
        server->connection_peak = server->connection_count;
        malloc_trim(0); /* what a crowd of clients needed goes back to the system */
    }
}

static void start_handles(struct rest_server *server)
{
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(server->loop, &server->poll, epoll_fd);
    uv_timer_init(server->loop, &server->pump_timer);
    uv_timer_init(server->loop, &server->sweep_timer);
    server->poll.data = server->pump_timer.data = server->sweep_timer.data = server;
    server->handles_open = 3;
    uint64_t sweep_ms = (uint64_t)(server->request_deadline_ms / 4 + 1);
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    uv_timer_start(&server->sweep_timer, on_sweep_timer, sweep_ms, sweep_ms);
}

int rest_server_open(uv_loop_t *loop, const struct rest_env *env, const struct rest_server_options *options,
                     struct rest_server **ret_server, char **ret_address, struct error *err)
{
    int fd;
    char *address;
    int rc = rest_listen(options->bind_host, options->port, &fd, &address, err);
    if (rc)
        return rc;
    int64_t idle_ms = options->idle_timeout_ms > 0 ? options->idle_timeout_ms : IDLE_TIMEOUT_MS;
    unsigned limit = options->connection_limit ? options->connection_limit : REST_CONNECTIONS_DEFAULT;
    struct rest_server *server = xcalloc(1, sizeof *server);
    server->loop = loop;
    server->env = env;
    server->request_deadline_ms =
        options->request_deadline_ms > 0 ? options->request_deadline_ms : REQUEST_DEADLINE_MS;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((idle_ms + 999) / 1000), MHD_OPTION_CONNECTION_LIMIT,
        limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
    if (!server->daemon) {
        close(fd);
        free(address);
        free(server);
        return error_set(err, WEIR_E_INTERNAL, "the HTTP server can't be started");
    }
    start_handles(server);
    *ret_server = server;
    *ret_address = address;
    return WEIR_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct rest_server *server = handle->data;
    if (--server->handles_open == 0)
        free(server);
}

void rest_server_close(struct rest_server *server)
{
    if (!server)
        return;
    for (struct exchange *exchange = server->pending; exchange;) {
        struct exchange *next = exchange->next;
        complete(exchange, WEIR_E_UNAVAILABLE, "The jobmanager is shutting down.");
        exchange = next;
    }
    MHD_run(server->daemon);
    uv_poll_stop(&server->poll);
    MHD_stop_daemon(server->daemon);
    uv_close((uv_handle_t *)&server->poll, on_handle_closed);
    uv_close((uv_handle_t *)&server->pump_timer, on_handle_closed);
    uv_close((uv_handle_t *)&server->sweep_timer, on_handle_closed);
}
