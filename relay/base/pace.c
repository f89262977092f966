/* pace.c - backoff, bucket.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/pace.h"

#include "base/clock.h"

uint64_t
pace_random(uint64_t *seed, uint64_t n)
{
	uint64_t x = *seed;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*seed = x;
	return x % n;
}

int64_t
backoff_next(struct backoff *b)
{
	int64_t d = b->now_ns ? b->now_ns * 2 : b->first_ns;
	int64_t tenth;

	if (d > b->max_ns)
		d = b->max_ns;
	b->now_ns = d;
	tenth = d / 10;
	if (tenth > 0)
		d += (int64_t)pace_random(&b->seed, 2 * (uint64_t)tenth + 1) -
		    tenth;
	return d;
}

void
backoff_reset(struct backoff *b)
{
	b->now_ns = 0;
}

/* ---- bucket ---------------------------------------------------------------- */

static void
refill(struct bucket *b, int64_t now)
{
	if (now > b->at)
		b->level += b->rate * (double)(now - b->at) / (double)CLOCK_S;
	b->at = now;
	if (b->level > b->most)
		b->level = b->most;
}

void
bucket_set_most(struct bucket *b, double rate, double most, int64_t now)
{
	refill(b, now);
	if (b->rate == 0 || b->level > most)
		b->level = most;
	b->rate = rate;
	b->most = most;
}

void
bucket_set(struct bucket *b, double rate, int64_t now)
{
	bucket_set_most(b, rate, rate, now);
}

int64_t
bucket_wait(struct bucket *b, double least, int64_t now)
{
	refill(b, now);
	if (b->level > least)
		return 0;
	return (int64_t)((least - b->level) / b->rate * (double)CLOCK_S) +
	    CLOCK_MS;
}

void
bucket_spend(struct bucket *b, double n, int64_t now)
{
	refill(b, now);
	b->level -= n;
}
