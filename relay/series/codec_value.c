/* codec_value.c - values, written and read.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A sample is one of, asked in this order:
 *	unchanged	the same bits as before
 *	same delta	m changes as that of the last changed sample of the
 *			record did, which is of the same mode
 *	escape		see below
 *	residual	by how much m changed more than foreseen: size, sign
 * In ULP mode the change of e follows the second and the last.  A series' first
 * value is a change from that of the series that it takes after.            */
#include "series/codec_value.h"

#include <assert.h>

#include "base/buf.h"
#include "series/batch.h"
#include "series/store.h"

const double value_tens[DECIMAL_MAX + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6,
	1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };

/* Escapes: a value that fits no mode, which leaves the state alone; the end of
 * a series, likewise; a new mode, and m in it. */
enum escape { ESCAPE_LITERAL, ESCAPE_STALE, ESCAPE_MODE, ESCAPE__N };

#define ESCAPE_BITS 2

/* Bytes in any stream that a sample takes at most. */
#define SAMPLE_ROOM 40

/* ---- state: what both ends do --------------------------------------------- */

void
value_model_init(struct value_model *v)
{
	unsigned i, j;

	*v = (struct value_model){ .neighbour_mode = MODE_NONE };
	for (j = 0; j < 4; j++) {
		for (i = 0; i < HISTORY_CLASSES; i++)
			guess_init(&v->changed[i][j], i < STILL_CLASSES ?
			    2000U >> i : 4000 + i * 1500);
		guess_init(&v->first[j], 32768);
		guess_init(&v->escape[j], 600);
		for (i = 0; i < 8; i++)
			guess_init(&v->same[i][j], 8000 + i * 6000);
		for (i = 0; i < 3; i++)
			guess_init(&v->sign[i][j], 32768);
	}
}

void
value_model_begin(struct value_model *v)
{
	v->neighbour_mode = MODE_NONE;
}

static inline unsigned
history_class(const struct series *s)
{
	unsigned n = s->changes;

	if (n == 0)
		return (s->still >= 20) + (s->still >= 60) +
		    (s->still >= 200);
	n = (n & 0x55) + (n >> 1 & 0x55);	/* ones */
	n = (n & 0x33) + (n >> 2 & 0x33);
	n = (n & 15) + (n >> 4);
	return STILL_CLASSES + (n - 1) * 4 + (s->changes & 3);
}

static inline void
learn_changed(struct value_model *v, struct series *s, bool changed)
{
	s->changes = (uint8_t)(s->changes << 1 | changed);
	if (changed)
		s->still = 0;
	else
		s->still = (uint8_t)(s->still + (s->still < 255));
	v->last_changed = (v->last_changed << 1 | changed) & 3;
}

static inline int64_t
foreseen(const struct series *s, unsigned which)
{
	return which == 0 ? 0 : which == 1 ? s->delta : (s->mean + 8) >> 4;
}

static inline unsigned
best_predictor(const struct series *s)
{
	unsigned best = s->cost[1] < s->cost[0];

	return s->cost[2] < s->cost[best] ? 2 : best;
}

static inline uint8_t
cost_average(uint8_t mean, unsigned length)
{
	int x4 = length < 64 ? (int)length * 4 : 255;

	return (uint8_t)(mean + ((x4 - (int)mean) >> 2));
}

/* x16, moved by a quarter; as much as there is room for. */
static inline int32_t
mean_learn(int32_t mean, int64_t delta)
{
	const int64_t most = INT32_MAX / 16;

	if (delta > most)
		delta = most;
	else if (delta < -most)
		delta = -most;
	return mean + (int32_t)((delta * 16 - mean) >> 2);
}

static inline void
learn_delta(struct series *s, int64_t delta)
{
	unsigned i;

	for (i = 0; i < 3; i++)
		s->cost[i] = cost_average(s->cost[i], bit_length(magnitude(
		    wrap_sub(delta, foreseen(s, i)))));
	s->mean = mean_learn(s->mean, delta);
	s->delta = delta;
}

