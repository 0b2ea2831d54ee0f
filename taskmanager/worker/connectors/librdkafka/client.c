#include "taskmanager/worker/connectors/librdkafka/client.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/memory.h"
#include "taskmanager/worker/connectors/librdkafka/librdkafka.h"

enum { PROPERTY_NAME_MAX = 256 };

static const char logger[] = "weir.worker.KafkaClient";

/* From librdkafka's threads. What an error callback reports as well ("FAIL", "ERROR") comes to the log from
 * there, so it is only repeated here for those who debug. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    bool reported = strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0;
    enum log_level ours = reported || level >= 7 ? LOG_DEBUG : level >= 5 ? LOG_INFO : LOG_WARN;
    log_write(ours, logger, "%s: %s: %s", rk ? rd_kafka_name(rk) : "librdkafka", facility, text);
}

int client_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *err)
{
    char reason[512];
    switch (rd_kafka_conf_set(conf, name, value, reason, sizeof reason)) {
    case RD_KAFKA_CONF_OK:
        return WEIR_OK;
    case RD_KAFKA_CONF_UNKNOWN:
        return error_set(
            err, WEIR_E_INVALID,
            "Kafka client property \"%s\" is unknown: use the names of librdkafka's CONFIGURATION.md", name);
    default:
        return error_set(err, WEIR_E_INVALID, "Kafka client property \"%s\" can't be set to \"%s\": %s", name,
                         value, reason);
    }
}

static size_t name_length(const char *property)
{
    const char *equals = strchr(property, '=');
    return equals ? (size_t)(equals - property) : strlen(property);
}

static bool property_is(const char *property, const char *name)
{
    size_t length = name_length(property);
    return strlen(name) == length && memcmp(property, name, length) == 0;
}

bool client_property_is_set(const char *const *properties, const char *name)
{
    for (; properties && *properties; properties++)
        if (property_is(*properties, name))
            return true;
    return false;
}

static int add_user_property(rd_kafka_conf_t *conf, const struct client_conf_setup *setup,
                             const char *property, struct error *err)
{
    size_t length = name_length(property);
    if (property[length] != '=' || length == 0)
        return error_set(err, WEIR_E_INVALID, "Kafka client property \"%s\" is not of the form key=value",
                         property);
    if (length > PROPERTY_NAME_MAX)
        return error_set(err, WEIR_E_INVALID,
                         "the name of a Kafka client property is longer than %d bytes: \"%.40s…\"",
                         PROPERTY_NAME_MAX, property);
    for (const struct client_property *fixed = setup->fixed; fixed->name; fixed++)
        if (property_is(property, fixed->name))
            return error_set(err, WEIR_E_INVALID, "Kafka client property \"%s\" is set by Weir: %s",
                             fixed->name, fixed->value);
    char *name = xstrndup(property, length);
    int rc = client_conf_set(conf, name, property + length + 1, err);
    free(name);
    return rc;
}

int client_conf_new(const struct client_conf_setup *setup, rd_kafka_conf_t **ret_conf, struct error *err)
{
    if (!setup->bootstrap_servers || !*setup->bootstrap_servers)
        return error_set(err, WEIR_E_INVALID, "no Kafka brokers given: set bootstrap_servers to host:port,…");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    int rc = client_conf_set(conf, "bootstrap.servers", setup->bootstrap_servers, err);
    if (rc == WEIR_OK && setup->client_id && *setup->client_id)
        rc = client_conf_set(conf, "client.id", setup->client_id, err);
    for (const struct client_property *p = setup->defaults; rc == WEIR_OK && p->name; p++)
        rc = client_conf_set(conf, p->name, p->value, err);
    for (const char *const *p = setup->properties; rc == WEIR_OK && p && *p; p++)
        rc = add_user_property(conf, setup, *p, err);
    if (rc != WEIR_OK) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    *ret_conf = conf;
    return WEIR_OK;
}

bool client_error_is_fatal(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    /* librdkafka goes on behind what it could not read, which would lose records without a word. */
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

int client_error_rc(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return WEIR_E_UNAVAILABLE;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return WEIR_E_TIMEOUT;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return WEIR_E_NOT_FOUND;
    default:
        return WEIR_E_IO;
    }
}

const struct kafka_provider *librdkafka_provider(void)
{
    static const struct kafka_provider provider = {.open_consumer = consumer_open,
                                                   .open_producer = producer_open};
    return &provider;
}
