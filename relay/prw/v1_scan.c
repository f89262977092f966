/* v1_scan.c - prometheus.WriteRequest, read.
 *
 * What is hot is the label block: nine parts in ten of the message, passed over
 * label by label and hashed, neither parsed nor copied.
 * SPDX-License-Identifier: Apache-2.0 */
#include "prw/v1.h"

#include "base/utf8.h"
#include "prw/scan_priv.h"

/* What a series takes of a body, about: its label block and a sample. */
#define SERIES_BYTES 192

/* A block that could name a series: tag, length, and a label __name__ with a
 * value of one byte. */
#define BLOCK_LEAST (2 + 2 + 8 + 2 + 1)

/* Both kinds of keys come of one secret, so a bit keeps them apart: even keys
 * are blocks of 1.0, odd ones references of 2.0. */
static struct hash128
block_key(const struct hash_key *key, struct bytes block)
{
	struct hash128 h = hash128(key, block.p, block.n);

	h.lo &= ~UINT64_C(1);
	return h;
}

/* A label longer than 127 bytes, at m[*at]: passed over.  False: past the end. */
static bool
skip_long_label(struct bytes m, size_t *at)
{
	struct reader r = reader_of(bytes_of(m.p + *at + 1, m.n - *at - 1));

	(void)read_bytes(&r, read_varint(&r));	/* or bad */
	*at = (size_t)(r.p - m.p);
	return !r.bad;
}

/* Where the labels end that a series begins with; past its end: the last one is
 * cut short. */
static inline size_t
skip_labels(struct bytes m)
{
	size_t at = 0;

	for (;;) {
		while (at + 1 < m.n && m.p[at] == TAG_LEN(1) &&
		    m.p[at + 1] < 0x80)
			at += 2 + (size_t)m.p[at + 1];
		if (at >= m.n || m.p[at] != TAG_LEN(1))
			return at;
		if (!skip_long_label(m, &at))
			return SIZE_MAX;
	}
}

static bool
label_of(struct bytes msg, struct label *out)
{
	struct reader r = reader_of(msg);
	struct field f;

	*out = (struct label){ { NULL, 0 }, { NULL, 0 } };
	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_LEN(1):
			out->name = f.span;
			break;
		case TAG_LEN(2):
			out->value = f.span;
			break;
		}
	}
	return !r.bad;
}

/* batch.labels of a 1.0 batch. */
static enum status
labels(const struct batch *b, const struct batch_entry *e, struct label *out,
    uint32_t max, uint32_t *n)
{
	struct reader r = reader_of(bytes_of(e->block, e->n_block));
	uint32_t got = 0;
	enum status st;
	struct field f;

	(void)b;
	while (field_next(&r, &f)) {
		if (got == max)
			return ST_TOO_MANY_LABELS;
		if (!label_of(f.span, &out[got++]))
			return ST_BAD_PROTOBUF;
	}
	st = scan_finish_labels(out, &got);
	if (st == ST_OK)
		*n = got;
	return st;
}

/* The block of a series whose labels do not stand together: its label fields,
 * copied.  p NULL: out of memory. */
static struct bytes
gather_block(struct scan *s, struct bytes series)
{
	/* no more than there is of the series; where label fields come late,
	 * something else takes a part of it */
	uint8_t *to = arena_take(s->batch->arena, series.n);
	struct reader r = reader_of(series);
	const uint8_t *from = r.p;
	struct field f;
	size_t n = 0;

	if (!to)
		return bytes_of(NULL, 0);
	for (; field_next(&r, &f); from = r.p) {
		if (f.tag != TAG_LEN(1))
			continue;
		memcpy(to + n, from, (size_t)(r.p - from));
		n += (size_t)(r.p - from);
	}
	return bytes_of(to, n);
}

/* First pass over an exemplar: value, time, how many labels. */
static bool
exemplar_fields(struct bytes msg, struct batch_exemplar *e)
{
	struct reader r = reader_of(msg);
	struct field f;

	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_LEN(1):
			e->n_labels++;
			break;
		case TAG_64(2):
			e->bits = f.v;
			break;
		case TAG_VARINT(3):
			e->ms = (int64_t)f.v;
			break;
		}
	}
	return !r.bad;
}

/* Second pass: the labels. */
static enum status
exemplar_labels(struct bytes msg, struct batch_exemplar *e)
{
	struct reader r = reader_of(msg);
	enum status st, worst = ST_OK;
	struct field f;
	uint32_t n = 0;

	while (field_next(&r, &f)) {
		if (f.tag != TAG_LEN(1))
			continue;
		if (!label_of(f.span, &e->labels[n]))
			return ST_BAD_PROTOBUF;
		st = scan_check_label(&e->labels[n++]);
		if (st != ST_OK)
			worst = st;
	}
	return worst;
}

