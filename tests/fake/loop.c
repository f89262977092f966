/* loop.c - a list of loops, and one clock for all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fake/loop.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

#define EPOCH (INT64_C(1700000000) * CLOCK_S)

struct loop_timer {
	struct loop_timer *next;
	struct loop *loop;
	loop_timer_fn *fn;
	void *arg;
	int64_t due;			/* 0: not started */
};

struct loop {
	struct loop *next;
	const char *name;
	struct loop_msg *first, **last;
	struct loop_hook *hooks;
	struct loop_timer *timers;
	bool stopped;
};

static struct loop *loops;
static int64_t now = CLOCK_S;

static int64_t
mono(void)
{
	return now;
}

static int64_t
wall(void)
{
	return EPOCH + now;
}

void
fake_clock_init(void)
{
	static const struct clock_source source = { mono, wall };

	clock_set(&source);
}

/* ---- loops ----------------------------------------------------------------------- */

enum status
loop_new(const char *name, struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l)), **at = &loops;

	if (!l)
		return ST_NO_MEMORY;
	l->name = name;
	l->last = &l->first;
	while (*at)
		at = &(*at)->next;
	*at = l;
	*out = l;
	return ST_OK;
}

void
loop_free(struct loop **lp)
{
	struct loop **at = &loops;

	if (!*lp)
		return;
	while (*at != *lp)
		at = &(*at)->next;
	*at = (*at)->next;
	free(*lp);
	*lp = NULL;
}

const char *
loop_name(const struct loop *l)
{
	return l->name;
}

int64_t
loop_now(const struct loop *l)
{
	(void)l;
	return now;
}

void
loop_post(struct loop *l, struct loop_msg *m, loop_msg_fn *fn)
{
	m->fn = fn;
	m->next = NULL;
	*l->last = m;
	l->last = &m->next;
}

void
loop_hook_add(struct loop *l, struct loop_hook *h)
{
	h->next = l->hooks;
	l->hooks = h;
}

void
loop_hook_remove(struct loop *l, struct loop_hook *h)
{
	struct loop_hook **at = &l->hooks;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
}

bool
fake_stopped(const struct loop *l)
{
	return l->stopped;
}

/* ---- timers ---------------------------------------------------------------------- */

enum status
loop_timer_new(struct loop *l, loop_timer_fn *fn, void *arg,
    struct loop_timer **out)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return ST_NO_MEMORY;
	*t = (struct loop_timer){ l->timers, l, fn, arg, 0 };
	l->timers = t;
	*out = t;
	return ST_OK;
}

void
loop_timer_free(struct loop_timer **tp)
{
	struct loop_timer **at;

	if (!*tp)
		return;
	at = &(*tp)->loop->timers;
	while (*at != *tp)
		at = &(*at)->next;
	*at = (*at)->next;
	free(*tp);
	*tp = NULL;
}

void
loop_timer_start(struct loop_timer *t, int64_t ns)
{
	t->due = now + (ns > 0 ? ns : 0);
}

void
loop_timer_stop(struct loop_timer *t)
{
	t->due = 0;
}

bool
loop_timer_pending(const struct loop_timer *t)
{
	return t->due != 0;
}

static struct loop_timer *
due(struct loop *l)
{
	struct loop_timer *t;

	for (t = l->timers; t; t = t->next)
		if (t->due && t->due <= now)
			return t;
	return NULL;
}

/* ---- turning --------------------------------------------------------------------- */

void
fake_turn(struct loop *l)
{
	struct loop_msg *m = l->first, *next;
	struct loop_hook *h, *after;
	struct loop_timer *t;

	l->first = NULL;
	l->last = &l->first;
	for (; m; m = next) {
		next = m->next;
		m->fn(m);
	}
	while ((t = due(l))) {
		t->due = 0;
		t->fn(t->arg);
	}
	for (h = l->hooks; h; h = after) {
		after = h->next;
		h->fn(h->arg);
	}
}

void
fake_settle(void)
{
	struct loop *l;
	bool again;

	do {
		again = false;
		for (l = loops; l; l = l->next) {
			if (!l->first && !due(l))
				continue;
			fake_turn(l);
			again = true;
		}
	} while (again);
}

/* The first timer's time, no later than `end`. */
static int64_t
next_due(int64_t end)
{
	struct loop_timer *t;
	struct loop *l;

	for (l = loops; l; l = l->next)
		for (t = l->timers; t; t = t->next)
			if (t->due && t->due < end)
				end = t->due;
	return end;
}

void
fake_pass(int64_t ns)
{
	int64_t end = now + ns;

	fake_settle();
	while (now < end) {
		int64_t next = next_due(end);

		now = next > now ? next : now;
		fake_settle();
	}
}
