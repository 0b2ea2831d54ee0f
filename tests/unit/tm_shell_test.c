/* The taskmanager's shell: what a dying worker wrote, the private directory, the cache of artifacts against
 * an RPC server that plays the jobmanager. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/memory.h"
#include "common/rpc/rpc.h"
#include "taskmanager/shell/artifacts.h"
#include "taskmanager/shell/scratch.h"
#include "taskmanager/shell/worker_process.h"

/* ---- crash reports ---- */

static const struct {
    const char *text, *message, *stack;
} reports[] = {
    {"signal 11 SIGSEGV thread \"ClickEvent Coun\"\n#0 f (a.c:1)\n#1 g\n", "in thread \"ClickEvent Coun\"",
     "#0 f (a.c:1)\n#1 g"},
    {"signal 6 SIGABRT thread \"x\"\n", "in thread \"x\"", NULL},
    {"signal 6 SIGABRT thread \"x\"", "in thread \"x\"", NULL},
    {"error: libweir-worker.so: cannot open\n", "libweir-worker.so: cannot open", NULL},
    {"#0 f\n#1 g\n", NULL, "#0 f\n#1 g"},
    {"half a li", NULL, "half a li"},
    {"", NULL, NULL},
};

static void expect_text(const char *got, const char *expected)
{
    if (expected)
        assert_string_equal(got, expected);
    else
        assert_null(got);
}

static void takes_crash_reports_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        char *text = xstrdup(reports[i].text), *message;
        const char *stack;
        crash_report_parse(text, &message, &stack);
        expect_text(message, reports[i].message);
        expect_text(stack, reports[i].stack);
        free(message);
        free(text);
    }
}

/* ---- the private directory ---- */

