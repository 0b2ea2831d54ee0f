/* Requests to the jobmanager's REST interface, blocking. */
#ifndef WEIR_CLIENT_REST_CLIENT_H
#define WEIR_CLIENT_REST_CLIENT_H

#include <cjson/cJSON.h>

#include "common/base/error.h"

struct rest_client;

/* address: "host:port". */
struct rest_client *rest_client_new(const char *address);
void rest_client_free(struct rest_client *client);

/* path: "/jobs/overview". *ret_body: owned by the caller (cJSON_Delete). An answer other than 2xx is an error
 * with the server's sentence: WEIR_E_NOT_FOUND (404), WEIR_E_STATE (409), else WEIR_E_IO. WEIR_E_UNAVAILABLE:
 * it can't be reached. */
int rest_client_get(struct rest_client *client, const char *path, cJSON **ret_body,
                    struct error *err) WEIR_CHECK;
/* body: JSON text. */
int rest_client_post(struct rest_client *client, const char *path, const char *body, cJSON **ret_body,
                     struct error *err) WEIR_CHECK;
int rest_client_patch(struct rest_client *client, const char *path, struct error *err) WEIR_CHECK;

#endif
