/* test_v1.c - prometheus.WriteRequest, read.
 *
 * What a scan finds is held against protobuf-c each time (scanned()), so the
 * tests themselves say only what is particular.
 * SPDX-License-Identifier: Apache-2.0 */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "prw/payload.h"
#include "prw/v1.h"
#include "tests/reference/reference.h"
#include "tests/reference/message.h"
#include "tests/tools/capture.h"

#define MS INT64_C(1795378828655)

static struct hash_key key;
static struct batch *batch;
static uint8_t *copy;

static int
set_up(void **state)
{
	(void)state;
	assert_int_equal(hash_key_init(&key), ST_OK);
	batch = batch_new((size_t)64 << 20, 0);
	return batch ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	batch_free(&batch);
	free(copy);
	copy = NULL;
	return 0;
}

/* Scans a copy of exactly this size, so that the address sanitizer sees a read
 * past its end. */
static enum status
scan_bytes(struct bytes body)
{
	enum status st;

	free(copy);
	copy = malloc(body.n ? body.n : 1);
	assert_non_null(copy);
	if (body.n)
		memcpy(copy, body.p, body.n);
	batch_reset(batch);
	st = v1_scan(bytes_of(copy, body.n), &key, batch);
	if (st == ST_OK)
		(void)reference_check(PAYLOAD_V1, bytes_of(copy, body.n), batch);
	return st;
}

static enum status
scan(struct buf *taken)
{
	enum status st = scan_bytes(buf_bytes(taken));

	buf_fini(taken);
	return st;
}

/* A request of one series. */
static enum status
scan_series(struct buf *taken)
{
	struct buf req = message_empty();

	message_sub(&req, 1, taken);
	return scan(&req);
}

static struct buf
named(const char *name)
{
	struct buf m = message_empty();

	message_label(&m, "__name__", name);
	return m;
}

static enum status
labels_of(uint32_t entry, struct label *out, uint32_t max, uint32_t *n)
{
	assert_in_range(entry, 0, batch->n_entries - 1);
	return batch->labels(batch, &batch->entries[entry], out, max, n);
}

/* The labels of a series that has one sample. */
static enum status
verdict(struct buf *labels)
{
	struct label out[8];
	uint32_t n;

	message_sample(labels, 2, 1, MS);
	assert_int_equal(scan_series(labels), ST_OK);
	if (batch->n_entries == 0)
		return batch->refused[ST_NO_NAME] == 1 ? ST_NO_NAME : ST_OK;
	return labels_of(0, out, 8, &n);
}

#define ASSERT_TEXT(b, s) do {						\
	assert_int_equal((b).n, sizeof(s) - 1);				\
	assert_memory_equal((b).p, s, sizeof(s) - 1);			\
} while (0)

/* ---- requests ------------------------------------------------------------ */

static void
captured_requests_read_as_protobuf_c_reads_them(void **state)
{
	const char *srcdir = getenv("srcdir");
	struct captured request;
	struct capture *capture;
	uint64_t samples = 0;
	unsigned n = 0;
	char path[4096];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/tests/data/edges.capture",
	    srcdir ? srcdir : ".");
	capture = capture_open(path);
	assert_non_null(capture);
	for (; capture_next(capture, &request) == 1; n++) {
		assert_int_equal(scan_bytes(bytes_of(request.body,
		    request.len)), ST_OK);
		assert_true(reference_check(PAYLOAD_V1,
		    bytes_of(copy, request.len), batch));
		samples += batch->n_samples;
	}
	assert_in_range(n, 4, 100);
	assert_in_range(samples, 5000, 100000);
	capture_close(capture);
}

static void
a_request_of_nothing_is_fine(void **state)
{
	struct buf m = named("up");

	(void)state;
	assert_int_equal(scan_bytes(bytes_of(NULL, 0)), ST_OK);
	assert_int_equal(batch->n_entries, 0);
	/* a series without points is no series */
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_entries, 0);
	batch_settle(batch);
	assert_int_equal(batch_counts(batch).samples, 0);
}

