/* Where the artifact store keeps its files: a given directory, or a fresh one that is locked while its
 * process lives. */
#ifndef WEIR_BLOB_BLOB_DIRECTORY_H
#define WEIR_BLOB_BLOB_DIRECTORY_H

#include <stdbool.h>

#include "common/base/error.h"

struct blob_directory {
    char *path;  /* owned */
    bool fresh;  /* remove it at the end */
    int lock_fd; /* -1: none */
};

int blob_directory_open(const char *directory, const char *temporary_directory,
                        struct blob_directory *ret_directory, struct error *err) WEIR_CHECK;
void blob_directory_close(struct blob_directory *directory);

#endif
