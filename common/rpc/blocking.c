/* One request without a loop, for the command line. */
#include <errno.h>
#include <netdb.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/rpc/internal.h"

/* 0 or an errno. */
static int try_connect(const struct addrinfo *info, int timeout_ms)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, info->ai_protocol);
    if (fd < 0)
        return errno;
    int result = connect(fd, info->ai_addr, info->ai_addrlen) == 0 ? 0 : errno;
    if (result == EINPROGRESS) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
        socklen_t length = sizeof result;
        if (poll(&poll_fd, 1, timeout_ms) <= 0)
            result = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length) != 0)
            result = errno;
    }
    close(fd);
    return result;
}

/* nng goes on dialling and never says why it can't: one connection of our own tells a refused one at once. */
static int probe(const char *address, int64_t timeout_ms, struct error *err)
{
    static const char tcp[] = "tcp://";
    if (strncmp(address, tcp, strlen(tcp)) != 0)
        return WEIR_OK;
    const char *host_begin = address + strlen(tcp);
    const char *port = strrchr(host_begin, ':');
    size_t host_length = (size_t)(port - host_begin);
    if (host_length >= 2 && host_begin[0] == '[' && port[-1] == ']') {
        host_begin++;
        host_length -= 2;
    }
    char *host = xstrndup(host_begin, host_length);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *infos = NULL;
    int resolved = getaddrinfo(host, port + 1, &hints, &infos);
    int rc = WEIR_OK;
    if (resolved != 0) {
        rc = error_set(err, WEIR_E_UNAVAILABLE, "can't connect to %s: %s", address, gai_strerror(resolved));
    } else {
        int result = try_connect(infos, (int)timeout_ms);
        if (result != 0)
            rc = error_set_errno(err, WEIR_E_UNAVAILABLE, result, "can't connect to %s", address);
    }
    if (infos)
        freeaddrinfo(infos);
    free(host);
    return rc;
}

static int open_socket(const char *address, int64_t connect_ms, nng_socket *ret_socket)
{
    nng_dialer dialer;
    int nng_error = nng_req0_open(ret_socket);
    if (nng_error != 0)
        return nng_error;
    nng_error = nng_socket_set_size(*ret_socket, NNG_OPT_RECVMAXSZ, RPC_WIRE_MAX_BYTES);
    if (nng_error == 0)
        nng_error = nng_socket_set_ms(*ret_socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (nng_error == 0)
        nng_error = nng_socket_set_ms(*ret_socket, NNG_OPT_SENDTIMEO, (nng_duration)connect_ms);
    if (nng_error == 0)
        nng_error = nng_dialer_create(&dialer, *ret_socket, address);
    if (nng_error == 0)
        nng_error = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMINT, RPC_RECONNECT_MIN_MS);
    if (nng_error == 0)
        nng_error = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMAXT, RPC_RECONNECT_MAX_MS);
    if (nng_error == 0)
        nng_error = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
    if (nng_error != 0)
        nng_close(*ret_socket);
    return nng_error;
}

static int exchange(nng_socket socket, const char *address, Weir__Request *request, int64_t deadline_ms,
                    Weir__Response **ret_response, struct error *err)
{
    void *data;
    size_t size;
    int rc = rpc_encode_request(request, &data, &size, err);
    if (rc != WEIR_OK)
        return rc;
    int nng_error = nng_send(socket, data, size, 0);
    free(data);
    if (nng_error != 0)
        return error_set(err, WEIR_E_UNAVAILABLE, "no connection to %s", address);
    int64_t left = deadline_ms - rpc_now_ms();
    nng_msg *message;
    nng_error = nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, left > 1 ? (nng_duration)left : 1);
    if (nng_error == 0)
        nng_error = nng_recvmsg(socket, &message, 0);
    if (nng_error != 0) {
        rc = rpc_code_of_nng(nng_error);
        return error_set(err, rc,
                         rc == WEIR_E_TIMEOUT ? "no answer from %s in time" : "the connection to %s broke",
                         address);
    }
    Weir__Response *response = NULL;
    rc = rpc_decode_response(nng_msg_body(message), nng_msg_len(message), &response, err);
    nng_msg_free(message);
    if (rc == WEIR_OK)
        rc = rpc_check_response(response, err);
    if (rc == WEIR_OK)
        *ret_response = response;
    else if (response)
        weir__response__free_unpacked(response, NULL);
    return rc;
}

int rpc_request_blocking(const char *address, Weir__Request *request, int64_t timeout_ms,
                         Weir__Response **ret_response, struct error *err)
{
    if (timeout_ms <= 0 || timeout_ms > INT32_MAX)
        return error_set(err, WEIR_E_INVALID, "a timeout of %lld ms is out of range", (long long)timeout_ms);
    int64_t deadline_ms = rpc_now_ms() + timeout_ms;
    int64_t connect_ms = timeout_ms < 3000 ? timeout_ms : 3000;
    struct weir_id id = os_random_id();
    bool is_anonymous = request->id.len == 0;
    char *normal;
    int rc = rpc_address_normalise(address, &normal, err);
    if (rc != WEIR_OK)
        return rc;
    rc = probe(normal, connect_ms, err);
    nng_socket socket;
    int nng_error = rc == WEIR_OK ? open_socket(normal, connect_ms, &socket) : 0;
    if (nng_error != 0)
        rc = error_set(err, rpc_code_of_nng(nng_error), "can't connect to %s: %s", address,
                       nng_strerror(nng_error));
    if (rc == WEIR_OK) {
        if (is_anonymous)
            request->id = (ProtobufCBinaryData){sizeof id.bytes, id.bytes};
        rc = exchange(socket, normal, request, deadline_ms, ret_response, err);
        if (is_anonymous)
            request->id = (ProtobufCBinaryData){0, NULL};
        nng_close(socket);
    }
    free(normal);
    return rc;
}
