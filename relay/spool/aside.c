/* aside.c - segments of its own, and the oldest of them gone when they are too many.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/aside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "spool/recover.h"
#include "spool/segment.h"
#include "spool/spool_priv.h"

#define SEGMENTS 8			/* in what may be used */
#define STEP ((uint64_t)64 << 10)	/* reserved at a time */
#define LEAST (SEGMENTS * STEP)

struct aside_segment {
	uint64_t number, bytes, records;
};

struct aside {
	struct aside_opts o;
	char directory[SPOOL_PATH_MAX];	/* with folder and name */
	struct segment *segment;	/* owned; NULL: none yet */
	uint32_t stream;		/* last used in it */
	uint64_t highest;		/* number of a segment */
	struct aside_segment *old;	/* owned; what is not written any more */
	uint32_t n_old, max_old;
	uint64_t old_bytes;
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
	}
	if (all->status == ST_OK)
		all->status = remember(all->aside, s);
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
	st = place(o, a->directory);
	if (st == ST_OK)
		st = recover_verify(o->disk, a->directory, false,
		    found, &all);
	if (st == ST_MISSING)
		st = ST_OK;
	if (st == ST_OK)
		st = all.status;
	if (st != ST_OK)
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

	*taken = NULL;
	if (!a)
		return;
	if (a->segment)
		(void)segment_seal(a->segment);
	segment_free(&a->segment);
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
	segment_free(&a->segment);
	return remember(a, s) == ST_OK ? st : ST_NO_MEMORY;
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
	const struct disk_ops *d = a->o.disk;
	char path[SPOOL_PATH_MAX];
	uint64_t removed = 0;
	uint32_t i;

	for (i = 0; i < a->n_old &&
	    aside_bytes(a) + n > a->o.most_bytes; i++) {
		spool_path(path, a->directory, SPOOL_SEGMENT, a->old[i].number,
		    ".rwl");
		if (d->unlink(d->arg, path) != ST_OK)
			break;
		removed += a->old[i].records / 2;
		a->old_bytes -= a->old[i].bytes;
	}
	if (i == 0)
		return 0;
	a->n_old -= i;
	memmove(a->old, a->old + i, a->n_old * sizeof(*a->old));
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
