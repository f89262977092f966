/* h1_ask.c - a connection to an upstream that speaks HTTP/1.1.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "http/client_priv.h"
#include "http/h1.h"

#define REQUEST_HEAD_MAX ((size_t)64 << 10)

struct session {
	struct h1_scan scan;
	struct h1_body body;
	unsigned interim;
	bool in_body;
	bool keep;
	size_t drained;			/* of the body, past what is kept */
};

static bool
open_session(struct client_conn *c)
{
	c->session = calloc(1, sizeof(struct session));
	if (!c->session)
		return false;
	client_ready(c);
	return true;
}

static void
close_session(struct client_conn *c)
{
	free(c->session);
	c->session = NULL;
}

static size_t
room(const struct client_conn *c)
{
	return c->n == 0;
}

static bool
send_request(struct client_conn *c, struct http_exchange *x)
{
	const struct http_url *url = client_url(c);
	struct session *s = c->session;
	struct buf *head = buf_new(REQUEST_HEAD_MAX);

	if (!head)
		return false;
	h1_write_request(head, x->method, url->path, url->authority,
	    x->headers, x->body.n);
	if (buf_failed(head)) {
		buf_free(&head);
		return false;
	}
	*s = (struct session){ .keep = false };
	stream_write(c->stream, &head);
	stream_write_borrowed(c->stream, x->body);
	return true;
}

/* What comes is the answer to nothing, and the body is no longer ours to send. */
static void
cancel(struct client_conn *c, struct http_exchange *x)
{
	(void)x;
	c->last = true;
}

/* Copies the head to memory of the exchange, and takes it apart. */
static enum status
parse_head(struct client_conn *c, struct bytes text, struct h1_head *head)
{
	struct http_exchange *x = TAILQ_FIRST(&c->exchanges);
	struct session *s = c->session;
	struct http_header *list;
	uint8_t *copy;

	free(x->answer_head);
	x->answer_head = malloc(s->scan.lines * sizeof(*list) + text.n);
	if (!x->answer_head)
		return ST_NO_MEMORY;
	list = x->answer_head;
	copy = (uint8_t *)(list + s->scan.lines);
	memcpy(copy, text.p, text.n);
	return h1_parse_answer(bytes_of(copy, text.n), list, head);
}

static enum status
take_head(struct client_conn *c, struct bytes text)
{
	struct http_exchange *x = TAILQ_FIRST(&c->exchanges);
	struct session *s = c->session;
	struct h1_head head;
	enum status st = parse_head(c, text, &head);

	if (st != ST_OK)
		return st;
	stream_consume(c->stream, text.n);
	s->scan = (struct h1_scan){ .seen = 0 };
	if (head.status < 200) {
		/* we asked for no other protocol */
		if (head.status == 101 || ++s->interim > CLIENT_INTERIM_MAX)
			return ST_BAD_ANSWER;
		return ST_OK;
	}
	x->answer.status = head.status;
	x->answer.headers = head.headers;
	h1_body_of_answer(&s->body, &head, x->to_head);
	s->keep = head.keep && s->body.framing != H1_UNTIL_CLOSE;
	s->in_body = true;
	return ST_OK;
}

static enum status
read_head(struct client_conn *c)
{
	struct session *s = c->session;
	struct bytes in = stream_input(c->stream);
	enum status st;
	size_t len;

	st = h1_scan(&s->scan, in, CLIENT_HEADERS_MAX, &len);
	if (st == ST_WAIT)
		return c->ended ? ST_CUT : ST_WAIT;
	if (st != ST_OK)
		return ST_BAD_ANSWER;
	return take_head(c, bytes_of(in.p, len));
}

static enum status
read_body(struct client_conn *c)
{
	struct session *s = c->session;
	struct bytes piece;
	enum status st;
	size_t used;

	st = h1_body_next(&s->body, stream_input(c->stream), &piece, &used);
	if (st == ST_BAD_REQUEST || st == ST_HEADERS_LARGE)
		return ST_BAD_ANSWER;
	if (!client_keep_piece(TAILQ_FIRST(&c->exchanges), piece,
	    &s->drained)) {
		s->keep = false;
		return ST_END;
	}
	stream_consume(c->stream, used);
	if (st == ST_WAIT && c->ended)
		return s->body.framing == H1_UNTIL_CLOSE ? ST_END : ST_CUT;
	return st;
}

static void
input(struct client_conn *c)
{
	struct session *s = c->session;
	enum status st;

	if (c->n == 0) {
		/* kept: whatever comes, it is not to be trusted any more */
		client_retire(c);
		return;
	}
	do {
		st = s->in_body ? read_body(c) : read_head(c);
	} while (st == ST_OK);
	if (st == ST_END)
		client_answered(c, TAILQ_FIRST(&c->exchanges), s->keep &&
		    stream_queued(c->stream) == 0 &&
		    stream_input(c->stream).n == 0);
	else if (st != ST_WAIT)
		client_failed(c, st);
}

static void
drained(struct client_conn *c)
{
	(void)c;	/* it was all that there was to send */
}

const struct client_proto h1_client_proto = {
	.open = open_session,
	.room = room,
	.send = send_request,
	.cancel = cancel,
	.input = input,
	.drained = drained,
	.close = close_session,
};
