/* test_http2.c - a connection with HTTP/2 over the fake network, in virtual time:
 * what handlers and the peer see of it, frame by frame.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/server.h"
#include "io/stream.h"

#define PORT 80
#define MAX_BODY (2 << 20)
#define WINDOW (1 << 20)		/* of a stream, as SETTINGS says */

enum { DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static struct loop *loop;
static struct http_server *server;
static struct http_server_opts opts;

/* ---- handlers: what they see is written down ----------------------------------- */

static struct buf seen;
static struct http_request *held;
static size_t body_bytes;

static enum status
note_begin(struct http_request *r, void *arg)
{
	(void)arg;
	buf_printf(&seen, "begin %.*s %lld\n", (int)http_request_path(r).n,
	    (const char *)http_request_path(r).p,
	    (long long)http_request_length(r));
	return ST_OK;
}

static enum status
note_body(struct http_request *r, struct bytes piece)
{
	(void)r;
	body_bytes += piece.n;
	return ST_OK;
}

static void
note_gone(struct http_request *r, enum status why)
{
	if (held == r)
		held = NULL;
	buf_printf(&seen, "gone %s\n", status_info(why)->word);
}

static void
now_end(struct http_request *r)
{
	struct http_header h = { BYTES_LIT("X-Query"), http_request_query(r) };
	struct http_response response = { .status = 200, .headers = { &h, 1 } };

	buf_printf(&seen, "end %zu\n", body_bytes);
	body_bytes = 0;
	response.body = buf_new(16);
	buf_append_str(response.body, "done");
	http_respond(r, &response);
}

static void
hold_end(struct http_request *r)
{
	buf_printf(&seen, "end %zu\n", body_bytes);
	held = r;
}

static enum status
slow_body(struct http_request *r, struct bytes piece)
{
	body_bytes += piece.n;
	held = r;
	return ST_WAIT;
}

static enum status
order_body(struct http_request *r, struct bytes piece)
{
	buf_printf(&seen, "piece %zu\n", piece.n);
	held = r;
	return ST_WAIT;
}

/* The one that waits may go on. */
static void
wake_end(struct http_request *r)
{
	http_request_resume(held);
	now_end(r);
}

static enum status
early_begin(struct http_request *r, void *arg)
{
	(void)r;
	(void)arg;
	return ST_MEDIA_TYPE;
}

static enum status
part_body(struct http_request *r, struct bytes piece)
{
	(void)r;
	(void)piece;
	return ST_BAD_SNAPPY;
}

static void
large_end(struct http_request *r)
{
	static const char text[100000];
	struct http_response response = { .status = 200 };

	response.body = buf_new(sizeof(text));
	buf_append(response.body, text, sizeof(text));
	http_respond(r, &response);
}

static const struct http_handler now = {
	note_begin, note_body, now_end, note_gone
}, hold = {
	note_begin, note_body, hold_end, note_gone
}, slow = {
	note_begin, slow_body, now_end, note_gone
}, order = {
	note_begin, order_body, now_end, note_gone
}, wake = {
	note_begin, note_body, wake_end, note_gone
}, early = {
	early_begin, NULL, NULL, NULL
}, part = {
	note_begin, part_body, NULL, note_gone
}, large = {
	note_begin, note_body, large_end, note_gone
};
static const struct http_route routes[] = {
	{ "POST", "/now", &now, NULL },
	{ "GET", "/now", &now, NULL },
	{ "POST", "/hold", &hold, NULL },
	{ "POST", "/slow", &slow, NULL },
	{ "POST", "/order", &order, NULL },
	{ "POST", "/wake", &wake, NULL },
	{ "POST", "/early", &early, NULL },
	{ "POST", "/part", &part, NULL },
	{ "GET", "/large", &large, NULL },
};

#define assert_seen(text) do { \
	buf_append(&seen, "", 1); \
	assert_string_equal((char *)seen.data, text); \
	buf_reset(&seen, 0); \
} while (0)

static void
answer_held(void)
{
	struct http_request *r = held;

	held = NULL;
	http_respond_status(r, ST_OK, NULL, 0);
	fake_settle();
}

/* ---- the peer ---------------------------------------------------------------------- */

static struct stream *peer;
static struct buf heard, story;
static bool deaf;			/* it reads nothing */
static bool hasty;			/* it says more at once */

