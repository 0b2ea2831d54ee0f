/* common/sys: clocks and facts; children that really crash and say where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "common/sys/clock.h"
#include "common/sys/process.h"
#include "common/sys/stack.h"

static void clocks(void **state)
{
    (void)state;
    int64_t ns = monotonic_ns(), boot = boottime_ms(), wall = wall_ms();
    assert_true(wall > INT64_C(1700000000000));
    assert_true(boot > 0 && boot <= wall);
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
    assert_true(monotonic_ns() - ns >= 2000000);
    assert_true(boottime_ms() - boot >= 1);
}

static void facts(void **state)
{
    (void)state;
    enum { BLOCK = 64 << 20 };
    uint64_t before = resident_bytes_of_self();
    assert_true(before > 1 << 20);
    char *block =
        mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_ptr_not_equal(block, MAP_FAILED);
    assert_true(resident_bytes_of_self() >= before + BLOCK * UINT64_C(9) / 10);
    munmap(block, BLOCK);
    assert_in_range(cpu_cores(), 1, 4096);
    assert_true(physical_memory_bytes() > 64 << 20);
    char *directory = executable_directory();
    char *self = xasprintf("%s/sys_test", directory);
    struct stat info;
    assert_int_equal(stat(self, &info), 0);
    free(self);
    free(directory);
}

/* ---- crashes ---- */

static void *library_function(const char *name)
{
    void *library = dlopen(CRASH_LIBRARY, RTLD_NOW);
    if (!library)
        fail_msg("%s", dlerror());
    void *function = dlsym(library, name);
    assert_non_null(function);
    return function;
}

static void call(const char *how)
{
    void *function = library_function(how);
    if (strcmp(how, "crash_by_null") == 0)
        ((void (*)(int))function)(3);
    else if (strcmp(how, "crash_by_division") == 0)
        ((void (*)(int))function)(0);
    else if (strcmp(how, "crash_by_overflow") == 0)
        ((void (*)(volatile char *))function)(NULL);
    else
        ((void (*)(void))function)();
}

static void *crash_in_thread(void *how)
{
    prctl(PR_SET_NAME, "Count (1/2)", 0, 0, 0);
    crash_handler_thread_init();
    call(how);
    return NULL;
}

/* Runs how in a child that has a handler; returns what the handler wrote. */
static char *crash(const char *how, bool in_thread, int *ret_status)
{
    int fds[2];
    struct rlimit no_core = {0, 0};
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pthread_t thread;
        setrlimit(RLIMIT_CORE, &no_core);
        if (crash_handler_install(fds[1], NULL) != 0)
            _exit(100);
        if (in_thread && pthread_create(&thread, NULL, crash_in_thread, (void *)how) == 0)
            pthread_join(thread, NULL);
        else
            call(how);
        _exit(101);
    }
    close(fds[1]);
    struct strbuf report;
    char piece[1024];
    ssize_t n;
    strbuf_init(&report, 1 << 20);
    while ((n = read(fds[0], piece, sizeof piece)) > 0)
        assert_true(strbuf_add(&report, piece, (size_t)n));
    close(fds[0]);
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    return strbuf_take(&report);
}

static int line_of_crash(void)
{
    char line[512];
    int number = 0;
    FILE *source = fopen(SOURCE_DIR "/tests/unit/sys_crash_library.c", "re");
    assert_non_null(source);
    while (fgets(line, sizeof line, source)) {
        number++;
        if (strstr(line, "THE LINE"))
            break;
    }
    fclose(source);
    return number;
}

static void says(const char *report, const char *part)
{
    if (!strstr(report, part))
        fail_msg("the report doesn't say \"%s\":\n%s", part, report);
}

