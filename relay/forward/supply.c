/* supply.c - reader, decoders, cursor.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Records of a segment decode from its start only, so after a start records that are
 * done already are decoded for their definitions and passed over.            */
#include "forward/supply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "forward/route.h"
#include "series/codec.h"
#include "spool/cursor.h"

#define STREAMS_MAX (1u << 20)		/* in a segment */
#define DECODER_BYTES_MAX ((size_t)2 << 30)
#define BATCH_BYTES_MAX ((size_t)1 << 30)
#define BATCH_KEEP ((size_t)256 << 10)
#define FREE_MAX 256

/* Writing down what is owed takes as long as there are units out.  Where many are, it
 * waits for more to write down. */
#define NOTE_AT_ONCE 64
#define NOTE_NS (20 * CLOCK_MS)

struct stream {
	struct decoder *decoder;	/* owned; NULL: not yet */
	struct route_stream route;	/* owned */
};

struct supply {
	char *name;			/* owned */
	struct spool_reader *reader;	/* owned */
	struct cursor *cursor;		/* owned */
	struct metric_group *metrics;	/* borrowed */
	struct loop *loop;		/* borrowed */

	struct route *route;		/* owned; NULL: everything is owed */
	uint64_t segment;		/* of the streams */
	struct stream *streams;		/* owned */
	uint32_t n_streams;

	struct unit *oldest, *newest;	/* out, in the order of the log */
	uint32_t n_out;
	struct unit *free;		/* owned, with their batches */
	size_t n_free;

	struct spool_pos read_to;	/* end of what was read */
	struct spool_pos head;		/* likewise, once past that of the start */
	struct cursor_state *at_start;	/* what was owed; NULL once passed */
	struct cursor_state *state;	/* to write */
	bool changed;			/* since it was written */
	int64_t noted;			/* when it was, clock_mono */
	bool unsynced;			/* written since the last sync */
	bool failing;			/* the last write of the cursor failed */
};

/* ---- streams -------------------------------------------------------------------- */

static void
drop_stream(struct stream *t)
{
	decoder_free(&t->decoder);
	route_stream_fini(&t->route);
}

static void
drop_streams(struct supply *s)
{
	uint32_t i;

	for (i = 0; i < s->n_streams; i++)
		drop_stream(&s->streams[i]);
	free(s->streams);
	s->streams = NULL;
	s->n_streams = 0;
}

static enum status
stream_of(struct supply *s, const struct spool_record *r, struct stream **out)
{
	static const struct decoder_opts opts = { DECODER_BYTES_MAX };
	struct stream *more;
	uint32_t n;

	if (r->pos.segment != s->segment) {
		drop_streams(s);
		s->segment = r->pos.segment;
	}
	if (r->stream >= STREAMS_MAX)
		return ST_BAD_RECORD;
	if (r->stream >= s->n_streams) {
		n = r->stream + r->stream / 2 + 16;
		more = realloc(s->streams, n * sizeof(*more));
		if (!more)
			return ST_NO_MEMORY;
		memset(more + s->n_streams, 0,
		    (n - s->n_streams) * sizeof(*more));
		s->streams = more;
		s->n_streams = n;
	}
	*out = &s->streams[r->stream];
	return (*out)->decoder ? ST_OK : decoder_new(&opts, &(*out)->decoder);
}

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

static void
link_newest(struct supply *s, struct unit *u)
{
	u->newer = NULL;
	u->older = s->newest;
	if (s->newest)
		s->newest->newer = u;
	else
		s->oldest = u;
	s->newest = u;
	s->n_out++;
}

static void
unlink_unit(struct supply *s, struct unit *u)
{
	*(u->older ? &u->older->newer : &s->oldest) = u->newer;
	*(u->newer ? &u->newer->older : &s->newest) = u->older;
	u->older = u->newer = NULL;
	s->n_out--;
}

/* ---- reading ------------------------------------------------------------------------ */

/* Whether a record was still owed when the process began. */
static bool
is_owed(struct supply *s, const struct spool_record *r)
{
	if (s->at_start && spool_pos_cmp(r->pos, s->at_start->head) >= 0) {
		free(s->at_start);
		s->at_start = NULL;
	}
	return !s->at_start || cursor_owes(s->at_start, r->pos, r->stream);
}

