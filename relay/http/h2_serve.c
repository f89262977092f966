/* h2_serve.c - a connection of the server that speaks HTTP/2 (RFC 9113).
 * SPDX-License-Identifier: Apache-2.0
 *
 * A request:
 *
 *	(header block) ──► BODY ──► ANSWER ──► SENDING ──► closed
 *	      │             │ ▲        │           ▲
 *	      │             ▼ │        │           │
 *	      │           WAITING      │           │
 *	      └─────────────┴──────────┴── answered early: what still comes
 *	                                   is thrown away, RST_STREAM(NO_ERROR)
 *
 *	BODY     its handler is given pieces, each within body_timeout, and all of them
 *	         at body_rate
 *	WAITING  the handler wants no more for now: what comes is held, and no
 *	         window is given for it
 *	ANSWER   it is complete; its handler has yet to answer
 *	SENDING  the peer has body_timeout to take the answer
 *
 * Any of them may end by RST_STREAM, from either side.  A connection:
 *
 *	OPEN ──► NOTICED ──► LAST ──► BYE ──► finished
 *
 *	NOTICED  the server drains: a GOAWAY that refuses nothing goes out, and then
 *	         a PING, to know when requests on their way have arrived
 *	LAST     the second GOAWAY: no request after the last one taken
 *	BYE      it ends: nothing is read, what is queued goes out
 *
 * nghttp2 checks frames, streams, windows and the form of requests.  What a peer
 * may make us do for nothing is limited by a bucket: a frame costs a token, unless
 * it brings part of a body, and an answer that was sent brings some back.     */
#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "base/pace.h"
#include "http/h2.h"
#include "http/h2_field.h"
#include "http/h2_head.h"
#include "http/http_priv.h"

#define STREAMS_MAX 128			/* at a time */
#define STREAM_WINDOW ((int32_t)1 << 20)	/* 50 MB/s over 20 ms; held for a
					   handler that waits, at most */
#define CONN_WINDOW ((int32_t)2 << 20)
#define TOKENS 500			/* to begin with, and a second */
#define TOKENS_OF_ANSWER 8
#define PIECES_MAX 8			/* of a block; nghttp2 may allow some more */
#define HEADS_MAX ((size_t)128 << 10)	/* of the requests that are open */
#define FEED ((size_t)8 << 10)		/* bytes between two looks at the queue */
#define QUEUE_MAX ((size_t)256 << 10)	/* not yet taken by the peer */
#define REQUESTS_MAX 64			/* of a connection in a turn */
#define ANSWER_FIELDS 24
#define LEAVE_NS CLOCK_S		/* for the PING of a notice */

enum state { OPEN, NOTICED, LAST, BYE };

struct asked {
	struct http_request request;
	size_t head_bytes;		/* behind it, for the request */
	TAILQ_ENTRY(asked) link;
	int64_t due;			/* the peer's time is over; 0: it is not its turn */
	int64_t begun;			/* later by the time that we paused */
	int64_t paused_at;
	int32_t id;			/* of the stream */
	enum status why;		/* we reset it, ST_OK: we did not */
	bool expects;			/* 100-continue, not yet said */
	bool complete;			/* all of it has come */
	bool resumed;			/* the handler is ready for what is held */
	uint64_t received;		/* of the body */
	struct buf held;		/* of it, while the handler waits */
	struct buf *answer;		/* owned: its body */
	size_t sent;			/* of that */
};
TAILQ_HEAD(asked_list, asked);

struct session {
	nghttp2_session *h2;		/* owned */
	struct asked_list asked;	/* owned: all that are open */
	struct h2_head *head;		/* owned: the block that comes; NULL: none */
	int32_t head_id;		/* its stream */
	unsigned head_pieces;		/* its frames, the first not counted */
	size_t head_bytes;		/* of all that are open */
	struct bucket tokens;
	enum state state;
	enum status why;		/* it ends so */
	uint32_t code;			/* from stop(), 0: none */
	int64_t since;			/* of the connection's own time */
	int64_t stuck;			/* since when its queue is full; 0: it is not */
	unsigned begun;			/* requests in this turn */
	bool greeted;			/* the peer's SETTINGS have come */
	bool has_reset;			/* it may not know yet that a stream is closed */
	bool driving;			/* drive() is on the stack */
	bool closed;			/* drive() frees it */
};

