/* supply.h - what an upstream is still owed, record by record.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two sources.  SUPPLY_LOG reads the log on from the upstream's cursor, oldest first.
 * What of it is left for later (an edge that has its share already, or is refused; all,
 * when newer data is to go first) is owed, and SUPPLY_REST reads that: in sweeps from the
 * oldest to the newest, in order within each edge and each stretch.
 *
 * A record taken is a unit.  A unit is done when it was delivered or set aside; the cursor
 * knows all that is not, so that a restart repeats only what was in flight.
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

/* SUPPLY_NONE: a unit that is not of the log, nor of a supply. */
enum supply_source { SUPPLY_LOG, SUPPLY_REST, SUPPLY_NONE };
#define SUPPLY_SOURCES 2

/* A record, decoded. */
struct unit {
	struct unit *next;		/* for whoever has it: a queue */
	struct unit *older, *newer;	/* supply's */
	enum supply_source source;
	struct spool_pos pos, end;
	struct spool_pos after;		/* where the one before it in its stream ends */
	uint32_t stream;
	uint64_t edge;			/* hash_lasting() of its name */
	int64_t wall_ms;		/* when the edge's request was received */
	struct batch *batch;		/* owned */
	struct dict *dict;		/* a reference; the same for all records of
					   an edge in a segment, but for one that
					   was read by the other source */
	uint32_t points;		/* samples, histograms and exemplars */
	bool back;			/* supply's: on its way back */
	/* for whoever has it */
	bool busy;			/* in flight, or kept: not what lag is told by */
	bool kept;			/* of a parked edge: not counted as read ahead */
	/* for whoever has it: one that is too large for a request goes in parts */
	uint32_t from;			/* items that went already */
	uint32_t part;			/* items of a request at most; 0: all */
};

/* At most so many units are out at a time (cursor.h bounds the stretches that it
 * can remember); supply_next answers ST_WAIT past it. */
#define SUPPLY_UNITS_MAX 4096

enum supply_word {
	SUPPLY_TAKE,
	SUPPLY_LEAVE,		/* for a later sweep */
	SUPPLY_WAIT,		/* asked for again with the next call */
};

/* What an order to skip came to. */
struct supply_skipped {
	uint64_t samples;		/* that were given up */
	bool partial;			/* not all that was to be */
};

/* Of an edge, by the hash of its name. */
struct supply_policy {
	/* What to do with a record. */
	enum supply_word (*wants)(void *arg, enum supply_source, uint64_t edge,
	    int64_t wall_ms);
	/* A record was taken or left for the first time: so much came in then. */
	void (*saw)(void *arg, enum supply_source, uint64_t points,
	    int64_t wall_ms);
	/* Nothing of it would be taken in this sweep. */
	bool (*is_left)(void *arg, uint64_t edge);
	/* There is more after ST_END. */
	void (*wake)(void *arg);
	/* supply_skip is over. */
	void (*skipped)(void *arg, const struct supply_skipped *);
	void *arg;
};

struct supply_opts {
	const char *name;		/* of the upstream */
	const char *directory;		/* of the spool */
	bool start_now;			/* a new upstream: nothing old */
	bool strict;			/* of an edge of which something is left all that
					   comes later is left too */
	struct route_opts route;	/* what is for it */
	struct supply_policy policy;
};

enum status supply_new(const struct supply_opts *, struct spool *,
    const struct disk_ops *, struct loop *, struct metric_group *,
    struct supply **out);
/* Units that are out are freed too. */
void supply_free(struct supply **);

/* ST_OK; ST_END: nothing more at present; ST_WAIT: too many are out, or wants() said so, or
 * ask again in another turn (supply_has_more).  Damaged stretches are passed over, counted
 * and logged.  `out` stays the supply's: it goes with supply_done or supply_put_back. */
enum status supply_next(struct supply *, enum supply_source, struct unit **out);
bool supply_has_more(const struct supply *);
void supply_done(struct supply *, struct unit **taken);

/* Not delivered after all: owed, for a later sweep.  In strict order the newest of an edge
 * first, and none of them stays out before it.  False: there is no room, it stays out. */
bool supply_put_back(struct supply *, struct unit **taken);
/* SUPPLY_LOG goes on at the newest; all that it has not read yet is owed.  False: there is
 * no room for that. */
bool supply_jump(struct supply *);
/* Likewise units of SUPPLY_LOG, a list by their `next`, of all edges in any order: all, or
 * false and none. */
bool supply_put_back_all(struct supply *, struct unit *list);

/* What is owed, is not out, and was received from then on and before then (wall clock)
 * is given up: entered in the ledger, then let go.  Until the policy's skipped() is called
 * nothing more is given out, nothing can be put back, and the cursor is not written: after a
 * crash all of it is owed still, whatever the ledger has.  ST_BUSY: it is under way already,
 * or there is no room; ST_NO_MEMORY. */
enum status supply_skip(struct supply *, int64_t from_ms, int64_t to_ms);
bool supply_is_skipping(const struct supply *);
/* True: it is to be called again, in another turn. */
bool supply_skip_on(struct supply *);

/* The number of the sweep, from 1.  After one in which nothing was taken the next begins
 * when this says that it may be another. */
uint32_t supply_sweep(const struct supply *);
void supply_sweep_again(struct supply *);
/* Whether SUPPLY_REST has anything, and whether of an edge that fn says yes to (edge 0:
 * of edges not known). */
bool supply_owes(const struct supply *);
bool supply_owes_edge(const struct supply *, uint64_t edge);
/* Half of the room for what is left is taken: what need not be left should not be. */
bool supply_is_crowded(const struct supply *);
bool supply_owes_any(const struct supply *, bool (*fn)(void *, uint64_t edge),
    void *arg);
/* Writes down what changed since the last time (survives the process): at once, but where
 * many units are out within 20 ms, if called again by then, or with the next sync. */
void supply_note(struct supply *);
/* Down to the disk, and lets go of segments that are not needed any more. */
void supply_sync(struct supply *);

/* Age of the oldest that is owed, 0 if none. */
int64_t supply_lag_ms(const struct supply *, int64_t wall_ms);
/* Age of the oldest that SUPPLY_LOG has given out and that is not busy. */
int64_t supply_log_lag_ms(const struct supply *, int64_t wall_ms);
/* Bytes of the log not delivered, about. */
uint64_t supply_backlog(const struct supply *);

#endif
