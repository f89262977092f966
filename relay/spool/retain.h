/* retain.h - which segments' files go, and what is left to tell of it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * On the spool's loop.  Errors are counted and logged: a file that stays is
 * removed at the next start.                                                */
#ifndef RW_SPOOL_RETAIN_H
#define RW_SPOOL_RETAIN_H

#include "spool/shelf.h"

struct retain {
	const struct disk_ops *disk;	/* borrowed */
	const char *directory;		/* borrowed */
	struct shelf *shelf;		/* borrowed */
};

/* Takes away the oldest segment if every claim is past it. */
bool retain_passed(struct retain *, uint64_t *number);
/* Takes away the oldest sealed segment, whoever needs it; what is lost by that is
 * counted, and a mark stays for the readers. */
bool retain_drop(struct retain *, uint64_t *number);
/* After some of these. */
void retain_sync(struct retain *);

#endif
