/* serve.c - see serve.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/serve.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/server.h"

#define PORT 80
#define BODY_MAX 3000

struct work {
	struct loop_timer *timer;
	struct http_request *request;
	struct buf body;
	bool ended;
};

static struct serve_opts opts;
static struct loop *loop;
static struct http_server *server;
static unsigned open_requests;

void
serve_note(struct buf *story, const char *what, struct bytes b)
{
	if (!story)
		return;
	buf_append_str(story, what);
	buf_append(story, b.p, b.n);
	buf_append(story, "\n", 1);
}

/* ---- handlers ------------------------------------------------------------------- */

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
		answer(w->request, opts.late);
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
	serve_note(opts.story, "> ", http_request_path(r));
	serve_note(opts.story, "? ", http_request_query(r));
	for (i = 0; i < h.n; i++) {
		assert(http_token_ok(h.list[i].name) &&
		    http_value_ok(h.list[i].value));
		serve_note(opts.story, "n ", h.list[i].name);
		serve_note(opts.story, "v ", h.list[i].value);
	}
	if (manner(r) == 'n')
		return ST_MEDIA_TYPE;
	w = calloc(1, sizeof(*w));
	assert(w);
	assert(loop_timer_new(loop, timer_due, w, &w->timer) == ST_OK);
	w->request = r;
	open_requests++;
	http_request_set_user(r, w);
	buf_init(&w->body, BODY_MAX);
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
	int64_t length = http_request_length(r);

	assert(!w->ended && !loop_timer_pending(w->timer));
	assert(length == -1 || (uint64_t)length == w->body.len);
	w->ended = true;
	/* of a body that did not come whole, TCP says how much was seen */
	serve_note(opts.story, "body ", buf_bytes(&w->body));
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

/* ---- the server -------------------------------------------------------------------- */

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	http_server_adopt(server, fd, peer);
}

void
serve_open(struct loop *l, const struct serve_opts *o)
{
	const struct http_server_opts so = {
		.routes = routes,
		.n_routes = sizeof(routes) / sizeof(routes[0]),
		.max_header_bytes = 1000,
		.max_body_bytes = BODY_MAX,
		.max_connections = 2,
		.header_timeout_ns = 10 * CLOCK_S,
		.body_timeout_ns = 10 * CLOCK_S,
		.idle_timeout_ns = 30 * CLOCK_S,
		.http2 = o->http2,
	};

	opts = *o;
	loop = l;
	assert(http_server_new(l, &so, &server) == ST_OK);
	fake_listen(PORT, accepted, NULL);
}

void
serve_connect(struct loop *l, stream_fn *fn, void *arg, struct stream **out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(PORT) };
	struct loop_addr to = { .len = sizeof(v4) };

	memcpy(&to.ss, &v4, sizeof(v4));
	assert(stream_connect(l, &to, fn, arg, out) == ST_OK);
	fake_settle();
}

void
serve_close(void)
{
	assert(http_server_connections(server) == 0);
	assert(open_requests == 0);
	http_server_free(&server);
	fake_settle();
}
