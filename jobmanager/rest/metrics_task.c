/* Metrics of a vertex: by subtask ("0.numRecordsIn"), of one subtask, and aggregated over subtasks.
 *
 * Names are those of the task scope, and of the operators in it with the operator's name in front. A chain
 * counts what comes in at its first operator and what goes out of its last. */
#include "jobmanager/rest/handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"

enum task_metric {
    RECORDS_IN,
    RECORDS_OUT,
    BYTES_IN,
    BYTES_OUT,
    LATE_DROPPED,
    BAD_RECORDS,
    WATERMARK,
    BUSY,
    IDLE,
    BACKPRESSURED,
    IN_QUEUE,
    OUT_QUEUE,
    OUT_POOL,
};

enum operators { NONE = 0, FIRST = 1, LAST = 2, WINDOWS = 4, SOURCES = 8 };

static const struct metric {
    const char *name;
    enum task_metric metric;
    bool task;     /* has a name in the task scope */
    int operators; /* of which operators it is a metric, too */
} metrics[] = {
    {"numRecordsIn", RECORDS_IN, true, FIRST},
    {"numRecordsOut", RECORDS_OUT, true, LAST},
    {"numBytesIn", BYTES_IN, true, FIRST},
    {"numBytesOut", BYTES_OUT, true, LAST},
    {"numLateRecordsDropped", LATE_DROPPED, true, WINDOWS},
    {"numRecordsInErrors", BAD_RECORDS, false, SOURCES},
    {"currentInputWatermark", WATERMARK, true, FIRST},
    {"accumulateBusyTimeMs", BUSY, true, NONE},
    {"accumulateIdleTimeMs", IDLE, true, NONE},
    {"accumulateBackPressuredTimeMs", BACKPRESSURED, true, NONE},
    {"Shuffle.Netty.Input.Buffers.inputQueueLength", IN_QUEUE, true, NONE},
    {"Shuffle.Netty.Output.Buffers.outputQueueLength", OUT_QUEUE, true, NONE},
    {"Shuffle.Netty.Output.Buffers.outPoolUsage", OUT_POOL, true, NONE},
};
enum { METRIC_COUNT = sizeof metrics / sizeof metrics[0] };

static int64_t metric_value(enum task_metric metric, const Weir__TaskMetrics *values)
{
    switch (metric) {
    case RECORDS_IN:
        return (int64_t)values->records_in;
    case RECORDS_OUT:
        return (int64_t)values->records_out;
    case BYTES_IN:
        return (int64_t)values->bytes_in;
    case BYTES_OUT:
        return (int64_t)values->bytes_out;
    case LATE_DROPPED:
        return (int64_t)values->late_records_dropped;
    case BAD_RECORDS:
        return (int64_t)values->bad_records_skipped;
    case WATERMARK:
        return values->watermark_ms;
    case BUSY:
        return (int64_t)values->busy_ms;
    case IDLE:
        return (int64_t)values->idle_ms;
    case BACKPRESSURED:
        return (int64_t)values->backpressured_ms;
    case IN_QUEUE:
        return values->input_queue_buffers;
    case OUT_QUEUE:
        return values->output_queue_buffers;
    case OUT_POOL:
        return values->output_pool_used_permille;
    }
    return 0;
}

static double metric_number(enum task_metric metric, const Weir__TaskMetrics *values)
{
    double value = (double)metric_value(metric, values);
    return metric == OUT_POOL ? value / 1000 : value;
}

static void metric_text(enum task_metric metric, const Weir__TaskMetrics *values, char *ret_text, size_t size)
{
    if (metric == OUT_POOL)
        snprintf(ret_text, size, "%.3g%s", metric_number(metric, values),
                 values->output_pool_used_permille % 1000 == 0 ? ".0" : "");
    else
        snprintf(ret_text, size, "%" PRId64, metric_value(metric, values));
}

/* Letters, digits and _ stay, anything else becomes _: "Source: ClickEvent Source" ->
 * "Source__ClickEvent_Source". */
static void operator_scope(const char *name, char *ret_scope, size_t size)
{
    size_t i = 0;
    for (; name[i] && i + 1 < size; i++) {
        char c = name[i];
        bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        ret_scope[i] = keep ? c : '_';
    }
    ret_scope[i] = '\0';
}

