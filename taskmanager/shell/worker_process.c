/* Happy path: spawn -> the worker dials its socket -> messages both ways -> it exits -> its exit status, the
 * end of its crash pipe and the end of its socket have come, in any order -> told.
 *
 * Possible failure modes: it can't be spawned: told like an exit. It never dials: nothing is waited for on
 * the socket. Somebody else holds its crash pipe or socket (a child of user code): waited for GRACE_MS only.
 * It closes its socket and lives on: it is killed after GRACE_MS. */
#include "taskmanager/shell/worker_process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "common/base/vec.h"
#include "common/rpc/rpc.h"

enum {
    GRACE_MS = 2000,
    CRASH_TEXT_MAX_BYTES = 64 * 1024,
    HIGH_FD = 16,
    READ_BYTES = 4096,
    ARGUMENTS_MAX = 24
};

extern char **environ;

struct worker_process {
    struct workers *workers;
    uint64_t handle;
    pid_t pid; /* 0: not spawned */
    bool exited;
    int status;
    char *spawn_error;     /* owned; NULL: spawned */
    char *socket_path;     /* owned */
    struct rpc_pair *pair; /* NULL: closed */
    bool heard;            /* it has said something */
    int liveness_fd;       /* the write end; its closing ends the worker */
    uv_pipe_t crash_pipe;
    bool crash_pipe_open;
    bool crash_ended;
    struct strbuf crash_text;
    uv_timer_t timer;     /* the grace, and a failed spawn's answer */
    unsigned int handles; /* uv handles not yet closed */
    bool told;
};

struct workers {
    uv_loop_t *loop;
    struct workers_options options;
    char *directory;
    char *executable;
    uv_signal_t child_signal;
    struct vec_of(struct worker_process *) processes; /* those not told yet */
    size_t processes_closing;                         /* told, but with open handles */
    bool closing;
    bool signal_closed;
    void (*closed)(void *self);
    void *closed_self;
};

static struct worker_process *find(const struct workers *workers, uint64_t handle)
{
    vec_for_each (process, &workers->processes)
        if ((*process)->handle == handle)
            return *process;
    return NULL;
}

/* ---- burying ---- */

static void check_closed(struct workers *workers)
{
    if (!workers->closing || !workers->signal_closed || workers->processes.count > 0 ||
        workers->processes_closing > 0)
        return;
    void (*closed)(void *self) = workers->closed;
    void *self = workers->closed_self;
    vec_free(&workers->processes);
    free(workers->directory);
    free(workers->executable);
    free(workers);
    closed(self);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct worker_process *process = handle->data;
    struct workers *workers = process->workers;
    if (--process->handles > 0)
        return;
    strbuf_deinit(&process->crash_text);
    free(process->spawn_error);
    free(process->socket_path);
    free(process);
    workers->processes_closing--;
    check_closed(workers);
}

static void release(struct worker_process *process)
{
    struct workers *workers = process->workers;
    for (size_t i = 0; i < workers->processes.count; i++)
        if (workers->processes.items[i] == process) {
            vec_remove(&workers->processes, i);
            break;
        }
    workers->processes_closing++;
    if (process->pair)
        rpc_pair_close(process->pair);
    process->pair = NULL;
    if (process->liveness_fd >= 0)
        close(process->liveness_fd);
    process->liveness_fd = -1;
    if (process->socket_path)
        unlink(process->socket_path);
    if (process->crash_pipe_open)
        uv_close((uv_handle_t *)&process->crash_pipe, on_handle_closed);
    uv_close((uv_handle_t *)&process->timer, on_handle_closed);
}

static void tell(struct worker_process *process)
{
    struct workers *workers = process->workers;
    struct worker_exit how = {.exit_code = 1, .message = process->spawn_error};
    char *message = NULL;
    if (process->told)
        return;
    process->told = true;
    if (!process->spawn_error) {
        bool by_signal = WIFSIGNALED(process->status);
        how.exit_code = by_signal ? -1 : WEXITSTATUS(process->status);
        how.signal = by_signal ? (uint32_t)WTERMSIG(process->status) : 0;
        if (process->crash_text.size > 0)
            crash_report_parse(process->crash_text.data, &message, &how.stack);
        how.message = message;
    }
    if (!workers->closing)
        workers->options.callbacks.exited(workers->options.callbacks.self, process->handle, &how);
    free(message);
    release(process);
}

/* ---- what is heard of a worker ---- */

static void on_timer(uv_timer_t *timer)
{
    struct worker_process *process = timer->data;
    if (process->exited || process->spawn_error)
        tell(process);
    else
        kill(process->pid, SIGKILL); /* its socket is closed and it lives on */
}

