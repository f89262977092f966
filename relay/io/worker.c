/* worker.c - a row of loops.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/worker.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

struct workers {
	size_t n;
	size_t started;
	struct loop **loops;		/* owned */
	char (*names)[24];		/* owned */
};

static size_t
processors(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) == -1)
		return 1;
	n = CPU_COUNT(&set);
	if (n > WORKERS_MAX)
		n = WORKERS_MAX;
	return n > 0 ? (size_t)n : 1;
}

enum status
workers_new(size_t n, struct workers **out)
{
	struct workers *w = calloc(1, sizeof(*w));
	enum status st = ST_NO_MEMORY;

	assert(n <= WORKERS_MAX);
	if (!w)
		return ST_NO_MEMORY;
	if (n == 0)
		n = processors();
	w->loops = calloc(n, sizeof(struct loop *));
	w->names = calloc(n, sizeof(w->names[0]));
	if (!w->loops || !w->names)
		goto fail;
	for (; w->n < n; w->n++) {
		(void)snprintf(w->names[w->n], sizeof(w->names[0]),
		    "worker-%u", (unsigned)w->n);	/* fits */
		st = loop_new(w->names[w->n], &w->loops[w->n]);
		if (st != ST_OK)
			goto fail;
	}
	*out = w;
	return ST_OK;
fail:
	workers_free(&w);
	return st;
}

size_t
workers_count(const struct workers *w)
{
	return w->n;
}

struct loop *
workers_loop(const struct workers *w, size_t i)
{
	assert(i < w->n);
	return w->loops[i];
}

struct loop *const *
workers_loops(const struct workers *w)
{
	return w->loops;
}

enum status
workers_start(struct workers *w)
{
	enum status st;

	for (; w->started < w->n; w->started++) {
		st = loop_start(w->loops[w->started]);
		if (st != ST_OK) {
			workers_stop(w);
			return st;
		}
	}
	return ST_OK;
}

void
workers_stop(struct workers *w)
{
	size_t i;

	for (i = 0; i < w->started; i++)
		loop_stop(w->loops[i]);
	for (i = 0; i < w->started; i++)
		loop_join(w->loops[i]);
	w->started = 0;
}

void
workers_free(struct workers **at)
{
	struct workers *w = *at;
	size_t i;

	if (!w)
		return;
	assert(w->started == 0);
	*at = NULL;
	for (i = 0; i < w->n; i++)
		loop_free(&w->loops[i]);
	free(w->loops);
	free(w->names);
	free(w);
}
