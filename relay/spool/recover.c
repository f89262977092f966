/* recover.c - look at each file, mend what a crash left, tell what a disk did.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/recover.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "spool/scan.h"
#include "spool/shelf.h"

/* ---- one file ---------------------------------------------------------------- */

static enum status
read_footer(struct scan *s, struct recover_finding *f)
{
	uint8_t raw[FORMAT_FOOTER];
	size_t n = sizeof(raw);
	enum status st;

	if (f->size < FORMAT_HEADER + FORMAT_FOOTER)
		return ST_OK;
	st = s->disk->read(s->disk->arg, s->file, f->size - sizeof(raw), raw,
	    &n);
	if (st == ST_OK && n == sizeof(raw))
		f->sealed = format_footer_get(raw, s->seed,
		    f->size - sizeof(raw), &f->totals);
	return st;
}

/* Records from the offset on, up to where they stop.  Counted are those that can be
 * decoded: before any damage. */
static enum status
read_stretch(struct scan *s, struct recover_finding *f)
{
	struct spool_record r;
	enum status st;

	while ((st = scan_next(s, &r)) == ST_OK) {
		if (!(f->totals.flags & FORMAT_DAMAGED))
			format_count(&f->totals, r.wall_ms, s->points,
			    f->edge_of && f->edge_of(r.data).n);
		if (s->synced)
			f->unsure = r.pos.offset;
	}
	return st == ST_END || st == ST_DAMAGED ? ST_OK : st;
}

/* The next place after the scan's offset where a synced record stands; s->end if
 * there is none.  *last: past the last byte that is not zero. */
static enum status
find_synced(struct scan *s, uint64_t *at, uint64_t *last)
{
	uint64_t from = s->offset, o;

	*last = from;
	for (o = from + 1; o < s->end; o++) {
		struct spool_record r;
		struct bytes have;
		enum status st = scan_peek(s, o, FORMAT_FRAME_MAX, &have);

		if (st != ST_OK)
			return st;
		if (have.n == 0)
			break;
		if (have.p[0])
			*last = o + 1;
		if (!format_marked(have, s->seed, o))
			continue;
		s->offset = o;
		st = scan_next(s, &r);
		s->offset = from;
		if (st == ST_OK) {
			*at = o;
			return ST_OK;
		}
		if (st != ST_END && st != ST_DAMAGED)
			return st;
	}
	*at = s->end;
	return ST_OK;
}

/* As the last process left it: the records, and what it was writing. */
static enum status
read_through(struct scan *s, struct recover_finding *f)
{
	uint64_t good, at, last;
	enum status st;

	s->end = f->size;
	st = read_stretch(s, f);
	good = s->offset;
	while (st == ST_OK) {
		f->totals.end = s->offset;
		st = find_synced(s, &at, &last);
		if (st != ST_OK || at == s->end)
			break;
		f->totals.flags |= FORMAT_DAMAGED;
		s->offset = at;
		st = read_stretch(s, f);
	}
	if (st != ST_OK)
		return st;
	f->damaged = f->totals.end - good;
	f->cut = last > f->totals.end ? last - f->totals.end : 0;
	if (f->cut)
		f->totals.flags |= FORMAT_CUT;
	return ST_OK;
}

/* A sealed one: records up to the footer, and it knows how many. */
static enum status
check_through(struct scan *s, struct recover_finding *f)
{
	struct recover_finding seen = { .sealed = true };
	enum status st;

	s->end = f->totals.end;
	st = read_stretch(s, &seen);
	f->damaged = s->end - s->offset;
	return st;
}

static enum status
look(struct scan *s, const char *path, uint64_t number, bool all,
    struct recover_finding *f)
{
	enum status st = scan_open(s, path, number);

	if (st != ST_OK)
		return st;
	f->readable = true;
	st = s->disk->size(s->disk->arg, s->file, &f->size);
	if (st == ST_OK)
		st = read_footer(s, f);
	if (st != ST_OK)
		return st;
	if (!f->sealed)
		return read_through(s, f);
	return all ? check_through(s, f) : ST_OK;
}

