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
#include "fuzz/serve.h"
#include "http/client.h"
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

static void
to_server(struct bytes text, uint32_t cut)
{
	const struct serve_opts opts = { .late = ST_OK, .story = &story };
	struct speaker s = { .text = text, .cut = cut };

	serve_open(loop, &opts);
	serve_connect(loop, on_speaker, &s, &s.stream);
	speak(&s);
	fake_pass(100 * CLOCK_S);
	serve_close();
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
	serve_note(&story, "status ", bytes_str(status_info(st)->word));
	if (!a)
		return;
	buf_printf(&story, "%d\n", a->status);
	for (i = 0; i < a->headers.n; i++) {
		serve_note(&story, "n ", a->headers.list[i].name);
		serve_note(&story, "v ", a->headers.list[i].value);
	}
	serve_note(&story, "body ", a->body);
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
