/* owed.h - stretches of the log that were passed over and are still owed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A stretch has all records that begin in it, or those of one stream, which then is of one
 * segment.  Stretches stand in the order of their beginnings, and no record is in two.
 * Arithmetic only; whoever reads the log says what was passed over.         */
#ifndef RW_FORWARD_OWED_H
#define RW_FORWARD_OWED_H

#include <stdbool.h>
#include <stdint.h>

#include "spool/cursor.h"

/* Beside as many units that are out a cursor has room for these. */
#define OWED_MAX (CURSOR_OWED_MAX / 2)

struct owed {
	uint32_t n;
	uint32_t n_all;			/* of those, with the records of all streams */
	struct cursor_owed list[OWED_MAX];
};

/* A record, or some that follow each other. */
struct owed_span {
	struct spool_pos from, to;
	uint32_t stream;		/* 0: of all streams */
	uint64_t edge;
	int64_t wall_ms;
	uint64_t bytes;
};

/* The stretch that has the record; NULL. */
struct cursor_owed *owed_find(struct owed *, struct spool_pos, uint32_t stream);
/* Whether something of the edge is there, or of edges not known. */
bool owed_has_edge(const struct owed *, uint64_t edge);

/* False: there is no room.  A span of one stream goes to the end of the stretch of the
 * same stream that ends before it, or to the beginning of one that begins behind it, if
 * `joins` says that all of the stream between them is owed too, or if they meet. */
bool owed_add(struct owed *, const struct owed_span *, bool joins);
bool owed_has_room(const struct owed *, uint32_t n);

/* The record that a stretch begins with, up to `next`, is not owed any more. */
void owed_shift(struct owed *, struct cursor_owed *, struct spool_pos next,
    uint64_t bytes);
/* What begins between the two cannot be had; all that is owed between is read in order. */
void owed_lose(struct owed *, struct spool_pos from, struct spool_pos to);
/* All before is gone; false if nothing was there. */
bool owed_forget(struct owed *, struct spool_pos before);
/* All records between the two were looked at: stretches of all streams there have none. */
bool owed_was_read(struct owed *, struct spool_pos from, struct spool_pos to);
/* What a cursor has; where that is more than there is room for, some is owed that is
 * not. */
void owed_load(struct owed *, const struct cursor_owed *, uint32_t n);

/* Whether a record of the stream in this segment is there; 0: of all streams. */
bool owed_in_segment(const struct owed *, uint64_t segment, uint32_t stream);

#endif
