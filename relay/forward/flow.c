/* flow.c - queues, rings, turns.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PARK_FIRST CLOCK_S
#define PARK_MAX (300 * CLOCK_S)

/* ---- lists ------------------------------------------------------------------------- */

void
unit_list_init(struct unit_list *l)
{
	l->first = NULL;
	l->end = &l->first;
	l->n = 0;
}

void
unit_list_push(struct unit_list *l, struct unit *u)
{
	u->next = NULL;
	*l->end = u;
	l->end = &u->next;
	l->n++;
}

struct unit *
unit_list_take(struct unit_list *l, struct unit **at)
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
	return l->first ? unit_list_take(l, &l->first) : NULL;
}

void
unit_list_put_first(struct unit_list *l, struct unit_list *first)
{
	if (!first->first)
		return;
	*first->end = l->first;
	if (!l->first)
		l->end = first->end;
	l->first = first->first;
	l->n += first->n;
	unit_list_init(first);
}

/* ---- the table --------------------------------------------------------------------- */

#define BUCKETS (sizeof(((struct flows *)0)->bucket) / sizeof(struct flow *))

void
flows_init(struct flows *f, bool strict)
{
	memset(f, 0, sizeof(*f));
	f->strict = strict;
}

void
flows_fini(struct flows *f)
{
	struct flow *o, *same;
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		for (o = f->bucket[i]; o; o = same) {
			same = o->same;
			free(o);
		}
		f->bucket[i] = NULL;
	}
}

struct flow *
flows_find(const struct flows *f, uint64_t edge)
{
	struct flow *o = f->bucket[edge % BUCKETS];

	while (o && o->edge != edge)
		o = o->same;
	return o;
}

void
flow_init(struct flow *o, uint64_t edge)
{
	unsigned c;

	memset(o, 0, sizeof(*o));
	o->edge = edge;
	for (c = 0; c < PACER_CLASSES; c++)
		unit_list_init(&o->part[c].queue);
	o->backoff = (struct backoff){ .first_ns = PARK_FIRST,
		.max_ns = PARK_MAX, .seed = edge | 1 };
}

struct flow *
flows_get(struct flows *f, uint64_t edge)
{
	struct flow *o = flows_find(f, edge);

	if (o)
		return o;
	o = malloc(sizeof(*o));
	if (!o)
		return NULL;
	flow_init(o, edge);
	o->same = f->bucket[edge % BUCKETS];
	f->bucket[edge % BUCKETS] = o;
	f->n++;
	return o;
}

void
flows_each(struct flows *f, void (*fn)(struct flow *, void *), void *arg)
{
	struct flow *o;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (o = f->bucket[i]; o; o = o->same)
			fn(o, arg);
}

bool
flows_any(const struct flows *f, bool (*fn)(const struct flow *, void *),
    void *arg)
{
	const struct flow *o;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (o = f->bucket[i]; o; o = o->same)
			if (fn(o, arg))
				return true;
	return false;
}

bool
flow_is_empty(const struct flow *o)
{
	unsigned c;

	for (c = 0; c < PACER_CLASSES; c++)
		if (o->part[c].queue.first || o->part[c].busy)
			return false;
	return true;
}

uint32_t
flow_points(const struct flow *o)
{
	return o->part[PACER_LIVE].points + o->part[PACER_BACKLOG].points;
}

void
flows_sweep(struct flows *f, int64_t before)
{
	struct flow **at, *o;
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		for (at = &f->bucket[i]; (o = *at) != NULL;) {
			if (o->used_at >= before || o->parked ||
			    !flow_is_empty(o)) {
				at = &o->same;
				continue;
			}
			*at = o->same;
			free(o);
			f->n--;
		}
	}
}

/* ---- rings ------------------------------------------------------------------------- */

static void
enter_ring(struct flows *f, struct flow *o, enum pacer_class c)
{
	struct flow_part *p = &o->part[c];
	struct flow *head = f->ring[c];

	if (p->next)
		return;
	if (p->had < f->had[c])
		p->had = f->had[c];
	if (!head) {
		p->next = p->previous = o;
		f->ring[c] = o;
		return;
	}
	p->next = head;
	p->previous = head->part[c].previous;
	p->previous->part[c].next = o;
	head->part[c].previous = o;
}

static void
leave_ring(struct flows *f, struct flow *o, enum pacer_class c)
{
	struct flow_part *p = &o->part[c];

	if (!p->next)
		return;
	p->next->part[c].previous = p->previous;
	p->previous->part[c].next = p->next;
	if (f->ring[c] == o)
		f->ring[c] = p->next == o ? NULL : p->next;
	p->next = p->previous = NULL;
}

/* In strict order what is older is backlog, and goes first, and alone. */
static bool
belongs(const struct flows *f, const struct flow *o, enum pacer_class c)
{
	const struct flow_part *other = &o->part[!c];

	if (!o->part[c].queue.first || o->part[c].busy ||
	    (o->parked && !o->probing))
		return false;
	if ((f->strict || o->parked) && other->busy)
		return false;
	return !(f->strict && c == PACER_LIVE && other->queue.first);
}

void
flow_settle(struct flows *f, struct flow *o)
{
	enum pacer_class c;

	for (c = 0; c < PACER_CLASSES; c++)
		if (belongs(f, o, c))
			enter_ring(f, o, c);
		else
			leave_ring(f, o, c);
}

void
flow_push(struct flows *f, struct flow *o, enum pacer_class c, struct unit *u)
{
	unit_list_push(&o->part[c].queue, u);
	o->part[c].points += u->points;
	flow_settle(f, o);
}

bool
flows_has(const struct flows *f, enum pacer_class c)
{
	return f->ring[c];
}

/* Whether it is rather the turn of the first. */
static bool
is_before(const struct flow *a, const struct flow *b, enum pacer_class c,
    bool doubtful)
{
	if (doubtful && (a->refused == 0) != (b->refused == 0))
		return a->refused == 0;
	return a->part[c].had < b->part[c].had;
}

struct flow *
flows_next(struct flows *f, enum pacer_class c, bool doubtful)
{
	struct flow *first = f->ring[c], *best = first, *o;

	if (!first)
		return NULL;
	for (o = first->part[c].next; o != first; o = o->part[c].next)
		if (is_before(o, best, c, doubtful))
			best = o;
	if (f->had[c] < best->part[c].had)
		f->had[c] = best->part[c].had;
	leave_ring(f, best, c);
	return best;
}

void
flow_spent(struct flow *o, enum pacer_class c, uint32_t samples)
{
	o->part[c].had += (double)samples / (o->weight ? o->weight : 1);
}
