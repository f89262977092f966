/* rejected.h - what an upstream refused for good, kept with the reason.
 * SPDX-License-Identifier: Apache-2.0
 *
 * DIRECTORY/rejected/UPSTREAM (spool/aside.h).  What is kept is what was in the
 * refused request, encoded alone: series, points, metadata, the edge's name.
 * The text before it, one line:
 *	status=400 samples=500 text="out of order sample"
 * Belongs to the forwarder's loop, which waits for the disk: there is little to
 * wait for with an upstream that takes most of what it gets.                 */
#ifndef RW_FORWARD_REJECTED_H
#define RW_FORWARD_REJECTED_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/metric.h"
#include "base/status.h"
#include "series/batch.h"
#include "series/dict.h"
#include "spool/disk.h"
#include "spool/spool.h"

#define REJECTED_FOLDER "rejected"

struct rejected;

struct rejected_opts {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* of the spool; borrowed */
	const char *upstream;		/* name; borrowed */
	uint64_t most_bytes;		/* on disk; 0: nothing is kept */
};

struct rejected_reason {
	int http;			/* status of the answer */
	uint64_t samples;		/* points that were refused */
	struct bytes text;		/* start of the answer's body */
};

/* ST_NO_MEMORY, or the disk's status. */
enum status rejected_new(const struct rejected_opts *, struct metric_group *,
    struct rejected **out);
void rejected_free(struct rejected **);

/* Durable when it returns ST_OK.  A failure is logged and counted: what was not
 * kept is gone.  wall_ms: when the edge's request was received. */
enum status rejected_keep(struct rejected *, const struct dict *,
    const struct batch *, int64_t wall_ms, const struct rejected_reason *);

/* What is kept; borrowed until the next call of any of these. */
struct rejected_entry {
	uint64_t samples;		/* as its reason has them */
	int64_t wall_ms;
	struct bytes data;		/* a record, the first of its stream */
};

/* As aside_next, aside_over and aside_end; ST_END, too, where nothing is kept. */
enum status rejected_next(struct rejected *, struct spool_pos after,
    struct spool_pos *at, struct rejected_entry *out);
enum status rejected_over(struct rejected *, uint64_t segment,
    const uint64_t *offsets, uint32_t n);
struct spool_pos rejected_end(const struct rejected *);

#endif
