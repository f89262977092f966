/* shut.c - a place for each hash; the latest keeps it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingest/shut.h"

static struct shut_edge *
place_of(struct shut *s, uint64_t name)
{
	return &s->edge[name % SHUT_SIZE];
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
