/* weir: the command line client. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"

static int run_action(enum action action, int argc, char **argv)
{
    struct options options;
    struct error err;
    int code = 0;
    if (options_parse(action, argc, argv, &options, &err) != 0)
        return fail_arguments("%s", err.message);
    if (options.help)
        help_print_action(action);
    else if (action == ACTION_RUN)
        code = action_run(&options);
    else if (action == ACTION_LIST)
        code = action_list(&options);
    else if (action == ACTION_CANCEL)
        code = action_cancel(&options);
    else if (action == ACTION_SAVEPOINT)
        code = action_savepoint(&options);
    else if (action == ACTION_STOP)
        code = action_stop(&options);
    else
        code = action_checkpoint(&options);
    options_free(&options);
    return code;
}

int main(int argc, char **argv)
{
    enum action action;
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help_print_all();
        printf("Please specify an action.\n");
        return 1;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
        help_print_all();
        return 0;
    }
    if (strcmp(argv[1], "-v") == 0 || strcmp(argv[1], "--version") == 0) {
        printf("%s\n", client_version());
        return 0;
    }
    if (action_parse(argv[1], &action))
        return run_action(action, argc - 2, argv + 2);
    printf("\"%s\" is not a valid action.\n"
           "\n"
           "Valid actions are \"run\", \"list\", \"savepoint\", \"stop\", \"checkpoint\", or \"cancel\".\n"
           "\n"
           "Specify the version option (-v or --version) to print Weir version.\n"
           "\n"
           "Specify the help option (-h or --help) to get help on the command.\n",
           argv[1]);
    return 1;
}