static int64_t
now_of(const struct http_conn *c)
{
	return loop_now(stream_loop(c->stream));
}

static void
count_refused(const struct http_conn *c, enum status why)
{
	if (conn_opts(c)->count)
		metric_reason_add(METRIC_STREAMS_REFUSED, why, 1);
}

/* ---- time ---------------------------------------------------------------------- */

static void
await_body(struct http_conn *c, struct asked *a)
{
	a->due = conn_body_deadline(c, a->begun, a->received);
}

/* The handler wants no more for now: that is our time, not the peer's. */
static void
pause_body(struct http_conn *c, struct asked *a)
{
	a->due = 0;
	a->paused_at = now_of(c);
}

/* The time that the peer has for what it does on the connection; 0: any. */
static int64_t
time_of_conn(const struct http_conn *c)
{
	const struct http_server_opts *o = conn_opts(c);
	const struct session *s = c->session;

	if (s->stuck)
		return s->stuck + o->body_timeout_ns;
	if (s->state == NOTICED)
		return s->since + LEAVE_NS;
	if (!s->greeted || s->head)
		return s->since + o->header_timeout_ns;
	if (s->state == BYE)
		return s->since + o->body_timeout_ns;
	return TAILQ_EMPTY(&s->asked) ? s->since + o->idle_timeout_ns : 0;
}

static void
set_deadline(struct http_conn *c)
{
	const struct session *s = c->session;
	int64_t at = time_of_conn(c);
	const struct asked *a;

	TAILQ_FOREACH(a, &s->asked, link)
		if (a->due && (at == 0 || a->due < at))
			at = a->due;
	stream_deadline(c->stream, at);
}

/* ---- endings ---------------------------------------------------------------------- */

static void
free_asked(struct session *s, struct asked *a)
{
	TAILQ_REMOVE(&s->asked, a, link);
	s->head_bytes -= a->head_bytes;
	buf_fini(&a->held);
	buf_free(&a->answer);
	free(a);
}

static void
free_session(struct session *s)
{
	struct asked *a;

	nghttp2_session_del(s->h2);
	while ((a = TAILQ_FIRST(&s->asked)) != NULL)
		free_asked(s, a);
	h2_head_free(&s->head);
	free(s);
}

/* From inside of nghttp2: the connection ends with this error. */
static int
stop(struct session *s, uint32_t code)
{
	s->code = code;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void
enter(struct http_conn *c, enum state to)
{
	struct session *s = c->session;

	assert(to > s->state);
	s->state = to;
	s->since = now_of(c);
}

/* Out of memory shows in what comes next. */
static void
say_bye(struct http_conn *c, uint32_t code)
{
	struct session *s = c->session;

	enter(c, BYE);
	(void)nghttp2_session_terminate_session(s->h2, code);
}

static void
say_last(struct http_conn *c)
{
	struct session *s = c->session;

	enter(c, LAST);
	(void)nghttp2_submit_goaway(s->h2, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(s->h2), NGHTTP2_NO_ERROR,
	    NULL, 0);
}

static void
reset(struct http_conn *c, struct asked *a, uint32_t code, enum status why)
{
	struct session *s = c->session;

	a->due = 0;
	a->why = why;
	(void)nghttp2_submit_rst_stream(s->h2, NGHTTP2_FLAG_NONE, a->id, code);
}

/* ---- requests ------------------------------------------------------------------------ */

static struct asked *
asked_of(nghttp2_session *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2, id);
}

/* Nothing more can be given to its handler now. */
static bool
is_waiting(const struct asked *a)
{
	return a->request.waiting || a->resumed;
}

static void
tell_end(struct asked *a)
{
	a->due = 0;
	request_end(&a->request);
}

