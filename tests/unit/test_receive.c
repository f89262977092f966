/* test_receive.c - what edges are answered, and when.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Server, ingest and spool are the real ones, over a network and a disk in memory, and
 * each loop is turned when a test says so.  Bodies are put together byte by byte: a
 * "good" series has a sample; a bad one has no name.                         */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"
#include "fake/disk_ram.h"
#include "fake/loop.h"
#include "fake/stream.h"
#include "http/server.h"
#include "ingest/receive.h"
#include "io/stream.h"
#include "prw/payload.h"
#include "spool/spool.h"

#define PORT 9201
#define PATH "/api/v1/write"
#define MAX_REQUEST ((size_t)64 << 10)
#define REQUEST_MEMORY ((size_t)1 << 20)
#define WRITTEN "x-prometheus-remote-write-"

/* ---- the relay --------------------------------------------------------------------- */

static struct rig {
	struct disk_ram *disk;
	struct loop *worker[2], *spool_loop, *edge_loop;
	struct spool *spool;
	struct spool_reader *reader;
	struct ingest *ingest;
	struct http_server *server[2];
	struct http_route route[2];
	unsigned next;			/* worker that takes the next connection */
} rig;

static void
accepted(int fd, const struct loop_addr *peer, void *arg)
{
	(void)arg;
	http_server_adopt(rig.server[rig.next++ % 2], fd, peer);
}

static void
woken(void *arg)
{
	(void)arg;
}

static void
open_servers(void)
{
	struct http_server_opts so = {
		.n_routes = 1,
		.max_header_bytes = 16384, .max_body_bytes = UINT64_MAX,
		.max_connections = 1000,
		.header_timeout_ns = 10 * CLOCK_S,
		.body_timeout_ns = 20 * CLOCK_S,
		.idle_timeout_ns = 300 * CLOCK_S,
	};
	int i;

	for (i = 0; i < 2; i++) {
		rig.route[i] = (struct http_route){ "POST", PATH,
			&receive_handler, ingest_door(rig.ingest, (size_t)i) };
		so.routes = &rig.route[i];
		assert_int_equal(http_server_new(rig.worker[i], &so,
		    &rig.server[i]), ST_OK);
	}
}

static int
set_up_with(const struct edge_policy *policy)
{
	static const struct spool_opts so = {
		.directory = "/spool",
		.size_bytes = 4 << 20,
		.segment_bytes = 256 << 10,
		.segment_age_ns = 3600 * CLOCK_S,
	};
	struct ingest_opts io = {
		.max_request_bytes = MAX_REQUEST,
		.request_memory_bytes = REQUEST_MEMORY,
		.max_edges = 3,
		.max_labels = 8,
		.max_label_bytes = 64,
		.max_series = 2000,
		.retry_after_ns = 10 * CLOCK_S,
		.policies = { policy, policy != NULL },
	};

	memset(&rig, 0, sizeof(rig));
	fake_network_clear();
	rig.disk = disk_ram_new();
	assert_int_equal(loop_new("worker-0", &rig.worker[0]), ST_OK);
	assert_int_equal(loop_new("worker-1", &rig.worker[1]), ST_OK);
	assert_int_equal(loop_new("edge", &rig.edge_loop), ST_OK);
	assert_int_equal(loop_new("spool", &rig.spool_loop), ST_OK);
	assert_int_equal(spool_open(&so, disk_ram_ops(rig.disk),
	    rig.spool_loop, &rig.spool), ST_OK);
	assert_int_equal(spool_reader_new(rig.spool, "up", rig.edge_loop, woken,
	    NULL, &rig.reader), ST_OK);
	assert_int_equal(ingest_new(&io, rig.spool, rig.worker, 2,
	    &rig.ingest), ST_OK);
	open_servers();
	fake_listen(PORT, accepted, NULL);
	fake_settle();
	return 0;
}

static int
set_up(void **state)
{
	(void)state;
	return set_up_with(NULL);
}

static int
set_up_small(void **state)
{
	static const struct edge_policy small = {
		.pattern = "*", .max_series = 10, .max_labels = 1,
		.max_request_bytes = 2000, .busy_429 = true,
	};

	(void)state;
	return set_up_with(&small);
}

/* Two points a second; twenty at once. */
static int
set_up_slow(void **state)
{
	static const struct edge_policy slow = {
		.pattern = "*", .rate = 2, .burst_ns = 10 * CLOCK_S,
	};

	(void)state;
	return set_up_with(&slow);
}

/* Loops that have stopped turn no more, whatever waits in them. */
static int
tear_down(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 2; i++)
		http_server_free(&rig.server[i]);
	spool_reader_free(&rig.reader);
	spool_close(&rig.spool);
	ingest_free(&rig.ingest);
	for (i = 0; i < 2; i++)
		loop_free(&rig.worker[i]);
	loop_free(&rig.spool_loop);
	loop_free(&rig.edge_loop);
	fake_network_clear();
	disk_ram_free(&rig.disk);
	return 0;
}

/* Everybody goes on but the disk. */
static void
settle_but_spool(void)
{
	int i;

	for (i = 0; i < 50; i++) {
		fake_turn(rig.edge_loop);
		fake_turn(rig.worker[0]);
		fake_turn(rig.worker[1]);
	}
}

/* Records durable since the last call. */
static int
stored(void)
{
	struct spool_record r;
	int n = 0;

	while (spool_read(rig.reader, &r) == ST_OK)
		n++;
	return n;
}

/* ---- an edge -------------------------------------------------------------------------- */

struct edge {
	struct stream *stream;
	char got[8192];
	size_t n;
	bool ended;
};

