/* shut.h - edges that are over their rate, as a worker remembers them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whether an edge may send is known at its home, where its requests arrive when they
 * have been read and scanned.  One that was refused there, and does not wait as it was
 * told, is refused by its name alone from then on, which costs next to nothing.  What
 * does not fit is forgotten, and refused at home again.  One loop's.        */
#ifndef RW_INGEST_SHUT_H
#define RW_INGEST_SHUT_H

#include <stdint.h>

#define SHUT_SETS 256
#define SHUT_WAYS 4

struct shut_edge {
	uint64_t name;			/* its keyed hash */
	int64_t until;			/* clock_mono */
	uint32_t refused;		/* requests, not yet told of */
};

/* Zeroed at first. */
struct shut {
	struct shut_edge edge[SHUT_SETS][SHUT_WAYS];
};

/* It may send again at `until`. */
void shut_note(struct shut *, uint64_t name, int64_t until);
/* Nanoseconds until it may: its request is refused, and counted; 0: it may. */
int64_t shut_ask(struct shut *, uint64_t name, int64_t now);
/* How many of its requests were refused since the last call. */
uint32_t shut_take(struct shut *, uint64_t name);

#endif