static void
on_peer(struct stream *s, enum stream_event event, void *arg)
{
	struct bytes in = stream_input(s);

	(void)arg;
	switch (event) {
	case STREAM_INPUT:
		if (deaf)
			break;
		buf_append(&heard, in.p, in.n);
		stream_consume(s, in.n);
		break;
	case STREAM_CLOSED:
	case STREAM_FAILED:
		buf_append_str(&story, event == STREAM_CLOSED ? "closed " :
		    "cut ");
		stream_close(&peer, ST_GONE);
		break;
	default:
		break;
	}
}

static void
say(struct bytes b)
{
	stream_write_copy(peer, b);
	fake_settle();
}

static void
say_frame(int type, unsigned flags, uint32_t id, const void *p, size_t n)
{
	uint8_t head[9] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n,
		(uint8_t)type, (uint8_t)flags, (uint8_t)(id >> 24),
		(uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };

	if (!peer)
		return;
	stream_write_copy(peer, bytes_of(head, sizeof(head)));
	if (n)
		stream_write_copy(peer, bytes_of(p, n));
	if (!hasty)
		fake_settle();
}

static void
say_number(int type, uint32_t id, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16),
		(uint8_t)(v >> 8), (uint8_t)v };

	say_frame(type, 0, id, b, sizeof(b));
}

/* As a literal that no table remembers. */
static void
put_field(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%c%c%s%c%s", 0, (char)strlen(name), name,
	    (char)strlen(value), value);
}

/* name, value: one field more, or NULL. */
static void
ask(uint32_t id, const char *method, const char *path, bool ends,
    const char *name, const char *value)
{
	struct buf b;

	buf_init(&b, 4096);
	put_field(&b, ":method", method);
	put_field(&b, ":scheme", "http");
	put_field(&b, ":path", path);
	put_field(&b, ":authority", "relay");
	if (name)
		put_field(&b, name, value);
	say_frame(HEADERS, END_HEADERS | (ends ? END_STREAM : 0), id, b.data,
	    b.len);
	buf_fini(&b);
}

static void
say_data(uint32_t id, size_t n, bool ends)
{
	static const uint8_t zeros[16384];
	size_t piece;

	do {
		piece = n < sizeof(zeros) ? n : sizeof(zeros);
		n -= piece;
		say_frame(DATA, ends && n == 0 ? END_STREAM : 0, id, zeros, piece);
	} while (n);
}

/* :status, the first field of a block (RFC 7541). */
static unsigned
status_of(const uint8_t *p)
{
	static const unsigned known[] = { 200, 204, 206, 304, 400, 404, 500 };
	unsigned bits, v = 0, i, shift = 24;

	while ((*p & 0xe0) == 0x20)
		p++;			/* size of the table */
	if (*p & 0x80)
		return known[(*p & 0x7f) - 8];
	p++;
	if (!(p[0] & 0x80))
		return (unsigned)(100 * (p[1] - '0') + 10 * (p[2] - '0') +
		    p[3] - '0');
	/* Huffman: 0 1 2 have 5 bits, 3 to 9 have 6 */
	bits = (unsigned)p[1] << 16 | (unsigned)p[2] << 8;
	for (i = 0; i < 3; i++) {
		bool five = (bits >> (shift - 5) & 31) < 3;

		shift -= five ? 5 : 6;
		v = v * 10 + (five ? bits >> shift & 31 :
		    (bits >> shift & 63) - 22);
	}
	return v;
}

static void
tell_frame(int type, unsigned flags, uint32_t id, const uint8_t *p, size_t n)
{
	uint32_t first = n >= 4 ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3] : 0;
	const char *end = flags & END_STREAM ? "." : "";

	switch (type) {
	case DATA:
		buf_printf(&story, "%u:data(%zu)%s ", id, n, end);
		break;
	case HEADERS:
		buf_printf(&story, "%u:%u%s ", id, status_of(p), end);
		break;
	case RST:
		buf_printf(&story, "%u:reset(%u) ", id, first);
		break;
	case SETTINGS:
		buf_append_str(&story, flags & ACK ? "ack " : "settings ");
		break;
	case PING:
		buf_append_str(&story, flags & ACK ? "pong " : "ping ");
		break;
	case GOAWAY:
		buf_printf(&story, "goaway(%u,%u) ", first, p[7]);
		break;
	case WINDOW_UPDATE:
		buf_printf(&story, "%u:window(%u) ", id, first);
		break;
	default:
		fail();
	}
}