static void
values_come_bit_for_bit(void **state)
{
	static const uint64_t values[] = { 0, UINT64_C(0x8000000000000000),
		STALE_MARKER, UINT64_C(0x7ff8000000000001),
		UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000),
		1, UINT64_MAX };
	static const int64_t times[] = { 0, 1, -1, MS, INT64_MAX, INT64_MIN,
		127, INT64_C(1) << 55 };
	struct buf req = message_empty(), m, sample;
	size_t i;

	(void)state;
	for (i = 0; i < 8; i++) {
		m = named("up");
		sample = message_empty();
		message_64(&sample, 1, values[i]);
		message_varint(&sample, 2, (uint64_t)times[i]);
		message_sub(&m, 2, &sample);
		message_sub(&req, 1, &m);
	}
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->n_samples, 8);
	for (i = 0; i < 8; i++) {
		assert_true(batch->samples[i].bits == values[i]);
		assert_true(batch->samples[i].ms == times[i]);
		assert_true(hash128_eq(batch->entries[i].key,
		    batch->entries[0].key));
	}
	assert_null(batch->starts);
}

static void
many_series_of_many_samples(void **state)
{
	struct buf req = message_empty(), m;
	char name[32];
	int i, k;

	(void)state;
	for (i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "metric_%d", i);
		m = named(name);
		for (k = 0; k < 40; k++)
			message_sample(&m, 2, i, MS + k);
		message_sub(&req, 1, &m);
	}
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->n_entries, 500);
	assert_int_equal(batch->n_samples, 20000);
	assert_false(hash128_eq(batch->entries[3].key, batch->entries[4].key));
	for (i = 0; i < 500; i++)
		batch->entries[i].id = (uint32_t)i + 1000;
	batch_settle(batch);
	assert_int_equal(batch->samples[19999].series, 1499);
}

static void
exemplars_histograms_and_metadata_are_read(void **state)
{
	static const uint64_t deltas[] = { 2, 3 };	/* 1, -2 */
	struct buf req = message_empty(), m = named("up"), x, h, span;

	(void)state;
	x = message_empty();
	message_label(&x, "trace_id", "abc");
	message_label(&x, "empty", "");
	message_double(&x, 2, 0.5);
	message_varint(&x, 3, MS);
	message_sub(&m, 3, &x);
	h = message_empty();
	message_varint(&h, 1, 3);
	message_double(&h, 3, 7.5);
	message_varint(&h, 4, 5);			/* -3 */
	message_double(&h, 5, 1e-128);
	message_varint(&h, 6, 2);
	span = message_empty();
	message_varint(&span, 1, 3);		/* -2 */
	message_varint(&span, 2, 2);
	message_sub(&h, 11, &span);
	message_packed(&h, 12, deltas, 2);
	message_varint(&h, 14, 3);
	message_varint(&h, 15, MS);
	message_varint(&h, 17, 99);		/* none of 1.0 */
	message_sub(&m, 4, &h);
	message_sub(&req, 1, &m);
	m = message_empty();
	message_varint(&m, 1, 2);
	message_string(&m, 2, "up");
	message_string(&m, 4, "Is it up?");
	message_string(&m, 5, "bool");
	message_sub(&req, 3, &m);
	assert_int_equal(scan(&req), ST_OK);

	assert_int_equal(batch->n_exemplars, 1);
	assert_int_equal(batch->exemplars[0].n_labels, 2);
	ASSERT_TEXT(batch->exemplars[0].labels[0].value, "abc");
	assert_int_equal(batch->n_histograms, 0);
	assert_int_equal(batch->refused[ST_BAD_HISTOGRAM], 1);
	assert_int_equal(batch->n_metadata, 1);
	assert_int_equal(batch->metadata[0].series, SERIES_NONE);
	ASSERT_TEXT(batch->metadata[0].help, "Is it up?");
}

