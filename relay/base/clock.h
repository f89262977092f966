/* clock.h - the one way to ask the time.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Times are int64_t nanoseconds.  clock_mono() never goes back and is for
 * intervals; clock_wall() is Unix time, for people and for the ages of samples.
 * Tests replace the source by clock_set() before any thread is started.     */
#ifndef RW_BASE_CLOCK_H
#define RW_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_US INT64_C(1000)
#define CLOCK_MS INT64_C(1000000)
#define CLOCK_S  INT64_C(1000000000)

struct clock_source {
	int64_t (*mono)(void);
	int64_t (*wall)(void);
};

int64_t clock_mono(void);
int64_t clock_wall(void);

/* NULL: back to the system's clocks.  The source is borrowed for ever. */
void clock_set(const struct clock_source *);

#endif
