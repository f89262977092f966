/* server.c - connections, routes, and the requests that handlers see.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "http/crowd.h"
#include "http/http_priv.h"
#include "io/network.h"

TAILQ_HEAD(conn_list, http_conn);

struct http_server {
	struct loop *loop;		/* borrowed */
	struct http_server_opts opts;
	struct conn_list conns;		/* owned */
	size_t n_conns;
	unsigned turned_away;		/* varies Retry-After */
	int64_t date_s;			/* of the text */
	char date[HTTP_DATE_SIZE];
	bool draining;
	struct loop_timer *drained;	/* owned: calls done from the loop */
	void (*done)(void *);
	void *done_arg;			/* borrowed */
};

/* ---- connections ------------------------------------------------------------------- */

const struct http_server_opts *
conn_opts(const struct http_conn *c)
{
	return &c->server->opts;
}

bool
conn_draining(const struct http_conn *c)
{
	return c->server->draining;
}

const char *
conn_date(struct http_conn *c)
{
	struct http_server *s = c->server;
	int64_t wall = clock_wall();

	if (wall / CLOCK_S != s->date_s) {
		s->date_s = wall / CLOCK_S;
		http_date(wall, s->date);
	}
	return s->date;
}

/* Who sends a byte now and then is in time for each, and would hold for ever what a
 * request holds. */
int64_t
conn_body_deadline(const struct http_conn *c, int64_t begun, uint64_t received)
{
	const struct http_server_opts *o = conn_opts(c);
	int64_t pause = loop_now(c->server->loop) + o->body_timeout_ns, whole;

	if (o->body_rate == 0)
		return pause;
	whole = begun + o->body_timeout_ns +
	    (int64_t)(received / o->body_rate) * CLOCK_S +
	    (int64_t)(received % o->body_rate) * CLOCK_S /
	    (int64_t)o->body_rate;
	return whole < pause ? whole : pause;
}

static void
count_open(const struct http_server *s)
{
	if (!s->opts.count)
		return;
	metric_add(METRIC_ACCEPTED, 1);
	metric_add(METRIC_CONNECTIONS, 1);
}

static void
count_closed(const struct http_server *s, enum status why)
{
	if (!s->opts.count)
		return;
	metric_add(METRIC_CONNECTIONS, -1);
	metric_reason_add(METRIC_CLOSED, why, 1);
}

static void
tell_if_drained(struct http_server *s)
{
	if (s->draining && s->n_conns == 0)
		loop_timer_start(s->drained, 0);
}

static void
leave(struct http_conn *c, enum status why, enum status stream_end)
{
	struct http_server *s = c->server;

	if (c->dead)
		return;
	conn_hold(c);
	c->dead = true;
	if (c->proto)
		c->proto->close(c, why);
	stream_close(&c->stream, stream_end);
	crowd_leave(s->opts.crowd, &c->place);
	TAILQ_REMOVE(&s->conns, c, link);
	s->n_conns--;
	count_closed(s, why);
	tell_if_drained(s);
	conn_release(c);
}

void
conn_finish(struct http_conn *c, enum status why)
{
	leave(c, why, ST_OK);
}

void
conn_end(struct http_conn *c, enum status why)
{
	leave(c, why, why == ST_OK ? ST_GONE : why);
}

void
conn_hold(struct http_conn *c)
{
	c->held++;
}

void
conn_release(struct http_conn *c)
{
	assert(c->held > 0);
	if (--c->held == 0 && c->dead)
		free(c);
}

static bool
set_proto(struct http_conn *c, const struct http_proto *proto)
{
	c->proto = proto;
	if (proto->open(c))
		return true;
	c->proto = NULL;
	return false;
}

/* With TLS it is known when hands are shaken, else h1 looks whether it is. */
static bool
choose_proto(struct http_conn *c)
{
	return set_proto(c, bytes_eq(stream_protocol(c->stream),
	    BYTES_LIT("h2")) ? &h2_proto : &h1_proto);
}

void
conn_become(struct http_conn *c, const struct http_proto *proto)
{
	c->proto->close(c, ST_OK);
	if (set_proto(c, proto))
		proto->input(c);
	else
		conn_end(c, ST_NO_MEMORY);
}

static bool
is_of_certificate(enum status why)
{
	switch (why) {
	case ST_CERT_UNKNOWN:
	case ST_CERT_NAME:
	case ST_CERT_EXPIRED:
	case ST_CERT_REVOKED:
	case ST_CERT_UNLISTED:
	case ST_CERT_MISSING:
		return true;
	default:
		return false;
	}
}

