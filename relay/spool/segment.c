/* segment.c - one gathered write and one sync for all that waits.
 * SPDX-License-Identifier: Apache-2.0
 *
 *            commit          seal
 *            ┌──┐       ┌──────────► SEALED  footer synced, file as long as it
 *            ▼  │       │               ▲    should be
 *  create ─► OPEN ──────┤               │ cut
 *                       └──────────► FAILED ──┐ cut failed
 *                         commit failed ▲─────┘
 *
 *  OPEN    all below end is durable; above it is nothing, or zeros
 *  FAILED  all below end is durable; what is above was not acknowledged   */
#include "spool/segment.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/metric.h"
#include "spool/spool_priv.h"

#define SHARE 4				/* of the file may be reserved ahead */
#define GATHER 512			/* records in one system call, two vectors each */

static_assert(2 * GATHER <= IOV_MAX, "a gathered write is one call");

enum segment_state { SEGMENT_OPEN, SEGMENT_FAILED, SEGMENT_SEALED };

struct segment {
	struct segment_opts o;
	enum segment_state state;
	char path[SPOOL_PATH_MAX];
	struct disk_file *file;		/* owned */
	uint32_t seed;
	uint64_t end;			/* durable */
	uint64_t size;			/* of the file */
	uint64_t most;			/* it shall be no larger */
	int64_t wall_ms;		/* of the last durable record */
	struct format_footer totals;	/* of the durable records */
	struct spool_write *first, **last;	/* queued; borrowed */
};

/* A gathered write in the making. */
struct gather {
	struct iovec iov[2 * GATHER];
	uint8_t frame[GATHER][FORMAT_FRAME_MAX];
	int n;				/* records */
	uint64_t offset, size;
};

static void
enter(struct segment *s, enum segment_state to)
{
	assert(s->state == SEGMENT_OPEN ||
	    (s->state == SEGMENT_FAILED && to == SEGMENT_SEALED));
	s->state = to;
}

/* ---- life ------------------------------------------------------------------ */

static enum status
write_bytes(struct segment *s, uint64_t offset, const uint8_t *p, size_t n)
{
	struct iovec iov = { .iov_len = n };

	memcpy(&iov.iov_base, &p, sizeof(p)); /* writev takes no const */
	return s->o.disk->write(s->o.disk->arg, s->file, offset, &iov, 1);
}

static enum status
write_header(struct segment *s)
{
	struct format_header h = { .number = s->o.number };
	uint8_t raw[FORMAT_HEADER];

	if (getrandom(h.id, sizeof(h.id), 0) != (ssize_t)sizeof(h.id))
		return ST_SYSTEM;
	s->wall_ms = h.created_ms = clock_wall() / CLOCK_MS;
	s->seed = format_seed(h.id);
	format_header_put(raw, &h);
	return write_bytes(s, 0, raw, sizeof(raw));
}

/* The file under its temporary name, whole and synced. */
static enum status
make_file(struct segment *s, const char *path)
{
	const struct disk_ops *d = s->o.disk;
	enum status st;

	st = d->open(d->arg, path, true, true, &s->file);
	if (st != ST_OK)
		return st;
	st = write_header(s);
	if (st == ST_OK && s->o.reserve > s->size) {
		s->size = s->o.reserve;
		st = d->allocate(d->arg, s->file, s->size);
	}
	return st == ST_OK ? d->sync(d->arg, s->file) : st;
}

enum status
segment_create(const struct segment_opts *o, struct segment **out)
{
	const struct disk_ops *d = o->disk;
	char making[SPOOL_PATH_MAX], dir[SPOOL_PATH_MAX];
	struct segment *s = calloc(1, sizeof(*s));
	enum status st;

	if (!s)
		return ST_NO_MEMORY;
	s->o = *o;
	s->end = s->size = FORMAT_HEADER;
	s->most = UINT64_MAX;
	s->last = &s->first;
	spool_path(s->path, o->directory, SPOOL_SEGMENT, o->number, ".rwl");
	spool_path(making, o->directory, SPOOL_SEGMENT, o->number, ".tmp");
	spool_path(dir, o->directory, SPOOL_SEGMENT, 0, NULL);
	(void)d->unlink(d->arg, making); /* of a try that failed */
	st = make_file(s, making);
	if (st == ST_OK)
		st = d->rename(d->arg, making, s->path);
	if (st == ST_OK)
		st = d->sync_dir(d->arg, dir);
	if (st == ST_OK) {
		*out = s;
		return ST_OK;
	}
	(void)d->unlink(d->arg, making);
	(void)d->unlink(d->arg, s->path);
	segment_free(&s);
	return st;
}

