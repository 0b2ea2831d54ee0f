/* The child writes one frame into a pipe: a header, then the packed graph or the text of an error; and leaves
 * by _exit, so that nothing that the job registered runs. The parent reads until the frame is complete or the
 * child is gone (a pidfd tells: a process that main started may hold the pipe open), then collects the child.
 */
#include "client/graph_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/api/stream_graph.h"
#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "common/sys/stack.h"

enum { FRAME_MAX_BYTES = 64 << 20, STACK_MAX_BYTES = ERROR_MESSAGE_MAX / 2 };

struct frame_header {
    int32_t rc; /* 0: a graph; else an error */
    uint32_t parallelism;
    uint64_t size; /* of what follows */
};

/* ---- child ---- */

static void write_all(int fd, const void *data, size_t size)
{
    const char *rest = data;
    while (size > 0) {
        ssize_t written = write(fd, rest, size);
        if (written < 0 && errno != EINTR)
            _exit(1);
        if (written > 0) {
            rest += written;
            size -= (size_t)written;
        }
    }
}

static int build(const struct graph_request *request, Weir__JobGraph **ret_graph, uint32_t *ret_parallelism,
                 struct error *err)
{
    struct job_library library;
    struct stream_graph *stream;
    int rc = job_library_open(request->job_file, &library, err);
    if (rc)
        return rc;
    struct stream_graph_settings settings = {.default_parallelism = request->default_parallelism,
                                             .parallelism_is_given = request->parallelism_is_given,
                                             .configuration = request->configuration,
                                             .configuration_count = request->configuration_count};
    const char *slash = strrchr(request->job_file, '/');
    char **argv = xcalloc((size_t)request->argc + 2, sizeof *argv);
    argv[0] = xstrdup(slash ? slash + 1 : request->job_file);
    for (int i = 0; i < request->argc; i++)
        argv[i + 1] = request->argv[i];
    rc = stream_graph_build(library.descriptor, &settings, request->argc + 1, argv, &stream, err);
    if (rc)
        return rc;
    *ret_parallelism = stream_graph_parallelism(stream);
    return stream_graph_to_job_graph(stream, ret_graph, err);
}

static void __attribute__((noreturn)) child_main(const struct graph_request *request, int fd, int crash_fd)
{
    struct error err = {0};
    if (crash_fd >= 0 && crash_handler_install(crash_fd, &err) != 0)
        fprintf(stderr, "%s\n", err.message);
    Weir__JobGraph *graph;
    struct frame_header header = {0};
    header.rc = build(request, &graph, &header.parallelism, &err);
    fflush(stdout);
    if (header.rc) {
        header.size = strlen(err.message);
        write_all(fd, &header, sizeof header);
        write_all(fd, err.message, header.size);
    } else {
        header.size = weir__job_graph__get_packed_size(graph);
        uint8_t *packed = xmalloc(header.size + 1);
        weir__job_graph__pack(graph, packed);
        write_all(fd, &header, sizeof header);
        write_all(fd, packed, header.size);
    }
    _exit(0);
}

/* ---- parent ---- */

/* false: the frame is complete, broken, or the pipe has ended. */
static bool read_some(int fd, struct strbuf *frame)
{
    char block[64 << 10];
    ssize_t got = read(fd, block, sizeof block);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    if (got == 0 || !strbuf_add(frame, block, (size_t)got))
        return false;
    struct frame_header header;
    if (frame->size < sizeof header)
        return true;
    memcpy(&header, frame->data, sizeof header);
    return header.size <= FRAME_MAX_BYTES && frame->size < sizeof header + header.size;
}

static void read_frame(int fd, int pidfd, struct strbuf *frame)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
    for (;;) {
        if (poll(fds, pidfd >= 0 ? 2 : 1, -1) < 0 && errno != EINTR)
            return;
        if (fds[0].revents) {
            if (!read_some(fd, frame))
                return;
        } else if (fds[1].revents) {
            return; /* gone, and nothing is left to be read */
        }
        fds[0].revents = fds[1].revents = 0;
    }
}