static enum status
exemplar(struct scan *s, struct bytes msg)
{
	struct batch *b = s->batch;
	struct batch_exemplar *e;
	enum status st = ST_OK;

	e = scan_new_exemplar(s, &st);
	if (!e)
		return st;
	if (!exemplar_fields(msg, e))
		return ST_BAD_PROTOBUF;
	if (e->n_labels > BATCH_LABELS_MAX) {
		b->refused[ST_TOO_MANY_LABELS]++;
		return ST_OK;
	}
	e->labels = arena_take_array(b->arena, e->n_labels, sizeof(*e->labels));
	if (!e->labels)
		return ST_NO_MEMORY;
	st = exemplar_labels(msg, e);
	if (st == ST_BAD_PROTOBUF)
		return st;
	if (st == ST_OK)
		b->n_exemplars++;
	else
		b->refused[st]++;
	return ST_OK;
}

/* What follows the first labels of a TimeSeries.  *apart: labels too. */
static enum status
points(struct scan *s, struct bytes rest, bool *apart)
{
	struct reader r = reader_of(rest);
	enum status st = ST_OK;
	struct field f;

	while (st == ST_OK && field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_LEN(1):
			*apart = true;
			break;
		case TAG_LEN(2):
			st = scan_sample(s, f.span);
			break;
		case TAG_LEN(3):
			st = exemplar(s, f.span);
			break;
		case TAG_LEN(4):
			st = scan_histogram(s, f.span);
			break;
		}
	}
	return st == ST_OK && r.bad ? ST_BAD_PROTOBUF : st;
}

static enum status
series(struct scan *s, struct bytes msg)
{
	struct scan_mark before = scan_mark(s);
	size_t n = skip_labels(msg);
	struct bytes block = { msg.p, n }, rest;
	bool apart = false;
	enum status st;

	if (n > msg.n)
		return ST_BAD_PROTOBUF;
	rest = bytes_of(msg.p + n, msg.n - n);
	/* one sample to the end: nearly all are so */
	if (rest.n > 2 && rest.p[0] == TAG_LEN(2) && rest.p[1] < 0x80 &&
	    rest.p[1] == rest.n - 2)
		st = scan_sample(s, bytes_of(rest.p + 2, rest.n - 2));
	else
		st = points(s, rest, &apart);
	if (st != ST_OK || scan_since(s, before) == 0)
		return st;
	if (apart) {
		block = gather_block(s, msg);
		if (!block.p)
			return ST_NO_MEMORY;
	}
	if (block.n < BLOCK_LEAST) {
		scan_refuse_since(s, before, ST_NO_NAME);
		return ST_OK;
	}
	return scan_enter(s, block_key(s->key, block), block.p,
	    (uint32_t)block.n, 0, ST_OK);
}

/* Text that is not UTF-8 would spoil every request that it goes out with. */
static enum status
metadata(struct scan *s, struct bytes msg)
{
	struct reader r = reader_of(msg);
	struct batch_metadata *m;
	enum status st = ST_OK;
	struct field f;

	m = scan_new_metadata(s, &st);
	if (!m)
		return st;
	while (field_next(&r, &f)) {
		switch (f.tag) {
		case TAG_VARINT(1):
			m->type = (uint32_t)f.v;
			break;
		case TAG_LEN(2):
			m->family = f.span;
			break;
		case TAG_LEN(4):
			m->help = f.span;
			break;
		case TAG_LEN(5):
			m->unit = f.span;
			break;
		}
	}
	if (r.bad)
		return ST_BAD_PROTOBUF;
	if (!utf8_valid(m->family) || !utf8_valid(m->help) ||
	    !utf8_valid(m->unit))
		s->batch->refused[ST_BAD_UTF8]++;
	else if (m->family.n > 0)
		s->batch->n_metadata++;
	return ST_OK;
}

/* As field_next, of any kind; in line: a series of usual length. */
static inline bool
next(struct reader *r, struct field *f)
{
	const uint8_t *p = r->p;
	size_t n;

	if (r->end - p > 3 && p[0] == TAG_LEN(1) && p[1] >= 0x80 && p[2] < 0x80) {
		n = (p[1] & 0x7fU) | (size_t)p[2] << 7;
		if ((size_t)(r->end - p) - 3 >= n) {
			f->tag = TAG_LEN(1);
			f->span = bytes_of(p + 3, n);
			r->p = p + 3 + n;
			return true;
		}
	}
	return field_next(r, f);
}

enum status
v1_scan(struct bytes body, const struct hash_key *key, struct batch *b)
{
	struct reader r = reader_of(body);
	struct field f;
	struct scan s;
	enum status st;

	st = scan_begin(&s, body, key, b, SERIES_BYTES);
	b->labels = labels;
	while (st == ST_OK && next(&r, &f)) {
		if (f.tag == TAG_LEN(1))
			st = series(&s, f.span);
		else if (f.tag == TAG_LEN(3))
			st = metadata(&s, f.span);
	}
	return st == ST_OK && r.bad ? ST_BAD_PROTOBUF : st;
}