static void
a_histogram_is_read_whole(void **state)
{
	static const uint64_t deltas[] = { 2, 2 };	/* 1, 1: counts 1, 2 */
	struct buf m = named("up"), h = message_empty(), span;
	const struct batch_histogram *got;

	(void)state;
	message_varint(&h, 1, 5);
	message_double(&h, 3, 7.5);
	message_varint(&h, 4, 5);			/* -3 */
	message_varint(&h, 6, 2);
	span = message_empty();
	message_varint(&span, 1, 3);		/* -2 */
	message_varint(&span, 2, 2);
	message_sub(&h, 11, &span);
	message_varint(&h, 12, deltas[0]);		/* not packed, and packed */
	message_packed(&h, 12, deltas + 1, 1);
	message_varint(&h, 14, 3);
	message_varint(&h, 15, MS);
	message_varint(&h, 17, 99);		/* none of 1.0 */
	message_sub(&m, 4, &h);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_histograms, 1);
	got = &batch->histograms[0];
	assert_int_equal(got->schema, -3);
	assert_int_equal(got->positive.spans[0].offset, -2);
	assert_int_equal(got->positive.buckets[1], 1);
	assert_int_equal(got->reset_hint, RESET_GAUGE);
	assert_int_equal(got->start_ms, 0);
	assert_true(got->has_zero_count);
}

/* ---- labels -------------------------------------------------------------- */

static void
labels_come_sorted_without_empties(void **state)
{
	struct buf m = message_empty();
	struct label out[8];
	uint32_t n;

	(void)state;
	message_label(&m, "zone", "a");
	message_label(&m, "Foo", "b");
	message_label(&m, "gone", "");
	message_label(&m, "__name__", "up");
	message_label(&m, "dotted.name", "with space\n");
	message_sample(&m, 2, 1, MS);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(labels_of(0, out, 8, &n), ST_OK);
	assert_int_equal(n, 4);
	ASSERT_TEXT(out[0].name, "Foo");
	ASSERT_TEXT(out[1].name, "__name__");
	ASSERT_TEXT(out[1].value, "up");
	ASSERT_TEXT(out[2].name, "dotted.name");
	ASSERT_TEXT(out[3].name, "zone");
	assert_int_equal(labels_of(0, out, 5, &n), ST_OK);
	assert_int_equal(labels_of(0, out, 4, &n), ST_TOO_MANY_LABELS);
}

static void
labels_that_make_no_series_are_told(void **state)
{
	struct buf m;

	(void)state;
	m = named("up");
	assert_int_equal(verdict(&m), ST_OK);
	m = message_empty();
	assert_int_equal(verdict(&m), ST_NO_NAME);
	m = message_empty();
	message_label(&m, "job", "a label block that is long enough");
	assert_int_equal(verdict(&m), ST_NO_NAME);
	m = named("");
	assert_int_equal(verdict(&m), ST_NO_NAME);
	m = named("");
	message_label(&m, "job", "x");
	assert_int_equal(verdict(&m), ST_NO_NAME);
	m = named("up");
	message_label(&m, "", "x");
	assert_int_equal(verdict(&m), ST_EMPTY_NAME);
	m = named("up");
	message_label(&m, "job", "x");
	message_label(&m, "job", "x");
	assert_int_equal(verdict(&m), ST_DUPLICATE_LABEL);
	m = named("up");
	message_label(&m, "job", "x");
	message_label(&m, "a", "x");
	message_label(&m, "job", "");
	assert_int_equal(verdict(&m), ST_DUPLICATE_LABEL);
	m = named("up");
	message_label(&m, "job", "\xff");
	assert_int_equal(verdict(&m), ST_BAD_UTF8);
	m = named("up");
	message_label(&m, "\xc0\x80", "x");
	assert_int_equal(verdict(&m), ST_BAD_UTF8);
	m = named("up");
	message_string(&m, 1, "\x0a\x7f");		/* a label cut short */
	assert_int_equal(scan_series(&m), ST_OK);
	m = named("up");
	message_string(&m, 1, "\x0a\x7f");
	assert_int_equal(verdict(&m), ST_BAD_PROTOBUF);
}

/* Labels after points are labels; the key does not care. */
static void
labels_may_stand_apart(void **state)
{
	struct buf req = message_empty(), m = named("up");
	struct label out[8];
	uint32_t n;

	(void)state;
	message_label(&m, "zone", "a");
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 1, &m);
	m = named("up");
	message_sample(&m, 2, 1, MS);
	message_string(&m, 99, "something new");
	message_label(&m, "zone", "a");
	message_sub(&req, 1, &m);
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->n_entries, 2);
	assert_true(hash128_eq(batch->entries[0].key, batch->entries[1].key));
	assert_int_equal(labels_of(1, out, 8, &n), ST_OK);
	assert_int_equal(n, 2);
	ASSERT_TEXT(out[1].value, "a");
}

