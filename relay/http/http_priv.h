/* http_priv.h - what server.c and a protocol show each other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * server.c has what every connection has: the stream, deadlines, routes, the
 * handlers' calls.  A protocol has what its bytes mean, and stands behind a
 * table of calls.                                                           */
#ifndef RW_HTTP_PRIV_H
#define RW_HTTP_PRIV_H

#include <sys/queue.h>

#include "http/server.h"
#include "io/stream.h"

struct http_conn;

/* A protocol on an accepted connection.  None of the calls comes after close. */
struct http_proto {
	/* False when out of memory. */
	bool (*open)(struct http_conn *);
	/* The stream has more input, or has sent what was queued, or has ended,
	 * or a request can be gone on with. */
	void (*input)(struct http_conn *);
	/* The deadline that the protocol has set is over. */
	void (*timeout)(struct http_conn *);
	/* Queues the answer; the body is taken. */
	void (*respond)(struct http_request *, struct http_response *);
	/* The handler that waited wants more. */
	void (*resume)(struct http_request *);
	void (*drain)(struct http_conn *);
	/* Frees the session; open requests are gone for this reason. */
	void (*close)(struct http_conn *, enum status why);
};

extern const struct http_proto h1_proto, h2_proto;

struct http_conn {
	TAILQ_ENTRY(http_conn) link;
	struct http_server *server;	/* borrowed; not when dead */
	struct stream *stream;		/* owned; NULL when dead */
	const struct http_proto *proto;	/* NULL: hands are being shaken */
	void *session;			/* the protocol's, owned */
	struct crowd_place *place;	/* owned; NULL: not counted */
	unsigned held;			/* calls on the stack that use it */
	uint64_t answers;		/* given by handlers */
	bool ended;			/* the peer has ended its side */
	bool dead;
};

struct http_request {
	struct http_conn *conn;
	const struct http_handler *handler;	/* NULL: none, or no more */
	void *user;			/* the handler's */
	struct bytes method, path, query;	/* in the text behind */
	struct http_headers headers;	/* likewise */
	int64_t length;
	char edge[HTTP_EDGE_SIZE];	/* "": not set */
	bool answered;
	bool waiting;			/* the handler wants no more for now */
};

const struct http_server_opts *conn_opts(const struct http_conn *);
bool conn_draining(const struct http_conn *);
/* Text of the Date header, now. */
const char *conn_date(struct http_conn *);
/* It speaks another one, from its first byte on: `proto` is given what is there. */
void conn_become(struct http_conn *, const struct http_proto *);
/* Until when more has to come of a body that began at `begun` (of which our own pauses
 * are no part) and of which `received` bytes are there.  clock_mono. */
int64_t conn_body_deadline(const struct http_conn *, int64_t begun,
    uint64_t received);
/* Ends it; what is queued still goes out (finish) or not (end).  The connection's
 * memory stays while it is held. */
void conn_finish(struct http_conn *, enum status why);
void conn_end(struct http_conn *, enum status why);
void conn_hold(struct http_conn *);
void conn_release(struct http_conn *);

/* The handler's calls.  Each may answer the request (look at `answered`) and, by
 * doing so, end the connection (look at `dead`). */
void request_begin(struct http_request *);
void request_body(struct http_request *, struct bytes piece);
void request_end(struct http_request *);
void request_gone(struct http_request *, enum status why);

/* The text of a plain answer: the status' own sentence if `text` is NULL. */
struct buf *status_text(enum status, const char *text);

#endif
