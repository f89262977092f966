/* client_priv.h - what client.c and a protocol show each other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * client.c has addresses, connections, the pool of kept ones, and deadlines; a
 * protocol writes requests and reads answers.                               */
#ifndef RW_HTTP_CLIENT_PRIV_H
#define RW_HTTP_CLIENT_PRIV_H

#include <sys/queue.h>

#include "http/client.h"
#include "http/h1.h"
#include "io/stream.h"

#define CLIENT_HEADERS_MAX ((size_t)32 << 10)	/* of an answer */
#define CLIENT_DRAIN_MAX ((size_t)1 << 20)	/* of a body past what is kept */

struct client_conn;

/* A protocol on a connection to the upstream. */
struct client_proto {
	/* False when out of memory. */
	bool (*open)(struct client_conn *);
	/* conn->exchange is to be sent. */
	void (*send)(struct client_conn *);
	/* The stream has more input, or has ended. */
	void (*input)(struct client_conn *);
	void (*close)(struct client_conn *);
};

extern const struct client_proto h1_client_proto;

enum conn_phase {
	CONN_REACHING,			/* the stream connects */
	CONN_TUNNEL,			/* the proxy is asked */
	CONN_SHAKING,			/* TLS; without a proxy it connects, too */
	CONN_READY,
};

struct client_conn {
	TAILQ_ENTRY(client_conn) link;
	struct http_client *client;	/* borrowed */
	struct stream *stream;		/* owned; NULL when dead */
	const struct client_proto *proto;
	void *session;			/* the protocol's, owned */
	struct http_exchange *exchange;	/* NULL: kept for the next */
	int64_t since;
	unsigned held;
	enum conn_phase phase;
	struct h1_scan proxy_scan;	/* of its answer */
	bool used;			/* has served an exchange before */
	bool heard;			/* a byte of the answer */
	bool ended;			/* the peer has ended its side */
	bool dead;
};

enum exchange_step {
	EXCHANGE_LOOKUP,		/* waits for addresses */
	EXCHANGE_CONNECT,		/* to be connected, from the loop */
	EXCHANGE_FAIL,			/* to be ended, from the loop */
	EXCHANGE_UNDER_WAY,		/* has a connection */
};

struct http_exchange {
	TAILQ_ENTRY(http_exchange) link;	/* of all of the client */
	struct http_client *client;	/* borrowed */
	struct client_conn *conn;	/* NULL but when under way */
	enum exchange_step step;
	enum status why;		/* of FAIL; else of what kept us from connecting */
	http_done_fn *done;
	void *arg;			/* borrowed */
	struct loop_timer *timer;	/* owned */
	struct buf *head;		/* owned: the request's, as text */
	struct bytes body;		/* borrowed */
	bool to_head;			/* HEAD: the answer has no body */
	bool retried;
	size_t tried;			/* addresses */
	int64_t connect_until, deadline;
	/* the answer, as far as it is there */
	struct http_answer answer;
	void *answer_head;		/* owned: text and list of headers */
	struct buf answer_body;
};

size_t client_max_body(const struct client_conn *);
/* The answer is complete.  The connection is kept if it may. */
void client_answered(struct client_conn *, bool keep);
/* The exchange ends without an answer, and the connection with it; or is sent
 * again over another if this one was kept and found closed (ST_CUT). */
void client_failed(struct client_conn *, enum status why);

#endif
