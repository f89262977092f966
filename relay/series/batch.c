/* batch.c - a batch's life, its settling, and the check of native histograms.
 * SPDX-License-Identifier: Apache-2.0 */
#include "series/batch.h"

#include <math.h>
#include <stdlib.h>

/* ---- life ---------------------------------------------------------------- */

struct batch *
batch_new(size_t limit, size_t keep)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->arena = arena_new(limit, keep);
	if (!b->arena) {
		free(b);
		return NULL;
	}
	return b;
}

void
batch_reset(struct batch *b)
{
	struct arena *arena = b->arena;

	arena_reset(arena);
	*b = (struct batch){ .arena = arena };
}

void
batch_free(struct batch **b)
{
	if (!*b)
		return;
	arena_free(&(*b)->arena);
	free(*b);
	*b = NULL;
}

/* ---- settling ------------------------------------------------------------ */

struct times {
	int64_t oldest, newest;
};

static inline void
widen(struct times *t, int64_t ms)
{
	t->oldest = ms < t->oldest ? ms : t->oldest;
	t->newest = ms > t->newest ? ms : t->newest;
}

void
batch_times(const struct batch *b, int64_t *oldest_ms, int64_t *newest_ms)
{
	struct times t = { INT64_MAX, INT64_MIN };
	uint32_t i;

	for (i = 0; i < b->n_samples; i++)
		widen(&t, b->samples[i].ms);
	for (i = 0; i < b->n_histograms; i++)
		widen(&t, b->histograms[i].ms);
	for (i = 0; i < b->n_exemplars; i++)
		widen(&t, b->exemplars[i].ms);
	if (t.oldest > t.newest)
		return;
	*oldest_ms = t.oldest;
	*newest_ms = t.newest;
}

struct batch_counts
batch_counts(const struct batch *b)
{
	return (struct batch_counts){
		.samples = b->n_samples,
		.histograms = b->n_histograms,
		.exemplars = b->n_exemplars,
	};
}

/* Turns a point's entry into its series.  False: the entry is refused; that is
 * counted, also in the entry's id, for it has none. */
static bool
settle(struct batch *b, uint32_t *series)
{
	struct batch_entry *e = &b->entries[*series];

	if (e->refused == ST_OK) {
		*series = e->id;
		return true;
	}
	b->refused[e->refused]++;
	e->id++;
	return false;
}

static void
settle_samples(struct batch *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n_samples; i++) {
		if (!settle(b, &b->samples[i].series))
			continue;
		if (n != i) {
			b->samples[n] = b->samples[i];
			if (b->starts)
				b->starts[n] = b->starts[i];
		}
		n++;
	}
	b->n_samples = n;
}

static void
settle_histograms(struct batch *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n_histograms; i++) {
		if (!settle(b, &b->histograms[i].series))
			continue;
		if (n != i)
			b->histograms[n] = b->histograms[i];
		n++;
	}
	b->n_histograms = n;
}

static void
settle_exemplars(struct batch *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n_exemplars; i++) {
		if (!settle(b, &b->exemplars[i].series))
			continue;
		if (n != i)
			b->exemplars[n] = b->exemplars[i];
		n++;
	}
	b->n_exemplars = n;
}

/* Metadata goes with its entry.  It is no point, and counts as refused only
 * where no point of the entry was. */
static void
settle_metadata(struct batch *b)
{
	struct batch_metadata *m;
	struct batch_entry *e;
	uint32_t i, n = 0;

	for (i = 0; i < b->n_metadata; i++) {
		m = &b->metadata[i];
		if (m->series != SERIES_NONE) {
			e = &b->entries[m->series];
			if (e->refused != ST_OK) {
				b->refused[e->refused] += e->id == 0;
				e->id++;
				e->metadata = 0;
				continue;
			}
			e->metadata = n + 1;
			m->series = e->id;
		}
		if (n != i)
			b->metadata[n] = *m;
		n++;
	}
	b->n_metadata = n;
}

void
batch_settle(struct batch *b)
{
	uint32_t i;

	for (i = 0; i < b->n_entries; i++) {
		if (b->entries[i].refused != ST_OK)
			b->entries[i].id = 0;
	}
	settle_samples(b);
	settle_histograms(b);
	settle_exemplars(b);
	settle_metadata(b);
}