/* All of it has come. */
static void
complete(struct asked *a)
{
	a->complete = true;
	if (!a->request.answered && !is_waiting(a))
		tell_end(a);
}

/* Answered by the protocol itself. */
static void
refuse(struct http_conn *c, struct asked *a, enum status why)
{
	count_refused(c, why);
	request_gone(&a->request, why);
	http_respond_status(&a->request, why, NULL, 0);
}

/* Of an exchange that has been answered no more is wanted. */
static void
give_window(struct http_conn *c, const struct asked *a, size_t n)
{
	struct session *s = c->session;

	if (a->request.answered)
		(void)nghttp2_session_consume_connection(s->h2, n);
	else
		(void)nghttp2_session_consume(s->h2, a->id, n);
}

static void
give_piece(struct http_conn *c, struct asked *a, struct bytes piece)
{
	request_body(&a->request, piece);
	if (c->dead)
		return;
	give_window(c, a, piece.n);
	if (a->request.waiting)
		pause_body(c, a);
	else if (!a->request.answered)
		await_body(c, a);
}

static void
say_continue(struct session *s, int32_t id)
{
	uint8_t name[] = ":status", value[] = "100";
	nghttp2_nv nv = { name, value, sizeof(name) - 1, sizeof(value) - 1,
		NGHTTP2_NV_FLAG_NONE };

	(void)nghttp2_submit_headers(s->h2, NGHTTP2_FLAG_NONE, id, NULL, &nv, 1,
	    NULL);
}

/* Its body is wanted. */
static void
invite(struct http_conn *c, struct asked *a)
{
	if (a->expects && a->received == 0)
		say_continue(c->session, a->id);
	a->expects = false;
	await_body(c, a);
}

/* What came for a handler that is ready again. */
static void
give_held(struct http_conn *c, struct asked *a)
{
	struct buf held = a->held;

	buf_init(&a->held, held.limit);
	a->begun += now_of(c) - a->paused_at;
	if (held.len)
		give_piece(c, a, buf_bytes(&held));
	else if (!a->complete)
		invite(c, a);
	buf_fini(&held);
	if (!c->dead && a->complete && !a->request.waiting &&
	    !a->request.answered)
		tell_end(a);
}

static void
resume_asked(struct http_conn *c)
{
	struct session *s = c->session;
	struct asked *a;

	TAILQ_FOREACH(a, &s->asked, link) {
		if (!a->resumed)
			continue;
		a->resumed = false;
		if (!a->request.waiting && !a->request.answered)
			give_held(c, a);
		if (c->dead)
			return;
	}
}

/* ---- header blocks ----------------------------------------------------------------- */

static int
on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct http_conn *c = arg;
	struct session *s = c->session;

	(void)h2;
	h2_head_free(&s->head);
	s->head = h2_head_new(conn_opts(c)->max_header_bytes,
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST);
	s->head_id = frame->hd.stream_id;
	s->head_pieces = 0;
	s->since = now_of(c);
	return s->head ? 0 : stop(s, NGHTTP2_INTERNAL_ERROR);
}

static int
on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
    void *arg)
{
	struct http_conn *c = arg;
	struct session *s = c->session;

	(void)h2;
	(void)frame;
	(void)flags;
	switch (h2_head_add(s->head, bytes_of(name, name_n),
	    bytes_of(value, value_n))) {
	case ST_OK:
		return 0;
	case ST_FLOOD:
		return stop(s, NGHTTP2_ENHANCE_YOUR_CALM);
	default:
		return stop(s, NGHTTP2_INTERNAL_ERROR);
	}
}

