#include "tests/unit/rest_fake_core.h"

#include <stdlib.h>

const char FAKE_JOB_RUNNING[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const char FAKE_JOB_FINISHED[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const char FAKE_JOB_CANCELED[] = "cccccccccccccccccccccccccccccccc";
const char FAKE_SOURCE[] = "11111111111111111111111111111111";
const char FAKE_COUNTER[] = "22222222222222222222222222222222";

static uint8_t source_id[16], counter_id[16];
static Weir__Operator source_operator, map_operator, window_operator;
static Weir__Operator *source_operators[] = {&source_operator, &map_operator};
static Weir__Operator *counter_operators[] = {&window_operator};
static Weir__Vertex source, counter;
static Weir__Vertex *vertices[] = {&source, &counter};
static Weir__Edge edge;
static Weir__Edge *edges[] = {&edge};
static Weir__KeyValue strategy, delay, attempts;
static Weir__KeyValue *configuration[] = {&strategy, &delay, &attempts};
static Weir__JobGraph graph;
static struct core core;

static void setting(Weir__KeyValue *value, char *key, char *text)
{
    weir__key_value__init(value);
    value->key = key;
    value->value = text;
}

static void operator_init(Weir__Operator *operator, Weir__OperatorKind kind, char *name, char *description)
{
    weir__operator__init(operator);
    operator->kind = kind;
    operator->name = name;
    operator->description = description;
}

static void vertex_init(Weir__Vertex *vertex, uint8_t *id, char *name, Weir__Operator **operators,
                        size_t count)
{
    weir__vertex__init(vertex);
    vertex->id.data = id;
    vertex->id.len = 16;
    vertex->name = name;
    vertex->parallelism = 2;
    vertex->max_parallelism = 128;
    vertex->operators = operators;
    vertex->n_operators = count;
}

struct core *fake_core(void)
{
    core = (struct core){.states = {JOB_RUNNING, JOB_FINISHED, JOB_CANCELED}};
    memset(source_id, 0x11, sizeof source_id);
    memset(counter_id, 0x22, sizeof counter_id);
    operator_init(&source_operator, WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE, "Source: Clicks", "");
    operator_init(&map_operator, WEIR__OPERATOR_KIND__OPERATOR_MAP, "Map", "Map<a & \"b\">");
    operator_init(&window_operator, WEIR__OPERATOR_KIND__OPERATOR_WINDOW, "Counter", "Window(15000)");
    vertex_init(&source, source_id, "Source: Clicks -> Map", source_operators, 2);
    vertex_init(&counter, counter_id, "Counter", counter_operators, 1);
    weir__edge__init(&edge);
    edge.target = 1;
    edge.strategy = WEIR__SHIP_STRATEGY__SHIP_HASH;
    setting(&strategy, "restart-strategy.type", "fixed-delay");
    setting(&delay, "restart-strategy.fixed-delay.delay", "3 s");
    setting(&attempts, "restart-strategy.fixed-delay.attempts", "100");
    weir__job_graph__init(&graph);
    graph.name = "Click Count";
    graph.vertices = vertices;
    graph.n_vertices = 2;
    graph.edges = edges;
    graph.n_edges = 1;
    graph.configuration = configuration;
    graph.n_configuration = 3;
    return &core;
}

const char *job_state_name(enum job_state state)
{
    static const char *const names[] = {"INITIALIZING", "CREATED",    "RUNNING",    "FAILING",
                                        "FAILED",       "CANCELLING", "CANCELED",   "FINISHED",
                                        "RESTARTING",   "SUSPENDED",  "RECONCILING"};
    return names[state];
}

bool job_state_is_terminal(enum job_state state)
{
    return state == JOB_FAILED || state == JOB_CANCELED || state == JOB_FINISHED;
}

const char *task_state_name(Weir__TaskState state)
{
    static const char *const names[] = {"CREATED",  "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING",
                                        "FINISHED", "CANCELING", "CANCELED",  "FAILED"};
    return names[state];
}

void core_view_overview(const struct core *self, struct overview_view *ret_view)
{
    (void)self;
    *ret_view = (struct overview_view){.task_managers = 1,
                                       .slots_total = 4,
                                       .slots_available = 2,
                                       .jobs_running = 1,
                                       .jobs_finished = 1,
                                       .jobs_cancelled = 1};
}

uint32_t core_task_manager_count(const struct core *self)
{
    (void)self;
    return 1;
}

void core_view_task_manager(const struct core *self, uint32_t index, struct task_manager_view *ret_view)
{
    (void)self;
    if (!(index == 0))
        abort();
    *ret_view = (struct task_manager_view){.id = "tm:1-abcdef",
                                           .rpc_address = "tcp://tm:1",
                                           .data_address = "tm:7777",
                                           .host = "tm",
                                           .session = 1,
                                           .slots = 4,
                                           .free_slots = 2,
                                           .tasks = 4,
                                           .cpu_cores = 2,
                                           .physical_memory_bytes = 25276518400,
                                           .process_memory_bytes = 1811939328,
                                           .resident_bytes = 10 << 20,
                                           .last_heartbeat_ms = 1795403913642};
}

uint32_t core_job_count(const struct core *self)
{
    (void)self;
    return FAKE_JOBS;
}

int32_t core_find_job(const struct core *self, const struct weir_id *id)
{
    (void)self;
    static const uint8_t bytes[FAKE_JOBS] = {0xaa, 0xbb, 0xcc};
    for (int32_t i = 0; i < FAKE_JOBS; i++) {
        struct weir_id other;
        memset(other.bytes, bytes[i], sizeof other.bytes);
        if (weir_id_equal(&other, id))
            return i;
    }
    return -1;
}

void core_view_job(const struct core *self, uint32_t index, struct job_view *ret_view)
{
    if (!(index < FAKE_JOBS))
        abort();
    bool running = index == 0;
    struct job_view view = {.name = "Click Count",
                            .state = self->states[index],
                            .start_ms = 70000,
                            .end_ms = running ? -1 : 90000,
                            .last_modification_ms = 71000,
                            .graph = &graph,
                            .vertex_count = 2,
                            .tasks_total = 4,
                            .restarts = 1,
                            .uptime_ms = 29000,
                            .checkpoint_interval_ms = 1000,
                            .restored_ms = running ? 72000 : -1,
                            .restored_checkpoint_id = running ? 1 : 0,
                            .checkpoint_history_count = running ? FAKE_CHECKPOINTS : 0,
                            .exception_count = running ? 2 : 0};
    memset(view.id.bytes, 0xaa + 0x11 * (int)index, sizeof view.id.bytes);
    view.state_ms[JOB_INITIALIZING] = 70000;
    view.state_ms[JOB_CREATED] = 70500;
    view.state_ms[JOB_RUNNING] = 71000;
    view.tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING] = 4;
    if (running) {
        view.checkpoints.restored = 1;
        view.checkpoints.total = 4;
        view.checkpoints.completed = 2;
        view.checkpoints.failed = 1;
        view.checkpoints.in_progress = 1;
    }
    *ret_view = view;
}

void core_view_vertex(const struct core *self, uint32_t job, uint32_t vertex, struct vertex_view *ret_view)
{
    (void)self, (void)job;
    if (!(vertex < 2))
        abort();
    *ret_view = (struct vertex_view){.descriptor = vertices[vertex],
                                     .status = WEIR__TASK_STATE__TASK_RUNNING,
                                     .start_ms = 70700,
                                     .end_ms = -1};
    ret_view->tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING] = 2;
}

