/* A fresh directory is "<tmp>/weir-blob-XXXXXX" with a file ".lock" that its process holds with flock(2). A
 * directory whose lock nobody holds belonged to a process that was killed; the next start removes it. The
 * lock is taken under another name and then renamed, so that there is no moment at which a live directory
 * looks abandoned. */
#include "jobmanager/blob/blob_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/storage/storage.h"

static const char LOGGER[] = "weir.runtime.blob.BlobStore";
static const char PREFIX[] = "weir-blob-";

static bool is_abandoned(const char *path)
{
    char *lock = xasprintf("%s/.lock", path);
    int fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    free(lock);
    if (fd < 0)
        return false;
    bool abandoned = flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return abandoned;
}

static void remove_abandoned(const char *temporary_directory)
{
    DIR *dir = opendir(temporary_directory);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        char *path = xasprintf("%s/%s", temporary_directory, entry->d_name);
        struct error err;
        if (is_abandoned(path) && storage_delete_tree(path, &err) != 0)
            log_warn(LOGGER, "Could not remove the abandoned artifact directory %s: %s", path, err.message);
        free(path);
    }
    closedir(dir);
}

static int take_lock(struct blob_directory *directory, struct error *err)
{
    char *temporary = xasprintf("%s/.lock.new", directory->path);
    char *final = xasprintf("%s/.lock", directory->path);
    int rc = WEIR_OK;
    int fd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || rename(temporary, final) != 0) {
        rc = error_set_errno(err, WEIR_E_IO, errno, "lock the artifact directory %s", directory->path);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    directory->lock_fd = fd;
    free(temporary);
    free(final);
    return rc;
}

static int open_fresh(const char *temporary_directory, struct blob_directory *directory, struct error *err)
{
    int rc = storage_create_directory(temporary_directory, err);
    if (rc)
        return error_wrap(err, "io.tmp.dirs");
    remove_abandoned(temporary_directory);
    directory->path = xasprintf("%s/%sXXXXXX", temporary_directory, PREFIX);
    if (!mkdtemp(directory->path)) {
        rc = error_set_errno(err, WEIR_E_IO, errno, "io.tmp.dirs: make a directory for artifacts below %s",
                             temporary_directory);
        free(directory->path);
        directory->path = NULL;
        return rc;
    }
    directory->fresh = true;
    rc = take_lock(directory, err);
    if (rc)
        blob_directory_close(directory);
    return rc;
}

int blob_directory_open(const char *directory, const char *temporary_directory,
                        struct blob_directory *ret_directory, struct error *err)
{
    struct blob_directory opened = {.lock_fd = -1};
    int rc;
    if (directory) {
        rc = storage_create_directory(directory, err);
        if (rc)
            return error_wrap(err, "blob.storage.directory");
        opened.path = xstrdup(directory);
    } else {
        rc = open_fresh(temporary_directory, &opened, err);
        if (rc)
            return rc;
    }
    *ret_directory = opened;
    return WEIR_OK;
}

void blob_directory_close(struct blob_directory *directory)
{
    struct error err;
    if (directory->fresh && directory->path && storage_delete_tree(directory->path, &err) != 0)
        log_warn(LOGGER, "Could not remove the artifact directory %s: %s", directory->path, err.message);
    if (directory->lock_fd >= 0)
        close(directory->lock_fd);
    directory->lock_fd = -1;
    free(directory->path);
    directory->path = NULL;
}
