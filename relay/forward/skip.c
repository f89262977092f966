/* skip.c - two lists made from one, in the order of the log.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Of each stretch that was owed a run is made: it grows with every record of it that stays
 * owed, and ends where one is given up.  A run of one stream so ends with a record of
 * that stream, as all stretches do.                                         */
#include "forward/skip.h"

#include <stdlib.h>
#include <string.h>

#define READ_A_STEP 1024		/* records, before others have their turn */
#define NONE UINT32_MAX

struct skip {
	struct skip_opts o;
	struct spool_reader *reader;	/* owned */
	struct owed left;
	struct cursor_state cut;
	uint32_t run[OWED_MAX];		/* by stretch: of `left`, or NONE */
	bool partial;
};

static void
woken(void *arg)
{
	(void)arg;	/* nothing behind the end is of interest */
}

enum status
skip_new(const struct skip_opts *o, struct skip **out)
{
	struct skip *s = calloc(1, sizeof(*s));
	enum status st;

	if (!s)
		return ST_NO_MEMORY;
	s->o = *o;
	s->cut.head = o->end;
	memset(s->run, 0xff, sizeof(s->run));
	st = spool_reader_new(o->spool, o->name, o->loop, woken, s, &s->reader);
	if (st != ST_OK) {
		skip_free(&s);
		return st;
	}
	if (o->owed->n)
		(void)spool_reader_seek(s->reader, o->owed->list[0].from);
	*out = s;
	return ST_OK;
}

void
skip_free(struct skip **taken)
{
	struct skip *s = *taken;

	*taken = NULL;
	if (!s)
		return;
	if (s->reader)
		spool_reader_free(&s->reader);
	free(s);
}

const struct owed *
skip_left(const struct skip *s)
{
	return &s->left;
}

const struct cursor_state *
skip_given_up(const struct skip *s)
{
	return &s->cut;
}

bool
skip_is_partial(const struct skip *s)
{
	return s->partial;
}

/* ---- lists ------------------------------------------------------------------------- */

static uint64_t
size_of(struct spool_pos from, struct spool_pos to)
{
	return from.segment == to.segment ? to.offset - from.offset : 0;
}

/* Every stretch has room for a run more than it has. */
static bool
may_give_up(const struct skip *s)
{
	return s->left.n + s->o.owed->n + 1 < OWED_MAX &&
	    s->cut.n_owed < CURSOR_OWED_MAX;
}

static void
give_up(struct skip *s, uint32_t stretch, const struct spool_record *r)
{
	struct cursor_owed *last = s->cut.n_owed ?
	    &s->cut.owed[s->cut.n_owed - 1] : NULL;

	s->run[stretch] = NONE;
	if (last && spool_pos_cmp(last->to, r->pos) == 0)
		last->to = r->next;
	else
		s->cut.owed[s->cut.n_owed++] = (struct cursor_owed){
			.from = r->pos, .to = r->next, .wall_ms = r->wall_ms };
}

static void
stay(struct skip *s, uint32_t stretch, struct spool_pos from,
    struct spool_pos to, int64_t wall_ms)
{
	const struct cursor_owed *o = &s->o.owed->list[stretch];
	struct cursor_owed *run;

	if (s->run[stretch] == NONE) {
		s->run[stretch] = s->left.n++;
		s->left.n_all += o->stream == 0;
		run = &s->left.list[s->run[stretch]];
		*run = (struct cursor_owed){ .from = from,
			.stream = o->stream, .edge = o->edge,
			.wall_ms = wall_ms };
	}
	run = &s->left.list[s->run[stretch]];
	run->to = to;
	if (o->stream)
		run->bytes += size_of(from, to);
}

/* What cannot be read stays owed: whoever would send it says that it cannot. */
static void
stay_unread(struct skip *s, const struct spool_record *r)
{
	uint32_t i;

	for (i = 0; i < s->o.owed->n; i++) {
		const struct cursor_owed *o = &s->o.owed->list[i];
		struct spool_pos from = o->from, to = o->to;

		if (spool_pos_cmp(from, r->pos) < 0)
			from = r->pos;
		if (spool_pos_cmp(to, r->next) > 0)
			to = r->next;
		if (spool_pos_cmp(from, to) < 0)
			stay(s, i, from, to, o->wall_ms);
	}
}

/* ---- reading -------------------------------------------------------------------------- */

static const struct cursor_owed *
find(const struct owed *w, const struct spool_record *r)
{
	uint32_t i;

	for (i = 0; i < w->n && spool_pos_cmp(w->list[i].from, r->pos) <= 0;
	    i++) {
		const struct cursor_owed *o = &w->list[i];

		if (spool_pos_cmp(r->pos, o->to) < 0 && (o->stream == 0 ||
		    (o->stream == r->stream &&
		    o->from.segment == r->pos.segment)))
			return o;
	}
	return NULL;
}

/* Segments of which nothing is owed are not read.  False: nothing is, any more. */
static bool
pass(struct skip *s, const struct spool_record *r)
{
	const struct owed *w = s->o.owed;
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		if (spool_pos_cmp(w->list[i].to, r->next) <= 0)
			continue;
		if (w->list[i].from.segment > r->pos.segment)
			(void)spool_reader_seek(s->reader, w->list[i].from);
		return true;
	}
	return false;
}

static void
decide(struct skip *s, uint32_t stretch, const struct spool_record *r)
{
	bool wanted = r->wall_ms < s->o.from_ms || r->wall_ms >= s->o.to_ms;

	if (!wanted && may_give_up(s)) {
		give_up(s, stretch, r);
		return;
	}
	s->partial = s->partial || !wanted;
	stay(s, stretch, r->pos, r->next, r->wall_ms);
}

enum status
skip_step(struct skip *s)
{
	const struct cursor_owed *o;
	struct spool_record r;
	enum status st;
	int i;

	for (i = 0; i < READ_A_STEP; i++) {
		st = s->o.owed->n ? spool_read(s->reader, &r) : ST_END;
		if (st == ST_NO_MEMORY)
			return ST_WAIT;
		if (st == ST_END ||
		    spool_pos_cmp(r.pos, s->o.end) >= 0)
			return ST_END;
		o = st == ST_OK ? find(s->o.owed, &r) : NULL;
		if (o)
			decide(s, (uint32_t)(o - s->o.owed->list), &r);
		else if (st != ST_OK)
			stay_unread(s, &r);
		else if (!pass(s, &r))
			return ST_END;
	}
	return ST_WAIT;
}
