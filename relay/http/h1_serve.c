/* h1_serve.c - a connection of the server that speaks HTTP/1.1.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	        ┌────────────────────────────────────────────┐
 *	        ▼                                            │
 *	HEAD ──► BODY ──► ANSWER ──► (answered) ──► DISCARD ─┘
 *	  │        │         │           └──► closed
 *	  └────────┴─────────┴──► closed: refused, gone, timed out
 *
 *	HEAD     no request yet; idle until its first byte is there
 *	BODY     its handler is given pieces
 *	ANSWER   it is complete; its handler has yet to answer
 *	DISCARD  answered early: the rest of a short body is thrown away, so
 *	         that the connection can be kept
 *
 * The next request is read when the answer to the one before is queued.  What a
 * client sends meanwhile stays in the stream, which holds 64 KiB.           */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/h1.h"
#include "http/h2.h"
#include "http/http_priv.h"

#define DISCARD_MAX ((uint64_t)256 << 10)
#define QUEUE_MAX ((size_t)256 << 10)	/* answers not yet taken by the peer */
#define REQUESTS_MAX 4			/* of a connection in a turn; others wait */
#define HEAD_MAX ((size_t)60 << 10)	/* what a stream keeps, and some less */

enum state { HEAD, BODY, ANSWER, DISCARD };

struct session {
	enum state state;
	struct h1_scan scan;
	struct h1_body body;
	struct http_request *request;	/* owned; NULL in HEAD and DISCARD */
	uint64_t received;		/* of the body */
	int64_t body_begun;		/* later by the time that we paused */
	int64_t paused_at;		/* 0: not paused */
	bool driving;			/* drive() is on the stack */
	bool fresh;			/* it may turn out to be HTTP/2 */
	bool in_head;			/* a byte of it was there */
	bool line_checked;
	bool skipped;			/* an empty line before it */
	bool keep;			/* the connection, after the answer */
	bool old;			/* HTTP/1.0 */
	bool expects;			/* 100-continue, not yet said */
	bool end_told;			/* to the handler */
	bool closed;			/* drive() frees it */
};

static void
set_deadline(struct http_conn *c, int64_t ns)
{
	stream_deadline(c->stream, loop_now(stream_loop(c->stream)) + ns);
}

static void
await_body(struct http_conn *c)
{
	struct session *s = c->session;

	stream_deadline(c->stream, conn_body_deadline(c, s->body_begun,
	    s->received));
}

/* ---- endings -------------------------------------------------------------------------- */

/* Answers by itself and closes: what follows cannot be understood. */
static void
refuse(struct http_conn *c, enum status why)
{
	static const struct http_header type = { BYTES_LIT("Content-Type"),
		BYTES_LIT("text/plain; charset=utf-8") };
	struct session *s = c->session;
	struct http_response r = {
		.status = status_info(why)->http,
		.headers = { &type, 1 },
		.body = status_text(why, NULL),
	};
	struct buf *head = buf_new(1024);

	if (s->request)
		request_gone(s->request, why);
	if (head)
		h1_write_answer(head, &r, r.body ? r.body->len : 0,
		    conn_date(c), true, false);
	if (!head || buf_failed(head)) {
		buf_free(&head);
		buf_free(&r.body);
		conn_end(c, ST_NO_MEMORY);
		return;
	}
	stream_write(c->stream, &head);
	if (r.body)
		stream_write(c->stream, &r.body);
	conn_finish(c, why);
}

static void
await_head(struct http_conn *c)
{
	struct session *s = c->session;

	s->state = HEAD;
	s->scan = (struct h1_scan){ .seen = 0 };
	s->in_head = false;
	s->line_checked = false;
	s->skipped = false;
	s->received = 0;
	set_deadline(c, conn_opts(c)->idle_timeout_ns);
}

/* After the answer. */
static void
go_on(struct http_conn *c)
{
	struct session *s = c->session;

	free(s->request);
	s->request = NULL;
	if (!s->keep)
		conn_finish(c, ST_OK);
	else if (s->state == DISCARD)
		await_body(c);
	else
		await_head(c);
}

/* ---- head ------------------------------------------------------------------------------ */

static struct http_request *
make_request(struct http_conn *c, struct bytes text, unsigned lines,
    struct h1_head *head, enum status *st)
{
	struct http_request *r;
	struct http_header *list;
	uint8_t *copy;

	r = malloc(sizeof(*r) + lines * sizeof(*list) + text.n);
	if (!r) {
		*st = ST_NO_MEMORY;
		return NULL;
	}
	list = (struct http_header *)(void *)(r + 1);
	copy = (uint8_t *)(list + lines);
	memcpy(copy, text.p, text.n);
	*st = h1_parse_request(bytes_of(copy, text.n), list, head);
	*r = (struct http_request){
		.conn = c,
		.method = head->method,
		.path = head->path,
		.query = head->query,
		.headers = head->headers,
		.length = head->chunked ? -1 : (int64_t)head->length,
	};
	if (*st != ST_OK) {
		free(r);
		return NULL;
	}
	return r;
}