static void
on_edge(struct stream *s, enum stream_event event, void *arg)
{
	struct edge *e = arg;
	struct bytes in;

	switch (event) {
	case STREAM_INPUT:
		in = stream_input(s);
		assert_true(e->n + in.n < sizeof(e->got));
		memcpy(e->got + e->n, in.p, in.n);
		e->n += in.n;
		e->got[e->n] = '\0';
		stream_consume(s, in.n);
		break;
	case STREAM_CLOSED:
	case STREAM_FAILED:
		e->ended = true;
		break;
	case STREAM_READY:
	case STREAM_DRAINED:
	case STREAM_TIMEOUT:
		break;
	}
}

static struct edge *
edge_new(void)
{
	struct edge *e = calloc(1, sizeof(*e));
	struct loop_addr to = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&to.ss;

	in->sin_family = AF_INET;
	in->sin_port = htons(PORT);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(stream_connect(rig.edge_loop, &to, on_edge, e,
	    &e->stream), ST_OK);
	settle_but_spool();
	return e;
}

/* ST_OK: in order; else it resets the connection. */
static void
edge_leave(struct edge **at, enum status why)
{
	stream_close(&(*at)->stream, why);
	free(*at);
	*at = NULL;
	settle_but_spool();
}

static void
say(struct edge *e, const void *p, size_t n)
{
	stream_write_copy(e->stream, bytes_of(p, n));
	settle_but_spool();
}

struct head {
	const char *type, *encoding;	/* NULL: none */
	bool chunked;
	long long length;		/* -1: that of the body */
};

#define V1 "application/x-protobuf"
#define V2 "application/x-protobuf;proto=io.prometheus.write.v2.Request"

static const struct head v1 = { V1, "snappy", false, -1 };
static const struct head v2 = { V2, "snappy", false, -1 };
static const struct head zstd_v1 = { V1, "zstd", false, -1 };
static const struct head zstd_v2 = { V2, "zstd", false, -1 };

static void
say_head(struct edge *e, const struct head *h, size_t n)
{
	char text[1024];
	int at = snprintf(text, sizeof(text), "POST " PATH " HTTP/1.1\r\n"
	    "Host: relay\r\n");

	if (h->type)
		at += snprintf(text + at, sizeof(text) - (size_t)at,
		    "Content-Type: %s\r\n", h->type);
	if (h->encoding)
		at += snprintf(text + at, sizeof(text) - (size_t)at,
		    "Content-Encoding: %s\r\n", h->encoding);
	if (h->chunked)
		at += snprintf(text + at, sizeof(text) - (size_t)at,
		    "Transfer-Encoding: chunked\r\n\r\n");
	else
		at += snprintf(text + at, sizeof(text) - (size_t)at,
		    "Content-Length: %lld\r\n\r\n", h->length >= 0 ? h->length :
		    (long long)n);
	say(e, text, (size_t)at);
}

static void
say_chunk(struct edge *e, const void *p, size_t n)
{
	char text[32];

	say(e, text, (size_t)snprintf(text, sizeof(text), "%zx\r\n", n));
	if (n)
		say(e, p, n);
	say(e, "\r\n", 2);
}

static void
say_request(struct edge *e, const struct head *h, struct bytes body)
{
	size_t i, n;

	say_head(e, h, body.n);
	if (!h->chunked) {
		say(e, body.p, body.n);
		return;
	}
	for (i = 0; i < body.n; i += n) {
		n = body.n - i < 7 || body.n > 4096 ? body.n - i : 7;
		say_chunk(e, body.p + i, n);
	}
	say_chunk(e, NULL, 0);
}

/* ---- answers ----------------------------------------------------------------------------- */

/* The code of the answer that is there, 0 if none is. */
static int
code(const struct edge *e)
{
	return strncmp(e->got, "HTTP/1.1 ", 9) == 0 ? atoi(e->got + 9) : 0;
}

/* A header's value; NULL if there is none. */
static const char *
header(const struct edge *e, const char *name)
{
	static char value[256];
	const char *end = strstr(e->got, "\r\n\r\n"), *line;
	size_t n = strlen(name);

	for (line = strstr(e->got, "\r\n"); line && line < end;
	    line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, n) != 0 ||
		    strncmp(line + 2 + n, ": ", 2) != 0)
			continue;
		(void)snprintf(value, sizeof(value), "%.*s",
		    (int)strcspn(line + 4 + n, "\r"), line + 4 + n);
		return value;
	}
	return NULL;
}

static const char *
text(const struct edge *e)
{
	const char *end = strstr(e->got, "\r\n\r\n");

	return end ? end + 4 : "";
}

/* "1 0 0"; "" if there is none of the three headers. */
static const char *
written(const struct edge *e)
{
	static const char *const name[] = { WRITTEN "samples-written",
		WRITTEN "histograms-written", WRITTEN "exemplars-written" };
	static char out[64];
	size_t at = 0;
	int i, there = 0;

	out[0] = '\0';
	for (i = 0; i < 3; i++) {
		const char *v = header(e, name[i]);

		if (!v)
			continue;
		there++;
		at += (size_t)snprintf(out + at, sizeof(out) - at, "%s%s",
		    at ? " " : "", v);
	}
	assert_true(there == 0 || there == 3);
	return out;
}

static void
check_503(const struct edge *e, const char *why)
{
	int seconds;

	assert_int_equal(code(e), 503);
	assert_non_null(header(e, "retry-after"));
	seconds = atoi(header(e, "retry-after"));
	assert_in_range(seconds, 5, 15);
	assert_string_equal(text(e), why);
}

