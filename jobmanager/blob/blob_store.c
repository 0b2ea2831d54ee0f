#include "jobmanager/blob/blob_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/vec.h"
#include "common/storage/storage.h"
#include "jobmanager/blob/blob_directory.h"

static const char LOGGER[] = "weir.runtime.blob.BlobStore";
static const char PART_SUFFIX[] = ".part";

struct blob_key {
    uint8_t sha256[BLOB_SHA256_BYTES];
};

struct blob_upload {
    struct blob_key key;
    uint64_t total_bytes;
    uint64_t have_bytes;
    uint64_t touched; /* by the store's counter: the smallest was silent for longest */
    int fd;
    mbedtls_sha256_context hash; /* of the first have_bytes */
};

struct blob_entry { /* complete and verified */
    struct blob_key key;
    uint64_t bytes;
};

struct blob_store {
    struct blob_directory directory;
    uint64_t max_bytes;
    uint64_t clock;
    struct vec_of(struct blob_entry) entries;
    struct blob_upload *uploads[BLOB_UPLOADS_MAX]; /* NULL: free */
};

static void key_format(const struct blob_key *key, char text[BLOB_SHA256_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < BLOB_SHA256_BYTES; i++) {
        text[2 * i] = digits[key->sha256[i] >> 4];
        text[2 * i + 1] = digits[key->sha256[i] & 15];
    }
    text[BLOB_SHA256_HEX] = '\0';
}

static char *key_path(const struct blob_store *store, const struct blob_key *key, const char *suffix)
{
    char hex[BLOB_SHA256_HEX + 1];
    key_format(key, hex);
    return xasprintf("%s/%s%s", store->directory.path, hex, suffix);
}

static bool key_from(const uint8_t *sha256, size_t size, struct blob_key *ret_key)
{
    if (size != BLOB_SHA256_BYTES)
        return false;
    memcpy(ret_key->sha256, sha256, BLOB_SHA256_BYTES);
    return true;
}

static int bad_key(size_t size, struct error *err)
{
    return error_set(err, WEIR_E_INVALID, "an artifact's SHA-256 has %d bytes, not %zu", BLOB_SHA256_BYTES,
                     size);
}

/* ---- complete artifacts ---- */

static struct blob_entry *find_entry(struct blob_store *store, const struct blob_key *key)
{
    vec_for_each (entry, &store->entries)
        if (memcmp(entry->key.sha256, key->sha256, BLOB_SHA256_BYTES) == 0)
            return entry;
    return NULL;
}

static bool hash_file(int fd, uint8_t sha256[BLOB_SHA256_BYTES])
{
    enum { BLOCK = 256 << 10 };
    unsigned char *block = xmalloc(BLOCK);
    mbedtls_sha256_context hash;
    mbedtls_sha256_init(&hash);
    mbedtls_sha256_starts_ret(&hash, 0);
    ssize_t got;
    while ((got = read(fd, block, BLOCK)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0)
            mbedtls_sha256_update_ret(&hash, block, (size_t)got);
    mbedtls_sha256_finish_ret(&hash, sha256);
    mbedtls_sha256_free(&hash);
    free(block);
    return got == 0;
}

/* A file of an earlier process: taken over if its content is what its name says. */
static struct blob_entry *adopt_file(struct blob_store *store, const struct blob_key *key)
{
    char *path = key_path(store, key, "");
    struct blob_entry *entry = NULL;
    struct stat status;
    uint8_t sha256[BLOB_SHA256_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        if (hash_file(fd, sha256) && memcmp(sha256, key->sha256, sizeof sha256) == 0) {
            vec_push(&store->entries, (struct blob_entry){.key = *key, .bytes = (uint64_t)status.st_size});
            entry = &store->entries.items[store->entries.count - 1];
        } else {
            log_warn(LOGGER, "Removing %s: its content is not what its name says", path);
            unlink(path);
        }
    }
    if (fd >= 0)
        close(fd);
    free(path);
    return entry;
}

static struct blob_entry *find_or_adopt(struct blob_store *store, const struct blob_key *key)
{
    struct blob_entry *entry = find_entry(store, key);
    return entry ? entry : adopt_file(store, key);
}

bool blob_store_has(struct blob_store *store, const uint8_t *sha256, size_t sha256_size)
{
    struct blob_key key;
    return key_from(sha256, sha256_size, &key) && find_or_adopt(store, &key) != NULL;
}

/* ---- uploads ---- */

static struct blob_upload *find_upload(struct blob_store *store, const struct blob_key *key)
{
    for (size_t i = 0; i < BLOB_UPLOADS_MAX; i++)
        if (store->uploads[i] && memcmp(store->uploads[i]->key.sha256, key->sha256, BLOB_SHA256_BYTES) == 0)
            return store->uploads[i];
    return NULL;
}

static void upload_free(struct blob_store *store, struct blob_upload *upload, bool delete_file)
{
    if (delete_file) {
        char *path = key_path(store, &upload->key, PART_SUFFIX);
        unlink(path);
        free(path);
    }
    if (upload->fd >= 0)
        close(upload->fd);
    mbedtls_sha256_free(&upload->hash);
    for (size_t i = 0; i < BLOB_UPLOADS_MAX; i++)
        if (store->uploads[i] == upload)
            store->uploads[i] = NULL;
    free(upload);
}

static size_t free_upload_slot(struct blob_store *store)
{
    size_t oldest = 0;
    for (size_t i = 0; i < BLOB_UPLOADS_MAX; i++) {
        if (!store->uploads[i])
            return i;
        if (store->uploads[i]->touched < store->uploads[oldest]->touched)
            oldest = i;
    }
    upload_free(store, store->uploads[oldest], true);
    return oldest;
}

static int upload_new(struct blob_store *store, const struct blob_key *key, uint64_t total_bytes,
                      struct blob_upload **ret_upload, struct error *err)
{
    size_t slot = free_upload_slot(store);
    char *path = key_path(store, key, PART_SUFFIX);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        int rc = error_set_errno(err, WEIR_E_IO, errno, "create %s", path);
        free(path);
        return rc;
    }
    free(path);
    struct blob_upload *upload = xcalloc(1, sizeof *upload);
    upload->key = *key;
    upload->total_bytes = total_bytes;
    upload->fd = fd;
    mbedtls_sha256_init(&upload->hash);
    mbedtls_sha256_starts_ret(&upload->hash, 0);
    store->uploads[slot] = upload;
    *ret_upload = upload;
    return WEIR_OK;
}

