/* A listening TCP socket for a host name and port, with errors that say what to do. */
#ifndef WEIR_REST_LISTEN_H
#define WEIR_REST_LISTEN_H

#include <stdint.h>

#include "common/base/error.h"

/* ret_address: "127.0.0.1:8081" or "[::1]:8081", malloc'ed. WEIR_E_EXISTS: in use. */
int rest_listen(const char *host, uint16_t port, int *ret_fd, char **ret_address,
                struct error *err) WEIR_CHECK;

#endif
