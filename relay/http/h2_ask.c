/* h2_ask.c - a connection to an upstream that speaks HTTP/2 (RFC 9113).
 * SPDX-License-Identifier: Apache-2.0
 *
 * An exchange is a stream:
 *
 *	sent ──► answered ──────────────────────────────► client_answered
 *	  ├────► reset by the peer, or above its GOAWAY ─► client_gave_up
 *	  └────► given up by us: RST_STREAM
 *
 * nghttp2 must not be left, nor ended, from inside one of its callbacks: what has come
 * of an exchange is noted there, and told when all of the input has been read.
 * A frame of data is made when there is room for it in the stream's queue; its bytes are
 * then copied, so that the queue never borrows from an exchange that may be given up
 * while the connection goes on.                                             */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/client_priv.h"
#include "http/h2_field.h"

#define STREAMS_MAX 100			/* whatever the peer allows */
#define QUEUE_MAX ((size_t)128 << 10)	/* of frames with data */
#define OUT_MAX ((size_t)4 << 20)	/* of all frames; nghttp2 has limits, too */
#define FIELDS_OWN 5			/* pseudo headers, content-length */

TAILQ_HEAD(ask_list, ask);

struct ask {
	TAILQ_ENTRY(ask) link;
	struct http_exchange *exchange;	/* borrowed */
	int32_t id;			/* of the stream */
	size_t sent;			/* of the body */
	bool waits;			/* its body does, for room in the queue */
	bool reset;			/* by the peer */
	bool closed;			/* the stream */
	bool over;			/* to be told: */
	enum status why;
	bool again;			/* nothing of it was processed */
	/* the answer */
	unsigned interim;
	bool has_head;
	int status;
	struct h2_fields fields;
	size_t drained;			/* of the body, past what is kept */
};

struct session {
	nghttp2_session *ng;		/* owned */
	struct client_conn *conn;	/* borrowed */
	struct buf *out;		/* owned; NULL: nothing gathered */
	struct ask_list asks;		/* owned */
	bool settled;			/* the peer's settings have come */
	bool leaving;			/* it has sent GOAWAY */
	bool malformed;
};

/* ---- asks ------------------------------------------------------------------------------ */

static void
free_ask(struct session *s, struct ask *a)
{
	TAILQ_REMOVE(&s->asks, a, link);
	a->exchange->ask = NULL;
	if (!a->closed)
		(void)nghttp2_session_set_stream_user_data(s->ng, a->id, NULL);
	h2_fields_fini(&a->fields);
	free(a);
}

static struct ask *
ask_of(nghttp2_session *ng, int32_t id)
{
	return nghttp2_session_get_stream_user_data(ng, id);
}

static void
over(struct ask *a, enum status why)
{
	if (a->over)
		return;
	a->over = true;
	a->why = why;
}

/* ---- what comes ------------------------------------------------------------------------ */

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct ask *a = ask_of(ng, frame->hd.stream_id);

	(void)arg;
	if (a && !a->has_head) {
		a->status = 0;
		h2_fields_reset(&a->fields);
	}
	return 0;
}

/* Trailers say nothing to us. */
static int
on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct ask *a = ask_of(ng, frame->hd.stream_id);
	uint64_t status;

	(void)flags;
	(void)arg;
	if (!a || a->has_head || a->over)
		return 0;
	if (name_len && name[0] == ':') {
		/* the only one there is, and nghttp2 has seen to its form */
		if (http_number(bytes_of(value, value_len), &status))
			a->status = (int)status;
		return 0;
	}
	if (!h2_fields_add(&a->fields, bytes_of(name, name_len),
	    bytes_of(value, value_len)))
		over(a, ST_BAD_ANSWER);
	return 0;
}

/* To memory of the exchange. */
static enum status
keep_head(struct ask *a)
{
	struct http_exchange *x = a->exchange;

	x->answer_head = malloc(h2_fields_size(&a->fields) + 1);
	if (!x->answer_head)
		return ST_NO_MEMORY;
	x->answer.status = a->status;
	x->answer.headers = h2_fields_copy(&a->fields, x->answer_head);
	a->has_head = true;
	return ST_OK;
}

