/* The option table for people: --help, and docs/configuration.md. */
#include "common/config/config.h"
#include "common/config/table.h"

void config_print_help(FILE *out)
{
    fputs("Configuration keys, for config.yaml and -D key=value:\n", out);
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_row *row = &option_table[i];
        fprintf(out, "  %s (%s)\n      %s", row->key, row->allowed, row->description);
        if (row->default_value)
            fprintf(out, " Default: %s.", row->default_value);
        fputc('\n', out);
    }
}

/* Where the defaults differ from Flink's on purpose, of what stands in the table. */
static const struct {
    enum option_id id;
    const char *flink;
    const char *why;
} differences[] = {
    {OPT_CHECKPOINT_RETENTION, "NO_EXTERNALIZED_CHECKPOINTS",
     "Cancelling a job must not destroy the only way back."},
    {OPT_FIXED_DELAY_ATTEMPTS, "1", "A job is restarted until somebody decides otherwise."},
    {OPT_CHECKPOINT_DIR, "none: checkpoints in the jobmanager's memory",
     "Needed for jobs with checkpoints: what is only in memory is not safe."},
    {OPT_BUFFER_TIMEOUT, "100 ms", "A buffer is sent at the latest when its producer runs out of input."},
    {OPT_RESTART_STRATEGY, "exponential-delay with checkpoints, none without",
     "A job without checkpoints goes on as well."},
    {OPT_JOBMANAGER_BIND_HOST, "(not set): all addresses", "Submitting a job is running code."},
    {OPT_REST_BIND_ADDRESS, "(not set): all addresses", "Submitting a job is running code."},
    {OPT_TASKMANAGER_BIND_HOST, "(not set): all addresses", "Nobody else needs to reach it."},
};

static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void config_print_markdown(FILE *out)
{
    fputs("# Configuration\n\n"
          "Made by `weir-config-docs` from the option table (`common/config/options.def`); do not edit by "
          "hand.\n\n"
          "Keys stand in `config.yaml` (nested or flat), found in the directory given by `--configDir` or "
          "`WEIR_CONF_DIR`, and "
          "on the command line as\n`-D key=value`, which wins. Flink's keys, old and new. An unknown key is "
          "a warning; a bad "
          "value an error that names file, line and the allowed form.\n\n"
          "| key | default | allowed | what it does | older names |\n|---|---|---|---|---|\n",
          out);
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_row *row = &option_table[i];
        fprintf(out, "| `%s` | %s | ", row->key, row->default_value ? row->default_value : "(not set)");
        print_cell(out, row->allowed);
        fputs(" | ", out);
        print_cell(out, row->description);
        fputs(" | ", out);
        for (const char *at = row->aliases; *at; at++) {
            if (at == row->aliases)
                fputc('`', out);
            fputs(*at == ',' ? "`, `" : (char[]){*at, '\0'}, out);
        }
        fputs(row->aliases[0] ? "` |\n" : " |\n", out);
    }
    fputs("\n## Where the defaults differ from Flink's, on purpose\n\n| key | Weir | Flink | why "
          "|\n|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
        const struct option_row *row = &option_table[differences[i].id];
        fprintf(out, "| `%s` | %s | %s | %s |\n", row->key,
                row->default_value ? row->default_value : "(not set)", differences[i].flink,
                differences[i].why);
    }
    fputs("| (none) | a failed checkpoint never fails the job | the job fails after "
          "`execution.checkpointing.tolerable-failed-checkpoints` | The next one may succeed; nothing is "
          "lost. |\n"
          "| (none) | the first restart is immediate, the strategy's delay begins with the second | every "
          "restart is delayed | "
          "A lost process is replaced in milliseconds. |\n"
          "| (none) | watermarks travel with each flushed source buffer | every 200 ms "
          "(`pipeline.auto-watermark-interval`) | Results come as soon as they are complete. |\n"
          "| (none) | a partition is idle when the broker says that nothing is left to read | when nothing "
          "was read for the "
          "time | A slow reader must not lose records as late. |\n",
          out);
}
