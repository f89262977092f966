/* test_v2.c - io.prometheus.write.v2.Request, read.
 *
 * What a scan finds is held against protobuf-c each time (scan()), so the tests
 * themselves say only what is particular.
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
#include "prw/v2.h"
#include "tests/reference/reference.h"
#include "tests/reference/message.h"

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
	st = v2_scan(bytes_of(copy, body.n), &key, batch);
	if (st == ST_OK)
		assert_true(reference_check(PAYLOAD_V2, bytes_of(copy, body.n),
		    batch));
	return st;
}

static enum status
scan(struct buf *taken)
{
	enum status st = scan_bytes(buf_bytes(taken));

	buf_fini(taken);
	return st;
}

static void
put_symbols(struct buf *req)
{
	static const char *const symbols[] = { "", "__name__", "up", "job", "x",
		"help text", "seconds", "\xff" };
	size_t i;

	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		message_string(req, 4, symbols[i]);
}

enum { NONE, NAME, UP, JOB, X, HELP, SECONDS, NOT_TEXT, BEYOND };

static struct buf
series(size_t n, const uint64_t *refs)
{
	struct buf m = message_empty();

	if (n)
		message_packed(&m, 1, refs, n);
	return m;
}

#define SERIES(...) series(sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, \
	(uint64_t[]){ __VA_ARGS__ })

/* A request of one series. */
static enum status
scan_series(struct buf *taken)
{
	struct buf req = message_empty();

	put_symbols(&req);
	message_sub(&req, 5, taken);
	return scan(&req);
}

static enum status
labels_of(uint32_t entry, struct label *out, uint32_t max, uint32_t *n)
{
	assert_in_range(entry, 0, batch->n_entries - 1);
	return batch->labels(batch, &batch->entries[entry], out, max, n);
}

/* Why a series with a sample and these references is refused. */
static enum status
verdict(struct buf *labels)
{
	struct label out[8];
	uint32_t n;

	message_sample(labels, 2, 1, MS);
	assert_int_equal(scan_series(labels), ST_OK);
	if (batch->n_entries == 0)
		return batch->refused[ST_NO_NAME] == 1 ? ST_NO_NAME : ST_OK;
	if (batch->entries[0].refused != ST_OK)
		return batch->entries[0].refused;
	return labels_of(0, out, 8, &n);
}

#define ASSERT_TEXT(b, s) do {						\
	assert_int_equal((b).n, sizeof(s) - 1);				\
	assert_memory_equal((b).p, s, sizeof(s) - 1);			\
} while (0)

/* ---- points -------------------------------------------------------------- */

static void
samples_and_their_labels_are_read(void **state)
{
	struct buf m = SERIES(JOB, X, NAME, UP);
	struct label out[8];
	uint32_t n;

	(void)state;
	message_sample(&m, 2, 1.5, MS);
	message_sample(&m, 2, NAN, MS + 1);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_entries, 1);
	assert_int_equal(batch->n_samples, 2);
	assert_true(batch->samples[1].ms == MS + 1);
	assert_null(batch->starts);
	assert_int_equal(labels_of(0, out, 8, &n), ST_OK);
	assert_int_equal(n, 2);
	ASSERT_TEXT(out[0].name, "__name__");
	ASSERT_TEXT(out[1].value, "x");
	assert_int_equal(labels_of(0, out, 1, &n), ST_TOO_MANY_LABELS);
}

static void
a_request_of_nothing_is_fine(void **state)
{
	struct buf m = SERIES(NAME, UP);

	(void)state;
	assert_int_equal(scan_bytes(bytes_of(NULL, 0)), ST_OK);
	assert_int_equal(batch->n_entries, 0);
	message_string(&m, 5, "");
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_entries, 0);
}

