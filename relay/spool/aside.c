/* aside.c - segments of its own, and the oldest of them gone when they are too many.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/aside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "spool/done.h"
#include "spool/recover.h"
#include "spool/scan.h"
#include "spool/segment.h"
#include "spool/spool_priv.h"

#define SEGMENTS 8			/* in what may be used */
#define STEP ((uint64_t)64 << 10)	/* reserved at a time */
#define LEAST (SEGMENTS * STEP)
#define WHY_MAX ((size_t)1 << 16)

struct aside_segment {
	uint64_t number, bytes, records;
	bool damaged;			/* there is more that cannot be read */
	struct done done;		/* owned */
};

struct aside {
	struct aside_opts o;
	char directory[SPOOL_PATH_MAX];	/* with folder and name */
	struct segment *segment;	/* owned; NULL: none yet */
	struct done done;		/* owned; of that one */
	uint32_t stream;		/* last used in it */
	uint64_t highest;		/* number of a segment */
	struct aside_segment *old;	/* owned; what is not written any more */
	uint32_t n_old, max_old;
	uint64_t old_bytes;

	struct scan scan;		/* of whoever reads */
	uint64_t scanned;		/* segment that it has open; 0: none */
	struct spool_pos read;		/* entry that was read last */
	struct buf why;			/* of the one that comes next */
	int64_t since_ms;
};

/* ---- what is there ---------------------------------------------------------- */

static enum status
remember(struct aside *a, struct aside_segment s)
{
	uint32_t i, max = a->max_old + a->max_old / 2 + SEGMENTS;
	struct aside_segment *more;

	if (a->n_old == a->max_old) {
		more = realloc(a->old, max * sizeof(*more));
		if (!more)
			return ST_NO_MEMORY;
		a->old = more;
		a->max_old = max;
	}
	for (i = a->n_old++; i > 0 && a->old[i - 1].number > s.number; i--)
		a->old[i] = a->old[i - 1];
	a->old[i] = s;
	a->old_bytes += s.bytes;
	if (s.number > a->highest)
		a->highest = s.number;
	return ST_OK;
}

struct finding {
	struct aside *aside;
	enum status status;
};

static void
found(uint64_t number, enum status st, const struct recover_finding *f,
    void *arg)
{
	struct finding *all = arg;
	struct aside_segment s = { .number = number };

	if (st == ST_OK) {
		s.bytes = f->size;
		s.records = f->totals.records;
		s.damaged = f->damaged;
	}
	if (all->status == ST_OK)
		all->status = done_read(all->aside->o.disk,
		    all->aside->directory, number, &s.done);
	if (all->status == ST_OK)
		all->status = remember(all->aside, s);
	if (all->status != ST_OK)
		done_fini(&s.done);
}

/* DIRECTORY/FOLDER/NAME */
static enum status
place(const struct aside_opts *o, char to[SPOOL_PATH_MAX])
{
	char folder[SPOOL_PATH_MAX];

	spool_path_named(folder, o->directory, o->folder, NULL);
	if (strlen(folder) + strlen(o->name) >= SPOOL_DIRECTORY_MAX)
		return ST_TOO_LARGE;
	spool_path_named(to, folder, o->name, NULL);
	return ST_OK;
}

/* What a segment of that number had that was here before. */
static enum status
remove_marks(struct aside *a, uint64_t number)
{
	char path[SPOOL_PATH_MAX];
	enum status st;

	spool_path(path, a->directory, SPOOL_SEGMENT, number, DONE_SUFFIX);
	st = a->o.disk->unlink(a->o.disk->arg, path);
	return st == ST_MISSING ? ST_OK : st;
}

/* The marks go behind the segment: without it they say nothing. */
static enum status
remove_segment(struct aside *a, uint32_t i)
{
	const struct disk_ops *d = a->o.disk;
	struct aside_segment *s = &a->old[i];
	char path[SPOOL_PATH_MAX];
	enum status st;

	spool_path(path, a->directory, SPOOL_SEGMENT, s->number, ".rwl");
	st = d->unlink(d->arg, path);
	if (st != ST_OK && st != ST_MISSING)
		return st;
	(void)remove_marks(a, s->number); /* else before the next of that number */
	a->old_bytes -= s->bytes;
	done_fini(&s->done);
	a->n_old--;
	memmove(s, s + 1, (a->n_old - i) * sizeof(*s));
	return ST_OK;
}

static bool
is_over(const struct aside_segment *s)
{
	return s->records > 0 && !s->damaged && s->done.n >= s->records / 2;
}

static void
remove_over(struct aside *a)
{
	uint32_t i = a->n_old;

	while (i-- > 0)
		if (is_over(&a->old[i]))
			(void)remove_segment(a, i); /* else at the next start */
}

