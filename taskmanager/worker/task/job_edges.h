/* The channels of one job in one worker, by edge and pair of subtasks. */
#ifndef WEIR_TASK_JOB_EDGES_H
#define WEIR_TASK_JOB_EDGES_H

#include "common/base/vec.h"
#include "taskmanager/worker/task/job_runtime.h"

struct job_edges_setup {
    const Weir__DeployTasks *deployment;
    const char *worker;
    struct task_config config;
};

struct job_edge {
    uint32_t producers, consumers;
    Weir__ShipStrategy strategy;
    struct channel *
        *channels;      /* [producer × consumers + consumer]; NULL: neither side is here, or no such pair */
    bool *remote_input; /* same index */
    uint32_t key_field_count;
    uint32_t key_fields[KEY_FIELDS_MAX];
    uint32_t max_parallelism;
};

struct job_edges {
    struct job_edge *edges; /* owned, by index in the graph */
    uint32_t edge_count;
    const Weir__SubtaskLocation ***locations; /* [vertex][subtask]; owned arrays, borrowed locations */
    uint32_t vertex_count;
    struct vec_of(struct remote_channel) remotes; /* their pools are owned */
};

int job_edges_init(struct job_edges *edges, const struct job_edges_setup *setup,
                   struct error *err) WEIR_CHECK;
void job_edges_deinit(struct job_edges *edges);
/* The input of a subtask; its arrays are the caller's, who gives them to job_edges_release. */
void job_edges_input(const struct job_edges *edges, uint32_t edge, uint32_t subtask,
                     struct task_input *ret_input);
void job_edges_release(struct task_input *inputs, uint32_t count);
/* The output of a subtask; borrowed. */
void job_edges_output(const struct job_edges *edges, uint32_t edge, uint32_t subtask,
                      struct task_output *ret_output);

#endif
