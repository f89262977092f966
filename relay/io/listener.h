/* listener.h - bind, listen, accept.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each worker has a socket of its own on the address (SO_REUSEPORT), or a shared
 * one for unix sockets and for sockets that were passed in.  After EMFILE or ENFILE,
 * or a descriptor that is not below the ceiling, accepting pauses for a while instead
 * of spinning.  What comes faster than the rate waits in the kernel's queue.  */
#ifndef RW_IO_LISTENER_H
#define RW_IO_LISTENER_H

#include "io/loop.h"

struct listener;

/* Takes the connection's descriptor. */
typedef void listener_fn(int fd, const struct loop_addr *peer, void *arg);

struct listener_opts {
	const char *name;		/* section name, for messages */
	const char *address;		/* "host:port", "[v6]:port", "*:port",
					   "unix:/path" */
	int backlog;
	int fd;				/* >= 0: passed in, already listening */
	size_t ceiling;			/* connections have descriptors below it;
					   0: any */
	double rate;			/* accepts a second, of this socket and of
					   each clone; 0: any */
};

/* Parses only; NULL or a sentence on what is wrong (static). */
const char *listener_address_check(const char *address);

/* Binds and listens (not yet on a loop): called before privileges go.  What the
 * system refuses is logged with its reason.  A descriptor passed in is taken. */
enum status listener_open(const struct listener_opts *, struct listener **out);
/* Another socket on the same address and port for one more loop. */
enum status listener_clone(const struct listener *, struct listener **out);
/* Accepts on this loop from now on.  Call on the loop or before it runs. */
enum status listener_start(struct listener *, struct loop *, listener_fn *,
    void *arg);
/* No more accepts; the socket closes.  On the loop, or when it has stopped. */
void listener_close(struct listener **);
/* The port bound, host order; 0 for unix sockets. */
unsigned listener_port(const struct listener *);

#endif
