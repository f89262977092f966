/* lane.c - gathering and building.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/lane.h"

#include <assert.h>
#include <string.h>

#include "forward/regroup.h"

#define BODY_MAX ((size_t)64 << 20)
#define BODY_KEEP ((size_t)1 << 20)

void
lane_init(struct lane *l, struct forwarder *f, bool strict)
{
	memset(l, 0, sizeof(*l));
	l->forwarder = f;
	l->strict = strict;
	unit_list_init(&l->sending);
	buf_init(&l->body, BODY_MAX);
}

void
lane_fini(struct lane *l)
{
	buf_fini(&l->body);
}

/* ---- building ------------------------------------------------------------------------ */

static void
begin(const struct lane_tools *t, enum payload_proto proto, struct dict *d)
{
	if (proto == PAYLOAD_V1)
		v1_begin(t->v1, d);
	else
		v2_begin(t->v2, d);
}

static bool
is_parted(const struct unit *u)
{
	return u->from || u->part;
}

/* Samples, histograms, exemplars, metadata: in that order they are counted. */
static uint32_t
items(const struct unit *u)
{
	return u->points + u->batch->n_metadata;
}

/* How many the next part has at most. */
static uint32_t
part_of(const struct unit *u)
{
	uint32_t left = items(u) - u->from;

	return u->part && u->part < left ? u->part : left;
}

/* Of an array of `had`, the place and number of those that are in the part. */
static uint32_t
overlap(uint32_t had, uint32_t *from, uint32_t *n, uint32_t *count)
{
	uint32_t at = *from < had ? *from : had;

	*count = *n < had - at ? *n : had - at;
	*from -= at;
	*n -= *count;
	return at;
}

/* Arrays that it has nothing of may be NULL. */
struct batch
lane_part(const struct unit *u)
{
	const struct batch *whole = u->batch;
	uint32_t from = u->from, n = part_of(u), at;
	struct batch b = *whole;

	at = overlap(whole->n_samples, &from, &n, &b.n_samples);
	if (b.n_samples) {
		b.samples += at;
		b.starts = b.starts ? b.starts + at : NULL;
	}
	at = overlap(whole->n_histograms, &from, &n, &b.n_histograms);
	if (b.n_histograms)
		b.histograms += at;
	at = overlap(whole->n_exemplars, &from, &n, &b.n_exemplars);
	if (b.n_exemplars)
		b.exemplars += at;
	at = overlap(whole->n_metadata, &from, &n, &b.n_metadata);
	if (b.n_metadata)
		b.metadata += at;
	return b;
}

static enum status
add(const struct lane_tools *t, enum payload_proto proto, const struct unit *u,
    size_t limit)
{
	const struct batch *b = u->batch;
	struct batch part;

	if (is_parted(u)) {
		part = lane_part(u);
		b = &part;
	}
	return proto == PAYLOAD_V1 ? v1_add(t->v1, b, limit) :
	    v2_add(t->v2, b, limit);
}

static bool
halve(struct unit *u)
{
	uint32_t n = part_of(u);

	if (n < 2)
		return false;
	u->part = n - n / 2;
	return true;
}

/* The one that a request begins with.  Few bytes of a record can be very many of a
 * request: 1.0 writes all labels with each series. */
static enum status
add_first(const struct lane_tools *t, enum payload_proto proto, struct unit *u)
{
	enum status st;

	do
		st = add(t, proto, u, t->most_bytes);
	while (st == ST_TOO_LARGE && halve(u));
	return st == ST_TOO_LARGE ? add(t, proto, u, SIZE_MAX) : st;
}

static struct bytes
finish(struct lane *l, const struct lane_tools *t, enum payload_proto proto)
{
	l->counts = (struct prw_counts){ 0 };
	l->loss = (struct prw_loss){ 0 };
	return proto == PAYLOAD_V1 ? v1_finish(t->v1, &l->counts, &l->loss) :
	    v2_finish(t->v2, &l->counts, &l->loss);
}