/* Whole numbers that share low zero bits for long enough go on without them;
 * a series that had to come back waits longer, then for ever. */
#define ZEROS_BITS 63
#define ZEROS_FAILED 64

static void
learn_zeros(struct series *s)
{
	unsigned zeros = s->m ? (unsigned)__builtin_ctzll((uint64_t)s->m) : 63;
	unsigned failed = s->zeros >> 6, fewest = s->zeros & ZEROS_BITS;

	if (failed >= 2)
		return;
	if (zeros < fewest || s->n_zeros == 0)
		fewest = zeros;
	if (fewest < 2) {
		s->n_zeros = 0;
		fewest = 0;
	} else if (++s->n_zeros >= (failed ? 64 : 8) && s->m) {
		s->mode = MODE(MODE_POWER, fewest);
		s->m >>= fewest;
		s->delta >>= fewest;
		s->mean >>= fewest < 31 ? fewest : 31; /* it has 32 bits */
		s->cost[0] = s->cost[1] = s->cost[2] = 0;
		s->length = s->length > fewest * 4 ?
		    (uint8_t)(s->length - fewest * 4) : 0;
		s->n_zeros = 0;
		fewest = 0;
	}
	s->zeros = (uint8_t)(failed << 6 | fewest);
}

/* The changed sample has been seen, in the mode that it had. */
static inline void
learn_value(struct value_model *v, struct series *s, int64_t delta)
{
	v->neighbour_delta = delta;
	v->neighbour_mode = s->mode;
	learn_delta(s, delta);
	if (s->mode == MODE_WHOLE)
		learn_zeros(s);
}

/* What m was, in a new mode; 0 where it would take more than a shift of the
 * point. */
static int64_t
carried_over(const struct series *s, uint8_t mode)
{
	unsigned from = MODE_PARAMETER(s->mode), to = MODE_PARAMETER(mode);
	int64_t m = s->m;

	if (MODE_KIND(s->mode) == MODE_POWER && mode == MODE_WHOLE)
		return from < 54 ? (int64_t)((uint64_t)m << from) : 0;
	if ((MODE_KIND(s->mode) != MODE_DECIMAL &&
	    MODE_KIND(s->mode) != MODE_ULP) ||
	    (MODE_KIND(mode) != MODE_DECIMAL && MODE_KIND(mode) != MODE_ULP))
		return 0;
	for (; from < to; from++)
		m = (int64_t)((uint64_t)m * 10);
	for (; from > to; from--)
		m /= 10;
	return m;
}

static void
enter_mode(struct series *s, uint8_t mode, int64_t m)
{
	if (MODE_KIND(s->mode) == MODE_POWER && s->zeros >> 6 < 2)
		s->zeros = (uint8_t)(s->zeros + ZEROS_FAILED);
	s->mode = mode;
	s->m = m;
	s->ulps = 0;
	s->ulp_length = 0;
	s->delta = s->mean = 0;
	s->n_zeros = 0;
}

/* A series without a value takes after another, or begins as 0. */
static void
begin_series(const struct table *t, struct series *s)
{
	const struct series *like;
	int64_t seed = s->m;

	s->mode = MODE_WHOLE;
	s->m = 0;
	if (seed < 0)
		return;
	like = table_at(t, sizeof(*like), (uint32_t)seed);
	if (like->mode == MODE_NONE)
		return;
	s->bits = like->bits;
	s->m = like->m;
	s->ulps = like->ulps;
	s->mode = like->mode;
	s->changes = like->changes;
	s->still = like->still;
	s->same = like->same;
	s->signs = like->signs;
	s->length = like->length;
	s->ulp_length = like->ulp_length;
	memcpy(s->cost, like->cost, sizeof(s->cost));
}

/* ---- writing -------------------------------------------------------------- */

static inline bool
whole(double x, int64_t *m)
{
	/* NaN compares false; beyond 2^53 doubles are whole, but not all */
	if (!(x > -(double)WHOLE_MAX && x < (double)WHOLE_MAX))
		return false;
	*m = (int64_t)x;
	return true;
}

