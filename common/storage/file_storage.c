/* file:// storage. A file is written under a temporary name, fsynced, renamed, and its directory fsynced.
 *
 * Possible failure modes: a full or read-only disk (the temporary file is removed, the error names file and
 * cause); a crash between write and rename (a temporary file stays behind in a checkpoint's directory, which
 * is deleted as a whole). */
#include "common/storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/id.h"
#include "common/base/memory.h"

int storage_local_path(const char *uri, char **ret_path, struct error *err)
{
    const char *path = uri;
    const char *scheme_end = strstr(uri, ":/");
    if (uri[0] != '/' && scheme_end) {
        if (strncmp(uri, "file:", 5) != 0)
            return error_set(err, WEIR_E_INVALID,
                             "storage scheme '%.*s' of %s is not supported; use file:///directory",
                             (int)(scheme_end - uri), uri, uri);
        path = uri + 5;
        if (strncmp(path, "//", 2) == 0) {
            path += 2;
            if (strncmp(path, "localhost/", 10) == 0)
                path += 9;
        }
    }
    if (path[0] != '/')
        return error_set(err, WEIR_E_INVALID, "'%s' is not an absolute directory; use file:///directory",
                         uri);
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    *ret_path = xstrndup(path, length);
    return WEIR_OK;
}

static int sync_parent(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash == path ? xstrdup("/")
                   : slash       ? xstrndup(path, (size_t)(slash - path))
                                 : xstrdup(".");
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = WEIR_OK;
    if (fd < 0 || fsync(fd) != 0)
        rc = error_set_errno(err, WEIR_E_IO, errno, "sync directory %s", parent);
    if (fd >= 0)
        close(fd);
    free(parent);
    return rc;
}

int storage_create_directory(const char *path, struct error *err)
{
    char *partial = xstrdup(path);
    int rc = WEIR_OK;
    for (char *at = partial + 1; rc == WEIR_OK; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(partial, 0777) == 0)
            rc = sync_parent(partial, err); /* a complete checkpoint must not vanish with its directory */
        else if (errno != EEXIST)
            rc = error_set_errno(err, WEIR_E_IO, errno, "create directory %s", partial);
        *at = kept;
        if (kept == '\0')
            break;
    }
    free(partial);
    struct stat info;
    if (rc == WEIR_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        return error_set(err, WEIR_E_IO, "create directory %s: something else is there", path);
    return rc;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int storage_write_file(const char *path, const void *data, size_t size_bytes, struct error *err)
{
    char *temporary = xasprintf("%s.tmp-%016llx", path, (unsigned long long)os_random_u64());
    int rc = WEIR_OK;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = error_set_errno(err, WEIR_E_IO, errno, "create file %s", temporary);
        free(temporary);
        return rc;
    }
    if (write_all(fd, data, size_bytes) != 0)
        rc = error_set_errno(err, WEIR_E_IO, errno, "write %zu bytes to %s", size_bytes, path);
    else if (fsync(fd) != 0)
        rc = error_set_errno(err, WEIR_E_IO, errno, "sync file %s", path);
    if (close(fd) != 0 && rc == WEIR_OK)
        rc = error_set_errno(err, WEIR_E_IO, errno, "close file %s", path);
    if (rc == WEIR_OK && rename(temporary, path) != 0)
        rc = error_set_errno(err, WEIR_E_IO, errno, "rename to %s", path);
    if (rc != WEIR_OK)
        unlink(temporary);
    free(temporary);
    return rc == WEIR_OK ? sync_parent(path, err) : rc;
}

static int read_exactly(int fd, void *data, size_t size, off_t offset)
{
    char *at = data;
    while (size > 0) {
        ssize_t n = pread(fd, at, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 1 : -1;
        at += n;
        offset += n;
        size -= (size_t)n;
    }
    return 0;
}

static int open_file(const char *path, int *ret_fd, uint64_t *ret_size, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
    if (fd < 0)
        return error_set_errno(err, errno == ENOENT ? WEIR_E_NOT_FOUND : WEIR_E_IO, errno, "open file %s",
                               path);
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return error_set(err, WEIR_E_IO, "open file %s: not a regular file", path);
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)info.st_size;
    return WEIR_OK;
}

static int read_open(int fd, const char *path, uint64_t offset, size_t size, void **ret_data,
                     struct error *err)
{
    void *data = malloc(size ? size : 1);
    if (!data)
        return error_set(err, WEIR_E_NO_MEMORY, "read file %s: no memory for %zu bytes", path, size);
    int result = read_exactly(fd, data, size, (off_t)offset);
    if (result != 0) {
        free(data);
        return result > 0 ? error_set(err, WEIR_E_CORRUPT, "read file %s: it is shorter than expected", path)
                          : error_set_errno(err, WEIR_E_IO, errno, "read file %s", path);
    }
    *ret_data = data;
    return WEIR_OK;
}

int storage_read_file(const char *path, size_t limit_bytes, void **ret_data, size_t *ret_size,
                      struct error *err)
{
    int fd;
    uint64_t size;
    int rc = open_file(path, &fd, &size, err);
    if (rc != WEIR_OK)
        return rc;
    if (size > limit_bytes)
        rc = error_set(err, WEIR_E_LIMIT, "read file %s: it has %llu bytes, the limit is %zu", path,
                       (unsigned long long)size, limit_bytes);
    else
        rc = read_open(fd, path, 0, (size_t)size, ret_data, err);
    close(fd);
    if (rc == WEIR_OK)
        *ret_size = (size_t)size;
    return rc;
}

int storage_read_range(const char *path, uint64_t offset, size_t size_bytes, void **ret_data,
                       struct error *err)
{
    int fd;
    uint64_t size;
    int rc = open_file(path, &fd, &size, err);
    if (rc != WEIR_OK)
        return rc;
    if (offset > size || size_bytes > size - offset)
        rc = error_set(err, WEIR_E_CORRUPT, "read file %s: bytes %llu to %llu were expected, it has %llu",
                       path, (unsigned long long)offset, (unsigned long long)(offset + size_bytes),
                       (unsigned long long)size);
    else
        rc = read_open(fd, path, offset, size_bytes, ret_data, err);
    close(fd);
    return rc;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path) != 0 && errno != ENOENT ? -1 : 0;
}

int storage_delete_tree(const char *path, struct error *err)
{
    enum { OPEN_DIRECTORIES = 16 };
    if (strspn(path, "/.") == strlen(path))
        return error_set(err, WEIR_E_INVALID, "delete '%s': that is not a directory of a checkpoint", path);
    if (nftw(path, remove_entry, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return error_set_errno(err, WEIR_E_IO, errno, "delete %s", path);
    return WEIR_OK;
}