static void crash_is_symbolised(void **state)
{
    (void)state;
    int status;
    char *report = crash("crash_by_null", true, &status);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    static const char first_line[] = "signal 11 SIGSEGV thread \"Count (1/2)\"\n#0 innermost_of_crash+0x";
    if (strncmp(report, first_line, strlen(first_line)) != 0)
        fail_msg("the report begins otherwise:\n%s", report);
    char *place = xasprintf(" (sys_crash_library.c:%d) in libsys_crash.so\n", line_of_crash());
    says(report, place);
    says(report, "\n#1 innermost_of_crash+0x");
    says(report, " crash_by_null+0x");
    says(report, " crash_in_thread+0x");
    says(report, "(sys_test.c:");
    says(report, " in sys_test\n");
    free(place);
    free(report);
}

static void every_signal(void **state)
{
    (void)state;
    static const struct {
        const char *how;
        int signal_number;
        const char *line, *frame;
        bool in_thread;
    } cases[] = {
        {"crash_by_abort", SIGABRT, "signal 6 SIGABRT", "crash_by_abort+0x", false},
        {"crash_by_division", SIGFPE, "signal 8 SIGFPE", "#0 crash_by_division+0x", false},
        {"crash_by_jump", SIGSEGV, "signal 11 SIGSEGV", "crash_by_jump+0x", false},
        {"crash_by_jump", SIGSEGV, "#0 0x8\n", "#1 crash_by_jump+0x", true},
        {"crash_by_jump", SIGSEGV, "(sys_crash_library.c:", "crash_in_thread+0x", true},
        {"crash_by_overflow", SIGSEGV, "signal 11 SIGSEGV", "#0 crash_by_overflow+0x", false},
        {"crash_by_overflow", SIGSEGV, "signal 11 SIGSEGV", "#0 crash_by_overflow+0x", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status;
        char *report = crash(cases[i].how, cases[i].in_thread, &status);
        says(report, cases[i].line);
        says(report, cases[i].frame);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), cases[i].signal_number);
        free(report);
    }
}

/* Nobody reads the report: the process ends all the same. */
static void report_goes_nowhere(void **state)
{
    (void)state;
    int fds[2];
    int status;
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGPIPE, SIG_IGN);
        if (crash_handler_install(fds[1], NULL) != 0)
            _exit(100);
        call("crash_by_null");
        _exit(101);
    }
    close(fds[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

enum { CRASHING_THREADS = 8 };
static pthread_barrier_t barrier;

static void *crash_together(void *arg)
{
    (void)arg;
    crash_handler_thread_init();
    pthread_barrier_wait(&barrier);
    call("crash_by_null");
    return NULL;
}

/* Many threads crash at once: one whole report, not a torn one. */
static void threads_crash_together(void **state)
{
    (void)state;
    int fds[2];
    int status;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        pthread_t threads[CRASHING_THREADS];
        setrlimit(RLIMIT_CORE, &no_core);
        pthread_barrier_init(&barrier, NULL, CRASHING_THREADS);
        if (crash_handler_install(fds[1], NULL) != 0)
            _exit(100);
        for (int i = 0; i < CRASHING_THREADS; i++)
            pthread_create(&threads[i], NULL, crash_together, NULL);
        for (int i = 0; i < CRASHING_THREADS; i++)
            pthread_join(threads[i], NULL);
        _exit(101);
    }
    close(fds[1]);
    FILE *report = fdopen(fds[0], "r");
    assert_non_null(report);
    char line[1024];
    unsigned first_lines = 0, innermost = 0, frames = 0;
    while (fgets(line, sizeof line, report)) {
        unsigned number;
        if (strncmp(line, "signal 11 ", 10) == 0)
            first_lines++;
        else if (sscanf(line, "#%u ", &number) == 1 && number == frames)
            frames++;
        else
            fail_msg("a torn line: %s", line);
        innermost += strstr(line, "innermost_of_crash+0x") != NULL;
    }
    fclose(report);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(first_lines, 1);
    assert_int_equal(innermost, 4);
    assert_true(frames >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks),
        cmocka_unit_test(facts),
        cmocka_unit_test(crash_is_symbolised),
        cmocka_unit_test(every_signal),
        cmocka_unit_test(report_goes_nowhere),
        cmocka_unit_test(threads_crash_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
