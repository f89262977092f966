/* test_batch.c - settling, and the rules of native histograms.
 * SPDX-License-Identifier: Apache-2.0 */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "series/batch.h"

static uint64_t
bits_of(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	return bits;
}

/* ---- settling ------------------------------------------------------------ */

static void
settling_names_series_and_drops_the_refused(void **state)
{
	struct batch *b = batch_new((size_t)1 << 20, 0);
	struct batch_entry entries[] = {
		{ .id = 70, .metadata = 1 },
		{ .id = 12, .refused = ST_NO_NAME, .metadata = 2 },
		{ .id = 90 },
		{ .refused = ST_BAD_SYMBOL, .metadata = 4 },
	};
	struct batch_sample samples[] = {
		{ .series = 0, .ms = 1 }, { .series = 1, .ms = 2 },
		{ .series = 2, .ms = 3 }, { .series = 0, .ms = 4 },
		{ .series = 1, .ms = 5 },
	};
	int64_t starts[] = { 10, 20, 30, 40, 50 };
	struct batch_histogram histograms[] = { { .series = 1 }, { .series = 2 } };
	struct batch_exemplar exemplars[] = { { .series = 1, .ms = 1 },
		{ .series = 2, .ms = 2 } };
	struct batch_metadata metadata[] = {
		{ .series = 0, .type = 1 }, { .series = 1, .type = 2 },
		{ .series = SERIES_NONE, .type = 3 }, { .series = 3, .type = 4 },
	};
	struct batch_counts counts;

	(void)state;
	assert_non_null(b);
	b->entries = entries;
	b->n_entries = 4;
	b->samples = samples;
	b->starts = starts;
	b->n_samples = 5;
	b->histograms = histograms;
	b->n_histograms = 2;
	b->exemplars = exemplars;
	b->n_exemplars = 2;
	b->metadata = metadata;
	b->n_metadata = 4;
	batch_settle(b);

	counts = batch_counts(b);
	assert_int_equal(counts.samples, 3);
	assert_int_equal(counts.histograms, 1);
	assert_int_equal(counts.exemplars, 1);
	assert_int_equal(samples[0].series, 70);
	assert_int_equal(samples[1].series, 90);
	assert_int_equal(samples[1].ms, 3);
	assert_int_equal(starts[1], 30);
	assert_int_equal(samples[2].series, 70);
	assert_int_equal(starts[2], 40);
	assert_int_equal(histograms[0].series, 90);
	assert_int_equal(exemplars[0].series, 90);
	assert_int_equal(exemplars[0].ms, 2);
	assert_int_equal(b->n_metadata, 2);
	assert_int_equal(metadata[0].series, 70);
	assert_int_equal(metadata[1].series, SERIES_NONE);
	/* points count; metadata only where it came alone */
	assert_int_equal(b->refused[ST_NO_NAME], 4);
	assert_int_equal(b->refused[ST_BAD_SYMBOL], 1);

	batch_reset(b);
	assert_int_equal(b->n_samples, 0);
	assert_int_equal(b->refused[ST_NO_NAME], 0);
	assert_non_null(b->arena);
	batch_free(&b);
	assert_null(b);
	batch_free(&b);
}

/* ---- histograms ---------------------------------------------------------- */

/* 1 + 3 + 2 below zero, 4 at zero, 5 above: 15 */
static struct batch_span negative_spans[2], positive_spans[2];
static uint64_t negative_deltas[3], positive_deltas[2], bounds[3];

static struct batch_histogram
integer(void)
{
	negative_spans[0] = (struct batch_span){ -3, 1 };
	negative_spans[1] = (struct batch_span){ 2, 2 };
	negative_deltas[0] = 1;
	negative_deltas[1] = 2;
	negative_deltas[2] = (uint64_t)-1;
	positive_spans[0] = (struct batch_span){ 0, 2 };
	positive_spans[1] = (struct batch_span){ 7, 0 };
	positive_deltas[0] = 3;
	positive_deltas[1] = (uint64_t)-1;
	return (struct batch_histogram){
		.schema = 3, .sum_bits = bits_of(1.5), .count = 15,
		.zero_count = 4, .has_zero_count = true,
		.negative = { 2, 3, negative_spans, negative_deltas },
		.positive = { 2, 2, positive_spans, positive_deltas },
	};
}

static struct batch_histogram
custom(void)
{
	struct batch_histogram h = integer();

	h.schema = -53;
	h.negative = (struct batch_buckets){ 0, 0, NULL, NULL };
	h.zero_count = 0;
	h.count = 5;
	h.positive.n_spans = 1;
	bounds[0] = bits_of(-1);
	bounds[1] = bits_of(2.5);
	bounds[2] = bits_of(1e9);
	h.n_custom = 3;
	h.custom_bits = bounds;
	return h;
}

