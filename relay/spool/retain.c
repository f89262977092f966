/* retain.c - unlink what all have had; enter and mark what somebody has not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool/retain.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "spool/loss.h"

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

static void
sync_segments(struct retain *r)
{
	char dir[SPOOL_PATH_MAX];
	enum status st;

	spool_path(dir, r->directory, SPOOL_SEGMENT, 0, NULL);
	st = r->disk->sync_dir(r->disk->arg, dir);
	if (st != ST_OK) /* a file that comes back is removed again */
		metric_reason_add(METRIC_SPOOL_ERRORS, st, 1);
}

enum status
retain_open(struct retain *r)
{
	enum status st = ledger_open(r->disk, r->directory, &r->ledger);

	if (st != ST_OK)
		return st;
	r->shown_gaps = (int64_t)ledger_n(r->ledger);
	metric_add(METRIC_SPOOL_GAPS, r->shown_gaps);
	return ST_OK;
}

void
retain_close(struct retain *r)
{
	if (!r->ledger)
		return;
	metric_add(METRIC_SPOOL_GAPS, -r->shown_gaps);
	ledger_close(&r->ledger);
}

/* ---- the account --------------------------------------------------------------- */

static void
write_ledger(struct retain *r)
{
	enum status st = ledger_write(r->ledger);
	int64_t n = (int64_t)ledger_n(r->ledger);

	metric_add(METRIC_SPOOL_GAPS, n - r->shown_gaps);
	r->shown_gaps = n;
	if (st != ST_OK) {
		metric_reason_add(METRIC_SPOOL_ERRORS, st, 1);
		if (!r->failing)
			log_error("gaps-unwritten", "directory=%s reason=%s "
			    "hint=\"what was removed is in this log, and in "
			    "the file " LEDGER_FILE " when it can be written\"",
			    r->directory, status_info(st)->word);
	}
	r->failing = st != ST_OK;
}

static void
account(struct retain *r, const struct loss *loss, const char *upstream)
{
	uint64_t points = 0;
	size_t edges = 0;
	enum status st = loss_add(loss, upstream, r->ledger, &points, &edges);

	metric_reason_add(METRIC_SPOOL_DROPPED_SAMPLES, loss->reason,
	    (int64_t)points);
	if (points == 0 && st == ST_OK)
		return; /* all that is missing is the cursor's sync */
	log_warn("spool-dropped", "segment=%016" PRIx64 " upstream=%s "
	    "samples=%" PRIu64 " edges=%zu reason=%s read=%s hint=\"that "
	    "upstream has not had them\"", loss->number, upstream, points,
	    edges, status_info(loss->reason)->word, status_info(st)->word);
}

/* Everybody who has not had all of it. */
static void
account_all(struct retain *r, const struct view *v, enum status reason)
{
	struct loss loss = {
		.disk = r->disk,
		.directory = r->directory,
		.edge_of = r->edge_of,
		.number = v->number,
		.end = atomic_load(&v->end),
		.reason = reason,
		.removed_s = clock_wall() / CLOCK_S,
	};
	char name[SPOOL_NAME_MAX + 1];
	size_t i;

	for (i = 0; shelf_behind(r->shelf, v, i, name); i++)
		account(r, &loss, name);
	if (!shelf_has_claims(r->shelf)) {
		account(r, &loss, "-");
		i = 1;
	}
	if (i)
		write_ledger(r);
}

void
retain_skip(struct retain *r, uint64_t number, const char *upstream,
    const struct cursor_state *given_up, uint64_t *points)
{
	struct loss loss = {
		.disk = r->disk,
		.directory = r->directory,
		.edge_of = r->edge_of,
		.number = number,
		.reason = ST_SKIPPED,
		.removed_s = clock_wall() / CLOCK_S,
		.owed = given_up,
	};
	uint64_t here = 0;
	size_t edges = 0;
	enum status st;

	if (!shelf_end(r->shelf, number, &loss.end))
		return;		/* it has gone, and was entered with that */
	st = loss_add(&loss, upstream, r->ledger, &here, &edges);
	if (st != ST_OK)
		log_warn("gap-unread", "segment=%016" PRIx64 " upstream=%s "
		    "reason=%s hint=\"not all that was given up of it is in "
		    "the file " LEDGER_FILE "\"", number, upstream,
		    status_info(st)->word);
	metric_reason_add(METRIC_SPOOL_DROPPED_SAMPLES, ST_SKIPPED,
	    (int64_t)here);
	*points += here;
}

void
retain_enter(struct retain *r)
{
	write_ledger(r);
}

/* ---- files ----------------------------------------------------------------------- */

void
retain_sync(struct retain *r)
{
	if (r->failing)
		write_ledger(r);
	sync_segments(r);
}

bool
retain_expired(struct retain *r, int64_t before_ms)
{
	const struct view *v = shelf_next_drop(r->shelf);

	return v && v->last_ms < before_ms;
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
 * truncating, since a reader may have the file open, but not before the mark is on the
 * disk: an empty segment would be taken for a damaged one. */
static void
mark_gone(struct retain *r, uint64_t number, uint64_t before)
{
	char from[SPOOL_PATH_MAX], to[SPOOL_PATH_MAX];
	struct disk_file *file = NULL;
	enum status st;

	spool_path(from, r->directory, SPOOL_SEGMENT, number, ".rwl");
	spool_path(to, r->directory, SPOOL_SEGMENT, number, ".gone");
	st = r->disk->rename(r->disk->arg, from, to);
	sync_segments(r);
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
retain_drop(struct retain *r, enum status reason, uint64_t *number)
{
	const struct view *v = shelf_next_drop(r->shelf);
	uint64_t before;
	bool lost;

	if (!v)
		return false;
	account_all(r, v, reason);
	(void)shelf_drop(r->shelf, number, &before, &lost);
	if (lost) {
		mark_gone(r, *number, before);
		metric_add(METRIC_SPOOL_DROPPED, 1);
	} else {
		remove_file(r, *number, ".rwl");
		if (before)
			remove_file(r, before, ".gone");
	}
	return true;
}
