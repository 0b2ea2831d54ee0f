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

static void kill_tm(struct sim *sim, struct sim_tm *tm)
{
    if (tm->process == 0)
        return;
    sim->stats.tm_kills++;
    sim_tm_kill(sim, tm);
    sim_after(sim, sim_between(sim, 200000, 8000000), 0, restart_tm, (struct sim_call){.a = tm->index}, NULL);
}

static void kill_worker(struct sim *sim, struct sim_tm *tm)
{
    if (tm->workers.count == 0)
        return;
    struct sim_worker *worker = tm->workers.items[random_below(&sim->random, tm->workers.count)];
    uint64_t handle = worker->handle;
    sim->stats.worker_kills++;
    sim_trace(sim, "worker %llu of tm %u killed", (unsigned long long)worker->process, tm->index);
    sim_worker_destroy(sim, worker);
    sim_tm_worker_exited(sim, tm, handle, -1, SIGKILL);
}

static void disk_mended(struct sim *sim, struct sim_call *call)
{
    (void)call;
    sim->disk_broken = false;
}

static void fault(struct sim *sim, struct sim_call *call)
{
    (void)call;
    if (sim->healing)
        return;
    struct sim_tm *tm = &sim->tms[random_below(&sim->random, sim->tm_count)];
    sim->stats.faults++;
    switch (random_below(&sim->random, 8)) {
    case 0:
    case 1:
        kill_tm(sim, tm);
        break;
    case 2:
    case 3:
        kill_worker(sim, tm);
        break;
    case 4: { /* a taskmanager with its workers: shorter or longer than the heartbeat timeout */
        int64_t duration = sim_between(sim, 100000, 9000000);
        sim->stats.pauses++;
        sim_trace(sim, "tm %u paused for %.3f s", tm->index, (double)duration / 1e6);
        if (tm->process)
            sim_process_pause(sim, tm->process, duration);
        break;
    }
    case 5: /* one worker starved */
        if (tm->workers.count > 0) {
            struct sim_worker *worker = tm->workers.items[random_below(&sim->random, tm->workers.count)];
            int64_t duration = sim_between(sim, 1000000, 9000000);
            sim->stats.pauses++;
            sim_trace(sim, "worker %llu paused for %.3f s", (unsigned long long)worker->process,
                      (double)duration / 1e6);
            sim_process_pause(sim, worker->process, duration);
        }
        break;
    case 6:
        sim->stats.partitions++;
        sim_network_cut(sim, tm, sim_between(sim, 10000, 9000000));
        break;
    default:
        sim->stats.disk_failures++;
        sim->disk_broken = true;
        sim_after(sim, sim_between(sim, 100000, 3000000), 0, disk_mended, (struct sim_call){0}, NULL);
        break;
    }
    sim_after(sim, sim_between(sim, 300000, 15000000), 0, fault, (struct sim_call){0}, NULL);
}

void sim_faults_start(struct sim *sim)
{
    sim_after(sim, sim_between(sim, 1000000, 10000000), 0, fault, (struct sim_call){0}, NULL);
}