/* A name in capitals, a control character: the request is malformed. */
static int
on_invalid_header(nghttp2_session *h2, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
    uint8_t flags, void *arg)
{
	(void)h2;
	(void)frame;
	(void)name;
	(void)name_n;
	(void)value;
	(void)value_n;
	(void)flags;
	(void)arg;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void
begin(struct http_conn *c, struct asked *a)
{
	request_begin(&a->request);
	if (c->dead || a->request.answered)
		return;
	if (a->request.waiting)
		pause_body(c, a);
	else if (a->complete)
		tell_end(a);
	else
		invite(c, a);
}

static int
take_request(struct http_conn *c, bool ended)
{
	struct session *s = c->session;
	size_t bytes = h2_head_size(s->head);
	struct asked *a;
	enum status st;

	/* compressed, they may have cost the peer next to nothing */
	if (s->head_bytes + bytes > HEADS_MAX) {
		(void)nghttp2_submit_rst_stream(s->h2, NGHTTP2_FLAG_NONE,
		    s->head_id, NGHTTP2_REFUSED_STREAM);
		return 0;
	}
	a = malloc(sizeof(*a) + bytes);
	if (!a)
		return stop(s, NGHTTP2_INTERNAL_ERROR);
	s->head_bytes += bytes;
	*a = (struct asked){ .id = s->head_id, .request.conn = c,
		.head_bytes = bytes, .complete = ended, .begun = now_of(c) };
	buf_init(&a->held, STREAM_WINDOW);
	TAILQ_INSERT_TAIL(&s->asked, a, link);
	s->begun++;
	(void)nghttp2_session_set_stream_user_data(s->h2, a->id, a);
	st = h2_head_read(s->head, a + 1, &a->request, &a->expects);
	h2_head_free(&s->head);
	if (ended)
		a->request.length = 0;
	if (st == ST_OK)
		begin(c, a);
	else
		refuse(c, a, st);
	return 0;
}

/* ---- frames --------------------------------------------------------------------------- */

/* nghttp2 forgets closed streams, and passes over what still comes on them.  It does
 * so rightly on those that we have reset. */
static bool
is_late(const struct session *s, const nghttp2_frame_hd *hd)
{
	return !s->has_reset && hd->type == NGHTTP2_HEADERS &&
	    hd->stream_id <= nghttp2_session_get_last_proc_stream_id(s->h2) &&
	    !nghttp2_session_find_stream(s->h2, hd->stream_id);
}

static int
on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *hd, void *arg)
{
	struct http_conn *c = arg;
	struct session *s = c->session;
	size_t padding = hd->flags & NGHTTP2_FLAG_PADDED ? 256 : 0;

	(void)h2;
	if (is_late(s, hd))
		return stop(s, NGHTTP2_STREAM_CLOSED);
	if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0)
		return stop(s, NGHTTP2_PROTOCOL_ERROR);
	if (hd->type == NGHTTP2_CONTINUATION &&
	    ++s->head_pieces >= PIECES_MAX)
		return stop(s, NGHTTP2_ENHANCE_YOUR_CALM);
	if (hd->type == NGHTTP2_DATA && hd->length > padding)
		return 0;
	bucket_spend(&s->tokens, 1, now_of(c));
	return bucket_wait(&s->tokens, 0, now_of(c)) ? stop(s, NGHTTP2_ENHANCE_YOUR_CALM) : 0;
}

static int
on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data,
    size_t n, void *arg)
{
	struct http_conn *c = arg;
	struct asked *a = asked_of(h2, id);

	(void)flags;
	if (!a || a->request.answered) {
		(void)nghttp2_session_consume_connection(h2, n);
		return 0;
	}
	a->received += n;
	if (a->received > conn_opts(c)->max_body_bytes) {
		refuse(c, a, ST_TOO_LARGE);
		if (!c->dead)
			give_window(c, a, n);
	} else if (!is_waiting(a)) {
		give_piece(c, a, bytes_of(data, n));
	} else if (!buf_append(&a->held, data, n)) {
		return stop(c->session, NGHTTP2_INTERNAL_ERROR);
	}
	return c->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static void
on_reset(struct http_conn *c, struct asked *a)
{
	if (!a || a->request.answered)
		return;
	a->why = ST_GONE;
	count_refused(c, ST_GONE);
}

static int
on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct http_conn *c = arg;
	struct session *s = c->session;
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct asked *a = asked_of(h2, frame->hd.stream_id);
	int rc = 0;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (!h2_head_trailers(s->head))
			rc = take_request(c, ended);
		else if (ended && a)
			complete(a);
		h2_head_free(&s->head);
		break;
	case NGHTTP2_DATA:
		if (ended && a)
			complete(a);
		break;
	case NGHTTP2_RST_STREAM:
		on_reset(c, a);
		break;
	case NGHTTP2_SETTINGS:
		if (!s->greeted)
			s->since = now_of(c);
		s->greeted = true;
		break;
	case NGHTTP2_PING:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && s->state == NOTICED)
			say_last(c);
		break;
	default:
		break;
	}
	return c->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : rc;
}

