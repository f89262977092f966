/* h1_ask.c - a connection to an upstream that speaks HTTP/1.1.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "http/client_priv.h"
#include "http/h1.h"

#define INTERIM_MAX 16			/* 1xx before an answer */

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
	return c->session != NULL;
}

static void
close_session(struct client_conn *c)
{
	free(c->session);
	c->session = NULL;
}

static void
send_request(struct client_conn *c)
{
	struct http_exchange *x = c->exchange;
	struct session *s = c->session;

	*s = (struct session){ .keep = false };
	stream_write_borrowed(c->stream, buf_bytes(x->head));
	stream_write_borrowed(c->stream, x->body);
}

/* Copies the head to memory of the exchange, and takes it apart. */
static enum status
parse_head(struct client_conn *c, struct bytes text, struct h1_head *head)
{
	struct http_exchange *x = c->exchange;
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
	struct http_exchange *x = c->exchange;
	struct session *s = c->session;
	struct h1_head head;
	enum status st = parse_head(c, text, &head);

	if (st != ST_OK)
		return st;
	stream_consume(c->stream, text.n);
	s->scan = (struct h1_scan){ .seen = 0 };
	if (head.status < 200) {
		/* we asked for no other protocol */
		if (head.status == 101 || ++s->interim > INTERIM_MAX)
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

/* False when enough has been thrown away. */
static bool
keep_piece(struct client_conn *c, struct bytes piece)
{
	struct session *s = c->session;
	struct buf *b = &c->exchange->answer_body;
	size_t room = client_max_body(c) - b->len;
	size_t n = piece.n < room ? piece.n : room;

	if (!buf_append(b, piece.p, n))
		return false;
	s->drained += piece.n - n;
	return s->drained <= CLIENT_DRAIN_MAX;
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
	if (!keep_piece(c, piece)) {
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

	if (stream_input(c->stream).n)
		c->heard = true;
	do {
		st = s->in_body ? read_body(c) : read_head(c);
	} while (st == ST_OK);
	if (st == ST_END)
		client_answered(c, s->keep);
	else if (st != ST_WAIT)
		client_failed(c, st);
}

const struct client_proto h1_client_proto = {
	.open = open_session,
	.send = send_request,
	.input = input,
	.close = close_session,
};
