/* owed.c - a sorted array; there are few stretches, or it is full.
 * SPDX-License-Identifier: Apache-2.0 */
#include "forward/owed.h"

#include <assert.h>
#include <string.h>

struct cursor_owed *
owed_find(struct owed *w, struct spool_pos pos, uint32_t stream)
{
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		struct cursor_owed *o = &w->list[i];

		if (spool_pos_cmp(o->from, pos) > 0)
			break;
		if (spool_pos_cmp(pos, o->to) < 0 &&
		    (o->stream == 0 || (o->stream == stream &&
		    o->from.segment == pos.segment)))
			return o;
	}
	return NULL;
}

bool
owed_has_edge(const struct owed *w, uint64_t edge)
{
	uint32_t i;

	for (i = 0; i < w->n; i++)
		if (w->list[i].edge == edge || w->list[i].edge == 0)
			return true;
	return false;
}

bool
owed_has_room(const struct owed *w, uint32_t n)
{
	return w->n + n <= OWED_MAX;
}

static void
take_out(struct owed *w, struct cursor_owed *o)
{
	w->n_all -= o->stream == 0;
	w->n--;
	memmove(o, o + 1, (size_t)(&w->list[w->n] - o) * sizeof(*o));
}

/* Behind all that begin at or before it. */
static void
insert(struct owed *w, struct cursor_owed o)
{
	uint32_t i = w->n;

	while (i > 0 && spool_pos_cmp(w->list[i - 1].from, o.from) > 0)
		i--;
	memmove(&w->list[i + 1], &w->list[i], (w->n - i) * sizeof(o));
	w->list[i] = o;
	w->n++;
	w->n_all += o.stream == 0;
}

static bool
may_join(const struct cursor_owed *o, const struct owed_span *s, bool joins,
    struct spool_pos at, struct spool_pos other)
{
	if (o->stream != s->stream)
		return false;
	if (spool_pos_cmp(at, other) == 0)
		return true;
	return joins && s->stream != 0 &&
	    o->from.segment == s->from.segment;
}

/* The last one that ends at or before the span, if it can take it. */
static struct cursor_owed *
before(struct owed *w, const struct owed_span *s, bool joins)
{
	uint32_t i = w->n;

	while (i-- > 0) {
		struct cursor_owed *o = &w->list[i];

		if (spool_pos_cmp(o->from, s->from) <= 0 &&
		    spool_pos_cmp(o->to, s->from) <= 0 &&
		    may_join(o, s, joins, o->to, s->from))
			return o;
	}
	return NULL;
}

/* Likewise the first that begins at or behind its end. */
static struct cursor_owed *
behind(struct owed *w, const struct owed_span *s, bool joins)
{
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		struct cursor_owed *o = &w->list[i];

		if (spool_pos_cmp(o->from, s->to) >= 0 &&
		    may_join(o, s, joins, s->to, o->from))
			return o;
	}
	return NULL;
}

bool
owed_add(struct owed *w, const struct owed_span *s, bool joins)
{
	struct cursor_owed *o = before(w, s, joins), whole;

	if (o) {
		o->to = s->to;
		o->bytes += s->bytes;
		return true;
	}
	o = behind(w, s, joins);
	if (!o && w->n == OWED_MAX)
		return false;
	whole = (struct cursor_owed){ .from = s->from, .to = s->to,
		.stream = s->stream, .edge = s->edge, .wall_ms = s->wall_ms,
		.bytes = s->bytes };
	if (o) {
		whole.to = o->to;
		whole.bytes += o->bytes;
		take_out(w, o);
	}
	insert(w, whole);
	return true;
}

void
owed_shift(struct owed *w, struct cursor_owed *o, struct spool_pos next,
    uint64_t bytes)
{
	struct cursor_owed rest = *o;

	take_out(w, o);
	rest.from = next;
	rest.bytes -= bytes < rest.bytes ? bytes : rest.bytes;
	if (spool_pos_cmp(rest.from, rest.to) < 0)
		insert(w, rest);
}

static void
end_at(struct owed *w, struct cursor_owed *o, struct spool_pos end)
{
	if (spool_pos_cmp(o->from, end) < 0)
		o->to = end;
	else
		take_out(w, o);
}

void
owed_lose(struct owed *w, struct spool_pos from, struct spool_pos to)
{
	uint32_t i = w->n;

	while (i-- > 0) {
		struct cursor_owed *o = &w->list[i];

		if (spool_pos_cmp(o->to, from) <= 0 ||
		    spool_pos_cmp(o->from, to) >= 0)
			continue;
		if (o->stream)
			end_at(w, o, from);
		else
			owed_shift(w, o, to, 0);
	}
}

bool
owed_forget(struct owed *w, struct spool_pos pos)
{
	bool any = false;

	while (w->n > 0 && spool_pos_cmp(w->list[0].from, pos) < 0) {
		owed_shift(w, &w->list[0], pos, 0);
		any = true;
	}
	return any;
}

bool
owed_was_read(struct owed *w, struct spool_pos from, struct spool_pos to)
{
	bool any = false;
	uint32_t i = w->n_all ? w->n : 0;

	while (i-- > 0) {
		struct cursor_owed *o = &w->list[i];

		if (o->stream || spool_pos_cmp(o->from, from) < 0 ||
		    spool_pos_cmp(o->to, to) > 0)
			continue;
		take_out(w, o);
		any = true;
	}
	return any;
}

void
owed_load(struct owed *w, const struct cursor_owed *list, uint32_t n)
{
	uint32_t i;

	w->n = w->n_all = 0;
	for (i = 0; i < n; i++) {
		struct cursor_owed *last = w->n ? &w->list[w->n - 1] : NULL;

		if (w->n < OWED_MAX) {
			insert(w, list[i]);
			continue;
		}
		w->n_all += last->stream != 0;
		last->stream = 0;
		last->edge = 0;
		if (spool_pos_cmp(list[i].to, last->to) > 0)
			last->to = list[i].to;
	}
}

bool
owed_in_segment(const struct owed *w, uint64_t segment, uint32_t stream)
{
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		const struct cursor_owed *o = &w->list[i];

		if (o->from.segment > segment)
			break;
		if (o->stream == 0 ? o->to.segment > segment ||
		    (o->to.segment == segment && o->to.offset > 0) :
		    o->from.segment == segment && o->stream == stream)
			return true;
	}
	return false;
}
