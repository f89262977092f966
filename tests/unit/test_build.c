/* test_build.c - what the builders write reads as what they were given.
 *
 * The way is that of the relay: a request is scanned, its series are identified,
 * the batch goes through the codec, a builder writes it, and what it wrote is
 * scanned again, which protobuf-c must agree with.
 * SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "prw/payload.h"
#include "prw/v1.h"
#include "prw/v2.h"
#include "tests/reference/message.h"
#include "tests/reference/reference.h"
#include "tests/reference/trip.h"
#include "tests/tools/capture.h"

#define MS INT64_C(1795378828655)

static struct hash_key key;
static struct trip trip;
static struct batch *in, *back;
static struct v1_builder *v1;
static struct v2_builder *v2;
static struct prw_counts counts;
static struct prw_loss loss;

static int
set_up(void **state)
{
	(void)state;
	assert_int_equal(hash_key_init(&key), ST_OK);
	trip_init(&trip, "edge");
	in = batch_new(SIZE_MAX, 0);
	back = batch_new(SIZE_MAX, 0);
	v1 = v1_builder_new();
	v2 = v2_builder_new();
	return in && back && v1 && v2 ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	trip_fini(&trip);
	batch_free(&in);
	batch_free(&back);
	v1_builder_free(&v1);
	v2_builder_free(&v2);
	return 0;
}

static struct dict *
dict(void)
{
	return decoder_dict(trip.decoder);
}

/* ---- there --------------------------------------------------------------- */

/* A request as it comes from an edge; trip.out is what a forwarder gets. */
static void
receive(enum payload_proto proto, struct bytes body)
{
	batch_reset(in);
	assert_int_equal(proto == PAYLOAD_V1 ? v1_scan(body, &key, in) :
	    v2_scan(body, &key, in), ST_OK);
	trip_identify(&trip, in);
	batch_settle(in);
	trip_pass(&trip, in);
}

static void
receive_message(enum payload_proto proto, struct buf *taken)
{
	receive(proto, buf_bytes(taken));
	buf_fini(taken);
}

/* ---- and back ------------------------------------------------------------ */

static struct bytes
finish(enum payload_proto proto)
{
	struct bytes out;

	if (proto == PAYLOAD_V1) {
		out = v1_finish(v1, &counts, &loss);
	} else {
		out = v2_finish(v2, &counts, &loss);
	}
	return out;
}

/* Scans what was built. */
static void
read_back(enum payload_proto proto, struct bytes body)
{
	batch_reset(back);
	assert_int_equal(proto == PAYLOAD_V1 ? v1_scan(body, &key, back) :
	    v2_scan(body, &key, back), ST_OK);
	assert_true(reference_check(proto, body, back));
}

static struct bytes
build(enum payload_proto proto)
{
	struct bytes body;
	size_t size;

	if (proto == PAYLOAD_V1) {
		v1_begin(v1, dict());
		assert_int_equal(v1_add(v1, trip.out, SIZE_MAX), ST_OK);
		size = v1_size(v1);
	} else {
		v2_begin(v2, dict());
		assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
		size = v2_size(v2);
	}
	body = finish(proto);
	assert_int_equal(body.n, size);
	read_back(proto, body);
	return body;
}

/* ---- the same? ----------------------------------------------------------- */

/* The labels of what was read back are those of the series. */
static bool
is_series(uint32_t entry, uint32_t series)
{
	static struct label got[BATCH_LABELS_MAX];
	const uint32_t *refs;
	uint32_t i, n, n_got;

	assert_in_range(entry, 0, back->n_entries - 1);
	assert_int_equal(back->entries[entry].refused, ST_OK);
	assert_int_equal(back->labels(back, &back->entries[entry], got,
	    BATCH_LABELS_MAX, &n_got), ST_OK);
	refs = dict_series(dict(), series, &n);
	if (n != n_got * 2)
		return false;
	for (i = 0; i < n_got; i++) {
		if (!bytes_eq(dict_symbol(dict(), refs[2 * i]), got[i].name) ||
		    !bytes_eq(dict_symbol(dict(), refs[2 * i + 1]),
		    got[i].value))
			return false;
	}
	return true;
}

