/* Random events from a seed, in any order, with invariants after each: no slot is used twice, no subtask runs
 * twice (both checked by the rig's taskmanagers), the core's counts add up, checkpoints complete only with
 * all acknowledgements. In the end the world is healed, and all that is left must run. WEIR_SEEDS: how many
 * seeds; WEIR_SEED: the first. */
#include "tests/unit/core_rig.h"

#include <stdio.h>
#include <string.h>

#include "common/base/id.h"

enum { EVENTS = 20000, TMS = 5, JOBS = 6, WEATHER_EVENTS = 800 };

static bool stormy; /* faults happen; else jobs come to run and to checkpoint */

static struct weir_id jobs[4096];
static size_t job_count;

static void submit(struct rig *rig, struct random *random)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < core_job_count(rig->core); i++) {
        struct job_view view;
        core_view_job(rig->core, i, &view);
        live += !job_state_is_terminal(view.state);
    }
    if (live >= JOBS || job_count == sizeof jobs / sizeof jobs[0])
        return;
    Weir__JobGraph *graph = rig_graph("Random", 1 + (uint32_t)random_below(random, 3),
                                      1 + (uint32_t)random_below(random, 3), 128);
    if (random_below(random, 4) > 0)
        rig_graph_set(graph, "execution.checkpointing.interval", "1 s");
    if (random_below(random, 3) == 0)
        rig_graph_set(graph, "restart-strategy.type", "none");
    rig_submit(rig, graph, NULL, false);
    assert_int_equal(rig->submit_rc, 0);
    jobs[job_count++] = rig->job;
}

static bool pick_worker(struct rig *rig, struct random *random, uint32_t *ret_tm,
                        struct rig_worker **ret_worker)
{
    uint32_t tm = (uint32_t)random_below(random, rig->tm_count);
    if (rig->tms[tm].session == 0 || rig->tms[tm].workers.count == 0)
        return false;
    *ret_tm = tm;
    *ret_worker = &rig->tms[tm].workers.items[random_below(random, rig->tms[tm].workers.count)];
    return true;
}

/* A state that a task of a real worker may say next, or (nonsense) any of another attempt. */
static void say_something(struct rig *rig, struct random *random)
{
    uint32_t tm;
    struct rig_worker *worker;
    if (!pick_worker(rig, random, &tm, &worker))
        return;
    if (!worker->ready) {
        rig->job = worker->job;
        rig_send(rig, tm, rig_ready(rig, worker->attempt));
        return;
    }
    if (worker->tasks.count == 0)
        return;
    const struct rig_task *task = &worker->tasks.items[random_below(random, worker->tasks.count)];
    uint32_t attempt = worker->attempt;
    rig->job = worker->job;
    switch (random_below(random, 12)) {
    case 0:
        attempt += (uint32_t)random_below(random, 3);
        rig_send(rig, tm,
                 rig_task_state(rig, attempt - 1, task->vertex, task->subtask,
                                (Weir__TaskState)random_below(random, 12)));
        break;
    case 1:
        if (stormy && random_below(random, 4) == 0)
            rig_send(
                rig, tm,
                rig_task_state(rig, attempt, task->vertex, task->subtask, WEIR__TASK_STATE__TASK_FAILED));
        break;
    case 2:
        if (stormy && random_below(random, 4) == 0 && task->state == WEIR__TASK_STATE__TASK_RUNNING)
            rig_send(
                rig, tm,
                rig_task_state(rig, attempt, task->vertex, task->subtask, WEIR__TASK_STATE__TASK_FINISHED));
        break;
    case 3:
        rig_send(rig, tm, rig_ack(rig, attempt, task->vertex, task->subtask, random_below(random, 40)));
        break;
    case 4:
        rig_send(rig, tm, rig_ready(rig, attempt));
        break;
    default:
        if (task->state == WEIR__TASK_STATE__TASK_DEPLOYING)
            rig_send(rig, tm,
                     rig_task_state(rig, attempt, task->vertex, task->subtask,
                                    WEIR__TASK_STATE__TASK_INITIALIZING));
        else if (task->state == WEIR__TASK_STATE__TASK_INITIALIZING)
            rig_send(
                rig, tm,
                rig_task_state(rig, attempt, task->vertex, task->subtask, WEIR__TASK_STATE__TASK_RUNNING));
    }
}

/* The messages of one taskmanager stay in order; those of several mix. */
static void deliver_one(struct rig *rig, struct random *random)
{
    if (rig->queue.count == 0)
        return;
    uint64_t session = rig->queue.items[random_below(random, rig->queue.count)].session;
    size_t at = 0;
    while (rig->queue.items[at].session != session)
        at++;
    rig_deliver(rig, at);
}

