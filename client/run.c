/* weir run: build the graph in a child, send artifact and graph, and, unless detached, follow the job to its
 * end. */
#include "client/client.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/graph_child.h"
#include "client/job_wait.h"
#include "client/rest_client.h"
#include "client/submit.h"

enum { INTERRUPTED_EXIT_CODE = 130 };

struct run {
    const struct options *options;
    struct config *config;
    struct rest_client *rest;
    char *rpc_address;
    struct graph_result built;
    struct vec_of(Weir__KeyValue *) settings; /* -D; owned with their strings */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- preparation ---- */

/* -D key=value, split; a value of a known key was checked when the configuration was loaded. */
static void split_settings(struct run *run)
{
    for (size_t i = 0; i < run->options->overrides.count; i++) {
        const char *text = run->options->overrides.items[i];
        const char *equals = strchr(text, '=');
        Weir__KeyValue *setting = xmalloc(sizeof *setting);
        weir__key_value__init(setting);
        setting->key = xstrndup(text, (size_t)(equals - text));
        setting->value = xstrdup(equals + 1);
        vec_push(&run->settings, setting);
    }
}

static int build_graph(struct run *run, struct error *err)
{
    const struct options *options = run->options;
    struct graph_request request = {
        .job_file = options->arguments[0],
        .argc = options->argument_count - 1,
        .argv = options->arguments + 1,
        .default_parallelism = options->parallelism
                                   ? options->parallelism
                                   : (uint32_t)config_integer(run->config, OPT_PARALLELISM_DEFAULT),
        .parallelism_is_given = options->parallelism != 0,
        .configuration = run->settings.items,
        .configuration_count = run->settings.count,
    };
    return graph_child_build(&request, &run->built, err);
}

/* The address that the jobmanager says over REST, unless the configuration names one and -m doesn't point
 * elsewhere. */
static int find_rpc_address(struct run *run, struct error *err)
{
    bool is_configured = config_is_set(run->config, OPT_JOBMANAGER_RPC_ADDRESS) ||
                         config_is_set(run->config, OPT_JOBMANAGER_RPC_PORT);
    if (is_configured && !run->options->jobmanager) {
        run->rpc_address = xasprintf("%s:%" PRId64, config_string(run->config, OPT_JOBMANAGER_RPC_ADDRESS),
                                     config_integer(run->config, OPT_JOBMANAGER_RPC_PORT));
        return WEIR_OK;
    }
    cJSON *body;
    int rc = rest_client_get(run->rest, "/config", &body, err);
    if (rc)
        return rc;
    const cJSON *address = cJSON_GetObjectItemCaseSensitive(body, "weir-rpc-address");
    if (cJSON_IsString(address))
        run->rpc_address = xstrdup(address->valuestring);
    else
        rc = error_set(err, WEIR_E_IO, "The jobmanager's /config names no weir-rpc-address: is it Weir's?");
    cJSON_Delete(body);
    return rc;
}

/* ---- submission ---- */

static int submit(struct run *run, struct weir_id *ret_job, struct error *err)
{
    const struct options *options = run->options;
    const char *file = options->arguments[0];
    uint8_t sha256[SHA256_BYTES];
    uint64_t bytes;
    int rc = submit_hash_file(file, sha256, &bytes, err);
    if (rc == WEIR_OK)
        rc = submit_artifact(run->rpc_address, file, sha256, bytes, err);
    if (rc)
        return rc;
    const char *slash = strrchr(file, '/');
    char *name = xstrdup(slash ? slash + 1 : file);
    char nothing[] = "";
    Weir__JobProgram program = WEIR__JOB_PROGRAM__INIT;
    Weir__SubmitJob submission = WEIR__SUBMIT_JOB__INIT;
    program.artifact_sha256.data = sha256;
    program.artifact_sha256.len = sizeof sha256;
    program.file_name = name;
    program.n_arguments = (size_t)options->argument_count - 1;
    program.arguments = options->arguments + 1;
    program.default_parallelism = run->built.parallelism;
    program.n_configuration = run->settings.count;
    program.configuration = run->settings.items;
    submission.graph = run->built.graph;
    submission.program = &program;
    submission.restore_path = options->restore_path ? xstrdup(options->restore_path) : nothing;
    submission.allow_non_restored_state = options->allow_non_restored_state;
    rc = submit_job(run->rpc_address, &submission, ret_job, err);
    if (options->restore_path)
        free(submission.restore_path);
    free(name);
    return rc;
}

/* ---- following ---- */

static int report_failure(struct run *run, const char *job)
{
    char *cause = job_root_cause(run->rest, job);
    int code = fail_with("Job with JobID %s failed.\n%s", job, cause);
    free(cause);
    return code;
}

static int follow(struct run *run, const char *job)
{
    struct error err;
    enum job_outcome outcome;
    int64_t runtime_ms;
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int rc = job_wait_end(run->rest, job, &interrupted, &outcome, &err);
    if (rc)
        return fail_with("Could not follow job %s. %s", job, err.message);
    switch (outcome) {
    case OUTCOME_INTERRUPTED:
        printf("\nJob %s goes on running. To cancel it: weir cancel%s%s %s\n", job,
               run->options->jobmanager ? " -m " : "",
               run->options->jobmanager ? run->options->jobmanager : "", job);
        return INTERRUPTED_EXIT_CODE;
    case OUTCOME_FAILED:
        return report_failure(run, job);
    case OUTCOME_CANCELED:
        return fail_with("Job was cancelled: %s.", job);
    default:
        break;
    }
    rc = job_runtime_ms(run->rest, job, &runtime_ms, &err);
    if (rc)
        return fail_with("Could not follow job %s. %s", job, err.message);
    printf("Program execution finished\n"
           "Job with JobID %s has finished.\n"
           "Job Runtime: %" PRId64 " ms\n",
           job, runtime_ms);
    return 0;
}

static int execute(struct run *run)
{
    struct error err;
    struct weir_id id;
    enum job_outcome outcome;
    char job[WEIR_ID_HEX + 1];
    if (find_rpc_address(run, &err) != 0 || submit(run, &id, &err) != 0)
        return fail_with("Failed to execute job '%s'. %s", run->built.graph->name, err.message);
    weir_id_format(&id, job);
    if (job_wait_started(run->rest, job, &outcome, &err) != 0)
        return fail_with("Failed to execute job '%s'. %s", run->built.graph->name, err.message);
    if (outcome == OUTCOME_FAILED)
        return report_failure(run, job);
    printf("Job has been submitted with JobID %s\n", job);
    fflush(stdout);
    return run->options->detached ? 0 : follow(run, job);
}

/* ---- the action ---- */

static void run_deinit(struct run *run)
{
    vec_for_each (setting, &run->settings)
        weir__key_value__free_unpacked(*setting, NULL);
    vec_free(&run->settings);
    if (run->built.graph)
        weir__job_graph__free_unpacked(run->built.graph, NULL);
    free(run->rpc_address);
    rest_client_free(run->rest);
    config_free(run->config);
}

static int check_job_file(const struct options *options)
{
    struct stat status;
    if (options->argument_count == 0)
        return fail_arguments("The program must be given by a job file (a shared object).");
    if (stat(options->arguments[0], &status) != 0)
        return fail_arguments("Could not get job file: Job file does not exist: %s", options->arguments[0]);
    if (!S_ISREG(status.st_mode))
        return fail_arguments("Could not get job file: Not a file: %s", options->arguments[0]);
    return 0;
}

int action_run(const struct options *options)
{
    struct run run = {.options = options};
    struct error err;
    char *address = NULL;
    int code = check_job_file(options);
    if (code)
        return code;
    if (client_config_load(options, &run.config, &err) != 0)
        return fail_with("%s", err.message);
    if (client_rest_address(options, run.config, &address, &err) != 0) {
        config_free(run.config);
        return fail_arguments("%s", err.message);
    }
    split_settings(&run);
    if (build_graph(&run, &err) != 0) {
        code = fail_with("%s", err.message);
    } else {
        run.rest = rest_client_new(address);
        code = execute(&run);
    }
    free(address);
    run_deinit(&run);
    return code;
}
