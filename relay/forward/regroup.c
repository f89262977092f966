/* regroup.c - gather, sort by series, permute.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/regroup.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define BYTES_MAX ((size_t)1 << 30)
#define KEEP ((size_t)1 << 20)
#define DIGIT 11			/* bits sorted at a time */

/* Where a point is. */
struct place {
	uint32_t series, index;
	const struct batch *of;
};

struct regroup {
	struct arena *arena;		/* owned */
	struct place *places, *spare;	/* in it, borrowed; for one kind at a time */
	uint32_t n, most_series;
};

struct regroup *
regroup_new(void)
{
	struct regroup *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->arena = arena_new(BYTES_MAX, KEEP);
	if (!r->arena)
		regroup_free(&r);
	return r;
}

void
regroup_free(struct regroup **taken)
{
	struct regroup *r = *taken;

	*taken = NULL;
	if (!r)
		return;
	arena_free(&r->arena);
	free(r);
}

/* ---- sorting ----------------------------------------------------------------- */

static void
sort_digit(struct regroup *r, unsigned shift)
{
	uint32_t count[(1u << DIGIT) + 1] = { 0 }, i;
	struct place *from = r->places;

	for (i = 0; i < r->n; i++)
		count[((from[i].series >> shift) & ((1u << DIGIT) - 1)) + 1]++;
	for (i = 1; i <= 1u << DIGIT; i++)
		count[i] += count[i - 1];
	for (i = 0; i < r->n; i++)
		r->spare[count[(from[i].series >> shift) &
		    ((1u << DIGIT) - 1)]++] = from[i];
	r->places = r->spare;
	r->spare = from;
}

/* Stable: the records' order stays within a series. */
static void
sort(struct regroup *r)
{
	unsigned shift;

	for (shift = 0; shift < 32 && r->most_series >> shift; shift += DIGIT)
		sort_digit(r, shift);
}

static void
begin(struct regroup *r)
{
	r->n = r->most_series = 0;
}

static void
note(struct regroup *r, uint32_t series, uint32_t index, const struct batch *b)
{
	r->places[r->n++] = (struct place){ series, index, b };
	if (series > r->most_series && series != SERIES_NONE)
		r->most_series = series;
}

/* ---- kinds ------------------------------------------------------------------- */

static void
put_samples(struct regroup *r, const struct unit_list *units, struct batch *out)
{
	const struct unit *u;
	uint32_t i;

	begin(r);
	for (u = units->first; u; u = u->next)
		for (i = 0; i < u->batch->n_samples; i++)
			note(r, u->batch->samples[i].series, i, u->batch);
	sort(r);
	for (i = 0; i < r->n; i++) {
		const struct place *p = &r->places[i];

		out->samples[i] = p->of->samples[p->index];
		if (out->starts)
			out->starts[i] = p->of->starts ?
			    p->of->starts[p->index] : 0;
	}
	out->n_samples = r->n;
}

static void
put_histograms(struct regroup *r, const struct unit_list *units,
    struct batch *out)
{
	const struct unit *u;
	uint32_t i;

	begin(r);
	for (u = units->first; u; u = u->next)
		for (i = 0; i < u->batch->n_histograms; i++)
			note(r, u->batch->histograms[i].series, i, u->batch);
	sort(r);
	for (i = 0; i < r->n; i++)
		out->histograms[i] =
		    r->places[i].of->histograms[r->places[i].index];
	out->n_histograms = r->n;
}

/* They go with their series, and metadata has no order. */
static void
put_others(const struct unit_list *units, struct batch *out)
{
	const struct unit *u;
	const struct batch *b;

	for (u = units->first; u; u = u->next) {
		b = u->batch;
		if (b->n_exemplars)
			memcpy(out->exemplars + out->n_exemplars, b->exemplars,
			    b->n_exemplars * sizeof(*b->exemplars));
		if (b->n_metadata)
			memcpy(out->metadata + out->n_metadata, b->metadata,
			    b->n_metadata * sizeof(*b->metadata));
		out->n_exemplars += b->n_exemplars;
		out->n_metadata += b->n_metadata;
	}
}

static bool
take_room(struct regroup *r, const struct unit_list *units, struct batch *out)
{
	uint32_t samples = 0, histograms = 0, exemplars = 0, metadata = 0, most;
	struct arena *a = r->arena;
	const struct unit *u;
	bool starts = false;

	for (u = units->first; u; u = u->next) {
		samples += u->batch->n_samples;
		histograms += u->batch->n_histograms;
		exemplars += u->batch->n_exemplars;
		metadata += u->batch->n_metadata;
		starts = starts || u->batch->starts;
	}
	most = samples > histograms ? samples : histograms;
	arena_reset(a);
	r->places = arena_take_array(a, most, sizeof(*r->places));
	r->spare = arena_take_array(a, most, sizeof(*r->spare));
	out->samples = arena_take_array(a, samples, sizeof(*out->samples));
	out->starts = starts ? arena_take_array(a, samples,
	    sizeof(*out->starts)) : NULL;
	out->histograms = arena_take_array(a, histograms,
	    sizeof(*out->histograms));
	out->exemplars = arena_take_array(a, exemplars,
	    sizeof(*out->exemplars));
	out->metadata = arena_take_array(a, metadata, sizeof(*out->metadata));
	return !arena_failed(a);
}

enum status
regroup(struct regroup *r, const struct unit_list *units, struct batch *out)
{
	memset(out, 0, sizeof(*out));
	if (!take_room(r, units, out))
		return ST_NO_MEMORY;
	put_samples(r, units, out);
	put_histograms(r, units, out);
	put_others(units, out);
	return ST_OK;
}
