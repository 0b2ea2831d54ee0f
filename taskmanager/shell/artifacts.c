/* Happy path: want -> queue -> one fetch at a time: pieces of at most 1 MiB into a temporary file, hashed on
 * the way -> hash compared -> renamed -> ready. One that is there already is ready on the loop's next turn.
 *
 * Possible failure modes: the jobmanager doesn't have it, sends another size or other bytes, or goes away;
 * the disk is full: the temporary file is removed and the answer says why. */
#include "taskmanager/shell/artifacts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/base/vec.h"
#include "common/rpc/rpc.h"
#include "taskmanager/shell/scratch.h"

enum { PIECE_TIMEOUT_MS = 30000, NAME_MAX_BYTES = 200 };

struct artifact {
    uint8_t sha256[ARTIFACT_HASH_BYTES];
    char *directory; /* of its own; owned */
    char *path;      /* in it; owned */
};

struct fetch {
    struct rpc_client *client;
    char *temporary; /* owned */
    int fd;
    uint64_t offset;
    uint64_t total; /* known with the first piece */
    mbedtls_sha256_context hash;
};

struct artifacts {
    uv_loop_t *loop;
    char *directory;
    char *jobmanager_address;
    struct artifacts_options options;
    struct vec_of(struct artifact) kept;  /* complete ones, least recently wanted first */
    struct vec_of(struct artifact) queue; /* wanted; the first is the one being fetched */
    struct fetch *fetch;                  /* NULL: none under way */
    uv_timer_t next;                      /* takes up the first of the queue, from the loop */
};

static void request_piece(struct artifacts *artifacts);

static void artifact_deinit(struct artifact *artifact)
{
    free(artifact->directory);
    free(artifact->path);
}

/* ---- one fetch ---- */

static void fetch_end(struct artifacts *artifacts)
{
    struct fetch *fetch = artifacts->fetch;
    artifacts->fetch = NULL;
    if (!fetch)
        return;
    if (fetch->client)
        rpc_client_close(fetch->client);
    if (fetch->fd >= 0)
        close(fetch->fd);
    mbedtls_sha256_free(&fetch->hash);
    free(fetch->temporary);
    free(fetch);
}

