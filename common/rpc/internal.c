#include "common/rpc/internal.h"

#include <nng/nng.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/memory.h"

int rpc_address_normalise(const char *address, char **ret_address, struct error *err)
{
    static const char tcp[] = "tcp://";
    static const char local[] = "localhost:";
    if (strncmp(address, "ipc:///", 7) == 0) {
        *ret_address = xstrdup(address);
        return WEIR_OK;
    }
    const char *host = address + strlen(tcp);
    if (strncmp(address, tcp, strlen(tcp)) != 0 || !strrchr(host, ':') || strrchr(host, ':') == host)
        return error_set(err, WEIR_E_INVALID, "\"%.200s\" is not an address of the form tcp://host:port",
                         address);
    *ret_address = strncmp(host, local, strlen(local)) == 0
                       ? xasprintf("tcp://127.0.0.1:%s", host + strlen(local))
                       : xstrdup(address);
    return WEIR_OK;
}

int rpc_code_of_nng(int nng_error)
{
    switch (nng_error) {
    case 0:
        return WEIR_OK;
    case NNG_ENOMEM:
        return WEIR_E_NO_MEMORY;
    case NNG_EADDRINUSE:
        return WEIR_E_EXISTS;
    case NNG_EINVAL:
    case NNG_EADDRINVAL:
    case NNG_ENOTSUP:
        return WEIR_E_INVALID;
    case NNG_ETIMEDOUT:
        return WEIR_E_TIMEOUT;
    case NNG_ECANCELED:
        return WEIR_E_CANCELED;
    case NNG_EMSGSIZE:
        return WEIR_E_LIMIT;
    case NNG_ECONNREFUSED:
    case NNG_ECONNRESET:
    case NNG_ECONNABORTED:
    case NNG_ECONNSHUT:
    case NNG_ECLOSED:
    case NNG_EUNREACHABLE:
    case NNG_EPEERAUTH:
    case NNG_EPROTO:
        return WEIR_E_UNAVAILABLE;
    default:
        return WEIR_E_IO;
    }
}

int64_t rpc_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int rpc_check_response(const Weir__Response *response, struct error *err)
{
    if (response->rc == WEIR_OK)
        return WEIR_OK;
    if (response->rc > 0 || response->rc < WEIR_E_INTERNAL)
        return error_set(err, WEIR_E_CORRUPT, "the peer answered with the unknown code %d: %s", response->rc,
                         response->message);
    return error_set(err, response->rc, "%s",
                     response->message[0] ? response->message : weir_rc_text(response->rc));
}

/* nng 1.5.2 loses (leaks) a message that it hands to a connection in the very moment in which that connection
 * breaks: about one in a hundred broken connections with a request under way. Only messages made here are
 * excused from the leak check. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_LEAK_CHECK 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_LEAK_CHECK 1
#endif
#ifdef HAS_LEAK_CHECK
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:rpc_message_new\n";
}
#endif

__attribute__((noinline)) int rpc_message_new(nng_msg **ret_message, size_t size)
{
    int nng_error = nng_msg_alloc(ret_message, size);
    __asm__ volatile("" ::: "memory"); /* not a tail call: the frame must be seen */
    return nng_error;
}
