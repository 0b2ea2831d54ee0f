#include "common/base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"

enum { LINE_MAX_BYTES = 8192 };

static atomic_int threshold = LOG_INFO;
static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};

static void write_all(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere to complain to */
        data += n;
        size -= (size_t)n;
    }
}

void log_vwrite(enum log_level level, const char *logger, const char *format, va_list args)
{
    if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed))
        return;
    char line[LINE_MAX_BYTES];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    size_t used = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", &parts);
    used += (size_t)snprintf(line + used, sizeof line - used, ",%03ld %-5s %-60.200s [] - ",
                             now.tv_nsec / 1000000, names[level], logger);
    int n = vsnprintf(line + used, sizeof line - used - 1, format, args);
    if (n > 0)
        used += (size_t)n < sizeof line - used - 1 ? (size_t)n : sizeof line - used - 2;
    line[used++] = '\n';
    write_all(line, used);
}

void log_write(enum log_level level, const char *logger, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_vwrite(level, logger, format, args);
    va_end(args);
}

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
    for (int i = LOG_DEBUG; i <= LOG_OFF; i++)
        if (strcasecmp(text, names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return WEIR_OK;
        }
    return WEIR_E_INVALID;
}