static void
take_head(struct ask *a)
{
	enum status st = ST_OK;

	if (a->over || a->has_head)
		return;
	if (a->status >= 200)
		st = keep_head(a);
	else if (++a->interim > CLIENT_INTERIM_MAX)
		st = ST_BAD_ANSWER;
	if (st != ST_OK)
		over(a, st);
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
    size_t n, void *arg)
{
	struct ask *a = ask_of(ng, id);

	(void)flags;
	(void)arg;
	if (a && !a->over && !client_keep_piece(a->exchange, bytes_of(data, n),
	    &a->drained))
		over(a, ST_OK);
	return 0;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct session *s = arg;
	struct ask *a = frame->hd.stream_id ? ask_of(ng, frame->hd.stream_id) :
	    NULL;

	if (frame->hd.type == NGHTTP2_SETTINGS)
		s->settled = true;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		s->leaving = true;
	if (!a)
		return 0;
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		a->reset = true;
	if (frame->hd.type == NGHTTP2_HEADERS)
		take_head(a);
	if ((frame->hd.type == NGHTTP2_HEADERS ||
	    frame->hd.type == NGHTTP2_DATA) && a->has_head &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		over(a, ST_OK);
	return 0;
}

/* REFUSED_STREAM, and streams above that of a GOAWAY, which nghttp2 calls so: nothing
 * was done about them (RFC 9113 8.7, 6.8). */
static int
on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	struct session *s = arg;
	struct ask *a = ask_of(ng, id);

	if (!a)
		return 0;
	a->closed = true;
	if (a->over)
		return 0;
	a->again = code == NGHTTP2_REFUSED_STREAM && !a->has_head;
	if (!a->reset && !a->again)
		s->malformed = true;
	over(a, s->malformed ? ST_BAD_ANSWER : ST_RESET);
	return 0;
}

static int
on_invalid(nghttp2_session *ng, const nghttp2_frame *frame, int code, void *arg)
{
	struct session *s = arg;

	(void)ng;
	(void)frame;
	(void)code;
	s->malformed = true;
	return 0;
}

/* ---- what goes ------------------------------------------------------------------------- */

static struct buf *
out_of(struct session *s)
{
	if (!s->out)
		s->out = buf_new(OUT_MAX);
	return s->out;
}

static size_t
queued(const struct session *s)
{
	return stream_queued(s->conn->stream) + (s->out ? s->out->len : 0);
}

/* How much the next frame has of the body: it is send_data that takes it. */
static ssize_t
next_data(nghttp2_session *ng, int32_t id, uint8_t *to, size_t most,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct session *s = arg;
	struct ask *a = ask_of(ng, id);
	size_t left;

	(void)to;
	(void)source;
	if (!a)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (queued(s) >= QUEUE_MAX) {
		a->waits = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	left = a->exchange->body.n - a->sent;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (left > most)
		return (ssize_t)most;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)left;
}

static int
send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head,
    size_t n, nghttp2_data_source *source, void *arg)
{
	struct session *s = arg;
	struct ask *a = ask_of(ng, frame->hd.stream_id);
	struct buf *out = out_of(s);

	(void)source;
	if (!a || !out || !buf_append(out, head, 9) ||
	    !buf_append(out, a->exchange->body.p + a->sent, n))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	a->sent += n;
	return 0;
}

/* False: the connection has ended. */
static bool
flush(struct client_conn *c)
{
	struct session *s = c->session;
	const uint8_t *piece;
	struct buf *out;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(s->ng, &piece)) > 0) {
		out = out_of(s);
		if (!out || !buf_append(out, piece, (size_t)n)) {
			n = -1;
			break;
		}
	}
	if (n < 0) {
		client_failed(c, ST_NO_MEMORY);
		return false;
	}
	if (s->out)
		stream_write(c->stream, &s->out);
	return true;
}

/* The stream's number, or negative. */
static int32_t
submit(struct session *s, struct ask *a)
{
	const struct http_exchange *x = a->exchange;
	const struct http_url *url = client_url(s->conn);
	nghttp2_data_provider body = { .read_callback = next_data };
	nghttp2_nv *list;
	char length[24];
	size_t i, n = 0;
	int32_t id;

	list = calloc(FIELDS_OWN + x->headers.n, sizeof(*list));
	if (!list)
		return NGHTTP2_ERR_NOMEM;
	(void)snprintf(length, sizeof(length), "%zu", x->body.n);	/* fits */
	list[n++] = h2_nv(BYTES_LIT(":method"), bytes_str(x->method));
	list[n++] = h2_nv(BYTES_LIT(":scheme"), BYTES_LIT("https"));
	list[n++] = h2_nv(BYTES_LIT(":authority"), bytes_str(url->authority));
	list[n++] = h2_nv(BYTES_LIT(":path"), bytes_str(url->path));
	list[n++] = h2_nv(BYTES_LIT("content-length"), bytes_str(length));
	for (i = 0; i < x->headers.n; i++)
		list[n++] = h2_nv(x->headers.list[i].name,
		    x->headers.list[i].value);
	id = nghttp2_submit_request(s->ng, NULL, list, n,
	    x->body.n ? &body : NULL, a);
	free(list);
	return id;
}

static bool
send_request(struct client_conn *c, struct http_exchange *x)
{
	struct session *s = c->session;
	struct ask *a = calloc(1, sizeof(*a));

	if (!a)
		return false;
	a->exchange = x;
	h2_fields_init(&a->fields, CLIENT_HEADERS_MAX);
	a->id = submit(s, a);
	if (a->id < 0) {
		free(a);
		return false;
	}
	x->ask = a;
	TAILQ_INSERT_TAIL(&s->asks, a, link);
	(void)flush(c);
	return true;
}