static void
same_samples(bool starts)
{
	const struct batch *b = trip.out;
	uint32_t i;

	assert_int_equal(back->n_samples, b->n_samples);
	assert_int_equal(counts.samples, b->n_samples);
	for (i = 0; i < b->n_samples; i++) {
		assert_true(is_series(back->samples[i].series,
		    b->samples[i].series));
		assert_true(back->samples[i].ms == b->samples[i].ms);
		assert_true(back->samples[i].bits == b->samples[i].bits);
		if (starts)
			assert_true((back->starts ? back->starts[i] : 0) ==
			    (b->starts ? b->starts[i] : 0));
	}
}

static bool
same_buckets(const struct batch_buckets *a, const struct batch_buckets *b)
{
	return a->n_spans == b->n_spans && a->n_buckets == b->n_buckets &&
	    (!a->n_spans || memcmp(a->spans, b->spans,
	    a->n_spans * sizeof(*a->spans)) == 0) &&
	    (!a->n_buckets || memcmp(a->buckets, b->buckets,
	    a->n_buckets * 8) == 0);
}

static bool
same_histogram(const struct batch_histogram *a, const struct batch_histogram *b)
{
	return a->schema == b->schema && a->ms == b->ms &&
	    a->sum_bits == b->sum_bits &&
	    a->zero_threshold_bits == b->zero_threshold_bits &&
	    a->count == b->count && a->zero_count == b->zero_count &&
	    a->is_float == b->is_float &&
	    a->has_zero_count == b->has_zero_count &&
	    a->reset_hint == b->reset_hint && a->n_custom == b->n_custom &&
	    (!a->n_custom ||
	    memcmp(a->custom_bits, b->custom_bits, a->n_custom * 8) == 0) &&
	    same_buckets(&a->negative, &b->negative) &&
	    same_buckets(&a->positive, &b->positive);
}

static void
same_histograms(bool version_2)
{
	const struct batch_histogram *h = trip.out->histograms, *got;
	uint32_t i, n = 0;

	for (i = 0; i < trip.out->n_histograms; i++, h++) {
		if (h->schema == BATCH_SCHEMA_CUSTOM && !version_2)
			continue;
		assert_in_range(n, 0, back->n_histograms);
		got = &back->histograms[n++];
		assert_true(same_histogram(got, h));
		assert_true(got->start_ms == (version_2 ? h->start_ms : 0));
		assert_true(is_series(got->series, h->series));
	}
	assert_int_equal(back->n_histograms, n);
	assert_int_equal(counts.histograms, n);
}

/* Each is there; an exemplar may have moved beside a sample. */
static void
same_exemplars(void)
{
	const struct batch_exemplar *e, *got;
	bool *used = test_calloc(back->n_exemplars + 1, sizeof(*used));
	uint32_t i, k, m;

	assert_int_equal(back->n_exemplars, trip.out->n_exemplars);
	assert_int_equal(counts.exemplars, trip.out->n_exemplars);
	for (i = 0; i < trip.out->n_exemplars; i++) {
		e = &trip.out->exemplars[i];
		for (k = 0; k < back->n_exemplars; k++) {
			got = &back->exemplars[k];
			if (used[k] || got->bits != e->bits ||
			    (e->ms && got->ms != e->ms) ||
			    got->n_labels != e->n_labels ||
			    !is_series(got->series, e->series))
				continue;
			for (m = 0; m < e->n_labels; m++) {
				if (!bytes_eq(got->labels[m].name,
				    e->labels[m].name) ||
				    !bytes_eq(got->labels[m].value,
				    e->labels[m].value))
					break;
			}
			if (m == e->n_labels)
				break;
		}
		assert_in_range(k, 0, back->n_exemplars - 1);
		used[k] = true;
	}
	test_free(used);
}

