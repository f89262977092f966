/* ledger.h - what was removed before some upstream had it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * DIRECTORY/gaps, a text file: a first line "rwrelay-gaps 1", and a line for each gap,
 * the oldest first:
 *
 *	removed=1763883600 upstream=central edge=192.0.2.7 from=1763880000
 *	to=1763883599 samples=120000 reason=spool-full segments=12-15 sum=0f1e2d3c
 *
 * (one line of it).  Times are seconds since 1970; from and to are those of the points.
 * In names all but letters, digits and -_.:/@+ stands as %xx.  sum is the crc32c of
 * what stands before " sum=", in hexadecimal: a line that fails it does not count.
 *
 * What goes (or is given up, reason=skipped) of one edge in segments that follow each other is one gap.  There are
 * LEDGER_GAPS_MAX at most; then the oldest of an upstream become one, of edge "*".
 * The file is replaced whole, so a reader sees it before or after.  The spool's loop
 * owns a ledger.                                                            */
#ifndef RW_SPOOL_LEDGER_H
#define RW_SPOOL_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "spool/disk.h"

#define LEDGER_FILE "gaps"
#define LEDGER_GAPS_MAX 4096

struct ledger_gap {
	const char *upstream;		/* "-": there was none */
	const char *edge;		/* as it is, or from ledger_read() with its %xx */
	enum status reason;		/* ST_SPOOL_FULL, ST_EXPIRED, ST_SKIPPED */
	uint64_t samples;		/* and histograms and exemplars */
	int64_t from_s, to_s;
	int64_t removed_s;
	uint64_t first, last;		/* segments */
};

/* ---- for whoever wants to see it, while a relay uses it or not ---- */

/* In order.  ST_MISSING: nothing was ever removed so.  ST_BAD_FORMAT: of a later
 * version. */
typedef void ledger_each_fn(const struct ledger_gap *, void *arg);
enum status ledger_read(const struct disk_ops *, const char *directory,
    ledger_each_fn *, void *arg);

/* ---- for the spool ---- */

struct ledger;

/* With what is there. */
enum status ledger_open(const struct disk_ops *, const char *directory,
    struct ledger **out);
void ledger_close(struct ledger **);
/* What was added before for the same upstream, edge and segment is not added again, but
 * for what was skipped: there may be more of it. */
enum status ledger_add(struct ledger *, const struct ledger_gap *);
/* To the disk, unless nothing has changed since it was. */
enum status ledger_write(struct ledger *);
size_t ledger_n(const struct ledger *);

#endif