/* The whole number nearest to x, which is below 2^52. */
static inline bool
nearest(double x, int64_t *m)
{
	if (!(x > -0x1p52 && x < 0x1p52))
		return false;
	*m = (int64_t)(x < 0 ? x - 0.5 : x + 0.5);
	return true;
}

/* m and e of a value in a mode; false if it does not fit. */
static inline bool
fit(uint8_t mode, uint64_t bits, int64_t ulps_max, int64_t *m, int32_t *e)
{
	unsigned x = MODE_PARAMETER(mode);
	double v = double_of(bits);
	int64_t ulps;

	*e = 0;
	switch (MODE_KIND(mode)) {
	case MODE_DECIMAL:
		if (x == 0 ? !whole(v, m) : !nearest(v * value_tens[x], m))
			return false;
		break;
	case MODE_POWER:
		if (!whole(v * power_of_two(-(int)x), m))
			return false;
		break;
	case MODE_ULP:
		if (!nearest(v * value_tens[x], m))
			return false;
		ulps = (int64_t)(bits - value_bits(mode, *m, 0));
		if (ulps < -ulps_max || ulps > ulps_max)
			return false;
		*e = (int32_t)ulps;
		return true;
	case MODE_RAW:
		*m = (int64_t)bits;
		return true;
	}
	return value_bits(mode, *m, 0) == bits;
}

static inline void
put_ulps(struct record_writer *w, struct series *s, int32_t e)
{
	uint64_t change = zigzag_put((int64_t)e - s->ulps);

	put_about(w, change, s->ulp_length / 4);
	s->ulp_length = length_learn(s->ulp_length, change);
	s->ulps = e;
}

static inline void
put_residual(struct value_model *v, struct record_writer *w, struct series *s,
    int64_t delta)
{
	unsigned which = best_predictor(s);
	int64_t residual = wrap_sub(delta, foreseen(s, which));
	uint64_t size = magnitude(residual);

	put_about(w, size, s->length / 4);
	s->length = length_learn(s->length, size);
	if (size == 0)
		return;
	put_guess(w, &v->sign[which][s->signs], residual < 0);
	s->signs = (s->signs << 1 | (residual < 0)) & 3;
}

unsigned
value_decimal(uint64_t bits, unsigned first, int64_t *m)
{
	unsigned d;
	int32_t e;

	if (first <= DIGITS_MAX && fit(MODE(MODE_DECIMAL, first), bits, 0, m,
	    &e))
		return first;
	for (d = 0; d <= DIGITS_MAX; d++) {
		if (fit(MODE(MODE_DECIMAL, d), bits, 0, m, &e))
			return d;
	}
	return DECIMAL_MAX;
}

/* The mode for a value that its series' mode does not hold; MODE_NONE for one
 * that had better stay an exception. */
static uint8_t
find_mode(uint8_t now, uint64_t bits)
{
	static const struct { uint8_t digits; int64_t ulps; } sums[] = {
		{ 3, 16 }, { 6, 32 }, { 9, 2048 },
	};
	unsigned exponent = bits >> 52 & 0x7ff, d = 0, i;
	int64_t m;
	int32_t e;

	if (exponent == 0x7ff || exponent == 0)
		return MODE_NONE;
	if (exponent >= 1023 + 53)
		return exponent - 1023 - 52 < 63 ?
		    MODE(MODE_POWER, exponent - 1023 - 52) : MODE_NONE;
	if (MODE_KIND(now) == MODE_DECIMAL)
		d = MODE_PARAMETER(now);
	for (; d <= DIGITS_MAX; d++) {
		if (fit(MODE(MODE_DECIMAL, d), bits, 0, &m, &e))
			return MODE(MODE_DECIMAL, d);
	}
	for (i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		if (fit(MODE(MODE_ULP, sums[i].digits), bits, sums[i].ulps,
		    &m, &e))
			return MODE(MODE_ULP, sums[i].digits);
	}
	return MODE(MODE_RAW, 0);
}

