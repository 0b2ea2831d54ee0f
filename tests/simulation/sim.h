/* The simulated cluster: the real core, supervisors, task runtimes and connectors, in one process and one
 * thread, under virtual time, from a seed. Only what is at the edge (network, disk, Kafka, processes, clocks)
 * is replaced. */
#ifndef WEIR_SIMULATION_SIM_H
#define WEIR_SIMULATION_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/api/stream_graph.h"
#include "common/base/id.h"
#include "common/base/vec.h"
#include "common/config/config.h"
#include "jobmanager/core/core.h"
#include "jobmanager/core/view.h"
#include "taskmanager/supervisor/supervisor.h"
#include "taskmanager/worker/task/job_runtime.h"

struct sim;

/* ---- virtual time (scheduler.c) ---- */

/* A process: what can be killed and paused. Events that belong to a dead one are dropped, to a paused one
 * deferred. */
struct sim_process {
    uint64_t id;
    bool alive;
    int64_t paused_until_us;
    uint64_t parent; /* 0: none; a process dies with its parent */
};

struct sim_call {
    uint64_t a, b;
    void *data; /* owned by the event until the function has it */
};
typedef void sim_fn(struct sim *sim, struct sim_call *call);

struct sim_event {
    int64_t at_us;
    uint64_t seq;
    uint64_t owner; /* process id; 0: the world itself */
    sim_fn *fn;
    void (*drop)(void *data); /* frees call.data of an event that is never carried out */
    struct sim_call call;
};

/* After delay_us. data is given to fn, or to drop when the owner has died by then. */
void sim_after(struct sim *sim, int64_t delay_us, uint64_t owner, sim_fn *fn, struct sim_call call,
               void (*drop)(void *));
/* The next event; false: none left, or the next is later than until_us (time then is until_us). */
bool sim_run_one(struct sim *sim, int64_t until_us);
void sim_events_free(struct sim *sim);
int64_t sim_now_ms(const struct sim *sim);
int64_t sim_between(struct sim *sim, int64_t low, int64_t high); /* random, both inclusive */
bool sim_chance(struct sim *sim, uint32_t per_mille);
uint64_t sim_process_new(struct sim *sim, uint64_t parent);
struct sim_process *sim_process(struct sim *sim, uint64_t id); /* NULL: never was */
bool sim_process_alive(struct sim *sim, uint64_t id);
void sim_process_end(struct sim *sim, uint64_t id);                        /* and its children */
void sim_process_pause(struct sim *sim, uint64_t id, int64_t duration_us); /* and its children */

/* Remembers the first broken invariant; the seed has failed. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of the trace, printed when the seed is run with --trace. */
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Kafka (kafka.c) ---- */

struct sim_record {
    int64_t timestamp_ms;
    uint32_t size;
    char *value;
};
struct sim_partition {
    struct sim_record *items;
    size_t count;
    size_t capacity;
};
enum { SIM_PARTITIONS = 2 };
struct sim_topic {
    const char *name;
    struct sim_partition partitions[SIM_PARTITIONS];
};
struct sim_kafka {
    struct sim *sim;
    struct sim_topic input, output;
    struct vec_of(void *) consumers; /* open ones */
    struct vec_of(void *) producers;
    int64_t committed[SIM_PARTITIONS];
};
void sim_kafka_init(struct sim_kafka *kafka, struct sim *sim);
void sim_kafka_deinit(struct sim_kafka *kafka);
void sim_kafka_append(struct sim_kafka *kafka, struct sim_topic *topic, uint32_t partition,
                      int64_t timestamp_ms, const void *value, size_t size);
/* The provider of one worker: what it opens belongs to that process. */
struct sim_kafka_access {
    struct sim_kafka *kafka;
    uint64_t process;
    struct kafka_provider provider;
};
void sim_kafka_access_init(struct sim_kafka_access *access, struct sim_kafka *kafka, uint64_t process);

/* ---- disk (disk.c) ---- */

struct sim_file {
    char *directory;
    void *data; /* packed metadata */
    size_t size;
};
struct sim_disk {
    struct vec_of(struct sim_file) snapshots;
    struct vec_of(char *) directories;
};
void sim_disk_deinit(struct sim_disk *disk);
void sim_disk_mkdir(struct sim_disk *disk, const char *path);
bool sim_disk_has(const struct sim_disk *disk, const char *path);
void sim_disk_delete(struct sim_disk *disk, const char *path);
size_t sim_disk_write(struct sim_disk *disk, const char *path, const Weir__SnapshotMetadata *metadata);
Weir__SnapshotMetadata *sim_disk_read(const struct sim_disk *disk, const char *path); /* NULL: not there */

/* ---- network between jobmanager and taskmanagers (network.c) ---- */

struct sim_tm;
enum { SIM_GRACE_US = 3000000 }; /* a cut that lasts longer breaks the connection */
void sim_network_to_tm(struct sim *sim, struct sim_tm *tm, uint64_t session,
                       const Weir__ToTaskManager *message);
void sim_network_to_jm(struct sim *sim, struct sim_tm *tm, uint64_t session,
                       const Weir__ToJobManager *message);
void sim_network_register(struct sim *sim, struct sim_tm *tm);
void sim_network_register_reply(struct sim *sim, struct sim_tm *tm, uint64_t process, int rc,
                                uint64_t session);
void sim_network_cut(struct sim *sim, struct sim_tm *tm, int64_t duration_us);

/* ---- processes ---- */

struct sim_task; /* worker.c */

