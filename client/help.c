/* Help texts, in the layout of Flink's client. */
#include "client/options.h"

#include <stdio.h>

static const char common_options[] =
    "     -D <property=value>      Allows specifying multiple generic configuration\n"
    "                              options (see docs/configuration.md).\n"
    "     -h,--help                Show the help message for the action.\n"
    "     -m,--jobmanager <arg>    Address (host:port) of the jobmanager's REST\n"
    "                              interface. Use this flag to connect to a different\n"
    "                              jobmanager than the one specified in the\n"
    "                              configuration.\n";

static const char *const texts[ACTION_COUNT] = {
    [ACTION_RUN] = "Action \"run\" compiles and runs a program.\n"
                   "\n"
                   "  Syntax: run [OPTIONS] <job-file> <arguments>\n"
                   "  \"run\" action options:\n"
                   "     -d,--detached                        If present, runs the job in detached\n"
                   "                                          mode\n"
                   "     -n,--allowNonRestoredState           Allow to skip savepoint state that\n"
                   "                                          cannot be restored. You need to allow\n"
                   "                                          this if you removed an operator from\n"
                   "                                          your program that was part of the\n"
                   "                                          program when the savepoint was\n"
                   "                                          triggered.\n"
                   "     -p,--parallelism <parallelism>       The parallelism with which to run the\n"
                   "                                          program. Optional flag to override the\n"
                   "                                          default value specified in the\n"
                   "                                          configuration.\n"
                   "     -s,--fromSavepoint <savepointPath>   Path to a savepoint to restore the job\n"
                   "                                          from (for example\n"
                   "                                          file:///weir/savepoint-1537).\n",
    [ACTION_LIST] = "Action \"list\" lists running and scheduled programs.\n"
                    "\n"
                    "  Syntax: list [OPTIONS]\n"
                    "  \"list\" action options:\n"
                    "     -a,--all         Show all programs and their JobIDs\n"
                    "     -r,--running     Show only running programs and their JobIDs\n"
                    "     -s,--scheduled   Show only scheduled programs and their JobIDs\n",
    [ACTION_CANCEL] = "Action \"cancel\" cancels a running program.\n"
                      "\n"
                      "  Syntax: cancel [OPTIONS] <Job ID>\n",
    [ACTION_SAVEPOINT] =
        "Action \"savepoint\" triggers savepoints for a running job or disposes existing ones.\n"
        "\n"
        "  Syntax: savepoint [OPTIONS] <Job ID> [<target directory>]\n"
        "  \"savepoint\" action options:\n"
        "     -d,--dispose <arg>   Path of savepoint to dispose.\n"
        "     -detached            Return the savepoint's trigger id without waiting.\n"
        "     -type,--type <arg>   canonical or native: Weir has one format for both.\n",
    [ACTION_STOP] = "Action \"stop\" stops a running program with a savepoint.\n"
                    "\n"
                    "  Syntax: stop [OPTIONS] <Job ID>\n"
                    "  \"stop\" action options:\n"
                    "     -d,--drain                           Send MAX_WATERMARK before taking the\n"
                    "                                          savepoint and stopping the pipeline.\n"
                    "     -detached                            Return the savepoint's trigger id\n"
                    "                                          without waiting.\n"
                    "     -p,--savepointPath <savepointPath>   Directory of the savepoint. If none is\n"
                    "                                          given, the configured default is used\n"
                    "                                          (execution.checkpointing.savepoint-dir).\n"
                    "     -type,--type <arg>                   canonical or native: Weir has one format\n"
                    "                                          for both.\n",
    [ACTION_CHECKPOINT] = "Action \"checkpoint\" triggers checkpoints for a running job.\n"
                          "\n"
                          "  Syntax: checkpoint [OPTIONS] <Job ID>\n"
                          "  \"checkpoint\" action options:\n"
                          "     -full,--full   Every checkpoint of Weir is a full one.\n",
};

void help_print_action(enum action action)
{
    printf("\n%s  Options of all actions:\n%s\n", texts[action], common_options);
}

void help_print_all(void)
{
    printf("./weir <ACTION> [OPTIONS] [ARGUMENTS]\n"
           "\n"
           "The following actions are available:\n");
    for (size_t i = 0; i < ACTION_COUNT; i++)
        help_print_action((enum action)i);
}
