/* One seed: a cluster is started, the job submitted, faults injected; then they stop, and the cluster must
 * become healthy and the output exact within a bounded virtual time. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tests/simulation/sim.h"

enum { HEAL_LIMIT_US = 120 * 1000000, FAULT_SECONDS_MAX = 20 };

static void submit(struct sim *sim, struct sim_call *call)
{
    (void)call;
    sim_jm_submit(sim);
}

static void start_tm(struct sim *sim, struct sim_call *call)
{
    if (sim->tms[call->a].process == 0)
        sim_tm_start(sim, &sim->tms[call->a]);
}

static struct config *make_config(struct sim *sim)
{
    struct config *config = config_new();
    static const char *const settings[][2] = {
        {"execution.checkpointing.dir", "file:///checkpoints"},
        {"heartbeat.interval", "1000"},
        {"heartbeat.timeout", "5000"},
        {"execution.checkpointing.timeout", "8 s"},
        {"state.storage.fs.memory-threshold", "1mb"},
        {"restart-strategy.type", "exponential-delay"},
        {"restart-strategy.exponential-delay.max-backoff", "4 s"},
    };
    struct error err = {0};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (config_set(config, settings[i][0], settings[i][1], "simulation", &err))
            sim_fail(sim, "%s", err.message);
    return config;
}

static void start(struct sim *sim, const struct sim_options *options, const weir_job_descriptor *job)
{
    *sim = (struct sim){.options = *options, .descriptor = job, .now_us = INT64_C(1000000000) * 1000};
    random_init(&sim->random, options->seed);
    sim->config = make_config(sim);
    sim_kafka_init(&sim->kafka, sim);
    sim_jm_start(sim);
    sim->parallelism = (uint32_t)sim_between(sim, 1, 4);
    sim->tm_count = (uint32_t)sim_between(sim, 2, 4);
    uint32_t slots_left = sim->parallelism + (uint32_t)sim_between(sim, 0, 3);
    for (uint32_t i = 0; i < sim->tm_count; i++) {
        sim->tms[i].index = i;
        sim->tms[i].slots = i + 1 == sim->tm_count || slots_left == 0
                                ? (slots_left > 0 ? slots_left : 1)
                                : (uint32_t)sim_between(sim, 1, slots_left);
        slots_left -= sim->tms[i].slots < slots_left ? sim->tms[i].slots : slots_left;
        sim_after(sim, sim_between(sim, 0, 3000000), 0, start_tm, (struct sim_call){.a = i}, NULL);
    }
    sim_after(sim, sim_between(sim, 100000, 2000000), 0, submit, (struct sim_call){0}, NULL);
    sim_generator_start(sim);
    if (options->faults)
        sim_faults_start(sim);
}

static void stop(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->tm_count; i++)
        sim_tm_kill(sim, &sim->tms[i]);
    sim_jm_stop(sim);
    sim_events_free(sim);
    sim_kafka_deinit(&sim->kafka);
    sim_disk_deinit(&sim->disk);
    vec_free(&sim->acks);
    config_free(sim->config);
}

static bool job_is_running(struct sim *sim, struct job_view *ret_view)
{
    int32_t index = core_find_job(sim->core, &sim->job);
    if (index < 0)
        return false;
    core_view_job(sim->core, (uint32_t)index, ret_view);
    return ret_view->state == JOB_RUNNING &&
           ret_view->tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING] == ret_view->tasks_total;
}

/* What each step must leave true, as the core sees it. */
static void check_job(struct sim *sim)
{
    struct job_view view;
    int32_t index = sim->submitted ? core_find_job(sim->core, &sim->job) : -1;
    if (!sim->submitted)
        return;
    if (index < 0) {
        sim_fail(sim, "the job is gone");
        return;
    }
    core_view_job(sim->core, (uint32_t)index, &view);
    if (job_state_is_terminal(view.state)) {
        struct exception_view why = {.message = "no exception"};
        if (view.exception_count > 0)
            core_view_exception(sim->core, (uint32_t)index, 0, &why);
        sim_fail(sim, "the job ended as %s: %s", job_state_name(view.state), why.message);
    }
}

int sim_run(const struct sim_options *options, const weir_job_descriptor *job, struct sim_stats *ret_stats,
            char *ret_failure, size_t failure_size)
{
    struct sim *sim = xcalloc(1, sizeof *sim);
    start(sim, options, job);
    int64_t faults_end = sim->now_us + options->virtual_seconds * 1000000;
    while (!sim->failed && sim_run_one(sim, faults_end))
        if (sim->stats.events % 64 == 0)
            check_job(sim);

    sim->healing = true;
    if (!sim->failed && options->faults &&
        sim->stats.faults < (uint64_t)options->virtual_seconds / FAULT_SECONDS_MAX)
        sim_fail(sim, "only %llu faults were injected", (unsigned long long)sim->stats.faults);
    uint64_t checkpoints_before = 0;
    struct job_view view = {0};
    int32_t index = core_find_job(sim->core, &sim->job);
    if (index >= 0) {
        core_view_job(sim->core, (uint32_t)index, &view);
        checkpoints_before = view.checkpoints.completed;
    }
    bool healthy = false;
    int64_t heal_end = sim->now_us + HEAL_LIMIT_US;
    for (int64_t at = sim->now_us; !sim->failed && !healthy && at < heal_end; at += 500000) {
        while (!sim->failed && sim_run_one(sim, at)) {
        }
        healthy = job_is_running(sim, &view) && view.checkpoints.completed > checkpoints_before &&
                  sim_audit_complete(sim, false);
    }
    check_job(sim);
    if (!sim->failed && !healthy) {
        job_is_running(sim, &view);
        sim_audit_complete(sim, true);
        sim_fail(sim, "not healthy after %d virtual seconds without faults: job %s, %u of %u tasks running",
                 (int)(HEAL_LIMIT_US / 1000000), job_state_name(view.state),
                 view.tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], view.tasks_total);
    }
    if (!sim->failed)
        sim_audit_complete(sim, true);
    sim->stats.restarts = view.restarts;
    sim->stats.checkpoints = view.checkpoints.completed;
    *ret_stats = sim->stats;
    snprintf(ret_failure, failure_size, "%s", sim->failure);
    int rc = sim->failed ? 1 : 0;
    stop(sim);
    free(sim);
    return rc;
}
