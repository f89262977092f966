/* fuzz_http2.c - the server fed with bytes that follow the preface of HTTP/2.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The first byte says how the rest is cut (0: not at all).  Besides what
 * serve.h says, what the server says is frames.                             */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "fuzz/serve.h"
#include "io/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct serve_opts opts = { .http2 = true,
		.late = ST_BAD_SNAPPY };
	struct loop *loop;

	if (size < 2 || size > 20000)
		return 0;
	fake_clock_init();
	fake_network_clear();
	buf_init(&heard, SIZE_MAX / 2);
	assert(loop_new("fuzz", &loop) == ST_OK);
	serve_open(loop, &opts);
	serve_connect(loop, on_peer, NULL, &peer);
	speak(BYTES_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0);
	speak(bytes_of(data + 1, size - 1), data[0]);
	fake_pass(CLOCK_S);
	/* nothing lasts: not even who says no more */
	fake_pass(100 * CLOCK_S);
	check_heard();
	serve_close();
	assert(!peer && fake_streams() == 0);
	loop_free(&loop);
	buf_fini(&heard);
	return 0;
}
