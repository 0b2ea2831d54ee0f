/* Checkpoint storage: an interface, file:// first. Blocking; never on a loop thread. */
#ifndef WEIR_STORAGE_STORAGE_H
#define WEIR_STORAGE_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "proto/snapshot.pb-c.h"

enum { STORAGE_METADATA_MAX_BYTES = 1 << 30 };

/* "file:///a/b", "file:/a/b" or "/a/b" -> "/a/b" (malloc'ed). Another scheme is an error that names it. */
int storage_local_path(const char *uri, char **ret_path, struct error *err) WEIR_CHECK;

int storage_create_directory(const char *path, struct error *err) WEIR_CHECK; /* with parents; exists: fine */
/* Temporary name in the same directory, fsync, rename, fsync of the directory: complete or not there at all.
 */
int storage_write_file(const char *path, const void *data, size_t size_bytes, struct error *err) WEIR_CHECK;
/* malloc'ed; at most limit bytes. */
int storage_read_file(const char *path, size_t limit_bytes, void **ret_data, size_t *ret_size,
                      struct error *err) WEIR_CHECK;
int storage_read_range(const char *path, uint64_t offset, size_t size_bytes, void **ret_data,
                       struct error *err) WEIR_CHECK;
int storage_delete_tree(const char *path, struct error *err) WEIR_CHECK; /* not there: fine */

/* directory/_metadata: magic, version, length, checksum, message (snapshot.proto). A torn, corrupt or foreign
 * file is an error that names the file and what is wrong with it. */
int snapshot_metadata_write(const char *directory, const Weir__SnapshotMetadata *metadata,
                            uint64_t *ret_bytes, struct error *err) WEIR_CHECK;
int snapshot_metadata_read(const char *directory, Weir__SnapshotMetadata **ret_metadata,
                           struct error *err) WEIR_CHECK;
/* The bytes of a handle: inline or a range of base_directory/file; length and checksum verified; malloc'ed.
 * File names that lead out of the directory are refused. */
int state_handle_read(const char *base_directory, const Weir__StateHandle *handle, void **ret_data,
                      size_t *ret_size, struct error *err) WEIR_CHECK;

/* Decodes the bytes of a _metadata file (also fuzzed). */
int snapshot_metadata_decode(const void *data, size_t size_bytes, Weir__SnapshotMetadata **ret_metadata,
                             struct error *err) WEIR_CHECK;

#endif
