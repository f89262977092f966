/* server.h - connections of edges (or of whoever asks for /metrics), and the
 * routes that serve them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A server belongs to one loop; connections stay on it for life.  They speak
 * HTTP/1.1 or HTTP/2 (RFC 9113), and a handler need not know which.  The protocol
 * code parses strictly (RFC 9112), refuses what could be read two ways (request
 * smuggling: two Content-Lengths, Content-Length with Transfer-Encoding, bare CR,
 * white space before a colon, obsolete folding, unknown codings), limits the size of
 * request line and headers, and answers 100-continue when the body is first wanted.
 * Refused early, a connection lingers so that the answer arrives.           */
#ifndef RW_HTTP_SERVER_H
#define RW_HTTP_SERVER_H

#include "base/arena.h"
#include "http/message.h"
#include "io/loop.h"

struct http_server;
struct http_request;
struct crowd;
struct tls;

/* What it speaks, the best first, for ALPN; with http2, and without. */
#define HTTP_SERVER_ALPN "h2,http/1.1"
#define HTTP_SERVER_ALPN_1 "http/1.1"

/* What a route does with an exchange.  All calls on the server's loop.
 * `begin` comes when the headers are complete; it may answer at once (the body is
 * then not delivered).  It returns ST_OK to be given the body, ST_WAIT to be given
 * none before http_request_resume or http_request_pass, or a status that is answered
 * as it stands in status.tbl.
 * `body` is given each piece: ST_OK for more, ST_WAIT to be given no more until
 * http_request_resume (the piece was taken), else the status is answered.
 * `end` comes after the last piece.  The answer may be given in any call or later.
 * `gone` comes when the peer has left before the answer was complete, or the server
 * ends: the request must not be touched after it. */
struct http_handler {
	enum status (*begin)(struct http_request *, void *arg);
	enum status (*body)(struct http_request *, struct bytes piece);
	void (*end)(struct http_request *);
	void (*gone)(struct http_request *, enum status why);
};

struct http_route {
	const char *method;		/* "POST"; others get 405 */
	const char *path;		/* exact, without query */
	const struct http_handler *handler;
	void *arg;			/* for begin */
};

struct http_server_opts {
	const struct http_route *routes;	/* borrowed for life */
	size_t n_routes;
	size_t max_header_bytes;	/* request line and headers, 16 KiB */
	uint64_t max_body_bytes;	/* 413 past it, before it is read when
					   Content-Length says so */
	size_t max_connections;		/* 503 and close past it (TLS: close) */
	struct crowd *crowd;		/* borrowed for life: likewise past what it
					   lets in; NULL: all */
	int64_t header_timeout_ns;	/* to receive a request's headers; before
					   them, to shake hands (TLS) */
	int64_t body_timeout_ns;	/* between two pieces of a body */
	uint64_t body_rate;		/* bytes a second that a body has to come to
					   on the whole, when it takes longer than
					   that; 0: any */
	int64_t idle_timeout_ns;	/* between requests: at least 5 min, the
					   idle time of Prometheus' client */
	bool count;			/* in CONNECTIONS, ACCEPTED, CLOSED */
	struct tls *tls;		/* borrowed for life; NULL: plain */
	bool http2;			/* spoken by who has agreed on it (ALPN), or
					   begins so on a plain connection */
};

enum status http_server_new(struct loop *, const struct http_server_opts *,
    struct http_server **out);
/* Takes a connection (listener_fn's descriptor). */
void http_server_adopt(struct http_server *, int fd,
    const struct loop_addr *peer);
/* No new requests: idle connections close, busy ones after their answer
 * (Connection: close).  done is called on the loop once none is left. */
void http_server_drain(struct http_server *, void (*done)(void *), void *arg);
/* All connections end now (`gone` is called for each open request). */
void http_server_free(struct http_server **);
size_t http_server_connections(const struct http_server *);

/* ---- a request, as a handler sees it -------------------------------------- */
struct loop *http_request_loop(const struct http_request *);
struct http_headers http_request_headers(const struct http_request *);
struct bytes http_request_path(const struct http_request *);
struct bytes http_request_query(const struct http_request *);	/* p NULL: none */
/* Overwrites the value of the first header of that name. */
void http_request_forget(struct http_request *, const char *name);
/* -1 when chunked, or not said. */
int64_t http_request_length(const struct http_request *);
/* Where it comes from, and the name in the client's certificate, as stream_peer and
 * stream_peer_certified tell them. */
const struct loop_addr *http_request_peer(const struct http_request *);
const char *http_request_certified(const struct http_request *);
/* Who asks: the name that was set (copied, < HTTP_EDGE_SIZE), or else the one in the
 * client's certificate, or else the address (stream_peer_name). */
#define HTTP_EDGE_SIZE 256
void http_request_set_edge(struct http_request *, const char *);
const char *http_request_edge(const struct http_request *);
/* The handler's own pointer. */
void http_request_set_user(struct http_request *, void *);
void *http_request_user(const struct http_request *);

void http_request_resume(struct http_request *);
/* From now on the request is another handler's, whose `begin` is called; in place of
 * an answer of one's own, in `begin` or after it has returned ST_WAIT.  The request must
 * not be touched afterwards. */
void http_request_pass(struct http_request *, const struct http_handler *,
    void *arg);
/* Once per request.  Adds Date, Content-Length and, when due, Connection.  The
 * request must not be touched afterwards. */
void http_respond(struct http_request *, struct http_response *);
/* A status as in status.tbl with its sentence as text/plain body; for 503 and 429
 * retry_after_s > 0 goes into Retry-After.  `text` NULL: the sentence. */
void http_respond_status(struct http_request *, enum status, const char *text,
    unsigned retry_after_s);

#endif
