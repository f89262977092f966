/* codec_value.h - how values are written: the state of a series, and what both
 * ends do to it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A value is a whole number m in the mode of its series:
 *	DECIMAL d	the double m / 10^d
 *	POWER s		the double m * 2^s
 *	ULP d		e units in the last place from m / 10^d: what float sums of
 *			decimal fractions look like
 *	RAW		m is the bit pattern
 * and what is written is whether it changed; if so whether m changed by as much
 * as the neighbour's did; if not, by how much more than foreseen.
 *
 * One IEEE operation at a time, all else in integers that wrap: both ends
 * compute the same whatever machine they are on.                            */
#ifndef RW_SERIES_CODEC_VALUE_H
#define RW_SERIES_CODEC_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "series/codec_bits.h"

/* ---- modes ---------------------------------------------------------------- */

enum mode_kind { MODE_DECIMAL, MODE_POWER, MODE_ULP, MODE_RAW };

#define MODE(kind, parameter) ((uint8_t)((kind) << 6 | (parameter)))
#define MODE_KIND(mode) ((enum mode_kind)((mode) >> 6))
#define MODE_PARAMETER(mode) ((mode) & 63U)
#define MODE_WHOLE MODE(MODE_DECIMAL, 0)

#define DECIMAL_MAX 15			/* digits after the point */
#define DIGITS_MAX 10			/* that are looked for */
#define WHOLE_MAX (INT64_C(1) << 53)	/* a double holds all up to it */
#define ULPS_MAX (1 << 20)

extern const double value_tens[DECIMAL_MAX + 1];	/* 10^d */

static inline double
double_of(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static inline uint64_t
bits_of(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

/* A double of that exponent, within the range of normal numbers. */
static inline double
power_of_two(int s)
{
	return double_of((uint64_t)(1023 + s) << 52);
}

/* The bits of what m and e are in a mode. */
static inline uint64_t
value_bits(uint8_t mode, int64_t m, int32_t e)
{
	unsigned x = MODE_PARAMETER(mode);

	switch (MODE_KIND(mode)) {
	case MODE_DECIMAL:
		return bits_of((double)m / value_tens[x]);
	case MODE_POWER:
		return bits_of((double)m * power_of_two((int)x));
	case MODE_ULP:
		return bits_of((double)m / value_tens[x]) +
		    (uint64_t)(int64_t)e;
	case MODE_RAW:
		break;
	}
	return (uint64_t)m;
}

/* ---- series --------------------------------------------------------------- */

/* One cache line, for a table of half a million. */
struct series {
	uint64_t bits;			/* last value */
	int64_t m;			/* last whole number in the mode */
	int64_t delta;			/* by which m changed last */
	int64_t ms;			/* time of the last sample */
	int32_t mean;			/* of the deltas, x16, within bounds */
	int32_t ulps;			/* last e */
	int32_t step;			/* from the time before */
	uint32_t next;			/* series that came after it */
	uint32_t other;			/* that did before, or SERIES_NONE */
	uint8_t mode;
	uint8_t changes;		/* last eight samples, newest lowest */
	uint8_t still;			/* samples since a change, 255: more */
	uint8_t same;			/* last outcomes of "same delta" */
	uint8_t signs;			/* last signs of the residual */
	uint8_t cost[3];		/* mean bits left by each predictor, x4 */
	uint8_t length;			/* mean bits of the residual, x4 */
	uint8_t ulp_length;		/* mean bits of the change of e, x4 */
	uint8_t zeros;			/* fewest low zero bits of m (and above
					   them how often a POWER failed) ... */
	uint8_t n_zeros;		/* ... in so many changes */
};

_Static_assert(sizeof(struct series) == 64, "a cache line");

/* Before the first value: m is the series to take after, or -1. */
#define MODE_NONE MODE(MODE_RAW, 63)

/* ---- what all series of a stream share ------------------------------------ */

#define STILL_CLASSES 4
#define HISTORY_CLASSES (STILL_CLASSES + 8 * 4)

struct value_model {
	struct guess changed[HISTORY_CLASSES][4];
	struct guess first[4];
	struct guess same[8][4];
	struct guess escape[4];
	struct guess sign[3][4];
	/* of the record in hand */
	int64_t neighbour_delta;
	uint8_t neighbour_mode;		/* MODE_NONE: no change so far */
	uint8_t last_changed;		/* of the last two samples, bits */
	uint8_t last_same;		/* likewise, of what was asked */
};

void value_model_init(struct value_model *);
/* The next one is the first of its record. */
void value_model_begin(struct value_model *);

struct table;
struct batch_sample;

/* The table is of the series that a new series may take after. */
bool put_value(struct value_model *, struct record_writer *,
    const struct table *, struct series *, uint64_t bits);
uint64_t get_value(struct value_model *, struct record_reader *,
    const struct table *, struct series *);

/* How many digits after the point make the value a whole number m, first tried
 * with that many; DECIMAL_MAX if none do. */
unsigned value_decimal(uint64_t bits, unsigned first, int64_t *m);

/* The values of a record's samples; their series and times are in place. */
bool put_values(struct value_model *, struct record_writer *,
    const struct table *, const struct batch_sample *, uint32_t n);
void get_values(struct value_model *, struct record_reader *,
    const struct table *, struct batch_sample *, uint32_t n);

#endif