/* ---- bodies ------------------------------------------------------------------------------- */

static void
put_field(struct buf *b, uint32_t number, struct bytes content)
{
	uint8_t head[2 * VARINT_MAX], *p = varint_put(head, number << 3 | 2);

	p = varint_put(p, content.n);
	assert_true(buf_append(b, head, (size_t)(p - head)));
	assert_true(buf_append(b, content.p, content.n));
}

static void
put_label(struct buf *b, const char *name, const char *value)
{
	struct buf label;

	buf_init(&label, 1 << 16);
	put_field(&label, 1, bytes_str(name));
	put_field(&label, 2, bytes_str(value));
	put_field(b, 1, buf_bytes(&label));
	buf_fini(&label);
}

/* One with a value that no other has. */
static struct bytes
new_sample(void)
{
	static uint8_t sample[] = { 9, 0, 0, 0, 0, 0, 0, 0, 0, 16, 5 };
	static uint64_t x = 1;

	x = x * 6364136223846793005u + 1442695040888963407u;
	le64_put(sample + 1, x);
	return bytes_of(sample, sizeof(sample));
}

/* A series of 1.0: its number, with or without a name. */
static void
put_series_v1(struct buf *b, int number, bool good)
{
	struct buf series;
	char value[16];

	buf_init(&series, 1 << 16);
	(void)snprintf(value, sizeof(value), "%d", number);
	if (good)
		put_label(&series, "__name__", "m");
	put_label(&series, "i", value);
	put_field(&series, 2, new_sample());
	put_field(b, 1, buf_bytes(&series));
	buf_fini(&series);
}

static void
put_series_v2(struct buf *b, int number, bool good)
{
	uint8_t refs[4 * VARINT_MAX], *p = refs;
	struct buf series;

	buf_init(&series, 1 << 16);
	if (good) {
		p = varint_put(p, 1);
		p = varint_put(p, 2);
	}
	p = varint_put(p, 3);
	p = varint_put(p, 4 + (uint64_t)number);
	put_field(&series, 1, bytes_of(refs, (size_t)(p - refs)));
	put_field(&series, 2, new_sample());
	put_field(b, 5, buf_bytes(&series));
	buf_fini(&series);
}

static struct payload_tools tools;

/* Good series, then bad ones, packed; numbers from `from` on. */
static struct bytes
body_of(const struct head *h, int from, int good, int bad)
{
	static struct buf packed;
	struct buf raw;
	char value[16];
	int i;

	buf_init(&raw, 4 << 20);
	if (h == &v1 || h == &zstd_v1) {
		for (i = 0; i < good + bad; i++)
			put_series_v1(&raw, from + i, i < good);
	} else {
		put_field(&raw, 4, BYTES_LIT(""));
		put_field(&raw, 4, BYTES_LIT("__name__"));
		put_field(&raw, 4, BYTES_LIT("m"));
		put_field(&raw, 4, BYTES_LIT("i"));
		for (i = 0; i < good + bad; i++) {
			(void)snprintf(value, sizeof(value), "%d", from + i);
			put_field(&raw, 4, bytes_str(value));
		}
		for (i = 0; i < good + bad; i++)
			put_series_v2(&raw, i, i < good);
	}
	buf_fini(&packed);
	buf_init(&packed, 8 << 20);
	assert_int_equal(payload_pack(&tools, h == &zstd_v1 || h == &zstd_v2 ?
	    PAYLOAD_ZSTD : PAYLOAD_SNAPPY, buf_bytes(&raw), &packed), ST_OK);
	buf_fini(&raw);
	return buf_bytes(&packed);
}

/* Bytes that do not pack, as a string field that nobody knows. */
static struct bytes
large_body(size_t n)
{
	static struct buf packed;
	struct buf raw;
	uint8_t *junk = malloc(n);
	uint64_t x = 1;
	size_t i;

	for (i = 0; i < n; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		junk[i] = (uint8_t)(x >> 56);
	}
	buf_init(&raw, 4 << 20);
	put_field(&raw, 15, bytes_of(junk, n));
	buf_fini(&packed);
	buf_init(&packed, 8 << 20);
	assert_int_equal(payload_pack(NULL, PAYLOAD_SNAPPY,
	    buf_bytes(&raw), &packed), ST_OK);
	buf_fini(&raw);
	free(junk);
	return buf_bytes(&packed);
}

/* A request on a connection of its own, to its end. */
static struct edge *
post(const struct head *h, struct bytes body)
{
	struct edge *e = edge_new();

	say_request(e, h, body);
	fake_settle();
	return e;
}

/* ---- content types and encodings ------------------------------------------------------------ */

