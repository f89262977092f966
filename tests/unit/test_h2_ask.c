/* test_h2_ask.c - the client over HTTP/2, in virtual time, and a peer that does
 * what the protocol allows, and what it does not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/client.h"
#include "io/stream.h"

#define PORT 9201
#define PEERS 16
#define REQUESTS 64
#define BODY_MAX ((size_t)4 << 20)

static struct loop *ours, *theirs;
static struct http_client *client;
static struct http_client_opts opts;

/* ---- the peer -------------------------------------------------------------------------- */

struct peer {
	struct stream *stream;		/* NULL: it has ended */
	nghttp2_session *ng;
	unsigned resets;		/* that have come, CANCEL */
};

struct request {
	struct peer *peer;
	int32_t id;
	char fields[1024];		/* "name: value\n" */
	struct buf body;
	bool whole;
};

static struct peer peers[PEERS];
static size_t n_peers;
static struct request requests[REQUESTS];
static size_t n_requests;
static nghttp2_settings_entry settings[2];
static size_t n_settings;
static bool mute;			/* says nothing, not even settings */
static struct bytes instead;		/* says this instead */
static bool answers;			/* each request, with 204 */

static void
flush(struct peer *p)
{
	const uint8_t *piece;
	ssize_t n;

	if (!p->stream)
		return;
	while ((n = nghttp2_session_mem_send(p->ng, &piece)) > 0)
		stream_write_copy(p->stream, bytes_of(piece, (size_t)n));
	assert_true(n == 0);
}

static void
end_peer(struct peer *p)
{
	stream_close(&p->stream, ST_CANCELLED);
	nghttp2_session_del(p->ng);
	p->ng = NULL;
}

/* With such a status and a text of n bytes. */
static size_t text_left;

static ssize_t
read_text(nghttp2_session *ng, int32_t id, uint8_t *to, size_t most,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	size_t n = text_left < most ? text_left : most;

	(void)ng;
	(void)id;
	(void)source;
	(void)arg;
	memset(to, 't', n);
	text_left -= n;
	if (text_left == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv
field(char *name, char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name),
		strlen(value), 0 };
}

static char status_name[] = ":status", extra_name[] = "x-test";

static void
answer(struct request *r, char *status, char *extra, size_t text)
{
	nghttp2_nv list[] = { field(status_name, status),
		field(extra_name, extra) };
	nghttp2_data_provider body = { .read_callback = read_text };

	text_left = text;
	assert_int_equal(nghttp2_submit_response(r->peer->ng, r->id, list, 2,
	    text ? &body : NULL), 0);
	flush(r->peer);
}

static void
answer_plain(struct request *r)
{
	static char status[] = "204", extra[] = "";

	answer(r, status, extra, 0);
}

static void
reset(struct request *r, uint32_t code)
{
	assert_int_equal(nghttp2_submit_rst_stream(r->peer->ng, 0, r->id, code),
	    0);
	flush(r->peer);
}

static void
say(struct peer *p, const void *bytes, size_t n)
{
	stream_write_copy(p->stream, bytes_of(bytes, n));
}

static void
set(struct peer *p, int32_t id, uint32_t value)
{
	nghttp2_settings_entry e = { id, value };

	assert_int_equal(nghttp2_submit_settings(p->ng, 0, &e, 1), 0);
	flush(p);
}

