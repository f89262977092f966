/* flow.h - what waits of each edge, and whose turn it is.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A flow has the units of one edge that have been read, in two queues: live data and
 * backlog.  Among the edges that have something to send in a class it is the turn of the
 * one that has had the least (by its weight) since it has something: equal shares of
 * samples, whatever the size of requests.  Who had nothing to send has saved nothing.
 * Belongs to the forwarder's loop.                                          */
#ifndef RW_FORWARD_FLOW_H
#define RW_FORWARD_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pace.h"
#include "forward/pacer.h"
#include "forward/supply.h"

struct unit_list {
	struct unit *first, **end;
	uint32_t n;
};

void unit_list_init(struct unit_list *);
void unit_list_push(struct unit_list *, struct unit *);
struct unit *unit_list_pop(struct unit_list *);	/* NULL: empty */
/* Takes out the one that a link of the list points to. */
struct unit *unit_list_take(struct unit_list *, struct unit **at);
/* All of the second in front; it is empty then. */
void unit_list_put_first(struct unit_list *, struct unit_list *first);

struct flow;

/* One class of a flow. */
struct flow_part {
	struct unit_list queue;
	uint32_t points;		/* in the queue */
	uint32_t alone;			/* so many more units go one by one */
	bool busy;			/* a request is in flight */
	bool plain;			/* the next one goes by snappy, to see */
	double had;			/* samples by weight, beside what others had */
	struct flow *next, *previous;	/* in the ring; NULL: not in it */
};

struct flow {
	struct flow *same;		/* in the bucket */
	uint64_t edge;			/* hash_lasting() of its name */
	uint32_t weight;		/* 0: it has never had a unit */
	struct flow_part part[PACER_CLASSES];
	int64_t seen_ms;		/* wall clock of the last record */
	int64_t used_at;		/* clock_mono */
	uint32_t left_in;		/* sweep in which something of it was left */

	/* refused, where others are not (flow_refused) */
	uint64_t others;		/* requests delivered when it was refused last */
	unsigned refused;		/* times in a row, others in between */
	bool parked;			/* nothing of it is read or sent, but: */
	bool probing;			/* one request, now */
	bool told;			/* it is in the log of the relay */
	struct backoff backoff;
	int64_t probe_at;		/* clock_mono */
};

struct flows {
	bool strict;			/* backlog first, one request in flight */
	uint32_t n, n_parked;
	struct flow *ring[PACER_CLASSES];	/* who has something to send */
	double had[PACER_CLASSES];	/* by whose turn it was last */
	struct flow *bucket[1024];	/* owned */
};

void flows_init(struct flows *, bool strict);
void flows_fini(struct flows *);		/* units are the supply's */

/* One of its own that is not in the table, but may be in the rings. */
void flow_init(struct flow *, uint64_t edge);

/* Made if need be; NULL: out of memory. */
struct flow *flows_get(struct flows *, uint64_t edge);
struct flow *flows_find(const struct flows *, uint64_t edge);
void flows_each(struct flows *, void (*fn)(struct flow *, void *), void *arg);
bool flows_any(const struct flows *, bool (*fn)(const struct flow *, void *),
    void *arg);
/* Those that have nothing and were not used since are let go. */
void flows_sweep(struct flows *, int64_t before);

/* Whether it has anything, queued or in flight. */
bool flow_is_empty(const struct flow *);
uint32_t flow_points(const struct flow *);

void flow_push(struct flows *, struct flow *, enum pacer_class, struct unit *);
/* Whose turn it is in a class, and off the ring until it is settled; NULL: nobody's.
 * `doubtful`: while nobody was refused last, those who were wait. */
struct flow *flows_next(struct flows *, enum pacer_class, bool doubtful);
bool flows_has(const struct flows *, enum pacer_class);
/* Back into the rings that it belongs in, after whatever changed. */
void flow_settle(struct flows *, struct flow *);
/* It was its turn, and so much of it was sent. */
void flow_spent(struct flow *, enum pacer_class, uint32_t samples);

#endif
