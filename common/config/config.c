#include "common/config/config.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/vec.h"
#include "common/config/table.h"
#include "common/config/value.h"

enum { VALUE_MAX_BYTES = 8192, KEY_MAX_BYTES = 512, GIVEN_MAX = 10000 };
static const char logger[] = "weir.configuration.Configuration";

const struct option_row option_table[OPT_COUNT] = {
#define OPTION(id_, key_, aliases_, type_, default_, allowed_, description_)                                 \
    [OPT_##id_] = {key_, aliases_, OPTION_##type_, default_, allowed_, description_},
#include "common/config/options.def"
#undef OPTION
};

struct slot {
    char *text; /* owned; NULL: nothing given and no default */
    union option_number number;
    bool given;
};

struct given {
    char *key, *value;
};

struct config {
    struct slot slots[OPT_COUNT];
    struct vec_of(struct given) given;
};

static void slot_set(struct slot *slot, const char *text, union option_number number, bool is_given)
{
    free(slot->text);
    slot->text = xstrdup(text);
    slot->number = number;
    slot->given = is_given;
}

struct config *config_new(void)
{
    struct config *config = xcalloc(1, sizeof *config);
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_row *row = &option_table[i];
        union option_number number;
        if (!row->default_value)
            continue;
        int rc = value_parse(row->type, row->allowed, row->default_value, &number, NULL);
        assert(rc == WEIR_OK);
        (void)rc;
        slot_set(&config->slots[i], row->default_value, number, false);
    }
    return config;
}

struct config *config_copy(const struct config *config)
{
    struct config *copy = xcalloc(1, sizeof *copy);
    for (int i = 0; i < OPT_COUNT; i++)
        if (config->slots[i].text)
            slot_set(&copy->slots[i], config->slots[i].text, config->slots[i].number, config->slots[i].given);
    vec_for_each (item, &config->given)
        vec_push(&copy->given, (struct given){xstrdup(item->key), xstrdup(item->value)});
    return copy;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (int i = 0; i < OPT_COUNT; i++)
        free(config->slots[i].text);
    vec_for_each (item, &config->given) {
        free(item->key);
        free(item->value);
    }
    vec_free(&config->given);
    free(config);
}

static bool is_alias(const char *aliases, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = aliases; *at;) {
        size_t word = strcspn(at, ",");
        if (word == length && memcmp(at, key, word) == 0)
            return true;
        at += word + (at[word] == ',');
    }
    return false;
}

static int find_option(const char *key)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (strcmp(option_table[i].key, key) == 0 || is_alias(option_table[i].aliases, key))
            return i;
    return -1;
}

static void remember(struct config *config, const char *key, const char *value)
{
    vec_for_each (item, &config->given)
        if (strcmp(item->key, key) == 0) {
            free(item->value);
            item->value = xstrdup(value);
            return;
        }
    vec_push(&config->given, (struct given){xstrdup(key), xstrdup(value)});
}

static char *trimmed(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    return xstrndup(text, length);
}

/* A word is kept as the table spells it, so that whoever reads it compares one spelling. */
static void set_option(struct config *config, int id, const char *text, union option_number number)
{
    const struct option_row *row = &option_table[id];
    size_t length;
    const char *word = row->type == OPTION_ENUM ? value_word(row->allowed, text, &length) : NULL;
    char *spelled = word ? xstrndup(word, length) : xstrdup(text);
    slot_set(&config->slots[id], spelled, number, true);
    free(spelled);
}

int config_set(struct config *config, const char *key, const char *value, const char *where,
               struct error *err)
{
    if (strlen(key) > KEY_MAX_BYTES || strlen(value) > VALUE_MAX_BYTES || config->given.count >= GIVEN_MAX)
        return error_set(err, WEIR_E_LIMIT, "%s: key '%.80s' or its value is too long, or there are too many",
                         where, key);
    char *text = trimmed(value);
    int id = find_option(key);
    int rc = WEIR_OK;
    if (id < 0) {
        log_warn(logger, "%s: unknown configuration key '%s' is ignored", where, key);
    } else {
        union option_number number;
        struct error why = {0};
        rc = value_parse(option_table[id].type, option_table[id].allowed, text, &number, &why);
        if (rc == WEIR_OK)
            set_option(config, id, text, number);
        else
            error_set(err, rc, "%s: %s: '%.200s' %s", where, key, text, why.message);
    }
    if (rc == WEIR_OK)
        remember(config, id < 0 ? key : option_table[id].key, text);
    free(text);
    return rc;
}

