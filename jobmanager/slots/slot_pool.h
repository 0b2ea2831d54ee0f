/* The registered taskmanagers and who holds which of their slots. Owned by the core; pure. A slot has one
 * holder at a time; it is free again when the holder's worker is gone. */
#ifndef WEIR_SLOTS_SLOT_POOL_H
#define WEIR_SLOTS_SLOT_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/base/vec.h"
#include "jobmanager/heartbeat/heartbeat_monitor.h"
#include "proto/control.pb-c.h"

enum { TASK_MANAGERS_MAX = 16384, TASK_MANAGER_SLOTS_MAX = 1024, TASK_MANAGER_TEXT_BYTES_MAX = 512 };

struct slot {
    bool taken;
    struct weir_id job;
};

struct task_manager {
    uint64_t session;                             /* never 0 */
    char *id, *rpc_address, *host, *data_address; /* owned, never NULL */
    uint32_t cpu_cores;
    uint64_t physical_memory_bytes, process_memory_bytes, resident_bytes;
    struct slot *slots;
    uint32_t slot_count, free_slots;
    struct heartbeat_target heartbeat;
};

struct slot_pool {
    struct vec_of(struct task_manager *) task_managers; /* in the order of registration */
    struct vec_of(struct task_manager *) by_session;    /* ascending */
    uint32_t slots_total, slots_free;
    bool grown; /* slots became free since this was last cleared: somebody may be waiting for them */
};

struct slot_grant {
    struct task_manager *task_manager;
    uint32_t slot;
};

void slot_pool_deinit(struct slot_pool *pool);
/* Copies what it needs of a registration that has been checked; session is new. */
struct task_manager *slot_pool_add(struct slot_pool *pool, const Weir__RegisterTaskManager *registration,
                                   uint64_t session);
/* Frees it, whoever holds its slots. */
void slot_pool_remove(struct slot_pool *pool, struct task_manager *task_manager);
struct task_manager *slot_pool_find(const struct slot_pool *pool, uint64_t session); /* NULL: none */
struct task_manager *slot_pool_find_id(const struct slot_pool *pool, const char *id);

/* All or nothing: count slots for a job that has none, on as few taskmanagers as possible, those of one
 * taskmanager next to each other in ret_grants[count]. The same pool gives the same answer. */
bool slot_pool_allocate(struct slot_pool *pool, const struct weir_id *job, uint32_t count,
                        struct slot_grant *ret_grants);
/* All slots of one taskmanager that the job holds. */
void slot_pool_release(struct slot_pool *pool, struct task_manager *task_manager, const struct weir_id *job);

#endif
