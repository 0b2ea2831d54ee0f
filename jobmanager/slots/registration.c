#include "jobmanager/slots/registration.h"

#include "common/graph/graph_validate.h"
#include "jobmanager/slots/slot_pool.h"

int registration_validate(const Weir__RegisterTaskManager *registration, struct error *err)
{
    int rc =
        text_validate(registration->task_manager_id, TASK_MANAGER_TEXT_BYTES_MAX, "id of a taskmanager", err);
    if (rc < 0)
        return rc;
    rc = text_validate(registration->rpc_address, TASK_MANAGER_TEXT_BYTES_MAX, "RPC address of a taskmanager",
                       err);
    if (rc == 0)
        rc = text_validate(registration->host, TASK_MANAGER_TEXT_BYTES_MAX, "host of a taskmanager", err);
    if (rc < 0)
        return error_wrap(err, "taskmanager %s", registration->task_manager_id);
    if (registration->slots < 1 || registration->slots > TASK_MANAGER_SLOTS_MAX)
        return error_set(err, WEIR_E_LIMIT,
                         "taskmanager %s offers %u slots, not 1…%d: set taskmanager.numberOfTaskSlots",
                         registration->task_manager_id, registration->slots, (int)TASK_MANAGER_SLOTS_MAX);
    return 0;
}