enum status
aside_open(const struct aside_opts *o, struct aside **out)
{
	struct aside *a = calloc(1, sizeof(*a));
	struct finding all = { a, ST_OK };
	enum status st;

	if (!a)
		return ST_NO_MEMORY;
	a->o = *o;
	if (a->o.most_bytes < LEAST)
		a->o.most_bytes = LEAST;
	scan_init(&a->scan, o->disk);
	buf_init(&a->why, WHY_MAX);
	st = place(o, a->directory);
	if (st == ST_OK)
		st = recover_verify(o->disk, a->directory, false,
		    found, &all);
	if (st == ST_MISSING)
		st = ST_OK;
	if (st == ST_OK)
		st = all.status;
	if (st == ST_OK)
		remove_over(a);
	else
		aside_close(&a);
	*out = a;
	return st;
}

struct removal {
	const struct disk_ops *disk;
	char directory[SPOOL_PATH_MAX];
	enum status status;
};

static void
remove_one(const char *name, void *arg)
{
	char path[SPOOL_PATH_MAX];
	struct removal *r = arg;
	enum status st;

	if (strlen(name) > SPOOL_NAME_MAX)
		return;		/* none of ours */
	spool_path_named(path, r->directory, SPOOL_SEGMENT, name);
	st = r->disk->unlink(r->disk->arg, path);
	if (st != ST_OK)
		r->status = st;
}

enum status
aside_remove(const struct aside_opts *o)
{
	struct removal r = { .disk = o->disk, .status = ST_OK };
	char dir[SPOOL_PATH_MAX];
	enum status st = place(o, r.directory);

	if (st != ST_OK)
		return st;
	spool_path(dir, r.directory, SPOOL_SEGMENT, 0, NULL);
	st = o->disk->list(o->disk->arg, dir, remove_one, &r);
	if (st == ST_OK)
		st = r.status;
	return st == ST_OK ? o->disk->sync_dir(o->disk->arg, dir) : st;
}

void
aside_close(struct aside **taken)
{
	struct aside *a = *taken;
	uint32_t i;

	*taken = NULL;
	if (!a)
		return;
	if (a->segment)
		(void)segment_seal(a->segment);
	segment_free(&a->segment);
	done_fini(&a->done);
	for (i = 0; i < a->n_old; i++)
		done_fini(&a->old[i].done);
	scan_fini(&a->scan);
	buf_fini(&a->why);
	free(a->old);
	free(a);
}

uint64_t
aside_bytes(const struct aside *a)
{
	return a->old_bytes + (a->segment ? segment_size(a->segment) : 0);
}

/* ---- writing ------------------------------------------------------------------ */

static enum status
make_directories(const struct aside *a)
{
	const struct disk_ops *d = a->o.disk;
	char path[SPOOL_PATH_MAX];
	enum status st;

	spool_path_named(path, a->o.directory, a->o.folder, NULL);
	st = d->make_dir(d->arg, path);
	if (st == ST_OK)
		st = d->sync_dir(d->arg, a->o.directory);
	if (st == ST_OK)
		st = d->make_dir(d->arg, a->directory);
	if (st == ST_OK)
		st = d->sync_dir(d->arg, path);
	spool_path(path, a->directory, SPOOL_SEGMENT, 0, NULL);
	if (st == ST_OK)
		st = d->make_dir(d->arg, path);
	return st == ST_OK ? d->sync_dir(d->arg, a->directory) : st;
}

/* What is being written is not any more. */
static enum status
finish(struct aside *a, enum status (*end)(struct segment *))
{
	struct aside_segment s = { .number = segment_number(a->segment) };
	enum status st = end(a->segment);

	s.bytes = segment_size(a->segment);
	s.records = segment_records(a->segment);
	s.done = a->done;
	a->done = (struct done){ .n = 0 };
	segment_free(&a->segment);
	if (remember(a, s) == ST_OK)
		return st;
	done_fini(&s.done);
	return ST_NO_MEMORY;
}

static enum status
ready(struct aside *a)
{
	struct segment_opts o = {
		.disk = a->o.disk,
		.directory = a->directory,
		.reserve = STEP,
		.step = STEP,
		.sync = SPOOL_SYNC_ALWAYS,
		.aside = true,
	};
	enum status st;

	if (a->segment && segment_end(a->segment) >= a->o.most_bytes / SEGMENTS) {
		st = finish(a, segment_seal);
		if (st != ST_OK)
			return st;
	}
	if (a->segment)
		return ST_OK;
	o.number = a->highest + 1;
	st = make_directories(a);
	if (st == ST_OK)
		st = remove_marks(a, o.number);
	if (st == ST_OK)
		st = segment_create(&o, &a->segment);
	if (st != ST_OK)
		return st;
	a->highest = o.number;
	a->stream = 0;
	return ST_OK;
}

/* Room for n more bytes, as far as there is something old. */
static uint64_t
make_room(struct aside *a, uint64_t n)
{
	uint64_t removed = 0, entries;

	while (a->n_old > 0 && aside_bytes(a) + n > a->o.most_bytes) {
		entries = a->old[0].records / 2;
		entries -= a->old[0].done.n < entries ? a->old[0].done.n :
		    entries;
		if (remove_segment(a, 0) != ST_OK)
			break;
		removed += entries;
	}
	return removed;
}

