/* A job's way to the jobmanager: its artifact in pieces, then graph and program. Over RPC, blocking. */
#ifndef WEIR_CLIENT_SUBMIT_H
#define WEIR_CLIENT_SUBMIT_H

#include "common/base/error.h"
#include "common/base/id.h"
#include "proto/control.pb-c.h"

enum { SHA256_BYTES = 32 };

/* Of a file; *ret_bytes: its size. */
int submit_hash_file(const char *path, uint8_t ret_sha256[SHA256_BYTES], uint64_t *ret_bytes,
                     struct error *err) WEIR_CHECK;
/* rpc_address: "host:port". Nothing is sent when the jobmanager has the artifact. */
int submit_artifact(const char *rpc_address, const char *path, const uint8_t sha256[SHA256_BYTES],
                    uint64_t bytes, struct error *err) WEIR_CHECK;
int submit_job(const char *rpc_address, Weir__SubmitJob *submission, struct weir_id *ret_job,
               struct error *err) WEIR_CHECK;

#endif