/* Who has a certificate is an edge, and somebody should know; anybody else may send
 * anything. */
static void
tell_not_let_in(const struct http_conn *c, enum status why)
{
	const char *claim = stream_peer_claim(c->stream);
	char subject[300];

	log_at(is_of_certificate(why) ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
	    "edge-not-let-in", "peer=%s%s%s reason=%s why=\"%s\"",
	    stream_peer_name(c->stream), claim ? " subject=" : "",
	    claim ? log_quote(bytes_str(claim), subject, sizeof(subject)) : "",
	    status_info(why)->word, status_info(why)->sentence);
}

static void
failed(struct http_conn *c, enum status why)
{
	if (!c->proto)
		tell_not_let_in(c, why);
	conn_end(c, why == ST_CUT ? ST_GONE : why);
}

static void
on_stream(struct stream *stream, enum stream_event event, void *arg)
{
	struct http_conn *c = arg;

	conn_hold(c);
	switch (event) {
	case STREAM_READY:
		if (c->proto || choose_proto(c))
			c->proto->input(c);
		else
			conn_end(c, ST_NO_MEMORY);
		break;
	case STREAM_INPUT:
	case STREAM_DRAINED:
		c->proto->input(c);
		break;
	case STREAM_CLOSED:
		c->ended = true;
		c->proto->input(c);
		break;
	case STREAM_TIMEOUT:
		if (c->proto)
			c->proto->timeout(c);
		else
			conn_end(c, ST_SLOW);
		break;
	case STREAM_FAILED:
		failed(c, stream_why(stream));
		break;
	}
	conn_release(c);
}

/* Of a connection that is over its number: it hears the answer and no more. */
static void
on_turned_away(struct stream *stream, enum stream_event event, void *arg)
{
	(void)stream;
	(void)event;
	(void)arg;
}

static void
turn_away(struct http_server *s, int fd, const struct loop_addr *peer,
    enum status why)
{
	struct stream *stream;
	char text[160];

	count_open(s);
	count_closed(s, why);
	if (s->opts.tls) {
		/* hands to be shaken are what there are too many of */
		(void)close(fd);	/* nothing was written */
		return;
	}
	if (stream_accept(s->loop, fd, peer, on_turned_away, NULL,
	    &stream) != ST_OK)
		return;
	/* not all of them at the same second again */
	(void)snprintf(text, sizeof(text), "HTTP/1.1 503 Service Unavailable\r\n"
	    "Retry-After: %u\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	    5 + s->turned_away++ % 11);		/* fits */
	stream_write_copy(stream, bytes_str(text));
	stream_close(&stream, ST_OK);
}

static bool
begin_tls(struct http_conn *c)
{
	const struct http_server_opts *o = &c->server->opts;

	if (stream_secure(c->stream, o->tls) != ST_OK)
		return false;
	stream_deadline(c->stream, loop_now(c->server->loop) +
	    o->header_timeout_ns);
	return true;
}

static void
tell_of_crowd(const struct loop_addr *peer)
{
	char name[NETWORK_NAME_SIZE];

	network_name(peer, name);
	log_warn("address-limit", "peer=%s hint=\"it has as many connections as "
	    "max-connections-per-address allows: is it one edge, or many behind "
	    "one address?\"", name);
}

/* Takes the descriptor unless it returns ST_OK; then the place is to be given back. */
static enum status
let_in(struct http_server *s, int fd, const struct loop_addr *peer,
    struct crowd_place **place)
{
	enum status st = ST_OK;

	if (s->n_conns >= s->opts.max_connections)
		st = ST_BUSY;
	else if (s->opts.crowd)
		st = crowd_enter(s->opts.crowd, peer, place);
	if (st != ST_OK)
		turn_away(s, fd, peer, st);
	if (st == ST_ADDRESS_LIMIT)
		tell_of_crowd(peer);
	return st;
}

static enum status
open_conn(struct http_server *s, int fd, const struct loop_addr *peer,
    struct http_conn *c)
{
	enum status st = stream_accept(s->loop, fd, peer, on_stream, c,
	    &c->stream);