static void
keys_are_of_this_process(void **state)
{
	struct buf m = named("up");
	struct hash128 before;

	(void)state;
	message_sample(&m, 2, 1, MS);
	assert_int_equal(scan_series(&m), ST_OK);
	before = batch->entries[0].key;
	assert_int_equal(before.lo & 1, 0);
	assert_int_equal(hash_key_init(&key), ST_OK);
	m = named("up");
	message_sample(&m, 2, 1, MS);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_false(hash128_eq(before, batch->entries[0].key));
}

/* ---- what protobuf permits, and what not --------------------------------- */

static void
unusual_encodings_are_taken(void **state)
{
	struct buf req = message_empty(), m = named("up"), sample;

	(void)state;
	message_varint(&req, 7, UINT64_MAX);
	message_64(&req, 1000, 1);
	message_32(&req, 1001, 1);
	message_string(&req, 536870911, "the last field there is");
	message_varint(&req, 1, 5);		/* of another wire type */
	message_varint(&m, 2, 5);
	sample = message_empty();
	message_varint(&sample, 2, 5);
	message_double(&sample, 1, 3);
	message_varint(&sample, 2, 0);
	message_varint(&sample, 2, MS);
	message_32(&sample, 1, 1);
	message_sub(&m, 2, &sample);
	sample = message_empty();
	message_sub(&m, 2, &sample);
	message_sub(&req, 1, &m);
	/* reserved: what others have sent there is passed over */
	message_string(&req, 2, "source");
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->n_samples, 2);
	assert_true(batch->samples[0].ms == MS);
	assert_true(batch->samples[1].ms == 0 && batch->samples[1].bits == 0);
}

static void
long_forms_of_small_numbers_are_taken(void **state)
{
	/* tag and lengths in two bytes where one would do */
	static const uint8_t body[] = {
		0x8a, 0x00, 0xa1, 0x00,
		0x8a, 0x00, 0x8f, 0x00,
		0x0a, 8, '_', '_', 'n', 'a', 'm', 'e', '_', '_',
		0x12, 3, 'f', 'o', 'o',
		0x12, 0x8b, 0x00, 0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x05,
	};
	struct label out[2];
	uint32_t n;

	(void)state;
	assert_int_equal(scan_bytes(bytes_of(body, sizeof(body))), ST_OK);
	assert_int_equal(batch->n_samples, 1);
	assert_int_equal(labels_of(0, out, 2, &n), ST_OK);
	ASSERT_TEXT(out[0].value, "foo");
}