static void
types_and_encodings(void **state)
{
	static const struct {
		struct head head;
		int code;
		const char *written;
	} c[] = {
		{ { V1, "snappy", false, -1 }, 204, "" },
		{ { V1, NULL, false, -1 }, 204, "" },
		{ { NULL, NULL, false, -1 }, 204, "" },
		{ { "Application/X-Protobuf ; Proto=prometheus.WriteRequest",
		    "SNAPPY", false, -1 }, 204, "" },
		{ { V2, "snappy", false, -1 }, 204, "0 0 0" },
		{ { V1 "; proto=\"io.prometheus.write.v2.Request\"", "snappy",
		    true, -1 }, 204, "0 0 0" },
		{ { V1 ";proto=io.prometheus.write.v3.Request", "snappy",
		    false, -1 }, 415, "" },
		{ { "application/json", "snappy", false, -1 }, 415, "" },
		{ { "text/plain", NULL, true, -1 }, 415, "" },
		{ { V1, "gzip", false, -1 }, 415, "" },
		{ { V2, "br", false, -1 }, 415, "" },
		{ { V2, "identity", false, -1 }, 415, "" },
		{ { V2, "snappy, gzip", true, -1 }, 415, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct edge *e = post(&c[i].head, BYTES_LIT("\0"));

		assert_int_equal(code(e), c[i].code);
		assert_string_equal(written(e), c[i].written);
		assert_null(header(e, "retry-after"));
		assert_true((c[i].code == 204) == (text(e)[0] == '\0'));
		edge_leave(&e, ST_OK);
	}
	assert_int_equal(stored(), 0);
}

/* 415 is said before the body is looked at, or even there. */
static void
refused_by_its_head(void **state)
{
	static const struct head h = { "text/plain", "snappy", false, 60000 };
	struct edge *e = edge_new();

	(void)state;
	say_head(e, &h, 0);
	assert_int_equal(code(e), 415);
	assert_string_equal(text(e), "content type is not a remote write "
	    "message\n");
	edge_leave(&e, ST_OK);
}

/* ---- success ----------------------------------------------------------------------------------- */

static void
stored_before_it_is_answered(void **state)
{
	static const struct head *const h[] = { &v1, &v2, &zstd_v1, &zstd_v2 };
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct edge *e = edge_new();
		unsigned before;

		say_request(e, h[i], body_of(h[i], 0, 5, 0));
		assert_int_equal(code(e), 0);
		before = disk_ram_count(rig.disk);
		fake_turn(rig.spool_loop);
		settle_but_spool();
		assert_true(disk_ram_count(rig.disk) > before);
		assert_int_equal(code(e), 204);
		assert_string_equal(written(e), i % 2 == 0 ? "" : "5 0 0");
		assert_string_equal(text(e), "");
		assert_int_equal(stored(), 1);
		edge_leave(&e, ST_OK);
	}
}

/* ---- repeats -------------------------------------------------------------------------------------- */

/* Until the segment is rolled; an edge that is silent is forgotten. */
static void
an_hour_passes(void)
{
	struct edge *e;
	int i;

	for (i = 0; i < 7; i++) {
		fake_pass(600 * CLOCK_S);
		e = post(&v2, body_of(&v2, 100, 1, 0));
		assert_int_equal(code(e), 204);
		edge_leave(&e, ST_OK);
	}
	assert_int_equal(stored(), 7);
}

static void
a_repeat_is_answered_and_not_stored(void **state)
{
	static uint8_t copy[1024];
	int64_t repeated = metric_read(METRIC_REPEATED);
	struct bytes body = body_of(&v2, 0, 5, 1);
	struct edge *e;
	int i;

	(void)state;
	memcpy(copy, body.p, body.n);
	body.p = copy;
	for (i = 0; i < 4; i++) {
		uint64_t epoch = spool_epoch(rig.spool);

		if (i == 2) {
			an_hour_passes();
			assert_true(spool_epoch(rig.spool) > epoch);
		}
		/* each comes to another worker */
		e = post(&v2, body);
		assert_int_equal(code(e), 400);
		assert_string_equal(written(e), "5 0 0");
		assert_int_equal(stored(), i == 0);
		edge_leave(&e, ST_OK);
	}
	assert_int_equal(metric_read(METRIC_REPEATED) - repeated, 15);
}

static void
a_repeat_waits_for_the_disk(void **state)
{
	struct bytes body = body_of(&v2, 0, 5, 0);
	struct edge *first, *second;

	(void)state;
	first = edge_new();
	say_request(first, &v2, body);
	edge_leave(&first, ST_GONE);
	second = edge_new();
	say_request(second, &v2, body);
	assert_int_equal(code(second), 0);
	fake_turn(rig.spool_loop);
	settle_but_spool();
	assert_int_equal(code(second), 204);
	assert_string_equal(written(second), "5 0 0");
	assert_int_equal(stored(), 1);
	edge_leave(&second, ST_OK);
}

/* All of it, and one with something new beside it. */
static void
a_repeat_of_what_failed_is_refused(void **state)
{
	struct edge *e[3];
	struct bytes body;
	int i;

	(void)state;
	e[0] = post(&v2, body_of(&v2, 9, 1, 0));
	edge_leave(&e[0], ST_OK);
	assert_int_equal(stored(), 1);
	body = body_of(&v2, 0, 5, 0);
	for (i = 0; i < 3; i++) {
		e[i] = edge_new();
		say_request(e[i], &v2, body);
	}
	disk_ram_fail_kind(rig.disk, 0);
	disk_ram_fail(rig.disk, 0, 1000, ST_DISK);
	fake_settle();
	for (i = 0; i < 3; i++) {
		assert_int_equal(code(e[i]), 503);
		edge_leave(&e[i], ST_OK);
	}
	assert_int_equal(stored(), 0);
	disk_ram_fail(rig.disk, 0, 0, ST_OK);
	fake_pass(60 * CLOCK_S);
	for (i = 0; i < 2; i++) {
		e[0] = post(&v2, body);
		assert_int_equal(code(e[0]), 204);
		assert_int_equal(stored(), i == 0);
		edge_leave(&e[0], ST_OK);
	}
}

static void
a_body_in_chunks(void **state)
{
	static const struct head h = { V2, "snappy", true, -1 };
	struct edge *e;

	(void)state;
	e = post(&h, body_of(&v2, 0, 40, 0));
	assert_int_equal(code(e), 204);
	assert_string_equal(written(e), "40 0 0");
	assert_int_equal(stored(), 1);
	edge_leave(&e, ST_OK);
}

