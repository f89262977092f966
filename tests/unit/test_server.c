/* test_server.c - a server on real sockets, as clients see it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/metric.h"
#include "http/server.h"
#include "io/listener.h"

#define MAX_BODY (1 << 20)

struct fixture {
	struct loop *loop;
	struct listener *listener;
	struct http_server *server;
	struct http_server_opts opts;
	unsigned port;
	/* what handlers saw; read after a net_call or an answer */
	atomic_int begun, ended, gone;
	atomic_int gone_why;
	struct http_request *held;	/* of the loop's thread */
	atomic_bool drained;
};

static struct fixture fx;

/* ---- handlers ------------------------------------------------------------------- */

struct collected {
	struct buf body;
	unsigned pieces;
};

static enum status
collect_begin(struct http_request *r, void *arg)
{
	struct collected *c = calloc(1, sizeof(*c));

	(void)arg;
	fx.begun++;
	buf_init(&c->body, 64 << 20);
	http_request_set_user(r, c);
	return ST_OK;
}

static void
collect_free(struct http_request *r)
{
	struct collected *c = http_request_user(r);

	buf_fini(&c->body);
	free(c);
}

static enum status
collect_body(struct http_request *r, struct bytes piece)
{
	struct collected *c = http_request_user(r);

	c->pieces++;
	assert_true(buf_append(&c->body, piece.p, piece.n));
	return ST_OK;
}

static void
collect_gone(struct http_request *r, enum status why)
{
	fx.gone_why = (int)why;
	fx.gone++;
	collect_free(r);
}

/* Answers what it was sent (or its length, if long), in a header the query. */
static void
echo_end(struct http_request *r)
{
	struct collected *c = http_request_user(r);
	struct http_header h = { BYTES_LIT("X-Query"), http_request_query(r) };
	struct http_response response = { .status = 200, .headers = { &h, 1 } };

	fx.ended++;
	response.body = buf_new(1 << 16);
	if (c->body.len < 1024)
		buf_append(response.body, c->body.data, c->body.len);
	else
		buf_printf(response.body, "%zu", c->body.len);
	collect_free(r);
	http_respond(r, &response);
}

static const struct http_handler echo = {
	collect_begin, collect_body, echo_end, collect_gone,
};

/* Holds the request until release() is called on the loop. */
static void
hold_end(struct http_request *r)
{
	fx.ended++;
	fx.held = r;
}

static void
hold_gone(struct http_request *r, enum status why)
{
	if (fx.held == r)
		fx.held = NULL;
	collect_gone(r, why);
}

static const struct http_handler hold = {
	collect_begin, collect_body, hold_end, hold_gone,
};

static void
release(void *arg)
{
	(void)arg;
	collect_free(fx.held);
	http_respond_status(fx.held, ST_OK, NULL, 0);
	fx.held = NULL;
}

/* Takes a piece, asks for no more until told, then goes on. */
static enum status
slow_body(struct http_request *r, struct bytes piece)
{
	collect_body(r, piece);
	fx.held = r;
	return ST_WAIT;
}

static void
slow_end(struct http_request *r)
{
	fx.held = NULL;
	echo_end(r);
}

static const struct http_handler slow = {
	collect_begin, slow_body, slow_end, hold_gone,
};

static void
resume(void *arg)
{
	bool *any = arg;
	struct http_request *r = fx.held;

	*any = r != NULL;
	fx.held = NULL;
	if (r)
		http_request_resume(r);
}

/* Refuses at begin, in body, by status. */
static enum status
no_begin(struct http_request *r, void *arg)
{
	const enum status *st = arg;

	fx.begun++;
	http_respond_status(r, *st, NULL, *st == ST_BUSY ? 7 : 0);
	return ST_OK;
}

static enum status
no_begin_by_status(struct http_request *r, void *arg)
{
	(void)r;
	fx.begun++;
	return *(const enum status *)arg;
}

static enum status
no_body(struct http_request *r, struct bytes piece)
{
	(void)piece;
	collect_free(r);
	return ST_BAD_SNAPPY;
}

static const struct http_handler no = { no_begin, NULL, NULL, NULL };
static const struct http_handler no_too = {
	no_begin_by_status, NULL, NULL, NULL
};
static const struct http_handler no_in_body = {
	collect_begin, no_body, NULL, collect_gone
};

/* Decides later, on the loop, by one of the calls below. */
static enum status
ponder_begin(struct http_request *r, void *arg)
{
	(void)arg;
	fx.begun++;
	fx.held = r;
	return ST_WAIT;
}

