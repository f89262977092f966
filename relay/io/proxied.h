/* proxied.h - connections that trusted proxies introduce: the header is read and
 * taken off before anybody else sees the connection.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stands between a listener and a server, on their loop.  From an address that is
 * trusted a connection has to begin with a PROXY header, whole in time, else it is
 * closed; from any other it is passed on as it is.  A trusted proxy's word is taken:
 * whoever can connect from such an address can be anybody.                    */
#ifndef RW_IO_PROXIED_H
#define RW_IO_PROXIED_H

#include "io/listener.h"
#include "io/network.h"

struct proxied;

struct proxied_opts {
	const struct network *trusted;	/* borrowed for life */
	size_t n_trusted;
	int64_t timeout_ns;		/* for the header */
	size_t max;			/* connections without one yet */
	listener_fn *fn;		/* takes those that have one, or need none */
	void *arg;			/* borrowed, for fn */
};

enum status proxied_new(struct loop *, const struct proxied_opts *,
    struct proxied **out);
/* A listener_fn; arg is the struct proxied. */
void proxied_accept(int fd, const struct loop_addr *peer, void *arg);
/* Those that wait are closed. */
void proxied_free(struct proxied **);

#endif