static void
one_connection_many_requests(void **state)
{
	struct edge *e = edge_new();
	int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		e->n = 0;
		e->got[0] = '\0';
		say_request(e, i % 2 ? &v2 : &v1,
		    body_of(i % 2 ? &v2 : &v1, i, 3, i % 3));
		fake_settle();
		assert_int_equal(code(e), i % 3 ? 400 : 204);
	}
	assert_int_equal(stored(), 200);
	edge_leave(&e, ST_OK);
}

static void
nothing_to_store_is_a_success(void **state)
{
	/* metadata of a family, 1.0 */
	static const char metadata[] = "\x0b\x28\x1a\x09\x08\x01\x12\x01m\x22\x02hi";
	struct edge *e;

	(void)state;
	e = post(&v1, BYTES_LIT("\0"));
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
	assert_int_equal(stored(), 0);
	e = post(&v1, bytes_of(metadata, sizeof(metadata) - 1));
	assert_int_equal(code(e), 204);
	assert_string_equal(written(e), "");
	assert_int_equal(stored(), 1);
	edge_leave(&e, ST_OK);
}

/* ---- what is the edge's fault ---------------------------------------------------------------- */

static void
bodies_that_are_none(void **state)
{
	static const struct {
		struct bytes body;
		const char *text;
	} c[] = {
		{ BYTES_LIT(""),
		    "body is not valid snappy (block format)\n" },
		{ BYTES_LIT("\x05\x10hello!"),
		    "body is not valid snappy (block format)\n" },
		{ BYTES_LIT("\xff\x06\x00\x00sNaPpY"),
		    "body is not valid snappy (block format)\n" },
		{ BYTES_LIT("\x02\x04\x2a\x7f"),
		    "body is not a valid protobuf message\n" },
	};
	size_t i;
	int v;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		for (v = 0; v < 2; v++) {
			struct edge *e = post(v ? &v2 : &v1, c[i].body);

			/* field 5 is unknown to 1.0, and cut short all the same */
			assert_int_equal(code(e), 400);
			assert_string_equal(written(e), v ? "0 0 0" : "");
			assert_string_equal(text(e), c[i].text);
			assert_null(header(e, "retry-after"));
			edge_leave(&e, ST_OK);
		}
	}
	assert_int_equal(stored(), 0);
}

static void
bodies_of_zstd_that_are_none(void **state)
{
	static const uint8_t zeros[MAX_REQUEST + 1];
	struct edge *e = post(&zstd_v2, BYTES_LIT("\0"));
	struct buf bomb;

	(void)state;
	assert_int_equal(code(e), 400);
	assert_string_equal(text(e), "body is not valid zstd, or needs a "
	    "dictionary\n");
	assert_string_equal(written(e), "0 0 0");
	edge_leave(&e, ST_OK);
	buf_init(&bomb, 1 << 20);
	assert_int_equal(payload_pack(&tools, PAYLOAD_ZSTD, bytes_of(zeros,
	    sizeof(zeros)), &bomb), ST_OK);
	assert_in_range(bomb.len, 1, 100);
	e = post(&zstd_v1, buf_bytes(&bomb));
	assert_int_equal(code(e), 413);
	edge_leave(&e, ST_OK);
	buf_fini(&bomb);
	assert_int_equal(stored(), 0);
}

static void
the_good_part_is_kept(void **state)
{
	static const char why[] = "rejected 2 of 5 samples, histograms and "
	    "exemplars, the rest is stored: 2 no-name (series without a metric "
	    "name)\n";
	int v;

	(void)state;
	for (v = 0; v < 2; v++) {
		struct edge *e = post(v ? &v2 : &v1,
		    body_of(v ? &v2 : &v1, 0, 3, 2));

		assert_int_equal(code(e), 400);
		assert_string_equal(written(e), v ? "3 0 0" : "");
		assert_string_equal(text(e), why);
		assert_string_equal(header(e, "content-type"),
		    "text/plain; charset=utf-8");
		assert_int_equal(stored(), 1);
		edge_leave(&e, ST_OK);

		e = post(v ? &v2 : &v1, body_of(v ? &v2 : &v1, 0, 0, 2));
		assert_int_equal(code(e), 400);
		assert_string_equal(written(e), v ? "0 0 0" : "");
		assert_int_equal(stored(), 0);
		edge_leave(&e, ST_OK);
	}
}

static void
too_large(void **state)
{
	static const struct head chunked = { V2, "snappy", true, -1 };
	/* declares 1 MiB */
	static const char bomb[] = "\x80\x80\x40\x00";
	struct edge *e;
	int v;

	(void)state;
	for (v = 0; v < 2; v++) {
		struct head h = v ? v2 : v1;

		/* as declared, before it is there */
		h.length = MAX_REQUEST + 1;
		e = edge_new();
		say_head(e, &h, 0);
		assert_int_equal(code(e), 413);
		assert_string_equal(text(e), "body over the limit\n");
		assert_string_equal(written(e), v ? "0 0 0" : "");
		edge_leave(&e, ST_OK);

		e = post(v ? &v2 : &v1, bytes_of(bomb, sizeof(bomb) - 1));
		assert_int_equal(code(e), 413);
		assert_string_equal(written(e), v ? "0 0 0" : "");
		edge_leave(&e, ST_OK);
	}
	e = edge_new();
	say_head(e, &chunked, 0);
	for (v = 0; v < 20 && !code(e); v++)
		say_chunk(e, large_body(8000).p, 8000);
	assert_int_equal(code(e), 413);
	assert_string_equal(written(e), "0 0 0");
	edge_leave(&e, ST_OK);
	assert_int_equal(stored(), 0);
	/* and what fits, fits */
	e = post(&v2, large_body(MAX_REQUEST - 100));
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
}