/* Before a request line an empty one is passed over (RFC 9112 2.2). */
static struct bytes
skip_empty_line(struct http_conn *c)
{
	struct session *s = c->session;
	struct bytes in = stream_input(c->stream);

	if (!s->skipped && in.n >= 2 && memcmp(in.p, "\r\n", 2) == 0) {
		s->skipped = true;
		s->scan = (struct h1_scan){ .seen = 0 };
		stream_consume(c->stream, 2);
		in = stream_input(c->stream);
	}
	return in;
}

static enum status
scan_head(struct http_conn *c, struct bytes in, size_t *len)
{
	struct session *s = c->session;
	size_t max = conn_opts(c)->max_header_bytes;
	enum status st, line;

	st = h1_scan(&s->scan, in, max < HEAD_MAX ? max : HEAD_MAX, len);
	if (st != ST_WAIT || s->line_checked || s->scan.lines == 0)
		return st;
	/* no need to wait for headers that follow nonsense */
	s->line_checked = true;
	line = h1_check_request_line(in);
	return line == ST_OK ? ST_WAIT : line;
}

static void
take_head(struct http_conn *c, struct bytes text)
{
	struct session *s = c->session;
	struct h1_head head;
	enum status st;

	s->request = make_request(c, text, s->scan.lines, &head, &st);
	if (!s->request) {
		refuse(c, st);
		return;
	}
	stream_consume(c->stream, text.n);
	h1_body_of_request(&s->body, &head);
	s->keep = head.keep;
	s->old = head.minor == 0;
	s->expects = head.expects;
	s->end_told = false;
	s->body_begun = loop_now(stream_loop(c->stream));
	s->state = s->body.framing == H1_NO_BODY ? ANSWER : BODY;
	request_begin(s->request);
	if (c->dead || s->request->answered)
		return;
	if (s->state == ANSWER) {
		stream_deadline(c->stream, 0);
		return;
	}
	await_body(c);
}

/* Plain connections begin with HTTP/2's preface, or do not.  True if nothing is left
 * to do here. */
static bool
look_for_h2(struct http_conn *c, struct bytes in)
{
	struct session *s = c->session;
	enum status st = s->skipped ? ST_BAD_VERSION : h2_preface(in);

	s->fresh = st == ST_WAIT && !c->ended;
	if (st == ST_OK)
		conn_become(c, &h2_proto);
	return st == ST_OK || s->fresh;
}

/* True if there may be more to do. */
static bool
read_head(struct http_conn *c)
{
	struct session *s = c->session;
	struct bytes in = skip_empty_line(c);
	enum status st;
	size_t len;

	if (stream_queued(c->stream) > QUEUE_MAX)
		return false;
	if (in.n == 0) {
		if (c->ended || conn_draining(c))
			conn_finish(c, c->ended ? ST_OK : ST_STOPPING);
		return false;
	}
	if (!s->in_head) {
		s->in_head = true;
		set_deadline(c, conn_opts(c)->header_timeout_ns);
	}
	if (s->fresh && look_for_h2(c, in))
		return false;
	st = scan_head(c, in, &len);
	if (st == ST_OK)
		take_head(c, bytes_of(in.p, len));
	else if (st != ST_WAIT)
		refuse(c, st);
	else if (c->ended)
		conn_end(c, ST_GONE);
	return st == ST_OK;
}

/* ---- body ------------------------------------------------------------------------------- */

static bool
give_piece(struct http_conn *c, struct bytes piece)
{
	struct session *s = c->session;

	s->received += piece.n;
	if (s->received > conn_opts(c)->max_body_bytes) {
		refuse(c, ST_TOO_LARGE);
		return false;
	}
	if (s->state == BODY && piece.n)
		request_body(s->request, piece);
	return !c->dead;
}

static void
body_complete(struct http_conn *c)
{
	struct session *s = c->session;

	if (s->state == DISCARD) {
		await_head(c);
		return;
	}
	stream_deadline(c->stream, 0);
	s->state = ANSWER;
}

