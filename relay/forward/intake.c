/* intake.c - what is read, whose it is, and when it is backlog.
 * SPDX-License-Identifier: Apache-2.0
 *
 * As long as there is room all is taken in the order of the log.  Past half of the room an
 * edge that has its share waiting is left, if others could have what stands behind it in
 * the log; it is read again, in sweeps, when it has room.                  */
#include "forward/forwarder_priv.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define READ_A_TURN 64			/* records, before others have their turn */
#define HUNGRY_MS 60000			/* whoever sent since may send soon */

/* ---- reading ------------------------------------------------------------------------------- */

/* How many points may be out of a source. */
static uint32_t
room_of(const struct forwarder *f)
{
	uint32_t all = f->opts.read_ahead_samples;

	return f->ahead[SUPPLY_REST] > 0 || supply_owes(f->supply) ?
	    (all + 1) / 2 : all;
}

static uint32_t
points_of(const struct forwarder *f, const struct flow *o,
    enum supply_source source)
{
	if (f->opts.order == FORWARD_STRICT)
		return flow_points(o);
	return o->part[source == SUPPLY_LOG ? PACER_LIVE :
	    PACER_BACKLOG].points;
}

struct who {
	const struct forwarder *f;
	enum supply_source source;
	int64_t since_ms;
};

static bool
is_hungry(const struct flow *o, void *arg)
{
	const struct who *w = arg;

	return o->weight && !o->parked && o->seen_ms >= w->since_ms &&
	    points_of(w->f, o, w->source) == 0 &&
	    !(w->source == SUPPLY_LOG && w->f->opts.order == FORWARD_STRICT &&
	    supply_owes_edge(w->f->supply, o->edge));
}

static bool
is_hungry_for_rest(void *arg, uint64_t edge)
{
	struct who *w = arg;
	const struct flow *o;

	if (edge == 0)		/* of anybody's */
		return flows_any(&w->f->flows, is_hungry, w);
	o = flows_find(&w->f->flows, edge);
	return !o || (!o->parked && points_of(w->f, o, SUPPLY_REST) == 0);
}

/* Whether others could have what is behind this record, while its edge has enough. */
static bool
others_are_hungry(struct forwarder *f, enum supply_source source,
    int64_t wall_ms)
{
	struct who w = { f, source, wall_ms - HUNGRY_MS };
	bool some;

	if (f->hungry[source] == HUNGRY_UNKNOWN) {
		some = source == SUPPLY_LOG ?
		    flows_any(&f->flows, is_hungry, &w) :
		    supply_owes_any(f->supply, is_hungry_for_rest, &w);
		f->hungry[source] = some ? HUNGRY_SOME : HUNGRY_NOBODY;
	}
	return f->hungry[source] == HUNGRY_SOME;
}

static enum supply_word
wants(void *arg, enum supply_source source, uint64_t edge, int64_t wall_ms)
{
	struct forwarder *f = arg;
	struct flow *o = flows_get(&f->flows, edge);
	uint32_t room = room_of(f), ahead = f->ahead[source];
	uint32_t sweep = supply_sweep(f->supply);

	if (!o)
		return SUPPLY_WAIT;
	o->used_at = loop_now(f->loop);
	o->seen_ms = wall_ms;
	if (o->parked || (source == SUPPLY_REST && o->left_in == sweep)) {
		o->left_in = sweep;
		return SUPPLY_LEAVE;
	}
	if (ahead >= room)
		return SUPPLY_WAIT;
	if (ahead < room / 2 || points_of(f, o, source) < room / f->flows.n)
		return SUPPLY_TAKE;
	if (supply_is_crowded(f->supply) ||
	    !others_are_hungry(f, source, wall_ms))
		return SUPPLY_WAIT;
	if (source == SUPPLY_REST)
		o->left_in = sweep;
	return SUPPLY_LEAVE;
}

static void
saw(void *arg, enum supply_source source, uint64_t points, int64_t wall_ms)
{
	struct forwarder *f = arg;

	pacer_saw(&f->pacer, source == SUPPLY_LOG ? PACER_LIVE : PACER_BACKLOG,
	    points, wall_ms);
}

static bool
is_left(void *arg, uint64_t edge)
{
	struct forwarder *f = arg;
	const struct flow *o = flows_find(&f->flows, edge);

	return o && (o->parked || o->left_in == supply_sweep(f->supply));
}

static bool
is_old(const struct forwarder *f, const struct unit *u)
{
	return clock_wall() / CLOCK_MS - u->wall_ms >
	    f->opts.live_window_ns / CLOCK_MS;
}

static enum pacer_class
class_of(const struct forwarder *f, const struct unit *u)
{
	if (u->source == SUPPLY_REST)
		return PACER_BACKLOG;
	return f->opts.order == FORWARD_STRICT && is_old(f, u) ?
	    PACER_BACKLOG : PACER_LIVE;
}

/* In strict order what has waited for too long becomes backlog. */
static void
grow_old(struct flow *o, void *arg)
{
	struct flow_part *p = &o->part[PACER_LIVE];
	struct forwarder *f = arg;
	struct unit *u;

	while ((u = p->queue.first) != NULL && is_old(f, u)) {
		p->points -= u->points;
		flow_push(&f->flows, o, PACER_BACKLOG,
		    unit_list_pop(&p->queue));
	}
}

