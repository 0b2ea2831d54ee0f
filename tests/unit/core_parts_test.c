/* The core's parts on their own: state tables, restart strategies, slot pool, heartbeats, restore plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/hash.h"
#include "common/base/memory.h"
#include "jobmanager/checkpoint/restore_plan.h"
#include "jobmanager/executiongraph/states.h"
#include "jobmanager/failover/restart_strategy.h"
#include "jobmanager/heartbeat/heartbeat_monitor.h"
#include "jobmanager/slots/slot_pool.h"

static void states_lead_to_an_end(void **state)
{
    (void)state;
    for (int from = 0; from < TASK_STATE_COUNT; from++) {
        bool any = false;
        for (int to = 0; to < TASK_STATE_COUNT; to++)
            any = any || task_state_may_become((Weir__TaskState)from, (Weir__TaskState)to);
        assert_int_equal(any, !task_state_is_terminal((Weir__TaskState)from));
        /* Whatever a task does, it can be got rid of. */
        assert_true(!any || task_state_may_become((Weir__TaskState)from, WEIR__TASK_STATE__TASK_CANCELED));
    }
    static const struct {
        enum job_state from, to;
        bool may;
    } cases[] = {
        {JOB_CREATED, JOB_RUNNING, true},      {JOB_RUNNING, JOB_RESTARTING, true},
        {JOB_RESTARTING, JOB_RUNNING, true},   {JOB_RUNNING, JOB_FAILED, false},
        {JOB_FAILING, JOB_RUNNING, false},     {JOB_FAILED, JOB_RUNNING, false},
        {JOB_CANCELLING, JOB_FAILED, false},   {JOB_RESTARTING, JOB_FINISHED, false},
        {JOB_CANCELED, JOB_CANCELLING, false}, {JOB_FAILING, JOB_CANCELLING, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(job_state_may_become(cases[i].from, cases[i].to), cases[i].may);
    assert_string_equal(task_state_name((Weir__TaskState)99), "UNKNOWN");
    assert_string_equal(job_state_name(JOB_CANCELLING), "CANCELLING");
    assert_string_equal(task_state_name(WEIR__TASK_STATE__TASK_CANCELING), "CANCELING");
}

/* ---- restart strategies
 * ------------------------------------------------------------------------------------------- */

static struct restart_strategy strategy(const char *const *settings, bool checkpoints)
{
    struct restart_strategy made;
    struct config *config = config_new();
    struct error err = {0};
    for (; settings[0]; settings += 2)
        assert_int_equal(config_set(config, settings[0], settings[1], "test", &err), 0);
    assert_int_equal(restart_strategy_init(&made, config, checkpoints, &err), 0);
    config_free(config);
    return made;
}

static void strategies_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool checkpoints;
        enum restart_kind kind;
    } cases[] = {
        {"none", true, RESTART_NONE},
        {"off", false, RESTART_NONE},
        {"disable", true, RESTART_NONE},
        {"fixed-delay", true, RESTART_FIXED_DELAY},
        {"fixeddelay", true, RESTART_FIXED_DELAY},
        {"exponential-delay", false, RESTART_EXPONENTIAL_DELAY},
        {NULL, true, RESTART_EXPONENTIAL_DELAY},
        {NULL, false, RESTART_FIXED_DELAY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const settings[] = {cases[i].name ? "restart-strategy.type" : NULL, cases[i].name, NULL};
        assert_int_equal(strategy(settings, cases[i].checkpoints).kind, cases[i].kind);
    }
    char text[512];
    struct restart_strategy made = strategy(
        (const char *const[]){"restart-strategy.type", "fixed-delay", "restart-strategy.fixed-delay.attempts",
                              "100", "restart-strategy.fixed-delay.delay", "3 s", NULL},
        true);
    assert_string_equal(
        restart_strategy_describe(&made, text, sizeof text),
        "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=100, backoffTimeMS=3000)");
}

static void exponential_delay(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    struct restart_strategy made = strategy(
        (const char *const[]){"restart-strategy.type", "exponential-delay",
                              "restart-strategy.exponential-delay.initial-backoff", "1 s",
                              "restart-strategy.exponential-delay.max-backoff", "5 s",
                              "restart-strategy.exponential-delay.backoff-multiplier", "2",
                              "restart-strategy.exponential-delay.jitter-factor", "0",
                              "restart-strategy.exponential-delay.reset-backoff-threshold", "1 h", NULL},
        true);
    static const int64_t expected[] = {0, 1000, 2000, 4000, 5000, 5000};
    int64_t now = 1000000, delay = -1;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++, now += 10000) {
        assert_true(restart_strategy_on_failure(&made, now, &random, &delay));
        assert_int_equal(delay, expected[i]);
    }
    now += 3600000 + 5000 - 10000 - 1; /* not yet */
    assert_true(restart_strategy_on_failure(&made, now, &random, &delay));
    assert_int_equal(delay, 5000);
    assert_true(restart_strategy_on_failure(&made, now + 3600000 + 5000, &random, &delay));
    assert_int_equal(delay, 0); /* a new series */
    assert_true(restart_strategy_on_failure(&made, now + 3600000 + 6000, &random, &delay));
    assert_int_equal(delay, 1000);
}

