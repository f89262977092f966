/* done.c - marks, appended.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/done.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "spool/crc32c.h"
#include "spool/spool_priv.h"

#define MARK 16
#define MARKS_MAX (UINT32_C(1) << 26)	/* a segment has no more records */

void
done_fini(struct done *d)
{
	free(d->offsets);
	*d = (struct done){ .n = 0 };
}

/* ---- marks ------------------------------------------------------------------- */

static uint32_t
sum(uint64_t number, uint64_t offset)
{
	uint8_t raw[16];

	le64_put(raw, number);
	le64_put(raw + 8, offset);
	return crc32c(0, raw, sizeof(raw));
}

static void
put(uint8_t raw[MARK], uint64_t number, uint64_t offset)
{
	memset(raw, 0, MARK);
	le64_put(raw, offset);
	le32_put(raw + 8, sum(number, offset));
}

static bool
get(const uint8_t raw[MARK], uint64_t number, uint64_t *offset)
{
	*offset = le64_get(raw);
	return le32_get(raw + 8) == sum(number, *offset);
}

/* The place of the first that is not less. */
static uint32_t
place_of(const struct done *d, uint64_t offset)
{
	uint32_t low = 0, high = d->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (d->offsets[middle] < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
done_has(const struct done *d, uint64_t offset)
{
	uint32_t i = place_of(d, offset);

	return i < d->n && d->offsets[i] == offset;
}

static bool
make_room(struct done *d, uint32_t n)
{
	uint32_t cap = d->n + n + (d->n + n) / 2 + 8;
	uint64_t *more;

	if (d->n + n <= d->cap)
		return true;
	more = realloc(d->offsets, cap * sizeof(*more));
	if (!more)
		return false;
	d->offsets = more;
	d->cap = cap;
	return true;
}

static void
insert(struct done *d, uint64_t offset)
{
	uint32_t i = place_of(d, offset);

	memmove(d->offsets + i + 1, d->offsets + i,
	    (d->n - i) * sizeof(*d->offsets));
	d->offsets[i] = offset;
	d->n++;
}

/* ---- the file ---------------------------------------------------------------- */

static enum status
take_marks(struct done *d, uint64_t number, const uint8_t *raw, size_t n)
{
	uint64_t offset;
	size_t i;

	if (!make_room(d, (uint32_t)(n / MARK)))
		return ST_NO_MEMORY;
	for (i = 0; i + MARK <= n && get(raw + i, number, &offset); i += MARK)
		if (!done_has(d, offset))
			insert(d, offset);
	return ST_OK;
}

enum status
done_read(const struct disk_ops *disk, const char *directory, uint64_t number,
    struct done *out)
{
	struct disk_file *file = NULL;
	char path[SPOOL_PATH_MAX];
	uint8_t *raw = NULL;
	uint64_t size = 0;
	enum status st;
	size_t n;

	spool_path(path, directory, SPOOL_SEGMENT, number, DONE_SUFFIX);
	st = disk->open(disk->arg, path, false, false, &file);
	if (st != ST_OK)
		return st == ST_MISSING ? ST_OK : st;
	st = disk->size(disk->arg, file, &size);
	n = size < (uint64_t)MARKS_MAX * MARK ? (size_t)size : 0;
	if (st == ST_OK && n) {
		raw = malloc(n);
		st = raw ? disk->read(disk->arg, file, 0, raw, &n) :
		    ST_NO_MEMORY;
	}
	if (st == ST_OK && n)
		st = take_marks(out, number, raw, n);
	disk->close(disk->arg, &file);
	free(raw);
	return st;
}

static enum status
open_file(const struct disk_ops *d, const char *directory, uint64_t number,
    struct disk_file **out)
{
	char path[SPOOL_PATH_MAX], dir[SPOOL_PATH_MAX];
	enum status st;

	spool_path(path, directory, SPOOL_SEGMENT, number, DONE_SUFFIX);
	st = d->open(d->arg, path, false, true, out);
	if (st == ST_MISSING)
		st = d->open(d->arg, path, true, true, out);
	if (st != ST_OK)
		return st;
	/* made a moment ago, or by a try that failed */
	spool_path(dir, directory, SPOOL_SEGMENT, 0, NULL);
	return d->sync_dir(d->arg, dir);
}

static enum status
append(const struct done *d, const struct disk_ops *disk,
    const char *directory, uint64_t number, uint8_t *raw, size_t n)
{
	struct iovec iov = { raw, n };
	struct disk_file *file = NULL;
	enum status st = open_file(disk, directory, number, &file);

	if (st == ST_OK)
		st = disk->write(disk->arg, file, (uint64_t)d->n * MARK, &iov,
		    1);
	if (st == ST_OK)
		st = disk->sync(disk->arg, file);
	disk->close(disk->arg, &file);
	return st;
}

enum status
done_add(struct done *d, const struct disk_ops *disk, const char *directory,
    uint64_t number, const uint64_t *offsets, uint32_t n)
{
	uint32_t i, fresh = 0;
	uint8_t *raw;
	enum status st;

	raw = malloc((size_t)n * MARK + 1);
	if (!raw || !make_room(d, n)) {
		free(raw);
		return ST_NO_MEMORY;
	}
	for (i = 0; i < n; i++)
		if (!done_has(d, offsets[i]) &&
		    (i == 0 || offsets[i] != offsets[i - 1]))
			put(raw + MARK * fresh++, number, offsets[i]);
	st = fresh ? append(d, disk, directory, number, raw,
	    (size_t)fresh * MARK) : ST_OK;
	for (i = 0; i < fresh && st == ST_OK; i++)
		insert(d, le64_get(raw + (size_t)MARK * i));
	free(raw);
	return st;
}