static void check_ended(struct worker_process *process)
{
    if (!process->exited)
        return;
    /* One that never dialled has nothing to say, and its socket will not end. */
    bool has_dialled = process->heard || (process->pair && rpc_pair_is_drained(process->pair));
    bool socket_ended = !process->pair || !has_dialled;
    if (process->crash_ended && socket_ended)
        tell(process);
    else if (!uv_is_active((uv_handle_t *)&process->timer))
        uv_timer_start(&process->timer, on_timer, GRACE_MS, 0);
}

static void on_child(uv_signal_t *signal, int number)
{
    (void)number;
    struct workers *workers = signal->data;
    for (size_t i = workers->processes.count; i-- > 0;) {
        struct worker_process *process = workers->processes.items[i];
        if (process->pid == 0 || process->exited ||
            waitpid(process->pid, &process->status, WNOHANG) != process->pid)
            continue;
        process->exited = true;
        uv_timer_stop(&process->timer);
        check_ended(process);
    }
}

static void on_message(void *self, const Weir__ToJobManager *message)
{
    struct worker_process *process = self;
    struct workers *workers = process->workers;
    process->heard = true;
    if (!workers->closing)
        workers->options.callbacks.message(workers->options.callbacks.self, process->handle, message);
}

static void on_pair_closed(void *self)
{
    struct worker_process *process = self;
    struct rpc_pair *pair = process->pair;
    process->pair = NULL;
    rpc_pair_close(pair);
    if (process->exited)
        check_ended(process);
    else
        uv_timer_start(&process->timer, on_timer, GRACE_MS, 0);
}

static void on_crash_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char bytes[READ_BYTES]; /* the loop's thread only, and used up before the next read */
    (void)handle;
    (void)suggested;
    *ret_buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_crash_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct worker_process *process = stream->data;
    if (size > 0)
        strbuf_add(&process->crash_text, buf->base, (size_t)size);
    if (size >= 0)
        return;
    uv_read_stop(stream);
    process->crash_ended = true;
    check_ended(process);
}

/* ---- spawning ---- */

/* CLOEXEC, and away from the numbers that the worker's descriptors get. */
static int make_pipe(int ret_ends[2])
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        ret_ends[i] = fcntl(ends[i], F_DUPFD_CLOEXEC, HIGH_FD);
        close(ends[i]);
    }
    if (ret_ends[0] >= 0 && ret_ends[1] >= 0)
        return 0;
    int kept = errno;
    for (int i = 0; i < 2; i++)
        if (ret_ends[i] >= 0)
            close(ret_ends[i]);
    errno = kept;
    return -1;
}

static int spawn(const char *executable, char *const arguments[], int liveness_fd, int crash_fd,
                 pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, liveness_fd, WORKER_LIVENESS_FD);
    posix_spawn_file_actions_adddup2(&actions, crash_fd, WORKER_CRASH_FD);
    posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_CRASH_FD + 1);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn(ret_pid, executable, &actions, &attributes, arguments, environ);
    if (rc == ENOENT) /* replaced by another build since we started */
        rc = posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int spawn_process(struct worker_process *process, const char *artifact, int liveness_fd, int crash_fd,
                         struct error *err)
{
    const struct workers_options *options = &process->workers->options;
    char control[128], port[16], parent[16], liveness[16], crash[16];
    snprintf(control, sizeof control, "ipc://%s", process->socket_path);
    snprintf(port, sizeof port, "%u", options->data_port);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(liveness, sizeof liveness, "%d", WORKER_LIVENESS_FD);
    snprintf(crash, sizeof crash, "%d", WORKER_CRASH_FD);
    const char *const arguments[ARGUMENTS_MAX] = {
        "taskmanager",
        "--worker",
        "--control",
        control,
        "--task-manager-id",
        options->task_manager_id,
        "--artifact",
        artifact,
        "--host",
        options->host,
        "--bind-host",
        options->bind_host,
        "--data-port",
        port,
        "--parent-pid",
        parent,
        "--liveness-fd",
        liveness,
        "--crash-fd",
        crash,
        NULL,
    };
    int rc =
        spawn(process->workers->executable, (char *const *)arguments, liveness_fd, crash_fd, &process->pid);
    if (rc != 0) {
        process->pid = 0;
        return error_set_errno(err, WEIR_E_IO, rc, "the process can't be started");
    }
    return WEIR_OK;
}

