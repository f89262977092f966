/* uprig.c - see uprig.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "unit/uprig.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prw/payload.h"
#include "prw/v1.h"
#include "prw/v2.h"

static struct hash_key key;
static unsigned rig_points;		/* in a request */

bool
uprig_init(void)
{
	fake_clock_init();
	return hash_key_init(&key) == ST_OK;
}


void
receiver_init(struct receiver *r)
{
	int i;

	memset(r, 0, sizeof(*r));
	r->poison_edge = r->refused_edge = -1;
	r->after_ns = CLOCK_MS;
	r->least_gap = INT64_MAX;
	for (i = 0; i < EDGES; i++)
		r->last[i] = -1;
}

static bool
said_v2(const struct http_call *call)
{
	enum payload_proto p;

	assert_int_equal(payload_proto_of(http_header(call->headers,
	    "content-type"), &p), ST_OK);
	assert_true(bytes_eq(http_header(call->headers,
	    "x-prometheus-remote-write-version"),
	    bytes_str(payload_version(p))));
	return p == PAYLOAD_V2;
}

static enum payload_coding
coding_of(const struct http_call *call)
{
	struct bytes victoria = http_header(call->headers,
	    "x-victoriametrics-remote-write-version");
	enum payload_coding coding;
	enum payload_proto p;

	assert_int_equal(payload_coding_of(http_header(call->headers,
	    "content-encoding"), &coding), ST_OK);
	(void)payload_proto_of(http_header(call->headers, "content-type"), &p);
	assert_true(bytes_eq(victoria, coding == PAYLOAD_ZSTD &&
	    p == PAYLOAD_V1 ? bytes_str("1") : bytes_of(NULL, 0)));
	return coding;
}

static struct batch *
unpack(const struct http_call *call, bool v2, size_t *size)
{
	static struct payload_tools tools;
	struct batch *b = batch_new((size_t)1 << 24, 0);
	struct bytes raw;

	assert_int_equal(payload_unpack(&tools, coding_of(call), call->body,
	    (size_t)1 << 24, b->arena, &raw), ST_OK);
	payload_tools_fini(&tools);
	*size = raw.n;
	assert_int_equal(v2 ? v2_scan(raw, &key, b) : v1_scan(raw, &key, b),
	    ST_OK);
	return b;
}

static int
edge_of(const struct batch *b, const struct batch_sample *s)
{
	struct label label[8];
	uint32_t n, i;

	assert_int_equal(b->labels(b, &b->entries[s->series], label, 8, &n),
	    ST_OK);
	for (i = 0; i < n; i++)
		if (bytes_eq(label[i].name, BYTES_LIT("edge")))
			return label[i].value.n == 1 ? label[i].value.p[0] - '0' :
			    10 * (label[i].value.p[0] - '0') +
			    label[i].value.p[1] - '0';
	fail_msg("a series without its edge");
	return 0;
}

/* Counts (or, for a poisoned one, only looks); false if a poisoned one is there. */
static bool
look(struct receiver *r, const struct batch *b, bool take)
{
	uint32_t i;
	int first = -1, before = -1;
	unsigned each;

	for (i = 0; i < b->n_samples; i++) {
		int e = edge_of(b, &b->samples[i]);
		int n = (int)b->samples[i].bits;

		if (first != -1 && first != e)
			fail_msg("edges mixed in a request");
		first = e;
		if (!take && e == r->poison_edge && n == r->poison_number)
			return false;
		if (!take && e == r->refused_edge)
			return false;
		r->points += take;
		r->several += take && i > 0 &&
		    b->samples[i].series == b->samples[i - 1].series;
		if (!take || (!r->in_parts && n == before))
			continue;
		before = n;
		/* whole: its other samples follow at once */
		each = rig_points;
		if (!r->in_parts && (i + each > b->n_samples ||
		    (int)b->samples[i + each - 1].bits != n))
			r->torn++;
		if (n < r->last[e]) {
			r->reorders++;
			r->overtaken += !r->came[e][n];
		}
		if (n > r->last[e])
			r->last[e] = n;
		r->came[e][n] += r->came[e][n] < UCHAR_MAX;
		r->done_at[e] = clock_mono();
	}
	return true;
}

static bool
is_too_fast(struct receiver *r, const struct batch *b, int64_t now)
{
	if (r->bears.rate == 0)
		return false;
	if (bucket_wait(&r->bears, 0, now) > 0)
		return true;
	bucket_spend(&r->bears, b->n_samples, now);
	return false;
}

static void
note_delay(struct receiver *r, const struct batch *b)
{
	int64_t newest = 0;
	uint32_t i;

	for (i = 0; i < b->n_samples; i++)
		if (b->samples[i].ms > newest)
			newest = b->samples[i].ms;
	if (newest >= r->since_ms && r->n_delays < r->max_delays)
		r->delay_ms[r->n_delays++] = clock_wall() / CLOCK_MS - newest;
}

