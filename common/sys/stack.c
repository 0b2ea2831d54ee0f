/* Happy path: the handler runs on an alternate stack, takes the return addresses with backtrace(3), finds
 * function, file and line with libdwfl in the crashing process itself, writes the lines, and raises the
 * signal again with its default action. libdwfl allocates, which no signal handler should; the process is
 * dying, and the alternatives see less.
 *
 * Possible failure modes: the handler crashes (heap destroyed): it is entered again and writes raw addresses
 * only; it hangs (a lock of the allocator is held): SIGALRM ends the process; another thread crashes
 * meanwhile: it waits for the end. */
#include "common/sys/stack.h"

#include <dlfcn.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

enum { FRAMES_MAX = 64, STACK_BYTES = 256 * 1024, GUARD_SECONDS = 5, LINE_BYTES = 512 };

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static int report_fd = -1;
static atomic_int reporter; /* the thread that reports; 0: nobody has crashed */
static atomic_int entered;  /* by that thread */

static void write_line(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(report_fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        size -= (size_t)n;
    }
}

static void write_formatted(const char *line, int length)
{
    if (length > 0)
        write_line(line, (size_t)length < LINE_BYTES ? (size_t)length : LINE_BYTES - 1);
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

/* The source file's name, or NULL. */
static const char *source_line(Dwfl_Module *module, uintptr_t address, int *ret_number)
{
    Dwfl_Line *line = dwfl_module_getsrc(module, address);
    if (line)
        return base_name(dwfl_lineinfo(line, NULL, ret_number, NULL, NULL, NULL));
    /* clang writes no table of addresses (.debug_aranges): every compilation unit is asked. */
    Dwarf_Addr bias = 0;
    for (Dwarf_Die *unit = NULL; (unit = dwfl_module_nextcu(module, unit, &bias));) {
        if (dwarf_haspc(unit, address - bias) != 1)
            continue;
        Dwarf_Line *found = dwarf_getsrc_die(unit, address - bias);
        if (found && dwarf_lineno(found, ret_number) == 0)
            return base_name(dwarf_linesrc(found, NULL, NULL));
    }
    return NULL;
}

static void write_frame(Dwfl *dwfl, int index, uintptr_t address, uintptr_t lookup)
{
    char line[LINE_BYTES];
    Dwfl_Module *module = dwfl ? dwfl_addrmodule(dwfl, lookup) : NULL;
    if (!module) {
        write_formatted(line, snprintf(line, sizeof line, "#%d 0x%zx\n", index, (size_t)address));
        return;
    }
    GElf_Off offset = 0;
    GElf_Sym symbol;
    const char *function = dwfl_module_addrinfo(module, lookup, &offset, &symbol, NULL, NULL, NULL);
    const char *module_name = base_name(dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
    int number = 0;
    const char *file = source_line(module, lookup, &number);
    int n = snprintf(line, sizeof line - 1, "#%d ", index);
    if (function)
        n += snprintf(line + n, sizeof line - (size_t)n, "%.200s+0x%zx", function,
                      (size_t)(offset + (address - lookup)));
    else
        n += snprintf(line + n, sizeof line - (size_t)n, "0x%zx", (size_t)address);
    if (file)
        n += snprintf(line + n, sizeof line - (size_t)n, " (%.100s:%d)", file, number);
    n += snprintf(line + n, sizeof line - (size_t)n, " in %.100s\n", module_name ? module_name : "?");
    write_formatted(line, n);
}

static Dwfl *open_modules(void)
{
    static char *no_debug_path = NULL;
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_linux_proc_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .debuginfo_path = &no_debug_path,
    };
    Dwfl *dwfl = dwfl_begin(&callbacks);
    if (dwfl && (dwfl_linux_proc_report(dwfl, getpid()) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0)) {
        dwfl_end(dwfl);
        return NULL;
    }
    return dwfl;
}

static uintptr_t crashed_at(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* After a call of something that isn't code (a null function pointer), libgcc can't unwind: as if it had
 * returned at once. The unwinder reads the registers from this very context. */
static void step_back(ucontext_t *context)
{
#if defined(__x86_64__)
    greg_t *registers = context->uc_mcontext.gregs;
    registers[REG_RIP] = *(const greg_t *)registers[REG_RSP];
    registers[REG_RSP] += (greg_t)sizeof(greg_t);
#elif defined(__aarch64__)
    context->uc_mcontext.pc = context->uc_mcontext.regs[30];
#else
    (void)context;
#endif
}

static void write_stack(ucontext_t *context)
{
    void *frames[FRAMES_MAX];
    Dl_info object;
    Dwfl *dwfl = open_modules();
    int number = 0;
    bool is_call = false; /* the crashed frame is where it says; the others are return addresses, the call is
                             before them */
    if (dladdr((void *)crashed_at(context), &object) == 0) {
        write_frame(dwfl, number++, crashed_at(context), crashed_at(context));
        step_back(context);
        is_call = true;
    }
    int count = backtrace(frames, FRAMES_MAX);
    int first = 0;
    while (first < count && (uintptr_t)frames[first] != crashed_at(context))
        first++;
    if (first == count)
        first = 0; /* all frames are better than none */
    for (int i = first; i < count; i++, is_call = true)
        write_frame(dwfl, number++, (uintptr_t)frames[i], (uintptr_t)frames[i] - is_call);
}

static void end_by_default(int signal_number)
{
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void on_crash(int signal_number, siginfo_t *info, void *context)
{
    (void)info;
    int nobody = 0;
    int self = (int)gettid();
    if (!atomic_compare_exchange_strong(&reporter, &nobody, self) && nobody != self)
        for (;;)
            pause();
    int before = atomic_fetch_add(&entered, 1);
    if (before == 0) {
        char name[17] = "";
        char line[LINE_BYTES];
        alarm(GUARD_SECONDS);
        unsetenv("DEBUGINFOD_URLS"); /* libdwfl would ask servers */
        prctl(PR_GET_NAME, name, 0, 0, 0);
        const char *abbreviation = sigabbrev_np(signal_number);
        write_formatted(line, snprintf(line, sizeof line, "signal %d SIG%s thread \"%s\"\n", signal_number,
                                       abbreviation ? abbreviation : "?", name));
        write_stack(context);
    } else if (before == 1) {
        void *frames[FRAMES_MAX];
        char line[LINE_BYTES];
        write_formatted(
            line, snprintf(line, sizeof line, "the report failed at 0x%zx:\n", (size_t)crashed_at(context)));
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), report_fd);
    }
    end_by_default(signal_number);
}

void crash_handler_thread_init(void)
{
    /* Mapped, not allocated: AddressSanitizer unmaps whatever is the alternate stack when a thread ends. */
    stack_t stack = {.ss_size = STACK_BYTES};
    stack.ss_sp =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack.ss_sp != MAP_FAILED && sigaltstack(&stack, NULL) != 0)
        munmap(stack.ss_sp, STACK_BYTES);
}

int crash_handler_install(int fd, struct error *err)
{
    void *warm_up[1];
    backtrace(warm_up, 1); /* loads libgcc_s now, not in the handler */
    report_fd = fd;
    crash_handler_thread_init();
    signal(SIGALRM, SIG_DFL);
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], &action, NULL) != 0)
            return error_set_errno(err, WEIR_E_IO, errno, "install a handler for signal %d", signals[i]);
    return WEIR_OK;
}
