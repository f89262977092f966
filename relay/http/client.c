/* client.c - one upstream's connections and the exchanges on them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An exchange:
 *
 *	      ┌──► (kept connection) ───────────────┐
 *	send ─┤                                     ├──► sent ──► done
 *	      └──► lookup ──► connect ──► ... ──────┘      │
 *	               ▲    (address by address,           │
 *	               │     proxy, TLS)                   │
 *	               └───────────────────────────────────┘
 *	                 once, if a kept connection was closed
 */
#include "http/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "http/client_priv.h"
#include "http/h1.h"
#include "http/tunnel.h"

#define REQUEST_HEAD_MAX ((size_t)64 << 10)

TAILQ_HEAD(conn_list, client_conn);
TAILQ_HEAD(exchange_list, http_exchange);

struct http_client {
	struct loop *loop;		/* borrowed */
	struct http_client_opts opts;
	struct conn_list kept;		/* owned; the last used first */
	struct conn_list busy;		/* owned; connecting too */
	struct exchange_list exchanges;	/* owned */
	struct loop_lookup *lookup;	/* owned; NULL: none under way */
	struct loop_addr addrs[LOOP_ADDRS_MAX];
	size_t n_addrs;
	size_t first;			/* the address that answered last */
	int64_t looked_up;
	bool stale;			/* a connection failed since */
};

static void start(struct http_exchange *);

/* ---- exchanges ---------------------------------------------------------------------- */

static void
free_exchange(struct http_exchange *x)
{
	TAILQ_REMOVE(&x->client->exchanges, x, link);
	loop_timer_free(&x->timer);
	buf_free(&x->head);
	buf_fini(&x->answer_body);
	free(x->answer_head);
	free(x);
}

/* It holds no connection any more. */
static void
finish(struct http_exchange *x, enum status st)
{
	http_done_fn *done = x->done;
	void *arg = x->arg;
	struct http_answer answer = x->answer;
	struct buf body = x->answer_body;
	void *head = x->answer_head;

	assert(!x->conn);
	/* the answer outlives the exchange, and maybe the client, for a call */
	buf_init(&x->answer_body, 0);
	x->answer_head = NULL;
	free_exchange(x);
	answer.body = buf_bytes(&body);
	done(st, st == ST_OK ? &answer : NULL, arg);
	free(head);
	buf_fini(&body);
}

/* ---- connections --------------------------------------------------------------------- */

size_t
client_max_body(const struct client_conn *c)
{
	return c->client->opts.max_body_bytes;
}

static void
hold(struct client_conn *c)
{
	c->held++;
}

static void
release(struct client_conn *c)
{
	assert(c->held > 0);
	if (--c->held == 0 && c->dead)
		free(c);
}

/* The exchange, if any, is left without a connection. */
static void
close_conn(struct client_conn *c)
{
	struct http_client *cl = c->client;

	hold(c);
	TAILQ_REMOVE(c->exchange ? &cl->busy : &cl->kept, c, link);
	if (c->exchange)
		c->exchange->conn = NULL;
	c->exchange = NULL;
	c->dead = true;
	c->proto->close(c);
	/* what is queued is borrowed from the exchange: it goes with it */
	stream_close(&c->stream, ST_CANCELLED);
	release(c);
}

static void
keep_conn(struct client_conn *c)
{
	struct http_client *cl = c->client;

	TAILQ_REMOVE(&cl->busy, c, link);
	TAILQ_INSERT_HEAD(&cl->kept, c, link);
	c->exchange->conn = NULL;
	c->exchange = NULL;
	c->used = true;
	stream_deadline(c->stream, loop_now(cl->loop) + cl->opts.idle_timeout_ns);
}

void
client_answered(struct client_conn *c, bool keep)
{
	struct http_client *cl = c->client;
	struct http_exchange *x = c->exchange;

	if (keep && !c->ended && stream_queued(c->stream) == 0 &&
	    stream_input(c->stream).n == 0 &&
	    loop_now(cl->loop) - c->since < cl->opts.reconnect_ns)
		keep_conn(c);
	else
		close_conn(c);
	finish(x, ST_OK);
}

