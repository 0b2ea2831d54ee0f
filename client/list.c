/* weir list: jobs by state, from one GET of /jobs/overview. */
#include "client/client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "client/rest_client.h"

struct job {
    const char *id;
    const char *name;
    const char *state;
    int64_t start_ms;
};
struct jobs vec_of(struct job);

static int parse_jobs(const cJSON *overview, struct jobs *ret_jobs, struct error *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(overview, "jobs");
    const cJSON *item;
    struct jobs jobs = {0};
    cJSON_ArrayForEach(item, array)
    {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, "jid");
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
        const cJSON *state = cJSON_GetObjectItemCaseSensitive(item, "state");
        const cJSON *start = cJSON_GetObjectItemCaseSensitive(item, "start-time");
        if (!cJSON_IsString(id) || !cJSON_IsString(name) || !cJSON_IsString(state) ||
            !cJSON_IsNumber(start)) {
            vec_free(&jobs);
            return error_set(err, WEIR_E_IO,
                             "An entry of the job list lacks jid, name, state or start-time.");
        }
        vec_push(&jobs, (struct job){.id = id->valuestring,
                                     .name = name->valuestring,
                                     .state = state->valuestring,
                                     .start_ms = (int64_t)start->valuedouble});
    }
    if (!cJSON_IsArray(array))
        return error_set(err, WEIR_E_IO, "The answer has no list of jobs.");
    *ret_jobs = jobs;
    return WEIR_OK;
}

static bool is_terminated(const struct job *job)
{
    return strcmp(job->state, "FINISHED") == 0 || strcmp(job->state, "CANCELED") == 0 ||
           strcmp(job->state, "FAILED") == 0;
}

static bool is_scheduled(const struct job *job)
{
    return strcmp(job->state, "CREATED") == 0 || strcmp(job->state, "INITIALIZING") == 0;
}

static bool is_running(const struct job *job)
{
    return !is_terminated(job) && !is_scheduled(job);
}

/* By start time; those of one moment by state. */
static int compare_jobs(const void *a, const void *b)
{
    const struct job *left = a;
    const struct job *right = b;
    if (left->start_ms != right->start_ms)
        return left->start_ms < right->start_ms ? -1 : 1;
    int by_state = strcasecmp(left->state, right->state);
    return by_state ? by_state : strcmp(left->id, right->id);
}

static void print_block(FILE *out, const struct jobs *jobs, bool (*belongs)(const struct job *),
                        const char *header, const char *none)
{
    size_t count = 0;
    vec_for_each (job, jobs) {
        if (!belongs(job))
            continue;
        if (count++ == 0)
            fprintf(out, "%s\n", header);
        time_t seconds = (time_t)(job->start_ms / 1000);
        struct tm local;
        char date[32];
        localtime_r(&seconds, &local);
        strftime(date, sizeof date, "%d.%m.%Y %H:%M:%S", &local);
        fprintf(out, "%s : %s : %s (%s)\n", date, job->id, job->name, job->state);
    }
    if (count > 0)
        fprintf(out, "--------------------------------------------------------------\n");
    else if (none)
        fprintf(out, "%s\n", none);
}

int list_print(FILE *out, const cJSON *overview, bool running, bool scheduled, bool terminated,
               struct error *err)
{
    struct jobs jobs = {0};
    int rc = parse_jobs(overview, &jobs, err);
    if (rc)
        return rc;
    if (jobs.count > 0)
        qsort(jobs.items, jobs.count, sizeof *jobs.items, compare_jobs);
    if (running)
        print_block(out, &jobs, is_running, "------------------ Running/Restarting Jobs -------------------",
                    "No running jobs.");
    if (scheduled)
        print_block(out, &jobs, is_scheduled,
                    "----------------------- Scheduled Jobs -----------------------", "No scheduled jobs.");
    if (terminated)
        print_block(out, &jobs, is_terminated,
                    "---------------------- Terminated Jobs -----------------------", NULL);
    vec_free(&jobs);
    return WEIR_OK;
}

static int retrieve(const char *address, cJSON **ret_overview, struct error *err)
{
    struct rest_client *client = rest_client_new(address);
    int rc = rest_client_get(client, "/jobs/overview", ret_overview, err);
    rest_client_free(client);
    return rc;
}

int action_list(const struct options *options)
{
    struct error err;
    struct config *config;
    char *address;
    cJSON *overview;
    if (client_config_load(options, &config, &err) != 0)
        return fail_with("%s", err.message);
    int rc = client_rest_address(options, config, &address, &err);
    config_free(config);
    if (rc)
        return fail_arguments("%s", err.message);
    printf("Waiting for response...\n");
    fflush(stdout);
    rc = retrieve(address, &overview, &err);
    free(address);
    if (rc)
        return fail_with("Failed to retrieve job list. %s", err.message);
    bool both = !options->running && !options->scheduled;
    rc = list_print(stdout, overview, options->all || both || options->running,
                    options->all || both || options->scheduled, options->all, &err);
    cJSON_Delete(overview);
    return rc ? fail_with("Failed to retrieve job list. %s", err.message) : 0;
}
