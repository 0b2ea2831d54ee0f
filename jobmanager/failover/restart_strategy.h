/* Whether a failed job may restart, and after which pause: none, fixed-delay, exponential-delay
 * (restart-strategy.*). The first restart is always immediate: the pause is against jobs that fail again and
 * again. Pure. */
#ifndef WEIR_FAILOVER_RESTART_STRATEGY_H
#define WEIR_FAILOVER_RESTART_STRATEGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/config/config.h"

enum restart_kind { RESTART_NONE, RESTART_FIXED_DELAY, RESTART_EXPONENTIAL_DELAY };

struct restart_strategy {
    enum restart_kind kind;
    int64_t attempts_max;
    int64_t delay_ms;                     /* fixed */
    int64_t initial_ms, max_ms, reset_ms; /* exponential */
    double multiplier, jitter;
    /* What happened so far: */
    int64_t attempts; /* restarts granted; exponential: since the last reset */
    int64_t backoff_ms;
    int64_t last_failure_ms;
};

/* Not configured: exponential-delay with checkpoints, fixed-delay without. */
int restart_strategy_init(struct restart_strategy *strategy, const struct config *config, bool checkpoints,
                          struct error *err) WEIR_CHECK;
/* The job failed at now_ms: false if it must not restart; else after *ret_delay_ms. */
bool restart_strategy_on_failure(struct restart_strategy *strategy, int64_t now_ms, struct random *random,
                                 int64_t *ret_delay_ms);
/* Flink's words for it, "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=100,
 * backoffTimeMS=3000)"; returns text. */
char *restart_strategy_describe(const struct restart_strategy *strategy, char *text, size_t capacity);

#endif
