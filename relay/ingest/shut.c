/* shut.c - a few places for each hash; who may send soonest is forgotten first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingest/shut.h"

/* Where it is, or is to be. */
static struct shut_edge *
place_of(struct shut *s, uint64_t name)
{
	struct shut_edge *e = s->edge[name % SHUT_SETS], *soonest = e;
	int i;

	for (i = 0; i < SHUT_WAYS; i++) {
		if (e[i].name == name)
			return &e[i];
		if (e[i].until < soonest->until)
			soonest = &e[i];
	}
	return soonest;
}

void
shut_note(struct shut *s, uint64_t name, int64_t until)
{
	struct shut_edge *e = place_of(s, name);

	if (e->name != name)
		*e = (struct shut_edge){ .name = name };
	e->until = until;
}

int64_t
shut_ask(struct shut *s, uint64_t name, int64_t now)
{
	struct shut_edge *e = place_of(s, name);

	if (e->name != name || e->until <= now)
		return 0;
	e->refused++;
	return e->until - now;
}

uint32_t
shut_take(struct shut *s, uint64_t name)
{
	struct shut_edge *e = place_of(s, name);
	uint32_t n = e->name == name ? e->refused : 0;

	if (n)
		e->refused = 0;
	return n;
}
