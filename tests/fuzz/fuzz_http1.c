/* fuzz_http1.c - bytes of a client to the server, or of an upstream to the client,
 * once whole and once in pieces.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first byte chooses the side, the second how the rest is cut.  Besides not
 * crashing, both ways must come to the same requests with the same bodies (or the
 * same answer): how TCP cuts a stream must never change what it means.      */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/client.h"
#include "http/server.h"
#include "io/stream.h"

#define PORT 80

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct buf story;		/* what the other side made of it */

/* ---- one end that speaks as it was told ---------------------------------------- */

struct speaker {
	struct stream *stream;
	struct bytes text;
	uint32_t cut;			/* 0: whole */
	bool speaks;
};

static size_t
next_piece(struct speaker *s)
{
	if (!s->cut)
		return s->text.n;
	s->cut ^= s->cut << 13;
	s->cut ^= s->cut >> 17;
	s->cut ^= s->cut << 5;
	/* short ones more often */
	return 1 + s->cut % (s->cut & 64 ? 7 : 200);
}

static void
on_speaker(struct stream *stream, enum stream_event event, void *arg)
{
	struct speaker *s = arg;

	switch (event) {
	case STREAM_READY:
		break;
	case STREAM_INPUT:
		s->speaks = true;
		stream_consume(stream, stream_input(stream).n);
		break;
	case STREAM_CLOSED:
	case STREAM_FAILED:
		stream_close(&s->stream, ST_GONE);
		break;
	case STREAM_DRAINED:
	case STREAM_TIMEOUT:
		break;
	}
}

static void
speak(struct speaker *s)
{
	size_t n;

	while (s->stream && s->text.n) {
		n = next_piece(s);
		n = n < s->text.n ? n : s->text.n;
		stream_write_copy(s->stream, bytes_of(s->text.p, n));
		s->text.p += n;
		s->text.n -= n;
		fake_settle();
	}
	/* what is answered later gets its time */
	fake_pass(CLOCK_S);
	stream_close(&s->stream, ST_OK);
	fake_settle();
}

/* ---- server ---------------------------------------------------------------------- */

struct work {
	struct loop_timer *timer;
	struct http_request *request;
	struct buf body;
	bool ended;
};

static struct http_server *server;
static unsigned open_requests;

static void
note(const char *what, struct bytes b)
{
	buf_append_str(&story, what);
	buf_append(&story, b.p, b.n);
	buf_append(&story, "\n", 1);
}

static void
drop_work(struct http_request *r)
{
	struct work *w = http_request_user(r);

	loop_timer_free(&w->timer);
	buf_fini(&w->body);
	free(w);
	open_requests--;
}

static void
answer(struct http_request *r, enum status st)
{
	drop_work(r);
	http_respond_status(r, st, NULL, 3);
}

static void
timer_due(void *arg)
{
	struct work *w = arg;

	if (w->ended)
		answer(w->request, ST_OK);
	else
		http_request_resume(w->request);
}

/* The path's first letter says what is done. */
static uint8_t
manner(const struct http_request *r)
{
	return http_request_path(r).p[1];
}

static enum status
begin(struct http_request *r, void *arg)
{
	struct http_headers h = http_request_headers(r);
	struct work *w;
	size_t i;

	(void)arg;
	note("> ", http_request_path(r));
	note("? ", http_request_query(r));
	for (i = 0; i < h.n; i++) {
		note("n ", h.list[i].name);
		note("v ", h.list[i].value);
	}
	if (manner(r) == 'n')
		return ST_MEDIA_TYPE;
	w = calloc(1, sizeof(*w));
	assert(w);
	assert(loop_timer_new(loop, timer_due, w, &w->timer) == ST_OK);
	w->request = r;
	open_requests++;
	http_request_set_user(r, w);
	buf_init(&w->body, 3000);
	if (manner(r) == 'a')
		answer(r, ST_BUSY);
	return ST_OK;
}

static enum status
body(struct http_request *r, struct bytes piece)
{
	struct work *w = http_request_user(r);

	assert(!w->ended && !loop_timer_pending(w->timer));
	assert(piece.n > 0);
	assert(buf_append(&w->body, piece.p, piece.n));
	if (manner(r) == 'p')
		answer(r, ST_BAD_SNAPPY);
	if (manner(r) != 'w')
		return ST_OK;
	loop_timer_start(w->timer, CLOCK_MS);
	return ST_WAIT;
}

static void
end(struct http_request *r)
{
	struct work *w = http_request_user(r);

	assert(!w->ended && !loop_timer_pending(w->timer));
	w->ended = true;
	/* of a body that did not come whole, TCP says how much was seen */
	note("body ", buf_bytes(&w->body));
	if (manner(r) == 'l')
		loop_timer_start(w->timer, CLOCK_MS);
	else
		answer(r, ST_OK);
}

static void
gone(struct http_request *r, enum status why)
{
	(void)why;
	drop_work(r);
}