static void
moved(struct supply *s, struct spool_pos to)
{
	s->read_to = to;
	if (!s->at_start)
		s->head = to;
	s->changed = true;
}

static void
pass_over(struct supply *s, const struct spool_record *r, enum status st)
{
	if (st == ST_MISSING) {
		log_warn("spool-gap", "upstream=%s segment=%016llx hint=\"the "
		    "segment has been removed; if by retention, the file gaps "
		    "in the spool's directory has what it held\"", s->name,
		    (unsigned long long)r->pos.segment);
		return;
	}
	metric_group_add(s->metrics, METRIC_UP_DAMAGED, 1);
	log_error("spool-damaged", "upstream=%s segment=%016llx offset=%llu "
	    "reason=%s hint=\"what the segment holds from there on cannot be "
	    "delivered\"", s->name, (unsigned long long)r->pos.segment,
	    (unsigned long long)r->pos.offset, status_info(st)->word);
}

static enum status
route_out(struct supply *s, struct stream *t, struct batch *b)
{
	uint64_t taken = 0;
	enum status st = route_batch(s->route, &t->route,
	    decoder_dict(t->decoder), b, &taken);

	metric_group_add(s->metrics, METRIC_UP_ELSEWHERE, (int64_t)taken);
	return st;
}

/* Nothing in it is for this upstream. */
static bool
is_elsewhere(const struct supply *s, const struct unit *u)
{
	return s->route && u->points == 0 && u->batch->n_metadata == 0;
}

static enum status
decode(struct supply *s, const struct spool_record *r, struct unit *u)
{
	struct stream *t = NULL;
	struct batch_counts n;
	enum status st = stream_of(s, r, &t);

	if (st == ST_OK)
		st = decoder_decode(t->decoder, r->data, u->batch);
	if (st == ST_OK && s->route)
		st = route_out(s, t, u->batch);
	if (st != ST_OK)
		return st;
	n = batch_counts(u->batch);
	u->pos = r->pos;
	u->end = r->next;
	u->wall_ms = r->wall_ms;
	u->dict = dict_ref(decoder_dict(t->decoder));
	u->points = (uint32_t)(n.samples + n.histograms + n.exemplars);
	u->from = u->part = 0;
	return ST_OK;
}

/* A record that cannot be decoded takes its stream with it: what follows in the
 * segment builds on it. */
static void
spoil(struct supply *s, const struct spool_record *r, enum status st)
{
	pass_over(s, r, st);
	if (r->stream < s->n_streams)
		drop_stream(&s->streams[r->stream]);
}

