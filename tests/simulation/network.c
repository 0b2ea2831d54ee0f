/* The connection between the jobmanager and each taskmanager: messages keep their order and are delayed; a
 * cut holds them up, and a cut that lasts longer than the grace, or the end of a process, breaks the
 * connection and loses them. */
#include <assert.h>

#include "tests/simulation/sim.h"

enum direction { TO_TM, TO_JM, REGISTER, REGISTERED };

struct packet {
    enum direction direction;
    uint32_t tm;
    uint64_t process;    /* the taskmanager's, when it was sent */
    uint64_t connection; /* likewise */
    uint64_t session;
    int rc;
    size_t size;
    uint8_t data[];
};

static void arrive(struct sim *sim, struct sim_call *call);

static void post(struct sim *sim, struct packet *packet, int64_t delay_us)
{
    struct sim_tm *tm = &sim->tms[packet->tm];
    bool to_jm = packet->direction == TO_JM || packet->direction == REGISTER;
    int64_t *last = to_jm ? &tm->to_jm_last_us : &tm->to_tm_last_us;
    int64_t at = sim->now_us + delay_us;
    if (at < *last)
        at = *last;
    *last = at;
    sim_after(sim, at - sim->now_us, to_jm ? sim->jm_process : packet->process, arrive,
              (struct sim_call){.data = packet}, free);
}

static int64_t wire_delay(struct sim *sim)
{
    return sim_chance(sim, 15) ? sim_between(sim, 5000, 300000) : sim_between(sim, 30, 1500);
}

static void arrive(struct sim *sim, struct sim_call *call)
{
    struct packet *packet = call->data;
    struct sim_tm *tm = &sim->tms[packet->tm];
    if (packet->process != tm->process || packet->connection != tm->connection) {
        free(packet); /* the connection that it was on is gone */
        return;
    }
    if (tm->partitioned) {
        post(sim, packet, 20000);
        return;
    }
    switch (packet->direction) {
    case TO_TM: {
        Weir__ToTaskManager *message = weir__to_task_manager__unpack(NULL, packet->size, packet->data);
        assert(message);
        sim_tm_receive(sim, tm, packet->session, message);
        break;
    }
    case TO_JM: {
        Weir__ToJobManager *message = weir__to_job_manager__unpack(NULL, packet->size, packet->data);
        assert(message);
        sim_jm_receive(sim, packet->session, message);
        /* The acknowledgement of a batch is what tells a taskmanager that the jobmanager lives. */
        sim_tm_event(sim, tm, &(struct supervisor_event){.kind = SUPERVISOR_JM_CONTACT});
        break;
    }
    case REGISTER:
        sim_jm_register(sim, tm);
        break;
    case REGISTERED:
        sim_tm_registered(sim, tm, packet->rc, packet->session);
        break;
    }
    free(packet);
}

static struct packet *packet_new(struct sim_tm *tm, enum direction direction, uint64_t session, size_t size)
{
    struct packet *packet = xmalloc(sizeof *packet + size);
    *packet = (struct packet){.direction = direction,
                              .tm = tm->index,
                              .process = tm->process,
                              .connection = tm->connection,
                              .session = session,
                              .size = size};
    return packet;
}

void sim_network_to_tm(struct sim *sim, struct sim_tm *tm, uint64_t session,
                       const Weir__ToTaskManager *message)
{
    struct packet *packet = packet_new(tm, TO_TM, session, weir__to_task_manager__get_packed_size(message));
    weir__to_task_manager__pack(message, packet->data);
    post(sim, packet, wire_delay(sim));
}

void sim_network_to_jm(struct sim *sim, struct sim_tm *tm, uint64_t session,
                       const Weir__ToJobManager *message)
{
    struct packet *packet = packet_new(tm, TO_JM, session, weir__to_job_manager__get_packed_size(message));
    weir__to_job_manager__pack(message, packet->data);
    post(sim, packet, wire_delay(sim));
}

void sim_network_register(struct sim *sim, struct sim_tm *tm)
{
    post(sim, packet_new(tm, REGISTER, 0, 0), wire_delay(sim));
}

void sim_network_register_reply(struct sim *sim, struct sim_tm *tm, uint64_t process, int rc,
                                uint64_t session)
{
    if (tm->process != process)
        return;
    struct packet *packet = packet_new(tm, REGISTERED, session, 0);
    packet->rc = rc;
    post(sim, packet, wire_delay(sim));
}

static void grace_over(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    if (!tm->partitioned || tm->connection != call->b)
        return;
    uint64_t session = tm->session;
    tm->connection++;
    sim_trace(sim, "connection of tm %u broken by the cut", tm->index);
    if (session)
        sim_jm_connection_lost(sim, session, 0);
    if (tm->process)
        sim_tm_connection_lost(sim, tm);
}

static void healed(struct sim *sim, struct sim_call *call)
{
    struct sim_tm *tm = &sim->tms[call->a];
    tm->partitioned = false;
    sim_trace(sim, "network of tm %u healed", tm->index);
}

void sim_network_cut(struct sim *sim, struct sim_tm *tm, int64_t duration_us)
{
    if (tm->partitioned)
        return;
    tm->partitioned = true;
    sim_trace(sim, "network of tm %u cut for %.3f s", tm->index, (double)duration_us / 1e6);
    sim_after(sim, SIM_GRACE_US, 0, grace_over, (struct sim_call){.a = tm->index, .b = tm->connection}, NULL);
    sim_after(sim, duration_us, 0, healed, (struct sim_call){.a = tm->index}, NULL);
}