/* The body is wanted. */
static void
invite(struct http_conn *c)
{
	struct session *s = c->session;

	s->expects = false;
	if (stream_input(c->stream).n == 0)
		stream_write_copy(c->stream,
		    BYTES_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
}

static bool
read_body(struct http_conn *c)
{
	struct session *s = c->session;
	struct bytes in = stream_input(c->stream), piece;
	enum status st;
	size_t used;

	if (s->expects)
		invite(c);
	st = h1_body_next(&s->body, in, &piece, &used);
	if (st == ST_WAIT && c->ended) {
		conn_end(c, ST_GONE);
		return false;
	}
	if (st == ST_BAD_REQUEST || st == ST_HEADERS_LARGE) {
		refuse(c, st);
		return false;
	}
	if (!give_piece(c, piece))
		return false;
	stream_consume(c->stream, used);
	if (st == ST_END)
		body_complete(c);
	else if (used)
		await_body(c);
	return st != ST_WAIT;
}

/* ---- the protocol -------------------------------------------------------------------------- */

/* The handler wants no more for now: that is our time, not the peer's. */
static void
pause_body(struct http_conn *c)
{
	struct session *s = c->session;

	if (!s->paused_at)
		s->paused_at = loop_now(stream_loop(c->stream));
	stream_pause(c->stream);
	stream_deadline(c->stream, 0);
}

static void
resume_body(struct http_conn *c)
{
	struct session *s = c->session;

	if (!s->paused_at)
		return;
	s->body_begun += loop_now(stream_loop(c->stream)) - s->paused_at;
	s->paused_at = 0;
	if (s->state == BODY || s->state == DISCARD)
		await_body(c);
}

/* Does the next thing; true if there may be more to do. */
static bool
step(struct http_conn *c)
{
	struct session *s = c->session;
	struct http_request *r = s->request;

	if (r && r->answered) {
		go_on(c);
		return !c->dead;
	}
	if (r && r->waiting) {
		pause_body(c);
		return false;
	}
	resume_body(c);
	switch (s->state) {
	case HEAD:
		return read_head(c);
	case BODY:
	case DISCARD:
		return read_body(c);
	default:
		if (s->end_told)
			return false;
		s->end_told = true;
		request_end(r);
		return true;
	}
}

static void
free_session(struct session *s)
{
	free(s->request);
	free(s);
}

static void
drive(struct http_conn *c)
{
	struct session *s = c->session;
	enum state before;
	int heads = 0;

	assert(!s->driving);
	s->driving = true;
	for (;;) {
		before = s->state;
		if (!step(c))
			break;
		if (c->dead)
			break;
		if (before == HEAD && ++heads > REQUESTS_MAX) {
			/* others' turn; INPUT comes again */
			stream_resume(c->stream);
			break;
		}
	}
	s->driving = false;
	if (s->closed)
		free_session(s);
}

static void
h1_input(struct http_conn *c)
{
	drive(c);
}

static bool
h1_open(struct http_conn *c)
{
	struct session *s = calloc(1, sizeof(*s));

	c->session = s;
	if (!s)
		return false;
	s->fresh = conn_opts(c)->http2 && !conn_opts(c)->tls;
	await_head(c);
	return true;
}

/* The wait for a slow peer ends without an answer: 408 would have a sender throw
 * its data away, while a cut connection has it try again. */
static void
h1_timeout(struct http_conn *c)
{
	struct session *s = c->session;

	if (s->state == HEAD && !s->in_head)
		conn_finish(c, ST_OK);
	else
		conn_end(c, ST_SLOW);
}

/* Answered before its body has come: worth waiting for if it is short. */
static void
answer_early(struct session *s)
{
	if (s->body.framing == H1_NO_BODY)
		s->state = ANSWER;
	else if (s->body.framing == H1_LENGTH &&
	    s->body.left <= DISCARD_MAX && !s->expects)
		s->state = DISCARD;
	else
		s->keep = false;
}

static void
h1_respond(struct http_request *r, struct http_response *response)
{
	struct http_conn *c = r->conn;
	struct session *s = c->session;
	struct buf *body = response->body, *head = buf_new(HEAD_MAX);
	size_t length = body ? body->len : 0;

	response->body = NULL;
	if (s->state == BODY)
		answer_early(s);
	if (conn_draining(c))
		s->keep = false;
	if (head)
		h1_write_answer(head, response, length, conn_date(c), !s->keep,
		    s->old);
	if (!head || buf_failed(head)) {
		buf_free(&head);
		buf_free(&body);
		conn_end(c, ST_NO_MEMORY);
		return;
	}
	stream_write(c->stream, &head);
	if (body && response->status != 204 && response->status != 304 &&
	    !bytes_eq(r->method, BYTES_LIT("HEAD")))
		stream_write(c->stream, &body);
	buf_free(&body);
	if (s->driving)
		return;
	go_on(c);
	if (!c->dead)
		stream_resume(c->stream);
}

static void
h1_resume(struct http_request *r)
{
	stream_resume(r->conn->stream);
}

static void
h1_drain(struct http_conn *c)
{
	struct session *s = c->session;

	if (s->state == HEAD && !s->in_head)
		conn_finish(c, ST_STOPPING);
}

static void
h1_close(struct http_conn *c, enum status why)
{
	struct session *s = c->session;

	if (s->request)
		request_gone(s->request, why);
	c->session = NULL;
	if (s->driving)
		s->closed = true;
	else
		free_session(s);
}

const struct http_proto h1_proto = {
	.open = h1_open,
	.input = h1_input,
	.timeout = h1_timeout,
	.respond = h1_respond,
	.resume = h1_resume,
	.drain = h1_drain,
	.close = h1_close,
};