/* What has been heard since the last time. */
static char *
told(void)
{
	static char text[4096];
	struct bytes in = buf_bytes(&heard);
	struct buf rest = story;
	size_t n;

	/* what ended it comes last */
	buf_init(&story, sizeof(text));
	while (in.n >= 9) {
		n = (size_t)in.p[0] << 16 | (size_t)in.p[1] << 8 | in.p[2];
		assert_true(in.n >= 9 + n);
		tell_frame(in.p[3], in.p[4], (uint32_t)in.p[5] << 24 |
		    (uint32_t)in.p[6] << 16 | (uint32_t)in.p[7] << 8 | in.p[8],
		    in.p + 9, n);
		in = bytes_of(in.p + 9 + n, in.n - 9 - n);
	}
	buf_append(&story, rest.data, rest.len);
	buf_append(&story, "", 1);
	memcpy(text, story.data, story.len);
	buf_fini(&rest);
	buf_reset(&story, 0);
	buf_reset(&heard, 0);
	return text;
}

static void
connect_peer(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(PORT) };
	struct loop_addr to = { .len = sizeof(v4) };

	memcpy(&to.ss, &v4, sizeof(v4));
	assert_int_equal(stream_connect(loop, &to, on_peer, NULL, &peer), ST_OK);
	fake_settle();
	say(BYTES_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	say_frame(SETTINGS, 0, 0, NULL, 0);
	say_frame(SETTINGS, ACK, 0, NULL, 0);
	assert_string_equal(told(), "settings 0:window(2031617) ack ");
}

static void
accepted(int fd, const struct loop_addr *from, void *arg)
{
	(void)arg;
	http_server_adopt(server, fd, from);
}

static int
setup(void **state)
{
	(void)state;
	opts = (struct http_server_opts){
		.routes = routes,
		.n_routes = sizeof(routes) / sizeof(routes[0]),
		.max_header_bytes = 4096, .max_body_bytes = MAX_BODY,
		.max_connections = 10,
		.header_timeout_ns = 10 * CLOCK_S,
		.body_timeout_ns = 20 * CLOCK_S,
		.idle_timeout_ns = 300 * CLOCK_S,
		.http2 = true, .count = true,
	};
	fake_network_clear();
	assert_int_equal(loop_new("loop", &loop), ST_OK);
	assert_int_equal(http_server_new(loop, &opts, &server), ST_OK);
	fake_listen(PORT, accepted, NULL);
	buf_init(&seen, 1 << 16);
	buf_init(&story, 1 << 16);
	buf_init(&heard, 16 << 20);
	held = NULL;
	body_bytes = 0;
	deaf = hasty = false;
	connect_peer();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	http_server_free(&server);
	fake_settle();
	stream_close(&peer, ST_GONE);
	fake_settle();
	assert_int_equal(fake_streams(), 0);
	loop_free(&loop);
	buf_fini(&seen);
	buf_fini(&story);
	buf_fini(&heard);
	return 0;
}

/* ---- tests: exchanges -------------------------------------------------------------- */

static void
test_exchange(void **state)
{
	(void)state;
	ask(1, "POST", "/now?a=b", false, "content-length", "5");
	assert_string_equal(told(), "");
	say_data(1, 5, true);
	assert_seen("begin /now 5\nend 5\n");
	assert_string_equal(told(), "1:200 1:data(4). ");
	ask(3, "POST", "/now", false, NULL, NULL);
	say_data(3, 40000, false);
	say_data(3, 0, true);
	assert_seen("begin /now -1\nend 40000\n");
	assert_string_equal(told(), "3:200 3:data(4). ");
	ask(5, "POST", "/now", true, NULL, NULL);
	assert_seen("begin /now 0\nend 0\n");
	ask(7, "HEAD", "/now", true, NULL, NULL);
	ask(9, "GET", "/none", true, NULL, NULL);
	ask(11, "DELETE", "/now", true, NULL, NULL);
	assert_string_equal(told(), "5:200 5:data(4). 7:200. 9:404 9:data(18). "
	    "11:405 11:data(24). ");
}

static void
test_answered_as_they_are_done(void **state)
{
	struct http_request *first;

	(void)state;
	ask(1, "POST", "/hold", true, NULL, NULL);
	first = held;
	ask(3, "POST", "/hold", true, NULL, NULL);
	ask(5, "POST", "/now", true, NULL, NULL);
	assert_string_equal(told(), "5:200 5:data(4). ");
	answer_held();
	held = first;
	answer_held();
	assert_string_equal(told(), "3:204. 1:204. ");
}

