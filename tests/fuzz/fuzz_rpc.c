/* Requests and responses of unknown origin: decoded, and what was accepted is encoded and decoded again. That
 * may be refused: protobuf-c keeps an unknown field of number 0 if its tag is written in two bytes, and
 * refuses it in one. */
#include <stdint.h>
#include <stdlib.h>

#include "common/rpc/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void try_request(const uint8_t *data, size_t size)
{
    struct error err = {0};
    Weir__Request *request, *again;
    void *bytes;
    size_t length;
    int rc = rpc_decode_request(data, size, &request, &err);
    if (rc != WEIR_OK) {
        check(rc == err.rc && err.message[0]);
        return;
    }
    if (request->body_case == WEIR__REQUEST__BODY_BATCH) {
        struct rpc_inbox inbox = {.session = request->batch->session};
        int accepted = rpc_inbox_accept(&inbox, request->batch, &err);
        check(accepted == (request->batch->seq == 1 ? 1 : WEIR_E_FENCED));
    }
    check(rpc_encode_request(request, &bytes, &length, &err) == WEIR_OK);
    rc = rpc_decode_request(bytes, length, &again, &err);
    check(rc == WEIR_OK || rc == WEIR_E_INVALID);
    if (rc == WEIR_OK) {
        check(again->body_case == request->body_case);
        weir__request__free_unpacked(again, NULL);
    }
    free(bytes);
    weir__request__free_unpacked(request, NULL);
}

static void try_response(const uint8_t *data, size_t size)
{
    struct error err = {0};
    Weir__Response *response, *again;
    void *bytes;
    size_t length;
    int rc = rpc_decode_response(data, size, &response, &err);
    if (rc != WEIR_OK) {
        check(rc == err.rc && err.message[0]);
        return;
    }
    check(rpc_encode_response(response, &bytes, &length, &err) == WEIR_OK);
    rc = rpc_decode_response(bytes, length, &again, &err);
    check(rc == WEIR_OK || rc == WEIR_E_INVALID);
    if (rc == WEIR_OK) {
        check(again->rc == response->rc && again->body_case == response->body_case);
        weir__response__free_unpacked(again, NULL);
    }
    free(bytes);
    weir__response__free_unpacked(response, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_request(data, size);
    try_response(data, size);
    return 0;
}
