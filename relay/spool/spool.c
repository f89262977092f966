/* spool.c - group commit, epochs, the size limit, and trouble with the disk.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The current segment takes what is encoded from now on; its number is the
 * epoch.  Beside it older ones are open while their epoch's barrier is out:
 *
 *   roll: create N+1, epoch = N+1, barrier to every writer loop
 *   each writer loop, behind all that it submitted for N: passes it back
 *   all passed: N is sealed
 *
 * Two reasons to refuse: the limit (`full`), which ends when a segment goes, and
 * `trouble`, which ends when a probe has made and synced a new segment.  A segment
 * whose write failed takes nothing more (S7, S9); there is no current segment then
 * until the probe has made one.                                             */
#include "spool/spool.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/pace.h"
#include "base/trend.h"
#include "spool/cursor.h"
#include "spool/reader.h"
#include "spool/recover.h"
#include "spool/retain.h"
#include "spool/segment.h"
#include "spool/shelf.h"

#define PROBE_FIRST (CLOCK_S / 2)
#define PROBE_MAX (15 * CLOCK_S)
#define EXPIRY_MAX (60 * CLOCK_S)
#define ESTIMATE_NS (2 * CLOCK_S)
#define STEP_MAX (UINT64_C(4) << 20)

/* What a series costs a segment before it costs as little as it can, its description
 * and what is learned of it, is about 10 bytes.  With so many a series in all that is
 * a tenth of the segment. */
#define BYTES_PER_SERIES 96
#define GROWTH_MAX 4			/* for that, times segment_bytes */

/* A segment that is written to, or whose end could not be cut yet. */
struct slot {
	struct slot *next;
	struct segment *segment;	/* owned */
	struct view *view;		/* the shelf's */
	bool failed;
	bool closed;			/* something did not fit (S9) */
};

struct writer {
	struct writer *next;
	struct spool *spool;		/* borrowed */
	struct loop *loop;		/* borrowed */
	struct loop_msg msg;
};

struct spool {
	struct spool_opts o;
	char directory[SPOOL_DIRECTORY_MAX + 1];
	uint64_t step;			/* of reserving, and what is kept free */
	uint64_t due_bytes;		/* the current segment is closed past it */
	uint64_t defined;		/* series that it describes */
	const struct disk_ops *disk;	/* borrowed */
	struct loop *loop;		/* borrowed */
	struct disk_file *lock;		/* owned */
	struct loop_hook hook;
	bool hooked;
	struct loop_timer *age, *probe, *expiry;	/* owned */
	struct loop_timer *estimate;	/* owned */
	int64_t expiry_ns;		/* how often it is looked for */

	struct shelf shelf;
	struct retain retain;
	struct readers readers;
	struct slot *slots;		/* owned, by number */
	struct spool_write *followers;	/* borrowed; done after the next commit */
	struct slot *current;		/* one of them, or NULL */
	uint64_t highest;		/* number given last */

	struct writer *writers;		/* owned */
	unsigned barrier_out;		/* loops that have not passed it */
	uint64_t passed;		/* all writers are in this epoch or later */

	bool aged, full;
	uint64_t needed;		/* bytes that did not fit */
	enum status trouble;
	int64_t trouble_since;		/* clock_mono */
	struct backoff backoff;
	int64_t shown_size, shown_segments;	/* in the gauges */
	int64_t shown_full_ms;		/* likewise */
	struct trend needed_lately;	/* bytes that some upstream has not had */

	_Atomic uint64_t epoch;
	_Atomic int room;		/* enum status */
	_Atomic uint64_t streams[2];	/* epoch << 32 | number given last */
	_Atomic bool sweep_posted;
	struct loop_msg sweep;
};

static void look_at_room(struct spool *);

/* ---- answers to any thread ------------------------------------------------------ */

uint64_t
spool_epoch(const struct spool *s)
{
	return atomic_load(&s->epoch);
}