static int take_frame(const struct strbuf *frame, struct graph_result *ret_result, bool *ret_complete,
                      struct error *err)
{
    struct frame_header header;
    *ret_complete = false;
    if (frame->size < sizeof header)
        return WEIR_OK;
    memcpy(&header, frame->data, sizeof header);
    if (header.size > FRAME_MAX_BYTES || frame->size != sizeof header + header.size)
        return WEIR_OK;
    *ret_complete = true;
    const char *payload = frame->data + sizeof header;
    if (header.rc)
        return error_set(err, header.rc, "%.*s", (int)header.size, payload);
    Weir__JobGraph *graph = weir__job_graph__unpack(NULL, header.size, (const uint8_t *)payload);
    if (!graph)
        return error_set(err, WEIR_E_CORRUPT, "the job graph that the child process built can't be decoded");
    ret_result->graph = graph;
    ret_result->parallelism = header.parallelism;
    return WEIR_OK;
}

/* Whole lines of what the crash handler wrote, without its first, which repeats the signal, and without the
 * frames of the client itself below the job's. */
static void read_stack(int crash_fd, char text[STACK_MAX_BYTES])
{
    ssize_t got = crash_fd >= 0 ? pread(crash_fd, text, STACK_MAX_BYTES - 1, 0) : 0;
    text[got > 0 ? got : 0] = '\0';
    char *frames = strchr(text, '\n');
    char *end = frames ? strrchr(frames, '\n') : text;
    *end = '\0';
    char *client = frames ? strstr(frames, " stream_graph_build+") : NULL;
    for (char *c = client; c && c > frames; c--)
        if (*c == '\n') {
            *c = '\0';
            end = c;
            break;
        }
    if (end > text && frames < end)
        memmove(text, frames, (size_t)(end - frames) + 1);
    else
        text[0] = '\0';
}

static int describe_end(const char *job_file, int status, int crash_fd, struct error *err)
{
    if (WIFSIGNALED(status)) {
        char stack[STACK_MAX_BYTES];
        read_stack(crash_fd, stack);
        const char *name = sigabbrev_np(WTERMSIG(status));
        return error_set(
            err, WEIR_E_USER_CODE,
            "the main function of %s crashed with signal %d (SIG%s: %s); nothing was submitted%s", job_file,
            WTERMSIG(status), name ? name : "?", strsignal(WTERMSIG(status)), stack);
    }
    return error_set(
        err, WEIR_E_USER_CODE,
        "the main function of %s ended the process with exit code %d before the stream was built; nothing "
        "was submitted",
        job_file, WEXITSTATUS(status));
}

static int collect(const struct graph_request *request, pid_t pid, int fd, int crash_fd,
                   struct graph_result *ret_result, struct error *err)
{
    struct strbuf frame;
    bool complete;
    int status = 0;
    strbuf_init(&frame, FRAME_MAX_BYTES + sizeof(struct frame_header));
    int pidfd = pidfd_open(pid, 0);
    read_frame(fd, pidfd, &frame);
    if (pidfd >= 0)
        close(pidfd);
    int rc = take_frame(&frame, ret_result, &complete, err);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!complete)
        rc = describe_end(request->job_file, status, crash_fd, err);
    strbuf_deinit(&frame);
    return rc;
}

int graph_child_build(const struct graph_request *request, struct graph_result *ret_result, struct error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_set_errno(err, WEIR_E_IO, errno, "make a pipe");
    fflush(stdout);
    fflush(stderr);
    int crash_fd = memfd_create("weir-crash", MFD_CLOEXEC); /* without it a crash is told without frames */
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        int rc = error_set_errno(err, WEIR_E_IO, errno, "start a process for the job's main function");
        if (crash_fd >= 0)
            close(crash_fd);
        close(fds[0]);
        close(fds[1]);
        return rc;
    }
    if (pid == 0) {
        close(fds[0]);
        signal(SIGPIPE, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for it any more */
        if (getppid() != parent)
            _exit(1);
        child_main(request, fds[1], crash_fd);
    }
    close(fds[1]);
    int rc = collect(request, pid, fds[0], crash_fd, ret_result, err);
    close(fds[0]);
    if (crash_fd >= 0)
        close(crash_fd);
    return rc;
}
