/* The Kafka source's snapshot and its commits to the group.
 *
 * One split a partition, "topic-partition": version 1, next offset, largest timestamp (INT64_MIN: none), end
 * offset of a bounded source (INT64_MAX: none). A partition that is not in it came into being later, unless
 * the property "undecided" names it: a list "modulus:remainder,…" of partitions whose start had not been
 * found out when the snapshot was taken. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/strbuf.h"
#include "taskmanager/worker/connectors/kafka_source.h"
#include "taskmanager/worker/connectors/split_state.h"

enum { STATE_VERSION = 1, STATE_VALUES = 3, UNDECIDED_MAX_BYTES = 1 << 20 };

static const char undecided_property[] = "undecided";

/* "input-0" → 0 for topic input; negative: not a split of this topic. */
static int32_t partition_of(const char *split, const char *topic)
{
    size_t length = strlen(topic);
    if (strncmp(split, topic, length) != 0 || split[length] != '-')
        return -1;
    const char *digits = split + length + 1;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 9 || digits[count] != '\0')
        return -1;
    return (int32_t)strtol(digits, NULL, 10);
}

static int restore_split(struct kafka_source *s, const Weir__SplitState *state, struct error *err)
{
    int64_t values[STATE_VALUES];
    int32_t partition = partition_of(state->split, s->options->topic);
    if (partition < 0)
        return error_set(err, WEIR_E_INVALID,
                         "the snapshot is of split \"%s\", which is no partition of topic %s: give a source "
                         "that reads another "
                         "topic another uid",
                         state->split, s->options->topic);
    int rc = split_state_decode(state, STATE_VERSION, values, STATE_VALUES, err);
    if (rc != WEIR_OK)
        return rc;
    if (values[0] < 0)
        return error_set(err, WEIR_E_CORRUPT, "the state of split %s has the offset %" PRId64, state->split,
                         values[0]);
    if ((uint32_t)partition % s->base.setup.parallelism != s->base.setup.subtask)
        return WEIR_OK;
    vec_for_each (other, &s->restored)
        if (other->partition == partition)
            return error_set(err, WEIR_E_CORRUPT, "the snapshot has split %s twice", state->split);
    vec_push(&s->restored, (struct restored_split){.partition = partition,
                                                   .next_offset = values[0],
                                                   .max_timestamp_ms = values[1],
                                                   .end_offset = values[2]});
    return WEIR_OK;
}

/* Digits only; false: none, or too large. */
static bool take_number(const char **text, uint32_t *ret_number)
{
    uint64_t number = 0;
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 10)
        return false;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)((*text)[i] - '0');
    *text += digits;
    *ret_number = (uint32_t)number;
    return number <= UINT32_MAX;
}

/* "modulus:remainder" and what follows. */
static bool take_class(const char **text, struct undecided_class *ret_class)
{
    if (!take_number(text, &ret_class->modulus) || **text != ':')
        return false;
    (*text)++;
    if (!take_number(text, &ret_class->remainder) || ret_class->remainder >= ret_class->modulus)
        return false;
    if (**text == ',')
        (*text)++;
    else if (**text != '\0')
        return false;
    return true;
}

static int restore_undecided(struct kafka_source *s, const char *text, struct error *err)
{
    for (const char *p = text; *p;) {
        struct undecided_class class;
        if (!take_class(&p, &class))
            return error_set(err, WEIR_E_CORRUPT, "the snapshot's property %s can't be read: \"%.100s\"",
                             undecided_property, text);
        bool known = false;
        vec_for_each (other, &s->undecided)
            known = known || (other->modulus == class.modulus && other->remainder == class.remainder);
        if (!known)
            vec_push(&s->undecided, class);
    }
    return WEIR_OK;
}

int source_restore(struct kafka_source *s, struct error *err)
{
    const struct operator_setup *setup = &s->base.setup;
    s->restoring = setup->restore_count > 0;
    for (size_t i = 0; i < setup->restore_count; i++) {
        const Weir__OperatorState *state = setup->restore[i];
        for (size_t j = 0; j < state->n_splits; j++) {
            int rc = restore_split(s, state->splits[j], err);
            if (rc != WEIR_OK)
                return rc;
        }
        const char *undecided = state_property(state, undecided_property);
        int rc = undecided ? restore_undecided(s, undecided, err) : WEIR_OK;
        if (rc != WEIR_OK)
            return rc;
    }
    return WEIR_OK;
}

bool source_is_undecided(const struct kafka_source *s, int32_t partition)
{
    vec_for_each (class, &s->undecided)
        if ((uint32_t)partition % class->modulus == class->remainder)
            return true;
    return false;
}