static void
same_points(enum payload_proto proto)
{
	same_samples(proto == PAYLOAD_V2);
	same_histograms(proto == PAYLOAD_V2);
	same_exemplars();
}

/* 2.0 wants unique symbols, "" first, and one kind of points in a series. */
static void
keeps_the_rules_of_version_2(void)
{
	struct batch_entry *e;
	uint32_t i, k;
	bool *sampled;

	assert_int_equal(back->symbols[0].n, 0);
	for (i = 0; i < back->n_symbols; i++) {
		for (k = 0; k < i; k++)
			assert_false(bytes_eq(back->symbols[i],
			    back->symbols[k]));
	}
	sampled = test_calloc(back->n_entries + 1, sizeof(*sampled));
	for (i = 0; i < back->n_samples; i++)
		sampled[back->samples[i].series] = true;
	for (i = 0; i < back->n_histograms; i++)
		assert_false(sampled[back->histograms[i].series]);
	test_free(sampled);
	for (e = back->entries; e < back->entries + back->n_entries; e++)
		assert_int_equal(e->refused, ST_OK);
}

/* ---- requests ------------------------------------------------------------ */

static void
captured_requests_survive_both_versions(void **state)
{
	const char *srcdir = getenv("srcdir");
	struct captured request;
	struct capture *capture;
	char path[4096];
	unsigned n = 0;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/tests/data/edges.capture",
	    srcdir ? srcdir : ".");
	capture = capture_open(path);
	assert_non_null(capture);
	for (; capture_next(capture, &request) == 1; n++) {
		receive(PAYLOAD_V1, bytes_of(request.body, request.len));
		build(PAYLOAD_V1);
		same_points(PAYLOAD_V1);
		build(PAYLOAD_V2);
		same_points(PAYLOAD_V2);
		keeps_the_rules_of_version_2();
	}
	assert_in_range(n, 4, 100);
	capture_close(capture);
}

static const char *const symbols[] = { "", "__name__", "up", "job", "x",
	"trace_id", "0123456789abcdef", "help text", "seconds", "down",
	"rpc_seconds_bucket", "requests_total" };

enum { NONE, NAME, UP, JOB, X, TRACE, ID, HELP, SECONDS, DOWN, BUCKET, TOTAL };

static struct buf
request(void)
{
	struct buf req = message_empty();
	size_t i;

	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		message_string(&req, 4, symbols[i]);
	return req;
}

static struct buf
series(size_t n, const uint64_t *refs)
{
	struct buf m = message_empty();

	message_packed(&m, 1, refs, n);
	return m;
}

#define SERIES(...) series(sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, \
	(uint64_t[]){ __VA_ARGS__ })

static void
put_exemplar(struct buf *m, int64_t ms)
{
	static const uint64_t refs[] = { TRACE, ID, JOB, NONE };
	struct buf x = message_empty();

	message_packed(&x, 1, refs, 4);
	message_double(&x, 2, 0.25);
	if (ms)
		message_varint(&x, 3, (uint64_t)ms);
	message_sub(m, 4, &x);
}

static void
put_histogram(struct buf *m, bool custom, int64_t start_ms)
{
	static const uint64_t deltas[] = { 4, 3, 0, 128 };
	struct buf h = message_empty(), span = message_empty();

	message_varint(&h, 1, custom ? 66 : 69);	/* 2 + 0 + 0 + 64 */
	message_double(&h, 3, 7.5);
	message_varint(&h, 4, custom ? 105 : 7);	/* -53, -4 */
	if (!custom) {
		message_double(&h, 5, 1e-128);
		message_varint(&h, 6, 3);
	}
	if (!custom)
		message_varint(&span, 1, 5);
	message_varint(&span, 2, 3);
	message_sub(&h, 11, &span);
	span = message_empty();
	message_varint(&span, 1, 2);
	message_varint(&span, 2, 1);
	message_sub(&h, 11, &span);
	message_packed(&h, 12, deltas, 4);
	message_varint(&h, 14, 2);
	message_varint(&h, 15, (uint64_t)MS);
	if (custom) {
		message_double(&h, 16, 1);
		message_double(&h, 16, 2);
		message_double(&h, 16, 3);
		message_double(&h, 16, 4);
	}
	if (start_ms)
		message_varint(&h, 17, (uint64_t)start_ms);
	message_sub(m, 3, &h);
}

