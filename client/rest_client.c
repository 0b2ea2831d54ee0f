#include "client/rest_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/strbuf.h"

enum { BODY_MAX_BYTES = 64 << 20, CONNECT_TIMEOUT_MS = 5000, TIMEOUT_MS = 60000 };

struct rest_client {
    CURL *curl;
    char *address;
};

struct rest_client *rest_client_new(const char *address)
{
    struct rest_client *client = xcalloc(1, sizeof *client);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    client->curl = curl_easy_init();
    client->address = xstrdup(address);
    if (!client->curl)
        abort();
    return client;
}

void rest_client_free(struct rest_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client->address);
    free(client);
    curl_global_cleanup();
}

static size_t on_body(char *data, size_t size, size_t count, void *self)
{
    return strbuf_add(self, data, size * count) ? size * count : 0;
}

static int describe_failure(const struct rest_client *client, CURLcode code, struct error *err)
{
    if (code == CURLE_COULDNT_CONNECT)
        return error_set(
            err, WEIR_E_UNAVAILABLE,
            "Nothing answers at %s (connection refused): start a jobmanager, or give its REST address with "
            "-m host:port.",
            client->address);
    if (code == CURLE_COULDNT_RESOLVE_HOST)
        return error_set(err, WEIR_E_UNAVAILABLE,
                         "The host of %s can't be resolved: check the address given with -m.",
                         client->address);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return error_set(err, WEIR_E_UNAVAILABLE, "No answer from %s within %d s.", client->address,
                         TIMEOUT_MS / 1000);
    return error_set(err, WEIR_E_UNAVAILABLE, "The request to %s failed: %s.", client->address,
                     curl_easy_strerror(code));
}

static int status_error(const struct rest_client *client, long status, const cJSON *body, struct error *err)
{
    int rc = status == 404 ? WEIR_E_NOT_FOUND : status == 409 ? WEIR_E_STATE : WEIR_E_IO;
    const cJSON *text = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(body, "errors"), 0);
    if (cJSON_IsString(text))
        return error_set(err, rc, "%s", text->valuestring);
    return error_set(err, rc, "%s answers with status %ld: is that a jobmanager's REST address?",
                     client->address, status);
}

/* Without anything to say the body is {} as Flink's client sends it; also with GET. */
static int perform(struct rest_client *client, const char *method, const char *path, const char *text,
                   cJSON **ret_body, struct error *err)
{
    struct strbuf buf;
    char *url = xasprintf("http://%s/v1%s", client->address, path);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json; charset=UTF-8");
    strbuf_init(&buf, BODY_MAX_BYTES);
    curl_easy_reset(client->curl);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(client->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, &buf);
    CURLcode code = curl_easy_perform(client->curl);
    long status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    cJSON *body = buf.data ? cJSON_Parse(buf.data) : NULL;
    int rc = WEIR_OK;
    if (code != CURLE_OK)
        rc = describe_failure(client, code, err);
    else if (status < 200 || status > 299)
        rc = status_error(client, status, body, err);
    else if (!body)
        rc = error_set(err, WEIR_E_IO, "What %s answers is not JSON: is that a jobmanager's REST address?",
                       client->address);
    if (rc == WEIR_OK)
        *ret_body = body;
    else
        cJSON_Delete(body);
    curl_slist_free_all(headers);
    strbuf_deinit(&buf);
    free(url);
    return rc;
}

int rest_client_get(struct rest_client *client, const char *path, cJSON **ret_body, struct error *err)
{
    return perform(client, "GET", path, "{}", ret_body, err);
}

int rest_client_post(struct rest_client *client, const char *path, const char *body, cJSON **ret_body,
                     struct error *err)
{
    return perform(client, "POST", path, body, ret_body, err);
}

int rest_client_patch(struct rest_client *client, const char *path, struct error *err)
{
    cJSON *body = NULL;
    int rc = perform(client, "PATCH", path, "{}", &body, err);
    cJSON_Delete(body);
    return rc;
}
