/* loss.h - the account of a segment that goes before an upstream had it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads the frames of the segment, and the upstream's cursor: what counts is what the
 * cursor says was not delivered yet.  On the spool's loop; it takes as long as reading
 * a segment does.                                                           */
#ifndef RW_SPOOL_LOSS_H
#define RW_SPOOL_LOSS_H

#include "spool/ledger.h"
#include "spool/spool.h"

struct cursor_state;

struct loss {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* borrowed */
	spool_edge_fn *edge_of;		/* or NULL */
	uint64_t number, end;		/* of the segment */
	enum status reason;
	int64_t removed_s;
	const struct cursor_state *owed;	/* borrowed; NULL: as the cursor's file
					   has it */
};

/* Adds the gaps of one upstream ("-": of nobody, all counts), and counts the points and
 * the edges that are in them.  ST_NO_MEMORY, or why the segment could not be read to its
 * end: then the rest of it is not in the account. */
enum status loss_add(const struct loss *, const char *upstream, struct ledger *,
    uint64_t *points, size_t *edges);

#endif
