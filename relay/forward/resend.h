/* resend.h - what was refused for good, once more, as somebody has ordered.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Entries of the rejected log become units, one at a time, in the order of that log. They
 * have a flow of their own, so they take their turn with the edges. An entry is over with
 * when its unit is, delivered or refused: what is refused again was set aside again before.
 * So a crash repeats at most the one that was on its way.  The order itself is forgotten
 * with the process; what was not sent stays in the rejected log.
 * Belongs to the forwarder's loop.                                          */
#ifndef RW_FORWARD_RESEND_H
#define RW_FORWARD_RESEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/status.h"
#include "forward/flow.h"
#include "forward/rejected.h"
#include "forward/supply.h"

#define RESEND_ORDERS_MAX 64

/* From one entry up to another, or up to where one may be. */
struct resend_span {
	struct spool_pos first, end;
};

struct resend {
	const char *name;		/* of the upstream; borrowed */
	struct rejected *rejected;	/* borrowed */
	struct metric_group *metrics;	/* borrowed */
	struct flow flow;		/* its units are ours */
	struct unit *unit;		/* owned; NULL: none is on its way */
	bool stays;			/* it could not be set aside again */
	struct resend_span orders[RESEND_ORDERS_MAX];
	unsigned n_orders;
};

/* What an order came to. */
struct resend_sums {
	uint64_t entries, samples;
};

void resend_init(struct resend *, const char *name, struct rejected *,
    struct metric_group *);
void resend_fini(struct resend *);

/* entry {0, 0}: all that are there now.  ST_MISSING: there is no such entry; ST_BUSY: too
 * many orders at a time; the disk's. */
enum status resend_order(struct resend *, struct spool_pos entry,
    struct resend_sums *);
/* Gives up instead; durable when it returns ST_OK. */
enum status resend_drop(struct resend *, struct spool_pos entry,
    struct resend_sums *);

/* The next unit, to be pushed to the flow; NULL: there is none, or one is on its way. */
struct unit *resend_next(struct resend *);
/* It was delivered, or refused. */
void resend_done(struct resend *, struct unit **taken);

#endif