/* ---- what comes right by itself ---------------------------------------------------------------- */

static void
the_disk_fails(void **state)
{
	static const struct {
		enum status st;
		const char *text;
	} c[] = {
		{ ST_DISK, "spool's disk failed to take the data\n" },
		{ ST_NO_SPACE, "spool's file system is full\n" },
		/* a file system that has become read-only */
		{ ST_DENIED, "permission denied\n" },
	};
	size_t i;
	int v;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		for (v = 0; v < 2; v++) {
			const struct head *h = v ? &v2 : &v1;
			struct edge *e = edge_new();

			disk_ram_fail_kind(rig.disk, 0);
			disk_ram_fail(rig.disk, 0, 1000, c[i].st);
			/* found out with the record written */
			say_request(e, h, body_of(h, 0, 3, 1));
			fake_settle();
			check_503(e, c[i].text);
			assert_string_equal(written(e), v ? "0 0 0" : "");
			edge_leave(&e, ST_OK);
			/* known now: before the body */
			e = edge_new();
			say_head(e, h, 50000);
			check_503(e, c[i].text);
			assert_string_equal(written(e), v ? "0 0 0" : "");
			edge_leave(&e, ST_OK);
			assert_int_equal(stored(), 0);
			/* until it works again */
			disk_ram_fail(rig.disk, 0, 0, ST_OK);
			fake_pass(60 * CLOCK_S);
			e = post(h, body_of(h, 0, 3, 0));
			assert_int_equal(code(e), 204);
			assert_int_equal(stored(), 1);
			edge_leave(&e, ST_OK);
		}
	}
}

static void
stopping(void **state)
{
	struct edge *early = edge_new(), *late = edge_new();
	struct bytes body = body_of(&v2, 0, 3, 0);

	(void)state;
	say_head(early, &v2, body.n);
	ingest_stop(rig.ingest);
	/* one that has begun may end */
	say(early, body.p, body.n);
	fake_settle();
	assert_int_equal(code(early), 204);
	say_request(late, &v2, body);
	fake_settle();
	check_503(late, "relay is stopping\n");
	assert_string_equal(written(late), "0 0 0");
	edge_leave(&early, ST_OK);
	edge_leave(&late, ST_OK);
	assert_int_equal(stored(), 1);
}

#define MANY 60

/* Who only says that much will come takes nothing from the others. */
static void
a_promise_takes_no_memory(void **state)
{
	struct head h = v1;
	struct edge *idle[MANY], *e;
	int i;

	(void)state;
	h.length = MAX_REQUEST;
	for (i = 0; i < MANY; i++) {
		idle[i] = edge_new();
		say_head(idle[i], &h, 0);
		assert_int_equal(code(idle[i]), 0);
	}
	e = post(&v1, body_of(&v1, 0, 3, 0));
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
	for (i = 0; i < MANY; i++)
		edge_leave(&idle[i], ST_GONE);
}

/* Half sent, to the memory's limit; and given back by those who leave. */
static void
memory_of_requests_is_bounded(void **state)
{
	struct head h = v2;
	struct edge *half[MANY], *e;
	struct bytes body;
	int i, busy = 0;

	(void)state;
	h.length = MAX_REQUEST;
	body = large_body(MAX_REQUEST - 100);
	for (i = 0; i < MANY; i++) {
		half[i] = edge_new();
		say_head(half[i], &h, 0);
		say(half[i], body.p, body.n - 50);
		if (!code(half[i]))
			continue;
		busy++;
		check_503(half[i], "relay is at one of its limits\n");
		assert_string_equal(written(half[i]), "0 0 0");
	}
	assert_in_range(MANY - busy, REQUEST_MEMORY / MAX_REQUEST - 2,
	    REQUEST_MEMORY / MAX_REQUEST + 1);
	for (i = 0; i < MANY; i++)
		edge_leave(&half[i], i % 2 ? ST_GONE : ST_OK);
	e = post(&v1, body_of(&v1, 0, 3, 0));
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
	assert_int_equal(stored(), 1);
}

/* Records that a slow disk has not taken yet count as well. */
static void
memory_of_records_is_bounded(void **state)
{
	struct edge *e[400];
	int i, busy = 0;

	(void)state;
	for (i = 0; i < 400; i++) {
		e[i] = edge_new();
		say_request(e[i], &v2, body_of(&v2, 1000, 900, 0));
		if (!code(e[i]))
			continue;
		busy++;
		check_503(e[i], "relay is at one of its limits\n");
	}
	assert_in_range(busy, 1, 399);
	fake_settle();
	assert_int_equal(stored(), 400 - busy);
	for (i = 0; i < 400; i++) {
		assert_true(code(e[i]) == 204 || code(e[i]) == 503);
		edge_leave(&e[i], ST_OK);
	}
	e[0] = post(&v2, body_of(&v2, 0, 900, 0));
	assert_int_equal(code(e[0]), 204);
	edge_leave(&e[0], ST_OK);
}

