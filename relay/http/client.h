/* client.h - asking an upstream: connect, keep connections, one call per
 * request, over HTTP/1.1 or HTTP/2.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A client belongs to one loop and one origin.  Connections are kept and used again
 * (also when an exchange ended with an error status: the body is drained up to a
 * limit); a kept connection that the peer has closed before it took a byte of the
 * request is replaced without telling the caller, and what the peer says it has not looked
 * at (RFC 9113 8.7) is sent once more.  A connection of HTTP/2 carries as many exchanges
 * as the peer allows.  Names are looked up again after a
 * connection error and every `reconnect_ns`; of several addresses the first that is
 * through is used (dial.h).  Redirects are not followed.
 * Behind a proxy every connection is a tunnel through it (CONNECT), with TLS inside if
 * the origin has it; the proxy looks up the origin's name.                   */
#ifndef RW_HTTP_CLIENT_H
#define RW_HTTP_CLIENT_H

#include "http/message.h"
#include "http/url.h"
#include "io/loop.h"

struct http_client;
struct http_exchange;
struct tls;

/* What it speaks, the best first, for ALPN: of what `tls` offers the upstream chooses. */
#define HTTP_CLIENT_ALPN "h2,http/1.1"
#define HTTP_CLIENT_ALPN_1 "http/1.1"

struct http_client_opts {
	struct http_url url;
	struct http_url proxy;		/* host "": none */
	int64_t connect_timeout_ns;	/* with TLS: to shake hands, too */
	int64_t answer_timeout_ns;	/* whole exchange, from send to end */
	int64_t idle_timeout_ns;	/* of a kept connection */
	int64_t reconnect_ns;		/* a connection's longest life */
	size_t max_body_bytes;		/* kept of an answer; the rest is drained */
	struct tls *tls;		/* borrowed for life; https has one, http has
					   none (ST_CONFIG) */
};

enum status http_client_new(struct loop *, const struct http_client_opts *,
    struct http_client **out);
/* Exchanges in flight end without their done being called. */
void http_client_free(struct http_client **);

struct http_call {
	const char *method;
	struct http_headers headers;	/* beside Host and Content-Length;
					   borrowed for the call of send */
	struct bytes body;		/* borrowed until done or cancel */
};

/* ST_OK: `answer` is there.  Else it is NULL: ST_NO_ADDRESS, ST_CONNECT, ST_TIMEOUT,
 * ST_CUT, ST_RESET, ST_BAD_ANSWER, ST_NO_MEMORY, ST_SYSTEM, what the proxy had against it
 * (ST_PROXY_REFUSED, ...) or TLS (ST_NOT_TLS, ST_CERT_NAME, ...).  Never called before
 * http_client_send returns. */
typedef void http_done_fn(enum status, const struct http_answer *answer,
    void *arg);
/* ST_NO_MEMORY: nothing was begun, and done will not be called; else ST_OK. */
enum status http_client_send(struct http_client *, const struct http_call *,
    http_done_fn *done, void *arg, struct http_exchange **out);
/* done will not be called; where the protocol has no other way to say so, the connection is
 * closed. */
void http_exchange_cancel(struct http_exchange **);

#endif