static void
put_metadata(struct buf *m, uint64_t type, uint64_t help, uint64_t unit)
{
	struct buf d = message_empty();

	message_varint(&d, 1, type);
	message_varint(&d, 3, help);
	message_varint(&d, 4, unit);
	message_sub(m, 5, &d);
}

static void
put_float_histogram(struct buf *m)
{
	struct buf h = message_empty(), span = message_empty();

	message_double(&h, 2, 3.5);
	message_double(&h, 7, 0);
	message_varint(&span, 2, 2);
	message_sub(&h, 8, &span);
	message_double(&h, 10, 1.25);
	message_double(&h, 10, 2.25);
	message_varint(&h, 15, (uint64_t)MS + 1);
	message_sub(m, 3, &h);
}

/* Of everything something. */
static struct buf
rich_request(void)
{
	struct buf req = request(), m = SERIES(NAME, UP, JOB, X), s;

	message_sample(&m, 2, 1.5, MS);
	s = message_empty();
	message_64(&s, 1, STALE_MARKER);
	message_varint(&s, 2, (uint64_t)MS + 1);
	message_varint(&s, 3, 99);
	message_sub(&m, 2, &s);
	message_sample(&m, 2, 0, MS + 1);
	put_histogram(&m, false, 77);
	put_histogram(&m, true, 0);
	put_float_histogram(&m);
	put_exemplar(&m, MS);
	put_exemplar(&m, 0);
	put_metadata(&m, 3, HELP, SECONDS);
	message_sub(&req, 5, &m);
	m = SERIES(JOB, ID, NAME, DOWN);	/* an exemplar alone */
	put_exemplar(&m, MS);
	message_sub(&req, 5, &m);
	m = SERIES(NAME, UP, JOB, X);
	message_sample(&m, 2, -0.0, -1);
	put_exemplar(&m, MS + 2);
	message_sub(&req, 5, &m);
	m = SERIES(NAME, DOWN);
	put_histogram(&m, false, 0);
	put_exemplar(&m, 0);
	message_sub(&req, 5, &m);
	return req;
}

static void
everything_survives_version_2(void **state)
{
	struct buf req = rich_request();
	uint32_t i;

	(void)state;
	receive_message(PAYLOAD_V2, &req);
	assert_int_equal(trip.out->n_samples, 4);
	assert_int_equal(trip.out->n_histograms, 4);
	assert_int_equal(trip.out->n_exemplars, 5);
	build(PAYLOAD_V2);
	same_points(PAYLOAD_V2);
	keeps_the_rules_of_version_2();
	assert_int_equal(loss.starts + loss.histograms + loss.metadata, 0);
	/* every exemplar has a time, and all but one go with a point */
	for (i = 0; i < back->n_exemplars; i++)
		assert_true(back->exemplars[i].ms != 0);
	assert_int_equal(back->n_entries, 4);
	assert_in_range(back->n_metadata, 1, back->n_entries);
	assert_int_equal(back->metadata[0].type, 3);
	assert_memory_equal(back->metadata[0].help.p, "help text", 9);
}