static void
an_exemplar_alone_is_taken(void **state)
{
	static const uint64_t refs[] = { JOB, X, X, NONE };
	struct buf m = SERIES(NAME, UP), x = message_empty();

	(void)state;
	message_packed(&x, 1, refs, 4);
	message_double(&x, 2, 0.25);
	message_varint(&x, 3, MS);
	message_sub(&m, 4, &x);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_entries, 1);
	assert_int_equal(batch->n_exemplars, 1);
	assert_int_equal(batch->exemplars[0].n_labels, 2);
	ASSERT_TEXT(batch->exemplars[0].labels[0].name, "job");
	batch->entries[0].id = 4;
	batch_settle(batch);
	assert_int_equal(batch_counts(batch).exemplars, 1);
	assert_int_equal(batch->exemplars[0].series, 4);
}

static void
exemplars_with_bad_labels_are_dropped(void **state)
{
	static const uint64_t bad[][2] = { { JOB, BEYOND }, { BEYOND, X },
		{ NONE, X }, { NOT_TEXT, X }, { JOB, NOT_TEXT } };
	struct buf m = SERIES(NAME, UP), x;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		x = message_empty();
		message_packed(&x, 1, bad[i], 2);
		message_sub(&m, 4, &x);
	}
	x = message_empty();
	message_varint(&x, 1, JOB);		/* odd */
	message_sub(&m, 4, &x);
	x = message_empty();			/* none at all is fine */
	message_varint(&x, 3, MS);
	message_sub(&m, 4, &x);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_exemplars, 1);
	assert_int_equal(batch->refused[ST_BAD_SYMBOL], 3);
	assert_int_equal(batch->refused[ST_EMPTY_NAME], 1);
	assert_int_equal(batch->refused[ST_BAD_UTF8], 2);
}

static struct buf
histogram(uint64_t count, uint64_t start_ms)
{
	static const uint64_t deltas[] = { 2, 2 };	/* counts 1, 2 */
	struct buf h = message_empty(), span = message_empty();

	message_varint(&h, 1, count);
	message_double(&h, 3, 7.5);
	message_varint(&span, 2, 2);
	message_sub(&h, 11, &span);
	message_packed(&h, 12, deltas, 2);
	message_varint(&h, 15, MS);
	if (start_ms)
		message_varint(&h, 17, start_ms);
	return h;
}

static void
histograms_are_checked(void **state)
{
	struct buf m = SERIES(NAME, UP), h = histogram(3, MS - 9);

	(void)state;
	message_sub(&m, 3, &h);
	h = histogram(99, 0);
	message_sub(&m, 3, &h);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_histograms, 1);
	assert_true(batch->histograms[0].start_ms == MS - 9);
	assert_int_equal(batch->refused[ST_BAD_HISTOGRAM], 1);
}

static void
starts_are_read_where_they_are(void **state)
{
	struct buf req = message_empty(), m = SERIES(NAME, UP), s, h;
	int i;

	(void)state;
	put_symbols(&req);
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	/* the older place, for what has none of its own */
	m = SERIES(NAME, UP, JOB, X);
	message_varint(&m, 6, 55);
	message_sample(&m, 2, 2, MS);
	s = message_empty();
	message_varint(&s, 2, MS + 1);
	message_varint(&s, 3, 66);
	message_sub(&m, 2, &s);
	h = histogram(3, 0);
	message_sub(&m, 3, &h);
	message_sub(&req, 5, &m);
	for (i = 0; i < 100; i++) {
		m = SERIES(NAME, UP);
		message_sample(&m, 2, 1, MS);
		message_sub(&req, 5, &m);
	}
	assert_int_equal(scan(&req), ST_OK);
	assert_non_null(batch->starts);
	assert_int_equal(batch->starts[0], 0);
	assert_int_equal(batch->starts[1], 55);
	assert_int_equal(batch->starts[2], 66);
	assert_int_equal(batch->starts[102], 0);
	assert_int_equal(batch->histograms[0].start_ms, 55);
}

/* ---- what a compliant receiver must tell apart ---------------------------- */

static const double special[] = { 1.0, 0.0, -1.0, 1e300, 1e-300, NAN, INFINITY,
	-INFINITY };

