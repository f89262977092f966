/* repeat.c - compare with the last point of each series, and move up the rest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingest/repeat.h"

#include <string.h>

/* One request being looked through. */
struct pass {
	const struct table *last;
	uint32_t as;			/* the number it came under before, or 0 */
	uint32_t number;		/* its own */
};

/* What stands twice in one request is left as it came. */
static bool
is_repeat(const struct pass *p, const struct last *l, struct last now)
{
	return l->kind == now.kind && l->ms == now.ms && l->bits == now.bits ?
	    l->request != p->number : p->as && l->request == p->as;
}

/* False if it is a repeat. */
static inline bool
keep(const struct pass *p, uint32_t series, struct last now)
{
	struct last *l = last_at(p->last, series);

	if (is_repeat(p, l, now))
		return false;
	*l = now;
	return true;
}

static uint32_t
take_samples(const struct pass *p, struct batch *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n_samples; i++) {
		const struct batch_sample *x = &b->samples[i];

		if (!keep(p, x->series, (struct last){ x->ms, x->bits,
		    p->number, LAST_SAMPLE }))
			continue;
		if (n < i) {
			b->samples[n] = *x;
			if (b->starts)
				b->starts[n] = b->starts[i];
		}
		n++;
	}
	i = b->n_samples - n;
	b->n_samples = n;
	return i;
}

/* All that a histogram is but its series and times. */
static uint64_t
histogram_hash(const struct hash_key *key, const struct batch_histogram *h)
{
	const struct batch_buckets *x = &h->negative, *y = &h->positive;
	const uint64_t whole[] = {
		(uint64_t)(uint32_t)h->schema << 32 | (uint32_t)h->is_float << 16 |
		    (uint32_t)h->has_zero_count << 8 | h->reset_hint,
		h->sum_bits, h->zero_threshold_bits, h->count, h->zero_count,
		hash64(key, h->custom_bits, h->n_custom * sizeof(uint64_t)),
		hash64(key, x->spans, x->n_spans * sizeof(*x->spans)),
		hash64(key, x->buckets, x->n_buckets * sizeof(*x->buckets)),
		hash64(key, y->spans, y->n_spans * sizeof(*y->spans)),
		hash64(key, y->buckets, y->n_buckets * sizeof(*y->buckets)),
	};

	return hash64(key, whole, sizeof(whole));
}

static uint32_t
take_histograms(const struct pass *p, const struct hash_key *key,
    struct batch *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n_histograms; i++) {
		const struct batch_histogram *h = &b->histograms[i];

		if (keep(p, h->series, (struct last){ h->ms,
		    histogram_hash(key, h), p->number, LAST_HISTOGRAM }))
			b->histograms[n++] = *h;
	}
	i = b->n_histograms - n;
	b->n_histograms = n;
	return i;
}

static uint32_t
take_exemplars(const struct pass *p, struct batch *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n_exemplars; i++) {
		const struct batch_exemplar *x = &b->exemplars[i];
		struct last *l = last_at(p->last, x->series);

		if (p->as && l->request == p->as)
			continue;
		/* of a series that has nothing else */
		if (l->kind == LAST_NONE)
			l->request = p->number;
		b->exemplars[n++] = *x;
	}
	i = b->n_exemplars - n;
	b->n_exemplars = n;
	return i;
}

/* The place of the request, or the one to put it. */
static uint32_t
place_of(const struct repeats *r, struct hash128 body)
{
	uint32_t i;

	for (i = 0; i < REPEAT_REQUESTS; i++)
		if (r->request[i].number &&
		    hash128_eq(r->request[i].body, body))
			return i;
	return REPEAT_REQUESTS;
}

static void
enter(struct repeats *r, uint32_t place, struct hash128 body)
{
	if (place == REPEAT_REQUESTS) {
		place = r->oldest;
		r->oldest = (place + 1) % REPEAT_REQUESTS;
	}
	r->request[place].body = body;
	r->request[place].number = r->number;
}

struct batch_counts
repeats_take(struct repeats *r, const struct hash_key *key,
    struct hash128 body, const struct table *last, struct batch *b)
{
	uint32_t place = place_of(r, body);
	struct pass p = { .last = last };
	struct batch_counts taken;

	if (place < REPEAT_REQUESTS)
		p.as = r->request[place].number;
	if (++r->number == 0)
		r->number = 1;
	p.number = r->number;
	taken.samples = take_samples(&p, b);
	taken.histograms = take_histograms(&p, key, b);
	taken.exemplars = take_exemplars(&p, b);
	if (b->n_samples || b->n_histograms || b->n_exemplars)
		enter(r, place, body);
	else if (p.as && (taken.samples || taken.histograms || taken.exemplars))
		b->n_metadata = 0; /* alone it is sent on purpose */
	return taken;
}

void
repeats_forget(struct repeats *r, const struct table *last, uint32_t n)
{
	uint32_t i;

	memset(r->request, 0, sizeof(r->request));
	for (i = 0; i < n; i++)
		*last_at(last, i) = (struct last){ .kind = LAST_NONE };
}
