/* cursor.h - an upstream's durable position in the log.
 * SPDX-License-Identifier: Apache-2.0
 *
 * `head` is how far records have been taken up; `owed` are the stretches before
 * it that were not delivered yet, all streams or one.  Everything else before
 * head is done.  So neither a restart nor one stuck edge makes the others
 * repeat.  The file (DIRECTORY/cursor/NAME) has two slots with a generation and
 * a checksum each, written in turn: a torn write leaves the older one.
 *
 * cursor_put writes at once, so kill -9 forgets nothing; it reaches the disk by
 * cursor_sync, called from time to time: after a power cut what was delivered since
 * may be sent again, never lost.  One loop owns a cursor.                   */
#ifndef RW_SPOOL_CURSOR_H
#define RW_SPOOL_CURSOR_H

#include "spool/spool.h"

#define CURSOR_OWED_MAX 8192

struct cursor_owed {
	struct spool_pos from, to;	/* records that begin in [from, to) */
	uint32_t stream;		/* 0: all; else `to` is in from's segment */
	uint64_t edge;			/* whose stream that is, a hash; 0: not known */
	int64_t wall_ms;		/* of the first of them; 0: not known */
	uint64_t bytes;			/* of them, if of one stream */
};

struct cursor_state {
	struct spool_pos head;
	uint32_t n_owed;
	struct cursor_owed owed[CURSOR_OWED_MAX];	/* by from */
};

struct cursor;

/* Makes the file if there is none (`state` then is zero: head {0, 0}).  `name` is the
 * upstream's, of [A-Za-z0-9_.-].  ST_BAD_FORMAT, or the disk's status.  state is
 * filled. */
enum status cursor_open(const struct disk_ops *, const char *directory,
    const char *name, struct cursor **out, struct cursor_state *state);
void cursor_close(struct cursor **);
enum status cursor_put(struct cursor *, const struct cursor_state *);
enum status cursor_sync(struct cursor *);

/* The file is no more, nor does it come back with the power.  ST_MISSING: there is none;
 * ST_CONFIG: that is no name. */
enum status cursor_remove(const struct disk_ops *, const char *directory,
    const char *name);

/* Whether the record at pos was not delivered. */
bool cursor_owes(const struct cursor_state *, struct spool_pos pos,
    uint32_t stream);

#endif