#define N_SPECIAL (sizeof(special) / sizeof(special[0]))

static void
special_values_are_values(void **state)
{
	static const uint64_t refs[] = { JOB, X };
	struct buf m = SERIES(NAME, UP), x;
	size_t i;

	(void)state;
	for (i = 0; i < N_SPECIAL; i++) {
		message_sample(&m, 2, special[i], MS + 10 * (int64_t)i);
		x = message_empty();
		message_packed(&x, 1, refs, 2);
		message_double(&x, 2, special[i]);
		message_varint(&x, 3, (uint64_t)MS - 3600000 * i);
		message_sub(&m, 4, &x);
	}
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_samples, N_SPECIAL);
	assert_int_equal(batch->n_exemplars, N_SPECIAL);
	for (i = 0; i < N_SPECIAL; i++) {
		assert_memory_equal(&batch->samples[i].bits, &special[i], 8);
		assert_memory_equal(&batch->exemplars[i].bits, &special[i], 8);
	}
}

struct shape {
	uint64_t count, zero_count;
	int64_t schema;			/* zigzag */
	bool positive, negative;	/* 1 + 2 each */
	unsigned bounds;
	bool fine;
};

static struct buf
shaped(const struct shape *s)
{
	static const uint64_t deltas[] = { 2, 2 };
	struct buf h = message_empty(), span;
	unsigned i;

	message_varint(&h, 1, s->count);
	message_double(&h, 3, 10.5);
	message_varint(&h, 4, (uint64_t)s->schema);
	message_varint(&h, 6, s->zero_count);
	for (i = 0; i < 2; i++) {
		if (i == 0 ? !s->negative : !s->positive)
			continue;
		span = message_empty();
		message_varint(&span, 2, 2);
		message_sub(&h, i == 0 ? 8 : 11, &span);
		message_packed(&h, i == 0 ? 9 : 12, deltas, 2);
	}
	for (i = 0; i < s->bounds; i++)
		message_double(&h, 16, i);
	message_varint(&h, 15, (uint64_t)MS);
	return h;
}

static void
histograms_of_every_shape(void **state)
{
	static const struct shape shapes[] = {
		{ 8, 2, 6, true, true, 0, true },
		{ 3, 0, 105, true, false, 2, true },	/* custom */
		{ 3, 0, 0, true, false, 0, true },
		{ 3, 0, 0, false, true, 0, true },
		{ 5, 5, 0, false, false, 0, true },	/* zero bucket only */
		{ 0, 0, 0, false, false, 0, true },	/* empty */
		{ 99, 2, 6, true, true, 0, false },	/* bad count */
		{ 3, 0, 105, true, false, 0, false },	/* bounds missing */
		{ 3, 0, 0, true, false, 1, false },	/* bounds uncalled for */
	};
	struct buf m, h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		m = SERIES(NAME, UP);
		h = shaped(&shapes[i]);
		message_sub(&m, 3, &h);
		assert_int_equal(scan_series(&m), ST_OK);
		assert_int_equal(batch->n_histograms, shapes[i].fine);
		assert_int_equal(batch->refused[ST_BAD_HISTOGRAM],
		    !shapes[i].fine);
		/* nothing left of it: no series either */
		assert_int_equal(batch->n_entries, shapes[i].fine);
	}
}

