/* arena.h - memory of one request or batch: taken in pieces, given back whole.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A failed take (limit, malloc) is remembered: later takes fail too, and
 * arena_failed() is asked once.  Not thread-safe; moves between loops with the
 * object that it serves.  arena_reset() keeps chunks up to `keep` bytes, so an
 * arena that is used again costs no page faults.                            */
#ifndef RW_BASE_ARENA_H
#define RW_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* limit: bytes in all that may be taken; keep: bytes kept by a reset.
 * NULL when out of memory. */
struct arena *arena_new(size_t limit, size_t keep);
void arena_free(struct arena **);
void arena_reset(struct arena *);

/* Zeroed? no.  Aligned to 16.  NULL on failure; n may be 0. */
void *arena_take(struct arena *, size_t n);
/* n elements of size bytes, the product checked. */
void *arena_take_array(struct arena *, size_t n, size_t size);
void *arena_copy(struct arena *, const void *, size_t n);

bool arena_failed(const struct arena *);
/* Bytes that the arena holds from the system. */
size_t arena_size(const struct arena *);

/* Give back what was taken since the mark. */
struct arena_mark {
	void *chunk;
	size_t used;
	size_t total;
};
struct arena_mark arena_mark(const struct arena *);
void arena_rewind(struct arena *, struct arena_mark);

#endif