void
receive(const struct http_call *call, struct fake_answer *a, void *arg)
{
	struct receiver *r = arg;
	bool v2 = said_v2(call), zstd = coding_of(call) == PAYLOAD_ZSTD;
	size_t size;
	struct batch *b = unpack(call, v2, &size);
	int64_t now = clock_mono();

	if (r->requests++ && now - r->last_request_at < r->least_gap)
		r->least_gap = now - r->last_request_at;
	r->last_request_at = now;
	*(v2 ? &r->v2 : &r->v1) += 1;
	r->zstd += zstd;
	a->after_ns = r->after_ns;
	a->st = r->st;
	a->retry_after = r->retry_after;
	a->http = v2 && r->http_v2 ? r->http_v2 : r->http;
	if (zstd && r->http_zstd)
		a->http = r->http_zstd;
	if (!a->http && r->max_body && size > r->max_body)
		a->http = 413;
	if (a->st == ST_OK && !a->http && !look(r, b, false)) {
		a->http = r->refused_edge >= 0 ? 429 : 400;
		r->refused += a->http == 429;
		a->text = "out of order sample";
		a->written = v2;
	}
	if (a->st == ST_OK && !a->http && is_too_fast(r, b, now)) {
		a->http = 429;
		r->refused++;
	}
	if (a->st == ST_OK && !a->http) {
		if (size > r->largest)
			r->largest = size;
		r->metadata += b->n_metadata;
		a->http = 204;
		note_delay(r, b);
		if (!v2 || !r->only_v1)
			(void)look(r, b, true);
		a->written = v2 && !r->only_v1;
		a->samples = b->n_samples;
		if (r->lose_answer)
			a->st = ST_CUT;
	}
	batch_free(&b);
}

/* ---- the relay ----------------------------------------------------------------------- */

struct sent {
	struct spool_write write;
	struct buf record;
	struct sent *next;
};

static const struct session_opts session_opts = {
	.max_labels = 8, .max_label_bytes = PAD_MAX, .max_series = POINTS_MAX,
};

static void
name_of(int edge, char name[3])
{
	(void)snprintf(name, 3, "%u", (unsigned)edge % 100);
}

void
rig_start(struct rig *g)
{
	unsigned i;
	char name[3];

	rig_points = g->points;
	assert_int_equal(loop_new("spool", &g->loop), ST_OK);
	assert_int_equal(spool_open(&g->spool_opts, disk_ram_ops(g->disk),
	    g->loop, &g->spool), ST_OK);
	for (i = 0; i < EDGES; i++) {
		name_of((int)i, name);
		assert_int_equal(session_new(bytes_str(name), &session_opts,
		    g->spool, &g->session[i]), ST_OK);
	}
	for (i = 0; i < g->n_up; i++) {
		assert_int_equal(loop_new("up", &g->up_loop[i]), ST_OK);
		assert_int_equal(forwarder_new(&g->opts[i], g->spool,
		    disk_ram_ops(g->disk), "/spool", g->up_loop[i],
		    &g->forwarder[i]), ST_OK);
	}
	fake_settle();
}

void
rig_stop(struct rig *g)
{
	struct sent *s;
	unsigned i;

	for (i = 0; i < g->n_up; i++)
		forwarder_free(&g->forwarder[i]);
	for (i = 0; i < EDGES; i++)
		session_free(&g->session[i]);
	spool_close(&g->spool);
	fake_settle();
	for (i = 0; i < g->n_up; i++)
		loop_free(&g->up_loop[i]);
	loop_free(&g->loop);
	while ((s = g->sent) != NULL) {
		g->sent = s->next;
		buf_fini(&s->record);
		free(s);
	}
}

struct rig *
rig_new(unsigned n_up, enum forward_protocol protocol)
{
	static const char *const url[2] = { "http://one/w", "http://two/w" };
	static const char *const name[2] = { "one", "two" };
	struct rig *g = calloc(1, sizeof(*g));
	unsigned i;

	g->disk = disk_ram_new();
	g->n_up = n_up;
	g->points = POINTS;
	g->spool_opts = (struct spool_opts){
		.directory = "/spool",
		.size_bytes = 64 << 20,
		.segment_bytes = 16 << 10,
		.segment_age_ns = 3600 * CLOCK_S,
	};
	for (i = 0; i < n_up; i++) {
		g->opts[i] = (struct forward_opts){
			.name = name[i],
			.protocol = protocol,
			.lanes = 4,
			.live_window_ns = 30 * CLOCK_S,
			.pace = { .catch_up_milli = 3000 },
			.connect_timeout_ns = 5 * CLOCK_S,
			.timeout_ns = 30 * CLOCK_S,
			.max_samples = 1000,
			.max_bytes = 1 << 20,
			.read_ahead_samples = 5000,
			.rejected_bytes = 1 << 20,
			.user_agent = "test",
		};
		assert_null(http_url_parse(url[i], &g->opts[i].url));
		receiver_init(&g->receiver[i]);
		fake_upstream_set(g->opts[i].url.host, receive,
		    &g->receiver[i]);
	}
	rig_start(g);
	return g;
}

