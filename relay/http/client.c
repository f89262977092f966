/* client.c - one upstream's connections and the exchanges on them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An exchange:
 *
 *	      ┌──► (kept connection) ────────┐
 *	send ─┤                              ├──► under way ──► done
 *	      └──► waiting for a connection ─┘      │
 *	               ▲                            │
 *	               └────────────────────────────┘
 *	                 once, if a kept connection was closed
 *
 * Who waits takes the first connection that has room.  For each of those that
 * wait a dial is under way, or one for all while connections are shared; when one
 * fails, so does who has none left to wait for.
 */
#include "http/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "http/client_priv.h"
#include "http/dial.h"

TAILQ_HEAD(conn_list, client_conn);

struct http_client {
	struct loop *loop;		/* borrowed */
	struct http_client_opts opts;
	struct dialer *dialer;		/* owned */
	struct conn_list conns;		/* owned; of those kept the last used first */
	struct exchange_list exchanges;	/* owned */
	struct exchange_list waiting;	/* of them */
	size_t n_waiting;
	bool shares;			/* connections, as far as is known */
};

static void start(struct http_exchange *);
static void fail_waiting(struct http_client *, enum status why);
static void provide(struct http_client *);

/* ---- exchanges ---------------------------------------------------------------------- */

static void
free_exchange(struct http_exchange *x)
{
	TAILQ_REMOVE(&x->client->exchanges, x, link);
	loop_timer_free(&x->timer);
	buf_fini(&x->answer_body);
	free(x->answer_head);
	free(x->memory);
	free(x);
}

/* It holds no connection any more, and waits for none. */
static void
finish(struct http_exchange *x, enum status st)
{
	http_done_fn *done = x->done;
	void *arg = x->arg;
	struct http_answer answer = x->answer;
	struct buf body = x->answer_body;
	void *head = x->answer_head;

	assert(!x->conn && x->step != EXCHANGE_WAITING);
	/* the answer outlives the exchange, and maybe the client, for a call */
	buf_init(&x->answer_body, 0);
	x->answer_head = NULL;
	free_exchange(x);
	answer.body = buf_bytes(&body);
	done(st, st == ST_OK ? &answer : NULL, arg);
	free(head);
	buf_fini(&body);
}

/* From the loop, so that done is never called inside a caller's call. */
static void
fail(struct http_exchange *x, enum status why)
{
	assert(!x->conn);
	x->step = EXCHANGE_FAILING;
	x->why = why;
	loop_timer_start(x->timer, 0);
}

static void
stop_waiting(struct http_exchange *x, enum exchange_step to)
{
	TAILQ_REMOVE(&x->client->waiting, x, on);
	x->client->n_waiting--;
	x->step = to;
}

/* ---- connections --------------------------------------------------------------------- */

const struct http_url *
client_url(const struct client_conn *c)
{
	return &c->client->opts.url;
}

