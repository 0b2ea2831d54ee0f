/* Kafka by librdkafka: the implementation of connectors/kafka_client.h that real jobs run on. */
#ifndef WEIR_CONNECTORS_LIBRDKAFKA_LIBRDKAFKA_H
#define WEIR_CONNECTORS_LIBRDKAFKA_LIBRDKAFKA_H

#include "taskmanager/worker/connectors/kafka_client.h"

/* Immutable and without state of its own: any thread may open clients with it. */
const struct kafka_provider *librdkafka_provider(void);

#endif
