#include "tests/unit/shell_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/rest_client.h"

int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

pid_t process_spawn(const char *const *settings, int *ret_out)
{
    int fds[2];
    char *argv[32] = {JOBMANAGER_PATH};
    size_t count = 1;
    for (size_t i = 0; settings[i]; i++) {
        argv[count++] = "-D";
        argv[count++] = (char *)settings[i];
    }
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves nothing running */
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        execv(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    *ret_out = fds[0];
    return pid;
}

bool process_wait_for_text(struct process *process, const char *text, int64_t timeout_ms)
{
    int64_t deadline = monotonic_ms() + timeout_ms;
    while (!text || !strstr(process->log, text)) {
        int64_t left = deadline - monotonic_ms();
        struct pollfd ready = {.fd = process->out, .events = POLLIN};
        if (left <= 0 || poll(&ready, 1, (int)left) <= 0)
            return false;
        ssize_t got =
            read(process->out, process->log + process->log_size, sizeof process->log - 1 - process->log_size);
        if (got <= 0)
            return !text;
        process->log_size += (size_t)got;
        process->log[process->log_size] = '\0';
    }
    return true;
}

static void copy_address(const char *log, const char *before, const char *prefix, char *ret_address,
                         size_t size)
{
    const char *start = strstr(log, before) + strlen(before);
    snprintf(ret_address, size, "%s%.*s", prefix, (int)strcspn(start, "\n"), start);
}

void process_start(struct process *process, const char *const *settings)
{
    const char *all[24] = {"rest.port=0", "jobmanager.rpc.port=0"};
    for (size_t i = 0; settings[i]; i++)
        all[i + 2] = settings[i];
    memset(process, 0, sizeof *process);
    process->pid = process_spawn(all, &process->out);
    if (!process_wait_for_text(process, "Web frontend listening", TIMEOUT_MS))
        fail_msg("no start: %s", process->log);
    assert_non_null(strstr(process->log, "Starting jobmanager (Version: "));
    copy_address(process->log, "Rest endpoint listening at ", "", process->rest, sizeof process->rest);
    copy_address(process->log, "reached at ", "tcp://", process->rpc, sizeof process->rpc);
}

void process_stop(struct process *process)
{
    int status;
    kill(process->pid, SIGTERM);
    assert_true(process_wait_for_text(process, NULL, TIMEOUT_MS));
    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("status %x: %s", status, process->log);
    assert_non_null(strstr(process->log, "RECEIVED SIGNAL 15: SIGTERM. Shutting down as requested."));
    close(process->out);
}

cJSON *process_get(const struct process *process, const char *path)
{
    cJSON *body = NULL;
    struct error err;
    struct rest_client *rest = rest_client_new(process->rest);
    int rc = rest_client_get(rest, path, &body, &err);
    rest_client_free(rest);
    if (rc)
        fail_msg("GET %s: %s", path, err.message);
    return body;
}

int process_task_manager_count(const struct process *process)
{
    cJSON *body = process_get(process, "/taskmanagers");
    int count = cJSON_GetArraySize(cJSON_GetObjectItem(body, "taskmanagers"));
    cJSON_Delete(body);
    return count;
}

void process_wait_for_task_managers(struct process *process, int expected)
{
    int64_t deadline = monotonic_ms() + TIMEOUT_MS;
    while (process_task_manager_count(process) != expected) {
        if (monotonic_ms() > deadline)
            fail_msg("not %d taskmanagers: %s", expected, process->log);
        process_wait_for_text(process, "no such line", 10);
    }
}
