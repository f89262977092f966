/* supply.h - what an upstream is still owed, record by record.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads the log on from the upstream's cursor, decodes, and gives out units, one a
 * record, oldest first.  A unit is done when it was delivered or set aside; the cursor
 * knows every unit that is not, so that a restart repeats only what was in flight.
 * Belongs to the forwarder's loop.                                          */
#ifndef RW_FORWARD_SUPPLY_H
#define RW_FORWARD_SUPPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/status.h"
#include "forward/route.h"
#include "io/loop.h"
#include "series/batch.h"
#include "series/dict.h"
#include "spool/disk.h"
#include "spool/spool.h"

struct supply;

/* A record, decoded. */
struct unit {
	struct unit *next;		/* for whoever has it: a lane's queue */
	struct unit *older, *newer;	/* supply's */
	struct spool_pos pos, end;
	int64_t wall_ms;		/* when the edge's request was received */
	struct batch *batch;		/* owned */
	struct dict *dict;		/* a reference; the same for all records of
					   an edge in a segment */
	uint32_t points;		/* samples, histograms and exemplars */
	/* for whoever has it: one that is too large for a request goes in parts */
	uint32_t from;			/* items that went already */
	uint32_t part;			/* items of a request at most; 0: all */
};

/* At most so many units are out at a time (cursor.h bounds the stretches that it
 * can remember); supply_next answers ST_WAIT past it. */
#define SUPPLY_UNITS_MAX 4096

struct supply_opts {
	const char *name;		/* of the upstream */
	const char *directory;		/* of the spool */
	bool start_now;			/* a new upstream: nothing old */
	struct route_opts route;	/* what is for it */
};

/* wake is called on the loop when there is more after ST_END. */
enum status supply_new(const struct supply_opts *, struct spool *,
    const struct disk_ops *, struct loop *, struct metric_group *,
    void (*wake)(void *), void *arg, struct supply **out);
/* Units that are out are freed too. */
void supply_free(struct supply **);

/* ST_OK; ST_END: nothing more at present; ST_WAIT: too many are out.  Damaged
 * stretches are passed over, counted and logged.  `out` stays the supply's: it goes
 * with supply_done. */
enum status supply_next(struct supply *, struct unit **out);
void supply_done(struct supply *, struct unit **taken);

/* Writes down what changed since the last time (survives the process): at once, but where
 * many units are out within 20 ms, if called again by then, or with the next sync. */
void supply_note(struct supply *);
/* Down to the disk, and lets go of segments that are not needed any more. */
void supply_sync(struct supply *);

/* Age of the oldest unit that is out, 0 if none. */
int64_t supply_lag_ms(const struct supply *, int64_t wall_ms);
/* Bytes of the log not delivered, about. */
uint64_t supply_backlog(const struct supply *);

#endif