static struct request *
request_of(struct peer *p, int32_t id)
{
	size_t i;

	for (i = 0; i < n_requests; i++) {
		if (requests[i].peer == p && requests[i].id == id)
			return &requests[i];
	}
	return NULL;
}

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct request *r = &requests[n_requests++];

	(void)ng;
	assert_in_range(n_requests, 1, REQUESTS);
	r->peer = arg;
	r->id = frame->hd.stream_id;
	buf_init(&r->body, BODY_MAX);
	return 0;
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct request *r = request_of(arg, frame->hd.stream_id);
	char *at = r->fields + strlen(r->fields);

	(void)ng;
	(void)flags;
	(void)snprintf(at, sizeof(r->fields) - strlen(r->fields), "%.*s: %.*s\n",
	    (int)name_len, (const char *)name, (int)value_len,
	    (const char *)value);
	return 0;
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
    size_t n, void *arg)
{
	(void)ng;
	(void)flags;
	assert_true(buf_append(&request_of(arg, id)->body, data, n));
	return 0;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct request *r = request_of(arg, frame->hd.stream_id);
	struct peer *p = arg;

	(void)ng;
	if (frame->hd.type == NGHTTP2_RST_STREAM &&
	    frame->rst_stream.error_code == NGHTTP2_CANCEL)
		p->resets++;
	if (!r || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	r->whole = true;
	if (answers)
		answer_plain(r);
	return 0;
}

static void
on_peer(struct stream *s, enum stream_event event, void *arg)
{
	struct peer *p = arg;
	struct bytes in = stream_input(s);

	if (event == STREAM_CLOSED || event == STREAM_FAILED) {
		end_peer(p);
		return;
	}
	if (event != STREAM_INPUT)
		return;
	if (!mute && !instead.n)
		assert_int_equal(nghttp2_session_mem_recv(p->ng, in.p, in.n),
		    in.n);
	stream_consume(s, in.n);
	if (!mute && !instead.n)
		flush(p);
}

static void
accepted(int fd, const struct loop_addr *from, void *arg)
{
	struct peer *p = &peers[n_peers++];
	nghttp2_session_callbacks *cb;

	(void)arg;
	assert_in_range(n_peers, 1, PEERS);
	assert_int_equal(stream_accept(theirs, fd, from, on_peer, p,
	    &p->stream), ST_OK);
	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	assert_int_equal(nghttp2_session_server_new(&p->ng, cb, p), 0);
	nghttp2_session_callbacks_del(cb);
	if (instead.n)
		say(p, instead.p, instead.n);
	if (instead.n || mute)
		return;
	assert_int_equal(nghttp2_submit_settings(p->ng, 0, settings,
	    n_settings), 0);
	flush(p);
}

/* ---- our side --------------------------------------------------------------------------- */

struct ask {
	struct http_exchange *exchange;
	unsigned called;
	enum status st;
	int status;
	size_t text;
	char extra[32];
	bool free_client;
};

static void
done(enum status st, const struct http_answer *a, void *arg)
{
	struct ask *k = arg;
	struct bytes h;

	k->exchange = NULL;
	k->called++;
	k->st = st;
	assert_true((st == ST_OK) == (a != NULL));
	if (a) {
		k->status = a->status;
		k->text = a->body.n;
		h = http_header(a->headers, "X-Test");
		if (h.n)
			memcpy(k->extra, h.p, h.n);
	}
	if (k->free_client)
		http_client_free(&client);
}

static void
ask(struct ask *k, struct bytes body)
{
	static const struct http_header h = { BYTES_LIT("X-Name"),
		BYTES_LIT("value") };
	struct http_call call = { "POST", { &h, 1 }, body };

	memset(k, 0, sizeof(*k));
	assert_int_equal(http_client_send(client, &call, done, k, &k->exchange),
	    ST_OK);
	assert_int_equal(k->called, 0);
}

static void
pass(void)
{
	fake_pass(10 * CLOCK_MS);
}

static void
ask_now(struct ask *k, struct bytes body)
{
	ask(k, body);
	pass();
}

static void
expect(const struct ask *k, enum status st, int status)
{
	assert_int_equal(k->called, 1);
	assert_int_equal(k->st, st);
	assert_int_equal(k->status, status);
}

static void
open_client(void)
{
	http_client_free(&client);
	assert_int_equal(http_client_new(ours, &opts, &client), ST_OK);
}

static int
setup(void **state)
{
	static int dummy;

	(void)state;
	fake_network_clear();
	fake_protocol("h2");
	fake_host("upstream", 1);
	fake_listen(PORT, accepted, NULL);
	memset(peers, 0, sizeof(peers));
	memset(requests, 0, sizeof(requests));
	n_peers = n_requests = n_settings = 0;
	mute = answers = false;
	instead.n = 0;
	opts = (struct http_client_opts){
		.connect_timeout_ns = 5 * CLOCK_S,
		.answer_timeout_ns = 30 * CLOCK_S,
		.idle_timeout_ns = 200 * CLOCK_S,
		.reconnect_ns = 600 * CLOCK_S,
		.max_body_bytes = 1000,
		.tls = (struct tls *)(void *)&dummy,	/* never looked at */
	};
	assert_null(http_url_parse("https://upstream:9201/write?x=1",
	    &opts.url));
	assert_int_equal(loop_new("ours", &ours), ST_OK);
	assert_int_equal(loop_new("theirs", &theirs), ST_OK);
	open_client();
	return 0;
}

static int
teardown(void **state)
{
	size_t i;

	(void)state;
	http_client_free(&client);
	pass();
	for (i = 0; i < n_peers; i++) {
		if (peers[i].stream)
			end_peer(&peers[i]);
	}
	for (i = 0; i < n_requests; i++)
		buf_fini(&requests[i].body);
	fake_settle();
	assert_int_equal(fake_streams(), 0);
	loop_free(&ours);
	loop_free(&theirs);
	return 0;
}

static void
limit_streams(uint32_t most)
{
	settings[n_settings++] = (nghttp2_settings_entry){
		NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, most };
}

static struct bytes
much(size_t n)
{
	static uint8_t bytes[BODY_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	return bytes_of(bytes, n);
}

/* ---- what goes well --------------------------------------------------------------------- */

static void
test_request_as_written(void **state)
{
	static char status[] = "429", extra[] = "yes";
	struct ask a;

	(void)state;
	ask_now(&a, BYTES_LIT("hello"));
	assert_int_equal(n_requests, 1);
	assert_string_equal(requests[0].fields, ":method: POST\n"
	    ":scheme: https\n:authority: upstream:9201\n:path: /write?x=1\n"
	    "content-length: 5\nx-name: value\n");
	assert_true(bytes_eq(buf_bytes(&requests[0].body), BYTES_LIT("hello")));
	assert_true(requests[0].whole);
	assert_int_equal(a.called, 0);
	answer(&requests[0], status, extra, 3);
	pass();
	expect(&a, ST_OK, 429);
	assert_string_equal(a.extra, "yes");
	assert_int_equal(a.text, 3);
}

/* All on one connection, answered from the last to the first. */
static void
test_many_share_a_connection(void **state)
{
	enum { N = 20 };
	struct ask asks[N];
	size_t i;

	(void)state;
	for (i = 0; i < N; i++)
		ask(&asks[i], BYTES_LIT("x"));
	pass();
	assert_int_equal(n_requests, N);
	assert_int_equal(n_peers, 1);
	for (i = N; i-- > 0;) {
		answer_plain(&requests[i]);
		pass();
		expect(&asks[i], ST_OK, 204);
	}
	assert_int_equal(n_peers, 1);
	/* kept until it is idle for long */
	fake_pass(199 * CLOCK_S);
	assert_non_null(peers[0].stream);
	fake_pass(2 * CLOCK_S);
	assert_null(peers[0].stream);
}

static void
test_bodies_arrive_whole(void **state)
{
	struct bytes body = much(3000000);
	struct ask a, b, c;

	(void)state;
	answers = true;
	fake_latency(5 * CLOCK_MS);
	ask(&a, body);
	ask(&b, bytes_of(body.p + 1, 200001));
	ask(&c, bytes_of(NULL, 0));
	fake_pass(20 * CLOCK_S);
	expect(&a, ST_OK, 204);
	expect(&b, ST_OK, 204);
	expect(&c, ST_OK, 204);
	assert_true(bytes_eq(buf_bytes(&requests[0].body), body));
	assert_true(bytes_eq(buf_bytes(&requests[1].body),
	    bytes_of(body.p + 1, 200001)));
	assert_int_equal(n_peers, 1);
}

static void
test_tiny_windows(void **state)
{
	struct bytes body = much(20000);
	struct ask a, b;

	(void)state;
	fake_latency(CLOCK_MS);
	answers = true;
	settings[n_settings++] = (nghttp2_settings_entry){
		NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 3 };
	ask(&a, body);
	ask(&b, body);
	pass();
	/* a larger one in mid-flight, and one that is less than was used */
	assert_int_equal(a.called, 0);
	set(&peers[0], NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 5000);
	pass();
	set(&peers[0], NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000);
	fake_pass(10 * CLOCK_S);
	expect(&a, ST_OK, 204);
	expect(&b, ST_OK, 204);
	assert_true(bytes_eq(buf_bytes(&requests[0].body), body));
	assert_true(bytes_eq(buf_bytes(&requests[1].body), body));
}

/* ---- how many at a time ------------------------------------------------------------------ */

static void
test_one_at_a_time(void **state)
{
	struct ask asks[3], more;
	size_t i;

	(void)state;
	limit_streams(1);
	for (i = 0; i < 3; i++)
		ask(&asks[i], BYTES_LIT("x"));
	pass();
	assert_int_equal(n_peers, 3);
	assert_int_equal(n_requests, 3);
	ask_now(&more, BYTES_LIT("y"));
	assert_int_equal(n_peers, 4);
	for (i = 0; i < 4; i++)
		answer_plain(&requests[i]);
	pass();
	for (i = 0; i < 3; i++)
		expect(&asks[i], ST_OK, 204);
	expect(&more, ST_OK, 204);
	ask_now(&more, BYTES_LIT("z"));
	assert_int_equal(n_peers, 4);
}

static void
test_none_for_now(void **state)
{
	struct ask a, b, late;

	(void)state;
	limit_streams(0);
	ask(&a, BYTES_LIT("a"));
	ask(&b, BYTES_LIT("b"));
	fake_pass(20 * CLOCK_S);
	assert_int_equal(n_requests, 0);
	assert_int_equal(n_peers, 1);
	set(&peers[0], NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
	pass();
	assert_int_equal(n_requests, 1);
	answer_plain(&requests[0]);
	pass();
	expect(&a, ST_OK, 204);
	assert_int_equal(n_requests, 2);
	answer_plain(&requests[1]);
	pass();
	expect(&b, ST_OK, 204);
	set(&peers[0], NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
	pass();
	ask(&late, BYTES_LIT("c"));
	fake_pass(31 * CLOCK_S);
	expect(&late, ST_TIMEOUT, 0);
	assert_int_equal(n_peers, 1);
}

/* Fewer than there are: those that are there go on. */
static void
test_fewer_in_mid_flight(void **state)
{
	struct ask a, b, c;

	(void)state;
	ask(&a, BYTES_LIT("a"));
	ask_now(&b, BYTES_LIT("b"));
	set(&peers[0], NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
	pass();
	ask_now(&c, BYTES_LIT("c"));
	assert_int_equal(n_peers, 2);
	answer_plain(&requests[0]);
	answer_plain(&requests[1]);
	answer_plain(&requests[2]);
	pass();
	expect(&a, ST_OK, 204);
	expect(&b, ST_OK, 204);
	expect(&c, ST_OK, 204);
}

/* ---- what the peer does not want ---------------------------------------------------------- */

static void
test_goaway(void **state)
{
	struct bytes body = much(300000);
	struct ask a, b, c;

	(void)state;
	ask(&a, BYTES_LIT("a"));
	ask_now(&b, body);
	/* the first is worked on, the second has not been looked at */
	assert_int_equal(nghttp2_submit_goaway(peers[0].ng, 0, requests[0].id,
	    NGHTTP2_NO_ERROR, NULL, 0), 0);
	flush(&peers[0]);
	pass();
	assert_int_equal(n_peers, 2);
	assert_int_equal(b.called, 0);
	assert_ptr_equal(requests[2].peer, &peers[1]);
	fake_pass(CLOCK_S);
	assert_true(bytes_eq(buf_bytes(&requests[2].body), body));
	ask_now(&c, BYTES_LIT("c"));
	assert_int_equal(n_peers, 2);
	assert_non_null(peers[0].stream);
	answer_plain(&requests[0]);
	answer_plain(&requests[2]);
	answer_plain(&requests[3]);
	pass();
	expect(&a, ST_OK, 204);
	expect(&b, ST_OK, 204);
	expect(&c, ST_OK, 204);
	assert_null(peers[0].stream);
	assert_non_null(peers[1].stream);
}

static void
test_goaway_when_kept(void **state)
{
	struct ask a;

	(void)state;
	answers = true;
	ask_now(&a, BYTES_LIT("a"));
	assert_int_equal(nghttp2_session_terminate_session(peers[0].ng,
	    NGHTTP2_NO_ERROR), 0);
	flush(&peers[0]);
	pass();
	assert_null(peers[0].stream);
	ask_now(&a, BYTES_LIT("b"));
	expect(&a, ST_OK, 204);
	assert_int_equal(n_peers, 2);
}

/* To all who come: nobody is to knock for ever. */
static void
test_goaway_at_once(void **state)
{
	static const uint8_t good_bye[] = "\0\0\0\4\0\0\0\0\0"
	    "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0";
	struct ask a, b;

	(void)state;
	instead = bytes_of(good_bye, sizeof(good_bye));
	ask(&a, BYTES_LIT("a"));
	ask_now(&b, BYTES_LIT("b"));
	expect(&a, ST_CUT, 0);
	expect(&b, ST_CUT, 0);
	assert_int_equal(n_peers, 1);
	instead.n = 0;
	limit_streams(0);
	ask_now(&a, BYTES_LIT("a"));
	assert_int_equal(a.called, 0);
	assert_int_equal(nghttp2_session_terminate_session(peers[1].ng,
	    NGHTTP2_NO_ERROR), 0);
	flush(&peers[1]);
	pass();
	expect(&a, ST_CUT, 0);
	assert_int_equal(n_peers, 2);
}

static void
test_refused(void **state)
{
	struct ask a, b;

	(void)state;
	ask(&a, BYTES_LIT("a"));
	ask_now(&b, BYTES_LIT("b"));
	reset(&requests[0], NGHTTP2_REFUSED_STREAM);
	pass();
	assert_int_equal(n_requests, 3);
	assert_true(bytes_eq(buf_bytes(&requests[2].body), BYTES_LIT("a")));
	answer_plain(&requests[2]);
	/* once, not for ever */
	reset(&requests[1], NGHTTP2_REFUSED_STREAM);
	pass();
	assert_int_equal(n_requests, 4);
	reset(&requests[3], NGHTTP2_REFUSED_STREAM);
	pass();
	expect(&a, ST_OK, 204);
	expect(&b, ST_RESET, 0);
	assert_int_equal(n_requests, 4);
	assert_int_equal(n_peers, 1);
}

static void
test_reset(void **state)
{
	struct bytes body = much(1000000);
	struct ask a, b;

	(void)state;
	ask(&a, body);
	ask_now(&b, BYTES_LIT("b"));
	reset(&requests[0], NGHTTP2_INTERNAL_ERROR);
	pass();
	expect(&a, ST_RESET, 0);
	assert_int_equal(b.called, 0);
	answer_plain(&requests[1]);
	pass();
	expect(&b, ST_OK, 204);
	ask_now(&a, BYTES_LIT("a"));
	assert_int_equal(n_peers, 1);
	assert_int_equal(n_requests, 3);
}

/* ---- what is given up -------------------------------------------------------------------- */

static void
test_early_answer(void **state)
{
	struct bytes body = much(1000000);
	struct ask a, b;

	(void)state;
	settings[n_settings++] = (nghttp2_settings_entry){
		NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0 };
	ask_now(&a, body);
	answer_plain(&requests[0]);
	pass();
	expect(&a, ST_OK, 204);
	assert_int_equal(peers[0].resets, 1);
	ask_now(&b, bytes_of(NULL, 0));
	answer_plain(&requests[1]);
	pass();
	expect(&b, ST_OK, 204);
	assert_int_equal(n_peers, 1);
}

static void
test_cancel(void **state)
{
	struct bytes body = much(1000000);
	static char status[] = "200", extra[] = "late";
	struct ask a, b;

	(void)state;
	fake_latency(CLOCK_S);
	ask(&a, body);
	ask(&b, BYTES_LIT("b"));
	fake_pass(5 * CLOCK_S);
	/* the answer and the end of the stream meet on the way */
	http_exchange_cancel(&a.exchange);
	answer(&requests[0], status, extra, 5);
	answer_plain(&requests[1]);
	fake_pass(5 * CLOCK_S);
	assert_int_equal(a.called, 0);
	expect(&b, ST_OK, 204);
	assert_int_equal(peers[0].resets, 1);
	assert_non_null(peers[0].stream);
	ask(&b, BYTES_LIT("b"));
	fake_pass(5 * CLOCK_S);
	assert_int_equal(n_peers, 1);
	assert_int_equal(n_requests, 3);
}

static void
test_timeout(void **state)
{
	struct ask a, b, c;

	(void)state;
	ask_now(&a, BYTES_LIT("a"));
	fake_pass(20 * CLOCK_S);
	ask_now(&b, BYTES_LIT("b"));
	answer_plain(&requests[1]);
	pass();
	expect(&b, ST_OK, 204);
	/* it is alive, hence the connection goes on */
	fake_pass(10 * CLOCK_S);
	expect(&a, ST_TIMEOUT, 0);
	assert_int_equal(peers[0].resets, 1);
	assert_non_null(peers[0].stream);
	/* it says nothing any more: the next goes elsewhere */
	ask_now(&a, BYTES_LIT("a"));
	mute = true;
	pass();
	ask(&b, BYTES_LIT("b"));
	fake_pass(30 * CLOCK_S);
	expect(&b, ST_TIMEOUT, 0);
	mute = false;
	answers = true;
	ask_now(&c, BYTES_LIT("c"));
	expect(&c, ST_OK, 204);
	assert_int_equal(n_peers, 2);
	assert_null(peers[0].stream);
}

static void
test_old_is_replaced(void **state)
{
	struct ask a, b;

	(void)state;
	opts.reconnect_ns = 20 * CLOCK_S;
	open_client();
	ask_now(&a, BYTES_LIT("a"));
	fake_pass(20 * CLOCK_S);
	ask_now(&b, BYTES_LIT("b"));
	assert_int_equal(n_peers, 2);
	answer_plain(&requests[0]);
	answer_plain(&requests[1]);
	pass();
	expect(&a, ST_OK, 204);
	expect(&b, ST_OK, 204);
	assert_null(peers[0].stream);
	assert_non_null(peers[1].stream);
}

static void
test_freed_by_the_first(void **state)
{
	struct ask a, b;

	(void)state;
	ask(&a, BYTES_LIT("a"));
	ask_now(&b, BYTES_LIT("b"));
	a.free_client = true;
	answer_plain(&requests[0]);
	answer_plain(&requests[1]);
	pass();
	expect(&a, ST_OK, 204);
	assert_int_equal(b.called, 0);
	assert_null(client);
}

/* ---- what goes wrong --------------------------------------------------------------------- */

static void
test_cut(void **state)
{
	struct bytes body = much(1000000);
	struct ask a, b;

	(void)state;
	ask(&a, body);
	ask_now(&b, BYTES_LIT("b"));
	fake_cut(PORT);
	pass();
	expect(&a, ST_CUT, 0);
	expect(&b, ST_CUT, 0);
	answers = true;
	ask_now(&a, BYTES_LIT("a"));
	expect(&a, ST_OK, 204);
	/* kept, and gone before a word about the next: nobody is told */
	mute = true;
	ask_now(&b, BYTES_LIT("b"));
	mute = false;
	fake_cut(PORT);
	pass();
	expect(&b, ST_OK, 204);
	assert_int_equal(n_peers, 3);
}

static void
test_not_http2(void **state)
{
	const struct bytes said[] = {
		BYTES_LIT("HTTP/1.1 400 Bad Request\r\n\r\n"),
		/* no SETTINGS first */
		BYTES_LIT("\0\0\10\6\0\0\0\0\0abcdefgh"),
		BYTES_LIT("\377\377\377\4\1\2\3\4\5"),
		BYTES_LIT("\0\0\0\4\1\0\0\0\0"),
		/* which is not whole */
		BYTES_LIT("\0\0\6\4\0"),
	};
	struct ask a, b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		instead = said[i];
		ask(&a, BYTES_LIT("a"));
		ask(&b, BYTES_LIT("b"));
		fake_pass(6 * CLOCK_S);
		expect(&a, i == 4 ? ST_TIMEOUT : ST_BAD_ANSWER, 0);
		expect(&b, a.st, 0);
		assert_null(peers[i].stream);
	}
	instead.n = 0;
	mute = true;
	ask(&a, BYTES_LIT("a"));
	fake_pass(6 * CLOCK_S);
	expect(&a, ST_TIMEOUT, 0);
	assert_null(peers[i].stream);
}

static void
test_malformed_answers(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} frames[] = {
#define FRAME(text) { text, sizeof(text) - 1 }
		FRAME("\0\0\5\0\0\0\0\0\1first"),	/* DATA before HEADERS */
		FRAME("\0\0\1\1\5\0\0\0\1\x90"),	/* no :status: accept-.. */
		FRAME("\0\0\1\1\5\0\0\0\1\xff"),	/* no such index */
		FRAME("\0\0\1\1\5\0\0\0\2\x88"),	/* of our kind, not ours */
		FRAME("\0\0\1\1\5\0\0\0\5\x88"),	/* not asked for */
		FRAME("\0\0\4\10\0\0\0\0\1\0\0\0\0"),	/* a window of no more */
		FRAME("\0\0\4\10\0\0\0\0\0\x7f\xff\xff\xff"),
		FRAME("\0\0\1\11\4\0\0\0\1\x88"),	/* CONTINUATION alone */
		FRAME("\0\0\5\5\4\0\0\0\1\0\0\0\2\x82"),	/* a push */
		FRAME("\0\0\1\4\0\0\0\0\0x"),		/* SETTINGS of a byte */
	};
	struct ask a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		ask_now(&a, BYTES_LIT("a"));
		say(&peers[i], frames[i].bytes, frames[i].n);
		pass();
		expect(&a, ST_BAD_ANSWER, 0);
		assert_null(peers[i].stream);
	}
}

static void
test_answers_are_bounded(void **state)
{
	static char status[] = "500", extra[] = "x", large[40000];
	struct ask a, b;

	(void)state;
	/* more than is kept, less than is drained */
	ask_now(&a, BYTES_LIT("a"));
	answer(&requests[0], status, extra, 1000000);
	fake_pass(CLOCK_S);
	expect(&a, ST_OK, 500);
	assert_int_equal(a.text, 1000);
	assert_int_equal(peers[0].resets, 0);
	ask_now(&a, BYTES_LIT("a"));
	answer(&requests[1], status, extra, 3000000);
	fake_pass(CLOCK_S);
	expect(&a, ST_OK, 500);
	assert_int_equal(a.text, 1000);
	assert_int_equal(peers[0].resets, 1);
	/* headers over the limit harm nobody else */
	memset(large, 'x', sizeof(large) - 1);
	ask(&a, BYTES_LIT("a"));
	ask_now(&b, BYTES_LIT("b"));
	answer(&requests[2], status, large, 0);
	answer_plain(&requests[3]);
	pass();
	expect(&a, ST_BAD_ANSWER, 0);
	expect(&b, ST_OK, 204);
	assert_int_equal(n_peers, 1);
}

static void
test_interim_answers(void **state)
{
	static char status[] = "103";
	nghttp2_nv early = field(status_name, status);
	struct ask a, b;
	int i;

	(void)state;
	ask(&a, BYTES_LIT("a"));
	ask_now(&b, BYTES_LIT("b"));
	for (i = 0; i < 40; i++) {
		if (i < 10)
			assert_int_equal(nghttp2_submit_headers(peers[0].ng, 0,
			    requests[0].id, NULL, &early, 1, NULL), 0);
		assert_int_equal(nghttp2_submit_headers(peers[0].ng, 0,
		    requests[1].id, NULL, &early, 1, NULL), 0);
		flush(&peers[0]);
	}
	answer_plain(&requests[0]);
	pass();
	expect(&a, ST_OK, 204);
	expect(&b, ST_BAD_ANSWER, 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request_as_written),
		TEST(test_many_share_a_connection),
		TEST(test_bodies_arrive_whole),
		TEST(test_tiny_windows),
		TEST(test_one_at_a_time),
		TEST(test_none_for_now),
		TEST(test_fewer_in_mid_flight),
		TEST(test_goaway),
		TEST(test_goaway_when_kept),
		TEST(test_goaway_at_once),
		TEST(test_refused),
		TEST(test_reset),
		TEST(test_early_answer),
		TEST(test_cancel),
		TEST(test_timeout),
		TEST(test_old_is_replaced),
		TEST(test_freed_by_the_first),
		TEST(test_cut),
		TEST(test_not_http2),
		TEST(test_malformed_answers),
		TEST(test_answers_are_bounded),
		TEST(test_interim_answers),
	};

	fake_clock_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