static void
ponder_gone(struct http_request *r, enum status why)
{
	assert_ptr_equal(r, fx.held);
	fx.held = NULL;
	fx.gone_why = (int)why;
	fx.gone++;
}

static const struct http_handler ponder = {
	ponder_begin, NULL, NULL, ponder_gone
};

static const enum status media_type = ST_MEDIA_TYPE, busy = ST_BUSY;

static const struct http_route routes[] = {
	{ "POST", "/echo", &echo, NULL },
	{ "GET", "/echo", &echo, NULL },
	{ "POST", "/hold", &hold, NULL },
	{ "POST", "/slow", &slow, NULL },
	{ "POST", "/no", &no, (void *)(uintptr_t)&media_type },
	{ "POST", "/no-too", &no_too, (void *)(uintptr_t)&media_type },
	{ "POST", "/busy", &no, (void *)(uintptr_t)&busy },
	{ "POST", "/no-in-body", &no_in_body, NULL },
	{ "POST", "/ponder", &ponder, NULL },
	{ "GET", "/ponder", &ponder, NULL },
};

/* ---- fixture ---------------------------------------------------------------------- */

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	http_server_adopt(fx.server, fd, peer);
}

static int
setup_with(int64_t slow_ns, int64_t idle_ns)
{
	struct listener_opts lo = {
		.name = "test", .address = "127.0.0.1:0", .backlog = 64,
		.fd = -1,
	};

	memset(&fx, 0, sizeof(fx));
	fx.opts = (struct http_server_opts){
		.routes = routes,
		.n_routes = sizeof(routes) / sizeof(routes[0]),
		.max_header_bytes = 4096,
		.max_body_bytes = MAX_BODY,
		.max_connections = 8,
		.header_timeout_ns = slow_ns,
		.body_timeout_ns = slow_ns,
		.body_rate = 1000,
		.idle_timeout_ns = idle_ns,
		.count = true,
	};
	assert_int_equal(loop_new("test", &fx.loop), ST_OK);
	assert_int_equal(http_server_new(fx.loop, &fx.opts, &fx.server), ST_OK);
	assert_int_equal(listener_open(&lo, &fx.listener), ST_OK);
	assert_int_equal(listener_start(fx.listener, fx.loop, accepted, NULL),
	    ST_OK);
	fx.port = listener_port(fx.listener);
	assert_int_equal(loop_start(fx.loop), ST_OK);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_with(60 * CLOCK_S, 300 * CLOCK_S);
}

static int
setup_hasty(void **state)
{
	(void)state;
	return setup_with(200 * CLOCK_MS, 1000 * CLOCK_MS);
}

static int
setup_patient(void **state)
{
	(void)state;
	return setup_with(2 * CLOCK_S, 300 * CLOCK_S);
}

static void
end_all(void *arg)
{
	(void)arg;
	listener_close(&fx.listener);
	http_server_free(&fx.server);
}

static int
teardown(void **state)
{
	(void)state;
	net_call(fx.loop, end_all, NULL);
	loop_stop(fx.loop);
	loop_join(fx.loop);
	loop_free(&fx.loop);
	return 0;
}

static void
count_connections(void *arg)
{
	*(size_t *)arg = http_server_connections(fx.server);
}

static void
wait_for(atomic_int *what, int value)
{
	int i;

	for (i = 0; i < NET_PATIENCE_MS && atomic_load(what) != value; i++)
		(void)usleep(1000);
	assert_int_equal(atomic_load(what), value);
}

/* ---- tests -------------------------------------------------------------------------- */

static struct net_message m;

static void
test_answers_and_keeps(void **state)
{
	int fd = net_connect(fx.port), i;

	(void)state;
	for (i = 0; i < 3; i++) {
		net_say(fd, "POST /echo?a=b HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 5\r\n\r\nhello");
		net_message(fd, &m);
		assert_int_equal(m.status, 200);
		assert_string_equal(m.body, "hello");
		assert_non_null(strstr(m.head, "\r\nX-Query: a=b\r\n"));
		assert_non_null(strstr(m.head, "\r\nDate: "));
		assert_null(strstr(m.head, "Connection"));
	}
	close(fd);
}

static void
pass_to_echo(void *arg)
{
	(void)arg;
	assert_string_equal(http_request_edge(fx.held), "127.0.0.1");
	http_request_set_edge(fx.held, "somebody");
	assert_string_equal(http_request_edge(fx.held), "somebody");
	http_request_pass(fx.held, &echo, NULL);
}

