/* Gives librdkafka's mock broker the port that we want instead of a random one. */
#ifndef WEIR_DEPLOY_DEVBROKER_FIXED_PORT_H
#define WEIR_DEPLOY_DEVBROKER_FIXED_PORT_H

#include <stdint.h>

/* The next bind(2) of this process to 127.0.0.1 with port 0 takes this port; 0: leave it to the kernel.
 * Before any thread. */
void fixed_port_want(uint16_t port);
/* 0 if that port of 127.0.0.1 can be had, else errno. Asked first, because a mock cluster that can't bind
 * fails an assertion (librdkafka 2.0.2). */
int fixed_port_probe(uint16_t port);

#endif