static int apply_override(struct config *config, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return error_set(err, WEIR_E_INVALID, "-D %s: use -D key=value", text);
    char *key = xstrndup(text, (size_t)(equals - text));
    int rc = config_set(config, key, equals + 1, "-D", err);
    free(key);
    return rc;
}

/* What no value can be wrong about by itself. */
static int check_together(const struct config *config, struct error *err)
{
    int64_t interval_ms = config_duration_ms(config, OPT_HEARTBEAT_INTERVAL);
    int64_t timeout_ms = config_duration_ms(config, OPT_HEARTBEAT_TIMEOUT);
    if (interval_ms >= timeout_ms)
        return error_set(err, WEIR_E_INVALID,
                         "heartbeat.interval (%lld ms) must be less than heartbeat.timeout (%lld ms)",
                         (long long)interval_ms, (long long)timeout_ms);
    return WEIR_OK;
}

int config_load(const char *directory, const char *const *overrides, size_t override_count,
                struct config **ret_config, struct error *err)
{
    bool chosen = directory != NULL;
    if (!directory)
        directory = getenv("WEIR_CONF_DIR");
    struct config *config = config_new();
    int rc = WEIR_OK;
    if (directory && *directory) {
        char *path = xasprintf("%s/config.yaml", directory);
        if (access(path, F_OK) == 0)
            rc = config_load_file(config, path, err);
        else if (chosen)
            rc = error_set(err, WEIR_E_NOT_FOUND, "there is no %s", path);
        free(path);
    }
    for (size_t i = 0; rc == WEIR_OK && i < override_count; i++)
        rc = apply_override(config, overrides[i], err);
    if (rc == WEIR_OK)
        rc = check_together(config, err);
    if (rc != WEIR_OK)
        config_free(config);
    else
        *ret_config = config;
    return rc;
}

/* ---- reading ---- */

static const struct slot *slot_of(const struct config *config, enum option_id id, enum option_type type)
{
    assert((unsigned)id < OPT_COUNT);
    assert(option_table[id].type == type);
    (void)type;
    return &config->slots[id];
}

bool config_is_set(const struct config *config, enum option_id id)
{
    return config->slots[id].given;
}

bool config_has(const struct config *config, enum option_id id)
{
    return config->slots[id].text != NULL;
}

const char *config_string(const struct config *config, enum option_id id)
{
    assert(option_table[id].type == OPTION_STRING || option_table[id].type == OPTION_ENUM);
    return config->slots[id].text;
}

int64_t config_integer(const struct config *config, enum option_id id)
{
    return slot_of(config, id, OPTION_INTEGER)->number.integer;
}

double config_double(const struct config *config, enum option_id id)
{
    return slot_of(config, id, OPTION_DOUBLE)->number.real;
}

bool config_boolean(const struct config *config, enum option_id id)
{
    return slot_of(config, id, OPTION_BOOLEAN)->number.integer != 0;
}

int64_t config_duration_ms(const struct config *config, enum option_id id)
{
    return slot_of(config, id, OPTION_DURATION)->number.integer;
}

int64_t config_memory_bytes(const struct config *config, enum option_id id)
{
    return slot_of(config, id, OPTION_MEMORY)->number.integer;
}

size_t config_given_count(const struct config *config)
{
    return config->given.count;
}

void config_given(const struct config *config, size_t index, const char **ret_key, const char **ret_value)
{
    assert(index < config->given.count);
    *ret_key = config->given.items[index].key;
    *ret_value = config->given.items[index].value;
}
