/* control.h - the control socket: what an operator may ask and order.
 * SPDX-License-Identifier: Apache-2.0
 *
 * HTTP over a unix socket, so that curl will do as well as rwrelayctl:
 *
 *	GET  /status, /upstreams, /edges, /metrics ...	as the admin address
 *	POST /pause?NAME	200; 404: there is no such upstream
 *	POST /resume?NAME	likewise
 *	GET  /drained?NAME	200: it is owed nothing; 503: it is; 404
 *	POST /forget?NAME[&--rejected]	of an upstream that is configured no more:
 *				200: its cursor is gone; 404; 409: it is configured
 *	POST /resend?NAME&ENTRY	what it refused, an entry of the rejected log (its
 *				segment in 16 digits, -, its offset) or all: 200; 404
 *	POST /drop?NAME&ENTRY	likewise
 *	POST /skip?NAME&FROM&TO	what it is owed of requests received from then on, and
 *				before then, in ms since 1970
 *
 * Who may open the socket may do all of it.  On the loop of the server that has
 * the routes.                                                               */
#ifndef RW_ADMIN_CONTROL_H
#define RW_ADMIN_CONTROL_H

#include "base/status.h"
#include "forward/forwarder.h"
#include "http/server.h"
#include "spool/disk.h"
#include "spool/spool.h"

struct control;

struct control_upstream {
	const char *name;
	struct forwarder *forwarder;
};

struct control_opts {			/* all borrowed for life */
	const struct control_upstream *upstreams;
	size_t n_upstreams;
	struct spool *spool;
	const struct disk_ops *disk;
	const char *directory;		/* of the spool */
};

enum status control_new(const struct control_opts *, struct control **out);
/* The loops that carry out orders have stopped. */
void control_free(struct control **);
/* For http_server_opts; live as long as the control. */
const struct http_route *control_routes(const struct control *, size_t *n);

#endif
