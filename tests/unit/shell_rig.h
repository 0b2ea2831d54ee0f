/* For tests of the jobmanager's process: it is started on free ports, its log is read, and it is ended
 * orderly. */
#ifndef WEIR_TESTS_SHELL_RIG_H
#define WEIR_TESTS_SHELL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cjson/cJSON.h>
#include <sys/types.h>

enum { TIMEOUT_MS = 20000 };

struct process {
    pid_t pid;
    int out; /* its stdout and stderr */
    char log[1 << 20];
    size_t log_size;
    char rest[64];
    char rpc[64]; /* "tcp://host:port" */
};

int64_t monotonic_ms(void);
/* settings: "key=value", NULL at the end. */
pid_t process_spawn(const char *const *settings, int *ret_out);
/* With free ports, until it listens. */
void process_start(struct process *process, const char *const *settings);
/* SIGTERM, and exit code 0. */
void process_stop(struct process *process);
/* Reads on until the text has come; NULL: until the output ends. */
bool process_wait_for_text(struct process *process, const char *text, int64_t timeout_ms);
/* The body of a GET; owned by the caller. */
cJSON *process_get(const struct process *process, const char *path);
void process_wait_for_task_managers(struct process *process, int expected);
int process_task_manager_count(const struct process *process);

#endif
