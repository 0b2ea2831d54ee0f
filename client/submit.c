#include "client/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/sha256.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/memory.h"
#include "common/rpc/rpc.h"

enum { REQUEST_TIMEOUT_MS = 60000, UPLOAD_STALLS_MAX = 100 };

/* Reads until the block is full or the file ends; −errno. */
static ssize_t read_block(int fd, unsigned char *block, size_t size, uint64_t offset)
{
    size_t have = 0;
    while (have < size) {
        ssize_t got = pread(fd, block + have, size - have, (off_t)(offset + have));
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        if (got > 0)
            have += (size_t)got;
    }
    return (ssize_t)have;
}

static int open_file(const char *path, int *ret_fd, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno == ENOENT ? WEIR_E_NOT_FOUND : WEIR_E_IO, errno, "open %s", path);
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return error_set(err, WEIR_E_INVALID, "%s is not a file", path);
    }
    *ret_fd = fd;
    return WEIR_OK;
}

int submit_hash_file(const char *path, uint8_t ret_sha256[SHA256_BYTES], uint64_t *ret_bytes,
                     struct error *err)
{
    int fd;
    int rc = open_file(path, &fd, err);
    if (rc)
        return rc;
    mbedtls_sha256_context hash;
    mbedtls_sha256_init(&hash);
    mbedtls_sha256_starts_ret(&hash, 0);
    unsigned char *block = xmalloc(RPC_CHUNK_BYTES);
    uint64_t offset = 0;
    ssize_t got;
    while ((got = read_block(fd, block, RPC_CHUNK_BYTES, offset)) > 0) {
        mbedtls_sha256_update_ret(&hash, block, (size_t)got);
        offset += (uint64_t)got;
    }
    if (got < 0)
        rc = error_set_errno(err, WEIR_E_IO, (int)-got, "read %s", path);
    else
        mbedtls_sha256_finish_ret(&hash, ret_sha256);
    mbedtls_sha256_free(&hash);
    free(block);
    close(fd);
    *ret_bytes = offset;
    return rc;
}

/* One request and its answer, which must have the expected kind of body. */
static int ask(const char *rpc_address, Weir__Request *request, Weir__Response__BodyCase expected,
               Weir__Response **ret_response, struct error *err)
{
    char *address = xasprintf("tcp://%s", rpc_address);
    Weir__Response *response = NULL;
    int rc = rpc_request_blocking(address, request, REQUEST_TIMEOUT_MS, &response, err);
    free(address);
    if (rc == WEIR_E_UNAVAILABLE)
        return error_wrap(err, "the jobmanager's RPC address %s can't be reached", rpc_address);
    if (rc)
        return rc;
    if (response->body_case != expected) {
        weir__response__free_unpacked(response, NULL);
        return error_set(err, WEIR_E_CORRUPT, "the jobmanager at %s gave an answer of another kind",
                         rpc_address);
    }
    *ret_response = response;
    return WEIR_OK;
}

static int put_piece(const char *rpc_address, Weir__PutArtifact *put, uint64_t *ret_have, bool *ret_complete,
                     struct error *err)
{
    Weir__Request request = WEIR__REQUEST__INIT;
    Weir__Response *response;
    request.body_case = WEIR__REQUEST__BODY_PUT_ARTIFACT;
    request.put_artifact = put;
    int rc = ask(rpc_address, &request, WEIR__RESPONSE__BODY_ARTIFACT_STATE, &response, err);
    if (rc)
        return rc;
    *ret_have = response->artifact_state->have_bytes;
    *ret_complete = response->artifact_state->complete;
    weir__response__free_unpacked(response, NULL);
    return WEIR_OK;
}

/* Goes on from wherever the jobmanager says it is: another client may be sending the same artifact. */
static int upload(const char *rpc_address, int fd, const char *path, Weir__PutArtifact *put,
                  struct error *err)
{
    unsigned char *block = xmalloc(RPC_CHUNK_BYTES);
    bool complete = false;
    uint64_t have = 0;
    int stalls = 0;
    int rc = put_piece(rpc_address, put, &have, &complete, err);
    while (rc == WEIR_OK && !complete) {
        ssize_t got = read_block(fd, block, RPC_CHUNK_BYTES, have);
        if (got <= 0) {
            rc = error_set(err, WEIR_E_IO, "%s changed while it was being sent", path);
            break;
        }
        uint64_t before = have;
        put->offset = have;
        put->data.data = block;
        put->data.len = (size_t)got;
        rc = put_piece(rpc_address, put, &have, &complete, err);
        if (rc == WEIR_OK && !complete && have <= before && ++stalls > UPLOAD_STALLS_MAX)
            rc = error_set(err, WEIR_E_IO,
                           "sending %s makes no progress: others are sending too many artifacts", path);
    }
    free(block);
    return rc;
}

int submit_artifact(const char *rpc_address, const char *path, const uint8_t sha256[SHA256_BYTES],
                    uint64_t bytes, struct error *err)
{
    int fd;
    int rc = open_file(path, &fd, err);
    if (rc)
        return rc;
    uint8_t key[SHA256_BYTES];
    memcpy(key, sha256, sizeof key);
    Weir__PutArtifact put = WEIR__PUT_ARTIFACT__INIT;
    put.sha256.data = key;
    put.sha256.len = sizeof key;
    put.total_bytes = bytes;
    rc = upload(rpc_address, fd, path, &put, err);
    close(fd);
    return rc;
}

int submit_job(const char *rpc_address, Weir__SubmitJob *submission, struct weir_id *ret_job,
               struct error *err)
{
    Weir__Request request = WEIR__REQUEST__INIT;
    Weir__Response *response;
    struct weir_id id = os_random_id();
    request.id.data = id.bytes;
    request.id.len = sizeof id.bytes;
    request.body_case = WEIR__REQUEST__BODY_SUBMIT_JOB;
    request.submit_job = submission;
    int rc = ask(rpc_address, &request, WEIR__RESPONSE__BODY_JOB_SUBMITTED, &response, err);
    if (rc)
        return rc;
    const ProtobufCBinaryData *job = &response->job_submitted->job_id;
    if (!weir_id_from_bytes(job->data, job->len, ret_job))
        rc = error_set(err, WEIR_E_CORRUPT, "the jobmanager at %s answered without a job id", rpc_address);
    weir__response__free_unpacked(response, NULL);
    return rc;
}