static int write_all(int fd, const unsigned char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

/* All bytes are there: the hash decides. The upload is freed either way. */
static int upload_finish(struct blob_store *store, struct blob_upload *upload, struct error *err)
{
    uint8_t sha256[BLOB_SHA256_BYTES];
    mbedtls_sha256_finish_ret(&upload->hash, sha256);
    struct blob_key key = upload->key;
    uint64_t bytes = upload->have_bytes;
    if (memcmp(sha256, key.sha256, sizeof sha256) != 0) {
        char expected[BLOB_SHA256_HEX + 1];
        char actual[BLOB_SHA256_HEX + 1];
        key_format(&key, expected);
        key_format((const struct blob_key *)(const void *)sha256, actual);
        upload_free(store, upload, true);
        return error_set(err, WEIR_E_CORRUPT,
                         "the artifact's content has SHA-256 %s, announced was %s; send it again", actual,
                         expected);
    }
    char *part = key_path(store, &key, PART_SUFFIX);
    char *path = key_path(store, &key, "");
    int rc = WEIR_OK;
    if (rename(part, path) != 0)
        rc = error_set_errno(err, WEIR_E_IO, errno, "rename %s", part);
    upload_free(store, upload, rc != WEIR_OK);
    if (rc == WEIR_OK)
        vec_push(&store->entries, (struct blob_entry){.key = key, .bytes = bytes});
    free(part);
    free(path);
    return rc;
}

static int check_put(const struct blob_store *store, uint64_t total_bytes, uint64_t offset, size_t size,
                     struct error *err)
{
    if (total_bytes > store->max_bytes)
        return error_set(err, WEIR_E_LIMIT,
                         "the artifact has %llu bytes, more than blob.max-size (%llu) allows",
                         (unsigned long long)total_bytes, (unsigned long long)store->max_bytes);
    if (size > BLOB_PIECE_MAX_BYTES)
        return error_set(err, WEIR_E_LIMIT, "a piece of an artifact has at most %d bytes, not %zu",
                         BLOB_PIECE_MAX_BYTES, size);
    if (size > 0 && (total_bytes == 0 || offset > total_bytes || size > total_bytes - offset))
        return error_set(err, WEIR_E_INVALID, "%zu bytes at offset %llu are beyond the artifact's %llu", size,
                         (unsigned long long)offset, (unsigned long long)total_bytes);
    return WEIR_OK;
}

/* What of the piece is new goes into the file and the hash. */
static int upload_append(struct blob_store *store, struct blob_upload *upload, uint64_t offset,
                         const unsigned char *data, size_t size, struct error *err)
{
    if (offset > upload->have_bytes || upload->have_bytes - offset >= size)
        return WEIR_OK;
    size_t skip = (size_t)(upload->have_bytes - offset);
    int rc = write_all(upload->fd, data + skip, size - skip);
    if (rc) {
        rc = error_set_errno(err, WEIR_E_IO, -rc, "write an artifact to %s", store->directory.path);
        upload_free(store, upload, true);
        return rc;
    }
    mbedtls_sha256_update_ret(&upload->hash, data + skip, size - skip);
    upload->have_bytes += size - skip;
    return WEIR_OK;
}

int blob_store_put(struct blob_store *store, const uint8_t *sha256, size_t sha256_size, uint64_t total_bytes,
                   uint64_t offset, const void *data, size_t size, struct blob_state *ret_state,
                   struct error *err)
{
    struct blob_key key;
    if (!key_from(sha256, sha256_size, &key))
        return bad_key(sha256_size, err);
    int rc = check_put(store, total_bytes, offset, size, err);
    if (rc)
        return rc;
    struct blob_entry *entry = find_or_adopt(store, &key);
    if (entry) {
        *ret_state = (struct blob_state){.have_bytes = entry->bytes, .complete = true};
        return WEIR_OK;
    }
    struct blob_upload *upload = find_upload(store, &key);
    if (upload && upload->total_bytes != total_bytes) {
        upload_free(store, upload, true);
        upload = NULL;
    }
    if (!upload && size == 0) {
        *ret_state = (struct blob_state){0};
        return WEIR_OK;
    }
    if (!upload) {
        rc = upload_new(store, &key, total_bytes, &upload, err);
        if (rc)
            return rc;
    }
    upload->touched = ++store->clock;
    rc = upload_append(store, upload, offset, data, size, err);
    if (rc)
        return rc;
    struct blob_state state = {.have_bytes = upload->have_bytes,
                               .complete = upload->have_bytes == upload->total_bytes};
    if (state.complete) {
        rc = upload_finish(store, upload, err);
        if (rc)
            return rc;
    }
    *ret_state = state;
    return WEIR_OK;
}

/* ---- giving out ---- */

int blob_store_fetch(struct blob_store *store, const uint8_t *sha256, size_t sha256_size, uint64_t offset,
                     uint32_t max_bytes, void **ret_data, size_t *ret_size, uint64_t *ret_total_bytes,
                     struct error *err)
{
    struct blob_key key;
    if (!key_from(sha256, sha256_size, &key))
        return bad_key(sha256_size, err);
    struct blob_entry *entry = find_or_adopt(store, &key);
    if (!entry) {
        char hex[BLOB_SHA256_HEX + 1];
        key_format(&key, hex);
        return error_set(err, WEIR_E_NOT_FOUND, "there is no artifact %s", hex);
    }
    uint64_t left = offset < entry->bytes ? entry->bytes - offset : 0;
    size_t size = max_bytes < BLOB_PIECE_MAX_BYTES ? max_bytes : BLOB_PIECE_MAX_BYTES;
    size = left < size ? (size_t)left : size;
    void *data = NULL;
    int rc = WEIR_OK;
    if (size > 0) {
        char *path = key_path(store, &key, "");
        rc = storage_read_range(path, offset, size, &data, err);
        free(path);
    } else {
        data = xmalloc(1);
    }
    if (rc)
        return rc;
    *ret_data = data;
    *ret_size = size;
    *ret_total_bytes = entry->bytes;
    return WEIR_OK;
}

/* ---- life ---- */

static void remove_parts(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length != BLOB_SHA256_HEX + sizeof PART_SUFFIX - 1 ||
            strcmp(entry->d_name + BLOB_SHA256_HEX, PART_SUFFIX) != 0)
            continue;
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

int blob_store_open(const char *directory, const char *temporary_directory, uint64_t max_bytes,
                    struct blob_store **ret_store, struct error *err)
{
    struct blob_directory opened;
    int rc = blob_directory_open(directory, temporary_directory, &opened, err);
    if (rc)
        return rc;
    struct blob_store *store = xcalloc(1, sizeof *store);
    store->directory = opened;
    store->max_bytes = max_bytes;
    remove_parts(opened.path);
    *ret_store = store;
    return WEIR_OK;
}

void blob_store_close(struct blob_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < BLOB_UPLOADS_MAX; i++)
        if (store->uploads[i])
            upload_free(store, store->uploads[i], true);
    vec_free(&store->entries);
    blob_directory_close(&store->directory);
    free(store);
}

const char *blob_store_directory(const struct blob_store *store)
{
    return store->directory.path;
}
