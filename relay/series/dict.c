/* dict.c - tables that only grow.
 * SPDX-License-Identifier: Apache-2.0 */
#include "series/dict_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "series/store.h"
#include "series/symtab.h"

enum metric_type {
	TYPE_COUNTER = 1,
	TYPE_HISTOGRAM = 3,
	TYPE_GAUGE_HISTOGRAM = 4,
	TYPE_SUMMARY = 5,
	TYPE_INFO = 6,
};

struct series {
	const uint32_t *refs;		/* in the store */
	uint32_t n_refs;
	uint32_t own;			/* number of metadata + 1, 0: none */
	uint32_t found;			/* likewise, of its family, when that
					   was last looked for: */
	uint32_t found_at;		/* dict.family_changes then */
};

struct metadata {
	struct dict_entry entry;
	uint32_t family;		/* number in families */
};

struct dict {
	uint32_t refs;
	struct bytes edge;		/* in the store */
	struct symtab *symbols;		/* owned */
	struct store store;
	struct table series;		/* struct series */
	struct table metadata;		/* struct metadata */
	struct symtab *families;	/* owned; NULL until there is one */
	struct table current;		/* uint32_t, number of metadata + 1,
					   by family */
	uint32_t family_changes;	/* in `current`; from 1 */
	struct table cached[DICT_CACHE__N];	/* struct bytes, by series */
};

enum status
dict_new(struct dict **out)
{
	struct dict *d = calloc(1, sizeof(*d));
	enum status st;

	if (!d)
		return ST_NO_MEMORY;
	d->refs = 1;
	d->family_changes = 1;
	st = symtab_new(&d->symbols);
	if (st != ST_OK) {
		dict_unref(&d);
		return st;
	}
	*out = d;
	return ST_OK;
}

struct dict *
dict_ref(struct dict *d)
{
	d->refs++;
	return d;
}

void
dict_unref(struct dict **at)
{
	struct dict *d = *at;
	int i;

	*at = NULL;
	if (!d || --d->refs > 0)
		return;
	for (i = 0; i < DICT_CACHE__N; i++)
		table_fini(&d->cached[i]);
	table_fini(&d->current);
	table_fini(&d->metadata);
	table_fini(&d->series);
	store_fini(&d->store);
	symtab_free(&d->families);
	symtab_free(&d->symbols);
	free(d);
}

/* ---- filling -------------------------------------------------------------- */

enum status
dict_set_edge(struct dict *d, struct bytes edge)
{
	uint8_t *p = store_take(&d->store, edge.n, 1);

	if (!p)
		return ST_NO_MEMORY;
	if (edge.n)
		memcpy(p, edge.p, edge.n);
	d->edge = bytes_of(p, edge.n);
	return ST_OK;
}

enum status
dict_add_symbol(struct dict *d, struct bytes text)
{
	uint32_t symbol;

	return symtab_append(d->symbols, text, &symbol);
}

uint32_t *
dict_add_series(struct dict *d, uint32_t n)
{
	uint32_t id = d->series.n, *refs;
	struct series *s;

	refs = store_take(&d->store, n * sizeof(*refs), sizeof(*refs));
	if (!refs || !table_grow(&d->series, sizeof(*s), id + 1))
		return NULL;
	memset(refs, 0, n * sizeof(*refs));
	s = table_at(&d->series, sizeof(*s), id);
	*s = (struct series){ .refs = refs, .n_refs = n };
	return refs;
}

enum status
dict_add_metadata(struct dict *d, const struct dict_entry *entry)
{
	uint32_t n = d->metadata.n, family = 0;
	struct metadata *m;
	enum status st;

	if (entry->has_family) {
		if (!d->families) {
			st = symtab_new(&d->families);
			if (st != ST_OK)
				return st;
		}
		st = symtab_intern(d->families, entry->family, &family);
		if (st != ST_OK)
			return st;
		if (!table_grow(&d->current, sizeof(uint32_t), family + 1))
			return ST_NO_MEMORY;
	}
	if (!table_grow(&d->metadata, sizeof(*m), n + 1))
		return ST_NO_MEMORY;
	m = table_at(&d->metadata, sizeof(*m), n);
	*m = (struct metadata){ *entry, family };
	return ST_OK;
}

uint32_t
dict_n_metadata(const struct dict *d)
{
	return d->metadata.n;
}

static const struct metadata *
metadata_at(const struct dict *d, uint32_t number)
{
	assert(number < d->metadata.n);
	return table_at(&d->metadata, sizeof(struct metadata), number);
}

const struct dict_entry *
dict_metadata_at(const struct dict *d, uint32_t number)
{
	return &metadata_at(d, number)->entry;
}

void
dict_use_family(struct dict *d, uint32_t number)
{
	uint32_t *current = table_at(&d->current, sizeof(*current),
	    metadata_at(d, number)->family);

	if (*current != number + 1) {
		*current = number + 1;
		d->family_changes++;
	}
}

void
dict_use_own(struct dict *d, uint32_t series, uint32_t number)
{
	struct series *s = table_at(&d->series, sizeof(*s), series);

	assert(series < d->series.n && number < d->metadata.n);
	s->own = number + 1;
}

/* ---- asking --------------------------------------------------------------- */

