/* batches.c - choices, values, label sets, batches, comparison.
 * SPDX-License-Identifier: Apache-2.0 */
#include "unit/batches.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 8

enum kind {
	KIND_COUNTER,
	KIND_GAUGE,			/* whole numbers */
	KIND_DECIMAL,
	KIND_SUM,			/* of decimals, with rounding errors */
	KIND_POWER,			/* multiples of a power of two */
	KIND_CONSTANT,
	KIND_NOISE,
	KIND_ODD,			/* every bit pattern that hurts */
	KIND__N
};

struct made_series {
	struct label labels[LABELS_MAX];
	char text[LABELS_MAX][2][24];
	uint32_t n_labels;
	enum kind kind;
	double value;
	int64_t start_ms;
	struct batch_histogram histogram;	/* arrays from below */
	struct batch_span spans[2][4];
	uint64_t buckets[2][16];
	uint64_t custom[4];
};

/* ---- choices -------------------------------------------------------------- */

void
batches_init(struct batches *g, uint64_t seed, uint32_t max_series)
{
	*g = (struct batches){
		.seed = seed ? seed : 1,
		.max_series = max_series,
		.ms = INT64_C(1700000000000),
	};
	g->series = calloc(max_series, sizeof(*g->series));
	assert(g->series);
}

void
batches_fini(struct batches *g)
{
	free(g->series);
	g->series = NULL;
}

uint64_t
batches_pick(struct batches *g, uint64_t n)
{
	uint64_t x;

	if (g->p && g->p < g->end) {
		x = *g->p++;
		if (n > 256 && g->end - g->p >= 8) {
			memcpy(&x, g->p, 8);
			g->p += 8;
		}
		return x % n;
	}
	if (g->p)
		return 0;
	g->seed ^= g->seed << 13;
	g->seed ^= g->seed >> 7;
	g->seed ^= g->seed << 17;
	return (g->seed >> 11) % n;
}

static bool
one_in(struct batches *g, uint64_t n)
{
	return batches_pick(g, n) == n - 1;
}

static uint64_t
bits_of(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

static uint64_t
any_bits(struct batches *g)
{
	static const uint64_t odd[] = {
		0, UINT64_C(0x8000000000000000),	/* zeros */
		UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000),
		STALE_MARKER, STALE_MARKER + 1,
		UINT64_C(0x7ff8000000000001), UINT64_C(0xfff8dead00000000),
		1, UINT64_C(0x000fffffffffffff),	/* denormal */
		UINT64_C(0x7fefffffffffffff), UINT64_C(0xffefffffffffffff),
		UINT64_C(0x43e0000000000000),		/* 2^63 */
		UINT64_C(0xc3e0000000000000),
		UINT64_C(0x4340000000000000),		/* 2^53 */
		UINT64_C(0x4340000000000001),
		UINT64_C(0x433fffffffffffff),
		UINT64_C(0x3fb999999999999a),		/* 0.1 */
		UINT64_C(0x3fb999999999999b),
		UINT64_C(0x4415af1d78b58c40),		/* 1e20 */
		UINT64_C(0x3ddb7cdfd9d7bdbb),		/* 1e-10 */
	};

	if (one_in(g, 3))
		return batches_pick(g, UINT64_MAX) ^
		    batches_pick(g, UINT64_MAX) << 13;
	return odd[batches_pick(g, sizeof(odd) / sizeof(odd[0]))];
}

static uint64_t
next_bits(struct batches *g, struct made_series *s)
{
	if (one_in(g, 60))
		return one_in(g, 2) ? STALE_MARKER : any_bits(g);
	if (one_in(g, 200))
		s->kind = (enum kind)batches_pick(g, KIND__N);
	switch (s->kind) {
	case KIND_COUNTER:
		s->value += (double)batches_pick(g, one_in(g, 4) ? 5000 : 5);
		break;
	case KIND_GAUGE:
		s->value = (double)batches_pick(g, 100) - 20;
		break;
	case KIND_DECIMAL:
		s->value = (double)batches_pick(g, 100000) / 1000.0;
		break;
	case KIND_SUM:
		s->value += (double)batches_pick(g, 100000) / 1e6;
		break;
	case KIND_POWER:
		s->value = (double)(batches_pick(g, 100000) * 4096);
		break;
	case KIND_NOISE:
		s->value = (double)batches_pick(g, UINT64_C(1) << 50) * 1e-13;
		break;
	case KIND_ODD:
		return any_bits(g);
	case KIND_CONSTANT:
	case KIND__N:
		break;
	}
	return bits_of(s->value);
}