static int
on_frame_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct http_conn *c = arg;
	struct session *s = c->session;
	struct asked *a = asked_of(h2, frame->hd.stream_id);

	switch (frame->hd.type) {
	case NGHTTP2_GOAWAY:
		/* an internal error is what nghttp2 says of too many resets */
		if (frame->goaway.error_code == NGHTTP2_INTERNAL_ERROR)
			s->why = ST_FLOOD;
		else if (s->why == ST_OK)
			s->why = h2_why_conn(frame->goaway.error_code);
		if (s->state == NOTICED)
			(void)nghttp2_submit_ping(h2, NGHTTP2_FLAG_NONE, NULL);
		break;
	case NGHTTP2_RST_STREAM:
		s->has_reset = true;
		if (frame->rst_stream.error_code == NGHTTP2_NO_ERROR)
			break;
		count_refused(c, a && a->why ? a->why :
		    h2_why_stream(frame->rst_stream.error_code));
		break;
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		if (!a || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			break;
		bucket_spend(&s->tokens, -TOKENS_OF_ANSWER, now_of(c));
		if (!a->complete)
			(void)nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE,
			    a->id, NGHTTP2_NO_ERROR);
		break;
	default:
		break;
	}
	return 0;
}

static int
on_stream_close(nghttp2_session *h2, int32_t id, uint32_t code, void *arg)
{
	struct http_conn *c = arg;
	struct session *s = c->session;
	struct asked *a = asked_of(h2, id);
	enum status why;

	if (s->head_id == id)
		h2_head_free(&s->head);
	if (!a)
		return 0;
	why = a->why ? a->why : h2_why_stream(code);
	request_gone(&a->request, why ? why : ST_GONE);
	if (a->held.len)
		(void)nghttp2_session_consume_connection(h2, a->held.len);
	free_asked(s, a);
	if (TAILQ_EMPTY(&s->asked) && !s->head)
		s->since = now_of(c);
	return 0;
}

/* ---- answers --------------------------------------------------------------------------- */