void
rig_free(struct rig *g)
{
	rig_stop(g);
	disk_ram_free(&g->disk);
	free(g);
}

bool only_metadata;
static char padding[PAD_MAX];
size_t pad;

/* Of a series: what its labels say. */
struct block {
	char edge[3];
	uint16_t series;
	char number[6];
};

static enum status
labels(const struct batch *b, const struct batch_entry *e, struct label *out,
    uint32_t max, uint32_t *n)
{
	const struct block *block = (const void *)e->block;

	(void)b;
	(void)max;
	out[0] = (struct label){ BYTES_LIT("__name__"), BYTES_LIT("m") };
	out[1] = (struct label){ BYTES_LIT("edge"), bytes_str(block->edge) };
	out[2] = (struct label){ BYTES_LIT("i"), bytes_str(block->number) };
	out[3] = (struct label){ BYTES_LIT("pad"), bytes_of(padding, pad) };
	*n = pad ? 4 : 3;
	return ST_OK;
}

/* "a", "b", ..., "j", "ba" */
static void
letters(unsigned i, char out[6])
{
	char *p;

	(void)snprintf(out, 6, "%u", i % 100000);
	for (p = out; *p; p++)
		*p = (char)(*p - '0' + 'a');
}

static void
stored(struct spool_write *w)
{
	assert_int_equal(w->status, ST_OK);
}

void
put(struct rig *g, int edge)
{
	struct batch *b = batch_new(16 << 20, 0);
	struct sent *s = calloc(1, sizeof(*s));
	struct session_record place;
	static struct block block[POINTS_MAX];
	uint32_t i, points = g->points;

	b->labels = labels;
	b->n_entries = b->n_samples = points;
	b->entries = arena_take_array(b->arena, points, sizeof(*b->entries));
	b->samples = arena_take_array(b->arena, points, sizeof(*b->samples));
	memset(block, 0, points * sizeof(*block));
	for (i = 0; i < points; i++) {
		name_of(edge, block[i].edge);
		letters(i, block[i].number);
		b->entries[i] = (struct batch_entry){
			.key = hash128(&key, &block[i], sizeof(*block)),
			.block = (const void *)&block[i],
			.n_block = sizeof(*block),
		};
		b->samples[i] = (struct batch_sample){
			.series = i, .ms = clock_wall() / CLOCK_MS,
			.bits = (uint64_t)g->stored[edge],
		};
	}
	if (only_metadata) {
		b->n_entries = b->n_samples = 0;
		b->n_metadata = 1;
		b->metadata = arena_take(b->arena, sizeof(*b->metadata));
		*b->metadata = (struct batch_metadata){
			.series = SERIES_NONE, .type = 1,
			.family = BYTES_LIT("m"), .help = BYTES_LIT("what it is"),
		};
	}
	buf_init(&s->record, 16 << 20);
	assert_int_equal(session_encode(g->session[edge], b,
	    (struct hash128){ (uint64_t)g->stored[edge], 0 }, &s->record,
	    &place), ST_OK);
	s->write = (struct spool_write){
		.epoch = place.epoch, .stream = place.stream,
		.data = buf_bytes(&s->record), .done = stored,
		.wall_ms = clock_wall() / CLOCK_MS,
		.points = { .n = points },
	};
	s->next = g->sent;
	g->sent = s;
	spool_submit(g->spool, &s->write);
	fake_settle();
	assert_true(++g->stored[edge] <= REQUESTS);
	batch_free(&b);
}

void
put_all(struct rig *g, int rounds)
{
	int i, e;

	for (i = 0; i < rounds; i++)
		for (e = 0; e < EDGES_ALL; e++)
			put(g, e);
}

unsigned
check_all(const struct rig *g, unsigned up)
{
	const struct receiver *r = &g->receiver[up];
	unsigned again = 0;
	int e, n;

	for (e = 0; e < EDGES; e++) {
		for (n = 0; n < g->stored[e]; n++) {
			if (e == r->poison_edge && n == r->poison_number)
				continue;
			if (!r->came[e][n])
				fail_msg("edge %d request %d never came", e, n);
			again += r->came[e][n] > 1;
		}
	}
	assert_int_equal(r->torn, 0);
	return again;
}
