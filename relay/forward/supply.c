/* supply.c - the log, what was left of it, and the cursor.
 * SPDX-License-Identifier: Apache-2.0
 *
 *	    .---------- left ----------> owed --. in sweeps,
 *	    |                             ^     |  oldest first
 *	 SUPPLY_LOG                       |   SUPPLY_REST
 *	    |                        put back   |
 *	    `----------- units, out --------<---'
 *	                    |
 *	                   done
 *
 * In strict order all of an edge is left from the first record that is, until a sweep has
 * come to the place where SUPPLY_LOG is: so no record overtakes an older one.  A decoder
 * goes with what is left, and comes back, so that leaving and returning costs nothing
 * but the reading.                                                          */
#include "forward/supply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "forward/owed.h"
#include "forward/skip.h"
#include "forward/tap.h"
#include "series/codec.h"
#include "spool/cursor.h"

#define BATCH_BYTES_MAX ((size_t)1 << 30)
#define BATCH_KEEP ((size_t)256 << 10)
#define FREE_MAX 256
#define PASS_A_TURN 256			/* records, before others have their turn */
#define TRIES 100			/* for want of memory, before it is given up */

/* Decoders that wait with what was left. */
#define KEPT_MAX 64
#define KEPT_BYTES ((size_t)64 << 20)

/* Writing down what is owed takes as long as there is of it.  Where that is much, it waits
 * for more to write down. */
#define NOTE_AT_ONCE 64
#define NOTE_NS (20 * CLOCK_MS)

static_assert(OWED_MAX + SUPPLY_UNITS_MAX <= CURSOR_OWED_MAX,
    "a cursor has room for all that can be owed");

struct kept {
	uint64_t segment;
	uint32_t stream;
	struct tap_stream state;	/* owned */
	size_t size;
};

/* Units that are out, in the order of the log. */
struct out {
	struct unit *oldest, *newest;
};

struct supply {
	char *name;			/* owned */
	bool strict;
	struct supply_policy policy;
	struct route *route;		/* owned; NULL: everything is owed */
	struct spool *spool;		/* borrowed */
	struct cursor *cursor;		/* owned */
	struct metric_group *metrics;	/* borrowed */
	struct loop *loop;		/* borrowed */

	struct tap tap[SUPPLY_SOURCES];	/* owned */
	struct spool_pos head;		/* SUPPLY_LOG gives out what begins here */
	struct owed owed;
	struct kept kept[KEPT_MAX];	/* the oldest first */
	unsigned n_kept;
	size_t kept_bytes;

	uint32_t sweep;			/* number of the last */
	bool sweeping;			/* it is under way */
	bool fruitful;			/* something was taken in it */
	bool resting;			/* no other, until told */
	bool has_more;
	unsigned failed;		/* tries to decode, for want of memory */
	struct spool_pos sought;	/* all from there on was looked at */
	struct spool_pos rewound;	/* for the record there, once */

	struct out out[SUPPLY_SOURCES];
	uint32_t n_out;
	struct unit *free;		/* owned, with their batches */
	size_t n_free;

	struct cursor_state *state;	/* to write */
	bool changed;			/* since it was written */
	int64_t noted;			/* when it was, clock_mono */
	bool unsynced;			/* written since the last sync */
	bool failing;			/* the last write of the cursor failed */

	struct skip *skip;		/* owned; NULL: none is under way */
	bool entering;			/* in the ledger: it was read to its end */
	struct spool_skip entry;	/* the spool's while entering */
	struct loop_msg entered;
};

/* ---- units ------------------------------------------------------------------------ */

static void
unit_free(struct unit *u)
{
	batch_free(&u->batch);
	dict_unref(&u->dict);
	free(u);
}

