/* arena.c - chunks in a list, the newest first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN ((size_t)16 << 10)
#define ALIGN 16

struct chunk {
	struct chunk *older;		/* owned */
	size_t size, used;		/* of room */
	_Alignas(ALIGN) unsigned char room[];
};

struct arena {
	struct chunk *newest;		/* owned */
	struct chunk *spare;		/* owned, empty, kept by reset */
	size_t limit, keep;
	size_t total;			/* taken, with padding */
	size_t held;			/* bytes of all chunks */
	bool failed;
};

struct arena *
arena_new(size_t limit, size_t keep)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->limit = limit;
	a->keep = keep;
	return a;
}

static void
free_list(struct chunk *c)
{
	struct chunk *older;

	for (; c; c = older) {
		older = c->older;
		free(c);
	}
}

void
arena_free(struct arena **a)
{
	if (!*a)
		return;
	free_list((*a)->newest);
	free_list((*a)->spare);
	free(*a);
	*a = NULL;
}

static void
release(struct arena *a, struct chunk *c)
{
	size_t size = sizeof(*c) + c->size;

	if (a->held <= a->keep) {
		c->used = 0;
		c->older = a->spare;
		a->spare = c;
		return;
	}
	a->held -= size;
	free(c);
}

void
arena_reset(struct arena *a)
{
	arena_rewind(a, (struct arena_mark){ NULL, 0, 0 });
	a->failed = false;
}

static struct chunk *
spare_of(struct arena *a, size_t n)
{
	struct chunk **at, *c;

	for (at = &a->spare; (c = *at) != NULL; at = &c->older) {
		if (c->size >= n) {
			*at = c->older;
			return c;
		}
	}
	return NULL;
}

static bool
grow(struct arena *a, size_t n)
{
	struct chunk *c = spare_of(a, n);
	size_t size;

	if (!c) {
		/* each chunk as large as all before it: few chunks */
		size = a->held > CHUNK_MIN ? a->held : CHUNK_MIN;
		if (size > ((size_t)4 << 20))
			size = (size_t)4 << 20;
		if (size < n)
			size = n;
		c = malloc(sizeof(*c) + size);
		if (!c)
			return false;
		c->size = size;
		c->used = 0;
		a->held += sizeof(*c) + size;
	}
	c->older = a->newest;
	a->newest = c;
	return true;
}

void *
arena_take(struct arena *a, size_t n)
{
	void *p;

	if (a->failed || n > a->limit)
		goto fail;
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (n > a->limit || a->total > a->limit - n)
		goto fail;
	if (!a->newest || a->newest->size - a->newest->used < n) {
		if (!grow(a, n))
			goto fail;
	}
	p = a->newest->room + a->newest->used;
	a->newest->used += n;
	a->total += n;
	return p;
fail:
	a->failed = true;
	return NULL;
}

void *
arena_take_array(struct arena *a, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all))
		all = SIZE_MAX;
	return arena_take(a, all);
}

void *
arena_copy(struct arena *a, const void *from, size_t n)
{
	void *p = arena_take(a, n);

	if (p && n)
		memcpy(p, from, n);
	return p;
}

bool
arena_failed(const struct arena *a)
{
	return a->failed;
}

size_t
arena_size(const struct arena *a)
{
	return a->held;
}

struct arena_mark
arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->newest,
		a->newest ? a->newest->used : 0, a->total };
}

void
arena_rewind(struct arena *a, struct arena_mark m)
{
	struct chunk *c;

	while ((c = a->newest) != m.chunk) {
		a->newest = c->older;
		release(a, c);
	}
	if (c)
		c->used = m.used;
	a->total = m.total;
}
