/* /taskmanagers and /taskmanagers/:id. A native engine has one budget instead of a JVM's heaps:
 * totalProcessMemory is it, and the parts that there are none of are 0. */
#include "jobmanager/rest/handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int64_t port_of(const char *address)
{
    const char *colon = address ? strrchr(address, ':') : NULL;
    if (!colon)
        return -1;
    long port = strtol(colon + 1, NULL, 10);
    return port > 0 && port <= 65535 ? port : -1;
}

static void add_resource(cJSON *parent, const char *key, double cpu_cores)
{
    cJSON *object = json_object(parent, key);
    json_double(object, "cpuCores", cpu_cores);
    json_int(object, "taskHeapMemory", 0);
    json_int(object, "taskOffHeapMemory", 0);
    json_int(object, "managedMemory", 0);
    json_int(object, "networkMemory", 0);
    json_object(object, "extendedResources");
}

static void add_memory(cJSON *object, const struct task_manager_view *view)
{
    cJSON *hardware = json_object(object, "hardware");
    json_uint(hardware, "cpuCores", view->cpu_cores);
    json_uint(hardware, "physicalMemory", view->physical_memory_bytes);
    json_uint(hardware, "freeMemory",
              view->process_memory_bytes > view->resident_bytes
                  ? view->process_memory_bytes - view->resident_bytes
                  : 0);
    json_int(hardware, "managedMemory", 0);
    static const char *const none[] = {"frameworkHeap", "taskHeap",      "frameworkOffHeap", "taskOffHeap",
                                       "networkMemory", "managedMemory", "jvmMetaspace",     "jvmOverhead"};
    cJSON *memory = json_object(object, "memoryConfiguration");
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        json_int(memory, none[i], 0);
    json_uint(memory, "totalFlinkMemory", view->process_memory_bytes);
    json_uint(memory, "totalProcessMemory", view->process_memory_bytes);
}

static void add_task_manager(cJSON *object, const struct task_manager_view *view)
{
    double cpu_per_slot = view->slots ? (double)view->cpu_cores / view->slots : 0;
    json_string(object, "id", view->id);
    json_string(object, "path", view->rpc_address);
    json_int(object, "dataPort", port_of(view->data_address));
    json_int(object, "jmxPort", -1);
    json_int(object, "timeSinceLastHeartbeat", view->last_heartbeat_ms);
    json_uint(object, "slotsNumber", view->slots);
    json_uint(object, "freeSlots", view->free_slots);
    json_uint(object, "assignedTasks", view->tasks);
    add_resource(object, "totalResource", view->cpu_cores);
    add_resource(object, "freeResource", cpu_per_slot * view->free_slots);
    add_memory(object, view);
}

void rest_task_managers(const struct rest_request *request, struct rest_response *response)
{
    response->body = json_new_object();
    cJSON *list = json_array(response->body, "taskmanagers");
    for (uint32_t i = 0; i < core_task_manager_count(request->env->core); i++) {
        struct task_manager_view view;
        core_view_task_manager(request->env->core, i, &view);
        add_task_manager(json_object_in_array(list), &view);
    }
}

/* Subtask k of every vertex is in slot k of its job (slot sharing): how many tasks of that slot are in this
 * taskmanager. */
static uint32_t tasks_of_slot(const struct core *core, uint32_t job, const struct job_view *job_view,
                              uint32_t slot, const char *task_manager)
{
    uint32_t count = 0;
    for (uint32_t v = 0; v < job_view->vertex_count; v++) {
        struct vertex_view vertex;
        core_view_vertex(core, job, v, &vertex);
        if (slot >= vertex.descriptor->parallelism)
            continue;
        struct subtask_view subtask;
        core_view_subtask(core, job, v, slot, &subtask);
        count += !rest_task_state_is_terminal(subtask.state) && subtask.task_manager &&
                 strcmp(subtask.task_manager, task_manager) == 0;
    }
    return count;
}

static uint32_t job_slots(const struct core *core, uint32_t job, const struct job_view *job_view)
{
    uint32_t slots = 0;
    for (uint32_t v = 0; v < job_view->vertex_count; v++) {
        struct vertex_view vertex;
        core_view_vertex(core, job, v, &vertex);
        if (vertex.descriptor->parallelism > slots)
            slots = vertex.descriptor->parallelism;
    }
    return slots;
}

static void add_allocated_slots(const struct core *core, cJSON *body, const struct task_manager_view *view)
{
    cJSON *allocated = json_array(body, "allocatedSlots");
    for (uint32_t j = 0; j < core_job_count(core); j++) {
        struct job_view job;
        core_view_job(core, j, &job);
        if (job_state_is_terminal(job.state))
            continue;
        uint32_t slots = job_slots(core, j, &job);
        for (uint32_t slot = 0; slot < slots; slot++) {
            uint32_t tasks = tasks_of_slot(core, j, &job, slot, view->id);
            if (tasks == 0)
                continue;
            cJSON *object = json_object_in_array(allocated);
            json_id(object, "jobId", &job.id);
            add_resource(object, "resource", view->slots ? (double)view->cpu_cores / view->slots : 0);
            json_uint(object, "assignedTasks", tasks);
        }
    }
}

static void add_metrics(cJSON *body, const struct task_manager_view *view)
{
    static const char *const none[] = {"nonHeapUsed", "nonHeapCommitted", "nonHeapMax",
                                       "directCount", "directUsed",       "directMax",
                                       "mappedCount", "mappedUsed",       "mappedMax"};
    static const char *const shuffle[] = {"nettyShuffleMemorySegmentsAvailable",
                                          "nettyShuffleMemorySegmentsUsed",
                                          "nettyShuffleMemorySegmentsTotal",
                                          "nettyShuffleMemoryAvailable",
                                          "nettyShuffleMemoryUsed",
                                          "nettyShuffleMemoryTotal"};
    cJSON *metrics = json_object(body, "metrics");
    json_uint(metrics, "heapUsed", view->resident_bytes);
    json_uint(metrics, "heapCommitted", view->process_memory_bytes);
    json_uint(metrics, "heapMax", view->process_memory_bytes);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        json_int(metrics, none[i], 0);
    for (size_t i = 0; i < sizeof shuffle / sizeof shuffle[0]; i++)
        json_int(metrics, shuffle[i], 0);
    json_array(metrics, "garbageCollectors");
}

void rest_task_manager(const struct rest_request *request, struct rest_response *response)
{
    const struct core *core = request->env->core;
    for (uint32_t i = 0; i < core_task_manager_count(core); i++) {
        struct task_manager_view view;
        core_view_task_manager(core, i, &view);
        if (strcmp(view.id, request->task_manager) != 0)
            continue;
        response->body = json_new_object();
        add_task_manager(response->body, &view);
        add_allocated_slots(core, response->body, &view);
        add_metrics(response->body, &view);
        return;
    }
    rest_response_error(response, 404, "No TaskManager registered under %s.", request->task_manager);
}
