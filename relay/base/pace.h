/* pace.h - token bucket and backoff: arithmetic only, the time is a parameter
 * (nanoseconds, clock_mono()).
 * SPDX-License-Identifier: Apache-2.0
 *
 * No allocation, no I/O, no thread: the owner calls from its own loop.      */
#ifndef RW_BASE_PACE_H
#define RW_BASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* ---- exponential backoff with jitter ---------------------------------- */
struct backoff {
	int64_t first_ns, max_ns;	/* limits, set by the owner */
	int64_t now_ns;			/* the delay given last, 0: none yet */
	uint64_t seed;			/* xorshift state of the jitter, not 0 */
};

/* The next delay: doubles up to max, then +-10 %; never under 0.8 times the
 * delay before (so that intervals do not shrink). */
int64_t backoff_next(struct backoff *);
void backoff_reset(struct backoff *);

/* ---- token bucket ------------------------------------------------------ */

/* Holds what comes in a second, or as much as it is told.  May be overdrawn: then it
 * is waited for. */
struct bucket {
	double rate;			/* tokens a second */
	double most;			/* that it holds */
	double level;			/* at most that */
	int64_t at;			/* when that was */
};

/* A full one; one that is in use keeps its level. */
void bucket_set(struct bucket *, double rate, int64_t now);
void bucket_set_most(struct bucket *, double rate, double most, int64_t now);
/* Nanoseconds until it has more than so much; 0: it has. */
int64_t bucket_wait(struct bucket *, double least, int64_t now);
void bucket_spend(struct bucket *, double n, int64_t now);

/* A number in [0, n), n > 0, from a xorshift state that is not 0. */
uint64_t pace_random(uint64_t *seed, uint64_t n);

#endif