	if (st != ST_OK)
		return st;
	if (s->opts.tls ? begin_tls(c) : choose_proto(c))
		return ST_OK;
	stream_close(&c->stream, ST_NO_MEMORY);
	return ST_NO_MEMORY;
}

void
http_server_adopt(struct http_server *s, int fd, const struct loop_addr *peer)
{
	struct crowd_place *place = NULL;
	struct http_conn *c;

	if (s->draining) {
		(void)close(fd);	/* nothing was written */
		return;
	}
	if (let_in(s, fd, peer, &place) != ST_OK)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close(fd);	/* nothing was written */
		crowd_leave(s->opts.crowd, &place);
		return;
	}
	c->server = s;
	c->place = place;
	if (open_conn(s, fd, peer, c) != ST_OK) {
		crowd_leave(s->opts.crowd, &c->place);
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n_conns++;
	count_open(s);
}

/* ---- server -------------------------------------------------------------------------- */

static void
call_done(void *arg)
{
	struct http_server *s = arg;
	void (*done)(void *) = s->done;

	s->done = NULL;
	if (done)
		done(s->done_arg);
}

enum status
http_server_new(struct loop *loop, const struct http_server_opts *opts,
    struct http_server **out)
{
	struct http_server *s = calloc(1, sizeof(*s));
	enum status st;

	if (!s)
		return ST_NO_MEMORY;
	s->loop = loop;
	s->opts = *opts;
	s->date_s = -1;
	TAILQ_INIT(&s->conns);
	st = loop_timer_new(loop, call_done, s, &s->drained);
	if (st != ST_OK) {
		free(s);
		return st;
	}
	*out = s;
	return ST_OK;
}

void
http_server_drain(struct http_server *s, void (*done)(void *), void *arg)
{
	struct http_conn *c, *next;

	s->draining = true;
	s->done = done;
	s->done_arg = arg;
	for (c = TAILQ_FIRST(&s->conns); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->proto)
			c->proto->drain(c);
		else
			conn_end(c, ST_STOPPING);
	}
	tell_if_drained(s);
}

void
http_server_free(struct http_server **at)
{
	struct http_server *s = *at;
	struct http_conn *c;

	if (!s)
		return;
	*at = NULL;
	s->draining = false;
	while ((c = TAILQ_FIRST(&s->conns)) != NULL)
		conn_end(c, ST_STOPPING);
	loop_timer_free(&s->drained);
	free(s);
}

size_t
http_server_connections(const struct http_server *s)
{
	return s->n_conns;
}

/* ---- routes ---------------------------------------------------------------------------- */

static bool
method_fits(const struct http_route *route, struct bytes method)
{
	return bytes_eq(method, bytes_str(route->method)) ||
	    (bytes_eq(method, BYTES_LIT("HEAD")) &&
	    strcmp(route->method, "GET") == 0);
}

/* NULL: none; then `allow` has the methods of the path, if it is one. */
static const struct http_route *
find_route(const struct http_request *r, struct buf *allow)
{
	const struct http_server_opts *o = conn_opts(r->conn);
	const struct http_route *route;
	size_t i;

	for (i = 0; i < o->n_routes; i++) {
		route = &o->routes[i];
		if (!bytes_eq(r->path, bytes_str(route->path)))
			continue;
		if (method_fits(route, r->method))
			return route;
		if (allow->len)
			buf_append_str(allow, ", ");
		buf_append_str(allow, route->method);
		if (strcmp(route->method, "GET") == 0)
			buf_append_str(allow, ", HEAD");
	}
	return NULL;
}

static void
answer_unrouted(struct http_request *r, const struct buf *allow)
{
	struct http_header header = { BYTES_LIT("Allow"), buf_bytes(allow) };
	struct http_response response = {
		.status = 405,
		.headers = { &header, 1 },
		.body = status_text(ST_BAD_METHOD, "method not allowed here"),
	};

	if (allow->len)
		http_respond(r, &response);
	else
		http_respond_status(r, ST_NOT_FOUND, NULL, 0);
	buf_free(&response.body);
}

/* ---- requests, as protocols see them ------------------------------------------------------ */

/* An answer may be the end of the request: ask the connection whether there was one. */
static void
begin(struct http_request *r, const struct http_handler *handler, void *arg)
{
	struct http_conn *c = r->conn;
	uint64_t answers = c->answers;
	enum status st;

	conn_hold(c);
	r->handler = handler;
	st = handler->begin(r, arg);
	if (c->answers == answers) {
		if (st == ST_WAIT)
			r->waiting = true;
		else if (st != ST_OK)
			http_respond_status(r, st, NULL, 0);
	}
	conn_release(c);
}

