/* config.yaml by libyaml's event parser: maps are flattened to dotted keys, lists to values joined by
 * semicolons.
 *
 * Possible failure modes: not YAML (file, line, libyaml's reason); anchors, tags, several documents, deep
 * nesting, a huge file: all refused, so that no document can grow while it is read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "common/config/config.h"

enum { DEPTH_MAX = 16, FILE_MAX_BYTES = 1 << 20, KEY_MAX_BYTES = 512, LIST_MAX_BYTES = 8000 };

struct level {
    size_t prefix_length; /* of the key before this map's keys */
    bool in_list;
    bool have_key; /* in a map: the next event is the key's value */
};

struct loader {
    struct config *config;
    const char *path;
    struct strbuf key;  /* dotted, of the value to come */
    struct strbuf list; /* values of the list so far */
    struct level levels[DEPTH_MAX];
    int depth;
    int documents;
};

static int fail(const struct loader *loader, const yaml_mark_t *mark, struct error *err, const char *what)
{
    return error_set(err, WEIR_E_INVALID, "%s:%zu: %s", loader->path, mark->line + 1, what);
}

static struct level *top(struct loader *loader)
{
    return &loader->levels[loader->depth - 1];
}

static void value_done(struct loader *loader)
{
    if (loader->depth == 0)
        return;
    struct level *level = top(loader);
    if (level->in_list)
        return;
    level->have_key = false;
    loader->key.size = level->prefix_length;
    if (loader->key.data)
        loader->key.data[level->prefix_length] = '\0';
}

static int set(struct loader *loader, const yaml_mark_t *mark, const char *value, struct error *err)
{
    char *where = xasprintf("%s:%zu", loader->path, mark->line + 1);
    int rc = config_set(loader->config, loader->key.data ? loader->key.data : "", value, where, err);
    free(where);
    return rc;
}

static int on_key(struct loader *loader, const yaml_event_t *event, struct error *err)
{
    struct level *level = top(loader);
    if (event->data.scalar.length == 0)
        return fail(loader, &event->start_mark, err, "an empty key");
    if (level->prefix_length > 0)
        strbuf_adds(&loader->key, ".");
    if (!strbuf_add(&loader->key, event->data.scalar.value, event->data.scalar.length))
        return fail(loader, &event->start_mark, err, "a key that is too long");
    level->have_key = true;
    return WEIR_OK;
}

static int on_scalar(struct loader *loader, const yaml_event_t *event, struct error *err)
{
    const char *value = (const char *)event->data.scalar.value;
    if (event->data.scalar.anchor || strlen(value) != event->data.scalar.length)
        return fail(loader, &event->start_mark, err,
                    "anchors and NUL bytes are not allowed; write the value out");
    if (loader->depth == 0)
        return value[0] ? fail(loader, &event->start_mark, err, "a map of keys and values was expected")
                        : WEIR_OK;
    struct level *level = top(loader);
    if (level->in_list) {
        if (loader->list.size > 0)
            strbuf_adds(&loader->list, ";");
        return strbuf_adds(&loader->list, value)
                   ? WEIR_OK
                   : fail(loader, &event->start_mark, err, "a list that is too long");
    }
    if (!level->have_key)
        return on_key(loader, event, err);
    bool null = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                (value[0] == '\0' || strcmp(value, "~") == 0 || strcmp(value, "null") == 0);
    int rc =
        null ? WEIR_OK : set(loader, &event->start_mark, value, err); /* "key:" alone leaves the default */
    value_done(loader);
    return rc;
}

static int on_start(struct loader *loader, const yaml_event_t *event, bool list, struct error *err)
{
    const yaml_char_t *anchor = list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    if (anchor)
        return fail(loader, &event->start_mark, err, "anchors are not allowed; write the values out");
    if (loader->depth == DEPTH_MAX)
        return fail(loader, &event->start_mark, err, "nested more than 16 levels deep");
    if (loader->depth == 0 && list)
        return fail(loader, &event->start_mark, err, "a map of keys and values was expected");
    if (loader->depth > 0 && (top(loader)->in_list || !top(loader)->have_key))
        return fail(loader, &event->start_mark, err, "a list or map is not possible here");
    loader->levels[loader->depth++] = (struct level){.prefix_length = loader->key.size, .in_list = list};
    if (list)
        strbuf_clear(&loader->list);
    return WEIR_OK;
}

static int on_end(struct loader *loader, const yaml_event_t *event, struct error *err)
{
    bool list = top(loader)->in_list;
    loader->depth--;
    int rc = WEIR_OK;
    if (list && loader->list.size > 0)
        rc = set(loader, &event->start_mark, loader->list.data, err);
    value_done(loader);
    return rc;
}

static int on_event(struct loader *loader, const yaml_event_t *event, struct error *err)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++loader->documents > 1 ? fail(loader, &event->start_mark, err,
                                              "more than one document; one file holds one configuration")
                                       : WEIR_OK;
    case YAML_ALIAS_EVENT:
        return fail(loader, &event->start_mark, err, "aliases are not allowed; write the values out");
    case YAML_SCALAR_EVENT:
        return on_scalar(loader, event, err);
    case YAML_MAPPING_START_EVENT:
        return on_start(loader, event, false, err);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(loader, event, true, err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return on_end(loader, event, err);
    default:
        return WEIR_OK;
    }
}

static int load(struct loader *loader, FILE *file, struct error *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return error_set(err, WEIR_E_NO_MEMORY, "%s: no memory for the parser", loader->path);
    yaml_parser_set_input_file(&parser, file);
    int rc = WEIR_OK;
    for (bool done = false; rc == WEIR_OK && !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            rc = error_set(err, WEIR_E_INVALID, "%s:%zu: %s%s%s", loader->path, parser.problem_mark.line + 1,
                           parser.context ? parser.context : "", parser.context ? ", " : "",
                           parser.problem ? parser.problem : "not YAML");
            break;
        }
        rc = on_event(loader, &event, err);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return rc;
}

int config_load_file(struct config *config, const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        int rc = error_set_errno(err, errno == ENOENT ? WEIR_E_NOT_FOUND : WEIR_E_IO, errno, "open %s", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    struct stat info;
    int rc;
    if (fstat(fileno(file), &info) == 0 && !S_ISREG(info.st_mode)) {
        rc = error_set(err, WEIR_E_INVALID, "%s is not a regular file", path);
    } else if (info.st_size > FILE_MAX_BYTES) {
        rc = error_set(err, WEIR_E_LIMIT, "%s has %lld bytes, the limit is %d", path, (long long)info.st_size,
                       FILE_MAX_BYTES);
    } else {
        struct loader loader = {.config = config, .path = path};
        strbuf_init(&loader.key, KEY_MAX_BYTES);
        strbuf_init(&loader.list, LIST_MAX_BYTES);
        rc = load(&loader, file, err);
        strbuf_deinit(&loader.key);
        strbuf_deinit(&loader.list);
    }
    fclose(file);
    return rc;
}
