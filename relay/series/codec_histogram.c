/* codec_histogram.c - native histograms.
 * SPDX-License-Identifier: Apache-2.0 */
#include "series/codec_priv.h"

enum { FLAG_FLOAT = 1, FLAG_ZERO_COUNT = 2 };

/* ---- writing -------------------------------------------------------------- */

/* Counts of integer histograms are small; those of float ones are the bits of
 * a double. */
static void
put_count(struct buf *out, bool is_float, uint64_t count)
{
	if (is_float)
		put_le64(out, count);
	else
		put_varint(out, count);
}

static void
put_buckets(struct buf *out, bool is_float, const struct batch_buckets *b)
{
	uint32_t i;

	put_varint(out, b->n_spans);
	for (i = 0; i < b->n_spans; i++) {
		put_signed(out, b->spans[i].offset);
		put_varint(out, b->spans[i].length);
	}
	put_varint(out, b->n_buckets);
	for (i = 0; i < b->n_buckets; i++)
		put_count(out, is_float, is_float ? b->buckets[i] :
		    zigzag_put((int64_t)b->buckets[i]));
}

static void
put_histogram(struct stream *s, const struct batch_histogram *h,
    struct buf *out)
{
	uint32_t i;

	put_varint(out, h->series);
	put_varint(out, (h->is_float ? FLAG_FLOAT : 0) |
	    (h->has_zero_count ? FLAG_ZERO_COUNT : 0));
	put_varint(out, h->reset_hint);
	put_signed(out, h->schema);
	put_signed(out, sub_wrapped(h->ms, s->last_ms));
	put_signed(out, h->start_ms);
	put_le64(out, h->sum_bits);
	put_le64(out, h->zero_threshold_bits);
	put_count(out, h->is_float, h->count);
	put_count(out, h->is_float, h->zero_count);
	put_varint(out, h->n_custom);
	for (i = 0; i < h->n_custom; i++)
		put_le64(out, h->custom_bits[i]);
	put_buckets(out, h->is_float, &h->negative);
	put_buckets(out, h->is_float, &h->positive);
	s->last_ms = h->ms;
}

void
write_histograms(struct stream *s, const struct batch *b, struct buf *out)
{
	uint32_t i;

	put_varint(out, b->n_histograms);
	for (i = 0; i < b->n_histograms; i++)
		put_histogram(s, &b->histograms[i], out);
}

/* ---- reading -------------------------------------------------------------- */

static uint64_t
read_tally(struct reader *r, bool is_float)
{
	return is_float ? read_le64(r) : read_varint(r);
}

static bool
read_buckets(struct reader *r, struct arena *a, bool is_float,
    struct batch_buckets *b)
{
	int64_t offset;
	uint64_t v;
	uint32_t i;

	b->n_spans = read_count(r);
	b->spans = arena_take_array(a, b->n_spans, sizeof(*b->spans));
	if (!b->spans)
		return false;
	for (i = 0; i < b->n_spans; i++) {
		offset = read_signed(r);
		v = read_varint(r);
		if (offset != (int32_t)offset || v > UINT32_MAX)
			reader_fail(r);
		b->spans[i].offset = (int32_t)offset;
		b->spans[i].length = (uint32_t)v;
	}
	b->n_buckets = read_count(r);
	b->buckets = arena_take_array(a, b->n_buckets, sizeof(*b->buckets));
	if (!b->buckets)
		return false;
	for (i = 0; i < b->n_buckets; i++) {
		v = read_tally(r, is_float);
		b->buckets[i] = is_float ? v : (uint64_t)zigzag_get(v);
	}
	return true;
}

static bool
read_custom(struct reader *r, struct arena *a, struct batch_histogram *h)
{
	uint32_t i;

	h->n_custom = read_count(r);
	h->custom_bits = arena_take_array(a, h->n_custom,
	    sizeof(*h->custom_bits));
	if (!h->custom_bits)
		return false;
	for (i = 0; i < h->n_custom; i++)
		h->custom_bits[i] = read_le64(r);
	return true;
}

static enum status
read_histogram(struct stream *s, struct reader *r, struct arena *a,
    struct batch_histogram *h)
{
	uint64_t flags, hint;
	int64_t schema;

	h->series = read_below(r, s->series.n);
	flags = read_varint(r);
	hint = read_varint(r);
	schema = read_signed(r);
	if (r->bad || flags > (FLAG_FLOAT | FLAG_ZERO_COUNT) ||
	    hint > UINT8_MAX || schema != (int32_t)schema)
		return ST_BAD_RECORD;
	h->is_float = flags & FLAG_FLOAT;
	h->has_zero_count = flags & FLAG_ZERO_COUNT;
	h->reset_hint = (uint8_t)hint;
	h->schema = (int32_t)schema;
	h->ms = add_wrapped(s->last_ms, read_signed(r));
	h->start_ms = read_signed(r);
	h->sum_bits = read_le64(r);
	h->zero_threshold_bits = read_le64(r);
	h->count = read_tally(r, h->is_float);
	h->zero_count = read_tally(r, h->is_float);
	s->last_ms = h->ms;
	if (!read_custom(r, a, h) ||
	    !read_buckets(r, a, h->is_float, &h->negative) ||
	    !read_buckets(r, a, h->is_float, &h->positive))
		return ST_NO_MEMORY;
	return r->bad ? ST_BAD_RECORD : ST_OK;
}

enum status
read_histograms(struct stream *s, struct reader *r, struct batch *b)
{
	uint32_t n = read_count(r), i;
	enum status st;

	b->histograms = arena_take_array(b->arena, n, sizeof(*b->histograms));
	if (!b->histograms)
		return ST_NO_MEMORY;
	for (i = 0; i < n; i++) {
		st = read_histogram(s, r, b->arena, &b->histograms[i]);
		if (st != ST_OK)
			return st;
	}
	b->n_histograms = n;
	return ST_OK;
}
