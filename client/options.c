#include "client/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum option_key {
    KEY_HELP,
    KEY_JOBMANAGER,
    KEY_PROPERTY,
    KEY_DETACHED,
    KEY_PARALLELISM,
    KEY_FROM_SAVEPOINT,
    KEY_ALLOW_NON_RESTORED,
    KEY_ALL,
    KEY_RUNNING,
    KEY_SCHEDULED,
    KEY_DISPOSE,
    KEY_DRAIN,
    KEY_SAVEPOINT_PATH,
    KEY_TYPE,
    KEY_FULL
};

enum {
    FOR_RUN = 1 << ACTION_RUN,
    FOR_LIST = 1 << ACTION_LIST,
    FOR_CANCEL = 1 << ACTION_CANCEL,
    FOR_SAVEPOINT = 1 << ACTION_SAVEPOINT,
    FOR_STOP = 1 << ACTION_STOP,
    FOR_CHECKPOINT = 1 << ACTION_CHECKPOINT,
    FOR_ALL = (1 << ACTION_COUNT) - 1
};

static const struct option_spec {
    enum option_key key;
    const char *short_name;
    const char *long_name; /* NULL: none */
    bool has_value;
    int actions;
} specs[] = {
    {KEY_HELP, "h", "help", false, FOR_ALL},
    {KEY_JOBMANAGER, "m", "jobmanager", true, FOR_ALL},
    {KEY_PROPERTY, "D", NULL, true, FOR_ALL},
    {KEY_DETACHED, "d", "detached", false, FOR_RUN},
    /* Before "d": in Flink -detached is a word of its own there. */
    {KEY_DETACHED, "detached", "detached", false, FOR_SAVEPOINT | FOR_STOP},
    {KEY_DRAIN, "d", "drain", false, FOR_STOP},
    {KEY_SAVEPOINT_PATH, "p", "savepointPath", true, FOR_STOP},
    {KEY_DISPOSE, "d", "dispose", true, FOR_SAVEPOINT},
    {KEY_TYPE, "type", "type", true, FOR_SAVEPOINT | FOR_STOP},
    {KEY_FULL, "full", "full", false, FOR_CHECKPOINT},
    {KEY_PARALLELISM, "p", "parallelism", true, FOR_RUN},
    {KEY_FROM_SAVEPOINT, "s", "fromSavepoint", true, FOR_RUN},
    {KEY_ALLOW_NON_RESTORED, "n", "allowNonRestoredState", false, FOR_RUN},
    {KEY_ALL, "a", "all", false, FOR_LIST},
    {KEY_RUNNING, "r", "running", false, FOR_LIST},
    {KEY_SCHEDULED, "s", "scheduled", false, FOR_LIST},
};

bool action_parse(const char *name, enum action *ret_action)
{
    static const char *const names[ACTION_COUNT] = {"run",       "list", "cancel",
                                                    "savepoint", "stop", "checkpoint"};
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_action = (enum action)i;
            return true;
        }
    return false;
}

/* Does the word name this option? *ret_value: what follows the name in the same word, NULL if nothing does.
 */
static bool spec_matches(const struct option_spec *spec, const char *word, const char **ret_value)
{
    *ret_value = NULL;
    bool is_long = word[1] == '-';
    const char *name = word + 1 + is_long;
    /* As in Flink's parser, a long name may have one dash. */
    size_t length = spec->long_name ? strlen(spec->long_name) : 0;
    if (length > 0 && strncmp(name, spec->long_name, length) == 0 &&
        (name[length] == '\0' || name[length] == '=')) {
        *ret_value = name[length] == '=' ? name + length + 1 : NULL;
        return true;
    }
    length = strlen(spec->short_name);
    if (is_long || strncmp(name, spec->short_name, length) != 0 || (name[length] != '\0' && !spec->has_value))
        return false;
    if (name[length] != '\0')
        *ret_value = name + length + (name[length] == '=');
    return true;
}

