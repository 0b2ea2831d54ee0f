/* The job graph, built by running the job's main function in a child process: a crash, an exit() or rubbish
 * in memory there stays there. */
#ifndef WEIR_CLIENT_GRAPH_CHILD_H
#define WEIR_CLIENT_GRAPH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "proto/control.pb-c.h"

struct graph_request {
    const char *job_file;
    int argc; /* the job's own arguments, without its name */
    char **argv;
    uint32_t default_parallelism;
    bool parallelism_is_given;
    Weir__KeyValue *const *configuration; /* -D; borrowed */
    size_t configuration_count;
};

struct graph_result {
    Weir__JobGraph *graph; /* owned: weir__job_graph__free_unpacked */
    uint32_t parallelism;  /* of operators that have none of their own */
};

/* Forks: call it before anything that starts threads or opens nng sockets. Waits for the child for as long as
 * it takes. What main prints goes to this process's stdout and stderr. WEIR_E_USER_CODE: it crashed or ended
 * the process; else the mistake. */
int graph_child_build(const struct graph_request *request, struct graph_result *ret_result,
                      struct error *err) WEIR_CHECK;

#endif
