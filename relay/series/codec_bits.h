/* codec_bits.h - numbers and decisions in bits, least significant bit first.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A record has three streams of bits.  Plain bits are one.  A decision that is
 * mostly foreseen is not written there: only how many were foreseen rightly
 * between two that were not is, as a Rice code, in one of two streams of gaps,
 * for decisions that hardly ever go wrong and for those that do now and then.
 *
 * The inline half of codec_record.c, for what is done for every sample.     */
#ifndef RW_SERIES_CODEC_BITS_H
#define RW_SERIES_CODEC_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"

/* Bits that v needs, 0 for 0. */
static inline unsigned
bit_length(uint64_t v)
{
	return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

static inline uint64_t
low_bits(uint64_t v, unsigned n)
{
	return n < 64 ? v & ((UINT64_C(1) << n) - 1) : v;
}

/* ---- bits ------------------------------------------------------------------ */

struct bit_writer {
	uint8_t *p;			/* in a buf; the caller sees to room */
	uint64_t acc;
	unsigned n;			/* bits in acc, below 8 */
};

#define BITS_SLACK 8			/* bytes written past the last one */

static inline void
bits_put(struct bit_writer *w, uint64_t v, unsigned n)	/* v below 2^n, n <= 56 */
{
	w->acc |= v << w->n;
	w->n += n;
	le64_put(w->p, w->acc);
	w->p += w->n >> 3;
	w->acc >>= w->n & ~7U;
	w->n &= 7;
}

struct bit_reader {
	const uint8_t *p, *end;		/* borrowed */
	uint64_t acc;
	unsigned n;			/* bits in acc */
	size_t past;			/* bytes made up past the end: ones */
};

/* At least 56 bits into acc. */
static inline void
bits_fill(struct bit_reader *r)
{
	if (r->end - r->p >= 8) {
		r->acc |= le64_get(r->p) << r->n;
		r->p += (63 - r->n) >> 3;
		r->n |= 56;
		return;
	}
	while (r->n <= 56) {
		uint64_t byte = 0xff;

		if (r->p < r->end)
			byte = *r->p++;
		else
			r->past++;
		r->acc |= byte << r->n;
		r->n += 8;
	}
}

static inline void
bits_drop(struct bit_reader *r, unsigned n)
{
	r->acc >>= n;
	r->n -= n;
}

static inline uint64_t
bits_get(struct bit_reader *r, unsigned n)	/* n <= 56 */
{
	uint64_t v;

	if (r->n < n)
		bits_fill(r);
	v = low_bits(r->acc, n);
	bits_drop(r, n);
	return v;
}

/* Ones before the next zero, which goes too; or max ones (max <= 55). */
static inline unsigned
bits_get_unary(struct bit_reader *r, unsigned max)
{
	unsigned n;

	if (r->n <= max)
		bits_fill(r);
	n = (unsigned)__builtin_ctzll(~r->acc | UINT64_C(1) << max);
	bits_drop(r, n < max ? n + 1 : n);
	return n;
}

/* ---- guesses --------------------------------------------------------------- */

/* How often a decision went one way, in 1/65536: a nimble average and a slow
 * one. */
struct guess {
	uint16_t nimble, slow;
};

#define GUESS_EVEN 32768
#define GUESS_PLAIN 20000		/* likelier than this to go wrong: a bit */
#define GUESS_RARE 3000			/* 5 % */

static inline unsigned
guess_probability(const struct guess *g)
{
	return (g->nimble + g->slow) / 2U;
}

static inline void
guess_learn(struct guess *g, bool bit)
{
	if (bit) {
		g->nimble = (uint16_t)(g->nimble + ((65536 - g->nimble) >> 4));
		g->slow = (uint16_t)(g->slow + ((65536 - g->slow) >> 7));
	} else {
		g->nimble = (uint16_t)(g->nimble - (g->nimble >> 4));
		g->slow = (uint16_t)(g->slow - (g->slow >> 7));
	}
}

enum gap_kind { GAP_RARE, GAP_SOMETIMES, GAP__N };

/* Mean gaps of a stream of records, x16. */
struct gap_means {
	uint32_t mean[GAP__N];
};

/* Longer codes are this many ones and then 32 bits.  What a reader sees past
 * the end is such a code, and longer than any record has decisions. */
#define GAP_UNARY_MAX 24

static inline unsigned
gap_rice(const struct gap_means *m, enum gap_kind kind)
{
	return bit_length((uint64_t)m->mean[kind] * 11 >> 8);
}

static inline void
gap_learn(struct gap_means *m, enum gap_kind kind, uint32_t gap)
{
	int64_t mean = m->mean[kind];

	mean += ((int64_t)gap * 16 - mean) >> 3;
	m->mean[kind] = (uint32_t)(mean < 1 << 24 ? mean : 1 << 24);
}

/* ---- writing --------------------------------------------------------------- */

struct record_writer {
	struct bit_writer gaps[GAP__N], bits;
	uint32_t right[GAP__N];		/* guesses since the last wrong one */
	struct gap_means *means;	/* borrowed */
	struct buf *room;		/* borrowed; GAP__N + 1 of them */
};

void record_put_gap(struct record_writer *, enum gap_kind);

static inline void
put_guess(struct record_writer *w, struct guess *g, bool bit)
{
	unsigned p = guess_probability(g);
	bool likely = p >= GUESS_EVEN;
	unsigned q = likely ? 65536 - p : p;
	enum gap_kind kind;

	if (q >= GUESS_PLAIN) {
		bits_put(&w->bits, bit, 1);
	} else {
		kind = q < GUESS_RARE ? GAP_RARE : GAP_SOMETIMES;
		if (bit == likely)
			w->right[kind]++;
		else
			record_put_gap(w, kind);
	}
	guess_learn(g, bit);
}

static inline void
put_bits(struct record_writer *w, uint64_t v, unsigned n)	/* n <= 64 */
{
	if (n > 32) {
		bits_put(&w->bits, v & UINT32_MAX, 32);
		v >>= 32;
		n -= 32;
	}
	bits_put(&w->bits, v, n);
}

/* A number of about k bits: n ones and a zero, then k + n bits of what it is more
 * than all numbers with fewer ones; or NUMBER_ONES ones, its length, and its
 * bits below the first one. */
#define NUMBER_ONES 16
#define LENGTH_BITS 7

void put_long_number(struct record_writer *, uint64_t v);

static inline void
put_about(struct record_writer *w, uint64_t v, unsigned k)
{
	uint64_t high = v >> k;
	unsigned n;

	if (high >= (1U << NUMBER_ONES) - 1) {
		put_long_number(w, v);
		return;
	}
	n = bit_length(high + 1) - 1;
	v -= ((UINT64_C(1) << n) - 1) << k;
	if (k + n > 32) {
		bits_put(&w->bits, (UINT64_C(1) << n) - 1, n + 1);
		put_bits(w, v, k + n);
	} else {
		bits_put(&w->bits, v << (n + 1) | ((UINT64_C(1) << n) - 1),
		    k + 2 * n + 1);
	}
}

/* ---- reading --------------------------------------------------------------- */

struct record_reader {
	struct bit_reader gaps[GAP__N], bits;
	uint32_t gap[GAP__N];		/* the one in hand */
	uint32_t right[GAP__N];		/* what is left of it */
	struct gap_means *means;	/* borrowed */
	bool bad;			/* sticky; asked once, at the end */
};

void record_get_gap(struct record_reader *, enum gap_kind);

static inline bool
get_guess(struct record_reader *r, struct guess *g)
{
	unsigned p = guess_probability(g);
	bool likely = p >= GUESS_EVEN, bit;
	unsigned q = likely ? 65536 - p : p;
	enum gap_kind kind;

	if (q >= GUESS_PLAIN) {
		bit = bits_get(&r->bits, 1);
	} else {
		kind = q < GUESS_RARE ? GAP_RARE : GAP_SOMETIMES;
		bit = likely;
		if (r->right[kind]-- == 0) {
			bit = !likely;
			record_get_gap(r, kind);
		}
	}
	guess_learn(g, bit);
	return bit;
}

static inline uint64_t
get_bits(struct record_reader *r, unsigned n)	/* n <= 64 */
{
	uint64_t low;

	if (n <= 32)
		return bits_get(&r->bits, n);
	low = bits_get(&r->bits, 32);
	return low | bits_get(&r->bits, n - 32) << 32;
}

uint64_t get_long_number(struct record_reader *);

static inline uint64_t
get_about(struct record_reader *r, unsigned k)
{
	unsigned n = bits_get_unary(&r->bits, NUMBER_ONES);

	if (n == NUMBER_ONES)
		return get_long_number(r);
	if (k + n > 64) {
		r->bad = true;
		return 0;
	}
	return (((UINT64_C(1) << n) - 1) << k) + get_bits(r, k + n);
}

/* ---- numbers ---------------------------------------------------------------- */

/* Of a kind: how many bits the last ones had, x4. */
struct number {
	uint8_t length;
};

/* The mean of lengths, x4, moved half way to that of v. */
static inline uint8_t
length_learn(uint8_t mean, uint64_t v)
{
	unsigned x4 = bit_length(v) * 4;

	return (uint8_t)((mean + (x4 < 255 ? x4 : 255) + 1) / 2);
}

static inline void
put_number(struct record_writer *w, struct number *k, uint64_t v)
{
	put_about(w, v, k->length / 4);
	k->length = length_learn(k->length, v);
}

static inline uint64_t
get_number(struct record_reader *r, struct number *k)
{
	uint64_t v = get_about(r, k->length / 4);

	k->length = length_learn(k->length, v);
	return v;
}

/* With a sign. */
static inline void
put_integer(struct record_writer *w, struct number *k, int64_t v)
{
	put_number(w, k, zigzag_put(v));
}

static inline int64_t
get_integer(struct record_reader *r, struct number *k)
{
	return zigzag_get(get_number(r, k));
}

/* A number below n; anything else is bad, and 0. */
static inline uint32_t
get_number_below(struct record_reader *r, struct number *k, uint64_t n)
{
	uint64_t v = get_number(r, k);

	if (v >= n) {
		r->bad = true;
		return 0;
	}
	return (uint32_t)v;
}

static inline uint64_t
magnitude(int64_t v)
{
	return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

/* Sums that wrap, as both ends do alike. */
static inline int64_t
wrap_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t
wrap_sub(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* ---- records ---------------------------------------------------------------- */

void guess_init(struct guess *, unsigned probability);
void guesses_init(struct guess *, size_t n);	/* even */
void gap_means_init(struct gap_means *);

/* GAP__N + 1 bufs that are kept from record to record. */
bool record_begin(struct record_writer *, struct gap_means *, struct buf *room);
/* Room for n more bytes in each stream.  False: out of memory. */
bool record_grow(struct record_writer *, size_t n);
/* Appends the streams to out; false: it took no more. */
bool record_finish(struct record_writer *, struct buf *out);
/* Bits written so far. */
uint64_t record_bits(const struct record_writer *);

static inline bool
record_room(struct record_writer *w, size_t n)
{
	unsigned i;
	size_t left = SIZE_MAX;

	for (i = 0; i <= GAP__N; i++) {
		const struct bit_writer *b = i < GAP__N ? &w->gaps[i] : &w->bits;
		size_t room = (size_t)(w->room[i].data + w->room[i].cap - b->p);

		left = room < left ? room : left;
	}
	return left >= n + BITS_SLACK || record_grow(w, n);
}

/* What is left of the record; false: bad. */
bool record_open(struct record_reader *, struct gap_means *, struct reader *);
/* True if all was well and nothing is left. */
bool record_close(const struct record_reader *);

/* False: out of memory. */
bool put_text(struct record_writer *, struct number *, struct bytes);
/* Copied; bad, or the arena has failed: empty. */
struct bytes get_text(struct record_reader *, struct number *, struct arena *);
/* Whole bytes that are left of the plain bits. */
size_t record_left(const struct record_reader *);
/* More was read than there is. */
bool record_overrun(const struct record_reader *);

#endif
