/* store.h - append-only memory that never moves: a bump allocator, and tables
 * that grow by chunks.
 * SPDX-License-Identifier: Apache-2.0
 *
 * For what lives as long as its stream: symbols, series, their states.  Unlike
 * an arena, chunks stay small beside what is in them, since there may be a
 * thousand streams.  Zero-initialised is empty.                             */
#ifndef RW_SERIES_STORE_H
#define RW_SERIES_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- bytes ---------------------------------------------------------------- */

struct store_chunk;

struct store {
	struct store_chunk *newest;	/* owned */
	size_t held;			/* bytes from the system */
};

/* n bytes at an alignment of 1, 2, 4 or 8; NULL when out of memory. */
void *store_take(struct store *, size_t n, size_t align);
/* Gives back the n bytes at p, which were taken last of all that is left. */
void store_give_back(struct store *, const void *p, size_t n);
void store_fini(struct store *);

/* ---- tables --------------------------------------------------------------- */

struct table {
	void **chunks;			/* owned, each owned */
	uint32_t n_chunks, max_chunks;
	uint32_t n;			/* elements */
};

/* Elements are zeroed when they come into being, and addressed by number:
 *	table_at(&t, sizeof(struct x), i)
 * The size given is the same in all calls on one table. */
#define TABLE_SHIFT 8
#define TABLE_CHUNK (UINT32_C(1) << TABLE_SHIFT)

static inline void *
table_at(const struct table *t, size_t size, uint32_t i)
{
	return (char *)t->chunks[i >> TABLE_SHIFT] +
	    (i & (TABLE_CHUNK - 1)) * size;
}

/* Room for n elements in all; what is there stays.  False: out of memory. */
bool table_grow(struct table *, size_t size, uint32_t n);
/* Forgets elements from n on; the memory stays. */
void table_cut(struct table *, size_t size, uint32_t n);
void table_fini(struct table *);
size_t table_size(const struct table *, size_t size);

#endif