static void
take(struct lane *l, struct flow_part *q)
{
	struct unit *u = unit_list_pop(&q->queue);

	q->points -= u->points;
	l->points += u->points;
	u->busy = true;
	unit_list_push(&l->sending, u);
}

/* What follows as far as it fits.  A later segment's units have another dictionary.  A
 * request that came in goes whole, but for one that is too large for any. */
static enum status
gather(struct lane *l, const struct lane_tools *t, enum payload_proto proto,
    struct flow_part *q, uint32_t most)
{
	struct unit *first = q->queue.first, *u;
	enum status st;

	begin(t, proto, first->dict);
	st = add_first(t, proto, first);
	if (st != ST_OK)
		return st;
	take(l, q);
	if (q->alone || is_parted(first))
		return ST_OK;
	while ((u = q->queue.first) != NULL && u->dict == first->dict &&
	    !is_parted(u) && l->points + u->points <= most &&
	    add(t, proto, u, t->max_bytes) == ST_OK)
		take(l, q);
	return ST_OK;
}

/* Several records as one, by series; ST_END: there are not several. */
static enum status
gather_loosely(struct lane *l, const struct lane_tools *t,
    enum payload_proto proto, struct flow_part *q, uint32_t most)
{
	struct dict *d = q->queue.first->dict;
	struct batch all;
	struct unit *u;
	enum status st;

	while ((u = q->queue.first) != NULL && u->dict == d && !is_parted(u) &&
	    (l->sending.n == 0 || l->points + u->points <= most))
		take(l, q);
	st = l->sending.n < 2 ? ST_END : regroup(t->regroup, &l->sending, &all);
	if (st == ST_OK) {
		begin(t, proto, d);
		st = proto == PAYLOAD_V1 ? v1_add(t->v1, &all, t->max_bytes) :
		    v2_add(t->v2, &all, t->max_bytes);
	}
	return st;
}

enum status
lane_build(struct lane *l, struct lane_tools *t, struct payload_form form,
    struct flow *flow, enum pacer_class c, uint32_t most)
{
	struct flow_part *q = &flow->part[c];
	enum status st = ST_END;
	struct bytes raw;

	assert(!l->flow);
	l->flow = flow;
	l->class = c;
	l->form = form;
	if (t->regroup && c == PACER_BACKLOG && !q->alone) {
		st = gather_loosely(l, t, form.proto, q, most);
		if (st != ST_OK && l->sending.n > 0) {
			lane_put_back(l);
			l->flow = flow;
		}
	}
	if (st != ST_OK)
		st = gather(l, t, form.proto, q, most);
	if (st != ST_OK) {
		l->flow = NULL;
		return st;
	}
	raw = finish(l, t, form.proto);
	buf_reset(&l->body, BODY_KEEP);
	if (raw.n)
		st = payload_pack(&t->pack, form.coding, raw, &l->body);
	if (st != ST_OK)
		lane_put_back(l);
	return st;
}

/* In strict order nothing of the edge is older, wherever the next one is. */
void
lane_put_back(struct lane *l)
{
	struct flow_part *q = &l->flow->part[l->class];
	struct unit *u;

	assert(l->sending.n > 0 && !l->exchange);
	if (l->strict && l->flow->part[PACER_BACKLOG].queue.first)
		q = &l->flow->part[PACER_BACKLOG];
	for (u = l->sending.first; u; u = u->next)
		u->busy = false;
	unit_list_put_first(&q->queue, &l->sending);
	q->points += l->points;
	l->points = 0;
	l->flow = NULL;
}

void
lane_break_up(struct lane *l)
{
	l->flow->part[l->class].alone = l->sending.n;
	lane_put_back(l);
}

bool
lane_halve(struct lane *l)
{
	assert(l->sending.n == 1);
	return halve(l->sending.first);
}

bool
lane_next_part(struct lane *l)
{
	struct unit *u = l->sending.first;

	if (l->sending.n != 1 || u->from + part_of(u) == items(u))
		return false;
	u->from += part_of(u);
	return true;
}