static const struct option_spec *find_spec(enum action action, const char *word, const char **ret_value)
{
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        if ((specs[i].actions & (1 << action)) && spec_matches(&specs[i], word, ret_value))
            return &specs[i];
    return NULL;
}

static int parse_parallelism(const char *text, uint32_t *ret_parallelism, struct error *err)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value == 0)
        return error_set(err, WEIR_E_INVALID, "The parallelism must be a positive number: %s", text);
    if (value > 32768)
        return error_set(err, WEIR_E_INVALID, "The parallelism must not be larger than 32768: %s", text);
    *ret_parallelism = (uint32_t)value;
    return WEIR_OK;
}

static int parse_format(const char *text, const char **ret_format, struct error *err)
{
    if (strcasecmp(text, "canonical") != 0 && strcasecmp(text, "native") != 0)
        return error_set(err, WEIR_E_INVALID, "The savepoint's type must be canonical or native, not %s",
                         text);
    *ret_format = strcasecmp(text, "native") == 0 ? "NATIVE" : "CANONICAL";
    return WEIR_OK;
}

static int apply(struct options *options, enum option_key key, const char *value, struct error *err)
{
    switch (key) {
    case KEY_HELP:
        options->help = true;
        break;
    case KEY_JOBMANAGER:
        options->jobmanager = value;
        break;
    case KEY_PROPERTY:
        if (!strchr(value, '=') || *value == '=')
            return error_set(err, WEIR_E_INVALID, "The option -D needs <property=value>, not %s", value);
        vec_push(&options->overrides, value);
        break;
    case KEY_DETACHED:
        options->detached = true;
        break;
    case KEY_PARALLELISM:
        return parse_parallelism(value, &options->parallelism, err);
    case KEY_FROM_SAVEPOINT:
        options->restore_path = value;
        break;
    case KEY_ALLOW_NON_RESTORED:
        options->allow_non_restored_state = true;
        break;
    case KEY_DISPOSE:
        options->dispose_path = value;
        break;
    case KEY_DRAIN:
        options->drain = true;
        break;
    case KEY_SAVEPOINT_PATH:
        options->savepoint_path = value;
        break;
    case KEY_TYPE:
        return parse_format(value, &options->format, err);
    case KEY_FULL:
        options->full = true;
        break;
    case KEY_ALL:
        options->all = true;
        break;
    case KEY_RUNNING:
        options->running = true;
        break;
    case KEY_SCHEDULED:
        options->scheduled = true;
        break;
    }
    return WEIR_OK;
}

/* One option, with its value from the next word if it needs one. */
static int parse_option(struct options *options, int argc, char **argv, int *index, struct error *err)
{
    const char *value;
    const char *word = argv[*index];
    const struct option_spec *spec = find_spec(options->action, word, &value);
    if (!spec || (value && !spec->has_value))
        return error_set(err, WEIR_E_INVALID, "Unrecognized option: %s", word);
    if (spec->has_value && !value) {
        if (*index + 1 >= argc)
            return error_set(err, WEIR_E_INVALID, "Missing argument for option: %s", spec->short_name);
        value = argv[++*index];
    }
    return apply(options, spec->key, value, err);
}

int options_parse(enum action action, int argc, char **argv, struct options *ret_options, struct error *err)
{
    struct options options = {.action = action};
    bool stop_at_argument = action == ACTION_RUN; /* what follows the job's file is the job's */
    int kept = 0;
    int i = 0;
    int rc = WEIR_OK;
    for (; i < argc && rc == WEIR_OK; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][0] == '-' && argv[i][1] != '\0')
            rc = parse_option(&options, argc, argv, &i, err);
        else if (stop_at_argument)
            break;
        else
            argv[kept++] = argv[i];
    }
    if (rc) {
        options_free(&options);
        return rc;
    }
    while (i < argc)
        argv[kept++] = argv[i++];
    options.argument_count = kept;
    options.arguments = argv;
    argv[kept] = NULL;
    *ret_options = options;
    return WEIR_OK;
}

void options_free(struct options *options)
{
    vec_free(&options->overrides);
}
