/* retain.h - which segments' files go, and what is left to tell of it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * On the spool's loop.  Errors are counted and logged: a file that stays is
 * removed at the next start.                                                */
#ifndef RW_SPOOL_RETAIN_H
#define RW_SPOOL_RETAIN_H

#include "spool/ledger.h"
#include "spool/shelf.h"

struct cursor_state;

struct retain {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* borrowed */
	struct shelf *shelf;		/* borrowed */
	spool_edge_fn *edge_of;		/* or NULL */
	struct ledger *ledger;		/* owned; NULL: not open yet */
	int64_t shown_gaps;		/* in the gauge */
	bool failing;			/* the ledger was not written last */
};

/* Reads the ledger. */
enum status retain_open(struct retain *);
void retain_close(struct retain *);

/* Takes away the oldest segment if every claim is past it. */
bool retain_passed(struct retain *, uint64_t *number);
/* Takes away the oldest sealed segment, whoever needs it; what is lost by that is
 * written to the ledger first, and a mark stays for the readers. */
bool retain_drop(struct retain *, enum status reason, uint64_t *number);
/* Is that segment's newest record older? */
bool retain_expired(struct retain *, int64_t before_ms);
/* Of a segment, what an upstream is owed no more by order; nothing is removed.  *points is
 * added to.  After the last of them it is written down. */
void retain_skip(struct retain *, uint64_t number, const char *upstream,
    const struct cursor_state *given_up, uint64_t *points);
void retain_enter(struct retain *);
/* After some of these; and what could not be written before. */
void retain_sync(struct retain *);

#endif