enum status
spool_room(const struct spool *s)
{
	return (enum status)atomic_load(&s->room);
}

uint32_t
spool_stream_new(struct spool *s, uint64_t epoch)
{
	_Atomic uint64_t *last = &s->streams[epoch % 2];
	uint64_t old = atomic_load(last), new;

	/* Two epochs are written to at most; of an older one all is refused,
	 * whatever its streams are called. */
	do
		new = old >> 32 == (uint32_t)epoch ? old + 1 :
		    (uint64_t)(uint32_t)epoch << 32 | 1;
	while (old >> 32 <= (uint32_t)epoch &&
	    !atomic_compare_exchange_weak(last, &old, new));
	return (uint32_t)new;
}

struct readers *
spool_readers(struct spool *s)
{
	return &s->readers;
}

static void
show(struct spool *s, enum status room)
{
	size_t segments;
	int64_t size = (int64_t)shelf_size(&s->shelf, &segments);

	metric_add(METRIC_SPOOL_BYTES, size - s->shown_size);
	metric_add(METRIC_SPOOL_SEGMENTS,
	    (int64_t)segments - s->shown_segments);
	s->shown_size = size;
	s->shown_segments = (int64_t)segments;
	atomic_store(&s->room, (int)room);
}

/* ---- slots ----------------------------------------------------------------------- */

