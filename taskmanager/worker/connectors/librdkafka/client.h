/* What consumer and producer share: building librdkafka's configuration from Weir's defaults and the user's
 * properties, sending its log to ours, and telling errors that pass from errors that don't. */
#ifndef WEIR_CONNECTORS_LIBRDKAFKA_CLIENT_H
#define WEIR_CONNECTORS_LIBRDKAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "common/base/error.h"
#include "taskmanager/worker/connectors/kafka_client.h"

struct client_property {
    const char *name;
    const char *value;
};

struct client_conf_setup {
    const char *bootstrap_servers;
    const char *client_id;
    const struct client_property *defaults; /* ended by a NULL name; the user's properties win over them */
    const struct client_property *fixed; /* ended by a NULL name; the user may not set these; value: what to
                                            use instead, for the error */
    const char *const *properties;       /* the user's, "key=value", NULL-terminated; may be NULL */
};

/* The caller owns *ret_conf (rd_kafka_conf_destroy, or rd_kafka_new takes it). Errors name the property. */
int client_conf_new(const struct client_conf_setup *setup, rd_kafka_conf_t **ret_conf,
                    struct error *err) WEIR_CHECK;
/* As rd_kafka_conf_set; err names the property. */
int client_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *err) WEIR_CHECK;
/* Whether the user's properties set name. */
bool client_property_is_set(const char *const *properties, const char *name);

/* A retry can't be expected to help, or data would be skipped: the task has to fail. */
bool client_error_is_fatal(rd_kafka_resp_err_t code);
/* enum weir_rc for an error of librdkafka. */
int client_error_rc(rd_kafka_resp_err_t code);

int consumer_open(void *self, const weir_kafka_source_options *options, const char *client_id,
                  struct waker *waker, struct kafka_consumer **ret_consumer, struct error *err);
int producer_open(void *self, const weir_kafka_sink_options *options, const char *client_id,
                  struct waker *waker, struct kafka_producer **ret_producer, struct error *err);

#endif
