/* build.c - times and histograms as messages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/build_priv.h"

void
build_time_set(struct build_time *t, int64_t ms)
{
	uint8_t *end = t->field;

	if (ms)
		end = build_varint(t->field, TAG_VARINT(2), (uint64_t)ms);
	t->ms = ms;
	t->n = (unsigned)(end - t->field);
}

static uint8_t *
put_64(uint8_t *p, uint32_t tag, uint64_t bits)
{
	*p++ = (uint8_t)tag;
	le64_put(p, bits);
	return p + 8;
}

static uint8_t *
put_spans(uint8_t *p, uint32_t tag, const struct batch_buckets *b)
{
	uint64_t offset;
	uint32_t i, length;
	size_t n;

	for (i = 0; i < b->n_spans; i++) {
		offset = (uint32_t)zigzag_put(b->spans[i].offset);
		length = b->spans[i].length;
		n = (offset ? 1 + varint_size(offset) : 0) +
		    (length ? 1 + varint_size(length) : 0);
		p = build_head(p, tag, n);
		if (offset)
			p = build_varint(p, TAG_VARINT(1), offset);
		if (length)
			p = build_varint(p, TAG_VARINT(2), length);
	}
	return p;
}

static uint8_t *
put_doubles(uint8_t *p, const uint64_t *bits, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++, p += 8)
		le64_put(p, bits[i]);
	return p;
}

/* Deltas or counts; the tag is that of the deltas, the counts' comes next. */
static uint8_t *
put_buckets(uint8_t *p, uint32_t tag, const struct batch_buckets *b,
    bool is_float)
{
	size_t n = 0;
	uint32_t i;

	if (b->n_buckets == 0)
		return p;
	if (is_float) {
		p = build_head(p, tag + TAG(1, 0), (size_t)b->n_buckets * 8);
		return put_doubles(p, b->buckets, b->n_buckets);
	}
	for (i = 0; i < b->n_buckets; i++)
		n += varint_size(zigzag_put((int64_t)b->buckets[i]));
	p = build_head(p, tag, n);
	for (i = 0; i < b->n_buckets; i++)
		p = varint_put(p, zigzag_put((int64_t)b->buckets[i]));
	return p;
}

/* Fields 16 and 17 have tags of two bytes. */
static uint8_t *
put_wide_tag(uint8_t *p, uint32_t tag)
{
	return varint_put(p, tag);
}

/* All single fields with their tags, and the heads of arrays. */
#define SINGLES_MAX 192
#define SPAN_MAX (2 + 2 * (1 + 5))

bool
build_histogram(struct buf *b, const struct batch_histogram *h,
    bool with_start)
{
	size_t spans = (size_t)h->negative.n_spans + h->positive.n_spans;
	size_t buckets = (size_t)h->negative.n_buckets + h->positive.n_buckets;
	uint64_t schema = (uint32_t)zigzag_put(h->schema);
	uint8_t *p = build_room(b, SINGLES_MAX + spans * SPAN_MAX +
	    buckets * VARINT_MAX + (size_t)h->n_custom * 8);

	if (!p)
		return false;
	/* the counts are members of a oneof: there, though zero */
	p = h->is_float ? put_64(p, TAG_64(2), h->count) :
	    build_varint(p, TAG_VARINT(1), h->count);
	if (h->sum_bits)
		p = put_64(p, TAG_64(3), h->sum_bits);
	if (schema)
		p = build_varint(p, TAG_VARINT(4), schema);
	if (h->zero_threshold_bits)
		p = put_64(p, TAG_64(5), h->zero_threshold_bits);
	if (h->has_zero_count)
		p = h->is_float ? put_64(p, TAG_64(7), h->zero_count) :
		    build_varint(p, TAG_VARINT(6), h->zero_count);
	p = put_spans(p, TAG_LEN(8), &h->negative);
	p = put_buckets(p, TAG_LEN(9), &h->negative, h->is_float);
	p = put_spans(p, TAG_LEN(11), &h->positive);
	p = put_buckets(p, TAG_LEN(12), &h->positive, h->is_float);
	if (h->reset_hint)
		p = build_varint(p, TAG_VARINT(14), h->reset_hint);
	if (h->ms)
		p = build_varint(p, TAG_VARINT(15), (uint64_t)h->ms);
	if (h->n_custom) {
		p = put_wide_tag(p, TAG_LEN(16));
		p = varint_put(p, (uint64_t)h->n_custom * 8);
		p = put_doubles(p, h->custom_bits, h->n_custom);
	}
	if (with_start && h->start_ms) {
		p = put_wide_tag(p, TAG_VARINT(17));
		p = varint_put(p, (uint64_t)h->start_ms);
	}
	b->len = (size_t)(p - b->data);
	return true;
}