static void
test_continue(void **state)
{
	(void)state;
	ask(1, "POST", "/now", false, "expect", "100-continue");
	assert_string_equal(told(), "1:100 ");
	say_data(1, 5, true);
	assert_string_equal(told(), "1:200 1:data(4). ");
	ask(3, "POST", "/early", false, "expect", "100-continue");
	assert_string_equal(told(), "3:415 3:data(43). 3:reset(0) ");
	ask(5, "POST", "/now", false, "expect", "bread");
	assert_string_equal(told(), "5:417 5:data(15). 5:reset(0) ");
}

/* The rest of the body is thrown away, its window given back to the connection. */
static void
test_answered_early(void **state)
{
	int i;

	(void)state;
	ask(1, "POST", "/part", false, NULL, NULL);
	say_data(1, 5, false);
	assert_string_equal(told(), "1:400 1:data(40). 1:reset(0) ");
	for (i = 0; i < 3; i++) {
		say_data(1, WINDOW, false);
		assert_string_equal(told(), i ? "0:window(1048576) " : "0:window(1048581) ");
	}
	ask(3, "POST", "/now", false, NULL, NULL);
	say_data(3, MAX_BODY + 1, false);
	assert_non_null(strstr(told(), "3:413 3:data(20). 3:reset(0) "));
	assert_seen("begin /part -1\nbegin /now -1\ngone too-large\n");
	ask(5, "POST", "/now", false, "content-length", "2097153");
	assert_string_equal(told(), "5:413 5:data(20). 5:reset(0) ");
}

/* ---- windows ------------------------------------------------------------------------- */

static void
test_no_window_for_who_waits(void **state)
{
	(void)state;
	ask(1, "POST", "/slow", false, NULL, NULL);
	say_data(1, WINDOW, false);
	assert_int_equal(body_bytes, 8192 - 9);	/* the first piece */
	assert_string_equal(told(), "");
	fake_pass(3600 * CLOCK_S);		/* it is not the peer that is slow */
	assert_string_equal(told(), "");
	ask(3, "GET", "/none", true, NULL, NULL);
	assert_string_equal(told(), "3:404 3:data(18). ");
	http_request_resume(held);
	fake_settle();
	assert_int_equal(body_bytes, WINDOW);
	assert_string_equal(told(), "0:window(1048576) 1:window(1048576) ");
	say_data(1, 10, true);
	assert_int_equal(body_bytes, WINDOW);
	http_request_resume(held);
	fake_settle();
	http_request_resume(held);
	fake_settle();
	assert_seen("begin /slow -1\nend 1048586\n");
	assert_string_equal(told(), "1:200 1:data(4). ");
}

/* It was held before the handler was ready, so it comes before what follows. */
static void
test_held_comes_first(void **state)
{
	(void)state;
	ask(1, "POST", "/order", false, NULL, NULL);
	say_data(1, 1, false);
	say_data(1, 2, false);
	hasty = true;
	ask(3, "POST", "/wake", true, NULL, NULL);
	say_data(1, 4, true);
	fake_settle();
	assert_seen("begin /order -1\npiece 1\nbegin /wake 0\nend 0\n"
	    "piece 6\n");
	http_request_resume(held);
	fake_settle();
	assert_seen("end 0\n");
	assert_string_equal(told(), "3:200 3:data(4). 1:200 1:data(4). ");
}

static void
test_window_overrun(void **state)
{
	(void)state;
	ask(1, "POST", "/slow", false, NULL, NULL);
	say_data(1, WINDOW, false);
	say_data(1, 1, false);
	assert_string_equal(told(), "1:reset(3) 0:window(1048577) ");
	assert_seen("begin /slow -1\ngone flow-control\n");
	ask(3, "POST", "/slow", false, NULL, NULL);
	ask(5, "POST", "/slow", false, NULL, NULL);
	say_data(3, WINDOW, false);
	say_data(5, WINDOW - 1, false);
	ask(7, "POST", "/slow", false, NULL, NULL);
	say_data(7, 16384, false);
	say_data(7, 16384, false);
	assert_non_null(strstr(told(), "goaway(7,3) closed "));
	assert_seen("begin /slow -1\nbegin /slow -1\nbegin /slow -1\n"
	    "gone flow-control\ngone flow-control\ngone flow-control\n");
}

/* What was held of a request that has gone is given back. */
static void
test_gone_while_waiting(void **state)
{
	(void)state;
	ask(1, "POST", "/slow", false, NULL, NULL);
	say_data(1, WINDOW, false);
	assert_string_equal(told(), "");
	say_number(RST, 1, 8);
	assert_seen("begin /slow -1\ngone gone\n");
	assert_string_equal(told(), "0:window(1048576) ");
}

