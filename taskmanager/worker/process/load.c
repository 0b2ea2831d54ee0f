/* Loading the job and making its tasks. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/storage/storage.h"
#include "taskmanager/worker/connectors/librdkafka/librdkafka.h"
#include "taskmanager/worker/process/worker.h"

static int load_config(struct worker *worker, struct error *err)
{
    worker->config = config_new();
    for (size_t i = 0; i < worker->start->n_configuration; i++) {
        const Weir__KeyValue *entry = worker->start->configuration[i];
        if (config_set(worker->config, entry->key, entry->value, "job configuration", err))
            return err->rc;
    }
    enum log_level level;
    if (log_level_parse(config_string(worker->config, OPT_LOG_LEVEL), &level) == WEIR_OK)
        log_set_level(level);
    return WEIR_OK;
}

static int build_graph(struct worker *worker, struct error *err)
{
    const Weir__JobProgram *program = worker->start->program;
    int argc = (int)program->n_arguments + 1;
    char **argv =
        xcalloc((size_t)argc + 1, sizeof *argv); /* the stream may keep pointers to them: never freed */
    argv[0] = xstrdup(program->file_name);
    for (size_t i = 0; i < program->n_arguments; i++)
        argv[i + 1] = xstrdup(program->arguments[i]);
    struct stream_graph_settings settings = {
        .default_parallelism = program->default_parallelism,
        .parallelism_is_given = true,
        .configuration = program->configuration,
        .configuration_count = program->n_configuration,
    };
    return stream_graph_build(worker->library.descriptor, &settings, argc, argv, &worker->stream_graph, err);
}

int worker_load(struct worker *worker, struct error *err)
{
    Weir__JobGraph *graph = NULL;
    if (!worker->start->program)
        return error_set(err, WEIR_E_INVALID, "there is no program to load");
    if (load_config(worker, err) || job_library_open(worker->options.artifact, &worker->library, err) ||
        build_graph(worker, err) || stream_graph_to_job_graph(worker->stream_graph, &graph, err))
        return err->rc;
    uint64_t fingerprint = graph->fingerprint;
    weir__job_graph__free_unpacked(graph, NULL);
    if (fingerprint != worker->start->graph_fingerprint)
        return error_set(err, WEIR_E_USER_CODE,
                         "the job's main function is not deterministic: with the same arguments it built "
                         "another stream than "
                         "in the client; take time, randomness and environment from the arguments");
    return WEIR_OK;
}

static int read_state(void *reader, const char *restore_base, const Weir__StateHandle *handle,
                      void **ret_data, size_t *ret_size, struct error *err)
{
    (void)reader;
    char *directory = NULL;
    int rc = storage_local_path(restore_base && *restore_base ? restore_base : "/", &directory, err);
    if (rc == WEIR_OK)
        rc = state_handle_read(directory, handle, ret_data, ret_size, err);
    free(directory);
    return rc;
}

static struct waker *task_waker(void *self, uint32_t index)
{
    struct worker *worker = self;
    return &worker->threads[index].waker;
}

static int make_runtime(struct worker *worker, struct error *err)
{
    sleeper_init(&worker->sleeper);
    worker->environment = sleeper_environment(&worker->sleeper);
    struct job_runtime_setup setup = {
        .stream_graph = worker->stream_graph,
        .deployment = worker->deploy,
        .worker = worker->options.task_manager_id,
        .config = {.max_record_bytes = (uint32_t)config_memory_bytes(worker->config, OPT_MAX_RECORD_SIZE),
                   .buffer_timeout_ms = config_duration_ms(worker->config, OPT_BUFFER_TIMEOUT),
                   .buffers_per_channel = (uint32_t)config_integer(worker->config, OPT_BUFFERS_PER_CHANNEL),
                   .floating_buffers = (uint32_t)config_integer(worker->config, OPT_FLOATING_BUFFERS),
                   .checkpointing = config_has(worker->config, OPT_CHECKPOINT_INTERVAL)},
        .user_environment = &worker->environment,
        .kafka = librdkafka_provider(),
        .listener = task_messages_listener(worker),
        .task_waker = task_waker,
        .task_waker_self = worker,
        .read_state = read_state,
        .reader = worker,
    };
    return job_runtime_new(&setup, &worker->runtime, err);
}

static int connect_channels(struct worker *worker, struct error *err)
{
    uint32_t count = job_runtime_remote_count(worker->runtime);
    struct network_channel *channels = xcalloc(count, sizeof *channels);
    for (uint32_t i = 0; i < count; i++) {
        const struct remote_channel *remote = job_runtime_remote(worker->runtime, i);
        channels[i] = (struct network_channel){.channel = remote->channel,
                                               .id = remote->id,
                                               .is_output = remote->is_output,
                                               .peer_worker = remote->peer_worker,
                                               .peer_address = remote->peer_address,
                                               .pool = remote->pool};
    }
    int rc = network_connect(worker->network, channels, count, err);
    free(channels);
    return rc;
}

int worker_deploy(struct worker *worker, struct error *err)
{
    const char *directory = worker->deploy->checkpoint_dir;
    if (directory && *directory && storage_local_path(directory, &worker->checkpoint_directory, err))
        return err->rc;
    if (task_threads_prepare(worker, (uint32_t)worker->deploy->n_tasks, err) || make_runtime(worker, err) ||
        connect_channels(worker, err))
        return err->rc;
    return task_threads_start(worker, err);
}