/* Nothing of a nameless series is written, whatever it holds. */
static void
a_nameless_series_costs_its_own_points(void **state)
{
	struct buf req = message_empty(), m, h, x;
	uint64_t refused = 0;
	struct label out[4];
	uint32_t i, n;

	(void)state;
	put_symbols(&req);
	for (i = 0; i < 4; i++) {
		m = i == 2 ? SERIES(JOB, X) : SERIES(NAME, UP);
		message_sample(&m, 2, i, MS);
		h = histogram(3, 0);
		message_sub(&m, 3, &h);
		x = message_empty();
		message_varint(&x, 3, (uint64_t)MS);
		message_sub(&m, 4, &x);
		message_sub(&req, 5, &m);
	}
	assert_int_equal(scan(&req), ST_OK);
	for (i = 0; i < batch->n_entries; i++) {
		batch->entries[i].id = i;
		batch->entries[i].refused = labels_of(i, out, 4, &n);
	}
	batch_settle(batch);
	assert_int_equal(batch_counts(batch).samples, 3);
	assert_int_equal(batch_counts(batch).histograms, 3);
	assert_int_equal(batch_counts(batch).exemplars, 3);
	for (i = 0; i < ST__N; i++)
		refused += batch->refused[i];
	assert_int_equal(refused, 3);
	assert_int_equal(batch->refused[ST_NO_NAME], 3);
}

/* ---- references ---------------------------------------------------------- */

static void
bad_references_refuse_the_series(void **state)
{
	struct buf m;

	(void)state;
	m = SERIES(NAME, UP);
	assert_int_equal(verdict(&m), ST_OK);
	m = SERIES(NAME, BEYOND);
	assert_int_equal(verdict(&m), ST_BAD_SYMBOL);
	m = SERIES(NAME, UP, BEYOND, X);
	assert_int_equal(verdict(&m), ST_BAD_SYMBOL);
	m = SERIES(NAME, UINT32_MAX);
	assert_int_equal(verdict(&m), ST_BAD_SYMBOL);
	m = SERIES(NAME);
	assert_int_equal(verdict(&m), ST_BAD_SYMBOL);
	m = SERIES(NAME, UP, JOB);
	assert_int_equal(verdict(&m), ST_BAD_SYMBOL);
	m = SERIES(JOB, X);
	assert_int_equal(verdict(&m), ST_NO_NAME);
	m = SERIES(NAME, NONE);
	assert_int_equal(verdict(&m), ST_NO_NAME);
	m = series(0, NULL);
	assert_int_equal(verdict(&m), ST_NO_NAME);
	m = SERIES(NAME, UP, NONE, X);
	assert_int_equal(verdict(&m), ST_EMPTY_NAME);
	m = SERIES(NAME, UP, JOB, X, JOB, UP);
	assert_int_equal(verdict(&m), ST_DUPLICATE_LABEL);
	m = SERIES(NAME, UP, JOB, NOT_TEXT);
	assert_int_equal(verdict(&m), ST_BAD_UTF8);
	m = SERIES(NAME, UP, JOB, NONE);
	assert_int_equal(verdict(&m), ST_OK);
}

static void
only_the_guilty_series_is_refused(void **state)
{
	struct buf req = message_empty(), m;
	uint32_t i;

	(void)state;
	put_symbols(&req);
	for (i = 0; i < 4; i++) {
		m = SERIES(NAME, i == 2 ? BEYOND : UP);
		message_sample(&m, 2, i, MS);
		message_sub(&req, 5, &m);
	}
	assert_int_equal(scan(&req), ST_OK);
	for (i = 0; i < 4; i++)
		batch->entries[i].id = 10 + i;
	batch_settle(batch);
	assert_int_equal(batch->n_samples, 3);
	assert_int_equal(batch->samples[2].series, 13);
	assert_int_equal(batch->refused[ST_BAD_SYMBOL], 1);
}

static void
without_symbols_no_reference_is_good(void **state)
{
	struct buf req = message_empty(), m = SERIES(0, 0);

	(void)state;
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->entries[0].refused, ST_BAD_SYMBOL);
}

static void
a_first_symbol_that_is_not_empty_is_a_symbol(void **state)
{
	struct buf req = message_empty(), m = SERIES(0, 1);
	struct label out[2];
	uint32_t n;

	(void)state;
	message_string(&req, 4, "__name__");
	message_string(&req, 4, "up");
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(labels_of(0, out, 2, &n), ST_OK);
	ASSERT_TEXT(out[0].value, "up");
}

