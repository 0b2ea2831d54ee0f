/* What a dying worker has written: common/sys/stack.h's report, or one line of worker_main's. */
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "taskmanager/shell/worker_process.h"

void crash_report_parse(char *text, char **ret_message, const char **ret_stack)
{
    static const char thread[] = " thread ";
    char *end = strchr(text, '\n');
    const char *rest = end ? end + 1 : "";
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '\n' && end != text + length - 1)
        text[length - 1] = '\0';
    *ret_message = NULL;
    *ret_stack = NULL;
    if (end)
        *end = '\0';
    if (strncmp(text, WORKER_ERROR_PREFIX, strlen(WORKER_ERROR_PREFIX)) == 0) {
        *ret_message = xstrdup(text + strlen(WORKER_ERROR_PREFIX));
        return;
    }
    const char *name = strncmp(text, "signal ", 7) == 0 ? strstr(text, thread) : NULL;
    if (name)
        *ret_message = xasprintf("in thread %s", name + strlen(thread));
    else if (end)
        *end = '\n'; /* not a header: all of it is the stack */
    const char *stack = name ? rest : text;
    if (*stack)
        *ret_stack = stack;
}