static char *temporary_directory(void)
{
    char *path = xstrdup("/tmp/weir-test-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

/* Long ago, so that it counts as abandoned when nobody holds it. */
static void make_old(const char *path)
{
    const struct timespec times[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void scratch_is_private_and_swept(void **state)
{
    (void)state;
    struct scratch living, next;
    struct stat status;
    struct error err;
    char *parent = temporary_directory();
    char *list = xasprintf("%s,/nowhere", parent);
    assert_int_equal(scratch_open(list, &living, &err), WEIR_OK);
    assert_int_equal(stat(living.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    make_old(living.path);

    char *abandoned = xasprintf("%s/weir-taskmanager-killed", parent), *deep = xasprintf("%s/a/b", abandoned);
    char *young = xasprintf("%s/weir-taskmanager-starting", parent), *foreign = xasprintf("%s/other", parent);
    char *below = xasprintf("%s/a", abandoned);
    assert_int_equal(mkdir(abandoned, 0700) | mkdir(below, 0700) | mkdir(young, 0700) | mkdir(foreign, 0700),
                     0);
    write_file(deep);
    make_old(abandoned);
    make_old(foreign);
    assert_int_equal(scratch_open(parent, &next, &err), WEIR_OK);
    assert_int_equal(access(abandoned, F_OK), -1);
    assert_int_equal(access(young, F_OK), 0);
    assert_int_equal(access(foreign, F_OK), 0);
    assert_int_equal(access(living.path, F_OK), 0);

    char *path = xstrdup(living.path);
    scratch_close(&living);
    assert_int_equal(access(path, F_OK), -1);
    scratch_close(&next);
    assert_int_equal(scratch_open("/nowhere/at/all", &next, &err), WEIR_E_IO);
    assert_int_equal(scratch_open("relative", &next, &err), WEIR_E_INVALID);
    scratch_remove(parent);
    char *strings[] = {parent, list, abandoned, deep, young, foreign, below, path};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
}

/* ---- artifacts ---- */

enum { ARTIFACT_BYTES = 3 * RPC_CHUNK_BYTES / 2, MAX_BYTES = 2 * RPC_CHUNK_BYTES };

enum lie { HONEST, OTHER_BYTES, TOO_LARGE, WRONG_OFFSET, GROWS, EMPTY_PIECE, UNKNOWN };

struct store {
    uv_loop_t loop;
    struct rpc_server *server;
    struct artifacts *artifacts;
    uv_timer_t deadline;
    uint8_t *data;
    uint8_t sha256[ARTIFACT_HASH_BYTES];
    enum lie lie;
    int requests;
    int expected; /* answers still to come */
    int rc;
    char message[256];
    char path[256];
};

static void serve(void *self, struct rpc_call *call, const Weir__Request *request)
{
    struct store *store = self;
    const Weir__FetchArtifact *wanted = request->fetch_artifact;
    Weir__ArtifactChunk piece = WEIR__ARTIFACT_CHUNK__INIT;
    Weir__Response response = WEIR__RESPONSE__INIT;
    store->requests++;
    assert_int_equal(request->body_case, WEIR__REQUEST__BODY_FETCH_ARTIFACT);
    if (store->lie == UNKNOWN) {
        rpc_call_reply_rc(call, WEIR_E_NOT_FOUND, "no such artifact");
        return;
    }
    size_t left = ARTIFACT_BYTES - (size_t)wanted->offset;
    piece.total_bytes = store->lie == TOO_LARGE ? MAX_BYTES + 1 : ARTIFACT_BYTES;
    if (store->lie == GROWS && wanted->offset > 0)
        piece.total_bytes++;
    piece.offset = wanted->offset + (store->lie == WRONG_OFFSET ? 1 : 0);
    piece.data.len = left < wanted->max_bytes ? left : wanted->max_bytes;
    piece.data.data = store->data + wanted->offset;
    if (store->lie == EMPTY_PIECE)
        piece.data.len = 0;
    response.body_case = WEIR__RESPONSE__BODY_ARTIFACT_CHUNK;
    response.artifact_chunk = &piece;
    rpc_call_reply(call, &response);
}

static void stop_store(struct store *store)
{
    artifacts_close(store->artifacts);
    rpc_server_close(store->server);
    uv_close((uv_handle_t *)&store->deadline, NULL);
}

static void on_ready(void *self, const uint8_t *sha256, int rc, const char *message, const char *path)
{
    struct store *store = self;
    assert_memory_equal(sha256, store->sha256, ARTIFACT_HASH_BYTES);
    store->rc = rc;
    snprintf(store->message, sizeof store->message, "%s", message ? message : "");
    snprintf(store->path, sizeof store->path, "%s", path ? path : "");
    if (--store->expected == 0)
        uv_stop(&store->loop);
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("no answer");
}

static void run(struct store *store, const char *file_name)
{
    store->expected++;
    artifacts_want(store->artifacts, store->sha256, file_name);
    uv_run(&store->loop, UV_RUN_DEFAULT);
    assert_int_equal(store->expected, 0);
}

static void open_store(struct store *store, const char *directory, enum lie lie)
{
    struct error err;
    char *address;
    memset(store, 0, sizeof *store);
    store->lie = lie;
    store->data = xmalloc(ARTIFACT_BYTES);
    for (size_t i = 0; i < ARTIFACT_BYTES; i++)
        store->data[i] = (uint8_t)(i * 2654435761u >> 13);
    mbedtls_sha256_ret(store->data, ARTIFACT_BYTES, store->sha256, 0);
    if (lie == OTHER_BYTES)
        store->data[ARTIFACT_BYTES - 1] ^= 1;
    uv_loop_init(&store->loop);
    uv_timer_init(&store->loop, &store->deadline);
    uv_timer_start(&store->deadline, on_deadline, 30000, 0);
    struct rpc_server_callbacks callbacks = {.request = serve, .self = store};
    assert_int_equal(
        rpc_server_open(&store->loop, "tcp://127.0.0.1:0", &callbacks, &store->server, &address, &err),
        WEIR_OK);
    store->artifacts = artifacts_new(&store->loop, &(struct artifacts_options){.directory = directory,
                                                                               .jobmanager_address = address,
                                                                               .max_bytes = MAX_BYTES,
                                                                               .ready = on_ready,
                                                                               .self = store});
    free(address);
}

static void close_store(struct store *store)
{
    stop_store(store);
    uv_run(&store->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&store->loop), 0);
    free(store->data);
}

static void fetches_artifacts_once(void **state)
{
    (void)state;
    static struct store store;
    char *directory = temporary_directory();
    struct stat status;
    open_store(&store, directory, HONEST);
    run(&store, "../../etc/job.so");
    assert_int_equal(store.rc, WEIR_OK);
    assert_memory_equal(store.path, directory, strlen(directory));
    assert_string_equal(strrchr(store.path, '/'), "/job.so");
    assert_null(strstr(store.path, ".."));
    assert_int_equal(stat(store.path, &status), 0);
    assert_int_equal(status.st_size, ARTIFACT_BYTES);
    assert_int_equal(store.requests, 2);
    run(&store, "another-name.so"); /* the same bytes: no need to ask */
    assert_int_equal(store.rc, WEIR_OK);
    assert_int_equal(store.requests, 2);
    store.expected = 1; /* two at once */
    artifacts_want(store.artifacts, store.sha256, "a.so");
    run(&store, "b.so");
    close_store(&store);
    scratch_remove(directory);
    free(directory);
}

static const struct {
    enum lie lie;
    int rc;
    const char *message;
} lies[] = {
    {OTHER_BYTES, WEIR_E_CORRUPT,
     "its artifact can't be had: the bytes that came have another SHA-256 than was asked for"},
    {TOO_LARGE, WEIR_E_LIMIT,
     "its artifact can't be had: it has 2097153 bytes, 1 to 2097152 are allowed (blob.max-size)"},
    {WRONG_OFFSET, WEIR_E_CORRUPT, "its artifact can't be had: the piece at byte 0 does not fit"},
    {GROWS, WEIR_E_CORRUPT, "its artifact can't be had: the piece at byte 1048576 does not fit"},
    {EMPTY_PIECE, WEIR_E_CORRUPT, "its artifact can't be had: the piece at byte 0 does not fit"},
    {UNKNOWN, WEIR_E_NOT_FOUND, "its artifact can't be had: no such artifact"},
};

static void refuses_artifacts_that_are_not_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        static struct store store;
        char *directory = temporary_directory();
        open_store(&store, directory, lies[i].lie);
        run(&store, "job.so");
        assert_int_equal(store.rc, lies[i].rc);
        assert_string_equal(store.message, lies[i].message);
        assert_string_equal(store.path, "");
        assert_int_equal(rmdir(directory), 0); /* nothing was left in it */
        close_store(&store);
        free(directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_crash_reports_apart),
        cmocka_unit_test(scratch_is_private_and_swept),
        cmocka_unit_test(fetches_artifacts_once),
        cmocka_unit_test(refuses_artifacts_that_are_not_right),
    };
    return cmocka_run_group_tests_name("taskmanager shell", tests, NULL, NULL);
}
