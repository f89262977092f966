/* fake/stream.h - io/stream.h on a string: a network in memory.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Linked with fake/loop.c, before the real ones.  Server and client can be on the
 * same loop or on two.                                                      */
#ifndef RW_TESTS_FAKE_STREAM_H
#define RW_TESTS_FAKE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/listener.h"

/* Connections to this port, whatever the address, are given to fn as a number that
 * stream_accept (hence http_server_adopt) knows.  NULL: refused, as any other. */
void fake_listen(unsigned port, listener_fn *fn, void *arg);
/* Connections to it never come about. */
void fake_swallow(unsigned port, bool);
/* Nor do those to this address, whatever the port; or they are refused. */
enum fake_way { FAKE_OPEN, FAKE_SWALLOWED, FAKE_REFUSED };
void fake_way(const char *address, enum fake_way);
/* Where and when the first 64 connections were begun since the network was cleared. */
struct fake_try {
	char address[46];
	int64_t at;
};
size_t fake_tries(const struct fake_try **);
/* What TLS agrees on to speak from now on (there is no TLS here); "": nothing. */
void fake_protocol(const char *);
/* Resets all connections to it. */
void fake_cut(unsigned port);
/* From one end to the other; 0 at first. */
void fake_latency(int64_t ns);
/* Where connections come from, from now on: an IPv4 address; 198.51.100.1 at
 * first. */
void fake_source(const char *address);
/* Streams that are open, both ends counted, lingering ones not. */
size_t fake_streams(void);
/* No ports, no latency; no stream may be open. */
void fake_network_clear(void);

#endif