static void
put_mode(struct record_writer *w, struct series *s, uint8_t mode, uint64_t bits)
{
	uint64_t change;
	int64_t m;
	int32_t e;
	unsigned length;

	(void)fit(mode, bits, ULPS_MAX, &m, &e); /* so it was chosen */
	put_bits(w, mode, 8);
	change = zigzag_put(wrap_sub(m, carried_over(s, mode)));
	length = bit_length(change);
	put_bits(w, length, LENGTH_BITS);
	put_bits(w, change, length);
	enter_mode(s, mode, m);
	if (MODE_KIND(mode) == MODE_ULP)
		put_ulps(w, s, e);
	s->bits = bits;
}

static void
put_escape(struct value_model *v, struct record_writer *w, struct series *s,
    uint64_t bits)
{
	uint8_t mode;

	if (bits == STALE_MARKER) {
		put_bits(w, ESCAPE_STALE, ESCAPE_BITS);
		return;
	}
	mode = find_mode(s->mode, bits);
	if (mode == MODE_NONE) {
		put_bits(w, ESCAPE_LITERAL, ESCAPE_BITS);
		put_bits(w, bits, 64);
		s->bits = bits;
		return;
	}
	put_bits(w, ESCAPE_MODE, ESCAPE_BITS);
	put_mode(w, s, mode, bits);
	v->neighbour_mode = MODE_NONE;
}

static inline void
put_changed(struct value_model *v, struct record_writer *w, struct series *s,
    uint64_t bits)
{
	int64_t m = 0, delta;
	int32_t e = 0;
	bool fits, same;

	fits = bits != STALE_MARKER && fit(s->mode, bits, ULPS_MAX, &m, &e);
	delta = wrap_sub(m, s->m);
	if (v->neighbour_mode == s->mode) {
		same = fits && delta == v->neighbour_delta;
		put_guess(w, &v->same[s->same][v->last_same], same);
		s->same = (s->same << 1 | same) & 7;
		v->last_same = (v->last_same << 1 | same) & 3;
		if (same)
			goto done;
	}
	put_guess(w, &v->escape[MODE_KIND(s->mode)], !fits);
	if (!fits) {
		put_escape(v, w, s, bits);
		return;
	}
	put_residual(v, w, s, delta);
done:
	if (MODE_KIND(s->mode) == MODE_ULP)
		put_ulps(w, s, e);
	s->m = m;
	s->bits = bits;
	learn_value(v, s, delta);
}

static inline void
put_one(struct value_model *v, struct record_writer *w, const struct table *t,
    struct series *s, uint64_t bits)
{
	struct guess *g = &v->changed[history_class(s)][v->last_changed];
	bool changed;

	if (s->mode == MODE_NONE) {
		begin_series(t, s);
		g = &v->first[v->last_changed];
	}
	changed = bits != s->bits;
	put_guess(w, g, changed);
	learn_changed(v, s, changed);
	if (changed)
		put_changed(v, w, s, bits);
}

bool
put_value(struct value_model *v, struct record_writer *w,
    const struct table *t, struct series *s, uint64_t bits)
{
	if (!record_room(w, SAMPLE_ROOM))
		return false;
	put_one(v, w, t, s, bits);
	return true;
}

bool
put_values(struct value_model *v, struct record_writer *w,
    const struct table *t, const struct batch_sample *sample, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (i % 16 == 0 && !record_room(w, 16 * SAMPLE_ROOM))
			return false;
		put_one(v, w, t, table_at(t, sizeof(struct series),
		    sample[i].series), sample[i].bits);
	}
	return true;
}

/* ---- reading -------------------------------------------------------------- */

static inline void
get_ulps(struct record_reader *r, struct series *s)
{
	uint64_t change = get_about(r, s->ulp_length / 4);
	int64_t e = wrap_add(s->ulps, zigzag_get(change));

	if (e < -ULPS_MAX || e > ULPS_MAX) {
		r->bad = true;
		return;
	}
	s->ulp_length = length_learn(s->ulp_length, change);
	s->ulps = (int32_t)e;
}

