/* segment.h - a segment being written.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Takes records, writes them together, syncs, seals.  Runs on the spool's loop.
 * Knows nothing of epochs, readers and limits.                              */
#ifndef RW_SPOOL_SEGMENT_H
#define RW_SPOOL_SEGMENT_H

#include "spool/format.h"
#include "spool/spool.h"

struct segment;

#define SEGMENT_RESERVE (UINT64_C(64) << 10)

struct segment_opts {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* the spool's; borrowed */
	uint64_t number;
	uint64_t reserve;		/* bytes reserved at first */
	uint64_t step;			/* and at a time from then on, at most: a
					   part of what is there, but no less than
					   SEGMENT_RESERVE */
	enum spool_sync sync;
	spool_edge_fn *edge_of;		/* NULL: edges are not counted */
	bool aside;			/* not in the metrics of the spool */
};

/* S4: on disk, with its name, when this returns ST_OK; else not there. */
enum status segment_create(const struct segment_opts *, struct segment **out);
/* The file is left as it is. */
void segment_free(struct segment **);

uint64_t segment_number(const struct segment *);
/* Records below are durable. */
uint64_t segment_end(const struct segment *);
/* Bytes of the file, what is reserved included. */
uint64_t segment_size(const struct segment *);
uint64_t segment_records(const struct segment *);
/* Of the newest durable record, 0 if there is none. */
int64_t segment_last_ms(const struct segment *);

/* Behind what was queued before.  Borrowed until segment_take(). */
void segment_queue(struct segment *, struct spool_write *);
bool segment_queued(const struct segment *);
/* What that takes at most. */
uint64_t segment_queued_bytes(const struct segment *);
/* The file shall get no larger than that: what is queued and does not fit, from the first
 * such record on, is taken off the queue and returned, in order; *bytes is what it would
 * take. */
struct spool_write *segment_fit(struct segment *, uint64_t most,
    uint64_t *bytes);
/* Writes what is queued and makes it durable.  Anything but ST_OK: the segment has
 * failed, its end is where it was, and only segment_cut() may follow. */
enum status segment_commit(struct segment *);
/* What was queued, in order, and not any more. */
struct spool_write *segment_take(struct segment *);

/* Reserves the next step when less than half of one is left, up to `most` bytes of
 * file.  Failing does no harm: later writes may fail. */
enum status segment_ahead(struct segment *, uint64_t most);

/* Ends the file with its footer.  Failing does no harm: recovery will do it. */
enum status segment_seal(struct segment *);
/* After a failed commit: cuts off what is not durable, and seals.  May be tried
 * again. */
enum status segment_cut(struct segment *);

#endif
