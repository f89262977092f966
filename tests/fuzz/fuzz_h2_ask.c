/* fuzz_h2_ask.c - bytes of an upstream that speaks HTTP/2 to the client, once whole
 * and once in pieces.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first byte chooses how they are cut, and how many exchanges are in flight.
 * Besides not crashing, each exchange has to end once, with a bounded answer, and none
 * is sent more than twice.  What it ends with may hang on the pieces: one that was
 * refused is on its way again, or not yet, when something worse comes.       */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/client.h"
#include "io/stream.h"

#define PORT 443
#define ASKS_MAX 4
#define BODY_SIZE 100000	/* more than the windows have room for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct http_client *client;
static struct stream *upstream;
static unsigned n_upstreams;

static void
on_upstream(struct stream *s, enum stream_event event, void *arg)
{
	(void)arg;
	if (event == STREAM_INPUT)
		stream_consume(s, stream_input(s).n);
	if ((event == STREAM_CLOSED || event == STREAM_FAILED) && s == upstream)
		stream_close(&upstream, ST_GONE);
}

/* The first connection hears what is to be said, the others nothing. */
static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	static const uint8_t settings[] = "\0\0\0\4\0\0\0\0";

	(void)arg;
	if (n_upstreams++)
		return;
	assert(stream_accept(loop, fd, peer, on_upstream, NULL, &upstream) ==
	    ST_OK);
	stream_write_copy(upstream, bytes_of(settings, sizeof(settings)));
}

static void
speak(struct bytes text, uint32_t cut)
{
	size_t n;

	while (upstream && text.n) {
		n = text.n;
		if (cut) {
			cut = cut * UINT32_C(1664525) + UINT32_C(1013904223);
			n = 1 + (cut >> 16) % (cut & 1 << 30 ? 7 : 200);
			n = n < text.n ? n : text.n;
		}
		stream_write_copy(upstream, bytes_of(text.p, n));
		text.p += n;
		text.n -= n;
		fake_settle();
	}
	fake_pass(CLOCK_S);
	stream_close(&upstream, ST_OK);
	fake_settle();
}

static void
done(enum status st, const struct http_answer *a, void *arg)
{
	bool *called = arg;
	size_t i, n = 0;

	assert(!*called && (a != NULL) == (st == ST_OK));
	*called = true;
	if (!a)
		return;
	assert(a->status >= 200 && a->status < 1000);
	assert(a->body.n <= 500);
	for (i = 0; i < a->headers.n; i++) {
		assert(http_token_ok(a->headers.list[i].name));
		n += a->headers.list[i].name.n + a->headers.list[i].value.n;
	}
	assert(n <= 32 << 10);
}

static void
exchange(struct bytes text, uint32_t cut, unsigned n)
{
	static const uint8_t body[BODY_SIZE];
	struct http_call call = { .method = "POST" };
	bool called[ASKS_MAX + 1] = { false };
	struct http_exchange *x;
	unsigned i;

	for (i = 0; i <= n; i++) {
		call.body = bytes_of(body, i ? BODY_SIZE : 1);
		/* whatever was said, the last one ends too */
		if (i == n)
			speak(text, cut);
		assert(http_client_send(client, &call, done, &called[i], &x) ==
		    ST_OK);
		fake_pass(10 * CLOCK_MS);
	}
	fake_pass(30 * CLOCK_S);
	for (i = 0; i <= n; i++)
		assert(called[i]);
	assert(n_upstreams <= 2 * (n + 1));
}

static void
run(struct bytes text, uint32_t cut, unsigned n)
{
	static int dummy;
	struct http_client_opts opts = {
		.url = { .host = "h", .port = "443", .path = "/",
			.authority = "h", .tls = true },
		.connect_timeout_ns = CLOCK_S,
		.answer_timeout_ns = 10 * CLOCK_S,
		.idle_timeout_ns = 20 * CLOCK_S,
		.reconnect_ns = 100 * CLOCK_S,
		.max_body_bytes = 500,
		.tls = (struct tls *)(void *)&dummy,	/* never looked at */
	};

	fake_network_clear();
	fake_protocol("h2");
	fake_listen(PORT, accepted, NULL);
	n_upstreams = 0;
	assert(loop_new("fuzz", &loop) == ST_OK);
	assert(http_client_new(loop, &opts, &client) == ST_OK);
	exchange(text, cut, n);
	http_client_free(&client);
	fake_settle();
	assert(fake_streams() == 0);
	loop_free(&loop);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text;
	unsigned n;

	if (size < 2 || size > 20000)
		return 0;
	fake_clock_init();
	n = 1 + data[0] % ASKS_MAX;
	text = bytes_of(data + 1, size - 1);
	run(text, 0, n);
	run(text, 1 + data[0] * UINT32_C(2654435761), n);
	return 0;
}
