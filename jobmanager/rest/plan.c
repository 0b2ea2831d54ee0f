/* /jobs/:jobid/plan: the job graph as Flink draws it, sinks first. */
#include "jobmanager/rest/handlers.h"

#include "common/base/strbuf.h"

enum { DESCRIPTION_MAX_BYTES = 64 << 10 };

static void add_escaped(struct strbuf *buf, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            strbuf_adds(buf, "&lt;");
            break;
        case '>':
            strbuf_adds(buf, "&gt;");
            break;
        case '&':
            strbuf_adds(buf, "&amp;");
            break;
        case '"':
            strbuf_adds(buf, "&quot;");
            break;
        default:
            strbuf_add(buf, text, 1);
        }
    }
}

/* "A<br/>+- B<br/>   +- C<br/>": the chain, each operator below the one before it. It is HTML: pages show it
 * as it is. */
static void add_description(cJSON *node, const Weir__Vertex *vertex)
{
    struct strbuf buf;
    strbuf_init(&buf, DESCRIPTION_MAX_BYTES);
    for (size_t i = 0; i < vertex->n_operators; i++) {
        const Weir__Operator *operator= vertex->operators[i];
        if (i > 0)
            strbuf_addf(&buf, "%*s+- ", (int)(3 * (i - 1)), "");
        add_escaped(&buf, operator->description && *operator->description ? operator->description : operator->name);
        strbuf_adds(&buf, "<br/>");
    }
    char *text = strbuf_take(&buf);
    json_string(node, "description", text);
    free(text);
}

static const char *ship_strategy_name(Weir__ShipStrategy strategy)
{
    switch (strategy) {
    case WEIR__SHIP_STRATEGY__SHIP_HASH:
        return "HASH";
    case WEIR__SHIP_STRATEGY__SHIP_REBALANCE:
        return "REBALANCE";
    default:
        return "FORWARD";
    }
}

static void add_vertex_id(cJSON *object, const Weir__Vertex *vertex)
{
    struct weir_id id = {0};
    weir_id_from_bytes(vertex->id.data, vertex->id.len, &id);
    json_id(object, "id", &id);
}

static void add_inputs(cJSON *node, const Weir__JobGraph *graph, size_t vertex)
{
    cJSON *inputs = NULL;
    int64_t number = 0;
    for (size_t i = 0; i < graph->n_edges; i++) {
        const Weir__Edge *edge = graph->edges[i];
        if (edge->target != vertex)
            continue;
        if (!inputs)
            inputs = json_array(node, "inputs");
        cJSON *input = json_object_in_array(inputs);
        add_vertex_id(input, graph->vertices[edge->source]);
        json_int(input, "num", number++);
        json_string(input, "exchange", "pipelined_bounded");
        json_string(input, "ship_strategy", ship_strategy_name(edge->strategy));
    }
}

cJSON *rest_plan_json(const struct job_view *job)
{
    cJSON *plan = json_new_object();
    json_id(plan, "jid", &job->id);
    json_string(plan, "name", job->name);
    json_string(plan, "type", "STREAMING");
    cJSON *nodes = json_array(plan, "nodes");
    for (size_t i = job->graph->n_vertices; i-- > 0;) {
        const Weir__Vertex *vertex = job->graph->vertices[i];
        cJSON *node = json_object_in_array(nodes);
        add_vertex_id(node, vertex);
        json_string(node, "operator", "");
        json_uint(node, "parallelism", vertex->parallelism);
        json_string(node, "operator_strategy", "");
        add_description(node, vertex);
        json_object(node, "optimizer_properties");
        add_inputs(node, job->graph, i);
    }
    return plan;
}

void rest_job_plan(const struct rest_request *request, struct rest_response *response)
{
    response->body = json_new_object();
    json_add(response->body, "plan", rest_plan_json(&request->job_view));
}
