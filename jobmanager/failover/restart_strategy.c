#include "jobmanager/failover/restart_strategy.h"

#include <stdio.h>
#include <strings.h>

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(text, *words) == 0)
            return true;
    return false;
}

static int kind_of(const char *type, bool checkpoints, enum restart_kind *ret_kind, struct error *err)
{
    static const char *const none[] = {"none", "disable", "off", NULL};
    static const char *const fixed[] = {"fixed-delay", "fixeddelay", NULL};
    static const char *const exponential[] = {"exponential-delay", "exponentialdelay", NULL};
    if (!type)
        *ret_kind = checkpoints ? RESTART_EXPONENTIAL_DELAY : RESTART_FIXED_DELAY;
    else if (is_one_of(type, none))
        *ret_kind = RESTART_NONE;
    else if (is_one_of(type, fixed))
        *ret_kind = RESTART_FIXED_DELAY;
    else if (is_one_of(type, exponential))
        *ret_kind = RESTART_EXPONENTIAL_DELAY;
    else
        return error_set(err, WEIR_E_INVALID,
                         "restart-strategy.type: %.100s is not one of none, fixed-delay, exponential-delay",
                         type);
    return 0;
}

int restart_strategy_init(struct restart_strategy *strategy, const struct config *config, bool checkpoints,
                          struct error *err)
{
    enum restart_kind kind = RESTART_NONE;
    int rc = kind_of(config_string(config, OPT_RESTART_STRATEGY), checkpoints, &kind, err);
    if (rc < 0)
        return rc;
    *strategy = (struct restart_strategy){
        .kind = kind,
        .attempts_max = config_integer(config, kind == RESTART_FIXED_DELAY ? OPT_FIXED_DELAY_ATTEMPTS
                                                                           : OPT_EXPONENTIAL_ATTEMPTS),
        .delay_ms = config_duration_ms(config, OPT_FIXED_DELAY_DELAY),
        .initial_ms = config_duration_ms(config, OPT_EXPONENTIAL_INITIAL),
        .max_ms = config_duration_ms(config, OPT_EXPONENTIAL_MAX),
        .reset_ms = config_duration_ms(config, OPT_EXPONENTIAL_RESET),
        .multiplier = config_double(config, OPT_EXPONENTIAL_MULTIPLIER),
        .jitter = config_double(config, OPT_EXPONENTIAL_JITTER),
    };
    strategy->backoff_ms = strategy->initial_ms;
    if (strategy->max_ms < strategy->initial_ms)
        return error_set(
            err, WEIR_E_INVALID,
            "restart-strategy.exponential-delay.max-backoff (%lld ms) is less than initial-backoff (%lld ms)",
            (long long)strategy->max_ms, (long long)strategy->initial_ms);
    return 0;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static int64_t with_jitter(const struct restart_strategy *strategy, struct random *random)
{
    int64_t spread = (int64_t)((double)strategy->backoff_ms * strategy->jitter);
    int64_t offset = spread > 0 ? (int64_t)random_below(random, (uint64_t)(2 * spread + 1)) - spread : 0;
    return clamp(strategy->backoff_ms + offset, strategy->initial_ms, strategy->max_ms);
}

bool restart_strategy_on_failure(struct restart_strategy *strategy, int64_t now_ms, struct random *random,
                                 int64_t *ret_delay_ms)
{
    if (strategy->kind == RESTART_NONE)
        return false;
    if (strategy->kind == RESTART_EXPONENTIAL_DELAY && strategy->attempts > 0 &&
        now_ms - strategy->last_failure_ms >= strategy->reset_ms + strategy->backoff_ms) {
        strategy->attempts = 0;
        strategy->backoff_ms = strategy->initial_ms;
    }
    strategy->last_failure_ms = now_ms;
    if (strategy->attempts >= strategy->attempts_max)
        return false;
    strategy->attempts++;
    if (strategy->attempts == 1) {
        *ret_delay_ms = 0;
    } else if (strategy->kind == RESTART_FIXED_DELAY) {
        *ret_delay_ms = strategy->delay_ms;
    } else {
        *ret_delay_ms = with_jitter(strategy, random);
        double next = (double)strategy->backoff_ms * strategy->multiplier;
        strategy->backoff_ms = next >= (double)strategy->max_ms ? strategy->max_ms : (int64_t)next;
    }
    return true;
}

char *restart_strategy_describe(const struct restart_strategy *strategy, char *text, size_t capacity)
{
    switch (strategy->kind) {
    case RESTART_NONE:
        snprintf(text, capacity, "NoRestartBackoffTimeStrategy");
        break;
    case RESTART_FIXED_DELAY:
        snprintf(text, capacity,
                 "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=%lld, backoffTimeMS=%lld)",
                 (long long)strategy->attempts_max, (long long)strategy->delay_ms);
        break;
    case RESTART_EXPONENTIAL_DELAY:
        snprintf(text, capacity,
                 "ExponentialDelayRestartBackoffTimeStrategy(initialBackoffMS=%lld, maxBackoffMS=%lld, "
                 "backoffMultiplier=%g, resetBackoffThresholdMS=%lld, jitterFactor=%g)",
                 (long long)strategy->initial_ms, (long long)strategy->max_ms, strategy->multiplier,
                 (long long)strategy->reset_ms, strategy->jitter);
        break;
    }
    return text;
}
