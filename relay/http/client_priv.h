/* client_priv.h - what client.c and a protocol show each other.
 * SPDX-License-Identifier: Apache-2.0
 *
 * client.c has connections, exchanges that wait for one, and deadlines; a
 * protocol writes requests and reads answers.                               */
#ifndef RW_HTTP_CLIENT_PRIV_H
#define RW_HTTP_CLIENT_PRIV_H

#include <sys/queue.h>

#include "http/client.h"
#include "io/stream.h"

#define CLIENT_HEADERS_MAX ((size_t)32 << 10)	/* of an answer */
#define CLIENT_DRAIN_MAX ((size_t)1 << 20)	/* of a body past what is kept */
#define CLIENT_INTERIM_MAX 16			/* 1xx before an answer */

struct client_conn;

/* A protocol on a connection to the upstream. */
struct client_proto {
	bool shared;			/* several exchanges on a connection */
	/* The stream is READY: calls client_ready, now or later.  False when out of
	 * memory. */
	bool (*open)(struct client_conn *);
	/* How many exchanges more it can take now. */
	size_t (*room)(const struct client_conn *);
	/* There was room, and it is one of the connection's now.  False when out of
	 * memory: nothing was begun. */
	bool (*send)(struct client_conn *, struct http_exchange *);
	/* It is no longer: what was begun of it ends. */
	void (*cancel)(struct client_conn *, struct http_exchange *);
	/* The stream has more input, or has ended. */
	void (*input)(struct client_conn *);
	/* All that was queued is gone. */
	void (*drained)(struct client_conn *);
	void (*close)(struct client_conn *);
};

extern const struct client_proto h1_client_proto, h2_client_proto;

TAILQ_HEAD(exchange_list, http_exchange);

struct client_conn {
	TAILQ_ENTRY(client_conn) link;
	struct http_client *client;	/* borrowed */
	struct stream *stream;		/* owned; NULL when dead */
	const struct client_proto *proto;
	void *session;			/* the protocol's, owned */
	struct exchange_list exchanges;	/* that it carries */
	size_t n;			/* of them; 0: kept for the next */
	int64_t since;
	int64_t heard_at;
	unsigned held;
	bool ready;			/* may carry exchanges */
	bool used;			/* has carried one before */
	bool heard;			/* anything, since it was kept */
	bool ended;			/* the peer has ended its side */
	bool last;			/* carries no exchange more */
	bool dead;
};

enum exchange_step {
	EXCHANGE_WAITING,		/* for a connection */
	EXCHANGE_UNDER_WAY,		/* has one */
	EXCHANGE_FAILING,		/* to be ended, from the loop */
};

struct http_exchange {
	TAILQ_ENTRY(http_exchange) link;	/* of all of the client */
	TAILQ_ENTRY(http_exchange) on;	/* of those waiting, or the connection's */
	struct http_client *client;	/* borrowed */
	struct client_conn *conn;	/* NULL but when under way */
	void *ask;			/* the protocol's */
	enum exchange_step step;
	enum status why;		/* of FAILING */
	http_done_fn *done;
	void *arg;			/* borrowed */
	struct loop_timer *timer;	/* owned */
	void *memory;			/* owned: of method and headers */
	const char *method;
	struct http_headers headers;
	struct bytes body;		/* borrowed */
	bool to_head;			/* HEAD: the answer has no body */
	bool on_kept;			/* was sent on a connection that was kept */
	bool fresh;			/* not on one that was used before */
	bool retried;
	int64_t sent_at;
	/* the answer, as far as it is there */
	struct http_answer answer;
	void *answer_head;		/* owned: text and list of headers */
	struct buf answer_body;
};

const struct http_url *client_url(const struct client_conn *);
/* Keeps what may be kept of a piece of the answer's body; *drained counts the rest.  False
 * when enough has been thrown away. */
bool client_keep_piece(struct http_exchange *, struct bytes, size_t *drained);

/* The connection can carry exchanges. */
void client_ready(struct client_conn *);
/* The answer is complete.  The connection is used again if it may. */
void client_answered(struct client_conn *, struct http_exchange *, bool keep);
/* The exchange ends without one.  again: the upstream has not looked at it, and it is sent
 * once more. */
void client_gave_up(struct client_conn *, struct http_exchange *,
    enum status why, bool again);
/* It may have more room than before. */
void client_has_room(struct client_conn *);
/* The connection ends, and what is on it without an answer; or what is is sent
 * again over another if this one was kept and found closed (ST_CUT). */
void client_failed(struct client_conn *, enum status why);
/* It takes no exchange more, and ends when it has none. */
void client_retire(struct client_conn *);

#endif