struct sim_worker {
    uint64_t process;
    uint64_t handle; /* the supervisor's */
    uint32_t tm;     /* index */
    char *tm_id;
    Weir__StartWorker *start;
    struct stream_graph *stream_graph;
    Weir__DeployTasks *deployment;
    struct job_runtime *runtime;
    struct sim_task *tasks;
    struct sim_kafka_access kafka;
    struct user_environment environment;
    struct random random;
    bool canceled;
    struct sim_dataplane *dataplane;
    struct sim *sim;
};

struct sim_tm {
    uint32_t index;
    uint64_t process; /* 0: not running */
    uint32_t generation;
    char *id;
    uint32_t slots;
    struct supervisor *supervisor;
    uint64_t session;    /* what its process believes; 0: not registered */
    uint64_t connection; /* counts up when the connection to the jobmanager is lost: messages of an older one
                            are gone */
    int64_t tick_us;     /* when the next tick is due; INT64_MAX: none */
    struct vec_of(struct sim_worker *) workers;
    bool partitioned; /* cut off from the jobmanager */
    int64_t partition_since_us;
    int64_t to_jm_last_us, to_tm_last_us; /* messages keep their order */
};

enum { SIM_TMS_MAX = 8, SIM_WINDOWS_MAX = 4096, SIM_PAGES = 6 };

struct sim_options {
    uint64_t seed;
    int64_t virtual_seconds; /* with faults */
    bool trace;
    bool faults;
    uint32_t events_per_window; /* per page */
};

struct sim_stats {
    uint64_t events, faults, worker_kills, tm_kills, pauses, partitions, disk_failures, stalls;
    uint64_t restarts, checkpoints, windows;
};

struct sim_ack { /* what tasks have acknowledged, seen at the source */
    uint32_t attempt;
    uint64_t checkpoint;
    uint32_t vertex, subtask;
};

struct sim_session {
    uint64_t session;
    uint32_t tm;
    uint64_t process;
    bool over;
};

struct sim {
    struct sim_options options;
    struct random random;
    int64_t now_us;
    uint64_t next_seq;
    struct vec_of(struct sim_event) heap;
    struct vec_of(struct sim_process) processes;

    struct config *config;
    struct core *core;
    int64_t jm_tick_us;
    uint64_t jm_process;
    struct weir_id jm_id;
    struct vec_of(struct sim_session) sessions; /* the jobmanager's: which taskmanager a session is with */

    struct sim_tm tms[SIM_TMS_MAX];
    uint32_t tm_count;
    struct sim_kafka kafka;
    struct sim_disk disk;
    struct vec_of(struct sim_ack) acks;

    const weir_job_descriptor *descriptor;
    struct weir_id job;
    bool submitted;
    uint32_t parallelism;
    int64_t produced; /* events of the generator */
    bool healing;     /* no more faults */
    bool disk_broken;

    bool seen[SIM_WINDOWS_MAX][SIM_PAGES];
    size_t scanned[SIM_PARTITIONS];
    int64_t audit_until_ms;

    bool failed;
    char failure[2048];
    struct sim_stats stats;
};

/* jobmanager.c */
void sim_jm_start(struct sim *sim);
void sim_jm_stop(struct sim *sim);
void sim_jm_step(struct sim *sim, const struct core_event *event);
void sim_jm_submit(struct sim *sim);
/* From a taskmanager, over the network: takes the message. */
void sim_jm_receive(struct sim *sim, uint64_t session, Weir__ToJobManager *message_take);
void sim_jm_register(struct sim *sim, struct sim_tm *tm); /* the request has arrived */
void sim_jm_connection_lost(struct sim *sim, uint64_t session, int64_t delay_us);

/* taskmanager.c */
void sim_tm_start(struct sim *sim, struct sim_tm *tm);
void sim_tm_kill(struct sim *sim, struct sim_tm *tm);
void sim_tm_event(struct sim *sim, struct sim_tm *tm, const struct supervisor_event *event);
void sim_tm_receive(struct sim *sim, struct sim_tm *tm, uint64_t session, Weir__ToTaskManager *message_take);
void sim_tm_registered(struct sim *sim, struct sim_tm *tm, int rc, uint64_t session);
void sim_tm_connection_lost(struct sim *sim, struct sim_tm *tm);
void sim_tm_worker_says(struct sim *sim, struct sim_worker *worker, Weir__ToJobManager *message_take);
void sim_tm_worker_exited(struct sim *sim, struct sim_tm *tm, uint64_t handle, int exit_code,
                          uint32_t signal);

/* worker.c */
struct sim_worker *sim_worker_spawn(struct sim *sim, struct sim_tm *tm, uint64_t handle,
                                    const Weir__StartWorker *start);
void sim_worker_receive(struct sim *sim, struct sim_worker *worker, Weir__ToTaskManager *message_take);
void sim_worker_destroy(struct sim *sim, struct sim_worker *worker); /* at once, as kill -9 */
struct sim_worker *sim_worker_by_process(struct sim *sim, uint64_t process);

/* dataplane.c: moves buffers between workers. */
void sim_dataplane_attach(struct sim *sim, struct sim_worker *worker);
void sim_dataplane_detach(struct sim_worker *worker);

/* faults.c */
void sim_faults_start(struct sim *sim);

/* audit.c */
void sim_generator_start(struct sim *sim);
void sim_check_slots(struct sim *sim, struct sim_tm *tm, uint32_t new_slots);
void sim_check_metadata(struct sim *sim, const Weir__SnapshotMetadata *metadata);
void sim_check_restore(struct sim *sim, const Weir__DeployTasks *deployment);
/* All complete windows are in output and exact (duplicates with the same count are fine with at-least-once).
 */
bool sim_audit_complete(struct sim *sim, bool final);

/* sim.c */
int sim_run(const struct sim_options *options, const weir_job_descriptor *job, struct sim_stats *ret_stats,
            char *ret_failure, size_t failure_size);

#endif