static bool is_source(const Weir__Operator *operator)
{
    return operator->kind == WEIR__OPERATOR_KIND__OPERATOR_KAFKA_SOURCE ||
    operator->kind == WEIR__OPERATOR_KIND__OPERATOR_SEQUENCE_SOURCE ||
    operator->kind == WEIR__OPERATOR_KIND__OPERATOR_GENERATOR_SOURCE;
}

static bool operator_has(const Weir__Vertex *vertex, size_t index, const struct metric *metric)
{
    const Weir__Operator *operator= vertex->operators[index];
    if ((metric->operators & FIRST) && index == 0)
        return metric->metric != WATERMARK || !is_source(operator);
    return ((metric->operators & LAST) && index + 1 == vertex->n_operators) ||
           ((metric->operators & WINDOWS) && operator->kind == WEIR__OPERATOR_KIND__OPERATOR_WINDOW) ||
           ((metric->operators & SOURCES) && is_source(operator));
}

/* A source has no input watermark; only what holds windows drops late records. */
static bool task_has(const Weir__Vertex *vertex, const struct metric *metric)
{
    return metric->task && !(metric->metric == WATERMARK && is_source(vertex->operators[0]));
}

/* Calls use() with each name that tasks of the vertex have. */
typedef void name_fn(void *self, const char *name, enum task_metric metric);

static void for_each_name(const Weir__Vertex *vertex, name_fn *use, void *self)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (task_has(vertex, &metrics[i]))
            use(self, metrics[i].name, metrics[i].metric);
    for (size_t o = 0; o < vertex->n_operators; o++) {
        char scope[METRIC_NAME_MAX / 2];
        char name[METRIC_NAME_MAX];
        operator_scope(vertex->operators[o]->name, scope, sizeof scope);
        for (size_t i = 0; i < METRIC_COUNT; i++) {
            if (!operator_has(vertex, o, &metrics[i]))
                continue;
            snprintf(name, sizeof name, "%s.%s", scope, metrics[i].name);
            use(self, name, metrics[i].metric);
        }
    }
}

struct find {
    const char *name;
    bool found;
    enum task_metric metric;
};

static void find_name(void *self, const char *name, enum task_metric metric)
{
    struct find *find = self;
    if (strcmp(name, find->name) == 0) {
        find->found = true;
        find->metric = metric;
    }
}

static bool find_metric(const Weir__Vertex *vertex, const char *name, enum task_metric *ret_metric)
{
    struct find find = {.name = name};
    for_each_name(vertex, find_name, &find);
    *ret_metric = find.metric;
    return find.found;
}

static const Weir__Vertex *descriptor(const struct rest_request *request)
{
    struct vertex_view view;
    core_view_vertex(request->env->core, request->job, request->vertex, &view);
    return view.descriptor;
}

struct list {
    cJSON *array;
    int64_t prefix; /* −1: none */
};

static void list_name(void *self, const char *name, enum task_metric metric)
{
    (void)metric;
    struct list *list = self;
    char prefixed[METRIC_NAME_MAX + 16];
    if (list->prefix >= 0)
        snprintf(prefixed, sizeof prefixed, "%" PRId64 ".%s", list->prefix, name);
    else
        snprintf(prefixed, sizeof prefixed, "%s", name);
    json_string(json_object_in_array(list->array), "id", prefixed);
}

static void add_value(const struct rest_request *request, cJSON *body, const char *id, uint32_t subtask,
                      enum task_metric metric)
{
    struct subtask_view view;
    char value[METRIC_VALUE_MAX];
    core_view_subtask(request->env->core, request->job, request->vertex, subtask, &view);
    metric_text(metric, &view.metrics, value, sizeof value);
    cJSON *object = json_object_in_array(body);
    json_string(object, "id", id);
    json_string(object, "value", value);
}