static void lose_or_register(struct rig *rig, struct random *random)
{
    uint32_t tm = (uint32_t)random_below(random, rig->tm_count);
    if (rig->tms[tm].session == 0 || random_below(random, 4) == 0)
        rig_register(rig, tm); /* anew, if it was there */
    else
        rig_lose_tm(rig, tm);
}

static void one_event(struct rig *rig, struct random *random)
{
    uint32_t tm;
    struct rig_worker *worker;
    uint64_t what = random_below(random, stormy ? 1000 : 975);
    if (what < 550) {
        deliver_one(rig, random);
    } else if (what < 800) {
        say_something(rig, random);
    } else if (what < 900) {
        rig->now_ms += (int64_t)random_below(random, 400);
        rig_step(rig, &(struct core_event){.kind = EVENT_TICK});
    } else if (what < 960) {
        if (rig->due.count > 0)
            rig_answer_due(rig, random_below(random, 10) == 0 ? WEIR_E_IO : 0);
    } else if (what < 975) {
        submit(rig, random);
    } else if (what < 982) {
        if (job_count > 0)
            rig_cancel(rig, &jobs[random_below(random, job_count)]);
    } else if (what < 990) {
        if (pick_worker(rig, random, &tm, &worker)) {
            struct weir_id job = worker->job;
            rig_worker_dies(rig, tm, &job, 9);
        }
    } else if (what < 996) {
        lose_or_register(rig, random);
    } else { /* a stranger */
        vec_push(&rig->queue, (struct rig_message){random_next(random), rig_exited(rig, 0, 9, false)});
    }
}

static void heal(struct rig *rig)
{
    rig->auto_ready = rig->auto_run = rig->auto_ack = rig->auto_cancel = rig->auto_stop = rig->auto_exit =
        true;
    rig->auto_directory = rig->auto_persist = true;
    while (rig->due.count > 0)
        rig_answer_due(rig, 0);
    for (uint32_t i = 0; i < rig->tm_count; i++) /* all anew: what hangs in old workers is gone */
        rig_register(rig, i);
    for (int i = 0; i < 20; i++)
        rig_add_tm(rig, 3);
    rig_pass(rig, 300000);
}

static void check_healed(struct rig *rig)
{
    for (uint32_t i = 0; i < core_job_count(rig->core); i++) {
        struct job_view view;
        core_view_job(rig->core, i, &view);
        if (job_state_is_terminal(view.state))
            continue;
        if (view.state != JOB_RUNNING ||
            view.tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING] != view.tasks_total)
            fail_msg("job %u is %s with %u of %u tasks running", i, job_state_name(view.state),
                     view.tasks_by_state[WEIR__TASK_STATE__TASK_RUNNING], view.tasks_total);
    }
}

/* It is only counted. */
static void forget_story(struct rig *rig, int *checkpoints, int *restarts)
{
    *checkpoints += rig_count_told(rig, "LOG Completed checkpoint");
    vec_for_each (line, &rig->story) {
        *restarts += strstr(*line, "from state RESTARTING to RUNNING") != NULL;
        free(*line);
    }
    vec_clear(&rig->story);
}

static void run(uint64_t seed, uint64_t events)
{
    static struct rig rig;
    struct random random;
    random_init(&random, seed);
    rig_init(&rig, (const char *const[]){"web.history", "5", "execution.checkpointing.timeout", "4 s", NULL});
    job_count = 0;
    rig.auto_run = rig.auto_ready = rig.auto_directory = rig.auto_persist = false;
    for (int i = 0; i < TMS; i++)
        rig_add_tm(&rig, 1 + (uint32_t)random_below(&random, 3));
    int checkpoints = 0, restarts = 0;
    for (uint64_t i = 0; i < events; i++) {
        stormy = i / WEATHER_EVENTS % 2 == 1;
        one_event(&rig, &random);
        rig_check(&rig);
        if (rig.story.count > 100000)
            forget_story(&rig, &checkpoints, &restarts);
    }
    forget_story(&rig, &checkpoints, &restarts);
    print_message("seed %llu: %zu jobs, %d checkpoints, %d restarts\n", (unsigned long long)seed, job_count,
                  checkpoints, restarts);
    heal(&rig);
    rig_check(&rig);
    check_healed(&rig);
    if (events >= EVENTS) { /* else it would prove nothing */
        assert_true(job_count > 10);
        assert_true(checkpoints > 10);
        assert_true(restarts > 10);
    }
    rig_deinit(&rig);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void random_events(void **state)
{
    (void)state;
    uint64_t first = from_environment("WEIR_SEED", 1), count = from_environment("WEIR_SEEDS", 3);
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed, EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
