/* reader.c - a segment at a time, up to what is durable.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/reader.h"

#include <assert.h>
#include <stdlib.h>

#include "base/metric.h"
#include "spool/scan.h"

struct spool_reader {
	struct spool_reader *next;	/* in readers, under its lock */
	struct spool *spool;		/* borrowed */
	struct readers *readers;	/* borrowed */
	struct loop *loop;		/* borrowed */
	void (*wake)(void *);
	void *arg;
	struct claim *claim;		/* the shelf's */
	struct view *view;		/* referenced; NULL: before the first */
	uint64_t after;			/* numbers up to this one were read */
	struct scan scan;		/* of view's file */
	bool skip;			/* what is left of view is lost */
	_Atomic bool hungry;		/* wants a wake */
	_Atomic bool posted;		/* msg is on its way */
	bool dead;			/* freed once msg has arrived */
	struct loop_msg msg;
};

/* ---- waking -------------------------------------------------------------------- */

void
readers_init(struct readers *rs)
{
	(void)pthread_mutex_init(&rs->lock, NULL); /* cannot fail on Linux */
	rs->first = NULL;
}

void
readers_fini(struct readers *rs)
{
	while (rs->first) {
		struct spool_reader *r = rs->first;

		assert(r->dead);
		rs->first = r->next;
		free(r);
	}
	(void)pthread_mutex_destroy(&rs->lock);
}

/* Under the lock. */
static void
unlink_reader(struct spool_reader *r)
{
	struct spool_reader **at = &r->readers->first;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	free(r);
}

static void
on_wake(struct loop_msg *msg)
{
	struct spool_reader *r = container_of(msg, struct spool_reader, msg);
	pthread_mutex_t *lock = &r->readers->lock;

	atomic_store(&r->posted, false);
	if (!r->dead) {
		r->wake(r->arg);
		return;
	}
	(void)pthread_mutex_lock(lock);
	unlink_reader(r);
	(void)pthread_mutex_unlock(lock);
}

void
readers_wake(struct readers *rs)
{
	struct spool_reader *r;

	(void)pthread_mutex_lock(&rs->lock);
	for (r = rs->first; r; r = r->next)
		if (atomic_exchange(&r->hungry, false) &&
		    !atomic_exchange(&r->posted, true))
			loop_post(r->loop, &r->msg, on_wake);
	(void)pthread_mutex_unlock(&rs->lock);
}

/* ---- life ---------------------------------------------------------------------- */

enum status
spool_reader_new(struct spool *spool, const char *name, struct loop *loop,
    void (*wake)(void *), void *arg, struct spool_reader **out)
{
	struct readers *rs = spool_readers(spool);
	struct spool_reader *r;
	enum status st;

	if (!spool_name_fits(name))
		return ST_CONFIG;
	r = calloc(1, sizeof(*r));
	if (!r)
		return ST_NO_MEMORY;
	st = shelf_claim(rs->shelf, name, &r->claim);
	if (st != ST_OK) {
		free(r);
		return st;
	}
	shelf_attach(rs->shelf, r->claim);
	r->spool = spool;
	r->readers = rs;
	r->loop = loop;
	r->wake = wake;
	r->arg = arg;
	scan_init(&r->scan, rs->disk);
	(void)pthread_mutex_lock(&rs->lock);
	r->next = rs->first;
	rs->first = r;
	(void)pthread_mutex_unlock(&rs->lock);
	*out = r;
	return ST_OK;
}

void
spool_reader_free(struct spool_reader **rp)
{
	struct spool_reader *r = *rp;
	struct readers *rs;

	if (!r)
		return;
	rs = r->readers;
	shelf_unref(rs->shelf, &r->view);
	shelf_detach(rs->shelf, r->claim);
	scan_fini(&r->scan);
	(void)pthread_mutex_lock(&rs->lock);
	atomic_store(&r->hungry, false);
	r->dead = true;
	if (!atomic_load(&r->posted))
		unlink_reader(r);
	(void)pthread_mutex_unlock(&rs->lock);
	*rp = NULL;
}

/* ---- moving on ------------------------------------------------------------------ */

static void
leave_view(struct spool_reader *r)
{
	scan_close(&r->scan);
	shelf_unref(r->readers->shelf, &r->view);
	r->skip = false;
}

/* Did what is gone hold something that a reader at pos has not had?  A hole in the
 * numbers is a file that somebody else removed, unless it was empty. */
static bool
lost_before(const struct view *v, bool hole, struct spool_pos pos)
{
	if (pos.segment == 0)
		return false;
	if (atomic_load(&v->flags) & VIEW_GONE)
		return v->number > pos.segment ||
		    pos.offset < atomic_load(&v->end);
	return hole && pos.offset > FORMAT_HEADER;
}