static void
broken_messages_are_refused(void **state)
{
	static const struct {
		size_t n;
		uint8_t body[16];
	} broken[] = {
		{ 1, { 0x0a } },			/* no length */
		{ 2, { 0x0a, 0x01 } },			/* cut */
		{ 2, { 0x00, 0x01 } },			/* field 0 */
		{ 2, { 0x0b, 0x0c } },			/* a group */
		{ 1, { 0x0c } },			/* its end */
		{ 2, { 0x0e, 0x00 } },			/* no wire type */
		{ 3, { 0x0a, 0x01, 0x0a } },		/* label cut */
		{ 4, { 0x0a, 0x02, 0x0a, 0x01 } },
		{ 4, { 0x0a, 0x02, 0x12, 0x01 } },	/* sample cut */
		{ 6, { 0x0a, 0x04, 0x12, 0x02, 0x09, 0x00 } },
		{ 6, { 0x0a, 0x04, 0x22, 0x02, 0x60, 0x80 } },
		{ 7, { 0x0a, 0x05, 0x22, 0x03, 0x62, 0x01, 0x80 } },
		{ 7, { 0x0a, 0x05, 0x22, 0x03, 0x6a, 0x01, 0x80 } },
		{ 7, { 0x0a, 0x05, 0x22, 0x03, 0x5a, 0x01, 0x08 } },
		{ 6, { 0x0a, 0x04, 0x1a, 0x02, 0x10, 0x80 } },
		{ 7, { 0x0a, 0x05, 0x1a, 0x03, 0x0a, 0x01, 0x0a } },
		{ 4, { 0x1a, 0x02, 0x08, 0x80 } },	/* metadata */
		{ 11, { 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2 } },
		{ 11, { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		    0x01, 0x00 } },			/* a tag of 64 bits */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(scan_bytes(bytes_of(broken[i].body,
		    broken[i].n)), ST_BAD_PROTOBUF);
}

/* Whatever is cut off a good request: an answer, and no read past the end. */
static void
any_beginning_is_read_safely(void **state)
{
	struct buf req = message_empty(), m = named("up"), x, h;
	size_t i;

	(void)state;
	message_sample(&m, 2, 1, MS);
	x = message_empty();
	message_label(&x, "trace_id", "abc");
	message_varint(&x, 3, MS);
	message_sub(&m, 3, &x);
	h = message_empty();
	message_varint(&h, 15, MS);
	message_double(&h, 16, 1);
	message_sub(&m, 4, &h);
	message_label(&m, "zone", "a");
	message_sub(&req, 1, &m);
	for (i = 1; i < req.len; i++)
		assert_int_equal(scan_bytes(bytes_of(req.data, i)),
		    ST_BAD_PROTOBUF);
	assert_int_equal(scan(&req), ST_OK);
}

/* ---- hostile sizes ------------------------------------------------------- */

static enum status
scan_repeated(const void *piece, size_t n, size_t times, size_t *held)
{
	uint8_t *body = test_malloc(n * times);
	enum status st;
	size_t i;

	for (i = 0; i < times; i++)
		memcpy(body + i * n, piece, n);
	batch_free(&batch);
	batch = batch_new(SIZE_MAX, 0);
	st = v1_scan(bytes_of(body, n * times), &key, batch);
	*held = arena_size(batch->arena) / (n * times);
	test_free(body);
	return st;
}

static void
small_bodies_do_not_grow_large(void **state)
{
	const size_t n = 1 << 20;
	size_t held;

	(void)state;
	/* series without anything, with an empty sample, exemplar, histogram */
	assert_int_equal(scan_repeated("\x0a\0", 2, n, &held), ST_OK);
	assert_in_range(held, 0, 1);
	assert_int_equal(scan_repeated("\x0a\2\x12\0", 4, n, &held), ST_OK);
	assert_int_equal(batch->refused[ST_NO_NAME], n);
	assert_in_range(held, 0, 1);
	assert_int_equal(scan_repeated("\x0a\2\x1a\0", 4, n, &held), ST_OK);
	assert_in_range(held, 0, 8);
	assert_int_equal(scan_repeated("\x0a\2\x22\0", 4, n, &held), ST_OK);
	assert_in_range(held, 0, 8);
	assert_int_equal(scan_repeated("\x1a\0", 2, n, &held), ST_OK);
	assert_in_range(held, 0, 1);
}

static void
a_body_of_empty_histograms_is_too_large(void **state)
{
	struct buf req = message_empty(), m = named("up"), none;
	size_t i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		none = message_empty();
		message_sub(&m, 4, &none);
	}
	message_sub(&req, 1, &m);
	assert_int_equal(scan(&req), ST_TOO_LARGE);
}

static void
the_arenas_limit_ends_a_scan(void **state)
{
	struct buf req = message_empty(), m;
	int i;

	(void)state;
	batch_free(&batch);
	batch = batch_new(100000, 0);
	for (i = 0; i < 10000; i++) {
		m = named("up");
		message_sample(&m, 2, 1, MS);
		message_sub(&req, 1, &m);
	}
	assert_int_equal(scan(&req), ST_NO_MEMORY);
}

int
main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(captured_requests_read_as_protobuf_c_reads_them),
		TEST(a_request_of_nothing_is_fine),
		TEST(values_come_bit_for_bit),
		TEST(many_series_of_many_samples),
		TEST(exemplars_histograms_and_metadata_are_read),
		TEST(a_histogram_is_read_whole),
		TEST(labels_come_sorted_without_empties),
		TEST(labels_that_make_no_series_are_told),
		TEST(labels_may_stand_apart),
		TEST(keys_are_of_this_process),
		TEST(unusual_encodings_are_taken),
		TEST(long_forms_of_small_numbers_are_taken),
		TEST(broken_messages_are_refused),
		TEST(any_beginning_is_read_safely),
		TEST(small_bodies_do_not_grow_large),
		TEST(a_body_of_empty_histograms_is_too_large),
		TEST(the_arenas_limit_ends_a_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
