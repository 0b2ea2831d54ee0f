#include "taskmanager/shell/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"

#define PREFIX "weir-taskmanager-"

enum { YOUNG_SECONDS = 10, OPEN_DIRECTORIES = 16 };

static const char logger[] = "weir.runtime.taskexecutor.TaskManagerRunner";

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status;
    (void)type;
    (void)position;
    if (remove(path) != 0 && errno != ENOENT)
        log_warn(logger, "Could not remove %s: %s", path, strerror(errno));
    return 0;
}

void scratch_remove(const char *path)
{
    nftw(path, remove_entry, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS);
}

/* Its owner holds a lock on it as long as it lives. One that is very young may not be locked yet. */
static void remove_if_abandoned(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
        time(NULL) - status.st_mtime > YOUNG_SECONDS && flock(fd, LOCK_EX | LOCK_NB) == 0)
        scratch_remove(path);
    close(fd);
}

static void sweep(const char *parent)
{
    DIR *directory = opendir(parent);
    struct dirent *entry;
    if (!directory)
        return;
    while ((entry = readdir(directory))) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
            continue;
        char *path = xasprintf("%s/%s", parent, entry->d_name);
        remove_if_abandoned(path);
        free(path);
    }
    closedir(directory);
}

int scratch_open(const char *tmp_dirs, struct scratch *ret_scratch, struct error *err)
{
    char *parent = xstrndup(tmp_dirs, strcspn(tmp_dirs, ",:|"));
    char *path = xasprintf("%s/%sXXXXXX", parent, PREFIX);
    int rc = WEIR_OK;
    if (*parent != '/') {
        rc = error_set(err, WEIR_E_INVALID, "io.tmp.dirs: %s must be an absolute path", parent);
        goto err_after_path;
    }
    sweep(parent);
    if (!mkdtemp(path)) {
        rc = error_set_errno(err, WEIR_E_IO, errno, "io.tmp.dirs: can't make a directory in %s", parent);
        goto err_after_path;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rc = error_set_errno(err, WEIR_E_IO, errno, "can't lock %s", path);
        if (fd >= 0)
            close(fd);
        rmdir(path);
        goto err_after_path;
    }
    free(parent);
    *ret_scratch = (struct scratch){
        .path = path,
        .socket_directory = xasprintf("/proc/%d/fd/%d", (int)getpid(), fd),
        .lock_fd = fd,
    };
    return WEIR_OK;
err_after_path:
    free(path);
    free(parent);
    return rc;
}

void scratch_close(struct scratch *scratch)
{
    if (!scratch->path)
        return;
    scratch_remove(scratch->path);
    close(scratch->lock_fd);
    free(scratch->path);
    free(scratch->socket_directory);
    *scratch = (struct scratch){.lock_fd = -1};
}
