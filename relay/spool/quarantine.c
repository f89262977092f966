/* quarantine.c - what is damaged goes out of the way, and is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/quarantine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "spool/scan.h"
#include "spool/spool_priv.h"

#define FOLDER "quarantine"
#define PIECE ((size_t)1 << 20)

static enum status
make_folder(const struct disk_ops *d, const char *directory)
{
	char path[SPOOL_PATH_MAX];
	enum status st;

	spool_path_named(path, directory, FOLDER, NULL);
	st = d->make_dir(d->arg, path);
	return st == ST_OK ? d->sync_dir(d->arg, directory) : st;
}

static enum status
sync_folder(const struct disk_ops *d, const char *directory)
{
	char path[SPOOL_PATH_MAX];

	spool_path_named(path, directory, FOLDER, NULL);
	return d->sync_dir(d->arg, path);
}

enum status
quarantine_segment(const struct disk_ops *d, const char *directory,
    uint64_t number)
{
	char from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX];
	enum status st = make_folder(d, directory);

	spool_path(from, directory, SPOOL_SEGMENT, number, ".rwl");
	spool_path(to, directory, FOLDER, number, ".rwl");
	if (st == ST_OK)
		st = d->rename(d->arg, from, to);
	if (st == ST_OK)
		st = sync_folder(d, directory);
	spool_path(from, directory, SPOOL_SEGMENT, 0, NULL);
	return st == ST_OK ? d->sync_dir(d->arg, from) : st;
}

/* The bytes of one file from an offset on, as another file. */
static enum status
copy_bytes(const struct disk_ops *d, struct disk_file *from, uint64_t offset,
    struct disk_file *to)
{
	uint8_t *piece = malloc(PIECE);
	enum status st = piece ? ST_OK : ST_NO_MEMORY;
	uint64_t at = 0;
	size_t n = 1;

	while (st == ST_OK && n > 0) {
		struct iovec iov = { piece, 0 };

		n = PIECE;
		st = d->read(d->arg, from, offset + at, piece, &n);
		iov.iov_len = n;
		if (st == ST_OK && n > 0)
			st = d->write(d->arg, to, at, &iov, 1);
		at += n;
	}
	free(piece);
	return st == ST_OK ? d->sync(d->arg, to) : st;
}

static enum status
copy_span(const struct disk_ops *d, const char *directory, uint64_t number,
    uint64_t offset, struct disk_file *from)
{
	char path[SPOOL_PATH_MAX], name[64];
	struct disk_file *to = NULL;
	enum status st = make_folder(d, directory);

	(void)snprintf(name, sizeof(name), "%016" PRIx64 "-%" PRIu64 ".span",
	    number, offset);
	spool_path_named(path, directory, FOLDER, name);
	(void)d->unlink(d->arg, path);	/* of a try that was stopped */
	if (st == ST_OK)
		st = d->open(d->arg, path, true, true, &to);
	if (st == ST_OK)
		st = copy_bytes(d, from, offset, to);
	d->close(d->arg, &to);
	return st == ST_OK ? sync_folder(d, directory) : st;
}

/* What is there up to the offset. */
static enum status
count(const struct disk_ops *d, const char *path, uint64_t number,
    spool_edge_fn *edge_of, struct format_footer *totals, uint32_t *seed)
{
	struct spool_record r;
	struct scan s;
	enum status st;

	scan_init(&s, d);
	st = scan_open(&s, path, number);
	s.end = totals->end;
	while (st == ST_OK) {
		st = scan_next(&s, &r);
		if (st == ST_OK)
			format_count(totals, r.wall_ms, s.points,
			    edge_of && edge_of(r.data).n);
	}
	*seed = s.seed;
	if (st == ST_END)
		st = s.offset == totals->end ? ST_OK : ST_DAMAGED;
	scan_fini(&s);
	return st;
}

enum status
quarantine_span(const struct disk_ops *d, const char *directory,
    uint64_t number, uint64_t offset, spool_edge_fn *edge_of)
{
	struct format_footer totals = { .end = offset };
	struct disk_file *file = NULL;
	char path[SPOOL_PATH_MAX];
	uint8_t raw[FORMAT_FOOTER];
	struct iovec iov = { raw, sizeof(raw) };
	uint32_t seed = 0;
	enum status st;

	spool_path(path, directory, SPOOL_SEGMENT, number, ".rwl");
	st = count(d, path, number, edge_of, &totals, &seed);
	if (st == ST_OK)
		st = d->open(d->arg, path, false, true, &file);
	if (st == ST_OK)
		st = copy_span(d, directory, number, offset, file);
	totals.flags = FORMAT_CUT;
	format_footer_put(raw, seed, &totals);
	if (st == ST_OK)
		st = d->write(d->arg, file, offset, &iov, 1);
	if (st == ST_OK)
		st = d->truncate(d->arg, file, offset + sizeof(raw));
	if (st == ST_OK)
		st = d->sync(d->arg, file);
	d->close(d->arg, &file);
	return st;
}