static void
version_1_loses_what_it_has_no_place_for(void **state)
{
	struct buf req = rich_request();

	(void)state;
	receive_message(PAYLOAD_V2, &req);
	build(PAYLOAD_V1);
	same_points(PAYLOAD_V1);
	assert_int_equal(loss.starts, 2);
	assert_int_equal(loss.histograms, 1);
	assert_int_equal(back->n_metadata, 1);
	assert_memory_equal(back->metadata[0].family.p, "up", 2);
}

static void
what_was_built_builds_the_same(void **state)
{
	struct buf req = rich_request(), first = message_empty();
	struct bytes again;

	(void)state;
	receive_message(PAYLOAD_V2, &req);
	again = build(PAYLOAD_V2);
	assert_true(buf_append(&first, again.p, again.n));
	trip_fini(&trip);
	trip_init(&trip, "other");
	receive(PAYLOAD_V2, buf_bytes(&first));
	again = build(PAYLOAD_V2);
	assert_int_equal(again.n, first.len);
	assert_memory_equal(again.p, first.data, again.n);
	buf_fini(&first);
}

static void
batches_join_in_one_request(void **state)
{
	struct buf req = rich_request();
	uint32_t n_symbols, n_samples;

	(void)state;
	receive_message(PAYLOAD_V2, &req);
	build(PAYLOAD_V2);
	n_symbols = back->n_symbols;
	n_samples = back->n_samples;
	v2_begin(v2, dict());
	assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
	assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
	read_back(PAYLOAD_V2, finish(PAYLOAD_V2));
	assert_int_equal(back->n_symbols, n_symbols);
	assert_int_equal(back->n_samples, 2 * n_samples);
	assert_int_equal(counts.samples, 2 * n_samples);
	v1_begin(v1, dict());
	assert_int_equal(v1_add(v1, trip.out, SIZE_MAX), ST_OK);
	assert_int_equal(v1_add(v1, trip.out, SIZE_MAX), ST_OK);
	read_back(PAYLOAD_V1, finish(PAYLOAD_V1));
	assert_int_equal(back->n_samples, 2 * n_samples);
}

/* A symbol that first came with an exemplar, then with a series, is one. */
static void
symbols_stay_unique_across_batches(void **state)
{
	struct buf req = request(), m = SERIES(NAME, UP);

	(void)state;
	put_exemplar(&m, MS);
	message_sub(&req, 5, &m);
	receive_message(PAYLOAD_V2, &req);
	v2_begin(v2, dict());
	assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
	req = request();
	m = SERIES(NAME, UP, JOB, ID, TRACE, X);
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	receive_message(PAYLOAD_V2, &req);
	assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
	read_back(PAYLOAD_V2, finish(PAYLOAD_V2));
	keeps_the_rules_of_version_2();
	assert_int_equal(back->n_symbols, 7);
	assert_int_equal(back->n_samples, 1);
	assert_true(is_series(back->samples[0].series,
	    trip.out->samples[0].series));
}

