/* Configuration: Flink's keys, nested or flat YAML, old and new names, -D key=value on top. One option table
 * (options.def) makes parsing, --help and docs/configuration.md. */
#ifndef WEIR_CONFIG_CONFIG_H
#define WEIR_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"

enum option_type {
    OPTION_STRING,
    OPTION_INTEGER,
    OPTION_DOUBLE,
    OPTION_BOOLEAN,
    OPTION_DURATION, /* "10 s", "500ms", "1 min", "1000" (ms); kept as ms */
    OPTION_MEMORY,   /* "1728m", "32kb", "1 gb", "1024" (bytes); kept as bytes */
    OPTION_ENUM,     /* one of the words in its allowed form, any case */
};

/* options.def: OPTION(ID, "key", "alias,alias", TYPE, "default" or NULL, "allowed form or range",
 * "description") */
enum option_id {
#define OPTION(id, ...) OPT_##id,
#include "common/config/options.def"
#undef OPTION
    OPT_COUNT
};

struct config;

/* All defaults. */
struct config *config_new(void);
/* An own copy. */
struct config *config_copy(const struct config *config);
void config_free(struct config *config);
/* A YAML file. A bad value is an error naming file, line, key and the allowed form; an unknown key is a
 * warning in the log. After an error config has what stands before it in the file. */
int config_load_file(struct config *config, const char *path, struct error *err) WEIR_CHECK;
/* "key=value" of the command line, or a job's own setting; where: "-D", "job configuration" (for messages).
 */
int config_set(struct config *config, const char *key, const char *value, const char *where,
               struct error *err) WEIR_CHECK;
/* directory/config.yaml; directory: --configDir (the file must be there), else $WEIR_CONF_DIR (if there is
 * one), else none: defaults. Then each override "key=value", then values that contradict each other are
 * errors. */
int config_load(const char *directory, const char *const *overrides, size_t override_count,
                struct config **ret_config, struct error *err) WEIR_CHECK;

bool config_is_set(const struct config *config, enum option_id id); /* given, not just the default */
bool config_has(const struct config *config, enum option_id id);    /* given, or there is a default */
const char *config_string(const struct config *config,
                          enum option_id id); /* NULL: not set and no default. Also enums, spelled as in
                                                      the table. */
/* A number that is not set and has no default is 0: ask config_has first. */
int64_t config_integer(const struct config *config, enum option_id id);
double config_double(const struct config *config, enum option_id id);
bool config_boolean(const struct config *config, enum option_id id);
int64_t config_duration_ms(const struct config *config, enum option_id id);
int64_t config_memory_bytes(const struct config *config, enum option_id id);

/* Every key that was given (unknown ones included): for REST, and to hand a job's effective configuration to
 * its workers. */
size_t config_given_count(const struct config *config);
void config_given(const struct config *config, size_t index, const char **ret_key, const char **ret_value);

void config_print_help(FILE *out);     /* key, default, description: for --help */
void config_print_markdown(FILE *out); /* docs/configuration.md */

#endif