enum status
aside_put(struct aside *a, const struct aside_entry *e, uint64_t *removed)
{
	struct spool_write why = { .stream = 0, .data = e->why,
		.wall_ms = e->since_ms };
	struct spool_write what = { .data = e->data, .wall_ms = e->wall_ms };
	enum status st = ready(a);

	*removed = 0;
	if (st != ST_OK)
		return st;
	*removed = make_room(a, e->why.n + e->data.n + STEP);
	what.stream = ++a->stream;
	segment_queue(a->segment, &why);
	segment_queue(a->segment, &what);
	st = segment_commit(a->segment);
	(void)segment_take(a->segment);
	if (st != ST_OK)
		(void)finish(a, segment_cut);
	return st;
}

/* ---- reading, and being over -------------------------------------------------- */

struct spool_pos
aside_end(const struct aside *a)
{
	if (a->segment)
		return (struct spool_pos){ segment_number(a->segment),
			segment_end(a->segment) };
	return (struct spool_pos){ a->highest + 1, 0 };
}

/* NULL: there is no such old one. */
static struct aside_segment *
old_from(struct aside *a, uint64_t number)
{
	uint32_t i;

	for (i = 0; i < a->n_old; i++)
		if (a->old[i].number >= number)
			return &a->old[i];
	return NULL;
}

static void
stop_reading(struct aside *a)
{
	scan_close(&a->scan);
	a->scanned = 0;
}

/* From its beginning; one that cannot be read is passed over. */
static enum status
open_from(struct aside *a, uint64_t number)
{
	const struct aside_segment *s;
	char path[SPOOL_PATH_MAX];
	enum status st = ST_END;

	stop_reading(a);
	do {
		s = old_from(a, number);
		if (s)
			number = s->number;
		else if (a->segment && segment_number(a->segment) >= number)
			number = segment_number(a->segment);
		else
			return ST_END;
		spool_path(path, a->directory, SPOOL_SEGMENT, number, ".rwl");
		st = scan_open(&a->scan, path, number);
		a->scanned = number++;
	} while (st == ST_DAMAGED || st == ST_BAD_FORMAT || st == ST_MISSING);
	if (st != ST_OK)
		a->scanned = 0;
	return st;
}

static const struct done *
limit_scan(struct aside *a)
{
	struct aside_segment *s = old_from(a, a->scanned);

	if (s && s->number == a->scanned) {
		a->scan.end = s->bytes;
		return &s->done;
	}
	if (!a->segment || segment_number(a->segment) != a->scanned)
		return NULL;
	a->scan.end = segment_end(a->segment);
	return &a->done;
}

/* The next one of the segment that is open, ST_WAIT: there is none. */
static enum status
read_entry(struct aside *a, struct spool_pos after, struct spool_record *r)
{
	const struct done *done = limit_scan(a);
	enum status st;

	if (!done)
		return ST_WAIT;
	for (;;) {
		st = scan_next(&a->scan, r);
		if (st == ST_END || st == ST_DAMAGED)
			return ST_WAIT;
		if (st != ST_OK)
			return st;
		if (r->stream == 0) {
			buf_reset(&a->why, WHY_MAX);
			(void)buf_append(&a->why, r->data.p, r->data.n);
			a->since_ms = r->wall_ms;
			continue;
		}
		a->read = r->pos;
		if (spool_pos_cmp(r->pos, after) > 0 &&
		    !done_has(done, r->pos.offset))
			return ST_OK;
	}
}

enum status
aside_next(struct aside *a, struct spool_pos after, struct spool_pos *at,
    struct aside_entry *out)
{
	struct spool_record r;
	enum status st = ST_OK;

	if (!a->scanned || spool_pos_cmp(a->read, after) != 0)
		st = open_from(a, after.segment);
	while (st == ST_OK) {
		st = read_entry(a, after, &r);
		if (st != ST_WAIT)
			break;
		st = open_from(a, a->scanned + 1);
	}
	if (st != ST_OK) {
		stop_reading(a);
		return st;
	}
	*at = r.pos;
	*out = (struct aside_entry){ .why = buf_bytes(&a->why),
		.since_ms = a->since_ms, .data = r.data, .wall_ms = r.wall_ms };
	return ST_OK;
}

enum status
aside_over(struct aside *a, uint64_t segment, const uint64_t *offsets,
    uint32_t n)
{
	bool current = a->segment && segment_number(a->segment) == segment;
	struct aside_segment *s = old_from(a, segment);
	enum status st;

	if (!current && (!s || s->number != segment))
		return ST_OK;	/* it had to go, with all that was in it */
	st = done_add(current ? &a->done : &s->done, a->o.disk, a->directory,
	    segment, offsets, n);
	if (st != ST_OK)
		return st;
	if (current && a->done.n >= segment_records(a->segment) / 2)
		(void)finish(a, segment_seal); /* else the next one is */
	remove_over(a);
	return ST_OK;
}