static enum status
look_without_header(const struct disk_ops *disk, const char *path,
    struct recover_finding *f)
{
	struct disk_file *file = NULL;
	enum status st = disk->open(disk->arg, path, false, false, &file);

	if (st == ST_OK)
		st = disk->size(disk->arg, file, &f->size);
	disk->close(disk->arg, &file);
	if (f->size > FORMAT_HEADER)
		f->totals.end = f->size;
	f->damaged = f->size;
	return st;
}

static enum status
look_at(const struct disk_ops *disk, const char *directory, uint64_t number,
    bool all, spool_edge_fn *edge_of, struct recover_finding *out)
{
	char path[SPOOL_PATH_MAX];
	struct scan s;
	enum status st;

	*out = (struct recover_finding){ .totals.end = FORMAT_HEADER,
		.unsure = FORMAT_HEADER, .edge_of = edge_of };
	spool_path(path, directory, SPOOL_SEGMENT, number, ".rwl");
	scan_init(&s, disk);
	st = look(&s, path, number, all, out);
	if (st == ST_DAMAGED)
		st = look_without_header(disk, path, out);
	scan_fini(&s);
	return st;
}

enum status
recover_look(const struct disk_ops *disk, const char *directory,
    uint64_t number, bool all, struct recover_finding *out)
{
	return look_at(disk, directory, number, all, NULL, out);
}

/* ---- all of them --------------------------------------------------------------- */

struct listing {
	uint64_t *numbers;		/* owned; in order */
	size_t n, cap;
	uint64_t gone;			/* highest of a .gone file */
	enum status status;
};

static void
each_file(const char *name, void *arg)
{
	struct listing *l = arg;
	uint64_t gone = spool_path_number(name, ".gone");
	uint64_t number = spool_path_number(name, ".rwl");

	if (gone > l->gone)
		l->gone = gone;
	if (!number || l->status != ST_OK)
		return;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		uint64_t *numbers = realloc(l->numbers,
		    cap * sizeof(*numbers));

		if (!numbers) {
			l->status = ST_NO_MEMORY;
			return;
		}
		l->numbers = numbers;
		l->cap = cap;
	}
	l->numbers[l->n++] = number;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* To be freed (numbers), whatever is returned. */
static enum status
list(const struct disk_ops *disk, const char *directory, struct listing *l)
{
	char dir[SPOOL_PATH_MAX];
	enum status st;

	*l = (struct listing){ .status = ST_OK };
	spool_path(dir, directory, SPOOL_SEGMENT, 0, NULL);
	st = disk->list(disk->arg, dir, each_file, l);
	if (l->n)
		qsort(l->numbers, l->n, sizeof(*l->numbers), by_number);
	return st == ST_OK ? l->status : st;
}

enum status
recover_verify(const struct disk_ops *disk, const char *directory, bool all,
    recover_each_fn *each, void *arg)
{
	struct recover_finding f;
	struct listing l;
	enum status st = list(disk, directory, &l);
	size_t i;

	for (i = 0; i < l.n && st == ST_OK; i++) {
		enum status seen = recover_look(disk, directory, l.numbers[i],
		    all, &f);

		each(l.numbers[i], seen, &f, arg);
	}
	free(l.numbers);
	return st;
}

/* ---- at start -------------------------------------------------------------------- */

struct pass {
	const struct disk_ops *disk;
	const char *directory;
	struct shelf *shelf;
	struct recover_sums *sums;
	spool_edge_fn *edge_of;		/* or NULL */
	uint64_t gone;
	enum status status;
};

static void
remove_file(struct pass *p, uint64_t number, const char *suffix)
{
	char path[SPOOL_PATH_MAX];

	spool_path(path, p->directory, SPOOL_SEGMENT, number, suffix);
	(void)p->disk->unlink(p->disk->arg, path); /* else at the next start */
}