static ssize_t
read_answer(nghttp2_session *h2, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct asked *a = source->ptr;
	size_t left = a->answer->len - a->sent, n = left < room ? left : room;

	(void)h2;
	(void)id;
	(void)arg;
	memcpy(to, a->answer->data + a->sent, n);
	a->sent += n;
	if (n == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void
h2_respond(struct http_request *r, struct http_response *response)
{
	struct asked *a = container_of(r, struct asked, request);
	struct http_conn *c = r->conn;
	struct session *s = c->session;
	nghttp2_data_provider body = { .source.ptr = a,
		.read_callback = read_answer };
	nghttp2_nv nv[ANSWER_FIELDS];
	char status[8], length[24];
	size_t i, n = 0;
	bool bare = response->status == 204 || response->status == 304;

	assert(response->headers.n + 3 <= ANSWER_FIELDS);
	a->answer = response->body;
	response->body = NULL;
	(void)snprintf(status, sizeof(status), "%d", response->status);
	(void)snprintf(length, sizeof(length), "%zu",
	    a->answer ? a->answer->len : 0);	/* fit */
	nv[n++] = h2_nv(BYTES_LIT(":status"), bytes_str(status));
	nv[n++] = h2_nv(BYTES_LIT("date"), bytes_str(conn_date(c)));
	if (!bare)
		nv[n++] = h2_nv(BYTES_LIT("content-length"),
		    bytes_str(length));
	for (i = 0; i < response->headers.n; i++)
		nv[n++] = h2_nv(response->headers.list[i].name,
		    response->headers.list[i].value);
	bare = bare || !a->answer || a->answer->len == 0 ||
	    bytes_eq(r->method, BYTES_LIT("HEAD"));
	a->due = now_of(c) + conn_opts(c)->body_timeout_ns;
	if (nghttp2_submit_response(s->h2, a->id, nv, n, bare ? NULL : &body))
		conn_end(c, ST_NO_MEMORY);
	else if (!s->driving)
		stream_resume(c->stream);
}

/* ---- the protocol ------------------------------------------------------------------------ */

/* What nghttp2 has to say; it keeps what the peer has no window for. */
static void
pump(struct http_conn *c)
{
	struct session *s = c->session;
	size_t queued = stream_queued(c->stream);
	struct buf *out = NULL;
	const uint8_t *p;
	ssize_t n = 0;
	bool ok = true;

	while (ok && queued < QUEUE_MAX) {
		n = nghttp2_session_mem_send(s->h2, &p);
		if (n <= 0)
			break;
		if (!out)
			out = buf_new(QUEUE_MAX * 2);
		ok = out && buf_append(out, p, (size_t)n);
		queued += (size_t)n;
	}
	if (n < 0 || !ok) {
		buf_free(&out);
		conn_end(c, ST_NO_MEMORY);
	} else if (out) {
		stream_write(c->stream, &out);
	}
}

/* nghttp2 cannot go on. */
static void
give_up(struct http_conn *c, ssize_t error)
{
	struct session *s = c->session;

	if (error == NGHTTP2_ERR_NOMEM)
		s->code = NGHTTP2_INTERNAL_ERROR;
	else if (error == NGHTTP2_ERR_FLOODED)
		s->code = NGHTTP2_ENHANCE_YOUR_CALM;
	else if (!s->code)
		s->code = NGHTTP2_PROTOCOL_ERROR;
	s->why = h2_why_conn(s->code);
	if (s->why == ST_NO_MEMORY || s->state == BYE) {
		conn_end(c, s->why);
		return;
	}
	say_bye(c, s->code);
	pump(c);
	if (!c->dead)
		conn_finish(c, s->why);
}

/* True if there may be more. */
static bool
feed(struct http_conn *c)
{
	struct session *s = c->session;
	struct bytes in = stream_input(c->stream);
	ssize_t n;

	if (in.n == 0 || stream_queued(c->stream) >= QUEUE_MAX)
		return false;
	if (s->begun >= REQUESTS_MAX) {
		/* others' turn; INPUT comes again */
		stream_resume(c->stream);
		return false;
	}
	n = nghttp2_session_mem_recv(s->h2, in.p, in.n < FEED ? in.n : FEED);
	if (c->dead)
		return false;
	if (n < 0) {
		give_up(c, n);
		return false;
	}
	stream_consume(c->stream, (size_t)n);
	return true;
}

/* Of a peer that has ended its side: are all its requests whole? */
static bool
all_complete(const struct session *s)
{
	const struct asked *a;

	TAILQ_FOREACH(a, &s->asked, link) {
		if (!a->complete)
			return false;
	}
	return !s->head;
}

static void
settle(struct http_conn *c)
{
	struct session *s = c->session;
	bool ended = c->ended && stream_input(c->stream).n == 0;

	if (stream_queued(c->stream) < QUEUE_MAX)
		s->stuck = 0;
	else if (!s->stuck)
		s->stuck = now_of(c);
	if (!nghttp2_session_want_read(s->h2) &&
	    !nghttp2_session_want_write(s->h2))
		conn_finish(c, s->why ? s->why : s->state == LAST ?
		    ST_STOPPING : ST_OK);
	else if (ended && !all_complete(s))
		conn_end(c, ST_GONE);
	else if (ended && TAILQ_EMPTY(&s->asked))
		conn_finish(c, ST_OK);
	else
		set_deadline(c);
}

static void
drive(struct http_conn *c)
{
	struct session *s = c->session;

	assert(!s->driving);
	conn_hold(c);
	s->driving = true;
	s->begun = 0;
	resume_asked(c);
	do {
		if (!c->dead)
			pump(c);
	} while (!c->dead && feed(c));
	s->driving = false;
	if (s->closed)
		free_session(s);
	else
		settle(c);
	conn_release(c);
}

static void
h2_input(struct http_conn *c)
{
	drive(c);
}

static void
h2_resume(struct http_request *r)
{
	container_of(r, struct asked, request)->resumed = true;
	stream_resume(r->conn->stream);
}

/* It copies both. */
static int
make_session(struct http_conn *c, nghttp2_session_callbacks *on,
    nghttp2_option *option)
{
	struct session *s = c->session;

	nghttp2_session_callbacks_set_on_begin_frame_callback(on,
	    on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(on,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(on, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(on,
	    on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(on, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(on, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(on,
	    on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(on,
	    on_stream_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	/* nothing in an answer comes often enough to be kept for it */
	nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
	return nghttp2_session_server_new2(&s->h2, on, c, option);
}

static int
greet(struct http_conn *c)
{
	const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
		    (uint32_t)conn_opts(c)->max_header_bytes },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};
	struct session *s = c->session;
	int rc;

	rc = nghttp2_submit_settings(s->h2, NGHTTP2_FLAG_NONE, ours,
	    sizeof(ours) / sizeof(ours[0]));
	return rc ? rc : nghttp2_session_set_local_window_size(s->h2,
	    NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
}

static bool
h2_open(struct http_conn *c)
{
	nghttp2_session_callbacks *on = NULL;
	nghttp2_option *option = NULL;
	struct session *s = calloc(1, sizeof(*s));
	bool ok;

	if (!s)
		return false;
	c->session = s;
	TAILQ_INIT(&s->asked);
	s->since = now_of(c);
	bucket_set(&s->tokens, TOKENS, s->since);
	ok = nghttp2_session_callbacks_new(&on) == 0 &&
	    nghttp2_option_new(&option) == 0 &&
	    make_session(c, on, option) == 0 && greet(c) == 0;
	nghttp2_session_callbacks_del(on);
	nghttp2_option_del(option);
	if (!ok) {
		free_session(s);
		c->session = NULL;
		return false;
	}
	set_deadline(c);
	return true;
}

/* A slow request is given up without an answer: 408 would have its sender throw
 * the data away. */
static void
reset_slow(struct http_conn *c)
{
	struct session *s = c->session;
	struct asked *a;

	TAILQ_FOREACH(a, &s->asked, link)
		if (a->due && a->due <= now_of(c))
			reset(c, a, NGHTTP2_CANCEL, ST_SLOW);
}

/* Its time is over: not just idle, or told of the end. */
static bool
is_slow(const struct session *s)
{
	return s->stuck || s->state == BYE ||
	    (s->state != NOTICED && (!s->greeted || s->head));
}

static void
h2_timeout(struct http_conn *c)
{
	struct session *s = c->session;
	int64_t at = time_of_conn(c);

	if (at && at <= now_of(c)) {
		if (is_slow(s)) {
			conn_end(c, ST_SLOW);
			return;
		}
		if (s->state == NOTICED)
			say_last(c);
		else
			say_bye(c, NGHTTP2_NO_ERROR);
	}
	reset_slow(c);
	drive(c);
}

static void
h2_drain(struct http_conn *c)
{
	struct session *s = c->session;

	if (s->state != OPEN)
		return;
	enter(c, NOTICED);
	(void)nghttp2_submit_shutdown_notice(s->h2);
	drive(c);
}

static void
h2_close(struct http_conn *c, enum status why)
{
	struct session *s = c->session;
	struct asked *a;

	TAILQ_FOREACH(a, &s->asked, link)
		request_gone(&a->request, why);
	c->session = NULL;
	s->closed = true;
	if (!s->driving)
		free_session(s);
}

const struct http_proto h2_proto = {
	.open = h2_open,
	.input = h2_input,
	.timeout = h2_timeout,
	.respond = h2_respond,
	.resume = h2_resume,
	.drain = h2_drain,
	.close = h2_close,
};
