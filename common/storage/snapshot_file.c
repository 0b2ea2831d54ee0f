/* The _metadata file: magic "WEIRSNAP", u32 LE version, u32 LE length, u64 LE XXH3 of the message, the
 * message. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/memory.h"
#include "common/storage/storage.h"
#include "proto/bounded.h"

enum { HEADER_BYTES = 24, FORMAT_VERSION = 1, HANDLE_MAX_BYTES = 1 << 30 };
static const char magic[8] = "WEIRSNAP";
static const char file_name[] = "_metadata";

static void put_le(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

int snapshot_metadata_write(const char *directory, const Weir__SnapshotMetadata *metadata,
                            uint64_t *ret_bytes, struct error *err)
{
    size_t size = weir__snapshot_metadata__get_packed_size(metadata);
    if (size > STORAGE_METADATA_MAX_BYTES - HEADER_BYTES)
        return error_set(err, WEIR_E_LIMIT,
                         "metadata of checkpoint %llu would have %zu bytes, the limit is %d",
                         (unsigned long long)metadata->checkpoint_id, size, STORAGE_METADATA_MAX_BYTES);
    uint8_t *data = malloc(HEADER_BYTES + size);
    if (!data)
        return error_set(err, WEIR_E_NO_MEMORY, "no memory for %zu bytes of metadata", size);
    weir__snapshot_metadata__pack(metadata, data + HEADER_BYTES);
    memcpy(data, magic, sizeof magic);
    put_le(data + 8, FORMAT_VERSION, 4);
    put_le(data + 12, size, 4);
    put_le(data + 16, hash64(data + HEADER_BYTES, size), 8);
    char *path = xasprintf("%s/%s", directory, file_name);
    int rc = storage_write_file(path, data, HEADER_BYTES + size, err);
    free(path);
    free(data);
    if (rc == WEIR_OK && ret_bytes)
        *ret_bytes = HEADER_BYTES + size;
    return rc;
}

static bool bytes_are_id(ProtobufCBinaryData bytes)
{
    return bytes.len == 16;
}

static int check(const Weir__SnapshotMetadata *metadata, struct error *err)
{
    if (metadata->version != FORMAT_VERSION)
        return error_set(err, WEIR_E_VERSION, "format version %u; this Weir reads version %d",
                         metadata->version, FORMAT_VERSION);
    if (!bytes_are_id(metadata->job_id))
        return error_set(err, WEIR_E_CORRUPT, "the job id has %zu bytes instead of 16", metadata->job_id.len);
    for (size_t i = 0; i < metadata->n_operators; i++) {
        const Weir__OperatorState *state = metadata->operators[i];
        if (!state->uid || !*state->uid || state->parallelism == 0 || state->subtask >= state->parallelism ||
            state->max_parallelism < state->parallelism)
            return error_set(err, WEIR_E_CORRUPT,
                             "state %zu has no operator, or subtask %u of %u (at most %u)", i, state->subtask,
                             state->parallelism, state->max_parallelism);
        for (size_t k = 0; k < state->n_keyed; k++)
            if (state->keyed[k]->key_group >= state->max_parallelism || !state->keyed[k]->handle)
                return error_set(err, WEIR_E_CORRUPT, "operator %s: key group %u of %u, or without a handle",
                                 state->uid, state->keyed[k]->key_group, state->max_parallelism);
    }
    return WEIR_OK;
}

int snapshot_metadata_decode(const void *data, size_t size_bytes, Weir__SnapshotMetadata **ret_metadata,
                             struct error *err)
{
    const uint8_t *bytes = data;
    if (size_bytes < HEADER_BYTES)
        return error_set(err, WEIR_E_CORRUPT, "it has %zu bytes, fewer than the header's %d", size_bytes,
                         HEADER_BYTES);
    if (memcmp(bytes, magic, sizeof magic) != 0)
        return error_set(err, WEIR_E_CORRUPT,
                         "it is not a snapshot of Weir (it does not begin with WEIRSNAP)");
    uint64_t version = get_le(bytes + 8, 4);
    if (version != FORMAT_VERSION)
        return error_set(err, WEIR_E_VERSION, "file format version %llu; this Weir reads version %d",
                         (unsigned long long)version, FORMAT_VERSION);
    uint64_t length = get_le(bytes + 12, 4);
    if (length != size_bytes - HEADER_BYTES)
        return error_set(err, WEIR_E_CORRUPT, "its header promises %llu bytes, %zu are there",
                         (unsigned long long)length, size_bytes - HEADER_BYTES);
    if (hash64(bytes + HEADER_BYTES, (size_t)length) != get_le(bytes + 16, 8))
        return error_set(err, WEIR_E_CORRUPT, "checksum mismatch over its %llu bytes",
                         (unsigned long long)length);
    struct bounded_allocator bounded;
    ProtobufCAllocator *allocator = bounded_allocator_init(&bounded, (size_t)length);
    Weir__SnapshotMetadata *metadata =
        weir__snapshot_metadata__unpack(allocator, (size_t)length, bytes + HEADER_BYTES);
    if (!metadata)
        return error_set(err, WEIR_E_CORRUPT, "its message can't be decoded");
    int rc = check(metadata, err);
    if (rc != WEIR_OK) {
        weir__snapshot_metadata__free_unpacked(metadata, NULL);
        return rc;
    }
    *ret_metadata = metadata;
    return WEIR_OK;
}

int snapshot_metadata_read(const char *directory, Weir__SnapshotMetadata **ret_metadata, struct error *err)
{
    char *path = xasprintf("%s/%s", directory, file_name);
    void *data = NULL;
    size_t size = 0;
    int rc = storage_read_file(path, STORAGE_METADATA_MAX_BYTES, &data, &size, err);
    if (rc == WEIR_OK) {
        rc = snapshot_metadata_decode(data, size, ret_metadata, err);
        if (rc != WEIR_OK)
            error_wrap(err, "snapshot %s", path);
        free(data);
    } else {
        error_wrap(err, "snapshot %s", directory);
    }
    free(path);
    return rc;
}

/* A plain relative name: not absolute, no "..", nothing empty. */
static bool file_is_inside(const char *file)
{
    if (file[0] == '/' || file[0] == '\0')
        return false;
    for (const char *part = file; part;) {
        const char *slash = strchr(part, '/');
        size_t length = slash ? (size_t)(slash - part) : strlen(part);
        if (length == 0 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part = slash ? slash + 1 : NULL;
    }
    return true;
}

static int handle_bytes(const char *base_directory, const Weir__StateHandle *handle, void **ret_data,
                        struct error *err)
{
    if (handle->length > HANDLE_MAX_BYTES)
        return error_set(err, WEIR_E_LIMIT, "a state of %llu bytes; the limit is %d",
                         (unsigned long long)handle->length, HANDLE_MAX_BYTES);
    if (!handle->file || !*handle->file) {
        if (handle->inline_.len != handle->length)
            return error_set(err, WEIR_E_CORRUPT, "inline state has %zu bytes instead of %llu",
                             handle->inline_.len, (unsigned long long)handle->length);
        *ret_data = xmemdup(handle->inline_.data, handle->inline_.len);
        return WEIR_OK;
    }
    if (!file_is_inside(handle->file))
        return error_set(err, WEIR_E_CORRUPT, "state file '%s' is not below the snapshot's directory",
                         handle->file);
    char *path = xasprintf("%s/%s", base_directory, handle->file);
    int rc = storage_read_range(path, handle->offset, (size_t)handle->length, ret_data, err);
    free(path);
    return rc;
}

int state_handle_read(const char *base_directory, const Weir__StateHandle *handle, void **ret_data,
                      size_t *ret_size, struct error *err)
{
    void *data = NULL;
    int rc = handle_bytes(base_directory, handle, &data, err);
    if (rc != WEIR_OK)
        return rc;
    if (hash64(data, (size_t)handle->length) != handle->checksum) {
        free(data);
        bool in_file = handle->file && *handle->file;
        return error_set(
            err, WEIR_E_CORRUPT, "read state %s%s%s: checksum mismatch over %llu bytes at byte %llu",
            in_file ? base_directory : "", in_file ? "/" : "(inline)", in_file ? handle->file : "",
            (unsigned long long)handle->length, (unsigned long long)handle->offset);
    }
    *ret_data = data;
    *ret_size = (size_t)handle->length;
    return WEIR_OK;
}