void core_view_subtask(const struct core *self, uint32_t job, uint32_t vertex, uint32_t subtask,
                       struct subtask_view *ret_view)
{
    (void)self, (void)job;
    if (!(vertex < 2 && subtask < 2))
        abort();
    struct subtask_view view = {.state = WEIR__TASK_STATE__TASK_RUNNING,
                                .attempt = 1,
                                .attempt_id = "x_y_0_1",
                                .task_manager = "tm:1-abcdef",
                                .host = "tm"};
    view.state_since_ms[WEIR__TASK_STATE__TASK_CREATED] = 70500;
    view.state_since_ms[WEIR__TASK_STATE__TASK_SCHEDULED] = 70600;
    view.state_since_ms[WEIR__TASK_STATE__TASK_DEPLOYING] = 70700;
    view.state_since_ms[WEIR__TASK_STATE__TASK_INITIALIZING] = 70800;
    view.state_since_ms[WEIR__TASK_STATE__TASK_RUNNING] = 71000 + 10 * subtask;
    weir__task_metrics__init(&view.metrics);
    view.metrics.records_in = subtask ? 8078 : 7017;
    view.metrics.records_out = 8;
    view.metrics.busy_ms = 891;
    view.metrics.watermark_ms = INT64_MIN;
    view.metrics.output_pool_used_permille = 500;
    *ret_view = view;
}

/* Newest first: one in progress, one failed, a savepoint, a checkpoint. */
void core_view_checkpoint(const struct core *self, uint32_t job, uint32_t index,
                          struct checkpoint_view *ret_view)
{
    (void)self, (void)job;
    if (!(index < FAKE_CHECKPOINTS))
        abort();
    struct checkpoint_view view = {.id = FAKE_CHECKPOINTS - index,
                                   .status = index == 0   ? CHECKPOINT_IN_PROGRESS
                                             : index == 1 ? CHECKPOINT_FAILED
                                                          : CHECKPOINT_COMPLETED,
                                   .savepoint = index == 2,
                                   .trigger_ms = 80000,
                                   .latest_ack_ms = index < 2 ? -1 : 80024,
                                   .completed_ms = index < 2 ? -1 : 80030,
                                   .state_bytes = index < 2 ? 0 : 7054,
                                   .metadata_bytes = 900,
                                   .processed_bytes = index < 2 ? 0 : 637,
                                   .subtasks = 4,
                                   .acknowledged = index < 2 ? 0 : 4,
                                   .path = index < 2 ? "" : "/checkpoints/aa/chk-1",
                                   .failure = index == 1 ? "Checkpoint expired before completing." : "",
                                   .failure_ms = 80014};
    *ret_view = view;
}

void core_view_exception(const struct core *self, uint32_t job, uint32_t index,
                         struct exception_view *ret_view)
{
    (void)self, (void)job;
    if (!(index < 2))
        abort();
    *ret_view = (struct exception_view){.timestamp_ms = 71500,
                                        .name = index ? "TaskManagerLost" : "WorkerCrashed",
                                        .message = "signal 11 (SIGSEGV) in map",
                                        .stack = "frame_a (a.c:1)\nframe_b (b.c:2)\n",
                                        .task = "Counter (1/2) - execution #0",
                                        .endpoint = "tm:7777",
                                        .task_manager = "tm:1-abcdef"};
}
