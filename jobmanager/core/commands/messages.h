/* Makes the messages to taskmanagers, laid out as protobuf-c's unpack would: free with
 * weir__to_task_manager__free_unpacked. */
#ifndef WEIR_CORE_COMMANDS_MESSAGES_H
#define WEIR_CORE_COMMANDS_MESSAGES_H

#include <stdint.h>

#include "common/base/id.h"
#include "proto/control.pb-c.h"

/* One attempt to run a job. */
struct deployment {
    struct weir_id job;
    uint32_t attempt;
};

Weir__DeploymentId *message_deployment(const struct deployment *deployment);
ProtobufCBinaryData message_bytes(const void *data, size_t size);
Weir__KeyValue *message_key_value(const char *key, const char *value);

/* The body's other fields are the caller's to fill in. */
Weir__ToTaskManager *message_start_worker(const struct deployment *deployment);
Weir__ToTaskManager *message_deploy_tasks(const struct deployment *deployment);
Weir__ToTaskManager *message_stop_worker(const struct deployment *deployment, const char *reason);
Weir__ToTaskManager *message_cancel_tasks(const struct deployment *deployment);
Weir__ToTaskManager *message_trigger_checkpoint(const struct deployment *deployment, uint64_t checkpoint_id,
                                                int64_t timestamp_ms, const char *directory,
                                                Weir__SnapshotKind kind, Weir__StopMode stop);
Weir__ToTaskManager *message_checkpoint_complete(const struct deployment *deployment, uint64_t checkpoint_id,
                                                 int64_t timestamp_ms);
Weir__ToTaskManager *message_checkpoint_aborted(const struct deployment *deployment, uint64_t checkpoint_id);

#endif