void
segment_free(struct segment **sp)
{
	struct segment *s = *sp;

	if (!s)
		return;
	assert(!s->first);
	s->o.disk->close(s->o.disk->arg, &s->file);
	free(s);
	*sp = NULL;
}

uint64_t
segment_number(const struct segment *s)
{
	return s->o.number;
}

uint64_t
segment_end(const struct segment *s)
{
	return s->end;
}

uint64_t
segment_size(const struct segment *s)
{
	return s->size;
}

uint64_t
segment_records(const struct segment *s)
{
	return s->totals.records;
}

int64_t
segment_last_ms(const struct segment *s)
{
	return s->totals.last_ms;
}

/* ---- writing ----------------------------------------------------------------- */

void
segment_queue(struct segment *s, struct spool_write *w)
{
	assert(s->state == SEGMENT_OPEN);
	w->next = NULL;
	*s->last = w;
	s->last = &w->next;
}

bool
segment_queued(const struct segment *s)
{
	return s->first;
}

static uint64_t
bytes_of_all(const struct spool_write *w)
{
	uint64_t n = 0;

	for (; w; w = w->next)
		n += FORMAT_FRAME_MAX + w->data.n;
	return n;
}

uint64_t
segment_queued_bytes(const struct segment *s)
{
	return bytes_of_all(s->first);
}

struct spool_write *
segment_take(struct segment *s)
{
	struct spool_write *w = s->first;

	s->first = NULL;
	s->last = &s->first;
	return w;
}

struct spool_write *
segment_fit(struct segment *s, uint64_t most, uint64_t *bytes)
{
	uint64_t end = s->end + FORMAT_FOOTER;
	struct spool_write **at = &s->first, *excess;

	s->most = most;
	while (*at && end + FORMAT_FRAME_MAX + (*at)->data.n <= most) {
		end += FORMAT_FRAME_MAX + (*at)->data.n;
		at = &(*at)->next;
	}
	excess = *at;
	*at = NULL;
	s->last = at;
	*bytes = bytes_of_all(excess);
	return excess;
}

/* How much to reserve now: beside what little a quiet edge sends, two megabytes of room
 * would be most of what the spool takes. */
static uint64_t
step_of(const struct segment *s)
{
	uint64_t step = s->end / SHARE / SPOOL_BLOCK * SPOOL_BLOCK;

	if (step < SEGMENT_RESERVE)
		step = SEGMENT_RESERVE;
	return step < s->o.step ? step : s->o.step;
}

enum status
segment_ahead(struct segment *s, uint64_t most)
{
	const struct disk_ops *d = s->o.disk;
	uint64_t step = step_of(s), size = s->size + step;
	enum status st;

	if (s->size - s->end >= step / 2 || size > most)
		return ST_OK;
	st = d->allocate(d->arg, s->file, size);
	if (st == ST_OK)
		s->size = size;
	return st;
}

/* Blocks for a commit that is larger than what was reserved. */
static enum status
make_room(struct segment *s, uint64_t end)
{
	const struct disk_ops *d = s->o.disk;
	uint64_t size = s->size, step = step_of(s);
	enum status st;

	if (end <= size)
		return ST_OK;
	size += (end - size + step - 1) / step * step;
	if (size > s->most)
		size = s->most > end ? s->most : end;
	st = d->allocate(d->arg, s->file, size);
	if (st == ST_OK)
		s->size = size;
	return st;
}

/* To whole seconds, down or up. */
static struct format_points
points_of(const struct spool_points *p)
{
	struct format_points out = { .n = p->n };

	if (!p->n)
		return out;
	out.oldest_s = p->oldest_ms / 1000 - (p->oldest_ms % 1000 < 0);
	out.newest_s = p->newest_ms / 1000 + (p->newest_ms % 1000 > 0);
	return out;
}