static uint32_t
weight_of(const struct forwarder *f, struct bytes edge)
{
	const struct edge_policy *p = edge_policy_of(&f->opts.policies, edge);

	return p ? p->weight : 1;
}

/* In strict order what waits already is older than this. */
static void
queue(struct forwarder *f, struct unit *u)
{
	struct flow *o = flows_find(&f->flows, u->edge);
	enum pacer_class c = class_of(f, u);
	struct unit *older;

	f->ahead[u->source] += u->points;
	if (o->weight == 0)
		o->weight = weight_of(f, dict_edge(u->dict));
	if (c == PACER_BACKLOG && f->opts.order == FORWARD_STRICT) {
		o->part[PACER_LIVE].points = 0;
		while ((older = unit_list_pop(&o->part[PACER_LIVE].queue)) !=
		    NULL)
			flow_push(&f->flows, o, PACER_BACKLOG, older);
	}
	flow_push(&f->flows, o, c, u);
}

/* True: there may be more, in another turn. */
static bool
read_from(struct forwarder *f, enum supply_source source)
{
	struct unit *u;
	enum status st = ST_OK;
	int i;

	for (i = 0; i < READ_A_TURN; i++) {
		st = supply_next(f->supply, source, &u);
		if (st != ST_OK)
			break;
		queue(f, u);
	}
	if (source == SUPPLY_LOG)
		f->caught_up = st == ST_END;
	return i == READ_A_TURN || supply_has_more(f->supply);
}

static void
go_on(struct loop_msg *m)
{
	struct forwarder *f = container_of(m, struct forwarder, more);

	f->more_posted = false;
	forwarder_go_on(f);
}

void
intake_read(struct forwarder *f)
{
	bool more;

	f->hungry[SUPPLY_LOG] = f->hungry[SUPPLY_REST] = HUNGRY_UNKNOWN;
	/* whoever had enough has not any more */
	if (f->ahead[SUPPLY_REST] < room_of(f) / 4)
		supply_sweep_again(f->supply);
	more = supply_skip_on(f->supply);
	more |= read_from(f, SUPPLY_LOG);
	more |= read_from(f, SUPPLY_REST);
	if (more && !f->more_posted) {
		f->more_posted = true;
		loop_post(f->loop, &f->more, go_on);
	}
}

struct supply_policy
intake_policy(struct forwarder *f, void (*wake)(void *),
    void (*skipped)(void *, const struct supply_skipped *))
{
	return (struct supply_policy){ wants, saw, is_left, wake, skipped, f };
}

/* ---- live data first --------------------------------------------------------------------------- */

struct pile {
	struct forwarder *f;
	struct unit *first;
};

/* All that has not begun to go. */
static void
pile_up(struct flow *o, void *arg)
{
	struct flow_part *p = &o->part[PACER_LIVE];
	struct pile *pile = arg;
	struct unit *u;

	if (o->parked || (p->queue.first && p->queue.first->from))
		return;
	while ((u = unit_list_pop(&p->queue)) != NULL) {
		p->points -= u->points;
		pile->f->ahead[u->source] -= points_ahead(u);
		u->next = pile->first;
		pile->first = u;
	}
	p->alone = 0;
	flow_settle(&pile->f->flows, o);
}

/* Every queue was turned round as it came onto the pile. */
static void
pile_back(struct pile *pile)
{
	struct forwarder *f = pile->f;
	struct unit *u;
	struct unit_list one;
	struct flow *o;

	while ((u = pile->first) != NULL) {
		pile->first = u->next;
		o = flows_find(&f->flows, u->edge);
		unit_list_init(&one);
		unit_list_push(&one, u);
		unit_list_put_first(&o->part[PACER_LIVE].queue, &one);
		o->part[PACER_LIVE].points += u->points;
		f->ahead[u->source] += points_ahead(u);
		flow_settle(&f->flows, o);
	}
}

/* What waits already is older than the live window, so it is backlog.  Where live data goes
 * first that is so with all that has not been read yet, and what comes from now on goes at
 * once. */
void
intake_jump(struct forwarder *f)
{
	struct pile pile = { f, NULL };
	int64_t lag = supply_log_lag_ms(f->supply, clock_wall() / CLOCK_MS);

	if (!gate_is_open(f) || lag <= f->opts.live_window_ns / CLOCK_MS)
		return;
	if (f->opts.order == FORWARD_STRICT) {
		if (flows_has(&f->flows, PACER_LIVE))
			flows_each(&f->flows, grow_old, f);
		return;
	}
	flows_each(&f->flows, pile_up, &pile);
	if (!pile.first)
		return;		/* what has begun to go, and nothing else */
	if (!supply_put_back_all(f->supply, pile.first)) {
		pile_back(&pile);
		return;
	}
	(void)supply_jump(f->supply);
	log_info("upstream-jumps", "upstream=%s lag=%.1fs", f->opts.name,
	    (double)lag / 1e3);
	intake_read(f);
}
