#include "jobmanager/shell/file_lanes.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/storage/storage.h"

struct file_work {
    uv_work_t request;
    struct file_lane *lane;
    struct file_work *next;
    struct file_result result;
    char *path;                       /* owned */
    Weir__SnapshotMetadata *metadata; /* owned */
    /* Written on the pool's thread: */
    char *local_path;                 /* owned */
    Weir__SnapshotMetadata *snapshot; /* owned */
    struct error err;
};

struct file_lane { /* of one job, as long as it has work */
    struct file_lanes *lanes;
    struct weir_id job;
    struct file_work *first; /* under way */
    struct file_work *last;
    struct file_lane *next;
};

struct file_lanes {
    uv_loop_t *loop;
    file_done_fn *done;
    void *self;
    struct file_lane *first;
};

struct file_lanes *file_lanes_new(uv_loop_t *loop, file_done_fn *done, void *self)
{
    struct file_lanes *lanes = xcalloc(1, sizeof *lanes);
    lanes->loop = loop;
    lanes->done = done;
    lanes->self = self;
    return lanes;
}

void file_lanes_free(struct file_lanes *lanes)
{
    free(lanes);
}

bool file_lanes_is_idle(const struct file_lanes *lanes)
{
    return lanes->first == NULL;
}

/* A checkpoint may be named by its directory or by the _metadata file in it. */
static void strip_metadata_name(char *path)
{
    static const char name[] = "/_metadata";
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    if (length > sizeof name - 1 && strcmp(path + length - (sizeof name - 1), name) == 0)
        path[length - (sizeof name - 1)] = '\0';
}

/* All bytes of its state: whoever starts from it hears of damage before the job is started. */
static int check_states(const char *directory, const Weir__SnapshotMetadata *snapshot, struct error *err)
{
    for (size_t i = 0; i < snapshot->n_operators; i++) {
        const Weir__OperatorState *state = snapshot->operators[i];
        for (size_t k = 0; k < state->n_keyed; k++) {
            void *data = NULL;
            size_t size;
            int rc = state->keyed[k]->handle
                         ? state_handle_read(directory, state->keyed[k]->handle, &data, &size, err)
                         : error_set(err, WEIR_E_CORRUPT, "it has no handle");
            free(data);
            if (rc != WEIR_OK)
                return error_wrap(err, "operator uid '%s', state of key group %u", state->uid,
                                  state->keyed[k]->key_group);
        }
    }
    return WEIR_OK;
}

/* What is no savepoint stays: a wrong path must not delete anything. */
static int dispose(struct file_work *work)
{
    int rc = snapshot_metadata_read(work->local_path, &work->snapshot, &work->err);
    if (rc == WEIR_OK && !work->snapshot->savepoint)
        rc = error_set(&work->err, WEIR_E_INVALID, "%s is a checkpoint, not a savepoint: jobs delete theirs",
                       work->local_path);
    return rc == WEIR_OK ? storage_delete_tree(work->local_path, &work->err) : rc;
}

static void on_pool(uv_work_t *request)
{
    struct file_work *work = request->data;
    int rc = storage_local_path(work->path, &work->local_path, &work->err);
    if (rc == WEIR_OK) {
        switch (work->result.kind) {
        case COMMAND_CREATE_DIRECTORY:
            rc = storage_create_directory(work->local_path, &work->err);
            break;
        case COMMAND_PERSIST_METADATA:
            rc = snapshot_metadata_write(work->local_path, work->metadata, &work->result.metadata_bytes,
                                         &work->err);
            break;
        case COMMAND_DELETE_DIRECTORY:
            rc = storage_delete_tree(work->local_path, &work->err);
            break;
        case COMMAND_LOAD_SNAPSHOT:
            strip_metadata_name(work->local_path);
            rc = snapshot_metadata_read(work->local_path, &work->snapshot, &work->err);
            if (rc == WEIR_OK)
                rc = check_states(work->local_path, work->snapshot, &work->err);
            break;
        case COMMAND_DISPOSE_SAVEPOINT:
            strip_metadata_name(work->local_path);
            rc = dispose(work);
            break;
        default:
            rc = error_set(&work->err, WEIR_E_INTERNAL, "command %d is no file work", (int)work->result.kind);
        }
    }
    work->result.rc = rc;
}

static void work_free(struct file_work *work)
{
    if (work->metadata)
        weir__snapshot_metadata__free_unpacked(work->metadata, NULL);
    if (work->snapshot)
        weir__snapshot_metadata__free_unpacked(work->snapshot, NULL);
    free(work->path);
    free(work->local_path);
    free(work);
}

static void on_loop(uv_work_t *request, int status);

static void start_first(struct file_lane *lane)
{
    lane->first->request.data = lane->first;
    uv_queue_work(lane->lanes->loop, &lane->first->request, on_pool, on_loop);
}

static void lane_remove(struct file_lane *lane)
{
    struct file_lane **link = &lane->lanes->first;
    while (*link != lane)
        link = &(*link)->next;
    *link = lane->next;
    free(lane);
}

static void on_loop(uv_work_t *request, int status)
{
    (void)status;
    struct file_work *work = request->data;
    struct file_lane *lane = work->lane;
    struct file_lanes *lanes = lane->lanes;
    lane->first = work->next;
    if (lane->first)
        start_first(lane);
    else
        lane_remove(lane);
    work->result.path =
        work->result.kind == COMMAND_LOAD_SNAPSHOT && work->local_path ? work->local_path : work->path;
    work->result.message = work->result.rc ? work->err.message : NULL;
    work->result.snapshot = work->snapshot;
    lanes->done(lanes->self, &work->result);
    work_free(work);
}

static struct file_lane *lane_of(struct file_lanes *lanes, const struct weir_id *job)
{
    struct file_lane *lane;
    for (lane = lanes->first; lane; lane = lane->next)
        if (weir_id_equal(&lane->job, job))
            return lane;
    lane = xcalloc(1, sizeof *lane);
    lane->lanes = lanes;
    lane->job = *job;
    lane->next = lanes->first;
    lanes->first = lane;
    return lane;
}

void file_lanes_add(struct file_lanes *lanes, struct core_command *command)
{
    struct file_lane *lane = lane_of(lanes, &command->job);
    struct file_work *work = xcalloc(1, sizeof *work);
    work->lane = lane;
    work->result = (struct file_result){.kind = command->kind,
                                        .job = command->job,
                                        .request = command->request,
                                        .checkpoint_id = command->checkpoint_id};
    work->path = command->text ? command->text : xstrdup("");
    work->metadata = command->metadata;
    command->text = NULL;
    command->metadata = NULL;
    if (lane->first) {
        lane->last->next = work;
        lane->last = work;
    } else {
        lane->first = lane->last = work;
        start_first(lane);
    }
}
