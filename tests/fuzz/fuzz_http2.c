/* fuzz_http2.c - the server fed with bytes that follow the preface of HTTP/2.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first byte says how the rest is cut (0: not at all).  Besides not crashing:
 * each request that has begun ends in one way, a body that came whole has the length
 * that was said, and what the server says is frames.                        */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/server.h"
#include "io/stream.h"

#define PORT 80

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct http_server *server;
static unsigned open_requests;

/* ---- handlers ------------------------------------------------------------------- */

struct work {
	struct loop_timer *timer;
	struct http_request *request;
	uint64_t received;
	bool ended;
};

static void
drop_work(struct http_request *r)
{
	struct work *w = http_request_user(r);

	loop_timer_free(&w->timer);
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
		answer(w->request, ST_BAD_SNAPPY);
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
	for (i = 0; i < h.n; i++)
		assert(http_token_ok(h.list[i].name) &&
		    http_value_ok(h.list[i].value));
	if (manner(r) == 'n')
		return ST_MEDIA_TYPE;
	w = calloc(1, sizeof(*w));
	assert(w);
	assert(loop_timer_new(loop, timer_due, w, &w->timer) == ST_OK);
	w->request = r;
	open_requests++;
	http_request_set_user(r, w);
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
	w->received += piece.n;
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
	int64_t length = http_request_length(r);

	assert(!w->ended && !loop_timer_pending(w->timer));
	assert(length == -1 || (uint64_t)length == w->received);
	w->ended = true;
	if (manner(r) == 'l')
		loop_timer_start(w->timer, CLOCK_MS);
	else
		answer(r, ST_OK);
}

static void
gone(struct http_request *r, enum status why)
{
	assert(why != ST_OK);
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

/* ---- the peer ---------------------------------------------------------------------- */

static struct stream *peer;
static struct buf heard;

static void
on_peer(struct stream *stream, enum stream_event event, void *arg)
{
	struct bytes in = stream_input(stream);

	(void)arg;
	if (event == STREAM_INPUT) {
		assert(buf_append(&heard, in.p, in.n));
		stream_consume(stream, in.n);
	} else if (event == STREAM_CLOSED || event == STREAM_FAILED) {
		stream_close(&peer, ST_GONE);
	}
}

static void
speak(struct bytes text, uint32_t cut)
{
	size_t n;

	while (peer && text.n) {
		cut ^= cut << 13;
		cut ^= cut >> 17;
		cut ^= cut << 5;
		n = cut ? 1 + cut % (cut & 64 ? 11 : 200) : text.n;
		n = n < text.n ? n : text.n;
		stream_write_copy(peer, bytes_of(text.p, n));
		text.p += n;
		text.n -= n;
		fake_settle();
	}
}

/* What was cut off is the end of it at most. */
static void
check_heard(void)
{
	struct bytes in = buf_bytes(&heard);
	size_t n;

	while (in.n >= 9) {
		n = (size_t)in.p[0] << 16 | (size_t)in.p[1] << 8 | in.p[2];
		assert(n <= 16384 && in.p[3] < 10);
		if (in.n < 9 + n)
			break;
		in = bytes_of(in.p + 9 + n, in.n - 9 - n);
	}
}

static void
accepted(int fd, const struct loop_addr *from, void *arg)
{
	(void)arg;
	http_server_adopt(server, fd, from);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
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
		.http2 = true,
	};
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(PORT) };
	struct loop_addr to = { .len = sizeof(v4) };

	if (size < 2 || size > 20000)
		return 0;
	fake_clock_init();
	fake_network_clear();
	memcpy(&to.ss, &v4, sizeof(v4));
	buf_init(&heard, SIZE_MAX / 2);
	assert(loop_new("fuzz", &loop) == ST_OK);
	assert(http_server_new(loop, &opts, &server) == ST_OK);
	fake_listen(PORT, accepted, NULL);
	assert(stream_connect(loop, &to, on_peer, NULL, &peer) == ST_OK);
	fake_settle();
	speak(BYTES_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0);
	speak(bytes_of(data + 1, size - 1), data[0]);
	fake_pass(CLOCK_S);
	/* nothing lasts: not even who says no more */
	fake_pass(100 * CLOCK_S);
	assert(http_server_connections(server) == 0);
	assert(open_requests == 0);
	check_heard();
	http_server_free(&server);
	fake_settle();
	assert(!peer && fake_streams() == 0);
	loop_free(&loop);
	buf_fini(&heard);
	return 0;
}