static void
symbols_may_come_last_or_between(void **state)
{
	struct buf req = message_empty(), m = SERIES(NAME, UP);
	struct hash128 known;
	struct label out[2];
	uint32_t n;

	(void)state;
	message_sample(&m, 2, 1, MS);
	assert_int_equal(scan_series(&m), ST_OK);
	known = batch->entries[0].key;
	message_string(&req, 4, "");
	m = SERIES(NAME, UP);
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	message_string(&req, 4, "__name__");
	message_string(&req, 4, "up");
	m = SERIES(NAME, UP);
	message_sample(&m, 2, 2, MS);
	message_sub(&req, 5, &m);
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->n_samples, 2);
	assert_true(hash128_eq(batch->entries[0].key, known));
	assert_int_equal(labels_of(1, out, 2, &n), ST_OK);
}

static struct hash128
key_of(struct buf *taken)
{
	message_sample(taken, 2, 1, MS);
	assert_int_equal(scan_series(taken), ST_OK);
	return batch->entries[0].key;
}

/* One series has one key however its references are written; any other
 * sequence, another. */
static void
keys_tell_series_apart(void **state)
{
	struct hash128 keys[9];
	struct buf m;
	size_t i, k;

	(void)state;
	m = SERIES(NAME, UP, JOB, X);
	keys[0] = key_of(&m);
	m = message_empty();
	message_varint(&m, 1, NAME);
	message_varint(&m, 1, UP);
	message_packed(&m, 1, (uint64_t[]){ JOB }, 1);
	message_string(&m, 1, "");
	message_packed(&m, 1, (uint64_t[]){ X }, 1);
	assert_true(hash128_eq(keys[0], key_of(&m)));

	m = SERIES(NAME, UP);
	keys[1] = key_of(&m);
	m = SERIES(JOB, X, NAME, UP);
	keys[2] = key_of(&m);
	m = SERIES(NAME, X, JOB, UP);
	keys[3] = key_of(&m);
	m = SERIES(NAME, UP, JOB, X, NONE, NONE);
	keys[4] = key_of(&m);
	/* across the ten references that are summed at a time */
	m = SERIES(UP, X, X, UP, UP, X, X, UP, NAME, UP, JOB, X);
	keys[5] = key_of(&m);
	m = SERIES(JOB, X, X, UP, UP, X, X, UP, NAME, UP, UP, X);
	keys[6] = key_of(&m);
	m = SERIES(X, UP, UP, X, X, UP, UP, X, NAME, UP, JOB, X);
	keys[7] = key_of(&m);
	m = SERIES(JOB, X, X, UP, UP, X, X, UP, NAME, UP, JOB, X, NAME, UP, UP,
	    UP, X, UP, X, UP, X, UP);
	keys[8] = key_of(&m);
	for (i = 0; i < 9; i++) {
		assert_int_equal(keys[i].lo & 1, 1);
		for (k = 0; k < i; k++)
			assert_false(hash128_eq(keys[i], keys[k]));
	}
}

static void
keys_of_many_series_differ(void **state)
{
	struct buf req = message_empty(), m;
	char text[16];
	uint64_t i, k;

	(void)state;
	for (i = 0; i < 300; i++) {
		(void)snprintf(text, sizeof(text), "%x", (unsigned)i);
		message_string(&req, 4, text);
	}
	for (i = 0; i < 300; i++) {
		m = SERIES(i, (i + 1) % 300, (i * 7) % 300, i);
		message_sample(&m, 2, 1, MS);
		message_sub(&req, 5, &m);
	}
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->n_entries, 300);
	for (i = 0; i < 300; i++) {
		for (k = 0; k < i; k++)
			assert_false(hash128_eq(batch->entries[i].key,
			    batch->entries[k].key));
	}
}

/* ---- metadata ------------------------------------------------------------ */

static struct buf
metadata(uint64_t type, uint64_t help, uint64_t unit)
{
	struct buf m = message_empty();

	if (type)
		message_varint(&m, 1, type);
	if (help)
		message_varint(&m, 3, help);
	if (unit)
		message_varint(&m, 4, unit);
	return m;
}

