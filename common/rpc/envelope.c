/* Requests and responses as bytes: size checked before anything is allocated, version checked before anything
 * is unpacked. */
#include "common/rpc/rpc.h"

#include <stdlib.h>

#include "common/base/memory.h"
#include "proto/bounded.h"

static int encode(ProtobufCMessage *message, const char *what, void **ret_data, size_t *ret_size,
                  struct error *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > RPC_MESSAGE_MAX_BYTES)
        return error_set(err, WEIR_E_LIMIT, "a %s of %zu bytes is larger than the maximum of %d", what, size,
                         RPC_MESSAGE_MAX_BYTES);
    uint8_t *data = try_alloc(size, RPC_MESSAGE_MAX_BYTES);
    if (!data)
        return error_set(err, WEIR_E_NO_MEMORY, "no memory for a %s of %zu bytes", what, size);
    *ret_size = protobuf_c_message_pack(message, data);
    *ret_data = data;
    return WEIR_OK;
}

int rpc_encode_request(Weir__Request *request, void **ret_data, size_t *ret_size, struct error *err)
{
    request->major = RPC_MAJOR;
    request->minor = RPC_MINOR;
    return encode(&request->base, "request", ret_data, ret_size, err);
}

int rpc_encode_response(Weir__Response *response, void **ret_data, size_t *ret_size, struct error *err)
{
    response->major = RPC_MAJOR;
    response->minor = RPC_MINOR;
    return encode(&response->base, "response", ret_data, ret_size, err);
}

static bool read_varint(const uint8_t **cursor, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*cursor == end)
            return false;
        uint8_t byte = *(*cursor)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* The version is the first thing in a message; it is read without the rest, which another version may have
 * laid out anew. */
static int check_version(const void *data, size_t size, const char *what, struct error *err)
{
    const uint8_t *cursor = data;
    const uint8_t *end = cursor + size;
    uint64_t versions[2] = {0, 0};
    uint64_t tag;
    uint64_t value;
    if (size > RPC_MESSAGE_MAX_BYTES)
        return error_set(err, WEIR_E_LIMIT, "a %s of %zu bytes is larger than the maximum of %d", what, size,
                         RPC_MESSAGE_MAX_BYTES);
    while (size > 0 && read_varint(&cursor, end, &tag) && (tag == (1 << 3) || tag == (2 << 3)) &&
           read_varint(&cursor, end, &value))
        versions[(tag >> 3) - 1] = value;
    if (versions[0] == 0)
        return error_set(err, WEIR_E_INVALID,
                         "a %s of %zu bytes carries no protocol version: the peer is not Weir", what, size);
    if (versions[0] != RPC_MAJOR)
        return error_set(err, WEIR_E_VERSION,
                         "the peer speaks protocol version %llu.%llu, this process %d.%d: run the same "
                         "version on both sides",
                         (unsigned long long)versions[0], (unsigned long long)versions[1], RPC_MAJOR,
                         RPC_MINOR);
    return WEIR_OK;
}

int rpc_decode_request(const void *data, size_t size, Weir__Request **ret_request, struct error *err)
{
    int rc = check_version(data, size, "request", err);
    if (rc != WEIR_OK)
        return rc;
    struct bounded_allocator bounded;
    Weir__Request *request = weir__request__unpack(bounded_allocator_init(&bounded, size), size, data);
    if (!request)
        return error_set(err, WEIR_E_INVALID, "a request of %zu bytes is malformed", size);
    if (request->id.len != 0 && request->id.len != WEIR_ID_BYTES) {
        rc = error_set(err, WEIR_E_INVALID, "a request's id has %zu bytes instead of %d", request->id.len,
                       WEIR_ID_BYTES);
        weir__request__free_unpacked(request, NULL);
        return rc;
    }
    *ret_request = request;
    return WEIR_OK;
}

int rpc_decode_response(const void *data, size_t size, Weir__Response **ret_response, struct error *err)
{
    int rc = check_version(data, size, "response", err);
    if (rc != WEIR_OK)
        return rc;
    struct bounded_allocator bounded;
    Weir__Response *response = weir__response__unpack(bounded_allocator_init(&bounded, size), size, data);
    if (!response)
        return error_set(err, WEIR_E_INVALID, "a response of %zu bytes is malformed", size);
    *ret_response = response;
    return WEIR_OK;
}
