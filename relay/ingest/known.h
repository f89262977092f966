/* known.h - the series of an edge, found by the hashes of their label blocks.
 * SPDX-License-Identifier: Apache-2.0
 *
 * `keys` has for each series the hash of the block that it was first seen with, `last`
 * what it was given last; both grow by chunks, so that little is held in vain and
 * nothing is moved.  `slot` is an open-addressing table of series by it.  A block that is not in order, or
 * has empty values, may come in many forms: such a series is also entered in `alias`
 * under a canonical hash of its sorted labels, and under other forms as they come; so is
 * what is refused by its labels, with the reason in the place of its number.
 * Series are numbered from 0.  Zero-initialised is empty.                   */
#ifndef RW_INGEST_KNOWN_H
#define RW_INGEST_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "ingest/repeat.h"
#include "series/batch.h"
#include "series/store.h"

struct known_alias;

struct known {
	struct table keys;		/* struct hash128, by series */
	struct table last;		/* struct last, by series */
	uint32_t n;
	uint32_t *slot;			/* owned; series + 1, 0: empty */
	uint32_t n_slots;		/* a power of two */
	struct known_alias *alias;	/* owned */
	uint32_t n_alias, n_aliases;	/* room (power of two or 0), used */
};

void known_fini(struct known *);

/* Room for one more series.  False: out of memory. */
bool known_room(struct known *);
/* The next series; there is room. */
void known_add(struct known *, struct hash128 key);
/* Another form of a series, or KNOWN_VERDICT(why) on what is none.  If there is no room,
 * or there are `spare` more than two for each series, it will be met again. */
void known_add_alias(struct known *, struct hash128 key, uint32_t series,
    uint32_t spare);

#define KNOWN_VERDICT(status) (SERIES_NONE - (uint32_t)(status))

/* Why it is refused; ST_OK: it is a series, or not known. */
static inline enum status
known_verdict(uint32_t series)
{
	uint32_t st = SERIES_NONE - series;

	return st < ST__N ? (enum status)st : ST_OK;
}

/* SERIES_NONE: not known. */
uint32_t known_find_alias(const struct known *, struct hash128 key);
uint32_t known_find(const struct known *, struct hash128 key);

static inline struct hash128 *
known_key(const struct known *k, uint32_t series)
{
	return table_at(&k->keys, sizeof(struct hash128), series);
}

static inline bool
known_is(const struct known *k, uint32_t series, struct hash128 key)
{
	return series < k->n && hash128_eq(*known_key(k, series), key);
}

size_t known_size(const struct known *);

#endif