void
client_failed(struct client_conn *c, enum status why)
{
	struct http_exchange *x = c->exchange;
	bool again = why == ST_CUT && c->used && !c->heard && !x->retried;

	close_conn(c);
	if (again) {
		x->retried = true;
		start(x);
		return;
	}
	x->client->stale = true;
	finish(x, why);
}

static void connect_next(struct http_exchange *);

static bool
has_proxy(const struct http_client *cl)
{
	return *cl->opts.proxy.host != '\0';
}

static enum status
nobody_there(const struct http_client *cl)
{
	return has_proxy(cl) ? ST_PROXY_CONNECT : ST_CONNECT;
}

static void
count_tls(const struct client_conn *c, enum status why)
{
	if (c->phase >= CONN_SHAKING && c->client->opts.tls)
		metric_reason_add(METRIC_TLS_FAILURES, why, 1);
}

static void
connect_failed(struct client_conn *c, enum status why)
{
	struct http_exchange *x = c->exchange;

	/* of several addresses, what TLS or the proxy had against one tells more */
	if (x->why == nobody_there(x->client))
		x->why = why;
	count_tls(c, why);
	close_conn(c);
	x->tried++;
	connect_next(x);
}

static void
connected(struct client_conn *c)
{
	struct http_client *cl = c->client;

	c->phase = CONN_READY;
	c->since = loop_now(cl->loop);
	cl->first = (cl->first + c->exchange->tried) % cl->n_addrs;
	stream_deadline(c->stream, 0);
	c->proto->send(c);
}

static void
reached(struct client_conn *c)
{
	if (c->phase == CONN_REACHING && has_proxy(c->client)) {
		c->phase = CONN_TUNNEL;
		tunnel_ask(c->stream, &c->client->opts.url);
		return;
	}
	connected(c);
}

static enum status
secure(struct client_conn *c)
{
	c->phase = CONN_SHAKING;
	return stream_secure(c->stream, c->client->opts.tls);
}

/* The proxy's answer, or the end of it. */
static void
input_of_proxy(struct client_conn *c)
{
	enum status st = tunnel_answer(c->stream, &c->proxy_scan);

	if (st == ST_WAIT && c->ended)
		st = ST_PROXY_ANSWER;
	if (st == ST_OK && c->client->opts.tls)
		st = secure(c);
	else if (st == ST_OK)
		connected(c);
	if (st != ST_OK && st != ST_WAIT)
		connect_failed(c, st);
}

static void
input(struct client_conn *c)
{
	if (c->phase == CONN_TUNNEL)
		input_of_proxy(c);
	else
		c->proto->input(c);
}

static enum status
why_not_ready(const struct client_conn *c, enum stream_event event)
{
	if (event == STREAM_TIMEOUT)
		return c->phase == CONN_REACHING ? nobody_there(c->client) :
		    ST_TIMEOUT;
	if (c->phase == CONN_TUNNEL)
		return ST_PROXY_ANSWER;
	if (c->phase == CONN_REACHING && stream_why(c->stream) == ST_CONNECT)
		return nobody_there(c->client);
	return stream_why(c->stream);
}

/* Once hands are shaken an upstream may still refuse our certificate (TLS 1.3). */
static void
failed(struct client_conn *c, enum status why)
{
	if (!c->heard && why != ST_CUT)
		count_tls(c, why);
	client_failed(c, why);
}

static void
on_event(struct client_conn *c, enum stream_event event)
{
	if (!c->exchange) {
		/* kept: whatever happens, it is not to be trusted any more */
		if (event != STREAM_DRAINED)
			close_conn(c);
		return;
	}
	switch (event) {
	case STREAM_READY:
		reached(c);
		break;
	case STREAM_INPUT:
		input(c);
		break;
	case STREAM_CLOSED:
		c->ended = true;
		input(c);
		break;
	case STREAM_DRAINED:
		break;
	case STREAM_TIMEOUT:	/* only while connecting */
	case STREAM_FAILED:
		if (c->phase == CONN_READY)
			failed(c, stream_why(c->stream));
		else
			connect_failed(c, why_not_ready(c, event));
		break;
	}
}

