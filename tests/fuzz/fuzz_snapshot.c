/* _metadata files: the bytes as they are, and as the message of a file whose header and checksum are right
 * (what a hostile writer, and no broken disk, makes). Inline state is read; files must not be found. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/storage/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void read_handles(const Weir__OperatorState *operator)
{
    for (size_t i = 0; i < operator->n_keyed; i++) {
        const Weir__StateHandle *handle = operator->keyed[i]->handle;
        struct error err = {0};
        void *bytes;
        size_t length;
        if (state_handle_read("/nowhere/at/all", handle, &bytes, &length, &err) == WEIR_OK) {
            check(!handle->file[0] && length == handle->length && hash64(bytes, length) == handle->checksum);
            free(bytes);
        } else {
            check(err.rc < 0 && err.message[0]);
        }
    }
}

static void try_decode(const uint8_t *data, size_t size)
{
    struct error err = {0};
    Weir__SnapshotMetadata *metadata;
    int rc = snapshot_metadata_decode(data, size, &metadata, &err);
    if (rc != WEIR_OK) {
        check(rc == err.rc && err.message[0]);
        return;
    }
    for (size_t i = 0; i < metadata->n_operators; i++)
        read_handles(metadata->operators[i]);
    weir__snapshot_metadata__free_unpacked(metadata, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEADER_BYTES = 24 };
    uint8_t *file = malloc(HEADER_BYTES + size);
    uint64_t checksum = hash64(data, size);
    uint32_t version = 1, length = (uint32_t)size;
    check(file != NULL);
    try_decode(data, size);
    memcpy(file, "WEIRSNAP", 8);
    memcpy(file + 8, &version, sizeof version); /* libFuzzer's machines are little endian */
    memcpy(file + 12, &length, sizeof length);
    memcpy(file + 16, &checksum, sizeof checksum);
    memcpy(file + HEADER_BYTES, data, size);
    try_decode(file, HEADER_BYTES + size);
    free(file);
    return 0;
}
