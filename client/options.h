/* The client's command line: weir <ACTION> [OPTIONS] [ARGUMENTS], Flink's flags. */
#ifndef WEIR_CLIENT_OPTIONS_H
#define WEIR_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/vec.h"

enum action {
    ACTION_RUN,
    ACTION_LIST,
    ACTION_CANCEL,
    ACTION_SAVEPOINT,
    ACTION_STOP,
    ACTION_CHECKPOINT,
    ACTION_COUNT
};

struct options {
    enum action action;
    bool help;
    const char *jobmanager;                /* -m host:port; NULL: by configuration */
    struct vec_of(const char *) overrides; /* -D key=value */
    /* run */
    bool detached;
    uint32_t parallelism;     /* 0: not given */
    const char *restore_path; /* NULL: start fresh */
    bool allow_non_restored_state;
    /* savepoint, stop, checkpoint */
    const char *dispose_path;   /* savepoint -d; NULL: not given */
    const char *savepoint_path; /* stop -p: target directory; NULL: the default */
    const char *format;         /* -type; NULL: canonical */
    bool drain;
    bool full;
    /* list */
    bool all, running, scheduled;
    /* what follows the options; run: the job's file and its arguments; borrowed from argv, NULL-terminated */
    int argument_count;
    char **arguments;
};

/* false: there is no such action. */
bool action_parse(const char *name, enum action *ret_action);
/* argv[0] is the first word behind the action; it is reordered for actions whose options may follow their
 * arguments. The message of an error is Flink's. */
int options_parse(enum action action, int argc, char **argv, struct options *ret_options,
                  struct error *err) WEIR_CHECK;
void options_free(struct options *options);

/* Help texts, to stdout. */
void help_print_all(void);
void help_print_action(enum action action);

#endif