static void
tell(const struct pass *p, const char *event, uint64_t number,
    enum status why, const char *hint)
{
	log_error(event, "directory=%s file=" SPOOL_SEGMENT "/%016" PRIx64
	    ".rwl reason=%s hint=\"%s\"", p->directory, number,
	    status_info(why)->word, hint);
}

/* The last commit may be known to this machine's memory only, and its pages counted
 * as clean because a sync of them has failed: written again, the sync below covers
 * them. */
static enum status
write_again(const struct disk_ops *d, struct disk_file *file, uint64_t from,
    uint64_t end)
{
	uint8_t part[4096];
	enum status st = ST_OK;

	while (from < end && st == ST_OK) {
		size_t n = end - from < sizeof(part) ? (size_t)(end - from) :
		    sizeof(part);
		struct iovec iov = { part, n };

		st = d->read(d->arg, file, from, part, &n);
		if (st == ST_OK && n < iov.iov_len)
			st = ST_DISK;
		if (st == ST_OK)
			st = d->write(d->arg, file, from, &iov, 1);
		from += n;
	}
	return st;
}

/* The footer behind the records, and nothing behind the footer. */
static enum status
seal(struct pass *p, uint64_t number, struct recover_finding *f)
{
	const struct disk_ops *d = p->disk;
	struct disk_file *file = NULL;
	char path[SPOOL_PATH_MAX];
	uint8_t raw[FORMAT_FOOTER];
	struct format_header h;
	struct iovec iov = { raw, sizeof(raw) };
	size_t n = FORMAT_HEADER;
	enum status st;

	static_assert(FORMAT_HEADER <= FORMAT_FOOTER, "one buffer does");
	spool_path(path, p->directory, SPOOL_SEGMENT, number, ".rwl");
	st = d->open(d->arg, path, false, true, &file);
	if (st == ST_OK)
		st = d->read(d->arg, file, 0, raw, &n);
	if (st == ST_OK)
		st = format_header_get(raw, &h);
	if (st == ST_OK)
		st = write_again(d, file, f->unsure, f->totals.end);
	if (st == ST_OK) {
		format_footer_put(raw, format_seed(h.id), &f->totals);
		st = d->write(d->arg, file, f->totals.end, &iov, 1);
	}
	if (st == ST_OK)
		st = d->truncate(d->arg, file, f->totals.end + sizeof(raw));
	if (st == ST_OK)
		st = d->sync(d->arg, file);
	if (st == ST_OK)
		f->size = f->totals.end + sizeof(raw);
	d->close(d->arg, &file);
	return st;
}

static void
mend(struct pass *p, uint64_t number, struct recover_finding *f)
{
	enum status st = seal(p, number, f);

	p->sums->read++;
	p->sums->cut += f->cut;
	p->sums->damaged += f->damaged;
	log_info("segment-recovered", "number=%" PRIu64 " records=%" PRIu64
	    " bytes=%" PRIu64 " torn_bytes=%" PRIu64 " damaged_bytes=%" PRIu64,
	    number, f->totals.records, f->totals.end, f->cut, f->damaged);
	if (f->damaged)
		tell(p, "segment-damaged", number, ST_DAMAGED,
		    "records fail their check: what stands behind the first "
		    "is lost; look at the disk");
	if (st != ST_OK)
		tell(p, "segment-unsealed", number, st,
		    "could not be closed; read as it is");
}