static inline int64_t
get_residual(struct value_model *v, struct record_reader *r, struct series *s)
{
	unsigned which = best_predictor(s);
	uint64_t size = get_about(r, s->length / 4);
	int64_t base = foreseen(s, which);
	bool negative;

	s->length = length_learn(s->length, size);
	if (size == 0)
		return base;
	negative = get_guess(r, &v->sign[which][s->signs]);
	s->signs = (s->signs << 1 | negative) & 3;
	return negative ? wrap_sub(base, (int64_t)size) :
	    wrap_add(base, (int64_t)size);
}

static bool
mode_exists(uint8_t mode)
{
	unsigned x = MODE_PARAMETER(mode);

	switch (MODE_KIND(mode)) {
	case MODE_DECIMAL:
	case MODE_ULP:
		return x <= DECIMAL_MAX;
	case MODE_POWER:
		return true;
	case MODE_RAW:
		break;
	}
	return x == 0;
}

static void
get_mode(struct record_reader *r, struct series *s)
{
	uint8_t mode = (uint8_t)get_bits(r, 8);
	unsigned length = (unsigned)get_bits(r, LENGTH_BITS);

	if (!mode_exists(mode) || length > 64) {
		r->bad = true;
		return;
	}
	enter_mode(s, mode, wrap_add(carried_over(s, mode),
	    zigzag_get(get_bits(r, length))));
	if (MODE_KIND(mode) == MODE_ULP)
		get_ulps(r, s);
	s->bits = value_bits(mode, s->m, s->ulps);
}

static uint64_t
get_escape(struct value_model *v, struct record_reader *r, struct series *s)
{
	switch ((enum escape)get_bits(r, ESCAPE_BITS)) {
	case ESCAPE_LITERAL:
		s->bits = get_bits(r, 64);
		return s->bits;
	case ESCAPE_STALE:
		return STALE_MARKER;
	case ESCAPE_MODE:
		get_mode(r, s);
		v->neighbour_mode = MODE_NONE;
		return s->bits;
	case ESCAPE__N:
		break;
	}
	r->bad = true;
	return 0;
}

static inline uint64_t
get_changed(struct value_model *v, struct record_reader *r, struct series *s)
{
	int64_t delta = v->neighbour_delta;
	bool same = false;

	if (v->neighbour_mode == s->mode) {
		same = get_guess(r, &v->same[s->same][v->last_same]);
		s->same = (s->same << 1 | same) & 7;
		v->last_same = (v->last_same << 1 | same) & 3;
	}
	if (!same) {
		if (get_guess(r, &v->escape[MODE_KIND(s->mode)]))
			return get_escape(v, r, s);
		delta = get_residual(v, r, s);
	}
	if (MODE_KIND(s->mode) == MODE_ULP)
		get_ulps(r, s);
	s->m = wrap_add(s->m, delta);
	s->bits = value_bits(s->mode, s->m, s->ulps);
	learn_value(v, s, delta);
	return s->bits;
}

static inline uint64_t
get_one(struct value_model *v, struct record_reader *r, const struct table *t,
    struct series *s)
{
	struct guess *g = &v->changed[history_class(s)][v->last_changed];
	bool changed;

	if (s->mode == MODE_NONE) {
		begin_series(t, s);
		g = &v->first[v->last_changed];
	}
	changed = get_guess(r, g);
	learn_changed(v, s, changed);
	return changed ? get_changed(v, r, s) : s->bits;
}

uint64_t
get_value(struct value_model *v, struct record_reader *r,
    const struct table *t, struct series *s)
{
	return get_one(v, r, t, s);
}

void
get_values(struct value_model *v, struct record_reader *r,
    const struct table *t, struct batch_sample *sample, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		sample[i].bits = get_one(v, r, t, table_at(t,
		    sizeof(struct series), sample[i].series));
}