static bool
fine(struct batch_histogram h)
{
	enum status st = batch_histogram_check(&h);

	assert_true(st == ST_OK || st == ST_BAD_HISTOGRAM);
	return st == ST_OK;
}

static void
consistent_histograms_pass(void **state)
{
	struct batch_histogram h = integer();
	int32_t schema;

	(void)state;
	for (schema = -9; schema <= 52; schema++) {
		h.schema = schema;
		assert_true(fine(h));
	}
	assert_true(fine(custom()));
	assert_true(fine((struct batch_histogram){ .schema = 0 }));
	h = integer();
	h.sum_bits = bits_of(NAN);
	h.count = 16;
	assert_true(fine(h));
}

static void
a_stale_marker_needs_nothing_else(void **state)
{
	struct batch_histogram h = integer();

	(void)state;
	h.sum_bits = STALE_MARKER;
	h.schema = 1000;
	h.count = 99;
	assert_true(fine(h));
}

static void
counts_must_add_up(void **state)
{
	struct batch_histogram h = integer();

	(void)state;
	h.count = 99;
	assert_false(fine(h));
	h.count = 14;
	assert_false(fine(h));
	h.sum_bits = bits_of(NAN);
	assert_false(fine(h));
	h = integer();
	positive_deltas[1] = (uint64_t)-4;
	h.count = 12;
	assert_false(fine(h));
	h = integer();
	positive_deltas[0] = INT64_MAX;
	positive_deltas[1] = 1;
	assert_false(fine(h));
	h = integer();
	positive_deltas[0] = INT64_MAX;
	positive_deltas[1] = 0;
	h.zero_count = UINT64_MAX;
	assert_false(fine(h));
}

static void
spans_must_match_buckets(void **state)
{
	struct batch_histogram h = integer();

	(void)state;
	h.positive.n_buckets = 1;
	assert_false(fine(h));
	h = integer();
	positive_spans[1].length = UINT32_MAX;
	assert_false(fine(h));
	h = integer();
	negative_spans[1].offset = -1;
	assert_false(fine(h));
	h = integer();
	h.schema = 53;
	assert_false(fine(h));
	h.schema = -10;
	assert_false(fine(h));
	h.schema = 3;
	h.n_custom = 1;
	h.custom_bits = bounds;
	assert_false(fine(h));
}

static void
float_counts_must_not_be_negative(void **state)
{
	struct batch_histogram h = integer();

	(void)state;
	h.is_float = true;
	h.count = bits_of(1);
	h.zero_count = bits_of(0.5);
	negative_deltas[0] = bits_of(0);
	negative_deltas[1] = bits_of(2);
	negative_deltas[2] = bits_of(NAN);
	positive_deltas[0] = bits_of(0.1);
	positive_deltas[1] = bits_of(1e300);
	assert_true(fine(h));
	positive_deltas[1] = bits_of(-0.1);
	assert_false(fine(h));
	positive_deltas[1] = 0;
	h.count = bits_of(-1);
	assert_false(fine(h));
	h.count = 0;
	h.zero_count = bits_of(-1);
	assert_false(fine(h));
}

static void
custom_bounds_have_their_own_rules(void **state)
{
	struct batch_histogram h = custom();

	(void)state;
	bounds[1] = bounds[0];
	assert_false(fine(h));
	h = custom();
	bounds[0] = bits_of(NAN);
	assert_false(fine(h));
	h = custom();
	bounds[2] = bits_of(INFINITY);
	assert_false(fine(h));
	h = custom();
	h.zero_threshold_bits = bits_of(0.1);
	assert_false(fine(h));
	h = custom();
	h.zero_count = 1;
	h.count = 6;
	assert_false(fine(h));
	h = custom();
	h.negative.n_spans = 1;
	h.negative.spans = negative_spans;
	negative_spans[0].length = 0;
	assert_false(fine(h));
	h = custom();
	positive_spans[0].offset = -1;
	assert_false(fine(h));
	h = custom();
	positive_spans[0].offset = 2;		/* the last bucket: to +Inf */
	assert_true(fine(h));
	positive_spans[0].offset = 3;
	assert_false(fine(h));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settling_names_series_and_drops_the_refused),
		cmocka_unit_test(consistent_histograms_pass),
		cmocka_unit_test(a_stale_marker_needs_nothing_else),
		cmocka_unit_test(counts_must_add_up),
		cmocka_unit_test(spans_must_match_buckets),
		cmocka_unit_test(float_counts_must_not_be_negative),
		cmocka_unit_test(custom_bounds_have_their_own_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
