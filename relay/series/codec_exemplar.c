/* codec_exemplar.c - exemplars.
 * SPDX-License-Identifier: Apache-2.0 */
#include "series/codec_priv.h"

/* ---- writing -------------------------------------------------------------- */

static void
put_exemplar(struct stream *s, const struct batch_exemplar *x, struct buf *out)
{
	uint32_t i;

	put_varint(out, x->series);
	put_signed(out, sub_wrapped(x->ms, s->last_ms));
	put_le64(out, x->bits);
	put_varint(out, x->n_labels);
	for (i = 0; i < x->n_labels; i++) {
		put_text(out, x->labels[i].name);
		put_text(out, x->labels[i].value);
	}
	s->last_ms = x->ms;
}

void
write_exemplars(struct stream *s, const struct batch *b, struct buf *out)
{
	uint32_t i;

	put_varint(out, b->n_exemplars);
	for (i = 0; i < b->n_exemplars; i++)
		put_exemplar(s, &b->exemplars[i], out);
}

/* ---- reading -------------------------------------------------------------- */

static struct bytes
take_text(struct reader *r, struct arena *a)
{
	struct bytes text = read_text(r);

	return bytes_of(arena_copy(a, text.p, text.n), text.n);
}

static enum status
read_exemplar(struct stream *s, struct reader *r, struct arena *a,
    struct batch_exemplar *x)
{
	uint32_t i;

	x->series = read_below(r, s->series.n);
	x->ms = add_wrapped(s->last_ms, read_signed(r));
	x->bits = read_le64(r);
	x->n_labels = read_count(r);
	x->labels = arena_take_array(a, x->n_labels, sizeof(*x->labels));
	if (!x->labels)
		return ST_NO_MEMORY;
	for (i = 0; i < x->n_labels; i++) {
		x->labels[i].name = take_text(r, a);
		x->labels[i].value = take_text(r, a);
	}
	s->last_ms = x->ms;
	if (arena_failed(a))
		return ST_NO_MEMORY;
	return r->bad ? ST_BAD_RECORD : ST_OK;
}

enum status
read_exemplars(struct stream *s, struct reader *r, struct batch *b)
{
	uint32_t n = read_count(r), i;
	enum status st;

	b->exemplars = arena_take_array(b->arena, n, sizeof(*b->exemplars));
	if (!b->exemplars)
		return ST_NO_MEMORY;
	for (i = 0; i < n; i++) {
		st = read_exemplar(s, r, b->arena, &b->exemplars[i]);
		if (st != ST_OK)
			return st;
	}
	b->n_exemplars = n;
	return ST_OK;
}