static void
edges_and_series_are_bounded(void **state)
{
	struct edge *e;
	char from[32];
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		(void)snprintf(from, sizeof(from), "192.0.2.%d", i + 1);
		fake_source(from);
		e = post(&v2, body_of(&v2, 0, 3, 0));
		if (i < 3) {
			assert_int_equal(code(e), 204);
		} else {
			check_503(e, "relay is at one of its limits\n");
			assert_string_equal(written(e), "0 0 0");
		}
		edge_leave(&e, ST_OK);
	}
	assert_int_equal(stored(), 3);
	/* those that are known go on, until one has too many series */
	fake_source("192.0.2.1");
	for (i = 0; i < 3; i++) {
		e = post(&v2, body_of(&v2, i * 900, 900, 0));
		if (i < 2) {
			assert_int_equal(code(e), 204);
		} else {
			check_503(e, "edge has more active series than "
			    "allowed\n");
			assert_string_equal(written(e), "0 0 0");
		}
		edge_leave(&e, ST_OK);
	}
	assert_int_equal(stored(), 2);
	/* what it had goes on, and does not hurt others */
	e = post(&v2, body_of(&v2, 0, 900, 0));
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
	/* edges unheard of for long make room */
	fake_pass(1800 * CLOCK_S);
	fake_source("192.0.2.5");
	e = post(&v2, body_of(&v2, 0, 3, 0));
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
}

/* ---- peers that leave --------------------------------------------------------------------------- */

static void
leaving_at_any_point(void **state)
{
	static const enum status how[] = { ST_OK, ST_GONE };
	struct bytes body = body_of(&v2, 0, 30, 0);
	size_t cut, k;

	(void)state;
	for (cut = 0; cut < body.n; cut++) {
		for (k = 0; k < 2; k++) {
			struct edge *e = edge_new();

			say_head(e, &v2, body.n);
			say(e, body.p, cut);
			edge_leave(&e, how[k]);
		}
	}
	fake_settle();
	assert_int_equal(stored(), 0);
	assert_int_equal(http_server_connections(rig.server[0]), 0);
	assert_int_equal(http_server_connections(rig.server[1]), 0);
}

/* On the way: between the loops, each step of the way. */
static void
leaving_before_the_answer(void **state)
{
	struct bytes body = body_of(&v2, 0, 30, 0);
	struct edge *e;
	int turns, n = 0;

	(void)state;
	for (turns = 0; turns < 12; turns++) {
		int i;

		e = edge_new();
		say_head(e, &v2, body.n);
		stream_write_copy(e->stream, body);
		for (i = 0; i < turns; i++) {
			fake_turn(rig.edge_loop);
			fake_turn(rig.worker[i % 2]);
			if (i > 8)
				fake_turn(rig.spool_loop);
		}
		stream_close(&e->stream, ST_GONE);
		free(e);
		fake_settle();
		n += stored();
	}
	/* what had not got to the spool is not stored, what had is */
	assert_in_range(n, 1, 11);
	e = post(&v2, body);
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
}

/* A forced end, with requests at every step. */
static void
the_relay_ends_first(void **state)
{
	struct bytes body = body_of(&v2, 0, 30, 0);
	struct edge *e[12];
	int i, k;

	(void)state;
	for (i = 0; i < 12; i++) {
		e[i] = edge_new();
		say_head(e[i], &v2, body.n);
		stream_write_copy(e[i]->stream, i % 3 ? body :
		    bytes_of(body.p, body.n / 2));
		for (k = 0; k < i % 4; k++) {
			fake_turn(rig.edge_loop);
			fake_turn(rig.worker[k % 2]);
		}
	}
	for (i = 0; i < 12; i++) {
		stream_close(&e[i]->stream, ST_GONE);
		free(e[i]);
	}
}

/* ---- limits of an edge ------------------------------------------------------------------------------- */

static int64_t
requests(enum status why)
{
	return metric_reason_read(METRIC_REQUESTS, why);
}

struct figures {
	int64_t refused;
};

static void
read_edge(const char *name, const struct metric_group *g, void *arg)
{
	(void)name;
	((struct figures *)arg)->refused += metric_group_read(g,
	    METRIC_EDGE_REFUSED);
}

static int64_t
refused_requests(void)
{
	struct figures f = { 0 };

	metric_group_each(METRIC_SCOPE_EDGE, read_edge, &f);
	return f.refused;
}

/* The request's body, which stays the same. */
static struct edge *
post_copy(struct bytes body)
{
	static uint8_t copy[65536];

	assert_true(body.n <= sizeof(copy));
	memmove(copy, body.p, body.n);
	return post(&v1, bytes_of(copy, body.n));
}

static void
limits_of_its_own(void **state)
{
	int64_t before = requests(ST_SERIES_LIMIT);
	struct edge *e;

	(void)state;
	/* a name and a label are one too many */
	e = post(&v1, body_of(&v1, 0, 3, 0));
	assert_int_equal(code(e), 400);
	assert_non_null(strstr(text(e), "3 too-many-labels"));
	edge_leave(&e, ST_OK);
	e = post(&v1, large_body(3000));
	assert_int_equal(code(e), 413);
	edge_leave(&e, ST_OK);
	/* sent as less than it is decoded */
	e = post(&v1, body_of(&v1, 0, 100, 0));
	assert_int_equal(code(e), 413);
	edge_leave(&e, ST_OK);
	assert_int_equal(requests(ST_SERIES_LIMIT), before);
}

static void
too_many_series_of_its_own(void **state)
{
	int64_t before = requests(ST_SERIES_LIMIT);
	int64_t told = refused_requests();
	struct edge *e;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct buf raw, packed;
		char name[16];
		int k;

		buf_init(&raw, 1 << 16);
		buf_init(&packed, 1 << 16);
		for (k = 0; k < 10 + i; k++) {
			struct buf series;

			buf_init(&series, 1 << 16);
			(void)snprintf(name, sizeof(name), "m%d", k);
			put_label(&series, "__name__", name);
			put_field(&series, 2, new_sample());
			put_field(&raw, 1, buf_bytes(&series));
			buf_fini(&series);
		}
		assert_int_equal(payload_pack(NULL, PAYLOAD_SNAPPY,
		    buf_bytes(&raw), &packed), ST_OK);
		e = post_copy(buf_bytes(&packed));
		buf_fini(&raw);
		buf_fini(&packed);
		assert_int_equal(code(e), i == 0 ? 204 : 429);
		assert_true((header(e, "retry-after") != NULL) == (i == 1));
		edge_leave(&e, ST_OK);
	}
	assert_int_equal(stored(), 1);
	assert_int_equal(requests(ST_SERIES_LIMIT) - before, 1);
	assert_int_equal(refused_requests() - told, 1);
}