enum status
supply_next(struct supply *s, struct unit **out)
{
	struct spool_record r;
	struct unit *u;
	enum status st;
	bool owed;

	for (;;) {
		if (s->n_out >= SUPPLY_UNITS_MAX)
			return ST_WAIT;
		/* before the record is read, which is not read twice */
		u = unit_take(s);
		if (!u)
			return ST_WAIT;
		st = spool_read(s->reader, &r);
		if (st != ST_OK)
			unit_give(s, u);
		if (st == ST_END)
			return ST_END;
		if (st != ST_OK) {
			pass_over(s, &r, st);
			moved(s, r.next);
			continue;
		}
		owed = is_owed(s, &r);
		st = decode(s, &r, u);
		moved(s, r.next);
		if (st != ST_OK)
			spoil(s, &r, st);
		if (st != ST_OK || !owed || is_elsewhere(s, u)) {
			unit_give(s, u);
			continue;
		}
		link_newest(s, u);
		*out = u;
		return ST_OK;
	}
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

/* ---- the cursor ------------------------------------------------------------------------ */

static void
owe(struct cursor_state *c, struct spool_pos from, struct spool_pos to,
    uint32_t stream)
{
	struct cursor_owed *last = c->n_owed ? &c->owed[c->n_owed - 1] : NULL;

	if (last && last->stream == stream &&
	    spool_pos_cmp(last->to, from) == 0) {
		last->to = to;
		return;
	}
	if (c->n_owed == CURSOR_OWED_MAX) {
		/* room is out: what lies between goes again after a restart */
		last->to = to;
		last->stream = 0;
		return;
	}
	c->owed[c->n_owed++] = (struct cursor_owed){ from, to, stream };
}

/* What was owed at the start and has not been read yet. */
static void
owe_unread(const struct supply *s, struct cursor_state *c)
{
	uint32_t i;

	for (i = 0; i < s->at_start->n_owed; i++) {
		struct cursor_owed o = s->at_start->owed[i];

		if (spool_pos_cmp(o.to, s->read_to) <= 0)
			continue;
		if (spool_pos_cmp(o.from, s->read_to) < 0)
			o.from = s->read_to;
		owe(c, o.from, o.to, o.stream);
	}
}

static void
write_down(struct supply *s)
{
	struct cursor_state *c = s->state;
	const struct unit *u;
	enum status st;

	if (!s->changed)
		return;
	c->n_owed = 0;
	for (u = s->oldest; u; u = u->newer)
		owe(c, u->pos, u->end, 0);
	c->head = s->head;
	if (s->at_start) {
		owe_unread(s, c);
		c->head = s->at_start->head;
	}
	st = cursor_put(s->cursor, c);
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

	if (s->n_out > NOTE_AT_ONCE && now - s->noted < NOTE_NS)
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
	spool_reader_release(s->reader, c->n_owed ? c->owed[0].from : c->head);
}

int64_t
supply_lag_ms(const struct supply *s, int64_t wall_ms)
{
	return s->oldest && wall_ms > s->oldest->wall_ms ?
	    wall_ms - s->oldest->wall_ms : 0;
}

uint64_t
supply_backlog(const struct supply *s)
{
	return spool_backlog(s->reader, s->oldest ? s->oldest->pos : s->head);
}

/* ---- life ---------------------------------------------------------------------------------- */

static enum status
begin(struct supply *s, bool start_now)
{
	struct cursor_state *c = s->state;
	struct spool_pos from = c->head;

	if (c->head.segment == 0 && start_now) {
		c->head = from = spool_newest(s->reader);
		s->changed = true;
	}
	if (c->n_owed)
		from = c->owed[0].from;
	s->head = c->head;
	if (c->head.segment != 0) {
		s->at_start = malloc(sizeof(*s->at_start));
		if (!s->at_start)
			return ST_NO_MEMORY;
		*s->at_start = *c;
	}
	if (spool_reader_seek(s->reader, from) == ST_MISSING && from.segment)
		log_warn("cursor-behind", "upstream=%s segment=%016llx "
		    "hint=\"that segment is gone; goes on with the oldest there "
		    "is\"", s->name, (unsigned long long)from.segment);
	return ST_OK;
}

enum status
supply_new(const struct supply_opts *o, struct spool *spool,
    const struct disk_ops *disk, struct loop *loop, struct metric_group *metrics,
    void (*wake)(void *), void *arg, struct supply **out)
{
	struct supply *s = calloc(1, sizeof(*s));
	enum status st = ST_NO_MEMORY;

	if (!s)
		return ST_NO_MEMORY;
	s->metrics = metrics;
	s->loop = loop;
	s->name = strdup(o->name);
	s->state = calloc(1, sizeof(*s->state));
	if (!s->name || !s->state)
		goto fail;
	st = route_new(&o->route, &s->route);
	if (st == ST_OK)
		st = cursor_open(disk, o->directory, o->name, &s->cursor,
		    s->state);
	if (st == ST_OK)
		st = spool_reader_new(spool, o->name, loop, wake, arg,
		    &s->reader);
	if (st == ST_OK)
		st = begin(s, o->start_now);
	if (st != ST_OK)
		goto fail;
	*out = s;
	return ST_OK;
fail:
	supply_free(&s);
	return st;
}

void
supply_free(struct supply **taken)
{
	struct supply *s = *taken;
	struct unit *u, *next;

	*taken = NULL;
	if (!s)
		return;
	for (u = s->oldest; u; u = next) {
		next = u->newer;
		unit_free(u);
	}
	for (u = s->free; u; u = next) {
		next = u->next;
		unit_free(u);
	}
	drop_streams(s);
	route_free(&s->route);
	if (s->reader)
		spool_reader_free(&s->reader);
	if (s->cursor)
		cursor_close(&s->cursor);
	free(s->at_start);
	free(s->state);
	free(s->name);
	free(s);
}
