/* The jobmanager's artifact store: files named by the SHA-256 of their content, taken in pieces and given out
 * in ranges.
 *
 *     PutArtifact(offset 0) … PutArtifact(last) -> <hex>.part, hashed on the way -> rename to <hex>
 *
 * Used on one thread; a piece costs one write(2) into the page cache and hashing it. An artifact that is
 * complete was verified by this process. Half an upload is only remembered while the process lives. */
#ifndef WEIR_BLOB_BLOB_STORE_H
#define WEIR_BLOB_BLOB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum {
    BLOB_SHA256_BYTES = 32,
    BLOB_SHA256_HEX = 64,
    BLOB_UPLOADS_MAX = 16, /* under way at once; one more gives up the one that was silent for longest */
    BLOB_PIECE_MAX_BYTES = 1 << 20,
};

struct blob_store;

struct blob_state {
    uint64_t have_bytes;
    bool complete;
};

/* directory: the store's own, made if it isn't there, kept at the end; or NULL: a fresh one below
 * temporary_directory, removed at the end (what killed processes left behind there is removed, too).
 * max_bytes: the largest artifact. */
int blob_store_open(const char *directory, const char *temporary_directory, uint64_t max_bytes,
                    struct blob_store **ret_store, struct error *err) WEIR_CHECK;
/* Unfinished uploads are deleted, and the directory if it was a fresh one. NULL is fine. */
void blob_store_close(struct blob_store *store);
const char *blob_store_directory(const struct blob_store *store);

/* One piece; size 0 only asks. What is there already is skipped, a piece behind a gap is left out: ret_state
 * says where to go on. Content of another hash is an error, and the upload starts anew. WEIR_E_INVALID,
 * WEIR_E_LIMIT, WEIR_E_CORRUPT, WEIR_E_IO. */
int blob_store_put(struct blob_store *store, const uint8_t *sha256, size_t sha256_size, uint64_t total_bytes,
                   uint64_t offset, const void *data, size_t size, struct blob_state *ret_state,
                   struct error *err) WEIR_CHECK;
/* Whether the artifact is complete (a file of an earlier process is verified when first asked for). */
bool blob_store_has(struct blob_store *store, const uint8_t *sha256, size_t sha256_size);
/* At most max_bytes (and BLOB_PIECE_MAX_BYTES) from offset on; *ret_data is malloc'ed. An offset at or behind
 * the end gives nothing. WEIR_E_NOT_FOUND. */
int blob_store_fetch(struct blob_store *store, const uint8_t *sha256, size_t sha256_size, uint64_t offset,
                     uint32_t max_bytes, void **ret_data, size_t *ret_size, uint64_t *ret_total_bytes,
                     struct error *err) WEIR_CHECK;

#endif
