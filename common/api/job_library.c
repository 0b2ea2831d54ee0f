/* Loads a job's shared object and finds its descriptor.
 *
 * Happy path: all symbols are bound at once, so that a missing one is an error here and not a crash later.
 * Possible failure modes: the file is missing, cut off, not a shared object, or not a job; or it was made for
 * another version, whose functions this libweir doesn't have: then it is loaded once more without binding, to
 * find its version and say that. */
#include "common/api/env.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_resolve(const char *path, char **ret_path, struct error *err)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        int rc = errno == ENOENT || errno == ENOTDIR ? WEIR_E_NOT_FOUND : WEIR_E_IO;
        return error_set_errno(err, rc, errno, "job \"%s\"", path);
    }
    if (!S_ISREG(status.st_mode))
        return error_set(err, WEIR_E_INVALID, "job \"%s\" is not a file but a %s", path,
                         S_ISDIR(status.st_mode) ? "directory" : "device, pipe or socket");
    /* dlopen would look for a name without a slash in the library path. */
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return error_set_errno(err, WEIR_E_IO, errno, "job \"%s\"", path);
    *ret_path = resolved;
    return 0;
}

/* A file that was cut off: dlopen would end the process (SIGBUS) when it touches what isn't there. Whatever
 * else may be wrong with the file, dlopen says it. */
static int file_check(const char *path, const char *resolved, struct error *err)
{
    int fd = open(resolved, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, WEIR_E_IO, errno, "job \"%s\"", path);
    int rc = 0;
    struct stat status;
    ElfW(Ehdr) header;
    ElfW(Phdr) segment;
    bool elf = fstat(fd, &status) == 0 && pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
               memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_phentsize == sizeof segment;
    for (uint32_t i = 0; elf && !rc && i < header.e_phnum; i++) {
        off_t at;
        bool there = !__builtin_add_overflow(header.e_phoff, (uint64_t)i * sizeof segment, &at) &&
                     pread(fd, &segment, sizeof segment, at) == (ssize_t)sizeof segment;
        uint64_t end;
        if (!there ||
            (segment.p_type == PT_LOAD && (__builtin_add_overflow(segment.p_offset, segment.p_filesz, &end) ||
                                           end > (uint64_t)status.st_size)))
            rc = error_set(err, WEIR_E_INVALID,
                           "job \"%s\" is cut off: it is longer than the file's %" PRId64 " bytes", path,
                           (int64_t)status.st_size);
    }
    close(fd);
    return rc;
}

static int descriptor_check(const char *path, const weir_job_descriptor *descriptor, struct error *err)
{
    if (descriptor->magic != WEIR_JOB_MAGIC)
        return error_set(err, WEIR_E_INVALID,
                         "\"%s\" is not a Weir job: its symbol " WEIR_JOB_SYMBOL
                         " does not begin with the job magic",
                         path);
    if (descriptor->api_major != WEIR_API_MAJOR)
        return error_set(err, WEIR_E_VERSION,
                         "job \"%s\" was compiled for Weir API %" PRIu32 ".%" PRIu32
                         " and this is Weir API %d.%d: "
                         "compile it with this version's weir.h",
                         path, descriptor->api_major, descriptor->api_minor, WEIR_API_MAJOR, WEIR_API_MINOR);
    if (descriptor->struct_size < sizeof *descriptor)
        return error_set(err, WEIR_E_INVALID,
                         "job \"%s\": its descriptor is %zu bytes long, it must be at least %zu", path,
                         descriptor->struct_size, sizeof *descriptor);
    const char *problem;
    if (!text_is_valid(descriptor->name, OPERATOR_NAME_MAX, &problem))
        return error_set(err, WEIR_E_INVALID, "job \"%s\": the name in its descriptor %s", path, problem);
    if (!descriptor->main)
        return error_set(err, WEIR_E_INVALID, "job \"%s\": its descriptor has no main function", path);
    return 0;
}

static int descriptor_find(const char *path, void *handle, const weir_job_descriptor **ret_descriptor,
                           struct error *err)
{
    const weir_job_descriptor *descriptor = dlsym(handle, WEIR_JOB_SYMBOL);
    if (!descriptor)
        return error_set(
            err, WEIR_E_INVALID,
            "\"%s\" is not a Weir job: it has no symbol " WEIR_JOB_SYMBOL " (see WEIR_JOB in weir.h)", path);
    int rc = descriptor_check(path, descriptor, err);
    if (!rc)
        *ret_descriptor = descriptor;
    return rc;
}

/* Why it can't be loaded: as its descriptor says, if it can be seen, else as dlopen said. */
static int load_failure(const char *path, const char *resolved, struct error *err)
{
    char *reason = xstrdup(dlerror());
    int rc = 0;
    void *handle = dlopen(resolved, RTLD_LAZY | RTLD_LOCAL);
    if (handle) {
        const weir_job_descriptor *descriptor;
        rc = descriptor_find(path, handle, &descriptor, err);
        dlclose(handle);
    }
    if (!rc)
        rc = error_set(err, WEIR_E_INVALID, "job \"%s\" can't be loaded: %s", path, reason);
    free(reason);
    return rc;
}

static int library_load(const char *path, struct job_library *library, struct error *err)
{
    library->handle = dlopen(library->path, RTLD_NOW | RTLD_LOCAL);
    if (!library->handle)
        return load_failure(path, library->path, err);
    return descriptor_find(path, library->handle, &library->descriptor, err);
}

int job_library_open(const char *path, struct job_library *ret_library, struct error *err)
{
    struct job_library library = {0};
    int rc = path_resolve(path, &library.path, err);
    if (!rc)
        rc = file_check(path, library.path, err);
    if (!rc)
        rc = library_load(path, &library, err);
    if (!rc) {
        *ret_library = library;
        return 0;
    }
    if (library.handle)
        dlclose(library.handle);
    free(library.path);
    return rc;
}
