/* A request target taken apart: decoded path segments and query parameters. */
#ifndef WEIR_REST_REQUEST_H
#define WEIR_REST_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

enum { REST_SEGMENTS_MAX = 16, REST_QUERY_MAX = 32 };

struct rest_query {
    const char *name;
    const char *value;
};

struct rest_uri {
    char *text; /* owned; segments and queries point into it */
    size_t segment_count;
    const char *segments[REST_SEGMENTS_MAX]; /* without a leading "v1" */
    size_t query_count;
    struct rest_query queries[REST_QUERY_MAX];
};

/* "/v1/jobs/a%20b?x=1&y" -> jobs, "a b"; x = "1", y = "". WEIR_E_INVALID: a bad escape, an escaped NUL, "."
 * or "..", too many parts. */
int rest_uri_parse(const char *target, struct rest_uri *ret_uri, struct error *err) WEIR_CHECK;
void rest_uri_free(struct rest_uri *uri);
/* NULL: not there. */
const char *rest_uri_query(const struct rest_uri *uri, const char *name);

#endif
