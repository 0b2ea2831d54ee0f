#include "jobmanager/rest/request.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "jobmanager/rest/rest.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* In place. false: a bad escape, or one of a byte that no name contains. */
static bool decode(char *text, bool plus_is_space)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '%') {
            int high = hex_digit(from[1]);
            int low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0 || high * 16 + low < 0x20)
                return false;
            *to++ = (char)(high * 16 + low);
            from += 2;
        } else if (*from == '+' && plus_is_space) {
            *to++ = ' ';
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return true;
}

static int parse_path(char *path, struct rest_uri *uri, struct error *err)
{
    char *rest = path;
    for (char *segment; (segment = strsep(&rest, "/")) != NULL;) {
        if (*segment == '\0')
            continue;
        if (!decode(segment, false) || strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
            return error_set(err, WEIR_E_INVALID, "Bad request, the path can't be decoded.");
        if (uri->segment_count == 0 && strcmp(segment, "v1") == 0 && rest)
            continue;
        if (uri->segment_count == REST_SEGMENTS_MAX)
            return error_set(err, WEIR_E_INVALID, "Bad request, the path has more than %d parts.",
                             REST_SEGMENTS_MAX);
        uri->segments[uri->segment_count++] = segment;
    }
    return WEIR_OK;
}

static int parse_query(char *query, struct rest_uri *uri, struct error *err)
{
    char *rest = query;
    for (char *pair; (pair = strsep(&rest, "&")) != NULL;) {
        if (*pair == '\0')
            continue;
        if (uri->query_count == REST_QUERY_MAX)
            return error_set(err, WEIR_E_INVALID, "Bad request, there are more than %d query parameters.",
                             REST_QUERY_MAX);
        char *value = strchr(pair, '=');
        if (value)
            *value++ = '\0';
        else
            value = pair + strlen(pair);
        if (!decode(pair, true) || !decode(value, true))
            return error_set(err, WEIR_E_INVALID, "Bad request, a query parameter can't be decoded.");
        uri->queries[uri->query_count++] = (struct rest_query){.name = pair, .value = value};
    }
    return WEIR_OK;
}

int rest_uri_parse(const char *target, struct rest_uri *ret_uri, struct error *err)
{
    size_t length = strlen(target);
    if (length > REST_URI_MAX_BYTES)
        return error_set(err, WEIR_E_INVALID, "Bad request, the request target has more than %d bytes.",
                         REST_URI_MAX_BYTES);
    struct rest_uri uri = {.text = xstrndup(target, length)};
    char *fragment = strchr(uri.text, '#');
    if (fragment)
        *fragment = '\0';
    char *query = strchr(uri.text, '?');
    if (query)
        *query++ = '\0';
    int rc = parse_path(uri.text, &uri, err);
    if (rc == WEIR_OK && query)
        rc = parse_query(query, &uri, err);
    if (rc) {
        free(uri.text);
        return rc;
    }
    *ret_uri = uri;
    return WEIR_OK;
}

void rest_uri_free(struct rest_uri *uri)
{
    free(uri->text);
    uri->text = NULL;
}

const char *rest_uri_query(const struct rest_uri *uri, const char *name)
{
    for (size_t i = 0; i < uri->query_count; i++)
        if (strcmp(uri->queries[i].name, name) == 0)
            return uri->queries[i].value;
    return NULL;
}