static void exponential_attempts_and_jitter(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    struct restart_strategy made =
        strategy((const char *const[]){"restart-strategy.type", "exponential-delay",
                                       "restart-strategy.exponential-delay.attempts-before-reset-backoff",
                                       "200", "restart-strategy.exponential-delay.initial-backoff", "10 s",
                                       "restart-strategy.exponential-delay.backoff-multiplier", "1.5",
                                       "restart-strategy.exponential-delay.max-backoff", "20 s",
                                       "restart-strategy.exponential-delay.jitter-factor", "0.2", NULL},
                 true);
    int64_t low = INT64_MAX, high = 0, delay;
    for (int i = 0; i < 200; i++) {
        assert_true(restart_strategy_on_failure(&made, i, &random, &delay));
        if (i < 5)
            continue;
        low = delay < low ? delay : low;
        high = delay > high ? delay : high;
    }
    assert_true(low >= 16000 && low < 16500);
    assert_true(high == 20000); /* never above the maximum */
    assert_false(restart_strategy_on_failure(&made, 200, &random, &delay));
}

/* ---- slots
 * -------------------------------------------------------------------------------------------------------- */

static struct task_manager *add(struct slot_pool *pool, uint32_t slots)
{
    Weir__RegisterTaskManager registration = WEIR__REGISTER_TASK_MANAGER__INIT;
    registration.slots = slots;
    uint64_t session = UINT64_MAX / 7 * (pool->task_managers.count + 1) ^ 0x5555; /* not in ascending order */
    return slot_pool_add(pool, &registration, session);
}

