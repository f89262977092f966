/* route.c - verdicts kept by series, points moved together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/route.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "policy/match.h"

#define NAME_MAX_BYTES 512		/* of an edge; longer ones match nothing */

struct route {
	struct route_opts o;
	struct match **selectors;	/* owned */
	struct label labels[BATCH_LABELS_MAX];
};

void
route_free(struct route **taken)
{
	struct route *r = *taken;
	size_t i;

	*taken = NULL;
	if (!r)
		return;
	for (i = 0; r->selectors && i < r->o.n_selectors; i++)
		match_free(&r->selectors[i]);
	free(r->selectors);
	free(r);
}

enum status
route_new(const struct route_opts *o, struct route **out)
{
	struct route *r;
	size_t i;

	*out = NULL;
	if (o->n_edges == 0 && o->n_selectors == 0)
		return ST_OK;
	r = calloc(1, sizeof(*r));
	if (!r)
		return ST_NO_MEMORY;
	r->o = *o;
	r->selectors = calloc(o->n_selectors + 1, sizeof(struct match *));
	if (!r->selectors) {
		route_free(&r);
		return ST_NO_MEMORY;
	}
	for (i = 0; i < o->n_selectors; i++) {
		if (match_parse(o->selectors[i], &r->selectors[i])) {
			route_free(&r);
			return ST_CONFIG;
		}
	}
	*out = r;
	return ST_OK;
}

void
route_stream_fini(struct route_stream *s)
{
	buf_fini(&s->series);
	memset(s, 0, sizeof(*s));
}

/* ---- verdicts ------------------------------------------------------------- */

static bool
edge_is_here(const struct route *r, struct bytes edge)
{
	char name[NAME_MAX_BYTES + 1];
	size_t i;

	if (r->o.n_edges == 0)
		return true;
	if (edge.n > NAME_MAX_BYTES)
		return false;
	if (edge.n)
		memcpy(name, edge.p, edge.n);
	name[edge.n] = '\0';
	for (i = 0; i < r->o.n_edges; i++)
		if (fnmatch(r->o.edges[i], name, 0) == 0)
			return true;
	return false;
}

static bool
series_is_here(struct route *r, const struct dict *d, uint32_t series)
{
	uint32_t n, i;
	const uint32_t *symbols = dict_series(d, series, &n);

	for (i = 0; i < n / 2; i++) {
		r->labels[i].name = dict_symbol(d, symbols[2 * i]);
		r->labels[i].value = dict_symbol(d, symbols[2 * i + 1]);
	}
	for (i = 0; i < r->o.n_selectors; i++)
		if (match_labels(r->selectors[i], r->labels, n / 2))
			return true;
	return false;
}

static bool
is_here(struct route *r, struct route_stream *s, const struct dict *d,
    uint32_t series)
{
	uint8_t *seen = &s->series.data[series];

	if (*seen == ROUTE_UNKNOWN)
		*seen = series_is_here(r, d, series) ? ROUTE_HERE :
		    ROUTE_ELSEWHERE;
	return *seen == ROUTE_HERE;
}

static bool
know_series(struct route_stream *s, const struct dict *d)
{
	uint32_t n = dict_n_series(d);
	size_t more;

	if (s->series.limit == 0)
		buf_init(&s->series, SIZE_MAX);
	if (n <= s->series.len)
		return true;
	more = n - s->series.len;
	if (!buf_room(&s->series, more))
		return false;
	memset(s->series.data + s->series.len, ROUTE_UNKNOWN, more);
	s->series.len = n;
	return true;
}

/* ---- taking out ------------------------------------------------------------ */

static uint64_t
points(const struct batch *b)
{
	struct batch_counts n = batch_counts(b);

	return n.samples + n.histograms + n.exemplars;
}

static void
empty(struct batch *b)
{
	b->n_samples = b->n_histograms = b->n_exemplars = b->n_metadata = 0;
}

static void
take_out(struct route *r, struct route_stream *s, const struct dict *d,
    struct batch *b)
{
	uint32_t i, n;

	for (i = n = 0; i < b->n_samples; i++) {
		if (!is_here(r, s, d, b->samples[i].series))
			continue;
		b->samples[n] = b->samples[i];
		if (b->starts)
			b->starts[n] = b->starts[i];
		n++;
	}
	b->n_samples = n;
	for (i = n = 0; i < b->n_histograms; i++)
		if (is_here(r, s, d, b->histograms[i].series))
			b->histograms[n++] = b->histograms[i];
	b->n_histograms = n;
	for (i = n = 0; i < b->n_exemplars; i++)
		if (is_here(r, s, d, b->exemplars[i].series))
			b->exemplars[n++] = b->exemplars[i];
	b->n_exemplars = n;
	/* that of families goes wherever their edge goes */
	for (i = n = 0; i < b->n_metadata; i++)
		if (b->metadata[i].series == SERIES_NONE ||
		    is_here(r, s, d, b->metadata[i].series))
			b->metadata[n++] = b->metadata[i];
	b->n_metadata = n;
}

enum status
route_batch(struct route *r, struct route_stream *s, const struct dict *d,
    struct batch *b, uint64_t *taken)
{
	uint64_t had = points(b);

	if (s->edge == ROUTE_UNKNOWN)
		s->edge = edge_is_here(r, dict_edge(d)) ? ROUTE_HERE :
		    ROUTE_ELSEWHERE;
	if (s->edge == ROUTE_ELSEWHERE) {
		empty(b);
	} else if (r->o.n_selectors > 0) {
		if (!know_series(s, d))
			return ST_NO_MEMORY;
		take_out(r, s, d, b);
	}
	*taken = had - points(b);
	return ST_OK;
}