static void
on_stream(struct stream *stream, enum stream_event event, void *arg)
{
	struct client_conn *c = arg;

	(void)stream;
	hold(c);
	on_event(c, event);
	release(c);
}

static enum status
open_conn(struct http_exchange *x, const struct loop_addr *to)
{
	struct http_client *cl = x->client;
	struct client_conn *c = calloc(1, sizeof(*c));
	enum status st = ST_NO_MEMORY;

	if (!c)
		return st;
	c->client = cl;
	c->proto = &h1_client_proto;
	if (!c->proto->open(c))
		goto fail;
	st = stream_connect(cl->loop, to, on_stream, c, &c->stream);
	if (st == ST_OK && cl->opts.tls && !has_proxy(cl))
		st = secure(c);
	if (st != ST_OK) {
		stream_close(&c->stream, st);
		c->proto->close(c);
		goto fail;
	}
	c->exchange = x;
	x->conn = c;
	TAILQ_INSERT_TAIL(&cl->busy, c, link);
	return ST_OK;
fail:
	free(c);
	return st;
}

/* What is left of the time to connect is shared by the addresses left. */
static void
connect_next(struct http_exchange *x)
{
	struct http_client *cl = x->client;
	int64_t now = loop_now(cl->loop), left = x->connect_until - now;
	enum status st;
	size_t i;

	for (; x->tried < cl->n_addrs && left > 0; x->tried++) {
		i = (cl->first + x->tried) % cl->n_addrs;
		st = open_conn(x, &cl->addrs[i]);
		if (st == ST_OK) {
			stream_deadline(x->conn->stream, now + left /
			    (int64_t)(cl->n_addrs - x->tried));
			return;
		}
		if (st == ST_NO_MEMORY) {
			finish(x, st);
			return;
		}
	}
	cl->stale = true;
	finish(x, x->why);
}

/* ---- steps --------------------------------------------------------------------------- */

/* Goes on from the loop, so that done is never called inside a caller's call. */
static void
go_on(struct http_exchange *x, enum exchange_step step, enum status why)
{
	x->step = step;
	x->why = why;
	loop_timer_start(x->timer, 0);
}

static void
looked_up(enum status st, const struct loop_addr *addrs, size_t n, void *arg)
{
	struct http_client *cl = arg;
	enum status why = has_proxy(cl) ? ST_PROXY_CONNECT : st;
	struct http_exchange *x;

	cl->lookup = NULL;
	if (st == ST_OK) {
		memcpy(cl->addrs, addrs, n * sizeof(*addrs));
		cl->n_addrs = n;
		cl->first = 0;
		cl->looked_up = loop_now(cl->loop);
		cl->stale = false;
	}
	/* when names fail, the addresses of before are worth a try */
	TAILQ_FOREACH(x, &cl->exchanges, link) {
		if (x->step == EXCHANGE_LOOKUP)
			go_on(x, cl->n_addrs ? EXCHANGE_CONNECT :
			    EXCHANGE_FAIL, why);
	}
}

static bool
addresses_fresh(const struct http_client *cl)
{
	return cl->n_addrs > 0 && !cl->stale &&
	    loop_now(cl->loop) - cl->looked_up < cl->opts.reconnect_ns;
}

static void
use_kept(struct http_exchange *x, struct client_conn *c)
{
	struct http_client *cl = x->client;

	TAILQ_REMOVE(&cl->kept, c, link);
	TAILQ_INSERT_TAIL(&cl->busy, c, link);
	c->exchange = x;
	c->heard = false;
	x->conn = c;
	x->step = EXCHANGE_UNDER_WAY;
	stream_deadline(c->stream, 0);
	c->proto->send(c);
}

static void
start(struct http_exchange *x)
{
	struct http_client *cl = x->client;
	struct client_conn *c = TAILQ_FIRST(&cl->kept);
	const struct http_url *to = has_proxy(cl) ? &cl->opts.proxy :
	    &cl->opts.url;
	enum status st;

	if (c && !x->retried) {
		use_kept(x, c);
		return;
	}
	if (addresses_fresh(cl)) {
		go_on(x, EXCHANGE_CONNECT, ST_OK);
		return;
	}
	x->step = EXCHANGE_LOOKUP;
	if (cl->lookup)
		return;
	st = loop_resolve(cl->loop, to->host, to->port, looked_up, cl,
	    &cl->lookup);
	if (st != ST_OK)
		go_on(x, EXCHANGE_FAIL, st);
}