void rest_vertex_metrics(const struct rest_request *request, struct rest_response *response)
{
    const Weir__Vertex *vertex = descriptor(request);
    const char *get = rest_uri_query(request->uri, "get");
    cJSON *body = response->body = json_new_array();
    if (!get) {
        for (uint32_t i = 0; i < vertex->parallelism; i++)
            for_each_name(vertex, list_name, &(struct list){.array = body, .prefix = i});
        return;
    }
    char name[METRIC_NAME_MAX];
    while (rest_next_name(&get, name, sizeof name)) {
        char *end;
        enum task_metric metric;
        errno = 0;
        unsigned long subtask = strtoul(name, &end, 10);
        if (*name < '0' || *name > '9' || *end != '.' || errno || subtask >= vertex->parallelism ||
            !find_metric(vertex, end + 1, &metric))
            continue;
        add_value(request, body, name, (uint32_t)subtask, metric);
    }
}

void rest_subtask_metrics(const struct rest_request *request, struct rest_response *response)
{
    const Weir__Vertex *vertex = descriptor(request);
    const char *get = rest_uri_query(request->uri, "get");
    cJSON *body = response->body = json_new_array();
    if (!get) {
        for_each_name(vertex, list_name, &(struct list){.array = body, .prefix = -1});
        return;
    }
    char name[METRIC_NAME_MAX];
    enum task_metric metric;
    while (rest_next_name(&get, name, sizeof name))
        if (find_metric(vertex, name, &metric))
            add_value(request, body, name, request->subtask, metric);
}

/* ---- aggregated over subtasks ---- */

enum { AGG_MIN = 1, AGG_MAX = 2, AGG_AVG = 4, AGG_SUM = 8, AGG_SKEW = 16, AGG_ALL = 31 };

static bool parse_aggregations(const struct rest_request *request, int *ret_which,
                               struct rest_response *response)
{
    static const struct {
        const char *name;
        int bit;
    } names[] = {{"min", AGG_MIN}, {"max", AGG_MAX}, {"avg", AGG_AVG}, {"sum", AGG_SUM}, {"skew", AGG_SKEW}};
    const char *text = rest_uri_query(request->uri, "agg");
    const char *position = text;
    char name[METRIC_NAME_MAX];
    int which = 0;
    while (position && rest_next_name(&position, name, sizeof name)) {
        int bit = 0;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcasecmp(name, names[i].name) == 0)
                bit = names[i].bit;
        if (!bit) {
            rest_bad_query(response, "agg", name);
            return false;
        }
        which |= bit;
    }
    *ret_which = which ? which : AGG_ALL;
    return true;
}

static void add_aggregate(const struct rest_request *request, cJSON *body, const char *name,
                          enum task_metric metric, int which)
{
    uint32_t count = descriptor(request)->parallelism;
    double *values = xcalloc(count, sizeof *values);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct subtask_view view;
        core_view_subtask(request->env->core, request->job, request->vertex, i, &view);
        values[i] = metric_number(metric, &view.metrics);
        sum += values[i];
    }
    double average = sum / count;
    double deviation = 0;
    for (uint32_t i = 0; i < count; i++)
        deviation += fabs(values[i] - average) / count;
    json_sort(values, count);
    cJSON *object = json_object_in_array(body);
    json_string(object, "id", name);
    if (which & AGG_MIN)
        json_double(object, "min", values[0]);
    if (which & AGG_MAX)
        json_double(object, "max", values[count - 1]);
    if (which & AGG_AVG)
        json_double(object, "avg", average);
    if (which & AGG_SUM)
        json_double(object, "sum", sum);
    if (which & AGG_SKEW) /* percent */
        json_double(object, "skew", average == 0 ? 0 : deviation / average * 100);
    free(values);
}

void rest_subtasks_metrics(const struct rest_request *request, struct rest_response *response)
{
    const Weir__Vertex *vertex = descriptor(request);
    const char *get = rest_uri_query(request->uri, "get");
    int which;
    if (!parse_aggregations(request, &which, response))
        return;
    cJSON *body = response->body = json_new_array();
    if (!get) {
        for_each_name(vertex, list_name, &(struct list){.array = body, .prefix = -1});
        return;
    }
    char name[METRIC_NAME_MAX];
    enum task_metric metric;
    while (rest_next_name(&get, name, sizeof name))
        if (find_metric(vertex, name, &metric))
            add_aggregate(request, body, name, metric, which);
}
