#include "jobmanager/rest/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/memory.h"

enum { BACKLOG = 512 };

/* "localhost" may be ::1 first; clients of Flink expect 127.0.0.1. */
static const struct addrinfo *prefer_ipv4(const struct addrinfo *list)
{
    for (const struct addrinfo *info = list; info; info = info->ai_next)
        if (info->ai_family == AF_INET)
            return info;
    return list;
}

static char *format_address(int fd)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    char host[INET6_ADDRSTRLEN];
    if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0)
        return xstrdup("?");
    if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)&storage;
        inet_ntop(AF_INET6, &address->sin6_addr, host, sizeof host);
        return xasprintf("[%s]:%u", host, ntohs(address->sin6_port));
    }
    const struct sockaddr_in *address = (const struct sockaddr_in *)&storage;
    inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    return xasprintf("%s:%u", host, ntohs(address->sin_port));
}

int rest_listen(const char *host, uint16_t port, int *ret_fd, char **ret_address, struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int failure = getaddrinfo(host, service, &hints, &list);
    if (failure)
        return error_set(err, WEIR_E_INVALID, "the host %s can't be resolved: %s", host,
                         gai_strerror(failure));
    const struct addrinfo *info = prefer_ipv4(list);
    int on = 1;
    int rc = WEIR_OK;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        rc = error_set_errno(err, WEIR_E_IO, errno, "make a socket");
    else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
             bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        rc = errno == EADDRINUSE
                 ? error_set(err, WEIR_E_EXISTS, "port %u on %s is in use", port, host)
                 : error_set_errno(err, WEIR_E_IO, errno, "listen on port %u of %s", port, host);
    freeaddrinfo(list);
    if (rc) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_address = format_address(fd);
    return WEIR_OK;
}