bool
client_keep_piece(struct http_exchange *x, struct bytes piece, size_t *drained)
{
	struct buf *b = &x->answer_body;
	size_t room = x->client->opts.max_body_bytes - b->len;
	size_t n = piece.n < room ? piece.n : room;

	if (!buf_append(b, piece.p, n))
		return false;
	*drained += piece.n - n;
	return *drained <= CLIENT_DRAIN_MAX;
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

static void
close_conn(struct client_conn *c)
{
	assert(c->n == 0 && !c->dead);
	hold(c);
	TAILQ_REMOVE(&c->client->conns, c, link);
	c->dead = true;
	c->proto->close(c);
	/* what is queued may be borrowed from an exchange: it goes with it */
	stream_close(&c->stream, ST_CANCELLED);
	release(c);
}

static bool
is_old(const struct client_conn *c)
{
	const struct http_client *cl = c->client;

	return loop_now(cl->loop) - c->since >= cl->opts.reconnect_ns;
}

static void
leave(struct client_conn *c, struct http_exchange *x)
{
	assert(x->conn == c && c->n > 0);
	TAILQ_REMOVE(&c->exchanges, x, on);
	c->n--;
	c->used = true;
	x->conn = NULL;
}

/* After some have left: kept for the next ones, or ended when it is of no use. */
static void
settle(struct client_conn *c)
{
	struct http_client *cl = c->client;

	if (c->n > 0)
		return;
	if (c->last || c->ended || is_old(c)) {
		close_conn(c);
		return;
	}
	TAILQ_REMOVE(&cl->conns, c, link);
	TAILQ_INSERT_HEAD(&cl->conns, c, link);
	stream_deadline(c->stream, loop_now(cl->loop) + cl->opts.idle_timeout_ns);
}

static void
carry(struct client_conn *c, struct http_exchange *x)
{
	if (c->n == 0) {
		stream_deadline(c->stream, 0);
		c->heard = false;
	}
	x->on_kept = c->n == 0 && c->used;
	x->conn = c;
	x->step = EXCHANGE_UNDER_WAY;
	x->sent_at = loop_now(c->client->loop);
	TAILQ_INSERT_TAIL(&c->exchanges, x, on);
	c->n++;
	if (c->proto->send(c, x))
		return;
	leave(c, x);
	settle(c);
	fail(x, ST_NO_MEMORY);
}

/* One that has room, or NULL. */
static struct client_conn *
find_room(const struct http_client *cl, const struct http_exchange *x)
{
	struct client_conn *c;

	TAILQ_FOREACH(c, &cl->conns, link) {
		if (c->ready && !c->last && !(x->fresh && c->used) &&
		    !(c->n > 0 && is_old(c)) && c->proto->room(c) > 0)
			return c;
	}
	return NULL;
}

static void
serve_waiting(struct http_client *cl)
{
	struct http_exchange *x, *next;
	struct client_conn *c;

	for (x = TAILQ_FIRST(&cl->waiting); x; x = next) {
		next = TAILQ_NEXT(x, on);
		c = find_room(cl, x);
		if (!c)
			continue;
		stop_waiting(x, EXCHANGE_UNDER_WAY);
		carry(c, x);
	}
}

/* ---- what a protocol tells --------------------------------------------------------------- */

void
client_ready(struct client_conn *c)
{
	struct http_client *cl = c->client;

	c->ready = true;
	c->since = loop_now(cl->loop);
	cl->shares = c->proto->shared;
	settle(c);
	serve_waiting(cl);
	provide(cl);
}

void
client_has_room(struct client_conn *c)
{
	if (c->ready)
		serve_waiting(c->client);
}

void
client_gave_up(struct client_conn *c, struct http_exchange *x, enum status why,
    bool again)
{
	leave(c, x);
	settle(c);
	if (!again || x->retried) {
		fail(x, why);
		return;
	}
	x->retried = true;
	start(x);
}

void
client_answered(struct client_conn *c, struct http_exchange *x, bool keep)
{
	struct http_client *cl = c->client;

	leave(c, x);
	c->last |= !keep;
	settle(c);
	serve_waiting(cl);
	finish(x, ST_OK);
}

/* A connection has ended that was none for anybody: who waited for it does not wait for
 * the next such one. */
static void
was_none(struct http_client *cl, enum status why)
{
	dialer_doubt(cl->dialer);
	fail_waiting(cl, why);
}

void
client_retire(struct client_conn *c)
{
	struct http_client *cl = c->client;
	bool none = c->n == 0 && !c->used;

	c->last = true;
	settle(c);
	if (none)
		was_none(cl, ST_CUT);
	provide(cl);
}

/* Whether a connection has been found closed that was as good as none. */
static bool
may_go_again(const struct client_conn *c, const struct http_exchange *x,
    enum status why)
{
	return why == ST_CUT && x->on_kept && !c->heard && !x->retried;
}

/* The connection has ended. */
static void
cut_off(const struct client_conn *c, struct http_exchange *x, enum status why)
{
	if (may_go_again(c, x, why)) {
		x->retried = x->fresh = true;
		start(x);
		return;
	}
	dialer_doubt(c->client->dialer);
	fail(x, why);
}

void
client_failed(struct client_conn *c, enum status why)
{
	struct exchange_list left = TAILQ_HEAD_INITIALIZER(left);
	struct http_client *cl = c->client;
	bool none = c->n == 0 && !c->used;
	struct http_exchange *x;

	hold(c);
	while ((x = TAILQ_FIRST(&c->exchanges)) != NULL) {
		leave(c, x);
		TAILQ_INSERT_TAIL(&left, x, on);
	}
	close_conn(c);
	while ((x = TAILQ_FIRST(&left)) != NULL) {
		TAILQ_REMOVE(&left, x, on);
		cut_off(c, x, why);
	}
	release(c);
	if (none)
		was_none(cl, why);
	provide(cl);
}

/* ---- streams ----------------------------------------------------------------------------- */

static void
input(struct client_conn *c)
{
	if (stream_input(c->stream).n) {
		c->heard = true;
		c->heard_at = loop_now(c->client->loop);
	}
	c->proto->input(c);
}

/* Once hands are shaken an upstream may still refuse our certificate (TLS 1.3). */
static void
failed(struct client_conn *c, enum status why)
{
	if (!c->heard && why != ST_CUT && c->client->opts.tls)
		metric_reason_add(METRIC_TLS_FAILURES, why, 1);
	client_failed(c, why);
}

static void
on_event(struct client_conn *c, enum stream_event event)
{
	switch (event) {
	case STREAM_READY:
		break;
	case STREAM_INPUT:
		input(c);
		break;
	case STREAM_CLOSED:
		c->ended = true;
		input(c);
		break;
	case STREAM_DRAINED:
		c->proto->drained(c);
		break;
	case STREAM_TIMEOUT:	/* kept long enough, or never ready */
		client_failed(c, ST_TIMEOUT);
		break;
	case STREAM_FAILED:
		failed(c, stream_why(c->stream));
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
open_conn(struct http_client *cl, struct stream *taken)
{
	struct client_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		stream_close(&taken, ST_CANCELLED);
		return ST_NO_MEMORY;
	}
	c->client = cl;
	c->stream = taken;
	c->proto = bytes_eq(stream_protocol(taken), BYTES_LIT("h2")) ?
	    &h2_client_proto : &h1_client_proto;
	TAILQ_INIT(&c->exchanges);
	TAILQ_INSERT_HEAD(&cl->conns, c, link);
	stream_own(c->stream, on_stream, c);
	stream_deadline(c->stream, loop_now(cl->loop) +
	    cl->opts.connect_timeout_ns);
	if (!c->proto->open(c)) {
		close_conn(c);
		return ST_NO_MEMORY;
	}
	return ST_OK;
}

/* ---- dials ------------------------------------------------------------------------------- */

/* Connections that are to come. */
static size_t
count_coming(const struct http_client *cl)
{
	size_t n = dialer_dials(cl->dialer);
	struct client_conn *c;

	TAILQ_FOREACH(c, &cl->conns, link)
		n += !c->ready;
	return n;
}

/* An upstream that lets nobody in at present would not do so elsewhere either. */
static bool
must_wait(const struct http_client *cl)
{
	struct client_conn *c;

	TAILQ_FOREACH(c, &cl->conns, link) {
		if (c->ready && c->n == 0 && !c->last && c->proto->room(c) == 0)
			return true;
	}
	return false;
}

/* That those who wait need. */
static size_t
count_wanted(const struct http_client *cl)
{
	return cl->shares && cl->n_waiting ? 1 : cl->n_waiting;
}

/* Those that have nothing left to wait for. */
static void
fail_waiting(struct http_client *cl, enum status why)
{
	struct http_exchange *x;

	while (count_wanted(cl) > count_coming(cl)) {
		x = TAILQ_FIRST(&cl->waiting);
		stop_waiting(x, EXCHANGE_FAILING);
		fail(x, why);
	}
}

static void
provide(struct http_client *cl)
{
	if (must_wait(cl))
		return;
	while (count_coming(cl) < count_wanted(cl)) {
		if (dialer_dial(cl->dialer) != ST_OK)
			fail_waiting(cl, ST_NO_MEMORY);
	}
}

static void
dialled(enum status st, struct stream *taken, void *arg)
{
	struct http_client *cl = arg;

	if (st == ST_OK)
		st = open_conn(cl, taken);
	if (st == ST_OK)
		return;
	fail_waiting(cl, st);
	provide(cl);
}

/* ---- steps --------------------------------------------------------------------------- */

static void
start(struct http_exchange *x)
{
	struct http_client *cl = x->client;
	struct client_conn *c = find_room(cl, x);

	if (c) {
		carry(c, x);
		return;
	}
	x->step = EXCHANGE_WAITING;
	TAILQ_INSERT_TAIL(&cl->waiting, x, on);
	cl->n_waiting++;
	provide(cl);
}

/* Takes it from the connection, on which others may go on. */
static void
abandon(struct http_exchange *x)
{
	struct client_conn *c = x->conn;

	hold(c);
	leave(c, x);
	c->proto->cancel(c, x);
	if (!c->dead)
		settle(c);
	serve_waiting(c->client);
	release(c);
}

static void
timer_due(void *arg)
{
	struct http_exchange *x = arg;
	struct http_client *cl = x->client;

	switch (x->step) {
	case EXCHANGE_WAITING:
		stop_waiting(x, EXCHANGE_FAILING);
		finish(x, dialer_late(cl->dialer));
		break;
	case EXCHANGE_UNDER_WAY:
		/* a peer that has said nothing at all may be gone */
		x->conn->last |= x->conn->heard_at < x->sent_at;
		abandon(x);
		dialer_doubt(cl->dialer);
		finish(x, ST_TIMEOUT);
		break;
	case EXCHANGE_FAILING:
		finish(x, x->why);
		break;
	}
}

/* ---- the door ---------------------------------------------------------------------------- */

enum status
http_client_new(struct loop *loop, const struct http_client_opts *opts,
    struct http_client **out)
{
	const struct dialer_opts dopts = {
		.url = opts->url,
		.proxy = opts->proxy,
		.tls = opts->tls,
		.timeout_ns = opts->connect_timeout_ns,
		.look_again_ns = opts->reconnect_ns,
	};
	struct http_client *cl;

	if (opts->url.tls != (opts->tls != NULL))
		return ST_CONFIG;
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return ST_NO_MEMORY;
	if (dialer_new(loop, &dopts, dialled, cl, &cl->dialer) != ST_OK) {
		free(cl);
		return ST_NO_MEMORY;
	}
	cl->loop = loop;
	cl->opts = *opts;
	cl->shares = opts->tls != NULL;	/* until we are told */
	TAILQ_INIT(&cl->conns);
	TAILQ_INIT(&cl->exchanges);
	TAILQ_INIT(&cl->waiting);
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
	dialer_free(&cl->dialer);
	while ((c = TAILQ_FIRST(&cl->conns)) != NULL) {
		while ((x = TAILQ_FIRST(&c->exchanges)) != NULL)
			leave(c, x);
		close_conn(c);
	}
	while ((x = TAILQ_FIRST(&cl->exchanges)) != NULL)
		free_exchange(x);
	free(cl);
}

static struct bytes
copy_bytes(char **to, struct bytes from)
{
	struct bytes copy = bytes_of(*to, from.n);

	if (from.n)
		memcpy(*to, from.p, from.n);
	*to += from.n;
	return copy;
}

/* Method and headers, which are borrowed for the call only. */
static bool
copy_head(struct http_exchange *x, const struct http_call *call)
{
	size_t n = call->headers.n, size = strlen(call->method) + 1, i;
	struct http_header *list;
	char *at;

	for (i = 0; i < n; i++)
		size += call->headers.list[i].name.n +
		    call->headers.list[i].value.n;
	x->memory = malloc(n * sizeof(*list) + size);
	if (!x->memory)
		return false;
	list = x->memory;
	at = (char *)(list + n);
	x->method = at;
	at = stpcpy(at, call->method) + 1;
	for (i = 0; i < n; i++) {
		list[i].name = copy_bytes(&at, call->headers.list[i].name);
		list[i].value = copy_bytes(&at, call->headers.list[i].value);
	}
	x->headers = (struct http_headers){ list, n };
	return true;
}

enum status
http_client_send(struct http_client *cl, const struct http_call *call,
    http_done_fn *done, void *arg, struct http_exchange **out)
{
	struct http_exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return ST_NO_MEMORY;
	x->client = cl;
	x->done = done;
	x->arg = arg;
	x->body = call->body;
	x->to_head = strcmp(call->method, "HEAD") == 0;
	buf_init(&x->answer_body, cl->opts.max_body_bytes);
	TAILQ_INSERT_TAIL(&cl->exchanges, x, link);
	if (!copy_head(x, call) || loop_timer_new(cl->loop, timer_due, x,
	    &x->timer) != ST_OK) {
		free_exchange(x);
		return ST_NO_MEMORY;
	}
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
		abandon(x);
	else if (x->step == EXCHANGE_WAITING)
		stop_waiting(x, EXCHANGE_FAILING);
	free_exchange(x);
}
