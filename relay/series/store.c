/* store.c - chunks that grow with what is in them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "series/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN ((size_t)2 << 10)
#define CHUNK_MAX ((size_t)64 << 10)

struct store_chunk {
	struct store_chunk *older;	/* owned */
	size_t size, used;		/* of room */
	_Alignas(8) unsigned char room[];
};

static bool
add_chunk(struct store *s, size_t n)
{
	struct store_chunk *c;
	size_t size = s->held / 4;

	if (size < CHUNK_MIN)
		size = CHUNK_MIN;
	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < n)
		size = n;
	if (size > SIZE_MAX - sizeof(*c))
		return false;
	c = malloc(sizeof(*c) + size);
	if (!c)
		return false;
	c->size = size;
	c->used = 0;
	c->older = s->newest;
	s->newest = c;
	s->held += sizeof(*c) + size;
	return true;
}

void *
store_take(struct store *s, size_t n, size_t align)
{
	struct store_chunk *c = s->newest;
	size_t at;

	if (c) {
		at = (c->used + align - 1) & ~(align - 1);
		if (at <= c->size && c->size - at >= n) {
			c->used = at + n;
			return c->room + at;
		}
	}
	if (!add_chunk(s, n))
		return NULL;
	s->newest->used = n;
	return s->newest->room;
}

void
store_give_back(struct store *s, const void *p, size_t n)
{
	struct store_chunk *c = s->newest;

	assert(c && c->room + c->used == (const unsigned char *)p + n);
	c->used -= n;
	if (c->used == 0 && c->older) {
		s->newest = c->older;
		s->held -= sizeof(*c) + c->size;
		free(c);
	}
}

void
store_fini(struct store *s)
{
	struct store_chunk *c, *older;

	for (c = s->newest; c; c = older) {
		older = c->older;
		free(c);
	}
	*s = (struct store){ NULL, 0 };
}

bool
table_grow(struct table *t, size_t size, uint32_t n)
{
	void **chunks;
	uint32_t max;

	while ((uint64_t)t->n_chunks << TABLE_SHIFT < n) {
		if (t->n_chunks == t->max_chunks) {
			max = t->max_chunks ? t->max_chunks * 2 : 4;
			chunks = realloc(t->chunks, max * sizeof(*chunks));
			if (!chunks)
				return false;
			t->chunks = chunks;
			t->max_chunks = max;
		}
		t->chunks[t->n_chunks] = calloc(TABLE_CHUNK, size);
		if (!t->chunks[t->n_chunks])
			return false;
		t->n_chunks++;
	}
	if (n > t->n)
		t->n = n;
	return true;
}

void
table_cut(struct table *t, size_t size, uint32_t n)
{
	uint32_t i, part;

	for (i = n; i < t->n; i += part) {
		part = TABLE_CHUNK - (i & (TABLE_CHUNK - 1));
		if (part > t->n - i)
			part = t->n - i;
		memset(table_at(t, size, i), 0, part * size);
	}
	t->n = n;
}

void
table_fini(struct table *t)
{
	uint32_t i;

	for (i = 0; i < t->n_chunks; i++)
		free(t->chunks[i]);
	free(t->chunks);
	*t = (struct table){ NULL, 0, 0, 0 };
}

size_t
table_size(const struct table *t, size_t size)
{
	return t->n_chunks * (TABLE_CHUNK * size) +
	    t->max_chunks * sizeof(*t->chunks);
}