static void
metadata_goes_with_its_series(void **state)
{
	struct buf req = message_empty(), m = SERIES(NAME, UP), d;

	(void)state;
	put_symbols(&req);
	message_sample(&m, 2, 1, MS);
	d = metadata(0, 0, 0);
	message_sub(&m, 5, &d);
	message_sub(&req, 5, &m);
	m = SERIES(NAME, UP, JOB, X);
	d = metadata(3, HELP, SECONDS);		/* and no point */
	message_sub(&m, 5, &d);
	message_sub(&req, 5, &m);
	m = SERIES(NAME, X);
	d = metadata(0, HELP, 0);		/* in two parts, merged */
	message_sub(&m, 5, &d);
	d = metadata(2, 0, 0);
	message_sub(&m, 5, &d);
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	assert_int_equal(scan(&req), ST_OK);
	assert_int_equal(batch->n_entries, 3);
	assert_int_equal(batch->n_metadata, 2);
	assert_int_equal(batch->entries[0].metadata, 0);
	assert_int_equal(batch->entries[1].metadata, 1);
	assert_int_equal(batch->metadata[0].series, 1);
	ASSERT_TEXT(batch->metadata[0].unit, "seconds");
	assert_int_equal(batch->metadata[1].type, 2);
	ASSERT_TEXT(batch->metadata[1].help, "help text");
}

static void
metadata_out_of_range_refuses_the_series(void **state)
{
	struct buf req = message_empty(), m, d;
	int i;

	(void)state;
	put_symbols(&req);
	for (i = 0; i < 3; i++) {
		m = SERIES(NAME, UP);
		d = i == 0 ? metadata(1, BEYOND, 0) :
		    metadata(1, 0, UINT32_MAX);
		message_sub(&m, 5, &d);
		if (i < 2)
			message_sample(&m, 2, 1, MS);
		message_sub(&req, 5, &m);
	}
	assert_int_equal(scan(&req), ST_OK);
	batch_settle(batch);
	assert_int_equal(batch->n_samples, 0);
	assert_int_equal(batch->n_metadata, 0);
	assert_int_equal(batch->refused[ST_BAD_SYMBOL], 3);
}

static void
metadata_that_is_not_text_is_dropped(void **state)
{
	struct buf m = SERIES(NAME, UP), d = metadata(1, NOT_TEXT, 0);

	(void)state;
	message_sample(&m, 2, 1, MS);
	message_sub(&m, 5, &d);
	assert_int_equal(scan_series(&m), ST_OK);
	assert_int_equal(batch->n_samples, 1);
	assert_int_equal(batch->n_metadata, 0);
	assert_int_equal(batch->refused[ST_BAD_UTF8], 1);
}

/* ---- what protobuf permits, and what not --------------------------------- */

static void
a_request_of_the_other_version_says_nothing(void **state)
{
	struct buf req = message_empty(), m = SERIES(NAME, UP);

	(void)state;
	put_symbols(&req);
	message_sample(&m, 2, 1, MS);
	message_sub(&req, 5, &m);
	batch_reset(batch);
	assert_int_equal(v1_scan(buf_bytes(&req), &key, batch), ST_OK);
	assert_int_equal(batch->n_entries, 0);
	buf_fini(&req);
}

