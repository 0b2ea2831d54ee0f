/* What goes wrong: processes are killed, paused and started again, the network is cut, the disk fails. At
 * random, but at least one every fault interval until healing begins. */
#include <signal.h>

#include "tests/simulation/sim.h"

static void restart_tm(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    if (tm->process == 0)
        sim_tm_start(sim, tm);
}

/* Each does nothing and returns false when there is nothing to do it to. */

static bool kill_tm(struct sim *sim, struct sim_tm *tm)
{
    if (tm->process == 0)
        return false;
    sim->stats.tm_kills++;
    sim_tm_kill(sim, tm);
    sim_after(sim, sim_between(sim, 200000, 8000000), 0, restart_tm, (struct sim_call){.a = tm->index}, NULL);
    return true;
}

static struct sim_worker *any_worker(struct sim *sim, struct sim_tm *tm)
{
    return tm->workers.count > 0 ? tm->workers.items[random_below(&sim->random, tm->workers.count)] : NULL;
}

static bool kill_worker(struct sim *sim, struct sim_tm *tm)
{
    struct sim_worker *worker = any_worker(sim, tm);
    if (!worker)
        return false;
    uint64_t handle = worker->handle;
    sim->stats.worker_kills++;
    sim_trace(sim, "worker %llu of tm %u killed", (unsigned long long)worker->process, tm->index);
    sim_worker_destroy(sim, worker);
    sim_tm_worker_exited(sim, tm, handle, -1, SIGKILL);
    return true;
}

/* A taskmanager with its workers, for shorter or longer than the heartbeat timeout. */
static bool pause_tm(struct sim *sim, struct sim_tm *tm)
{
    if (tm->process == 0)
        return false;
    int64_t duration = sim_between(sim, 100000, 9000000);
    sim->stats.pauses++;
    sim_trace(sim, "tm %u paused for %.3f s", tm->index, (double)duration / 1e6);
    sim_process_pause(sim, tm->process, duration);
    return true;
}

static bool starve_worker(struct sim *sim, struct sim_tm *tm)
{
    struct sim_worker *worker = any_worker(sim, tm);
    if (!worker)
        return false;
    int64_t duration = sim_between(sim, 1000000, 9000000);
    sim->stats.pauses++;
    sim_trace(sim, "worker %llu paused for %.3f s", (unsigned long long)worker->process,
              (double)duration / 1e6);
    sim_process_pause(sim, worker->process, duration);
    return true;
}

static bool cut_network(struct sim *sim, struct sim_tm *tm)
{
    if (tm->partitioned)
        return false;
    sim->stats.partitions++;
    sim_network_cut(sim, tm, sim_between(sim, 10000, 9000000));
    return true;
}

static void disk_mended(struct sim *sim, struct sim_call *call)
{
    (void)call;
    sim->disk_broken = false;
}

static bool break_disk(struct sim *sim, struct sim_tm *tm)
{
    (void)tm;
    if (sim->disk_broken)
        return false;
    sim->stats.disk_failures++;
    sim->disk_broken = true;
    sim_after(sim, sim_between(sim, 100000, 3000000), 0, disk_mended, (struct sim_call){0}, NULL);
    return true;
}

static void fault(struct sim *sim, struct sim_call *call)
{
    static bool (*const kinds[])(struct sim *, struct sim_tm *) = {
        kill_tm, kill_tm, kill_worker, kill_worker, pause_tm, starve_worker, cut_network, break_disk,
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    (void)call;
    if (sim->healing)
        return;
    uint64_t kind = random_below(&sim->random, KINDS);
    for (uint64_t i = 0; i < KINDS; i++) { /* another one when this can't be */
        struct sim_tm *tm = &sim->tms[random_below(&sim->random, sim->tm_count)];
        if (kinds[(kind + i) % KINDS](sim, tm)) {
            sim->stats.faults++;
            break;
        }
    }
    sim_after(sim, sim_between(sim, 300000, 15000000), 0, fault, (struct sim_call){0}, NULL);
}

void sim_faults_start(struct sim *sim)
{
    sim_after(sim, sim_between(sim, 1000000, 10000000), 0, fault, (struct sim_call){0}, NULL);
}