static void
update_view(struct spool *s, struct slot *slot)
{
	uint64_t size = segment_size(slot->segment);

	shelf_set_size(&s->shelf, slot->view,
	    (size + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK);
	slot->view->last_ms = segment_last_ms(slot->segment);
	atomic_store(&slot->view->end, segment_end(slot->segment));
}

static void
remove_slot(struct spool *s, struct slot *slot)
{
	struct slot **at = &s->slots;

	while (*at != slot)
		at = &(*at)->next;
	*at = slot->next;
	if (s->current == slot)
		s->current = NULL;
	segment_free(&slot->segment);
	free(slot);
}

/* What did not work, once; the metric has every time. */
static void
complain(const struct slot *slot, const char *event, enum status why)
{
	metric_reason_add(METRIC_SPOOL_ERRORS, why, 1);
	log_warn(event, "segment=%" PRIu64 " end=%" PRIu64 " reason=%s",
	    segment_number(slot->segment), segment_end(slot->segment),
	    status_info(why)->word);
}

static void
seal(struct spool *s, struct slot *slot)
{
	enum status st = segment_seal(slot->segment);

	if (st != ST_OK)
		complain(slot, "spool-seal-failed", st);
	update_view(s, slot);
	atomic_fetch_or(&slot->view->flags, VIEW_SEALED);
	remove_slot(s, slot);
	readers_wake(&s->readers);
}

/* ---- trouble ----------------------------------------------------------------------- */

static void
set_trouble(struct spool *s, enum status why)
{
	metric_reason_add(METRIC_SPOOL_ERRORS, why, 1);
	if (s->trouble == ST_OK) {
		s->trouble_since = clock_mono();
		log_error("spool-refusing", "directory=%s reason=%s hint=\"%s; "
		    "edges keep their data and are answered 503 until writing "
		    "works again, delivery goes on\"", s->directory,
		    status_info(why)->word, status_info(why)->sentence);
	}
	s->trouble = why;
	loop_timer_start(s->probe, backoff_next(&s->backoff));
	show(s, why);
}

/* S7: cuts what failed, now or at the next probe, or when a segment ends. */
static void
cut(struct spool *s, struct slot *slot)
{
	enum status st = segment_cut(slot->segment);

	update_view(s, slot);
	if (st == ST_OK)
		remove_slot(s, slot);
	else
		metric_reason_add(METRIC_SPOOL_ERRORS, st, 1);
}

static void
cut_again(struct spool *s)
{
	struct slot *slot, *next;

	for (slot = s->slots; slot; slot = next) {
		next = slot->next;
		if (slot->failed)
			cut(s, slot);
	}
}

static void
fail(struct spool *s, struct slot *slot, enum status why)
{
	bool current = slot == s->current;

	complain(slot, "spool-write-failed", why);
	slot->failed = true;
	if (current)
		s->current = NULL;
	atomic_fetch_or(&slot->view->flags, VIEW_SEALED);
	cut(s, slot);
	readers_wake(&s->readers);
	if (current)
		set_trouble(s, why);
}

/* ---- how large a segment gets -------------------------------------------------------- */

/* Series are described anew in each segment: the more there are, the larger it may
 * get.  Not by much: a restart reads it from its beginning, and room comes back by
 * whole segments. */
static void
set_due(struct spool *s)
{
	uint64_t due = s->defined * BYTES_PER_SERIES;

	if (due > s->o.segment_bytes * GROWTH_MAX)
		due = s->o.segment_bytes * GROWTH_MAX;
	if (due > s->o.size_bytes / 8)
		due = s->o.size_bytes / 8;
	s->due_bytes = due > s->o.segment_bytes ? due : s->o.segment_bytes;
}

/* ---- rolling ------------------------------------------------------------------------ */

static void on_passed(struct loop_msg *);

/* On the writer's loop. */
static void
on_barrier(struct loop_msg *msg)
{
	struct writer *w = container_of(msg, struct writer, msg);

	loop_post(w->spool->loop, msg, on_passed);
}

static void
start_barrier(struct spool *s)
{
	struct writer *w;

	assert(s->barrier_out == 0);
	if (!s->writers)
		s->passed = s->epoch;
	for (w = s->writers; w; w = w->next) {
		s->barrier_out++;
		loop_post(w->loop, &w->msg, on_barrier);
	}
}

static void
on_passed(struct loop_msg *msg)
{
	struct spool *s = container_of(msg, struct writer, msg)->spool;

	if (--s->barrier_out == 0)
		s->passed = s->epoch;
}

/* Makes the next segment and lets writers go over to it. */
static enum status
roll(struct spool *s)
{
	struct segment_opts o = {
		.disk = s->disk,
		.directory = s->directory,
		.number = s->highest + 1,
		/* At the limit it is only there to let the last one end. */
		.reserve = s->full ? 0 : s->step < SEGMENT_RESERVE ? s->step :
		    SEGMENT_RESERVE,
		.step = s->step,
		.sync = s->o.sync,
		.edge_of = s->o.edge_of,
	};
	struct slot *slot = calloc(1, sizeof(*slot)), **at = &s->slots;
	enum status st = slot ? segment_create(&o, &slot->segment) :
	    ST_NO_MEMORY;

	if (st == ST_OK)
		st = shelf_add(&s->shelf, o.number, &slot->view);
	if (st != ST_OK) {
		if (slot)
			segment_free(&slot->segment);
		free(slot);
		return st;
	}
	while (*at)
		at = &(*at)->next;
	*at = slot;
	update_view(s, slot);
	s->current = slot;
	s->highest = o.number;
	s->aged = false;
	s->defined = 0;
	set_due(s);
	atomic_store(&s->epoch, o.number);
	loop_timer_start(s->age, s->o.segment_age_ns);
	start_barrier(s);
	return ST_OK;
}

/* Is it time?  Two epochs at most are under way, so not before every writer has
 * passed into this one. */
static bool
roll_due(const struct spool *s)
{
	const struct segment *now = s->current ? s->current->segment : NULL;

	if (!now || s->trouble != ST_OK || s->passed != s->epoch)
		return false;
	if (s->current->closed)
		return true;
	if (segment_records(now) == 0)
		return false;
	/* When full: only what is sealed can go. */
	return s->aged || s->full || segment_end(now) >= s->due_bytes;
}

static void
on_age(void *arg)
{
	struct spool *s = arg;

	cut_again(s);
	s->aged = s->current && segment_records(s->current->segment) > 0;
	if (!s->aged)
		loop_timer_start(s->age, s->o.segment_age_ns);
}

static bool
disk_has_room(struct spool *s)
{
	uint64_t room;

	return s->disk->room(s->disk->arg, s->directory, &room) != ST_OK ||
	    room >= 4 * s->step;
}

static void
on_probe(void *arg)
{
	struct spool *s = arg;
	enum status st = s->trouble;

	cut_again(s);
	if (s->passed == s->epoch && (st != ST_NO_SPACE || disk_has_room(s)))
		st = roll(s);
	if (st != ST_OK) {
		set_trouble(s, st);
		return;
	}
	s->trouble = ST_OK;
	log_info("spool-recovered", "directory=%s segment=%" PRIu64
	    " seconds=%" PRId64, s->directory, s->highest,
	    (clock_mono() - s->trouble_since) / CLOCK_S);
	look_at_room(s);
}

/* ---- the limit ----------------------------------------------------------------------- */

/* How large the file of a slot, or a new one, may get, with a block to spare for the
 * segment after it. */
static uint64_t
most_of(struct spool *s, const struct slot *slot)
{
	size_t segments;
	uint64_t others = shelf_size(&s->shelf, &segments) + SPOOL_BLOCK;

	if (slot)
		others -= slot->view->size;

	return others < s->o.size_bytes ?
	    (s->o.size_bytes - others) / SPOOL_BLOCK * SPOOL_BLOCK : 0;
}

/* Bytes that records may still take before the limit. */
static int64_t
left(struct spool *s)
{
	const struct segment *now = s->current ? s->current->segment : NULL;

	return (int64_t)most_of(s, s->current) - FORMAT_FOOTER -
	    (int64_t)(now ? segment_end(now) : FORMAT_HEADER);
}

/* What was asked for before it got full has still to go in, as far as it does. */
static bool
is_full(struct spool *s)
{
	uint64_t least = s->needed > s->step ? s->needed : s->step;

	return left(s) < (int64_t)least;
}

/* A file that is no more needs no end. */
static void
forget(struct spool *s, uint64_t number)
{
	struct slot *slot = s->slots;

	while (slot && segment_number(slot->segment) != number)
		slot = slot->next;
	assert(!slot || slot->failed);
	if (slot)
		remove_slot(s, slot);
}

static void
remove_passed(struct spool *s)
{
	uint64_t number;
	bool any = false;

	while (retain_passed(&s->retain, &number)) {
		forget(s, number);
		any = true;
	}
	if (any)
		retain_sync(&s->retain);
}

/* The oldest, while that is asked for. */
static void
drop_while(struct spool *s, bool (*due)(struct spool *), enum status reason)
{
	uint64_t number;
	bool any = false;

	while (due(s) && retain_drop(&s->retain, reason, &number)) {
		forget(s, number);
		any = true;
	}
	if (!any)
		return;
	retain_sync(&s->retain);
	readers_wake(&s->readers);
}

static bool
is_expired(struct spool *s)
{
	return retain_expired(&s->retain,
	    (clock_wall() - s->o.max_age_ns) / CLOCK_MS);
}

static void
on_expiry(void *arg)
{
	struct spool *s = arg;

	drop_while(s, is_expired, ST_EXPIRED);
	look_at_room(s);
	loop_timer_start(s->expiry, s->expiry_ns);
}

static void
tell_full(struct spool *s)
{
	char last[SPOOL_NAME_MAX + 1];

	if (!s->full) {
		log_info("spool-not-full", "directory=%s", s->directory);
		return;
	}
	shelf_last(&s->shelf, last);
	log_warn("spool-full", "directory=%s limit=%" PRIu64 " behind=%s "
	    "hint=\"edges keep their data and are answered 503 until that "
	    "upstream has had a segment; if it is configured no more, "
	    "rwrelayctl upstream forget gives the room back\"", s->directory,
	    s->o.size_bytes, last[0] ? last : "nobody");
}

static void
look_at_room(struct spool *s)
{
	bool was = s->full;

	if (s->o.drop_oldest)
		drop_while(s, is_full, ST_SPOOL_FULL);
	s->full = is_full(s);
	if (!s->full)
		s->needed = 0;
	if (s->full != was)
		tell_full(s);
	show(s, s->trouble != ST_OK ? s->trouble :
	    s->full ? ST_SPOOL_FULL : ST_OK);
}

static void
show_full(struct spool *s, int64_t ms)
{
	metric_add(METRIC_SPOOL_FULL_MS, ms - s->shown_full_ms);
	s->shown_full_ms = ms;
}

/* Files come and go by whole segments; what has to be kept grows evenly. */
static void
on_estimate(void *arg)
{
	struct spool *s = arg;

	trend_put(&s->needed_lately, (int64_t)shelf_needed(&s->shelf),
	    clock_mono());
	show_full(s, s->full ? 0 :
	    trend_ms(left(s), trend_rate(&s->needed_lately)));
	loop_timer_start(s->estimate, ESTIMATE_NS);
}

static void
on_sweep(struct loop_msg *msg)
{
	struct spool *s = container_of(msg, struct spool, sweep);

	atomic_store(&s->sweep_posted, false);
	remove_passed(s);
	look_at_room(s);
}

static void
on_forget(struct loop_msg *msg)
{
	struct spool_forget *o = container_of(msg, struct spool_forget, msg);
	struct spool *s = o->spool;
	enum status st;

	o->status = shelf_is_read(&s->shelf, o->name) ? ST_BUSY :
	    cursor_remove(s->disk, s->directory, o->name);
	if (o->status == ST_OK || o->status == ST_MISSING) {
		st = shelf_forget(&s->shelf, o->name);
		if (o->status == ST_MISSING)
			o->status = st;
		remove_passed(s);
		look_at_room(s);
	}
	if (o->status == ST_OK)
		log_info("upstream-forgotten", "upstream=%s", o->name);
	o->done(o);
}

void
spool_forget(struct spool *s, struct spool_forget *o)
{
	o->spool = s;
	loop_post(s->loop, &o->msg, on_forget);
}

/* The first from this one on of which something is given up; 0: there is none. */
static uint64_t
next_skipped(const struct cursor_state *c, uint64_t from)
{
	uint32_t i;

	for (i = 0; i < c->n_owed; i++)
		if (c->owed[i].to.segment >= from)
			return c->owed[i].from.segment > from ?
			    c->owed[i].from.segment : from;
	return 0;
}

/* One in a turn: reading it takes its time. */
static void
on_skip(struct loop_msg *msg)
{
	struct spool_skip *o = container_of(msg, struct spool_skip, msg);
	struct spool *s = o->spool;
	uint64_t number = next_skipped(o->given_up, o->segment);

	if (number) {
		retain_skip(&s->retain, number, o->name, o->given_up,
		    &o->samples);
		o->segment = number + 1;
		loop_post(s->loop, msg, on_skip);
		return;
	}
	retain_enter(&s->retain);
	log_warn("upstream-skipped", "upstream=%s samples=%" PRIu64 " hint=\"by "
	    "order; the file " LEDGER_FILE " has of whom\"", o->name,
	    o->samples);
	o->done(o);
}

void
spool_skip(struct spool *s, struct spool_skip *o)
{
	o->spool = s;
	o->samples = 0;
	o->segment = 1;
	loop_post(s->loop, &o->msg, on_skip);
}

/* Any thread. */
static void
ask_sweep(struct spool *s)
{
	if (!atomic_exchange(&s->sweep_posted, true))
		loop_post(s->loop, &s->sweep, on_sweep);
}

/* ---- writing --------------------------------------------------------------------------- */

static void
finish(struct spool_write *w, enum status st)
{
	w->status = st;
	w->done(w);
}

static void
on_submit(struct loop_msg *msg)
{
	struct spool_write *w = container_of(msg, struct spool_write, msg);
	struct spool *s = w->spool;
	struct slot *slot = s->slots;

	while (slot && segment_number(slot->segment) != w->epoch)
		slot = slot->next;
	if (slot && slot == s->current) {
		s->defined += w->defined;
		set_due(s);
	}
	if (slot && slot->closed)
		finish(w, ST_SPOOL_FULL); /* S9 */
	else if (slot && !slot->failed)
		segment_queue(slot->segment, w);
	else /* S9 */
		finish(w, s->trouble != ST_OK ? s->trouble : ST_STALE_EPOCH);
}

void
spool_submit(struct spool *s, struct spool_write *w)
{
	w->spool = s;
	loop_post(s->loop, &w->msg, on_submit);
}

static void
on_follow(struct loop_msg *msg)
{
	struct spool_write *w = container_of(msg, struct spool_write, msg);

	w->next = w->spool->followers;
	w->spool->followers = w;
}

void
spool_follow(struct spool *s, struct spool_write *w)
{
	w->spool = s;
	loop_post(s->loop, &w->msg, on_follow);
}

static void
finish_followers(struct spool *s)
{
	struct spool_write *w = s->followers, *next;

	s->followers = NULL;
	for (; w; w = next) {
		next = w->next;
		finish(w, ST_OK);
	}
}

/* For what is queued, at the cost of the oldest. */
static void
make_way(struct spool *s, const struct slot *slot)
{
	uint64_t number, end = segment_end(slot->segment) +
	    segment_queued_bytes(slot->segment) + FORMAT_FOOTER;
	bool any = false;

	while (most_of(s, slot) < end &&
	    retain_drop(&s->retain, ST_SPOOL_FULL, &number)) {
		forget(s, number);
		any = true;
	}
	if (!any)
		return;
	retain_sync(&s->retain);
	readers_wake(&s->readers);
}

/* The limit holds whatever has been asked for before it was near. */
static void
refuse_excess(struct spool *s, struct slot *slot)
{
	struct spool_write *w, *next;
	uint64_t bytes;

	if (s->o.drop_oldest)
		make_way(s, slot);
	w = segment_fit(slot->segment, most_of(s, slot), &bytes);
	if (!w)
		return;
	slot->closed = true;
	s->needed = bytes < s->o.size_bytes / 4 ? bytes : s->o.size_bytes / 4;
	for (; w; w = next) {
		next = w->next;
		finish(w, ST_SPOOL_FULL);
	}
}

static void
commit(struct spool *s, struct slot *slot)
{
	struct spool_write *w, *next;
	enum status st;

	refuse_excess(s, slot);
	st = segment_commit(slot->segment);
	w = segment_take(slot->segment);
	if (st == ST_OK) {
		update_view(s, slot); /* S1, S5 */
		if (s->trouble == ST_OK)
			backoff_reset(&s->backoff);
	} else {
		fail(s, slot, st);
	}
	for (; w; w = next) {
		next = w->next;
		finish(w, st);
	}
}

static bool
commit_all(struct spool *s)
{
	struct slot *slot, *next;
	bool any = false;

	for (slot = s->slots; slot; slot = next) {
		next = slot->next;
		if (!segment_queued(slot->segment))
			continue;
		commit(s, slot);
		any = true;
	}
	if (any)
		readers_wake(&s->readers);
	finish_followers(s);
	return any;
}

static void
seal_passed(struct spool *s)
{
	struct slot *slot, *next;

	for (slot = s->slots; slot; slot = next) {
		next = slot->next;
		if (!slot->failed && slot != s->current &&
		    segment_number(slot->segment) < s->passed)
			seal(s, slot);
	}
}

/* After the commit, so that nobody waits for it: the blocks of the next. */
static void
reserve(struct spool *s)
{
	uint64_t most;
	enum status st;

	if (!s->current || s->full || s->trouble != ST_OK)
		return;
	most = most_of(s, s->current);
	if (most > s->due_bytes + s->step)
		most = s->due_bytes + s->step;
	st = segment_ahead(s->current->segment, most);
	update_view(s, s->current);
	if (st != ST_OK) /* what is on its way has room yet */
		set_trouble(s, st);
}

static void
end_of_turn(void *arg)
{
	struct spool *s = arg;
	bool any = commit_all(s);
	enum status st;

	seal_passed(s);
	if (any) {
		reserve(s);
		look_at_room(s);
	}
	if (!roll_due(s))
		return;
	st = roll(s);
	if (st != ST_OK)
		set_trouble(s, st);
	look_at_room(s);
}

/* ---- life ------------------------------------------------------------------------------- */

static enum status
make_directories(struct spool *s)
{
	const struct disk_ops *d = s->disk;
	char path[SPOOL_PATH_MAX];
	enum status st = d->make_dir(d->arg, s->directory);

	if (st != ST_OK)
		return st;
	spool_path(path, s->directory, SPOOL_SEGMENT, 0, NULL);
	st = d->make_dir(d->arg, path);
	if (st != ST_OK)
		return st;
	spool_path(path, s->directory, SPOOL_CURSOR, 0, NULL);
	st = d->make_dir(d->arg, path);
	if (st != ST_OK)
		return st;
	st = d->sync_dir(d->arg, s->directory);
	if (st != ST_OK)
		return st;
	spool_path_named(path, s->directory, "lock", NULL);
	return d->lock(d->arg, path, &s->lock);
}

static void
tell_open(const struct spool *s, enum status st)
{
	static const char *const hint[ST__N] = {
		[ST_LOCKED] = "another rwrelay uses this directory",
		[ST_DENIED] = "the directory, and all in it, must belong to "
		    "the user that the relay runs as (chown -R), with mode "
		    "0750",
		[ST_MISSING] = "the directory above it does not exist",
		[ST_BAD_FORMAT] = "see the line before",
		[ST_DISK] = "is it a directory, and does the disk work?",
		[ST_NO_SPACE] = "the file system has no room for a directory",
	};

	log_error("spool-open-failed", "directory=%s reason=%s hint=\"%s\"",
	    s->directory, status_info(st)->word,
	    hint[st] ? hint[st] : status_info(st)->sentence);
}

static void
set_limits(struct spool *s)
{
	uint64_t least = s->o.size_bytes / 4;

	/* Room comes back by whole segments. */
	if (s->o.segment_bytes > least)
		s->o.segment_bytes = least;
	s->step = s->o.segment_bytes / 8 / SPOOL_BLOCK * SPOOL_BLOCK;
	if (s->step < SPOOL_BLOCK)
		s->step = SPOOL_BLOCK;
	if (s->step > STEP_MAX)
		s->step = STEP_MAX;
	if (!s->o.max_age_ns)
		return;
	/* What goes is what is older than that by a quarter at most. */
	if (s->o.segment_age_ns > s->o.max_age_ns / 4)
		s->o.segment_age_ns = s->o.max_age_ns / 4;
	s->expiry_ns = s->o.max_age_ns / 16;
	if (s->expiry_ns > EXPIRY_MAX)
		s->expiry_ns = EXPIRY_MAX;
}

static enum status
start(struct spool *s)
{
	struct recover_sums found;
	int64_t before = clock_mono();
	enum status st = make_directories(s);

	if (st == ST_OK)
		st = recover_all(s->disk, s->directory, s->o.edge_of,
		    &s->shelf, &found);
	if (st == ST_OK)
		st = loop_timer_new(s->loop, on_age, s, &s->age);
	if (st == ST_OK)
		st = loop_timer_new(s->loop, on_probe, s, &s->probe);
	if (st == ST_OK)
		st = loop_timer_new(s->loop, on_expiry, s, &s->expiry);
	if (st == ST_OK)
		st = loop_timer_new(s->loop, on_estimate, s, &s->estimate);
	if (st == ST_OK)
		st = retain_open(&s->retain);
	if (st != ST_OK)
		return st;
	s->highest = shelf_highest(&s->shelf);
	s->passed = s->highest + 1;
	atomic_store(&s->epoch, s->passed); /* until there is a segment */
	remove_passed(s);
	if (s->o.max_age_ns)
		on_expiry(s);
	on_estimate(s);
	look_at_room(s);
	st = roll(s);
	/* A disk that is full or broken must not keep what it has back. */
	if (st == ST_DISK || st == ST_NO_SPACE)
		set_trouble(s, st);
	else if (st != ST_OK)
		return st;
	look_at_room(s);
	log_info("spool-open", "directory=%s segments=%" PRIu64 " bytes=%" PRIu64
	    " read=%" PRIu64 " torn_bytes=%" PRIu64 " damaged_bytes=%" PRIu64
	    " ms=%" PRId64, s->directory, found.segments, found.bytes,
	    found.read, found.cut, found.damaged,
	    (clock_mono() - before) / CLOCK_MS);
	return ST_OK;
}

enum status
spool_open(const struct spool_opts *o, const struct disk_ops *disk,
    struct loop *loop, struct spool **out)
{
	struct spool *s;
	enum status st;

	if (strlen(o->directory) > SPOOL_DIRECTORY_MAX)
		return ST_CONFIG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return ST_NO_MEMORY;
	s->o = *o;
	memcpy(s->directory, o->directory, strlen(o->directory));
	s->o.directory = s->directory;
	s->disk = disk;
	s->loop = loop;
	s->backoff = (struct backoff){ .first_ns = PROBE_FIRST,
		.max_ns = PROBE_MAX, .seed = 1 };
	set_limits(s);
	shelf_init(&s->shelf);
	s->retain = (struct retain){ .disk = disk,
		.directory = s->directory, .shelf = &s->shelf,
		.edge_of = o->edge_of };
	s->readers = (struct readers){ .disk = disk,
		.directory = s->directory, .shelf = &s->shelf,
		.can_remove = ask_sweep };
	readers_init(&s->readers);
	st = start(s);
	if (st != ST_OK) {
		tell_open(s, st);
		spool_close(&s);
		return st;
	}
	metric_add(METRIC_SPOOL_LIMIT, (int64_t)o->size_bytes);
	s->hook = (struct loop_hook){ .fn = end_of_turn, .arg = s };
	loop_hook_add(loop, &s->hook);
	s->hooked = true;
	*out = s;
	return ST_OK;
}

enum status
spool_add_writer(struct spool *s, struct loop *loop)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (!w)
		return ST_NO_MEMORY;
	*w = (struct writer){ .next = s->writers, .spool = s, .loop = loop };
	s->writers = w;
	return ST_OK;
}

void
spool_close(struct spool **sp)
{
	struct spool *s = *sp;

	if (!s)
		return;
	(void)commit_all(s);
	while (s->slots) {
		if (s->slots->failed)
			remove_slot(s, s->slots);
		else
			seal(s, s->slots);
	}
	if (s->hooked) {
		loop_hook_remove(s->loop, &s->hook);
		metric_add(METRIC_SPOOL_LIMIT, -(int64_t)s->o.size_bytes);
	}
	metric_add(METRIC_SPOOL_BYTES, -s->shown_size);
	metric_add(METRIC_SPOOL_SEGMENTS, -s->shown_segments);
	loop_timer_free(&s->age);
	loop_timer_free(&s->probe);
	loop_timer_free(&s->expiry);
	loop_timer_free(&s->estimate);
	show_full(s, 0);
	if (s->retain.failing)
		retain_sync(&s->retain);
	retain_close(&s->retain);
	while (s->writers) {
		struct writer *w = s->writers;

		s->writers = w->next;
		free(w);
	}
	readers_fini(&s->readers);
	shelf_fini(&s->shelf);
	s->disk->close(s->disk->arg, &s->lock);
	free(s);
	*sp = NULL;
}
