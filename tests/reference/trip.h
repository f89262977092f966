/* trip.h - a scanned batch on its way through a stream of records, as an edge's
 * session and a forwarder take it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_TESTS_TRIP_H
#define RW_TESTS_TRIP_H

#include "series/batch.h"
#include "series/codec.h"

struct trip {
	struct encoder *encoder;	/* owned, as those below */
	struct decoder *decoder;
	struct batch *out;		/* what came out last */
	struct buf record;
	struct trip_known *known;
	uint32_t n_known, max_known;
};

/* Anything that fails ends the program. */
void trip_init(struct trip *, const char *edge);
void trip_fini(struct trip *);

/* Gives each entry its series id or the reason of its refusal, as a session
 * does. */
void trip_identify(struct trip *, struct batch *);
/* Through the codec a settled batch; trip.out is what comes out. */
void trip_pass(struct trip *, const struct batch *settled);

#endif