static struct unit *
unit_take(struct supply *s)
{
	struct unit *u = s->free;

	if (u) {
		s->free = u->next;
		s->n_free--;
		u->next = NULL;
		return u;
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->batch = batch_new(BATCH_BYTES_MAX, BATCH_KEEP);
	if (!u->batch) {
		free(u);
		return NULL;
	}
	return u;
}

static void
unit_give(struct supply *s, struct unit *u)
{
	dict_unref(&u->dict);
	if (s->n_free >= FREE_MAX) {
		unit_free(u);
		return;
	}
	batch_reset(u->batch);
	u->next = s->free;
	s->free = u;
	s->n_free++;
}

/* A sweep may begin before the end of the one before: seldom, and then it is a walk. */
static void
link_unit(struct supply *s, struct unit *u)
{
	struct out *o = &s->out[u->source];
	struct unit *older = o->newest;

	while (older && spool_pos_cmp(older->pos, u->pos) > 0)
		older = older->older;
	u->older = older;
	u->newer = older ? older->newer : o->oldest;
	*(older ? &older->newer : &o->oldest) = u;
	*(u->newer ? &u->newer->older : &o->newest) = u;
	s->n_out++;
}

static void
unlink_unit(struct supply *s, struct unit *u)
{
	struct out *o = &s->out[u->source];

	*(u->older ? &u->older->newer : &o->oldest) = u->newer;
	*(u->newer ? &u->newer->older : &o->newest) = u->older;
	u->older = u->newer = NULL;
	s->n_out--;
}

void
supply_done(struct supply *s, struct unit **taken)
{
	struct unit *u = *taken;

	*taken = NULL;
	unlink_unit(s, u);
	unit_give(s, u);
	s->changed = true;
}

/* ---- decoders that wait --------------------------------------------------------------- */

static void
let_go_of(struct supply *s, unsigned i)
{
	tap_stream_fini(&s->kept[i].state);
	s->kept_bytes -= s->kept[i].size;
	s->n_kept--;
	memmove(&s->kept[i], &s->kept[i + 1],
	    (s->n_kept - i) * sizeof(s->kept[0]));
}

static struct kept *
kept_for(struct supply *s, uint64_t segment, uint32_t stream)
{
	unsigned i;

	for (i = 0; i < s->n_kept; i++)
		if (s->kept[i].segment == segment &&
		    s->kept[i].stream == stream)
			return &s->kept[i];
	return NULL;
}

/* What of the decoder of a stream is up to the record before this one. */
static void
keep(struct supply *s, const struct spool_record *r, struct tap_stream *t)
{
	struct kept *k = kept_for(s, r->pos.segment, r->stream);
	size_t size = tap_stream_size(t);

	if (!tap_can_decode(t) || !t->decoder)
		return;
	if (k)
		let_go_of(s, (unsigned)(k - s->kept));
	while (s->n_kept > 0 && (s->n_kept == KEPT_MAX ||
	    s->kept_bytes + size > KEPT_BYTES))
		let_go_of(s, 0);
	s->kept[s->n_kept++] = (struct kept){ .segment = r->pos.segment,
		.stream = r->stream, .state = *t, .size = size };
	s->kept_bytes += size;
	t->decoder = NULL;
	t->route = (struct route_stream){ .edge = ROUTE_UNKNOWN };
	t->decoded = 0;
}

static void
give_state(struct tap_stream *to, struct tap_stream *from)
{
	tap_stream_fini(to);
	to->decoder = from->decoder;
	to->route = from->route;
	to->decoded = from->decoded;
	from->decoder = NULL;
	from->route = (struct route_stream){ .edge = ROUTE_UNKNOWN };
	from->decoded = 0;
}

/* One that has had all before this record. */
static bool
take_kept(struct supply *s, const struct spool_record *r, struct tap_stream *t)
{
	struct kept *k = kept_for(s, r->pos.segment, r->stream);

	if (!k || k->state.decoded + 1 != t->read)
		return false;
	give_state(t, &k->state);
	let_go_of(s, (unsigned)(k - s->kept));
	return true;
}

/* ---- records ---------------------------------------------------------------------------- */

static uint64_t
size_of(const struct spool_record *r)
{
	return r->next.segment == r->pos.segment ?
	    r->next.offset - r->pos.offset : 0;
}

/* With those of its stream before it, if they follow each other. */
static bool
leave(struct supply *s, const struct tap *p, struct tap_stream *t)
{
	const struct spool_record *r = &p->record;
	struct owed_span span = { t->after, r->next, r->stream, t->edge,
		r->wall_ms, size_of(r) };

	if (!owed_add(&s->owed, &span, t->left && t->left + 1 == t->read))
		return false;
	t->left = t->read;
	return true;
}

/* Decodes for what comes after it. */
static void
learn(struct supply *s, struct tap *p, struct tap_stream *t)
{
	struct unit *u;

	if (!tap_can_decode(t))
		return;
	u = unit_take(s);
	/* without memory whoever needs the stream reads it again */
	if (!u || tap_learn(p, t, u->batch) == ST_NO_MEMORY)
		s->rewound = (struct spool_pos){ 0, 0 };
	if (u)
		unit_give(s, u);
}

/* Nothing in it is for this upstream. */
static bool
is_elsewhere(const struct supply *s, const struct unit *u)
{
	return s->route && u->points == 0 && u->batch->n_metadata == 0;
}

/* ST_END: it cannot be decoded, or there is nothing in it.  ST_NO_MEMORY: not now; the
 * stream is to be read again from the segment's start. */
static enum status
fill(struct supply *s, enum supply_source source, struct tap_stream *t,
    struct unit **out)
{
	struct unit *taken = unit_take(s);
	struct tap *p = &s->tap[source];
	const struct spool_record *r = &p->record;
	struct batch_counts n;
	uint64_t elsewhere;
	enum status st;

	if (!taken)
		return ST_NO_MEMORY;
	st = tap_decode(p, t, taken->batch, &elsewhere);
	if (st != ST_OK)
		unit_give(s, taken);
	if (st == ST_NO_MEMORY && ++s->failed < TRIES)
		return st;
	s->failed = 0;
	if (st == ST_NO_MEMORY)
		tap_lost(p, st);
	if (st != ST_OK)
		return ST_END;
	metric_group_add(s->metrics, METRIC_UP_ELSEWHERE, (int64_t)elsewhere);
	n = batch_counts(taken->batch);
	taken->source = source;
	taken->pos = r->pos;
	taken->end = r->next;
	taken->after = t->after;
	taken->stream = r->stream;
	taken->edge = t->edge;
	taken->wall_ms = r->wall_ms;
	taken->dict = dict_ref(decoder_dict(t->decoder));
	taken->points = (uint32_t)(n.samples + n.histograms + n.exemplars);
	taken->from = taken->part = 0;
	taken->back = taken->busy = taken->kept = false;
	if (is_elsewhere(s, taken)) {
		unit_give(s, taken);
		return ST_END;
	}
	link_unit(s, taken);
	*out = taken;
	return ST_OK;
}

/* ---- the log ------------------------------------------------------------------------------- */

static void
saw(struct supply *s, const struct tap *p)
{
	s->policy.saw(s->policy.arg, p == &s->tap[SUPPLY_LOG] ? SUPPLY_LOG :
	    SUPPLY_REST, p->record.points, p->record.wall_ms);
}

static void
moved(struct supply *s, struct spool_pos to)
{
	if (spool_pos_cmp(to, s->head) > 0)
		s->head = to;
	s->changed = true;
}

/* What this tap cannot decode any more the other one can, from the segment's start. */
static enum supply_word
ask_log(struct supply *s, const struct tap *p, const struct tap_stream *t)
{
	if (!tap_can_decode(t))
		return SUPPLY_LEAVE;
	if (s->strict && s->owed.n && owed_has_edge(&s->owed, t->edge))
		return SUPPLY_LEAVE;
	return s->policy.wants(s->policy.arg, SUPPLY_LOG, t->edge,
	    p->record.wall_ms);
}

/* In strict order its decoder waits with it; else the next one may be taken. */
static bool
leave_log(struct supply *s, struct tap *p, struct tap_stream *t)
{
	if (!leave(s, p, t))
		return false;
	if (s->strict)
		keep(s, &p->record, t);
	else
		learn(s, p, t);
	s->resting = false;
	saw(s, p);
	moved(s, p->record.next);
	return true;
}

/* The record is out, or owed, or there was nothing in it. */
static enum status
take_log(struct supply *s, struct tap *p, struct tap_stream *t,
    struct unit **out)
{
	enum status st = fill(s, SUPPLY_LOG, t, out);

	if (st == ST_NO_MEMORY && !leave_log(s, p, t)) {
		tap_unread(p);
		return ST_WAIT;
	}
	if (st == ST_NO_MEMORY)
		return ST_WAIT;
	saw(s, p);
	moved(s, p->record.next);
	return st;
}

static enum status
next_of_log(struct supply *s, struct unit **out)
{
	struct tap *p = &s->tap[SUPPLY_LOG];
	struct tap_stream *t;
	enum status st;
	int passed;

	for (passed = 0; passed < PASS_A_TURN; passed++) {
		/* of whom what is owed is, is not known */
		if (s->strict && owed_has_edge(&s->owed, 0))
			return ST_WAIT;
		st = tap_read(p, &t);
		if (st == ST_END)
			return ST_END;
		if (st == ST_NO_MEMORY)
			return ST_WAIT;
		if (st != ST_OK) {
			moved(s, p->record.next);
			continue;
		}
		if (spool_pos_cmp(p->record.pos, s->head) < 0) {
			learn(s, p, t);
			continue;
		}
		switch (ask_log(s, p, t)) {
		case SUPPLY_LEAVE:
			if (leave_log(s, p, t))
				continue;
			/* FALLTHROUGH */
		case SUPPLY_WAIT:
			tap_unread(p);
			return ST_WAIT;
		case SUPPLY_TAKE:
			break;
		}
		st = take_log(s, p, t, out);
		if (st != ST_END)
			return st;
	}
	s->has_more = true;
	return ST_WAIT;
}

bool
supply_jump(struct supply *s)
{
	struct tap *p = &s->tap[SUPPLY_LOG];
	struct spool_pos newest = spool_newest(p->reader);
	struct owed_span span = { .from = s->head, .to = newest };

	if (s->skip)
		return false;
	if (spool_pos_cmp(newest, s->head) <= 0)
		return true;
	if (!owed_add(&s->owed, &span, false))
		return false;
	s->head = newest;
	s->changed = true;
	s->sweeping = s->resting = false;
	if (newest.segment != p->segment)
		(void)tap_seek(p, newest);
	return true;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Whether anything of this record's segment, or all after it, is to be read for this
 * sweep: the place of the first of it; segment 0: there is none. */
static struct spool_pos
next_place(const struct supply *s, struct spool_pos after)
{
	uint32_t i;

	for (i = 0; i < s->owed.n; i++) {
		const struct cursor_owed *o = &s->owed.list[i];

		if (spool_pos_cmp(o->to, after) <= 0)
			continue;
		if (o->edge && s->policy.is_left(s->policy.arg, o->edge))
			continue;
		return o->from;
	}
	return (struct spool_pos){ 0, 0 };
}

static void
seek_rest(struct supply *s, struct spool_pos to)
{
	(void)tap_seek(&s->tap[SUPPLY_REST], to);
	s->sought = to;
}

/* A stretch may end where the next segment begins, behind its last record. */
static void
was_read(struct supply *s, struct spool_pos to)
{
	if (owed_was_read(&s->owed, s->sought, to))
		s->changed = true;
}

static void
forget_gone(struct supply *s)
{
	struct spool_pos oldest = spool_oldest(s->tap[SUPPLY_REST].reader);

	oldest.offset = 0;
	if (!owed_forget(&s->owed, oldest))
		return;
	log_warn("cursor-behind", "upstream=%s segment=%016llx hint=\"what was "
	    "before that one, the oldest there is, is gone\"", s->name,
	    (unsigned long long)oldest.segment);
	s->changed = true;
}

static bool
begin_sweep(struct supply *s)
{
	struct spool_pos first;

	forget_gone(s);
	s->sweep++;
	s->fruitful = false;
	s->rewound = (struct spool_pos){ 0, 0 };
	first = next_place(s, (struct spool_pos){ 0, 0 });
	if (first.segment == 0) {
		s->resting = true;
		return false;
	}
	seek_rest(s, first);
	s->sweeping = true;
	return true;
}

static void
end_sweep(struct supply *s)
{
	s->sweeping = false;
	s->resting = !s->fruitful;
}

/* Past a record that is not owed, or not now. */
static void
pass(struct supply *s, struct tap *p, struct tap_stream *t)
{
	const struct spool_record *r = &p->record;
	struct spool_pos next;

	was_read(s, r->pos);
	next = next_place(s, r->next);
	if (next.segment == 0) {
		end_sweep(s);
		return;
	}
	if (next.segment > r->pos.segment) {
		seek_rest(s, next);
		return;
	}
	if (tap_can_decode(t) && !kept_for(s, r->pos.segment, r->stream) &&
	    owed_in_segment(&s->owed, r->pos.segment, r->stream))
		learn(s, p, t);
}

/* A stretch of its own, if it was one of all streams. */
static bool
leave_rest(struct supply *s, struct tap *p, struct tap_stream *t,
    struct cursor_owed *o)
{
	const struct spool_record *r = &p->record;

	if (o->stream == 0) {
		if (!owed_has_room(&s->owed, 2))
			return false;
		owed_shift(&s->owed, o, r->next, size_of(r));
		(void)leave(s, p, t);
		saw(s, p);
		s->changed = true;
	}
	keep(s, r, t);
	t->left = t->read;
	return true;
}

/* SUPPLY_LOG may go on with the decoder, where nothing of the edge is left and its own is
 * not as far. */
static void
hand_over(struct supply *s, struct tap_stream *t)
{
	const struct tap *rest = &s->tap[SUPPLY_REST];
	struct tap *log = &s->tap[SUPPLY_LOG];
	uint32_t stream = rest->record.stream;
	struct tap_stream *l;

	if (!s->strict || rest->segment != log->segment ||
	    stream >= log->n_streams || owed_has_edge(&s->owed, t->edge))
		return;
	l = &log->streams[stream];
	if (l->decoded < t->decoded)
		give_state(l, t);
}

/* The record is out, or there was nothing in it, and is not owed any more. */
static enum status
take_rest(struct supply *s, struct tap *p, struct tap_stream *t,
    struct cursor_owed *o, struct unit **out)
{
	enum status st = fill(s, SUPPLY_REST, t, out);

	if (st == ST_NO_MEMORY) {
		s->rewound = (struct spool_pos){ 0, 0 };
		seek_rest(s, p->record.pos);
		return ST_WAIT;
	}
	if (o->stream == 0)
		saw(s, p);
	owed_shift(&s->owed, o, p->record.next, size_of(&p->record));
	s->fruitful = s->changed = true;
	hand_over(s, t);
	return st;
}

/* The decoder of what was left, or the segment from its start, once. */
static bool
can_be_had(struct supply *s, struct tap *p, struct tap_stream *t)
{
	struct spool_pos at = p->record.pos;
	struct kept *k;

	if (tap_can_decode(t) || take_kept(s, &p->record, t) ||
	    spool_pos_cmp(s->rewound, at) == 0)
		return true;	/* or it cannot, and taking it says so */
	k = kept_for(s, at.segment, p->record.stream);
	if (k)
		let_go_of(s, (unsigned)(k - s->kept));
	s->rewound = at;
	seek_rest(s, at);
	return false;
}

/* Behind what was left nothing is taken. */
static enum supply_word
ask_rest(struct supply *s, const struct tap *p, const struct tap_stream *t)
{
	return t->left ? SUPPLY_LEAVE : s->policy.wants(s->policy.arg,
	    SUPPLY_REST, t->edge, p->record.wall_ms);
}

static enum status
next_of_rest(struct supply *s, struct unit **out)
{
	struct tap *p = &s->tap[SUPPLY_REST];
	struct tap_stream *t;
	struct cursor_owed *o;
	enum status st;
	int passed;

	for (passed = 0; passed < PASS_A_TURN; passed++) {
		if (s->owed.n == 0 || s->resting)
			return ST_END;
		if (!s->sweeping && !begin_sweep(s))
			return ST_END;
		st = tap_read(p, &t);
		if (st == ST_NO_MEMORY)
			return ST_WAIT;
		if (st == ST_END) {
			/* or that of a segment that has no end yet */
			if (spool_reader_segment(p->reader) < s->head.segment)
				return ST_END;
			was_read(s, s->head);
			end_sweep(s);
			continue;
		}
		if (st != ST_OK) {
			owed_lose(&s->owed, p->record.pos, p->record.next);
			s->changed = true;
			continue;
		}
		o = owed_find(&s->owed, p->record.pos, p->record.stream);
		if (!o) {
			pass(s, p, t);
			continue;
		}
		switch (ask_rest(s, p, t)) {
		case SUPPLY_LEAVE:
			if (leave_rest(s, p, t, o)) {
				pass(s, p, t);
				continue;
			}
			/* there is room again when some of it has gone */
			end_sweep(s);
			return ST_WAIT;
		case SUPPLY_WAIT:
			tap_unread(p);
			return ST_WAIT;
		case SUPPLY_TAKE:
			break;
		}
		if (!can_be_had(s, p, t))
			continue;
		st = take_rest(s, p, t, o, out);
		if (st != ST_END)
			return st;
	}
	s->has_more = true;
	return ST_WAIT;
}

enum status
supply_next(struct supply *s, enum supply_source source, struct unit **out)
{
	s->has_more = false;
	if (s->n_out >= SUPPLY_UNITS_MAX || s->skip)
		return ST_WAIT;
	return source == SUPPLY_LOG ? next_of_log(s, out) :
	    next_of_rest(s, out);
}

bool
supply_has_more(const struct supply *s)
{
	return s->has_more;
}

uint32_t
supply_sweep(const struct supply *s)
{
	return s->sweep;
}

void
supply_sweep_again(struct supply *s)
{
	s->resting = false;
}

bool
supply_owes(const struct supply *s)
{
	return s->owed.n > 0;
}

bool
supply_owes_edge(const struct supply *s, uint64_t edge)
{
	return s->owed.n && owed_has_edge(&s->owed, edge);
}

bool
supply_is_crowded(const struct supply *s)
{
	return s->owed.n > OWED_MAX / 2;
}

bool
supply_owes_any(const struct supply *s, bool (*fn)(void *, uint64_t), void *arg)
{
	uint32_t i;

	for (i = 0; i < s->owed.n; i++)
		if (fn(arg, s->owed.list[i].edge))
			return true;
	return false;
}

/* ---- back again ---------------------------------------------------------------------------- */

bool
supply_put_back(struct supply *s, struct unit **taken)
{
	struct unit *u = *taken;
	struct owed_span span = { u->after, u->end, u->stream, u->edge,
		u->wall_ms, u->end.segment == u->pos.segment ?
		u->end.offset - u->pos.offset : 0 };

	if (s->skip || !owed_add(&s->owed, &span, false))
		return false;
	supply_done(s, taken);
	return true;
}

static bool
follows(const struct unit *u)
{
	return u->older && u->older->back &&
	    spool_pos_cmp(u->older->end, u->pos) == 0;
}

bool
supply_put_back_all(struct supply *s, struct unit *list)
{
	struct owed_span span = { .stream = 0 };
	struct unit *u, *newer;
	uint32_t n = 0;

	if (s->skip)
		return false;
	for (u = list; u; u = u->next)
		u->back = true;
	for (u = s->out[SUPPLY_LOG].oldest; u; u = u->newer)
		n += u->back && !follows(u);
	if (!owed_has_room(&s->owed, n)) {
		for (u = list; u; u = u->next)
			u->back = false;
		return false;
	}
	for (u = s->out[SUPPLY_LOG].oldest; u; u = newer) {
		newer = u->newer;
		if (!u->back)
			continue;
		span.from = u->pos;
		span.to = u->end;
		span.wall_ms = u->wall_ms;
		(void)owed_add(&s->owed, &span, false);
		supply_done(s, &u);
	}
	/* what was added may lie behind where the sweep is, or around it */
	s->sweeping = s->resting = false;
	return true;
}

/* ---- the cursor ------------------------------------------------------------------------ */

static void
owe_unit(struct cursor_state *c, const struct unit *u)
{
	struct cursor_owed *last = c->n_owed ? &c->owed[c->n_owed - 1] : NULL;

	if (last && last->stream == 0 && spool_pos_cmp(last->to, u->pos) == 0) {
		last->to = u->end;
		return;
	}
	c->owed[c->n_owed++] = (struct cursor_owed){ .from = u->pos,
		.to = u->end, .wall_ms = u->wall_ms };
}

/* Three lists in order, as one. */
static void
collect(const struct supply *s, struct cursor_state *c)
{
	const struct unit *log = s->out[SUPPLY_LOG].oldest, *u;
	const struct unit *rest = s->out[SUPPLY_REST].oldest;
	uint32_t i = 0;

	c->head = s->head;
	c->n_owed = 0;
	while (i < s->owed.n || log || rest) {
		u = !rest || (log && spool_pos_cmp(log->pos, rest->pos) < 0) ?
		    log : rest;
		if (u && (i == s->owed.n ||
		    spool_pos_cmp(u->pos, s->owed.list[i].from) < 0)) {
			owe_unit(c, u);
			*(u == log ? &log : &rest) = u->newer;
		} else {
			c->owed[c->n_owed++] = s->owed.list[i++];
		}
	}
}

static void
write_down(struct supply *s)
{
	enum status st;

	if (!s->changed || s->skip)
		return;
	collect(s, s->state);
	st = cursor_put(s->cursor, s->state);
	if (st != ST_OK) {
		if (!s->failing)
			log_error("cursor-unwritten", "upstream=%s reason=%s "
			    "hint=\"after a restart what is delivered "
			    "meanwhile is sent again\"", s->name,
			    status_info(st)->word);
		s->failing = true;
		return;
	}
	s->failing = false;
	s->changed = false;
	s->unsynced = true;
}

void
supply_note(struct supply *s)
{
	int64_t now = loop_now(s->loop);

	if (s->n_out + s->owed.n > NOTE_AT_ONCE && now - s->noted < NOTE_NS)
		return;
	s->noted = now;
	write_down(s);
}

void
supply_sync(struct supply *s)
{
	const struct cursor_state *c = s->state;

	write_down(s);
	if (!s->unsynced || s->changed)
		return;
	if (cursor_sync(s->cursor) != ST_OK)
		return;		/* tried again with the next */
	s->unsynced = false;
	spool_reader_release(s->tap[SUPPLY_LOG].reader,
	    c->n_owed ? c->owed[0].from : c->head);
}

/* ---- giving up ------------------------------------------------------------------------- */

enum status
supply_skip(struct supply *s, int64_t from_ms, int64_t to_ms)
{
	struct skip_opts o = {
		.spool = s->spool,
		.name = s->name,
		.loop = s->loop,
		.owed = &s->owed,
		.from_ms = from_ms,
		.to_ms = to_ms,
	};

	if (s->skip || !supply_jump(s))
		return ST_BUSY;
	forget_gone(s);
	o.end = s->head;
	return skip_new(&o, &s->skip);
}

bool
supply_is_skipping(const struct supply *s)
{
	return s->skip;
}

/* A sweep that was under way has seen stretches that are not there any more. */
static void
end_skip(struct supply *s)
{
	struct supply_skipped sum = { s->entry.samples,
		skip_is_partial(s->skip) };

	s->owed = *skip_left(s->skip);
	skip_free(&s->skip);
	s->entering = s->sweeping = s->resting = false;
	s->changed = true;
	supply_sync(s);
	s->policy.skipped(s->policy.arg, &sum);
}

static void
entered_here(struct loop_msg *m)
{
	struct supply *s = container_of(m, struct supply, entered);

	end_skip(s);
	s->policy.wake(s->policy.arg);
}

static void
entered(struct spool_skip *o)
{
	struct supply *s = container_of(o, struct supply, entry);

	loop_post(s->loop, &s->entered, entered_here);
}

bool
supply_skip_on(struct supply *s)
{
	const struct cursor_state *given_up;

	if (!s->skip || s->entering)
		return false;	/* the wake that follows goes on */
	if (skip_step(s->skip) == ST_WAIT)
		return true;
	given_up = skip_given_up(s->skip);
	s->entry = (struct spool_skip){ .name = s->name,
		.given_up = given_up, .done = entered };
	s->entering = true;
	if (given_up->n_owed)
		spool_skip(s->spool, &s->entry);
	else
		end_skip(s);
	return !s->skip;
}

/* ---- figures -------------------------------------------------------------------------- */

static int64_t
age(int64_t of_ms, int64_t wall_ms)
{
	return of_ms && wall_ms > of_ms ? wall_ms - of_ms : 0;
}

static int64_t
older(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t
supply_log_lag_ms(const struct supply *s, int64_t wall_ms)
{
	const struct unit *u = s->out[SUPPLY_LOG].oldest;

	while (u && u->busy)
		u = u->newer;
	return u ? age(u->wall_ms, wall_ms) : 0;
}

int64_t
supply_lag_ms(const struct supply *s, int64_t wall_ms)
{
	const struct unit *u;
	int64_t lag = 0;
	uint32_t i;

	for (i = 0; i < SUPPLY_SOURCES; i++) {
		u = s->out[i].oldest;
		if (u)
			lag = older(lag, age(u->wall_ms, wall_ms));
	}
	for (i = 0; i < s->owed.n; i++)
		lag = older(lag, age(s->owed.list[i].wall_ms, wall_ms));
	return lag;
}

static uint64_t
unit_bytes(const struct out *o)
{
	const struct unit *u;
	uint64_t bytes = 0;

	for (u = o->oldest; u; u = u->newer)
		if (u->end.segment == u->pos.segment)
			bytes += u->end.offset - u->pos.offset;
	return bytes;
}

uint64_t
supply_backlog(const struct supply *s)
{
	struct spool_reader *r = s->tap[SUPPLY_LOG].reader;
	uint64_t bytes = spool_backlog(r, s->head), behind;
	uint32_t i;

	for (i = 0; i < s->owed.n; i++) {
		const struct cursor_owed *o = &s->owed.list[i];

		/* asked in this order, or what comes meanwhile is below zero */
		behind = o->stream ? 0 : spool_backlog(r, o->to);
		bytes += o->stream ? o->bytes :
		    spool_backlog(r, o->from) - behind;
	}
	return bytes + unit_bytes(&s->out[SUPPLY_LOG]) +
	    unit_bytes(&s->out[SUPPLY_REST]);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void
begin(struct supply *s, bool start_now)
{
	struct tap *p = &s->tap[SUPPLY_LOG];

	s->head = s->state->head;
	if (s->head.segment == 0 && start_now) {
		s->head = spool_newest(p->reader);
		s->changed = true;
	}
	owed_load(&s->owed, s->state->owed, s->state->n_owed);
	if (tap_seek(p, s->head) == ST_MISSING && s->head.segment)
		log_warn("cursor-behind", "upstream=%s segment=%016llx "
		    "hint=\"that segment is gone; goes on with the oldest there "
		    "is\"", s->name, (unsigned long long)s->head.segment);
}

static enum status
open_taps(struct supply *s, struct spool *spool)
{
	enum status st = ST_OK;
	unsigned i;

	for (i = 0; i < SUPPLY_SOURCES && st == ST_OK; i++) {
		s->tap[i].route = s->route;
		s->tap[i].metrics = s->metrics;
		st = tap_open(&s->tap[i], spool, s->name, s->loop,
		    s->policy.wake, s->policy.arg);
	}
	return st;
}

enum status
supply_new(const struct supply_opts *o, struct spool *spool,
    const struct disk_ops *disk, struct loop *loop, struct metric_group *metrics,
    struct supply **out)
{
	struct supply *s = calloc(1, sizeof(*s));
	enum status st = ST_NO_MEMORY;

	if (!s)
		return ST_NO_MEMORY;
	s->metrics = metrics;
	s->loop = loop;
	s->spool = spool;
	s->strict = o->strict;
	s->policy = o->policy;
	s->name = strdup(o->name);
	s->state = calloc(1, sizeof(*s->state));
	if (!s->name || !s->state)
		goto fail;
	st = route_new(&o->route, &s->route);
	if (st == ST_OK)
		st = cursor_open(disk, o->directory, o->name, &s->cursor,
		    s->state);
	if (st == ST_OK)
		st = open_taps(s, spool);
	if (st != ST_OK)
		goto fail;
	begin(s, o->start_now);
	*out = s;
	return ST_OK;
fail:
	supply_free(&s);
	return st;
}

static void
free_units(struct unit *u, bool out)
{
	struct unit *next;

	for (; u; u = next) {
		next = out ? u->newer : u->next;
		unit_free(u);
	}
}

void
supply_free(struct supply **taken)
{
	struct supply *s = *taken;
	unsigned i;

	*taken = NULL;
	if (!s)
		return;
	free_units(s->free, false);
	while (s->n_kept > 0)
		let_go_of(s, s->n_kept - 1);
	for (i = 0; i < SUPPLY_SOURCES; i++) {
		free_units(s->out[i].oldest, true);
		tap_close(&s->tap[i]);
	}
	skip_free(&s->skip);
	route_free(&s->route);
	if (s->cursor)
		cursor_close(&s->cursor);
	free(s->state);
	free(s->name);
	free(s);
}
