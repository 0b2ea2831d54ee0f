/* Reads all of two topics, from the beginning, by manual assignment (joining a group takes seconds on the
 * development broker). */
#ifndef WEIR_DEPLOY_AUDITOR_READER_H
#define WEIR_DEPLOY_AUDITOR_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum reader_topic { READER_INPUT, READER_OUTPUT, READER_TOPICS };

struct reader;

struct reader_options {
    const char *bootstrap_servers;
    const char *topics[READER_TOPICS];
    const char *const *properties; /* "key=value", NULL-terminated */
    bool require_empty;
    int patience_ms; /* how long to wait for the topics to exist */
};

/* WEIR_E_STATE: the beginning of a topic is gone already, or it isn't empty and must be. *stop is looked at
 * while waiting. */
int reader_open(const struct reader_options *options, const volatile int *stop, struct reader **ret_reader,
                struct error *err) WEIR_CHECK;
void reader_close(struct reader *reader);

uint32_t reader_partitions(const struct reader *reader, enum reader_topic topic);

/* One record, or none (*ret_data NULL) after at most timeout_ms. The data is valid until the next call. An
 * error is final: records are gone before they could be read, or the client can't go on. */
int reader_next(struct reader *reader, int timeout_ms, enum reader_topic *ret_topic, uint32_t *ret_partition,
                const char **ret_data, size_t *ret_size, struct error *err) WEIR_CHECK;

/* Asks the broker where the topic ends now; reader_reached says whether all up to there has been returned. */
int reader_mark_end(struct reader *reader, enum reader_topic topic, struct error *err) WEIR_CHECK;
bool reader_reached(const struct reader *reader);

#endif