static void add_split(const struct kafka_source *s, Weir__OperatorState *state,
                      const struct restored_split *split)
{
    char *name = xasprintf("%s-%" PRId32, s->options->topic, split->partition);
    int64_t values[STATE_VALUES] = {split->next_offset, split->max_timestamp_ms, split->end_offset};
    split_state_add(state, name, STATE_VERSION, values, STATE_VALUES);
    free(name);
}

static void add_undecided(const struct kafka_source *s, Weir__OperatorState *state)
{
    struct strbuf text;
    strbuf_init(&text, UNDECIDED_MAX_BYTES);
    vec_for_each (class, &s->undecided)
        strbuf_addf(&text, "%s%" PRIu32 ":%" PRIu32, text.size > 0 ? "," : "", class->modulus,
                    class->remainder);
    if (!s->restoring)
        strbuf_addf(&text, "%" PRIu32 ":%" PRIu32, s->base.setup.parallelism, s->base.setup.subtask);
    if (text.size > 0)
        state_property_add(state, undecided_property, text.data);
    strbuf_deinit(&text);
}

static void remember_offsets(struct kafka_source *s, uint64_t checkpoint_id)
{
    struct pending_checkpoint pending = {.id = checkpoint_id};
    pending.offsets = xmalloc((s->partition_count + 1) * sizeof *pending.offsets);
    for (uint32_t i = 0; i < s->partition_count; i++)
        pending.offsets[pending.count++] = (struct kafka_partition_start){
            .partition = s->partitions[i].id, .offset = source_partition_position(&s->partitions[i])};
    if (s->pending.count ==
        SOURCE_PENDING_CHECKPOINTS_MAX) { /* never completed; nobody waits for these commits */
        free(s->pending.items[0].offsets);
        vec_remove(&s->pending, 0);
    }
    vec_push(&s->pending, pending);
}

int source_snapshot(struct operator_instance *op, uint64_t checkpoint_id, Weir__OperatorState *state,
                    struct error *err)
{
    (void)err;
    struct kafka_source *s = (struct kafka_source *)op;
    if (s->state == SOURCE_CONNECTING) {
        vec_for_each (split, &s->restored)
            add_split(s, state, split);
        add_undecided(s, state);
        return WEIR_OK;
    }
    bool running = s->state == SOURCE_RUNNING;
    bool undecided = false;
    for (uint32_t i = 0; i < s->partition_count; i++) {
        const struct source_partition *p = &s->partitions[i];
        if (p->next_offset == KAFKA_OFFSET_NONE) {
            undecided = true;
            continue;
        }
        int64_t timestamp =
            running ? split_watermarks_max_timestamp(&s->output.watermarks, p->split) : p->max_timestamp_ms;
        add_split(s, state,
                  &(struct restored_split){.partition = p->id,
                                           .next_offset = source_partition_position(p),
                                           .max_timestamp_ms = timestamp,
                                           .end_offset = p->end_offset});
    }
    if (undecided)
        add_undecided(s, state);
    if (running)
        remember_offsets(s, checkpoint_id);
    return WEIR_OK;
}

static void commit(struct kafka_source *s, const struct kafka_partition_start *offsets, uint32_t count)
{
    struct error error = {0};
    if (count == 0 || !s->options->group_id || !*s->options->group_id)
        return;
    if (s->consumer->ops->commit(s->consumer, offsets, count, &error) != WEIR_OK)
        log_warn(kafka_source_logger, "%s: offsets were not committed to group %s: %s",
                 s->base.setup.node->name, s->options->group_id, error.message);
}

void source_checkpoint_complete(struct operator_instance *op, uint64_t checkpoint_id)
{
    struct kafka_source *s = (struct kafka_source *)op;
    while (s->pending.count > 0 && s->pending.items[0].id <= checkpoint_id) {
        struct pending_checkpoint pending = s->pending.items[0];
        vec_remove(&s->pending, 0);
        if (pending.id == checkpoint_id)
            commit(s, pending.offsets, pending.count);
        free(pending.offsets);
    }
}

void source_commit_positions(struct kafka_source *s)
{
    assert(s->state == SOURCE_RUNNING);
    struct kafka_partition_start *offsets = xmalloc((s->partition_count + 1) * sizeof *offsets);
    for (uint32_t i = 0; i < s->partition_count; i++)
        offsets[i] = (struct kafka_partition_start){.partition = s->partitions[i].id,
                                                    .offset = source_partition_position(&s->partitions[i])};
    commit(s, offsets, s->partition_count);
    free(offsets);
}

void source_state_deinit(struct kafka_source *s)
{
    vec_for_each (pending, &s->pending)
        free(pending->offsets);
    vec_free(&s->pending);
    vec_free(&s->restored);
    vec_free(&s->undecided);
}