void
request_begin(struct http_request *r)
{
	const struct http_server_opts *o = conn_opts(r->conn);
	const struct http_route *route;
	struct buf allow;

	buf_init(&allow, 256);
	route = find_route(r, &allow);
	if (!route) {
		answer_unrouted(r, &allow);
	} else if (r->length > 0 && (uint64_t)r->length > o->max_body_bytes) {
		http_respond_status(r, ST_TOO_LARGE, NULL, 0);
	} else {
		begin(r, route->handler, route->arg);
	}
	buf_fini(&allow);
}

void
request_body(struct http_request *r, struct bytes piece)
{
	enum status st = r->handler->body(r, piece);

	if (r->answered || st == ST_OK)
		return;
	if (st == ST_WAIT)
		r->waiting = true;
	else
		http_respond_status(r, st, NULL, 0);
}

void
request_end(struct http_request *r)
{
	r->handler->end(r);
}

void
request_gone(struct http_request *r, enum status why)
{
	const struct http_handler *h = r->handler;

	r->handler = NULL;
	if (h && !r->answered)
		h->gone(r, why);
}

/* ---- requests, as handlers see them --------------------------------------------------------- */

struct loop *
http_request_loop(const struct http_request *r)
{
	return r->conn->server->loop;
}

struct http_headers
http_request_headers(const struct http_request *r)
{
	return r->headers;
}

/* The text behind is the request's own. */
void
http_request_forget(struct http_request *r, const char *name)
{
	struct bytes value = http_header(r->headers, name);

	if (value.n)
		explicit_bzero((void *)(uintptr_t)value.p, value.n);
}

struct bytes
http_request_path(const struct http_request *r)
{
	return r->path;
}

struct bytes
http_request_query(const struct http_request *r)
{
	return r->query;
}

int64_t
http_request_length(const struct http_request *r)
{
	return r->length;
}

const struct loop_addr *
http_request_peer(const struct http_request *r)
{
	return stream_peer(r->conn->stream);
}

const char *
http_request_certified(const struct http_request *r)
{
	return stream_peer_certified(r->conn->stream);
}

void
http_request_set_edge(struct http_request *r, const char *name)
{
	(void)snprintf(r->edge, sizeof(r->edge), "%s", name);
}

const char *
http_request_edge(const struct http_request *r)
{
	const char *name = http_request_certified(r);

	if (r->edge[0])
		return r->edge;
	return name ? name : stream_peer_name(r->conn->stream);
}

void
http_request_set_user(struct http_request *r, void *user)
{
	r->user = user;
}

void *
http_request_user(const struct http_request *r)
{
	return r->user;
}

void
http_request_resume(struct http_request *r)
{
	if (!r->waiting)
		return;
	r->waiting = false;
	r->conn->proto->resume(r);
}

void
http_request_pass(struct http_request *r, const struct http_handler *to,
    void *arg)
{
	struct http_conn *c = r->conn;
	uint64_t answers = c->answers;
	bool waited = r->waiting;

	conn_hold(c);
	r->waiting = false;
	begin(r, to, arg);
	if (c->answers == answers && waited && !r->waiting) {
		r->waiting = true;	/* until a moment ago */
		http_request_resume(r);
	}
	conn_release(c);
}

void
http_respond(struct http_request *r, struct http_response *response)
{
	struct http_conn *c = r->conn;

	assert(!r->answered);
	conn_hold(c);
	c->answers++;
	r->answered = true;
	c->proto->respond(r, response);
	conn_release(c);
}

struct buf *
status_text(enum status st, const char *text)
{
	struct buf *b;

	if (!text)
		text = status_info(st)->sentence;
	b = buf_new(strlen(text) + 2);
	/* out of memory: an answer without words */
	if (b && (!buf_append_str(b, text) || !buf_append(b, "\n", 1)))
		buf_free(&b);
	return b;
}

void
http_respond_status(struct http_request *r, enum status st, const char *text,
    unsigned retry_after_s)
{
	struct http_header headers[2];
	struct http_response response = { .status = status_info(st)->http };
	char seconds[16];
	size_t n = 0;

	assert(response.status != 0);
	if (response.status != 204) {
		response.body = status_text(st, text);
		headers[n++] = (struct http_header){ BYTES_LIT("Content-Type"),
			BYTES_LIT("text/plain; charset=utf-8") };
	}
	if (retry_after_s) {
		(void)snprintf(seconds, sizeof(seconds), "%u",
		    retry_after_s);	/* fits */
		headers[n++] = (struct http_header){ BYTES_LIT("Retry-After"),
			bytes_str(seconds) };
	}
	response.headers = (struct http_headers){ headers, n };
	http_respond(r, &response);
}
