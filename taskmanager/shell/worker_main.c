#include "taskmanager/shell/worker_main.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/sys/process.h"
#include "taskmanager/shell/worker_process.h"

typedef int worker_entry(int argc, char **argv);

/* Both for whoever reads the log and for the taskmanager, which reads the crash pipe. */
static int fail(const char *reason)
{
    fprintf(stderr, "taskmanager --worker: %s\n", reason);
    dprintf(WORKER_CRASH_FD, "%s%s\n", WORKER_ERROR_PREFIX, reason);
    return 1;
}

int worker_main(int argc, char **argv)
{
    char *directory = executable_directory();
    if (!directory)
        return fail("its own executable can't be found below /proc");
    char *path = xasprintf("%s/../lib/libweir-worker.so", directory);
    free(directory);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    free(path);
    if (!library)
        return fail(dlerror());
    /* POSIX asks that a function's address can be had this way; ISO C has no cast for it. */
    worker_entry *entry;
    void *symbol = dlsym(library, "weir_worker_main");
    if (!symbol)
        return fail("libweir-worker.so has no weir_worker_main: it is of another version");
    memcpy(&entry, &symbol, sizeof entry);
    return entry(argc, argv);
}