/* ---- series --------------------------------------------------------------- */

static void
make_labels(struct batches *g, struct made_series *s, uint32_t number)
{
	uint32_t n = 1 + (uint32_t)batches_pick(g, LABELS_MAX), i;

	for (i = 0; i < n; i++) {
		struct label *l = &s->labels[i];

		if (i == 0) {
			(void)snprintf(s->text[0][0], 24, "__name__");
			(void)snprintf(s->text[0][1], 24, "metric_%u_%s",
			    number / 20, number % 3 ? "bucket" : "total");
		} else {
			(void)snprintf(s->text[i][0], 24, "l%u%c", i,
			    one_in(g, 10) ? 'x' : 'a');
			(void)snprintf(s->text[i][1], 24, "%u", i == 1 ?
			    number : (unsigned)batches_pick(g, 5));
		}
		l->name = bytes_str(s->text[i][0]);
		l->value = bytes_str(s->text[i][1]);
	}
	s->n_labels = n;
}

static enum status
define_some(struct batches *g, struct encoder *e)
{
	uint64_t n = g->n_series == 0 ? 1 + batches_pick(g, 50) :
	    one_in(g, 4) ? batches_pick(g, 20) : 0;
	struct made_series *s;
	enum status st;
	uint32_t id;

	for (; n && g->n_series < g->max_series; n--) {
		s = &g->series[g->n_series];
		memset(s, 0, sizeof(*s));
		make_labels(g, s, g->n_series);
		s->kind = (enum kind)batches_pick(g, KIND__N);
		st = encoder_define(e, s->labels, s->n_labels, &id);
		if (st != ST_OK)
			return st;
		assert(id == g->n_series);
		g->n_series++;
	}
	return ST_OK;
}

void
batches_restart(struct batches *g)
{
	g->n_series = 0;
}

const struct label *
batches_labels(const struct batches *g, uint32_t id, uint32_t *n)
{
	*n = g->series[id].n_labels;
	return g->series[id].labels;
}

bool
batches_series_is(const struct batches *g, const struct dict *d, uint32_t id)
{
	const struct made_series *s = &g->series[id];
	const uint32_t *refs;
	uint32_t n, i;

	refs = dict_series(d, id, &n);
	if (n != 2 * s->n_labels)
		return false;
	for (i = 0; i < s->n_labels; i++) {
		if (!bytes_eq(dict_symbol(d, refs[2 * i]), s->labels[i].name) ||
		    !bytes_eq(dict_symbol(d, refs[2 * i + 1]),
		    s->labels[i].value))
			return false;
	}
	return true;
}

/* ---- batches -------------------------------------------------------------- */

static void
make_samples(struct batches *g, struct batch *b)
{
	uint32_t n = (uint32_t)batches_pick(g, one_in(g, 3) ? 400 : 40), i, id;
	bool starts = one_in(g, 5);
	int64_t ms = g->ms;

	b->samples = arena_take_array(b->arena, n, sizeof(*b->samples));
	if (starts)
		b->starts = arena_take_array(b->arena, n, sizeof(*b->starts));
	id = (uint32_t)batches_pick(g, g->n_series);
	for (i = 0; i < n; i++) {
		struct made_series *s = &g->series[id];

		b->samples[i] = (struct batch_sample){ .series = id, .ms = ms,
			.bits = next_bits(g, s) };
		if (one_in(g, 30))
			s->start_ms = one_in(g, 3) ? 0 : g->ms - 5;
		if (starts)
			b->starts[i] = s->start_ms;
		id = one_in(g, 40) ? (uint32_t)batches_pick(g, g->n_series) :
		    one_in(g, 30) ? id : (id + 1) % g->n_series;
		if (one_in(g, 60))
			ms = (int64_t)((uint64_t)ms + batches_pick(g, 20) - 10);
		if (one_in(g, 2000))
			ms = (int64_t)any_bits(g);
	}
	b->n_samples = n;
}