static void
begin_connect(struct http_exchange *x)
{
	int64_t now = loop_now(x->client->loop);

	x->step = EXCHANGE_UNDER_WAY;
	x->why = nobody_there(x->client);
	x->tried = 0;
	x->connect_until = now + x->client->opts.connect_timeout_ns;
	loop_timer_start(x->timer, x->deadline - now);
	connect_next(x);
}

static void
timer_due(void *arg)
{
	struct http_exchange *x = arg;

	switch (x->step) {
	case EXCHANGE_CONNECT:
		begin_connect(x);
		break;
	case EXCHANGE_FAIL:
		finish(x, x->why);
		break;
	case EXCHANGE_LOOKUP:
		finish(x, has_proxy(x->client) ? ST_PROXY_CONNECT :
		    ST_NO_ADDRESS);
		break;
	case EXCHANGE_UNDER_WAY:
		close_conn(x->conn);
		x->client->stale = true;
		finish(x, ST_TIMEOUT);
		break;
	}
}

/* ---- the door ---------------------------------------------------------------------------- */

enum status
http_client_new(struct loop *loop, const struct http_client_opts *opts,
    struct http_client **out)
{
	struct http_client *cl;

	if (opts->url.tls != (opts->tls != NULL))
		return ST_CONFIG;
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return ST_NO_MEMORY;
	cl->loop = loop;
	cl->opts = *opts;
	TAILQ_INIT(&cl->kept);
	TAILQ_INIT(&cl->busy);
	TAILQ_INIT(&cl->exchanges);
	*out = cl;
	return ST_OK;
}

void
http_client_free(struct http_client **at)
{
	struct http_exchange *x;
	struct http_client *cl = *at;
	struct client_conn *c;

	if (!cl)
		return;
	*at = NULL;
	loop_lookup_cancel(&cl->lookup);
	while ((x = TAILQ_FIRST(&cl->exchanges)) != NULL)
		http_exchange_cancel(&x);
	while ((c = TAILQ_FIRST(&cl->kept)) != NULL)
		close_conn(c);
	free(cl);
}

static enum status
write_head(struct http_exchange *x, const struct http_call *call)
{
	const struct http_url *url = &x->client->opts.url;

	x->head = buf_new(REQUEST_HEAD_MAX);
	if (!x->head)
		return ST_NO_MEMORY;
	h1_write_request(x->head, call->method, url->path, url->authority,
	    call->headers, call->body.n);
	return buf_failed(x->head) ? ST_NO_MEMORY : ST_OK;
}

enum status
http_client_send(struct http_client *cl, const struct http_call *call,
    http_done_fn *done, void *arg, struct http_exchange **out)
{
	struct http_exchange *x = calloc(1, sizeof(*x));
	enum status st;

	if (!x)
		return ST_NO_MEMORY;
	x->client = cl;
	x->done = done;
	x->arg = arg;
	x->body = call->body;
	x->to_head = strcmp(call->method, "HEAD") == 0;
	buf_init(&x->answer_body, cl->opts.max_body_bytes);
	TAILQ_INSERT_TAIL(&cl->exchanges, x, link);
	st = write_head(x, call);
	if (st == ST_OK)
		st = loop_timer_new(cl->loop, timer_due, x, &x->timer);
	if (st != ST_OK) {
		free_exchange(x);
		return ST_NO_MEMORY;
	}
	x->deadline = loop_now(cl->loop) + cl->opts.answer_timeout_ns;
	loop_timer_start(x->timer, cl->opts.answer_timeout_ns);
	*out = x;
	start(x);
	return ST_OK;
}

void
http_exchange_cancel(struct http_exchange **at)
{
	struct http_exchange *x = *at;

	if (!x)
		return;
	*at = NULL;
	if (x->conn)
		close_conn(x->conn);
	free_exchange(x);
}