/* The worker that takes the next connection. */
static void
next_worker(unsigned i)
{
	rig.next = i;
}

static void
a_rate_is_kept(void **state)
{
	int64_t before = requests(ST_RATE_LIMIT), told = refused_requests();
	struct edge *e;
	int i;

	(void)state;
	/* more than it may is taken once, and owed */
	next_worker(0);
	e = post(&v1, body_of(&v1, 0, 30, 0));
	assert_int_equal(code(e), 204);
	edge_leave(&e, ST_OK);
	for (i = 0; i < 4; i++) {
		/* by each worker: at home, then by name */
		next_worker((unsigned)i);
		e = post(&v1, body_of(&v1, 0, 1, 0));
		if (i >= 2) {
			assert_int_equal(code(e), 0);
			fake_pass(CLOCK_S);
		}
		assert_int_equal(code(e), 503);
		assert_in_range(atoi(header(e, "retry-after")), i < 2 ? 5 : 3,
		    6);
		assert_string_equal(text(e),
		    "edge sends more samples a second than allowed\n");
		edge_leave(&e, ST_OK);
	}
	assert_int_equal(requests(ST_RATE_LIMIT) - before, 4);
	assert_int_equal(stored(), 1);
	fake_pass(6 * CLOCK_S);
	for (i = 0; i < 2; i++) {
		next_worker((unsigned)i);
		e = post(&v1, body_of(&v1, 0, 1, 0));
		assert_int_equal(code(e), 204);
		edge_leave(&e, ST_OK);
		fake_pass(2 * CLOCK_S);
	}
	assert_int_equal(stored(), 2);
	assert_int_equal(refused_requests() - told, 4);
	/* quiet for a while, it may send as much again */
	fake_pass(30 * CLOCK_S);
	for (i = 0; i < 2; i++) {
		e = post(&v1, body_of(&v1, 0, 19, 0));
		assert_int_equal(code(e), 204);
		edge_leave(&e, ST_OK);
	}
	e = post(&v1, body_of(&v1, 0, 1, 0));
	assert_int_equal(code(e), 503);
	edge_leave(&e, ST_OK);
}

/* A body that an edge sends though it should wait is not read, and the answer comes
 * late: there are no others in the meantime. */
static void
who_does_not_wait_is_refused_by_name(void **state)
{
	static const struct head h = { V1, "snappy", false, 60000 };
	struct edge *e;
	int i;

	(void)state;
	next_worker(0);
	e = post(&v1, body_of(&v1, 0, 40, 0));
	edge_leave(&e, ST_OK);
	next_worker(0);
	e = post(&v1, body_of(&v1, 0, 1, 0));
	assert_int_equal(code(e), 503);
	edge_leave(&e, ST_OK);
	next_worker(0);
	e = edge_new();
	say_head(e, &h, 0);
	assert_int_equal(code(e), 0);
	fake_pass(CLOCK_S);
	assert_int_equal(code(e), 503);
	assert_in_range(atoi(header(e, "retry-after")), 8, 10);
	edge_leave(&e, ST_OK);
	/* whole ones, and the edge goes, with or without a word */
	for (i = 0; i < 4; i++) {
		next_worker(0);
		e = edge_new();
		say_request(e, &v1, i % 2 ? body_of(&v1, 0, 1, 0) :
		    BYTES_LIT(""));
		assert_int_equal(code(e), 0);
		edge_leave(&e, i < 2 ? ST_OK : ST_GONE);
		settle_but_spool();
	}
	fake_pass(2 * CLOCK_S);
	assert_int_equal(stored(), 1);
}

int
main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(types_and_encodings),
		CASE(refused_by_its_head),
		CASE(stored_before_it_is_answered),
		CASE(a_repeat_is_answered_and_not_stored),
		CASE(a_repeat_waits_for_the_disk),
		CASE(a_repeat_of_what_failed_is_refused),
		CASE(a_body_in_chunks),
		CASE(one_connection_many_requests),
		CASE(nothing_to_store_is_a_success),
		CASE(bodies_that_are_none),
		CASE(bodies_of_zstd_that_are_none),
		CASE(the_good_part_is_kept),
		CASE(too_large),
		CASE(the_disk_fails),
		CASE(stopping),
		CASE(a_promise_takes_no_memory),
		CASE(memory_of_requests_is_bounded),
		CASE(memory_of_records_is_bounded),
		CASE(edges_and_series_are_bounded),
		CASE(leaving_at_any_point),
		CASE(leaving_before_the_answer),
		CASE(the_relay_ends_first),
		cmocka_unit_test_setup_teardown(limits_of_its_own, set_up_small,
		    tear_down),
		cmocka_unit_test_setup_teardown(too_many_series_of_its_own,
		    set_up_small, tear_down),
		cmocka_unit_test_setup_teardown(a_rate_is_kept, set_up_slow,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    who_does_not_wait_is_refused_by_name, set_up_slow, tear_down),
	};

	int failed;

	fake_clock_init();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	payload_tools_fini(&tools);
	return failed;
}