static void
pass_to_no(void *arg)
{
	(void)arg;
	http_request_pass(fx.held, &no, (void *)(uintptr_t)&media_type);
}

static void
pass_to_no_too(void *arg)
{
	(void)arg;
	http_request_pass(fx.held, &no_too, (void *)(uintptr_t)&media_type);
}

static void
answer_held(void *arg)
{
	(void)arg;
	http_respond_status(fx.held, ST_BUSY, NULL, 3);
}

/* The body is not asked for before it is wanted. */
static void
test_passed_on_later(void **state)
{
	int fd = net_connect(fx.port), i;

	(void)state;
	for (i = 1; i < 3; i++) {
		net_say(fd, "POST /ponder?a=b HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
		wait_for(&fx.begun, 2 * i - 1);
		assert_false(net_readable(fd, 50));
		net_call(fx.loop, pass_to_echo, NULL);
		net_message(fd, &m);
		assert_int_equal(m.status, 100);
		net_say(fd, "hello");
		net_message(fd, &m);
		assert_int_equal(m.status, 200);
		assert_string_equal(m.body, "hello");
	}
	net_say(fd, "GET /ponder HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for(&fx.begun, 5);
	net_call(fx.loop, pass_to_echo, NULL);
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	close(fd);
}

static void
test_answered_later_without_the_body(void **state)
{
	static const struct {
		void (*call)(void *);
		int status;
	} end[] = {
		{ pass_to_no, 415 }, { pass_to_no_too, 415 },
		{ answer_held, 503 },
	};
	int fd = net_connect(fx.port);
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		net_say(fd, "POST /ponder HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 5\r\n\r\nhello");
		wait_for(&fx.begun, (int)(i < 2 ? 2 * i + 1 : 5));
		net_call(fx.loop, end[i].call, NULL);
		net_message(fd, &m);
		assert_int_equal(m.status, end[i].status);
	}
	close(fd);
}

/* Nobody is waited for without end once the request is passed on. */
static void
test_passed_on_and_slow(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /ponder HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 5\r\n\r\n");
	wait_for(&fx.begun, 1);
	net_call(fx.loop, pass_to_echo, NULL);
	net_expect_end(fd);
	wait_for(&fx.gone, 1);
	assert_int_equal(fx.gone_why, ST_SLOW);
}

/* The server ends, and the request with it. */
static void
test_gone_before_it_is_passed_on(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "GET /ponder HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for(&fx.begun, 1);
	net_call(fx.loop, end_all, NULL);
	assert_int_equal(fx.gone, 1);
	assert_int_equal(fx.gone_why, ST_STOPPING);
	close(fd);
}

static void
test_large_body_in_pieces(void **state)
{
	enum { SIZE = 900000 };
	char *body = malloc(SIZE);
	int fd = net_connect(fx.port);

	(void)state;
	memset(body, 'x', SIZE);
	net_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 900000\r\n\r\n");
	net_send(fd, body, SIZE);
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_string_equal(m.body, "900000");
	free(body);
	close(fd);
}

static void
test_chunked_byte_by_byte(void **state)
{
	const char *s = "POST /echo HTTP/1.1\r\nhost: x\r\n"
	    "transfer-encoding: Chunked\r\n\r\n"
	    "3;ext=\"x\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
	    "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = net_connect(fx.port);

	(void)state;
	for (; *s; s++)
		net_send(fd, s, 1);
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_string_equal(m.body, "abc0123456789");
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_int_equal(m.body_len, 0);
	close(fd);
}

static void
test_pipelined_in_order(void **state)
{
	struct buf b;
	char expected[16];
	int fd = net_connect(fx.port), i;

	(void)state;
	buf_init(&b, 1 << 20);
	for (i = 0; i < 200; i++)
		buf_printf(&b, "POST /echo HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 3\r\n\r\n%03d", i);
	net_send(fd, b.data, b.len);
	for (i = 0; i < 200; i++) {
		net_message(fd, &m);
		assert_int_equal(m.status, 200);
		snprintf(expected, sizeof(expected), "%03d", i);
		assert_string_equal(m.body, expected);
	}
	buf_fini(&b);
	close(fd);
}

/* One who asks and does not listen is not read on: what waits for him stays
 * bounded, and all of it arrives when he listens again. */
static void
test_pipelined_without_reading(void **state)
{
	static const char ask[] = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
	const size_t n = sizeof(ask) - 1;
	static char in[1 << 16];
	size_t sent = 0, answers = 0, i;
	int fd = net_connect(fx.port), small = 1 << 14;
	ssize_t rc;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (sent < 2000000 * n) {
		rc = send(fd, ask + sent % n, n - sent % n,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (rc > 0)
			sent += (size_t)rc;
		else if (poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1,
		    200) == 0)
			break;
	}
	/* far from all that were to be sent */
	assert_true(sent < 1000000 * n);
	while (answers < sent / n) {
		assert_true(net_readable(fd, NET_PATIENCE_MS));
		rc = recv(fd, in, sizeof(in), 0);
		assert_true(rc > 0);
		for (i = 0; i < (size_t)rc; i++)
			answers += in[i] == 'H';	/* TTP/1.1 */
	}
	assert_int_equal(answers, sent / n);
	close(fd);
}

/* The next request waits until the answer to the one before is queued. */
static void
test_pipelined_waits_for_answer(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
	    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
	wait_for(&fx.ended, 1);
	assert_false(net_readable(fd, 50));
	assert_int_equal(fx.begun, 1);
	net_call(fx.loop, release, NULL);
	net_message(fd, &m);
	assert_int_equal(m.status, 204);
	assert_null(strcasestr(m.head, "content-length"));
	net_message(fd, &m);
	assert_string_equal(m.body, "ok");
	close(fd);
}

static void
test_continue_only_when_wanted(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
	    "Expect: 100-continue\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 100);
	net_say(fd, "ok");
	net_message(fd, &m);
	assert_string_equal(m.body, "ok");
	net_say(fd, "POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
	    "Expect: 100-continue\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 415);
	assert_non_null(strstr(m.head, "\r\nConnection: close\r\n"));
	net_expect_end(fd);
	close(fd);
}

static void
test_routes(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 404);
	net_say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 405);
	assert_non_null(strstr(m.head, "\r\nAllow: POST\r\n"));
	net_say(fd, "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxx");
	net_message(fd, &m);
	assert_int_equal(m.status, 405);
	assert_non_null(strstr(m.head, "\r\nAllow: POST, GET, HEAD\r\n"));
	/* an empty line before a request is passed over */
	net_say(fd, "\r\nGET http://elsewhere:80/echo?q HTTP/1.1\r\nHost: x\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_non_null(strstr(m.head, "\r\nX-Query: q\r\n"));
	close(fd);
}

static void
test_head_has_no_body(void **state)
{
	char rest[256];
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	net_say(fd, "HEAD /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	net_until(fd, "\r\n\r\n", m.head, sizeof(m.head));
	assert_non_null(strstr(m.head, "404"));
	assert_non_null(strstr(m.head, "Content-Length: 1"));
	assert_int_equal(net_until(fd, "never", rest, sizeof(rest)), 0);
	close(fd);
}

static void
test_declared_too_large(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1048577\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 413);
	assert_int_equal(fx.begun, 0);
	close(fd);
}

/* The whole of a body that nobody wants arrives, and so does the answer. */
static void
test_early_answer_is_not_eaten(void **state)
{
	enum { SIZE = 8 << 20 };
	char *body = calloc(1, SIZE);
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /no HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1000000\r\n\r\n");
	net_send(fd, body, 1000000);
	net_message(fd, &m);
	assert_int_equal(m.status, 415);
	net_expect_end(fd);
	close(fd);
	fd = net_connect(fx.port);
	net_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 8388608\r\n\r\n");
	net_send(fd, body, SIZE);
	net_message(fd, &m);
	assert_int_equal(m.status, 413);
	free(body);
	close(fd);
}

static void
test_early_answer_keeps_short(void **state)
{
	int fd = net_connect(fx.port), i;

	(void)state;
	for (i = 0; i < 3; i++) {
		net_say(fd, i & 1 ? "POST /no HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 4\r\n\r\n" :
		    "POST /no-too HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 4\r\n\r\n");
		net_message(fd, &m);
		assert_int_equal(m.status, 415);
		assert_null(strstr(m.head, "Connection"));
		net_say(fd, "GET ");
	}
	net_say(fd, "POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 503);
	assert_non_null(strstr(m.head, "\r\nRetry-After: 7\r\n"));
	net_say(fd, "POST /no-in-body HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 4\r\n\r\nbody");
	net_message(fd, &m);
	assert_int_equal(m.status, 400);
	assert_null(strstr(m.head, "Connection"));
	net_say(fd, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_int_equal(fx.gone, 0);
	close(fd);
}

static void
test_chunked_too_large(void **state)
{
	static char chunk[70000];
	int fd = net_connect(fx.port), i;

	(void)state;
	net_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (i = 0; i < 20; i++) {
		net_say(fd, "10000\r\n");
		net_send(fd, chunk, 0x10000);
		net_say(fd, "\r\n");
	}
	net_message(fd, &m);
	assert_int_equal(m.status, 413);
	wait_for(&fx.gone, 1);
	assert_int_equal(fx.gone_why, ST_TOO_LARGE);
	close(fd);
}

static void
test_waits_and_resumes(void **state)
{
	enum { SIZE = 700000 };
	char *body = calloc(1, SIZE);
	bool any;
	int fd = net_connect(fx.port), i;

	(void)state;
	net_say(fd, "POST /slow HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 700000\r\n\r\n");
	net_send(fd, body, SIZE);
	for (i = 0; i < 500 && !net_readable(fd, 2); i++)
		net_call(fx.loop, resume, &any);
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_string_equal(m.body, "700000");
	/* and when it waits at the last piece */
	net_say(fd, "POST /slow HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1\r\n\r\nx");
	assert_false(net_readable(fd, 400));
	assert_int_equal(fx.ended, 1);
	net_call(fx.loop, resume, &any);
	assert_true(any);
	net_message(fd, &m);
	assert_string_equal(m.body, "x");
	free(body);
	close(fd);
}

static void
test_malformed_is_refused(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "GET / HTTP/2.0\r\n", 505 },
		{ "nonsense\r\n", 400 },
		{ "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400 },
		{ "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked"
		  "\r\n\r\n", 501 },
		{ "POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417 },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\n"
		  "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400 },
	};
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = net_connect(fx.port);
		net_say(fd, cases[i].text);
		net_message(fd, &m);
		assert_int_equal(m.status, cases[i].status);
		assert_non_null(strstr(m.head, "\r\nConnection: close\r\n"));
		net_expect_end(fd);
		close(fd);
	}
	wait_for(&fx.gone, 1);
	assert_int_equal(fx.gone_why, ST_BAD_REQUEST);
}

static void
test_large_head(void **state)
{
	static char long_line[5000];
	int fd = net_connect(fx.port);

	(void)state;
	memset(long_line, 'a', sizeof(long_line));
	net_say(fd, "GET /");
	net_send(fd, long_line, sizeof(long_line));
	net_message(fd, &m);
	assert_int_equal(m.status, 431);
	close(fd);
}

static void
test_old_client(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_non_null(strstr(m.head, "\r\nConnection: keep-alive\r\n"));
	net_say(fd, "GET /echo HTTP/1.0\r\n\r\n");
	net_message(fd, &m);
	assert_int_equal(m.status, 200);
	assert_non_null(strstr(m.head, "\r\nConnection: close\r\n"));
	net_expect_end(fd);
	close(fd);
}

static void
test_slow_peers_are_cut(void **state)
{
	int idle = net_connect(fx.port), head = net_connect(fx.port);
	int body = net_connect(fx.port);

	(void)state;
	net_say(head, "GET /echo HT");
	net_say(body, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 10\r\n\r\nabc");
	/* no answer: 408 would make a sender throw its data away */
	net_expect_end(head);
	net_expect_end(body);
	assert_false(net_readable(idle, 100));
	net_expect_end(idle);
	wait_for(&fx.gone, 1);
	assert_int_equal(fx.gone_why, ST_SLOW);
	close(idle);
	close(head);
	close(body);
}

/* A piece now and then keeps a connection only if it is not too little on the whole. */
static void
test_dripping_peers_are_cut(void **state)
{
	int drips = net_connect(fx.port), fair = net_connect(fx.port), i;
	char much[20000];

	(void)state;
	memset(much, 'x', sizeof(much));
	net_say(drips, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 20000\r\n\r\n");
	net_say(fair, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 20000\r\n\r\n");
	net_send(fair, much, 19000);
	for (i = 0; i < 300 && !net_readable(drips, 100); i++) {
		(void)!send(drips, "x", 1, MSG_NOSIGNAL);
		net_send(fair, "x", 1);
	}
	assert_true(i < 300);
	wait_for(&fx.gone, 1);
	assert_int_equal(fx.gone_why, ST_SLOW);
	net_send(fair, much, (size_t)(1000 - i));
	net_message(fair, &m);
	assert_int_equal(m.status, 200);
	close(drips);
	close(fair);
}

static void
test_peer_leaves(void **state)
{
	struct linger reset = { .l_onoff = 1 };
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 10\r\n\r\nabc");
	wait_for(&fx.begun, 1);
	close(fd);
	wait_for(&fx.gone, 1);
	fd = net_connect(fx.port);
	net_say(fd, "POST /hold HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1\r\n\r\nx");
	wait_for(&fx.ended, 1);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	wait_for(&fx.gone, 2);
	assert_int_equal(fx.gone_why, ST_GONE);
}

/* A client that has ended its side after the request still gets the answer. */
static void
test_half_closed_is_answered(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /hold HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1\r\n\r\nx");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	wait_for(&fx.ended, 1);
	net_call(fx.loop, release, NULL);
	net_message(fd, &m);
	assert_int_equal(m.status, 204);
	net_expect_end(fd);
	close(fd);
}

static void
test_too_many_connections(void **state)
{
	int fds[8], extra, i;

	(void)state;
	for (i = 0; i < 8; i++) {
		fds[i] = net_connect(fx.port);
		net_say(fds[i], "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
		net_message(fds[i], &m);
		assert_int_equal(m.status, 200);
	}
	extra = net_connect(fx.port);
	net_message(extra, &m);
	assert_int_equal(m.status, 503);
	assert_non_null(strstr(m.head, "\r\nRetry-After: "));
	net_expect_end(extra);
	close(extra);
	for (i = 0; i < 8; i++)
		close(fds[i]);
}

static void
drained(void *arg)
{
	(void)arg;
	atomic_store(&fx.drained, true);
}

static void
drain(void *arg)
{
	(void)arg;
	http_server_drain(fx.server, drained, NULL);
}

static void
test_drain(void **state)
{
	int idle = net_connect(fx.port), busy_one = net_connect(fx.port);
	size_t n;

	(void)state;
	net_say(busy_one, "POST /hold HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1\r\n\r\nx");
	wait_for(&fx.ended, 1);
	net_call(fx.loop, drain, NULL);
	net_expect_end(idle);
	net_call(fx.loop, count_connections, &n);
	assert_int_equal(n, 1);
	assert_false(atomic_load(&fx.drained));
	net_call(fx.loop, release, NULL);
	net_message(busy_one, &m);
	assert_int_equal(m.status, 204);
	assert_non_null(strstr(m.head, "\r\nConnection: close\r\n"));
	net_expect_end(busy_one);
	while (!atomic_load(&fx.drained))
		(void)usleep(1000);
	close(idle);
	close(busy_one);
}

static void
test_free_tells_open_requests(void **state)
{
	int fd = net_connect(fx.port);

	(void)state;
	net_say(fd, "POST /hold HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1\r\n\r\nx");
	wait_for(&fx.ended, 1);
	net_call(fx.loop, end_all, NULL);
	assert_int_equal(fx.gone, 1);
	assert_int_equal(fx.gone_why, ST_STOPPING);
	net_expect_end(fd);
	close(fd);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers_and_keeps),
		TEST(test_large_body_in_pieces),
		TEST(test_chunked_byte_by_byte),
		TEST(test_pipelined_in_order),
		TEST(test_pipelined_waits_for_answer),
		TEST(test_pipelined_without_reading),
		TEST(test_continue_only_when_wanted),
		TEST(test_routes),
		TEST(test_head_has_no_body),
		TEST(test_declared_too_large),
		TEST(test_early_answer_is_not_eaten),
		TEST(test_early_answer_keeps_short),
		TEST(test_chunked_too_large),
		TEST(test_waits_and_resumes),
		TEST(test_malformed_is_refused),
		TEST(test_large_head),
		TEST(test_old_client),
		cmocka_unit_test_setup_teardown(test_dripping_peers_are_cut,
		    setup_patient, teardown),
		cmocka_unit_test_setup_teardown(test_slow_peers_are_cut,
		    setup_hasty, teardown),
		TEST(test_passed_on_later),
		TEST(test_answered_later_without_the_body),
		cmocka_unit_test_setup_teardown(test_passed_on_and_slow,
		    setup_hasty, teardown),
		TEST(test_gone_before_it_is_passed_on),
		TEST(test_peer_leaves),
		TEST(test_half_closed_is_answered),
		TEST(test_too_many_connections),
		TEST(test_drain),
		TEST(test_free_tells_open_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