/* What does not fit leaves no trace, whatever of it was written by then. */
static void
what_passes_the_limit_is_not_added(void **state)
{
	struct buf req = request(), m = SERIES(NAME, UP), first, clean;
	struct bytes body;
	size_t size, whole, limit;

	(void)state;
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	receive_message(PAYLOAD_V2, &req);
	first = message_empty();
	body = build(PAYLOAD_V2);
	assert_true(buf_append(&first, body.p, body.n));
	clean = message_empty();
	body = build(PAYLOAD_V1);
	assert_true(buf_append(&clean, body.p, body.n));

	v2_begin(v2, dict());
	assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
	size = v2_size(v2);
	req = rich_request();
	receive_message(PAYLOAD_V2, &req);
	assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
	whole = v2_size(v2);
	(void)finish(PAYLOAD_V2);
	for (limit = size; limit <= whole; limit++) {
		receive(PAYLOAD_V2, buf_bytes(&first));
		v2_begin(v2, dict());
		assert_int_equal(v2_add(v2, trip.out, SIZE_MAX), ST_OK);
		req = rich_request();
		receive_message(PAYLOAD_V2, &req);
		assert_int_equal(v2_add(v2, trip.out, limit),
		    limit < whole ? ST_TOO_LARGE : ST_OK);
		if (limit == whole)
			break;
		assert_int_equal(v2_size(v2), size);
		body = finish(PAYLOAD_V2);
		assert_int_equal(body.n, first.len);
		assert_memory_equal(body.p, first.data, body.n);
		assert_int_equal(counts.samples, 1);
		/* nor in the next request */
		receive(PAYLOAD_V2, buf_bytes(&first));
		body = build(PAYLOAD_V2);
		assert_memory_equal(body.p, first.data, body.n);
	}
	buf_fini(&first);

	receive(PAYLOAD_V1, buf_bytes(&clean));
	v1_begin(v1, dict());
	assert_int_equal(v1_add(v1, trip.out, SIZE_MAX), ST_OK);
	req = rich_request();
	receive_message(PAYLOAD_V2, &req);
	for (limit = 0; v1_add(v1, trip.out, limit) == ST_TOO_LARGE; limit++)
		assert_int_equal(v1_size(v1), clean.len);
	assert_int_equal(v1_size(v1), limit);
	/* metadata too: what was noted as sent was not */
	read_back(PAYLOAD_V1, finish(PAYLOAD_V1));
	assert_int_equal(back->n_metadata, 1);
	assert_int_equal(counts.samples, 5);
	assert_int_equal(loss.histograms, 1);
	buf_fini(&clean);
}

/* ---- metadata ------------------------------------------------------------ */

static struct buf
family(const char *name, uint64_t type, const char *help)
{
	struct buf req = message_empty(), m = message_empty();

	message_varint(&m, 1, type);
	message_string(&m, 2, name);
	message_string(&m, 4, help);
	message_sub(&req, 3, &m);
	return req;
}

/* A request of families only, out again by 1.0; how many went. */
static uint32_t
send_family(const char *name, uint64_t type, const char *help)
{
	struct buf req = family(name, type, help);

	receive_message(PAYLOAD_V1, &req);
	build(PAYLOAD_V1);
	return back->n_metadata;
}

static void
families_go_when_changed_and_now_and_then(void **state)
{
	unsigned i, again = 0;

	(void)state;
	assert_int_equal(send_family("up", 2, "Is it up?"), 1);
	assert_int_equal(send_family("up", 2, "Is it up?"), 0);
	assert_int_equal(send_family("up", 2, "Is it?"), 1);
	assert_int_equal(send_family("down", 2, "Is it up?"), 1);
	assert_int_equal(send_family("down", 1, "Is it up?"), 1);
	for (i = 0; i < 200; i++)
		again += send_family("down", 1, "Is it up?");
	assert_in_range(again, 2, 5);
}

static void
families_of_many_are_bounded_and_sent(void **state)
{
	struct buf req = message_empty(), one;
	char name[32];
	uint32_t i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		(void)snprintf(name, sizeof(name), "family_%u", i);
		one = family(name, 1, "");
		assert_true(buf_append(&req, one.data, one.len));
		buf_fini(&one);
	}
	receive_message(PAYLOAD_V1, &req);
	build(PAYLOAD_V1);
	assert_int_equal(back->n_metadata, 100000);
}