static void
test_answer_without_window(void **state)
{
	(void)state;
	ask(1, "GET", "/large", true, NULL, NULL);
	assert_string_equal(told(), "1:200 1:data(16384) 1:data(16384) "
	    "1:data(16384) 1:data(16383) ");
	fake_pass(10 * CLOCK_S);
	say_number(WINDOW_UPDATE, 0, 100000);
	say_number(WINDOW_UPDATE, 1, 1);
	assert_string_equal(told(), "1:data(1) ");
	fake_pass(9 * CLOCK_S);
	assert_string_equal(told(), "");
	fake_pass(2 * CLOCK_S);
	assert_string_equal(told(), "1:reset(8) ");
	ask(3, "POST", "/now", true, NULL, NULL);
	assert_string_equal(told(), "3:200 3:data(4). ");
}

static void
test_early_answer_without_window(void **state)
{
	(void)state;
	say_frame(SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
	ask(1, "POST", "/none", false, NULL, NULL);
	say_data(1, 5, true);
	assert_string_equal(told(), "ack 1:404 ");
	fake_pass(21 * CLOCK_S);
	assert_string_equal(told(), "1:reset(8) ");
	ask(3, "POST", "/early", true, NULL, NULL);
	say_number(WINDOW_UPDATE, 3, 100);
	assert_string_equal(told(), "3:415 3:data(43). ");
}

/* ---- time and endings ------------------------------------------------------------------ */

static void
test_slow_body(void **state)
{
	int64_t before = metric_reason_read(METRIC_STREAMS_REFUSED, ST_SLOW);

	(void)state;
	ask(1, "POST", "/now", false, NULL, NULL);
	ask(3, "POST", "/now", false, NULL, NULL);
	fake_pass(19 * CLOCK_S);
	say_data(1, 1, false);
	fake_pass(2 * CLOCK_S);
	assert_string_equal(told(), "3:reset(8) ");
	fake_pass(17 * CLOCK_S);
	assert_string_equal(told(), "");
	fake_pass(2 * CLOCK_S);
	assert_string_equal(told(), "1:reset(8) ");
	assert_seen("begin /now -1\nbegin /now -1\ngone slow\ngone slow\n");
	assert_int_equal(metric_reason_read(METRIC_STREAMS_REFUSED, ST_SLOW),
	    before + 2);
}

static void
test_slow_head(void **state)
{
	(void)state;
	ask(1, "POST", "/hold", true, NULL, NULL);
	say_frame(HEADERS, END_STREAM, 3, "\0\1a\1b", 5);
	fake_pass(9 * CLOCK_S);
	assert_non_null(peer);
	fake_pass(2 * CLOCK_S);
	assert_string_equal(told(), "cut ");
	assert_seen("begin /hold 0\nend 0\ngone slow\n");
}

static void
test_idle(void **state)
{
	(void)state;
	fake_pass(250 * CLOCK_S);
	ask(1, "POST", "/now", true, NULL, NULL);
	fake_pass(250 * CLOCK_S);
	say_frame(PING, 0, 0, "12345678", 8);
	assert_string_equal(told(), "1:200 1:data(4). pong ");
	fake_pass(51 * CLOCK_S);
	assert_string_equal(told(), "goaway(1,0) closed ");
	assert_int_equal(http_server_connections(server), 0);
}

/* Who reads nothing is not read from, and not waited for. */
static void
test_deaf(void **state)
{
	uint32_t id;

	(void)state;
	say_number(WINDOW_UPDATE, 0, 0x7fff0000);
	deaf = true;
	for (id = 1; id < 40001 && peer; id += 2)
		ask(id, "POST", "/now", true, NULL, NULL);
	assert_non_null(peer);
	assert_true(seen.len / strlen("begin /now 0\nend 0\n") < 15000);
	fake_pass(40 * CLOCK_S);
	assert_int_equal(http_server_connections(server), 0);
}

static void
test_peer_ends_its_side(void **state)
{
	(void)state;
	ask(1, "POST", "/hold", true, NULL, NULL);
	say_frame(GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	assert_string_equal(told(), "");
	answer_held();
	assert_string_equal(told(), "1:204. closed ");
}

static void
test_peer_leaves(void **state)
{
	(void)state;
	ask(1, "POST", "/hold", true, NULL, NULL);
	ask(3, "POST", "/now", false, NULL, NULL);
	stream_close(&peer, ST_GONE);
	fake_settle();
	assert_seen("begin /hold 0\nend 0\nbegin /now -1\ngone gone\ngone gone\n");
	assert_int_equal(http_server_connections(server), 0);
}

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static void
test_drain(void **state)
{
	bool done = false;

	(void)state;
	ask(1, "POST", "/hold", true, NULL, NULL);
	http_server_drain(server, set_true, &done);
	fake_settle();
	assert_string_equal(told(), "goaway(2147483647,0) ping ");
	ask(3, "POST", "/now", true, NULL, NULL);	/* it was on its way */
	assert_string_equal(told(), "3:200 3:data(4). ");
	say_frame(PING, ACK, 0, "\0\0\0\0\0\0\0\0", 8);
	assert_string_equal(told(), "goaway(3,0) ");
	ask(5, "POST", "/now", true, NULL, NULL);
	assert_string_equal(told(), "");
	assert_false(done);
	answer_held();
	assert_string_equal(told(), "1:204. closed ");
	assert_true(done);
}

static void
test_drain_idle(void **state)
{
	bool done = false;

	(void)state;
	http_server_drain(server, set_true, &done);
	fake_settle();
	assert_string_equal(told(), "goaway(2147483647,0) ping ");
	fake_pass(2 * CLOCK_S);		/* it does not answer */
	assert_string_equal(told(), "goaway(0,0) closed ");
	assert_true(done);
}

static void
test_server_ends(void **state)
{
	(void)state;
	ask(1, "POST", "/hold", true, NULL, NULL);
	http_server_free(&server);
	fake_settle();
	assert_seen("begin /hold 0\nend 0\ngone stopping\n");
	assert_string_equal(told(), "cut ");
}

/* ---- limits ----------------------------------------------------------------------------- */

/* A peer that gives up some of its requests all the time is no flood. */
static void
test_resets(void **state)
{
	uint32_t id;

	(void)state;
	for (id = 1; id < 1600; id += 4) {
		ask(id, "POST", "/now", false, NULL, NULL);
		ask(id + 2, "POST", "/now", true, NULL, NULL);
		say_number(RST, id, 8);
		buf_reset(&heard, 0);
	}
	assert_non_null(peer);
	for (; id < 4000 && peer; id += 2) {
		ask(id, "POST", "/now", false, NULL, NULL);
		say_number(RST, id, 8);
	}
	assert_null(peer);
	assert_true(id < 1600 + 2 * 300);
	assert_non_null(strstr(told(), ",11) closed "));
}

/* Only so much is kept of requests that are open; the rest may come again. */
static void
test_heads(void **state)
{
	char value[121];
	struct buf b;
	uint32_t id;
	int i;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	buf_init(&b, 8192);
	put_field(&b, ":method", "POST");
	put_field(&b, ":scheme", "http");
	put_field(&b, ":path", "/hold");
	put_field(&b, ":authority", "relay");
	for (i = 0; i < 20; i++)
		put_field(&b, "name", value);
	for (id = 1; id < 100; id += 2) {
		say_frame(HEADERS, END_HEADERS, id, b.data, b.len);
		if (strstr(told(), "reset(7)"))
			break;
	}
	assert_in_range(id, 60, 90);
	say_data(1, 1, true);
	answer_held();
	assert_string_equal(told(), "1:204. ");
	say_frame(HEADERS, END_HEADERS, id + 2, b.data, b.len);
	assert_string_equal(told(), "");
	buf_fini(&b);
}

static void
test_tokens_come_back(void **state)
{
	int i, k;

	(void)state;
	for (i = 0; i < 20; i++) {
		for (k = 0; k < 400; k++)
			say_frame(PING, 0, 0, "12345678", 8);
		fake_pass(CLOCK_S);
		buf_reset(&heard, 0);
	}
	assert_non_null(peer);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_exchange),
		TEST(test_answered_as_they_are_done),
		TEST(test_continue),
		TEST(test_answered_early),
		TEST(test_no_window_for_who_waits),
		TEST(test_held_comes_first),
		TEST(test_window_overrun),
		TEST(test_gone_while_waiting),
		TEST(test_answer_without_window),
		TEST(test_early_answer_without_window),
		TEST(test_slow_body),
		TEST(test_slow_head),
		TEST(test_idle),
		TEST(test_deaf),
		TEST(test_peer_ends_its_side),
		TEST(test_peer_leaves),
		TEST(test_drain),
		TEST(test_drain_idle),
		TEST(test_server_ends),
		TEST(test_resets),
		TEST(test_heads),
		TEST(test_tokens_come_back),
	};

	fake_clock_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
