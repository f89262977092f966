/* verdict.h - what an upstream's answer, or its absence, means.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pure: no socket, no clock.  Rules: remote write 1.0 and 2.0 "Retries & Backoff",
 * 2.0 "Required Written Response Headers" and "Unsupported Request Content", and
 * beyond them: a relay with a spool does not throw data away for what is a wrong
 * configuration (401, 403, 404, 407, 408, 3xx).  What does not understand zstd answers
 * 415 or, if it takes everything for snappy, 400 (vmagent goes by the same).  */
#ifndef RW_FORWARD_VERDICT_H
#define RW_FORWARD_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "http/message.h"
#include "prw/payload.h"
#include "prw/prw.h"

enum verdict {
	VERDICT_DELIVERED,
	VERDICT_LATER,		/* the same again, after a while */
	VERDICT_HELD,		/* likewise, but somebody has to mend something */
	VERDICT_OTHER,		/* the same again at once, in another form */
	VERDICT_PLAIN,		/* likewise, by snappy, only to see */
	VERDICT_SPLIT,		/* too large: less in a request */
	VERDICT_REFUSED,	/* for good */
};

/* What is known of the upstream when the request was sent. */
struct verdict_case {
	struct payload_form sent;
	bool may_change;	/* protocol = auto */
	bool proven;		/* it has shown that it understands `sent` */
	bool drop_misconfig;
	int64_t wall_ns;
};

struct verdict_hint {
	int64_t retry_after_ns;		/* -1: none */
	bool has_written;		/* any of the three headers was there */
	struct prw_counts written;	/* a missing one is 0 */
};

/* st and answer as http_done_fn has them. */
enum verdict verdict_of(enum status st, const struct http_answer *answer,
    const struct verdict_case *, struct verdict_hint *);

#endif
