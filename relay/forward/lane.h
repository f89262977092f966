/* lane.h - one request in flight: units gathered, built, and what became of them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A lane builds a request from the units at the head of one queue of a flow, so of one edge;
 * until that request's fate is known they stay its `sending`.  The forwarder decides whose
 * turn it is, when to send and what an answer means.                        */
#ifndef RW_FORWARD_LANE_H
#define RW_FORWARD_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "forward/flow.h"
#include "prw/payload.h"
#include "prw/prw.h"
#include "prw/v1.h"
#include "prw/v2.h"

struct http_exchange;
struct forwarder;

struct lane {
	struct forwarder *forwarder;	/* borrowed */
	bool strict;
	struct flow *flow;		/* borrowed; NULL: the lane is free */
	enum pacer_class class;
	struct unit_list sending;	/* in the request built last */
	uint32_t points;		/* of those */
	struct buf body;		/* owned: packed, of `sending` */
	struct payload_form form;	/* of body */
	struct prw_counts counts;	/* of body */
	struct prw_loss loss;		/* of body */
	struct http_exchange *exchange;	/* owned; not NULL: in flight */
	uint32_t shown;			/* version of the credential that it shows */
	int64_t sent_at;		/* clock_mono */
};

/* Builders are shared by a forwarder's lanes: building is done in one go. */
struct lane_tools {
	struct v1_builder *v1;
	struct v2_builder *v2;
	struct payload_tools pack;
	struct regroup *regroup;	/* of backlog; NULL: records stay whole */
	size_t max_bytes;		/* when merging */
	size_t most_bytes;		/* of any request but a single point's */
};

void lane_init(struct lane *, struct forwarder *, bool strict);
void lane_fini(struct lane *);		/* units are the supply's */

/* Takes units from the flow's queue of that class, `most` samples if there are several, and
 * makes the body.  ST_OK; ST_NO_MEMORY: try later, nothing was taken.  A body of no bytes
 * (lane->body.len == 0) is one that the protocol has no words for. */
enum status lane_build(struct lane *, struct lane_tools *,
    struct payload_form, struct flow *, enum pacer_class, uint32_t most);

/* What a request has of the unit: all, or a part that borrows all it has. */
struct batch lane_part(const struct unit *);

/* What is sending goes back to the head of the queue, and the lane is free. */
void lane_put_back(struct lane *);
/* Likewise, each unit to go alone. */
void lane_break_up(struct lane *);
/* The unit that is sending alone is to go in smaller parts.  False: it is as small as can
 * be. */
bool lane_halve(struct lane *);
/* The part that was sending is over with; false if it was the last, or the whole. */
bool lane_next_part(struct lane *);

#endif
