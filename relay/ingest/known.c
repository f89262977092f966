/* known.c - two hash tables, by the first form and by others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingest/known.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS_MIN 64
struct known_alias {
	struct hash128 key;
	uint32_t series;
	bool used;
};

void
known_fini(struct known *k)
{
	table_fini(&k->keys);
	table_fini(&k->last);
	free(k->slot);
	free(k->alias);
	*k = (struct known){ 0 };
}

size_t
known_size(const struct known *k)
{
	return table_size(&k->keys, sizeof(struct hash128)) +
	    table_size(&k->last, sizeof(struct last)) +
	    (size_t)k->n_slots * sizeof(*k->slot) +
	    (size_t)k->n_alias * sizeof(*k->alias);
}

/* ---- first forms ------------------------------------------------------------ */

static uint32_t
find_first(const struct known *k, struct hash128 key)
{
	uint32_t i, series, mask = k->n_slots - 1;

	if (!k->n_slots)
		return SERIES_NONE;
	for (i = (uint32_t)key.lo & mask; k->slot[i]; i = (i + 1) & mask) {
		series = k->slot[i] - 1;
		if (hash128_eq(*known_key(k, series), key))
			return series;
	}
	return SERIES_NONE;
}

static void
enter(struct known *k, uint32_t series)
{
	uint32_t i, mask = k->n_slots - 1;

	for (i = (uint32_t)known_key(k, series)->lo & mask; k->slot[i];
	    i = (i + 1) & mask)
		;
	k->slot[i] = series + 1;
}

bool
known_room(struct known *k)
{
	uint32_t series, more;
	uint32_t *slot;

	if (!table_grow(&k->keys, sizeof(struct hash128), k->n + 1) ||
	    !table_grow(&k->last, sizeof(struct last), k->n + 1))
		return false;
	if ((uint64_t)k->n * 4 < (uint64_t)k->n_slots * 3)
		return true;
	more = k->n_slots ? k->n_slots * 2 : SLOTS_MIN;
	slot = calloc(more, sizeof(*slot));
	if (!slot)
		return false;
	free(k->slot);
	k->slot = slot;
	k->n_slots = more;
	for (series = 0; series < k->n; series++)
		enter(k, series);
	return true;
}

void
known_add(struct known *k, struct hash128 key)
{
	assert(k->n < k->keys.n && k->n < k->last.n);
	*known_key(k, k->n) = key;
	*last_at(&k->last, k->n) = (struct last){ .kind = LAST_NONE };
	enter(k, k->n++);
}

/* ---- other forms -------------------------------------------------------------- */

uint32_t
known_find_alias(const struct known *k, struct hash128 key)
{
	uint32_t i, mask = k->n_alias - 1;

	if (!k->n_alias)
		return SERIES_NONE;
	for (i = (uint32_t)key.lo & mask; k->alias[i].used; i = (i + 1) & mask)
		if (hash128_eq(k->alias[i].key, key))
			return k->alias[i].series;
	return SERIES_NONE;
}

static void
enter_alias(struct known_alias *table, uint32_t mask, struct known_alias a)
{
	uint32_t i;

	for (i = (uint32_t)a.key.lo & mask; table[i].used; i = (i + 1) & mask)
		;
	table[i] = a;
}

void
known_add_alias(struct known *k, struct hash128 key, uint32_t series,
    uint32_t spare)
{
	uint32_t i, more;
	struct known_alias *table;

	if (k->n_aliases >= 2 * (uint64_t)k->n + spare)
		return;
	if ((uint64_t)k->n_aliases * 4 >= (uint64_t)k->n_alias * 3) {
		more = k->n_alias ? k->n_alias * 2 : SLOTS_MIN;
		table = calloc(more, sizeof(*table));
		if (!table)
			return;
		for (i = 0; i < k->n_alias; i++)
			if (k->alias[i].used)
				enter_alias(table, more - 1, k->alias[i]);
		free(k->alias);
		k->alias = table;
		k->n_alias = more;
	}
	enter_alias(k->alias, k->n_alias - 1,
	    (struct known_alias){ key, series, true });
	k->n_aliases++;
}

uint32_t
known_find(const struct known *k, struct hash128 key)
{
	uint32_t series = find_first(k, key);

	return series != SERIES_NONE ? series : known_find_alias(k, key);
}
