/* seen.c - see seen.h.
 * SPDX-License-Identifier: Apache-2.0                                       */
#include "seen.h"

#include <stdlib.h>
#include <string.h>

#include "wire.h"

static void
insert_gap(struct seen *s, uint32_t at, uint32_t from, uint32_t to)
{
	s->gaps = wire_alloc(s->gaps, (s->ngaps + 1) * sizeof(*s->gaps));
	memmove(&s->gaps[at + 1], &s->gaps[at],
	    (s->ngaps - at) * sizeof(*s->gaps));
	s->gaps[at] = (struct seen_gap){ from, to };
	s->ngaps++;
}

/* The gap that `seq` lies in; ngaps when it lies in none. */
static uint32_t
gap_of(const struct seen *s, uint32_t seq)
{
	uint32_t low = 0, high = s->ngaps, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (s->gaps[mid].to < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->ngaps && s->gaps[low].from <= seq ? low : s->ngaps;
}

static void
fill_gap(struct seen *s, uint32_t i, uint32_t seq)
{
	struct seen_gap *g = &s->gaps[i], old = *g;

	if (old.from == old.to) {
		memmove(g, g + 1, (--s->ngaps - i) * sizeof(*g));
	} else if (seq == old.from) {
		g->from++;
	} else if (seq == old.to) {
		g->to--;
	} else {
		g->to = seq - 1;
		insert_gap(s, i + 1, seq + 1, old.to);
	}
}

enum seen_verdict
seen_note(struct seen *s, uint32_t seq)
{
	uint32_t i;

	if (!s->any) {
		s->any = true;
		s->first = s->last = seq;
		return SEEN_NEXT;
	}
	if (seq == s->last + 1) {
		s->last = seq;
		return SEEN_NEXT;
	}
	if (seq > s->last) {
		insert_gap(s, s->ngaps, s->last + 1, seq - 1);
		s->last = seq;
		return SEEN_AHEAD;
	}
	if (seq < s->first) {
		if (seq + 1 < s->first)
			insert_gap(s, 0, seq + 1, s->first - 1);
		s->first = seq;
		return SEEN_LATE;
	}
	i = gap_of(s, seq);
	if (i == s->ngaps)
		return SEEN_AGAIN;
	fill_gap(s, i, seq);
	return SEEN_LATE;
}

uint64_t
seen_missing(const struct seen *s)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < s->ngaps; i++)
		n += s->gaps[i].to - s->gaps[i].from + UINT64_C(1);
	return n;
}

bool
seen_has(const struct seen *s, uint32_t seq)
{
	return s->any && seq >= s->first && seq <= s->last &&
	    gap_of(s, seq) == s->ngaps;
}

void
seen_free(struct seen *s)
{
	free(s->gaps);
	memset(s, 0, sizeof(*s));
}
