/* The mock cluster binds 127.0.0.1:0 and advertises in its metadata what it got; there is no option for the
 * port, and a forwarder on a fixed port would not do, as clients go on to the advertised address. So this
 * executable defines bind(2), which the dynamic linker then gives to librdkafka as well, and fills in the
 * port. main.c compares the address that the cluster reports with the one that was asked for, so that a
 * librdkafka for which this does not work is an error and not a surprise. */
#include "deploy/devbroker/fixed_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint16_t wanted_port;

void fixed_port_want(uint16_t port)
{
    wanted_port = port;
}

static int bind_reusing(int fd, struct sockaddr_in address)
{
    /* A broker that was here a moment ago leaves connections in TIME_WAIT. */
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return (int)syscall(SYS_bind, fd, &address, sizeof address);
}

int fixed_port_probe(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int rc = bind_reusing(fd, address) == 0 && listen(fd, 1) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

__attribute__((visibility("default"))) int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_in own;
    if (wanted_port != 0 && address->sa_family == AF_INET && length >= sizeof own) {
        memcpy(&own, address, sizeof own);
        if (own.sin_port == 0 && own.sin_addr.s_addr == htonl(INADDR_LOOPBACK)) {
            own.sin_port = htons(wanted_port);
            wanted_port = 0;
            return bind_reusing(fd, own);
        }
    }
    return (int)syscall(SYS_bind, fd, address, length);
}
