/* The private directory of one taskmanager process: sockets of its workers, artifacts. Removed at the end;
 * what a killed process has left is removed by the next one that starts. */
#ifndef WEIR_TASKMANAGER_SCRATCH_H
#define WEIR_TASKMANAGER_SCRATCH_H

#include "common/base/error.h"

struct scratch {
    char *path; /* mode 0700; owned */
    /* The same directory by another name, however long its path is: a socket's address holds 108 bytes. Good
     * in this process and its children, while the lock is held. Owned. */
    char *socket_directory;
    int lock_fd;
};

/* In the first of the directories of io.tmp.dirs. */
int scratch_open(const char *tmp_dirs, struct scratch *ret_scratch, struct error *err) WEIR_CHECK;
void scratch_close(struct scratch *scratch);
/* A file or a tree; not there: fine. */
void scratch_remove(const char *path);

#endif
