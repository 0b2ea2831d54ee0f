/* Loads a job's shared object and finds its descriptor.
 *
 * Symbols are bound lazily first, so that the descriptor's version can be read from a job that needs
 * functions which this libweir doesn't have; then all are bound, so that a missing one is an error here and
 * not a crash later. */
#include "common/api/env.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static int library_load(const char *path, struct job_library *library, struct error *err)
{
    library->handle = dlopen(library->path, RTLD_LAZY | RTLD_LOCAL);
    if (!library->handle)
        return error_set(err, WEIR_E_INVALID, "job \"%s\" can't be loaded: %s", path, dlerror());
    library->descriptor = dlsym(library->handle, WEIR_JOB_SYMBOL);
    if (!library->descriptor)
        return error_set(
            err, WEIR_E_INVALID,
            "\"%s\" is not a Weir job: it has no symbol " WEIR_JOB_SYMBOL " (see WEIR_JOB in weir.h)", path);
    int rc = descriptor_check(path, library->descriptor, err);
    if (rc)
        return rc;
    void *bound = dlopen(library->path, RTLD_NOW | RTLD_LOCAL);
    if (!bound)
        return error_set(err, WEIR_E_INVALID, "job \"%s\" can't be loaded: %s", path, dlerror());
    dlclose(bound); /* counted twice, bound for good */
    return 0;
}

int job_library_open(const char *path, struct job_library *ret_library, struct error *err)
{
    struct job_library library = {0};
    int rc = path_resolve(path, &library.path, err);
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