static void packs_onto_few_taskmanagers(void **state)
{
    (void)state;
    static const struct {
        uint32_t need;
        uint32_t expected[5]; /* slots taken of each; all zero: not possible */
    } cases[] = {
        {1, {1, 0, 0, 0, 0}}, {2, {0, 2, 0, 0, 0}}, {3, {0, 0, 0, 3, 0}},  {4, {0, 0, 4, 0, 0}},
        {5, {1, 0, 4, 0, 0}}, {7, {0, 0, 4, 3, 0}}, {12, {1, 2, 4, 3, 2}}, {13, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slot_pool pool = {0};
        static const uint32_t sizes[] = {1, 2, 4, 3, 2};
        for (size_t k = 0; k < 5; k++)
            add(&pool, sizes[k]);
        struct slot_grant grants[13];
        struct weir_id job = {.bytes = {1}};
        bool given = slot_pool_allocate(&pool, &job, cases[i].need, grants);
        assert_int_equal(given, cases[i].need <= 12);
        uint32_t taken = 0;
        for (size_t k = 0; k < 5; k++) {
            struct task_manager *tm = pool.task_managers.items[k];
            if (tm->slot_count - tm->free_slots != cases[i].expected[k])
                fail_msg("%u slots: taskmanager %zu gives %u", cases[i].need, k,
                         tm->slot_count - tm->free_slots);
            taken += tm->slot_count - tm->free_slots;
        }
        assert_int_equal(pool.slots_free, 12 - taken);
        for (uint32_t k = 1; given && k < cases[i].need; k++) /* next to each other, slots ascending */
            if (grants[k].task_manager == grants[k - 1].task_manager)
                assert_true(grants[k].slot > grants[k - 1].slot);
        pool.grown = false;
        if (given) {
            slot_pool_release(&pool, grants[0].task_manager, &job);
            assert_true(pool.grown);
            assert_int_equal(grants[0].task_manager->free_slots, grants[0].task_manager->slot_count);
            struct weir_id stranger = {.bytes = {2}};
            uint32_t before = pool.slots_free;
            slot_pool_release(&pool, pool.task_managers.items[2], &stranger);
            assert_int_equal(pool.slots_free, before);
        }
        slot_pool_deinit(&pool);
    }
}

static void finds_taskmanagers_by_session(void **state)
{
    (void)state;
    struct slot_pool pool = {0};
    struct task_manager *all[50];
    for (size_t i = 0; i < 50; i++)
        all[i] = add(&pool, 1);
    for (size_t i = 0; i < 50; i++)
        assert_ptr_equal(slot_pool_find(&pool, all[i]->session), all[i]);
    for (size_t i = 0; i < 50; i += 2) {
        uint64_t session = all[i]->session;
        slot_pool_remove(&pool, all[i]);
        assert_null(slot_pool_find(&pool, session));
    }
    for (size_t i = 1; i < 50; i += 2)
        assert_ptr_equal(slot_pool_find(&pool, all[i]->session), all[i]);
    assert_int_equal(pool.slots_total, 25);
    assert_null(slot_pool_find(&pool, 0));
    slot_pool_deinit(&pool);
}

/* ---- heartbeats
 * --------------------------------------------------------------------------------------------------- */

static void the_silent_expire_in_order(void **state)
{
    (void)state;
    struct heartbeat_monitor monitor;
    struct heartbeat_target a = {0}, b = {0}, c = {0};
    heartbeat_monitor_init(&monitor, 100);
    assert_int_equal(heartbeat_monitor_deadline(&monitor), INT64_MAX);
    heartbeat_monitor_add(&monitor, &a, 0);
    heartbeat_monitor_add(&monitor, &b, 10);
    heartbeat_monitor_add(&monitor, &c, 20);
    heartbeat_monitor_touch(&monitor, &a, 30);
    assert_int_equal(heartbeat_monitor_deadline(&monitor), 110);
    assert_null(heartbeat_monitor_expired(&monitor, 109));
    assert_ptr_equal(heartbeat_monitor_expired(&monitor, 110), &b);
    heartbeat_monitor_remove(&b);
    assert_int_equal(heartbeat_monitor_deadline(&monitor), 120);
    heartbeat_monitor_remove(&c);
    assert_ptr_equal(heartbeat_monitor_expired(&monitor, 500), &a);
    heartbeat_monitor_remove(&a);
    assert_null(heartbeat_monitor_expired(&monitor, 500));
}

/* ---- restore
 * ------------------------------------------------------------------------------------------------------ */

/* Of subtasks whose key groups a new subtask takes over, it gets the properties; of the others only what is
 * not known yet: else a restore would be quadratic. */
static void properties_of_others_are_given_once(void **state)
{
    (void)state;
    enum { OLD = 40 };
    Weir__SnapshotMetadata *snapshot = xmalloc(sizeof *snapshot);
    weir__snapshot_metadata__init(snapshot);
    snapshot->operators = xcalloc(OLD, sizeof(Weir__OperatorState *));
    for (uint32_t i = 0; i < OLD; i++) {
        Weir__OperatorState *op = xmalloc(sizeof *op);
        weir__operator_state__init(op);
        op->uid = xstrdup("w");
        op->subtask = i;
        op->parallelism = OLD;
        op->max_parallelism = 128;
        op->properties = xcalloc(1, sizeof(Weir__KeyValue *));
        op->properties[0] = xmalloc(sizeof(Weir__KeyValue));
        weir__key_value__init(op->properties[0]);
        op->properties[0]->key = xstrdup("watermark");
        op->properties[0]->value = xstrdup(i == 17 ? "5" : "7");
        op->n_properties = 1;
        snapshot->operators[snapshot->n_operators++] = op;
    }
    struct restore_plan plan;
    restore_plan_init(&plan, snapshot);
    Weir__Operator op = WEIR__OPERATOR__INIT;
    op.uid = (char *)"w";
    Weir__Operator *ops[] = {&op};
    Weir__Vertex vertex = WEIR__VERTEX__INIT;
    vertex.operators = ops;
    vertex.n_operators = 1;
    vertex.parallelism = 3;
    vertex.max_parallelism = 128;
    for (uint32_t i = 0; i < 3; i++) {
        Weir__TaskDeployment *task = xmalloc(sizeof *task);
        weir__task_deployment__init(task);
        task->subtask = i;
        restore_plan_assign(&plan, &vertex, task);
        uint32_t first, last, expected = 0;
        key_group_range(i, 3, 128, &first, &last);
        for (uint32_t old = 0; old < OLD; old++) {
            uint32_t old_first, old_last;
            key_group_range(old, OLD, 128, &old_first, &old_last);
            bool wanted = old == 0 || old == 17 || (old_first <= last && first <= old_last);
            if (!wanted)
                continue;
            assert_true(expected < task->n_restore);
            assert_int_equal(task->restore[expected]->subtask, old);
            assert_string_equal(task->restore[expected]->properties[0]->value, old == 17 ? "5" : "7");
            expected++;
        }
        assert_int_equal(task->n_restore, expected);
        assert_true(expected < 20);
        weir__task_deployment__free_unpacked(task, NULL);
    }
    restore_plan_deinit(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_lead_to_an_end),       cmocka_unit_test(strategies_by_name),
        cmocka_unit_test(exponential_delay),           cmocka_unit_test(exponential_attempts_and_jitter),
        cmocka_unit_test(packs_onto_few_taskmanagers), cmocka_unit_test(finds_taskmanagers_by_session),
        cmocka_unit_test(the_silent_expire_in_order),  cmocka_unit_test(properties_of_others_are_given_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
