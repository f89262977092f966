/* lane.h - one request in flight: units gathered, built, and what became of them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * All units of an edge pass through one lane, in order.  A lane builds a request from
 * the units of one edge at the head of its queue; until that request's fate is known
 * the units stay its `sending`.  The forwarder decides when to send and what an answer
 * means.                                                                    */
#ifndef RW_FORWARD_LANE_H
#define RW_FORWARD_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "forward/supply.h"
#include "prw/payload.h"
#include "prw/prw.h"
#include "prw/v1.h"
#include "prw/v2.h"

struct http_exchange;
struct forwarder;

struct unit_list {
	struct unit *first, **end;
	uint32_t n;
};

struct lane {
	struct forwarder *forwarder;	/* borrowed */
	struct unit_list queue;		/* given out by the supply, to send */
	struct unit_list sending;	/* in the request built last */
	struct buf body;		/* owned: packed, of `sending` */
	enum payload_proto proto;	/* of body */
	struct prw_counts counts;	/* of body */
	struct prw_loss loss;		/* of body */
	uint32_t alone;			/* so many more units go one by one */
	bool built;			/* body is of `sending` */
	struct dict *avoid;		/* a reference: the edge that was told to wait;
					   others of the lane go first, once */
	struct http_exchange *exchange;	/* owned; not NULL: in flight */
	int64_t sent_at;		/* clock_mono */
};

/* Builders are shared by a forwarder's lanes: building is done in one go. */
struct lane_tools {
	struct v1_builder *v1;
	struct v2_builder *v2;
	uint32_t max_samples;
	size_t max_bytes;		/* when merging */
	size_t most_bytes;		/* of any request but a single point's */
};

void lane_init(struct lane *, struct forwarder *);
void lane_fini(struct lane *);		/* units are the supply's */

void unit_list_push(struct unit_list *, struct unit *);
struct unit *unit_list_pop(struct unit_list *);	/* NULL: empty */

/* Takes units from the queue (or those that are sending already) and makes the
 * body.  ST_OK; ST_END: nothing to send; ST_NO_MEMORY: try later.  A body of no bytes
 * (lane->body.len == 0) is one that the protocol has no words for. */
enum status lane_build(struct lane *, const struct lane_tools *,
    enum payload_proto);

/* What a request has of the unit: all, or a part that borrows all it has. */
struct batch lane_part(const struct unit *);

/* What is sending goes back to the head of the queue, each unit to go alone. */
void lane_break_up(struct lane *);
/* The unit that is sending alone goes in smaller parts.  False: it is as small as can
 * be. */
bool lane_halve(struct lane *);
/* The part that was sending is over with; false if it was the last, or the whole. */
bool lane_next_part(struct lane *);
/* What is sending goes back to the head of the queue, and the next request is of another
 * edge, if the lane has units of one.  Nothing of an edge overtakes. */
void lane_step_aside(struct lane *);

#endif
