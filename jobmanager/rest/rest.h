/* The REST interface: Flink's paths and JSON over the core's views.
 *
 * Two layers: rest_dispatch (router and handlers) is pure: environment and request in, status and JSON out,
 * so that tests call it with a core in a known state. rest_server carries it over HTTP: libmicrohttpd on the
 * loop thread. */
#ifndef WEIR_REST_REST_H
#define WEIR_REST_REST_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/config/config.h"
#include "jobmanager/core/view.h"

/* What handlers may see and do. Borrowed; one thread. */
struct rest_env {
    const struct core *core;
    const struct config *config;
    const char *rpc_address; /* "host:port" where clients reach the jobmanager's RPC */
    int64_t (*now_ms)(void *self);
    /* Asks the core to cancel; answered by rest_server_complete(token), during the call or later. */
    void (*cancel_job)(void *self, const struct weir_id *job, uint64_t token);
    /* Begin what is answered by rest_operations_complete, during the call or later. */
    void (*take_snapshot)(void *self, const struct weir_id *job, const struct snapshot_wish *wish,
                          uint64_t operation);
    void (*dispose_savepoint)(void *self, const char *path, uint64_t operation);
    struct rest_operations *operations;
    void *self;
};

struct rest_response {
    int status;
    cJSON *body;       /* owned; NULL while pending */
    const char *allow; /* static; the Allow header of a 405, else NULL */
    bool pending;      /* the answer comes by rest_server_complete */
};

enum { REST_BODY_MAX_BYTES = 64 << 10, REST_URI_MAX_BYTES = 8 << 10 };

/* uri: the request target as it came, "/v1/jobs/…?get=a,b". token: names the answer of a handler that leaves
 * it pending. body: NULL: none. */
void rest_dispatch(const struct rest_env *env, const char *method, const char *uri, const char *body,
                   uint64_t token, struct rest_response *ret_response);
/* {"errors": [message]} */
void rest_response_error(struct rest_response *response, int status, const char *format, ...)
    WEIR_PRINTF(3, 4);

struct rest_server;

struct rest_server_options {
    const char *bind_host;
    uint16_t port;             /* 0: a free one */
    uint32_t connection_limit; /* 0: REST_CONNECTIONS_DEFAULT */
    int64_t idle_timeout_ms;   /* 0: 30 s; a connection on which nothing comes or goes; whole seconds */
    int64_t
        request_deadline_ms; /* 0: 60 s; a connection that completes no request for so long, however busy */
};
enum { REST_CONNECTIONS_DEFAULT = 2000 };

/* env is borrowed. ret_address: "127.0.0.1:8081", malloc'ed. WEIR_E_EXISTS: the port is in use. */
int rest_server_open(uv_loop_t *loop, const struct rest_env *env, const struct rest_server_options *options,
                     struct rest_server **ret_server, char **ret_address, struct error *err) WEIR_CHECK;
/* Answers a pending request: rc 0 gives status 202 and {}, anything else an error. An unknown token is
 * ignored. */
void rest_server_complete(struct rest_server *server, uint64_t token, int rc, const char *message);
/* Pending requests are answered with 503, connections closed; frees once the loop has run. NULL is fine. */
void rest_server_close(struct rest_server *server);

#endif