static enum status
take(struct pass *p, uint64_t number)
{
	struct recover_finding f;
	struct view *v;
	enum status st = look_at(p->disk, p->directory, number, false,
	    p->edge_of, &f);

	if (st == ST_BAD_FORMAT)
		tell(p, "segment-unknown", number, st, "written by another "
		    "version: start that one, or move the file away");
	else if (st == ST_DENIED)
		tell(p, "segment-denied", number, st,
		    "must belong to the user that the relay runs as");
	if (st == ST_BAD_FORMAT || st == ST_DENIED || st == ST_NO_MEMORY)
		return st;
	if (st == ST_OK && f.readable && f.totals.records + f.damaged == 0 &&
	    !(f.totals.flags & FORMAT_DAMAGED)) {
		p->sums->cut += f.cut;
		remove_file(p, number, ".rwl");
		return ST_OK;
	}
	if (st != ST_OK || !f.readable)
		tell(p, "segment-unreadable", number,
		    st == ST_OK ? ST_DAMAGED : st,
		    "kept, and passed over by the upstreams");
	else if (!f.sealed)
		mend(p, number, &f);
	st = shelf_add(p->shelf, number, &v);
	if (st != ST_OK)
		return st;
	shelf_set_size(p->shelf, v, f.size);
	atomic_store(&v->end, f.totals.end);
	atomic_store(&v->flags, VIEW_SEALED);
	v->last_ms = f.totals.records ? f.totals.last_ms :
	    INT64_MAX;
	p->sums->segments++;
	p->sums->bytes += f.size;
	return ST_OK;
}

static enum status
take_gone(struct pass *p)
{
	struct view *v;
	enum status st;

	if (!p->gone)
		return ST_OK;
	st = shelf_add(p->shelf, p->gone, &v);
	if (st != ST_OK)
		return st;
	atomic_store(&v->end, UINT64_MAX); /* nobody knows any more */
	atomic_store(&v->flags, VIEW_SEALED | VIEW_GONE);
	return ST_OK;
}

/* Tries that failed, and marks that a later one made needless. */
static void
each_leftover(const char *name, void *arg)
{
	struct pass *p = arg;
	uint64_t making = spool_path_number(name, ".tmp");
	uint64_t gone = spool_path_number(name, ".gone");

	if (making)
		remove_file(p, making, ".tmp");
	if (gone && gone != p->gone)
		remove_file(p, gone, ".gone");
}

static void
each_cursor(const char *name, void *arg)
{
	struct pass *p = arg;
	struct spool_pos pos = { 0, 0 };
	struct claim *c;
	enum status st;

	if (p->status != ST_OK || !spool_name_fits(name))
		return;
	st = cursor_needs(p->disk, p->directory, name, &pos);
	if (st != ST_OK)
		log_warn("cursor-unreadable", "directory=%s file=" SPOOL_CURSOR
		    "/%s reason=%s hint=\"keeps every segment until it is "
		    "mended or removed\"", p->directory, name,
		    status_info(st)->word);
	p->status = shelf_claim(p->shelf, name, &c);
	if (p->status == ST_OK)
		(void)shelf_release(p->shelf, c, pos);
}

enum status
recover_all(const struct disk_ops *disk, const char *directory,
    spool_edge_fn *edge_of, struct shelf *shelf, struct recover_sums *out)
{
	struct pass p = { .disk = disk, .directory = directory,
		.shelf = shelf, .sums = out, .edge_of = edge_of };
	char dir[SPOOL_PATH_MAX];
	struct listing l;
	enum status st = list(disk, directory, &l);
	size_t i;

	*out = (struct recover_sums){ .segments = 0 };
	/* A mark among what is there was put by somebody else. */
	if (l.n == 0 || l.numbers[0] > l.gone)
		p.gone = l.gone;
	spool_path(dir, directory, SPOOL_SEGMENT, 0, NULL);
	if (st == ST_OK)
		st = disk->list(disk->arg, dir, each_leftover, &p);
	if (st == ST_OK)
		st = take_gone(&p);
	for (i = 0; i < l.n && st == ST_OK; i++)
		st = take(&p, l.numbers[i]);
	free(l.numbers);
	spool_path(dir, directory, SPOOL_CURSOR, 0, NULL);
	if (st == ST_OK)
		st = disk->list(disk->arg, dir, each_cursor, &p);
	metric_add(METRIC_SPOOL_CUT, (int64_t)(out->cut + out->damaged));
	return st == ST_OK ? p.status : st;
}