static const struct http_handler handler = { begin, body, end, gone };
static const struct http_route routes[] = {
	{ "POST", "/now", &handler, NULL },
	{ "GET", "/e", &handler, NULL },
	{ "POST", "/e", &handler, NULL },
	{ "POST", "/a", &handler, NULL },
	{ "POST", "/p", &handler, NULL },
	{ "POST", "/w", &handler, NULL },
	{ "POST", "/l", &handler, NULL },
};

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	http_server_adopt(server, fd, peer);
}

static void
to_server(struct bytes text, uint32_t cut)
{
	struct http_server_opts opts = {
		.routes = routes,
		.n_routes = sizeof(routes) / sizeof(routes[0]),
		.max_header_bytes = 1000,
		.max_body_bytes = 3000,
		.max_connections = 2,
		.header_timeout_ns = 10 * CLOCK_S,
		.body_timeout_ns = 10 * CLOCK_S,
		.idle_timeout_ns = 30 * CLOCK_S,
	};
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(PORT) };
	struct loop_addr to = { .len = sizeof(v4) };
	struct speaker s = { .text = text, .cut = cut };

	memcpy(&to.ss, &v4, sizeof(v4));
	assert(http_server_new(loop, &opts, &server) == ST_OK);
	fake_listen(PORT, accepted, NULL);
	assert(stream_connect(loop, &to, on_speaker, &s, &s.stream) == ST_OK);
	fake_settle();
	speak(&s);
	fake_pass(100 * CLOCK_S);
	assert(http_server_connections(server) == 0);
	http_server_free(&server);
	fake_settle();
	assert(open_requests == 0);
}

/* ---- client ------------------------------------------------------------------------ */

static struct speaker upstream;
static unsigned called;

static void
upstream_accepted(int fd, const struct loop_addr *peer, void *arg)
{
	struct speaker *s = arg;

	/* a second connection hears nothing */
	if (!s->stream && s->text.n)
		assert(stream_accept(loop, fd, peer, on_speaker, s,
		    &s->stream) == ST_OK);
}

static void
done(enum status st, const struct http_answer *a, void *arg)
{
	size_t i;

	(void)arg;
	assert((a != NULL) == (st == ST_OK));
	if (called++)
		return;
	note("status ", bytes_str(status_info(st)->word));
	if (!a)
		return;
	buf_printf(&story, "%d\n", a->status);
	for (i = 0; i < a->headers.n; i++) {
		note("n ", a->headers.list[i].name);
		note("v ", a->headers.list[i].value);
	}
	note("body ", a->body);
}

static bool
speaks(void *arg)
{
	return ((struct speaker *)arg)->speaks;
}

static void
to_client(struct bytes text, uint32_t cut)
{
	static const struct http_url url = {
		.host = "h", .port = "80", .path = "/", .authority = "h",
	};
	struct http_client_opts opts = {
		.url = url,
		.connect_timeout_ns = CLOCK_S,
		.answer_timeout_ns = 10 * CLOCK_S,
		.idle_timeout_ns = 20 * CLOCK_S,
		.reconnect_ns = 100 * CLOCK_S,
		.max_body_bytes = 500,
	};
	struct http_call call = { .method = "POST", .body = BYTES_LIT("x") };
	struct http_exchange *x;
	struct http_client *client;

	upstream = (struct speaker){ .text = text, .cut = cut };
	called = 0;
	assert(http_client_new(loop, &opts, &client) == ST_OK);
	fake_listen(PORT, upstream_accepted, &upstream);
	assert(http_client_send(client, &call, done, NULL, &x) == ST_OK);
	if (fake_until(speaks, &upstream, CLOCK_S))
		speak(&upstream);
	fake_pass(15 * CLOCK_S);
	assert(called == 1);
	/* whatever was said, the next exchange ends too */
	assert(http_client_send(client, &call, done, NULL, &x) == ST_OK);
	fake_pass(15 * CLOCK_S);
	assert(called == 2);
	http_client_free(&client);
	stream_close(&upstream.stream, ST_GONE);
	fake_settle();
}

/* ---- both ways ----------------------------------------------------------------------- */

static struct buf
run(bool client, struct bytes text, uint32_t cut)
{
	struct buf told;

	fake_network_clear();
	assert(loop_new("fuzz", &loop) == ST_OK);
	buf_init(&story, SIZE_MAX / 2);
	if (client)
		to_client(text, cut);
	else
		to_server(text, cut);
	assert(fake_streams() == 0);
	loop_free(&loop);
	told = story;
	return told;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, cut;
	struct bytes text;

	if (size < 3 || size > 20000)
		return 0;
	fake_clock_init();
	text = bytes_of(data + 2, size - 2);
	whole = run(data[0] & 1, text, 0);
	cut = run(data[0] & 1, text, 1 + data[1] * UINT32_C(2654435761));
	assert(bytes_eq(buf_bytes(&whole), buf_bytes(&cut)));
	buf_fini(&whole);
	buf_fini(&cut);
	return 0;
}