enum status
spool_reader_seek(struct spool_reader *r, struct spool_pos pos)
{
	struct shelf *shelf = r->readers->shelf;
	struct view *v;
	unsigned flags;
	bool hole, lost;

	leave_view(r);
	r->after = pos.segment ? pos.segment - 1 : 0;
	v = shelf_from(shelf, pos.segment, &hole);
	if (!v)
		return ST_OK;
	flags = atomic_load(&v->flags);
	lost = lost_before(v, hole, pos);
	if ((flags & VIEW_GONE) || ((flags & VIEW_SEALED) &&
	    v->number == pos.segment && pos.offset >= atomic_load(&v->end)))
		r->after = v->number;
	shelf_unref(shelf, &v);
	return lost ? ST_MISSING : ST_OK;
}

/* The view behind the one that was read; false if there is none. */
static bool
next_view(struct spool_reader *r)
{
	bool hole;
	struct view *v = shelf_from(r->readers->shelf, r->after + 1, &hole);

	if (!v)
		return false;
	leave_view(r);
	r->view = v;
	return true;
}

/* The rest of the segment cannot be had. */
static enum status
lose(struct spool_reader *r, enum status why, struct spool_record *out)
{
	uint64_t from = r->scan.file ? r->scan.offset : FORMAT_HEADER;
	uint64_t end = atomic_load(&r->view->end);

	*out = (struct spool_record){
		.pos = { r->view->number, from },
		.next = { r->view->number + 1, 0 },
	};
	if (end > from && why != ST_MISSING)
		metric_add(METRIC_SPOOL_CUT, (int64_t)(end - from));
	scan_close(&r->scan);
	r->skip = true;
	return why;
}

static enum status
open_view(struct spool_reader *r)
{
	char path[SPOOL_PATH_MAX];

	spool_path(path, r->readers->directory, SPOOL_SEGMENT, r->view->number,
	    ".rwl");
	return scan_open(&r->scan, path, r->view->number);
}

/* ST_WAIT: there is nothing more in this segment. */
static enum status
read_view(struct spool_reader *r, struct spool_record *out)
{
	uint64_t end = atomic_load(&r->view->end);
	enum status st = ST_OK;

	if (r->skip)
		return ST_WAIT;
	if (!r->scan.file)
		st = open_view(r);
	if (st == ST_OK) {
		if (r->scan.offset >= end)
			return ST_WAIT;
		r->scan.end = end;
		st = scan_next(&r->scan, out);
	}
	if (st == ST_OK)
		return st;
	if (st == ST_NO_MEMORY)
		return st;
	if (atomic_load(&r->view->flags) & VIEW_GONE)
		st = ST_MISSING;
	else if (st != ST_MISSING && st != ST_DISK)
		st = ST_DAMAGED; /* an end before the end, too */
	return lose(r, st, out);
}

/* Dropped by retention, and not read to its end before. */
static bool
dropped(const struct spool_reader *r, unsigned flags)
{
	return (flags & VIEW_GONE) && !r->skip && !(r->scan.file &&
	    r->scan.offset >= atomic_load(&r->view->end));
}

static enum status
read_once(struct spool_reader *r, struct spool_record *out)
{
	for (;;) {
		unsigned flags;
		enum status st;

		if (!r->view && !next_view(r))
			return ST_END;
		/* Before the end: then that is the last one. */
		flags = atomic_load(&r->view->flags);
		if (dropped(r, flags))
			return lose(r, ST_MISSING, out);
		st = read_view(r, out);
		if (st != ST_WAIT)
			return st;
		if (!(flags & VIEW_SEALED)) /* S5 */
			return ST_END;
		r->after = r->view->number;
		if (!next_view(r))
			return ST_END;
	}
}

enum status
spool_read(struct spool_reader *r, struct spool_record *out)
{
	enum status st = read_once(r, out);

	if (st != ST_END)
		return st;
	/* First ask to be woken, then look again: nothing is missed. */
	atomic_store(&r->hungry, true);
	st = read_once(r, out);
	if (st != ST_END)
		atomic_store(&r->hungry, false);
	return st;
}

void
spool_reader_release(struct spool_reader *r, struct spool_pos pos)
{
	if (shelf_release(r->readers->shelf, r->claim, pos))
		r->readers->can_remove(r->spool);
}

uint64_t
spool_backlog(struct spool_reader *r, struct spool_pos pos)
{
	return shelf_backlog(r->readers->shelf, pos);
}

uint64_t
spool_reader_segment(const struct spool_reader *r)
{
	return r->view ? r->view->number : r->after;
}

struct spool_pos
spool_oldest(struct spool_reader *r)
{
	return shelf_oldest(r->readers->shelf);
}

struct spool_pos
spool_newest(struct spool_reader *r)
{
	return shelf_newest(r->readers->shelf);
}