/* A family's name is what its type adds nothing to. */
static void
a_series_metadata_becomes_its_familys(void **state)
{
	static const struct {
		uint64_t name, type;
		const char *family;
	} cases[] = {
		{ BUCKET, 3, "rpc_seconds" }, { BUCKET, 4, "rpc_seconds" },
		{ BUCKET, 1, "rpc_seconds_bucket" },
		{ BUCKET, 5, "rpc_seconds_bucket" },
		{ TOTAL, 1, "requests_total" }, { UP, 99, "up" },
	};
	struct buf req, m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		req = request();
		m = SERIES(NAME, cases[i].name);
		message_sample(&m, 2, 1, MS);
		put_metadata(&m, cases[i].type, HELP, NONE);
		message_sub(&req, 5, &m);
		/* once, of however many series */
		m = SERIES(JOB, X, NAME, cases[i].name);
		message_sample(&m, 2, 1, MS);
		put_metadata(&m, cases[i].type, HELP, NONE);
		message_sub(&req, 5, &m);
		receive_message(PAYLOAD_V2, &req);
		build(PAYLOAD_V1);
		assert_int_equal(back->n_samples, 2);
		assert_int_equal(back->n_metadata, 1);
		assert_int_equal(back->metadata[0].family.n,
		    strlen(cases[i].family));
		assert_memory_equal(back->metadata[0].family.p,
		    cases[i].family, strlen(cases[i].family));
	}
}

static void
families_ride_on_their_series_in_version_2(void **state)
{
	struct buf req = family("up", 2, "Is it up?"), m;

	(void)state;
	receive_message(PAYLOAD_V1, &req);
	/* nothing to carry it yet: no request at all */
	assert_int_equal(build(PAYLOAD_V2).n, 0);
	assert_int_equal(loss.metadata, 1);
	req = request();
	m = SERIES(NAME, UP);
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	receive_message(PAYLOAD_V2, &req);
	build(PAYLOAD_V2);
	assert_int_equal(loss.metadata, 0);
	assert_int_equal(back->n_metadata, 1);
	assert_memory_equal(back->metadata[0].help.p, "Is it up?", 9);
}

/* ---- sizes --------------------------------------------------------------- */

static void
many_long_labels_are_written_right(void **state)
{
	struct buf req, m;
	char name[300], value[20000];
	uint32_t i;

	(void)state;
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	m = message_empty();
	message_label(&m, "__name__", "up");
	for (i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "label_%u", i);
		message_label(&m, name, i == 7 ? value : name);
	}
	message_sample(&m, 2, 1, MS);
	req = message_empty();
	message_sub(&req, 1, &m);
	receive_message(PAYLOAD_V1, &req);
	build(PAYLOAD_V1);
	same_points(PAYLOAD_V1);
	build(PAYLOAD_V2);
	same_points(PAYLOAD_V2);
}

/* References of one, two and three bytes. */
static void
many_symbols_are_written_right(void **state)
{
	struct buf req = message_empty(), m;
	char value[32];
	uint32_t i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		(void)snprintf(value, sizeof(value), "value_%u", i);
		m = message_empty();
		message_label(&m, "__name__", "up");
		message_label(&m, "instance", value);
		message_sample(&m, 2, i, MS + i / 100);
		message_sub(&req, 1, &m);
	}
	receive_message(PAYLOAD_V1, &req);
	build(PAYLOAD_V2);
	same_samples(true);
	assert_int_equal(back->n_symbols, 20004);
}

static void
an_empty_batch_makes_no_request(void **state)
{
	(void)state;
	receive(PAYLOAD_V1, bytes_of(NULL, 0));
	assert_int_equal(build(PAYLOAD_V1).n, 0);
	assert_int_equal(build(PAYLOAD_V2).n, 0);
	assert_int_equal(counts.samples, 0);
}

int
main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(captured_requests_survive_both_versions),
		TEST(everything_survives_version_2),
		TEST(version_1_loses_what_it_has_no_place_for),
		TEST(what_was_built_builds_the_same),
		TEST(batches_join_in_one_request),
		TEST(symbols_stay_unique_across_batches),
		TEST(what_passes_the_limit_is_not_added),
		TEST(families_go_when_changed_and_now_and_then),
		TEST(families_of_many_are_bounded_and_sent),
		TEST(a_series_metadata_becomes_its_familys),
		TEST(families_ride_on_their_series_in_version_2),
		TEST(many_long_labels_are_written_right),
		TEST(many_symbols_are_written_right),
		TEST(an_empty_batch_makes_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
