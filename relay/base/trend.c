/* trend.c - a line through the first, the middle and the last of what was seen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/trend.h"

#include <stdbool.h>
#include <string.h>

#define LEAST 3				/* values, for a first guess */
#define MS_MAX INT64_C(3155760000000)	/* a hundred years is never */

void
trend_put(struct trend *t, int64_t value, int64_t now)
{
	if (t->n && now - t->at[t->n - 1] < TREND_STEP_NS)
		return;
	if (t->n == TREND_SLOTS) {
		t->n--;
		memmove(t->at, t->at + 1, t->n * sizeof(t->at[0]));
		memmove(t->value, t->value + 1, t->n * sizeof(t->value[0]));
	}
	t->at[t->n] = now;
	t->value[t->n++] = value;
}

static double
since(const struct trend *t, unsigned from)
{
	unsigned last = t->n - 1;

	return (double)(t->value[last] - t->value[from]) * 1e9 /
	    (double)(t->at[last] - t->at[from]);
}

static bool
is_steady(const struct trend *t, bool up)
{
	unsigned i, with = 0, against = 0;

	for (i = 1; i < t->n; i++) {
		if (t->value[i] == t->value[i - 1])
			continue;
		if ((t->value[i] > t->value[i - 1]) == up)
			with++;
		else
			against++;
	}
	return with >= 3 * against;
}

double
trend_rate(const struct trend *t)
{
	double whole, half;

	if (t->n < LEAST)
		return 0;
	whole = since(t, 0);
	half = since(t, t->n / 2);
	if (!((whole > 0 && half > 0) || (whole < 0 && half < 0)))
		return 0;
	return is_steady(t, whole > 0) ? whole : 0;
}

int64_t
trend_ms(int64_t amount, double rate)
{
	double ms;

	if (amount <= 0)
		return 0;
	if (rate <= 0)
		return -1;
	ms = (double)amount * 1000 / rate;
	return ms < (double)MS_MAX ? (int64_t)ms : -1;
}
