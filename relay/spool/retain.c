/* retain.c - unlink what all have had; mark what somebody has not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/retain.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/metric.h"

static void
remove_file(struct retain *r, uint64_t number, const char *suffix)
{
	char path[SPOOL_PATH_MAX];
	enum status st;

	spool_path(path, r->directory, SPOOL_SEGMENT, number, suffix);
	st = r->disk->unlink(r->disk->arg, path);
	if (st != ST_OK && st != ST_MISSING) {
		metric_reason_add(METRIC_SPOOL_ERRORS, st, 1);
		log_warn("spool-remove-failed", "file=%s reason=%s", path,
		    status_info(st)->word);
	}
}

void
retain_sync(struct retain *r)
{
	char dir[SPOOL_PATH_MAX];
	enum status st;

	spool_path(dir, r->directory, SPOOL_SEGMENT, 0, NULL);
	st = r->disk->sync_dir(r->disk->arg, dir);
	if (st != ST_OK) /* a file that comes back is removed again */
		metric_reason_add(METRIC_SPOOL_ERRORS, st, 1);
}

bool
retain_passed(struct retain *r, uint64_t *number)
{
	bool gone;

	if (!shelf_take_passed(r->shelf, number, &gone))
		return false;
	remove_file(r, *number, gone ? ".gone" : ".rwl");
	return true;
}

/* The mark comes by renaming, so that there is never neither; the blocks go by
 * truncating, since a reader may have the file open. */
static void
mark_gone(struct retain *r, uint64_t number, uint64_t before)
{
	char from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX];
	struct disk_file *file = NULL;
	enum status st;

	spool_path(from, r->directory, SPOOL_SEGMENT, number, ".rwl");
	spool_path(to, r->directory, SPOOL_SEGMENT, number, ".gone");
	st = r->disk->rename(r->disk->arg, from, to);
	if (st == ST_OK)
		st = r->disk->open(r->disk->arg, to, false, true, &file);
	if (st == ST_OK)
		st = r->disk->truncate(r->disk->arg, file, 0);
	r->disk->close(r->disk->arg, &file);
	if (st != ST_OK)
		metric_reason_add(METRIC_SPOOL_ERRORS, st, 1);
	if (before)
		remove_file(r, before, ".gone");
}

bool
retain_drop(struct retain *r, uint64_t *number)
{
	uint64_t before;
	bool lost;

	if (!shelf_drop(r->shelf, number, &before, &lost))
		return false;
	if (lost) {
		mark_gone(r, *number, before);
		metric_add(METRIC_SPOOL_DROPPED, 1);
		log_warn("spool-dropped", "segment=%" PRIu64 " hint=\"the "
		    "spool is at its size limit; an upstream has not had this "
		    "segment\"", *number);
	} else {
		remove_file(r, *number, ".rwl");
		if (before)
			remove_file(r, before, ".gone");
	}
	return true;
}
