/* Log lines to stdout in Flink's pattern: "2026-11-23 03:18:06,712 INFO  <logger padded to 60> [] - message".
 * Safe from any thread: a line is one write(2). */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdarg.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* logger: a dotted name like Flink's, "weir.jobmanager.CheckpointCoordinator". */
void log_write(enum log_level level, const char *logger, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_vwrite(enum log_level level, const char *logger, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
/* Below this nothing is written; INFO at start. */
void log_set_level(enum log_level level);
/* "DEBUG", "INFO", "WARN", "ERROR", "OFF" in any case; returns 0, or WEIR_E_INVALID and *ret_level untouched.
 */
int log_level_parse(const char *text, enum log_level *ret_level);

#define log_debug(logger, ...) log_write(LOG_DEBUG, logger, __VA_ARGS__)
#define log_info(logger, ...)  log_write(LOG_INFO, logger, __VA_ARGS__)
#define log_warn(logger, ...)  log_write(LOG_WARN, logger, __VA_ARGS__)
#define log_error(logger, ...) log_write(LOG_ERROR, logger, __VA_ARGS__)

#endif