static void
make_buckets(struct batches *g, struct batch_buckets *b,
    struct batch_span *spans, uint64_t *buckets, bool is_float)
{
	uint32_t i;

	b->n_spans = (uint32_t)batches_pick(g, 4);
	b->n_buckets = (uint32_t)batches_pick(g, 16);
	b->spans = spans;
	b->buckets = buckets;
	for (i = 0; i < b->n_spans; i++)
		spans[i] = (struct batch_span){
			(int32_t)batches_pick(g, 10) - 5,
			(uint32_t)batches_pick(g, 6) };
	for (i = 0; i < b->n_buckets; i++)
		buckets[i] = is_float ? bits_of((double)batches_pick(g, 99)) :
		    batches_pick(g, 40) - 20;
}

static void
new_histogram(struct batches *g, struct made_series *s)
{
	struct batch_histogram *h = &s->histogram;
	uint32_t i;

	*h = (struct batch_histogram){ 0 };
	h->is_float = one_in(g, 3);
	h->has_zero_count = !one_in(g, 5);
	h->reset_hint = (uint8_t)batches_pick(g, one_in(g, 9) ? 256 : 4);
	h->schema = one_in(g, 4) ? -53 : (int32_t)batches_pick(g, 13) - 4;
	if (one_in(g, 40))
		h->schema = (int32_t)any_bits(g);
	h->zero_threshold_bits = one_in(g, 9) ? any_bits(g) : bits_of(1e-128);
	h->n_custom = h->schema == -53 ? (uint32_t)batches_pick(g, 4) : 0;
	h->custom_bits = s->custom;
	for (i = 0; i < h->n_custom; i++)
		s->custom[i] = bits_of((double)i / 10);
	make_buckets(g, &h->negative, s->spans[0], s->buckets[0], h->is_float);
	make_buckets(g, &h->positive, s->spans[1], s->buckets[1], h->is_float);
}

/* The next of its series: as the last one, with some more in it. */
static void
move_histogram(struct batches *g, struct made_series *s)
{
	struct batch_histogram *h = &s->histogram;
	uint64_t i, n = h->positive.n_buckets ? batches_pick(g, 4) : 0;

	for (; n; n--) {
		i = batches_pick(g, h->positive.n_buckets);
		s->buckets[1][i] = h->is_float ?
		    bits_of((double)batches_pick(g, 99)) :
		    s->buckets[1][i] + batches_pick(g, 9);
	}
	if (one_in(g, 30) && h->positive.n_buckets)
		s->buckets[1][0] = any_bits(g);
	h->count = one_in(g, 30) ? any_bits(g) : h->count + n;
	h->zero_count = one_in(g, 30) ? any_bits(g) :
	    h->zero_count + batches_pick(g, 3);
	h->sum_bits = one_in(g, 20) ? any_bits(g) :
	    bits_of((double)batches_pick(g, 100000) / 1000);
	h->start_ms = one_in(g, 10) ? g->ms - 1000 : h->start_ms;
}

static void
copy_buckets(struct arena *a, struct batch_buckets *b)
{
	b->spans = arena_copy(a, b->spans, b->n_spans * sizeof(*b->spans));
	b->buckets = arena_copy(a, b->buckets,
	    b->n_buckets * sizeof(*b->buckets));
}

static void
make_histograms(struct batches *g, struct batch *b)
{
	uint32_t n = (uint32_t)batches_pick(g, 8), i, id;
	struct batch_histogram *h;
	struct made_series *s;

	b->histograms = arena_take_array(b->arena, n, sizeof(*b->histograms));
	for (i = 0; i < n; i++) {
		id = (uint32_t)batches_pick(g, g->n_series < 6 ?
		    g->n_series : 6);
		s = &g->series[id];
		if (!s->histogram.custom_bits || one_in(g, 20))
			new_histogram(g, s);
		move_histogram(g, s);
		h = &b->histograms[i];
		*h = s->histogram;
		h->series = id;
		h->ms = g->ms;
		h->custom_bits = arena_copy(b->arena, h->custom_bits,
		    h->n_custom * sizeof(*h->custom_bits));
		copy_buckets(b->arena, &h->negative);
		copy_buckets(b->arena, &h->positive);
	}
	b->n_histograms = n;
}