/* Socket, pipes, process. What was opened stays in process; release closes it. */
static int set_up(struct worker_process *process, const char *artifact, struct error *err)
{
    struct workers *workers = process->workers;
    int liveness[2], crash[2];
    struct rpc_pair_callbacks callbacks = {
        .to_jobmanager = on_message, .closed = on_pair_closed, .self = process};
    char *address = xasprintf("ipc://%s", process->socket_path);
    int rc = rpc_pair_listen(workers->loop, address, &callbacks, &process->pair, err);
    free(address);
    if (rc != WEIR_OK)
        return rc;
    if (make_pipe(liveness) != 0)
        return error_set_errno(err, WEIR_E_IO, errno, "can't make a pipe");
    process->liveness_fd = liveness[1];
    if (make_pipe(crash) != 0) {
        rc = error_set_errno(err, WEIR_E_IO, errno, "can't make a pipe");
        goto out_after_liveness;
    }
    uv_pipe_init(workers->loop, &process->crash_pipe, 0);
    process->crash_pipe.data = process;
    process->crash_pipe_open = true;
    process->handles++;
    rc = uv_pipe_open(&process->crash_pipe, crash[0]);
    if (rc != 0) {
        close(crash[0]);
        rc = error_set(err, WEIR_E_IO, "can't watch a pipe: %s", uv_strerror(rc));
    } else {
        rc = spawn_process(process, artifact, liveness[0], crash[1], err);
    }
    close(crash[1]);
    if (rc == WEIR_OK)
        uv_read_start((uv_stream_t *)&process->crash_pipe, on_crash_alloc, on_crash_read);
out_after_liveness:
    close(liveness[0]);
    return rc;
}

void workers_spawn(struct workers *workers, uint64_t handle, const char *artifact)
{
    struct error err;
    assert(!find(workers, handle) && !workers->closing);
    struct worker_process *process = xcalloc(1, sizeof *process);
    process->workers = workers;
    process->handle = handle;
    process->liveness_fd = -1;
    process->socket_path = xasprintf("%s/w%llu", workers->directory, (unsigned long long)handle);
    strbuf_init(&process->crash_text, CRASH_TEXT_MAX_BYTES);
    uv_timer_init(workers->loop, &process->timer);
    process->timer.data = process;
    process->handles = 1;
    vec_push(&workers->processes, process);
    if (set_up(process, artifact, &err) == WEIR_OK)
        return;
    process->spawn_error = xstrdup(err.message);
    uv_timer_start(&process->timer, on_timer, 0, 0);
}

void workers_send(struct workers *workers, uint64_t handle, const Weir__ToTaskManager *message)
{
    struct worker_process *process = find(workers, handle);
    if (process && process->pair)
        rpc_pair_send_to_taskmanager(process->pair, message);
}

void workers_kill(struct workers *workers, uint64_t handle)
{
    struct worker_process *process = find(workers, handle);
    if (process && process->pid != 0 && !process->exited)
        kill(process->pid, SIGKILL);
}

/* ---- start and end ---- */

static char *own_executable(void)
{
    char *path = realpath("/proc/self/exe", NULL);
    return path ? path : xstrdup("/proc/self/exe");
}

int workers_new(uv_loop_t *loop, const struct workers_options *options, struct workers **ret_workers,
                struct error *err)
{
    struct workers *workers = xcalloc(1, sizeof *workers);
    workers->loop = loop;
    workers->options = *options;
    workers->directory = xstrdup(options->directory);
    workers->executable = own_executable();
    uv_signal_init(loop, &workers->child_signal);
    workers->child_signal.data = workers;
    int rc = uv_signal_start(&workers->child_signal, on_child, SIGCHLD);
    if (rc != 0) {
        uv_close((uv_handle_t *)&workers->child_signal, NULL);
        uv_run(loop, UV_RUN_NOWAIT);
        free(workers->directory);
        free(workers->executable);
        free(workers);
        return error_set(err, WEIR_E_IO, "can't watch for SIGCHLD: %s", uv_strerror(rc));
    }
    *ret_workers = workers;
    return WEIR_OK;
}

static void on_signal_closed(uv_handle_t *handle)
{
    struct workers *workers = handle->data;
    workers->signal_closed = true;
    check_closed(workers);
}

void workers_close(struct workers *workers, void (*closed)(void *self), void *self)
{
    workers->closing = true;
    workers->closed = closed;
    workers->closed_self = self;
    uv_close((uv_handle_t *)&workers->child_signal, on_signal_closed);
    while (workers->processes.count > 0) {
        struct worker_process *process = workers->processes.items[0];
        if (process->pid != 0 && !process->exited) {
            kill(process->pid, SIGKILL);
            waitpid(process->pid, &process->status, 0);
            process->exited = true;
        }
        tell(process);
    }
}
