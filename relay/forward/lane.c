/* lane.c - gathering and building.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/lane.h"

#include <assert.h>
#include <string.h>

#define BODY_MAX ((size_t)64 << 20)
#define BODY_KEEP ((size_t)1 << 20)

static void
list_init(struct unit_list *l)
{
	l->first = NULL;
	l->end = &l->first;
	l->n = 0;
}

void
lane_init(struct lane *l, struct forwarder *f)
{
	memset(l, 0, sizeof(*l));
	l->forwarder = f;
	list_init(&l->queue);
	list_init(&l->sending);
	buf_init(&l->body, BODY_MAX);
}

void
lane_fini(struct lane *l)
{
	dict_unref(&l->avoid);
	buf_fini(&l->body);
}

void
unit_list_push(struct unit_list *l, struct unit *u)
{
	u->next = NULL;
	*l->end = u;
	l->end = &u->next;
	l->n++;
}

static struct unit *
take_at(struct unit_list *l, struct unit **at)
{
	struct unit *u = *at;

	*at = u->next;
	if (l->end == &u->next)
		l->end = at;
	u->next = NULL;
	l->n--;
	return u;
}

struct unit *
unit_list_pop(struct unit_list *l)
{
	return l->first ? take_at(l, &l->first) : NULL;
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

/* Where the next request begins: the first unit of an edge that is not to be avoided,
 * else the first of all. */
static struct unit **
next_edge(struct lane *l)
{
	struct unit **at = &l->queue.first;
	struct bytes edge;

	if (!l->avoid)
		return at;
	edge = dict_edge(l->avoid);
	while (*at && bytes_eq(dict_edge((*at)->dict), edge))
		at = &(*at)->next;
	return *at ? at : &l->queue.first;
}

/* The head of the queue, and what follows of the same edge as far as it fits, past units
 * of other edges (the supply bounds how many).  A later segment's units of this edge have
 * another dictionary and stand behind all of this one's: none is overtaken.
 * A request that came in goes whole, but for one that is too large for any. */
static enum status
gather(struct lane *l, const struct lane_tools *t, enum payload_proto proto)
{
	struct unit **from = next_edge(l), *first = *from;
	struct unit **at = &first->next;
	uint32_t samples = first->points;
	enum status st;

	begin(t, proto, first->dict);
	st = add_first(t, proto, first);
	if (st != ST_OK)
		return st;
	/* units to go alone stand at the head, and their edge is that of the head */
	while (*at && (!l->alone || from != &l->queue.first) &&
	    !is_parted(first)) {
		struct unit *u = *at;

		if (u->dict != first->dict) {
			at = &u->next;
			continue;
		}
		if (samples + u->points > t->max_samples ||
		    add(t, proto, u, t->max_bytes) != ST_OK)
			break;
		samples += u->points;
		(void)take_at(&l->queue, at);
		unit_list_push(&l->sending, u);
	}
	/* first goes before those that were merged into it */
	(void)take_at(&l->queue, from);
	dict_unref(&l->avoid);
	first->next = l->sending.first;
	if (!first->next)
		l->sending.end = &first->next;
	l->sending.first = first;
	l->sending.n++;
	return ST_OK;
}

/* What is sending, perhaps in the other protocol.  ST_TOO_LARGE: not in one request. */
static enum status
again(struct lane *l, const struct lane_tools *t, enum payload_proto proto)
{
	struct unit *u = l->sending.first;
	enum status st;

	begin(t, proto, u->dict);
	if (!u->next)
		return add_first(t, proto, u);
	for (; u; u = u->next) {
		st = add(t, proto, u, t->most_bytes);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status
lane_build(struct lane *l, const struct lane_tools *t, enum payload_proto proto)
{
	struct bytes raw;
	enum status st;

	if (l->built && l->proto == proto)
		return ST_OK;
	if (!l->sending.first && !l->queue.first)
		return ST_END;
	st = l->sending.first ? again(l, t, proto) : gather(l, t, proto);
	if (st == ST_TOO_LARGE) {
		lane_break_up(l);
		st = gather(l, t, proto);
	}
	if (st != ST_OK)
		return st;
	raw = finish(l, t, proto);
	buf_reset(&l->body, BODY_KEEP);
	if (raw.n) {
		st = payload_pack(raw, &l->body);
		if (st != ST_OK)
			return st;
	}
	l->proto = proto;
	l->built = true;
	return ST_OK;
}

static void
put_back(struct lane *l)
{
	uint32_t n = l->sending.n;

	assert(n > 0 && !l->exchange);
	*l->sending.end = l->queue.first;
	if (!l->queue.first)
		l->queue.end = l->sending.end;
	l->queue.first = l->sending.first;
	l->queue.n += n;
	list_init(&l->sending);
	l->built = false;
}

void
lane_break_up(struct lane *l)
{
	l->alone = l->sending.n;
	put_back(l);
}

bool
lane_halve(struct lane *l)
{
	assert(l->sending.n == 1);
	l->built = false;
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

void
lane_step_aside(struct lane *l)
{
	if (l->alone)
		return;
	dict_unref(&l->avoid);
	l->avoid = dict_ref(l->sending.first->dict);
	put_back(l);
}
