/* trend.h - how fast a figure has changed lately.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic only: the time is a parameter (clock_mono).  A figure that goes up and
 * down about the same place has no trend: the second half of the time must agree with
 * the whole, and three in four of its steps.                                */
#ifndef RW_BASE_TREND_H
#define RW_BASE_TREND_H

#include <stdint.h>

#define TREND_SLOTS 17
#define TREND_STEP_NS INT64_C(4000000000)	/* so about a minute */

/* Zeroed: nothing is known. */
struct trend {
	unsigned n;
	int64_t at[TREND_SLOTS];	/* the oldest first */
	int64_t value[TREND_SLOTS];
};

/* Any number of times; what comes before the next step is due does not count. */
void trend_put(struct trend *, int64_t value, int64_t now);
/* Its change a second; 0: none, or too little is known. */
double trend_rate(const struct trend *);

/* Milliseconds for so much at so much a second; -1: never. */
int64_t trend_ms(int64_t amount, double rate);

#endif