static struct bytes
text(struct batches *g, struct arena *a)
{
	char room[64];
	int n;

	switch (batches_pick(g, 6)) {
	case 0:
		n = 0;
		break;
	case 1:
	case 2:
		n = snprintf(room, sizeof(room), "%016llx%016llx",
		    (unsigned long long)any_bits(g),
		    (unsigned long long)any_bits(g));
		break;
	case 3:
		n = snprintf(room, sizeof(room), "%llX",
		    (unsigned long long)any_bits(g));
		break;
	case 4:
		n = snprintf(room, sizeof(room), "%s", "span_id");
		break;
	default:
		n = snprintf(room, sizeof(room), "text %u",
		    (unsigned)batches_pick(g, 50));
		break;
	}
	return bytes_of(arena_copy(a, room, (size_t)n), (size_t)n);
}

static void
make_exemplars(struct batches *g, struct batch *b)
{
	uint32_t n = (uint32_t)batches_pick(g, 10), i, j;
	struct batch_exemplar *x;

	b->exemplars = arena_take_array(b->arena, n, sizeof(*b->exemplars));
	for (i = 0; i < n; i++) {
		x = &b->exemplars[i];
		if (i && one_in(g, 5)) {
			*x = x[-1];
			continue;
		}
		*x = (struct batch_exemplar){
			.series = (uint32_t)batches_pick(g, g->n_series),
			.n_labels = (uint32_t)batches_pick(g, 4),
			.ms = one_in(g, 9) ? (int64_t)any_bits(g) :
			    g->ms - (int64_t)batches_pick(g, 5000),
			.bits = one_in(g, 5) ? any_bits(g) :
			    bits_of((double)batches_pick(g, 1000) / 1000),
		};
		x->labels = arena_take_array(b->arena, x->n_labels,
		    sizeof(*x->labels));
		for (j = 0; j < x->n_labels; j++) {
			x->labels[j].name = one_in(g, 3) ?
			    text(g, b->arena) : BYTES_LIT("trace_id");
			x->labels[j].value = text(g, b->arena);
		}
	}
	b->n_exemplars = n;
}

static void
make_metadata(struct batches *g, struct batch *b)
{
	uint32_t n = (uint32_t)batches_pick(g, 40), i;
	bool own = one_in(g, 2);
	struct batch_metadata *m;

	b->metadata = arena_take_array(b->arena, n, sizeof(*b->metadata));
	for (i = 0; i < n; i++) {
		m = &b->metadata[i];
		*m = (struct batch_metadata){ .series = SERIES_NONE };
		if (own)
			m->series = i % g->n_series;
		else
			m->family = text(g, b->arena);
		m->type = (uint32_t)(one_in(g, 30) ? any_bits(g) :
		    batches_pick(g, 8));
		m->help = text(g, b->arena);
		m->unit = one_in(g, 3) ? text(g, b->arena) : BYTES_LIT("");
	}
	b->n_metadata = n;
}

enum status
batches_next(struct batches *g, struct encoder *e, struct batch *b)
{
	enum status st = define_some(g, e);

	if (st != ST_OK)
		return st;
	g->ms += one_in(g, 20) ? (int64_t)batches_pick(g, 100000) : 5000;
	make_samples(g, b);
	if (one_in(g, 4))
		make_histograms(g, b);
	if (one_in(g, 4))
		make_exemplars(g, b);
	if (one_in(g, 6))
		make_metadata(g, b);
	assert(!arena_failed(b->arena));
	return ST_OK;
}

/* ---- comparison ----------------------------------------------------------- */