static int fetch_begin(struct artifacts *artifacts, struct error *err)
{
    const struct artifact *artifact = &artifacts->queue.items[0];
    struct fetch *fetch = xcalloc(1, sizeof *fetch);
    artifacts->fetch = fetch;
    mbedtls_sha256_init(&fetch->hash);
    fetch->temporary = xasprintf("%s.part", artifact->path);
    fetch->fd = -1;
    if (mbedtls_sha256_starts_ret(&fetch->hash, 0) != 0)
        return error_set(err, WEIR_E_INTERNAL, "can't begin a SHA-256");
    if (mkdir(artifact->directory, 0700) != 0 && errno != EEXIST)
        return error_set_errno(err, WEIR_E_IO, errno, "can't make %s", artifact->directory);
    fetch->fd = open(fetch->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    if (fetch->fd < 0)
        return error_set_errno(err, WEIR_E_IO, errno, "can't make %s", fetch->temporary);
    return rpc_client_open(artifacts->loop, artifacts->jobmanager_address, &fetch->client, err);
}

static int write_all(const struct fetch *fetch, const uint8_t *data, size_t size, struct error *err)
{
    while (size > 0) {
        ssize_t written = write(fetch->fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return error_set_errno(err, WEIR_E_IO, errno, "can't write %s", fetch->temporary);
        data += written;
        size -= (size_t)written;
    }
    return WEIR_OK;
}

static int take_piece(struct artifacts *artifacts, const Weir__Response *response, struct error *err)
{
    struct fetch *fetch = artifacts->fetch;
    if (response->body_case != WEIR__RESPONSE__BODY_ARTIFACT_CHUNK)
        return error_set(err, WEIR_E_CORRUPT, "the answer is not a piece of an artifact");
    const Weir__ArtifactChunk *piece = response->artifact_chunk;
    if (fetch->offset == 0)
        fetch->total = piece->total_bytes;
    if (piece->total_bytes == 0 || piece->total_bytes > artifacts->options.max_bytes)
        return error_set(err, WEIR_E_LIMIT, "it has %llu bytes, 1 to %llu are allowed (blob.max-size)",
                         (unsigned long long)piece->total_bytes,
                         (unsigned long long)artifacts->options.max_bytes);
    if (piece->offset != fetch->offset || piece->total_bytes != fetch->total || piece->data.len == 0 ||
        piece->data.len > fetch->total - fetch->offset)
        return error_set(err, WEIR_E_CORRUPT, "the piece at byte %llu does not fit",
                         (unsigned long long)fetch->offset);
    if (mbedtls_sha256_update_ret(&fetch->hash, piece->data.data, piece->data.len) != 0)
        return error_set(err, WEIR_E_INTERNAL, "can't go on with the SHA-256");
    fetch->offset += piece->data.len;
    return write_all(fetch, piece->data.data, piece->data.len, err);
}

/* All bytes are there: are they the right ones? */
static int fetch_complete(struct artifacts *artifacts, struct error *err)
{
    struct fetch *fetch = artifacts->fetch;
    const struct artifact *artifact = &artifacts->queue.items[0];
    uint8_t sha256[ARTIFACT_HASH_BYTES];
    if (mbedtls_sha256_finish_ret(&fetch->hash, sha256) != 0)
        return error_set(err, WEIR_E_INTERNAL, "can't end the SHA-256");
    if (memcmp(sha256, artifact->sha256, sizeof sha256) != 0)
        return error_set(err, WEIR_E_CORRUPT, "the bytes that came have another SHA-256 than was asked for");
    if (rename(fetch->temporary, artifact->path) != 0)
        return error_set_errno(err, WEIR_E_IO, errno, "can't rename %s", fetch->temporary);
    return WEIR_OK;
}

/* ---- the queue ---- */

static void keep(struct artifacts *artifacts, struct artifact artifact)
{
    vec_push(&artifacts->kept, artifact);
    if (artifacts->kept.count <= ARTIFACTS_MAX)
        return;
    scratch_remove(artifacts->kept.items[0].directory); /* a worker that has it loaded keeps it */
    artifact_deinit(&artifacts->kept.items[0]);
    vec_remove(&artifacts->kept, 0);
}

static void on_next(uv_timer_t *timer);

/* The first of the queue has been dealt with. */
static void answer(struct artifacts *artifacts, const struct error *err)
{
    struct artifact artifact = artifacts->queue.items[0];
    vec_remove(&artifacts->queue, 0);
    fetch_end(artifacts);
    if (artifacts->queue.count > 0)
        uv_timer_start(&artifacts->next, on_next, 0, 0);
    void (*ready)(void *self, const uint8_t *sha256, int rc, const char *message, const char *path) =
        artifacts->options.ready;
    if (err) {
        char *message = xasprintf("its artifact can't be had: %s", err->message);
        ready(artifacts->options.self, artifact.sha256, err->rc, message, NULL);
        free(message);
        scratch_remove(artifact.directory);
        artifact_deinit(&artifact);
        return;
    }
    keep(artifacts, artifact);
    ready(artifacts->options.self, artifact.sha256, WEIR_OK, NULL, artifact.path);
}

static void on_piece(void *self, int rc, const Weir__Response *response, const struct error *why)
{
    struct artifacts *artifacts = self;
    struct error err;
    if (rc == WEIR_E_CANCELED) /* closed from here */
        return;
    if (rc != WEIR_OK) {
        answer(artifacts, why);
        return;
    }
    rc = take_piece(artifacts, response, &err);
    if (rc == WEIR_OK && artifacts->fetch->offset < artifacts->fetch->total) {
        request_piece(artifacts);
        return;
    }
    if (rc == WEIR_OK)
        rc = fetch_complete(artifacts, &err);
    answer(artifacts, rc == WEIR_OK ? NULL : &err);
}

static void request_piece(struct artifacts *artifacts)
{
    struct fetch *fetch = artifacts->fetch;
    struct error err;
    Weir__FetchArtifact wanted = WEIR__FETCH_ARTIFACT__INIT;
    Weir__Request request = WEIR__REQUEST__INIT;
    wanted.sha256 = (ProtobufCBinaryData){ARTIFACT_HASH_BYTES, artifacts->queue.items[0].sha256};
    wanted.offset = fetch->offset;
    wanted.max_bytes = RPC_CHUNK_BYTES;
    request.body_case = WEIR__REQUEST__BODY_FETCH_ARTIFACT;
    request.fetch_artifact = &wanted;
    if (rpc_client_request(fetch->client, &request, PIECE_TIMEOUT_MS, on_piece, artifacts, &err) != WEIR_OK)
        answer(artifacts, &err);
}

/* true: it is there, and is now the most recently wanted one. */
static bool take_kept(struct artifacts *artifacts, const uint8_t *sha256, struct artifact *ret_artifact)
{
    for (size_t i = 0; i < artifacts->kept.count; i++) {
        if (memcmp(artifacts->kept.items[i].sha256, sha256, ARTIFACT_HASH_BYTES) != 0)
            continue;
        *ret_artifact = artifacts->kept.items[i];
        vec_remove(&artifacts->kept, i);
        return true;
    }
    return false;
}

static void on_next(uv_timer_t *timer)
{
    struct artifacts *artifacts = timer->data;
    struct artifact kept;
    struct error err;
    if (artifacts->fetch || artifacts->queue.count == 0)
        return;
    if (take_kept(artifacts, artifacts->queue.items[0].sha256, &kept)) {
        artifact_deinit(&artifacts->queue.items[0]);
        artifacts->queue.items[0] = kept;
        answer(artifacts, NULL);
    } else if (fetch_begin(artifacts, &err) != WEIR_OK) {
        answer(artifacts, &err);
    } else {
        request_piece(artifacts);
    }
}

/* The last part of the path, or a name of our own if it could lead anywhere else. */
static const char *harmless_name(const char *file_name)
{
    const char *slash = strrchr(file_name, '/');
    const char *name = slash ? slash + 1 : file_name;
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX_BYTES || name[0] == '.')
        return "job.so";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return "job.so";
    return name;
}

void artifacts_want(struct artifacts *artifacts, const uint8_t sha256[ARTIFACT_HASH_BYTES],
                    const char *file_name)
{
    struct artifact artifact;
    char hex[2 * ARTIFACT_HASH_BYTES + 1];
    for (size_t i = 0; i < ARTIFACT_HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
    memcpy(artifact.sha256, sha256, ARTIFACT_HASH_BYTES);
    artifact.directory = xasprintf("%s/%s", artifacts->directory, hex);
    artifact.path = xasprintf("%s/%s", artifact.directory, harmless_name(file_name));
    vec_push(&artifacts->queue, artifact);
    if (!artifacts->fetch)
        uv_timer_start(&artifacts->next, on_next, 0, 0);
}

/* ---- start and end ---- */

struct artifacts *artifacts_new(uv_loop_t *loop, const struct artifacts_options *options)
{
    struct artifacts *artifacts = xcalloc(1, sizeof *artifacts);
    artifacts->loop = loop;
    artifacts->options = *options;
    artifacts->directory = xstrdup(options->directory);
    artifacts->jobmanager_address = xstrdup(options->jobmanager_address);
    uv_timer_init(loop, &artifacts->next);
    artifacts->next.data = artifacts;
    return artifacts;
}

static void on_closed(uv_handle_t *handle)
{
    struct artifacts *artifacts = handle->data;
    vec_for_each (artifact, &artifacts->kept)
        artifact_deinit(artifact);
    vec_for_each (artifact, &artifacts->queue)
        artifact_deinit(artifact);
    vec_free(&artifacts->kept);
    vec_free(&artifacts->queue);
    free(artifacts->directory);
    free(artifacts->jobmanager_address);
    free(artifacts);
}

void artifacts_close(struct artifacts *artifacts)
{
    fetch_end(artifacts);
    uv_close((uv_handle_t *)&artifacts->next, on_closed);
}