static void
add(struct segment *s, struct gather *g, struct format_footer *t,
    int64_t *wall_ms, const struct spool_write *w)
{
	struct format_place at = { s->seed, g->offset + g->size, *wall_ms };
	struct format_record r = {
		/* S1: the commit before this one has been synced. */
		.synced = at.offset == s->end &&
		    s->o.sync == SPOOL_SYNC_ALWAYS,
		.stream = w->stream,
		.wall_ms = w->wall_ms,
		.points = points_of(&w->points),
		.data = w->data,
	};
	struct iovec *iov = &g->iov[2 * g->n];
	uint8_t *frame = g->frame[g->n];

	iov[0].iov_base = frame;
	iov[0].iov_len = format_frame(frame, at, &r);
	memcpy(&iov[1].iov_base, &w->data.p, sizeof(w->data.p));
	iov[1].iov_len = w->data.n;
	g->size += iov[0].iov_len + iov[1].iov_len;
	g->n++;
	*wall_ms = w->wall_ms;
	format_count(t, r.wall_ms, r.points,
	    s->o.edge_of && s->o.edge_of(r.data).n);
}

static enum status
flush(struct segment *s, struct gather *g)
{
	const struct disk_ops *d = s->o.disk;
	enum status st = make_room(s, g->offset + g->size);

	if (st == ST_OK)
		st = d->write(d->arg, s->file, g->offset, g->iov, 2 * g->n);
	g->offset += g->size;
	g->size = 0;
	g->n = 0;
	return st;
}

static enum status
sync_file(struct segment *s)
{
	const struct disk_ops *d = s->o.disk;
	int64_t before = clock_mono();
	enum status st = d->sync(d->arg, s->file);

	if (!s->o.aside)
		metric_observe(METRIC_SPOOL_SYNC_SECONDS,
		    clock_mono() - before);
	return st;
}

enum status
segment_commit(struct segment *s)
{
	struct gather g = { .n = 0, .offset = s->end };
	struct format_footer totals = s->totals;
	int64_t wall_ms = s->wall_ms;
	enum status st = ST_OK;
	struct spool_write *w;

	assert(s->state == SEGMENT_OPEN);
	for (w = s->first; w && st == ST_OK; w = w->next) {
		add(s, &g, &totals, &wall_ms, w);
		if (g.n == GATHER || !w->next)
			st = flush(s, &g);
	}
	if (st == ST_OK && s->o.sync == SPOOL_SYNC_ALWAYS)
		st = sync_file(s);
	if (st != ST_OK) {
		enter(s, SEGMENT_FAILED); /* S7 */
		return st;
	}
	if (!s->o.aside) {
		metric_add(METRIC_SPOOL_WRITTEN, (int64_t)(g.offset - s->end));
		metric_add(METRIC_SPOOL_RECORDS,
		    (int64_t)(totals.records - s->totals.records));
		metric_add(METRIC_SPOOL_COMMITS, 1);
	}
	s->end = g.offset;
	s->wall_ms = wall_ms;
	s->totals = totals;
	return ST_OK;
}

/* ---- the end ------------------------------------------------------------------ */

static enum status
finish(struct segment *s)
{
	const struct disk_ops *d = s->o.disk;
	uint8_t raw[FORMAT_FOOTER];
	enum status st;

	s->totals.end = s->end;
	format_footer_put(raw, s->seed, &s->totals);
	st = write_bytes(s, s->end, raw, sizeof(raw));
	if (st == ST_OK)
		st = d->truncate(d->arg, s->file, s->end + sizeof(raw));
	if (st == ST_OK)
		st = d->sync(d->arg, s->file);
	if (st != ST_OK)
		return st;
	s->size = s->end + sizeof(raw);
	enter(s, SEGMENT_SEALED);
	return ST_OK;
}

enum status
segment_seal(struct segment *s)
{
	assert(s->state == SEGMENT_OPEN && !s->first);
	return finish(s);
}

enum status
segment_cut(struct segment *s)
{
	const struct disk_ops *d = s->o.disk;
	enum status st;

	assert(s->state == SEGMENT_FAILED && !s->first);
	/* First what was refused: the rest is only for the next start's sake. */
	st = d->truncate(d->arg, s->file, s->end);
	if (st != ST_OK)
		return st;
	s->size = s->end;
	s->totals.flags |= FORMAT_FAILED;
	return finish(s);
}