static void
cancel(struct client_conn *c, struct http_exchange *x)
{
	struct session *s = c->session;
	struct ask *a = x->ask;

	if (!a->closed)
		(void)nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, a->id,
		    NGHTTP2_CANCEL);	/* without memory flush fails, too */
	free_ask(s, a);
	(void)flush(c);
}

static void
drained(struct client_conn *c)
{
	struct session *s = c->session;
	struct ask *a;

	TAILQ_FOREACH(a, &s->asks, link) {
		if (a->waits && !a->closed)
			(void)nghttp2_session_resume_data(s->ng, a->id);
		a->waits = false;
	}
	(void)flush(c);
}

/* ---- what has come of it --------------------------------------------------------------- */

/* Of those that are over our side may not be: the upstream does not want the rest, or we
 * not its. */
static void
end_streams(struct session *s)
{
	struct ask *a;

	TAILQ_FOREACH(a, &s->asks, link) {
		if (a->over && !a->closed)
			(void)nghttp2_submit_rst_stream(s->ng,
			    NGHTTP2_FLAG_NONE, a->id, NGHTTP2_CANCEL);
	}
}

static struct ask *
next_over(const struct session *s)
{
	struct ask *a;

	TAILQ_FOREACH(a, &s->asks, link) {
		if (a->over)
			return a;
	}
	return NULL;
}

/* False: the connection has ended. */
static bool
tell(struct client_conn *c)
{
	struct session *s = c->session;
	struct http_exchange *x;
	enum status why;
	struct ask *a;
	bool again;

	while (!c->dead && (a = next_over(s)) != NULL) {
		x = a->exchange;
		why = a->why;
		again = a->again;
		free_ask(s, a);
		if (why == ST_OK)
			client_answered(c, x, true);
		else
			client_gave_up(c, x, why, again);
	}
	return !c->dead;
}

/* nghttp2 has said good-bye by itself. */
static bool
is_lost(const struct session *s)
{
	return s->malformed ||
	    (!s->leaving && !nghttp2_session_want_read(s->ng));
}

static void
input(struct client_conn *c)
{
	struct session *s = c->session;
	struct bytes in = stream_input(c->stream);
	ssize_t n = nghttp2_session_mem_recv(s->ng, in.p, in.n);

	stream_consume(c->stream, in.n);
	if (n < 0) {
		client_failed(c, n == NGHTTP2_ERR_NOMEM ? ST_NO_MEMORY :
		    ST_BAD_ANSWER);
		return;
	}
	end_streams(s);
	if (!flush(c))
		return;
	c->last |= s->leaving || is_lost(s);
	if (!tell(c))
		return;
	if (is_lost(s))
		client_failed(c, ST_BAD_ANSWER);
	else if (c->ended)
		client_failed(c, ST_CUT);
	else if (s->leaving)
		client_retire(c);
	else if (s->settled && !c->ready)
		client_ready(c);
	else
		client_has_room(c);
}

static size_t
room(const struct client_conn *c)
{
	const struct session *s = c->session;
	size_t most = nghttp2_session_get_remote_settings(s->ng,
	    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	if (most > STREAMS_MAX)
		most = STREAMS_MAX;
	if (c->n >= most || !nghttp2_session_check_request_allowed(s->ng))
		return 0;
	return most - c->n;
}

/* ---- life ------------------------------------------------------------------------------ */

static void
close_session(struct client_conn *c)
{
	struct session *s = c->session;
	struct ask *a;

	c->session = NULL;
	if (!s)
		return;
	while ((a = TAILQ_FIRST(&s->asks)) != NULL) {
		a->closed = true;	/* all is */
		free_ask(s, a);
	}
	nghttp2_session_del(s->ng);
	buf_free(&s->out);
	free(s);
}

static nghttp2_session_callbacks *
make_callbacks(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
	    on_stream_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb,
	    on_invalid);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
	return cb;
}

static bool
make_session(struct session *s)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CLIENT_HEADERS_MAX },
	};
	nghttp2_session_callbacks *cb = make_callbacks();
	bool ok;

	ok = cb && nghttp2_session_client_new(&s->ng, cb, s) == 0 &&
	    nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings,
	    sizeof(settings) / sizeof(settings[0])) == 0;
	nghttp2_session_callbacks_del(cb);
	return ok;
}

/* Ready when the peer's settings have come: only then it is known how many it takes. */
static bool
open_session(struct client_conn *c)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return false;
	c->session = s;
	s->conn = c;
	TAILQ_INIT(&s->asks);
	if (!make_session(s))
		return false;
	(void)flush(c);
	return true;
}

const struct client_proto h2_client_proto = {
	.shared = true,
	.open = open_session,
	.room = room,
	.send = send_request,
	.cancel = cancel,
	.input = input,
	.drained = drained,
	.close = close_session,
};
