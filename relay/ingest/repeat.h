/* repeat.h - points that an edge sends again.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An edge that did not see the answer to a request sends it again.  What is stored
 * already is taken out:
 *  - a sample, or a histogram, that is in every bit what its series was given last;
 *  - of a request that came before, byte for byte, all points of the series that were
 *    given nothing since.  (That is how a request with several points of a series, or
 *    with exemplars, is known again.)
 * The same time with another value is no repeat, nor is what lies further back than
 * what its series was given last.                                           */
#ifndef RW_INGEST_REPEAT_H
#define RW_INGEST_REPEAT_H

#include <stdint.h>

#include "base/hash.h"
#include "series/batch.h"
#include "series/store.h"

enum last_kind { LAST_NONE, LAST_SAMPLE, LAST_HISTOGRAM };

/* What a series was given last. */
struct last {
	int64_t ms;
	uint64_t bits;			/* of a histogram its hash */
	uint32_t request;		/* by this one; 0: by none */
	uint32_t kind;			/* enum last_kind */
};

/* Of a table of struct last, by series. */
static inline struct last *
last_at(const struct table *last, uint32_t series)
{
	return table_at(last, sizeof(struct last), series);
}

/* As many as a sender has under way at once, with room. */
#define REPEAT_REQUESTS 64

/* Of one edge.  Zero-initialised it knows no request. */
struct repeats {
	struct {
		struct hash128 body;
		uint32_t number;	/* 0: none */
	} request[REPEAT_REQUESTS];
	uint32_t oldest;		/* its place */
	uint32_t number;		/* given last */
};

/* Takes repeats out of a settled batch, and counts them; what is left becomes the last
 * of its series.  `body` is the hash of the request as it came; `last` is by series,
 * `key` for the hashes of histograms. */
struct batch_counts repeats_take(struct repeats *, const struct hash_key *key,
    struct hash128 body, const struct table *last, struct batch *);

/* What was taken for stored may not be: nothing from before is known any more. */
void repeats_forget(struct repeats *, const struct table *last, uint32_t n);

#endif