struct bytes
dict_edge(const struct dict *d)
{
	return d->edge;
}

uint32_t
dict_n_symbols(const struct dict *d)
{
	return symtab_n(d->symbols);
}

struct bytes
dict_symbol(const struct dict *d, uint32_t symbol)
{
	return symtab_text(d->symbols, symbol);
}

uint32_t
dict_n_series(const struct dict *d)
{
	return d->series.n;
}

static const struct series *
series_at(const struct dict *d, uint32_t series)
{
	assert(series < d->series.n);
	return table_at(&d->series, sizeof(struct series), series);
}

const uint32_t *
dict_series(const struct dict *d, uint32_t series, uint32_t *n)
{
	const struct series *s = series_at(d, series);

	*n = s->n_refs;
	return s->refs;
}

static struct bytes
metric_name(const struct dict *d, uint32_t series)
{
	const struct series *s = series_at(d, series);
	uint32_t i;

	for (i = 0; i < s->n_refs; i += 2) {
		if (bytes_eq(dict_symbol(d, s->refs[i]),
		    BYTES_LIT("__name__")))
			return dict_symbol(d, s->refs[i + 1]);
	}
	return (struct bytes){ NULL, 0 };
}

/* Number + 1 of what the family of that name has, 0: nothing. */
static uint32_t
family_number(const struct dict *d, struct bytes name)
{
	uint32_t family;

	if (!symtab_find(d->families, name, &family) || family == 0)
		return 0;
	return *(uint32_t *)table_at(&d->current, sizeof(uint32_t), family);
}

#define T(type) (1U << TYPE_##type)

static const struct suffix {
	struct bytes text;
	unsigned types;			/* whose series end so, bits */
} suffixes[] = {
	{ BYTES_LIT("_bucket"), T(HISTOGRAM) | T(GAUGE_HISTOGRAM) },
	{ BYTES_LIT("_count"), T(HISTOGRAM) | T(SUMMARY) },
	{ BYTES_LIT("_sum"), T(HISTOGRAM) | T(SUMMARY) },
	{ BYTES_LIT("_gcount"), T(GAUGE_HISTOGRAM) },
	{ BYTES_LIT("_gsum"), T(GAUGE_HISTOGRAM) },
	{ BYTES_LIT("_total"), T(COUNTER) },
	{ BYTES_LIT("_info"), T(INFO) },
	{ BYTES_LIT("_created"), T(COUNTER) | T(HISTOGRAM) | T(SUMMARY) },
};

#undef T

static uint32_t
resolve(const struct dict *d, struct bytes name)
{
	uint32_t number = family_number(d, name), type;
	const struct suffix *s;
	size_t i, stem;

	for (i = 0; number == 0 &&
	    i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		s = &suffixes[i];
		if (name.n <= s->text.n)
			continue;
		stem = name.n - s->text.n;
		if (memcmp(name.p + stem, s->text.p, s->text.n) != 0)
			continue;
		number = family_number(d, bytes_of(name.p, stem));
		if (number == 0)
			continue;
		type = dict_metadata_at(d, number - 1)->metadata.type;
		if (type > TYPE_INFO || !(s->types >> type & 1))
			number = 0;
	}
	return number;
}

/* Of its family; looked for again only when one has changed. */
static uint32_t
find_family(const struct dict *d, uint32_t series)
{
	struct series *s = table_at(&d->series, sizeof(*s), series);

	if (s->found_at != d->family_changes) {
		s->found = resolve(d, metric_name(d, series));
		s->found_at = d->family_changes;
	}
	return s->found;
}

bool
dict_metadata(const struct dict *d, uint32_t series, struct dict_metadata *out)
{
	uint32_t number = series_at(d, series)->own;

	if (number == 0 && d->families)
		number = find_family(d, series);
	if (number == 0)
		return false;
	*out = dict_metadata_at(d, number - 1)->metadata;
	return true;
}

/* ---- what others keep here ------------------------------------------------ */

struct bytes
dict_cached(const struct dict *d, enum dict_cache which, uint32_t series)
{
	const struct table *t = &d->cached[which];

	if (series >= t->n)
		return (struct bytes){ NULL, 0 };
	return *(const struct bytes *)table_at(t, sizeof(struct bytes), series);
}

uint8_t *
dict_cache_room(struct dict *d, enum dict_cache which, uint32_t series,
    size_t n)
{
	struct table *t = &d->cached[which];
	uint8_t *room;

	assert(series < d->series.n);
	if (!table_grow(t, sizeof(struct bytes), series + 1))
		return NULL;
	room = store_take(&d->store, n, 1);
	if (room)
		*(struct bytes *)table_at(t, sizeof(struct bytes), series) =
		    bytes_of(room, n);
	return room;
}

size_t
dict_size(const struct dict *d)
{
	size_t size = sizeof(*d) + symtab_size(d->symbols) + d->store.held +
	    table_size(&d->series, sizeof(struct series)) +
	    table_size(&d->metadata, sizeof(struct metadata)) +
	    table_size(&d->current, sizeof(uint32_t));
	int i;

	if (d->families)
		size += symtab_size(d->families);
	for (i = 0; i < DICT_CACHE__N; i++)
		size += table_size(&d->cached[i], sizeof(struct bytes));
	return size;
}
