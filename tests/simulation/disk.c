/* The checkpoint directory of the simulated cluster: metadata files as packed bytes, by directory. */
#include <string.h>

#include "tests/simulation/sim.h"

static bool below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

void sim_disk_deinit(struct sim_disk *disk)
{
    vec_for_each (file, &disk->snapshots) {
        free(file->directory);
        free(file->data);
    }
    vec_free(&disk->snapshots);
    vec_for_each (directory, &disk->directories)
        free(*directory);
    vec_free(&disk->directories);
}

void sim_disk_mkdir(struct sim_disk *disk, const char *path)
{
    if (!sim_disk_has(disk, path))
        vec_push(&disk->directories, xstrdup(path));
}

bool sim_disk_has(const struct sim_disk *disk, const char *path)
{
    vec_for_each (directory, &disk->directories)
        if (strcmp(*directory, path) == 0)
            return true;
    return false;
}

void sim_disk_delete(struct sim_disk *disk, const char *path)
{
    for (size_t i = disk->snapshots.count; i-- > 0;)
        if (below(disk->snapshots.items[i].directory, path)) {
            free(disk->snapshots.items[i].directory);
            free(disk->snapshots.items[i].data);
            vec_remove(&disk->snapshots, i);
        }
    for (size_t i = disk->directories.count; i-- > 0;)
        if (below(disk->directories.items[i], path)) {
            free(disk->directories.items[i]);
            vec_remove(&disk->directories, i);
        }
}

size_t sim_disk_write(struct sim_disk *disk, const char *path, const Weir__SnapshotMetadata *metadata)
{
    struct sim_file file = {.directory = xstrdup(path),
                            .size = weir__snapshot_metadata__get_packed_size(metadata)};
    file.data = xmalloc(file.size);
    weir__snapshot_metadata__pack(metadata, file.data);
    vec_push(&disk->snapshots, file);
    return file.size;
}

Weir__SnapshotMetadata *sim_disk_read(const struct sim_disk *disk, const char *path)
{
    vec_for_each (file, &disk->snapshots)
        if (strcmp(file->directory, path) == 0)
            return weir__snapshot_metadata__unpack(NULL, file->size, file->data);
    return NULL;
}
