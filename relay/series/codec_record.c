/* codec_record.c - the three streams of a record.
 * SPDX-License-Identifier: Apache-2.0
 *
 * On the wire: the lengths of both streams of gaps as varints, these streams,
 * then the plain bits up to the end of the record.                          */
#include "series/codec_bits.h"

#define ROOM_MIN 256			/* bytes of each buf */
#define ROOM_KEEP ((size_t)4 << 10)	/* that are kept between records */

void
guess_init(struct guess *g, unsigned probability)
{
	g->nimble = g->slow = (uint16_t)probability;
}

void
guesses_init(struct guess *g, size_t n)
{
	for (; n; n--, g++)
		g->nimble = g->slow = GUESS_EVEN;
}

void
gap_means_init(struct gap_means *m)
{
	m->mean[GAP_RARE] = 32 * 16;
	m->mean[GAP_SOMETIMES] = 4 * 16;
}

/* ---- writing --------------------------------------------------------------- */

static struct bit_writer *
writer_of(struct record_writer *w, unsigned i)
{
	return i < GAP__N ? &w->gaps[i] : &w->bits;
}

bool
record_begin(struct record_writer *w, struct gap_means *means,
    struct buf *room)
{
	unsigned i;

	*w = (struct record_writer){ .means = means, .room = room };
	for (i = 0; i <= GAP__N; i++) {
		room[i].len = 0;
		writer_of(w, i)->p = buf_room(&room[i], ROOM_MIN);
		if (!writer_of(w, i)->p)
			return false;
	}
	return true;
}

bool
record_grow(struct record_writer *w, size_t n)
{
	struct bit_writer *b;
	struct buf *room;
	unsigned i;

	for (i = 0; i <= GAP__N; i++) {
		b = writer_of(w, i);
		room = &w->room[i];
		room->len = (size_t)(b->p - room->data);
		if (!buf_room(room, n + BITS_SLACK))
			return false;
		b->p = room->data + room->len;
	}
	return true;
}

void
record_put_gap(struct record_writer *w, enum gap_kind kind)
{
	unsigned k = gap_rice(w->means, kind);
	uint32_t gap = w->right[kind];
	struct bit_writer *b = &w->gaps[kind];

	if (gap >> k < GAP_UNARY_MAX) {
		bits_put(b, (UINT64_C(1) << (gap >> k)) - 1, (gap >> k) + 1);
		bits_put(b, low_bits(gap, k), k);
	} else {
		bits_put(b, (1U << GAP_UNARY_MAX) - 1, GAP_UNARY_MAX);
		bits_put(b, gap, 32);
	}
	gap_learn(w->means, kind, gap);
	w->right[kind] = 0;
}

void
put_long_number(struct record_writer *w, uint64_t v)
{
	unsigned length = bit_length(v);

	bits_put(&w->bits, (1U << NUMBER_ONES) - 1, NUMBER_ONES);
	bits_put(&w->bits, length, LENGTH_BITS);
	put_bits(w, low_bits(v, length - 1), length - 1);
}

/* The last byte is filled up with ones. */
static void
fill_up(struct bit_writer *b, struct buf *room)
{
	if (b->n)
		bits_put(b, low_bits(UINT64_MAX, 8 - b->n), 8 - b->n);
	room->len = (size_t)(b->p - room->data);
}

bool
record_finish(struct record_writer *w, struct buf *out)
{
	uint8_t *p;
	unsigned i;

	if (!record_room(w, 1))
		return false;
	for (i = 0; i <= GAP__N; i++)
		fill_up(writer_of(w, i), &w->room[i]);
	p = buf_room(out, GAP__N * VARINT_MAX);
	if (!p)
		return false;
	for (i = 0; i < GAP__N; i++)
		p = varint_put(p, w->room[i].len);
	out->len = (size_t)(p - out->data);
	for (i = 0; i <= GAP__N; i++) {
		buf_append(out, w->room[i].data, w->room[i].len);
		buf_reset(&w->room[i], ROOM_KEEP);
	}
	return !buf_failed(out);
}

uint64_t
record_bits(const struct record_writer *w)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i <= GAP__N; i++) {
		const struct bit_writer *b = i < GAP__N ? &w->gaps[i] : &w->bits;

		n += (uint64_t)(b->p - w->room[i].data) * 8 + b->n;
	}
	return n;
}

bool
put_text(struct record_writer *w, struct number *length, struct bytes text)
{
	size_t i;

	if (!record_room(w, text.n + 16))
		return false;
	put_number(w, length, text.n);
	for (i = 0; i < text.n; i++)
		bits_put(&w->bits, text.p[i], 8);
	return true;
}

/* ---- reading --------------------------------------------------------------- */

static void
next_gap(struct record_reader *r, enum gap_kind kind)
{
	struct bit_reader *b = &r->gaps[kind];
	unsigned k = gap_rice(r->means, kind), n;
	uint32_t gap;

	n = bits_get_unary(b, GAP_UNARY_MAX);
	if (n < GAP_UNARY_MAX)
		gap = n << k | (uint32_t)bits_get(b, k);
	else
		gap = (uint32_t)bits_get(b, 32);
	r->gap[kind] = r->right[kind] = gap;
}

bool
record_open(struct record_reader *r, struct gap_means *means,
    struct reader *in)
{
	uint64_t n[GAP__N];
	struct bytes part;
	unsigned i;

	*r = (struct record_reader){ .means = means };
	for (i = 0; i < GAP__N; i++)
		n[i] = read_varint(in);
	for (i = 0; i < GAP__N; i++) {
		part = read_bytes(in, n[i]);
		if (in->bad)
			return false;
		r->gaps[i] = (struct bit_reader){ .p = part.p,
			.end = part.p + part.n };
	}
	r->bits = (struct bit_reader){ .p = in->p, .end = in->end };
	for (i = 0; i < GAP__N; i++)
		next_gap(r, (enum gap_kind)i);
	return true;
}

/* The one in hand has run out. */
void
record_get_gap(struct record_reader *r, enum gap_kind kind)
{
	gap_learn(r->means, kind, r->gap[kind]);
	next_gap(r, kind);
}

uint64_t
get_long_number(struct record_reader *r)
{
	unsigned length = (unsigned)bits_get(&r->bits, LENGTH_BITS);

	if (length == 0 || length > 64) {
		r->bad = true;
		return 0;
	}
	return UINT64_C(1) << (length - 1) | get_bits(r, length - 1);
}

/* Whole bytes in acc, of which the last ones may be made up. */
static size_t
unread(const struct record_reader *r)
{
	return (size_t)(r->bits.end - r->bits.p) + r->bits.n / 8;
}

bool
record_close(const struct record_reader *r)
{
	return !r->bad && unread(r) == r->bits.past;
}

size_t
record_left(const struct record_reader *r)
{
	return record_overrun(r) ? 0 : unread(r) - r->bits.past;
}

bool
record_overrun(const struct record_reader *r)
{
	return unread(r) < r->bits.past;
}

struct bytes
get_text(struct record_reader *r, struct number *length, struct arena *a)
{
	uint64_t n = get_number(r, length), i;
	uint8_t *text;

	if (n > record_left(r)) {
		r->bad = true;
		return (struct bytes){ NULL, 0 };
	}
	text = arena_take(a, (size_t)n);
	if (!text)
		return (struct bytes){ NULL, 0 };
	for (i = 0; i < n; i++)
		text[i] = (uint8_t)bits_get(&r->bits, 8);
	return bytes_of(text, (size_t)n);
}