static bool
same(const void *a, const void *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

static bool
same_buckets(const struct batch_buckets *a, const struct batch_buckets *b)
{
	return a->n_spans == b->n_spans && a->n_buckets == b->n_buckets &&
	    same(a->spans, b->spans, a->n_spans * sizeof(*a->spans)) &&
	    same(a->buckets, b->buckets, a->n_buckets * sizeof(*a->buckets));
}

static bool
same_histogram(const struct batch_histogram *a, const struct batch_histogram *b)
{
	return a->series == b->series && a->schema == b->schema &&
	    a->ms == b->ms && a->start_ms == b->start_ms &&
	    a->sum_bits == b->sum_bits &&
	    a->zero_threshold_bits == b->zero_threshold_bits &&
	    a->count == b->count && a->zero_count == b->zero_count &&
	    a->is_float == b->is_float &&
	    a->has_zero_count == b->has_zero_count &&
	    a->reset_hint == b->reset_hint && a->n_custom == b->n_custom &&
	    same(a->custom_bits, b->custom_bits,
	    a->n_custom * sizeof(*a->custom_bits)) &&
	    same_buckets(&a->negative, &b->negative) &&
	    same_buckets(&a->positive, &b->positive);
}

static bool
same_exemplar(const struct batch_exemplar *a, const struct batch_exemplar *b)
{
	uint32_t i;

	if (a->series != b->series || a->ms != b->ms || a->bits != b->bits ||
	    a->n_labels != b->n_labels)
		return false;
	for (i = 0; i < a->n_labels; i++) {
		if (!bytes_eq(a->labels[i].name, b->labels[i].name) ||
		    !bytes_eq(a->labels[i].value, b->labels[i].value))
			return false;
	}
	return true;
}

static int
compare_metadata(const void *pa, const void *pb)
{
	const struct batch_metadata *a = *(const struct batch_metadata *const *)pa;
	const struct batch_metadata *b = *(const struct batch_metadata *const *)pb;
	int c = (a->series > b->series) - (a->series < b->series);

	if (c == 0)
		c = bytes_cmp(a->family, b->family);
	if (c == 0)
		c = (a->type > b->type) - (a->type < b->type);
	if (c == 0)
		c = bytes_cmp(a->help, b->help);
	if (c == 0)
		c = bytes_cmp(a->unit, b->unit);
	return c;
}

static const struct batch_metadata **
sorted_metadata(const struct batch *b)
{
	const struct batch_metadata **all =
	    calloc(b->n_metadata + 1, sizeof(const struct batch_metadata *));
	uint32_t i;

	assert(all);
	for (i = 0; i < b->n_metadata; i++)
		all[i] = &b->metadata[i];
	qsort(all, b->n_metadata, sizeof(all[0]), compare_metadata);
	return all;
}

static bool
same_metadata(const struct batch *a, const struct batch *b)
{
	const struct batch_metadata **x = sorted_metadata(a);
	const struct batch_metadata **y = sorted_metadata(b);
	bool eq = true;
	uint32_t i;

	for (i = 0; i < a->n_metadata; i++)
		eq = eq && compare_metadata(&x[i], &y[i]) == 0;
	free(x);
	free(y);
	return eq;
}

const char *
batches_differ(const struct batch *a, const struct batch *b)
{
	uint32_t i;

	if (a->n_samples != b->n_samples)
		return "number of samples";
	for (i = 0; i < a->n_samples; i++) {
		if (a->samples[i].series != b->samples[i].series)
			return "series of a sample";
		if (a->samples[i].ms != b->samples[i].ms)
			return "time of a sample";
		if (a->samples[i].bits != b->samples[i].bits)
			return "value";
	}
	if (a->n_samples && (!a->starts != !b->starts ||
	    (a->starts && !same(a->starts, b->starts,
	    a->n_samples * sizeof(*a->starts)))))
		return "start timestamps";
	if (a->n_histograms != b->n_histograms)
		return "number of histograms";
	for (i = 0; i < a->n_histograms; i++) {
		if (!same_histogram(&a->histograms[i], &b->histograms[i]))
			return "histogram";
	}
	if (a->n_exemplars != b->n_exemplars)
		return "number of exemplars";
	for (i = 0; i < a->n_exemplars; i++) {
		if (!same_exemplar(&a->exemplars[i], &b->exemplars[i]))
			return "exemplar";
	}
	if (a->n_metadata != b->n_metadata)
		return "number of metadata";
	if (!same_metadata(a, b))
		return "metadata";
	return NULL;
}
