/* Writes a line per record to standard output, as Flink's print does: "name> text", with several subtasks
 * "name:2> text"; without a name "text" and "2> text". A line is one write, so that lines of several subtasks
 * don't mix. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/api/record.h"
#include "common/base/memory.h"
#include "common/base/strbuf.h"
#include "taskmanager/worker/operators/operator.h"

enum { TEXT_MAX_BYTES = 64 * 1024 };

static const char unnamed[] = "Print to Std. Out"; /* what an operator is called that was given no name */

struct print_sink {
    struct operator_instance base;
    const weir_print_sink_options *options;
    struct strbuf line;
    size_t prefix_size;
    char *text; /* for the user's function or the default format */
    size_t text_capacity;
};

static bool add_text(struct print_sink *s, const struct record_ref *record)
{
    if (!s->options->format) {
        int size = record_format(s->base.setup.node->input_type, record->data, s->text, s->text_capacity);
        strbuf_add(&s->line, s->text, (size_t)size);
        return true;
    }
    weir_context *context = s->base.setup.context;
    context->record_timestamp = record->timestamp;
    context->failed = false;
    int length = s->options->format(context, record->data, s->text, TEXT_MAX_BYTES);
    if (length < 0 || context->failed) {
        error_set(s->base.setup.error, WEIR_E_USER_CODE, "format a record: %s",
                  context->failed ? context->error.message : "the function failed without saying why");
        context->failed = false;
        return false;
    }
    /* As snprintf, it may return what it would have liked to write. */
    strbuf_add(&s->line, s->text, length < TEXT_MAX_BYTES ? (size_t)length : TEXT_MAX_BYTES - 1);
    return true;
}

static bool write_all(const char *data, size_t size, struct error *error)
{
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, data, size);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, 100);
        } else if (errno != EINTR) {
            error_set_errno(error, WEIR_E_IO, errno, "print to standard output");
            return false;
        }
    }
    return true;
}

static enum operator_progress print_process(struct operator_instance *op, const struct record_ref *record)
{
    struct print_sink *s = (struct print_sink *)op;
    s->line.size = s->prefix_size;
    if (!add_text(s, record))
        return OPERATOR_FAILED;
    strbuf_adds(&s->line, "\n");
    return write_all(s->line.data, s->line.size, op->setup.error) ? OPERATOR_DONE : OPERATOR_FAILED;
}

static int print_open(struct operator_instance *op, struct error *err)
{
    (void)err;
    struct print_sink *s = (struct print_sink *)op;
    const char *name = s->options->operator_.name;
    if (!name || strcmp(name, unnamed) == 0)
        name = "";
    /* Bytes in hexadecimal are twice as long, and names of fields come on top: what doesn't fit is left out.
     */
    s->text_capacity =
        s->options->format ? TEXT_MAX_BYTES : (size_t)2 * op->setup.max_record_bytes + TEXT_MAX_BYTES;
    s->text = xmalloc(s->text_capacity);
    strbuf_init(&s->line, s->text_capacity + TEXT_MAX_BYTES + strlen(name));
    strbuf_adds(&s->line, name);
    if (op->setup.parallelism > 1)
        strbuf_addf(&s->line, "%s%" PRIu32, *name ? ":" : "", op->setup.subtask + 1);
    if (s->line.size > 0)
        strbuf_adds(&s->line, "> ");
    s->prefix_size = s->line.size;
    return WEIR_OK;
}

static void print_close(struct operator_instance *op)
{
    struct print_sink *s = (struct print_sink *)op;
    strbuf_deinit(&s->line);
    free(s->text);
    free(s);
}

static const struct operator_ops print_sink_ops = {
    .open = print_open, .process = print_process, .close = print_close};

int print_sink_new(const struct operator_setup *setup, struct operator_instance **ret_op, struct error *err)
{
    (void)err;
    struct print_sink *s = xcalloc(1, sizeof *s);
    s->base.ops = &print_sink_ops;
    s->base.setup = *setup;
    s->options = &setup->node->options.print_sink;
    strbuf_init(&s->line, 0);
    *ret_op = &s->base;
    return WEIR_OK;
}