static void
broken_messages_are_refused(void **state)
{
	static const struct {
		size_t n;
		uint8_t body[12];
	} broken[] = {
		{ 1, { 0x22 } }, { 2, { 0x22, 0x01 } }, { 1, { 0x2a } },
		{ 3, { 0x2a, 0x01, 0x0a } },
		{ 5, { 0x2a, 0x03, 0x0a, 0x01, 0x80 } },	/* reference */
		{ 7, { 0x2a, 0x05, 0x0a, 0x01, 0x80, 0x12, 0x00 } },
		{ 6, { 0x2a, 0x04, 0x12, 0x02, 0x10, 0x80 } },	/* sample */
		{ 6, { 0x2a, 0x04, 0x1a, 0x02, 0x60, 0x80 } },	/* histogram */
		{ 7, { 0x2a, 0x05, 0x22, 0x03, 0x0a, 0x01, 0x80 } },
		{ 6, { 0x2a, 0x04, 0x2a, 0x02, 0x08, 0x80 } },	/* metadata */
		{ 4, { 0x2a, 0x02, 0x30, 0x80 } },		/* created */
		{ 4, { 0x2a, 0x02, 0x33, 0x34 } },		/* a group */
		{ 4, { 0x22, 0x00, 0x2b, 0x2c } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(scan_bytes(bytes_of(broken[i].body,
		    broken[i].n)), ST_BAD_PROTOBUF);
}

static void
any_beginning_is_read_safely(void **state)
{
	struct buf req = message_empty(), m = SERIES(NAME, UP, JOB, X), d, x, h;
	size_t i, whole;

	(void)state;
	put_symbols(&req);
	whole = req.len;
	d = metadata(3, HELP, SECONDS);
	message_sub(&m, 5, &d);
	message_sample(&m, 2, 1, MS);
	x = message_empty();
	message_packed(&x, 1, (uint64_t[]){ JOB, X }, 2);
	message_sub(&m, 4, &x);
	h = histogram(3, MS);
	message_sub(&m, 3, &h);
	message_varint(&m, 6, MS);
	message_sub(&req, 5, &m);
	for (i = whole + 1; i < req.len; i++)
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
	st = v2_scan(bytes_of(body, n * times), &key, batch);
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
	assert_int_equal(scan_repeated("\x2a\0", 2, n, &held), ST_OK);
	assert_in_range(held, 0, 2);
	assert_int_equal(scan_repeated("\x2a\2\x12\0", 4, n, &held), ST_OK);
	assert_int_equal(batch->refused[ST_NO_NAME], n);
	assert_in_range(held, 0, 2);
	/* not unique, so not symbols */
	assert_int_equal(scan_repeated("\x22\0", 2, n, &held), ST_TOO_LARGE);
	assert_in_range(held, 0, 2);
	assert_int_equal(scan_repeated("\x22\2ab", 4, n, &held), ST_OK);
	assert_in_range(held, 0, 10);
	/* the smallest that may be a series */
	assert_int_equal(scan_repeated("\x2a\6\x0a\2\0\0\x12\0", 8, n, &held),
	    ST_OK);
	assert_int_equal(batch->n_entries, n);
	assert_in_range(held, 0, 30);
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
		m = SERIES(NAME, UP);
		message_sample(&m, 2, 1, MS);
		message_sub(&req, 5, &m);
	}
	assert_int_equal(scan(&req), ST_NO_MEMORY);
}

int
main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(samples_and_their_labels_are_read),
		TEST(a_request_of_nothing_is_fine),
		TEST(an_exemplar_alone_is_taken),
		TEST(exemplars_with_bad_labels_are_dropped),
		TEST(histograms_are_checked),
		TEST(starts_are_read_where_they_are),
		TEST(special_values_are_values),
		TEST(histograms_of_every_shape),
		TEST(a_nameless_series_costs_its_own_points),
		TEST(bad_references_refuse_the_series),
		TEST(only_the_guilty_series_is_refused),
		TEST(without_symbols_no_reference_is_good),
		TEST(a_first_symbol_that_is_not_empty_is_a_symbol),
		TEST(symbols_may_come_last_or_between),
		TEST(keys_tell_series_apart),
		TEST(keys_of_many_series_differ),
		TEST(metadata_goes_with_its_series),
		TEST(metadata_out_of_range_refuses_the_series),
		TEST(metadata_that_is_not_text_is_dropped),
		TEST(a_request_of_the_other_version_says_nothing),
		TEST(broken_messages_are_refused),
		TEST(any_beginning_is_read_safely),
		TEST(small_bodies_do_not_grow_large),
		TEST(the_arenas_limit_ends_a_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