struct batch_counts
batch_refused_counts(const struct batch *b, enum status why)
{
	struct batch_counts n = { 0 };
	uint32_t i;

	for (i = 0; i < b->n_samples; i++)
		n.samples += b->entries[b->samples[i].series].refused == why;
	for (i = 0; i < b->n_histograms; i++)
		n.histograms +=
		    b->entries[b->histograms[i].series].refused == why;
	for (i = 0; i < b->n_exemplars; i++)
		n.exemplars +=
		    b->entries[b->exemplars[i].series].refused == why;
	return n;
}

/* ---- native histograms --------------------------------------------------- */

#define SCHEMA_MIN (-9)
#define SCHEMA_MAX 52

static double
number(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* Span lengths add up to the number of buckets; no offset is negative but, where
 * `first` says so, the first.  *reach: the sum of lengths and offsets. */
static bool
spans_fit(const struct batch_buckets *b, bool first, int64_t *reach)
{
	uint64_t total = 0;
	uint32_t i;

	*reach = 0;
	for (i = 0; i < b->n_spans; i++) {
		if (b->spans[i].offset < 0 && !(first && i == 0))
			return false;
		/* 2^32 spans of less than 2^33 each fit */
		total += b->spans[i].length;
		*reach += (int64_t)b->spans[i].offset + b->spans[i].length;
	}
	return total == b->n_buckets;
}

static bool
custom_fit(const struct batch_histogram *h)
{
	double before = 0, bound;
	int64_t reach;
	uint32_t i;

	for (i = 0; i < h->n_custom; i++, before = bound) {
		bound = number(h->custom_bits[i]);
		if (isnan(bound) || (i > 0 && !(bound > before)))
			return false;
	}
	if (h->n_custom > 0 && isinf(before) && before > 0)
		return false;
	if (h->negative.n_spans > 0 || h->negative.n_buckets > 0)
		return false;
	if (number(h->zero_threshold_bits) != 0)
		return false;
	if (h->is_float ? number(h->zero_count) != 0 : h->zero_count != 0)
		return false;
	return spans_fit(&h->positive, false, &reach) &&
	    reach <= (int64_t)h->n_custom + 1;
}

static bool
exponential_fit(const struct batch_histogram *h)
{
	int64_t reach;

	return h->n_custom == 0 && spans_fit(&h->negative, true, &reach) &&
	    spans_fit(&h->positive, true, &reach);
}

/* Adds the counts that deltas stand for to *total; none may be negative. */
static bool
deltas_fit(const struct batch_buckets *b, uint64_t *total)
{
	int64_t count = 0;
	uint32_t i;

	for (i = 0; i < b->n_buckets; i++) {
		if (__builtin_add_overflow(count, (int64_t)b->buckets[i],
		    &count) || count < 0)
			return false;
		if (__builtin_add_overflow(*total, (uint64_t)count, total))
			return false;
	}
	return true;
}

static bool
counts_fit(const struct batch_buckets *b)
{
	uint32_t i;

	for (i = 0; i < b->n_buckets; i++) {
		if (number(b->buckets[i]) < 0)
			return false;
	}
	return true;
}

enum status
batch_histogram_check(const struct batch_histogram *h)
{
	uint64_t total = h->zero_count;
	bool fits;

	if (h->sum_bits == STALE_MARKER)
		return ST_OK;
	if (h->schema == BATCH_SCHEMA_CUSTOM)
		fits = custom_fit(h);
	else if (h->schema >= SCHEMA_MIN && h->schema <= SCHEMA_MAX)
		fits = exponential_fit(h);
	else
		return ST_BAD_HISTOGRAM;
	if (!fits)
		return ST_BAD_HISTOGRAM;

	if (h->is_float) {
		fits = !(number(h->count) < 0) && !(number(h->zero_count) < 0) &&
		    counts_fit(&h->negative) && counts_fit(&h->positive);
	} else {
		/* observations of NaN are in the count but in no bucket */
		fits = deltas_fit(&h->negative, &total) &&
		    deltas_fit(&h->positive, &total) &&
		    (isnan(number(h->sum_bits)) ? total <= h->count :
		    total == h->count);
	}
	return fits ? ST_OK : ST_BAD_HISTOGRAM;
}
