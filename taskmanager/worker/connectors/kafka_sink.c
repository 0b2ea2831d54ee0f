/* Writes records to a Kafka topic.
 *
 * Happy path: process encodes a record and gives the message to the producer, which copies it; delivery
 * reports come later. At a barrier (at least once) and at the end of the input all messages must have been
 * acknowledged by the broker first.
 *
 * Possible failure modes
 *  - The producer's queue is full: the encoded message is kept and tried again when the task is woken; that
 * is backpressure.
 *  - A message isn't delivered: the producer's error fails the task, at the latest POLL_EACH_MS after it is
 * known.
 *  - The encode function fails: the task fails with its reason. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/memory.h"
#include "taskmanager/worker/operators/operator.h"

enum { POLL_EACH_RECORDS = 32, POLL_EACH_MS = 100 };

struct kafka_sink {
    struct operator_instance base;
    const weir_kafka_sink_options *options;
    struct kafka_producer *producer; /* owned; NULL: not open */
    struct weir_kafka_output output;
    bool encoded; /* output holds a message that the producer had no room for */
    uint32_t since_poll;
    int64_t poll_at_ms; /* INT64_MAX: nothing is under way */
};

static int64_t now_of(const struct kafka_sink *s)
{
    const struct user_environment *environment = s->base.setup.context->environment;
    return environment->now(environment->self);
}

static int sink_open(struct operator_instance *op, struct error *err)
{
    struct kafka_sink *s = (struct kafka_sink *)op;
    const struct operator_setup *setup = &op->setup;
    char *client_id = xasprintf("%s-%" PRIu32, setup->node->uid, setup->subtask);
    int rc = setup->kafka->open_producer(setup->kafka->self, s->options, client_id, setup->waker,
                                         &s->producer, err);
    free(client_id);
    if (rc == WEIR_E_INVALID)
        *setup->fatal = true;
    return rc;
}

static enum operator_progress encode(struct kafka_sink *s, const struct record_ref *record)
{
    weir_context *context = s->base.setup.context;
    kafka_output_reset(&s->output);
    context->record_timestamp = record->timestamp;
    context->failed = false;
    int returned = s->options->encode(context, record->data, &s->output);
    bool said = context->failed;
    context->failed = false;
    if (returned == 0 && !said && !s->output.overflow)
        return OPERATOR_DONE;
    if (said)
        error_set(s->base.setup.error, WEIR_E_USER_CODE, "encode a record for topic %s: %s",
                  s->options->topic, context->error.message);
    else if (s->output.overflow)
        error_set(s->base.setup.error, WEIR_E_LIMIT,
                  "encode a record for topic %s: key and value are larger than %d bytes", s->options->topic,
                  KAFKA_OUTPUT_MAX_BYTES);
    else
        error_set(s->base.setup.error, WEIR_E_USER_CODE,
                  "encode a record for topic %s: the function returned %d", s->options->topic, returned);
    return OPERATOR_FAILED;
}

static enum operator_progress failed(struct kafka_sink *s, int rc)
{
    if (rc == WEIR_E_INVALID) /* too large, say: it comes again after a restart */
        *s->base.setup.fatal = true;
    return OPERATOR_FAILED;
}

/* Also moves the timer on: a task that waits in process or prepare_snapshot comes back here and not to
 * sink_timer. */
static int poll_producer(struct kafka_sink *s)
{
    s->since_poll = 0;
    int rc = s->producer->ops->poll(s->producer, s->base.setup.error);
    bool under_way = s->producer->ops->outstanding(s->producer) > 0;
    s->poll_at_ms = under_way ? now_of(s) + POLL_EACH_MS : INT64_MAX;
    return rc;
}

static int produce(struct kafka_sink *s)
{
    /* No timestamp of its own: the broker's retention goes by it, and event time may be long past. */
    return s->producer->ops->produce(s->producer, s->output.partition, s->output.key, s->output.key_length,
                                     s->output.value, s->output.value_length, -1, s->base.setup.error);
}

static enum operator_progress sink_process(struct operator_instance *op, const struct record_ref *record)
{
    struct kafka_sink *s = (struct kafka_sink *)op;
    int rc = WEIR_OK;
    if (!s->encoded && encode(s, record) == OPERATOR_FAILED)
        return OPERATOR_FAILED;
    if (s->encoded || ++s->since_poll >= POLL_EACH_RECORDS)
        rc = poll_producer(s);
    if (rc == WEIR_OK)
        rc = produce(s);
    if (rc == WEIR_E_LIMIT && !s->encoded) { /* reports that came since the last poll may have made room */
        rc = poll_producer(s);
        if (rc == WEIR_OK)
            rc = produce(s);
    }
    s->encoded = rc == WEIR_E_LIMIT;
    if (s->poll_at_ms == INT64_MAX)
        s->poll_at_ms = now_of(s) + POLL_EACH_MS;
    if (rc == WEIR_E_LIMIT)
        return OPERATOR_AGAIN;
    return rc == WEIR_OK ? OPERATOR_DONE : failed(s, rc);
}

static enum operator_progress flush(struct kafka_sink *s)
{
    int rc = poll_producer(s);
    if (rc == WEIR_OK && s->producer->ops->outstanding(s->producer) > 0) {
        s->producer->ops->flush_soon(s->producer);
        rc = poll_producer(s);
    }
    if (rc != WEIR_OK)
        return failed(s, rc);
    /* With nothing unseen left in the producer, the next report wakes the task. */
    return s->producer->ops->outstanding(s->producer) == 0 ? OPERATOR_DONE : OPERATOR_AGAIN;
}

static enum operator_progress sink_prepare_snapshot(struct operator_instance *op, uint64_t checkpoint_id)
{
    (void)checkpoint_id;
    struct kafka_sink *s = (struct kafka_sink *)op;
    return s->options->delivery == WEIR_DELIVERY_NONE ? OPERATOR_DONE : flush(s);
}

static enum operator_progress sink_finish(struct operator_instance *op)
{
    return flush((struct kafka_sink *)op);
}

static enum operator_progress sink_timer(struct operator_instance *op, int64_t now_ms)
{
    (void)now_ms;
    struct kafka_sink *s = (struct kafka_sink *)op;
    int rc = poll_producer(s);
    return rc == WEIR_OK ? OPERATOR_DONE : failed(s, rc);
}

static int64_t sink_next_deadline(const struct operator_instance *op)
{
    return ((const struct kafka_sink *)op)->poll_at_ms;
}

static void sink_close(struct operator_instance *op)
{
    struct kafka_sink *s = (struct kafka_sink *)op;
    if (s->producer)
        s->producer->ops->close(s->producer);
    free(s->output.buffer);
    free(s);
}

static const struct operator_ops kafka_sink_ops = {
    .open = sink_open,
    .process = sink_process,
    .timer = sink_timer,
    .next_deadline = sink_next_deadline,
    .prepare_snapshot = sink_prepare_snapshot,
    .finish = sink_finish,
    .close = sink_close,
};

int kafka_sink_new(const struct operator_setup *setup, struct operator_instance **ret_op, struct error *err)
{
    const weir_kafka_sink_options *options = &setup->node->options.kafka_sink;
    if (!options->encode || !options->topic)
        return error_set(err, WEIR_E_INVALID, "a Kafka sink needs a topic and an encode function");
    struct kafka_sink *s = xcalloc(1, sizeof *s);
    s->base.ops = &kafka_sink_ops;
    s->base.setup = *setup;
    s->options = options;
    s->poll_at_ms = INT64_MAX;
    *ret_op = &s->base;
    return WEIR_OK;
}
