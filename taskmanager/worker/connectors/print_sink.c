/* Writes a line per record to standard output, as Flink's print does: "name> text", with several subtasks
 * "name:2> text"; without a name "text" and "2> text". A line is one write, so that lines of several subtasks
 * don't mix. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    char *text; /* TEXT_MAX_BYTES, for the user's function; NULL without one */
};

static void add_hex(struct strbuf *line, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        strbuf_addf(line, "%02x", data[i]);
}

static void add_value(struct strbuf *line, const weir_field *field, const char *at)
{
    switch (field->type) {
    case WEIR_TYPE_int32:
        strbuf_addf(line, "%" PRId32, *(const weir_int32 *)at);
        break;
    case WEIR_TYPE_int64:
    case WEIR_TYPE_timestamp:
        strbuf_addf(line, "%" PRId64, *(const weir_int64 *)at);
        break;
    case WEIR_TYPE_float64:
        strbuf_addf(line, "%.15g", *(const weir_float64 *)at);
        break;
    case WEIR_TYPE_bool:
        strbuf_adds(line, *(const weir_bool *)at ? "true" : "false");
        break;
    case WEIR_TYPE_string: {
        const weir_string *string = (const weir_string *)at;
        strbuf_add(line, weir_string_data(string), string->length);
        break;
    }
    case WEIR_TYPE_bytes: {
        const weir_bytes *bytes = (const weir_bytes *)at;
        add_hex(line, (const unsigned char *)weir_string_data(bytes), bytes->length);
        break;
    }
    }
}

static void add_fields(struct strbuf *line, const weir_record_type *type, const char *record)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        strbuf_addf(line, "%s%s=", i > 0 ? ", " : "", type->fields[i].name);
        add_value(line, &type->fields[i], record + type->fields[i].offset);
    }
}

static bool add_text(struct print_sink *s, const struct record_ref *record)
{
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
    if (!s->options->format)
        add_fields(&s->line, op->setup.node->input_type, record->data);
    else if (!add_text(s, record))
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
    /* Hexadecimal doubles bytes, and names of fields come on top: what doesn't fit is left out of the line.
     */
    strbuf_init(&s->line, (size_t)2 * op->setup.max_record_bytes + 2 * (size_t)TEXT_MAX_BYTES + strlen(name));
    strbuf_adds(&s->line, name);
    if (op->setup.parallelism > 1)
        strbuf_addf(&s->line, "%s%" PRIu32, *name ? ":" : "", op->setup.subtask + 1);
    if (s->line.size > 0)
        strbuf_adds(&s->line, "> ");
    s->prefix_size = s->line.size;
    if (s->options->format)
        s->text = xmalloc(TEXT_MAX_BYTES);
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
