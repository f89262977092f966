/* timing.h - what the benches measure with.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RW_TESTS_BENCH_TIMING_H
#define RW_TESTS_BENCH_TIMING_H

#include <stdlib.h>
#include <time.h>

/* CPU time of this thread. */
static inline double
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What asking the time costs, to be taken off. */
static inline double
clock_ns(void)
{
	double least = 1e9, t0, t1;
	int i;

	for (i = 0; i < 1000; i++) {
		t0 = now_ns();
		t1 = now_ns();
		least = t1 - t0 < least ? t1 - t0 : least;
	}
	return least;
}

static inline int
timing_by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts them. */
static inline double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), timing_by_size);
	return v[n / 2];
}

#endif
